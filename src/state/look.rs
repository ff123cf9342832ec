//! Looking at a state file that somebody may be counting into: what it holds, and whether that is sound.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use crate::budget::KeyBudget;
use crate::clock::Timestamp;
use crate::counts::{Counts, Zeros};
use crate::error::{Error, reason};
use crate::hash::KeyHasher;
use crate::sink::{OutputFormat, Rows, SinkOptions, TotalsReport};
use crate::state::archive::Page;
use crate::state::history::{self, PastBatch, PastWindow};
use crate::state::meaning::Meaning;
use crate::state::open::{
    BUSY_WAIT, Kind, Saved, kind, load, load_meaning, newer, stand_in, words,
};
use crate::state::restore::load_keys;
use crate::state::sound;
use crate::state::windows::figure;
use crate::totals::Totals;

/// A state file that is open for reading, as it was at one instant.
#[derive(Debug)]
pub struct Look {
    pub(super) db: Connection,
    path: PathBuf,
    meaning: Meaning,
    saved: Saved,
}

/// A run that the state tells of.
#[derive(Clone, Debug)]
pub struct Run {
    /// The process's number.
    pub pid: u32,
    /// The names of its sources.
    pub sources: String,
    /// When it began.
    pub started: Timestamp,
    /// The number of its first batch.
    pub first_batch: u64,
    /// When it ended, if it lived to tell.
    pub ended: Option<Timestamp>,
    /// How it ended, as far as the version that wrote it told.
    pub outcome: Option<String>,
    /// The version of the program.
    pub version: String,
}

/// How much there is of open windows and of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Batches in the open windows by arrival.
    pub slots: u64,
    /// Panes in the open windows by event time.
    pub panes: u64,
    /// Batches in the history.
    pub batches: u64,
    /// When the first of them began.
    pub since: Option<Timestamp>,
    /// Windows in the history.
    pub windows: u64,
}

impl Look {
    /// Opens the state file at `path`.
    ///
    /// # Errors
    /// If it is none, or cannot be read.
    pub fn open(path: &Path) -> Result<Look, Error> {
        let db = open_to_read(path)?;
        let told =
            |error: rusqlite::Error| Error::State(format!("{}: {}", path.display(), words(&error)));
        // Whatever is read from now on is of this instant.
        db.execute_batch("BEGIN").map_err(told)?;
        Ok(Look {
            meaning: load_meaning(&db).map_err(told)?,
            saved: load(&db).map_err(told)?,
            db,
            path: path.to_owned(),
        })
    }

    /// What the totals mean.
    pub fn meaning(&self) -> &Meaning {
        &self.meaning
    }

