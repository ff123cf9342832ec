//! The reader: one thread that owns the poll, the sources, the chunk pool and the batch clock.
//!
//! It reads straight into chunks, sends whole lines downstream, and at each boundary of the batch
//! interval sends a mark behind the batch's last chunk. What is downstream (the parsers' lanes, or
//! `tap`) says whether it has room; while it has none, or the pool is empty, nothing is read: the
//! kernel's socket buffer fills and the sender waits.
//!
//! Streams are read in turn, one read each, and after each round it is looked whether others have
//! something: none keeps another waiting for more than a round. Connections come and go while the
//! reader runs; [`framers`](crate::framers) says what each costs.
//!
//! When lines are sent: at once while a parser has nothing to do, else when half a chunk has come
//! together, and always before the reader sleeps. So a trickle is counted without delay and a flood
//! in large chunks.
//!
//! Batches: boundaries are whole multiples of the interval since the Unix epoch. The clock is asked
//! after each read: bytes whose read ended at or after a boundary belong to the next batch.

mod event;
mod poll;
mod slots;

pub use event::EventReading;
pub use poll::{PollWake, ReaderPoll, ReaderWaker, Stop};

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use mio::{Events, Token};

use crate::chunk::{Chunk, Pool};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, reason};
use crate::extent::Extent;
use crate::framers::{Framers, Place, StreamId, Turn};
use crate::lane::Mark;
use crate::live::{Gauges, Link};
use crate::source::{FileOffset, Read, Source, SourceOffsets};
use event::ByEvent;
use poll::WAKER;
use slots::Slots;

/// What a reader that is stopped reads at the most of what has come, in bytes: the kernel's buffers of ten
/// connections on a usual machine (6 MiB each, `tcp_rmem`).
const LAST_BYTES_MAX: u64 = 64 << 20;

/// Boundaries that may be missed (a suspended machine, a clock set forward) and still each get
/// their empty batch; beyond, one batch spans them all.
const MISSED_BOUNDARIES_MAX: u64 = 60;

/// Where chunks and marks go.
pub trait Downstream {
    /// Gives back to the pool what is done with.
    fn reclaim(&mut self, pool: &mut Pool);

    /// Whether [`Downstream::chunk`] may be called.
    fn has_room(&self) -> bool;

    /// Whether everything sent has been dealt with and reclaimed.
    fn is_done(&self) -> bool;

    /// Whether somebody downstream has nothing to do.
    fn is_idle(&self) -> bool;

    /// Takes a chunk.
    ///
    /// # Panics
    /// If there is no room.
    fn chunk(&mut self, chunk: Box<Chunk>, pool: &mut Pool);

    /// Takes as much of a mark as there is room for; `true` when all of it is taken. Otherwise it
    /// is to be offered again before anything else.
    fn mark(&mut self, mark: &Mark) -> bool;
}

/// What the reader did, told when it ends.
#[derive(Debug)]
pub struct ReaderReport {
    /// When it began to read.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Bytes received.
    pub bytes: u64,
    /// Time spent waiting for room downstream, in nanoseconds.
    pub paused_nanos: u64,
    /// Unfinished lines of streams that broke off, or that the end of the run cut off.
    pub torn_lines: u64,
    /// The failure of a source, the first if several failed.
    pub failure: Option<Error>,
}

/// What a reader is made of.
pub struct ReaderParts<D> {
    /// Where bytes come from; at least one.
    pub sources: Vec<Box<dyn Source>>,
    /// Where chunks come from.
    pub pool: Pool,
    /// Where they go.
    pub downstream: D,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The batch interval in nanoseconds, not 0.
    pub every_nanos: u64,
    /// The number of the first batch.
    pub first_batch: u64,
    /// The longest line in bytes.
    pub line_bytes_max: usize,
    /// Sends are held back until this many bytes of lines, unless somebody is idle.
    pub send_bytes: usize,
    /// How many connections of all sources may each keep a chunk of the pool for an unfinished long
    /// line; see [`framers`](crate::framers).
    pub long_connections_max: usize,
    /// Whether the first source that fails ends the reading.
    pub fail_fast: bool,
    /// How batches are cut where records have times of their own.
    pub event: Option<EventReading>,
    /// Where it is told how the sources stand.
    pub gauges: Arc<Gauges>,
}

