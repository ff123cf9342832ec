//! `--follow`: files that are read on as they grow, through everything that happens to log files.
//!
//! Renamed away, a file is read on under its new name, and what takes its old name is read from its
//! beginning. Copied and cut, it begins again. Deleted, it is read to its end; created again, it is another
//! file. Names that lead nowhere yet are waited for, globs are matched again. No file is read twice,
//! whatever its names are: see [`identity`](super::identity). A renamed file keeps being read as long as its
//! writer may not have noticed; after [`GONE_NANOS`] without growth it is over, and its last line is a line
//! even without a newline.
//!
//! The kernel tells what happens ([`watch`](super::watch)): an idle follow sleeps. Rotations that come faster
//! than we look are followed by the renames the kernel tells of, as long as they stay within the folder.
//! With `--poll`, for network file systems, where the kernel does not know what other machines do, names and
//! files are looked at at an interval instead.
//!
//! Files are read through the reader, whole lines at a time ([`Followed`]), each in its turn, so that none
//! starves. Not in extents: those promise a length that a file being cut does not keep.
//!
//! With a state file each goes on where an earlier run left it: see [`resume`].
//!
//! Bounds: a descriptor for every file that has a name here, [`GONE_FILES_MAX`] for those that have none any
//! more, [`KNOWN_MAX`] identities of files that are over, in case they come back.

mod resume;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::Timestamp;
use crate::error::{Error, reason};
use crate::source::followed::{Followed, Step};
use crate::source::identity::{Head, Inode};
use crate::source::paths::{AS_A_SHELL, files_matching, is_glob};
use crate::source::watch::{Change, Watch, WatchId};
use crate::source::{FileOffset, Read, Readiness, Source, failed};

/// How often names are looked at though the kernel told of nothing: symbolic links that point elsewhere
/// now, and folders that did not exist, 2 s.
const RESCAN_NANOS: u64 = 2_000_000_000;

/// How long a file that no name leads to must not have grown until it is over: 5 s, a hundred times what a
/// writer needs to notice a rotation.
const GONE_NANOS: u64 = 5_000_000_000;

/// How many files are read on though no name leads to them; beyond, the one that is quiet for longest is
/// over.
const GONE_FILES_MAX: usize = 64;

/// How many files that are over are remembered.
const KNOWN_MAX: usize = 65_536;

/// How many renames are followed between two looks.
const RENAMED_MAX: usize = 1024;

/// A number for each file of a run.
type FileId = u64;

/// A file that is over: what tells it, and up to where it was read. `None`: it is not to be read.
#[derive(Debug)]
struct Known {
    head: Head,
    offset: Option<u64>,
    since: FileId,
}

/// What is named by one argument.
#[derive(Debug)]
struct Pattern {
    text: String,
    glob: Option<glob::Pattern>,
    /// Whether it was said that nothing has this name.
    is_missed: bool,
}

