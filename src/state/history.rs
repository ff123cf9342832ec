//! The history in a state file: batches and windows that are over, each with its most frequent keys.
//!
//! A row a batch and a row a window, written in the batch's transaction, and taken away again when they are older
//! than `--keep` or more than [`ROWS_MAX`], a few with each batch. What a batch holds is told as its report told it,
//! but for the keys behind the first [`LEADERS_MAX`](super::LEADERS_MAX), which are told in one figure, and for sums.
//!
//! If the disk is full the last [`PENDING_MAX`] batches and windows wait; of those before there is no history.

use std::collections::{HashMap, VecDeque};

use rusqlite::{Connection, Row, Transaction};

use crate::clock::Timestamp;
use crate::key::{Key, KeyKind, KeyRef};
use crate::lane::Mark;
use crate::ledger::Ledger;
use crate::sink::{self, BatchReport, Hidden, Rows, WindowReport};
use crate::state::archive::Page;
use crate::state::change::{Past, PastClosed};
use crate::state::leaders::Leaders;
use crate::state::list::{Counted, pack, pack_numbers, unpack_numbers};
use crate::state::windows::{counts, figure, time};
use crate::window::WindowSpec;

/// The most batches, and the most windows, that are kept.
pub const ROWS_MAX: u64 = 1_000_000;

/// The most batches, and the most windows, that wait to be saved.
pub const PENDING_MAX: usize = 1_000;

/// What one of them takes while it waits, in bytes.
pub const PENDING_BYTES: u64 = 1024;

/// Rows that are taken away with a batch, at the most.
const GONE_MAX: u64 = 1_000;

/// A batch of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastBatch {
    /// Its number.
    pub batch: u64,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Where its lines went.
    pub ledger: Ledger,
    /// Its most frequent keys.
    pub keys: PastKeys,
}

/// A window of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastWindow {
    /// Its place in the history, by which it is asked for what came before it.
    pub id: u64,
    /// The batch that closed it.
    pub batch: u64,
    /// Its length and slide.
    pub spec: WindowSpec,
    /// When it ended; it began a length before.
    pub end: Timestamp,
    /// The part of it in which there were batches.
    pub covered: (Timestamp, Timestamp),
    /// Records in it.
    pub records: u64,
    /// Its most frequent keys.
    pub keys: PastKeys,
}

/// The most frequent keys of a batch or a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastKeys {
    /// The keys, the most frequent first, `_other` among them.
    pub rows: Vec<PastRow>,
    /// The others.
    pub hidden: Hidden,
}

/// A key's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRow {
    /// The key.
    pub key: Key,
    /// Its records.
    pub count: u64,
    /// Its records since the start by then; of a window, and of `_other`, the same as `count`.
    pub total: u64,
}

impl PastKeys {
    /// As a sink takes them.
    fn rows(&self) -> Vec<sink::Row<'_>> {
        let rows = self.rows.iter().map(|row| sink::Row {
            key: row.key.as_ref(),
            count: row.count,
            total: row.total,
            sums: None,
        });
        rows.collect()
    }
}

