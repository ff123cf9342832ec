//! Lanes: one bounded queue per parser, from the reader.
//!
//! A lane holds chunks and, behind the last chunk of a batch, its boundary mark. Order in a lane is
//! the order of reading. A full lane stops the reading: that is the program's backpressure. The
//! reader knows how many chunks each parser has in hand, as every chunk comes back to it.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::chunk::Chunk;
use crate::clock::Timestamp;
use crate::source::{FileOffset, SourceOffsets};
use crate::thread::ThreadSleeper;

/// Whether records of a source may still come, for the event-time watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They may, and not much older than those that came.
    Active,
    /// They may, of any time: it is several streams, one after the other.
    Holding,
    /// Nothing has come for the idle timeout.
    Idle,
    /// The source is over.
    Over,
}

/// The boundary of a batch, on its way behind the batch's last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The batch's number; the first is 1.
    pub batch: u64,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// No batch follows: who passes the mark on ends.
    pub last: bool,
    /// Where each source that can be resumed stands behind the batch.
    pub offsets: Arc<[SourceOffsets]>,
    /// How far the files have come that were read since the mark before.
    pub files: Arc<[FileOffset]>,
    /// What may still come of each source, by number; empty unless records have times of their own.
    pub standing: Arc<[Standing]>,
}

/// What goes down a lane.
#[derive(Debug)]
pub enum LaneItem {
    /// Whole lines.
    Chunk(Box<Chunk>),
    /// Everything of the batch has come before this.
    Mark(Mark),
}

/// One parser's lane.
#[derive(Debug)]
pub struct Lane {
    queue: ArrayQueue<LaneItem>,
    /// The parser's sleeper, which everybody it waits for wakes.
    pub parser: ThreadSleeper,
}

/// Marks that fit into a lane beside its chunks.
const MARKS_MAX: usize = 4;

impl Lane {
    /// A lane for `chunks_max` chunks.
    pub fn new(chunks_max: usize) -> Lane {
        Lane {
            queue: ArrayQueue::new(chunks_max + MARKS_MAX),
            parser: ThreadSleeper::default(),
        }
    }

    /// The reader's, who alone sends: whether the next item will fit.
    pub fn has_room(&self) -> bool {
        !self.queue.is_full()
    }

    /// Sends an item, or gives it back when the lane is full.
    ///
    /// # Errors
    /// The item itself.
    pub fn send(&self, item: LaneItem) -> Result<(), LaneItem> {
        self.queue.push(item)?;
        self.parser.wake();
        Ok(())
    }

    /// The parser's: whether nothing waits for it.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The parser's: takes the next item, sleeping until there is one.
    ///
    /// The item must be told to the reader: a chunk by its return, a mark by a wake.
    pub fn receive(&self) -> LaneItem {
        self.parser.wait(|| self.queue.pop())
    }
}
