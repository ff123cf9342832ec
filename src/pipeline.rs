//! Builds the stages, connects them, pins the threads, and stops them in order.
//!
//! The only place that knows every stage. The order of an end: the reader sends its last mark, each
//! parser passes it on and ends, each shard closes its last batch and ends, the merge reports it and
//! returns; then the threads are joined and the [`Summary`] is drawn up.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use crate::bad::BadLines;
use crate::batch::{Merge, MergeWindows, Reported};
use crate::block::{ENTRIES_MAX, KEY_BYTES_MAX};
use crate::budget::KeyBudget;
use crate::chunk::Pool;
use crate::clock::{Clock, Timestamp};
use crate::counts::Counts;
use crate::decimal::Decimal;
use crate::delivery::{
    Courier, Delivered, Deliveries, DeliverySettings, Dispatch, Feed, PACKED_ROW_BYTES, Porter,
    Queue,
};
use crate::error::{Error, reason};
use crate::event::{BATCH_BYTES, EventSettings, EventWindows, pane_nanos};
use crate::framers::tail_bytes_max;
use crate::framing::HEADS_BYTES_MAX;
use crate::hash::KeyHasher;
use crate::hint::Hint;
use crate::lane::Lane;
use crate::lanes::Lanes;
use crate::ledger::Ledger;
use crate::live::{About, Bell, Board, Gauges, Live, LiveSettings};
use crate::parser::Parser;
use crate::pipe::{BLOCKS_MAX, PipeReceiver, PipeSender, pipe};
use crate::reader::{EventReading, Reader, ReaderParts, ReaderPoll, Stop};
use crate::record::{Query, RecordParser};
use crate::reject::{self, RejectFile, RejectOptions, Rejected};
use crate::sample::{self, Sampler};
use crate::shard::{CLOSED_MAX, Closed, Shard};
use crate::sink::{Row, Sink};
use crate::source::{Commit, Source, Streams};
use crate::state::{self, KeptWindows, Outcome, Saver, Spool, State};
use crate::summary::Summary;
use crate::thread::{ThreadSleeper, spawn};
use crate::tolerance::{Tolerance, Watch};
use crate::totals::Totals;
use crate::window::{WindowSettings, Windows};

/// Chunks that one lane holds at the most: enough that a parser never waits for the reader to wake,
/// few enough that they stay in the cache.
const LANE_CHUNKS_MAX: usize = 8;

/// How a pipeline is built. Every number is at least 1.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which records are counted, by what, and what is added up.
    pub query: Query,
    /// The batch interval, in nanoseconds.
    pub every_nanos: u64,
    /// Parser threads.
    pub parsers: usize,
    /// Shards, each with a thread.
    pub shards: usize,
    /// Whether each parser thread is pinned to a core.
    pub pin: bool,
    /// The size of a chunk.
    pub chunk_bytes: usize,
    /// All chunks together; see [`Settings::pool_bytes_min`].
    pub pool_bytes: usize,
    /// The longest line; longer ones are skipped and counted as oversize.
    pub line_bytes_max: usize,
    /// Distinct keys; records of further ones are counted under `_other`.
    pub keys_max: u64,
    /// How many malformed lines are put up with; `None`: any number.
    pub tolerance: Option<Tolerance>,
    /// Where bad lines are kept.
    pub reject: Option<RejectOptions>,
    /// Rows that a report shows; `None`: all.
    pub top: Option<usize>,
    /// Windows over several batches; or, of a query with a time, by the records' own time.
    pub windows: WindowSettings,
    /// How records that have times of their own are dealt with.
    pub event: EventSettings,
    /// Whether reports carry latencies.
    pub stats: bool,
    /// Whether the first source that fails ends the run.
    pub fail_fast: bool,
    /// Batches that may wait to be saved; 0: there is no state.
    pub state_lag: usize,
    /// What is kept for who looks on while it runs.
    pub live: LiveSettings,
    /// How long batches and windows that are over stay in the state's history, in nanoseconds; 0: there is none.
    pub keep_nanos: u64,
    /// How results are delivered elsewhere.
    pub delivery: DeliverySettings,
}