impl PastBatch {
    /// Shows it as the report that it was.
    pub fn report<T>(&self, show: impl FnOnce(&BatchReport<'_>) -> T) -> T {
        let shown = self.keys.rows();
        show(&BatchReport {
            batch: self.batch,
            start: self.start,
            end: self.end,
            ledger: self.ledger,
            counts: Rows {
                shown: &shown,
                hidden: self.keys.hidden,
            },
            totals: None,
            latency: None,
            lag: &[],
        })
    }
}

impl PastWindow {
    /// Shows it as the report that it was.
    pub fn report<T>(&self, show: impl FnOnce(&WindowReport<'_>) -> T) -> T {
        let shown = self.keys.rows();
        show(&WindowReport {
            spec: self.spec,
            start: self.spec.start(self.end),
            end: self.end,
            covered: self.covered,
            is_final: true,
            counts: Rows {
                shown: &shown,
                hidden: self.keys.hidden,
            },
            trending: None,
        })
    }
}

/// What is not saved yet of the history.
#[derive(Debug, Default)]
pub(super) struct PendingHistory {
    batches: VecDeque<BatchRow>,
    windows: VecDeque<WindowRow>,
}

#[derive(Debug)]
struct BatchRow {
    batch: u64,
    start: Timestamp,
    end: Timestamp,
    ledger: Ledger,
    keys: ListedKeys,
}

#[derive(Debug)]
struct WindowRow {
    batch: u64,
    closed: Timestamp,
    spec: WindowSpec,
    end: Timestamp,
    covered: (Timestamp, Timestamp),
    keys: ListedKeys,
}

/// Keys as they stand in a row.
#[derive(Debug)]
struct ListedKeys {
    records: u64,
    keys: u64,
    other: u64,
    counts: Vec<u8>,
    totals: Vec<u8>,
}

impl ListedKeys {
    fn new(leaders: &Leaders, rows: &impl Fn(usize, u32) -> i64) -> ListedKeys {
        let list = leaders.leaders.iter();
        let list = list.map(|leader| (rows(leader.shard, leader.id), leader.count, leader.total));
        let mut list: Vec<(i64, u64, u64)> = list.collect();
        list.sort_unstable();
        let counts: Vec<Counted> = list.iter().map(|&(row, count, _)| (row, count)).collect();
        ListedKeys {
            records: leaders.records,
            keys: leaders.keys,
            other: leaders.other,
            counts: pack(&counts),
            totals: pack_numbers(list.iter().map(|&(_, _, total)| total)),
        }
    }
}

impl PendingHistory {
    /// Takes note of a batch; `rows` are the keys' row numbers by shard and id.
    pub(super) fn note(&mut self, mark: &Mark, past: &Past, rows: &impl Fn(usize, u32) -> i64) {
        self.batches.push_back(BatchRow {
            batch: mark.batch,
            start: mark.start,
            end: mark.end,
            ledger: past.ledger,
            keys: ListedKeys::new(&past.leaders, rows),
        });
        let window = |window: &PastClosed| WindowRow {
            batch: mark.batch,
            closed: mark.end,
            spec: window.spec,
            end: window.end,
            covered: window.covered,
            keys: ListedKeys::new(&window.leaders, rows),
        };
        self.windows.extend(past.windows.iter().map(window));
        let beyond = |len: usize| ..len.saturating_sub(PENDING_MAX);
        self.batches.drain(beyond(self.batches.len()));
        self.windows.drain(beyond(self.windows.len()));
    }

