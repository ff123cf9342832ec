//! Signals: SIGINT and SIGTERM drain the run, a second one ends the program at once; SIGUSR1 asks how the run
//! stands; SIGTSTP asks the live view to make way.
//!
//! One thread waits for them. What it does to the run is to stop the reader; what it reads is the last
//! snapshot. Nobody waits for it.
//!
//! It waits from before the sources are opened ([`Signals::wait`]), so that no signal is lost to a run whose
//! senders can reach it already: what came before there is something to act upon ([`Signals::act_on`]) is acted
//! upon then.

use std::io::Write;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM, SIGTSTP, SIGUSR1};

use super::service;
use super::status::status;
use crate::error::Error;
use crate::live::Live;
use crate::log::LogFormat;
use crate::progress::Stderr;
use crate::reader::Stop;
use crate::view;

/// What signals act upon.
pub(super) struct Signalled {
    /// Ends what the program does.
    pub(super) stop: Box<dyn Fn() + Send + Sync>,
    /// How the run stands, for SIGUSR1, and in what format that is told.
    pub(super) status: Option<(Live, LogFormat)>,
    /// Raised when the run is being drained.
    pub(super) is_draining: Arc<AtomicBool>,
    /// Raised by SIGTSTP to have the view make way and the program suspended.
    pub(super) is_to_suspend: Option<Arc<AtomicBool>>,
}

/// The thread that waits, and what it is to act upon once there is something.
pub(super) struct Signals {
    signalled: Arc<OnceLock<Signalled>>,
    is_ending: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to wait for these signals and those that end the program.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn wait(more: &[i32]) -> Result<Signals, Error> {
        let refused = |error| Error::System("listen for signals", error);
        let wanted = [&[SIGINT, SIGTERM], more].concat();
        let mut signals = signal_hook::iterator::Signals::new(wanted).map_err(refused)?;
        let waited = Signals {
            signalled: Arc::default(),
            is_ending: Arc::default(),
        };
        let taker = Signals {
            signalled: Arc::clone(&waited.signalled),
            is_ending: Arc::clone(&waited.is_ending),
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || signals.forever().for_each(|signal| taker.take(signal)))
            .map_err(refused)?;
        Ok(waited)
    }

    /// Says what signals act upon from now on, and what those do that have come already.
    pub(super) fn act_on(self, signalled: Signalled) {
        let is_first = self.signalled.set(signalled).is_ok();
        assert!(is_first, "it is called once, as it takes itself");
        if self.is_ending.load(Ordering::SeqCst)
            && let Some(signalled) = self.signalled.get()
        {
            signalled.end();
        }
    }

    fn take(&self, signal: i32) {
        let signalled = self.signalled.get();
        match signal {
            SIGUSR1 => {
                if let Some((live, format)) = signalled.and_then(|known| known.status.as_ref()) {
                    let line = format.note(&status(live));
                    // Standard error may be closed: that is nobody's loss.
                    drop(Stderr.write_all(line.as_bytes()));
                }
            }
            SIGTSTP => {
                if let Some(flag) = signalled.and_then(|known| known.is_to_suspend.as_ref()) {
                    // Relaxed: the flag says all there is to say.
                    flag.store(true, Ordering::Relaxed);
                }
            }
            // The order of all: either this sees what to act upon, or whoever gives it sees the flag.
            _ if self.is_ending.swap(true, Ordering::SeqCst) => {
                view::restore();
                process::exit(128 + signal);
            }
            _ => match self.signalled.get() {
                Some(signalled) => signalled.end(),
                None => tracing::info!("ending when it has begun; once more to quit at once"),
            },
        }
    }
}

impl Signalled {
    /// A run that is drained.
    pub(super) fn run(stop: Stop) -> Signalled {
        let drain = move || {
            tracing::info!("draining: counting what was received; once more to quit at once");
            stop.stop();
            service::stopping();
        };
        Signalled {
            stop: Box::new(drain),
            status: None,
            is_draining: Arc::default(),
            is_to_suspend: None,
        }
    }

    /// Ends what the program does; once, whoever calls first.
    fn end(&self) {
        // Relaxed: the flag says all there is to say.
        if !self.is_draining.swap(true, Ordering::Relaxed) {
            (self.stop)();
        }
    }
}
