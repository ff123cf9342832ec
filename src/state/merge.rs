//! Several states added up into a new one: what shards of one stream, counted apart, come to together.
//!
//! Refused are states that were counted with other settings, and those that have counted the same file or the
//! same part of a source: nothing says that it was not the same lines.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::decimal::Decimal;
use crate::error::Error;
use crate::state::look::Look;
use crate::state::open::{State, sum, words};

/// What can be in two states only if lines were counted twice.
const OVERLAPS: [&str; 2] = [
    "SELECT name FROM main.file WHERE offset > 0 AND (device, inode) IN \
     (SELECT device, inode FROM more.file WHERE offset > 0)",
    "SELECT source || ' ' || part FROM main.part WHERE (source, part) IN (SELECT source, part FROM more.part)",
];

/// Keys that are new get the next row numbers; the totals of the others grow.
const ADD: &str = "
CREATE TEMP TABLE added AS
    SELECT kind, text, count, sum FROM more.key JOIN more.total ON more.total.key = more.key.id;
CREATE INDEX temp.added_key ON added (kind, text);
UPDATE main.total SET count = main.total.count + (
    SELECT added.count FROM added JOIN main.key ON main.key.kind = added.kind AND main.key.text = added.text
    WHERE main.key.id = main.total.key)
WHERE key IN (
    SELECT id FROM main.key JOIN added ON added.kind = main.key.kind AND added.text = main.key.text);
CREATE INDEX main.merged_key ON key (kind, text);
INSERT INTO main.key (kind, text)
    SELECT kind, text FROM added
    WHERE NOT EXISTS (SELECT 1 FROM main.key WHERE main.key.kind = added.kind AND main.key.text = added.text);
INSERT INTO main.total (key, count, sum)
    SELECT id, added.count, added.sum FROM main.key JOIN added ON added.kind = main.key.kind AND added.text = main.key.text
    WHERE id NOT IN (SELECT key FROM main.total);
DROP INDEX main.merged_key;
DROP TABLE added;
INSERT INTO main.file SELECT * FROM more.file WHERE true
    ON CONFLICT DO NOTHING;
INSERT INTO main.part SELECT * FROM more.part;
INSERT INTO main.run (pid, version, sources, started_ns, first_batch, ended_ns)
    SELECT pid, version, sources, started_ns, first_batch, ended_ns FROM more.run;
INSERT INTO main.progress SELECT * FROM more.progress WHERE true
    ON CONFLICT (id) DO UPDATE SET
        batch = max(batch, excluded.batch), end_ns = max(end_ns, excluded.end_ns),
        lines = lines + excluded.lines, counted = counted + excluded.counted,
        missing = missing + excluded.missing, filtered = filtered + excluded.filtered,
        malformed = malformed + excluded.malformed, oversize = oversize + excluded.oversize,
        blank = blank + excluded.blank, late = late + excluded.late,
        overflow = overflow + excluded.overflow, other = other + excluded.other,
        unsummed = unsummed + excluded.unsummed;
";

/// Adds the states at `inputs` up into a new one at `output`.
///
/// # Errors
/// If there is something at `output`, the inputs do not go together, or one cannot be read.
pub fn merge(inputs: &[impl AsRef<Path>], output: &Path) -> Result<(), Error> {
    if output.exists() {
        return Err(Error::Setting {
            name: "output",
            value: output.display().to_string(),
            remedy: "it is there already; name a new file".to_owned(),
        });
    }
    let looks = inputs.iter().map(|path| Look::open(path.as_ref()));
    let looks = looks.collect::<Result<Vec<_>, _>>()?;
    let first = &looks[0];
    for look in &looks[1..] {
        if let Some((one, other)) = first.meaning().differences(look.meaning()).first() {
            return Err(Error::State(format!(
                "{} was counted with {one}, {} with {other}; only states of the same settings can be added",
                first.path().display(),
                look.path().display()
            )));
        }
    }
    let mut state = State::open(output, first.meaning())?;
    let added = looks
        .iter()
        .try_for_each(|look| add(&mut state.db, look.path()));
    if added.is_err() {
        // Half of a sum is nothing to leave behind.
        drop(state);
        for suffix in ["", "-wal", "-shm", ".lock"] {
            drop(fs::remove_file(format!("{}{suffix}", output.display())));
        }
    }
    added
}

fn add(db: &mut Connection, more: &Path) -> Result<(), Error> {
    let told =
        |error: rusqlite::Error| Error::State(format!("{}: {}", more.display(), words(&error)));
    let name = more.display().to_string();
    db.execute("ATTACH ?1 AS more", [&name]).map_err(told)?;
    let change = db.transaction().map_err(told)?;
    if let Some(overlap) = overlap(&change).map_err(told)? {
        return Err(Error::State(format!(
            "{name}: {overlap} is counted in another of these states too, and would count twice"
        )));
    }
    let sums = added_sums(&change).map_err(told)?;
    change.execute_batch(ADD).map_err(told)?;
    update_sums(&change, &sums).map_err(told)?;
    change.commit().map_err(told)?;
    db.execute_batch("DETACH more").map_err(told)
}

/// The sums that change, which SQL cannot add: by key, and that of the keys beyond the limit.
type AddedSums = (Vec<(i64, Decimal)>, Option<Decimal>);

fn added_sums(change: &Transaction<'_>) -> rusqlite::Result<AddedSums> {
    let both = |row: &Row<'_>, one: usize, other: usize| {
        let mut all = sum(row, one)?;
        all += &sum(row, other)?;
        Ok(all)
    };
    let mut rows = change.prepare(
        "SELECT one.id, one_total.sum, other_total.sum \
         FROM main.key AS one JOIN main.total AS one_total ON one_total.key = one.id \
         JOIN (SELECT id, kind, text FROM more.key ORDER BY kind, text) AS other \
             ON other.kind = one.kind AND other.text = one.text \
         JOIN more.total AS other_total ON other_total.key = other.id WHERE other_total.sum IS NOT NULL",
    )?;
    let keys = rows.query_map([], |row| Ok((row.get(0)?, both(row, 1, 2)?)))?;
    let keys = keys.collect::<rusqlite::Result<_>>()?;
    let other = "SELECT (SELECT other_sum FROM main.progress), other_sum FROM more.progress WHERE other_sum IS NOT NULL";
    let other = change
        .query_row(other, [], |row| both(row, 0, 1))
        .optional()?;
    Ok((keys, other))
}

fn update_sums(change: &Transaction<'_>, (keys, other): &AddedSums) -> rusqlite::Result<()> {
    let mut update = change.prepare("UPDATE main.total SET sum = ?2 WHERE key = ?1")?;
    for (key, sum) in keys {
        update.execute((key, sum.to_string()))?;
    }
    if let Some(other) = other {
        change.execute(
            "UPDATE main.progress SET other_sum = ?1",
            [other.to_string()],
        )?;
    }
    Ok(())
}

fn overlap(change: &Transaction<'_>) -> rusqlite::Result<Option<String>> {
    for query in OVERLAPS {
        let mut rows = change.prepare(query)?;
        let mut rows = rows.query([])?;
        if let Some(row) = rows.next()? {
            return row.get(0).map(Some);
        }
    }
    Ok(None)
}