impl Settings {
    /// Settings with every default, for this query.
    pub fn new(query: impl Into<Query>) -> Settings {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Settings {
            query: query.into(),
            every_nanos: 5_000_000_000,
            parsers: cores,
            shards: default_shards(cores),
            pin: true,
            chunk_bytes: 256 * 1024,
            pool_bytes: 64 * 1024 * 1024,
            line_bytes_max: 1024 * 1024,
            keys_max: 1_000_000,
            tolerance: None,
            reject: None,
            top: None,
            windows: WindowSettings {
                bytes_max: 256 * 1024 * 1024,
                ..WindowSettings::default()
            },
            event: EventSettings::default(),
            stats: false,
            fail_fast: false,
            state_lag: 0,
            live: LiveSettings::default(),
            keep_nanos: 0,
            delivery: DeliverySettings::default(),
        }
    }

    /// The least that `pool_bytes` may be: each source in the middle of a longest line, one of all
    /// connections too while another is read, the chunk that the next line begins in, and a chunk
    /// for each parser.
    pub fn pool_bytes_min(&self, streams: Streams) -> usize {
        let long_lines = 1 + streams.sources + 2 * streams.connections.min(1);
        long_lines * self.long_line_bytes() + self.parsers * self.chunk_bytes
    }

    /// How many connections may keep a chunk of the pool for an unfinished long line.
    fn long_connections_max(&self, streams: Streams) -> usize {
        let spare = self
            .pool_bytes
            .saturating_sub(self.parsers * self.chunk_bytes);
        (spare / self.long_line_bytes()).saturating_sub(2 + streams.sources)
    }

    /// A chunk that a longest line fits into.
    fn long_line_bytes(&self) -> usize {
        self.chunk_bytes.max(self.line_bytes_max + 1)
    }

    /// Whether the settings go together, for these sources.
    ///
    /// # Errors
    /// If the pool is too small.
    pub fn check(&self, streams: Streams) -> Result<(), Error> {
        let least = self.pool_bytes_min(streams);
        if self.pool_bytes >= least {
            return Ok(());
        }
        Err(Error::Setting {
            name: "pool-bytes",
            value: self.pool_bytes.to_string(),
            remedy: format!("too small for these lines, chunks and parsers; give at least {least}"),
        })
    }

    /// An upper bound of the memory that input can make the pipeline use, in bytes, with all keys
    /// as long as `key_bytes`: what `-v` prints.
    pub fn memory_bytes_max(&self, streams: Streams, key_bytes: u64) -> u64 {
        let sums = match self.query.sum() {
            Some(_) => ENTRIES_MAX * size_of::<Decimal>(),
            None => 0,
        };
        let block =
            ENTRIES_MAX * BLOCK_ENTRY_BYTES + sums + 2 * KEY_BYTES_MAX + self.line_bytes_max;
        let blocks = self.parsers * self.shards * (BLOCKS_MAX + 1) * block;
        let parsers = self.parsers * (PARSER_BYTES_PER_LINE_BYTE * self.line_bytes_max);
        let heads = self.pool_bytes / self.chunk_bytes * 2 * HEADS_BYTES_MAX;
        let reject_block = 2 * reject::BLOCK_BYTES + self.line_bytes_max;
        let rejects = match self.reject {
            Some(_) => self.parsers * (reject::BLOCKS_MAX + 1) * reject_block,
            None => 0,
        };
        let tail = tail_bytes_max(self.chunk_bytes) + STREAM_BYTES;
        // A stream that is alone is never parked.
        let tails = (streams.sources + streams.connections).saturating_sub(1) * tail;
        let buffers = heads + tails + blocks + parsers + rejects;
        let fixed = self.pool_bytes + streams.own_bytes + buffers + PROGRAM_BYTES;
        let windows = match self.query.time() {
            Some(_) => 2 * self.windows.bytes_max as u64 + PANE_PAIRS_BYTES,
            None => self.windows.bytes_max(self.every_nanos, self.shards),
        };
        let state = match self.state_lag {
            0 => 0,
            lag => state::CACHE_BYTES + self.state_windows_bytes(lag as u64),
        };
        let past = match (self.live.viewers, self.state_lag) {
            (1.., 1..) => state::PAGE_BYTES_MAX,
            _ => 0,
        };
        let live = self.live.bytes_max(key_bytes) + past;
        let waiting = match (self.delivery.sinks, self.state_lag) {
            (1.., 0) => self.delivery.bytes_max,
            _ => 0,
        };
        let sinks = waiting.saturating_add(self.delivery.own_bytes_max);
        let fixed = (fixed as u64 + windows + state + live).saturating_add(sinks);
        let keys = key_bytes * (1 + 2 * self.parcels()) + self.key_bytes();
        fixed + self.keys_max * keys
    }

