//! The thread that saves: beside the counting, behind the merge.
//!
//! The merge sends every batch through a bounded queue; while one transaction runs, those that come
//! meanwhile wait, and go into the next one together. With the queue full the merge waits, and so in the end
//! does whoever sends lines: the disk's backpressure, which is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;

use crate::clock::Clock;
use crate::error::Error;
use crate::live::Saving;
use crate::source::{Commit, SourceOffsets};
use crate::state::change::BatchChange;
use crate::state::open::words;
use crate::state::save::{Outcome, Saver};
use crate::state::spool::{Spool, SpoolSaver};
use crate::thread::ThreadSleeper;

/// Batches that may wait to be saved unless somebody says how many.
pub const SENT_MAX: usize = 4;

/// What goes to the thread; boxed, as a queue of places is allocated at once.
#[derive(Debug)]
enum Item {
    Batch(Box<BatchChange>),
    /// Nothing follows.
    End(Outcome),
}

/// What both ends share.
#[derive(Debug)]
struct Queue {
    items: ArrayQueue<Item>,
    stage: Arc<ThreadSleeper>,
    /// The last save failed.
    is_failing: AtomicBool,
}

/// The merge's end.
pub struct Sender {
    queue: Arc<Queue>,
    merge: Arc<ThreadSleeper>,
    clock: Arc<dyn Clock>,
    waited_nanos: u64,
}

/// The thread's end.
pub struct Stage {
    queue: Arc<Queue>,
    merge: Arc<ThreadSleeper>,
    saver: Saver,
    committers: Vec<Option<Box<dyn Commit>>>,
    /// What waits for sinks, if there are any.
    spool: Option<Arc<Spool>>,
    clock: Arc<dyn Clock>,
}

/// A queue of `lag` batches between the merge, whose sleeper this is, and the thread that saves them. The
/// committers hear of each batch that is saved.
pub fn connect(
    mut saver: Saver,
    lag: usize,
    merge: &Arc<ThreadSleeper>,
    committers: Vec<Option<Box<dyn Commit>>>,
    clock: &Arc<dyn Clock>,
) -> (Sender, Stage) {
    let spool = saver.spool().map(|spool| Arc::clone(&spool.spool));
    let queue = Arc::new(Queue {
        items: ArrayQueue::new(lag),
        is_failing: AtomicBool::new(false),
        stage: match &spool {
            Some(spool) => Arc::clone(&spool.stage),
            None => Arc::default(),
        },
    });
    let sender = Sender {
        queue: Arc::clone(&queue),
        merge: Arc::clone(merge),
        clock: Arc::clone(clock),
        waited_nanos: 0,
    };
    let stage = Stage {
        queue,
        merge: Arc::clone(merge),
        saver,
        committers,
        spool,
        clock: Arc::clone(clock),
    };
    (sender, stage)
}

impl Sender {
    /// Hands a batch over; waits, by the merge's sleeper, if the disk is too far behind.
    pub fn send(&mut self, change: BatchChange) {
        self.push(Item::Batch(Box::new(change)));
    }

    /// How the saving keeps up.
    pub fn saving(&self) -> Saving {
        Saving {
            batches_waiting: self.queue.items.len(),
            waited_nanos: self.waited_nanos,
            // Relaxed: a figure to be shown.
            is_failing: self.queue.is_failing.load(Ordering::Relaxed),
        }
    }

    /// Says that nothing follows, and how the run ended. Returns for how long the merge has waited for the
    /// disk, in nanoseconds.
    pub fn finish(mut self, outcome: Outcome) -> u64 {
        let waited_nanos = self.waited_nanos;
        self.push(Item::End(outcome));
        waited_nanos
    }

    fn push(&mut self, item: Item) {
        let mut item = Some(item);
        let mut push = || {
            item = self.queue.items.push(item.take()?).err();
            item.is_none().then_some(())
        };
        if push().is_none() {
            if self.waited_nanos == 0 {
                tracing::warn!(
                    "the saving of the state is {} batches behind: counting waits for the disk (--state-lag)",
                    self.queue.items.capacity()
                );
            }
            let begun = self.clock.now();
            self.merge.wait(push);
            self.waited_nanos += self.clock.now().nanos_since(begun).max(1);
        }
        self.queue.stage.wake();
    }
}

