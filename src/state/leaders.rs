//! The keys of a batch or a window that its history tells of.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::totals::{BatchCounts, Totals};
use crate::window::Sums;

/// Keys that are told of each batch and each window: the most frequent ones.
pub const LEADERS_MAX: usize = 32;

/// A key that is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leader {
    /// Its records.
    pub count: u64,
    /// Its shard.
    pub shard: usize,
    /// Its id there.
    pub id: u32,
    /// Its records since the start; of a window 0.
    pub total: u64,
}

/// The most frequent keys, and what there is beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaders {
    /// At most [`LEADERS_MAX`], in any order; of several that came as often, any.
    pub leaders: Vec<Leader>,
    /// Keys in all; what is under `_other` is none.
    pub keys: u64,
    /// Records under `_other`.
    pub other: u64,
    /// Records in all.
    pub records: u64,
}

impl Leaders {
    /// Those of a batch, which was added to the totals.
    pub fn of_batch(batch: &BatchCounts, totals: &Totals) -> Leaders {
        let mut leaders = Leaders::of(batch.shards(), batch.other(), batch.records());
        for leader in &mut leaders.leaders {
            leader.total = totals.total(leader.shard, leader.id as usize);
        }
        leaders
    }

    /// Those of a window.
    pub fn of_window(sums: &Sums) -> Leaders {
        Leaders::of(&sums.shards, sums.other, sums.records)
    }

    fn of(shards: &[Vec<u64>], other: u64, records: u64) -> Leaders {
        // The one that would be left out next is on top.
        let mut heap = BinaryHeap::with_capacity(LEADERS_MAX + 1);
        let mut keys = 0;
        // Counts up to this are left out.
        let mut least = 0;
        for (shard, counts) in shards.iter().enumerate() {
            for (id, &count) in counts.iter().enumerate() {
                keys += u64::from(count > 0);
                if count <= least {
                    continue;
                }
                let id = id as u32;
                heap.push(Reverse(Leader {
                    count,
                    shard,
                    id,
                    total: 0,
                }));
                if heap.len() > LEADERS_MAX {
                    heap.pop();
                    least = heap.peek().map_or(0, |Reverse(leader)| leader.count);
                }
            }
        }
        Leaders {
            leaders: heap.into_iter().map(|Reverse(leader)| leader).collect(),
            keys,
            other,
            records,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_ones_lead() {
        let counts: Vec<u64> = (0..100).map(|id| (id * 37) % 100).collect();
        let shards = [counts[..60].to_vec(), counts[60..].to_vec()];
        let leaders = Leaders::of(&shards, 5, 4_955);
        let mut seen: Vec<u64> = leaders.leaders.iter().map(|leader| leader.count).collect();
        seen.sort_unstable();
        assert_eq!(seen, (68..100).collect::<Vec<u64>>());
        assert_eq!(
            (leaders.keys, leaders.other, leaders.records),
            (99, 5, 4_955)
        );
        for leader in &leaders.leaders {
            assert_eq!(shards[leader.shard][leader.id as usize], leader.count);
        }
        let few = Leaders::of(&[vec![0, 3], vec![]], 0, 3);
        assert_eq!((few.leaders.len(), few.keys), (1, 1));
    }
}
