//! The combiner: keys in, one block of combined pairs for each shard out.
//!
//! A parser thread's own. It takes the verdict of every line, counts lines by column, adds equal keys
//! together (the frequent ones in [`HotKeys`], the rest in their shard's [`Block`]), and sends a block
//! down its pipe when it is full, when the parser has nothing else to do, and at a boundary.
//!
//! Every pair is in a block that has been sent, or in this batch's ledger by the time its mark is.

use crate::bad::BadLines;
use crate::block::Block;
use crate::clock::Timestamp;
use crate::decimal::Decimal;
use crate::hash::{KeyHasher, shard_of};
use crate::hot::{Account, HotKeys, Unsettled};
use crate::key::{Fold, KeyRef};
use crate::lane::Mark;
use crate::ledger::{Ledger, Reason};
use crate::pipe::{PipeItem, PipeSender};
use crate::record::LineSink;

/// Combines the pairs of a few chunks. See the module's documentation.
pub struct Combiner {
    hasher: KeyHasher,
    /// One to each shard.
    pipes: Vec<PipeSender>,
    /// As many as pipes.
    blocks: Vec<Box<Block>>,
    hot: HotKeys,
    /// The first read of what is in the blocks.
    received: Timestamp,
    /// Bytes of lines whose pairs are in the blocks.
    bytes: u64,
    /// Pairs in all of the batch when the blocks were last sent.
    counted_before: u64,
    ledger: Ledger,
    bad: BadLines,
}

/// Bytes of lines after which blocks are sent, though more are waiting to be judged.
///
/// A block costs its shard a wake-up; this much is judged in less than a millisecond.
const COMBINED_BYTES_MAX: u64 = 1 << 20;

impl LineSink for Combiner {
    #[inline]
    fn counted(&mut self, key: KeyRef<'_>) {
        self.ledger.counted += 1;
        let fold = key.fold();
        if !self.hot.count(fold, key) {
            self.add(fold, key, None);
        }
    }

    #[inline]
    fn summed(&mut self, key: KeyRef<'_>, number: Option<Decimal>) {
        self.ledger.counted += 1;
        self.ledger.unsummed += u64::from(number.is_none());
        let fold = key.fold();
        if !self.hot.sum(fold, key, number.as_ref()) {
            self.add(fold, key, number.as_ref());
        }
    }

    fn dropped(&mut self, reason: Reason, line: &[u8]) {
        self.ledger.drop_line(reason);
        self.bad.offer(reason, line);
    }
}

impl Combiner {
    /// A combiner that sends down `pipes`.
    pub fn new(hasher: KeyHasher, pipes: Vec<PipeSender>, bad: BadLines) -> Combiner {
        Combiner {
            hasher,
            blocks: pipes.iter().map(|_| Box::default()).collect(),
            pipes,
            hot: HotKeys::default(),
            received: Timestamp::default(),
            bytes: 0,
            counted_before: 0,
            ledger: Ledger::default(),
            bad,
        }
    }

    /// So many bytes of lines come next, `received` then.
    pub fn begin(&mut self, bytes: u64, received: Timestamp) {
        if self.bytes == 0 {
            self.received = received;
        }
        self.bytes += bytes;
    }

    /// Lines that have been judged.
    pub fn lines(&mut self, lines: u64) {
        self.ledger.lines += lines;
        self.bad.judged(&self.ledger);
    }

    /// A line that was skipped for its length, and its first bytes.
    pub fn oversize(&mut self, head: &[u8]) {
        self.ledger.lines += 1;
        self.dropped(Reason::Oversize, head);
    }

    /// Whether blocks have waited long enough, though more chunks are at hand.
    pub fn is_due(&self) -> bool {
        self.bytes >= COMBINED_BYTES_MAX
    }

    /// Sends what is left.
    pub fn flush(&mut self) {
        self.bytes = 0;
        self.hot.adapt(self.ledger.counted - self.counted_before);
        self.counted_before = self.ledger.counted;
        self.bad.flush();
        for shard in 0..self.blocks.len() {
            if !self.blocks[shard].is_empty() {
                self.send(shard);
            }
        }
    }

    /// Sends what is left, then the mark, to every shard.
    pub fn mark(&mut self, mark: &Mark) {
        self.flush();
        self.bad.next_batch();
        self.counted_before = 0;
        // The first shard carries the ledger; that of the rest is empty.
        for pipe in &self.pipes {
            let ledger = std::mem::take(&mut self.ledger);
            pipe.send(PipeItem::Mark(mark.clone(), ledger));
        }
    }

    /// Tells that nothing follows.
    pub fn finish(self) {
        self.bad.finish();
    }

    /// Adds a pair whose key is not a hot one, yet.
    #[inline(never)]
    fn add(&mut self, fold: Fold, key: KeyRef<'_>, number: Option<&Decimal>) {
        let hash = self.hasher.hash(fold, key);
        let shard = shard_of(hash, self.blocks.len());
        let entry = if self.hot.is_resting() {
            self.blocks[shard].push(hash, fold, key)
        } else {
            let entry = self.blocks[shard].add(hash, fold, key);
            let account = Account {
                shard: shard as u32,
                entry,
            };
            if let Some(replaced) = self.hot.put(fold, key, account) {
                settle(&mut self.blocks[replaced.account.shard as usize], replaced);
            }
            entry
        };
        if let Some(number) = number {
            self.blocks[shard].add_number(entry, number);
        }
        if self.blocks[shard].is_full() {
            self.send(shard);
        }
    }

    fn send(&mut self, shard: usize) {
        let block = &mut self.blocks[shard];
        self.hot
            .settle(shard as u32, |unsettled| settle(block, unsettled));
        block.received = self.received;
        self.pipes[shard].swap(block);
    }
}

/// Enters what the table of hot keys has for a key of the block.
fn settle(block: &mut Block, unsettled: Unsettled) {
    let Account { entry, .. } = unsettled.account;
    block.add_more(entry, unsettled.count);
    if let Some(sum) = &unsettled.sum {
        block.add_number(entry, sum);
    }
}
