//! Comma-separated rows, for spreadsheets and loaders.
//!
//! One header, `type,batch,start,end,key,key_type,count,total`, before the first report; a composite
//! key has two columns more for each further part (`key2,key2_type`), a sum two more behind `total`
//! (`sum,total_sum`), which windows leave empty. Then
//! - a `batch` row per key of each batch; a batch without keys has no rows;
//! - a `totals` row per key at the end, in which `batch`, `start` and `count` are empty;
//! - a `window` row per key of each closed window, in which `batch` and `total` are empty;
//! - with `--trending`, two more columns, `previous,ratio`, which are filled in the `trending` rows
//!   behind a window's alone;
//! - where rows are hidden, one more row of the same type with the key type `hidden`: its key is
//!   the number of keys left out, `count` (in totals: `total`) their sum; the other one is empty.
//!   Of sums the same.
//!
//! So the figures of a column add up to the records counted, hidden or not. The ledger is not
//! here: its columns would not be keys. Times are UTC, as in JSON.
//!
//! A key is written as it is, quoted as RFC 4180 wants but never altered: a loader gets back the
//! very string. A spreadsheet may take `=cmd()` for a formula; import the column as text.

use std::io::{self, Write};

use crate::decimal::Decimal;
use crate::key::KeyRef;

use super::format::SinkOptions;
use super::{BatchReport, Sink, TotalsReport, WindowReport};

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// What stands last in the first line with `--trending`.
const TREND_HEADER: [&str; 2] = ["previous", "ratio"];

/// Writes rows of comma-separated values.
#[derive(Debug)]
pub struct CsvSink<W: Write> {
    out: csv::Writer<W>,
    key_parts: usize,
    has_sums: bool,
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

/// The figures of one row; what is empty is left empty.
#[derive(Default)]
struct Figures {
    count: String,
    total: String,
    sum: String,
    total_sum: String,
    previous: String,
    ratio: String,
}

impl<W: Write> CsvSink<W> {
    /// A sink that writes to `writer`.
    pub fn new(writer: W, options: &SinkOptions) -> CsvSink<W> {
        let out = csv::WriterBuilder::new()
            .buffer_capacity(BUFFER_BYTES)
            .from_writer(writer);
        CsvSink {
            out,
            key_parts: options.key_parts,
            has_sums: options.has_sums,
            has_header: false,
            has_trends: options.trending,
        }
    }

    /// The same without a header: what is written goes on somewhere.
    pub fn headless(self) -> CsvSink<W> {
        CsvSink {
            has_header: true,
            ..self
        }
    }

    /// Writes the first line, unless it has been.
    pub(crate) fn header(&mut self) -> io::Result<()> {
        if self.has_header {
            return Ok(());
        }
        self.has_header = true;
        for name in ["type", "batch", "start", "end", "key", "key_type"] {
            self.field(name)?;
        }
        for part in 2..=self.key_parts {
            self.field(format!("key{part}"))?;
            self.field(format!("key{part}_type"))?;
        }
        self.field("count")?;
        self.field("total")?;
        if self.has_sums {
            self.field("sum")?;
            self.field("total_sum")?;
        }
        if self.has_trends {
            self.field(TREND_HEADER[0])?;
            self.field(TREND_HEADER[1])?;
        }
        self.end_row()
    }

    fn row(&mut self, head: &Head<'_>, key: KeyRef<'_>, figures: &Figures) -> io::Result<()> {
        self.head(head)?;
        let mut parts = key.parts();
        for _ in 0..self.key_parts {
            // The key of what is beyond the limit has one part only.
            let part = parts.next();
            self.field(part.map(|part| part.text()).unwrap_or_default().as_bytes())?;
            self.field(part.map(|part| part.kind.name()).unwrap_or_default())?;
        }
        self.figures(figures)
    }

    fn hidden_row(&mut self, head: &Head<'_>, keys: u64, figures: &Figures) -> io::Result<()> {
        self.head(head)?;
        self.field(keys.to_string())?;
        self.field("hidden")?;
        for _ in 1..self.key_parts {
            self.field("")?;
            self.field("")?;
        }
        self.figures(figures)
    }

    fn head(&mut self, head: &Head<'_>) -> io::Result<()> {
        for field in [head.kind, head.batch, head.start, head.end] {
            self.field(field)?;
        }
        Ok(())
    }

    fn figures(&mut self, figures: &Figures) -> io::Result<()> {
        self.field(&figures.count)?;
        self.field(&figures.total)?;
        if self.has_sums {
            self.field(&figures.sum)?;
            self.field(&figures.total_sum)?;
        }
        if self.has_trends {
            self.field(&figures.previous)?;
            self.field(&figures.ratio)?;
        }
        self.end_row()
    }

