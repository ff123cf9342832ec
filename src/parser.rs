//! A parser thread: chunks in, blocks of combined pairs out.
//!
//! Fed by its lane, it judges every line of a chunk (or of a file's extent, which it reads itself),
//! combines the keys into one block per shard, and sends the blocks when its lane is empty or a few
//! chunks have come together; a boundary mark is passed on to every shard behind the last pair of
//! its batch, so within a parser batches never mix.
//!
//! Nothing is shared but queues: each line's cost is its parse, a hash, and one look into a table
//! that fits the first-level cache for streams of few keys.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::block::Block;
use crate::chunk::{Chunk, Returns};
use crate::clock::Timestamp;
use crate::extent::{self, ExtentSink};
use crate::key::KeyRef;
use crate::lane::{Lane, LaneItem};
use crate::ledger::{Ledger, Reason};
use crate::pipe::{PipeItem, PipeSender};
use crate::reader::ReaderWaker;
use crate::record::{LineSink, RecordParser};
use crate::sample::Sampler;
use crate::source;

/// The hash of a key; all parsers of a run use one state, drawn at its start so that nobody can
/// send keys that collide on purpose.
pub fn hash(state: &FixedState, key: KeyRef<'_>) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(key.bytes);
    hasher.write_u8(key.kind as u8);
    hasher.finish()
}

/// The shard of a key with this hash: `0 <= shard < shards`.
pub fn shard_of(hash: u64, shards: usize) -> usize {
    // Multiply-shift over bits that neither the tables' tags nor their buckets depend on alone.
    ((((hash >> 16) & 0xFFFF_FFFF) * shards as u64) >> 32) as usize
}

/// Combines the pairs of a chunk, one block for each shard.
struct Combiner {
    hash_state: FixedState,
    pipes: Vec<PipeSender>,
    /// As many as pipes.
    blocks: Vec<Box<Block>>,
    /// The first read of what is in the blocks.
    received: Timestamp,
    /// Chunks whose pairs are in the blocks.
    chunks: usize,
    ledger: Ledger,
    sampler: Sampler,
}

/// Chunks whose pairs are combined at the most before they are sent, while more are waiting.
///
/// A block costs its shard a wake-up; this many chunks of 256 KiB are parsed in less than a
/// millisecond.
const COMBINED_CHUNKS_MAX: usize = 4;

impl LineSink for Combiner {
    fn counted(&mut self, key: KeyRef<'_>) {
        let hash = hash(&self.hash_state, key);
        let shard = shard_of(hash, self.blocks.len());
        let block = &mut self.blocks[shard];
        block.add(hash, key);
        self.ledger.counted += 1;
        if block.is_full() {
            self.send(shard);
        }
    }

    fn dropped(&mut self, reason: Reason, line: &[u8]) {
        self.ledger.drop_line(reason);
        self.sampler.offer(reason, line);
    }
}

impl Combiner {
    /// A line that was skipped for its length.
    fn oversize(&mut self, head: &[u8]) {
        self.ledger.lines += 1;
        self.dropped(Reason::Oversize, head);
    }

    fn send(&mut self, shard: usize) {
        let block = &mut self.blocks[shard];
        block.received = self.received;
        self.pipes[shard].swap(block);
    }

    /// Sends what the chunks left.
    fn flush(&mut self) {
        self.chunks = 0;
        for shard in 0..self.blocks.len() {
            if !self.blocks[shard].is_empty() {
                self.send(shard);
            }
        }
    }
}

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
    pub hash_state: FixedState,
    /// Takes samples of bad lines.
    pub sampler: Sampler,
}

impl Parser {
    /// Parses until the last batch's mark has been passed on.
    pub fn run(mut self) {
        self.lane.parser.adopt();
        let mut combiner = Combiner {
            hash_state: self.hash_state,
            blocks: self.pipes.iter().map(|_| Box::default()).collect(),
            pipes: self.pipes,
            received: Timestamp::default(),
            chunks: 0,
            ledger: Ledger::default(),
            sampler: self.sampler,
        };
        loop {
            match self.lane.receive() {
                LaneItem::Chunk(mut chunk) => {
                    parse(&mut chunk, &mut self.record, &mut combiner);
                    let fits = self.returns.push(chunk);
                    assert!(fits.is_ok(), "the return queue has room for every chunk");
                    self.reader.wake();
                    if self.lane.is_empty() || combiner.chunks >= COMBINED_CHUNKS_MAX {
                        combiner.flush();
                    }
                }
                LaneItem::Mark(mark) => {
                    self.reader.wake();
                    combiner.flush();
                    combiner.sampler.next_batch();
                    // The first shard carries the ledger; that of the rest is empty.
                    for pipe in &combiner.pipes {
                        let ledger = std::mem::take(&mut combiner.ledger);
                        pipe.send(PipeItem::Mark(mark, ledger));
                    }
                    if mark.last {
                        return;
                    }
                }
            }
        }
    }
}

fn parse(chunk: &mut Chunk, record: &mut RecordParser, combiner: &mut Combiner) {
    if combiner.chunks == 0 {
        combiner.received = chunk.received;
    }
    combiner.chunks += 1;
    if let Some(extent) = chunk.extent.take() {
        combiner.chunks = COMBINED_CHUNKS_MAX;
        let line_bytes_max = record.line_bytes_max();
        let mut own = OwnLines { record, combiner };
        if let Err(error) = extent::read(&extent, chunk.memory_mut(), line_bytes_max, &mut own) {
            chunk.failure = Some(source::failed(&extent.name, "read", &error));
        }
        return;
    }
    for _ in 0..chunk.oversize_lines {
        combiner.oversize(&chunk.oversize_head);
    }
    combiner.ledger.lines += record.chunk(chunk.lines(), combiner);
}

/// Judges the lines of an extent.
struct OwnLines<'a> {
    record: &'a mut RecordParser,
    combiner: &'a mut Combiner,
}

impl ExtentSink for OwnLines<'_> {
    fn lines(&mut self, lines: &[u8]) {
        self.combiner.ledger.lines += self.record.chunk(lines, self.combiner);
    }

    fn oversize(&mut self, head: &[u8]) {
        self.combiner.oversize(head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_gets_its_share() {
        let state = FixedState::with_seed(1);
        for shards in [1, 2, 3, 7] {
            let mut keys = vec![0u32; shards];
            for i in 0..10_000 {
                let text = i.to_string();
                keys[shard_of(hash(&state, KeyRef::string(&text)), shards)] += 1;
            }
            let fair = 10_000 / shards as u32;
            assert!(
                keys.iter()
                    .all(|&n| n > fair * 8 / 10 && n < fair * 12 / 10),
                "{keys:?}"
            );
        }
    }

    #[test]
    fn kinds_hash_apart() {
        let state = FixedState::with_seed(1);
        assert_ne!(
            hash(&state, KeyRef::string("1")),
            hash(&state, KeyRef::number("1"))
        );
    }
}
