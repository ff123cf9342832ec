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
use crate::hot::{Account, HotKeys, PANES_MAX, Unsettled};
use crate::key::{Fold, KeyRef};
use crate::lane::Mark;
use crate::ledger::Reason;
use crate::pipe::{PipeItem, PipeSender, Told};
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
    told: Told,
    /// Where records have times of their own.
    clock: Option<PaneClock>,
    bad: BadLines,
}

/// The time of the record at hand.
#[derive(Debug)]
struct PaneClock {
    pane_nanos: i64,
    /// The source of the lines at hand.
    source: usize,
    /// The latest time of the source since the lines of another one.
    latest: Option<i64>,
    pane: i64,
    /// The times that lie in the pane: `start..end`.
    start: i64,
    end: i64,
    /// The pane that the table of hot keys knows by [`PANES_MAX`] `/ 2`.
    base: i64,
}

impl PaneClock {
    fn new(pane_nanos: u64) -> PaneClock {
        PaneClock {
            pane_nanos: pane_nanos as i64,
            source: 0,
            latest: None,
            pane: 0,
            start: 0,
            end: 0,
            base: 0,
        }
    }

    /// What the table of hot keys knows the pane by, if it can.
    fn hot_pane(&self) -> Option<u32> {
        let pane = (self.pane - self.base).checked_add(i64::from(PANES_MAX / 2))?;
        u32::try_from(pane).ok().filter(|&pane| pane < PANES_MAX)
    }

    /// Enters the latest time of the source.
    fn settle(&mut self, told: &mut Told) {
        if let Some(latest) = self.latest.take() {
            told.latest.record(self.source, latest);
        }
    }
}

/// Bytes of lines after which blocks are sent, though more are waiting to be judged.
///
/// A block costs its shard a wake-up; this much is judged in less than a millisecond.
const COMBINED_BYTES_MAX: u64 = 1 << 20;

impl LineSink for Combiner {
    #[inline]
    fn counted(&mut self, key: KeyRef<'_>) {
        self.told.ledger.counted += 1;
        let fold = key.fold();
        if !self.hot.count(fold, key) {
            self.add(fold, key, None);
        }
    }

    #[inline]
    fn summed(&mut self, key: KeyRef<'_>, number: Option<Decimal>) {
        self.told.ledger.counted += 1;
        self.told.ledger.unsummed += u64::from(number.is_none());
        let fold = key.fold();
        if !self.hot.sum(fold, key, number.as_ref()) {
            self.add(fold, key, number.as_ref());
        }
    }

    #[inline]
    fn timed(&mut self, key: KeyRef<'_>, nanos: i64) {
        let clock = self.clock.as_mut();
        let clock = clock.expect("a combiner of a query with a time has panes");
        clock.latest = clock.latest.max(Some(nanos));
        if nanos < clock.start || nanos >= clock.end {
            self.turn_to(nanos);
        }
        self.counted(key);
    }

    fn dropped(&mut self, reason: Reason, line: &[u8]) {
        self.told.ledger.drop_line(reason);
        self.bad.offer(reason, line);
    }
}

impl Combiner {
    /// A combiner that sends down `pipes`. Records that have times of their own are kept apart by the pane
    /// of `pane_nanos` that they lie in.
    pub fn new(
        hasher: KeyHasher,
        pipes: Vec<PipeSender>,
        bad: BadLines,
        pane_nanos: Option<u64>,
    ) -> Combiner {
        Combiner {
            hasher,
            blocks: pipes.iter().map(|_| Box::default()).collect(),
            pipes,
            hot: HotKeys::default(),
            received: Timestamp::default(),
            bytes: 0,
            counted_before: 0,
            told: Told::default(),
            clock: pane_nanos.map(PaneClock::new),
            bad,
        }
    }

    /// So many bytes of lines come next, `received` then; where records have times of their own, all from
    /// one source.
    pub fn begin(&mut self, bytes: u64, received: Timestamp, source: usize) {
        if let Some(clock) = &mut self.clock {
            clock.settle(&mut self.told);
            clock.source = source;
        }
        if self.bytes == 0 {
            self.received = received;
        }
        self.bytes += bytes;
    }

    /// Lines that have been judged.
    pub fn lines(&mut self, lines: u64) {
        self.told.ledger.lines += lines;
        self.bad.judged(&self.told.ledger);
    }

    /// A line that was skipped for its length, and its first bytes.
    pub fn oversize(&mut self, head: &[u8]) {
        self.told.ledger.lines += 1;
        self.dropped(Reason::Oversize, head);
    }

    /// Whether blocks have waited long enough, though more chunks are at hand.
    pub fn is_due(&self) -> bool {
        self.bytes >= COMBINED_BYTES_MAX
    }

    /// Sends what is left.
    pub fn flush(&mut self) {
        self.bytes = 0;
        self.hot
            .adapt(self.told.ledger.counted - self.counted_before);
        self.counted_before = self.told.ledger.counted;
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
        if let Some(clock) = &mut self.clock {
            clock.settle(&mut self.told);
        }
        // The first shard carries what is to be told; the rest are told nothing.
        for pipe in &self.pipes {
            let told = std::mem::take(&mut self.told);
            pipe.send(PipeItem::Mark(mark.clone(), told));
        }
    }

    /// Tells that nothing follows.
    pub fn finish(self) {
        self.bad.finish();
    }

    /// The records that follow are of the pane that `nanos` lies in.
    #[cold]
    fn turn_to(&mut self, nanos: i64) {
        let clock = self.clock.as_mut().expect("there is a time");
        clock.pane = nanos.div_euclid(clock.pane_nanos);
        clock.start = clock.pane * clock.pane_nanos;
        clock.end = clock.start + clock.pane_nanos;
        if clock.hot_pane().is_none() {
            clock.base = clock.pane;
            // Then the table of hot keys is empty.
            self.flush();
        }
        let clock = self.clock.as_ref().expect("there is a time");
        let pane = clock.hot_pane().expect("the base itself is in reach");
        self.hot.set_pane(pane);
    }

    /// Adds a pair whose key is not a hot one, yet.
    #[inline(never)]
    fn add(&mut self, fold: Fold, key: KeyRef<'_>, number: Option<&Decimal>) {
        let hash = self.hasher.hash(fold, key);
        let shard = shard_of(hash, self.blocks.len());
        if let Some(clock) = &self.clock {
            self.blocks[shard].set_pane(clock.pane);
        }
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
