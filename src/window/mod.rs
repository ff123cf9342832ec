//! Windows over several batches: a ring of closed batches between the merge and the sinks.
//!
//! The batch merge hands [`Windows`] every closed batch; it keeps what the longest window needs and
//! says when a window closes. A window of length `L` that ends at `E` holds the batches whose slots
//! end after `E - L` and not after `E`. Ends are whole multiples of the slide since the Unix epoch,
//! as batch boundaries are of the interval, so a window closes with a batch, never within one.
//!
//! - Sliding costs what changes: the newest batch is added to a window's sums, the oldest taken off
//!   (`sliding.rs`). Nothing is counted again.
//! - One ring serves all windows (`slot.rs`): for each batch a list of `(id, count)`, 8 bytes for each
//!   key that came in it. A batch's share of the ring is `--window-bytes` over the number of slots;
//!   beyond it the batch's rarest keys are counted under `_other`, in windows only, so that a window's
//!   sum stays right.
//! - The first windows begin with the first batch, and the last one ends with the last: a report
//!   tells what part of the window was covered.
//! - With a state the ring is kept (`kept.rs`), and the next run goes on with it: then a window that is open when a
//!   run ends is reported as it stands, and not as final.
//! - When the clock goes forward over many boundaries, the windows that end in the gap are still
//!   closed, as long as there is something in them.

mod kept;
mod sliding;
mod slot;
mod spec;
mod trend;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests;

pub use kept::{KeptRing, KeptSlot, RingChange};
pub use sliding::Sums;
pub use spec::WindowSpec;
pub(crate) use spec::time;
pub use trend::{SMOOTHING, Trend, trending};

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::lane::Mark;
use crate::totals::BatchCounts;
use sliding::Sliding;
use slot::Slot;
pub(crate) use slot::{ENTRY_BYTES, Entry};

/// The most batches that a ring may hold.
pub const SLOTS_MAX: u64 = 1_000_000;

/// What windows are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowSettings {
    /// The windows, in the order of their reports. Lengths and slides are multiples of the interval.
    pub specs: Vec<WindowSpec>,
    /// How many growing keys each report names; `None`: it does not.
    pub trending: Option<usize>,
    /// What the ring's lists may take, in bytes.
    pub bytes_max: usize,
}

impl WindowSettings {
    /// How many batches of `every_nanos` the ring holds.
    pub fn slots(&self, every_nanos: u64) -> u64 {
        let lengths = self.specs.iter().map(|spec| spec.length_nanos);
        let longest = lengths.max().unwrap_or(0);
        // What growth is measured against stays in the ring for another length.
        let spans = if self.trending.is_some() { 2 } else { 1 };
        longest.div_ceil(every_nanos).saturating_mul(spans)
    }

    /// An upper bound of the memory that windows take beside what each key costs, in bytes.
    pub fn bytes_max(&self, every_nanos: u64, shards: usize) -> u64 {
        if self.specs.is_empty() {
            return 0;
        }
        let slot = size_of::<Slot>() + shards * size_of::<Box<[u64]>>();
        self.bytes_max as u64 + (self.slots(every_nanos) + 1) * slot as u64
    }

    /// What a live key costs in the windows' sums and while a slot is made, in bytes; each vector may
    /// have grown to twice its need.
    pub fn key_bytes(&self) -> u64 {
        let sums = if self.trending.is_some() { 2 } else { 1 };
        match self.specs.len() as u64 {
            0 => 0,
            windows => windows * sums * 16 + 2 * ENTRY_BYTES + 8,
        }
    }
}

/// A window that closes.
#[derive(Clone, Copy, Debug)]
pub struct ClosedWindow<'a> {
    /// Its length and slide.
    pub spec: WindowSpec,
    /// When it ends; it begins a length before.
    pub end: Timestamp,
    /// The part of it in which there were batches: `start..end` if all of it.
    pub covered: (Timestamp, Timestamp),
    /// What was counted in it.
    pub sums: &'a Sums,
    /// What was counted in the length before it, if both are wholly covered and growth is wanted.
    pub before: Option<&'a Sums>,
    /// Whether nothing more can come into it.
    pub is_final: bool,
}

