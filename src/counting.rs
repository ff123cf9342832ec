//! Counting from a program of yours: what to count and where it comes from ([`Counting`]), then the results,
//! one after the other ([`Run`]).
//!
//! ```
//! use tallyline::counting::{Counting, Report};
//!
//! let orders = r#"{"status": "PLACED"}
//! {"status": "PLACED"}
//! {"status": "SHIPPED"}
//! not JSON"#;
//! let mut run = Counting::by("status").read("orders", orders.as_bytes()).start()?;
//! for report in &mut run {
//!     if let Report::Totals(totals) = report {
//!         assert_eq!(totals.ledger.malformed, 1);
//!         let first = &totals.counts[0];
//!         assert_eq!((&*first.key.text(), first.total), ("PLACED", 2));
//!     }
//! }
//! let summary = run.finish()?;
//! assert_eq!(summary.ledger.counted, 3);
//! # Ok::<(), tallyline::error::Error>(())
//! ```
//!
//! The pipeline is that of `tallyline count`, with every flag of it as a setting: windows, a state that survives
//! crashes, sums, conditions, event time. It has threads of its own, which are not pinned. Results cross to the calling
//! thread one at a time: a program that takes its time over one holds up the counting, and so the sender, and nothing is
//! queued meanwhile.
//!
//! Results are copies, so that they can be kept and sent elsewhere; with many keys `set("top", "100")` keeps
//! that cheap. What is to see every row without a copy implements [`Sink`] and builds a
//! [`Pipeline`].

pub use crate::reader::Stop;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cli::{Command, CountArgs, one_line};
use crate::clock::{SystemClock, Timestamp};
use crate::command::count::open;
use crate::command::sink::open_all;
use crate::config::sink_options;
use crate::decimal::Decimal;
use crate::delivery::Context;
use crate::error::Error;
use crate::key::Key;
use crate::ledger::Ledger;
use crate::pipeline::Pipeline;
use crate::settings::{self, Refusal};
use crate::sink::{BatchReport, Hidden, Row, Rows, Sink, TotalsReport, WindowReport};
use crate::source::{AnyRead, Source};
use crate::summary::Summary;
use crate::thread::spawn;

/// What is to be counted, before it is begun.
///
/// Nothing is checked before [`Counting::start`], which then tells the first thing that is wrong as the program does: the
/// setting, its value and the remedy.
#[must_use = "nothing is counted before `start`"]
pub struct Counting {
    flags: Vec<String>,
    names: Vec<String>,
    readers: Vec<Box<dyn Source>>,
}

impl Counting {
    /// Counts records by the value at `path`, such as `status`, `customer.address.country` or `/items/0/sku`.
    pub fn by(path: &str) -> Counting {
        let counting = Counting {
            flags: Vec::new(),
            names: Vec::new(),
            readers: Vec::new(),
        };
        counting.and_by(path)
    }

    /// Makes the key a composite one, with the value at this path as its next part.
    pub fn and_by(self, path: &str) -> Counting {
        self.set("by", path)
    }

    /// The batch interval, from 10 ms to a day; 5 s unless set.
    pub fn every(self, interval: Duration) -> Counting {
        let text = match interval.subsec_nanos() % 1_000_000 {
            0 => format!("{}ms", interval.as_millis()),
            _ => format!("{}ns", interval.as_nanos()),
        };
        self.set("every", &text)
    }

    /// Sets what the flag of this name sets: `set("where", "channel=web")`, `set("window", "1h/5m")`,
    /// `set("state", "orders.db")`. Those that can be given several times can be set several times.
    /// `tallyline count --help` and `docs/settings.md` tell of all; those that are about printing and looking on
    /// (`output`, `http`) change nothing.
    pub fn set(mut self, name: &str, value: &str) -> Counting {
        self.flags.push(format!("--{name}={value}"));
        self
    }

    /// Sets a flag that has no value: `switch("follow")`.
    pub fn switch(mut self, name: &str) -> Counting {
        self.flags.push(format!("--{name}"));
        self
    }

    /// Counts what comes from this source, named as on the command line: `tcp://localhost:9998`, `orders.jsonl`,
    /// `'logs/*.gz'`, `kafka://localhost:9092/orders`. Several are counted together.
    pub fn source(mut self, name: &str) -> Counting {
        self.names.push(name.to_owned());
        self
    }

