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

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;

/// A part of a source: what it reads in one order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A partition of a Kafka topic.
    Partition(i32),
    /// A shard of a Kinesis stream.
    Shard(Arc<str>),
}

impl Part {
    /// What such a part is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Part::Partition(_) => "partition",
            Part::Shard(_) => "shard",
        }
    }
}

/// Its number or name.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Partition(number) => number.fmt(f),
            Part::Shard(name) => name.fmt(f),
        }
    }
}

/// Where to resume in a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// With the record of this number; not negative.
    Record(i64),
    /// Behind the record of this sequence number, a decimal number of up to 129 digits.
    Behind(Arc<str>),
    /// Nowhere: it has been read out, and nothing more will come.
    Nowhere,
}

/// As it is saved.
impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Next::Record(number) => number.fmt(f),
            Next::Behind(number) => write!(f, "behind {number}"),
            Next::Nowhere => f.write_str("nowhere"),
        }
    }
}

/// As it was saved.
impl FromStr for Next {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Next, ParseIntError> {
        match text.strip_prefix("behind ") {
            Some(number) => Ok(Next::Behind(number.into())),
            None if text == "nowhere" => Ok(Next::Nowhere),
            None => text.parse().map(Next::Record),
        }
    }
}

/// What is there and not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// So many records.
    Records(u64),
    /// The records of so many milliseconds.
    Millis(u64),
}

/// Where one part of a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOffset {
    /// Which.
    pub part: Part,
    /// Where to go on.
    pub next: Next,
    /// How far behind its end that is, when that was last heard of.
    pub lag: Option<Lag>,
}

/// Where a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOffsets {
    /// Which of the run's sources: the first is 0.
    pub source: usize,
    /// Its name, as the user wrote it.
    pub name: Arc<str>,
    /// Its parts of which something was read, in order.
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
    fn where_to_go_on_is_read_as_it_is_written() {
        for next in [Next::Record(7), Next::Behind("4959".into()), Next::Nowhere] {
            assert_eq!(next.to_string().parse(), Ok(next));
        }
        assert!("somewhere".parse::<Next>().is_err());
    }
}
