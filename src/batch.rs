//! The batch merge: closed batches of all shards in, reports to the sinks out.
//!
//! A batch is merged when every shard has closed it. Its books are checked first: every line must be
//! in one column of the ledger, and the counts must add up to the counted lines, which went another
//! way through the program. Then its counts are added to the totals and the sinks get its rows.
//!
//! Merging and printing run on one thread, the program's main one, beside the counting: a slow
//! output holds up the shards only when it is [`CLOSED_MAX`](crate::shard::CLOSED_MAX) batches
//! behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::{Clock, Timestamp};
use crate::delivery::Dispatch;
use crate::error::Error;
use crate::event::{EventWindows, Latest};
use crate::hint::Hint;
use crate::lane::Mark;
use crate::latency::Latencies;
use crate::ledger::{Ledger, Reason};
use crate::live::{self, Board};
use crate::pipe::Told;
use crate::reader::Stop;
use crate::record::KeyPath;
use crate::sample::SampleQueue;
use crate::shard::{Closed, ShardBatch};
use crate::sink::{BatchReport, Latency, Rows, Sink, TotalsReport, WindowReport, text};
use crate::source::{Commit, SourceOffsets};
use crate::state::{self, BatchChange, Leaders, Past, PastClosed, WindowsChange};
use crate::thread::ThreadSleeper;
use crate::totals::{BatchCounts, Totals};
use crate::window::{ClosedWindow, Windows, trending};

/// Samples of bad lines shown at one boundary.
const SAMPLES_SHOWN_MAX: usize = 6;

/// Samples are shown at most once in this time: 1 s.
const SAMPLES_NANOS_MIN: u64 = 1_000_000_000;

/// What the merge is made of.
pub struct Merge {
    /// The shards' queues and sleepers, in the order of the shards.
    pub shards: Vec<(Arc<Closed>, Arc<ThreadSleeper>)>,
    /// The merge's own sleeper.
    pub sleeper: Arc<ThreadSleeper>,
    /// Where results go.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Who looks on.
    pub board: Board,
    /// What goes elsewhere as well (`--to`).
    pub deliveries: Option<Dispatch>,
    /// Who is told of each batch that all sinks have taken.
    pub reported: Reported,
    /// Whether the state keeps a history.
    pub has_history: bool,
    /// The totals of earlier runs, and where their lines went.
    pub before: (Totals, Ledger),
    /// Raised by a parser that could not read what its batch was to have.
    pub unread: Arc<AtomicBool>,
    /// How many rows a report shows; `None`: all.
    pub top: Option<usize>,
    /// The windows, each reported behind the batch that closes it.
    pub windows: MergeWindows,
    /// How many growing keys a window's report names; `None`: it does not.
    pub trending: Option<usize>,
    /// The path of the numbers that are summed, if any are.
    pub sum: Option<KeyPath>,
    /// Whether reports carry latencies.
    pub stats: bool,
    /// The limits whose first crossing brings a warning: keys, and bytes of a line.
    pub keys_max: u64,
    /// See [`Merge::keys_max`].
    pub line_bytes_max: usize,
    /// Lines to show on stderr.
    pub samples: SampleQueue,
    /// What to count by instead, if what was asked for is not there.
    pub hint: Hint,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Stops the reader when the output fails.
    pub stop: Stop,
}

/// What puts a record into windows.
pub enum MergeWindows {
    /// The batch that it came in.
    ByArrival(Windows),
    /// Its own time. Batches are then not reported: they are by arrival.
    ByEvent(EventWindows),
}

/// Who is told of each batch that all sinks have taken.
pub enum Reported {
    /// Those of the sources that want to hear of it, by their number.
    Sources(Vec<Option<Box<dyn Commit>>>),
    /// The state, which tells the sources when it is saved.
    State(state::Sender),
}

