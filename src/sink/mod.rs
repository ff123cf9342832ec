//! What a sink sees: closed batches, and the totals at the end.
//!
//! The batch merge hands every sink one [`BatchReport`] per batch, in order, behind it a
//! [`WindowReport`] for each window that the batch closes, and one [`TotalsReport`] when the run ends. A sink writes and flushes; it keeps nothing it was lent.
//!
//! These are the console's. Sinks that take their time (`--to`) get the same reports, packed and behind a queue, from
//! [`delivery`](crate::delivery).

pub mod text;
mod pieces;
mod table;
mod spark;
mod json;
mod csv;
mod none;
mod format;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
pub(crate) mod testing;

pub use self::csv::CsvSink;
pub use self::format::{OutputFormat, SinkOptions};
pub use self::json::JsonSink;
pub(crate) use self::json::extras;
#[cfg(any(feature = "kafka", feature = "postgres"))]
pub(crate) use self::json::push_key;
#[cfg(feature = "kafka")]
pub(crate) use self::json::{
    push_batch, push_count, push_hidden, push_span, push_string, push_total, push_totals,
    push_trending, push_window, push_window_count,
};
pub use self::none::NoneSink;
pub use self::spark::SparkSink;
pub use self::table::TableSink;

use std::io;

use crate::clock::Timestamp;
use crate::decimal::Decimal;
use crate::key::KeyRef;
use crate::ledger::Ledger;
use crate::source::SourceOffsets;
use crate::window::{Trend, WindowSpec};

/// One key's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The key.
    pub key: KeyRef<'a>,
    /// Records in this batch; in [`TotalsReport`] the same as `total`.
    pub count: u64,
    /// Records since the start.
    pub total: u64,
    /// What the records' numbers add up to, if the query has a sum.
    pub sums: Option<RowSums<'a>>,
}

/// One key's sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSums<'a> {
    /// Over this batch; in [`TotalsReport`] the same as `total`.
    pub sum: &'a Decimal,
    /// Since the start.
    pub total: &'a Decimal,
}

impl<'a> RowSums<'a> {
    /// Sums of a row of totals.
    pub fn total(total: &'a Decimal) -> RowSums<'a> {
        RowSums { sum: total, total }
    }
}

/// What a limit on the rows leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hidden {
    /// Keys left out.
    pub keys: u64,
    /// The sum of their counts in this batch; in totals, of their totals.
    pub count: u64,
    /// The sum of their sums, likewise, if the query has a sum.
    pub sum: Option<Decimal>,
}

impl Hidden {
    /// One row more.
    pub(crate) fn hide(&mut self, row: &Row<'_>) {
        self.keys += 1;
        self.count += row.count;
        if let Some(sums) = row.sums {
            *self.sum.get_or_insert_default() += sums.sum;
        }
    }
}

/// Sorted rows: largest count first (in [`TotalsReport`]: total), then by key.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The rows that are shown.
    pub shown: &'a [Row<'a>],
    /// The rows that are not; all 0 if there are none.
    pub hidden: Hidden,
}

impl<'a> Rows<'a> {
    /// The same with at most so many shown; `None`: as many as there are.
    pub fn limit(self, top: Option<usize>) -> Rows<'a> {
        let Some((shown, rest)) = top.and_then(|top| self.shown.split_at_checked(top)) else {
            return self;
        };
        let mut hidden = self.hidden;
        hidden.keys += rest.len() as u64;
        for row in rest {
            hidden.count += row.count;
            if let Some(sums) = row.sums {
                *hidden.sum.get_or_insert_default() += sums.sum;
            }
        }
        Rows { shown, hidden }
    }
}

/// Percentiles of one latency, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Values recorded; the rest is 0 when this is.
    pub count: u64,
    /// Median.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p999_us: u64,
    /// Largest.
    pub max_us: u64,
}

/// The latencies of a batch or of a run (`--stats`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// From the read that brought a record to its count in a shard, per record.
    pub receive_to_counted: Percentiles,
    /// From a batch's boundary to its rows being written and flushed, over the batches printed so far.
    pub boundary_to_printed: Percentiles,
}

/// A closed batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchReport<'a> {
    /// The batch's number; the first is 1.
    pub batch: u64,
    /// When it began.
    pub start: Timestamp,
    /// Its boundary: when it ended.
    pub end: Timestamp,
    /// Where its lines went.
    pub ledger: Ledger,
    /// This batch's keys.
    pub counts: Rows<'a>,
    /// Every key since the start, `count` being the total; only for sinks that ask for it.
    pub totals: Option<Rows<'a>>,
    /// Only with `--stats`.
    pub latency: Option<Latency>,
    /// Where the sources that can be resumed stand; only with `--stats`.
    pub lag: &'a [SourceOffsets],
}

impl BatchReport<'_> {
    /// The batch's length in nanoseconds; never 0, so that rates can be taken over it.
    pub fn nanos(&self) -> u64 {
        self.end.nanos_since(self.start).max(1)
    }
}

/// A closed window.
#[derive(Clone, Copy, Debug)]
pub struct WindowReport<'a> {
    /// Its length and slide.
    pub spec: WindowSpec,
    /// When it began: a length before its end.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// The part of it in which there were batches: all of it, but at the start and the end of a run.
    pub covered: (Timestamp, Timestamp),
    /// Whether no other report of this window follows.
    pub is_final: bool,
    /// Its keys.
    pub counts: Rows<'a>,
    /// The keys that grow most against the length before it; only with `--trending`, and from the first
    /// window on for which there is a whole one before it.
    pub trending: Option<&'a [Trend<'a>]>,
}

impl WindowReport<'_> {
    /// Whether there were batches in all of it.
    pub fn is_whole(&self) -> bool {
        self.covered == (self.start, self.end)
    }

    /// How long there were batches, in nanoseconds; never 0, so that rates can be taken over it.
    pub fn covered_nanos(&self) -> u64 {
        self.covered.1.nanos_since(self.covered.0).max(1)
    }
}

/// The totals of a run that ends.
#[derive(Clone, Copy, Debug)]
pub struct TotalsReport<'a> {
    /// When the last batch ended.
    pub end: Timestamp,
    /// Where all lines went.
    pub ledger: Ledger,
    /// Every key since the start.
    pub totals: Rows<'a>,
    /// Only with `--stats`.
    pub latency: Option<Latency>,
    /// Where the sources that can be resumed stood at the end; only with `--stats`.
    pub lag: &'a [SourceOffsets],
}

/// Where results go.
pub trait Sink {
    /// Whether it shows rows: where no sink does, none are sorted, and all count as hidden.
    fn wants_rows(&self) -> bool {
        true
    }

    /// Whether [`BatchReport::totals`] is to be filled in: sorting every key costs time.
    fn wants_totals(&self) -> bool {
        false
    }

    /// Takes a closed batch.
    ///
    /// # Errors
    /// What the writer behind it answers; a closed pipe is [`io::ErrorKind::BrokenPipe`].
    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()>;

    /// Takes a closed window, behind the batch that closed it.
    ///
    /// # Errors
    /// As for [`Sink::batch`].
    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()>;

    /// Takes the totals of a run that ends.
    ///
    /// # Errors
    /// As for [`Sink::batch`].
    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()>;
}
