//! Totals since the start, and the rows that come of them.
//!
//! The batch merge adds each shard's closed counts: two arrays over the same ids, so a million keys
//! take a millisecond or two and no key is hashed or compared. Keys are looked at only to be shown.
//!
//! Rows are sorted by count, largest first, then by key; with a limit, only as many as it allows
//! are kept at any time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::counts::{ClosedCounts, KeyPlace, OTHER, Segments, Zeros};
use crate::decimal::Decimal;
use crate::key::{KeyKind, KeyRef};
use crate::sink::{Hidden, Row, RowSums};
use crate::state::{Saved, ShardChange};
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
    /// By id, up to the last for which a number came; the others' are 0.
    sums: Vec<Decimal>,
}

/// Totals of all keys of all shards.
#[derive(Debug, Default)]
pub struct Totals {
    shards: Vec<ShardTotals>,
    overflow: u64,
    other: u64,
    other_sum: Decimal,
    /// Whether rows show sums.
    has_sums: bool,
}

/// The counts of one closed batch, by shard and id.
#[derive(Debug, Default)]
pub struct BatchCounts {
    shards: Vec<Vec<u64>>,
    /// By shard; each up to the last id for which a number came.
    sums: Vec<Vec<Decimal>>,
    /// Records under [`OTHER`], whether that was their key or theirs was beyond the limit.
    other: u64,
    other_sum: Decimal,
    records: u64,
}

/// The sum of an id that is not in its array.
const ZERO: &Decimal = &Decimal::ZERO;

impl Totals {
    /// No keys yet, in `shards` shards.
    pub fn new(shards: usize) -> Totals {
        Totals {
            shards: (0..shards).map(|_| ShardTotals::default()).collect(),
            ..Totals::default()
        }
    }

    /// Has rows show sums from now on.
    pub fn show_sums(&mut self) {
        self.has_sums = true;
    }

    /// Keys of an earlier run, as the shards have taken and closed them, with their totals by id.
    ///
    /// # Panics
    /// If there are not as many totals as keys.
    pub fn restored(
        closed: Vec<ClosedCounts>,
        totals: Vec<Vec<u64>>,
        sums: Vec<Vec<Decimal>>,
        saved: &Saved,
    ) -> Totals {
        let mut restored = Totals::new(totals.len());
        restored.add(closed);
        let shards = restored.shards.iter_mut().zip(totals).zip(sums);
        for ((shard, totals), sums) in shards {
            assert_eq!(shard.totals.len(), totals.len(), "a total for each key");
            (shard.totals, shard.sums) = (totals, sums);
            shard.told = (0, shard.places.len());
        }
        (restored.overflow, restored.other) = (saved.overflow, saved.other);
        restored.other_sum = saved.other_sum;
        restored
    }

