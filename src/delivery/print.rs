//! A parcel as text: what files, commands and web hooks get is what `--output json` or `csv` prints.

use std::io::{self, Write};

use flate2::write::GzEncoder;

use super::parcel::{Choice, Parcel, Report};
use crate::sink::{CsvSink, JsonSink, Sink, SinkOptions};

/// What text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON lines.
    Json,
    /// Rows, behind a line of their columns' names.
    Csv,
}

/// How it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

/// Prints the reports of a parcel that are wanted, behind a header if it is a beginning. Returns how many rows
/// that were.
pub(super) fn print(
    parcel: &Parcel,
    choice: &Choice,
    format: Format,
    (options, is_begun): (&SinkOptions, bool),
    out: impl Write,
) -> io::Result<u64> {
    match format {
        Format::Json => each(parcel, choice, JsonSink::new(out)),
        Format::Csv if is_begun => each(parcel, choice, CsvSink::new(out, options).headless()),
        Format::Csv => each(parcel, choice, CsvSink::new(out, options)),
    }
}

/// Shows a sink the reports of a parcel that are wanted. Returns how many rows that were.
pub(super) fn each(parcel: &Parcel, choice: &Choice, mut sink: impl Sink) -> io::Result<u64> {
    let mut rows = 0;
    parcel.each(choice, |report| {
        rows += report.rows().shown.len() as u64;
        match report {
            Report::Batch(report) => sink.batch(report),
            Report::Window(report) => sink.window(report),
            Report::Totals(report) => sink.totals(report),
        }
    })?;
    Ok(rows)
}

/// Compresses what is written: one archive, whole when this returns.
pub(super) fn packed<T>(
    packing: Packing,
    out: &mut impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
) -> io::Result<T> {
    match packing {
        Packing::None => write(out),
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(out, flate2::Compression::default());
            let result = write(&mut encoder)?;
            encoder.finish()?.flush()?;
            Ok(result)
        }
        Packing::Zstd => {
            let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            let result = write(&mut encoder)?;
            encoder.finish()?.flush()?;
            Ok(result)
        }
    }
}
