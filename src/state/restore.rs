//! The keys of a state file, back into the counters.
//!
//! A key goes to the shard that its hash, new in each run, leads to. There it gets an id as any key does,
//! with no records in the open batch; its row number in the file is kept by shard and id.

use crate::counts::Counts;
use crate::error::Error;
use crate::hash::{KeyHasher, shard_of};
use crate::key::{KeyKind, KeyRef};
use crate::state::open::{State, words};
use crate::totals::Totals;

/// What the keys came to.
#[derive(Debug)]
pub struct Restored {
    /// The totals of all keys.
    pub totals: Totals,
    /// The row number of each key, by shard and id.
    pub rows: Vec<Vec<i64>>,
}

/// Puts the keys of `state` into the shards' counters, which are empty.
///
/// # Errors
/// If there are more than the limit allows, the totals do not add up to the ledger, or the file cannot be
/// read.
pub fn restore(
    state: &State,
    hasher: &KeyHasher,
    shards: &mut [Counts],
) -> Result<Restored, Error> {
    let refused = |remedy: String| Error::Setting {
        name: "state",
        value: state.path.display().to_string(),
        remedy,
    };
    let mut rows = vec![Vec::new(); shards.len()];
    let mut totals = vec![Vec::new(); shards.len()];
    let mut keys = 0_u64;
    let mut is_beyond = false;
    let mut counted = state.saved.overflow + state.saved.other;
    let each = |row, key: KeyRef<'_>, total| {
        let (fold, count) = (key.fold(), shards.len());
        let hash = hasher.hash(fold, key);
        let shard = shard_of(hash, count);
        is_beyond |= !shards[shard].restore(hash, key);
        keys += 1;
        counted += total;
        rows[shard].push(row);
        totals[shard].push(total);
    };
    each_key(&state.db, each).map_err(|error| refused(words(&error)))?;
    if is_beyond {
        return Err(Error::Setting {
            name: "max-keys",
            value: state.path.display().to_string(),
            remedy: format!("the state has {keys} keys already; give at least that many"),
        });
    }
    let ledger = state.saved.ledger;
    if counted != ledger.counted || !ledger.is_balanced() {
        return Err(refused(format!(
            "it is damaged: the totals add up to {counted}, the ledger has {} counted of {} lines; restore a copy of it, or delete it to begin anew",
            ledger.counted, ledger.lines
        )));
    }
    let closed = shards.iter_mut().map(|shard| shard.close(Vec::new()));
    let saved = &state.saved;
    Ok(Restored {
        totals: Totals::restored(closed.collect(), totals, saved.overflow, saved.other),
        rows,
    })
}

/// Shows every key with its row number and its total, by row number.
pub(super) fn each_key(
    db: &rusqlite::Connection,
    mut each: impl FnMut(i64, KeyRef<'_>, u64),
) -> rusqlite::Result<()> {
    let mut rows = db.prepare(
        "SELECT key.id, key.kind, key.text, total.count FROM key JOIN total ON total.key = key.id ORDER BY key.id",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let kind: u8 = row.get(1)?;
        let kind = KeyKind::from_u8(kind)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(1, kind.into()))?;
        let bytes = row.get_ref(2)?.as_bytes()?;
        each(
            row.get(0)?,
            KeyRef { kind, bytes },
            row.get::<_, i64>(3)? as u64,
        );
    }
    Ok(())
}