    /// Parcels that are neither in the state nor in the queue: one that is packed, those on their way to the
    /// state, and the one that each sink is about to take.
    fn parcels(&self) -> u64 {
        match self.delivery.sinks {
            0 => 0,
            sinks => (1 + self.state_lag + sinks) as u64,
        }
    }

    /// An upper bound of what open windows and the history take while they wait to be saved, in bytes: a list of
    /// what is not saved, which is as long as they are, and by event time what the batches brought.
    fn state_windows_bytes(&self, lag: u64) -> u64 {
        let brought = match self.query.time() {
            Some(_) => lag * PANE_PAIRS_BYTES / (CLOSED_MAX as u64 + 2),
            None => 0,
        };
        let windows = match self.windows.specs.len() {
            0 => 0,
            _ => 2 * self.windows.bytes_max as u64,
        };
        brought + windows + 2 * state::PENDING_MAX as u64 * state::PENDING_BYTES
    }

    /// What a live key costs beside its bytes, in bytes.
    pub fn key_bytes(&self) -> u64 {
        let sums = match self.query.sum() {
            Some(_) => SUM_BYTES,
            None => 0,
        };
        let change = match self.query.sum() {
            Some(_) => state::CHANGE_BYTES + state::SUM_CHANGE_BYTES,
            None => state::CHANGE_BYTES,
        };
        let state = match self.state_lag {
            0 => 0,
            lag => state::KEY_BYTES + lag as u64 * change,
        };
        let parcels = self.parcels() * PACKED_ROW_BYTES;
        let rows = self.delivery.sinks as u64 * size_of::<Row<'_>>() as u64;
        KEY_BYTES + sums + self.windows.key_bytes() + state + parcels + rows
    }
}

/// What a stream costs beside its unfinished line: its slot, its source, its name.
const STREAM_BYTES: usize = 1024;

/// Shards when nobody says how many: combined pairs are few, so one serves several parsers; but where
/// keys do not repeat, one alone would hold up two parsers.
pub fn default_shards(parsers: usize) -> usize {
    parsers.div_ceil(4).max(parsers.min(2))
}

/// An entry of a block, its table slot included.
const BLOCK_ENTRY_BYTES: usize = 64;

/// What the parser may hold for a line, per byte of it: a copy, string buffers, structural indexes
/// (4 bytes) and tape nodes (16 bytes) for a line of nothing but brackets and commas.
const PARSER_BYTES_PER_LINE_BYTE: usize = 32;

/// What batches bring by pane and key, in bytes: a pair of 16 for each of the shortest records, which have
/// 14, in a vector that may have grown to twice its need; of the open batch, the closed ones and the one
/// that is merged.
const PANE_PAIRS_BYTES: u64 = 2 * (BATCH_BYTES * 16 / 14) * (CLOSED_MAX as u64 + 2);

