//! Signals: SIGINT and SIGTERM drain the run, a second one ends the program at once; SIGUSR1 asks how the run
//! stands; SIGTSTP asks the live view to make way.
//!
//! One thread waits for them. What it does to the run is to stop the reader; what it reads is the last
//! snapshot. Nobody waits for it.

use std::io::Write;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
use signal_hook::iterator::Signals;

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
    pub(super) stop: Box<dyn Fn() + Send>,
    /// How the run stands, for SIGUSR1, and in what format that is told; without it, the signal has the
    /// effect that the system gives it.
    pub(super) status: Option<(Live, LogFormat)>,
    /// Raised when the run is being drained.
    pub(super) is_draining: Arc<AtomicBool>,
    /// Raised to have the view make way and the program suspended; without it, the system suspends it.
    pub(super) is_to_suspend: Option<Arc<AtomicBool>>,
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

    /// Begins to wait for signals.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn listen(self) -> Result<(), Error> {
        let refused = |error| Error::System("listen for signals", error);
        let mut wanted = vec![SIGINT, SIGTERM];
        wanted.extend(self.status.is_some().then_some(SIGUSR1));
        wanted.extend(self.is_to_suspend.is_some().then_some(SIGTSTP));
        let mut signals = Signals::new(wanted).map_err(refused)?;
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || signals.forever().for_each(|signal| self.take(signal)))
            .map_err(refused)?;
        Ok(())
    }

    fn take(&self, signal: i32) {
        match (signal, &self.status, &self.is_to_suspend) {
            (SIGUSR1, Some((live, format)), _) => {
                let line = format.note(&status(live));
                // Standard error may be closed: that is nobody's loss.
                drop(Stderr.write_all(line.as_bytes()));
            }
            // Relaxed, here and below: the flags say all there is to say.
            (SIGTSTP, _, Some(is_to_suspend)) => is_to_suspend.store(true, Ordering::Relaxed),
            _ if self.is_draining.swap(true, Ordering::Relaxed) => {
                view::restore();
                process::exit(128 + signal);
            }
            _ => (self.stop)(),
        }
    }
}
