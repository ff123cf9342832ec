//! Sources: where bytes come from.
//!
//! The reader owns the sources and asks each for bytes without ever waiting in one: a source that
//! has nothing says so, and mio's poll (or [`Source::wake_at`]) tells when to ask again. What a
//! source can replay after a crash stands at the head of its own file.

mod any_read;
mod archive;
mod client;
mod file;
mod files;
mod folder;
mod follow;
mod followed;
#[cfg(any(feature = "kafka", feature = "kinesis"))]
mod handover;
mod identity;
mod kept;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "kinesis")]
pub mod kinesis;
mod listen;
mod offsets;
mod paths;
mod pump;
mod script;
mod socket;
mod start;
#[cfg(feature = "tls")]
pub(crate) mod tls;
mod watch;

pub use any_read::AnyRead;
pub(crate) use archive::stream;
pub use client::{Client, ClientOptions, OnClose};
pub use file::FileSource;
pub(crate) use file::failed;
pub use files::Files;
pub use folder::Folder;
pub use follow::Follow;
pub use identity::{Head, Inode};
pub use kept::{FileOffset, FileStage, KNOWN_FILES_MAX, KnownFiles, OnReplaced};
pub use listen::Listener;
pub use offsets::{Commit, Lag, Next, Part, PartOffset, SourceOffsets};
pub use paths::{files_named, is_followable, takes_in};
pub use script::{Script, ScriptEvent};
pub use socket::Address;
pub use start::StartAt;
#[cfg(feature = "tls")]
pub use tls::{TlsClient, TlsFiles, TlsServer};
#[cfg(feature = "tls")]
pub(crate) use tls::{http_server, plain_tls};

use std::fmt;
use std::sync::Arc;

use mio::{Registry, Token, Waker};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::extent::Extent;
use crate::live::Link;
use crate::progress::Track;

/// The answer to [`Source::read`].
#[derive(Debug)]
pub enum Read {
    /// This many bytes were read, at least one.
    Bytes(usize),
    /// Lines that the parsers read for themselves; nothing was read into the space.
    Extent(Extent),
    /// Another stream, of a producer that has connected to this source. It has its turn among the
    /// others, is asked after its own events only, and is forgotten when it is over.
    Connection(Box<dyn Source>),
    /// What comes next is not the beginning of a stream: what an earlier run has counted stands before it.
    /// Nothing was read.
    Within,
    /// What comes next does not fit into the space and should not be cut; nothing was read. The next
    /// answer to a space of whatever size is another one.
    Full,
    /// Nothing at the moment; ask again after an event or at [`Source::wake_at`].
    Nothing,
    /// The stream ended; another may follow from the same source.
    StreamEnd {
        /// It broke off: an unfinished last line is no line. Otherwise the last line only lacks its
        /// newline.
        torn: bool,
    },
    /// There will never be more.
    Finished,
    /// There will never be more, and that is a failure.
    Failed(Error),
}

/// What a source needs to be told when there is something to read.
#[derive(Debug)]
pub struct Readiness<'a> {
    /// Where to register for events.
    pub registry: &'a Registry,
    /// With which token.
    pub token: Token,
    /// Makes the reader ask again; for helper threads.
    pub waker: &'a Arc<Waker>,
}

/// A source of bytes. See the module's documentation.
pub trait Source: Send {
    /// Its name, as the user wrote it.
    fn name(&self) -> &str;

    /// Registers for readiness; called once, before the first read.
    ///
    /// # Errors
    /// What the system answers.
    fn register(&mut self, readiness: &Readiness<'_>) -> std::io::Result<()>;

    /// Reads into `space`, which is not empty; never waits.
    fn read(&mut self, space: &mut [u8], readiness: &Readiness<'_>, now: Timestamp) -> Read;

    /// How it stands to its other end, as long as it is not over.
    fn link(&self) -> Link {
        Link::Connected
    }

    /// Whether a thread of its own, busy with its bytes, is to have a core: then the parsers, one for
    /// each core, are not held to theirs.
    fn wants_core(&self) -> bool {
        false
    }

    /// How far it has come, if it is known beforehand how far it goes.
    fn track(&self) -> Option<Arc<Track>> {
        None
    }

    /// When to ask again though no event came.
    fn wake_at(&self) -> Option<Timestamp> {
        None
    }

    /// Whether all of it is there already, in an order that does not change: a regular file. Then what
    /// is counted by the records' own time does not depend on the clock.
    fn is_recorded(&self) -> bool {
        false
    }

    /// Whether what has come is gone if it is not read now: a socket, a pipe. A reader that is stopped looks
    /// there once more.
    fn is_fleeting(&self) -> bool {
        false
    }

    /// Whether records of any age may follow, from the first to the last: files, of which each is a stream
    /// of its own. They hold the watermark of event time where it is.
    fn holds_back(&self) -> bool {
        false
    }

    /// How many connections it hands over at once, at the most; 0: it is a stream itself.
    fn connections_max(&self) -> usize {
        0
    }

    /// Memory that it and its connections keep at the most, beside unfinished lines.
    fn own_bytes_max(&self) -> usize {
        0
    }

    /// Where to resume behind what has been read; without what the last read brought, if that
    /// `is_held` for the next batch. Asked at each batch boundary. Empty: it cannot be resumed.
    fn offsets(&mut self, is_held: bool) -> Vec<PartOffset> {
        let _ = is_held;
        Vec::new()
    }

    /// How far the files have come that were read since this was last asked: as for [`Source::offsets`],
    /// and asked together with it. Empty unless the source was told to keep account.
    fn files(&mut self, is_held: bool) -> Vec<FileOffset> {
        let _ = is_held;
        Vec::new()
    }

    /// Who is to be told which offsets have been reported; asked once, before the first read.
    fn committer(&mut self) -> Option<Box<dyn Commit>> {
        None
    }
}

/// Its name.
impl fmt::Debug for dyn Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many streams some sources may have open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Sources that are streams themselves.
    pub sources: usize,
    /// Connections of the others.
    pub connections: usize,
    /// Memory that all of them keep for themselves.
    pub own_bytes: usize,
}

impl Streams {
    /// A source that is a stream itself.
    pub const ONE: Streams = Streams {
        sources: 1,
        connections: 0,
        own_bytes: 0,
    };

    /// Those of `sources`.
    pub fn of(sources: &[Box<dyn Source>]) -> Streams {
        let connections = sources.iter().map(|source| source.connections_max());
        Streams {
            sources: connections.clone().filter(|&max| max == 0).count(),
            connections: connections.sum(),
            own_bytes: sources.iter().map(|source| source.own_bytes_max()).sum(),
        }
    }
}
