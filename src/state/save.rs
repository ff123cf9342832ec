//! One transaction: everything that is not saved yet.
//!
//! What the batches bring is taken into [`Saver::note`], where a later figure of the same key or file replaces
//! an earlier one, and written by [`Saver::save`]. If that fails nothing of it is in the file, and all of it
//! stays noted for the next attempt: no more than one figure for each key and file.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction};

use crate::clock::Timestamp;
use crate::counts::{KeyPlace, Segments};
use crate::decimal::Decimal;
use crate::error::Error;
use crate::faults;
use crate::key::KeyRef;
use crate::ledger::Ledger;
use crate::source::{FileOffset, FileStage, Inode, SourceOffsets};
use crate::state::change::{BatchChange, WindowsChange};
use crate::state::history::PendingHistory;
use crate::state::lock::Lock;
use crate::state::open::{State, words};
use crate::state::spool::{Spool, SpoolSaver};
use crate::state::windows::{Loose, PendingWindows};

/// What a key costs here beside its bytes, which are shared, in bytes: its row number (8), its new row (32)
/// and total (16) while they are not saved, each in a vector that may have grown to twice its need.
pub const KEY_BYTES: u64 = 2 * (8 + 32 + 16);

/// Writes changes into a state file. See the module's documentation.
#[derive(Debug)]
pub struct Saver {
    db: Connection,
    shards: Vec<ShardRows>,
    next_row: i64,
    run: i64,
    pending: Pending,
    loose: Loose,
    sources: Vec<String>,
    keep_nanos: u64,
    /// What waits for sinks, if there are any.
    spool: Option<SpoolSaver>,
    path: PathBuf,
    _lock: Lock,
}

/// With what a run begins in a state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Begin<'a> {
    /// The names of its sources.
    pub sources: &'a [&'a str],
    /// When it begins.
    pub now: Timestamp,
    /// The windows that an earlier run left open are no part of this one's.
    pub drops_windows: bool,
    /// How long batches and windows that are over stay in the history, in nanoseconds.
    pub keep_nanos: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was read.
    Over,
    /// It was told to stop.
    Stopped,
    /// Something went wrong.
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Over => f.write_str("all read"),
            Outcome::Stopped => f.write_str("stopped"),
            Outcome::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// The keys of a shard: their bytes and their row numbers, by id.
#[derive(Debug, Default)]
struct ShardRows {
    segments: Segments,
    rows: Vec<i64>,
}

/// What is not saved yet.
#[derive(Debug, Default)]
struct Pending {
    /// New keys: row number, shard, place.
    keys: Vec<(i64, usize, KeyPlace)>,
    /// By row number; after several batches one row may have several, the last of which holds.
    totals: Vec<(i64, u64)>,
    /// The same of sums, where there are any.
    sums: Vec<(i64, Decimal)>,
    files: HashMap<Inode, FileOffset>,
    last: Option<LastBatch>,
    windows: PendingWindows,
    history: PendingHistory,
}

/// Of the last batch that was noted.
#[derive(Debug)]
struct LastBatch {
    batch: u64,
    end: Timestamp,
    ledger: Ledger,
    overflow: u64,
    other: u64,
    other_sum: Option<Decimal>,
    offsets: Arc<[SourceOffsets]>,
}

impl Saver {
    /// Begins a run on an open state whose keys were [restored](super::restore).
    ///
    /// # Errors
    /// If the file cannot be written to.
    pub fn new(state: State, restored: Vec<Vec<i64>>, begin: Begin<'_>) -> Result<Saver, Error> {
        let path = state.path.clone();
        Saver::begin(state, restored, begin).map_err(|error| Error::Setting {
            name: "state",
            value: path.display().to_string(),
            remedy: words(&error),
        })
    }