    fn field(&mut self, field: impl AsRef<[u8]>) -> io::Result<()> {
        self.out.write_field(field).map_err(io_error)
    }

    fn end_row(&mut self) -> io::Result<()> {
        self.out.write_record(None::<&[u8]>).map_err(io_error)
    }
}

/// A sum's text; none if there is no sum.
fn text(sum: Option<&Decimal>) -> String {
    sum.map(ToString::to_string).unwrap_or_default()
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
            let figures = Figures {
                count: row.count.to_string(),
                total: row.total.to_string(),
                sum: text(row.sums.map(|sums| sums.sum)),
                total_sum: text(row.sums.map(|sums| sums.total)),
                ..Figures::default()
            };
            self.row(&head, row.key, &figures)?;
        }
        let hidden = &report.counts.hidden;
        if hidden.keys > 0 {
            let figures = Figures {
                count: hidden.count.to_string(),
                sum: text(hidden.sum.as_ref()),
                ..Figures::default()
            };
            self.hidden_row(&head, hidden.keys, &figures)?;
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
            let figures = Figures {
                count: row.count.to_string(),
                ..Figures::default()
            };
            self.row(&head("window"), row.key, &figures)?;
        }
        let hidden = &report.counts.hidden;
        if hidden.keys > 0 {
            let figures = Figures {
                count: hidden.count.to_string(),
                ..Figures::default()
            };
            self.hidden_row(&head("window"), hidden.keys, &figures)?;
        }
        for trend in report.trending.unwrap_or_default() {
            let figures = Figures {
                count: trend.count.to_string(),
                previous: trend.previous.to_string(),
                ratio: trend.ratio_text(),
                ..Figures::default()
            };
            self.row(&head("trending"), trend.key, &figures)?;
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
            let figures = Figures {
                total: row.total.to_string(),
                total_sum: text(row.sums.map(|sums| sums.total)),
                ..Figures::default()
            };
            self.row(&head, row.key, &figures)?;
        }
        let hidden = &report.totals.hidden;
        if hidden.keys > 0 {
            let figures = Figures {
                total: hidden.count.to_string(),
                total_sum: text(hidden.sum.as_ref()),
                ..Figures::default()
            };
            self.hidden_row(&head, hidden.keys, &figures)?;
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
    use super::super::testing::{self, row};
    use super::super::{Hidden, Row, RowSums};
    use super::*;

    fn written(call: impl FnOnce(&mut dyn Sink) -> io::Result<()>) -> String {
        written_with(&SinkOptions::default(), call)
    }

    fn written_with(
        options: &SinkOptions,
        call: impl FnOnce(&mut dyn Sink) -> io::Result<()>,
    ) -> String {
        testing::written(|out| Box::new(CsvSink::new(out, options)), call)
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
            sum: None,
        };
        let mut totals = testing::totals(&rows[..1]);
        totals.totals.hidden = Hidden {
            keys: 18,
            count: 56,
            sum: None,
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
    fn parts_of_a_key_and_sums_have_columns_of_their_own() {
        let bytes = testing::composite(&[KeyRef::string("PLACED"), KeyRef::number("7")]);
        let [sum, total] = ["1.50", "-3"].map(testing::decimal);
        let sums = Some(RowSums {
            sum: &sum,
            total: &total,
        });
        let rows = [
            Row {
                sums,
                ..row(KeyRef::composite(&bytes), 2, 3)
            },
            Row {
                sums,
                ..row(KeyRef::string("_other"), 1, 1)
            },
        ];
        let mut batch = testing::batch(&rows);
        batch.counts.hidden = Hidden {
            keys: 12,
            count: 34,
            sum: Some(sum),
        };
        let totals = testing::totals(&rows[..1]);
        let options = SinkOptions {
            key_parts: 2,
            has_sums: true,
            ..SinkOptions::default()
        };
        let text = written_with(&options, |sink| {
            sink.batch(&batch)?;
            sink.totals(&totals)
        });
        let times = "2026-11-22T15:47:35.000Z,2026-11-22T15:47:40.000Z";
        assert_eq!(
            text,
            format!(
                "type,batch,start,end,key,key_type,key2,key2_type,count,total,sum,total_sum\n\
                 batch,3,{times},PLACED,string,7,number,2,3,1.50,-3\n\
                 batch,3,{times},_other,string,,,1,1,1.50,-3\n\
                 batch,3,{times},12,hidden,,,34,,1.50,\n\
                 totals,,,2026-11-22T15:47:40.000Z,PLACED,string,7,number,,3,,-3\n"
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
