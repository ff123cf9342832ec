//! What the fetching thread hears from the other end of the pipeline, and what it tells of the partitions' ends.
//!
//! Reports come from the batch merge: the offsets behind each batch that every sink has taken. They
//! are what the group may be told. The fetching thread outlives the reader until the last has come.

use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;

use crate::thread::ThreadSleeper;

/// An offset or an end for each of some partitions, by number.
pub(super) type ByPartition = Vec<(i32, i64)>;

/// What the fetching thread shares with the reader and the merge, beside the messages.
#[derive(Debug)]
pub(super) struct Reports {
    /// The ends of partitions, as last heard of.
    ends: ArrayQueue<ByPartition>,
    /// Offsets of reported batches; a later batch's are higher, so the oldest may be overwritten.
    reported: ArrayQueue<ByPartition>,
    /// Whether batches are yet to be reported.
    are_awaited: AtomicBool,
    /// The fetching thread's.
    sleeper: ThreadSleeper,
}

impl Reports {
    pub(super) fn new() -> Reports {
        Reports {
            ends: ArrayQueue::new(1),
            reported: ArrayQueue::new(4),
            are_awaited: AtomicBool::new(false),
            sleeper: ThreadSleeper::default(),
        }
    }

    /// Makes the calling thread the one that fetches.
    pub(super) fn adopt(&self) {
        self.sleeper.adopt();
    }

    /// The fetching thread's: what a batch that has been reported has behind it.
    pub(super) fn reported(&self) -> Option<ByPartition> {
        self.reported.pop()
    }

    /// The fetching thread's: tells where partitions end.
    pub(super) fn set_ends(&self, ends: ByPartition) {
        self.ends.force_push(ends);
    }

    /// The fetching thread's, when the reader has left: waits until every batch has been reported.
    pub(super) fn wait(&self) {
        // Acquire: pairs with the Release in `end`: the last report came before.
        let is_over = || !self.are_awaited.load(Ordering::Acquire);
        self.sleeper.wait(|| is_over().then_some(()));
    }

    /// The reader's: where partitions end, if that was heard anew.
    pub(super) fn take_ends(&self) -> Option<ByPartition> {
        self.ends.pop()
    }

    /// The merge's, before anything is read: batches will be reported.
    pub(super) fn begin(&self) {
        // Relaxed: read when the reader has left, which orders it.
        self.are_awaited.store(true, Ordering::Relaxed);
    }

    /// The merge's: a batch has been reported.
    pub(super) fn report(&self, offsets: ByPartition) {
        self.reported.force_push(offsets);
    }

    /// The merge's: every batch has been.
    pub(super) fn end(&self) {
        // Release: pairs with the Acquire in `wait`.
        self.are_awaited.store(false, Ordering::Release);
        self.sleeper.wake();
    }
}