    fn begin(state: State, restored: Vec<Vec<i64>>, begin: Begin<'_>) -> rusqlite::Result<Saver> {
        let State {
            db,
            path,
            saved,
            lock,
        } = state;
        faults::disk()?;
        db.execute(
            "INSERT INTO run (pid, version, sources, started_ns, first_batch) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                std::process::id(),
                env!("CARGO_PKG_VERSION"),
                begin.sources.join(", "),
                begin.now.as_nanos(),
                saved.batch as i64 + 1,
            ),
        )?;
        let run = db.last_insert_rowid();
        let next_row = db.query_row("SELECT coalesce(max(id), 0) + 1 FROM key", [], |row| {
            row.get(0)
        })?;
        let shards = restored.into_iter().map(|rows| ShardRows {
            segments: Segments::default(),
            rows,
        });
        Ok(Saver {
            loose: Loose::load(&db)?,
            db,
            shards: shards.collect(),
            next_row,
            run,
            pending: Pending {
                windows: PendingWindows::new(begin.drops_windows),
                ..Pending::default()
            },
            sources: begin.sources.iter().map(|&name| name.to_owned()).collect(),
            keep_nanos: begin.keep_nanos,
            spool: None,
            path,
            _lock: lock,
        })
    }

    /// The same with what waits for sinks.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn with_spool(mut self, spool: Arc<Spool>) -> Result<Saver, Error> {
        let saver = SpoolSaver::new(&self.db, spool).map_err(|error| Error::Setting {
            name: "state",
            value: self.path.display().to_string(),
            remedy: words(&error),
        })?;
        self.spool = Some(saver);
        Ok(self)
    }

    /// What waits for sinks.
    pub(super) fn spool(&mut self) -> Option<&mut SpoolSaver> {
        self.spool.as_mut()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes note of a batch.
    pub fn note(&mut self, change: BatchChange) {
        let pending = &mut self.pending;
        let shards = self.shards.iter_mut().zip(change.shards);
        for (number, (shard, change)) in shards.enumerate() {
            shard.segments.extend(change.new_segments);
            for place in change.new_keys {
                pending.keys.push((self.next_row, number, place));
                shard.rows.push(self.next_row);
                self.next_row += 1;
            }
            let ids = change.totals.iter().map(|&(id, _)| shard.rows[id as usize]);
            pending.sums.extend(ids.zip(change.sums));
            let totals = change.totals.into_iter();
            pending
                .totals
                .extend(totals.map(|(id, total)| (shard.rows[id as usize], total)));
        }
        for file in change.mark.files.iter() {
            pending.files.insert(file.inode, file.clone());
        }
        let shards = &self.shards;
        let rows = |shard: usize, id: u32| shards[shard].rows[id as usize];
        match change.windows {
            WindowsChange::None => {}
            WindowsChange::Ring(ring) => pending.windows.note_ring(ring, &rows),
            WindowsChange::Events(events) => pending.windows.note_events(events, &rows),
        }
        if let Some(past) = &change.past {
            pending.history.note(&change.mark, past, &rows);
        }
        if let (Some(spool), Some(parcel)) = (&mut self.spool, change.parcel) {
            spool.note(parcel);
        }
        pending.last = Some(LastBatch {
            batch: change.mark.batch,
            end: change.mark.end,
            ledger: change.ledger,
            overflow: change.overflow,
            other: change.other,
            other_sum: change.other_sum,
            offsets: change.mark.offsets,
        });
    }

    /// Saves all that was noted, in one transaction. Returns where the sources stand behind it.
    ///
    /// # Errors
    /// If it cannot be saved; it stays noted.
    pub fn save(&mut self) -> rusqlite::Result<Arc<[SourceOffsets]>> {
        let saved = self.try_to_save();
        if let Some(spool) = &mut self.spool {
            spool.is_failing = saved.is_err();
        }
        saved
    }

    fn try_to_save(&mut self) -> rusqlite::Result<Arc<[SourceOffsets]>> {
        self.pending.combine();
        let is_behind = self.spool.as_ref().is_some_and(SpoolSaver::is_behind);
        if self.pending.last.is_none() && !is_behind {
            return Ok(Arc::default());
        }
        faults::disk()?;
        let change = self.db.transaction()?;
        let mut loose = None;
        if let Some(last) = &self.pending.last {
            save_batches(&change, &self.pending, last, &self.shards)?;
            faults::disk()?;
            let windows = &self.pending.windows;
            loose = Some(windows.save(&change, last.batch, &self.sources, &self.loose)?);
            faults::disk()?;
            let oldest = last.end.minus_nanos(self.keep_nanos);
            self.pending.history.save(&change, oldest)?;
        }
        if let Some(spool) = &mut self.spool {
            spool.write(&change)?;
        }
        faults::disk()?;
        change.commit()?;
        if let Some(loose) = loose {
            self.loose = loose;
        }
        let last = std::mem::take(&mut self.pending).last;
        if let Some(spool) = &mut self.spool {
            spool.written(last.as_ref().map(|last| last.batch));
        }
        Ok(last.map(|last| last.offsets).unwrap_or_default())
    }

    /// Ends the run; the file can then be copied alone.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn end(self, now: Timestamp, outcome: &Outcome) -> rusqlite::Result<()> {
        faults::disk()?;
        let ended = "UPDATE run SET ended_ns = ?1, outcome = ?2 WHERE id = ?3";
        self.db
            .execute(ended, (now.as_nanos(), outcome.to_string(), self.run))?;
        self.db.close().map_err(|(_, error)| error)
    }
}

