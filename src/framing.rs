//! Bytes to chunks of whole lines.
//!
//! The reader reads a stream straight into the [`Framer`]'s chunk, the framer remembers where the
//! last whole line ends, and when the reader takes the chunk the unfinished tail moves to the next
//! one. No byte is looked at twice: each read is searched backward for its last newline, once.
//!
//! Promises: lines leave in the order they came; a line is never cut; the result does not depend on
//! how the bytes were dealt out to reads. A line longer than the limit is skipped to its end in
//! linear time and in no more memory than the limit, and counted in the chunk in which it ends.
//!
//! Cursors: `0 <= cut <= filled <= filled + held <= chunk.capacity()`; lines are `..cut`, the tail is
//! `cut..filled`, and `held` bytes behind it were read and not looked at.

#[doc(hidden)]
pub mod check;

use memchr::{memchr, memrchr};

use crate::chunk::{Chunk, Pool};
use crate::clock::Timestamp;

/// UTF-8's byte order mark, skipped at the start of a stream.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How much of a line that is too long is kept to show.
pub(crate) const OVERSIZE_HEAD_BYTES: usize = 256;

/// Bytes of such heads in a chunk after which it is sent, though it has few lines: they are no part
/// of its memory.
pub(crate) const HEADS_BYTES_MAX: usize = 16 * 1024;

/// A stream's framing state while it has no chunk: its unfinished line, and what is known of it.
#[derive(Debug)]
pub struct Tail {
    bytes: Vec<u8>,
    /// As in [`Framer`].
    skipping: Option<Vec<u8>>,
    at_start: bool,
}

/// The state at the start of a stream.
impl Default for Tail {
    fn default() -> Tail {
        Tail {
            bytes: Vec::new(),
            skipping: None,
            at_start: true,
        }
    }
}

impl Tail {
    /// Bytes of the unfinished line, those already skipped not among them.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is an unfinished line.
    pub fn is_line(&self) -> bool {
        self.skipping.is_some() || !self.bytes.is_empty()
    }
}

/// The framing state of a stream that is being read, and the chunk it is read into.
#[derive(Debug)]
pub struct Framer {
    line_bytes_max: usize,
    chunk: Box<Chunk>,
    filled: usize,
    cut: usize,
    held: usize,
    /// Whether bytes came since the chunk was begun: its `received` is set then.
    fresh: bool,
    /// In the middle of a line that is too long, whose head this is: everything up to the next
    /// newline is dropped.
    skipping: Option<Vec<u8>>,
    /// Nothing of the stream was seen yet but, possibly, a part of a byte order mark.
    at_start: bool,
    /// The last line ended with its stream and lacks a newline: no byte may follow in this chunk.
    sealed: bool,
}

impl Framer {
    /// A framer at the start of a stream, reading into `chunk`.
    pub fn new(line_bytes_max: usize, chunk: Box<Chunk>) -> Framer {
        Framer {
            line_bytes_max,
            chunk,
            filled: 0,
            cut: 0,
            held: 0,
            fresh: true,
            skipping: None,
            at_start: true,
            sealed: false,
        }
    }

    /// Where to read the next bytes; empty when the chunk must be taken or grown first.
    pub fn space(&mut self) -> &mut [u8] {
        let from = if self.sealed {
            self.chunk.capacity()
        } else {
            self.filled
        };
        &mut self.chunk.memory_mut()[from..]
    }

    /// Whether the chunk has whole lines to take (or skipped ones to tell of).
    pub fn has_lines(&self) -> bool {
        self.cut > 0 || self.chunk.oversize_lines > 0
    }

    /// Whether the chunk has whole lines of so many bytes, or many heads of lines that are too long.
    pub fn is_due(&self, line_bytes: usize) -> bool {
        self.cut >= line_bytes || self.chunk.oversize_heads.len() >= HEADS_BYTES_MAX
    }

    /// Bytes of whole lines in the chunk.
    pub fn line_bytes(&self) -> usize {
        self.cut
    }

    /// Whether the last line lacks its newline, so that nothing may follow it in this chunk.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Bytes of memory in the chunk.
    pub fn capacity(&self) -> usize {
        self.chunk.capacity()
    }

    /// Bytes of the unfinished line, those already skipped not among them.
    pub fn tail_bytes(&self) -> usize {
        self.filled - self.cut
    }

