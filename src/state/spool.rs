//! What waits for sinks (`--to`) in the state file, and how far each sink has come.
//!
//! A batch's parcel is saved in the batch's own transaction by the [`Saver`](super::Saver), and is handed over only
//! after that: so a sink never has a batch that the state does not. Each courier reads with a connection of its own
//! ([`Spooled`]); the thread that saves is the only one that writes, and is woken to save how far a sink has come.
//! Parcels that all sinks have are deleted then.
//!
//! When what waits takes more than `--to-spool`, the thread that saves waits for the slowest sink, and in the end
//! so does the counting. A run that is being stopped does not wait.
//!
//! The two tables are made when a state is first used with a sink, and are nothing to a run without one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction};

use crate::delivery::{Figures, Parcel, Refusal, batches};
use crate::reader::Stop;
use crate::sink::text;
use crate::state::open::{BUSY_WAIT, State, words};
use crate::thread::ThreadSleeper;

const TABLES: &str = "
-- Results that some sink has not taken yet: a batch's reports, packed.
CREATE TABLE IF NOT EXISTS spool (
    batch INTEGER PRIMARY KEY,
    parcel BLOB NOT NULL
);

-- The last batch that each sink has taken, and where it said it stood then.
CREATE TABLE IF NOT EXISTS sink (
    name TEXT PRIMARY KEY,
    batch INTEGER NOT NULL,
    mark TEXT
) WITHOUT ROWID;
";

/// How far a sink has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The last batch that it has taken, or passed over.
    pub batch: u64,
    /// What it said of itself then.
    pub mark: Option<String>,
}

/// What the thread that saves and the couriers share.
#[derive(Debug)]
pub struct Spool {
    posts: Vec<Post>,
    /// The last batch in the file.
    saved: AtomicU64,
    /// No parcel follows.
    is_over: AtomicBool,
    /// Nothing can be saved, and nobody tries any more.
    is_cut: AtomicBool,
    bytes_max: u64,
    stop: Stop,
    /// The thread that saves.
    pub(super) stage: Arc<ThreadSleeper>,
}

/// One courier, as the thread that saves knows it.
#[derive(Debug)]
struct Post {
    figures: Arc<Figures>,
    sleeper: ThreadSleeper,
    /// Behind the closed batch, and held for as long as it takes to copy it.
    place: Mutex<Place>,
    /// Whether the file says the same; changed with the place locked.
    is_saved: AtomicBool,
    is_changed: AtomicBool,
    has_ended: AtomicBool,
}

/// How far each sink has come, in the order of the names: those that are new begin with the next batch. What waits
/// for sinks that are not among them any more is let go, and told.
///
/// # Errors
/// If the file cannot be written to.
pub fn places(state: &State, names: &[String]) -> Result<Vec<Place>, crate::error::Error> {
    let load = || -> rusqlite::Result<Vec<Place>> {
        let change = state.db.unchecked_transaction()?;
        change.execute_batch(TABLES)?;
        let sinks: Vec<(String, i64)> = change
            .prepare("SELECT name, batch FROM sink")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (name, batch) in sinks.iter().filter(|(name, _)| !names.contains(name)) {
            let waits: i64 = change.query_row(
                "SELECT count(*) FROM spool WHERE batch > ?1",
                [batch],
                |row| row.get(0),
            )?;
            if waits > 0 {
                tracing::warn!(
                    "{name}: not among the sinks any more: {} that waited for it let go",
                    batches(waits as u64)
                );
            }
            change.execute("DELETE FROM sink WHERE name = ?1", [name])?;
        }
        let mut places = Vec::new();
        for name in names {
            change.execute(
                "INSERT OR IGNORE INTO sink (name, batch) VALUES (?1, ?2)",
                (name, state.saved.batch as i64),
            )?;
            places.push(change.query_row(
                "SELECT batch, mark FROM sink WHERE name = ?1",
                [name],
                |row| {
                    Ok(Place {
                        batch: row.get::<_, i64>(0)? as u64,
                        mark: row.get(1)?,
                    })
                },
            )?);
        }
        change.commit()?;
        Ok(places)
    };
    load().map_err(|error| crate::error::Error::Setting {
        name: "state",
        value: state.path.display().to_string(),
        remedy: words(&error),
    })
}

