//! The merge's end: makes a snapshot of each closed batch.
//!
//! What a batch costs beside a pass over its counts is bounded: the keys that are shown are copied, and the
//! list of the batches before is, by reference. A key that was shown before shares the bytes it has there.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::delivery::Figures;
use crate::key::{Key, KeyRef};
use crate::lane::Mark;
use crate::ledger::Ledger;
use crate::sink::{Hidden, Latency, Percentiles, Row};
use crate::totals::{BatchCounts, Totals};
use crate::window::{ClosedWindow, Trend};

use super::{
    About, Batch, Bell, Gauges, Growing, KEY_BYTES_MAX, KeyCount, KeyCounts, Live, LiveSettings,
    Pace, Saving, Shared, Snapshot, Window,
};

/// A batch that has been reported.
pub(crate) struct Closed<'a> {
    pub(crate) mark: &'a Mark,
    pub(crate) ledger: Ledger,
    pub(crate) ledger_in_all: Ledger,
    pub(crate) totals: &'a Totals,
    pub(crate) counts: &'a BatchCounts,
    pub(crate) receive_to_counted: Percentiles,
    /// Of the run so far.
    pub(crate) latency: Latency,
    pub(crate) printed_nanos: u64,
    /// Records crowded out, and windows closed early.
    pub(crate) bounds_hit: (u64, u64),
    pub(crate) saving: Option<Saving>,
}

/// See the module's documentation.
pub struct Board {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    bells: Vec<Bell>,
    settings: LiveSettings,
    batches: VecDeque<Arc<Batch>>,
    windows: Vec<VecDeque<Arc<Window>>>,
    known: Known,
    /// As the reader told it when the last batch was shown.
    paused_nanos: u64,
}

impl Board {
    /// A board with nothing on it.
    pub fn new(about: About, gauges: Arc<Gauges>, clock: Arc<dyn Clock>) -> Board {
        let empty = Snapshot {
            windows: vec![Vec::new(); about.windows.len()],
            ..Snapshot::default()
        };
        Board {
            settings: about.shown,
            windows: vec![VecDeque::new(); about.windows.len()],
            shared: Arc::new(Shared {
                about,
                now: ArcSwap::from_pointee(empty),
                gauges,
                sinks: OnceLock::new(),
            }),
            clock,
            bells: Vec::new(),
            batches: VecDeque::new(),
            known: Known::default(),
            paused_nanos: 0,
        }
    }

    /// Shows these figures of sinks, too; once.
    pub(crate) fn show_sinks(&self, figures: Vec<Arc<Figures>>) {
        // They are the pipeline's, which has them once.
        drop(self.shared.sinks.set(figures));
    }

    /// A viewer's end.
    pub fn live(&self) -> Live {
        Live {
            shared: Arc::clone(&self.shared),
            clock: Arc::clone(&self.clock),
        }
    }

    /// Has `bell` called behind each snapshot.
    pub fn hang_up(&mut self, bell: Bell) {
        self.bells.push(bell);
    }

    /// What the reader is to tell.
    pub fn gauges(&self) -> Arc<Gauges> {
        Arc::clone(&self.shared.gauges)
    }

    /// Takes a window that the open batch has closed; it is shown with the batch.
    pub(crate) fn window(
        &mut self,
        window: &ClosedWindow<'_>,
        totals: &Totals,
        trends: Option<&[Trend<'_>]>,
    ) {
        let LiveSettings {
            keys_kept, batches, ..
        } = self.settings;
        let specs = &self.shared.about.windows;
        let Some(kind) = specs.iter().position(|&spec| spec == window.spec) else {
            return;
        };
        if keys_kept == 0 {
            return;
        }
        let rows = totals.window_rows(window.sums, Some(keys_kept));
        let growing = |trend: &Trend<'_>| {
            (trend.key.bytes.len() <= KEY_BYTES_MAX).then(|| Growing {
                key: self.known.key(trend.key),
                count: trend.count,
                previous: trend.previous,
            })
        };
        let trending = trends.map(|trends| {
            let first = trends.iter().take(keys_kept);
            first.filter_map(growing).collect()
        });
        let shown = Window {
            spec: window.spec,
            start: window.start(),
            end: window.end,
            covered: window.covered,
            is_final: window.is_final,
            counts: self.known.counts(rows),
            trending,
        };
        let kept = (batches / specs.len()).max(1);
        let windows = &mut self.windows[kind];
        // An open one is shown again as it grows.
        windows.retain(|other| other.end != shown.end);
        windows.push_back(Arc::new(shown));
        while windows.len() > kept {
            windows.pop_front();
        }
    }

