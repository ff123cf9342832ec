//! Whether a state is what it must be.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tallyline::oracle::Oracle;
use tallyline::record::KeyPath;

/// The ledger's columns as a state has them, or a row of zeros.
const LEDGER: &str = "SELECT ifnull(sum(lines), 0), ifnull(sum(counted), 0), ifnull(sum(missing), 0), \
                      ifnull(sum(malformed), 0), ifnull(sum(blank), 0) FROM progress";

/// An oracle that has counted nothing, by `status`.
pub(crate) fn oracle() -> Oracle {
    Oracle::new(KeyPath::parse("status").expect("a key path"), 1 << 20)
}

/// How many lines a state has; none if it cannot be read at the moment.
pub(crate) fn lines(state: &Path) -> u64 {
    let lines = open(state).and_then(|db| db.query_row(LEDGER, [], |row| row.get::<_, i64>(0)));
    lines.map_or(0, |lines| lines as u64)
}

/// Compares a state with what an oracle has counted.
///
/// # Errors
/// What is different.
pub(crate) fn check(state: &Path, oracle: &Oracle) -> Result<(), String> {
    let told = |error: rusqlite::Error| format!("{}: {error}", state.display());
    let db = open(state).map_err(told)?;
    let intact: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(told)?;
    if intact != "ok" {
        return Err(intact);
    }
    let figure = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(|figure| figure as u64);
    let ledger = |row: &rusqlite::Row<'_>| {
        let figures = (0..5).map(|at| figure(row, at));
        figures.collect::<rusqlite::Result<Vec<u64>>>()
    };
    let ledger = db.query_row(LEDGER, [], ledger).map_err(told)?;
    let expected = oracle.ledger;
    let columns = [
        expected.lines,
        expected.counted,
        expected.missing,
        expected.malformed,
        expected.blank,
    ];
    if ledger != columns {
        return Err(format!(
            "lines, counted, missing, malformed, blank are {ledger:?}, not {columns:?}"
        ));
    }
    let mut keys = db
        .prepare("SELECT text, count FROM key JOIN total ON key.id = total.key")
        .map_err(told)?;
    let keys = keys.query_map([], |row| {
        let text = row.get_ref(0)?.as_bytes()?.to_vec();
        Ok((text, figure(row, 1)?))
    });
    let keys: Vec<(Vec<u8>, u64)> = keys.and_then(|keys| keys.collect()).map_err(told)?;
    let rows = keys.len();
    let totals: BTreeMap<Vec<u8>, u64> = keys.into_iter().collect();
    let wanted = oracle.counts.iter();
    let wanted: BTreeMap<Vec<u8>, u64> = wanted
        .map(|(key, &count)| (key.as_ref().bytes.to_vec(), count))
        .collect();
    match (rows == totals.len(), totals == wanted) {
        (true, true) => Ok(()),
        (false, _) => Err("a key has two rows".to_owned()),
        _ => Err("the ledger is right, but keys have other totals".to_owned()),
    }
}

fn open(state: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(state, flags)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(db)
}