    /// Whether there is an unfinished line.
    pub fn has_tail(&self) -> bool {
        self.skipping.is_some() || self.filled > self.cut
    }

    /// Keeps `count` bytes read into [`Framer::space`] through a [`Framer::take`], until
    /// [`Framer::advance`] takes note of them: they belong behind a boundary, the lines before it.
    pub fn hold(&mut self, count: usize) {
        self.held = count;
    }

    /// What comes next is not the beginning of its stream: a byte order mark there is part of a line.
    pub fn begin_within(&mut self) {
        self.at_start = false;
    }

    /// Whether bytes are held.
    pub fn is_holding(&self) -> bool {
        self.held > 0
    }

    /// Takes note of `count` bytes read into [`Framer::space`] at `now`, held or not.
    pub fn advance(&mut self, count: usize, now: Timestamp) {
        if self.fresh && count > 0 {
            self.chunk.received = now;
            self.fresh = false;
        }
        let mut from = self.filled;
        self.filled += count;
        self.held = 0;
        assert!(
            self.filled <= self.chunk.capacity(),
            "a read past the end of a chunk"
        );
        if self.at_start {
            // Bytes held back while they could be a byte order mark are looked at now.
            from = self.skip_byte_order_mark();
        }
        if let Some(head) = self.skipping.take() {
            let Some(end) = memchr(b'\n', &self.chunk.memory_mut()[from..self.filled]) else {
                self.skipping = Some(head);
                self.filled = self.cut;
                return;
            };
            self.skipped(head);
            // Nothing but skipped bytes lies between `cut` and this newline.
            let (rest, cut) = (from + end + 1, self.cut);
            self.chunk.memory_mut().copy_within(rest..self.filled, cut);
            self.filled = cut + (self.filled - rest);
            from = cut;
        }
        let filled = self.filled;
        if let Some(last) = memrchr(b'\n', &self.chunk.memory_mut()[from..filled]) {
            self.cut = from + last + 1;
        }
        // What may still become a byte order mark is no line, however short lines must be.
        if self.tail_bytes() > self.line_bytes_max && !self.at_start {
            self.begin_skipping();
        }
    }

    /// Takes the chunk of whole lines; the tail moves to a fresh one from `pool`.
    /// `None` if the pool has none to give at the moment.
    pub fn take(&mut self, pool: &mut Pool) -> Option<Box<Chunk>> {
        let tail = self.tail_bytes();
        let moved = tail + self.held;
        let mut next = pool.take()?;
        if moved > next.capacity() && !pool.grow(&mut next, moved) {
            pool.put(next);
            return None;
        }
        let cut = self.cut;
        next.memory_mut()[..moved].copy_from_slice(&self.chunk.memory_mut()[cut..cut + moved]);
        let mut full = std::mem::replace(&mut self.chunk, next);
        full.set_len(cut);
        self.filled = tail;
        self.cut = 0;
        self.fresh = true;
        self.sealed = false;
        Some(full)
    }

    /// Makes room when [`Framer::space`] is empty and there is no whole line to take.
    /// `false` if the pool has nothing to give at the moment.
    pub fn grow(&mut self, pool: &mut Pool) -> bool {
        // A tail as long as the limit allows, and a byte more to see that it is longer.
        let enough = self.line_bytes_max + 1;
        let doubled = self.chunk.capacity().saturating_mul(2).min(enough);
        pool.grow(&mut self.chunk, doubled.max(self.filled + 1))
    }

    /// The stream ended in good order: its tail is its last line, lacking only its newline.
    ///
    /// Returns whether there was one. What comes next is a new stream.
    pub fn finish(&mut self) -> bool {
        let had_tail = self.has_tail();
        if let Some(head) = self.skipping.take() {
            self.skipped(head);
            self.filled = self.cut;
        } else {
            self.sealed = self.cut < self.filled;
            self.cut = self.filled;
        }
        self.at_start = true;
        had_tail
    }

    /// The stream broke off: its tail is no line. Returns whether a piece was thrown away.
    pub fn discard_tail(&mut self) -> bool {
        self.park().is_line()
    }

