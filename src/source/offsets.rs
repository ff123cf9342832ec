//! Where to resume: what a source that can replay says at each batch boundary.
//!
//! The reader asks its sources for their offsets when it sends a batch's mark and hands them on in
//! it, so they come to the batch merge with the batch's counts: whoever saves both together can go
//! on after a crash without losing or doubling a line. When every sink has taken the batch, the
//! merge gives them back to the source's [`Commit`], for a source that keeps them elsewhere (a Kafka
//! consumer group does).
//!
//! An offset stands behind the last record that was read whole: its lines are in the batch that the
//! mark closes, or in one before it.

use std::sync::Arc;

/// Where one part of a source (a partition, a shard) stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartOffset {
    /// The part's number.
    pub part: i32,
    /// The record to go on with; `0 <= next`.
    pub next: i64,
    /// Where the part ended when that was last heard of: behind its last record.
    pub end: Option<i64>,
}

impl PartOffset {
    /// Records that are there and not read yet, as far as is known.
    pub fn lag(&self) -> Option<u64> {
        let end = self.end?;
        Some(u64::try_from(end.saturating_sub(self.next)).unwrap_or(0))
    }
}

/// Where a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOffsets {
    /// Which of the run's sources: the first is 0.
    pub source: usize,
    /// Its name, as the user wrote it.
    pub name: Arc<str>,
    /// Its parts of which something was read, by number.
    pub parts: Vec<PartOffset>,
}

/// The end of a source at the batch merge: told what has been reported. Dropped when nothing more
/// will be, which may wait until the source has let go of what it holds elsewhere.
pub trait Commit: Send {
    /// Every line before these offsets has been reported by every sink.
    fn commit(&mut self, offsets: &SourceOffsets);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_what_is_there_and_not_read() {
        let lag = |next, end| PartOffset { part: 0, next, end }.lag();
        assert_eq!(lag(7, Some(10)), Some(3));
        assert_eq!(lag(5, Some(4)), Some(0));
        assert_eq!(lag(5, None), None);
    }
}