impl Spool {
    /// The spool of a state whose sinks, in this order, have come so far.
    pub fn new(
        sinks: impl IntoIterator<Item = (Arc<Figures>, Place)>,
        saved: u64,
        bytes_max: u64,
        stop: Stop,
    ) -> Arc<Spool> {
        let post = |(figures, place): (Arc<Figures>, Place)| Post {
            figures,
            sleeper: ThreadSleeper::default(),
            is_saved: AtomicBool::new(true),
            place: Mutex::new(place),
            is_changed: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        };
        Arc::new(Spool {
            posts: sinks.into_iter().map(post).collect(),
            saved: AtomicU64::new(saved),
            is_over: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            bytes_max,
            stop,
            stage: Arc::default(),
        })
    }

    /// What each courier gets its parcels by, from the state file at `path`.
    pub fn connect(self: &Arc<Spool>, path: &Path) -> impl Iterator<Item = Spooled> {
        let connect = move |number: usize| Spooled {
            spool: Arc::clone(self),
            number,
            db: None,
            path: path.to_owned(),
            behind: self.posts[number].place().batch,
        };
        (0..self.posts.len()).map(connect)
    }

    /// Whether a sink has come further, or has ended, since this was asked last.
    pub(super) fn take_news(&self) -> bool {
        // Acquire: pairs with the Release of who changed the place; the place itself has its lock. All are
        // asked: each flag is to be taken back.
        let news = self.posts.iter();
        news.filter(|post| post.is_changed.swap(false, Ordering::Acquire))
            .count()
            > 0
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// All parcels up to this batch are in the file.
    pub(super) fn saved(&self, batch: u64) {
        // Release: a courier that sees it finds them there.
        self.saved.store(batch, Ordering::Release);
        self.wake();
    }

    /// No parcel follows.
    pub(super) fn close(&self) {
        // Release: pairs with the Acquire in `is_over`: who sees it knows of the last parcel.
        self.is_over.store(true, Ordering::Release);
        self.wake();
    }

    /// How far sinks come cannot be saved any more: they are to take nothing more.
    pub(super) fn cut(&self) {
        // Release: as `close`.
        self.is_cut.store(true, Ordering::Release);
        self.wake();
    }

    fn is_cut(&self) -> bool {
        // Acquire: pairs with the Release in `cut`.
        self.is_cut.load(Ordering::Acquire)
    }

    /// Whether all couriers have ended.
    pub(super) fn is_abandoned(&self) -> bool {
        self.posts
            .iter()
            .all(|post| post.has_ended.load(Ordering::Acquire))
    }

    fn places(&self) -> Vec<Place> {
        self.posts.iter().map(Post::place).collect()
    }

    fn wake(&self) {
        for post in &self.posts {
            post.sleeper.wake();
        }
    }
}

impl Post {
    fn lock(&self) -> MutexGuard<'_, Place> {
        // A place is either the one or the other.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> Place {
        self.lock().clone()
    }

    /// The sink stands elsewhere now.
    fn stand(&self, change: impl FnOnce(&mut Place)) {
        let mut place = self.lock();
        change(&mut place);
        self.is_saved.store(false, Ordering::Relaxed);
        drop(place);
        self.tell(&self.is_changed);
    }

    /// The file says that the sink stands here.
    fn saved(&self, saved: &Place) {
        let place = self.lock();
        if *place == *saved {
            // Release: the courier that sees it goes on.
            self.is_saved.store(true, Ordering::Release);
        }
    }

    /// Whether the file says where the sink stands.
    fn is_saved(&self) -> bool {
        // Acquire: pairs with the Release in `saved`.
        self.is_saved.load(Ordering::Acquire)
    }

    fn tell(&self, flag: &AtomicBool) {
        // Release: pairs with the Acquire of the thread that saves.
        flag.store(true, Ordering::Release);
    }
}

/// A courier's end: what waits for its sink.
#[derive(Debug)]
pub struct Spooled {
    spool: Arc<Spool>,
    number: usize,
    /// Opened with the first parcel.
    db: Option<Connection>,
    path: PathBuf,
    /// The last batch that is done with, or had nothing to hand over.
    behind: u64,
}

impl Spooled {
    fn post(&self) -> &Post {
        &self.spool.posts[self.number]
    }

    pub(crate) fn adopt(&self) {
        self.post().sleeper.adopt();
    }