    /// Lets go of the stream, so that the chunk can serve another: its state, the unfinished line in
    /// as much memory as it is long. Whole lines stay.
    pub fn park(&mut self) -> Tail {
        let (cut, filled) = (self.cut, self.filled);
        self.filled = cut;
        Tail {
            bytes: self.chunk.memory_mut()[cut..filled].to_vec(),
            skipping: self.skipping.take(),
            at_start: std::mem::replace(&mut self.at_start, true),
        }
    }

    /// Takes up a stream where it was parked, here or elsewhere.
    ///
    /// # Panics
    /// If another stream has not been parked, or the unfinished line does not fit.
    pub fn resume(&mut self, tail: Tail) {
        assert!(!self.has_tail() && !self.sealed, "a chunk in use: {self:?}");
        self.filled = self.cut + tail.bytes.len();
        let place = self.cut..self.filled;
        self.chunk.memory_mut()[place].copy_from_slice(&tail.bytes);
        self.skipping = tail.skipping;
        self.at_start = tail.at_start;
    }

    /// Gives the chunk back at the very end.
    pub fn into_chunk(self) -> Box<Chunk> {
        self.chunk
    }

    fn begin_skipping(&mut self) {
        let (cut, filled) = (self.cut, self.filled);
        let head = cut..filled.min(cut + OVERSIZE_HEAD_BYTES);
        self.skipping = Some(self.chunk.memory_mut()[head].to_vec());
        self.filled = self.cut;
    }

    /// A line that was skipped ends: the chunk in which it does tells of it.
    fn skipped(&mut self, head: Vec<u8>) {
        self.chunk.oversize_lines += 1;
        self.chunk.oversize_heads.extend_from_slice(&head);
        self.chunk.oversize_heads.push(b'\n');
    }

