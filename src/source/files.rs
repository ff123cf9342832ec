//! Plain files, one after another: what several file arguments, or a glob, are read by.
//!
//! One file is open at a time (besides those whose extents are still on their way), so ten thousand
//! files need no more descriptors and no more memory than one. They are read in the order in which they
//! were named; each may begin with a byte order mark, and the last line of each may lack its newline.
//!
//! Every file is read to the end as it stands when its turn comes, and can be read again: a crash loses
//! nothing that a second run would not find. One that cannot be read, though it could when the run
//! began, does not keep the others from being counted; the run then ends with its error.
//!
//! With a state file each is read on from where an earlier run left it, and nothing is counted twice
//! ([`kept`](super::kept)).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::progress::Track;
use crate::source::{
    FileOffset, FileSource, FileStage, KnownFiles, Read, Readiness, Source, archive, failed,
};

/// Files, read in order.
#[derive(Debug)]
pub struct Files {
    name: String,
    rest: vec::IntoIter<PathBuf>,
    in_extents: bool,
    are_several: bool,
    open: Option<FileSource>,
    track: Arc<Track>,
    /// The bytes of the files that are done.
    bytes_done: u64,
    /// The files that are counted already; `None` if nobody keeps account of that.
    known: Option<KnownFiles>,
    /// How far those came that were read since somebody last asked, and are not open any more.
    over: Vec<FileOffset>,
    /// The first file that could not be read; further ones are told as they come.
    failure: Option<Error>,
}

impl Files {
    /// A source of these files, each a regular one; with `in_extents`, parsers read them for
    /// themselves.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(paths: Vec<PathBuf>, in_extents: bool) -> Files {
        let first = paths.first().expect("at least one file").display();
        let name = match paths.len() {
            1 => first.to_string(),
            2 => format!("{first} and another file"),
            count => format!("{first} and {} more files", count - 1),
        };
        // What cannot be looked at now will be told when its turn comes.
        let lens = paths.iter().filter_map(|path| fs::metadata(path).ok());
        let track = Track {
            bytes_total: lens.map(|file| file.len()).sum(),
            bytes_done: AtomicU64::new(0),
        };
        Files {
            name,
            are_several: paths.len() > 1,
            rest: paths.into_iter(),
            in_extents,
            open: None,
            track: Arc::new(track),
            bytes_done: 0,
            known: None,
            over: Vec::new(),
            failure: None,
        }
    }

    /// Goes on where these files were left, and keeps account of how far each has come.
    ///
    /// # Errors
    /// If one was replaced and that is to be an error.
    pub fn with_known(mut self, known: KnownFiles) -> Result<Files, Error> {
        for path in self
            .rest
            .as_slice()
            .iter()
            .filter(|_| known.refuses_replaced())
        {
            // What cannot be opened now will be told when its turn comes.
            if let Ok(file) = File::open(path) {
                known.begin(path, &file)?;
            }
        }
        self.known = Some(known);
        Ok(self)
    }

    fn failed(&mut self, error: Error) {
        if self.failure.is_none() {
            self.failure = Some(error);
        } else {
            tracing::error!("{error}");
        }
    }

    /// Opens a file; `None` if nothing has come to it since it was counted.
    fn open(&self, path: &Path, readiness: &Readiness<'_>) -> Result<Option<FileSource>, Error> {
        let mut file = FileSource::open(path)?;
        file.register(readiness)
            .map_err(|error| failed(&path.display().to_string(), "read", &error))?;
        if let Some(known) = &self.known {
            let from = known.begin(path, file.file())?;
            if from.stage == FileStage::Done {
                tracing::info!("{} is counted already", path.display());
                return Ok(None);
            }
            if from.offset > 0 {
                tracing::info!("{} goes on at byte {}", path.display(), from.offset);
            }
            file = file.going_on(from);
        }
        let file = match self.in_extents {
            true => file.in_extents()?,
            false => file,
        };
        Ok(Some(file))
    }

    /// The open file is over.
    fn close(&mut self) {
        let offset = self.open.take().and_then(|file| file.file_offset(false));
        if let (Some(offset), Some(known)) = (offset, &mut self.known) {
            // Named once more, it is not read again.
            known.note(offset.clone());
            self.over.push(offset);
        }
    }
}

impl Source for Files {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        // A regular file always has something to read, or its end.
        Ok(())
    }

    fn wants_core(&self) -> bool {
        // The first file stands for all: more than a few are seldom of two kinds.
        let first = self.rest.as_slice().first();
        first.is_some_and(|path| FileSource::open(path).is_ok_and(|file| file.wants_core()))
    }

    fn own_bytes_max(&self) -> usize {
        // One is open at a time; of the later ones any may be an archive.
        match self.rest.len() > 1 || self.wants_core() {
            true => archive::MEMORY_BYTES_MAX,
            false => 0,
        }
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn holds_back(&self) -> bool {
        self.are_several
    }

    fn track(&self) -> Option<Arc<Track>> {
        Some(Arc::clone(&self.track))
    }

    fn files(&mut self, is_held: bool) -> Vec<FileOffset> {
        let open = self.open.as_ref();
        let mut files = std::mem::take(&mut self.over);
        files.extend(open.and_then(|file| file.file_offset(is_held)));
        files
    }

    fn read(&mut self, space: &mut [u8], readiness: &Readiness<'_>, now: Timestamp) -> Read {
        loop {
            if let Some(open) = &mut self.open {
                let answer = open.read(space, readiness, now);
                if matches!(answer, Read::Bytes(_) | Read::Extent(_)) {
                    // Relaxed: a figure for the eye.
                    let done = self.bytes_done + open.position();
                    self.track.bytes_done.store(done, Ordering::Relaxed);
                }
                match answer {
                    Read::Finished => {
                        self.close();
                        self.bytes_done = self.track.bytes_done.load(Ordering::Relaxed);
                    }
                    Read::Failed(error) => {
                        self.close();
                        self.failed(error);
                        // The next file must not go on with this one's last piece.
                        return Read::StreamEnd { torn: true };
                    }
                    answer => return answer,
                }
            }
            let Some(path) = self.rest.next() else {
                return self.failure.take().map_or(Read::Finished, Read::Failed);
            };
            match self.open(&path, readiness) {
                Ok(file) => self.open = file,
                Err(error) => self.failed(error),
            }
        }
    }
}
