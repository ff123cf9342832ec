//! The key limit: how many more distinct keys all shards together may take.
//!
//! Every shard takes room here for each key that is new to it, and only then; so the one atomic
//! counter that shards share is touched once per distinct key, never per record.
//!
//! Proved with loom in `tools/models`, which compiles this very file.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

/// How many more distinct keys all shards together may take.
#[derive(Debug)]
pub struct KeyBudget {
    left: AtomicU64,
}

impl KeyBudget {
    /// Room for `keys_max` keys.
    pub fn new(keys_max: u64) -> KeyBudget {
        KeyBudget {
            left: AtomicU64::new(keys_max),
        }
    }

    /// Takes room for one key; `false` if there is none left.
    pub fn take(&self) -> bool {
        // Relaxed: only the number matters; nothing else is published with it.
        let less = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}
