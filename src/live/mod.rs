//! What a run looks like now, for whoever looks at it while it runs: the HTTP server, the terminal, a
//! signal that asks.
//!
//! Fed by the batch merge, which makes a [`Snapshot`] of each closed batch ([`Board`]), and by the reader,
//! which tells of its sources as they come and go ([`Gauges`]). Viewers hold a [`Live`]; they may be many,
//! slow or gone.
//!
//! - Nobody waits for a viewer. A snapshot never changes; the merge swaps in the next one, and whoever still
//!   holds an old one keeps it alive. Gauges are plain atomics with one writer. There is no lock.
//! - A snapshot has the first keys only ([`LiveSettings::keys`]), told from the others in a pass over the
//!   counts that the merge has anyway; no table of all keys is copied. What is left out is summed.
//! - Memory is bounded ([`LiveSettings::bytes_max`]): so many batches and windows, each of so many keys, and
//!   no key longer than [`KEY_BYTES_MAX`]; longer ones are among those left out.
//! - Whoever wants to hear of a snapshot hangs up a [`Bell`]: called by the merge behind each, it must not wait.

mod board;
mod gauges;
mod snapshot;

pub use board::Board;
pub(crate) use board::Closed;
pub use gauges::{Gauges, Link, Reading, SourceNow};
pub use snapshot::{Batch, KeyCount, KeyCounts, Pace, Saving, Snapshot, Window};

use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::clock::{Clock, Timestamp};
use crate::delivery::{Delivered, Figures};
use crate::key::Key;
use crate::window::{Trend, WindowSpec};

/// The longest key that viewers are shown, in bytes.
pub const KEY_BYTES_MAX: usize = 512;

/// How much viewers are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveSettings {
    /// The first keys of the last batch and of the totals; 0: viewers see no keys.
    pub keys: usize,
    /// The first keys of each batch and window before.
    pub keys_kept: usize,
    /// Batches that are kept, the last one included; and at most as many windows, of all lengths together.
    pub batches: usize,
    /// Viewers that may be connected at once.
    pub viewers: usize,
}

impl LiveSettings {
    /// For a viewer that shows everything: a thousand keys now, fifty of each batch and window of an hour's
    /// batches of five seconds.
    pub const FULL: LiveSettings = LiveSettings {
        keys: 1_000,
        keys_kept: 50,
        batches: 720,
        viewers: 0,
    };

    /// An upper bound of the memory of what is kept, of the next snapshot and of one that a viewer still
    /// holds, in bytes, with keys of this length.
    pub fn bytes_max(&self, key_bytes: u64) -> u64 {
        let key = size_of::<Key>() as u64 + key_bytes.min(KEY_BYTES_MAX as u64) + ARC_BYTES;
        let count = size_of::<KeyCount>() as u64 + key;
        let kept = 2 * self.batches * (self.keys_kept * 2 + 8);
        let now = 3 * 4 * self.keys;
        (kept + now) as u64 * count + self.viewers as u64 * VIEWER_BYTES
    }
}

/// What a connected viewer takes at the most: its request's head, what is to be sent, its task.
const VIEWER_BYTES: u64 = 64 * 1024;

/// Counters and the allocator's own, for a key that is shared.
const ARC_BYTES: u64 = 48;

/// What does not change while a run lasts.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The paths that are counted by, as they are typed.
    pub by: Vec<String>,
    /// The path of the numbers that are summed, if any are.
    pub sum: Option<String>,
    /// The batch interval.
    pub every_nanos: u64,
    /// The windows, in the order of [`Snapshot::windows`].
    pub windows: Vec<WindowSpec>,
    /// Whether windows name the keys that grow.
    pub is_trending: bool,
    /// Whether windows are by the records' own time.
    pub is_by_event: bool,
    /// When the run was begun.
    pub started: Timestamp,
    /// How much is shown.
    pub shown: LiveSettings,
    /// Batches that may wait to be saved; 0: there is no state.
    pub state_lag_max: usize,
}

/// Called behind each snapshot; it must not wait.
pub type Bell = Box<dyn Fn() + Send>;

/// A viewer's end: see the module's documentation.
#[derive(Clone)]
pub struct Live {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

/// What both ends hold.
struct Shared {
    about: About,
    now: ArcSwap<Snapshot>,
    gauges: Arc<Gauges>,
    /// Of the sinks elsewhere, if there are any.
    sinks: OnceLock<Vec<Arc<Figures>>>,
}

impl Live {
    /// The last snapshot; before the first batch closes, an empty one.
    pub fn now(&self) -> Arc<Snapshot> {
        self.shared.now.load_full()
    }

    /// What does not change.
    pub fn about(&self) -> &About {
        &self.shared.about
    }

    /// The sources, in the order in which they were named.
    pub fn sources(&self) -> Vec<SourceNow> {
        self.shared.gauges.sources()
    }

    /// What has become of batches on their way to sinks (`--to`), in the order in which those were named.
    pub fn sinks(&self) -> Vec<Delivered> {
        let sinks = self.shared.sinks.get().into_iter().flatten();
        sinks.map(|figures| figures.outcome()).collect()
    }

    /// What the reader is doing.
    pub fn reading(&self) -> Reading {
        self.shared.gauges.reading(self.clock.now())
    }

    /// The program's time.
    pub fn time(&self) -> Timestamp {
        self.clock.now()
    }

    /// Batches whose boundary is so long past that they ought to have been closed: 0 while all is well.
    pub fn batches_due(&self) -> u64 {
        let now = self.now();
        if now.is_over {
            return 0;
        }
        let closed = now.batch().map_or(self.about().started, |batch| batch.end);
        let passed = self.time().nanos_since(closed);
        // The batch that is open, and a second or an interval to close it in.
        let grace = self.about().every_nanos.max(1_000_000_000);
        passed.saturating_sub(grace) / self.about().every_nanos
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.now().batch()).finish()
    }
}

/// A key that grows: as [`Trend`], with a key of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growing {
    /// The key.
    pub key: Arc<Key>,
    /// Records in the window.
    pub count: u64,
    /// Records in the length before it.
    pub previous: u64,
}

impl Growing {
    /// As the sinks see it.
    pub fn lend(&self) -> Trend<'_> {
        Trend {
            key: (*self.key).as_ref(),
            count: self.count,
            previous: self.previous,
        }
    }
}
