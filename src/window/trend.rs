//! Which keys grow: a window beside the length before it.
//!
//! Keys are ranked by `(count + S) / (before + S)` with `S` = [`SMOOTHING`]: a key that comes once
//! after never stands at 1.1, one that goes from 100 to 400 at 3.7. The larger `S`, the more records
//! a key must have before its growth is believed. Only keys that grow are named.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Sums;
use crate::key::KeyRef;
use crate::totals::Totals;

/// What is added to both counts before they are compared, in records.
pub const SMOOTHING: u64 = 10;

/// A key that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trend<'a> {
    /// The key.
    pub key: KeyRef<'a>,
    /// Records in the window.
    pub count: u64,
    /// Records in the length before it; fewer than `count`.
    pub previous: u64,
}

impl Trend<'_> {
    /// The smoothed growth, more than 1.
    pub fn ratio(&self) -> f64 {
        (self.count + SMOOTHING) as f64 / (self.previous + SMOOTHING) as f64
    }

    /// The ratio as it is printed, with two decimals.
    pub fn ratio_text(&self) -> String {
        format!("{:.2}", self.ratio())
    }
}

/// Largest ratio first, then most records, then by key. Ratios are compared exactly.
impl Ord for Trend<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let smooth = |count: u64| u128::from(count) + u128::from(SMOOTHING);
        let own = smooth(self.count) * smooth(other.previous);
        let others = smooth(other.count) * smooth(self.previous);
        others
            .cmp(&own)
            .then_with(|| other.count.cmp(&self.count))
            .then_with(|| self.key.cmp(&other.key))
    }
}

impl PartialOrd for Trend<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The `limit` keys that grow most. `_other` is none: it is many.
pub fn trending<'a>(totals: &'a Totals, now: &Sums, before: &Sums, limit: usize) -> Vec<Trend<'a>> {
    // The one that would be left out next is on top; at most `limit`.
    let mut heap: BinaryHeap<Trend<'a>> = BinaryHeap::new();
    for (shard, counts) in now.shards.iter().enumerate() {
        let before = before.shards.get(shard).map_or(&[][..], Vec::as_slice);
        for (id, &count) in counts.iter().enumerate() {
            let previous = before.get(id).copied().unwrap_or(0);
            if count <= previous {
                continue;
            }
            let trend = Trend {
                key: totals.key(shard, id),
                count,
                previous,
            };
            if heap.len() < limit {
                heap.push(trend);
            } else if let Some(mut last) = heap.peek_mut()
                && trend < *last
            {
                *last = trend;
            }
        }
    }
    heap.into_sorted_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handful_of_records_does_not_lead() {
        let trend = |key, previous, count| Trend {
            key: KeyRef::string(key),
            count,
            previous,
        };
        let mut trends = [
            trend("once", 0, 1),
            trend("doubled", 1_000_000, 2_000_000),
            trend("grown", 100, 400),
            trend("new", 0, 100),
            trend("a little", 100, 101),
            trend("also once", 0, 1),
        ];
        trends.sort();
        assert_eq!(
            trends.map(|trend| (trend.key.text().into_owned(), trend.ratio_text())),
            [
                ("new", "11.00"),
                ("grown", "3.73"),
                ("doubled", "2.00"),
                ("also once", "1.10"),
                ("once", "1.10"),
                ("a little", "1.01"),
            ]
            .map(|(key, ratio)| (key.to_owned(), ratio.to_owned()))
        );
    }
}
