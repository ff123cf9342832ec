//! Opening a state file: created if it is not there, brought up to date if an older version wrote it, refused if it is
//! not for this run.

use std::path::{Path, PathBuf};

use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row};

use crate::decimal::Decimal;
use crate::error::{Error, reason};
use crate::ledger::Ledger;
use crate::source::{FileOffset, FileStage, Head, Inode, KNOWN_FILES_MAX};
use crate::state::lock::{Lock, Refused};
use crate::state::meaning::Meaning;
use crate::state::schema::{APPLICATION_ID, FROM_1, STAND_IN_FOR_1, TABLES, VERSION, WINDOWS};

/// The most memory that SQLite takes for pages, in bytes.
pub const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// How long to wait for another program that has the database for a moment.
pub(super) const BUSY_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// An open state file, locked for this process.
#[derive(Debug)]
pub struct State {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
    pub(super) saved: Saved,
    pub(super) lock: Lock,
}

/// Where the run before ended, but for the keys.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// The number of its last batch; 0: there was none.
    pub batch: u64,
    /// When that ended, in nanoseconds since the epoch.
    pub end_ns: i64,
    /// Where the lines of all batches went.
    pub ledger: Ledger,
    /// Records of keys beyond the limit.
    pub overflow: u64,
    /// Records whose key is `_other` itself.
    pub other: u64,
    /// The sum of both.
    pub other_sum: Decimal,
    /// How far files are counted.
    pub files: Vec<FileOffset>,
    /// How far the parts of other sources are counted.
    pub parts: Vec<SavedPart>,
}

/// How far a part of a source is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedPart {
    /// The source's name.
    pub source: String,
    /// The partition's number, the shard's name.
    pub part: String,
    /// Where to go on.
    pub next: String,
}

impl State {
    /// Opens the state file at `path` for a run that counts what `meaning` says, or creates it.
    ///
    /// # Errors
    /// If another process counts into it, it was counted with other settings, is of a newer version, damaged,
    /// something else, or cannot be written to. All are told as the setting `--state`.
    pub fn open(path: &Path, meaning: &Meaning) -> Result<State, Error> {
        let refused = |remedy| Error::Setting {
            name: "state",
            value: path.display().to_string(),
            remedy,
        };
        let lock = Lock::take(path).map_err(|why| refused(not_locked(&why)))?;
        let mut db = connect(path).map_err(refused)?;
        let told = |error: &rusqlite::Error| refused(words(error));
        match kind(&db).map_err(|error| told(&error))? {
            Kind::Empty => create(&mut db, meaning).map_err(|error| told(&error))?,
            Kind::Ours(version) => {
                let stored = load_meaning(&db).map_err(|error| told(&error))?;
                check_meaning(&stored, meaning).map_err(refused)?;
                upgrade(&mut db, version).map_err(|error| told(&error))?;
            }
            Kind::Newer(version) => return Err(refused(newer(version))),
            Kind::Foreign => return Err(refused(FOREIGN.to_owned())),
        }
        let saved = load(&db).map_err(|error| told(&error))?;
        Ok(State {
            db,
            path: path.to_owned(),
            saved,
            lock,
        })
    }

    /// Where the run before ended.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }
}

/// A state file that is locked for this process, whatever is in it.
#[derive(Debug)]
pub struct Locked {
    _lock: Lock,
}

impl Locked {
    /// Locks the state file at `path`.
    ///
    /// # Errors
    /// If another process has it.
    pub fn take(path: &Path) -> Result<Locked, Error> {
        match Lock::take(path) {
            Ok(lock) => Ok(Locked { _lock: lock }),
            Err(why) => Err(Error::State(format!(
                "{}: {}",
                path.display(),
                not_locked(&why)
            ))),
        }
    }
}

/// What a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is nothing in it.
    Empty,
    /// A state file that we can read, of this version or an earlier one.
    Ours(i32),
    /// A state file of a later version of this program.
    Newer(i32),
    /// Something else.
    Foreign,
}

/// What is said of a [`Kind::Foreign`] database.
pub(super) const FOREIGN: &str = "this is a database of another program; name another file";

/// What is said of a [`Kind::Newer`] database.
pub(super) fn newer(version: i32) -> String {
    format!(
        "a newer tallyline wrote it (state version {version}, this one knows up to {VERSION}); use that one, or name another file"
    )
}

/// What a database is.
pub(super) fn kind(db: &Connection) -> rusqlite::Result<Kind> {
    let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = db.query_row(tables, [], |row| row.get(0))?;
    Ok(match application {
        APPLICATION_ID if version > VERSION => Kind::Newer(version),
        APPLICATION_ID => Kind::Ours(version),
        0 if tables == 0 => Kind::Empty,
        _ => Kind::Foreign,
    })
}

/// Opens a database to write to, in WAL mode.
pub(super) fn connect(path: &Path) -> Result<Connection, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(BUSY_WAIT)?;
        db.pragma_update(None, "cache_size", -(CACHE_BYTES as i64 / 1024))?;
        // Asked first: a foreign database must not be changed.
        if matches!(kind(&db)?, Kind::Empty | Kind::Ours(_)) {
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "NORMAL")?;
        }
        Ok(db)
    };
    open().map_err(|error| words(&error))
}