impl Stage {
    /// Saves until nothing follows.
    ///
    /// # Errors
    /// If the last batches could not be saved.
    pub fn run(mut self) -> Result<(), Error> {
        self.queue.stage.adopt();
        let mut failure = None;
        loop {
            self.wait_for_sinks(&mut failure);
            let outcome = self.take_all();
            self.save(&mut failure);
            if let Some(outcome) = outcome {
                self.see_sinks_off(&mut failure);
                return self.end(failure, &outcome);
            }
        }
    }

    fn save(&mut self, failure: &mut Option<rusqlite::Error>) {
        let saved = self.saver.save();
        // Relaxed: nothing is concluded from it.
        self.queue
            .is_failing
            .store(saved.is_err(), Ordering::Relaxed);
        match saved {
            Ok(offsets) => {
                if failure.take().is_some() {
                    tracing::warn!(
                        "saved in {} again: it lacks nothing",
                        self.saver.path().display()
                    );
                }
                self.commit(&offsets);
            }
            Err(error) => {
                if failure.is_none() {
                    tracing::error!(
                        "cannot save in {}: {}; counting goes on, and each batch tries again",
                        self.saver.path().display(),
                        words(&error)
                    );
                }
                *failure = Some(error);
            }
        }
    }

    /// Takes no more while too much waits for a sink, unless the run is being stopped.
    fn wait_for_sinks(&mut self, failure: &mut Option<rusqlite::Error>) {
        let Some(spool) = self.spool.clone() else {
            return;
        };
        while self.saver.spool().is_some_and(SpoolSaver::is_full) && !spool.is_stopped() {
            let looks = || (spool.take_news() || spool.is_stopped()).then_some(());
            self.queue.stage.wait(looks);
            self.save(failure);
        }
    }

    /// Saves how far the sinks come that still take what waits, until each of them has ended.
    fn see_sinks_off(&mut self, failure: &mut Option<rusqlite::Error>) {
        let Some(spool) = self.spool.clone() else {
            return;
        };
        spool.close();
        while !spool.is_abandoned() {
            self.queue.stage.wait(|| spool.take_news().then_some(()));
            self.save(failure);
            if failure.is_some() {
                spool.cut();
            }
        }
        self.save(failure);
    }

    /// Takes note of all that waits, once there is something, be it only that a sink has come further. How the
    /// run ended, if nothing follows.
    fn take_all(&mut self) -> Option<Outcome> {
        let mut item = self.queue.stage.wait(|| {
            let item = self.queue.items.pop();
            let news = || self.spool.as_ref().is_some_and(|spool| spool.take_news());
            (item.is_some() || news()).then_some(item)
        });
        while let Some(next) = item {
            self.merge.wake();
            match next {
                Item::Batch(change) => self.saver.note(*change),
                Item::End(outcome) => return Some(outcome),
            }
            item = self.queue.items.pop();
        }
        None
    }

    /// Tells the sources what is saved.
    fn commit(&mut self, offsets: &[SourceOffsets]) {
        for offsets in offsets {
            if let Some(committer) = &mut self.committers[offsets.source] {
                committer.commit(offsets);
            }
        }
    }