    /// The next parcel, once there is one and the file says that the one before was taken: never is more than one
    /// ahead of what is saved. `None`: nothing follows.
    pub(crate) fn next(&mut self) -> Result<Option<Arc<Parcel>>, Refusal> {
        loop {
            let behind = self.behind;
            let (spool, post) = (&self.spool, self.post());
            let saved = post.sleeper.wait(|| {
                if spool.is_cut() {
                    return Some(None);
                }
                if !post.is_saved() {
                    return None;
                }
                let is_over = spool.is_over.load(Ordering::Acquire);
                let saved = spool.saved.load(Ordering::Acquire);
                match saved > behind {
                    true => Some(Some(saved)),
                    false => is_over.then_some(None),
                }
            });
            let Some(saved) = saved else { return Ok(None) };
            let loaded = self.load().map_err(|error| {
                Refusal::Later(
                    format!("cannot read what waits for it: {}", words(&error)),
                    None,
                )
            })?;
            match loaded.map(|(batch, bytes)| (batch, Parcel::from_bytes(bytes))) {
                Some((_, Ok(parcel))) => return Ok(Some(Arc::new(parcel))),
                Some((batch, Err(error))) => {
                    let figures = &self.post().figures;
                    figures.refuse(&error.to_string());
                    tracing::error!("{}: batch {batch} is passed over: {error}", figures.name);
                    self.done(batch as u64, None);
                }
                // Batches without anything to report.
                None => self.behind = saved,
            }
        }
    }

    fn load(&mut self) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
        let db = match self.db.take() {
            Some(db) => db,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let db = Connection::open_with_flags(&self.path, flags)?;
                db.busy_timeout(BUSY_WAIT)?;
                db.pragma_update(None, "query_only", true)?;
                db
            }
        };
        let next = "SELECT batch, parcel FROM spool WHERE batch > ?1 ORDER BY batch LIMIT 1";
        let loaded = db
            .prepare(next)?
            .query_row([self.behind as i64], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        self.db = Some(db);
        Ok(loaded)
    }

    /// The batch is done with; the sink stands at `mark` if it says so.
    pub(crate) fn done(&mut self, batch: u64, mark: Option<String>) {
        self.behind = batch;
        self.post().stand(|place| {
            place.batch = batch;
            if mark.is_some() {
                place.mark = mark;
            }
        });
        self.spool.stage.wake();
    }

    /// The sink stands at `mark` before it takes anything: returns when the file says so. `false`: it never will.
    pub(crate) fn note(&self, mark: String) -> bool {
        let (spool, post) = (&self.spool, self.post());
        post.stand(|place| place.mark = Some(mark));
        spool.stage.wake();
        post.sleeper.wait(|| match spool.is_cut() {
            true => Some(false),
            false => post.is_saved().then_some(true),
        })
    }

    /// Whether how far the sink comes cannot be saved any more.
    pub(crate) fn is_cut(&self) -> bool {
        self.spool.is_cut()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.spool.is_over.load(Ordering::Acquire)
    }

    /// Has the thread that saves see that the run is being stopped.
    pub(crate) fn tell_stopped(&self) {
        self.spool.stage.wake();
    }

    /// How many batches wait; 0 if that cannot be told.
    pub(crate) fn waiting(&self) -> u64 {
        let waiting = self.db.as_ref().and_then(|db| {
            let count = "SELECT count(*) FROM spool WHERE batch > ?1";
            let behind = self.behind as i64;
            db.query_row(count, [behind], |row| row.get::<_, i64>(0))
                .ok()
        });
        waiting.unwrap_or(0) as u64
    }
}

impl Drop for Spooled {
    /// The courier ends: its connection first, so that the last one to close takes the log away.
    fn drop(&mut self) {
        self.db = None;
        let post = self.post();
        post.tell(&post.has_ended);
        post.tell(&post.is_changed);
        self.spool.stage.wake();
    }
}

/// What the [`Saver`](super::Saver) does for the spool.
#[derive(Debug)]
pub(super) struct SpoolSaver {
    pub(super) spool: Arc<Spool>,
    /// Not in the file yet.
    pending: VecDeque<Arc<Parcel>>,
    /// In the file: batch and bytes.
    waiting: VecDeque<(u64, u64)>,
    /// Of both.
    bytes: u64,
    /// As the transaction that is under way has them.
    places: Vec<Place>,
    /// As the file has them.
    saved_places: Vec<Place>,
    has_told_full: bool,
    /// The last save failed.
    pub(super) is_failing: bool,
}

