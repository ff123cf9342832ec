//! One batch in the ring: which keys came in it, and how often.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::totals::BatchCounts;

/// What an entry takes, in bytes.
pub(crate) const ENTRY_BYTES: u64 = size_of::<Entry>() as u64;

/// A key's records in a batch. One that came more than `u32::MAX` times has several entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: u32,
    pub(crate) count: u32,
}

impl Entry {
    /// The entries of a count, most often one.
    pub(crate) fn of(id: u32, count: u64) -> impl Iterator<Item = Entry> {
        let mut rest = count;
        std::iter::from_fn(move || {
            let count = u32::try_from(rest).unwrap_or(u32::MAX);
            rest -= u64::from(count);
            (count > 0).then_some(Entry { id, count })
        })
    }
}

/// A batch's counts, as long as its keys.
#[derive(Debug)]
pub(super) struct Slot {
    /// When the batch ended, or would have, had the input not: a multiple of the interval.
    pub(super) end: Timestamp,
    /// By shard; shared with the batch's change of the state.
    pub(super) shards: Arc<[Box<[Entry]>]>,
    /// Records under `_other`.
    pub(super) other: u64,
    /// Records in all.
    pub(super) records: u64,
    /// Of [`Slot::other`], those whose keys did not fit.
    pub(super) crowded_out: u64,
}

impl Slot {
    /// A batch's counts; of more than `entries_max` keys the most frequent ones.
    pub(super) fn new(end: Timestamp, batch: &BatchCounts, entries_max: usize) -> Slot {
        let mut room = Room::new(batch, entries_max);
        let shards: Arc<[Box<[Entry]>]> = batch
            .shards()
            .iter()
            .map(|counts| entries(counts, &mut room).into_boxed_slice())
            .collect();
        Slot {
            end,
            shards,
            other: batch.other() + room.crowded_out,
            records: batch.records(),
            crowded_out: room.crowded_out,
        }
    }

    /// Records whose keys did not fit.
    pub(super) fn crowded_out(&self) -> u64 {
        self.crowded_out
    }
}

fn entries(counts: &[u64], room: &mut Room) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (id, &count) in counts.iter().enumerate() {
        if count == 0 || !room.admits(count) {
            continue;
        }
        entries.extend(Entry::of(id as u32, count));
    }
    entries
}

/// Decides which keys of a batch get entries.
struct Room {
    /// Keys that came more often than this do.
    above: u64,
    /// How many of those that came just so often do.
    ties: usize,
    crowded_out: u64,
}

impl Room {
    fn new(batch: &BatchCounts, entries_max: usize) -> Room {
        let shards = batch.shards().iter();
        let keys: usize = shards
            .map(|counts| counts.iter().filter(|&&count| count > 0).count())
            .sum();
        if keys <= entries_max {
            return Room {
                above: 0,
                ties: 0,
                crowded_out: 0,
            };
        }
        let all = batch.shards().iter().flatten().copied();
        let mut counts: Vec<u64> = all.filter(|&count| count > 0).collect();
        // The most frequent key that is left out.
        let (more, &mut above, _) = counts.select_nth_unstable_by(entries_max, |a, b| b.cmp(a));
        let ties = more.iter().filter(|&&count| count == above).count();
        Room {
            above,
            ties,
            crowded_out: 0,
        }
    }

    fn admits(&mut self, count: u64) -> bool {
        if count > self.above {
            return true;
        }
        if count == self.above && self.ties > 0 {
            self.ties -= 1;
            return true;
        }
        self.crowded_out += count;
        false
    }
}
