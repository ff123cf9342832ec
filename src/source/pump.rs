//! Bytes from a thread of their own to the reader, for what can only be had by waiting or by work: archives
//! are decompressed there, and whatever a library's user can read from is read there.
//!
//! The thread fills one of a few buffers and hands it to the reader, which copies it into its chunk and hands
//! it back: two bounded queues, no lock. With no buffer to fill the thread sleeps, so a slow pipeline slows
//! it, and whoever writes what it reads.
//!
//! Memory: [`BUFFERS`] buffers of [`BUFFER_BYTES`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use mio::Waker;

use crate::thread::{ThreadSleeper, spawn};

/// Buffers between the thread and the reader: one is filled, one read, the others take up what either
/// is ahead.
const BUFFERS: usize = 4;

/// The size of a buffer: the thread's and the reader's stay in the second-level cache.
const BUFFER_BYTES: usize = 256 * 1024;

/// The memory of all buffers.
pub(super) const MEMORY_BYTES: usize = BUFFERS * BUFFER_BYTES;

/// What the thread does.
pub(super) trait Fill: Send + 'static {
    /// Puts bytes into the buffer, at least one unless this is the end; then how the stream ended, if it did.
    fn fill(&mut self, buffer: &mut [u8]) -> (usize, Option<io::Result<()>>);
}

/// What the thread hands to the reader.
#[derive(Debug)]
enum Piece {
    /// The first so many bytes of the buffer, at least one.
    Bytes(Box<[u8]>, usize),
    /// There is no more.
    End(io::Result<()>),
}

/// What the thread and the reader share.
#[derive(Debug)]
struct Shared {
    /// To the reader; never full, as it holds every buffer and the end.
    full: ArrayQueue<Piece>,
    /// Back to the thread; never full, as it holds every buffer.
    empty: ArrayQueue<Box<[u8]>>,
    /// The thread's.
    sleeper: ThreadSleeper,
    /// Nobody wants to read on.
    is_abandoned: AtomicBool,
}

/// The reader's end. The thread ends when this is dropped, once it comes back from what it waits for.
#[derive(Debug)]
pub(super) struct Pump {
    shared: Arc<Shared>,
    /// A buffer that is being read, and its bytes that were not read yet: `from < to`.
    open: Option<(Box<[u8]>, usize, usize)>,
}

/// What [`Pump::read`] found.
#[derive(Debug)]
pub(super) enum Pumped {
    Bytes(usize),
    /// Nothing at the moment; the waker tells when to ask again.
    Nothing,
    End(io::Result<()>),
}

impl Pump {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// If the system refuses it.
    pub(super) fn start(name: &str, fill: impl Fill, waker: Arc<Waker>) -> io::Result<Pump> {
        let shared = Arc::new(Shared {
            full: ArrayQueue::new(BUFFERS + 1),
            empty: ArrayQueue::new(BUFFERS),
            sleeper: ThreadSleeper::default(),
            is_abandoned: AtomicBool::new(false),
        });
        for _ in 0..BUFFERS {
            let fits = shared.empty.push(vec![0; BUFFER_BYTES].into());
            assert!(fits.is_ok(), "the queue of empty buffers holds them all");
        }
        let thread = PumpThread {
            shared: Arc::clone(&shared),
            waker,
        };
        spawn(name.to_owned(), None, move || thread.run(fill))?;
        Ok(Pump { shared, open: None })
    }

    /// Takes bytes into `space`, which is not empty; never waits.
    pub(super) fn read(&mut self, space: &mut [u8]) -> Pumped {
        if self.open.is_none() {
            match self.shared.full.pop() {
                None => return Pumped::Nothing,
                Some(Piece::End(result)) => return Pumped::End(result),
                Some(Piece::Bytes(buffer, count)) => self.open = Some((buffer, 0, count)),
            }
        }
        let (buffer, from, to) = self.open.as_mut().expect("there is a buffer now");
        let count = space.len().min(*to - *from);
        space[..count].copy_from_slice(&buffer[*from..*from + count]);
        *from += count;
        if from == to
            && let Some((buffer, ..)) = self.open.take()
        {
            let fits = self.shared.empty.push(buffer);
            assert!(fits.is_ok(), "the queue of empty buffers holds them all");
            self.shared.sleeper.wake();
        }
        Pumped::Bytes(count)
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        // Relaxed: nothing but the flag is told, and the sleeper's fence orders it before the wake-up.
        self.shared.is_abandoned.store(true, Ordering::Relaxed);
        self.shared.sleeper.wake();
    }
}

struct PumpThread {
    shared: Arc<Shared>,
    waker: Arc<Waker>,
}

impl PumpThread {
    fn run(self, mut fill: impl Fill) {
        self.shared.sleeper.adopt();
        while let Some(mut buffer) = self.next_buffer() {
            let (count, end) = fill.fill(&mut buffer);
            if count > 0 {
                self.send(Piece::Bytes(buffer, count));
            }
            if let Some(result) = end {
                return self.send(Piece::End(result));
            }
        }
    }

    /// The next empty buffer, waited for; `None` when nobody wants to read on.
    fn next_buffer(&self) -> Option<Box<[u8]>> {
        self.shared.sleeper.wait(|| {
            // Relaxed: see `Pump::drop`.
            if self.shared.is_abandoned.load(Ordering::Relaxed) {
                return Some(None);
            }
            self.shared.empty.pop().map(Some)
        })
    }

    fn send(&self, piece: Piece) {
        let fits = self.shared.full.push(piece);
        assert!(fits.is_ok(), "the queue of full buffers holds them all");
        // The only failure is a full eventfd counter: then a wake-up is pending anyway.
        drop(self.waker.wake());
    }
}
