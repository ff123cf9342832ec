//! Where the simulation holds threads up and has the disk fail.
//!
//! Every thread of the pipeline comes by `pause` where it passes a queue or is about to sleep or to wake
//! another, and the thread that saves comes by `disk` before each step of a transaction. In a build without
//! the feature `simulation`, which is every build but the simulation's, both are empty and vanish.
//!
//! With it a thread that begins a run has a set of `Faults`, and so has every thread that
//! is started from it: several runs can go on side by side, each with its own. What
//! happens is drawn from the seed, but threads come by in an order that is the system's. So a seed repeats
//! what is done to a run, not each of its steps.
//!
//! A whole program with the feature dies before the step of a save whose number stands in the variable
//! `DIE_BEFORE_STEP`, as if it was killed there: `tools/torture` has it do so.

#[cfg(feature = "simulation")]
pub use on::{DiskError, Faults, seed};
#[cfg(feature = "simulation")]
pub(crate) use on::{disk, inherit, pause};

#[cfg(not(feature = "simulation"))]
pub(crate) use off::{disk, inherit, pause};

#[cfg(not(feature = "simulation"))]
mod off {
    #[inline(always)]
    pub(crate) fn pause() {}

    #[inline(always)]
    pub(crate) fn disk() -> rusqlite::Result<()> {
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn inherit<T, F: FnOnce() -> T>(body: F) -> F {
        body
    }
}

#[cfg(feature = "simulation")]
mod on {
    use std::cell::RefCell;
    use std::ops::Range;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, LazyLock};
    use std::thread;
    use std::time::Duration;

    use fastrand::Rng;
    use rusqlite::ffi;
    use rustix::process::{Signal, getpid, kill_process};

    /// What is done to a run.
    #[derive(Debug, Default)]
    pub struct Faults {
        /// From which everything is drawn.
        pub seed: u64,
        /// How often a thread is held up, of a thousand times that it comes by.
        pub pauses_permille: u32,
        /// When the disk fails: the steps of all transactions, from 0 on.
        pub disk: Vec<(Range<u64>, DiskError)>,
    }

    /// What the threads of a run share.
    #[derive(Debug)]
    struct Run {
        faults: Faults,
        /// Steps so far.
        steps: AtomicU64,
        /// Threads so far.
        threads: AtomicU64,
    }

    /// How the disk fails.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum DiskError {
        /// There is no room.
        Full,
        /// It does not write.
        Io,
        /// Another program has the database.
        Busy,
    }

    thread_local! {
        static FAULTS: RefCell<Option<(Arc<Run>, Rng)>> = const { RefCell::new(None) };
    }

    /// The longest time that a thread is held up for.
    const PAUSE_MICROS_MAX: u64 = 200;

    impl Faults {
        /// Has the calling thread, and those that are started from it, come upon these.
        pub fn begin(self) {
            join(Arc::new(Run {
                faults: self,
                steps: AtomicU64::new(0),
                threads: AtomicU64::new(0),
            }));
        }
    }

    /// Makes the calling thread one of a run.
    fn join(run: Arc<Run>) {
        // Relaxed: the number orders nothing.
        let thread = run.threads.fetch_add(1, Ordering::Relaxed);
        let rng = Rng::with_seed(run.faults.seed.wrapping_add(thread << 32));
        FAULTS.set(Some((run, rng)));
    }

    /// The seed of the calling thread's faults.
    pub fn seed() -> Option<u64> {
        FAULTS.with_borrow(|faults| Some(faults.as_ref()?.0.faults.seed))
    }

    pub(crate) fn pause() {
        let micros = FAULTS.with_borrow_mut(|faults| {
            let (run, rng) = faults.as_mut()?;
            let is_held_up = rng.u32(..1000) < run.faults.pauses_permille;
            // Every other time it only lets the others pass.
            is_held_up.then(|| rng.u64(..2) * rng.u64(1..PAUSE_MICROS_MAX))
        });
        match micros {
            None => {}
            Some(0) => thread::yield_now(),
            Some(micros) => thread::sleep(Duration::from_micros(micros)),
        }
    }

    /// Before which step of all transactions the process dies.
    static DIES_BEFORE: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("DIE_BEFORE_STEP").ok()?.parse().ok());

    /// Steps of the process so far.
    static STEPS: AtomicU64 = AtomicU64::new(0);

    fn die_if_told() {
        // Relaxed: one thread saves.
        if let Some(step) = *DIES_BEFORE
            && STEPS.fetch_add(1, Ordering::Relaxed) == step
        {
            let killed = kill_process(getpid(), Signal::KILL);
            killed.expect("a process may kill itself");
        }
    }

    pub(crate) fn disk() -> rusqlite::Result<()> {
        die_if_told();
        let code = FAULTS.with_borrow(|faults| {
            let (run, _) = faults.as_ref()?;
            // Relaxed: one thread saves.
            let step = run.steps.fetch_add(1, Ordering::Relaxed);
            let mut disk = run.faults.disk.iter();
            let (_, error) = disk.find(|(steps, _)| steps.contains(&step))?;
            Some(match error {
                DiskError::Full => ffi::SQLITE_FULL,
                DiskError::Io => ffi::SQLITE_IOERR,
                DiskError::Busy => ffi::SQLITE_BUSY,
            })
        });
        match code {
            None => Ok(()),
            Some(code) => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
        }
    }

    /// Hands the calling thread's faults on to the thread that `body` will run in.
    pub(crate) fn inherit<T>(body: impl FnOnce() -> T) -> impl FnOnce() -> T {
        let run = FAULTS.with_borrow(|faults| Some(Arc::clone(&faults.as_ref()?.0)));
        move || {
            if let Some(run) = run {
                join(run);
            }
            body()
        }
    }
}