impl Pattern {
    fn matches(&self, path: &Path) -> bool {
        match &self.glob {
            Some(glob) => glob.matches_path_with(path, AS_A_SHELL),
            None => path == Path::new(&self.text),
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        match &self.glob {
            // A folder that cannot be read is told once, by its silence: it may be readable later.
            Some(_) => files_matching(&self.text).unwrap_or_default(),
            None => vec![PathBuf::from(&self.text)],
        }
    }

    /// The folders in which names can come to match.
    fn folders(&self) -> Vec<PathBuf> {
        let parent = Path::new(&self.text).parent().unwrap_or(Path::new(""));
        let text = parent.to_string_lossy();
        match glob::glob_with(&text, AS_A_SHELL) {
            Ok(folders) if is_glob(&text) => {
                // New folders show in the one that has no wildcards.
                let plain = parent
                    .ancestors()
                    .find(|path| !is_glob(&path.to_string_lossy()));
                let plain = plain.map(Path::to_path_buf);
                folders.filter_map(Result::ok).chain(plain).collect()
            }
            _ => vec![parent.to_path_buf()],
        }
    }
}

/// Files that are followed.
#[derive(Debug)]
pub struct Follow {
    name: String,
    patterns: Vec<Pattern>,
    files: BTreeMap<FileId, Followed>,
    next_id: FileId,
    by_inode: HashMap<Inode, FileId>,
    known: HashMap<Inode, Known>,
    /// Files that may have something to read, each once.
    ready: VecDeque<FileId>,
    watch: Option<Watch>,
    by_watch: HashMap<WatchId, FileId>,
    watch_of: HashMap<FileId, WatchId>,
    folders: HashMap<WatchId, PathBuf>,
    /// Where files are now that had a name of ours, and whether we have looked there since. A name stays
    /// until all changes from before that look are known: the file may have been renamed once more.
    renamed: Vec<(PathBuf, bool)>,
    /// A name of ours is gone; this number tells to where, when it comes up again.
    moving: Option<u32>,
    /// Whether it was said that a file cannot be opened; said once for as many as there are.
    is_failing: bool,
    /// With `--poll`: how often everything is looked at.
    poll_nanos: Option<u64>,
    /// When to look at the names.
    scan_at: Timestamp,
    /// It was said that what comes next is no stream's beginning: each file has its own.
    is_within: bool,
    /// Whether somebody wants to know how far files have come.
    keeps_account: bool,
    /// Files that were read since somebody last asked; those that are over, how far they came.
    moved: BTreeSet<FileId>,
    over: Vec<FileOffset>,
    /// The file that was read last, and up to where its lines had been handed on before.
    last_read: Option<(FileId, u64)>,
}

impl Follow {
    /// Follows what these names and globs stand for, now or later; with `poll_nanos`, by looking at them
    /// that often.
    ///
    /// # Errors
    /// If one is a bad glob (usage).
    pub fn new(names: &[String], poll_nanos: Option<u64>) -> Result<Follow, Error> {
        let patterns = names.iter().map(|name| {
            let text = name.trim_start_matches("./").to_owned();
            if !is_glob(&text) || fs::metadata(&text).is_ok() {
                return Ok(Pattern {
                    text,
                    glob: None,
                    is_missed: false,
                });
            }
            let glob = glob::Pattern::new(&text).map_err(|error| {
                Error::Usage(format!("source {name}: not a glob: {}", error.msg))
            })?;
            Ok(Pattern {
                text,
                glob: Some(glob),
                is_missed: false,
            })
        });
        Ok(Follow {
            name: names.join(", "),
            patterns: patterns.collect::<Result<_, Error>>()?,
            files: BTreeMap::new(),
            next_id: 0,
            by_inode: HashMap::new(),
            known: HashMap::new(),
            ready: VecDeque::new(),
            watch: None,
            by_watch: HashMap::new(),
            watch_of: HashMap::new(),
            folders: HashMap::new(),
            renamed: Vec::new(),
            moving: None,
            is_failing: false,
            poll_nanos,
            scan_at: Timestamp::from_nanos(i64::MIN),
            is_within: false,
            keeps_account: false,
            moved: BTreeSet::new(),
            over: Vec::new(),
            last_read: None,
        })
    }

    fn is_polling(&self) -> bool {
        self.watch.is_none()
    }

    /// Takes note of what the kernel tells.
    fn look_at_changes(&mut self, now: Timestamp) {
        let Some(watch) = &self.watch else { return };
        let mut changes = Vec::new();
        if let Err(error) = watch.changes(|change| changes.push(change)) {
            tracing::warn!(
                "cannot hear of changes: {}; looking from time to time",
                reason(&error)
            );
            self.stop_watching();
        }
        for change in changes {
            match change {
                Change::Modified(id) => {
                    if let Some(&id) = self.by_watch.get(&id) {
                        self.make_ready(id);
                    }
                }
                Change::Closed(..) => {}
                Change::Moved(id) => {
                    self.scan_at = now;
                    self.folders.remove(&id);
                }
                Change::Created(..) | Change::Deleted(..) => self.scan_at = now,
                Change::RenamedFrom(folder, name, number) => {
                    self.scan_at = now;
                    let path = self.folders.get(&folder).map(|folder| folder.join(name));
                    self.moving = path.filter(|path| self.was_ours(path)).map(|_| number);
                }
                Change::RenamedTo(folder, name, number) => {
                    self.scan_at = now;
                    let was_ours = self.moving.take_if(|moving| *moving == number).is_some();
                    if let Some(folder) = self.folders.get(&folder).filter(|_| was_ours) {
                        self.renamed.push((folder.join(name), false));
                    }
                }
                Change::Lost => {
                    tracing::warn!(
                        "changes came faster than the kernel could tell of them; looking at all files"
                    );
                    self.scan_at = now;
                    let ids: Vec<FileId> = self.files.keys().copied().collect();
                    ids.into_iter().for_each(|id| self.make_ready(id));
                }
            }
        }
        // The rest is renamed no more, or later than we have looked.
        self.renamed.retain(|(_, is_looked_at)| !is_looked_at);
        let surplus = self.renamed.len().saturating_sub(RENAMED_MAX);
        self.renamed.drain(..surplus);
    }

