//! Whether a state is what it must be.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tallyline::clock::Timestamp;
use tallyline::ledger::Ledger;
use tallyline::oracle::Oracle;
use tallyline::record::KeyPath;
use tallyline::state::{Look, PastBatch, PastWindow};
use tallyline::window::WindowSpec;

use crate::input::{DISORDER_MILLIS, Timed};

/// The batch interval of every round.
const EVERY_NANOS: u64 = 10_000_000;

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

/// Checks that the history of a state comes to its ledger, and each window by arrival to the batches in it.
///
/// # Errors
/// What is different.
pub(crate) fn check_arrival(state: &Path) -> Result<(), String> {
    let look = look(state)?;
    let batches = batches(&look)?;
    let windows = windows(&look)?;
    let mut specs: Vec<WindowSpec> = Vec::new();
    for ((_, _, end), window) in &windows {
        if !specs.contains(&window.spec) {
            specs.push(window.spec);
        }
        let start = window.spec.start(*end);
        let within = batches.iter().filter(|batch| {
            let last = batch.end.max(batch.start.plus_nanos(1));
            let slot = last.multiple_from(EVERY_NANOS);
            start < slot && slot <= *end
        });
        let records: u64 = within.map(|batch| batch.ledger.counted).sum();
        if window.records != records {
            return Err(format!(
                "the window {} to {end} has {} records, its batches {records}",
                window.spec, window.records
            ));
        }
    }
    for spec in specs {
        let (length, slide) = (spec.length_nanos, spec.slide_nanos);
        for batch in batches.iter().filter(|batch| batch.start < batch.end) {
            let is_due = batch.end.multiple_from(slide) == batch.end;
            if is_due && !windows.contains_key(&(length, slide, batch.end)) {
                return Err(format!("no window {spec} to {}", batch.end));
            }
        }
    }
    Ok(())
}

/// Checks that the windows by event time are those of the records, as far as they are closed.
///
/// # Errors
/// What is different.
pub(crate) fn check_timed(state: &Path, timed: &Timed) -> Result<(), String> {
    let look = look(state)?;
    batches(&look)?;
    let windows = windows(&look)?;
    let millis = |nanos: u64| nanos / 1_000_000;
    let watermark = timed.latest - DISORDER_MILLIS;
    let mut expected: BTreeMap<(u64, u64, Timestamp), BTreeMap<String, u64>> = BTreeMap::new();
    for (length, slide) in [(1_000, 1_000), (3_000, 500)] {
        for (time, key) in &timed.records {
            let mut end = time - time % slide + slide;
            while end <= time + length && end <= watermark {
                let end_at = Timestamp::from_millis(end as i64);
                let window = expected.entry((length, slide, end_at)).or_default();
                *window.entry(format!("k{key}")).or_default() += 1;
                end += slide;
            }
        }
    }
    let seen = windows.into_iter().map(|((length, slide, end), window)| {
        let rows = window.keys.rows.iter();
        let rows = rows.map(|row| (row.key.as_ref().text().into_owned(), row.count));
        ((millis(length), millis(slide), end), rows.collect())
    });
    let seen: BTreeMap<(u64, u64, Timestamp), BTreeMap<String, u64>> = seen.collect();
    let differs = expected
        .iter()
        .find(|(place, keys)| seen.get(place) != Some(keys));
    match differs {
        Some(((length, _, end), keys)) => Err(format!(
            "the window of {length} ms to {end} is not {keys:?}"
        )),
        None if seen.len() != expected.len() => Err(format!(
            "{} windows have closed, not {}",
            seen.len(),
            expected.len()
        )),
        None => Ok(()),
    }
}

/// A state in which nothing is wrong.
fn look(state: &Path) -> Result<Look, String> {
    let look = Look::open(state).map_err(|error| error.to_string())?;
    match look.faults().map_err(|error| error.to_string())?.first() {
        Some(fault) => Err(fault.clone()),
        None => Ok(look),
    }
}

/// All batches of the history, which must come to the ledger one by one.
fn batches(look: &Look) -> Result<Vec<PastBatch>, String> {
    let batches = look.batches(None, usize::MAX >> 1);
    let mut batches = batches.map_err(|error| error.to_string())?;
    batches.reverse();
    let mut ledger = Ledger::default();
    for (number, batch) in (1..).zip(&batches) {
        ledger += batch.ledger;
        if batch.batch != number {
            return Err(format!(
                "batch {} of the history is the {number}. one",
                batch.batch
            ));
        }
    }
    match ledger == look.saved().ledger {
        true => Ok(batches),
        false => Err(format!(
            "the batches come to {ledger:?}, not {:?}",
            look.saved().ledger
        )),
    }
}

/// All windows of the history, by length, slide and end.
fn windows(look: &Look) -> Result<BTreeMap<(u64, u64, Timestamp), PastWindow>, String> {
    let windows = look.windows(None, usize::MAX >> 1);
    let windows = windows.map_err(|error| error.to_string())?.into_iter();
    let place = |window: &PastWindow| {
        let WindowSpec {
            length_nanos,
            slide_nanos,
        } = window.spec;
        (length_nanos, slide_nanos, window.end)
    };
    Ok(windows.map(|window| (place(&window), window)).collect())
}

fn open(state: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(state, flags)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(db)
}
