//! Records from a thread that fetches them to the reader, for sources that are no file descriptors.
//!
//! The fetching thread fills a [`Buffer`] through its [`Outlet`], the reader's thread empties it through its
//! [`Intake`] and gives it back: both ways are bounded lock-free queues that hold all there are, so neither
//! push ever waits. A full buffer wakes the reader through mio; an empty one wakes the fetching thread if it
//! sleeps. With no buffer left the fetching stands still, so a slow pipeline slows it.
//!
//! A record is one line or more, never a part of one: its last line gets a newline if it has none, and a byte
//! order mark at its start is skipped. Behind each record stands its *end*, whatever the source has to note
//! once the record has been read whole (its offset). An end may also stand for itself, in its place among the
//! records.
//!
//! Memory: [`BUFFERS`] times [`BUFFER_BYTES`] and [`ENDS_MAX`] ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_queue::ArrayQueue;
use mio::Waker;

use crate::error::Error;
use crate::framing::BYTE_ORDER_MARK;
use crate::source::Read;
use crate::thread::ThreadSleeper;

/// Buffers there are: enough that neither side waits for the other, few enough for the cache.
const BUFFERS: usize = 8;

/// A buffer's bytes: as many as a chunk's, unless that is set otherwise.
const BUFFER_BYTES: usize = 256 * 1024;

/// Records that end in a buffer, at the most.
const ENDS_MAX: usize = 8 * 1024;

/// The memory of all buffers, with ends of this type.
pub(super) const fn memory_bytes<E>() -> usize {
    BUFFERS * (BUFFER_BYTES + ENDS_MAX * (size_of::<u32>() + size_of::<E>()))
}

/// Records as lines, each with its newline, in the order they came.
#[derive(Debug)]
struct Buffer<E> {
    bytes: Vec<u8>,
    ends: Vec<E>,
    /// Where each end stands: behind its record's last byte.
    at: Vec<u32>,
    /// `0 <= read <= bytes.len()`
    read: usize,
    /// Ends taken by [`Buffer::settle`]; `0 <= settled <= ends.len()`.
    settled: usize,
}