    /// Whether a path that is no more named a file of ours; it is forgotten as the name of a renamed one.
    fn was_ours(&mut self, path: &Path) -> bool {
        let renamed = self.renamed.iter().position(|(renamed, _)| renamed == path);
        if let Some(at) = renamed {
            self.renamed.remove(at);
        }
        renamed.is_some() || self.patterns.iter().any(|pattern| pattern.matches(path))
    }

    fn make_ready(&mut self, id: FileId) {
        let file = self.files.get_mut(&id);
        if file.is_some_and(|file| !std::mem::replace(&mut file.is_ready, true)) {
            self.ready.push_back(id);
        }
    }

    /// Looks at all names: which files are there, and which have none any more.
    fn scan(&mut self, now: Timestamp) {
        self.watch_folders();
        let mut named = Vec::new();
        for at in 0..self.patterns.len() {
            let mut is_there = false;
            for path in self.patterns[at].paths() {
                if let Some(id) = self.look_at(&path) {
                    is_there = true;
                    named.extend(id);
                }
            }
            let pattern = &mut self.patterns[at];
            if !is_there && !std::mem::replace(&mut pattern.is_missed, true) {
                tracing::warn!("no file is called {} yet; waiting for it", pattern.text);
            }
            pattern.is_missed |= is_there;
        }
        for at in 0..self.renamed.len() {
            let path = self.renamed[at].0.clone();
            self.look_at(&path);
            self.renamed[at].1 = true;
        }
        let is_named: HashSet<FileId> = named.into_iter().collect();
        let mut touched = Vec::new();
        for (&id, file) in &mut self.files {
            let is_named = is_named.contains(&id);
            if is_named || file.gone_since.is_none() {
                file.gone_since = (!is_named).then_some(now);
            }
            if !is_named || self.poll_nanos.is_some() || self.watch.is_none() {
                touched.push(id);
            }
        }
        touched.into_iter().for_each(|id| self.make_ready(id));
        self.end_quiet_files(now);
        self.scan_at = now.plus_nanos(self.poll_nanos.unwrap_or(RESCAN_NANOS));
    }

    /// Ends the files that have had no name and no growth for long, and the quietest of too many.
    fn end_quiet_files(&mut self, now: Timestamp) {
        let gone = self.files.iter().filter(|(_, file)| !file.is_ending);
        let mut gone: Vec<(Timestamp, FileId)> = gone
            .filter_map(|(&id, file)| Some((file.gone_since?, id)))
            .collect();
        gone.sort_unstable();
        let too_many = gone.len().saturating_sub(GONE_FILES_MAX);
        for (at, (since, id)) in gone.into_iter().enumerate() {
            if at < too_many || now.nanos_since(since) >= GONE_NANOS {
                self.files.get_mut(&id).expect("it is there").is_ending = true;
                self.make_ready(id);
            }
        }
    }

