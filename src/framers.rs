//! Many streams over few chunks: whose unfinished line is where.
//!
//! The reader turns to one stream after the other. All of them are read into one *shared* chunk; a
//! stream that has to make way for another takes its unfinished line along, parked in as much memory
//! as it is long. So a thousand silent connections cost nothing but the pieces of lines they sent,
//! and a stream that is alone is read as if there were no others.
//!
//! A line that is longer than [`tail_bytes_max`] is not carried to and fro: its stream
//! leaves with the chunk, reads on in it, and gives it back when the line has ended. Each source is
//! granted that, connections as far as the pool allows. One more is read up to the limit and then
//! held up until a chunk is given back; those with shorter lines go on meanwhile.
//!
//! Bounds: chunks in use are one, one for each source and [`long_connections_max`](Framers::new);
//! parked lines are at the most `tail_bytes_max` long. Every byte is copied a bounded number of
//! times for each read of its stream, and nothing is looked at twice.

#[doc(hidden)]
pub mod check;

use crate::chunk::{Chunk, Pool};
use crate::framing::{Framer, Tail};

/// A stream's number: a source's, or that of a connection after all sources.
pub type StreamId = usize;

/// A chunk in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The shared one.
    Shared,
    /// That of a stream in the middle of a long line.
    Own(StreamId),
}

/// What must happen before a stream can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: it is to be read at this place.
    Done(Place),
    /// The shared chunk's lines must be sent.
    SendFirst,
    /// The pool has nothing to give at the moment.
    PoolEmpty,
}

#[derive(Debug)]
enum Stream {
    Parked(Tail),
    /// Its unfinished line is in the shared chunk.
    Shared,
    Own(Framer),
}

/// The longest unfinished line that is parked: so long that lines of any usual length are, and so
/// short that to carry one costs little beside the read that brought it.
pub fn tail_bytes_max(chunk_bytes: usize) -> usize {
    (chunk_bytes / 4).max(1)
}

/// The framing of all streams. See the module's documentation.
#[derive(Debug)]
pub struct Framers {
    line_bytes_max: usize,
    tail_bytes_max: usize,
    /// Streams below are sources.
    sources: usize,
    long_connections_max: usize,
    shared: Framer,
    /// The stream that is [`Stream::Shared`].
    resident: Option<StreamId>,
    streams: Vec<Stream>,
    /// The streams that are [`Stream::Own`]; those of them that are connections are at the most
    /// `long_connections_max`.
    owners: Vec<StreamId>,
}

impl Framers {
    /// Framing for `sources` streams from their start, the shared chunk being `chunk`.
    ///
    /// Unfinished lines up to [`tail_bytes_max`] are parked; of the connections,
    /// `long_connections_max` may keep a chunk for a longer one.
    pub fn new(
        line_bytes_max: usize,
        sources: usize,
        long_connections_max: usize,
        chunk: Box<Chunk>,
    ) -> Framers {
        Framers {
            line_bytes_max,
            tail_bytes_max: tail_bytes_max(chunk.capacity()),
            sources,
            long_connections_max,
            shared: Framer::new(line_bytes_max, chunk),
            resident: None,
            streams: (0..sources)
                .map(|_| Stream::Parked(Tail::default()))
                .collect(),
            owners: Vec::new(),
        }
    }

    /// A connection begins, with the number of one that has ended or the next one.
    pub fn begin(&mut self, id: StreamId) {
        if id == self.streams.len() {
            self.streams.push(Stream::Parked(Tail::default()));
        }
        assert!(
            matches!(&self.streams[id], Stream::Parked(tail) if !tail.is_line()),
            "stream {id} has ended: {:?}",
            self.streams[id]
        );
        self.streams[id] = Stream::Parked(Tail::default());
    }

    /// Brings a stream's unfinished line to where it can be read on. To be repeated until done.
    pub fn turn_to(&mut self, id: StreamId, pool: &mut Pool) -> Turn {
        match self.streams[id] {
            Stream::Shared => return Turn::Done(Place::Shared),
            Stream::Own(_) => return Turn::Done(Place::Own(id)),
            Stream::Parked(_) => {}
        }
        if !self.clear_shared(pool) {
            return Turn::PoolEmpty;
        }
        let Stream::Parked(tail) = &mut self.streams[id] else {
            unreachable!("only the resident stream was moved");
        };
        let filled = self.shared.line_bytes() + tail.bytes();
        if self.shared.is_sealed() || (filled > self.shared.capacity() && self.shared.has_lines()) {
            return Turn::SendFirst;
        }
        self.shared.resume(std::mem::take(tail));
        self.streams[id] = Stream::Shared;
        self.resident = Some(id);
        Turn::Done(Place::Shared)
    }

