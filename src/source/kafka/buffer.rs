//! The seam between fetching and reading: buffers of whole messages, and the queues they cross.
//!
//! The fetching thread fills a [`Buffer`], the reader's thread empties it and gives it back: both
//! ways are bounded lock-free queues that hold all there are, so neither push ever waits. A full
//! buffer wakes the reader through mio; an empty one wakes the fetching thread if it sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_queue::ArrayQueue;
use mio::Waker;

use crate::error::Error;
use crate::thread::ThreadSleeper;

/// Buffers there are: enough that neither side waits for the other, few enough for the cache.
pub(super) const BUFFERS: usize = 8;

/// A buffer's bytes: as many as a chunk's, unless that is set otherwise.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// Messages that end in a buffer, at the most.
pub(super) const ENDS_MAX: usize = 8 * 1024;

/// Deliveries under way that are no buffers.
const NOTES_MAX: usize = 64;

/// Where a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageEnd {
    /// Behind its last byte, in the buffer.
    at: u32,
    pub(super) partition: i32,
    /// The offset of the message after it.
    pub(super) next: i64,
}

/// Messages as lines, each with its newline, in the order they came.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    ends: Vec<MessageEnd>,
    /// `0 <= read <= bytes.len()`
    read: usize,
    /// Ends told by [`Buffer::settle`]; `0 <= settled <= ends.len()`.
    settled: usize,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer {
            bytes: Vec::with_capacity(BUFFER_BYTES),
            ends: Vec::with_capacity(ENDS_MAX),
            read: 0,
            settled: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes fit in.
    pub(super) fn space(&self) -> usize {
        match self.ends.len() {
            ENDS_MAX => 0,
            _ => BUFFER_BYTES - self.bytes.len(),
        }
    }

    /// Appends a piece of a message.
    pub(super) fn push(&mut self, piece: &[u8]) {
        debug_assert!(piece.len() <= self.space(), "{} bytes", piece.len());
        self.bytes.extend_from_slice(piece);
    }

    /// The message of `partition` before `next` is complete.
    pub(super) fn end(&mut self, partition: i32, next: i64) {
        let at = u32::try_from(self.bytes.len()).expect("a buffer is smaller than 4 GiB");
        self.ends.push(MessageEnd {
            at,
            partition,
            next,
        });
    }

    /// The most bytes that fit into `space` and end with a message; 0 if the next one is longer.
    pub(super) fn fitting(&self, space: usize) -> usize {
        let to = self.read + space;
        if self.bytes.len() <= to {
            return self.bytes.len() - self.read;
        }
        let ends = &self.ends[self.settled..];
        let fit = ends.partition_point(|end| end.at as usize <= to);
        let last = fit
            .checked_sub(1)
            .map_or(self.read, |fit| ends[fit].at as usize);
        last.saturating_sub(self.read)
    }

    /// Fills `space` with the next bytes, of which there are so many.
    pub(super) fn read(&mut self, space: &mut [u8]) {
        let to = self.read + space.len();
        space.copy_from_slice(&self.bytes[self.read..to]);
        self.read = to;
    }

    /// The ends of the messages that have been read whole since the last call.
    pub(super) fn settle(&mut self) -> &[MessageEnd] {
        let from = self.settled;
        let read = self.ends[from..].partition_point(|end| end.at as usize <= self.read);
        self.settled += read;
        &self.ends[from..self.settled]
    }

    /// Whether all of it has been read and settled.
    pub(super) fn is_spent(&self) -> bool {
        self.read == self.bytes.len() && self.settled == self.ends.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        (self.read, self.settled) = (0, 0);
    }
}

/// What crosses to the reader's thread, in order.
#[derive(Debug)]
pub(super) enum Delivery {
    Messages(Buffer),
    /// These partitions are somebody else's now.
    Released(Vec<i32>),
    /// Everything has come.
    Finished,
    Failed(Error),
}

/// What the two threads, and the merge, share.
#[derive(Debug)]
pub(super) struct Shared {
    deliveries: ArrayQueue<Delivery>,
    empty: ArrayQueue<Buffer>,
    /// The ends of partitions, by number, as last heard of.
    ends: ArrayQueue<Vec<(i32, i64)>>,
    /// Offsets of reported batches, by partition number; a later batch's are higher, so the oldest may be overwritten.
    reported: ArrayQueue<Vec<(i32, i64)>>,
    waker: OnceLock<Arc<Waker>>,
    /// The fetching thread's.
    sleeper: ThreadSleeper,
    /// The reader takes nothing more.
    is_left: AtomicBool,
    /// Whether batches are yet to be reported.
    are_reports_awaited: AtomicBool,
}

impl Shared {
    pub(super) fn new() -> Shared {
        let empty = ArrayQueue::new(BUFFERS);
        while empty.push(Buffer::new()).is_ok() {}
        Shared {
            deliveries: ArrayQueue::new(BUFFERS + NOTES_MAX),
            empty,
            ends: ArrayQueue::new(1),
            reported: ArrayQueue::new(4),
            waker: OnceLock::new(),
            sleeper: ThreadSleeper::default(),
            is_left: AtomicBool::new(false),
            are_reports_awaited: AtomicBool::new(false),
        }
    }

    /// The fetching thread's: makes itself known.
    pub(super) fn adopt(&self) {
        self.sleeper.adopt();
    }

