//! A bounded queue in the place of `crossbeam_queue::ArrayQueue`, with no more order than it needs.
//!
//! The algorithm is the same (Vyukov's: a stamp per slot tells whose turn it is); the orderings are
//! weaker than crossbeam's, which uses `SeqCst` on its way: a push releases, the pop that takes the
//! value acquires, and an empty or full queue orders nothing. So a wake-up that is not lost here is
//! not lost there. Any number of threads push, one pops.

use loom::sync::atomic::{AtomicUsize, Ordering};

/// A slot and whose turn it is: stamp `2 * n` waits for push number `n`, `2 * n + 1` for its pop.
struct Slot {
    stamp: AtomicUsize,
    value: AtomicUsize,
}

/// A bounded queue of numbers.
pub struct Queue {
    slots: Vec<Slot>,
    /// Pushes begun.
    tail: AtomicUsize,
    /// Pops done; written by the one thread that pops.
    head: AtomicUsize,
}

impl Queue {
    /// An empty queue for `capacity` values.
    pub fn new(capacity: usize) -> Queue {
        let slot = |n| Slot {
            stamp: AtomicUsize::new(2 * n),
            value: AtomicUsize::new(0),
        };
        Queue {
            slots: (0..capacity).map(slot).collect(),
            tail: AtomicUsize::new(0),
            head: AtomicUsize::new(0),
        }
    }

    /// Puts a value in, or gives it back when the queue is full.
    ///
    /// # Errors
    /// The value.
    pub fn push(&self, value: usize) -> Result<(), usize> {
        // Acquire, Release: a push knows what the one before it knew, or it would take a slot for
        // full whose pop let that one happen.
        let mut n = self.tail.load(Ordering::Acquire);
        loop {
            let slot = &self.slots[n % self.slots.len()];
            // Acquire: the pop of the value that was here is over.
            let stamp = slot.stamp.load(Ordering::Acquire);
            let claim = if stamp == 2 * n { n + 1 } else { n };
            // Claims the slot, or learns whether `n` was only out of date.
            match self
                .tail
                .compare_exchange(n, claim, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if claim == n => return Err(value),
                Ok(_) => {
                    slot.value.store(value, Ordering::Relaxed);
                    slot.stamp.store(2 * n + 1, Ordering::Release);
                    return Ok(());
                }
                Err(newer) => n = newer,
            }
        }
    }

    /// Takes the oldest value, if there is one. One thread's alone.
    pub fn pop(&self) -> Option<usize> {
        let n = self.head.load(Ordering::Relaxed);
        let slot = &self.slots[n % self.slots.len()];
        // Acquire: pairs with the push's Release.
        if slot.stamp.load(Ordering::Acquire) != 2 * n + 1 {
            return None;
        }
        let value = slot.value.load(Ordering::Relaxed);
        slot.stamp
            .store(2 * (n + self.slots.len()), Ordering::Release);
        self.head.store(n + 1, Ordering::Relaxed);
        Some(value)
    }
}