impl<E> Buffer<E> {
    fn new() -> Buffer<E> {
        Buffer {
            bytes: Vec::with_capacity(BUFFER_BYTES),
            ends: Vec::with_capacity(ENDS_MAX),
            at: Vec::with_capacity(ENDS_MAX),
            read: 0,
            settled: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.ends.is_empty()
    }

    /// How many bytes of a record fit in.
    fn space(&self) -> usize {
        match self.ends.len() {
            ENDS_MAX => 0,
            _ => BUFFER_BYTES - self.bytes.len(),
        }
    }

    /// Appends a piece of a record.
    fn push(&mut self, piece: &[u8]) {
        debug_assert!(piece.len() <= self.space(), "{} bytes", piece.len());
        self.bytes.extend_from_slice(piece);
    }

    /// Notes an end behind what has been pushed.
    fn end(&mut self, end: E) {
        let at = u32::try_from(self.bytes.len()).expect("a buffer is smaller than 4 GiB");
        self.ends.push(end);
        self.at.push(at);
    }

    /// The most bytes that fit into `space` and end with a record; 0 if the next one is longer.
    fn fitting(&self, space: usize) -> usize {
        let to = self.read + space;
        if self.bytes.len() <= to {
            return self.bytes.len() - self.read;
        }
        let at = &self.at[self.settled..];
        let fit = at.partition_point(|&at| at as usize <= to);
        let last = fit.checked_sub(1).map_or(self.read, |fit| at[fit] as usize);
        last.saturating_sub(self.read)
    }

    /// Fills `space` with the next bytes, of which there are so many.
    fn read(&mut self, space: &mut [u8]) {
        let to = self.read + space.len();
        space.copy_from_slice(&self.bytes[self.read..to]);
        self.read = to;
    }

    /// The ends of the records that have been read whole since the last call.
    fn settle(&mut self) -> &[E] {
        let from = self.settled;
        self.settled += self.at[from..].partition_point(|&at| at as usize <= self.read);
        &self.ends[from..self.settled]
    }

    /// Whether all of it has been read and settled.
    fn is_spent(&self) -> bool {
        self.read == self.bytes.len() && self.settled == self.ends.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.at.clear();
        (self.read, self.settled) = (0, 0);
    }
}

/// What crosses to the reader's thread, in order.
#[derive(Debug)]
enum Delivery<E> {
    Records(Buffer<E>),
    /// Everything has come.
    Finished,
    Failed(Error),
}

/// What the two threads share.
#[derive(Debug)]
struct Shared<E> {
    deliveries: ArrayQueue<Delivery<E>>,
    empty: ArrayQueue<Buffer<E>>,
    waker: OnceLock<Arc<Waker>>,
    /// The fetching thread's.
    sleeper: ThreadSleeper,
    /// The reader takes nothing more.
    is_left: AtomicBool,
}

impl<E> Shared<E> {
    fn deliver(&self, delivery: Delivery<E>) {
        let fits = self.deliveries.push(delivery).is_ok();
        assert!(fits, "the queue has room for every buffer and the end");
        // Before the reader registers it has not read yet, and its first read finds what is there.
        if let Some(waker) = self.waker.get() {
            // The only failure is a full eventfd counter: then a wake-up is pending anyway.
            drop(waker.wake());
        }
    }
}

/// The two ends of a handover.
pub(super) fn handover<E>() -> (Outlet<E>, Intake<E>) {
    let empty = ArrayQueue::new(BUFFERS);
    while empty.push(Buffer::new()).is_ok() {}
    let shared = Arc::new(Shared {
        deliveries: ArrayQueue::new(BUFFERS + 1),
        empty,
        waker: OnceLock::new(),
        sleeper: ThreadSleeper::default(),
        is_left: AtomicBool::new(false),
    });
    let outlet = Outlet {
        shared: Arc::clone(&shared),
        buffer: None,
    };
    let intake = Intake {
        shared,
        current: None,
        has_asked_for_space: false,
    };
    (outlet, intake)
}

/// The fetching thread's end.
#[derive(Debug)]
pub(super) struct Outlet<E> {
    shared: Arc<Shared<E>>,
    /// The buffer in hand; none before the first record, and once the reader has left.
    buffer: Option<Buffer<E>>,
}

impl<E> Outlet<E> {
    /// Makes the calling thread the one that fetches.
    pub(super) fn adopt(&self) {
        self.shared.sleeper.adopt();
    }

    /// Whether the reader takes nothing more.
    pub(super) fn is_left(&self) -> bool {
        // Acquire: pairs with the Release in `Intake::leave`.
        self.shared.is_left.load(Ordering::Acquire)
    }

    /// Whether the reader has emptied all buffers but the one in hand.
    #[cfg(any(feature = "kafka", test))]
    pub(super) fn is_emptied(&self) -> bool {
        self.shared.empty.len() >= BUFFERS - usize::from(self.buffer.is_some())
    }

    /// Puts in the lines of a record, or some of them; the record's end is to follow. `false` if the reader has left.
    pub(super) fn lines(&mut self, lines: &[u8]) -> bool {
        let mut rest = lines.strip_prefix(BYTE_ORDER_MARK).unwrap_or(lines);
        let newline: &[u8] = if rest.ends_with(b"\n") { b"" } else { b"\n" };
        let is_short = rest.len() < BUFFER_BYTES;
        if is_short && self.space() < rest.len() + newline.len() {
            self.exchange();
        }
        loop {
            if self.space() == 0 {
                self.exchange();
            }
            let Some(buffer) = &mut self.buffer else {
                return false;
            };
            let (piece, after) = rest.split_at(rest.len().min(buffer.space()));
            buffer.push(piece);
            rest = after;
            if rest.is_empty() && buffer.space() >= newline.len() {
                buffer.push(newline);
                return true;
            }
        }
    }

