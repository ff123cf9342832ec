//! Standard input, or one file.
//!
//! A file is read to the end as it stands when it is opened; it can be read again, so a crash loses nothing that a
//! second run would not find. Standard input, and a named pipe given as a file, cannot be replayed:
//! what was read from it and not yet printed is lost with the process.
//!
//! A file that is counted is read by the parsers themselves, in extents; `tap` and standard input are
//! read through the reader. A regular file always has something to read. A pipe or a terminal is asked with `poll` before
//! each read, as its descriptor is shared with other programs and so is left blocking.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;

use mio::Interest;
use mio::unix::SourceFd;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;

use crate::clock::Timestamp;
use crate::error::{Error, reason};
use crate::extent::Extent;
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
    is_over: bool,
    /// The file in extents, if it is read so.
    extents: Option<Extents>,
}

#[derive(Debug)]
struct Extents {
    name: Arc<str>,
    file: Arc<File>,
    /// `next <= file_end`
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

    /// Has the parsers read the file for themselves, as long as it is now, if it is a regular one.
    ///
    /// # Errors
    /// If its length cannot be told.
    pub fn in_extents(mut self) -> Result<FileSource, Error> {
        let file_end = self.file.metadata();
        let file_end = file_end.map_err(|error| failed(&self.name, "read", &error))?;
        let file_end = file_end.len();
        // Files that the kernel makes up as they are read have no length.
        if !self.may_wait && file_end > 0 {
            self.extents = Some(Extents {
                name: self.name.as_str().into(),
                file: Arc::clone(&self.file),
                next: 0,
                file_end,
            });
        }
        Ok(self)
    }

    fn new(name: &str, file: File) -> Result<FileSource, Error> {
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
            is_over: false,
            extents: None,
        })
    }

    fn has_something(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.file, PollFlags::IN)];
        Ok(rustix::event::poll(&mut polled, Some(&Timespec::default()))? > 0)
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

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        if self.is_over {
            return Read::Finished;
        }
        if let Some(extents) = &mut self.extents {
            let extent = extents.next();
            self.is_over = extent.is_none();
            return extent.map_or(Read::StreamEnd { torn: false }, Read::Extent);
        }
        let result = match self.may_wait.then(|| self.has_something()) {
            Some(Ok(false)) => return Read::Nothing,
            Some(Err(error)) => Err(error),
            None | Some(Ok(true)) => retry(|| (&*self.file).read(space)),
        };
        match result {
            Ok(0) => {
                self.is_over = true;
                Read::StreamEnd { torn: false }
            }
            Ok(count) => Read::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
            Err(error) => Read::Failed(failed(&self.name, "read", &error)),
        }
    }
}

/// Tries again what a signal interrupted.
fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

pub(super) fn is_a_directory(name: &str) -> Error {
    Error::Source(format!(
        "cannot read {name}: it is a directory; name a file in it, or a glob such as '{}/*'",
        name.trim_end_matches('/')
    ))
}

pub(crate) fn failed(name: &str, what: &str, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "; check the path",
        io::ErrorKind::PermissionDenied => "; check who may read it",
        _ => "",
    };
    Error::Source(format!("cannot {what} {name}: {}{remedy}", reason(error)))
}