impl SpoolSaver {
    /// # Errors
    /// If what waits cannot be read.
    pub(super) fn new(db: &Connection, spool: Arc<Spool>) -> rusqlite::Result<SpoolSaver> {
        let mut rows = db.prepare("SELECT batch, length(parcel) FROM spool ORDER BY batch")?;
        let rows = rows.query_map([], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
        })?;
        let waiting = rows.collect::<rusqlite::Result<VecDeque<_>>>()?;
        Ok(SpoolSaver {
            spool,
            pending: VecDeque::new(),
            bytes: waiting.iter().map(|(_, bytes)| bytes).sum(),
            waiting,
            places: Vec::new(),
            saved_places: Vec::new(),
            has_told_full: false,
            is_failing: false,
        })
    }

    /// Takes note of a batch's parcel. While nothing can be saved, the oldest go to make room.
    pub(super) fn note(&mut self, parcel: Arc<Parcel>) {
        self.bytes += parcel.bytes().len() as u64;
        self.pending.push_back(parcel);
        let mut lost = 0;
        while self.is_failing && self.pending.len() > 1 && self.is_beyond(2 * self.spool.bytes_max)
        {
            if let Some(oldest) = self.pending.pop_front() {
                self.bytes -= oldest.bytes().len() as u64;
                lost += 1;
            }
        }
        if lost > 0 {
            for post in &self.spool.posts {
                if post.figures.lose(lost) {
                    tracing::warn!(
                        "{}: nothing can be saved, and more waits for it than --to-spool: the oldest batches are let go",
                        post.figures.name
                    );
                }
            }
        }
    }

    fn is_beyond(&self, bytes: u64) -> bool {
        self.bytes > bytes
    }

    /// Whether a sink has come further than the file says.
    pub(super) fn is_behind(&self) -> bool {
        self.saved_places != self.spool.places()
    }

    /// Whether the slowest sink is to be waited for; tells of it once.
    pub(super) fn is_full(&mut self) -> bool {
        let is_full = self.is_beyond(self.spool.bytes_max) && !self.waiting.is_empty();
        if is_full && !std::mem::replace(&mut self.has_told_full, true) {
            let slowest = self
                .spool
                .posts
                .iter()
                .min_by_key(|post| post.place().batch);
            tracing::warn!(
                "{}: more waits for it than {}: counting waits for it (--to-spool)",
                slowest.map_or("a sink", |post| &post.figures.name),
                text::bytes(self.spool.bytes_max)
            );
        }
        is_full
    }

    /// Writes what is new, and takes away what all sinks have.
    pub(super) fn write(&mut self, change: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut insert = change.prepare("REPLACE INTO spool (batch, parcel) VALUES (?1, ?2)")?;
        for parcel in &self.pending {
            insert.execute((parcel.batch() as i64, parcel.bytes()))?;
        }
        let mut update =
            change.prepare("REPLACE INTO sink (name, batch, mark) VALUES (?1, ?2, ?3)")?;
        self.places = self.spool.places();
        for (post, place) in self.spool.posts.iter().zip(&self.places) {
            update.execute((&post.figures.name, place.batch as i64, &place.mark))?;
        }
        let mut delete = change.prepare("DELETE FROM spool WHERE batch <= ?1")?;
        delete.execute([self.behind() as i64])?;
        Ok(())
    }

    /// The transaction is in the file; `batch` was its last.
    pub(super) fn written(&mut self, batch: Option<u64>) {
        for parcel in self.pending.drain(..) {
            self.waiting
                .push_back((parcel.batch(), parcel.bytes().len() as u64));
        }
        self.saved_places.clone_from(&self.places);
        for (post, place) in self.spool.posts.iter().zip(&self.places) {
            post.saved(place);
        }
        let behind = self.behind();
        while let Some(&(batch, bytes)) = self.waiting.front()
            && batch <= behind
        {
            self.bytes -= bytes;
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() {
            self.has_told_full = false;
        }
        for (post, place) in self.spool.posts.iter().zip(&self.places) {
            let first = self
                .waiting
                .partition_point(|&(batch, _)| batch <= place.batch);
            post.figures.wait((self.waiting.len() - first) as u64);
        }
        match batch {
            Some(batch) => self.spool.saved(batch),
            None => self.spool.wake(),
        }
    }

    /// The last batch that all sinks have taken.
    fn behind(&self) -> u64 {
        self.places
            .iter()
            .map(|place| place.batch)
            .min()
            .unwrap_or(0)
    }
}