/// What the merge saw in all.
pub struct MergeReport {
    /// Where all lines of this run went.
    pub ledger: Ledger,
    /// Where the lines of this run and of those before it went.
    pub ledger_in_all: Ledger,
    /// Batches closed.
    pub batches: u64,
    /// Distinct keys, those beyond the limit not among them.
    pub keys: u64,
    /// Records of keys beyond the limit.
    pub overflow: u64,
    /// Records that windows counted under `_other` for want of room.
    pub crowded_out: u64,
    /// Windows by event time that were closed early for want of room.
    pub closed_early: u64,
    /// Latencies of the whole run.
    pub latency: Latency,
    /// Where the sources that can be resumed stood at the end.
    pub offsets: Arc<[SourceOffsets]>,
    /// Who is told of what was reported, to hear how the run ended.
    pub reported: Reported,
    /// The first thing that went wrong.
    pub failure: Option<Error>,
}

/// A batch that every shard has closed.
struct Merged {
    mark: Mark,
    told: Told,
    counted: Latencies,
    counts: BatchCounts,
}

/// What is carried from batch to batch.
#[derive(Default)]
struct Progress {
    ledger: Ledger,
    ledger_in_all: Ledger,
    batches: u64,
    counted: Latencies,
    printed: Latencies,
    failure: Option<Error>,
    samples_shown: Option<Timestamp>,
    has_told_overflow: bool,
    has_told_oversize: bool,
    has_told_crowd: bool,
    has_told_early: bool,
    has_told_unsummed: bool,
}

impl Progress {
    /// Of the run so far.
    fn latency(&self) -> Latency {
        Latency {
            receive_to_counted: self.counted.percentiles(),
            boundary_to_printed: self.printed.percentiles(),
        }
    }
}

impl Merge {
    /// Merges until the last batch is out.
    pub fn run(mut self) -> MergeReport {
        self.sleeper.adopt();
        if !self.sinks.iter().any(|sink| sink.wants_rows()) {
            self.top = Some(0);
        }
        let (mut totals, ledger) = std::mem::take(&mut self.before);
        if self.sum.is_some() {
            totals.show_sums();
        }
        let mut progress = Progress {
            ledger_in_all: ledger,
            ..Progress::default()
        };
        loop {
            let Merged {
                mark,
                told,
                counted,
                counts: batch,
            } = self.next_batch(&mut totals);
            let ledger = told.ledger;
            progress.batches += 1;
            progress.ledger += ledger;
            progress.ledger_in_all += ledger;
            progress.counted.add(&counted);
            if let Some(deliveries) = &mut self.deliveries {
                deliveries.begin(&mark);
            }
            if progress.failure.is_none() {
                let reported = check(&mark, &ledger, &batch).and_then(|()| {
                    if let MergeWindows::ByArrival(_) = self.windows {
                        self.report(&mark, ledger, &counted, &totals, &batch, &progress)?;
                    }
                    self.report_windows(&mark, &told.latest, &totals, &batch)
                });
                match reported {
                    Ok(windows) => {
                        let changed = (windows, ledger);
                        self.reported(&mark, &mut totals, &batch, &progress, changed);
                    }
                    Err(error) => {
                        // What is on its way is merged to the end, so that nobody waits for ever.
                        self.stop.stop();
                        progress.failure = Some(error);
                    }
                }
                let late = self.clock.now().nanos_since(mark.end);
                progress.printed.record(late, 1);
                self.show(&mark, (ledger, late), &counted, &totals, &batch, &progress);
            }
            self.show_samples(&mut progress);
            if let Some(told) = self.hint.tell(&ledger, mark.last) {
                tracing::warn!("{told}");
            }
            self.tell_limits(&totals, &mut progress);
            self.tell_unsummed(&mut progress);
            for ((closed, _), zeros) in self.shards.iter().zip(batch.into_zeros()) {
                // An array too many is let go.
                drop(closed.zeros.push(zeros));
            }
            if mark.last {
                return self.finish(&mark, &totals, progress);
            }
        }
    }

