//! The reject file: bad lines kept as they came, so that they can be looked at, mended and counted
//! again.
//!
//! Kept are malformed lines, those without the key ([`Reason::Missing`]), and the heads of
//! oversize ones. Blank and filtered lines are not: nothing is wrong with them. Nor are late ones: which
//! those are is known where the lines are no more.
//!
//! A parser fills blocks of lines and sends them through a pipe of its own, lock-free and bounded, to
//! the thread of the [`RejectWriter`], which sends them back empty. No line is lost in silence: a
//! parser whose blocks are all on their way waits, as it does for a shard, and so in the end does the
//! sender. A file that cannot be written to any more ends the saving and not the counting; what is
//! not saved from then on is counted.
//!
//! Order: one parser's lines stand in the order they came; those of several are mixed block by block.
//!
//! Bound: two blocks and one being filled for each parser, each of 64 KiB or one longer line; the file
//! and one older one of `bytes_max` each.

mod file;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::framing::OVERSIZE_HEAD_BYTES;
use crate::lane::Lane;
use crate::ledger::Reason;
use crate::thread::ThreadSleeper;

pub use file::RejectFile;
pub use writer::{RejectWriter, Rejected};

/// Which file, and how long it may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectOptions {
    /// The file; bad lines are appended.
    pub path: PathBuf,
    /// Its length in bytes when it is put aside under the same name with `.1` behind it.
    pub bytes_max: u64,
}

impl RejectOptions {
    /// What the file is called when it has been put aside.
    pub fn older(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".1");
        name.into()
    }
}

/// Blocks of a parser, beside the one it fills.
pub(crate) const BLOCKS_MAX: usize = 2;

/// Bytes of lines in a block; a longer line has a block of its own.
pub(crate) const BLOCK_BYTES: usize = 64 * 1024;

/// Whether lines dropped for this reason are kept.
pub fn is_kept(reason: Reason) -> bool {
    match reason {
        Reason::Malformed | Reason::Missing | Reason::Oversize | Reason::Late => true,
        Reason::Blank | Reason::Filtered => false,
    }
}

/// Lines, each ended by a newline.
type Block = Vec<u8>;

/// The queues between one parser and the writer.
#[derive(Debug)]
struct Pipe {
    /// Full blocks; `None`: the parser's last word.
    full: ArrayQueue<Option<Block>>,
    empty: ArrayQueue<Block>,
    /// Holds the parser's own sleeper.
    lane: Arc<Lane>,
}

/// One parser's end.
#[derive(Debug)]
pub struct Rejecter {
    pipe: Arc<Pipe>,
    writer: Arc<ThreadSleeper>,
    block: Block,
    /// Bytes that are kept of an oversize line.
    head_bytes: usize,
}

/// A way from each parser, known by its lane, to a writer of `file`. Lines are oversize that have more
/// than `line_bytes_max` bytes.
pub fn connect(
    lanes: &[Arc<Lane>],
    file: RejectFile,
    line_bytes_max: usize,
) -> (Vec<Rejecter>, RejectWriter) {
    let writer: Arc<ThreadSleeper> = Arc::default();
    let pipe = |lane: &Arc<Lane>| {
        let empty = ArrayQueue::new(BLOCKS_MAX);
        for _ in 0..BLOCKS_MAX {
            let fits = empty.push(Block::new());
            assert!(fits.is_ok(), "an empty queue has room");
        }
        Arc::new(Pipe {
            full: ArrayQueue::new(BLOCKS_MAX + 1),
            empty,
            lane: Arc::clone(lane),
        })
    };
    let pipes: Vec<Arc<Pipe>> = lanes.iter().map(pipe).collect();
    let rejecter = |pipe: &Arc<Pipe>| Rejecter {
        pipe: Arc::clone(pipe),
        writer: Arc::clone(&writer),
        block: Block::new(),
        // However the line was cut when it was seen to be too long, this much was there.
        head_bytes: OVERSIZE_HEAD_BYTES.min(line_bytes_max.saturating_add(1)),
    };
    let rejecters = pipes.iter().map(rejecter).collect();
    (rejecters, RejectWriter::new(pipes, writer, file))
}

impl Rejecter {
    /// Keeps a line, if it is one to keep; waits if the writer is behind.
    pub fn offer(&mut self, reason: Reason, line: &[u8]) {
        if !is_kept(reason) {
            return;
        }
        let line = match reason {
            Reason::Oversize => &line[..line.len().min(self.head_bytes)],
            _ => line,
        };
        if self.block.len() + line.len() >= BLOCK_BYTES {
            self.flush();
        }
        self.block.extend_from_slice(line);
        self.block.push(b'\n');
    }

    /// Sends what has come together.
    pub fn flush(&mut self) {
        if !self.block.is_empty() {
            let empty = self.pipe.lane.parser.wait(|| self.pipe.empty.pop());
            let full = std::mem::replace(&mut self.block, empty);
            self.send(Some(full));
        }
    }

    /// Sends what is left, and that nothing follows.
    pub fn finish(mut self) {
        self.flush();
        self.send(None);
    }

    fn send(&self, item: Option<Block>) {
        let fits = self.pipe.full.push(item);
        assert!(
            fits.is_ok(),
            "the queue has room for every block and the last word"
        );
        self.writer.wake();
    }
}

#[cfg(test)]
mod tests;
