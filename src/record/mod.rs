//! What a record means: the bytes of a line in, a verdict and a key out.
//!
//! The parser threads call [`RecordParser::chunk`] with a chunk of whole lines and get back, line by
//! line and in order, either a key or the reason why there is none. Everything about JSON is behind
//! this interface, so that a faster lane can stand in front of the reference parser unseen.
//!
//! Promises: one verdict per line, the same whatever its neighbours and the cuts are; the input is
//! not changed; nothing is kept of a line when the next one comes. Memory stays bounded by the
//! longest line allowed while that line is judged, and by [`MEMORY_KEPT_BYTES_MAX`] after the chunk.

pub mod path;
mod simd;
#[doc(hidden)]
pub mod check;
#[doc(hidden)]
pub mod samples;

use memchr::memchr;

pub mod fast;

use crate::key::KeyRef;
use crate::ledger::Reason;

pub use path::{KeyPath, PathError};
pub use simd::MEMORY_KEPT_BYTES_MAX;

/// How deep containers may nest: `[]` is 1 deep. Anything deeper is malformed.
pub const DEPTH_MAX: usize = 1024;

/// What one line turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// A record to count under this key.
    Counted(KeyRef<'a>),
    /// A line not to count, and why.
    Dropped(Reason),
}

/// Takes the verdicts of a chunk's lines, in the order of the lines.
pub trait LineSink {
    /// A line was a record with this key.
    fn counted(&mut self, key: KeyRef<'_>);
    /// A line (without its line end) was not counted.
    fn dropped(&mut self, reason: Reason, line: &[u8]);
}

/// Judges lines by one key path. One per parser thread; its buffers are reused from line to line.
pub struct RecordParser {
    path: KeyPath,
    line_bytes_max: usize,
    reference: simd::TapeParser,
}

impl RecordParser {
    /// A parser that takes the key from `path` and refuses lines of more than `max_line_bytes`
    /// bytes, line end not counted. Whatever is set, lines of 4 GiB and more are refused.
    pub fn new(path: KeyPath, max_line_bytes: usize) -> Self {
        RecordParser {
            path,
            line_bytes_max: max_line_bytes.min(simd::LINE_BYTES_MAX),
            reference: simd::TapeParser::new(),
        }
    }

    /// The path the key is taken from.
    pub fn path(&self) -> &KeyPath {
        &self.path
    }

    /// The longest line that is judged, in bytes.
    pub fn line_bytes_max(&self) -> usize {
        self.line_bytes_max
    }

    /// Judges one line, given without its `\n`.
    ///
    /// The verdict's key borrows from the line or from the parser's buffers.
    #[inline]
    pub fn line<'a>(&'a mut self, line: &'a [u8]) -> Verdict<'a> {
        if line.len() > self.line_bytes_max {
            Verdict::Dropped(Reason::Oversize)
        } else if is_blank(line) {
            Verdict::Dropped(Reason::Blank)
        } else {
            self.reference.record(self.path.segments(), line)
        }
    }

    /// Judges the lines of `chunk` into `sink`, in order, and returns how many there were.
    ///
    /// Lines end at `\n`; the last one may lack it, and nothing behind the last `\n` is no line.
    pub fn chunk(&mut self, chunk: &[u8], sink: &mut impl LineSink) -> u64 {
        let mut lines = 0;
        let mut rest = chunk;
        while !rest.is_empty() {
            // A faster lane goes here: it takes what it can from the front of `rest` and leaves the
            // first line that it has no verdict for to the reference parser below.
            let (line, behind) = cut_line(rest);
            match self.line(line) {
                Verdict::Counted(key) => sink.counted(key),
                Verdict::Dropped(reason) => sink.dropped(reason, line),
            }
            lines += 1;
            rest = behind;
        }
        self.reference.shrink();
        lines
    }
}

/// Cuts the first line off: the line without its `\n`, and what is behind it.
fn cut_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// Whether a line has nothing but JSON white space in it.
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests;