    /// Waits until every shard has closed the next batch, and adds it to the totals, without what came
    /// too late for its window.
    fn next_batch(&mut self, totals: &mut Totals) -> Merged {
        let mut told = Told::default();
        let mut counted = Latencies::default();
        let mut counts = Vec::with_capacity(self.shards.len());
        let mut mark = None;
        for (closed, shard) in &self.shards {
            let ShardBatch {
                mark: this,
                told: some_told,
                counts: some,
                latencies,
            } = *self.sleeper.wait(|| closed.batches.pop());
            shard.wake();
            match &mark {
                Some(mark) => assert_eq!(*mark, this, "shards close the same batches"),
                None => mark = Some(this),
            }
            told.merge(&some_told);
            counted.add(&latencies);
            counts.push(some);
        }
        if let MergeWindows::ByEvent(windows) = &mut self.windows {
            let late = windows.admit(&mut counts);
            told.ledger.counted -= late;
            told.ledger.late += late;
        }
        Merged {
            mark: mark.expect("there is at least one shard"),
            told,
            counted,
            counts: totals.add(counts),
        }
    }

    fn report(
        &mut self,
        mark: &Mark,
        ledger: Ledger,
        counted: &Latencies,
        totals: &Totals,
        batch: &BatchCounts,
        progress: &Progress,
    ) -> Result<(), Error> {
        let (shown, hidden) = totals.batch_rows(batch, self.rows_top());
        let counts = Rows {
            shown: &shown,
            hidden,
        };
        let all = self.sinks.iter().any(|sink| sink.wants_totals());
        let all = all.then(|| totals.total_rows(self.top));
        let report = BatchReport {
            batch: mark.batch,
            start: mark.start,
            end: mark.end,
            ledger,
            counts: counts.limit(self.top),
            totals: all.as_ref().map(|(shown, hidden)| Rows {
                shown,
                hidden: *hidden,
            }),
            latency: self.stats.then(|| Latency {
                receive_to_counted: counted.percentiles(),
                boundary_to_printed: progress.printed.percentiles(),
            }),
            lag: shown_lag(self.stats, mark),
        };
        if let Some(deliveries) = &mut self.deliveries {
            let counts = counts.limit(deliveries.top);
            deliveries.packer.batch(&BatchReport { counts, ..report });
        }
        self.sinks
            .iter_mut()
            .try_for_each(|sink| sink.batch(&report))
            .map_err(Error::Output)
    }

