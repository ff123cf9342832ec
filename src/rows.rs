//! From counts by id to the rows of a report: by count, largest first, then by key.
//!
//! The totals hand over [`Figures`]: what each shard counted, and where its keys are. With a limit only
//! as many rows as it allows are kept at any time. Without one, short stand-ins are sorted, as a million
//! rows are compared twenty times each and nearly every look at a key's own bytes misses the cache; rows
//! are made last, in their order, so that none is ever moved and the looks at what lies scattered do not
//! wait for each other.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::counts::{KeyPlace, OTHER, Segments};
use crate::decimal::Decimal;
use crate::key::{KeyKind, KeyRef};
use crate::sink::{Hidden, Row, RowSums};

/// The sum of an id that is not in its array.
const ZERO: &Decimal = &Decimal::ZERO;

/// What one shard's rows are made of; everything by id.
pub(crate) struct ShardFigures<'a, 'c> {
    pub segments: &'a Segments,
    pub places: &'a [KeyPlace],
    /// There may be fewer than places; of 0 there is no row.
    pub counts: &'c [u64],
    pub totals: &'a [u64],
    /// Of the counts and of the totals, each up to the last id for which a number came.
    pub sums: Option<[&'a [Decimal]; 2]>,
}

/// What rows are made of.
pub(crate) struct Figures<'a, 'c> {
    pub shards: Vec<ShardFigures<'a, 'c>>,
    /// The row of what is counted under no key's own name.
    pub other: Option<Row<'a>>,
    /// The total of that row, where there is none, too: batches before may have had it.
    pub other_total: u64,
}

/// Which row: that of an id in a shard, or the other's, which is in the shard behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    shard: u16,
    id: u32,
}

impl<'a> Figures<'a, '_> {
    /// The first `top` rows, or all of them, and what is left out.
    pub(crate) fn rows(&self, top: Option<usize>) -> (Vec<Row<'a>>, Hidden) {
        match top {
            None => (self.in_order(&self.order()), Hidden::default()),
            Some(limit) => {
                let mut rows = TopRows::new(limit);
                for (at, count) in self.counted() {
                    rows.offer(count, self.sums(at), || self.row(at, count));
                }
                rows.finish()
            }
        }
    }

    /// All rows in the order of a report.
    pub(crate) fn order(&self) -> Vec<At> {
        let stand_ins = self.counted();
        let mut order: Vec<StandIn> = stand_ins
            .map(|(at, count)| StandIn::new(count, self.key(at), at))
            .collect();
        order.sort_unstable_by(|a, b| a.cmp(b).then_with(|| self.key(a.at).cmp(&self.key(b.at))));
        order.into_iter().map(|stand_in| stand_in.at).collect()
    }

    /// These rows, in this order.
    pub(crate) fn in_order(&self, order: &[At]) -> Vec<Row<'a>> {
        let rows = order.iter();
        rows.map(|&at| self.row(at, self.count(at))).collect()
    }

    /// Whether this is all that was ever counted: then totals have the same rows in the same order.
    pub(crate) fn are_totals(&self) -> bool {
        let mut shards = self.shards.iter();
        shards.all(|shard| shard.counts == shard.totals)
            && self.other.map_or(0, |other| other.count) == self.other_total
    }

    /// Every row there is, and its count.
    fn counted(&self) -> impl Iterator<Item = (At, u64)> {
        let shards = self.shards.iter().zip(0..);
        let rows = shards.flat_map(|(shard, number)| {
            let ids = shard.counts.iter().zip(0..);
            ids.map(move |(&count, id)| (At { shard: number, id }, count))
        });
        let other = At {
            shard: self.shards.len() as u16,
            id: 0,
        };
        rows.chain(self.other.map(|row| (other, row.count)))
            .filter(|&(_, count)| count > 0)
    }

    fn count(&self, at: At) -> u64 {
        match self.shards.get(usize::from(at.shard)) {
            Some(shard) => shard.counts[at.id as usize],
            None => self.other.map_or(0, |row| row.count),
        }
    }

    fn key(&self, at: At) -> KeyRef<'a> {
        match self.shards.get(usize::from(at.shard)) {
            Some(shard) => shard.segments.key(shard.places[at.id as usize]),
            None => OTHER,
        }
    }

    fn row(&self, at: At, count: u64) -> Row<'a> {
        match self.shards.get(usize::from(at.shard)) {
            Some(shard) => Row {
                key: self.key(at),
                count,
                total: shard.totals[at.id as usize],
                sums: self.sums(at),
            },
            None => self.other.expect("only a row that is there is asked for"),
        }
    }

    fn sums(&self, at: At) -> Option<RowSums<'a>> {
        let Some(shard) = self.shards.get(usize::from(at.shard)) else {
            return self.other?.sums;
        };
        let [sum, total] = shard
            .sums?
            .map(|sums| sums.get(at.id as usize).unwrap_or(ZERO));
        Some(RowSums { sum, total })
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
    limit: usize,
    hidden: Hidden,
}

impl<'a> TopRows<'a> {
    fn new(limit: usize) -> TopRows<'a> {
        TopRows {
            heap: BinaryHeap::new(),
            limit,
            hidden: Hidden::default(),
        }
    }

    fn offer(&mut self, count: u64, sums: Option<RowSums<'a>>, row: impl FnOnce() -> Row<'a>) {
        if self.heap.len() < self.limit {
            self.heap.push(Ranked(row()));
            return;
        }
        // Most keys are turned away here, before their bytes are looked at.
        let (mut loser, mut lost) = (count, sums);
        if let Some(mut last) = self.heap.peek_mut()
            && count >= last.0.count
        {
            let row = Ranked(row());
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
        let rows = self.heap.into_sorted_vec();
        (
            rows.into_iter().map(|ranked| ranked.0).collect(),
            self.hidden,
        )
    }
}