/// The reader. See the module's documentation.
pub struct Reader<D> {
    slots: Slots,
    framers: Framers,
    /// Connections that wait until a chunk can be had for the long line they are in.
    held_up: VecDeque<StreamId>,
    /// Whose extent is in hand, not sent yet: it belongs to no batch so far.
    in_hand: Option<StreamId>,
    pool: Pool,
    downstream: D,
    clock: Arc<dyn Clock>,
    every_nanos: u64,
    send_bytes: usize,
    fail_fast: bool,
    by_event: Option<ByEvent>,
    gauges: Arc<Gauges>,
    poll: ReaderPoll,
    events: Events,
    /// The open batch: `start <= now`, and `boundary` is the first multiple of the interval after
    /// `start`.
    batch: u64,
    start: Timestamp,
    boundary: Timestamp,
    report: ReaderReport,
}

impl<D: Downstream> Reader<D> {
    /// Builds a reader; nothing is read before [`Reader::run`].
    ///
    /// # Panics
    /// If the pool is empty, or the interval is 0.
    pub fn new(parts: ReaderParts<D>, poll: ReaderPoll) -> Reader<D> {
        let mut pool = parts.pool;
        let chunk = pool.take().expect("a pool holds a chunk at least");
        let framers = Framers::new(
            parts.line_bytes_max,
            parts.sources.len(),
            parts.long_connections_max,
            chunk,
        );
        let now = parts.clock.now();
        let sources = parts.sources.len();
        let by_event = parts.event.map(|how| ByEvent::new(how, sources, now));
        let boundary = match by_event.as_ref().is_some_and(ByEvent::is_recorded) {
            true => Timestamp::from_nanos(i64::MAX),
            false => next_boundary(now, parts.every_nanos),
        };
        Reader {
            slots: Slots::new(parts.sources),
            framers,
            held_up: VecDeque::new(),
            in_hand: None,
            pool,
            downstream: parts.downstream,
            every_nanos: parts.every_nanos,
            send_bytes: parts.send_bytes,
            fail_fast: parts.fail_fast,
            gauges: parts.gauges,
            poll,
            events: Events::with_capacity(256),
            batch: parts.first_batch,
            start: now,
            boundary,
            by_event,
            report: ReaderReport {
                start: now,
                end: now,
                bytes: 0,
                paused_nanos: 0,
                torn_lines: 0,
                failure: None,
            },
            clock: parts.clock,
        }
    }

    /// Reads until every source is over or the reader is stopped, then sends the last mark.
    ///
    /// # Errors
    /// If the system's poll fails; a failure of a source is in the report.
    pub fn run(mut self) -> Result<(ReaderReport, D), Error> {
        let polling = |error| Error::System("wait for input", error);
        for id in 0..self.slots.sources() {
            let readiness = self.poll.readiness(id);
            self.slots
                .source(id)
                .register(&readiness)
                .map_err(polling)?;
        }
        while !self.is_over() {
            self.round().map_err(polling)?;
        }
        if self.poll.is_stopped() {
            self.take_what_has_come().map_err(polling)?;
        }
        self.finish().map_err(polling)?;
        Ok((self.report, self.downstream))
    }

    fn is_over(&self) -> bool {
        let has_failed = self.fail_fast && self.report.failure.is_some();
        self.slots.open() == 0 || has_failed || self.poll.is_stopped()
    }

    /// One read of each stream that may have something; if none has, sleeps.
    fn round(&mut self) -> io::Result<()> {
        self.close_due_batches(self.clock.now())?;
        let mut has_read = false;
        for _ in 0..self.slots.ready() {
            let Some(id) = self.slots.next_ready() else {
                break;
            };
            if self.read(id)? {
                has_read = true;
                self.slots.make_ready(id);
            }
        }
        while let Some((id, failure)) = self.pool.take_failure() {
            self.fail(id, failure)?;
        }
        if self.is_over() {
            return Ok(());
        }
        if !has_read {
            self.flush()?;
        }
        if self.let_go_on() || has_read {
            // A stream that always has something does not keep the others from being noticed.
            match self.slots.open() {
                1 => Ok(()),
                _ => self.look(self.clock.now()),
            }
        } else {
            let wake_at = self.slots.wake_at();
            self.look(wake_at.map_or(self.boundary, |at| at.min(self.boundary)))
        }
    }

