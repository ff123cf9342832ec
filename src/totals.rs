//! Totals since the start, and the rows that come of them.
//!
//! The batch merge adds each shard's closed counts: two arrays over the same ids, so a million keys
//! take a millisecond or two and no key is hashed or compared. Keys are looked at only to be shown.
//!
//! Rows are sorted by count, largest first, then by key; with a limit, only as many as it allows
//! are kept at any time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::counts::{ClosedCounts, KeyPlace, OTHER, Segments};
use crate::key::KeyRef;
use crate::sink::{Hidden, Row};
use crate::state::ShardChange;
use crate::window::Sums;

#[derive(Debug, Default)]
struct ShardTotals {
    segments: Segments,
    /// By id.
    places: Vec<KeyPlace>,
    /// By id; as many as places.
    totals: Vec<u64>,
    /// Segments and places that the state knows of.
    told: (usize, usize),
}

/// Totals of all keys of all shards.
#[derive(Debug, Default)]
pub struct Totals {
    shards: Vec<ShardTotals>,
    overflow: u64,
    other: u64,
}

/// The counts of one closed batch, by shard and id.
#[derive(Debug, Default)]
pub struct BatchCounts {
    shards: Vec<Vec<u64>>,
    /// Records under [`OTHER`], whether that was their key or theirs was beyond the limit.
    other: u64,
    records: u64,
}

impl Totals {
    /// No keys yet, in `shards` shards.
    pub fn new(shards: usize) -> Totals {
        Totals {
            shards: (0..shards).map(|_| ShardTotals::default()).collect(),
            overflow: 0,
            other: 0,
        }
    }

    /// Keys of an earlier run, as the shards have taken and closed them, with their totals by id.
    ///
    /// # Panics
    /// If there are not as many totals as keys.
    pub fn restored(
        closed: Vec<ClosedCounts>,
        totals: Vec<Vec<u64>>,
        overflow: u64,
        other: u64,
    ) -> Totals {
        let mut restored = Totals::new(totals.len());
        restored.add(closed);
        for (shard, totals) in restored.shards.iter_mut().zip(totals) {
            assert_eq!(shard.totals.len(), totals.len(), "a total for each key");
            shard.totals = totals;
            shard.told = (0, shard.places.len());
        }
        (restored.overflow, restored.other) = (overflow, other);
        restored
    }

    /// What a batch that was just added has changed, shard by shard, for the state.
    pub fn change(&mut self, batch: &BatchCounts) -> Vec<ShardChange> {
        let shards = self.shards.iter_mut().zip(&batch.shards);
        let change = |(shard, counts): (&mut ShardTotals, &Vec<u64>)| {
            let changed = counts.iter().enumerate().filter(|&(_, &count)| count > 0);
            let change = ShardChange {
                new_keys: shard.places[shard.told.1..].to_vec(),
                new_segments: shard.segments.from(shard.told.0).to_vec(),
                totals: changed
                    .map(|(id, _)| (id as u32, shard.totals[id]))
                    .collect(),
            };
            shard.told = (shard.told.0 + change.new_segments.len(), shard.places.len());
            change
        };
        shards.map(change).collect()
    }

    /// Adds what the shards closed, one after the other in their order.
    ///
    /// # Panics
    /// If a shard skipped a batch: its ids would not fit.
    pub fn add(&mut self, closed: Vec<ClosedCounts>) -> BatchCounts {
        let mut batch = BatchCounts::default();
        for (shard, closed) in self.shards.iter_mut().zip(closed) {
            shard.segments.extend(closed.new_segments);
            shard.places.extend(closed.new_keys);
            shard.totals.resize(shard.places.len(), 0);
            assert_eq!(
                shard.totals.len(),
                closed.counts.len(),
                "ids of a shard and of the merge"
            );
            for (total, count) in shard.totals.iter_mut().zip(&closed.counts) {
                *total += count;
                batch.records += count;
            }
            self.overflow += closed.overflow;
            self.other += closed.other;
            batch.other += closed.overflow + closed.other;
            batch.shards.push(closed.counts);
        }
        batch.records += batch.other;
        batch
    }

    /// Distinct keys, those beyond the limit not among them.
    pub fn keys(&self) -> u64 {
        let shards = self.shards.iter();
        let places: u64 = shards.map(|shard| shard.places.len() as u64).sum();
        places + u64::from(self.other > 0)
    }

    /// Records whose key is [`OTHER`] itself.
    pub fn other(&self) -> u64 {
        self.other
    }

    /// Records beyond the key limit.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The rows of a batch.
    pub fn batch_rows(&self, batch: &BatchCounts, top: Option<usize>) -> (Vec<Row<'_>>, Hidden) {
        self.rows(&batch.shards, batch.other, top)
    }

    /// The rows of a window.
    pub fn window_rows(&self, window: &Sums, top: Option<usize>) -> (Vec<Row<'_>>, Hidden) {
        self.rows(&window.shards, window.other, top)
    }

    /// The key with this id.
    pub(crate) fn key(&self, shard: usize, id: usize) -> KeyRef<'_> {
        self.shards[shard].key(id)
    }

    /// Rows of counts by shard and id, and of `other` records under [`OTHER`].
    fn rows(&self, counts: &[Vec<u64>], other: u64, top: Option<usize>) -> (Vec<Row<'_>>, Hidden) {
        let mut rows = TopRows::new(top);
        for (shard, counts) in self.shards.iter().zip(counts) {
            for (id, &count) in counts.iter().enumerate() {
                if count > 0 {
                    rows.offer(count, shard.totals[id], || shard.key(id));
                }
            }
        }
        if other > 0 {
            rows.offer(other, self.overflow + self.other, || OTHER);
        }
        rows.finish()
    }

    /// The rows of all keys.
    pub fn total_rows(&self, top: Option<usize>) -> (Vec<Row<'_>>, Hidden) {
        let mut rows = TopRows::new(top);
        for shard in &self.shards {
            for (id, &total) in shard.totals.iter().enumerate() {
                rows.offer(total, total, || shard.key(id));
            }
        }
        let other = self.overflow + self.other;
        if other > 0 {
            rows.offer(other, other, || OTHER);
        }
        rows.finish()
    }
}

