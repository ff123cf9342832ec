//! What the tests share: a sink that keeps everything, a running binary, and its JSON, read back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use loadgen::{Expectation, Plan, Sent, Spec};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tallyline::clock::{Clock, Timestamp, VirtualClock};
use tallyline::error::Error;
use tallyline::key::{Key, KeyRef};
use tallyline::ledger::Ledger;
use tallyline::pipeline::{Pipeline, Settings};
use tallyline::reader::Stop;
use tallyline::record::KeyPath;
use tallyline::sink::{BatchReport, Row, Sink, TotalsReport, WindowReport};
use tallyline::source::{Script, ScriptEvent, Source};
use tallyline::summary::Summary;
use tallyline::window::WindowSpec;

/// Counts by key.
pub(crate) type KeyCounts = BTreeMap<Key, u64>;

/// A batch as a sink saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) ledger: Ledger,
    pub(crate) counts: KeyCounts,
    /// Since the start, of the keys in `counts`.
    pub(crate) totals: KeyCounts,
}

/// A window as a sink saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) spec: WindowSpec,
    pub(crate) end: Timestamp,
    pub(crate) covered: (Timestamp, Timestamp),
    pub(crate) is_final: bool,
    pub(crate) counts: KeyCounts,
}

/// Everything a sink saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) batches: Vec<Batch>,
    pub(crate) windows: Vec<Window>,
    /// Where all lines went, and how often each key was counted; at the end of the run.
    pub(crate) totals: Option<(Ledger, KeyCounts)>,
    /// See [`Run::sums`].
    sums: BTreeMap<Key, String>,
    /// Lines of all batches so far.
    pub(crate) lines: u64,
    stop: Option<Stop>,
}

impl Seen {
    /// Stops the run: for callers of [`run`] who have seen enough.
    pub(crate) fn stop(&self) {
        self.stop.as_ref().unwrap().stop();
    }
}

/// Keeps what it sees, checks it, and shows it to a caller after each batch.
struct Keep<F> {
    seen: Rc<RefCell<Seen>>,
    after_batch: F,
}

impl<F: FnMut(&Seen)> Sink for Keep<F> {
    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()> {
        let mut seen = self.seen.borrow_mut();
        assert_eq!(
            report.batch,
            seen.batches.len() as u64 + 1,
            "batches come in order"
        );
        assert!(report.ledger.is_balanced(), "{report:?}");
        assert_eq!(report.counts.hidden.keys, 0);
        let rows = report.counts.shown;
        check_order(rows);
        let batch = Batch {
            start: report.start,
            end: report.end,
            ledger: report.ledger,
            counts: by_key(rows, |row| row.count),
            totals: by_key(rows, |row| row.total),
        };
        assert_eq!(
            batch.counts.len(),
            rows.len(),
            "a key in two rows: {rows:?}"
        );
        assert_eq!(batch.counts.values().sum::<u64>(), report.ledger.counted);
        seen.batches.push(batch);
        seen.lines += report.ledger.lines;
        drop(seen);
        (self.after_batch)(&self.seen.borrow());
        Ok(())
    }

    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()> {
        assert_eq!(report.counts.hidden.keys, 0);
        assert_eq!(report.start, report.spec.start(report.end));
        let rows = report.counts.shown;
        check_order(rows);
        let counts = by_key(rows, |row| row.count);
        assert_eq!(counts.len(), rows.len(), "a key in two rows: {rows:?}");
        self.seen.borrow_mut().windows.push(Window {
            spec: report.spec,
            end: report.end,
            covered: report.covered,
            is_final: report.is_final,
            counts,
        });
        Ok(())
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        let mut seen = self.seen.borrow_mut();
        assert!(seen.totals.is_none(), "totals come once");
        let rows = report.totals.shown;
        check_order(rows);
        let totals = by_key(rows, |row| row.total);
        assert_eq!(totals.len(), rows.len(), "a key in two rows: {rows:?}");
        seen.totals = Some((report.ledger, totals));
        let sums = rows
            .iter()
            .filter_map(|row| Some((row.key.to_key(), row.sums?.total.to_string())));
        seen.sums = sums.collect();
        Ok(())
    }
}

fn by_key(rows: &[Row<'_>], figure: fn(&Row<'_>) -> u64) -> KeyCounts {
    rows.iter()
        .map(|row| (row.key.to_key(), figure(row)))
        .collect()
}

