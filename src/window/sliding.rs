//! One window as it slides over the ring: sums that a batch is added to and taken off again.

use std::collections::VecDeque;

use super::slot::{Entry, Slot};
use super::{ClosedWindow, WindowSpec};
use crate::clock::Timestamp;

/// Counts of all keys over some batches, by shard and id. A vector may end before the last id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub(crate) shards: Vec<Vec<u64>>,
    /// Records under `_other`.
    pub(crate) other: u64,
    pub(crate) records: u64,
}

impl Sums {
    /// Records in all.
    pub fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn add(&mut self, slot: &Slot) {
        self.add_entries(&slot.shards, slot.other, slot.records);
    }

    /// Takes off what was added before.
    pub(super) fn subtract(&mut self, slot: &Slot) {
        self.subtract_entries(&slot.shards, slot.other, slot.records);
    }

    /// Adds entries by shard, `other` records under `_other`, `records` in all.
    pub(crate) fn add_entries(&mut self, shards: &[impl AsRef<[Entry]>], other: u64, records: u64) {
        if self.shards.len() < shards.len() {
            self.shards.resize_with(shards.len(), Vec::new);
        }
        for (sums, entries) in self.shards.iter_mut().zip(shards) {
            for entry in entries.as_ref() {
                let id = entry.id as usize;
                if id >= sums.len() {
                    sums.resize(id + 1, 0);
                }
                sums[id] += u64::from(entry.count);
            }
        }
        self.other += other;
        self.records += records;
    }

    /// Takes off entries that were added before.
    pub(crate) fn subtract_entries(
        &mut self,
        shards: &[impl AsRef<[Entry]>],
        other: u64,
        records: u64,
    ) {
        for (sums, entries) in self.shards.iter_mut().zip(shards) {
            for entry in entries.as_ref() {
                sums[entry.id as usize] -= u64::from(entry.count);
            }
        }
        self.other -= other;
        self.records -= records;
    }
}

/// Sums over a run of slots: those from the number `from` on, up to where the next run begins.
#[derive(Debug, Default)]
struct Run {
    sums: Sums,
    from: u64,
}

/// One window. Its run reaches to the newest slot; the run before it, if growth is wanted, to where
/// this one begins.
#[derive(Debug)]
pub(super) struct Sliding {
    spec: WindowSpec,
    now: Run,
    before: Option<Run>,
    /// Records that came since it closed last.
    news: u64,
}

impl Sliding {
    pub(super) fn new(spec: WindowSpec, compares: bool) -> Sliding {
        Sliding {
            spec,
            now: Run::default(),
            before: compares.then(Run::default),
            news: 0,
        }
    }

    /// The same over slots of an earlier run, of which the first has this number and the last ended at
    /// `reached`.
    pub(super) fn restored(
        mut self,
        slots: &VecDeque<Slot>,
        first: u64,
        reached: Timestamp,
    ) -> Sliding {
        for run in [Some(&mut self.now), self.before.as_mut()] {
            run.into_iter().for_each(|run| run.from = first);
        }
        let closed = reached.plus_nanos(1).multiple_from(self.spec.slide_nanos);
        let closed = closed.minus_nanos(self.spec.slide_nanos);
        for slot in slots {
            self.now.sums.add(slot);
            if slot.end > closed {
                self.news += slot.records;
            }
        }
        self
    }

    pub(super) fn slide_nanos(&self) -> u64 {
        self.spec.slide_nanos
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.now.sums.records == 0
    }

    /// Whether something came since it closed last.
    pub(super) fn has_news(&self) -> bool {
        self.news > 0
    }

    /// The number of the oldest slot that it needs.
    pub(super) fn oldest(&self) -> u64 {
        self.before
            .as_ref()
            .map_or(self.now.from, |before| before.from)
    }

    /// Takes in the newest slot.
    pub(super) fn add(&mut self, slot: &Slot) {
        self.now.sums.add(slot);
        self.news += slot.records;
    }

    /// Lets go of what is no part of the window that ends at `end`, or of the one before it.
    /// `slots` are numbered from `first`.
    pub(super) fn move_to(&mut self, end: Timestamp, slots: &VecDeque<Slot>, first: u64) {
        let start = self.spec.start(end);
        let slot = |number: u64| slots.get((number - first) as usize);
        while let Some(slot) = slot(self.now.from).filter(|slot| slot.end <= start) {
            self.now.sums.subtract(slot);
            if let Some(before) = &mut self.before {
                before.sums.add(slot);
            }
            self.now.from += 1;
        }
        let Some(before) = &mut self.before else {
            return;
        };
        let start = self.spec.start(start);
        let gone = |number: u64| slot(number).filter(|slot| slot.end <= start);
        while before.from < self.now.from
            && let Some(slot) = gone(before.from)
        {
            before.sums.subtract(slot);
            before.from += 1;
        }
    }

    /// The window that ends at `end`, to which it was moved; batches came in the time `seen`. Unless it is
    /// final, a later run goes on with it.
    pub(super) fn closed(
        &mut self,
        end: Timestamp,
        seen: (Timestamp, Timestamp),
        is_final: bool,
    ) -> ClosedWindow<'_> {
        self.news = 0;
        let start = self.spec.start(end);
        let is_comparable = seen.0 <= self.spec.start(start) && seen.1 >= end;
        ClosedWindow {
            spec: self.spec,
            end,
            covered: (start.max(seen.0), end.min(seen.1)),
            sums: &self.now.sums,
            before: self
                .before
                .as_ref()
                .map(|before| &before.sums)
                .filter(|_| is_comparable),
            is_final,
        }
    }
}
