//! Open windows as a state keeps them: from batch to batch what came, and at the start of a run all of it.
//!
//! What came in a batch is its pairs of pane and key, those that were late left out. Windows are made of whole panes,
//! so that and where the windows have got to is all there is to keep.

use super::panes::Panes;
use super::tally::{OTHER_KEY, OVERFLOW, PanePair};
use super::{EventWindows, pane_nanos};
use crate::window::{Entry, WindowSettings, WindowSpec, time};

/// What a batch changes in the open windows.
#[derive(Clone, Debug)]
pub struct EventChange {
    /// The length of a pane, in nanoseconds.
    pub pane_nanos: i64,
    /// What came, by shard, sorted by pane.
    pub brought: Vec<Vec<PanePair>>,
    /// Panes that begin before this, in nanoseconds since the epoch, are gone.
    pub needed_from: i64,
    /// Where the watermark stands.
    pub watermark: i64,
    /// The latest time of each source, by its number.
    pub latest: Vec<(usize, i64)>,
    /// The earliest time of all records.
    pub earliest: Option<i64>,
    /// What begins before this may lack records.
    pub complete_from: i64,
    /// The windows, and up to which time they have closed.
    pub closed: Vec<(WindowSpec, i64)>,
}

/// The open windows that an earlier run has left.
#[derive(Clone, Debug, Default)]
pub struct KeptEvents {
    /// See [`EventChange`].
    pub pane_nanos: i64,
    /// See [`EventChange::needed_from`].
    pub needed_from: i64,
    /// Where the watermark stood.
    pub watermark: i64,
    /// The latest time of each source, by its name.
    pub latest: Vec<(String, i64)>,
    /// The earliest time of all records.
    pub earliest: Option<i64>,
    /// See [`EventChange`].
    pub complete_from: i64,
    /// The windows, and up to which time they had closed.
    pub closed: Vec<(WindowSpec, i64)>,
    /// The panes, by time.
    pub panes: Vec<KeptPane>,
}

/// A span of time and what was counted in it.
#[derive(Clone, Debug)]
pub struct KeptPane {
    /// When it begins, in nanoseconds since the epoch.
    pub start: i64,
    /// Counts by shard.
    pub(crate) shards: Vec<Vec<Entry>>,
    /// Records under `_other`.
    pub other: u64,
    /// Records in all.
    pub records: u64,
}

impl PanePair {
    /// The key's id; `None`: it is counted under `_other`.
    pub(crate) fn key_id(&self) -> Option<u32> {
        (self.id != OVERFLOW && self.id != OTHER_KEY).then_some(self.id)
    }
}

impl KeptEvents {
    /// What of it is no part of these windows; nothing if all of it is.
    pub fn unfit(&self, settings: &WindowSettings) -> Option<String> {
        let fits =
            pane_nanos(&settings.specs).is_multiple_of(self.pane_nanos.unsigned_abs().max(1));
        (!fits && !self.panes.is_empty()).then(|| {
            format!(
                "open windows begin empty: the last run left records counted by {}, and not all of --window are multiples of that",
                time(self.pane_nanos.unsigned_abs())
            )
        })
    }
}

impl KeptEvents {
    /// The same without the panes, if they do not fit: what windows there were then lacks records.
    pub fn without_panes_if(mut self, is_unfit: bool) -> KeptEvents {
        if is_unfit {
            let last = self.panes.last().map(|pane| pane.start + self.pane_nanos);
            self.complete_from = self.complete_from.max(last.unwrap_or(i64::MIN));
            self.panes.clear();
        }
        self
    }
}

impl EventWindows {
    /// The same, with which a later run goes on as this one does with what an earlier one left. Its
    /// sources have these names.
    pub fn kept(mut self, kept: Option<KeptEvents>, sources: &[&str]) -> EventWindows {
        self.brought = Some(vec![Vec::new(); self.panes.shards()]);
        let Some(kept) = kept else { return self };
        let number = |name: &str| sources.iter().position(|source| *source == name);
        let latest = kept.latest.iter();
        let latest = latest.filter_map(|(name, nanos)| Some((number(name)?, *nanos)));
        self.watermark.restore(kept.watermark, latest);
        self.earliest = kept.earliest;
        self.complete_from = kept.complete_from;
        for window in &mut self.windows {
            let known = kept.closed.iter().find(|(spec, _)| *spec == window.spec);
            match known {
                Some(&(_, closed)) => window.closed = closed,
                // Of a window that is longer than those before, the beginning has been let go of.
                None => {
                    window.closed = window.closed.max(kept.watermark);
                    self.complete_from = self.complete_from.max(kept.needed_from);
                }
            }
        }
        for pane in kept.panes {
            self.panes.restore(pane);
        }
        self
    }

    /// What the batch has changed, if that is to be kept.
    pub(super) fn change(&mut self) -> Option<EventChange> {
        let brought = self.brought.as_mut()?;
        let shards = brought.len();
        Some(EventChange {
            brought: std::mem::replace(brought, vec![Vec::new(); shards]),
            pane_nanos: self.panes.nanos(),
            needed_from: self.needed_from(),
            watermark: self.watermark.at(),
            latest: self.watermark.latest_by_source().to_vec(),
            earliest: self.earliest,
            complete_from: self.complete_from,
            closed: self
                .windows
                .iter()
                .map(|window| (window.spec, window.closed))
                .collect(),
        })
    }
}

impl Panes {
    /// Takes in what an earlier run has counted, in panes as long as these or shorter.
    fn restore(&mut self, kept: KeptPane) {
        let other = PanePair {
            pane: kept.start.div_euclid(self.nanos()),
            id: OVERFLOW,
            count: 0,
        };
        let entry = |entry: &Entry| PanePair {
            id: entry.id,
            count: entry.count,
            ..other
        };
        for (shard, entries) in kept.shards.iter().enumerate() {
            let pairs: Vec<PanePair> = entries.iter().map(entry).collect();
            self.add(other.pane, shard, &pairs);
        }
        let rest = Entry::of(OVERFLOW, kept.other);
        let rest: Vec<PanePair> = rest.map(|rest| entry(&rest)).collect();
        self.add(other.pane, 0, &rest);
    }
}