    /// Everything but the keys.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The totals of all keys.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn totals(&self) -> Result<Totals, Error> {
        let mut shards = [Counts::new(Arc::new(KeyBudget::new(u64::MAX)))];
        let hasher = KeyHasher::with_seed(0);
        let loaded = load_keys(&self.db, &hasher, &mut shards);
        let loaded = loaded.map_err(|error| self.failed(&error))?;
        let [mut shard] = shards;
        let closed = vec![shard.close(Zeros::default())];
        let mut totals = Totals::restored(closed, loaded.totals, loaded.sums, &self.saved);
        if self.has_sums() {
            totals.show_sums();
        }
        Ok(totals)
    }

    fn has_sums(&self) -> bool {
        self.meaning.values("sum").next().is_some()
    }

    /// Prints the totals as a run that ends does.
    ///
    /// # Errors
    /// If they cannot be read or printed.
    pub fn print_totals(
        &self,
        format: OutputFormat,
        writer: impl std::io::Write + Send,
    ) -> Result<(), Error> {
        let totals = self.totals()?;
        let (shown, hidden) = totals.total_rows(None);
        let report = TotalsReport {
            end: Timestamp::from_nanos(self.saved.end_ns),
            ledger: self.saved.ledger,
            totals: Rows {
                shown: &shown,
                hidden,
            },
            latency: None,
            lag: &[],
        };
        let mut sink = format.sink(writer, self.sink_options());
        sink.totals(&report).map_err(Error::Output)
    }

    pub(super) fn sink_options(&self) -> SinkOptions {
        SinkOptions {
            key_parts: self.meaning.values("by").count().max(1),
            has_sums: self.has_sums(),
            ..SinkOptions::default()
        }
    }

    /// The last runs, the latest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn runs(&self, limit: u32) -> Result<Vec<Run>, Error> {
        let query = || {
            let mut rows = self.db.prepare(
                "SELECT pid, sources, started_ns, first_batch, ended_ns, outcome, version FROM run \
                 ORDER BY id DESC LIMIT ?1",
            )?;
            let rows = rows.query_map([limit], |row| {
                Ok(Run {
                    pid: row.get(0)?,
                    sources: row.get(1)?,
                    started: Timestamp::from_nanos(row.get(2)?),
                    first_batch: row.get::<_, i64>(3)? as u64,
                    ended: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_nanos),
                    outcome: row.get(5)?,
                    version: row.get(6)?,
                })
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        query().map_err(|error| self.failed(&error))
    }

    /// Batches of the history before this one, the newest first, `limit` at the most.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn batches(&self, before: Option<u64>, limit: usize) -> Result<Vec<PastBatch>, Error> {
        let page = Page {
            after: None,
            before: before.and_then(|before| i64::try_from(before).ok()),
            limit,
        };
        let batches = history::batches(&self.db, page, usize::MAX);
        let mut batches = batches.map_err(|error| self.failed(&error))?;
        batches.reverse();
        Ok(batches)
    }

    /// Windows of the history that closed before this one, the last first, `limit` at the most.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn windows(&self, before: Option<u64>, limit: usize) -> Result<Vec<PastWindow>, Error> {
        history::windows(&self.db, before, limit).map_err(|error| self.failed(&error))
    }

    /// What there is of open windows and of the history.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn extent(&self) -> Result<Extent, Error> {
        let query = "SELECT (SELECT count(*) FROM slot), (SELECT count(DISTINCT start_ns) FROM pane), \
                     (SELECT count(*) FROM batch), (SELECT min(start_ns) FROM batch), (SELECT count(*) FROM window)";
        let extent = self.db.query_row(query, [], |row| {
            Ok(Extent {
                slots: figure(row, 0)?,
                panes: figure(row, 1)?,
                batches: figure(row, 2)?,
                since: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_nanos),
                windows: figure(row, 4)?,
            })
        });
        extent.map_err(|error| self.failed(&error))
    }

    /// Everything that is wrong, a line each.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn faults(&self) -> Result<Vec<String>, Error> {
        let query = || -> rusqlite::Result<Vec<String>> {
            let mut faults = Vec::new();
            let mut rows = self.db.prepare("PRAGMA integrity_check")?;
            let rows = rows.query_map([], |row| row.get::<_, String>(0))?;
            for line in rows {
                faults.push(line?);
            }
            faults.retain(|line| line != "ok");
            faults.extend(self.false_sums()?);
            faults.extend(sound::faults(&self.db)?);
            Ok(faults)
        };
        match query() {
            Ok(faults) => Ok(faults),
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) =>
            {
                Ok(vec![words(&error)])
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn false_sums(&self) -> rusqlite::Result<Vec<String>> {
        let figure = |sql: &str| self.db.query_row(sql, [], |row| row.get::<_, i64>(0));
        let mut faults = Vec::new();
        let ledger = self.saved.ledger;
        if !ledger.is_balanced() {
            faults.push(format!(
                "{} lines, but {} counted and {} dropped",
                ledger.lines,
                ledger.counted,
                ledger.dropped()
            ));
        }
        let sum = figure("SELECT ifnull(sum(count), 0) FROM total")? as u64;
        let sum = sum + self.saved.overflow + self.saved.other;
        if sum != ledger.counted {
            faults.push(format!(
                "{} lines counted, but the totals add up to {sum}",
                ledger.counted
            ));
        }
        let pairs = [
            (
                "SELECT count(*) FROM key WHERE id NOT IN (SELECT key FROM total)",
                "keys have no total",
            ),
            (
                "SELECT count(*) FROM total WHERE key NOT IN (SELECT id FROM key)",
                "totals have no key",
            ),
            (
                "SELECT count(*) FROM (SELECT 1 FROM key GROUP BY kind, text HAVING count(*) > 1)",
                "keys stand there twice",
            ),
        ];
        for (sql, what) in pairs {
            match figure(sql)? {
                0 => {}
                count => faults.push(format!("{count} {what}")),
            }
        }
        Ok(faults)
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) -> Error {
        Error::State(format!("{}: {}", self.path.display(), words(error)))
    }
}

/// Opens a state file for reading alone.
///
/// # Errors
/// If it is none, or cannot be read.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, Error> {
    let failed = |what: String| Error::State(format!("{}: {what}", path.display()));
    fs::metadata(path).map_err(|error| failed(reason(&error)))?;
    let open = || {
        // For reading alone, but able to take away the log that SQLite needs for that.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(BUSY_WAIT)?;
        let kind = kind(&db)?;
        if let Kind::Ours(version) = kind {
            stand_in(&db, version)?;
        }
        db.pragma_update(None, "query_only", true)?;
        Ok((db, kind))
    };
    let (db, kind) = open().map_err(|error: rusqlite::Error| failed(words(&error)))?;
    match kind {
        Kind::Ours(_) => Ok(db),
        Kind::Newer(version) => Err(failed(newer(version))),
        Kind::Empty | Kind::Foreign => Err(failed("this is no state file of tallyline".to_owned())),
    }
}