    /// What a batch that was just added has changed, shard by shard, for the state.
    pub fn change(&mut self, batch: &BatchCounts) -> Vec<ShardChange> {
        let has_sums = self.has_sums;
        let shards = self.shards.iter_mut().zip(&batch.shards);
        let change = |(shard, counts): (&mut ShardTotals, &Vec<u64>)| {
            let changed = counts.iter().enumerate().filter(|&(_, &count)| count > 0);
            let changed = changed.map(|(id, _)| id);
            let summed = changed.clone().filter(|_| has_sums);
            let change = ShardChange {
                sums: summed.map(|id| *shard.sum(id)).collect(),
                new_keys: shard.places[shard.told.1..].to_vec(),
                new_segments: shard.segments.from(shard.told.0).to_vec(),
                totals: changed.map(|id| (id as u32, shard.totals[id])).collect(),
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
            if shard.sums.len() < closed.sums.len() {
                shard.sums.resize(closed.sums.len(), Decimal::ZERO);
            }
            for (total, sum) in shard.sums.iter_mut().zip(&closed.sums) {
                *total += sum;
            }
            self.overflow += closed.overflow;
            self.other += closed.other;
            self.other_sum += &closed.other_sum;
            batch.other += closed.overflow + closed.other;
            batch.other_sum += &closed.other_sum;
            batch.shards.push(closed.counts);
            batch.sums.push(closed.sums);
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

    /// The sum of the records under [`OTHER`]; `None`: nothing is summed.
    pub fn other_sum(&self) -> Option<Decimal> {
        self.has_sums.then_some(self.other_sum)
    }

    /// Records beyond the key limit.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The rows of a batch.
    pub fn batch_rows<'a>(
        &'a self,
        batch: &'a BatchCounts,
        top: Option<usize>,
    ) -> (Vec<Row<'a>>, Hidden) {
        let sums = self.has_sums.then_some((&*batch.sums, &batch.other_sum));
        self.rows(&batch.shards, batch.other, sums, top)
    }

    /// The rows of a window, which have no sums.
    pub fn window_rows(&self, window: &Sums, top: Option<usize>) -> (Vec<Row<'_>>, Hidden) {
        self.rows(&window.shards, window.other, None, top)
    }

    /// The key with this id.
    pub(crate) fn key(&self, shard: usize, id: usize) -> KeyRef<'_> {
        self.shards[shard].key(id)
    }

    /// Rows of counts by shard and id, and of `other` records under [`OTHER`]; `sums` are those of the
    /// same.
    fn rows<'a>(
        &'a self,
        counts: &[Vec<u64>],
        other: u64,
        sums: Option<(&'a [Vec<Decimal>], &'a Decimal)>,
        top: Option<usize>,
    ) -> (Vec<Row<'a>>, Hidden) {
        let mut rows = TopRows::new(top);
        for (number, (shard, counts)) in self.shards.iter().zip(counts).enumerate() {
            let shard_sums = sums.map(|(sums, _)| &sums[number]);
            for (id, &count) in counts.iter().enumerate() {
                if count > 0 {
                    let sums = shard_sums.map(|sums| RowSums {
                        sum: sums.get(id).unwrap_or(ZERO),
                        total: shard.sum(id),
                    });
                    rows.offer(count, shard.totals[id], sums, || shard.key(id));
                }
            }
        }
        if other > 0 {
            let sums = sums.map(|(_, sum)| RowSums {
                sum,
                total: &self.other_sum,
            });
            rows.offer(other, self.overflow + self.other, sums, || OTHER);
        }
        rows.finish()
    }