/// What a row is sorted by as long as that tells rows apart.
struct StandIn {
    count: u64,
    /// The key's first bytes, zeros behind them; nothing for a composite key, which is sorted by its
    /// parts.
    prefix: [u64; 2],
    kind: KeyKind,
    /// The row it stands for.
    at: At,
}

impl StandIn {
    fn new(count: u64, key: KeyRef<'_>, at: At) -> StandIn {
        let mut prefix = [0; 16];
        if key.kind != KeyKind::Composite {
            let len = key.bytes.len().min(prefix.len());
            prefix[..len].copy_from_slice(&key.bytes[..len]);
        }
        let [high, low] = [0, 8].map(|at| prefix[at..].first_chunk().copied().unwrap_or_default());
        StandIn {
            count,
            prefix: [high, low].map(u64::from_be_bytes),
            kind: key.kind,
            at,
        }
    }

    /// Equal where only the keys themselves can tell.
    fn cmp(&self, other: &StandIn) -> Ordering {
        let rank = |it: &StandIn| (Reverse(it.count), it.kind, it.prefix);
        rank(self).cmp(&rank(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::block::Block;
    use crate::budget::KeyBudget;
    use crate::counts::{ClosedCounts, Counts, Zeros};
    use crate::totals::Totals;
    use proptest::prelude::*;

    /// The keys in as many shards, counted so many times.
    fn closed(shards: &mut [Counts], keys: &[(u64, KeyRef<'_>)]) -> Vec<ClosedCounts> {
        for (i, &(count, key)) in keys.iter().enumerate() {
            let mut block = Block::default();
            for _ in 0..count {
                block.add(i as u64, key.fold(), key);
            }
            let shard = i % shards.len();
            shards[shard].count(&block);
        }
        let shards = shards.iter_mut();
        shards.map(|shard| shard.close(Zeros::default())).collect()
    }

    fn counts(shards: usize) -> Vec<Counts> {
        let budget = Arc::new(KeyBudget::new(1000));
        let shard = || Counts::new(Arc::clone(&budget));
        std::iter::repeat_with(shard).take(shards).collect()
    }

    fn shown<'a>(rows: &[Row<'a>]) -> Vec<(u64, u64, KeyRef<'a>)> {
        let shown = rows.iter();
        shown.map(|row| (row.count, row.total, row.key)).collect()
    }

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
            "_other",
        ];
        let long = [
            "0123456789abcdef\0",
            "0123456789abcdef0",
            "0123456789abcdee~",
        ];
        let mut keys = Vec::new();
        for (i, text) in texts.into_iter().chain(long).enumerate() {
            for key in [KeyRef::string(text), KeyRef::number(text)] {
                keys.push((i as u64 % 2 + 1, key));
            }
        }
        keys.push((1, KeyRef::null()));
        keys.push((1, KeyRef::boolean(false)));
        let mut totals = Totals::new(3);
        let batch = totals.add(closed(&mut counts(3), &keys));
        keys.sort_by_key(|&(count, key)| (Reverse(count), key));
        let expected: Vec<_> = keys.iter().map(|&(n, key)| (n, n, key)).collect();
        // The batch first, whose order the totals then take over; and the totals by themselves.
        assert_eq!(shown(&totals.batch_rows(&batch, None).0), expected);
        assert_eq!(shown(&totals.total_rows(None).0), expected);
        totals.add(closed(&mut counts(3), &[]).drain(..0).collect());
        assert_eq!(shown(&totals.total_rows(None).0), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn batches_and_totals_are_sorted_each_for_itself_and_a_limit_hides_the_last(
            batches in proptest::collection::vec(proptest::collection::vec(0u64..6, 0..40), 1..4),
            limit in 0usize..50,
            shards in 1usize..4,
        ) {
            let keys: Vec<String> = (0..40).map(|i| format!("k{}", (i * 7) % 40)).collect();
            let (mut totals, mut in_all) = (Totals::new(shards), vec![0; keys.len()]);
            let mut counting = counts(shards);
            for batch in batches {
                let keyed: Vec<_> = batch.iter().zip(&keys).map(|(&n, key)| (n, KeyRef::string(key))).collect();
                let closed = totals.add(closed(&mut counting, &keyed));
                in_all.iter_mut().zip(&batch).for_each(|(total, n)| *total += n);
                let mut rows: Vec<_> = keyed
                    .iter()
                    .zip(&in_all)
                    .map(|(&(n, key), &total)| (n, total, key))
                    .filter(|row| row.0 > 0)
                    .collect();
                rows.sort_by_key(|&(count, _, key)| (Reverse(count), key));
                let (all, none) = totals.batch_rows(&closed, None);
                prop_assert_eq!(none, Hidden::default());
                prop_assert_eq!(&shown(&all), &rows);
                let (limited, hidden) = totals.batch_rows(&closed, Some(limit));
                prop_assert_eq!(shown(&limited), &rows[..limit.min(rows.len())]);
                let rest = &rows[limited.len()..];
                let count = rest.iter().map(|row| row.0).sum();
                prop_assert_eq!(hidden, Hidden { keys: rest.len() as u64, count, sum: None });

                let mut rows: Vec<_> = in_all
                    .iter()
                    .zip(&keys)
                    .filter(|&(&total, _)| total > 0)
                    .map(|(&total, key)| (total, total, KeyRef::string(key)))
                    .collect();
                rows.sort_by_key(|&(count, _, key)| (Reverse(count), key));
                prop_assert_eq!(shown(&totals.total_rows(None).0), rows);
            }
        }
    }
}