    /// Removes a byte order mark; returns from where on the bytes have not been looked at.
    fn skip_byte_order_mark(&mut self) -> usize {
        let (cut, filled) = (self.cut, self.filled);
        let bytes = &mut self.chunk.memory_mut()[cut..filled];
        if bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.copy_within(BYTE_ORDER_MARK.len().., 0);
            self.filled -= BYTE_ORDER_MARK.len();
            self.at_start = false;
        } else if !BYTE_ORDER_MARK.starts_with(bytes) {
            self.at_start = false;
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `stream` in pieces of the given sizes (cycled); returns its lines and the number of
    /// oversize lines, as the chunks tell them.
    fn frame(
        stream: &[u8],
        pieces: &[usize],
        chunk_bytes: usize,
        max: usize,
    ) -> (Vec<Vec<u8>>, u64) {
        let mut pool = Pool::new(chunk_bytes, 64 * 1024);
        let mut framer = Framer::new(max, pool.take().unwrap());
        let (mut lines, mut oversize) = (Vec::new(), 0);
        let mut collect = |chunk: Box<Chunk>, pool: &mut Pool| {
            oversize += chunk.oversize_lines;
            assert_eq!(chunk.oversize_heads().count() as u64, chunk.oversize_lines);
            for head in chunk.oversize_heads() {
                assert!(!head.is_empty() && stream.windows(head.len()).any(|part| part == head));
            }
            let mut rest = chunk.lines();
            while !rest.is_empty() {
                let end = memchr(b'\n', rest);
                let line = &rest[..end.unwrap_or(rest.len())];
                if line.len() > max {
                    oversize += 1;
                } else {
                    lines.push(line.to_vec());
                }
                rest = end.map_or(&[][..], |end| &rest[end + 1..]);
            }
            pool.put(chunk);
        };
        let (mut rest, mut sizes) = (stream, pieces.iter().cycle());
        while !rest.is_empty() {
            if framer.space().is_empty() {
                if framer.has_lines() {
                    collect(framer.take(&mut pool).unwrap(), &mut pool);
                    continue;
                }
                assert!(framer.grow(&mut pool));
            }
            let space = framer.space();
            let count = (*sizes.next().unwrap())
                .max(1)
                .min(rest.len())
                .min(space.len());
            space[..count].copy_from_slice(&rest[..count]);
            framer.advance(count, Timestamp::default());
            rest = &rest[count..];
            assert!(framer.chunk.capacity() <= chunk_bytes.max(max + 1));
        }
        framer.finish();
        collect(framer.take(&mut pool).unwrap(), &mut pool);
        (lines, oversize)
    }

    /// The same from the whole stream at once.
    fn split(stream: &[u8], max: usize) -> (Vec<Vec<u8>>, u64) {
        let stream = stream.strip_prefix(BYTE_ORDER_MARK).unwrap_or(stream);
        let mut all: Vec<Vec<u8>> = stream.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        if all.last().is_some_and(Vec::is_empty) {
            all.pop();
        }
        let oversize = all.iter().filter(|line| line.len() > max).count() as u64;
        all.retain(|line| line.len() <= max);
        (all, oversize)
    }

    #[test]
    fn cuts_where_the_newlines_are() {
        for stream in [
            &b""[..],
            b"\n",
            b"a",
            b"a\nb",
            b"a\nb\n",
            b"\n\n\n",
            b"\xEF\xBB\xBFa\n",
        ] {
            assert_eq!(frame(stream, &[1], 16, 8), split(stream, 8), "{stream:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_counts_only_at_the_start_and_whole() {
        assert_eq!(
            frame(b"\xEF\xBB\xBF\n\xEF\xBB\xBF\n", &[1], 16, 8).0,
            [&b""[..], b"\xEF\xBB\xBF"]
        );
        assert_eq!(frame(b"\xEF\xBB", &[1], 16, 8).0, [b"\xEF\xBB"]);
        assert_eq!(frame(b"\xEF\xBBx\n", &[2, 9], 16, 8).0, [b"\xEF\xBBx"]);
        assert_eq!(frame(b"\xEF\xBB\xBF", &[3], 16, 8), (Vec::new(), 0));
    }

    #[test]
    fn half_a_byte_order_mark_is_no_line_that_is_too_long() {
        assert_eq!(frame(b"\xEF\xBB\xBF", &[1], 4, 1), (Vec::new(), 0));
        for stream in [
            &b"\xEF\xBB\xBFa\n"[..],
            b"\xEF\xBB",
            b"\xEF\xBBx\n",
            b"\xEF\xBB\n\n",
        ] {
            assert_eq!(frame(stream, &[1], 4, 1), split(stream, 1), "{stream:?}");
        }
    }

    #[test]
    fn the_limit_is_the_last_length_that_passes() {
        for chunk_bytes in [4, 8, 9, 64] {
            for extra in 0..3 {
                let stream = [vec![b'x'; 7 + extra], b"\nend\n".to_vec()].concat();
                assert_eq!(
                    frame(&stream, &[3], chunk_bytes, 8),
                    split(&stream, 8),
                    "{extra}"
                );
            }
        }
    }

    #[test]
    fn a_torn_tail_is_thrown_away_and_the_next_stream_begins_afresh() {
        let mut pool = Pool::new(64, 256);
        let mut framer = Framer::new(32, pool.take().unwrap());
        framer.space()[..5].copy_from_slice(b"ab\ncd");
        framer.advance(5, Timestamp::default());
        assert!(framer.discard_tail());
        assert!(!framer.discard_tail());
        framer.space()[..5].copy_from_slice(b"\xEF\xBB\xBFe\n");
        framer.advance(5, Timestamp::default());
        assert_eq!(framer.take(&mut pool).unwrap().lines(), b"ab\ne\n");
    }

    #[test]
    fn a_last_line_without_newline_is_not_glued_to_the_next_stream() {
        let mut pool = Pool::new(64, 256);
        let mut framer = Framer::new(32, pool.take().unwrap());
        framer.space()[..2].copy_from_slice(b"ab");
        framer.advance(2, Timestamp::default());
        assert!(framer.finish());
        assert!(framer.space().is_empty());
        assert_eq!(framer.take(&mut pool).unwrap().lines(), b"ab");
        assert_eq!(framer.space().len(), 64);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn reads_of_any_size_give_the_same_lines(
            stream in proptest::collection::vec(
                prop_oneof![3 => Just(b'\n'), 8 => Just(b'x'), 1 => Just(0xEF), 1 => Just(0xBB), 1 => Just(0xBF)],
                0..400,
            ),
            mark in any::<bool>(),
            pieces in proptest::collection::vec(1usize..40, 1..8),
            chunk_bytes in 4usize..64,
            max in 1usize..48,
        ) {
            let mut stream = stream;
            if mark {
                stream.splice(0..0, BYTE_ORDER_MARK.iter().copied());
            }
            prop_assert_eq!(frame(&stream, &pieces, chunk_bytes, max), split(&stream, max));
        }
    }
}
