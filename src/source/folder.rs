//! `DIR/`: every file that appears in a folder, once, when it is complete.
//!
//! As Spark's `textFileStream`: a program writes a file elsewhere, or under a name that begins with `.` or `_`
//! or ends in `.tmp` or `._COPYING_`, and renames it when it is done. A file that is written in place is
//! complete when its writer closes it. Those that are there at the start count too, once they have not been
//! written to for [`SETTLE_NANOS`]. Of several at once the order is that of their names; folders in the folder
//! are not entered. A file is read as any file is: in extents, or decompressed.
//!
//! Which file is which is told by [`identity`](super::identity), so one that is renamed within the folder is not
//! read again, and one that takes the name of another is. What is added to a file that was read is not counted,
//! but told. Files can be read again after a crash; a second run reads all that are there. With a state file it
//! goes on with the one that was being read, and knows those that were.
//!
//! With `--poll`, where the kernel does not tell of what other machines do, the folder is listed at an
//! interval, and a file is complete when it has not been written to for that long.
//!
//! Bounds: the names that wait for their turn, and [`SEEN_MAX`] identities. When there are more, those whose
//! files were last touched longest ago are forgotten, and everything as old as they are is taken for read.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::clock::Timestamp;
use crate::error::{Error, reason};
use crate::source::identity::{Head, Inode};
use crate::source::kept::touched;
use crate::source::paths::is_wanted;
use crate::source::watch::{Change, Watch};
use crate::source::{
    FileOffset, FileSource, FileStage, KnownFiles, Read, Readiness, Source, archive, failed,
};

/// A file that was there before anybody watched is complete when it has not been written to for 1 s.
const SETTLE_NANOS: u64 = 1_000_000_000;

/// How often a folder that has vanished is looked for.
const RETURN_NANOS: u64 = 2_000_000_000;

/// How many files that were read are remembered, at some 100 bytes each.
const SEEN_MAX: usize = 65_536;

/// A file that was read.
#[derive(Clone, Copy, Debug)]
struct SeenFile {
    head: Head,
    len: u64,
    /// When its inode was last changed.
    touched: i64,
}

/// Which files were read.
#[derive(Debug)]
struct Seen {
    files: HashMap<Inode, SeenFile>,
    /// The same files, those touched longest ago first.
    by_age: BTreeSet<(i64, Inode)>,
    files_max: usize,
    /// What was touched no later than this is taken for read.
    forgotten_to: i64,
}

impl Seen {
    fn new(files_max: usize) -> Seen {
        Seen {
            files: HashMap::new(),
            by_age: BTreeSet::new(),
            files_max,
            forgotten_to: i64::MIN,
        }
    }

    /// Whether a file that a listing shows may be a new one.
    fn may_be_new(&self, inode: Inode, touched: i64) -> bool {
        match self.files.get(&inode) {
            Some(seen) => seen.touched != touched,
            None => touched > self.forgotten_to,
        }
    }

    fn insert(&mut self, inode: Inode, file: SeenFile) {
        if let Some(old) = self.files.insert(inode, file) {
            self.by_age.remove(&(old.touched, inode));
        }
        self.by_age.insert((file.touched, inode));
        if self.files.len() > self.files_max
            && let Some((touched, oldest)) = self.by_age.pop_first()
        {
            self.files.remove(&oldest);
            self.forgotten_to = touched;
        }
    }
}

/// A folder in which files appear.
#[derive(Debug)]
pub struct Folder {
    name: String,
    path: PathBuf,
    pattern: Option<glob::Pattern>,
    in_extents: bool,
    seen: Seen,
    /// Files that an earlier run has begun; `None` if nobody keeps account.
    known: Option<KnownFiles>,
    /// How far those came that were read since somebody last asked, and are not open any more.
    over: Vec<FileOffset>,
    /// Complete files that wait for their turn.
    waiting: VecDeque<OsString>,
    open: Option<FileSource>,
    watch: Option<Watch>,
    poll_nanos: Option<u64>,
    is_missed: bool,
    /// When to list the folder.
    scan_at: Option<Timestamp>,
}

impl Folder {
    /// The files that appear in the folder `name`, those whose names match `pattern` if one is given.
    ///
    /// # Errors
    /// If there is no such folder; if it is no pattern (usage).
    pub fn new(
        name: &str,
        pattern: Option<&str>,
        poll_nanos: Option<u64>,
        in_extents: bool,
    ) -> Result<Folder, Error> {
        let not_a_glob = |text: &str, error: glob::PatternError| {
            Error::Usage(format!("--pattern {text}: not a glob: {}", error.msg))
        };
        let parse = |text| glob::Pattern::new(text).map_err(|error| not_a_glob(text, error));
        let pattern = pattern.map(parse).transpose()?;
        fs::read_dir(name).map_err(|error| failed(name, "read", &error))?;
        Ok(Folder {
            name: name.to_owned(),
            path: PathBuf::from(name),
            pattern,
            in_extents,
            seen: Seen::new(SEEN_MAX),
            known: None,
            over: Vec::new(),
            waiting: VecDeque::new(),
            open: None,
            watch: None,
            poll_nanos,
            is_missed: false,
            scan_at: Some(Timestamp::from_nanos(i64::MIN)),
        })
    }

