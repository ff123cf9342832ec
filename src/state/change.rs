//! What a batch changes.

use std::sync::Arc;

use crate::counts::KeyPlace;
use crate::decimal::Decimal;
use crate::lane::Mark;
use crate::ledger::Ledger;

/// What a key costs in a batch that waits to be saved, in bytes: its total, in a vector that may have grown
/// to twice its need.
pub const CHANGE_BYTES: u64 = 2 * 16;

/// What its sum costs there beside that.
pub const SUM_CHANGE_BYTES: u64 = 2 * 48;

/// What a closed batch changes in the state: what the merge hands to the saving.
///
/// Whatever else is to be saved in the same transaction (windows, their history) is a field more here, and a
/// statement more in [`Saver`](super::Saver).
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