    /// Reports the windows that the batch closes. Returns what a state is to keep of them.
    fn report_windows(
        &mut self,
        mark: &Mark,
        latest: &Latest,
        totals: &Totals,
        batch: &BatchCounts,
    ) -> Result<(WindowsChange, Vec<PastClosed>), Error> {
        let rows_top = self.rows_top();
        let Merge {
            windows,
            sinks,
            board,
            deliveries,
            top,
            trending: growing,
            has_history,
            ..
        } = self;
        let mut past = Vec::new();
        let report = |window: ClosedWindow<'_>| {
            if *has_history && window.is_final {
                past.push(PastClosed {
                    spec: window.spec,
                    end: window.end,
                    covered: window.covered,
                    leaders: Leaders::of_window(window.sums),
                });
            }
            let (shown, hidden) = totals.window_rows(window.sums, rows_top);
            let counts = Rows {
                shown: &shown,
                hidden,
            };
            let before = growing.zip(window.before);
            let trends = before.map(|(limit, before)| trending(totals, window.sums, before, limit));
            board.window(&window, totals, trends.as_deref());
            let report = WindowReport {
                spec: window.spec,
                start: window.start(),
                end: window.end,
                covered: window.covered,
                is_final: window.is_final,
                counts: counts.limit(*top),
                trending: trends.as_deref(),
            };
            if let Some(deliveries) = deliveries {
                let counts = counts.limit(deliveries.top);
                deliveries.packer.window(&WindowReport { counts, ..report });
            }
            sinks
                .iter_mut()
                .try_for_each(|sink| sink.window(&report))
                .map_err(Error::Output)
        };
        let change = match windows {
            MergeWindows::ByArrival(windows) => {
                windows.close_batch(mark, batch, report)?;
                let change = windows.change();
                change.map_or(WindowsChange::None, WindowsChange::Ring)
            }
            MergeWindows::ByEvent(windows) => {
                let change = windows.close_batch(mark, latest, report)?;
                change.map_or(WindowsChange::None, WindowsChange::Events)
            }
        };
        Ok((change, past))
    }

    /// Shows the batch to those who look on.
    fn show(
        &mut self,
        mark: &Mark,
        (ledger, printed_nanos): (Ledger, u64),
        counted: &Latencies,
        totals: &Totals,
        batch: &BatchCounts,
        progress: &Progress,
    ) {
        let saving = match &self.reported {
            Reported::Sources(_) => None,
            Reported::State(sender) => Some(sender.saving()),
        };
        self.board.batch(&live::Closed {
            mark,
            ledger,
            ledger_in_all: progress.ledger_in_all,
            totals,
            counts: batch,
            receive_to_counted: counted.percentiles(),
            latency: progress.latency(),
            printed_nanos,
            bounds_hit: self.crowded_out(),
            saving,
        });
    }

    /// Records that windows counted under `_other`, and windows that were closed early, for want of room.
    fn crowded_out(&self) -> (u64, u64) {
        match &self.windows {
            MergeWindows::ByArrival(windows) => (windows.crowded_out(), 0),
            MergeWindows::ByEvent(windows) => (0, windows.forced()),
        }
    }

    /// As many rows as are shown anywhere; `None`: all.
    fn rows_top(&self) -> Option<usize> {
        match &self.deliveries {
            None => self.top,
            Some(deliveries) => Some(self.top?.max(deliveries.top?)),
        }
    }

    /// Packs the totals behind the last batch, so that they are saved with it.
    fn pack_totals(&mut self, mark: &Mark, totals: &Totals, ledger: Ledger) {
        let end = self.end(mark);
        if let Some(deliveries) = &mut self.deliveries {
            let (shown, hidden) = totals.total_rows(deliveries.top);
            deliveries.packer.totals(&TotalsReport {
                end,
                ledger,
                totals: Rows {
                    shown: &shown,
                    hidden,
                },
                latency: None,
                lag: &[],
            });
        }
    }

    /// All sinks have taken the batch.
    fn reported(
        &mut self,
        mark: &Mark,
        totals: &mut Totals,
        batch: &BatchCounts,
        progress: &Progress,
        ((windows, closed), ledger): ((WindowsChange, Vec<PastClosed>), Ledger),
    ) {
        if mark.last {
            self.pack_totals(mark, totals, progress.ledger_in_all);
        }
        match &mut self.reported {
            Reported::Sources(committers) => {
                if let Some(deliveries) = &mut self.deliveries {
                    deliveries.send();
                }
                for offsets in mark.offsets.iter() {
                    if let Some(committer) = &mut committers[offsets.source] {
                        committer.commit(offsets);
                    }
                }
            }
            // What could not be read is not behind us: the next run is to try again.
            // Relaxed: the queues that the batch came through order it.
            Reported::State(_) if self.unread.load(Ordering::Relaxed) => self.stop.stop(),
            Reported::State(sender) => {
                let change = BatchChange {
                    mark: mark.clone(),
                    ledger: progress.ledger_in_all,
                    overflow: totals.overflow(),
                    other: totals.other(),
                    other_sum: totals.other_sum(),
                    shards: totals.change(batch),
                    windows,
                    past: self.has_history.then(|| Past {
                        ledger,
                        leaders: Leaders::of_batch(batch, totals),
                        windows: closed,
                    }),
                    parcel: self.deliveries.as_mut().and_then(Dispatch::parcel),
                };
                sender.send(change);
            }
        }
    }

    fn finish(mut self, mark: &Mark, totals: &Totals, mut progress: Progress) -> MergeReport {
        let (crowded_out, closed_early) = self.crowded_out();
        let latency = progress.latency();
        if progress.failure.is_none() {
            let (shown, hidden) = totals.total_rows(self.top);
            let report = TotalsReport {
                end: self.end(mark),
                ledger: progress.ledger_in_all,
                totals: Rows {
                    shown: &shown,
                    hidden,
                },
                latency: self.stats.then_some(latency),
                lag: shown_lag(self.stats, mark),
            };
            let result = self
                .sinks
                .iter_mut()
                .try_for_each(|sink| sink.totals(&report));
            progress.failure = result.map_err(Error::Output).err();
        }
        if let Some(deliveries) = self.deliveries {
            deliveries.finish();
        }
        MergeReport {
            ledger: progress.ledger,
            ledger_in_all: progress.ledger_in_all,
            batches: progress.batches,
            keys: totals.keys(),
            overflow: totals.overflow(),
            crowded_out,
            closed_early,
            latency,
            offsets: Arc::clone(&mark.offsets),
            reported: self.reported,
            failure: progress.failure,
        }
    }

    /// When a run ends: with the last batch; by event time, with the latest record.
    fn end(&self, mark: &Mark) -> Timestamp {
        match &self.windows {
            MergeWindows::ByArrival(_) => mark.end,
            MergeWindows::ByEvent(windows) => windows.latest().unwrap_or(mark.end),
        }
    }

    /// Tells of each limit, once, that input has gone beyond it.
    fn tell_limits(&self, totals: &Totals, progress: &mut Progress) {
        let is_first =
            |is_beyond: bool, has_told: &mut bool| is_beyond && !std::mem::replace(has_told, true);
        if is_first(totals.overflow() > 0, &mut progress.has_told_overflow) {
            tracing::warn!(
                "more than {} keys: further ones are counted under _other; raise --max-keys to tell them apart",
                text::grouped(self.keys_max)
            );
        }
        let (crowded_out, closed_early) = self.crowded_out();
        if is_first(crowded_out > 0, &mut progress.has_told_crowd) {
            tracing::warn!(
                "more keys in a batch than the windows have room for: in windows its rarest ones are counted under _other; raise --window-bytes, or --every, to tell them apart"
            );
        }
        if is_first(closed_early > 0, &mut progress.has_told_early) {
            tracing::warn!(
                "open windows take more than --window-bytes: the oldest are closed early, and what still comes for them is late; raise it, or lower --lateness"
            );
        }
        if is_first(
            progress.ledger.oversize > 0,
            &mut progress.has_told_oversize,
        ) {
            tracing::warn!(
                "lines of more than {} bytes: skipped and counted as oversize; raise --max-line to read them",
                text::grouped(self.line_bytes_max as u64)
            );
        }
    }

    /// Tells once that records had no number to add.
    fn tell_unsummed(&self, progress: &mut Progress) {
        if let Some(path) = &self.sum
            && progress.ledger.unsummed > 0
            && !std::mem::replace(&mut progress.has_told_unsummed, true)
        {
            tracing::warn!(
                "records without a number at {path} that can be added: counted, and left out of the sum"
            );
        }
    }

    /// Shows some of the waiting samples, unless some were shown a moment ago.
    fn show_samples(&mut self, progress: &mut Progress) {
        let now = self.clock.now();
        let mut quota = match progress.samples_shown {
            Some(at) if now.nanos_since(at) < SAMPLES_NANOS_MIN => 0,
            _ => SAMPLES_SHOWN_MAX,
        };
        while let Some(sample) = self.samples.pop() {
            self.hint.offer(sample.reason, &sample.head);
            // What was filtered is as it was asked for.
            if quota > 0 && sample.reason != Reason::Filtered {
                quota -= 1;
                progress.samples_shown = Some(now);
                let line = text::sample(&sample.head, 120);
                tracing::warn!("{} line: {line}", sample.reason.name());
            }
        }
    }
}

/// What reports say of the sources' lag.
fn shown_lag(stats: bool, mark: &Mark) -> &[SourceOffsets] {
    if stats { &mark.offsets } else { &[] }
}

/// Every line in one column, and the counts' sum equal to the counted lines.
fn check(mark: &Mark, ledger: &Ledger, batch: &BatchCounts) -> Result<(), Error> {
    if !ledger.is_balanced() {
        return Err(Error::Ledger(format!(
            "batch {}: {} lines, but {} counted and {} dropped",
            mark.batch,
            ledger.lines,
            ledger.counted,
            ledger.dropped()
        )));
    }
    if batch.records() != ledger.counted {
        return Err(Error::Ledger(format!(
            "batch {}: {} lines counted, but the keys' counts add up to {}",
            mark.batch,
            ledger.counted,
            batch.records()
        )));
    }
    Ok(())
}
