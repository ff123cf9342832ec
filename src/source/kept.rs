//! Files that an earlier run, or this one, has counted: which they are, and up to where.
//!
//! With a state file the sources of files say at each batch boundary how far each file has come
//! ([`FileOffset`]); whoever saves that together with the batch's counts can go on behind it. When a file is
//! opened, [`KnownFiles`] tells whether it is a new one, one to go on with, or another in the place of one that
//! was counted: shorter than it was, or with another beginning. What is done then is the user's
//! ([`OnReplaced`]). A file is known by what it [is](super::identity), whatever its name and whichever source
//! reads it, so one that was renamed is not counted again.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt};
use std::path::{Path, absolute};
use std::sync::Arc;

use clap::ValueEnum;
use memchr::memchr;

use crate::error::Error;
use crate::source::failed;
use crate::source::file::retry;
use crate::source::identity::{Head, Inode};

/// How many files are remembered, at some 200 bytes each; those that were not looked at for longest are
/// forgotten.
pub const KNOWN_FILES_MAX: usize = 65_536;

/// How much is searched at a time for the end of a line.
const SEARCH_BYTES: usize = 64 * 1024;

/// Up to where a file is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOffset {
    /// Which file.
    pub inode: Inode,
    /// How it begins.
    pub head: Head,
    /// Where it was found last: an absolute path.
    pub name: Arc<str>,
    /// The lines that begin before this byte are counted, of an archive: decompressed byte.
    pub offset: u64,
    /// The byte may lie within one of them; otherwise a line begins with it.
    pub is_cut: bool,
    /// The length of the file then, in bytes; of an archive, compressed.
    pub len: u64,
    /// When the inode was changed last, in nanoseconds since the epoch.
    pub touched: i64,
    /// What becomes of it.
    pub stage: FileStage,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStage {
    /// It is being read.
    Open,
    /// It was read to its end.
    Done,
    /// It is none of ours: an archive beside the files that are followed.
    Unwanted,
}

/// What to do about a file that was counted and has been cut or replaced since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnReplaced {
    /// Count it from its beginning, as a new file.
    Recount,
    /// Go on at the byte up to which the old one was counted.
    Continue,
    /// Count nothing, and say so.
    Fail,
}

/// The files that are known. See the module's documentation.
#[derive(Clone, Debug)]
pub struct KnownFiles {
    by_inode: HashMap<Inode, FileOffset>,
    by_name: HashMap<Arc<str>, Inode>,
    on_replaced: OnReplaced,
}

impl FileOffset {
    /// A file of which nothing is counted yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn fresh(
        name: &Arc<str>,
        file: &File,
        metadata: &Metadata,
    ) -> io::Result<FileOffset> {
        let head = Head::default().grown(file, |_| {})?;
        Ok(FileOffset {
            inode: Inode::of(metadata),
            head: head.unwrap_or_default(),
            name: Arc::clone(name),
            offset: 0,
            is_cut: false,
            len: metadata.len(),
            touched: touched(metadata),
            stage: FileStage::Open,
        })
    }

    /// Whether nothing has come to a file since it was read to its end.
    pub(super) fn is_complete(&self, metadata: &Metadata) -> bool {
        self.stage == FileStage::Done && self.len == metadata.len()
    }
}

impl KnownFiles {
    /// These files; what replaces one is dealt with as `on_replaced` says.
    pub fn new(files: Vec<FileOffset>, on_replaced: OnReplaced) -> KnownFiles {
        let mut known = KnownFiles {
            by_inode: HashMap::new(),
            by_name: HashMap::new(),
            on_replaced,
        };
        files.into_iter().for_each(|file| known.note(file));
        known
    }

    /// Whether a file in the place of another ends the run.
    pub(super) fn refuses_replaced(&self) -> bool {
        self.on_replaced == OnReplaced::Fail
    }

    /// The same files for whom a name means nothing: what takes another's name is a new file.
    pub(super) fn without_names(self) -> KnownFiles {
        KnownFiles {
            by_inode: self.by_inode,
            by_name: HashMap::new(),
            on_replaced: OnReplaced::Recount,
        }
    }

