//! The history in a state file, a page at a time, for those who look on while somebody counts into it.
//!
//! Fed by the file alone, on a connection of its own that only reads: in WAL mode it waits for no writer, and none waits
//! for it. What a page takes is bounded: so many rows, found by an index; of each the leaders that were saved with it; and
//! no key longer than [`KEY_BYTES_MAX`], for longer ones are among those that are told in one figure. Nothing is held from one page
//! to the next, so that the log of the writer is not kept from being written back.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::Error;
use crate::live::KEY_BYTES_MAX;
use crate::state::history::{self, PastBatch, PastWindow};
use crate::state::leaders::LEADERS_MAX;
use crate::state::look::open_to_read;
use crate::state::open::words;
use crate::window::WindowSpec;

/// The memory of a connection's pages, in KiB.
const CACHE_KIB: i64 = 1024;

/// What a page of 1,001 rows takes, in bytes: the leaders of each with keys of their own, the keys that were looked up, and all
/// of it written out.
pub const PAGE_BYTES_MAX: u64 = 3 * 1_001 * (LEADERS_MAX as u64 + 1) * (KEY_BYTES_MAX as u64 + 128);

/// Which part of the past is asked for: what lies between two places, of which neither is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Behind this place. Of a batch that is its number, of a window its end in nanoseconds since the epoch.
    pub after: Option<i64>,
    /// Before this place.
    pub before: Option<i64>,
    /// At the most so many: the first behind `after`, if that is given, else the last.
    pub limit: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Archive {
    db: Connection,
    path: PathBuf,
}

impl Archive {
    /// Opens the state file at `path`.
    ///
    /// # Errors
    /// If it is none, or cannot be read.
    pub fn open(path: &Path) -> Result<Archive, Error> {
        let db = open_to_read(path)?;
        let archive = Archive {
            db,
            path: path.to_owned(),
        };
        let cache = archive.db.pragma_update(None, "cache_size", -CACHE_KIB);
        cache.map_err(|error| archive.failed(&error))?;
        Ok(archive)
    }

    /// A page of batches, in order of time.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn batches(&self, page: Page) -> Result<Vec<PastBatch>, Error> {
        let batches = history::batches(&self.db, page, KEY_BYTES_MAX);
        batches.map_err(|error| self.failed(&error))
    }

    /// A page of the windows of a kind, in order of time.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn windows(&self, spec: WindowSpec, page: Page) -> Result<Vec<PastWindow>, Error> {
        let windows = history::windows_of(&self.db, spec, page, KEY_BYTES_MAX);
        windows.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &rusqlite::Error) -> Error {
        Error::State(format!("{}: {}", self.path.display(), words(error)))
    }
}
