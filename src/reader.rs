//! The reader: one thread that owns the poll, the sources, the chunk pool and the batch clock.
//!
//! It reads straight into chunks, sends whole lines downstream, and at each boundary of the batch
//! interval sends a mark behind the batch's last chunk. What is downstream (the parsers' lanes, or
//! `tap`) says whether it has room; while it has none, or the pool is empty, nothing is read: the
//! kernel's socket buffer fills and the sender waits.
//!
//! When lines are sent: at once while a parser has nothing to do, else when half a chunk has come
//! together, and always before the reader sleeps. So a trickle is counted without delay and a flood
//! in large chunks.
//!
//! Batches: boundaries are whole multiples of the interval since the Unix epoch. The clock is asked
//! after each read: bytes whose read ended at or after a boundary belong to the next batch.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::{Events, Poll, Token, Waker};

use crate::chunk::{Chunk, Pool};
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::extent::Extent;
use crate::framing::Framer;
use crate::lane::Mark;
use crate::park::{Sleeper, Wake};
use crate::source::{Read, Readiness, Source, SourceOffsets};

/// The token of the reader's own waker; sources have the tokens from 0.
const WAKER: Token = Token(usize::MAX);

/// Boundaries that may be missed (a suspended machine, a clock set forward) and still each get
/// their empty batch; beyond, one batch spans them all.
const MISSED_BOUNDARIES_MAX: u64 = 60;

/// Ends the reader's sleep in the poll.
#[derive(Clone, Debug)]
pub struct PollWake(Arc<Waker>);

impl Wake for PollWake {
    fn wake(&self) {
        // The only failure is a full eventfd counter: then a wake-up is pending anyway.
        drop(self.0.wake());
    }
}

/// The reader's sleeper, as those who make room for it know it.
pub type ReaderWaker = Arc<Sleeper<PollWake>>;

/// Tells the reader to stop reading and to drain what it has.
#[derive(Clone, Debug)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stop {
    /// Stops the reader; what was received is still counted.
    pub fn stop(&self) {
        // Release: pairs with the reader's Acquire; nothing is published but the flag itself, yet
        // the wake-up below must not be seen before it.
        self.flag.store(true, Ordering::Release);
        drop(self.waker.wake());
    }
}

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

struct Slot {
    source: Box<dyn Source>,
    framer: Framer,
    /// It may have something to read.
    is_ready: bool,
    is_over: bool,
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
    /// The longest line in bytes.
    pub line_bytes_max: usize,
    /// Sends are held back until this many bytes of lines, unless somebody is idle.
    pub send_bytes: usize,
}

/// The poll that a reader sleeps in, made first because others must know how to wake it.
#[derive(Debug)]
pub struct ReaderPoll {
    poll: Poll,
    waker: Arc<Waker>,
    sleeper: ReaderWaker,
    stop: Stop,
}

impl ReaderPoll {
    /// A new poll.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn new() -> io::Result<ReaderPoll> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let sleeper = Arc::new(Sleeper::new(PollWake(Arc::clone(&waker))));
        let stop = Stop {
            flag: Arc::default(),
            waker: Arc::clone(&waker),
        };
        Ok(ReaderPoll {
            poll,
            waker,
            sleeper,
            stop,
        })
    }

    /// Wakes the reader when it waits for room.
    pub fn sleeper(&self) -> ReaderWaker {
        Arc::clone(&self.sleeper)
    }

    /// Stops the reader.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }
}

