//! The sleeper of a thread, as `src/thread.rs` builds it on loom's `park`.

use std::sync::Mutex;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread::{self, Thread};

use crate::park::{Sleeper, Wake};
use crate::queue::Queue;

/// Wakes a parked thread; a `OnceLock<Thread>` in the program, its two halves here.
#[derive(Default)]
pub struct Unpark {
    /// Whether `thread` is set: what the `OnceLock` publishes.
    adopted: AtomicBool,
    /// Unknown to loom: read only when `adopted` was seen.
    thread: Mutex<Option<Thread>>,
}

impl Wake for Unpark {
    fn wake(&self) {
        // Acquire, Release: the order that a `OnceLock` has.
        if self.adopted.load(Ordering::Acquire) {
            self.thread
                .lock()
                .unwrap()
                .as_ref()
                .expect("published")
                .unpark();
        }
    }
}

/// A thread's sleeper.
pub struct ThreadSleeper(Sleeper<Unpark>);

impl Default for ThreadSleeper {
    fn default() -> ThreadSleeper {
        ThreadSleeper(Sleeper::new(Unpark::default()))
    }
}

impl ThreadSleeper {
    /// Makes the calling thread the owner.
    pub fn adopt(&self) {
        let target = self.0.target();
        *target.thread.lock().unwrap() = Some(thread::current());
        target.adopted.store(true, Ordering::Release);
    }

    /// Tells the owner to look again.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// The owner's: sleeps until `ready` answers. Without a spin, which would only repeat the last
    /// look before the sleep, and because loom forgets an `unpark` of a thread that yields.
    pub fn wait<T>(&self, ready: impl FnMut() -> Option<T>) -> T {
        self.0.wait(0, ready, thread::park)
    }

    /// The owner's: takes the next value, sleeping until there is one.
    pub fn pop(&self, queue: &Queue) -> usize {
        self.wait(|| queue.pop())
    }

    /// The owner's: puts a value in, sleeping until there is room.
    pub fn push(&self, queue: &Queue, value: usize) {
        self.wait(|| queue.push(value).ok());
    }

    /// The steps of a wait one by one, as the reader takes them.
    pub fn steps(&self) -> &Sleeper<Unpark> {
        &self.0
    }
}