    /// Writes all that was noted, and takes away what is older than this.
    pub(super) fn save(&self, change: &Transaction<'_>, oldest: Timestamp) -> rusqlite::Result<()> {
        insert_batches(change, &self.batches)?;
        insert_windows(change, &self.windows)?;
        take_away(change, "batch", "number", "end_ns", oldest)?;
        take_away(change, "window", "id", "closed_ns", oldest)
    }
}

fn insert_batches(change: &Transaction<'_>, batches: &VecDeque<BatchRow>) -> rusqlite::Result<()> {
    let mut insert = change.prepare(
        "REPLACE INTO batch (number, start_ns, end_ns, lines, counted, missing, filtered, malformed, oversize, \
         blank, late, unsummed, keys, other, counts, totals) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    for row in batches {
        let [
            lines,
            counted,
            missing,
            filtered,
            malformed,
            oversize,
            blank,
            late,
        ] = row.ledger.columns().map(|(_, figure)| figure as i64);
        insert.execute((
            row.batch as i64,
            row.start.as_nanos(),
            row.end.as_nanos(),
            lines,
            counted,
            missing,
            filtered,
            malformed,
            oversize,
            blank,
            late,
            row.ledger.unsummed as i64,
            row.keys.keys as i64,
            row.keys.other as i64,
            &row.keys.counts,
            &row.keys.totals,
        ))?;
    }
    Ok(())
}

fn insert_windows(change: &Transaction<'_>, windows: &VecDeque<WindowRow>) -> rusqlite::Result<()> {
    let mut insert = change.prepare(
        "REPLACE INTO window (batch, closed_ns, length_ns, slide_ns, end_ns, covered_from_ns, covered_to_ns, \
         records, keys, other, counts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for row in windows {
        insert.execute((
            row.batch as i64,
            row.closed.as_nanos(),
            row.spec.length_nanos as i64,
            row.spec.slide_nanos as i64,
            row.end.as_nanos(),
            row.covered.0.as_nanos(),
            row.covered.1.as_nanos(),
            row.keys.records as i64,
            row.keys.keys as i64,
            row.keys.other as i64,
            &row.keys.counts,
        ))?;
    }
    Ok(())
}

/// Takes away the first rows of a table that are too old or too many.
fn take_away(
    change: &Transaction<'_>,
    table: &str,
    number: &str,
    ended: &str,
    oldest: Timestamp,
) -> rusqlite::Result<()> {
    let sql = format!(
        "DELETE FROM {table} WHERE ({ended} < ?1 OR {number} <= (SELECT max({number}) FROM {table}) - {ROWS_MAX}) \
         AND {number} < (SELECT min({number}) FROM {table}) + {GONE_MAX}"
    );
    change.execute(&sql, [oldest.as_nanos()]).map(drop)
}

/// A page of batches, in order of time, with keys of so many bytes at the most.
pub(super) fn batches(
    db: &Connection,
    page: Page,
    key_bytes_max: usize,
) -> rusqlite::Result<Vec<PastBatch>> {
    let sql = format!(
        "SELECT number, start_ns, end_ns, lines, counted, missing, filtered, malformed, oversize, blank, late, \
         unsummed, keys, other, counts, totals FROM batch WHERE number > ?1 AND number < ?2 \
         ORDER BY number {} LIMIT ?3",
        order(page)
    );
    let (mut names, mut rows) = (Names::new(db, key_bytes_max)?, db.prepare(&sql)?);
    let mut rows = rows.query(bounds(page))?;
    let mut batches = Vec::new();
    while let Some(row) = rows.next()? {
        batches.push(names.batch(row)?);
    }
    Ok(in_time(batches, page))
}

/// Windows that closed before this one, the last first, `limit` at the most.
pub(super) fn windows(
    db: &Connection,
    before: Option<u64>,
    limit: usize,
) -> rusqlite::Result<Vec<PastWindow>> {
    let sql = format!("{WINDOW} WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
    let (mut names, mut rows) = (Names::new(db, usize::MAX)?, db.prepare(&sql)?);
    let before = before.and_then(|before| i64::try_from(before).ok());
    let mut rows = rows.query((before.unwrap_or(i64::MAX), limit as i64))?;
    let mut windows = Vec::new();
    while let Some(row) = rows.next()? {
        windows.push(names.window(row)?);
    }
    Ok(windows)
}

/// A page of the windows of a kind, in order of time, with keys of so many bytes at the most.
pub(super) fn windows_of(
    db: &Connection,
    spec: WindowSpec,
    page: Page,
    key_bytes_max: usize,
) -> rusqlite::Result<Vec<PastWindow>> {
    let sql = format!(
        "{WINDOW} WHERE end_ns > ?1 AND end_ns < ?2 AND length_ns = ?4 AND slide_ns = ?5 \
         ORDER BY end_ns {} LIMIT ?3",
        order(page)
    );
    let (mut names, mut rows) = (Names::new(db, key_bytes_max)?, db.prepare(&sql)?);
    let (after, before, limit) = bounds(page);
    let (length, slide) = (spec.length_nanos as i64, spec.slide_nanos as i64);
    let mut rows = rows.query((after, before, limit, length, slide))?;
    let mut windows = Vec::new();
    while let Some(row) = rows.next()? {
        windows.push(names.window(row)?);
    }
    Ok(in_time(windows, page))
}

/// All of a window.
const WINDOW: &str = "SELECT id, batch, length_ns, slide_ns, end_ns, covered_from_ns, covered_to_ns, records, keys, \
                      other, counts FROM window";

/// The order in which rows are found until there are enough.
fn order(page: Page) -> &'static str {
    match page.after {
        Some(_) => "ASC",
        None => "DESC",
    }
}

/// Between which places, and how many; places that none reaches stand for the ends.
fn bounds(page: Page) -> (i64, i64, i64) {
    let (after, before) = (page.after, page.before);
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    (after.unwrap_or(i64::MIN), before.unwrap_or(i64::MAX), limit)
}

/// What was found, in the order of time.
fn in_time<T>(mut found: Vec<T>, page: Page) -> Vec<T> {
    if page.after.is_none() {
        found.reverse();
    }
    found
}

/// The keys of rows that have been looked at.
struct Names<'a> {
    find: rusqlite::Statement<'a>,
    /// By row; `None`: it is too long.
    known: HashMap<i64, Option<Key>>,
    bytes_max: usize,
}

impl<'a> Names<'a> {
    fn new(db: &'a Connection, bytes_max: usize) -> rusqlite::Result<Names<'a>> {
        Ok(Names {
            find: db.prepare("SELECT kind, text FROM key WHERE id = ?1")?,
            known: HashMap::new(),
            bytes_max,
        })
    }

    /// The batch of a row.
    fn batch(&mut self, row: &Row<'_>) -> rusqlite::Result<PastBatch> {
        let ledger = Ledger {
            lines: figure(row, 3)?,
            counted: figure(row, 4)?,
            missing: figure(row, 5)?,
            filtered: figure(row, 6)?,
            malformed: figure(row, 7)?,
            oversize: figure(row, 8)?,
            blank: figure(row, 9)?,
            late: figure(row, 10)?,
            unsummed: figure(row, 11)?,
        };
        let totals = unpack_numbers(row.get_ref(15)?.as_blob()?);
        Ok(PastBatch {
            batch: figure(row, 0)?,
            start: time(row, 1)?,
            end: time(row, 2)?,
            ledger,
            keys: self.keys(row, 12, ledger.counted, totals.as_deref())?,
        })
    }

    /// The window of a row.
    fn window(&mut self, row: &Row<'_>) -> rusqlite::Result<PastWindow> {
        let records = figure(row, 7)?;
        Ok(PastWindow {
            id: figure(row, 0)?,
            batch: figure(row, 1)?,
            spec: WindowSpec {
                length_nanos: figure(row, 2)?,
                slide_nanos: figure(row, 3)?,
            },
            end: time(row, 4)?,
            covered: (time(row, 5)?, time(row, 6)?),
            records,
            keys: self.keys(row, 8, records, None)?,
        })
    }

    /// What the columns from `at` on tell of the keys: how many there are, `_other`, counts.
    fn keys(
        &mut self,
        row: &Row<'_>,
        at: usize,
        records: u64,
        totals: Option<&[u64]>,
    ) -> rusqlite::Result<PastKeys> {
        let (keys, other) = (figure(row, at)?, figure(row, at + 1)?);
        let counts = counts(row, at + 2)?;
        let mut rows = Vec::with_capacity(counts.len() + 1);
        for (number, (key, count)) in counts.into_iter().enumerate() {
            let total = totals.and_then(|totals| totals.get(number));
            let total = total.copied().unwrap_or(count);
            if let Some(key) = self.key(key)? {
                rows.push(PastRow { key, count, total });
            }
        }
        let told: u64 = rows.iter().map(|row| row.count).sum();
        let hidden = Hidden {
            keys: keys.saturating_sub(rows.len() as u64),
            count: records.saturating_sub(told + other),
            sum: None,
        };
        if other > 0 {
            rows.push(PastRow {
                key: crate::counts::OTHER.to_key(),
                count: other,
                total: other,
            });
        }
        rows.sort_by(|a, b| {
            b.count
                .cmp(&a.count)
                .then_with(|| a.key.as_ref().cmp(&b.key.as_ref()))
        });
        Ok(PastKeys { rows, hidden })
    }

    /// The key in this row, unless it is too long.
    fn key(&mut self, row: i64) -> rusqlite::Result<Option<Key>> {
        if let Some(key) = self.known.get(&row) {
            return Ok(key.clone());
        }
        let bytes_max = self.bytes_max;
        let key = self.find.query_row([row], |row| {
            let kind: u8 = row.get(0)?;
            let kind = KeyKind::from_u8(kind)
                .ok_or(rusqlite::Error::IntegralValueOutOfRange(0, kind.into()))?;
            let bytes = row.get_ref(1)?.as_bytes()?;
            let is_short = bytes.len() <= bytes_max;
            Ok(is_short.then(|| KeyRef { kind, bytes }.to_key()))
        })?;
        self.known.insert(row, key.clone());
        Ok(key)
    }
}
