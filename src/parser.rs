//! A parser thread: chunks in, blocks of combined pairs out.
//!
//! Fed by its lane, it judges every line of a chunk (or of a file's extent, which it reads itself),
//! has the keys combined into one block per shard, and the blocks sent when its lane is empty or a
//! few chunks have come together; a boundary mark is passed on to every shard behind the last pair
//! of its batch, so within a parser batches never mix. Nothing is shared but queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bad::BadLines;
use crate::chunk::{Chunk, Returns};
use crate::combine::Combiner;
use crate::extent::{self, ExtentSink};
use crate::faults;
use crate::hash::KeyHasher;
use crate::lane::{Lane, LaneItem};
use crate::pipe::PipeSender;
use crate::reader::ReaderWaker;
use crate::record::RecordParser;
use crate::source;

/// What a parser thread is made of.
pub struct Parser {
    /// Where chunks come from.
    pub lane: Arc<Lane>,
    /// Where they go back to.
    pub returns: Returns,
    /// Wakes the reader when something has moved.
    pub reader: ReaderWaker,
    /// One pipe to each shard.
    pub pipes: Vec<PipeSender>,
    /// What a record means.
    pub record: RecordParser,
    /// The hash of keys, the same for every parser.
    pub hasher: KeyHasher,
    /// What becomes of lines that are not counted.
    pub bad: BadLines,
    /// The length of a pane, where records have times of their own.
    pub pane_nanos: Option<u64>,
    /// Raised when an extent could not be read to its end: its batch lacks lines.
    pub unread: Arc<AtomicBool>,
}

impl Parser {
    /// Parses until the last batch's mark has been passed on.
    pub fn run(mut self) {
        self.lane.parser.adopt();
        let mut combiner = Combiner::new(self.hasher, self.pipes, self.bad, self.pane_nanos);
        loop {
            match self.lane.receive() {
                LaneItem::Chunk(mut chunk) => {
                    parse(&mut chunk, &mut self.record, &mut combiner);
                    if chunk.failure.is_some() {
                        // Relaxed: the queues on the way of the batch's mark order it for the merge.
                        self.unread.store(true, Ordering::Relaxed);
                    }
                    let fits = self.returns.push(chunk);
                    assert!(fits.is_ok(), "the return queue has room for every chunk");
                    faults::pause();
                    self.reader.wake();
                    if self.lane.is_empty() || combiner.is_due() {
                        combiner.flush();
                    }
                }
                LaneItem::Mark(mark) => {
                    self.reader.wake();
                    combiner.mark(&mark);
                    if mark.last {
                        combiner.finish();
                        return;
                    }
                }
            }
        }
    }
}

fn parse(chunk: &mut Chunk, record: &mut RecordParser, combiner: &mut Combiner) {
    if let Some(extent) = chunk.extent.take() {
        combiner.begin(extent.end - extent.start, chunk.received, chunk.source);
        let line_bytes_max = record.line_bytes_max();
        let mut own = OwnLines { record, combiner };
        if let Err(error) = extent::read(&extent, chunk.memory_mut(), line_bytes_max, &mut own) {
            chunk.failure = Some(source::failed(&extent.name, "read", &error));
        }
        return;
    }
    combiner.begin(chunk.lines().len() as u64, chunk.received, chunk.source);
    for head in chunk.oversize_heads() {
        combiner.oversize(head);
    }
    let lines = record.chunk(chunk.lines(), combiner);
    combiner.lines(lines);
}

/// Judges the lines of an extent.
struct OwnLines<'a> {
    record: &'a mut RecordParser,
    combiner: &'a mut Combiner,
}

impl ExtentSink for OwnLines<'_> {
    fn lines(&mut self, lines: &[u8]) {
        let lines = self.record.chunk(lines, self.combiner);
        self.combiner.lines(lines);
    }

    fn oversize(&mut self, head: &[u8]) {
        self.combiner.oversize(head);
    }
}