    /// Counts what can be read from `reader`, up to its end; errors call it `name`.
    ///
    /// A thread reads it, one [`Read::read`] at a time into 256 KiB, so it need not be buffered and may wait. It cannot
    /// be replayed: a state does not make it exact. When the run is stopped while the reader waits, that thread stays
    /// until the reader comes back.
    pub fn read(mut self, name: &str, reader: impl Read + Send + 'static) -> Counting {
        self.readers.push(Box::new(AnyRead::new(name, reader)));
        self
    }

    /// Opens the sources and begins to count.
    ///
    /// # Errors
    /// If a setting is wrong or there is no source (usage), a source cannot be opened, or the system refuses a thread.
    pub fn start(self) -> Result<Run, Error> {
        let args = self.args()?;
        let readers = self.readers;
        // One result in the caller's hands, one on its way.
        let (sender, reports) = sync_channel(1);
        let (built, stop) = sync_channel(1);
        let thread = spawn("tallyline".to_owned(), None, move || {
            let pipeline = pipeline(&args, readers, sender)?;
            // Nobody waits for it only if the caller's thread is gone, and then nobody takes results either.
            drop(built.send(pipeline.stop()));
            let (summary, result) = pipeline.run()?;
            match result {
                Err(error) if !error.is_closed_pipe() => Err(error),
                _ => Ok(summary),
            }
        });
        let thread = thread.map_err(|error| Error::System("start a thread", error))?;
        match stop.recv() {
            Ok(stop) => Ok(Run {
                reports: Some(reports),
                stop,
                thread: Some(thread),
            }),
            Err(_) => {
                Err(joined(thread).expect_err("a pipeline that was built tells how to stop it"))
            }
        }
    }

    /// The flags as the program would read them.
    fn args(&self) -> Result<CountArgs, Error> {
        if self.names.is_empty() && self.readers.is_empty() {
            let remedy = "nothing to count; give a source or a reader".to_owned();
            return Err(Error::Usage(remedy));
        }
        // A name must stand there; those that were given come in its place.
        let typed = ["tallyline", "count", "-"].map(str::to_owned);
        let typed = typed.into_iter().chain(self.flags.iter().cloned());
        let typed: Vec<_> = typed.map(Into::into).collect();
        let resolved = settings::resolve(&typed, []).map_err(|refusal| match refusal {
            Refusal::CommandLine(error) if error.exit_code() == 0 => {
                Error::Usage("--help and --version are no settings".to_owned())
            }
            Refusal::CommandLine(error) => Error::Usage(one_line(&error)),
            Refusal::Wrong(lines) => Error::Settings(lines),
        })?;
        match resolved.cli.command {
            Command::Count(mut args) => {
                args.sources.clone_from(&self.names);
                Ok(*args)
            }
            other => unreachable!("`count` was typed, and {other:?} understood"),
        }
    }
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counting")
            .field("flags", &self.flags)
            .field("names", &self.names)
            .field("readers", &self.readers)
            .finish()
    }
}

/// Builds the pipeline; on the thread that is to run it.
fn pipeline(
    args: &CountArgs,
    readers: Vec<Box<dyn Source>>,
    sender: SyncSender<Report>,
) -> Result<Pipeline, Error> {
    let (mut settings, mut sources, state) = open(args)?;
    // The caller's threads want the cores too; and rows that are not printed need no limit.
    settings.pin = false;
    if args.output.top.is_none() {
        settings.top = None;
    }
    sources.extend(readers);
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Handing { sender })];
    let context = Context {
        job: args.deliver.job.clone(),
        has_state: state.is_some(),
        rows: sink_options(&args.output, &args.windows, &settings.query),
    };
    let deliveries = open_all(&args.deliver.to, &context, state.as_ref())?;
    let pipeline = Pipeline::new(settings, sources, sinks, Arc::new(SystemClock))?;
    let pipeline = pipeline.with_deliveries(deliveries);
    Ok(match state {
        Some(state) => pipeline.with_state(state),
        None => pipeline,
    })
}

/// A run that is under way: an iterator over its results, which ends with the run.
///
/// Dropping it stops the run: what was received is counted (and saved, with a state), and nobody sees it.
#[derive(Debug)]
pub struct Run {
    /// Taken when nobody wants more.
    reports: Option<Receiver<Report>>,
    stop: Stop,
    /// Taken when it is joined.
    thread: Option<JoinHandle<Result<Summary, Error>>>,
}