    /// Goes on where the files were left, and keeps account of how far each has come.
    pub fn with_known(mut self, known: KnownFiles) -> Folder {
        for file in known.iter().filter(|file| file.stage == FileStage::Done) {
            let seen = SeenFile {
                head: file.head,
                len: file.len,
                touched: file.touched,
            };
            self.seen.insert(file.inode, seen);
        }
        self.known = Some(known.without_names());
        self
    }

    /// The open file is over.
    fn close(&mut self) {
        let offset = self.open.take().and_then(|file| file.file_offset(false));
        // One that cannot be read to its end is not tried again.
        let done = offset.map(|offset| FileOffset {
            stage: FileStage::Done,
            ..offset
        });
        self.over.extend(done);
    }

    fn is_wanted(&self, name: &OsStr) -> bool {
        is_wanted(name, self.pattern.as_ref())
    }

    /// Takes note of what the kernel tells.
    fn look_at_changes(&mut self, now: Timestamp) {
        let Some(watch) = &self.watch else { return };
        let mut changes = Vec::new();
        if let Err(error) = watch.changes(|change| changes.push(change)) {
            self.cannot_watch(&error);
        }
        let mut complete = BTreeSet::new();
        for change in changes {
            match change {
                Change::Closed(_, name) | Change::RenamedTo(_, name, _) => {
                    complete.insert(name);
                }
                Change::RenamedFrom(_, name, _) | Change::Deleted(_, name) => {
                    complete.remove(&name);
                }
                Change::Lost | Change::Moved(_) => self.scan_at = Some(now),
                Change::Created(..) | Change::Modified(_) => {}
            }
        }
        let complete = complete.into_iter().filter(|name| self.is_wanted(name));
        let complete: Vec<OsString> = complete.collect();
        self.waiting.extend(complete);
    }

    /// Lists the folder for files that nobody told of.
    fn scan(&mut self, now: Timestamp) {
        if let Some(Err(error)) = self
            .watch
            .as_ref()
            .map(|watch| watch.add_folder(&self.path))
            && error.kind() != io::ErrorKind::NotFound
        {
            self.cannot_watch(&error);
        }
        self.scan_at = self.poll_nanos.map(|nanos| now.plus_nanos(nanos));
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) => {
                if !std::mem::replace(&mut self.is_missed, true) {
                    tracing::warn!(
                        "cannot read {}: {}; waiting for it",
                        self.name,
                        reason(&error)
                    );
                }
                self.scan_at = Some(now.plus_nanos(RETURN_NANOS));
                return;
            }
        };
        self.is_missed = false;
        let settle_nanos = self.poll_nanos.unwrap_or(SETTLE_NANOS);
        let waiting: BTreeSet<&OsString> = self.waiting.iter().collect();
        let mut found = BTreeSet::new();
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let Ok(metadata) = fs::metadata(entry.path()) else {
                continue;
            };
            let is_new = self
                .seen
                .may_be_new(Inode::of(&metadata), touched(&metadata));
            if !metadata.is_file() || !self.is_wanted(&name) || !is_new || waiting.contains(&name) {
                continue;
            }
            let written = metadata.mtime().saturating_mul(1_000_000_000);
            let written = Timestamp::from_nanos(written.saturating_add(metadata.mtime_nsec()));
            if written <= now && now.nanos_since(written) < settle_nanos {
                let settled = written.plus_nanos(settle_nanos);
                self.scan_at = Some(self.scan_at.map_or(settled, |at| at.min(settled)));
            } else {
                found.insert(name);
            }
        }
        self.waiting.extend(found);
    }

    fn cannot_watch(&mut self, error: &io::Error) {
        tracing::warn!(
            "cannot watch {}: {}; looking from time to time instead, as with --poll (a limit is \
             fs.inotify.max_user_watches)",
            self.name,
            reason(error)
        );
        self.watch = None;
        self.poll_nanos = self.poll_nanos.or(Some(SETTLE_NANOS));
        self.scan_at = self.scan_at.or(Some(Timestamp::from_nanos(i64::MIN)));
    }

    /// Opens a file if it was not read yet.
    fn open(&mut self, path: &Path) -> Result<Option<FileSource>, Error> {
        let name = path.display().to_string();
        let reading = |error: io::Error| failed(&name, "read", &error);
        let file = match File::open(path) {
            Ok(file) => file,
            // Somebody took it away again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&name, "open", &error)),
        };
        let metadata = file.metadata().map_err(reading)?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let inode = Inode::of(&metadata);
        let known = self.seen.files.get(&inode).copied();
        let grown = |head: Head| head.grown(&file, |_| {}).map_err(reading);
        let same = known.map_or(Ok(None), |seen| grown(seen.head))?;
        let is_seen = same.is_some();
        if let Some(seen) = known.filter(|seen| is_seen && metadata.len() != seen.len) {
            tracing::warn!(
                "{name} was {} bytes long when it was counted and has {} now; what changed is not counted",
                seen.len,
                metadata.len()
            );
        }
        let head = same.map_or_else(|| grown(Head::default()), |head| Ok(Some(head)))?;
        let (len, touched) = (metadata.len(), touched(&metadata));
        self.seen.insert(
            inode,
            SeenFile {
                head: head.unwrap_or_default(),
                len,
                touched,
            },
        );
        if is_seen {
            return Ok(None);
        }
        tracing::info!("reading {name}");
        let from = self.known.as_ref().map(|known| known.begin(path, &file));
        let mut file = FileSource::new(&name, file)?;
        if let Some(from) = from.transpose()? {
            file = file.going_on(from);
        }
        if self.in_extents {
            file.in_extents()
        } else {
            Ok(file)
        }
        .map(Some)
    }
}

