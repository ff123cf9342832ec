//! Threads of the pipeline: named, pinned, parked, and never silently dead.
//!
//! A stage thread that panics ends the program: its queues would stand still and every other thread
//! would wait for it for ever.

use std::sync::OnceLock;
use std::thread::{self, JoinHandle, Thread};

use core_affinity::CoreId;

use crate::faults;
use crate::park::{Sleeper, Wake};

/// How often a thread looks for work before it sleeps.
///
/// Each look costs some 10 ns, a sleep and its wake-up some 5 µs: about as long as this spin lasts.
/// With more threads than cores a spinning thread keeps a working one from running, so it is small.
const SPINS: u32 = 64;

/// Wakes a parked thread. The thread makes itself known with [`ThreadSleeper::adopt`].
#[derive(Debug, Default)]
pub struct Unpark {
    thread: OnceLock<Thread>,
}

impl Wake for Unpark {
    fn wake(&self) {
        // A sleeper that has not been adopted yet has not announced a sleep either.
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// The sleeper of a thread that sleeps by parking.
#[derive(Debug)]
pub struct ThreadSleeper {
    sleeper: Sleeper<Unpark>,
}

impl Default for ThreadSleeper {
    fn default() -> ThreadSleeper {
        ThreadSleeper {
            sleeper: Sleeper::new(Unpark::default()),
        }
    }
}

impl ThreadSleeper {
    /// Makes the calling thread the owner.
    ///
    /// # Panics
    /// If another thread is the owner already.
    pub fn adopt(&self) {
        let owner = self.sleeper_target().get_or_init(thread::current);
        assert_eq!(
            owner.id(),
            thread::current().id(),
            "a sleeper has one owner"
        );
    }

    /// Tells the owner to look again; see [`Sleeper::wake`].
    pub fn wake(&self) {
        faults::pause();
        self.sleeper.wake();
        faults::pause();
    }

    /// The owner's: spins briefly, then parks, until `ready` answers.
    pub fn wait<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        let ready = || {
            faults::pause();
            ready()
        };
        let sleep = || {
            faults::pause();
            thread::park();
        };
        self.sleeper.wait(SPINS, ready, sleep)
    }

    fn sleeper_target(&self) -> &OnceLock<Thread> {
        &self.sleeper.target().thread
    }
}

/// Starts a stage thread, pinned to `core` where one is given.
///
/// # Errors
/// If the system refuses another thread.
pub fn spawn<T: Send + 'static>(
    name: String,
    core: Option<CoreId>,
    body: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    let body = faults::inherit(body);
    thread::Builder::new().name(name).spawn(move || {
        let guard = AbortOnPanic;
        if let Some(core) = core
            && !core_affinity::set_for_current(core)
        {
            tracing::debug!("cannot pin to core {}; going on unpinned", core.id);
        }
        let result = body();
        drop(guard);
        result
    })
}

/// Ends the process when the thread that holds it unwinds; the panic's message is out by then.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_queue::ArrayQueue;
    use std::sync::Arc;

    #[test]
    fn nothing_is_lost_between_two_threads() {
        const ITEMS: u64 = 20_000;
        let queue = Arc::new(ArrayQueue::new(2));
        let (consumer, producer) = (
            Arc::new(ThreadSleeper::default()),
            Arc::new(ThreadSleeper::default()),
        );
        let (q, c, p) = (queue.clone(), consumer.clone(), producer.clone());
        let sum = spawn("consumer".into(), None, move || {
            c.adopt();
            let mut sum = 0;
            for _ in 0..ITEMS {
                sum += c.wait(|| q.pop());
                p.wake();
            }
            sum
        })
        .unwrap();
        producer.adopt();
        for i in 0..ITEMS {
            let mut item = Some(i);
            producer.wait(|| match queue.push(item.take()?) {
                Ok(()) => Some(()),
                Err(back) => {
                    item = Some(back);
                    None
                }
            });
            consumer.wake();
        }
        assert_eq!(sum.join().unwrap(), ITEMS * (ITEMS - 1) / 2);
    }
}