    fn end(self, failure: Option<rusqlite::Error>, outcome: &Outcome) -> Result<(), Error> {
        let path = self.saver.path().to_owned();
        let result = match failure {
            None => self.saver.end(self.clock.now(), outcome),
            Some(error) => Err(error),
        };
        result.map_err(|error| {
            Error::State(format!(
                "cannot save in {}: {}; it holds the batches before, and the next run goes on behind them",
                path.display(),
                words(&error)
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Timestamp, VirtualClock};
    use crate::delivery::{
        Courier, Cut, Feed, Figures, Outlet, Packer, Parcel, Porter, Receipt, Refusal,
    };
    use crate::lane::Mark;
    use crate::ledger::Ledger;
    use crate::reader::{ReaderPoll, Stop};
    use crate::sink::testing;
    use crate::state::{Begin, Look, Meaning, ShardChange, State, WindowsChange, spool};

    fn change(batch: u64) -> BatchChange {
        let mark = Mark {
            batch,
            start: Timestamp::default(),
            end: Timestamp::default(),
            last: false,
            offsets: Arc::default(),
            files: Arc::default(),
            standing: Arc::default(),
        };
        BatchChange {
            mark,
            ledger: Ledger {
                lines: batch,
                counted: batch,
                ..Ledger::default()
            },
            overflow: batch,
            other: 0,
            other_sum: None,
            shards: vec![ShardChange::default()],
            windows: WindowsChange::None,
            past: None,
            parcel: None,
        }
    }

    /// The same, with something to be delivered.
    fn delivered(batch: u64) -> BatchChange {
        let mut packer = Packer::default();
        packer.begin(batch, Timestamp::default(), Timestamp::default());
        packer.batch(&testing::batch(&testing::STATUSES));
        BatchChange {
            parcel: packer.finish().map(Arc::new),
            ..change(batch)
        }
    }

    /// A new state with a sink for which so much may wait.
    fn for_a_sink(path: &Path, bytes_max: u64) -> (Saver, Arc<Spool>, Arc<Figures>, Stop) {
        let state = State::open(path, &Meaning::default()).unwrap();
        let places = spool::places(&state, &["sink".to_owned()]).unwrap();
        let figures = Arc::new(Figures::new("sink".to_owned()));
        let sinks = places
            .into_iter()
            .map(|place| (Arc::clone(&figures), place));
        let stop = ReaderPoll::new().unwrap().stop();
        let spool = Spool::new(sinks, 0, bytes_max, stop.clone());
        let saver = Saver::new(state, vec![Vec::new()], Begin::default()).unwrap();
        let saver = saver.with_spool(Arc::clone(&spool)).unwrap();
        (saver, spool, figures, stop)
    }

    #[test]
    fn the_merge_waits_only_for_a_disk_that_is_too_far_behind() {
        const LAG: usize = 2;
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("s.db");
        let state = State::open(&path, &Meaning::default()).unwrap();
        let saver = Saver::new(state, vec![Vec::new()], Begin::default()).unwrap();
        let merge: Arc<ThreadSleeper> = Arc::default();
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::default()));
        let (mut sender, stage) = connect(saver, LAG, &merge, Vec::new(), &clock);
        merge.adopt();
        for batch in 1..=LAG as u64 {
            sender.send(change(batch));
        }
        assert_eq!(sender.waited_nanos, 0);
        let saving = std::thread::spawn(move || stage.run());
        for batch in LAG as u64 + 1..=40 {
            sender.send(change(batch));
        }
        sender.finish(Outcome::Stopped);
        saving.join().unwrap().unwrap();
        let look = Look::open(&path).unwrap();
        assert_eq!(look.saved().batch, 40);
        assert_eq!(look.faults().unwrap(), Vec::<String>::new());
        let run = &look.runs(9).unwrap()[0];
        assert_eq!(
            (run.ended, run.outcome.as_deref()),
            (Some(Timestamp::default()), Some("stopped"))
        );
    }

    #[test]
    fn a_save_that_fails_is_made_up_for_by_the_next() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("s.db");
        let state = State::open(&path, &Meaning::default()).unwrap();
        let mut saver = Saver::new(state, vec![Vec::new()], Begin::default()).unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("CREATE TRIGGER full BEFORE INSERT ON progress BEGIN SELECT raise(ABORT, 'full'); END").unwrap();
        saver.note(change(1));
        assert!(saver.save().is_err());
        saver.note(change(2));
        assert!(saver.save().is_err());
        assert_eq!(Look::open(&path).unwrap().saved().batch, 0);
        other.execute_batch("DROP TRIGGER full").unwrap();
        saver.save().unwrap();
        assert_eq!(Look::open(&path).unwrap().saved().batch, 2);
    }

    #[test]
    fn what_waits_for_sinks_is_let_go_only_while_nothing_can_be_saved() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("s.db");
        let (mut saver, _, figures, _) = for_a_sink(&path, 1);
        let note = |saver: &mut Saver, batch| {
            saver.note(delivered(batch));
        };
        let other = rusqlite::Connection::open(&path).unwrap();
        let held = |db: &rusqlite::Connection| -> Vec<i64> {
            let mut rows = db
                .prepare("SELECT batch FROM spool ORDER BY batch")
                .unwrap();
            let batches = rows.query_map([], |row| row.get(0)).unwrap();
            batches.map(Result::unwrap).collect()
        };
        // More than fits, but they came at once.
        (1..=3).for_each(|batch| note(&mut saver, batch));
        saver.save().unwrap();
        assert_eq!((held(&other), figures.outcome().lost), (vec![1, 2, 3], 0));

        other.execute_batch("CREATE TRIGGER full BEFORE INSERT ON progress BEGIN SELECT raise(ABORT, 'full'); END").unwrap();
        note(&mut saver, 4);
        assert!(saver.save().is_err());
        note(&mut saver, 5);
        note(&mut saver, 6);
        assert!(saver.save().is_err());
        other.execute_batch("DROP TRIGGER full").unwrap();
        saver.save().unwrap();
        assert_eq!(
            (held(&other), figures.outcome().lost),
            (vec![1, 2, 3, 6], 2)
        );
    }