    /// Reads what sockets and pipes have received already, their senders believing it delivered; not more than a
    /// bound, as some senders never pause.
    fn take_what_has_come(&mut self) -> io::Result<()> {
        let bytes_max = self.report.bytes.saturating_add(LAST_BYTES_MAX);
        let mut has_read = true;
        while has_read && self.report.bytes < bytes_max {
            has_read = false;
            self.look(self.clock.now())?;
            for _ in 0..self.slots.ready() {
                let Some(id) = self.slots.next_ready() else {
                    break;
                };
                if self.slots.source(id).is_fleeting() && self.read(id)? {
                    has_read = true;
                    self.slots.make_ready(id);
                }
            }
        }
        Ok(())
    }

    /// One read of one stream; `false` if it had nothing, or is held up.
    fn read(&mut self, id: StreamId) -> io::Result<bool> {
        let mut place = self.turn_to(id)?;
        if self.keep_apart(id, place)? {
            place = self.turn_to(id)?;
        }
        let granted = self.framers.bytes_granted(id);
        if granted == 0 {
            self.hold_up(id);
            return Ok(false);
        }
        let now = self.clock.now();
        let granted = granted.min(self.batch_bytes_left());
        let space = self.framers.at(place).space();
        let space_bytes = space.len().min(granted);
        let readiness = self.poll.readiness(id);
        let source = self.slots.source(id);
        let read = source.read(&mut space[..space_bytes], &readiness, now);
        if id < self.slots.sources() {
            let source = self.slots.source(id);
            self.gauges.set_link(id, source.link());
        }
        match read {
            Read::Bytes(count) => self.received(id, place, count)?,
            Read::Extent(extent) => {
                let chunk = self.wait(|reader| reader.pool.take())?;
                self.send_extent(chunk, id, extent)?;
            }
            Read::Connection(connection) => self.begin(connection, id),
            Read::Nothing => return Ok(false),
            Read::StreamEnd { torn } => {
                let framer = self.framers.at(place);
                if torn {
                    self.report.torn_lines += u64::from(framer.discard_tail());
                } else {
                    framer.finish();
                }
            }
            Read::Within => self.framers.at(place).begin_within(),
            Read::Full => {
                if self.framers.at(place).has_lines() {
                    self.send(place)?;
                }
            }
            Read::Finished => self.end(id)?,
            Read::Failed(error) => self.fail(id, error)?,
        }
        self.settle(place);
        Ok(true)
    }

    /// Takes note of what was just read.
    fn received(&mut self, id: StreamId, place: Place, count: usize) -> io::Result<()> {
        // It stays out of a batch whose boundary came in the meantime.
        self.framers.at(place).hold(count);
        let now = self.clock.now();
        self.close_due_batches(now)?;
        self.report.bytes += count as u64;
        self.gauges
            .received(self.slots.owner(id), count as u64, now);
        let framer = self.framers.at(place);
        framer.advance(count, now);
        if framer.has_lines() {
            let is_enough = framer.is_due(self.send_bytes);
            self.downstream.reclaim(&mut self.pool);
            if is_enough || (self.downstream.is_idle() && self.downstream.has_room()) {
                self.send(place)?;
            }
        }
        self.count_bytes(id, count as u64, now)
    }

    /// Brings a stream to where there is space to read it on.
    fn turn_to(&mut self, id: StreamId) -> io::Result<Place> {
        loop {
            let turn = self.framers.turn_to(id, &mut self.pool);
            match turn {
                Turn::Done(place) => {
                    let framer = self.framers.at(place);
                    if !framer.space().is_empty() {
                        return Ok(place);
                    }
                    if framer.has_lines() {
                        self.send(place)?;
                    } else if !framer.grow(&mut self.pool) {
                        self.wait_for_room(|reader| {
                            reader
                                .framers
                                .at(place)
                                .grow(&mut reader.pool)
                                .then_some(())
                        })?;
                    }
                }
                Turn::SendFirst => self.send(Place::Shared)?,
                Turn::PoolEmpty => self.wait_for_room(|reader| {
                    let turn = reader.framers.turn_to(id, &mut reader.pool);
                    (turn != Turn::PoolEmpty).then_some(())
                })?,
            }
        }
    }

    /// A connection came.
    fn begin(&mut self, mut connection: Box<dyn Source>, of: StreamId) {
        let id = self.slots.next_id();
        match connection.register(&self.poll.readiness(id)) {
            Ok(()) => {
                self.framers.begin(id);
                self.slots.add(connection, of);
                self.gauges.connected(of);
            }
            Err(error) => tracing::warn!("lost {}: {}", connection.name(), reason(&error)),
        }
    }

