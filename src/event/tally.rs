//! What a shard counts by pane, beside what it counts by key.
//!
//! A list of `(pane, id, count)`, 16 bytes for each key that came in a pane; pairs that are equal but for
//! their counts are added together whenever the list has doubled, and at the batch's close, when it is
//! sorted as well. A batch is at the most [`BATCH_BYTES`](super::BATCH_BYTES) long, and so is bounded
//! what it brings.

use crate::counts::ClosedCounts;

/// The id of records whose key is beyond the limit on keys.
pub const OVERFLOW: u32 = u32::MAX;

/// The id of records whose key is `_other` itself.
pub const OTHER_KEY: u32 = u32::MAX - 1;

/// A list this long is never compacted before the close.
const COMPACT_MIN: usize = 4096;

/// Records of a key in a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PanePair {
    /// The pane's number: its start over the length of a pane.
    pub pane: i64,
    /// The key's id in the shard, or one of the ids above.
    pub id: u32,
    /// How many; a key that came more often has several.
    pub count: u32,
}

/// The pairs of a batch that is open.
#[derive(Debug, Default)]
pub struct Tally {
    pub(super) pairs: Vec<PanePair>,
    /// Pairs that are known to differ; they stand first.
    compacted: usize,
}

impl Tally {
    /// Counts records.
    #[inline]
    pub fn add(&mut self, pane: i64, id: u32, count: u64) {
        let mut rest = count;
        while rest > 0 {
            let count = u32::try_from(rest).unwrap_or(u32::MAX);
            self.pairs.push(PanePair { pane, id, count });
            rest -= u64::from(count);
        }
        if self.pairs.len() >= COMPACT_MIN.max(2 * self.compacted) {
            self.compact();
        }
    }

    /// The batch's pairs, sorted by pane; the next batch begins.
    pub fn close(&mut self) -> Vec<PanePair> {
        self.compact();
        self.compacted = 0;
        std::mem::take(&mut self.pairs)
    }

    #[cold]
    fn compact(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup_by(|next, kept| {
            let is_same = (next.pane, next.id) == (kept.pane, kept.id);
            let sum = kept.count.checked_add(next.count).filter(|_| is_same);
            if let Some(sum) = sum {
                kept.count = sum;
            }
            sum.is_some()
        });
        self.compacted = self.pairs.len();
    }
}

/// Takes records off the counts of their batch; returns how many.
pub(super) fn take_off(pairs: &[PanePair], closed: &mut ClosedCounts) -> u64 {
    let mut records = 0;
    for pair in pairs {
        let count = u64::from(pair.count);
        match pair.id {
            OVERFLOW => closed.overflow -= count,
            OTHER_KEY => closed.other -= count,
            id => closed.counts[id as usize] -= count,
        }
        records += count;
    }
    records
}
