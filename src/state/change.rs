//! What a batch changes.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::counts::KeyPlace;
use crate::decimal::Decimal;
use crate::delivery::Parcel;
use crate::event::EventChange;
use crate::lane::Mark;
use crate::ledger::Ledger;
use crate::state::leaders::Leaders;
use crate::window::{RingChange, WindowSpec};

/// What a key costs in a batch that waits to be saved, in bytes: its total, in a vector that may have grown
/// to twice its need.
pub const CHANGE_BYTES: u64 = 2 * 16;

/// What its sum costs there beside that.
pub const SUM_CHANGE_BYTES: u64 = 2 * 48;

/// What a closed batch changes in the state: what the merge hands to the saving.
#[derive(Debug)]
pub struct BatchChange {
    /// The batch, and where the sources stand behind it.
    pub mark: Mark,
    /// Where all lines went since the start of the state.
    pub ledger: Ledger,
    /// Records of keys beyond the limit since then.
    pub overflow: u64,
    /// Records whose key is [`OTHER`](crate::counts::OTHER) itself since then.
    pub other: u64,
    /// The sum of both; `None`: nothing is summed.
    pub other_sum: Option<Decimal>,
    /// The change of each shard's keys.
    pub shards: Vec<ShardChange>,
    /// What the sinks are to have of the batch (`--to`).
    pub parcel: Option<Arc<Parcel>>,
    /// What it changed in the open windows.
    pub windows: WindowsChange,
    /// What the history is to tell of it; nothing if there is none.
    pub past: Option<Past>,
}

/// What a batch changes in the open windows.
#[derive(Debug)]
pub enum WindowsChange {
    /// There are none.
    None,
    /// Those by arrival.
    Ring(RingChange),
    /// Those by event time.
    Events(EventChange),
}

/// A batch that is over, and the windows that closed with it.
#[derive(Debug, Default)]
pub struct Past {
    /// Where the batch's lines went.
    pub ledger: Ledger,
    /// Its keys.
    pub leaders: Leaders,
    /// The windows.
    pub windows: Vec<PastClosed>,
}

/// A window that is over.
#[derive(Debug)]
pub struct PastClosed {
    /// Its length and slide.
    pub spec: WindowSpec,
    /// When it ended.
    pub end: Timestamp,
    /// The part of it in which there were batches.
    pub covered: (Timestamp, Timestamp),
    /// Its keys.
    pub leaders: Leaders,
}

/// What a batch changes in one shard.
#[derive(Debug, Default)]
pub struct ShardChange {
    /// Where the keys are that are new, in the order of their ids.
    pub new_keys: Vec<KeyPlace>,
    /// The segments that are new.
    pub new_segments: Vec<Arc<[u8]>>,
    /// The totals that the batch changed, by id, as they are now.
    pub totals: Vec<(u32, u64)>,
    /// The sums of the same ids; none if nothing is summed.
    pub sums: Vec<Decimal>,
}
