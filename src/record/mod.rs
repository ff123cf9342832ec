//! What a record means: the bytes of a line in, a verdict and a key out.
//!
//! The parser threads call [`RecordParser::chunk`] with a chunk of whole lines and get back, line by
//! line and in order, either a key or the reason why there is none. Everything about JSON is behind
//! this interface, so that a faster lane can stand in front of the reference parser unseen.
//!
//! Promises: one verdict per line, the same whatever its neighbours and the cuts are; the input is
//! not changed; nothing is kept of a line when the next one comes.

use crate::key::KeyRef;
use crate::ledger::Reason;

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
