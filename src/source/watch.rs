//! What happens to files and folders, as the kernel tells it (inotify).
//!
//! The descriptor stands in the reader's own poll, so nothing runs beside the reader and nothing wakes up
//! while nothing happens. That is why it is inotify itself, through `rustix`, and not a library that keeps a
//! thread and a channel for it. Where there is no inotify, files are looked at from time to time instead.
//!
//! Bound: the kernel queues events (16,384 unless set otherwise) and then tells that it dropped some.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;

use mio::Registry;
use mio::Token;

/// What was watched: the kernel's number for it.
pub(super) type WatchId = i32;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A watched file has other contents or another length.
    Modified(WatchId),
    /// A watched file or folder was renamed or deleted, or is no longer watched.
    Moved(WatchId),
    /// In a watched folder, a name is new. It need not be complete.
    Created(WatchId, OsString),
    /// In a watched folder, a file that had been open for writing was closed.
    Closed(WatchId, OsString),
    /// In a watched folder, a name is gone to where this number comes up again.
    RenamedFrom(WatchId, OsString, u32),
    /// In a watched folder, a name has come, from where this number came up before.
    RenamedTo(WatchId, OsString, u32),
    /// In a watched folder, a name is gone.
    Deleted(WatchId, OsString),
    /// More happened than the kernel kept.
    Lost,
}

#[cfg(target_os = "linux")]
mod inotify {
    use super::*;
    use std::ffi::OsStr;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt;

    use mio::Interest;
    use mio::unix::SourceFd;
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    use rustix::io::Errno;

    /// How many bytes of events are read at a time: one event is at most some 280 bytes.
    const EVENTS_BYTES: usize = 16 * 1024;

    /// Watched files and folders.
    #[derive(Debug)]
    pub(in crate::source) struct Watch {
        events: OwnedFd,
    }

    impl Watch {
        /// Watches nothing yet.
        ///
        /// # Errors
        /// If the system has no more of this (`fs.inotify.max_user_instances`).
        pub(in crate::source) fn new() -> io::Result<Watch> {
            let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            Ok(Watch { events })
        }

        /// Has the poll tell of changes.
        ///
        /// # Errors
        /// What the system answers.
        pub(in crate::source) fn register(
            &self,
            registry: &Registry,
            token: Token,
        ) -> io::Result<()> {
            let fd = self.events.as_raw_fd();
            registry.register(&mut SourceFd(&fd), token, Interest::READABLE)
        }

        /// Watches an open file, whatever it is called.
        ///
        /// # Errors
        /// If the system has no more watches (`fs.inotify.max_user_watches`).
        pub(in crate::source) fn add_file(&self, file: &File) -> io::Result<WatchId> {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let flags = WatchFlags::MODIFY
                | WatchFlags::ATTRIB
                | WatchFlags::MOVE_SELF
                | WatchFlags::DELETE_SELF;
            Ok(inotify::add_watch(&self.events, path, flags)?)
        }

        /// Watches the names in a folder.
        ///
        /// # Errors
        /// As [`Watch::add_file`], or if it is no folder.
        pub(in crate::source) fn add_folder(&self, path: &Path) -> io::Result<WatchId> {
            let path = if path.as_os_str().is_empty() {
                Path::new(".")
            } else {
                path
            };
            let flags = WatchFlags::CREATE
                | WatchFlags::CLOSE_WRITE
                | WatchFlags::MOVE
                | WatchFlags::DELETE
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR;
            Ok(inotify::add_watch(&self.events, path, flags)?)
        }

        /// Watches something no longer. It may have ended by itself with its file.
        pub(in crate::source) fn remove(&self, id: WatchId) {
            // Then there is nothing to remove.
            inotify::remove_watch(&self.events, id).ok();
        }

        /// Tells what has happened since the last call; never waits.
        ///
        /// # Errors
        /// What the system answers.
        pub(in crate::source) fn changes(&self, mut each: impl FnMut(Change)) -> io::Result<()> {
            let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
            let mut reader = inotify::Reader::new(&self.events, &mut buffer);
            loop {
                let event = match reader.next() {
                    Ok(event) => event,
                    Err(Errno::AGAIN) => return Ok(()),
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                };
                let name = event.file_name();
                let name = name.map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                if let Some(change) = change(event.wd(), event.events(), event.cookie(), name) {
                    each(change);
                }
            }
        }
    }

    fn change(id: WatchId, what: ReadFlags, cookie: u32, name: Option<OsString>) -> Option<Change> {
        let is = |flag| what.contains(flag);
        if is(ReadFlags::QUEUE_OVERFLOW) {
            return Some(Change::Lost);
        }
        Some(match name {
            Some(name) if is(ReadFlags::MOVED_FROM) => Change::RenamedFrom(id, name, cookie),
            Some(name) if is(ReadFlags::MOVED_TO) => Change::RenamedTo(id, name, cookie),
            Some(name) if is(ReadFlags::CREATE) => Change::Created(id, name),
            Some(name) if is(ReadFlags::CLOSE_WRITE) => Change::Closed(id, name),
            Some(name) if is(ReadFlags::DELETE) => Change::Deleted(id, name),
            Some(_) => return None,
            None if is(ReadFlags::MODIFY) => Change::Modified(id),
            None => Change::Moved(id),
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod inotify {
    use super::*;

    /// There is none here.
    #[derive(Debug)]
    pub(in crate::source) enum Watch {}

    #[allow(missing_docs, reason = "as on Linux")]
    impl Watch {
        pub(in crate::source) fn new() -> io::Result<Watch> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in crate::source) fn register(&self, _: &Registry, _: Token) -> io::Result<()> {
            match *self {}
        }

        pub(in crate::source) fn add_file(&self, _: &File) -> io::Result<WatchId> {
            match *self {}
        }

        pub(in crate::source) fn add_folder(&self, _: &Path) -> io::Result<WatchId> {
            match *self {}
        }

        pub(in crate::source) fn remove(&self, _: WatchId) {
            match *self {}
        }

        pub(in crate::source) fn changes(&self, _: impl FnMut(Change)) -> io::Result<()> {
            match *self {}
        }
    }
}

pub(super) use inotify::Watch;
