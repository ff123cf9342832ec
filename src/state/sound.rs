//! Whether open windows and the history go together with the rest of a state.

use rusqlite::Connection;

use crate::state::windows::{counts, figure};

/// Lists with what they must add up to: a name, records, `_other`, the list.
const LISTS: [(&str, &str); 4] = [
    (
        "the batch of a window",
        "SELECT number, records, other, counts FROM slot",
    ),
    (
        "the pane",
        "SELECT start_ns, records, other, counts FROM pane",
    ),
    (
        "the history of batch",
        "SELECT number, counted, other, counts, keys FROM batch",
    ),
    (
        "the history of window",
        "SELECT id, records, other, counts, keys FROM window",
    ),
];

/// What the figures of one table say about another's.
const PAIRS: [(&str, &str); 3] = [
    (
        "SELECT count(*) FROM batch WHERE lines <> counted + missing + filtered + malformed + oversize + blank + late",
        "batches of the history whose lines are not in their columns",
    ),
    (
        "SELECT count(*) FROM batch WHERE number > (SELECT batch FROM progress)",
        "batches of the history behind the last one",
    ),
    (
        "SELECT count(*) FROM slot LEFT JOIN ring WHERE ring.first IS NULL OR slot.number < ring.first",
        "batches of windows that are not needed",
    ),
];

/// Everything that is wrong, a line each.
pub(super) fn faults(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut faults = Vec::new();
    for (what, sql) in LISTS {
        faults.extend(false_lists(db, what, sql)?);
    }
    for (sql, what) in PAIRS {
        match db.query_row(sql, [], |row| figure(row, 0))? {
            0 => {}
            count => faults.push(format!("{count} {what}")),
        }
    }
    Ok(faults)
}

/// The lists of a table that do not add up, or name a key that is not there; of those of the history there may be
/// keys that are not in them.
fn false_lists(db: &Connection, what: &str, sql: &str) -> rusqlite::Result<Vec<String>> {
    let keys: i64 = db.query_row("SELECT ifnull(max(id), 0) FROM key", [], |row| row.get(0))?;
    let mut rows = db.prepare(sql)?;
    let is_partial = rows.column_count() > 4;
    let mut rows = rows.query([])?;
    let mut faults = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, records, other): (i64, u64, u64) =
            (row.get(0)?, figure(row, 1)?, figure(row, 2)?);
        let list = match counts(row, 3) {
            Ok(list) => list,
            Err(_) => {
                faults.push(format!("{what} {name} is no list"));
                continue;
            }
        };
        let sum = list.iter().map(|&(_, count)| count).sum::<u64>() + other;
        let is_all = !is_partial || figure(row, 4)? == list.len() as u64;
        if sum > records || (is_all && sum != records) {
            faults.push(format!(
                "{what} {name} has {records} records, but they add up to {sum}"
            ));
        }
        if list.iter().any(|&(key, _)| !(1..=keys).contains(&key)) {
            faults.push(format!("{what} {name} names a key that is not there"));
        }
    }
    Ok(faults)
}
