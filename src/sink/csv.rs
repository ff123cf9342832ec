//! Comma-separated rows, for spreadsheets and loaders.
//!
//! One header, `type,batch,start,end,key,key_type,count,total`, before the first report; then
//! - a `batch` row per key of each batch; a batch without keys has no rows;
//! - a `totals` row per key at the end, in which `batch`, `start` and `count` are empty;
//! - a `window` row per key of each closed window, in which `batch` and `total` are empty;
//! - with `--trending`, two more columns, `previous,ratio`, which are filled in the `trending` rows
//!   behind a window's alone;
//! - where rows are hidden, one more row of the same type with the key type `hidden`: its key is
//!   the number of keys left out, `count` (in totals: `total`) their sum; the other one is empty.
//!
//! So the figures of a column add up to the records counted, hidden or not. The ledger is not
//! here: its columns would not be keys. Times are UTC, as in JSON.
//!
//! A key is written as it is, quoted as RFC 4180 wants but never altered: a loader gets back the
//! very string. A spreadsheet may take `=cmd()` for a formula; import the column as text.

use std::io::{self, Write};

use super::{BatchReport, Hidden, Sink, TotalsReport, WindowReport};

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// The first line.
const HEADER: [&str; 8] = [
    "type", "batch", "start", "end", "key", "key_type", "count", "total",
];

/// What follows in it with `--trending`.
const TREND_HEADER: [&str; 2] = ["previous", "ratio"];

/// Writes rows of comma-separated values.
#[derive(Debug)]
pub struct CsvSink<W: Write> {
    out: csv::Writer<W>,
    has_header: bool,
    has_trends: bool,
}

/// What the rows of one report have in common.
struct Head<'a> {
    kind: &'a str,
    batch: &'a str,
    start: &'a str,
    end: &'a str,
}

impl<W: Write> CsvSink<W> {
    /// A sink that writes to `writer`, with columns for keys that grow if there will be any.
    pub fn new(writer: W, has_trends: bool) -> CsvSink<W> {
        let out = csv::WriterBuilder::new()
            .buffer_capacity(BUFFER_BYTES)
            .from_writer(writer);
        CsvSink {
            out,
            has_header: false,
            has_trends,
        }
    }

    fn header(&mut self) -> io::Result<()> {
        if !self.has_header {
            let trends = TREND_HEADER.iter().filter(|_| self.has_trends);
            let names = HEADER.iter().chain(trends);
            self.out.write_record(names).map_err(io_error)?;
            self.has_header = true;
        }
        Ok(())
    }

    fn row(
        &mut self,
        head: &Head<'_>,
        key: (&[u8], &str),
        count: &str,
        total: &str,
    ) -> io::Result<()> {
        self.full_row(head, key, [count, total, "", ""])
    }

    /// A row with the figures of all columns; the last two are left out where no keys grow.
    fn full_row(
        &mut self,
        head: &Head<'_>,
        key: (&[u8], &str),
        [count, total, previous, ratio]: [&str; 4],
    ) -> io::Result<()> {
        let fields: [&[u8]; 10] = [
            head.kind.as_bytes(),
            head.batch.as_bytes(),
            head.start.as_bytes(),
            head.end.as_bytes(),
            key.0,
            key.1.as_bytes(),
            count.as_bytes(),
            total.as_bytes(),
            previous.as_bytes(),
            ratio.as_bytes(),
        ];
        let columns = match self.has_trends {
            true => fields.len(),
            false => HEADER.len(),
        };
        self.out.write_record(&fields[..columns]).map_err(io_error)
    }
}