    /// The fetching thread's: an empty buffer, waited for; `None` once the reader has left.
    pub(super) fn empty(&self) -> Option<Buffer> {
        self.sleeper.wait(|| match self.empty.pop() {
            Some(buffer) => Some(Some(buffer)),
            None => self.is_left().then_some(None),
        })
    }

    /// The fetching thread's: whether the reader has emptied all buffers but the one in hand.
    pub(super) fn is_emptied(&self) -> bool {
        self.empty.len() >= BUFFERS - 1
    }

    /// The fetching thread's: sends, and wakes the reader. `false` if there is no room for a note.
    pub(super) fn deliver(&self, delivery: Delivery) -> bool {
        let fits = self.deliveries.push(delivery).is_ok();
        // Before the reader registers it has not read yet, and its first read finds what is there.
        if let Some(waker) = self.waker.get() {
            // The only failure is a full eventfd counter: then a wake-up is pending anyway.
            drop(waker.wake());
        }
        fits
    }

    /// The fetching thread's: what a batch that has been reported has behind it.
    pub(super) fn reported(&self) -> Option<Vec<(i32, i64)>> {
        self.reported.pop()
    }

    /// The fetching thread's: tells where partitions end.
    pub(super) fn set_ends(&self, ends: Vec<(i32, i64)>) {
        self.ends.force_push(ends);
    }

    /// The fetching thread's: whether the reader takes nothing more.
    pub(super) fn is_left(&self) -> bool {
        // Acquire: pairs with the Release in `leave`.
        self.is_left.load(Ordering::Acquire)
    }

    /// The fetching thread's: waits until every batch has been reported.
    pub(super) fn wait_for_reports(&self) {
        // Acquire: pairs with the Release in `end_reports`: the last report came before.
        let is_over = || !self.are_reports_awaited.load(Ordering::Acquire);
        self.sleeper.wait(|| is_over().then_some(()));
    }

    /// The reader's: what came next.
    pub(super) fn receive(&self) -> Option<Delivery> {
        self.deliveries.pop()
    }

    /// The reader's: a buffer that has been read.
    pub(super) fn give_back(&self, mut buffer: Buffer) {
        buffer.clear();
        let fits = self.empty.push(buffer);
        assert!(fits.is_ok(), "the queue holds all {BUFFERS} buffers");
        self.sleeper.wake();
    }

    /// The reader's: where partitions end, if that was heard anew.
    pub(super) fn take_ends(&self) -> Option<Vec<(i32, i64)>> {
        self.ends.pop()
    }

    /// The reader's: how to wake it.
    pub(super) fn set_waker(&self, waker: Arc<Waker>) {
        // A reader registers once.
        self.waker.set(waker).ok();
    }

    /// The reader's: nothing more is wanted.
    pub(super) fn leave(&self) {
        // Release: pairs with the Acquire in `is_left`.
        self.is_left.store(true, Ordering::Release);
        self.sleeper.wake();
    }

    /// The merge's, before anything is read: batches will be reported.
    pub(super) fn await_reports(&self) {
        // Relaxed: read after `leave`, which orders it.
        self.are_reports_awaited.store(true, Ordering::Relaxed);
    }

    /// The merge's: a batch has been reported.
    pub(super) fn report(&self, offsets: Vec<(i32, i64)>) {
        self.reported.force_push(offsets);
    }

    /// The merge's: every batch has been.
    pub(super) fn end_reports(&self) {
        // Release: pairs with the Acquire in `wait_for_reports`.
        self.are_reports_awaited.store(false, Ordering::Release);
        self.sleeper.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Buffer {
        let mut buffer = Buffer::new();
        for (text, partition, next) in [(&b"one\n"[..], 0, 1), (b"a\nb\n", 3, 10), (b"\n", 0, 2)] {
            buffer.push(text);
            buffer.end(partition, next);
        }
        buffer
    }

    #[test]
    fn reads_end_with_messages_where_they_can() {
        let buffer = filled();
        let fitting: Vec<usize> = (0..11).map(|space| buffer.fitting(space)).collect();
        assert_eq!(fitting, [0, 0, 0, 0, 4, 4, 4, 4, 8, 9, 9]);
    }

    #[test]
    fn an_offset_is_behind_whole_messages_only() {
        let mut buffer = filled();
        let read = |buffer: &mut Buffer, count: usize| buffer.read(&mut vec![0; count]);
        read(&mut buffer, 6);
        assert_eq!(
            buffer
                .settle()
                .iter()
                .map(|end| end.next)
                .collect::<Vec<_>>(),
            [1]
        );
        assert_eq!(buffer.fitting(1), 0);
        read(&mut buffer, 2);
        assert_eq!(
            buffer.settle()[0],
            MessageEnd {
                at: 8,
                partition: 3,
                next: 10
            }
        );
        read(&mut buffer, 1);
        assert!(!buffer.is_spent());
        assert_eq!(buffer.settle().len(), 1);
        assert!(buffer.is_spent());
    }

    #[test]
    fn buffers_go_round_and_a_reader_that_leaves_ends_the_waiting() {
        let shared = Shared::new();
        shared.adopt();
        let buffers: Vec<_> = (0..BUFFERS).map(|_| shared.empty().unwrap()).collect();
        assert!(!shared.is_emptied());
        for buffer in buffers {
            assert!(shared.deliver(Delivery::Messages(buffer)));
        }
        while let Some(Delivery::Messages(buffer)) = shared.receive() {
            shared.give_back(buffer);
        }
        assert!(shared.is_emptied());
        while shared.empty.pop().is_some() {}
        shared.leave();
        assert!(shared.empty().is_none());
    }
}
