//! Sources: where bytes come from.
//!
//! The reader owns the sources and asks each for bytes without ever waiting in one: a source that
//! has nothing says so, and mio's poll (or [`Source::wake_at`]) tells when to ask again. What a
//! source can replay after a crash stands at the head of its own file.

mod file;
#[cfg(feature = "kafka")]
pub mod kafka;
mod offsets;
mod script;
mod start;
mod tcp;

pub use file::FileSource;
pub(crate) use file::failed;
pub use offsets::{Commit, PartOffset, SourceOffsets};
pub use script::{Script, ScriptEvent};
pub use start::StartAt;
pub use tcp::{OnClose, TcpOptions, TcpSource};

use std::sync::Arc;

use mio::{Registry, Token, Waker};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::extent::Extent;

/// The answer to [`Source::read`].
#[derive(Debug)]
pub enum Read {
    /// This many bytes were read, at least one.
    Bytes(usize),
    /// Lines that the parsers read for themselves; nothing was read into the space.
    Extent(Extent),
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

    /// When to ask again though no event came.
    fn wake_at(&self) -> Option<Timestamp> {
        None
    }

    /// Where to resume behind what has been read; without what the last read brought, if that
    /// `is_held` for the next batch. Asked at each batch boundary. Empty: it cannot be resumed.
    fn offsets(&mut self, is_held: bool) -> Vec<PartOffset> {
        let _ = is_held;
        Vec::new()
    }

    /// Who is to be told which offsets have been reported; asked once, before the first read.
    fn committer(&mut self) -> Option<Box<dyn Commit>> {
        None
    }
}
