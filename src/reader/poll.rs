//! The poll that the reader sleeps in, and how others reach it there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::{Poll, Registry, Token, Waker};

use crate::faults;
use crate::park::{Sleeper, Wake};
use crate::source::Readiness;

/// The token of the reader's own waker; streams have the tokens from 0.
pub(super) const WAKER: Token = Token(usize::MAX);

/// Ends the reader's sleep in the poll.
#[derive(Clone, Debug)]
pub struct PollWake(Arc<Waker>);

impl Wake for PollWake {
    fn wake(&self) {
        faults::pause();
        // The only failure is a full eventfd counter: then a wake-up is pending anyway.
        drop(self.0.wake());
    }
}

/// The reader's sleeper, as those who make room for it know it.
pub type ReaderWaker = Arc<Sleeper<PollWake>>;

/// Tells the reader to stop: to read what sockets and pipes have received by then, and to wait for nothing more.
#[derive(Clone, Debug)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stop {
    /// Stops the reader; what was received is counted.
    pub fn stop(&self) {
        // Release: pairs with the reader's Acquire; nothing is published but the flag itself, yet
        // the wake-up below must not be seen before it.
        self.flag.store(true, Ordering::Release);
        drop(self.waker.wake());
    }

    /// Whether somebody has.
    pub fn is_stopped(&self) -> bool {
        // Acquire: pairs with the Release above.
        self.flag.load(Ordering::Acquire)
    }
}

/// The poll that a reader sleeps in, made first because others must know how to wake it.
#[derive(Debug)]
pub struct ReaderPoll {
    pub(super) poll: Poll,
    waker: Arc<Waker>,
    pub(super) sleeper: ReaderWaker,
    stop: Stop,
}

impl ReaderPoll {
    /// A new poll.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn new() -> io::Result<ReaderPoll> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let sleeper = Arc::new(Sleeper::new(PollWake(Arc::clone(&waker))));
        let stop = Stop {
            flag: Arc::default(),
            waker: Arc::clone(&waker),
        };
        Ok(ReaderPoll {
            poll,
            waker,
            sleeper,
            stop,
        })
    }

    /// Wakes the reader when it waits for room.
    pub fn sleeper(&self) -> ReaderWaker {
        Arc::clone(&self.sleeper)
    }

    /// Stops the reader.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    pub(super) fn readiness(&self, index: usize) -> Readiness<'_> {
        let registry: &Registry = self.poll.registry();
        Readiness {
            registry,
            token: Token(index),
            waker: &self.waker,
        }
    }
}