impl Pending {
    /// Leaves one total for each row, in the order of the rows: then neighbours are written together.
    fn combine(&mut self) {
        last_of_each_row(&mut self.totals);
        last_of_each_row(&mut self.sums);
    }
}

/// Leaves the last figure of each row, by row.
fn last_of_each_row<T: Copy>(figures: &mut Vec<(i64, T)>) {
    // Stable: of the figures of a row the last one is the latest.
    figures.sort_by_key(|&(row, _)| row);
    figures.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            earlier.1 = later.1;
        }
        is_same
    });
}

fn save_batches(
    change: &Transaction<'_>,
    pending: &Pending,
    last: &LastBatch,
    shards: &[ShardRows],
) -> rusqlite::Result<()> {
    insert_keys(change, &pending.keys, shards)?;
    faults::disk()?;
    update_totals(change, &pending.totals, &pending.sums)?;
    faults::disk()?;
    update_files(change, pending.files.values(), last.batch)?;
    faults::disk()?;
    update_parts(change, &last.offsets)?;
    faults::disk()?;
    update_progress(change, last)
}

fn insert_keys(
    change: &Transaction<'_>,
    keys: &[(i64, usize, KeyPlace)],
    shards: &[ShardRows],
) -> rusqlite::Result<()> {
    let mut insert = change.prepare("INSERT INTO key (id, kind, text) VALUES (?1, ?2, ?3)")?;
    for &(row, shard, place) in keys {
        let key = shards[shard].segments.key(place);
        insert.execute((row, key.kind as u8, text(key)))?;
    }
    Ok(())
}

/// A key's bytes; as text where they are one, for people who look.
fn text(key: KeyRef<'_>) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match std::str::from_utf8(key.bytes) {
        Ok(_) => ValueRef::Text(key.bytes),
        Err(_) => ValueRef::Blob(key.bytes),
    })
}

/// Sums are those of the same rows, or none.
fn update_totals(
    change: &Transaction<'_>,
    totals: &[(i64, u64)],
    sums: &[(i64, Decimal)],
) -> rusqlite::Result<()> {
    let mut replace = change.prepare("REPLACE INTO total (key, count, sum) VALUES (?1, ?2, ?3)")?;
    let mut sums = sums.iter();
    for &(row, total) in totals {
        let sum = sums.next().map(|(_, sum)| sum.to_string());
        replace.execute((row, total as i64, sum))?;
    }
    Ok(())
}

fn update_files<'a>(
    change: &Transaction<'_>,
    files: impl Iterator<Item = &'a FileOffset>,
    batch: u64,
) -> rusqlite::Result<()> {
    let mut replace = change.prepare(
        "REPLACE INTO file (device, inode, name, head_bytes, head_hash, offset, is_cut, length, touched_ns, stage, \
         batch) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for file in files {
        let stage = match file.stage {
            FileStage::Open => 0,
            FileStage::Done => 1,
            FileStage::Unwanted => 2,
        };
        replace.execute((
            file.inode.device() as i64,
            file.inode.number() as i64,
            &*file.name,
            file.head.len as i64,
            file.head.hash as i64,
            file.offset as i64,
            file.is_cut,
            file.len as i64,
            file.touched,
            stage,
            batch as i64,
        ))?;
    }
    Ok(())
}

fn update_parts(change: &Transaction<'_>, sources: &[SourceOffsets]) -> rusqlite::Result<()> {
    let mut replace =
        change.prepare("REPLACE INTO part (source, part, next) VALUES (?1, ?2, ?3)")?;
    for source in sources {
        for part in &source.parts {
            let next = part.next.to_string();
            replace.execute((&*source.name, part.part.to_string(), next))?;
        }
    }
    Ok(())
}

fn update_progress(change: &Transaction<'_>, last: &LastBatch) -> rusqlite::Result<()> {
    let mut replace = change.prepare(
        "REPLACE INTO progress (id, batch, end_ns, lines, counted, missing, filtered, malformed, oversize, blank, \
         late, overflow, other, unsummed, other_sum) \
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    let [
        lines,
        counted,
        missing,
        filtered,
        malformed,
        oversize,
        blank,
        late,
    ] = last.ledger.columns().map(|(_, figure)| figure as i64);
    replace.execute((
        last.batch as i64,
        last.end.as_nanos(),
        lines,
        counted,
        missing,
        filtered,
        malformed,
        oversize,
        blank,
        late,
        last.overflow as i64,
        last.other as i64,
        last.ledger.unsummed as i64,
        last.other_sum.map(|sum| sum.to_string()),
    ))?;
    Ok(())
}