    /// Moves the resident stream out of the shared chunk; `false` if that takes a chunk and the pool
    /// has none.
    fn clear_shared(&mut self, pool: &mut Pool) -> bool {
        let Some(id) = self.resident else {
            return true;
        };
        if self.shared.tail_bytes() <= self.tail_bytes_max {
            self.streams[id] = Stream::Parked(self.shared.park());
        } else {
            let Some(chunk) = pool.take() else {
                return false;
            };
            let fresh = Framer::new(self.line_bytes_max, chunk);
            let own = std::mem::replace(&mut self.shared, fresh);
            self.streams[id] = Stream::Own(own);
            self.owners.push(id);
        }
        self.resident = None;
        true
    }

    /// The framer at a place.
    ///
    /// # Panics
    /// If the stream has no chunk of its own.
    pub fn at(&mut self, place: Place) -> &mut Framer {
        match place {
            Place::Shared => &mut self.shared,
            Place::Own(id) => match &mut self.streams[id] {
                Stream::Own(framer) => framer,
                other => panic!("stream {id} has no chunk of its own: {other:?}"),
            },
        }
    }

    /// Whether bytes that were just read of the stream are held for the next batch.
    pub fn is_holding(&self, id: StreamId) -> bool {
        match &self.streams[id] {
            Stream::Shared => self.shared.is_holding(),
            Stream::Own(framer) => framer.is_holding(),
            Stream::Parked(_) => false,
        }
    }

    /// How much may be read of a stream that was turned to, beside what there is space for; 0: it
    /// is to be asked again when [there is a grant](Framers::has_grant).
    pub fn bytes_granted(&self, id: StreamId) -> usize {
        let is_granted = id < self.sources || self.resident != Some(id);
        if is_granted || self.has_grant() {
            return usize::MAX;
        }
        self.tail_bytes_max.saturating_sub(self.shared.tail_bytes())
    }

    /// Whether one more connection may keep a chunk for a long line.
    pub fn has_grant(&self) -> bool {
        let connections = self.owners.iter().filter(|&&id| id >= self.sources);
        connections.count() < self.long_connections_max
    }

    /// Takes a stream's chunk away if it has one and no need of it any more.
    pub fn settle(&mut self, place: Place, pool: &mut Pool) {
        let Place::Own(id) = place else {
            return;
        };
        let Stream::Own(framer) = &mut self.streams[id] else {
            return;
        };
        if framer.has_lines() || framer.is_holding() || framer.tail_bytes() > self.tail_bytes_max {
            return;
        }
        let tail = framer.park();
        if let Stream::Own(framer) = std::mem::replace(&mut self.streams[id], Stream::Parked(tail))
        {
            pool.put(framer.into_chunk());
        }
        self.owners.retain(|&owner| owner != id);
    }

    /// A place that has lines to send.
    pub fn with_lines(&self) -> Option<Place> {
        if self.shared.has_lines() {
            return Some(Place::Shared);
        }
        let has_lines =
            |id: &StreamId| matches!(&self.streams[*id], Stream::Own(framer) if framer.has_lines());
        self.owners.iter().copied().find(has_lines).map(Place::Own)
    }

    /// A stream is over. Returns whether its unfinished line was thrown away, and where the lines
    /// still are that must be sent before its number is another's.
    pub fn end(&mut self, id: StreamId) -> (bool, Option<Place>) {
        match &mut self.streams[id] {
            Stream::Own(framer) => return (framer.discard_tail(), Some(Place::Own(id))),
            Stream::Shared => self.streams[id] = Stream::Parked(self.shared.park()),
            Stream::Parked(_) => {}
        }
        self.resident = self.resident.filter(|&resident| resident != id);
        let parked = std::mem::replace(&mut self.streams[id], Stream::Parked(Tail::default()));
        (
            matches!(parked, Stream::Parked(tail) if tail.is_line()),
            None,
        )
    }

    /// Throws away every stream's unfinished line, and says how many there were.
    pub fn discard_tails(&mut self) -> u64 {
        let ids = 0..self.streams.len();
        ids.map(|id| u64::from(self.end(id).0)).sum()
    }
}