impl ClosedWindow<'_> {
    /// When it begins.
    pub fn start(&self) -> Timestamp {
        self.spec.start(self.end)
    }
}

/// All windows of a run.
#[derive(Debug)]
pub struct Windows {
    every_nanos: u64,
    /// Entries that each slot may have.
    entries_max: usize,
    slots: VecDeque<Slot>,
    /// The number of the first slot; slots are numbered from 0 as they come.
    first: u64,
    windows: Vec<Sliding>,
    /// Since when the ring is complete: the first batch began, or the last slot that was let go of ended.
    opened: Option<Timestamp>,
    /// Up to where windows have closed: where the last batch's slot ended, or the one's before it.
    reached: Timestamp,
    /// Records counted under `_other` for want of room.
    crowded_out: u64,
    /// Whether a later run goes on with the windows that are open when this one ends.
    goes_on: bool,
}

impl Windows {
    /// No batch has come yet.
    pub fn new(settings: &WindowSettings, every_nanos: u64) -> Windows {
        let slots = settings.slots(every_nanos).max(1);
        let entries_max = settings.bytes_max as u64 / ENTRY_BYTES / slots;
        let compares = settings.trending.is_some();
        let windows = settings.specs.iter();
        Windows {
            every_nanos,
            entries_max: usize::try_from(entries_max).unwrap_or(usize::MAX),
            slots: VecDeque::new(),
            first: 0,
            windows: windows.map(|&spec| Sliding::new(spec, compares)).collect(),
            opened: None,
            reached: Timestamp::default(),
            crowded_out: 0,
            goes_on: false,
        }
    }

    /// Records that were counted under `_other` because their batch had more keys than fit.
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    /// Takes a closed batch and hands `report` the windows that close with it, or before it.
    ///
    /// # Errors
    /// What `report` answers; the windows that it had not seen yet are then not reported.
    pub fn close_batch<E>(
        &mut self,
        mark: &Mark,
        batch: &BatchCounts,
        mut report: impl FnMut(ClosedWindow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.windows.is_empty() {
            return Ok(());
        }
        // A batch of no length, at the end of a run, is the beginning of one.
        let least = mark.start.plus_nanos(1);
        let end = mark.end.max(least).multiple_from(self.every_nanos);
        let opened = *self.opened.get_or_insert(mark.start);
        let seen = (opened, mark.end);
        if self.first > 0 || !self.slots.is_empty() {
            for window in &mut self.windows {
                let mut next = self
                    .reached
                    .plus_nanos(1)
                    .multiple_from(window.slide_nanos());
                while next < end {
                    window.move_to(next, &self.slots, self.first);
                    if window.is_empty() {
                        break;
                    }
                    report(window.closed(next, seen, true))?;
                    next = next.plus_nanos(window.slide_nanos());
                }
            }
        }
        self.reached = end;

        let slot = Slot::new(end, batch, self.entries_max);
        self.crowded_out += slot.crowded_out();
        self.slots.push_back(slot);
        for window in &mut self.windows {
            window.add(self.slots.back().expect("it was pushed just now"));
            let closes = end.multiple_from(window.slide_nanos());
            let is_over = mark.end == closes;
            let is_due = is_over || (mark.last && window.has_news());
            window.move_to(if is_due { closes } else { end }, &self.slots, self.first);
            if is_due {
                report(window.closed(closes, seen, is_over || !self.goes_on))?;
            }
        }
        self.forget();
        Ok(())
    }

    /// Lets go of the slots that no window holds any more.
    fn forget(&mut self) {
        let oldest = self.windows.iter().map(Sliding::oldest).min();
        let oldest = oldest.expect("there is a window");
        while self.first < oldest {
            let gone = self.slots.pop_front().map(|slot| slot.end);
            self.opened = self.opened.max(gone);
            self.first += 1;
        }
    }
}
