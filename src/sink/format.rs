//! The output formats a user can name (`--output`), and the sinks behind them.

use std::io::Write;

use jiff::tz::TimeZone;

use super::{CsvSink, JsonSink, NoneSink, Sink, SparkSink, TableSink};

/// A format of the results on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns for people.
    #[default]
    Table,
    /// What Spark Streaming's `pprint()` prints.
    Spark,
    /// One JSON object per line.
    Json,
    /// Comma-separated rows, one per key and batch.
    Csv,
    /// Nothing.
    None,
}

/// What a sink needs to know about where its output is read.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// The zone of the times that people read.
    pub zone: TimeZone,
    /// Whether the table is coloured.
    pub color: bool,
    /// Columns of the terminal; without one, keys are cut at [`super::text::KEY_WIDTH_MAX`].
    pub width: Option<usize>,
    /// Whether windows name the keys that grow.
    pub trending: bool,
    /// Parts of a key, at least 1.
    pub key_parts: usize,
    /// Whether rows have sums.
    pub has_sums: bool,
}

impl Default for SinkOptions {
    /// UTC, plain, no terminal, a plain count, no growth.
    fn default() -> SinkOptions {
        SinkOptions {
            zone: TimeZone::UTC,
            color: false,
            width: None,
            trending: false,
            key_parts: 1,
            has_sums: false,
        }
    }
}

impl OutputFormat {
    /// The rows shown unless `--top` says otherwise; all of them if `None`.
    pub const fn default_top(self) -> Option<usize> {
        match self {
            OutputFormat::Table => Some(50),
            OutputFormat::Spark => Some(10),
            OutputFormat::Json | OutputFormat::Csv | OutputFormat::None => None,
        }
    }

    /// A sink of this format that writes to `writer`.
    pub fn sink<'w, W>(self, writer: W, options: SinkOptions) -> Box<dyn Sink + Send + 'w>
    where
        W: Write + Send + 'w,
    {
        match self {
            OutputFormat::Table => Box::new(TableSink::new(writer, options)),
            OutputFormat::Spark => Box::new(SparkSink::new(writer, options.zone)),
            OutputFormat::Json => Box::new(JsonSink::new(writer)),
            OutputFormat::Csv => Box::new(CsvSink::new(writer, &options)),
            OutputFormat::None => Box::new(NoneSink),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use std::io;

    use clap::ValueEnum;

    use super::super::testing;
    use super::*;

    /// A pipe whose reader went away.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn names() {
        for (name, top) in [
            ("table", Some(50)),
            ("spark", Some(10)),
            ("json", None),
            ("csv", None),
            ("none", None),
        ] {
            assert_eq!(
                OutputFormat::from_str(name, false).unwrap().default_top(),
                top
            );
        }
        assert_eq!(OutputFormat::value_variants().len(), 5);
    }

    #[test]
    fn a_closed_pipe_is_reported_as_one() {
        for format in OutputFormat::value_variants() {
            let mut sink = format.sink(Closed, SinkOptions::default());
            let result = sink.batch(&testing::batch(&testing::STATUSES));
            match format {
                OutputFormat::None => result.unwrap(),
                _ => assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe),
            }
        }
    }

    #[test]
    fn each_batch_is_flushed_once() {
        /// Counts flushes.
        struct Flushes<'a>(&'a mut usize);

        impl Write for Flushes<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                *self.0 += 1;
                Ok(())
            }
        }

        use OutputFormat::{Csv, Json, Spark, Table};
        for format in [Table, Spark, Json, Csv] {
            let mut flushes = 0;
            let mut sink = format.sink(Flushes(&mut flushes), SinkOptions::default());
            sink.batch(&testing::batch(&testing::STATUSES)).unwrap();
            // The csv crate's writer flushes once more when it is dropped.
            std::mem::forget(sink);
            assert_eq!(flushes, 1, "{format:?}");
        }
    }
}
