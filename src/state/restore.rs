//! The keys of a state file, back into the counters.
//!
//! A key goes to the shard that its hash, new in each run, leads to. There it gets an id as any key does,
//! with no records in the open batch; its row number in the file is kept by shard and id. The open windows come back
//! with them, as what their lists of rows are in shards and ids.

use rusqlite::types::ValueRef;

use crate::counts::{Counts, Zeros};
use crate::decimal::Decimal;
use crate::error::Error;
use crate::hash::{KeyHasher, shard_of};
use crate::key::{KeyKind, KeyRef};
use crate::state::open::{State, sum, words};
use crate::state::windows::{KeptWindows, load_windows};
use crate::totals::Totals;

/// What the keys came to.
#[derive(Debug)]
pub struct Restored {
    /// The totals of all keys.
    pub totals: Totals,
    /// The row number of each key, by shard and id.
    pub rows: Vec<Vec<i64>>,
    /// The windows that were open.
    pub windows: KeptWindows,
}

/// Where the key of each row is.
#[derive(Debug)]
pub(super) struct Places {
    /// By row number, which are given one after the other.
    by_row: Vec<Option<(usize, u32)>>,
    shards: usize,
}

impl Places {
    fn new(rows: &[Vec<i64>]) -> Places {
        let keys = rows.iter().map(Vec::len).sum::<usize>();
        let mut by_row = vec![None; keys + 1];
        for (shard, rows) in rows.iter().enumerate() {
            for (id, &row) in rows.iter().enumerate() {
                let place = usize::try_from(row).ok();
                if let Some(place) = place.and_then(|row| by_row.get_mut(row)) {
                    *place = Some((shard, id as u32));
                }
            }
        }
        Places {
            by_row,
            shards: rows.len(),
        }
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    /// The shard of a row's key, and its id there.
    pub(super) fn of(&self, row: i64) -> Option<(usize, u32)> {
        let row = usize::try_from(row).ok()?;
        self.by_row.get(row).copied().flatten()
    }
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
    keys_max: u64,
) -> Result<Restored, Error> {
    let refused = |remedy: String| Error::Setting {
        name: "state",
        value: state.path.display().to_string(),
        remedy,
    };
    let loaded = load_keys(&state.db, hasher, shards).map_err(|error| refused(words(&error)))?;
    let keys: usize = loaded.rows.iter().map(Vec::len).sum();
    if loaded.is_beyond {
        return Err(Error::Setting {
            name: "max-keys",
            value: keys_max.to_string(),
            remedy: format!(
                "{} has {keys} keys already; give at least that many",
                state.path.display()
            ),
        });
    }
    let ledger = state.saved.ledger;
    let totals: u64 = loaded.totals.iter().flatten().sum();
    let counted = totals + state.saved.overflow + state.saved.other;
    if counted != ledger.counted || !ledger.is_balanced() {
        return Err(refused(format!(
            "it is damaged: the totals add up to {counted}, the ledger has {} counted of {} lines; restore a copy of it, or begin anew after 'tallyline state reset'",
            ledger.counted, ledger.lines
        )));
    }
    let windows = load_windows(&state.db, &Places::new(&loaded.rows));
    let windows = windows.map_err(|error| refused(words(&error)))?;
    let closed = shards.iter_mut().map(|shard| shard.close(Zeros::default()));
    let saved = &state.saved;
    Ok(Restored {
        totals: Totals::restored(closed.collect(), loaded.totals, loaded.sums, saved),
        rows: loaded.rows,
        windows,
    })
}

/// The keys, by shard and id.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Their row numbers.
    pub(super) rows: Vec<Vec<i64>>,
    /// Their totals.
    pub(super) totals: Vec<Vec<u64>>,
    /// Their sums; of no length where nothing was summed.
    pub(super) sums: Vec<Vec<Decimal>>,
    /// There was no room for all of them.
    is_beyond: bool,
}

/// Puts all keys into the shards' counters.
pub(super) fn load_keys(
    db: &rusqlite::Connection,
    hasher: &KeyHasher,
    shards: &mut [Counts],
) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded {
        rows: vec![Vec::new(); shards.len()],
        totals: vec![Vec::new(); shards.len()],
        sums: vec![Vec::new(); shards.len()],
        is_beyond: false,
    };
    each_key(db, |row, key, total, sum| {
        let hash = hasher.hash(key.fold(), key);
        let shard = shard_of(hash, shards.len());
        loaded.is_beyond |= !shards[shard].restore(hash, key);
        loaded.rows[shard].push(row);
        loaded.totals[shard].push(total);
        loaded.sums[shard].extend(sum);
    })?;
    Ok(loaded)
}

/// Shows every key with its row number, its total and its sum, by row number.
fn each_key(
    db: &rusqlite::Connection,
    mut each: impl FnMut(i64, KeyRef<'_>, u64, Option<Decimal>),
) -> rusqlite::Result<()> {
    let mut rows = db.prepare(
        "SELECT key.id, key.kind, key.text, total.count, total.sum FROM key JOIN total ON total.key = key.id ORDER BY key.id",
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
            match row.get_ref(4)? {
                ValueRef::Null => None,
                _ => Some(sum(row, 4)?),
            },
        );
    }
    Ok(())
}
