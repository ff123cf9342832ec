//! A check of many streams over few chunks, for the fuzz target and for a property test.
//!
//! It does what the reader does with a framer for all streams, without poll, clock and parsers: streams are read in
//! turn, a few bytes at a time, end well or badly and begin again, connections wait until they may keep a chunk. The
//! oracle looks at each stream by itself, whole. What it says of all of them must be what has been sent.

use std::collections::VecDeque;

use super::{Framers, Place, StreamId, Turn};
use crate::chunk::Pool;
use crate::clock::Timestamp;
use crate::framing::BYTE_ORDER_MARK;

/// Bytes at the head of the input that say how the rest is dealt with.
pub const HEAD_BYTES: usize = 4;

/// Bytes that say of whom the next bytes are, and how many.
pub const STEP_BYTES: usize = 2;

/// What is to happen to a stream, in order.
#[derive(Clone, Copy, Debug)]
enum Event<'a> {
    Bytes(&'a [u8]),
    End,
    Torn,
}

/// Checks that streams, mixed and cut as the input's bytes say, give the lines that each has by itself.
///
/// After the head an input is of steps: which stream, how many bytes or how it ends, the bytes.
///
/// # Panics
/// If a line is lost, doubled, changed or put together of two streams, or a bound is not kept.
pub fn check_streams(input: &[u8]) {
    let Some((head, mut rest)) = input.split_first_chunk() else {
        return;
    };
    let mut reading = Reading::new(head);
    while let Some((&[who, what], after)) = rest.split_first_chunk() {
        let id = usize::from(who) % reading.streams.len();
        let (event, after) = match what {
            0..=219 => {
                let (bytes, after) = after.split_at(after.len().min(what.into()));
                (Event::Bytes(bytes), after)
            }
            220..=239 => (Event::End, after),
            240.. => (Event::Torn, after),
        };
        rest = after;
        reading.streams[id].events.push_back(event);
        reading.go_on(id);
        reading.let_go_on();
    }
    reading.end();
}

/// A stream: what is still to happen to it, and what has been read of it since it began.
#[derive(Debug, Default)]
struct Stream<'a> {
    events: VecDeque<Event<'a>>,
    read: Vec<u8>,
}

/// The streams, their framers, and what came out.
struct Reading<'a> {
    streams: Vec<Stream<'a>>,
    /// Streams below are sources, the others connections.
    sources: usize,
    framers: Framers,
    pool: Pool,
    pool_bytes: usize,
    line_bytes_max: usize,
    /// What was sent, and what should be.
    sent: Lines,
    expected: Lines,
}

/// Lines, those that are too long only counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lines {
    lines: Vec<Vec<u8>>,
    oversize: usize,
    /// Unfinished ones that were thrown away.
    torn: usize,
}