/// Largest count first, then by key.
fn check_order(rows: &[Row<'_>]) {
    let in_order = |pair: &[Row<'_>]| {
        (std::cmp::Reverse(pair[0].count), pair[0].key)
            < (std::cmp::Reverse(pair[1].count), pair[1].key)
    };
    assert!(rows.windows(2).all(in_order), "{rows:?}");
}

/// A whole run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) summary: Summary,
    pub(crate) result: Result<(), Error>,
    pub(crate) batches: Vec<Batch>,
    pub(crate) windows: Vec<Window>,
    pub(crate) ledger: Ledger,
    pub(crate) counts: KeyCounts,
    /// The totals' sums, as they are printed; empty if the query has none.
    pub(crate) sums: BTreeMap<Key, String>,
}

/// Runs a pipeline from one source to its end, as [`run_all`] does.
pub(crate) fn run(
    settings: Settings,
    source: Box<dyn Source>,
    clock: Arc<dyn Clock>,
    after_batch: impl FnMut(&Seen) + 'static,
) -> Run {
    run_all(settings, vec![source], clock, after_batch)
}

/// Runs a pipeline to its end, calling `after_batch` after each batch, and checks what must hold of
/// any run: every book balances, the batches add up to the totals, and the summary tells the same.
pub(crate) fn run_all(
    settings: Settings,
    sources: Vec<Box<dyn Source>>,
    clock: Arc<dyn Clock>,
    after_batch: impl FnMut(&Seen) + 'static,
) -> Run {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let keep = Keep {
        seen: Rc::clone(&seen),
        after_batch,
    };
    let is_by_arrival = settings.query.time().is_none();
    let pipeline = Pipeline::new(settings, sources, vec![Box::new(keep)], clock).unwrap();
    seen.borrow_mut().stop = Some(pipeline.stop());
    let (summary, result) = pipeline.run().unwrap();

    let Seen {
        batches,
        windows,
        totals,
        sums,
        ..
    } = seen.take();
    let (ledger, counts) = totals.expect("a run ends with its totals");
    let mut sum = Ledger::default();
    let mut running = KeyCounts::new();
    for batch in &batches {
        sum += batch.ledger;
        for (key, count) in &batch.counts {
            *running.entry(key.clone()).or_default() += count;
            assert_eq!(
                batch.totals[key], running[key],
                "the total of {key:?} so far"
            );
        }
    }
    assert_eq!(summary.ledger, ledger);
    // By event time no batches are reported.
    if is_by_arrival {
        assert_eq!((sum, &running), (ledger, &counts), "batches, totals");
        assert_eq!(summary.batches, batches.len() as u64);
    }
    assert!(ledger.is_balanced());
    assert_eq!(counts.values().sum::<u64>(), ledger.counted);
    for pair in batches.windows(2) {
        assert_eq!(pair[0].end, pair[1].start, "no gap between batches");
    }
    Run {
        summary,
        result,
        batches,
        windows,
        ledger,
        counts,
        sums,
    }
}

/// Runs a script on virtual time.
pub(crate) fn run_script(
    settings: Settings,
    start: Timestamp,
    events: Vec<(Timestamp, ScriptEvent)>,
) -> Run {
    let clock = Arc::new(VirtualClock::new(start));
    run(settings, Box::new(Script::new(events)), clock, |_| {})
}

/// Counting by `status`, parsers not pinned: tests run side by side.
pub(crate) fn settings() -> Settings {
    Settings {
        pin: false,
        ..Settings::new(KeyPath::parse("status").unwrap())
    }
}

/// A string's key.
pub(crate) fn key(text: &str) -> Key {
    KeyRef::string(text).to_key()
}

/// What an expectation says of a run's counts.
pub(crate) fn counts_of(expectation: &Expectation) -> KeyCounts {
    expectation
        .ranked()
        .into_iter()
        .map(|(name, total)| (key(&name), total))
        .collect()
}

/// Whether a ledger is what an expectation says.
pub(crate) fn assert_ledger(ledger: &Ledger, expectation: &Expectation) {
    let expected = Ledger {
        lines: expectation.lines,
        counted: expectation.counted,
        missing: expectation.missing,
        malformed: expectation.malformed,
        ..Ledger::default()
    };
    assert_eq!(*ledger, expected);
}

