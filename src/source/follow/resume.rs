//! What a state file has of followed files: where each goes on, and how far each has come.
//!
//! A file that was being read when the run before ended may have been renamed since. It is looked for by its
//! inode in the folder that it was in, so that the rest of it is read, as it is when it is renamed under our
//! eyes; if it is not there any more, that is told.

use std::fs::{self, File};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use super::{FileId, Follow, Known};
use crate::error::Error;
use crate::source::followed::Followed;
use crate::source::kept::{FileOffset, FileStage, KnownFiles, full_name};

impl Follow {
    /// Goes on where these files were left, and keeps account of how far each has come.
    ///
    /// # Errors
    /// If one was replaced and that is to be an error.
    pub fn with_known(mut self, kept: &KnownFiles) -> Result<Follow, Error> {
        self.keeps_account = true;
        for file in kept.iter().filter(|file| !file.is_cut) {
            self.know(file);
        }
        let mut found = Vec::new();
        for path in self.patterns.iter().flat_map(|pattern| pattern.paths()) {
            found.extend(find(kept, &path)?);
        }
        for file in kept.iter().filter(|file| file.stage == FileStage::Open) {
            if found.iter().all(|found| found.inode != file.inode) && self.is_in_our_folders(file) {
                found.extend(self.find_renamed(kept, file)?);
            }
        }
        found.iter().for_each(|file| self.know(file));
        Ok(self)
    }

    fn know(&mut self, file: &FileOffset) {
        let known = Known {
            head: file.head,
            offset: (file.stage != FileStage::Unwanted).then_some(file.offset),
            since: 0,
        };
        self.known.insert(file.inode, known);
    }

    fn is_in_our_folders(&self, file: &FileOffset) -> bool {
        let folder = Path::new(&*file.name).parent();
        let ours = self.patterns.iter().flat_map(|pattern| pattern.folders());
        let mut ours = ours.map(|ours| match ours.as_os_str().is_empty() {
            true => full_name(Path::new(".")),
            false => full_name(&ours),
        });
        ours.any(|ours| folder == Some(Path::new(&*ours)))
    }

    /// A file that none of our names leads to.
    fn find_renamed(
        &mut self,
        kept: &KnownFiles,
        file: &FileOffset,
    ) -> Result<Option<FileOffset>, Error> {
        let Some(path) = path_of_inode(file) else {
            tracing::warn!(
                "{} is gone: what was written to it behind byte {} is not counted",
                file.name,
                file.offset
            );
            return Ok(None);
        };
        let found = find(kept, &path)?;
        if found.as_ref().is_some_and(|found| found.offset > 0) {
            self.renamed.push((path, false));
        }
        Ok(found)
    }

    /// How far the files have come that were read since this was last asked, but for what is held.
    pub(super) fn take_moved(&mut self, is_held: bool) -> Vec<FileOffset> {
        let mut files = std::mem::take(&mut self.over);
        let held = self.last_read.filter(|_| is_held);
        for id in std::mem::take(&mut self.moved) {
            let Some(file) = self.files.get(&id) else {
                continue;
            };
            let mut offset = offset_of(file, FileStage::Open);
            if let Some((_, before)) = held.filter(|&(held, _)| held == id) {
                offset.offset = before;
                self.moved.insert(id);
            }
            files.push(offset);
        }
        files
    }

    /// Takes note of a read that begins.
    pub(super) fn reads(&mut self, id: FileId) {
        if self.keeps_account {
            self.last_read = self.files.get(&id).map(|file| (id, file.begun()));
            self.moved.insert(id);
        }
    }

    /// Takes note of a file that is over.
    pub(super) fn is_over(&mut self, file: &Followed, is_wanted: bool) {
        if self.keeps_account {
            let stage = if is_wanted {
                FileStage::Done
            } else {
                FileStage::Unwanted
            };
            self.over.push(FileOffset {
                offset: file.offset(),
                ..offset_of(file, stage)
            });
        }
    }
}

fn offset_of(file: &Followed, stage: FileStage) -> FileOffset {
    FileOffset {
        inode: file.inode,
        head: file.head,
        name: full_name(Path::new(&file.name)),
        offset: file.begun(),
        is_cut: false,
        len: file.len(),
        touched: 0,
        stage,
    }
}

/// Where to go on in the file that a path leads to now, if it leads to one.
fn find(kept: &KnownFiles, path: &Path) -> Result<Option<FileOffset>, Error> {
    match File::open(path) {
        // A directory cannot be read as a file; it is told when it is scanned.
        Ok(file) if file.metadata().is_ok_and(|found| found.is_file()) => {
            kept.begin(path, &file).map(Some)
        }
        _ => Ok(None),
    }
}

/// Where a file is now in the folder that it was in.
fn path_of_inode(file: &FileOffset) -> Option<PathBuf> {
    let entries = fs::read_dir(Path::new(&*file.name).parent()?).ok()?;
    let mut entries = entries.filter_map(Result::ok);
    let entry = entries.find(|entry| entry.ino() == file.inode.number())?;
    Some(entry.path())
}
