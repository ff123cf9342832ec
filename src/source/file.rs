//! Standard input, or one file.
//!
//! A file is read to the end as it stands when it is opened; it can be read again, so a crash loses nothing that a
//! second run would not find. Standard input, and a named pipe given as a file, cannot be replayed:
//! what was read from it and not yet printed is lost with the process.
//!
//! A file that is counted is read by the parsers themselves, in extents; `tap` and standard input are
//! read through the reader. What begins as gzip or zstd does is decompressed ([`archive`]). A regular file always has something to read. A pipe or a terminal is asked with `poll` before
//! each read, as its descriptor is shared with other programs and so is left blocking.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;

use memchr::memrchr;
use mio::Interest;
use mio::unix::SourceFd;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::clock::Timestamp;
use crate::error::{Error, reason};
use crate::extent::Extent;
use crate::source::archive::{self, Format, HEAD_BYTES, Sniffed, sniff};
use crate::source::kept::{FileOffset, FileStage};
use crate::source::pump::{Pump, Pumped};
use crate::source::{Read, Readiness, Source};

/// What a pipe is asked to hold, so that fewer system calls move more bytes.
const PIPE_BYTES: usize = 1 << 20;

/// How much of a file a parser reads at a time: enough that handing extents over costs nothing,
/// little enough that parsers end together and a batch boundary does not wait long.
const EXTENT_BYTES: u64 = 1 << 20;

/// An open file, or standard input.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    file: Arc<File>,
    /// A pipe, a terminal, a socket: reads may have to wait.
    may_wait: bool,
    way: Way,
    /// Bytes that were read to see whether this is an archive, and not handed on yet.
    head: Vec<u8>,
    /// Where it was begun; asked for only if somebody wants to know how far it has come.
    kept: Option<FileOffset>,
    progress: Progress,
}

/// How far a file has come that can be read again, in bytes; of an archive, decompressed.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Everything before it was handed on.
    handed: u64,
    /// The lines that begin before it were handed on; `whole <= handed`.
    whole: u64,
    /// The same before the last read.
    whole_before: u64,
    /// What was counted before must be passed over still: so many bytes.
    skip: u64,
    /// It is to be said that the stream does not begin with what comes next.
    is_within: bool,
    is_done: bool,
}

impl Progress {
    /// Takes note of bytes that are handed on.
    fn hand_on(&mut self, bytes: &[u8]) {
        self.whole_before = self.whole;
        if let Some(last) = memrchr(b'\n', bytes) {
            self.whole = self.handed + last as u64 + 1;
        }
        self.handed += bytes.len() as u64;
    }

    /// The end has come in good order: what was handed on is whole.
    fn end(&mut self) {
        self.whole = self.handed;
        self.whole_before = self.whole;
        self.is_done = true;
    }
}

/// How the bytes come.
#[derive(Debug)]
enum Way {
    /// What it is will show in its first bytes.
    Unknown,
    /// As they are.
    Plain,
    /// Parsers read them.
    Extents(Extents),
    /// Another thread decompresses them.
    Archive(Pump),
    /// No more.
    Over,
}

#[derive(Debug)]
struct Extents {
    name: Arc<str>,
    file: Arc<File>,
    begin: u64,
    /// `begin <= next <= file_end`
    next: u64,
    file_end: u64,
}

impl Extents {
    fn next(&mut self) -> Option<Extent> {
        let start = self.next;
        self.next = self.file_end.min(start + EXTENT_BYTES);
        (start < self.next).then(|| Extent {
            name: Arc::clone(&self.name),
            file: Arc::clone(&self.file),
            begin: self.begin,
            start,
            end: self.next,
            file_end: self.file_end,
        })
    }
}

impl FileSource {
    /// Standard input.
    ///
    /// # Errors
    /// If it is closed.
    pub fn stdin() -> Result<FileSource, Error> {
        let input = io::stdin().as_fd().try_clone_to_owned();
        let input = input.map_err(|error| failed("-", "read standard input", &error))?;
        FileSource::new("-", File::from(input))
    }

    /// The file at `path`. A named pipe is waited for until somebody writes into it.
    ///
    /// # Errors
    /// If it cannot be opened or is a directory.
    pub fn open(path: impl AsRef<Path>) -> Result<FileSource, Error> {
        let name = path.as_ref().display().to_string();
        let file = File::open(path).map_err(|error| failed(&name, "open", &error))?;
        FileSource::new(&name, file)
    }

    /// How many bytes of a regular file have been read; of an archive, compressed ones.
    pub(super) fn position(&self) -> u64 {
        match &self.way {
            Way::Extents(extents) => extents.next,
            _ => rustix::fs::tell(&self.file).unwrap_or(0),
        }
    }

