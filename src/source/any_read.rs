//! Whatever can be read from, for users of the library: a thread of its own reads, waits and hands on what has come.
//!
//! It cannot be replayed. A line that a failed read leaves unfinished is torn. A reader that panics has failed: stage
//! threads end the program when they panic, which is not for a reader of somebody else's to do.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::clock::Timestamp;
use crate::error::{Error, reason};
use crate::source::pump::{self, Fill, Pump, Pumped};
use crate::source::{Read, Readiness, Source};

/// A source that reads from any [`std::io::Read`].
pub struct AnyRead {
    name: String,
    way: Way,
}

enum Way {
    /// Not begun: the thread needs the reader's waker.
    Closed(Box<dyn io::Read + Send>),
    Open(Pump),
    Over,
}

impl AnyRead {
    /// A source of what `reader` gives, up to its end; errors call it `name`.
    pub fn new(name: &str, reader: impl io::Read + Send + 'static) -> AnyRead {
        AnyRead {
            name: name.to_owned(),
            way: Way::Closed(Box::new(reader)),
        }
    }
}

impl fmt::Debug for AnyRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyRead").field(&self.name).finish()
    }
}

impl Source for AnyRead {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        if let Way::Closed(reader) = std::mem::replace(&mut self.way, Way::Over) {
            let waker = readiness.waker.clone();
            self.way = Way::Open(Pump::start("reading", Filling(reader), waker)?);
        }
        Ok(())
    }

    fn own_bytes_max(&self) -> usize {
        pump::MEMORY_BYTES
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        let Way::Open(pump) = &mut self.way else {
            return Read::Finished;
        };
        match pump.read(space) {
            Pumped::Bytes(count) => Read::Bytes(count),
            Pumped::Nothing => Read::Nothing,
            Pumped::End(Ok(())) => {
                self.way = Way::Over;
                Read::StreamEnd { torn: false }
            }
            Pumped::End(Err(error)) => Read::Failed(Error::Source(format!(
                "cannot read {}: {}; what came before is counted",
                self.name,
                reason(&error)
            ))),
        }
    }
}

/// What the thread does: one read at a time, so that what has come is handed on before it waits for more.
struct Filling(Box<dyn io::Read + Send>);

impl Fill for Filling {
    fn fill(&mut self, buffer: &mut [u8]) -> (usize, Option<io::Result<()>>) {
        loop {
            // Whatever it leaves half done, it is not asked again.
            let read = catch_unwind(AssertUnwindSafe(|| self.0.read(buffer)));
            match read.unwrap_or_else(|_| Err(io::Error::other("the reader panicked"))) {
                Ok(0) => return (0, Some(Ok(()))),
                Ok(count) => return (count.min(buffer.len()), None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (0, Some(Err(error))),
            }
        }
    }
}