impl Source for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        if self.poll_nanos.is_some() {
            return Ok(());
        }
        // Watched before it is first listed: nothing appears unseen in between.
        let watch = Watch::new().and_then(|watch| {
            watch.register(readiness.registry, readiness.token)?;
            watch.add_folder(&self.path)?;
            Ok(watch)
        });
        match watch {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => self.cannot_watch(&error),
        }
        Ok(())
    }

    fn read(&mut self, space: &mut [u8], readiness: &Readiness<'_>, now: Timestamp) -> Read {
        loop {
            if let Some(open) = &mut self.open {
                match open.read(space, readiness, now) {
                    Read::Finished => self.close(),
                    Read::Failed(error) => {
                        self.close();
                        tracing::error!("{error}");
                        return Read::StreamEnd { torn: true };
                    }
                    answer => return answer,
                }
            }
            self.look_at_changes(now);
            if self.scan_at.is_some_and(|at| at <= now) {
                self.scan(now);
            }
            let Some(name) = self.waiting.pop_front() else {
                return Read::Nothing;
            };
            match self.open(&self.path.join(name)) {
                Ok(file) => self.open = file,
                Err(error) => tracing::error!("{error}"),
            }
        }
    }

    fn files(&mut self, is_held: bool) -> Vec<FileOffset> {
        let open = self.open.as_ref();
        let mut files = std::mem::take(&mut self.over);
        files.extend(open.and_then(|file| file.file_offset(is_held)));
        files
    }

    fn own_bytes_max(&self) -> usize {
        archive::MEMORY_BYTES_MAX
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.scan_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_temporary_names_are_passed_over() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().to_str().unwrap();
        let folder = Folder::new(path, Some("*.json*"), None, true).unwrap();
        let is_wanted = |name: &str| folder.is_wanted(OsStr::new(name));
        assert!(is_wanted("a.json") && is_wanted("a.jsonl.gz"));
        for name in [
            ".a.json",
            "_a.json",
            "a.json.tmp",
            "a.json._COPYING_",
            "a.txt",
        ] {
            assert!(!is_wanted(name), "{name}");
        }
        assert_eq!(
            Folder::new(path, Some("["), None, true)
                .unwrap_err()
                .exit_status(),
            2
        );
    }

    #[test]
    fn what_is_forgotten_is_not_read_again() {
        let here = tempfile::tempdir().unwrap();
        let inodes: Vec<Inode> = (0..5)
            .map(|number| {
                let path = here.path().join(number.to_string());
                fs::write(&path, "").unwrap();
                Inode::of(&fs::metadata(path).unwrap())
            })
            .collect();
        let mut seen = Seen::new(3);
        let file = |touched| SeenFile {
            head: Head::default(),
            len: 0,
            touched,
        };
        for (inode, touched) in inodes.iter().zip([10, 40, 20, 30]) {
            assert!(seen.may_be_new(*inode, touched));
            seen.insert(*inode, file(touched));
        }
        assert_eq!(
            (seen.files.len(), seen.by_age.len(), seen.forgotten_to),
            (3, 3, 10)
        );
        for (inode, touched) in inodes.iter().zip([10, 40, 20, 30]) {
            assert!(!seen.may_be_new(*inode, touched), "{touched}");
        }
        assert!(seen.may_be_new(inodes[4], 11));
        assert!(seen.may_be_new(inodes[1], 41), "touched since");
    }
}