impl Run {
    /// Stops the run, from any thread: what was received is still counted and reported, then the results end.
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// What the run came to. If it is not over it is stopped, and results that were not taken are let go.
    ///
    /// # Errors
    /// Whatever ended the run other than well, such as a source that failed; the results up to there were handed over.
    pub fn finish(mut self) -> Result<Summary, Error> {
        self.end().expect("a run is joined once")
    }

    fn end(&mut self) -> Option<Result<Summary, Error>> {
        self.stop.stop();
        // Whoever waits for room is told that nobody takes any more.
        self.reports = None;
        self.thread.take().map(joined)
    }
}

impl Iterator for Run {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        self.reports.as_ref()?.recv().ok()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `finish`.
        drop(self.end());
    }
}

fn joined(thread: JoinHandle<Result<Summary, Error>>) -> Result<Summary, Error> {
    thread
        .join()
        .expect("a thread that panics ends the program")
}

/// A result, in the order of the run: batches, each before the windows that close with it, then the totals.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Report {
    /// A batch has closed. With event time there are none.
    Batch(Batch),
    /// A window has closed.
    Window(Window),
    /// The run has ended.
    Totals(Totals),
}

/// A closed batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Batch {
    /// Its number, from 1; with a state it goes on from run to run.
    pub number: u64,
    /// When it began.
    pub start: Timestamp,
    /// Its boundary: when it ended.
    pub end: Timestamp,
    /// Where its lines went.
    pub ledger: Ledger,
    /// Its keys: largest count first, then by key.
    pub counts: Vec<Count>,
    /// What a limit on the rows left out.
    pub hidden: Hidden,
}

/// A closed window.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Window {
    /// From its start to its end.
    pub length: Duration,
    /// From its end to the next one's.
    pub slide: Duration,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Whether no other report of this window follows.
    pub is_final: bool,
    /// Its keys and how often each came: largest count first, then by key.
    pub counts: Vec<(Key, u64)>,
    /// What a limit on the rows left out.
    pub hidden: Hidden,
}

/// The totals of a run, and of those before it in the same state.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Totals {
    /// Where all lines went.
    pub ledger: Ledger,
    /// Every key; `count` is the same as `total`.
    pub counts: Vec<Count>,
    /// What a limit on the rows left out.
    pub hidden: Hidden,
}

/// One key's figures.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Count {
    /// The key.
    pub key: Key,
    /// Records in this batch.
    pub count: u64,
    /// Records since the start, of the run or of the state.
    pub total: u64,
    /// What their numbers add up to in this batch, if a sum was asked for.
    pub sum: Option<Decimal>,
    /// The same since the start.
    pub total_sum: Option<Decimal>,
}

impl Count {
    fn of(row: &Row<'_>) -> Count {
        Count {
            key: row.key.to_key(),
            count: row.count,
            total: row.total,
            sum: row.sums.map(|sums| *sums.sum),
            total_sum: row.sums.map(|sums| *sums.total),
        }
    }

    fn all(rows: &Rows<'_>) -> Vec<Count> {
        rows.shown.iter().map(Count::of).collect()
    }
}

/// Hands results over to the caller's thread.
struct Handing {
    sender: SyncSender<Report>,
}

impl Handing {
    fn hand(&self, report: Report) -> io::Result<()> {
        let handed = self.sender.send(report);
        handed.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Sink for Handing {
    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()> {
        self.hand(Report::Batch(Batch {
            number: report.batch,
            start: report.start,
            end: report.end,
            ledger: report.ledger,
            counts: Count::all(&report.counts),
            hidden: report.counts.hidden,
        }))
    }

    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()> {
        let rows = report.counts.shown.iter();
        self.hand(Report::Window(Window {
            length: Duration::from_nanos(report.spec.length_nanos),
            slide: Duration::from_nanos(report.spec.slide_nanos),
            start: report.start,
            end: report.end,
            is_final: report.is_final,
            counts: rows.map(|row| (row.key.to_key(), row.count)).collect(),
            hidden: report.counts.hidden,
        }))
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        self.hand(Report::Totals(Totals {
            ledger: report.ledger,
            counts: Count::all(&report.totals),
            hidden: report.totals.hidden,
        }))
    }
}