    /// Takes note of how far a file has come.
    pub(super) fn note(&mut self, file: FileOffset) {
        self.by_name.insert(Arc::clone(&file.name), file.inode);
        self.by_inode.insert(file.inode, file);
    }

    /// Every file, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &FileOffset> {
        self.by_inode.values()
    }

    /// Where to begin in the open file that has this name.
    ///
    /// # Errors
    /// If it cannot be read, or replaces one that is known and that is to end the run.
    pub(crate) fn begin(&self, path: &Path, file: &File) -> Result<FileOffset, Error> {
        let shown = path.display().to_string();
        let reading = |error: io::Error| failed(&shown, "read", &error);
        let metadata = file.metadata().map_err(reading)?;
        let name = full_name(path);
        let mut fresh = FileOffset::fresh(&name, file, &metadata).map_err(reading)?;
        let Some(known) = self.by_inode.get(&fresh.inode) else {
            return match self.predecessor(&name) {
                Some(old) => self.replaced(&shown, fresh, old),
                None => Ok(fresh),
            };
        };
        match known.head.grown(file, |_| {}).map_err(reading)? {
            Some(head) if metadata.len() >= known.len => {
                fresh.head = head;
                fresh.offset = known.offset;
                if known.is_cut {
                    fresh.offset = next_line(file, known.offset).map_err(reading)?;
                }
                if known.is_complete(&metadata) {
                    fresh.stage = FileStage::Done;
                }
                Ok(fresh)
            }
            // The inode of a deleted file is given to the next one, whatever that is called.
            _ if known.name != name => Ok(fresh),
            _ => self.replaced(&shown, fresh, known),
        }
    }

    /// The file that had this name and is not to be found beside it under another one now.
    fn predecessor(&self, name: &Arc<str>) -> Option<&FileOffset> {
        let old = self.by_inode.get(self.by_name.get(name)?)?;
        let folder = Path::new(&**name).parent()?;
        let mut entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
        let is_renamed = entries.any(|entry| entry.ino() == old.inode.number());
        (old.offset > 0 && !is_renamed).then_some(old)
    }

    fn replaced(
        &self,
        name: &str,
        fresh: FileOffset,
        old: &FileOffset,
    ) -> Result<FileOffset, Error> {
        let was = format!(
            "{name} was cut or replaced since it was counted up to byte {}",
            old.offset
        );
        match self.on_replaced {
            OnReplaced::Recount => {
                tracing::warn!("{was}: counting it from its beginning");
                Ok(fresh)
            }
            OnReplaced::Continue => {
                tracing::warn!("{was}: going on at that byte");
                // Of an archive the length says nothing of how far its contents go.
                Ok(FileOffset {
                    offset: old.offset,
                    ..fresh
                })
            }
            OnReplaced::Fail => Err(Error::Source(format!(
                "{was}; give --on-replaced recount to count it from its beginning, or --on-replaced continue to go on at that byte"
            ))),
        }
    }
}

/// The name by which a file is known, wherever the program is started.
pub(super) fn full_name(path: &Path) -> Arc<str> {
    let full = absolute(path).unwrap_or_else(|_| path.to_owned());
    full.display().to_string().into()
}

/// When the inode was last changed, by a rename too, in nanoseconds since the epoch.
pub(super) fn touched(metadata: &Metadata) -> i64 {
    let nanos = metadata.ctime().saturating_mul(1_000_000_000);
    nanos.saturating_add(metadata.ctime_nsec())
}

/// Where the first line begins that does not begin before `offset`, which is not 0.
fn next_line(file: &File, offset: u64) -> io::Result<u64> {
    let mut bytes = vec![0; SEARCH_BYTES];
    // The byte before tells whether a line begins here.
    let mut at = offset - 1;
    loop {
        let count = retry(|| file.read_at(&mut bytes, at))?;
        match memchr(b'\n', &bytes[..count]) {
            Some(newline) => return Ok(at + newline as u64 + 1),
            None if count == 0 => return Ok(at.max(offset)),
            None => at += count as u64,
        }
    }
}