    /// Shows a batch.
    pub(crate) fn batch(&mut self, closed: &Closed<'_>) {
        let keys = self.settings.keys;
        let (counts, totals) = match keys {
            0 => (KeyCounts::default(), KeyCounts::default()),
            keys => {
                let counts = closed.totals.batch_rows(closed.counts, Some(keys));
                let totals = closed.totals.total_rows(Some(keys));
                (self.known.counts(counts), self.known.counts(totals))
            }
        };
        let reading = self.shared.gauges.reading(self.clock.now());
        let paused_nanos = reading.paused_nanos;
        let batch = Batch {
            batch: closed.mark.batch,
            start: closed.mark.start,
            end: closed.mark.end,
            ledger: closed.ledger,
            counts,
            pace: Some(Pace {
                receive_to_counted: closed.receive_to_counted,
                printed_nanos: closed.printed_nanos,
                paused_nanos: paused_nanos.saturating_sub(self.paused_nanos),
            }),
        };
        self.paused_nanos = paused_nanos;
        self.keep(Arc::new(batch));
        self.known.forget();
        let windows = self.windows.iter();
        let (crowded_out, closed_early) = closed.bounds_hit;
        self.shared.now.store(Arc::new(Snapshot {
            batches: self.batches.iter().cloned().collect(),
            windows: windows.map(|kind| kind.iter().cloned().collect()).collect(),
            ledger: closed.ledger_in_all,
            totals,
            keys: closed.totals.keys(),
            overflow: closed.totals.overflow(),
            crowded_out,
            closed_early,
            latency: closed.latency,
            lag: Arc::clone(&closed.mark.offsets),
            saving: closed.saving,
            is_over: closed.mark.last,
        }));
        for bell in &self.bells {
            bell();
        }
    }

    /// Puts a batch behind the others; the one before it keeps fewer keys from now on.
    fn keep(&mut self, batch: Arc<Batch>) {
        if let Some(last) = self.batches.back_mut()
            && last.counts.shown.len() > self.settings.keys_kept
        {
            let counts = last.counts.cut(self.settings.keys_kept);
            *last = Arc::new(Batch {
                counts,
                ..Batch::clone(last)
            });
        }
        self.batches.push_back(batch);
        while self.batches.len() > self.settings.batches.max(1) {
            self.batches.pop_front();
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Board").field(&self.batches.back()).finish()
    }
}

/// Keys that were shown in this batch or the one before, so that lists share them.
#[derive(Default)]
struct Known {
    keys: HashMap<Arc<Key>, bool>,
}

impl Known {
    fn key(&mut self, key: KeyRef<'_>) -> Arc<Key> {
        let key = key.to_key();
        if let Some((known, is_used)) = self.keys.get_key_value(&key) {
            let known = Arc::clone(known);
            if !is_used {
                self.keys.insert(Arc::clone(&known), true);
            }
            return known;
        }
        let key = Arc::new(key);
        self.keys.insert(Arc::clone(&key), true);
        key
    }

    /// Forgets what has not been asked for since this was last called.
    fn forget(&mut self) {
        self.keys.retain(|_, is_used| std::mem::take(is_used));
    }

    /// Rows with keys of their own, but for those whose keys are too long.
    fn counts(&mut self, (rows, mut hidden): (Vec<Row<'_>>, Hidden)) -> KeyCounts {
        let mut shown = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.key.bytes.len() > KEY_BYTES_MAX {
                hidden.hide(row);
                continue;
            }
            shown.push(KeyCount {
                key: self.key(row.key),
                count: row.count,
                total: row.total,
                sums: row.sums.map(|sums| Box::new((*sums.sum, *sums.total))),
            });
        }
        KeyCounts { shown, hidden }
    }
}
