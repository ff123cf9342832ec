//! The panes that open windows are made of, and sums that move along them.

use std::collections::BTreeMap;

use super::tally::PanePair;
use crate::window::{ENTRY_BYTES, Entry, Sums};

/// What a pane takes beside its entries, in bytes: its place in the map, a vector for each shard.
const PANE_BYTES: usize = 128;
const SHARD_BYTES: usize = size_of::<Counted>();

/// A list this long is not compacted.
const COMPACT_MIN: usize = 512;

/// One shard's records of a pane.
#[derive(Debug, Default)]
struct Counted {
    entries: Vec<Entry>,
    /// How many there were when equal ids were last added together.
    compacted: usize,
}

impl AsRef<[Entry]> for Counted {
    fn as_ref(&self) -> &[Entry] {
        &self.entries
    }
}

impl Counted {
    fn compact(&mut self) {
        self.entries.sort_unstable_by_key(|entry| entry.id);
        self.entries.dedup_by(|next, kept| {
            let sum = kept.count.checked_add(next.count);
            let sum = sum.filter(|_| next.id == kept.id);
            if let Some(sum) = sum {
                kept.count = sum;
            }
            sum.is_some()
        });
        self.entries.shrink_to_fit();
        self.compacted = self.entries.len();
    }
}

#[derive(Debug)]
struct Pane {
    shards: Vec<Counted>,
    other: u64,
    records: u64,
}

/// All open panes, by number.
#[derive(Debug)]
pub(super) struct Panes {
    panes: BTreeMap<i64, Pane>,
    nanos: i64,
    shards: usize,
    entries: usize,
}

/// A key's records in a pane as an entry; none for those under `_other`.
fn entry(pair: &PanePair) -> Option<Entry> {
    pair.key_id().map(|id| Entry {
        id,
        count: pair.count,
    })
}

impl Panes {
    pub(super) fn new(nanos: i64, shards: usize) -> Panes {
        Panes {
            panes: BTreeMap::new(),
            nanos,
            shards,
            entries: 0,
        }
    }

    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    pub(super) fn nanos(&self) -> i64 {
        self.nanos
    }

    /// When a pane begins.
    pub(super) fn start(&self, pane: i64) -> i64 {
        pane * self.nanos
    }

    /// The start of the first pane that begins at this time, a pane's start, or later.
    pub(super) fn first_from(&self, start: i64) -> Option<i64> {
        let first = self.panes.range(start / self.nanos..).next();
        first.map(|(&pane, _)| self.start(pane))
    }

    /// The start of the last pane.
    pub(super) fn last(&self) -> Option<i64> {
        self.panes.keys().next_back().map(|&pane| self.start(pane))
    }

    /// What they take, in bytes; vectors that grow may take twice what their entries do.
    pub(super) fn bytes(&self) -> usize {
        let pane = PANE_BYTES + self.shards * SHARD_BYTES;
        self.entries * ENTRY_BYTES as usize + self.panes.len() * pane
    }

    /// Adds a shard's records of a pane.
    pub(super) fn add(&mut self, pane: i64, shard: usize, pairs: &[PanePair]) {
        let shards = self.shards;
        let pane = self.panes.entry(pane).or_insert_with(|| Pane {
            shards: (0..shards).map(|_| Counted::default()).collect(),
            other: 0,
            records: 0,
        });
        let counted = &mut pane.shards[shard];
        let before = counted.entries.len();
        for pair in pairs {
            pane.records += u64::from(pair.count);
            match entry(pair) {
                Some(entry) => counted.entries.push(entry),
                None => pane.other += u64::from(pair.count),
            }
        }
        if counted.entries.len() > COMPACT_MIN.max(2 * counted.compacted) {
            counted.compact();
        }
        self.entries = self.entries + counted.entries.len() - before;
    }

    /// Lets go of the panes that begin before this time.
    pub(super) fn forget_before(&mut self, start: i64) {
        while let Some(first) = self.panes.first_entry() {
            if first.key() * self.nanos >= start {
                return;
            }
            let lists = first.remove().shards;
            self.entries -= lists.iter().map(|list| list.entries.len()).sum::<usize>();
        }
    }

    fn range(&self, start: i64, end: i64) -> impl Iterator<Item = &Pane> {
        let numbers = start.div_euclid(self.nanos)..end.div_euclid(self.nanos);
        let panes = (start < end).then(|| self.panes.range(numbers));
        panes.into_iter().flatten().map(|(_, pane)| pane)
    }
}

/// Sums over the panes of a time, `start <= end`, that moves forward.
#[derive(Debug, Default)]
pub(super) struct Range {
    pub(super) sums: Sums,
    start: i64,
    end: i64,
}

impl Range {
    /// Moves to this time: adds the panes that come into it, takes off those that fall out of it.
    pub(super) fn move_to(&mut self, start: i64, end: i64, panes: &Panes) {
        if self.sums.records() == 0 {
            (self.start, self.end) = (start, start);
        }
        self.forget_before(start, panes);
        for pane in panes.range(self.end.max(start), end) {
            self.sums
                .add_entries(&pane.shards, pane.other, pane.records);
        }
        self.end = end;
    }

    /// Takes off the panes before this time.
    pub(super) fn forget_before(&mut self, start: i64, panes: &Panes) {
        for pane in panes.range(self.start, start.min(self.end)) {
            self.sums
                .subtract_entries(&pane.shards, pane.other, pane.records);
        }
        self.start = self.start.max(start);
        self.end = self.end.max(self.start);
    }

    /// Adds a shard's records of the pane that begins at `at`, if it is in the range already.
    pub(super) fn add_if_in(&mut self, at: i64, shard: usize, pairs: &[PanePair]) {
        if !(self.start..self.end).contains(&at) {
            return;
        }
        let entries: Vec<Entry> = pairs.iter().filter_map(entry).collect();
        let records = pairs.iter().map(|pair| u64::from(pair.count)).sum();
        let counted: u64 = entries.iter().map(|entry| u64::from(entry.count)).sum();
        let mut shards = vec![Vec::new(); shard];
        shards.push(entries);
        self.sums.add_entries(&shards, records - counted, records);
    }
}
