//! What a record means: the bytes of a line in, a verdict and a key out.
//!
//! The parser threads call [`RecordParser::chunk`] with a chunk of whole lines and get back, line by
//! line and in order, either a key, and what is to be added under it, or the reason why there is none.
//! What is asked of a line is a [`Query`]. Everything about JSON is behind
//! this interface, so that a faster lane can stand in front of the reference parser unseen.
//!
//! Promises: one verdict per line, the same whatever its neighbours and the cuts are; the input is
//! not changed; nothing is kept of a line when the next one comes. Memory stays bounded by the
//! longest line allowed while that line is judged, and by [`MEMORY_KEPT_BYTES_MAX`] after the chunk.

pub mod path;
pub mod condition;
pub mod query;
pub mod fields;
mod simd;
pub mod time;
pub mod fast;
#[doc(hidden)]
pub mod check;
#[doc(hidden)]
pub mod samples;

use memchr::memchr;

use crate::decimal::Decimal;
use crate::key::KeyRef;
use crate::ledger::Reason;
use fast::{FastParser, Level};

pub use condition::{Condition, ConditionError};
pub use path::{KeyPath, PathError};
pub use query::Query;
pub use simd::MEMORY_KEPT_BYTES_MAX;

/// How deep containers may nest: `[]` is 1 deep. Anything deeper is malformed.
pub const DEPTH_MAX: usize = 1024;

/// What one line turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// A record to count under this key.
    Counted(KeyRef<'a>),
    /// A record to count under this key, and its number to add there, if it has one.
    Summed(KeyRef<'a>, Option<Decimal>),
    /// A record to count under this key, and its own time in nanoseconds since the epoch.
    Timed(KeyRef<'a>, i64),
    /// A line not to count, and why.
    Dropped(Reason),
}

impl Verdict<'_> {
    /// Tells the sink what this line turned out to be.
    #[inline(always)]
    fn deliver(self, line: &[u8], sink: &mut impl LineSink) {
        match self {
            Verdict::Counted(key) => sink.counted(key),
            Verdict::Summed(key, number) => sink.summed(key, number),
            Verdict::Timed(key, nanos) => sink.timed(key, nanos),
            Verdict::Dropped(reason) => sink.dropped(reason, line),
        }
    }
}

/// Takes the verdicts of a chunk's lines, in the order of the lines.
pub trait LineSink {
    /// A line was a record with this key.
    fn counted(&mut self, key: KeyRef<'_>);
    /// A line was a record with this key; only of a query with a sum.
    fn summed(&mut self, key: KeyRef<'_>, number: Option<Decimal>);
    /// A line was a record with this key, of this time in nanoseconds since the epoch; only of a query with
    /// a time.
    fn timed(&mut self, key: KeyRef<'_>, nanos: i64);
    /// A line (without its line end) was not counted.
    fn dropped(&mut self, reason: Reason, line: &[u8]);
}

/// Judges lines by one query. One per parser thread; its buffers are reused from line to line.
pub struct RecordParser {
    fast: Option<FastParser>,
    slow: SlowParser,
}

/// The reference parser and what it needs to know.
struct SlowParser {
    query: Query,
    line_bytes_max: usize,
    reference: simd::TapeParser,
    /// The last composite key.
    key: Vec<u8>,
}

impl RecordParser {
    /// A parser that answers `query` and refuses lines of more than `max_line_bytes`
    /// bytes, line end not counted. Whatever is set, lines of 4 GiB and more are refused.
    pub fn new(query: impl Into<Query>, max_line_bytes: usize) -> Self {
        RecordParser::with_level(query, max_line_bytes, Level::best())
    }

    /// [`RecordParser::new`] with the fast lane of this level, or without one if there is no level
    /// or this CPU does not have it.
    pub fn with_level(
        query: impl Into<Query>,
        max_line_bytes: usize,
        level: Option<Level>,
    ) -> Self {
        let query = query.into();
        let line_bytes_max = max_line_bytes.min(simd::LINE_BYTES_MAX);
        RecordParser {
            fast: level.and_then(|level| FastParser::new(&query, line_bytes_max, level)),
            slow: SlowParser {
                query,
                line_bytes_max,
                reference: simd::TapeParser::new(),
                key: Vec::new(),
            },
        }
    }

    /// What is asked of each line.
    pub fn query(&self) -> &Query {
        &self.slow.query
    }

    /// The longest line that is judged, in bytes.
    pub fn line_bytes_max(&self) -> usize {
        self.slow.line_bytes_max
    }

    /// The fast lane, if there is one.
    pub fn fast(&self) -> Option<&FastParser> {
        self.fast.as_ref()
    }

    /// Judges one line, given without its `\n`, by the reference parser.
    ///
    /// The verdict's key borrows from the line or from the parser's buffers.
    #[inline]
    pub fn line<'a>(&'a mut self, line: &'a [u8]) -> Verdict<'a> {
        self.slow.line(line)
    }

    /// Judges the lines of `chunk` into `sink`, in order, and returns how many there were.
    ///
    /// Lines end at `\n`; the last one may lack it, and nothing behind the last `\n` is no line.
    pub fn chunk<K: LineSink>(&mut self, chunk: &[u8], sink: &mut K) -> u64 {
        let RecordParser { fast, slow } = self;
        let mut judge = |line: &[u8], sink: &mut K| slow.line(line).deliver(line, sink);
        let lines = match fast {
            Some(fast) => fast.chunk(chunk, &mut judge, sink),
            None => each_line(chunk, |line| judge(line, sink)),
        };
        self.slow.reference.shrink();
        lines
    }
}

impl SlowParser {
    fn line<'a>(&'a mut self, line: &'a [u8]) -> Verdict<'a> {
        if line.len() > self.line_bytes_max {
            Verdict::Dropped(Reason::Oversize)
        } else if is_blank(line) {
            Verdict::Dropped(Reason::Blank)
        } else {
            self.reference.record(&self.query, line, &mut self.key)
        }
    }
}

/// Gives each line of a chunk, without its `\n`; returns how many there were.
fn each_line(chunk: &[u8], mut judge: impl FnMut(&[u8])) -> u64 {
    let mut lines = 0;
    let mut rest = chunk;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        judge(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
        lines += 1;
    }
    lines
}

/// Whether a line has nothing but JSON white space in it.
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests;
