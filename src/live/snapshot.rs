//! A run as it stood when its last batch had closed. Nothing in a snapshot changes; what did not change from one
//! to the next is shared between them.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::decimal::Decimal;
use crate::key::Key;
use crate::ledger::Ledger;
use crate::sink::{Hidden, Latency, Percentiles, Row, RowSums};
use crate::source::SourceOffsets;
use crate::window::WindowSpec;

use super::Growing;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The last batches, the oldest first. The last one has [`LiveSettings::keys`](super::LiveSettings::keys)
    /// keys, those before it [`LiveSettings::keys_kept`](super::LiveSettings::keys_kept).
    pub batches: Vec<Arc<Batch>>,
    /// Of each kind of window the last ones, the oldest first.
    pub windows: Vec<Vec<Arc<Window>>>,
    /// Where all lines went, with a state those of earlier runs too.
    pub ledger: Ledger,
    /// The totals of the first keys.
    pub totals: KeyCounts,
    /// Distinct keys, those beyond the limit not among them.
    pub keys: u64,
    /// Records of keys beyond the limit.
    pub overflow: u64,
    /// Records that windows counted under `_other` for want of room.
    pub crowded_out: u64,
    /// Windows by event time that were closed early for want of room.
    pub closed_early: u64,
    /// Latencies of the run.
    pub latency: Latency,
    /// Where the sources that can be resumed stand, and how far behind their ends that is.
    pub lag: Arc<[SourceOffsets]>,
    /// The saving of the state, if there is one.
    pub saving: Option<Saving>,
    /// Whether no other snapshot follows.
    pub is_over: bool,
}

impl Snapshot {
    /// The last batch, if one has closed.
    pub fn batch(&self) -> Option<&Arc<Batch>> {
        self.batches.last()
    }
}

/// A closed batch.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its number; the first is 1.
    pub batch: u64,
    /// When it began.
    pub start: Timestamp,
    /// Its boundary: when it ended.
    pub end: Timestamp,
    /// Where its lines went.
    pub ledger: Ledger,
    /// Its first keys, with their totals at its end.
    pub counts: KeyCounts,
    /// How it went; `None`: nobody knows any more.
    pub pace: Option<Pace>,
}

/// How a batch went.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the read that brought a record to its count in a shard.
    pub receive_to_counted: Percentiles,
    /// From its boundary to its rows being written and flushed, in nanoseconds.
    pub printed_nanos: u64,
    /// For how long backpressure paused the reading since the batch before was printed, in nanoseconds.
    pub paused_nanos: u64,
}

impl Batch {
    /// Its length in nanoseconds; never 0, so that rates can be taken over it.
    pub fn nanos(&self) -> u64 {
        self.end.nanos_since(self.start).max(1)
    }
}

/// A closed window, or an open one of which something is known.
#[derive(Clone, Debug)]
pub struct Window {
    /// Its length and slide.
    pub spec: WindowSpec,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// The part of it in which there were batches.
    pub covered: (Timestamp, Timestamp),
    /// Whether nothing more comes into it.
    pub is_final: bool,
    /// Its first keys; there are no totals.
    pub counts: KeyCounts,
    /// The keys that grow most, if that was asked for and there is a window before.
    pub trending: Option<Vec<Growing>>,
}

/// The first keys, largest count first, and what the others come to.
#[derive(Clone, Debug, Default)]
pub struct KeyCounts {
    /// Those that are shown.
    pub shown: Vec<KeyCount>,
    /// The others.
    pub hidden: Hidden,
}

impl KeyCounts {
    /// As the sinks see them.
    pub fn lend(&self) -> Vec<Row<'_>> {
        self.shown.iter().map(KeyCount::lend).collect()
    }

    /// These without those from the one at `keys` on.
    pub(super) fn cut(&self, keys: usize) -> KeyCounts {
        let (shown, rest) = self.shown.split_at(keys.min(self.shown.len()));
        let mut hidden = self.hidden;
        for key in rest {
            hidden.hide(&key.lend());
        }
        KeyCounts {
            shown: shown.to_vec(),
            hidden,
        }
    }
}

/// A key's figures, as [`Row`] has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCount {
    /// The key.
    pub key: Arc<Key>,
    /// Records in the batch or the window; in totals, the same as `total`.
    pub count: u64,
    /// Records since the start.
    pub total: u64,
    /// The sum over the batch, and since the start, if the query has one.
    pub sums: Option<Box<(Decimal, Decimal)>>,
}

impl KeyCount {
    /// As the sinks see it.
    pub fn lend(&self) -> Row<'_> {
        Row {
            key: (*self.key).as_ref(),
            count: self.count,
            total: self.total,
            sums: self
                .sums
                .as_deref()
                .map(|(sum, total)| RowSums { sum, total }),
        }
    }
}

/// How the saving of the state keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saving {
    /// Batches that wait to be saved.
    pub batches_waiting: usize,
    /// For how long the counting has waited for the disk, in nanoseconds.
    pub waited_nanos: u64,
    /// Whether the last batches could not be saved; each one tries again.
    pub is_failing: bool,
}