impl<W: Write> Sink for CsvSink<W> {
    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()> {
        self.header()?;
        let (batch, start, end) = (
            report.batch.to_string(),
            report.start.to_string(),
            report.end.to_string(),
        );
        let head = Head {
            kind: "batch",
            batch: &batch,
            start: &start,
            end: &end,
        };
        for row in report.counts.shown {
            let key = row.key.text();
            let (count, total) = (row.count.to_string(), row.total.to_string());
            self.row(&head, (key.as_bytes(), row.key.kind.name()), &count, &total)?;
        }
        if let Hidden { keys: 1.., count } = report.counts.hidden {
            let keys = report.counts.hidden.keys.to_string();
            self.row(&head, (keys.as_bytes(), "hidden"), &count.to_string(), "")?;
        }
        self.out.flush()
    }

    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()> {
        self.header()?;
        let (start, end) = (report.start.to_string(), report.end.to_string());
        let head = |kind| Head {
            kind,
            batch: "",
            start: &start,
            end: &end,
        };
        for row in report.counts.shown {
            let (key, kind) = (row.key.text(), row.key.kind.name());
            let count = row.count.to_string();
            self.row(&head("window"), (key.as_bytes(), kind), &count, "")?;
        }
        if let Hidden { keys: 1.., count } = report.counts.hidden {
            let (keys, count) = (report.counts.hidden.keys.to_string(), count.to_string());
            self.row(&head("window"), (keys.as_bytes(), "hidden"), &count, "")?;
        }
        for trend in report.trending.unwrap_or_default() {
            let (key, kind) = (trend.key.text(), trend.key.kind.name());
            let (count, previous) = (trend.count.to_string(), trend.previous.to_string());
            let figures = [&count, "", &previous, &trend.ratio_text()];
            self.full_row(&head("trending"), (key.as_bytes(), kind), figures)?;
        }
        self.out.flush()
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        self.header()?;
        let end = report.end.to_string();
        let head = Head {
            kind: "totals",
            batch: "",
            start: "",
            end: &end,
        };
        for row in report.totals.shown {
            let key = row.key.text();
            self.row(
                &head,
                (key.as_bytes(), row.key.kind.name()),
                "",
                &row.total.to_string(),
            )?;
        }
        if let Hidden { keys: 1.., count } = report.totals.hidden {
            let keys = report.totals.hidden.keys.to_string();
            self.row(&head, (keys.as_bytes(), "hidden"), "", &count.to_string())?;
        }
        self.out.flush()
    }
}

/// The writer's own error, so that a closed pipe stays one.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use crate::key::KeyRef;

    use super::super::Row;
    use super::super::testing::{self, row};
    use super::*;

    fn written(call: impl FnOnce(&mut dyn Sink) -> io::Result<()>) -> String {
        testing::written(|out| Box::new(CsvSink::new(out, false)), call)
    }

    #[test]
    fn rows_and_totals_under_one_header() {
        let rows = [
            row(KeyRef::string("PLACED"), 250, 1200),
            row(KeyRef::string("a,\"b\"\r\n"), 2, 3),
            row(KeyRef::string("=cmd()"), 1, 1),
            row(KeyRef::string(""), 1, 1),
            row(KeyRef::null(), 1, 1),
            row(KeyRef::boolean(true), 1, 1),
            row(KeyRef::number("1e5"), 1, 1),
        ];
        let mut batch = testing::batch(&rows);
        batch.counts.hidden = Hidden {
            keys: 12,
            count: 34,
        };
        let mut totals = testing::totals(&rows[..1]);
        totals.totals.hidden = Hidden {
            keys: 18,
            count: 56,
        };
        let empty = testing::batch(&[]);
        let text = written(|sink| {
            sink.batch(&empty)?;
            sink.batch(&batch)?;
            sink.totals(&totals)
        });
        let times = "2026-11-22T15:47:35.000Z,2026-11-22T15:47:40.000Z";
        assert_eq!(
            text,
            format!(
                "type,batch,start,end,key,key_type,count,total\n\
                 batch,3,{times},PLACED,string,250,1200\n\
                 batch,3,{times},\"a,\"\"b\"\"\r\n\",string,2,3\n\
                 batch,3,{times},=cmd(),string,1,1\n\
                 batch,3,{times},,string,1,1\n\
                 batch,3,{times},null,null,1,1\n\
                 batch,3,{times},true,boolean,1,1\n\
                 batch,3,{times},1e5,number,1,1\n\
                 batch,3,{times},12,hidden,34,\n\
                 totals,,,2026-11-22T15:47:40.000Z,PLACED,string,,1200\n\
                 totals,,,2026-11-22T15:47:40.000Z,18,hidden,,56\n"
            )
        );
    }

    #[test]
    fn hostile_keys_come_back() {
        let keys = testing::hostile_keys();
        let rows: Vec<Row<'_>> = keys
            .iter()
            .map(|key| row(KeyRef::string(key), 7, 8))
            .collect();
        let text = written(|sink| sink.batch(&testing::batch(&rows)));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let back: Vec<String> = reader
            .records()
            .map(|row| row.unwrap()[4].to_owned())
            .collect();
        assert_eq!(back, keys);
    }
}