impl BatchCounts {
    /// A batch with these counts by shard and id.
    #[cfg(test)]
    pub(crate) fn of(shards: Vec<Vec<u64>>, other: u64) -> BatchCounts {
        let records = shards.iter().flatten().sum::<u64>() + other;
        BatchCounts {
            shards,
            other,
            records,
        }
    }

    /// The sum of all counts.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Records by shard and id.
    pub(crate) fn shards(&self) -> &[Vec<u64>] {
        &self.shards
    }

    /// Records under [`OTHER`].
    pub(crate) fn other(&self) -> u64 {
        self.other
    }

    /// The arrays, all zeros again, for the shards to count the next batches in.
    pub fn into_zeros(self) -> impl Iterator<Item = Vec<u64>> {
        self.shards.into_iter().map(|mut counts| {
            counts.fill(0);
            counts
        })
    }
}

impl ShardTotals {
    fn key(&self, id: usize) -> KeyRef<'_> {
        self.segments.key(self.places[id])
    }
}

/// A row in the order of output: the first row is the least.
#[derive(PartialEq, Eq)]
struct Ranked<'a>(Row<'a>);

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |row: &Row<'_>| Reverse(row.count);
        rank(&self.0)
            .cmp(&rank(&other.0))
            .then_with(|| self.0.key.cmp(&other.0.key))
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Keeps the first rows of the output, and what the others come to.
struct TopRows<'a> {
    /// The row that would be hidden next is on top; at most `limit` rows.
    heap: BinaryHeap<Ranked<'a>>,
    /// All rows, while there is no limit.
    all: Vec<Ranked<'a>>,
    limit: Option<usize>,
    hidden: Hidden,
}

impl<'a> TopRows<'a> {
    fn new(limit: Option<usize>) -> TopRows<'a> {
        TopRows {
            heap: BinaryHeap::new(),
            all: Vec::new(),
            limit,
            hidden: Hidden::default(),
        }
    }

    fn offer(&mut self, count: u64, total: u64, key: impl FnOnce() -> KeyRef<'a>) {
        let Some(limit) = self.limit else {
            self.all.push(Ranked(Row {
                key: key(),
                count,
                total,
            }));
            return;
        };
        if self.heap.len() < limit {
            self.heap.push(Ranked(Row {
                key: key(),
                count,
                total,
            }));
            return;
        }
        // Most keys are turned away here, before their bytes are looked at.
        let mut loser = count;
        if let Some(mut last) = self.heap.peek_mut()
            && count >= last.0.count
        {
            let row = Ranked(Row {
                key: key(),
                count,
                total,
            });
            if row < *last {
                loser = last.0.count;
                *last = row;
            }
        }
        self.hidden.keys += 1;
        self.hidden.count += loser;
    }

    fn finish(self) -> (Vec<Row<'a>>, Hidden) {
        let mut rows = self.all;
        rows.extend(self.heap);
        rows.sort_unstable();
        (
            rows.into_iter().map(|ranked| ranked.0).collect(),
            self.hidden,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_are_in_the_order_of_count_and_key() {
        let texts = [
            "",
            "\0",
            "a",
            "a\0",
            "a\0\0",
            "ab",
            "b",
            "\u{e4}",
            "0123456789abcdef",
        ];
        let long = [
            "0123456789abcdef\0",
            "0123456789abcdef0",
            "0123456789abcdee~",
        ];
        let mut rows = Vec::new();
        for (i, text) in texts.into_iter().chain(long).enumerate() {
            for key in [KeyRef::string(text), KeyRef::number(text)] {
                rows.push((i as u64 % 2 + 1, key));
            }
        }
        rows.push((1, KeyRef::null()));
        rows.push((1, KeyRef::boolean(false)));
        let mut all = TopRows::new(None);
        for &(count, key) in &rows {
            all.offer(count, count, || key);
        }
        rows.sort_by_key(|&(count, key)| (Reverse(count), key));
        let (shown, _) = all.finish();
        let shown: Vec<_> = shown.iter().map(|row| (row.count, row.key)).collect();
        assert_eq!(shown, rows);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_limit_hides_the_rows_that_sorting_puts_last(
            counts in proptest::collection::vec(1u64..6, 0..40),
            limit in 0usize..50,
        ) {
            let keys: Vec<String> = (0..counts.len()).map(|i| format!("k{}", (i * 7) % 40)).collect();
            let (mut all, mut limited) = (TopRows::new(None), TopRows::new(Some(limit)));
            for (key, &count) in keys.iter().zip(&counts) {
                all.offer(count, count, || KeyRef::string(key));
                limited.offer(count, count, || KeyRef::string(key));
            }
            let (all, none) = all.finish();
            let (limited, hidden) = limited.finish();
            prop_assert_eq!(none, Hidden::default());
            prop_assert_eq!(&all[..limit.min(all.len())], &limited[..]);
            let rest = &all[limited.len()..];
            let sum = rest.iter().map(|row| row.count).sum();
            prop_assert_eq!(hidden, Hidden { keys: rest.len() as u64, count: sum });
        }
    }
}