    /// A stream is over.
    fn end(&mut self, id: StreamId) -> io::Result<()> {
        let (is_torn, place) = self.framers.end(id);
        self.report.torn_lines += u64::from(is_torn);
        if let Some(place) = place {
            if self.framers.at(place).has_lines() {
                self.send(place)?;
            }
            self.settle(place);
        }
        if id < self.slots.sources() {
            self.gauges.set_link(id, Link::Over);
        } else {
            self.gauges.disconnected(self.slots.owner(id));
        }
        self.slots.end(id);
        Ok(())
    }

    /// A source has failed; the others go on, unless that is not wanted.
    fn fail(&mut self, id: StreamId, error: Error) -> io::Result<()> {
        let is_new = self.slots.is_open(id);
        if is_new {
            self.end(id)?;
        }
        if id < self.slots.sources() {
            self.gauges.set_link(id, Link::Failed);
        }
        if self.slots.open() > 0 && !self.fail_fast && is_new {
            tracing::error!("{error}; the other sources go on");
        }
        self.report.failure.get_or_insert(error);
        Ok(())
    }

    /// Leaves a connection alone until a chunk can be had for its line.
    fn hold_up(&mut self, id: StreamId) {
        if self.held_up.is_empty() {
            let name = self.slots.source(id).name();
            tracing::info!("{name} waits: the pool has no chunk left for its long line");
        }
        if !self.held_up.contains(&id) {
            self.held_up.push_back(id);
        }
    }

    /// Has the connection that was held up longest asked again, if it could now be read on.
    fn let_go_on(&mut self) -> bool {
        if !self.framers.has_grant() {
            return false;
        }
        let id = self.held_up.pop_front();
        if let Some(id) = id {
            self.slots.make_ready(id);
        }
        id.is_some()
    }

    /// Takes back the chunk of a stream that has no need of it any more.
    fn settle(&mut self, place: Place) {
        self.framers.settle(place, &mut self.pool);
    }

    /// Sends the whole lines of a place, waiting for room if need be.
    fn send(&mut self, place: Place) -> io::Result<()> {
        let mut chunk = self.wait_for_room(|reader| {
            let has_room = reader.downstream.has_room();
            has_room
                .then(|| reader.framers.at(place).take(&mut reader.pool))
                .flatten()
        })?;
        chunk.source = match place {
            Place::Own(id) => self.slots.owner(id),
            Place::Shared => self.by_event.as_ref().map_or(0, |by_event| by_event.shared),
        };
        self.downstream.chunk(chunk, &mut self.pool);
        self.settle(place);
        Ok(())
    }

    /// Sends an extent when there is room. That is no backpressure: nobody waits for a file.
    fn send_extent(
        &mut self,
        mut chunk: Box<Chunk>,
        id: StreamId,
        extent: Extent,
    ) -> io::Result<()> {
        self.wait(|reader| reader.downstream.has_room().then_some(()))?;
        let now = self.clock.now();
        self.in_hand = Some(id);
        self.close_due_batches(now)?;
        self.in_hand = None;
        self.wait(|reader| reader.downstream.has_room().then_some(()))?;
        let bytes = extent.end - extent.start;
        self.report.bytes += bytes;
        self.gauges.received(id, bytes, now);
        chunk.received = now;
        chunk.source = id;
        chunk.extent = Some(extent);
        self.downstream.chunk(chunk, &mut self.pool);
        self.count_bytes(id, bytes, now)
    }

    /// Sends every stream's whole lines.
    fn flush(&mut self) -> io::Result<()> {
        while let Some(place) = self.framers.with_lines() {
            self.send(place)?;
        }
        Ok(())
    }

    /// Closes the open batch if its boundary has come, and those after it whose boundaries have.
    fn close_due_batches(&mut self, now: Timestamp) -> io::Result<()> {
        while now >= self.boundary {
            self.flush()?;
            self.send_mark(self.boundary, false)?;
            let missed = now.nanos_since(self.boundary) / self.every_nanos;
            if missed > MISSED_BOUNDARIES_MAX {
                tracing::warn!(
                    "the clock went forward over {missed} batch boundaries at once; one batch spans them"
                );
                self.boundary = next_boundary(now, self.every_nanos);
            } else {
                self.boundary = self.boundary.plus_nanos(self.every_nanos);
            }
        }
        Ok(())
    }