/// The reader. See the module's documentation.
pub struct Reader<D> {
    slots: Vec<Slot>,
    pool: Pool,
    downstream: D,
    clock: Arc<dyn Clock>,
    every_nanos: u64,
    send_bytes: usize,
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
    /// If the pool cannot give each source a chunk, or the interval is 0.
    pub fn new(parts: ReaderParts<D>, poll: ReaderPoll) -> Reader<D> {
        let mut pool = parts.pool;
        let slot = |source| {
            let chunk = pool
                .take()
                .expect("the configuration grants each source a chunk");
            Slot {
                source,
                framer: Framer::new(parts.line_bytes_max, chunk),
                is_ready: true,
                is_over: false,
            }
        };
        let slots = parts.sources.into_iter().map(slot).collect();
        let now = parts.clock.now();
        Reader {
            slots,
            pool,
            downstream: parts.downstream,
            every_nanos: parts.every_nanos,
            send_bytes: parts.send_bytes,
            poll,
            events: Events::with_capacity(256),
            batch: 1,
            start: now,
            boundary: next_boundary(now, parts.every_nanos),
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
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.source
                .register(&readiness(&self.poll, index))
                .map_err(polling)?;
        }
        // Acquire: pairs with the Release in `Stop::stop`.
        while !self.poll.stop.flag.load(Ordering::Acquire) && !self.pool.has_failure() {
            self.close_due_batches(self.clock.now()).map_err(polling)?;
            let mut has_read = false;
            for index in 0..self.slots.len() {
                if self.slots[index].is_ready && !self.slots[index].is_over {
                    has_read |= self.read(index).map_err(polling)?;
                }
            }
            if self.slots.iter().all(|slot| slot.is_over) {
                break;
            }
            if !has_read {
                self.flush().map_err(polling)?;
                self.sleep().map_err(polling)?;
            }
        }
        self.finish().map_err(polling)?;
        Ok((self.report, self.downstream))
    }

    /// One read of one source; `false` if it had nothing.
    fn read(&mut self, index: usize) -> io::Result<bool> {
        self.make_space(index)?;
        let now = self.clock.now();
        let slot = &mut self.slots[index];
        let answer = slot
            .source
            .read(slot.framer.space(), &readiness(&self.poll, index), now);
        match answer {
            Read::Bytes(count) => {
                // What was just read stays out of a batch whose boundary came in the meantime.
                slot.framer.hold(count);
                let now = self.clock.now();
                self.close_due_batches(now)?;
                self.report.bytes += count as u64;
                let framer = &mut self.slots[index].framer;
                framer.advance(count, now);
                if framer.has_lines() {
                    let is_enough = framer.is_due(self.send_bytes);
                    self.downstream.reclaim(&mut self.pool);
                    if is_enough || (self.downstream.is_idle() && self.downstream.has_room()) {
                        self.send(index)?;
                    }
                }
            }
            Read::Extent(extent) => {
                let chunk = self.wait(|reader| reader.pool.take())?;
                self.send_extent(chunk, extent)?;
            }
            Read::Full => {
                if slot.framer.has_lines() {
                    self.send(index)?;
                }
            }
            Read::Nothing => {
                slot.is_ready = false;
                return Ok(false);
            }
            Read::StreamEnd { torn } => {
                if torn {
                    self.report.torn_lines += u64::from(slot.framer.discard_tail());
                } else {
                    slot.framer.finish();
                }
            }
            Read::Finished => slot.is_over = true,
            Read::Failed(error) => {
                self.report.torn_lines += u64::from(slot.framer.discard_tail());
                slot.is_over = true;
                self.report.failure.get_or_insert(error);
            }
        }
        Ok(true)
    }

    /// Sees to it that the source's framer has space to read into.
    fn make_space(&mut self, index: usize) -> io::Result<()> {
        while self.slots[index].framer.space().is_empty() {
            let framer = &mut self.slots[index].framer;
            if framer.has_lines() {
                self.send(index)?;
            } else if !framer.grow(&mut self.pool) {
                self.wait_for_room(|reader| {
                    reader.slots[index]
                        .framer
                        .grow(&mut reader.pool)
                        .then_some(())
                })?;
            }
        }
        Ok(())
    }

    /// Sends a source's whole lines, waiting for room if need be.
    fn send(&mut self, index: usize) -> io::Result<()> {
        let chunk = self.wait_for_room(|reader| {
            let has_room = reader.downstream.has_room();
            has_room
                .then(|| reader.slots[index].framer.take(&mut reader.pool))
                .flatten()
        })?;
        self.downstream.chunk(chunk, &mut self.pool);
        Ok(())
    }

    /// Sends an extent when there is room. That is no backpressure: nobody waits for a file.
    fn send_extent(&mut self, mut chunk: Box<Chunk>, extent: Extent) -> io::Result<()> {
        self.wait(|reader| reader.downstream.has_room().then_some(()))?;
        let now = self.clock.now();
        self.close_due_batches(now)?;
        self.wait(|reader| reader.downstream.has_room().then_some(()))?;
        self.report.bytes += extent.end - extent.start;
        chunk.received = now;
        chunk.extent = Some(extent);
        self.downstream.chunk(chunk, &mut self.pool);
        Ok(())
    }