    /// Has the parsers read the file for themselves, as long as it is now, if it is a regular one and
    /// no archive.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn in_extents(mut self) -> Result<FileSource, Error> {
        let failed = |error| failed(&self.name, "read", &error);
        let file_end = self.file.metadata().map_err(failed)?.len();
        // Files that the kernel makes up as they are read have no length.
        if self.may_wait || file_end == 0 {
            return Ok(self);
        }
        if !archive::is_archive(&self.file).map_err(failed)? {
            self.way = Way::Extents(Extents {
                name: self.name.as_str().into(),
                file: Arc::clone(&self.file),
                begin: self.progress.handed.min(file_end),
                next: self.progress.handed.min(file_end),
                file_end,
            });
        }
        Ok(self)
    }

    /// Goes on where this file was left, and tells from now on how far it has come.
    pub(super) fn going_on(mut self, from: FileOffset) -> FileSource {
        let offset = from.offset;
        self.progress = Progress {
            handed: offset,
            whole: offset,
            whole_before: offset,
            skip: offset,
            is_within: offset > 0,
            is_done: false,
        };
        self.kept = Some(from);
        self
    }

    /// How far it has come, without what the last read brought if that `is_held`; `None` if nobody
    /// wants to know, or it cannot be read again.
    pub(super) fn file_offset(&self, is_held: bool) -> Option<FileOffset> {
        let kept = self.kept.clone().filter(|_| !self.may_wait)?;
        let Progress {
            whole,
            whole_before,
            is_done,
            ..
        } = self.progress;
        let offset = if is_held { whole_before } else { whole };
        // What is between the end of an extent and the end of its last line is counted with it.
        let is_cut = match &self.way {
            Way::Extents(extents) => offset > extents.begin && offset < extents.file_end,
            _ => false,
        };
        Some(FileOffset {
            offset,
            is_cut,
            stage: if is_done {
                FileStage::Done
            } else {
                FileStage::Open
            },
            ..kept
        })
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// A file that is open already, called `name`.
    ///
    /// # Errors
    /// If it is a directory.
    pub(super) fn new(name: &str, file: File) -> Result<FileSource, Error> {
        let stat = rustix::fs::fstat(&file).map_err(|error| failed(name, "read", &error.into()))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            return Err(is_a_directory(name));
        }
        if kind == FileType::Fifo
            && let Err(error) = rustix::pipe::fcntl_setpipe_size(&file, PIPE_BYTES)
        {
            tracing::debug!("{name}: the pipe stays as large as it is: {error}");
        }
        let may_wait = kind != FileType::RegularFile;
        Ok(FileSource {
            name: name.to_owned(),
            file: Arc::new(file),
            may_wait,
            way: Way::Unknown,
            head: Vec::new(),
            kept: None,
            progress: Progress::default(),
        })
    }

    /// Reads without waiting; `None`: there is nothing at the moment.
    fn read_some(&self, space: &mut [u8]) -> io::Result<Option<usize>> {
        if self.may_wait && !has_something(&self.file)? {
            return Ok(None);
        }
        match retry(|| (&*self.file).read(space)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            result => result.map(Some),
        }
    }

    /// Looks at the first bytes; `None` if they have not come yet.
    fn find_way(&mut self, readiness: &Readiness<'_>) -> io::Result<Option<Way>> {
        loop {
            match sniff(&self.head) {
                Sniffed::Plain => return self.plain().map(Some),
                Sniffed::Archive(format) => return self.decompress(format, readiness).map(Some),
                Sniffed::Unclear => {}
            }
            let mut bytes = [0; HEAD_BYTES];
            let wanted = HEAD_BYTES - self.head.len();
            match self.read_some(&mut bytes[..wanted])? {
                None => return Ok(None),
                Some(0) => return self.plain().map(Some),
                Some(count) => self.head.extend_from_slice(&bytes[..count]),
            }
        }
    }

    fn decompress(&mut self, format: Format, readiness: &Readiness<'_>) -> io::Result<Way> {
        if self.may_wait {
            // From now on the decoder waits for it, and wakes the reader.
            let fd = self.file.as_raw_fd();
            readiness.registry.deregister(&mut SourceFd(&fd))?;
        }
        let head = std::mem::take(&mut self.head);
        let (file, waker) = (Arc::clone(&self.file), Arc::clone(readiness.waker));
        archive::decompress(format, &head, file, self.may_wait, waker).map(Way::Archive)
    }

    /// The bytes are what they seem; those that were counted before are passed over.
    fn plain(&mut self) -> io::Result<Way> {
        if self.progress.skip > 0 {
            self.head.clear();
            (&*self.file).seek(SeekFrom::Start(self.progress.skip))?;
            self.progress.skip = 0;
        }
        Ok(Way::Plain)
    }

    /// Reads bytes that are what they seem.
    fn read_plain(&mut self, space: &mut [u8]) -> Read {
        if !self.head.is_empty() {
            let count = self.head.len().min(space.len());
            space[..count].copy_from_slice(&self.head[..count]);
            self.head.drain(..count);
            self.progress.hand_on(&space[..count]);
            return Read::Bytes(count);
        }
        match self.read_some(space) {
            Ok(Some(0)) => self.stream_end(),
            Ok(Some(count)) => {
                self.progress.hand_on(&space[..count]);
                Read::Bytes(count)
            }
            Ok(None) => Read::Nothing,
            Err(error) => Read::Failed(failed(&self.name, "read", &error)),
        }
    }

    fn stream_end(&mut self) -> Read {
        self.progress.end();
        self.way = Way::Over;
        Read::StreamEnd { torn: false }
    }
}