    fn send_mark(&mut self, end: Timestamp, last: bool) -> io::Result<()> {
        let mark = Mark {
            batch: self.batch,
            start: self.start,
            end,
            last,
            offsets: self.offsets(),
            files: self.files(),
            standing: self.standing(end),
        };
        self.wait_for_room(|reader| reader.downstream.mark(&mark).then_some(()))?;
        self.batch += 1;
        self.start = end;
        if let Some(by_event) = &mut self.by_event {
            by_event.batch_bytes = 0;
        }
        Ok(())
    }

    /// Where the sources stand behind what has been read for the open batch.
    fn offsets(&mut self) -> Arc<[SourceOffsets]> {
        let ids = 0..self.slots.sources();
        let offsets = ids.filter_map(|id| {
            let is_held = self.framers.is_holding(id);
            let source = self.slots.source(id);
            let parts = source.offsets(is_held);
            (!parts.is_empty()).then(|| SourceOffsets {
                source: id,
                name: source.name().into(),
                parts,
            })
        });
        offsets.collect()
    }

    /// How far the files have come that were read since the last mark.
    fn files(&mut self) -> Arc<[FileOffset]> {
        let ids = 0..self.slots.sources();
        let files = ids.flat_map(|id| {
            let is_held = self.framers.is_holding(id) || self.in_hand == Some(id);
            self.slots.source(id).files(is_held)
        });
        files.collect()
    }

    fn finish(&mut self) -> io::Result<()> {
        // A stream that ended has no tail any more; one that we leave has at the most one.
        self.report.torn_lines += self.framers.discard_tails();
        self.flush()?;
        // A parser may yet tell that it could not read its extent.
        self.wait(|reader| reader.downstream.is_done().then_some(()))?;
        while let Some((id, failure)) = self.pool.take_failure() {
            self.fail(id, failure)?;
        }
        let now = self.clock.now();
        // A boundary may have come while the parsers were at work.
        self.close_due_batches(now)?;
        self.report.end = now;
        self.send_mark(now.max(self.start), true)
    }

    /// [`Reader::wait`], for the sake of bytes that a sender is held up with.
    fn wait_for_room<T>(&mut self, mut ready: impl FnMut(&mut Self) -> Option<T>) -> io::Result<T> {
        self.downstream.reclaim(&mut self.pool);
        if let Some(answer) = ready(self) {
            return Ok(answer);
        }
        let paused = self.clock.now();
        self.gauges.paused(paused);
        let answer = self.wait(ready)?;
        self.report.paused_nanos += self.clock.now().nanos_since(paused);
        self.gauges.resumed(self.report.paused_nanos);
        Ok(answer)
    }

    /// Asks `ready` until it answers, sleeping in between until something has moved downstream.
    fn wait<T>(&mut self, mut ready: impl FnMut(&mut Self) -> Option<T>) -> io::Result<T> {
        loop {
            self.downstream.reclaim(&mut self.pool);
            if let Some(answer) = ready(self) {
                return Ok(answer);
            }
            self.poll.sleeper.announce();
            self.downstream.reclaim(&mut self.pool);
            let answer = ready(self);
            if answer.is_none() {
                self.poll(None)?;
            }
            self.poll.sleeper.awake();
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    /// Looks for what is to be read, sleeping until there is something, the deadline comes or
    /// somebody wakes the reader.
    fn look(&mut self, deadline: Timestamp) -> io::Result<()> {
        self.poll(Some(deadline))?;
        self.slots.make_due_ready(self.clock.now());
        Ok(())
    }

    fn poll(&mut self, deadline: Option<Timestamp>) -> io::Result<()> {
        self.clock
            .wait(&mut self.poll.poll, &mut self.events, deadline)?;
        for event in &self.events {
            match event.token() {
                WAKER => self.slots.make_sources_ready(),
                Token(id) => self.slots.make_ready(id),
            }
        }
        Ok(())
    }
}

/// The first whole multiple of `every_nanos` since the epoch that is after `now`.
fn next_boundary(now: Timestamp, every_nanos: u64) -> Timestamp {
    now.plus_nanos(1).multiple_from(every_nanos)
}

#[cfg(test)]
mod tests;