    /// Sends every source's whole lines.
    fn flush(&mut self) -> io::Result<()> {
        for index in 0..self.slots.len() {
            if self.slots[index].framer.has_lines() {
                self.send(index)?;
            }
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
        };
        self.wait_for_room(|reader| reader.downstream.mark(&mark).then_some(()))?;
        self.batch += 1;
        self.start = end;
        Ok(())
    }

    /// Where the sources stand behind what has been read for the open batch.
    fn offsets(&mut self) -> Arc<[SourceOffsets]> {
        let slots = self.slots.iter_mut().enumerate();
        let offsets = slots.filter_map(|(index, slot)| {
            let parts = slot.source.offsets(slot.framer.is_holding());
            (!parts.is_empty()).then(|| SourceOffsets {
                source: index,
                name: slot.source.name().into(),
                parts,
            })
        });
        offsets.collect()
    }

    fn finish(&mut self) -> io::Result<()> {
        for slot in &mut self.slots {
            // A stream that ended has no tail any more; one that we leave has at the most one.
            self.report.torn_lines += u64::from(slot.framer.discard_tail());
        }
        self.flush()?;
        // A parser may yet tell that it could not read its extent.
        self.wait(|reader| reader.downstream.is_done().then_some(()))?;
        let failure = self.pool.take_failure();
        self.report.failure = self.report.failure.take().or(failure);
        let now = self.clock.now();
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
        let answer = self.wait(ready)?;
        self.report.paused_nanos += self.clock.now().nanos_since(paused);
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

    /// Sleeps until a source has something, the boundary comes, or somebody wakes the reader.
    fn sleep(&mut self) -> io::Result<()> {
        let awaited = self.slots.iter().filter(|slot| !slot.is_over);
        let wake_at = awaited.filter_map(|slot| slot.source.wake_at()).min();
        let deadline = wake_at.map_or(self.boundary, |at| at.min(self.boundary));
        self.poll(Some(deadline))?;
        let now = self.clock.now();
        for slot in &mut self.slots {
            slot.is_ready |= slot.source.wake_at().is_some_and(|at| at <= now);
        }
        Ok(())
    }

    fn poll(&mut self, deadline: Option<Timestamp>) -> io::Result<()> {
        self.clock
            .wait(&mut self.poll.poll, &mut self.events, deadline)?;
        for event in &self.events {
            if event.token() == WAKER {
                // A helper thread of any source may have called.
                self.slots.iter_mut().for_each(|slot| slot.is_ready = true);
            } else {
                self.slots[event.token().0].is_ready = true;
            }
        }
        Ok(())
    }
}

fn readiness(poll: &ReaderPoll, index: usize) -> Readiness<'_> {
    Readiness {
        registry: poll.poll.registry(),
        token: Token(index),
        waker: &poll.waker,
    }
}