/// Whether a read would not wait.
pub(super) fn has_something(file: &File) -> io::Result<bool> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    Ok(rustix::event::poll(&mut polled, Some(&Timespec::default()))? > 0)
}

/// Waits until there is something to read.
pub(super) fn wait_for_something(file: &File) -> io::Result<()> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    match rustix::event::poll(&mut polled, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        if !self.may_wait {
            return Ok(());
        }
        let fd = self.file.as_raw_fd();
        match readiness
            .registry
            .register(&mut SourceFd(&fd), readiness.token, Interest::READABLE)
        {
            // Devices that epoll does not know (`/dev/zero`) never wait either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.may_wait = false;
                Ok(())
            }
            result => result,
        }
    }

    fn is_fleeting(&self) -> bool {
        self.may_wait
    }

    fn is_recorded(&self) -> bool {
        !self.may_wait
    }

    fn wants_core(&self) -> bool {
        // Of a pipe nobody knows yet.
        !self.may_wait && archive::is_archive(&self.file).unwrap_or(false)
    }

    fn own_bytes_max(&self) -> usize {
        // What comes out of a pipe may be an archive.
        match self.may_wait || self.wants_core() {
            true => archive::MEMORY_BYTES_MAX,
            false => 0,
        }
    }

    fn read(&mut self, space: &mut [u8], readiness: &Readiness<'_>, _: Timestamp) -> Read {
        loop {
            match &mut self.way {
                Way::Plain | Way::Archive(_) if std::mem::take(&mut self.progress.is_within) => {
                    return Read::Within;
                }
                Way::Unknown => match self.find_way(readiness) {
                    Ok(Some(way)) => self.way = way,
                    Ok(None) => return Read::Nothing,
                    Err(error) => return Read::Failed(failed(&self.name, "read", &error)),
                },
                Way::Plain => return self.read_plain(space),
                Way::Extents(extents) => {
                    let Some(extent) = extents.next() else {
                        return self.stream_end();
                    };
                    self.progress.whole_before = self.progress.whole;
                    (self.progress.handed, self.progress.whole) = (extent.end, extent.end);
                    return Read::Extent(extent);
                }
                Way::Archive(decoder) => match decoder.read(space) {
                    Pumped::Bytes(count) => {
                        let skipped = self.progress.skip.min(count as u64);
                        self.progress.skip -= skipped;
                        let rest = skipped as usize..count;
                        if !rest.is_empty() {
                            let count = rest.len();
                            space.copy_within(rest, 0);
                            self.progress.hand_on(&space[..count]);
                            return Read::Bytes(count);
                        }
                    }
                    Pumped::Nothing => return Read::Nothing,
                    Pumped::End(Ok(())) => return self.stream_end(),
                    Pumped::End(Err(error)) => {
                        let name = match self.name.as_str() {
                            "-" => "standard input",
                            name => name,
                        };
                        return Read::Failed(Error::Source(format!(
                            "cannot decompress {name}: {}; what came before is counted",
                            archive::reason(&error)
                        )));
                    }
                },
                Way::Over => return Read::Finished,
            }
        }
    }
}

/// Tries again what a signal interrupted.
pub(super) fn retry<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

pub(super) fn is_a_directory(name: &str) -> Error {
    if name == "-" {
        let why = "it is a directory; name that as the source, with a / at its end";
        return Error::Source(format!("cannot read standard input: {why}"));
    }
    Error::Source(format!(
        "cannot read {name}: it is a directory; write {name}/ for the files that appear in it, or '{name}/*'"
    ))
}

pub(crate) fn failed(name: &str, what: &str, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "; check the path",
        io::ErrorKind::PermissionDenied => "; check who may read it",
        io::ErrorKind::NotADirectory if name.ends_with('/') => "; a file has no / at its end",
        io::ErrorKind::NotADirectory => "; check the path",
        // What the system says of a socket that is opened as a file.
        _ if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
            "; a socket is named unix://PATH"
        }
        _ => "",
    };
    Error::Source(format!("cannot {what} {name}: {}{remedy}", reason(error)))
}