    /// Puts in an end behind all that was put in before; `false` if the reader has left.
    pub(super) fn end(&mut self, end: E) -> bool {
        if self
            .buffer
            .as_ref()
            .is_none_or(|buffer| buffer.ends.len() == ENDS_MAX)
        {
            self.exchange();
        }
        let buffer = self.buffer.as_mut();
        buffer.map(|buffer| buffer.end(end)).is_some()
    }

    fn space(&self) -> usize {
        self.buffer.as_ref().map_or(0, Buffer::space)
    }

    /// Hands the buffer over, if there is one, and waits for an empty one; none comes once the reader has left.
    fn exchange(&mut self) {
        if let Some(full) = self.buffer.take() {
            self.shared.deliver(Delivery::Records(full));
        }
        let shared = &self.shared;
        self.buffer = shared.sleeper.wait(|| match shared.empty.pop() {
            Some(buffer) => Some(Some(buffer)),
            None => self.is_left().then_some(None),
        });
    }

    /// Hands over what there is.
    pub(super) fn hand_over(&mut self) {
        if let Some(buffer) = self.buffer.take_if(|buffer| !buffer.is_empty()) {
            self.shared.deliver(Delivery::Records(buffer));
        }
    }

    /// Nothing more will come.
    pub(super) fn finish(&mut self, outcome: Result<(), Error>) {
        self.hand_over();
        self.shared.deliver(match outcome {
            Ok(()) => Delivery::Finished,
            Err(error) => Delivery::Failed(error),
        });
    }
}

/// The reader's end; dropped, it ends the fetching.
#[derive(Debug)]
pub(super) struct Intake<E> {
    shared: Arc<Shared<E>>,
    /// The buffer that is being read.
    current: Option<Buffer<E>>,
    /// The last answer was that the next record does not fit.
    has_asked_for_space: bool,
}

impl<E> Intake<E> {
    /// Tells how to wake the reader.
    pub(super) fn set_waker(&self, waker: &Arc<Waker>) {
        // A reader registers once.
        self.shared.waker.set(Arc::clone(waker)).ok();
    }

    /// The ends of the records that have been read whole since the last call.
    pub(super) fn settle(&mut self, mut note: impl FnMut(&E)) {
        let Some(buffer) = &mut self.current else {
            return;
        };
        buffer.settle().iter().for_each(&mut note);
        if let Some(mut spent) = self.current.take_if(|buffer| buffer.is_spent()) {
            spent.clear();
            let fits = self.shared.empty.push(spent).is_ok();
            assert!(fits, "the queue holds all {BUFFERS} buffers");
            self.shared.sleeper.wake();
        }
    }

    /// Reads whole records into `space`, if one fits in; notes the ends of those read before.
    pub(super) fn read(&mut self, space: &mut [u8], mut note: impl FnMut(&E)) -> Read {
        let may_ask = !std::mem::take(&mut self.has_asked_for_space);
        let buffer = loop {
            self.settle(&mut note);
            if let Some(buffer) = &mut self.current {
                break buffer;
            }
            match self.shared.deliveries.pop() {
                None => return Read::Nothing,
                Some(Delivery::Records(buffer)) => self.current = Some(buffer),
                Some(Delivery::Finished) => return Read::Finished,
                Some(Delivery::Failed(error)) => return Read::Failed(error),
            }
        };
        let count = match buffer.fitting(space.len()) {
            0 if may_ask => {
                self.has_asked_for_space = true;
                return Read::Full;
            }
            // A record longer than a chunk.
            0 => space.len(),
            count => count,
        };
        buffer.read(&mut space[..count]);
        Read::Bytes(count)
    }
}

impl<E> Drop for Intake<E> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `Outlet::is_left`.
        self.shared.is_left.store(true, Ordering::Release);
        self.shared.sleeper.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Buffer<(u8, u8)> {
        let mut buffer = Buffer::new();
        for (text, partition, next) in [(&b"one\n"[..], 0, 1), (b"a\nb\n", 3, 10), (b"\n", 0, 2)] {
            buffer.push(text);
            buffer.end((partition, next));
        }
        buffer
    }