    /// Looks at what a name leads to. `None`: to no file; otherwise to this one, if it is one of ours.
    fn look_at(&mut self, path: &Path) -> Option<Option<FileId>> {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let name = path.display().to_string();
        if let Some(&id) = self.by_inode.get(&Inode::of(&found)) {
            let file = self.files.get_mut(&id).expect("inodes lead to files");
            file.name = name;
            // It has a name again before it was over.
            file.is_ending &= file.is_within_line();
            return Some(Some(id));
        }
        let opened = File::open(path).and_then(|file| {
            // Another one may have got the name meanwhile.
            let inode = Inode::of(&file.metadata()?);
            Ok((file, inode))
        });
        match opened {
            Ok((file, inode)) if !self.by_inode.contains_key(&inode) => {
                Some(self.begin(name, file, inode))
            }
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!("{}; trying again", failed(&name, "open", &error));
                }
                None
            }
        }
    }

    /// Begins to read a file, or goes on with one that was thought to be over.
    fn begin(&mut self, name: String, file: File, inode: Inode) -> Option<FileId> {
        let mut offset = 0;
        let mut head = Head::default();
        if let Some(known) = self.known.remove(&inode)
            && let Ok(Some(grown)) = known.head.grown(&file, |_| {})
        {
            match known.offset {
                Some(known) => (offset, head) = (known, grown),
                None => {
                    self.known.insert(inode, known);
                    return None;
                }
            }
        }
        let id = self.next_id;
        self.next_id += 1;
        if let Some(watch) = &self.watch {
            match watch.add_file(&file) {
                Ok(watched) => {
                    self.by_watch.insert(watched, id);
                    self.watch_of.insert(id, watched);
                }
                Err(error) => self.cannot_watch(&name, &error),
            }
        }
        tracing::info!("following {name} from byte {offset}");
        self.by_inode.insert(inode, id);
        self.files
            .insert(id, Followed::new(name, file, inode, head, offset));
        self.make_ready(id);
        Some(id)
    }

    /// A file is over: it is not read again if it comes back.
    fn end(&mut self, id: FileId, is_wanted: bool) {
        let file = self.files.remove(&id).expect("only files of ours end");
        self.is_over(&file, is_wanted);
        self.by_inode.remove(&file.inode);
        if let Some(watched) = self.watch_of.remove(&id) {
            self.by_watch.remove(&watched);
            if let Some(watch) = &self.watch {
                watch.remove(watched);
            }
        }
        self.ready.retain(|&ready| ready != id);
        if self.known.len() >= KNOWN_MAX {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.since);
            if let Some(oldest) = oldest.map(|(&inode, _)| inode) {
                self.known.remove(&oldest);
            }
        }
        let known = Known {
            head: file.head,
            offset: is_wanted.then_some(file.offset()),
            since: self.next_id,
        };
        self.known.insert(file.inode, known);
    }

    fn watch_folders(&mut self) {
        if self.is_polling() {
            return;
        }
        for folder in self
            .patterns
            .iter()
            .flat_map(Pattern::folders)
            .collect::<Vec<_>>()
        {
            let Some(watch) = &self.watch else { return };
            match watch.add_folder(&folder) {
                Ok(id) => {
                    self.folders.insert(id, folder);
                }
                // It may come later.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.cannot_watch(&folder.display().to_string(), &error),
            }
        }
    }

    fn cannot_watch(&mut self, name: &str, error: &io::Error) {
        tracing::warn!(
            "cannot watch {name}: {}; looking at the files from time to time instead, as with --poll (a \
             limit is fs.inotify.max_user_watches)",
            reason(error)
        );
        self.stop_watching();
    }

    fn stop_watching(&mut self) {
        self.watch = None;
        self.by_watch.clear();
        self.watch_of.clear();
        self.folders.clear();
        self.poll_nanos = self.poll_nanos.or(Some(1_000_000_000));
    }

    /// One read of one file; `None` if it had nothing.
    fn read_one(&mut self, id: FileId, space: &mut [u8], now: Timestamp) -> Option<Read> {
        self.reads(id);
        let file = self.files.get_mut(&id).expect("what is ready is there");
        match file.read(space) {
            Ok(Step::Bytes(count)) => {
                if file.gone_since.is_some() {
                    file.gone_since = Some(now);
                }
                if !file.is_within_line() {
                    self.ready.rotate_left(1);
                }
                return Some(Read::Bytes(count));
            }
            Ok(Step::Quiet) => {
                file.is_ready = false;
                self.ready.pop_front();
                if file.is_ending {
                    self.end(id, true);
                    return Some(Read::StreamEnd { torn: false });
                }
            }
            Ok(Step::Cut) => {
                tracing::warn!("{} was cut and is read from its beginning", file.name);
                if file.begin_again() {
                    return Some(Read::StreamEnd { torn: true });
                }
            }
            Ok(Step::Archive) => {
                tracing::warn!("{} is compressed, so it is not followed", file.name);
                self.end(id, false);
            }
            Err(error) => {
                tracing::error!(
                    "cannot read {}: {}; trying again when it grows",
                    file.name,
                    reason(&error)
                );
                file.is_ready = false;
                self.ready.pop_front();
                if file.give_up_line() {
                    return Some(Read::StreamEnd { torn: true });
                }
            }
        }
        None
    }
}

impl Source for Follow {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        if self.poll_nanos.is_some() {
            return Ok(());
        }
        let watch = Watch::new().and_then(|watch| {
            watch.register(readiness.registry, readiness.token)?;
            Ok(watch)
        });
        match watch {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => self.cannot_watch(&self.name.clone(), &error),
        }
        Ok(())
    }

    fn files(&mut self, is_held: bool) -> Vec<FileOffset> {
        self.take_moved(is_held)
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, now: Timestamp) -> Read {
        if !std::mem::replace(&mut self.is_within, true) {
            return Read::Within;
        }
        self.look_at_changes(now);
        if now >= self.scan_at {
            self.scan(now);
        }
        while let Some(&id) = self.ready.front() {
            if let Some(answer) = self.read_one(id, space, now) {
                self.is_within = matches!(answer, Read::Bytes(_));
                return answer;
            }
        }
        Read::Nothing
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.scan_at)
    }
}