    /// Has a mark before the first parcel, and sees in the file whether it is there.
    struct Looking {
        path: PathBuf,
        marks: Arc<Mutex<Vec<Option<String>>>>,
    }

    impl Outlet for Looking {
        fn check(&mut self) -> Result<String, Refusal> {
            Ok(String::new())
        }

        fn begin(&mut self, parcel: &Parcel) -> Result<Option<String>, Refusal> {
            Ok((parcel.batch() == 1).then(|| "begun".to_owned()))
        }

        fn deliver(&mut self, parcel: &Parcel, _: &Cut) -> Result<Receipt, Refusal> {
            let db = rusqlite::Connection::open(&self.path).unwrap();
            let mark = db.query_row("SELECT mark FROM sink", [], |row| row.get(0));
            self.marks.lock().unwrap().push(mark.unwrap());
            Ok(Receipt {
                rows: 0,
                mark: Some(format!("behind {}", parcel.batch())),
            })
        }
    }

    #[test]
    fn a_sink_takes_nothing_before_the_file_says_where_it_stands() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("s.db");
        let (saver, spool, figures, stop) = for_a_sink(&path, 1 << 20);
        let merge: Arc<ThreadSleeper> = Arc::default();
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::default()));
        let (mut sender, stage) = connect(saver, 9, &merge, Vec::new(), &clock);
        merge.adopt();
        let marks: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let (porter, hatch) = Porter::new(Box::new(Looking {
            path: path.clone(),
            marks: Arc::clone(&marks),
        }));
        std::thread::spawn(move || porter.run());
        let courier = Courier {
            feed: Feed::Spool(spool.connect(&path).next().unwrap()),
            hatch,
            figures: Arc::clone(&figures),
            drain: Duration::ZERO,
            stop,
            clock: Arc::clone(&clock),
        };
        let saving = std::thread::spawn(move || stage.run());
        let carrying = std::thread::spawn(move || courier.run());
        for batch in 1..=2 {
            sender.send(delivered(batch));
        }
        sender.finish(Outcome::Over);
        carrying.join().unwrap();
        saving.join().unwrap().unwrap();
        let marks = marks.lock().unwrap();
        let wanted = ["begun", "behind 1"].map(|mark| Some(mark.to_owned()));
        assert_eq!(*marks, wanted);
        assert_eq!(figures.outcome().delivered, 2);
    }
}