    #[test]
    fn reads_end_with_records_where_they_can() {
        let buffer = filled();
        let fitting: Vec<usize> = (0..11).map(|space| buffer.fitting(space)).collect();
        assert_eq!(fitting, [0, 0, 0, 0, 4, 4, 4, 4, 8, 9, 9]);
    }

    #[test]
    fn an_end_is_behind_whole_records_only() {
        let mut buffer = filled();
        let read = |buffer: &mut Buffer<(u8, u8)>, count: usize| buffer.read(&mut vec![0; count]);
        read(&mut buffer, 6);
        assert_eq!(buffer.settle(), [(0, 1)]);
        assert_eq!(buffer.fitting(1), 0);
        read(&mut buffer, 2);
        assert_eq!(buffer.settle(), [(3, 10)]);
        read(&mut buffer, 1);
        assert!(!buffer.is_spent());
        assert_eq!(buffer.settle(), [(0, 2)]);
        assert!(buffer.is_spent());
    }

    fn record(outlet: &mut Outlet<u32>, lines: &[u8], end: u32) -> bool {
        outlet.lines(lines) && outlet.end(end)
    }

    /// Reads until there is nothing, in pieces of at most `space`.
    fn drain(intake: &mut Intake<u32>, space: usize) -> (Vec<u8>, Vec<u32>, Read) {
        let (mut bytes, mut ends, mut space) = (Vec::new(), Vec::new(), vec![0; space]);
        loop {
            match intake.read(&mut space, |&end| ends.push(end)) {
                Read::Bytes(count) => bytes.extend_from_slice(&space[..count]),
                Read::Full => {}
                last => return (bytes, ends, last),
            }
        }
    }

    #[test]
    fn records_are_whole_lines_and_ends_keep_their_places() {
        let (mut outlet, mut intake) = handover();
        outlet.adopt();
        record(&mut outlet, b"a", 1);
        record(&mut outlet, b"\xEF\xBB\xBFb\nc\n", 2);
        record(&mut outlet, b"", 3);
        outlet.lines(b"d");
        outlet.lines(b"e");
        outlet.end(4);
        outlet.hand_over();
        outlet.end(5);
        outlet.finish(Ok(()));
        let (bytes, ends, last) = drain(&mut intake, 3);
        assert_eq!(bytes, b"a\nb\nc\n\nd\ne\n");
        assert_eq!(ends, [1, 2, 3, 4, 5]);
        assert!(matches!(last, Read::Finished));
    }

    #[test]
    fn a_record_longer_than_a_buffer_comes_through_in_pieces() {
        let (mut outlet, mut intake) = handover();
        outlet.adopt();
        let long = vec![b'x'; 2 * BUFFER_BYTES + 1];
        assert!(record(&mut outlet, b"short", 1) && record(&mut outlet, &long, 2));
        outlet.finish(Ok(()));
        let (bytes, ends, _) = drain(&mut intake, 100_000);
        assert_eq!(bytes.len(), "short\n".len() + long.len() + 1);
        assert_eq!(ends, [1, 2]);
    }

    #[test]
    fn buffers_go_round_and_a_reader_that_leaves_ends_the_waiting() {
        let (mut outlet, mut intake) = handover();
        outlet.adopt();
        for round in 0..3 {
            for end in 0..BUFFERS as u32 {
                assert!(record(&mut outlet, b"x", end));
                outlet.hand_over();
            }
            assert!(!outlet.is_emptied(), "{round}");
            assert_eq!(drain(&mut intake, 16).1.len(), BUFFERS);
            assert!(outlet.is_emptied(), "{round}");
        }
        while outlet.shared.empty.pop().is_some() {}
        drop(intake);
        assert!(outlet.is_left() && !record(&mut outlet, b"x", 0));
    }
}