/// Code, stacks, histograms, queues, output buffers.
const PROGRAM_BYTES: usize = 16 * 1024 * 1024;

/// What a live key costs beside its bytes, in bytes: an entry (32) in the shard, its place (16) and
/// total (8) in the merge, up to five counts (8 each), the new key on its way (16), each in a vector
/// that may have grown to twice its need; its table slots (up to 48 while the table grows), and the
/// row in which a report without a limit shows it (56), what that is sorted by (32) and its place in
/// the order (8).
const KEY_BYTES: u64 = 376;

/// What the sum of a live key costs beside that, in bytes: its total and up to five sums (48 each), each
/// in a vector that may have grown to twice its need.
const SUM_BYTES: u64 = 2 * 6 * size_of::<Decimal>() as u64;

/// A pipeline that is built and has not begun to read.
pub struct Pipeline {
    settings: Settings,
    sources: Vec<Box<dyn Source>>,
    sinks: Vec<Box<dyn Sink>>,
    clock: Arc<dyn Clock>,
    poll: ReaderPoll,
    reject: Option<RejectFile>,
    state: Option<State>,
    board: Board,
    deliveries: Deliveries,
}

impl Pipeline {
    /// A pipeline from `sources` to `sinks` on `clock`'s time.
    ///
    /// # Errors
    /// If the pool is too small for the settings, the reject file cannot be opened (both usage), or
    /// the system has no descriptors left.
    ///
    /// # Panics
    /// If there is no source, or a number in the settings is 0.
    pub fn new(
        settings: Settings,
        sources: Vec<Box<dyn Source>>,
        sinks: Vec<Box<dyn Sink>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Pipeline, Error> {
        assert!(!sources.is_empty(), "a pipeline needs a source");
        assert!(settings.parsers > 0 && settings.shards > 0, "{settings:?}");
        assert!(settings.every_nanos > 0, "{settings:?}");
        settings.check(Streams::of(&sources))?;
        let reject = settings.reject.clone().map(open_reject_file).transpose()?;
        let poll = ReaderPoll::new().map_err(|error| Error::System("open a poll", error))?;
        let gauges = Arc::new(Gauges::new(&sources));
        let board = Board::new(about(&settings, clock.now()), gauges, Arc::clone(&clock));
        Ok(Pipeline {
            settings,
            sources,
            sinks,
            clock,
            poll,
            reject,
            state: None,
            board,
            deliveries: Deliveries::default(),
        })
    }

    /// Goes on with what is in `state`, and saves each batch there.
    pub fn with_state(mut self, state: State) -> Pipeline {
        self.state = Some(state);
        self
    }

    /// What the run looks like while it lasts.
    pub fn live(&self) -> Live {
        self.board.live()
    }

    /// Has `bell` called behind each batch, when [`Pipeline::live`] shows it.
    pub fn on_batch(&mut self, bell: Bell) {
        self.board.hang_up(bell);
    }

    /// Sends the results to these sinks as well.
    pub fn with_deliveries(mut self, deliveries: Deliveries) -> Pipeline {
        self.board.show_sinks(deliveries.figures());
        self.deliveries = deliveries;
        self
    }

    /// Stops the reading; what was received is still counted and reported.
    pub fn stop(&self) -> Stop {
        self.poll.stop()
    }

    /// Counts until the sources are over or the pipeline is stopped. The calling thread merges and
    /// feeds the sinks.
    ///
    /// The summary comes with the error, if any: what was counted before a source failed stands.
    ///
    /// # Errors
    /// If the system refuses a thread, or the state cannot be used; nothing has been read then.
    pub fn run(mut self) -> Result<(Summary, Result<(), Error>), Error> {
        let Settings {
            parsers,
            shards,
            chunk_bytes,
            pool_bytes,
            ..
        } = self.settings;
        let streams = Streams::of(&self.sources);
        let is_timed = self.settings.query.time().is_some();
        let is_recorded = matches!(&*self.sources, [source] if source.is_recorded());
        let long_connections_max = self.settings.long_connections_max(streams);
        let chunks_max = (pool_bytes / chunk_bytes / parsers).clamp(1, LANE_CHUNKS_MAX);
        let lanes: Vec<Arc<Lane>> = (0..parsers)
            .map(|_| Arc::new(Lane::new(chunks_max)))
            .collect();
        let sleepers: Vec<Arc<ThreadSleeper>> = (0..shards).map(|_| Arc::default()).collect();
        let closed: Vec<Arc<Closed>> = (0..shards).map(|_| Arc::default()).collect();
        let pool = Pool::new(chunk_bytes, pool_bytes);
        let samples = sample::queue();
        let committers = self.sources.iter_mut().map(|source| source.committer());
        let committers = committers.collect();
        let hasher = KeyHasher::with_seed(fastrand::u64(..));
        let budget = Arc::new(KeyBudget::new(self.settings.keys_max));
        let counts = (0..shards).map(|_| Counts::new(Arc::clone(&budget)));
        let mut counts: Vec<Counts> = counts.collect();
        let merge_sleeper: Arc<ThreadSleeper> = Arc::default();
        let names: Vec<&str> = self.sources.iter().map(|source| source.name()).collect();
        let deliveries = self.deliveries;
        let (figures, rows_max) = (deliveries.figures(), deliveries.rows_max());
        let DeliverySettings {
            bytes_max, drain, ..
        } = self.settings.delivery;
        let (mut queues, mut feeds) = (Vec::new(), Vec::new());
        let begin = match self.state {
            None => {
                for figures in &figures {
                    let queue = Arc::new(Queue::new(bytes_max, Arc::clone(figures)));
                    queues.push(Arc::clone(&queue));
                    feeds.push(Feed::Queue(queue));
                }
                Begin::anew(&self.settings, committers)
            }
            Some(state) => {
                let restored =
                    state::restore(&state, &hasher, &mut counts, self.settings.keys_max)?;
                let now = self.clock.now();
                let (windows, drops_windows) = go_on(&self.settings, restored.windows, &names, now);
                let before = (restored.totals, state.saved().ledger);
                let first_batch = state.saved().batch + 1;
                let run = state::Begin {
                    sources: &names,
                    now,
                    drops_windows,
                    keep_nanos: self.settings.keep_nanos,
                };
                let mut saver = Saver::new(state, restored.rows, run)?;
                if !figures.is_empty() {
                    let sinks = figures.iter().cloned().zip(deliveries.places.clone());
                    let spool = Spool::new(sinks, first_batch - 1, bytes_max, self.poll.stop());
                    feeds.extend(spool.connect(saver.path()).map(Feed::Spool));
                    saver = saver.with_spool(spool)?;
                }
                let lag = self.settings.state_lag.max(1);
                let (sender, stage) =
                    state::connect(saver, lag, &merge_sleeper, committers, &self.clock);
                Begin {
                    before,
                    first_batch,
                    windows,
                    reported: Reported::State(sender),
                    saving: Some(start("state".to_owned(), None, move || stage.run())?),
                }
            }
        };
        let mut couriers = Vec::new();
        for (number, (sink, feed)) in deliveries.sinks.into_iter().zip(feeds).enumerate() {
            let (porter, hatch) = Porter::new(sink.outlet);
            let courier = Courier {
                feed,
                hatch,
                figures: sink.figures,
                drain,
                stop: self.poll.stop(),
                clock: Arc::clone(&self.clock),
            };
            // Its courier waits for it, unless it is of no use any more.
            drop(start(format!("outlet-{number}"), None, move || {
                porter.run();
            })?);
            let name = format!("sink-{number}");
            couriers.push(start(name, None, move || courier.run())?);
        }
        let unread = Arc::new(AtomicBool::new(false));
        let gauges = self.board.gauges();
        let merge = Merge {
            unread: Arc::clone(&unread),
            deliveries: (!figures.is_empty()).then(|| Dispatch::new(rows_max, queues)),
            reported: begin.reported,
            has_history: self.settings.keep_nanos > 0,
            before: begin.before,
            shards: closed
                .iter()
                .cloned()
                .zip(sleepers.iter().cloned())
                .collect(),
            sleeper: merge_sleeper,
            sinks: self.sinks,
            board: self.board,
            top: self.settings.top,
            windows: begin.windows,
            trending: self.settings.windows.trending,
            sum: self.settings.query.sum().cloned(),
            stats: self.settings.stats,
            keys_max: self.settings.keys_max,
            line_bytes_max: self.settings.line_bytes_max,
            samples: samples.clone(),
            hint: Hint::new(&self.settings.query),
            clock: Arc::clone(&self.clock),
            stop: self.poll.stop(),
        };

        let (senders, receivers) = connect(&lanes, &sleepers);
        let mut threads = Vec::new();
        for ((number, pipes), counts) in receivers.into_iter().enumerate().zip(counts) {
            let shard = Shard {
                pipes,
                sleeper: Arc::clone(&sleepers[number]),
                counts,
                closed: Arc::clone(&closed[number]),
                merge: Arc::clone(&merge.sleeper),
                clock: Arc::clone(&self.clock),
            };
            threads.push(start(format!("shard-{number}"), None, move || shard.run())?);
        }
        let wants_core = self.sources.iter().any(|source| source.wants_core());
        let cores = if self.settings.pin && !wants_core {
            core_affinity::get_core_ids()
        } else {
            None
        };
        let cores = cores.unwrap_or_default();
        let watch = self.settings.tolerance;
        let watch = watch.map(|tolerance| Arc::new(Watch::new(tolerance, self.poll.stop())));
        let mut rejecters = Vec::new();
        let mut writer = None;
        if let Some(file) = self.reject {
            let (senders, receiver) = reject::connect(&lanes, file, self.settings.line_bytes_max);
            rejecters = senders;
            writer = Some(start("rejects".to_owned(), None, move || receiver.run())?);
        }
        let mut rejecters = rejecters.into_iter();
        for (number, pipes) in senders.into_iter().enumerate() {
            let parser = Parser {
                lane: Arc::clone(&lanes[number]),
                returns: pool.returns(),
                reader: self.poll.sleeper(),
                pipes,
                record: RecordParser::new(
                    self.settings.query.clone(),
                    self.settings.line_bytes_max,
                ),
                hasher: hasher.clone(),
                unread: Arc::clone(&unread),
                bad: BadLines::new(
                    Sampler::new(Arc::clone(&samples)),
                    rejecters.next(),
                    watch.clone(),
                ),
                pane_nanos: is_timed.then(|| pane_nanos(&self.settings.windows.specs)),
            };
            let core = cores.get(number % cores.len().max(1)).copied();
            threads.push(start(format!("parser-{number}"), core, move || {
                parser.run()
            })?);
        }
        let clock = Arc::clone(&self.clock);
        let stop = self.poll.stop();
        let reader = Reader::new(
            ReaderParts {
                sources: self.sources,
                pool,
                downstream: Lanes::new(lanes, chunks_max),
                clock: self.clock,
                every_nanos: self.settings.every_nanos,
                first_batch: begin.first_batch,
                line_bytes_max: self.settings.line_bytes_max,
                send_bytes: chunk_bytes / 2,
                long_connections_max,
                fail_fast: self.settings.fail_fast,
                event: is_timed.then_some(EventReading {
                    is_recorded,
                    idle_nanos: self.settings.event.idle_nanos,
                    batch_bytes_max: BATCH_BYTES,
                }),
                gauges,
            },
            self.poll,
        );
        let reader = start("reader".to_owned(), None, move || reader.run())?;

        let merged = merge.run();
        for thread in threads {
            thread
                .join()
                .expect("a thread that panics ends the program");
        }
        let read = reader
            .join()
            .expect("a thread that panics ends the program");
        let rejected = writer.map(|writer| {
            writer
                .join()
                .expect("a thread that panics ends the program")
        });
        let (rejected, unsaved) = rejected.unwrap_or_default();
        let (read, _) = match read {
            Ok(read) => read,
            Err(error) => {
                let outcome = Outcome::Failed(error.to_string());
                end_saving(merged.reported, begin.saving, outcome).1?;
                return Err(error);
            }
        };
        let exceeded = watch.and_then(|watch| {
            let verdict = watch.verdict(&merged.ledger)?;
            Some(Error::Malformed(watch.tolerance(), verdict))
        });
        let unsaved = unsaved.map(|error| unsaved_lines(&self.settings, rejected, &error));
        let failed = merged.failure.or(exceeded);
        let late_failure = read.failure.or(unsaved);
        let outcome = match failed.as_ref().or(late_failure.as_ref()) {
            Some(error) => Outcome::Failed(error.to_string()),
            None if stop.is_stopped() => Outcome::Stopped,
            None => Outcome::Over,
        };
        let (state_waited_ns, saved) = end_saving(merged.reported, begin.saving, outcome);
        for courier in couriers {
            courier
                .join()
                .expect("a thread that panics ends the program");
        }
        let delivered: Vec<Delivered> = figures.iter().map(|sink| sink.outcome()).collect();
        let failure = failed.or(saved.err()).or(late_failure);
        let failure = failure.or(undelivered(&delivered));
        let summary = Summary {
            ledger: merged.ledger,
            lines_in_all: merged.ledger_in_all.lines,
            state_waited_ns,
            bytes: read.bytes,
            duration_ns: clock.now().nanos_since(read.start),
            paused_ns: read.paused_nanos,
            batches: merged.batches,
            torn_lines: read.torn_lines,
            keys: merged.keys,
            overflow: merged.overflow,
            crowded_out: merged.crowded_out,
            closed_early: merged.closed_early,
            rejected,
            deliveries: delivered,
            latency: self.settings.stats.then_some(merged.latency),
            lag: if self.settings.stats {
                merged.offsets
            } else {
                Arc::default()
            },
        };
        Ok((summary, failure.map_or(Ok(()), Err)))
    }
}

/// With what a run begins.
struct Begin {
    before: (Totals, Ledger),
    first_batch: u64,
    windows: MergeWindows,
    reported: Reported,
    saving: Option<Saving>,
}

/// The thread that saves.
type Saving = JoinHandle<Result<(), Error>>;

impl Begin {
    /// Nothing was counted before, and nothing is saved.
    fn anew(settings: &Settings, committers: Vec<Option<Box<dyn Commit>>>) -> Begin {
        Begin {
            before: (Totals::new(settings.shards), Ledger::default()),
            first_batch: 1,
            windows: match settings.query.time() {
                Some(_) => MergeWindows::ByEvent(event_windows(settings, committers.len())),
                None => MergeWindows::ByArrival(arrival_windows(settings)),
            },
            reported: Reported::Sources(committers),
            saving: None,
        }
    }
}

/// What a run is, to who looks on.
fn about(settings: &Settings, started: Timestamp) -> About {
    let query = &settings.query;
    About {
        by: query.by().map(ToString::to_string).collect(),
        sum: query.sum().map(ToString::to_string),
        every_nanos: settings.every_nanos,
        windows: settings.windows.specs.clone(),
        is_trending: settings.windows.trending.is_some(),
        is_by_event: query.time().is_some(),
        started,
        shown: settings.live,
        state_lag_max: settings.state_lag,
    }
}

fn arrival_windows(settings: &Settings) -> Windows {
    Windows::new(&settings.windows, settings.every_nanos)
}

fn event_windows(settings: &Settings, sources: usize) -> EventWindows {
    EventWindows::new(&settings.windows, settings.event, sources, settings.shards)
}

/// Windows that go on with those that an earlier run left, as far as they fit; and whether what is left must go,
/// which is told.
fn go_on(
    settings: &Settings,
    kept: KeptWindows,
    sources: &[&str],
    now: Timestamp,
) -> (MergeWindows, bool) {
    let unfit = match (&kept.ring, &kept.events) {
        (Some(_), _) if settings.windows.specs.is_empty() => Some(
            "the open windows of the last run are let go of: this one has no --window".to_owned(),
        ),
        (_, Some(events)) => events.unfit(&settings.windows),
        (Some(ring), None) => ring.unfit(&settings.windows, now),
        (None, None) => None,
    };
    if let Some(why) = &unfit {
        tracing::warn!("{why}");
    }
    let drops = unfit.is_some();
    let windows = match settings.query.time() {
        Some(_) => {
            let events = kept.events.map(|events| events.without_panes_if(drops));
            let windows = event_windows(settings, sources.len());
            MergeWindows::ByEvent(windows.kept(events, sources))
        }
        None => {
            let ring = kept.ring.filter(|_| !drops);
            MergeWindows::ByArrival(arrival_windows(settings).kept(ring))
        }
    };
    (windows, drops)
}

/// Tells the state how the run ended, and waits until it is saved. How long the counting waited for the disk, in
/// nanoseconds, and whether all is saved.
fn end_saving(
    reported: Reported,
    saving: Option<Saving>,
    outcome: Outcome,
) -> (u64, Result<(), Error>) {
    let waited_nanos = match reported {
        Reported::Sources(_) => 0,
        Reported::State(sender) => sender.finish(outcome),
    };
    let saved = saving.map(|saving| {
        saving
            .join()
            .expect("a thread that panics ends the program")
    });
    (waited_nanos, saved.unwrap_or(Ok(())))
}

fn open_reject_file(options: RejectOptions) -> Result<RejectFile, Error> {
    let value = options.path.display().to_string();
    RejectFile::open(options).map_err(|error| Error::Setting {
        name: "reject-file",
        value,
        remedy: format!(
            "cannot open it: {}; name a file to write to",
            reason(&error)
        ),
    })
}

fn unsaved_lines(settings: &Settings, rejected: Rejected, error: &std::io::Error) -> Error {
    let path = settings
        .reject
        .as_ref()
        .map(|options| options.path.display());
    Error::Unsaved(format!(
        "--reject-file {}: {} bad lines were counted and not saved: {}",
        path.expect("what was not saved was to be"),
        rejected.lost,
        reason(error)
    ))
}

/// The first sink that has not taken everything.
fn undelivered(outcomes: &[Delivered]) -> Option<Error> {
    outcomes.iter().find_map(|outcome| {
        let why = outcome.last_error.as_deref().unwrap_or("it was too slow");
        let lack = outcome.lack()?;
        Some(Error::Sink(format!("{}: {lack}: {why}", outcome.name)))
    })
}

/// A pipe from every parser to every shard: the senders by parser, the receivers by shard.
fn connect(
    lanes: &[Arc<Lane>],
    shards: &[Arc<ThreadSleeper>],
) -> (Vec<Vec<PipeSender>>, Vec<Vec<PipeReceiver>>) {
    let mut receivers: Vec<Vec<PipeReceiver>> = shards.iter().map(|_| Vec::new()).collect();
    let mut senders = Vec::new();
    for lane in lanes {
        let pipes = shards.iter().map(|shard| pipe(lane, shard));
        let ends = pipes
            .zip(&mut receivers)
            .map(|((sender, receiver), receivers)| {
                receivers.push(receiver);
                sender
            });
        senders.push(ends.collect());
    }
    (senders, receivers)
}

fn start<T: Send + 'static>(
    name: String,
    core: Option<core_affinity::CoreId>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    spawn(name, core, body).map_err(|error| Error::System("start a thread", error))
}
