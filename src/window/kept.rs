//! The ring as a state keeps it: from batch to batch what changes, and at the start of a run all of it.
//!
//! A batch brings one slot, and lets go of those that no window holds any more; so what is saved with it is as
//! much as what came in it, however long the windows are.

use std::sync::Arc;

use super::sliding::Sliding;
use super::slot::{ENTRY_BYTES, Entry, Slot};
use super::{WindowSettings, Windows};
use crate::clock::Timestamp;

/// A batch in the ring.
#[derive(Clone, Debug)]
pub struct KeptSlot {
    /// When the batch ended, as a multiple of the batch interval.
    pub end: Timestamp,
    /// Counts by shard.
    pub(crate) shards: Arc<[Box<[Entry]>]>,
    /// Records under `_other`.
    pub other: u64,
    /// Records in all.
    pub records: u64,
}

/// What a batch changes in the ring.
#[derive(Clone, Debug)]
pub struct RingChange {
    /// The batch interval, in nanoseconds.
    pub every_nanos: u64,
    /// The number of the batch's slot.
    pub number: u64,
    /// The slot.
    pub slot: KeptSlot,
    /// The number of the first slot that is still needed.
    pub first: u64,
    /// Since when the ring is complete.
    pub opened: Timestamp,
}

/// The ring that an earlier run has left.
#[derive(Clone, Debug, Default)]
pub struct KeptRing {
    /// Its batch interval, in nanoseconds.
    pub every_nanos: u64,
    /// The number of the first slot.
    pub first: u64,
    /// Since when it is complete.
    pub opened: Timestamp,
    /// The slots, the oldest first.
    pub slots: Vec<KeptSlot>,
    /// When the last batch ended, which may be before its slot does: then windows that end with the slot are open.
    pub ended: Timestamp,
}

impl KeptRing {
    /// What of it is no part of these windows in a run that begins `now`; nothing if all of it is. Windows are made of
    /// whole batches, so those of another interval must fit into them too.
    pub fn unfit(&self, settings: &WindowSettings, now: Timestamp) -> Option<String> {
        let spec = settings
            .specs
            .iter()
            .find(|spec| !spec.fits(self.every_nanos));
        if let Some(spec) = spec {
            let every = super::time(self.every_nanos);
            return Some(format!(
                "windows begin empty: the batches of the last run are of {every}, of which --window {spec} is no multiple"
            ));
        }
        let entries: usize = self
            .slots
            .iter()
            .flat_map(|slot| slot.shards.iter())
            .map(|list| list.len())
            .sum();
        if entries as u64 * ENTRY_BYTES > settings.bytes_max as u64 {
            return Some(
                "windows begin empty: those of the last run take more than --window-bytes"
                    .to_owned(),
            );
        }
        let last = self.slots.last()?;
        let ahead = last.end > now.multiple_from(self.every_nanos);
        ahead.then(|| {
            format!(
                "windows begin empty: the last run ended at {}, which is yet to come by the clock",
                last.end
            )
        })
    }
}

impl Windows {
    /// The same, with which a later run goes on as this one does with what an earlier one left, if that fits.
    pub fn kept(mut self, ring: Option<KeptRing>) -> Windows {
        self.goes_on = true;
        let Some(ring) = ring else { return self };
        let slot = |slot: KeptSlot| Slot {
            end: slot.end,
            shards: slot.shards,
            other: slot.other,
            records: slot.records,
            crowded_out: 0,
        };
        self.opened = Some(ring.opened);
        self.first = ring.first;
        self.slots = ring.slots.into_iter().map(slot).collect();
        self.reached = match self.slots.back() {
            Some(slot) if ring.ended < slot.end => slot.end.minus_nanos(ring.every_nanos),
            Some(slot) => slot.end,
            None => ring.opened,
        };
        let windows = std::mem::take(&mut self.windows).into_iter();
        let restored = |window: Sliding| window.restored(&self.slots, self.first, self.reached);
        self.windows = windows.map(restored).collect();
        self
    }

    /// What the batch that was closed last has changed; nothing where there are no windows.
    pub fn change(&self) -> Option<RingChange> {
        let slot = self.slots.back()?;
        Some(RingChange {
            every_nanos: self.every_nanos,
            number: self.first + self.slots.len() as u64 - 1,
            slot: KeptSlot {
                end: slot.end,
                shards: Arc::clone(&slot.shards),
                other: slot.other,
                records: slot.records,
            },
            first: self.first,
            opened: self.opened?,
        })
    }
}