impl<'a> Reading<'a> {
    fn new(head: &[u8; HEAD_BYTES]) -> Reading<'a> {
        let [chunk, line, sources, connections] = head.map(usize::from);
        let (chunk_bytes, line_bytes_max) = (4 + chunk, 1 + line);
        let (sources, long_connections_max) = (1 + sources % 3, connections / 8 % 3);
        // As the pipeline bounds it, with no chunk on its way: the shared one, one more while a stream leaves with
        // it, and one for each stream that may keep one.
        let chunks = 2 + sources + long_connections_max;
        let pool_bytes = chunks * chunk_bytes.max(line_bytes_max + 1);
        let mut pool = Pool::new(chunk_bytes, pool_bytes);
        let shared = pool.take().expect("the pool has several");
        let mut framers = Framers::new(line_bytes_max, sources, long_connections_max, shared);
        let streams = sources + connections % 8;
        (sources..streams).for_each(|id| framers.begin(id));
        Reading {
            streams: (0..streams).map(|_| Stream::default()).collect(),
            sources,
            framers,
            pool,
            pool_bytes,
            line_bytes_max,
            sent: Lines::default(),
            expected: Lines::default(),
        }
    }

    /// Lets happen to a stream what is to, until it is held up.
    fn go_on(&mut self, id: StreamId) {
        while let Some(event) = self.streams[id].events.pop_front() {
            let bytes = match event {
                Event::Bytes(bytes) => bytes,
                Event::End => {
                    self.finish(id);
                    continue;
                }
                Event::Torn => {
                    self.tear(id);
                    continue;
                }
            };
            let count = self.read(id, bytes);
            let rest = &bytes[count..];
            if !rest.is_empty() {
                self.streams[id].events.push_front(Event::Bytes(rest));
            }
            if count == 0 && !bytes.is_empty() {
                return;
            }
        }
    }

    /// Lets those go on that were held up, as long as one may.
    fn let_go_on(&mut self) {
        for id in 0..self.streams.len() {
            if self.framers.has_grant() {
                self.go_on(id);
            }
        }
    }

    /// One read; 0 if the stream is held up.
    fn read(&mut self, id: StreamId, bytes: &[u8]) -> usize {
        let place = self.turn_to(id);
        let granted = self.framers.bytes_granted(id);
        let framer = self.framers.at(place);
        let space = framer.space();
        let count = bytes.len().min(space.len()).min(granted);
        space[..count].copy_from_slice(&bytes[..count]);
        framer.hold(count);
        framer.advance(count, Timestamp::default());
        self.streams[id].read.extend_from_slice(&bytes[..count]);
        self.framers.settle(place, &mut self.pool);
        let taken = self.pool.bytes();
        assert!(taken <= self.pool_bytes, "{taken} bytes");
        count
    }

    fn turn_to(&mut self, id: StreamId) -> Place {
        loop {
            match self.framers.turn_to(id, &mut self.pool) {
                Turn::Done(place) => {
                    let framer = self.framers.at(place);
                    if !framer.space().is_empty() {
                        return place;
                    }
                    if framer.has_lines() {
                        self.send(place);
                    } else {
                        assert!(framer.grow(&mut self.pool), "the longest line fits");
                    }
                }
                Turn::SendFirst => self.send(Place::Shared),
                Turn::PoolEmpty => panic!("whoever keeps a chunk may"),
            }
        }
    }

    fn send(&mut self, place: Place) {
        let chunk = self.framers.at(place).take(&mut self.pool);
        let chunk = chunk.expect("the pool has a chunk to go on in");
        self.sent.oversize += chunk.oversize_heads().count();
        let mut lines: Vec<&[u8]> = chunk.lines().split(|&byte| byte == b'\n').collect();
        // Behind the last newline nothing follows, or a line that lacks its own.
        lines.pop_if(|line| line.is_empty());
        self.sent.judge(lines, self.line_bytes_max);
        self.pool.put(chunk);
        self.framers.settle(place, &mut self.pool);
    }

    /// A stream ends in good order; the next one may follow.
    fn finish(&mut self, id: StreamId) {
        let place = self.turn_to(id);
        self.framers.at(place).finish();
        self.framers.settle(place, &mut self.pool);
        let read = std::mem::take(&mut self.streams[id].read);
        self.expected.add(&read, true, self.line_bytes_max);
        self.leave(id);
    }

    /// A stream breaks off; the next one may follow.
    fn tear(&mut self, id: StreamId) {
        let place = self.turn_to(id);
        self.sent.torn += usize::from(self.framers.at(place).discard_tail());
        self.framers.settle(place, &mut self.pool);
        let read = std::mem::take(&mut self.streams[id].read);
        self.expected.add(&read, false, self.line_bytes_max);
        self.leave(id);
    }

    /// A connection whose stream is over is forgotten, and another gets its number.
    fn leave(&mut self, id: StreamId) {
        if id < self.sources {
            return;
        }
        let (is_torn, place) = self.framers.end(id);
        assert!(!is_torn, "its stream is over");
        if let Some(place) = place {
            if self.framers.at(place).has_lines() {
                self.send(place);
            }
            self.framers.settle(place, &mut self.pool);
        }
        self.framers.begin(id);
    }

    /// The run ends in the middle of all streams.
    fn end(mut self) {
        for stream in &self.streams {
            self.expected.add(&stream.read, false, self.line_bytes_max);
        }
        self.sent.torn += usize::try_from(self.framers.discard_tails()).expect("there are few");
        while let Some(place) = self.framers.with_lines() {
            self.send(place);
        }
        self.sent.lines.sort();
        self.expected.lines.sort();
        assert_eq!(self.sent, self.expected, "sent, expected");
    }
}

impl Lines {
    /// Adds what a stream comes to that has ended well, or has not.
    fn add(&mut self, read: &[u8], is_whole: bool, line_bytes_max: usize) {
        let read = read.strip_prefix(BYTE_ORDER_MARK).unwrap_or(read);
        let mut lines: Vec<&[u8]> = read.split(|&byte| byte == b'\n').collect();
        if let Some(tail) = lines.pop_if(|tail| !is_whole || tail.is_empty()) {
            self.torn += usize::from(!tail.is_empty());
        }
        self.judge(lines, line_bytes_max);
    }

    /// A line that is too long may be told by the framer or, where it fits a chunk, by the parser.
    fn judge(&mut self, lines: Vec<&[u8]>, line_bytes_max: usize) {
        for line in lines {
            if line.len() > line_bytes_max {
                self.oversize += 1;
            } else {
                self.lines.push(line.to_vec());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes of which newlines and byte order marks are many.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            proptest::collection::vec(Just(b'x'), 0..200),
            Just(b"\n".to_vec()),
            Just(BYTE_ORDER_MARK.to_vec()),
            Just(b"\xEF\xBB".to_vec()),
        ];
        proptest::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..Default::default() })]

        #[test]
        fn streams_mixed_anyhow_keep_their_lines(
            head in any::<[u8; HEAD_BYTES]>(),
            steps in proptest::collection::vec((any::<[u8; STEP_BYTES]>(), bytes()), 0..40),
        ) {
            let mut input = head.to_vec();
            for ([who, what], mut bytes) in steps {
                bytes.truncate(219);
                let what = if what < 220 { bytes.len() as u8 } else { what };
                input.extend([who, what]);
                if what < 220 {
                    input.extend(bytes);
                }
            }
            check_streams(&input);
        }
    }
}