    /// The rows of all keys.
    pub fn total_rows(&self, top: Option<usize>) -> (Vec<Row<'_>>, Hidden) {
        let mut rows = TopRows::new(top);
        for shard in &self.shards {
            for (id, &total) in shard.totals.iter().enumerate() {
                // Of some keys all records were late.
                if total == 0 {
                    continue;
                }
                let sums = self.has_sums.then(|| RowSums::total(shard.sum(id)));
                rows.offer(total, total, sums, || shard.key(id));
            }
        }
        let other = self.overflow + self.other;
        if other > 0 {
            let sums = self.has_sums.then(|| RowSums::total(&self.other_sum));
            rows.offer(other, other, sums, || OTHER);
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
            ..BatchCounts::default()
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
    pub fn into_zeros(self) -> impl Iterator<Item = Zeros> {
        let arrays = self.shards.into_iter().zip(self.sums);
        arrays.map(|(mut counts, mut sums)| {
            counts.fill(0);
            sums.clear();
            Zeros { counts, sums }
        })
    }
}

impl ShardTotals {
    fn key(&self, id: usize) -> KeyRef<'_> {
        self.segments.key(self.places[id])
    }

    fn sum(&self, id: usize) -> &Decimal {
        self.sums.get(id).unwrap_or(ZERO)
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

    fn offer(
        &mut self,
        count: u64,
        total: u64,
        sums: Option<RowSums<'a>>,
        key: impl FnOnce() -> KeyRef<'a>,
    ) {
        let row = || {
            Ranked(Row {
                key: key(),
                count,
                total,
                sums,
            })
        };
        let Some(limit) = self.limit else {
            self.all.push(row());
            return;
        };
        if self.heap.len() < limit {
            self.heap.push(row());
            return;
        }
        // Most keys are turned away here, before their bytes are looked at.
        let (mut loser, mut lost) = (count, sums);
        if let Some(mut last) = self.heap.peek_mut()
            && count >= last.0.count
        {
            let row = row();
            if row < *last {
                (loser, lost) = (last.0.count, last.0.sums);
                *last = row;
            }
        }
        self.hidden.keys += 1;
        self.hidden.count += loser;
        if let Some(sums) = lost {
            *self.hidden.sum.get_or_insert_default() += sums.sum;
        }
    }

    fn finish(self) -> (Vec<Row<'a>>, Hidden) {
        let mut rows = self.all;
        rows.extend(self.heap);
        // Sorted are short stand-ins: a million rows are compared twenty times each, and nearly every
        // look at a key's own bytes misses the cache.
        let mut order: Vec<StandIn> = (0..).zip(&rows).map(StandIn::new).collect();
        order.sort_unstable_by(|a, b| {
            a.cmp(b)
                .then_with(|| rows[a.row as usize].cmp(&rows[b.row as usize]))
        });
        let from: Vec<u32> = order.into_iter().map(|stand_in| stand_in.row).collect();
        permute(&mut rows, from);
        (
            rows.into_iter().map(|ranked| ranked.0).collect(),
            self.hidden,
        )
    }
}

/// Puts at each place what stood at the place `from` names for it; each is named once.
fn permute<T>(items: &mut [T], mut from: Vec<u32>) {
    for start in 0..items.len() {
        // Round the circle that leads back to here; what has its place is its own source.
        let mut at = start;
        loop {
            let source = std::mem::replace(&mut from[at], at as u32) as usize;
            if source == start {
                break;
            }
            items.swap(at, source);
            at = source;
        }
    }
}

/// What a row is sorted by as long as that tells rows apart.
struct StandIn {
    count: u64,
    /// The key's first bytes, zeros behind them; nothing for a composite key, which is sorted by its
    /// parts.
    prefix: [u64; 2],
    kind: KeyKind,
    /// Which of the rows it stands for.
    row: u32,
}

impl StandIn {
    fn new((row, Ranked(Row { key, count, .. })): (u32, &Ranked<'_>)) -> StandIn {
        let mut prefix = [0; 16];
        if key.kind != KeyKind::Composite {
            let len = key.bytes.len().min(prefix.len());
            prefix[..len].copy_from_slice(&key.bytes[..len]);
        }
        let [high, low] = [0, 8].map(|at| prefix[at..].first_chunk().copied().unwrap_or_default());
        StandIn {
            count: *count,
            prefix: [high, low].map(u64::from_be_bytes),
            kind: key.kind,
            row,
        }
    }

    /// Equal where only the rows themselves can tell.
    fn cmp(&self, other: &StandIn) -> Ordering {
        let rank = |it: &StandIn| (Reverse(it.count), it.kind, it.prefix);
        rank(self).cmp(&rank(other))
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
            all.offer(count, count, None, || key);
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
                all.offer(count, count, None, || KeyRef::string(key));
                limited.offer(count, count, None, || KeyRef::string(key));
            }
            let (all, none) = all.finish();
            let (limited, hidden) = limited.finish();
            prop_assert_eq!(none, Hidden::default());
            prop_assert_eq!(&all[..limit.min(all.len())], &limited[..]);
            let rest = &all[limited.len()..];
            let sum = rest.iter().map(|row| row.count).sum();
            prop_assert_eq!(hidden, Hidden { keys: rest.len() as u64, count: sum, sum: None });
        }
    }
}