/// What a counter must say of the first `records` records of a stream.
pub(crate) fn expectation_of_first(spec: &Spec, records: u64) -> Expectation {
    let never = std::sync::atomic::AtomicBool::new(false);
    let sent: Sent = loadgen::write(io::sink(), spec, &Plan::records(records), &never).unwrap();
    sent.expectation
}

/// The binary with these arguments, its output caught.
pub(crate) fn tallyline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallyline"));
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A run of the binary that is under way. Killed if the test ends before it does.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts it; standard error is read by a thread, line by line into `on_stderr`.
    pub(crate) fn start(
        command: &mut Command,
        mut on_stderr: impl FnMut(&str) + Send + 'static,
    ) -> Running {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let stderr = std::thread::spawn(move || {
            let mut all = String::new();
            for line in stderr.lines().map_while(Result::ok) {
                on_stderr(&line);
                all.push_str(&line);
                all.push('\n');
            }
            all
        });
        Running {
            child,
            stdout,
            stderr: Some(stderr),
        }
    }

    /// Its standard input, if that is a pipe.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Its process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.stdout.read_line(&mut line).unwrap() > 0).then_some(line)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end, reading neither output: for one that is not to write any more.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Reads on to the end: its status, the rest of its output, all of its standard error.
    pub(crate) fn finish(mut self) -> Output {
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).unwrap();
        let status = self.wait();
        let stderr = self.stderr.take().unwrap().join().unwrap().into_bytes();
        Output {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has normally ended and been waited for; then there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// JSON output, added up by somebody who knows nothing of the program's own books.
#[derive(Debug, Default)]
pub(crate) struct JsonTally {
    pub(crate) batches: u64,
    pub(crate) lines: u64,
    pub(crate) counts: BTreeMap<String, u64>,
    /// The ledger and the counts of the totals, once they have come.
    pub(crate) totals: Option<(Value, BTreeMap<String, u64>)>,
}

impl JsonTally {
    /// Adds a line, and checks `lines = counted + missing + …` and the counts' sum.
    pub(crate) fn add(&mut self, line: &str) {
        assert!(self.totals.is_none(), "nothing follows the totals: {line}");
        let object: Value = serde_json::from_str(line).unwrap();
        let ledger = &object["ledger"];
        let column = |name: &str| ledger[name].as_u64().unwrap();
        let columns = [
            "counted",
            "missing",
            "filtered",
            "malformed",
            "oversize",
            "blank",
            "late",
        ];
        assert_eq!(
            column("lines"),
            columns.map(column).iter().sum::<u64>(),
            "{line}"
        );
        let figure = if object["type"] == "batch" {
            "count"
        } else {
            "total"
        };
        let rows = object["counts"].as_array().unwrap();
        let counts: BTreeMap<String, u64> = rows
            .iter()
            .map(|row| (row["key"].to_string(), row[figure].as_u64().unwrap()))
            .collect();
        assert_eq!(counts.len(), rows.len(), "a key in two rows: {line}");
        let hidden = object["hidden"]["count"].as_u64().unwrap_or(0);
        assert_eq!(
            counts.values().sum::<u64>() + hidden,
            column("counted"),
            "{line}"
        );
        match object["type"].as_str().unwrap() {
            "batch" => {
                self.batches += 1;
                assert_eq!(object["batch"], self.batches);
                self.lines += column("lines");
                for (key, count) in counts {
                    *self.counts.entry(key).or_default() += count;
                }
            }
            "totals" => {
                assert_eq!(column("lines"), self.lines, "totals, batches");
                assert_eq!(counts, self.counts, "totals, batches");
                self.totals = Some((ledger.clone(), counts));
            }
            other => panic!("an object of type {other}"),
        }
    }

    /// Checks the totals against an expectation.
    pub(crate) fn assert_is(&self, expectation: &Expectation) {
        let (ledger, counts) = self.totals.as_ref().expect("totals");
        let expected: Value = serde_json::from_str(&expectation.to_json()).unwrap();
        assert_eq!(*ledger, expected["ledger"]);
        let ranked = expectation.ranked().into_iter();
        let ranked: BTreeMap<String, u64> = ranked
            .map(|(key, total)| (Value::from(key).to_string(), total))
            .collect();
        assert_eq!(*counts, ranked);
    }
}