/// The first whole multiple of `every_nanos` since the epoch that is after `now`.
fn next_boundary(now: Timestamp, every_nanos: u64) -> Timestamp {
    let every = i64::try_from(every_nanos).unwrap_or(i64::MAX);
    let into = now.as_nanos().rem_euclid(every);
    now.plus_nanos((every - into) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::PartOffset;
    use std::sync::atomic::AtomicI64;

    #[test]
    fn boundaries_are_multiples_of_the_interval() {
        let every = 5_000_000_000;
        let at = |ms| Timestamp::from_millis(ms);
        assert_eq!(next_boundary(at(0), every), at(5000));
        assert_eq!(next_boundary(at(4999), every), at(5000));
        assert_eq!(next_boundary(at(5000), every), at(10_000));
        assert_eq!(next_boundary(at(-1), every), at(0));
    }

    /// A clock that is at the time it was set to.
    #[derive(Default)]
    struct SetClock(AtomicI64);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }

        fn wait(&self, _: &mut Poll, _: &mut Events, _: Option<Timestamp>) -> io::Result<()> {
            Ok(())
        }
    }

    /// Pieces of a stream, and the milliseconds the clock stands at when each has been read.
    struct Pieces(Arc<SetClock>, Vec<(i64, &'static [u8])>, i64);

    impl Source for Pieces {
        fn name(&self) -> &str {
            "pieces"
        }

        fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
            Ok(())
        }

        fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
            if self.1.is_empty() {
                return Read::Finished;
            }
            let (millis, piece) = self.1.remove(0);
            self.0.0.store(millis, Ordering::Relaxed);
            space[..piece.len()].copy_from_slice(piece);
            self.2 += 1;
            Read::Bytes(piece.len())
        }

        /// An offset is the number of pieces before it.
        fn offsets(&mut self, is_held: bool) -> Vec<PartOffset> {
            vec![PartOffset {
                part: 0,
                next: self.2 - i64::from(is_held),
                end: None,
            }]
        }
    }

    /// Keeps the lines of every batch and the offset behind it; never idle, so that lines are held
    /// back.
    #[derive(Default)]
    struct Batches(Vec<(Vec<u8>, i64)>, Vec<u8>);

    impl Downstream for Batches {
        fn reclaim(&mut self, _: &mut Pool) {}

        fn has_room(&self) -> bool {
            true
        }

        fn is_done(&self) -> bool {
            true
        }

        fn is_idle(&self) -> bool {
            false
        }

        fn chunk(&mut self, chunk: Box<Chunk>, pool: &mut Pool) {
            self.1.extend_from_slice(chunk.lines());
            pool.put(chunk);
        }

        fn mark(&mut self, mark: &Mark) -> bool {
            let next = mark
                .offsets
                .first()
                .map_or(0, |source| source.parts[0].next);
            self.0.push((std::mem::take(&mut self.1), next));
            true
        }
    }

    /// What a reader of 10 ms batches and `chunk_bytes` makes of a source.
    fn read_all(
        source: Box<dyn Source>,
        clock: Arc<SetClock>,
        chunk_bytes: usize,
    ) -> (ReaderReport, Vec<(String, i64)>) {
        let parts = ReaderParts {
            sources: vec![source],
            pool: Pool::new(chunk_bytes, 256),
            downstream: Batches::default(),
            clock,
            every_nanos: 10_000_000,
            line_bytes_max: 32,
            send_bytes: 64,
        };
        let reader = Reader::new(parts, ReaderPoll::new().unwrap());
        let (report, batches) = reader.run().unwrap();
        let batches = batches.0.into_iter();
        let batches = batches.map(|(lines, next)| (String::from_utf8(lines).unwrap(), next));
        (report, batches.collect())
    }

    #[test]
    fn bytes_that_a_boundary_overtook_while_they_were_read_are_the_next_batch_s_own() {
        let clock = Arc::new(SetClock::default());
        let pieces: Vec<(i64, &[u8])> = vec![
            (1, b"a\nb"),
            (5, b"c\nd"),
            (12, b"e\n"),
            (13, b"f\n"),
            (31, b"g\nh\ni\n"),
        ];
        let source = Box::new(Pieces(Arc::clone(&clock), pieces, 0));
        let (report, batches) = read_all(source, clock, 64);
        let batches: Vec<(&str, i64)> = batches
            .iter()
            .map(|(lines, next)| (&**lines, *next))
            .collect();
        let expected = [("a\nbc\n", 2), ("de\nf\n", 4), ("", 4), ("g\nh\ni\n", 5)];
        assert_eq!(batches, expected);
        assert_eq!((report.bytes, report.torn_lines), (16, 0));
    }

    /// Messages that it does not cut if a whole chunk has room for them.
    struct Messages(Vec<&'static [u8]>, bool);

    impl Source for Messages {
        fn name(&self) -> &str {
            "messages"
        }

        fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
            Ok(())
        }

        fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
            let Some(message) = self.0.first_mut() else {
                return Read::Finished;
            };
            if message.len() > space.len() && !std::mem::replace(&mut self.1, true) {
                return Read::Full;
            }
            self.1 = false;
            let count = message.len().min(space.len());
            space[..count].copy_from_slice(&message[..count]);
            *message = &message[count..];
            if message.is_empty() {
                self.0.remove(0);
            }
            Read::Bytes(count)
        }
    }

    #[test]
    fn a_source_that_does_not_want_to_be_cut_gets_a_fresh_chunk() {
        let messages: Vec<&[u8]> = vec![b"aaaa\n", b"bbbb\n", b"longer than a chunk\n", b"c\n"];
        let source = Box::new(Messages(messages, false));
        let (report, batches) = read_all(source, Arc::default(), 8);
        assert_eq!(
            batches,
            [("aaaa\nbbbb\nlonger than a chunk\nc\n".to_owned(), 0)]
        );
        assert_eq!(report.bytes, 32);
    }
}
