//! Totals since the start, and the rows that come of them.
//!
//! The batch merge adds each shard's closed counts: two arrays over the same ids, so a million keys
//! take a millisecond or two and no key is hashed or compared. Keys are looked at only to be shown.

use std::cell::RefCell;

use crate::counts::{ClosedCounts, KeyPlace, OTHER, Segments, Zeros};
use crate::decimal::Decimal;
use crate::key::KeyRef;
use crate::rows::{At, Figures, ShardFigures};
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
    /// The order of all rows, if it was made for a batch that was all there is: a file is often counted
    /// in one, and its totals need not be sorted again.
    order: RefCell<Option<Vec<At>>>,
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
            // A new key of which all records were late has a total too, of 0.
            let is_changed = |&(id, &count): &(usize, &u64)| count > 0 || id >= shard.told.1;
            let changed = counts.iter().enumerate().filter(is_changed);
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
        *self.order.get_mut() = None;
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
        let sums = |number: usize| self.has_sums.then(|| &*batch.sums[number]);
        let other_sum = self.has_sums.then_some(&batch.other_sum);
        let figures = self.figures(&batch.shards, sums, (batch.other, other_sum));
        if top.is_some() || !figures.are_totals() {
            return figures.rows(top);
        }
        let mut order = self.order.borrow_mut();
        let order = order.get_or_insert_with(|| figures.order());
        (figures.in_order(order), Hidden::default())
    }

    /// The rows of a window, which have no sums.
    pub fn window_rows(&self, window: &Sums, top: Option<usize>) -> (Vec<Row<'_>>, Hidden) {
        let figures = self.figures(&window.shards, |_| None, (window.other, None));
        figures.rows(top)
    }

    /// The total of the key with this id.
    pub(crate) fn total(&self, shard: usize, id: usize) -> u64 {
        self.shards[shard].totals[id]
    }

    /// The key with this id.
    pub(crate) fn key(&self, shard: usize, id: usize) -> KeyRef<'_> {
        self.shards[shard].key(id)
    }

    /// Of counts by shard and id, and of `other` records under [`OTHER`]; `sums` are those of the same, by
    /// shard.
    fn figures<'a, 'c>(
        &'a self,
        counts: impl IntoIterator<Item = &'c Vec<u64>>,
        sums: impl Fn(usize) -> Option<&'a [Decimal]>,
        other: (u64, Option<&'a Decimal>),
    ) -> Figures<'a, 'c> {
        let shards = self.shards.iter().zip(counts).enumerate();
        let (count, sum) = other;
        let other_total = self.overflow + self.other;
        Figures {
            shards: shards
                .map(|(number, (shard, counts))| ShardFigures {
                    segments: &shard.segments,
                    places: &shard.places,
                    counts,
                    totals: &shard.totals,
                    sums: sums(number).map(|sums| [sums, &*shard.sums]),
                })
                .collect(),
            other: (count > 0).then(|| Row {
                key: OTHER,
                count,
                total: other_total,
                sums: sum.map(|sum| RowSums {
                    sum,
                    total: &self.other_sum,
                }),
            }),
            other_total,
        }
    }

    /// The rows of all keys.
    pub fn total_rows(&self, top: Option<usize>) -> (Vec<Row<'_>>, Hidden) {
        let counts = self.shards.iter().map(|shard| &shard.totals);
        let sums = |number: usize| self.has_sums.then(|| &*self.shards[number].sums);
        let other_sum = self.has_sums.then_some(&self.other_sum);
        // Of some keys all records were late: their total is 0, and they have no row.
        let figures = self.figures(counts, sums, (self.overflow + self.other, other_sum));
        match (&*self.order.borrow(), top) {
            (Some(order), None) => (figures.in_order(order), Hidden::default()),
            _ => figures.rows(top),
        }
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