fn create(db: &mut Connection, meaning: &Meaning) -> rusqlite::Result<()> {
    let change = db.transaction()?;
    change.execute_batch(&TABLES.concat())?;
    for (nth, (name, value)) in meaning.settings().enumerate() {
        change.execute(
            "INSERT INTO setting (name, nth, value) VALUES (?1, ?2, ?3)",
            (name, nth as i64, value),
        )?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}

/// Brings a file of an earlier version up to date.
fn upgrade(db: &mut Connection, version: i32) -> rusqlite::Result<()> {
    if version == VERSION {
        return Ok(());
    }
    let change = db.transaction()?;
    change.execute_batch(FROM_1)?;
    change.execute_batch(WINDOWS)?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}

/// Has a connection that only looks find in a file of an earlier version what that has not: empty tables, which
/// are the connection's own.
pub(super) fn stand_in(db: &Connection, version: i32) -> rusqlite::Result<()> {
    if version == VERSION {
        return Ok(());
    }
    db.execute_batch(STAND_IN_FOR_1)?;
    let tables = WINDOWS.replace("CREATE TABLE", "CREATE TEMP TABLE");
    db.execute_batch(&tables.replace(
        "CREATE UNIQUE INDEX window_end",
        "CREATE UNIQUE INDEX temp.window_end",
    ))
}

/// What the totals mean.
pub(super) fn load_meaning(db: &Connection) -> rusqlite::Result<Meaning> {
    let mut rows = db.prepare("SELECT name, value FROM setting ORDER BY nth")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect::<rusqlite::Result<Vec<_>>>().map(Meaning::new)
}

fn check_meaning(stored: &Meaning, wanted: &Meaning) -> Result<(), String> {
    let differences = stored.differences(wanted);
    if differences.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = differences
        .iter()
        .map(|(stored, wanted)| format!("it was counted with {stored}, this run has {wanted}"))
        .collect();
    Err(format!(
        "{}; count as it was, name another file, or begin anew after 'tallyline state reset'",
        told.join("; ")
    ))
}

/// Everything but the keys.
pub(super) fn load(db: &Connection) -> rusqlite::Result<Saved> {
    let progress = "SELECT batch, end_ns, lines, counted, missing, filtered, malformed, oversize, blank, late, \
                    overflow, other, unsummed, other_sum FROM progress";
    let saved = db.query_row(progress, [], |row| {
        let figure = |at: usize| row.get::<_, i64>(at).map(|figure| figure as u64);
        Ok(Saved {
            batch: figure(0)?,
            end_ns: row.get(1)?,
            ledger: Ledger {
                lines: figure(2)?,
                counted: figure(3)?,
                missing: figure(4)?,
                filtered: figure(5)?,
                malformed: figure(6)?,
                oversize: figure(7)?,
                blank: figure(8)?,
                late: figure(9)?,
                unsummed: figure(12)?,
            },
            overflow: figure(10)?,
            other: figure(11)?,
            other_sum: sum(row, 13)?,
            ..Saved::default()
        })
    });
    let mut saved = saved.optional()?.unwrap_or_default();
    saved.files = load_files(db)?;
    saved.parts = load_parts(db)?;
    Ok(saved)
}

/// A sum; 0 where nothing was summed.
pub(super) fn sum(row: &Row<'_>, at: usize) -> rusqlite::Result<Decimal> {
    let Some(text) = row.get::<_, Option<String>>(at)? else {
        return Ok(Decimal::ZERO);
    };
    let wrong = || rusqlite::Error::InvalidColumnType(at, text.clone(), Type::Text);
    Decimal::printed(&text).ok_or_else(wrong)
}

/// The files that were looked at last, as many as are remembered.
fn load_files(db: &Connection) -> rusqlite::Result<Vec<FileOffset>> {
    let mut rows = db.prepare(
        "SELECT device, inode, name, head_bytes, head_hash, offset, is_cut, length, touched_ns, stage \
         FROM file ORDER BY batch DESC LIMIT ?1",
    )?;
    let rows = rows.query_map([KNOWN_FILES_MAX as i64], |row| {
        let figure = |at: usize| row.get::<_, i64>(at).map(|figure| figure as u64);
        Ok(FileOffset {
            inode: Inode::new(figure(0)?, figure(1)?),
            name: row.get::<_, String>(2)?.into(),
            head: Head {
                len: figure(3)? as usize,
                hash: figure(4)?,
            },
            offset: figure(5)?,
            is_cut: row.get(6)?,
            len: figure(7)?,
            touched: row.get(8)?,
            stage: match row.get::<_, i64>(9)? {
                0 => FileStage::Open,
                1 => FileStage::Done,
                _ => FileStage::Unwanted,
            },
        })
    })?;
    rows.collect()
}

fn load_parts(db: &Connection) -> rusqlite::Result<Vec<SavedPart>> {
    let mut rows = db.prepare("SELECT source, part, next FROM part ORDER BY source, part")?;
    let rows = rows.query_map([], |row| {
        Ok(SavedPart {
            source: row.get(0)?,
            part: row.get(1)?,
            next: row.get(2)?,
        })
    })?;
    rows.collect()
}

fn not_locked(why: &Refused) -> String {
    match why {
        Refused::Held(pid) => {
            let pid = pid.map_or_else(String::new, |pid| format!(" {pid}"));
            format!("process{pid} counts into it; end that one, or name another file")
        }
        Refused::System(name, error) => format!(
            "cannot write {}: {}; name a file in a folder that may be written to",
            name.display(),
            reason(error)
        ),
    }
}

/// What SQLite says, as a person would, and what to do.
pub(super) fn words(error: &rusqlite::Error) -> String {
    let damaged = "restore a copy of it, or begin anew after 'tallyline state reset'";
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(ErrorCode::ReadOnly) => "it may not be written to".to_owned(),
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened; check the path and who may write there".to_owned()
        }
        Some(ErrorCode::NotADatabase) => "this is no state file; name another file".to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => format!("it is damaged; {damaged}"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program has it open for writing; end that one".to_owned()
        }
        Some(ErrorCode::SystemIoFailure) => "the disk does not read or write it".to_owned(),
        _ => format!("it is damaged ({error}); {damaged}"),
    }
}
