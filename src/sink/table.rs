//! The table people read.
//!
//! One block per batch: a head line, a row per key, what is hidden, the ledger; a blank line. An
//! empty batch has its block too, so that silence shows. At the end the totals in the same shape.
//! Columns are as wide as the block needs: every row is measured before the first is written,
//! and formatted a second time, so that a million rows need no memory. Keys are made safe to show
//! and cut by [`text`](super::text); JSON and CSV have them whole.

use std::io::{self, Write};

use crate::clock::Timestamp;
use crate::decimal::Decimal;
use crate::key::KeyRef;
use crate::ledger::{Ledger, Reason};
use crate::source::SourceOffsets;
use crate::window::Trend;

use super::format::SinkOptions;
use super::pieces::Pieces;
use super::text::{
    KEY_WIDTH_MAX, duration, grouped, grouped_digits, lag, per_second, percentiles, push_format,
    push_key, share, width,
};
use super::{BatchReport, Hidden, Latency, Row, Rows, Sink, TotalsReport, WindowReport};

/// A key gets this many columns even where the terminal is too narrow for the row.
const KEY_WIDTH_MIN: usize = 8;

/// What stands before everything but the head line.
const INDENT: &str = "  ";

/// What stands between two columns.
const GAP: &str = "  ";

/// How a piece of text stands out, as ANSI "select graphic rendition" parameters.
#[derive(Clone, Copy)]
enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
}

impl Style {
    const fn parameter(self) -> Option<&'static str> {
        match self {
            Style::Plain => None,
            Style::Bold => Some("1"),
            Style::Dim => Some("2"),
            Style::Red => Some("31"),
            Style::Yellow => Some("33"),
        }
    }

    /// Red is what the sender did wrong; yellow what may be a wrong path or a late stream.
    const fn of(reason: Reason) -> Style {
        match reason {
            Reason::Malformed | Reason::Oversize => Style::Red,
            Reason::Missing | Reason::Blank | Reason::Late => Style::Yellow,
            Reason::Filtered => Style::Plain,
        }
    }
}

/// Writes aligned columns.
#[derive(Debug)]
pub struct TableSink<W> {
    out: Pieces<W>,
    options: SinkOptions,
    /// The key at hand, reused.
    key: String,
}

impl<W: Write> TableSink<W> {
    /// A sink that writes to `writer`.
    pub fn new(writer: W, options: SinkOptions) -> TableSink<W> {
        TableSink {
            out: Pieces::new(writer),
            options,
            key: String::new(),
        }
    }

    fn styled(&mut self, style: Style, text: &str) {
        match style.parameter().filter(|_| self.options.color) {
            Some(parameter) => {
                self.out
                    .push_str(&format!("\x1b[{parameter}m{text}\x1b[0m"));
            }
            None => self.out.push_str(text),
        }
    }

    fn spaces(&mut self, count: usize) {
        let end = self.out.buffer.len() + count;
        self.out.buffer.resize(end, b' ');
    }

    /// A name and `columns` right-aligned figures per row, `title` above the names; what is hidden
    /// under the first figure, and under the column of sums.
    fn grid<const N: usize, R: HasKey>(
        &mut self,
        title: &str,
        columns: [&str; N],
        (shown, hidden): (&[R], Hidden),
        figures: impl Fn(&R) -> [String; N],
    ) -> io::Result<()> {
        let mut widths = columns.map(width);
        for row in shown {
            for (widest, figure) in widths.iter_mut().zip(figures(row)) {
                *widest = width(&figure).max(*widest);
            }
        }
        let hidden = (hidden.keys > 0).then(|| hidden_texts(&hidden, columns));
        if let Some((_, sums)) = &hidden {
            for (widest, sum) in widths.iter_mut().zip(sums) {
                *widest = width(sum).max(*widest);
            }
        }
        let taken = INDENT.len() + widths.iter().map(|width| GAP.len() + width).sum::<usize>();
        let key_max = self.key_max(taken);
        let mut key_width = width(title);
        for row in shown {
            self.key.clear();
            key_width = push_key(row.key(), key_max, &mut self.key).max(key_width);
        }
        if let Some((label, _)) = &hidden {
            key_width = width(label).max(key_width);
        }

        let mut head = format!("{title:key_width$}");
        for (name, &wide) in columns.iter().zip(&widths) {
            push_format(&mut head, format_args!("{GAP}{name:>wide$}"));
        }
        self.out.push_str(INDENT);
        self.styled(Style::Dim, &head);
        self.out.push_str("\n");
        for row in shown {
            self.out.push_str(INDENT);
            self.key.clear();
            let taken = push_key(row.key(), key_max, &mut self.key);
            self.out.push_str(&self.key);
            self.spaces(key_width - taken);
            for (figure, wide) in figures(row).iter().zip(&widths) {
                self.spaces(GAP.len() + wide - width(figure));
                self.out.push_str(figure);
            }
            self.out.push_str("\n");
            self.out.spill()?;
        }
        if let Some((label, sums)) = hidden {
            let mut line = format!("{label}{:1$}", "", key_width - width(&label));
            for (sum, &wide) in sums.iter().zip(&widths) {
                push_format(&mut line, format_args!("{GAP}{sum:>wide$}"));
            }
            self.out.push_str(INDENT);
            self.styled(Style::Dim, line.trim_end());
            self.out.push_str("\n");
        }
        Ok(())
    }

    /// The columns a key may take where a row's other columns take `taken`.
    fn key_max(&self, taken: usize) -> usize {
        match self.options.width {
            Some(width) => width.saturating_sub(taken).max(KEY_WIDTH_MIN),
            None => KEY_WIDTH_MAX,
        }
    }

    /// Lines and counted, then every column that is not 0; wrapped where the terminal ends.
    fn ledger(&mut self, ledger: &Ledger) {
        let always = [("lines", ledger.lines), ("counted", ledger.counted)];
        let dropped = Reason::ALL
            .into_iter()
            .filter(|&reason| ledger.column(reason) > 0)
            .map(|reason| (reason.name(), ledger.column(reason), Style::of(reason)));
        let unsummed =
            (ledger.unsummed > 0).then_some(("unsummed", ledger.unsummed, Style::Yellow));
        let items = always
            .into_iter()
            .map(|(name, lines)| (name, lines, Style::Plain))
            .chain(dropped)
            .chain(unsummed);
        let mut column = 0;
        for (name, lines, style) in items {
            let item = format!("{name} {}", grouped(lines));
            let end = column + GAP.len() + item.len();
            if column > 0 && self.options.width.is_some_and(|width| end > width) {
                self.out.push_str("\n");
                column = 0;
            }
            // The indent of a first item is as wide as the gap before any other.
            self.out.push_str(GAP);
            self.styled(style, &item);
            column += GAP.len() + item.len();
        }
        self.out.push_str("\n");
    }

    fn latency(&mut self, latency: Option<&Latency>) {
        let Some(latency) = latency else { return };
        let counted = percentiles(&latency.receive_to_counted);
        let printed = percentiles(&latency.boundary_to_printed);
        self.out.push_str(&format!(
            "{INDENT}latency  receive to counted: {counted}; boundary to printed: {printed}\n"
        ));
    }

    fn lag(&mut self, sources: &[SourceOffsets]) {
        for source in sources {
            let line = format!("{INDENT}lag  {}\n", lag(source));
            self.out.push_str(&line);
        }
    }

    fn no_records(&mut self, ledger: &Ledger) {
        self.out.push_str(INDENT);
        self.styled(
            Style::Dim,
            if ledger.lines == 0 {
                "no records"
            } else {
                "no records counted"
            },
        );
        self.out.push_str("\n");
    }

    /// `2026-11-22 15:47:35 – 15:47:40`; the second date only if it is another.
    fn span(&self, start: Timestamp, end: Timestamp) -> String {
        let (start, end) = (
            start.civil(&self.options.zone),
            end.civil(&self.options.zone),
        );
        match (start.split_once(' '), end.split_once(' ')) {
            (Some((day, _)), Some((last_day, time))) if day == last_day => {
                format!("{start} – {time}")
            }
            _ => format!("{start} – {end}"),
        }
    }
}

impl<W: Write> Sink for TableSink<W> {
    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()> {
        let nanos = report.nanos();
        self.styled(Style::Bold, &format!("batch {}", report.batch));
        self.out.push_str(GAP);
        let when = format!(
            "{}{GAP}{}",
            self.span(report.start, report.end),
            duration(nanos)
        );
        self.styled(Style::Dim, &when);
        self.out.push_str("\n");
        if is_empty(&report.counts) {
            self.no_records(&report.ledger);
        } else {
            let sum = sum(&report.counts, |row| row.count);
            let figures = |row: &Row<'_>| {
                [
                    grouped(row.count),
                    share(row.count, sum),
                    per_second(row.count, nanos),
                    grouped(row.total),
                ]
            };
            let [count, share, rate, total] = ["count", "share", "per second", "total"];
            let rows = parts(&report.counts);
            if self.options.has_sums {
                let columns = [count, share, rate, total, SUM, "total sum"];
                self.grid("key", columns, rows, |row| {
                    let [count, share, rate, total] = figures(row);
                    let (sum, total_sum) = sums(row);
                    [count, share, rate, total, sum, total_sum]
                })?;
            } else {
                self.grid("key", [count, share, rate, total], rows, figures)?;
            }
        }
        self.ledger(&report.ledger);
        self.latency(report.latency.as_ref());
        self.lag(report.lag);
        self.out.push_str("\n");
        self.out.finish()
    }

    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()> {
        self.styled(Style::Bold, &format!("window {}", report.spec));
        self.out.push_str(GAP);
        let mut when = self.span(report.start, report.end);
        if !report.is_whole() {
            let covered = duration(report.covered_nanos());
            push_format(&mut when, format_args!("{GAP}{covered} of it"));
        }
        if !report.is_final {
            push_format(&mut when, format_args!("{GAP}so far"));
        }
        self.styled(Style::Dim, &when);
        self.out.push_str("\n");
        let nanos = report.covered_nanos();
        if is_empty(&report.counts) {
            self.out.push_str(INDENT);
            self.styled(Style::Dim, "no records counted");
            self.out.push_str("\n");
        } else {
            let sum = sum(&report.counts, |row| row.count);
            self.grid(
                "key",
                ["count", "share", "per second"],
                parts(&report.counts),
                |row: &Row<'_>| {
                    [
                        grouped(row.count),
                        share(row.count, sum),
                        per_second(row.count, nanos),
                    ]
                },
            )?;
        }
        if let Some(trends) = report.trending.filter(|trends| !trends.is_empty()) {
            self.grid(
                "trending",
                ["count", "before", "ratio"],
                (trends, Hidden::default()),
                |trend: &Trend<'_>| {
                    [
                        grouped(trend.count),
                        grouped(trend.previous),
                        trend.ratio_text(),
                    ]
                },
            )?;
        }
        self.out.push_str("\n");
        self.out.finish()
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        self.styled(Style::Bold, "totals");
        self.out.push_str(GAP);
        self.styled(Style::Dim, &report.end.civil(&self.options.zone));
        self.out.push_str("\n");
        if is_empty(&report.totals) {
            self.no_records(&report.ledger);
        } else {
            let sum = sum(&report.totals, |row| row.total);
            let rows = parts(&report.totals);
            if self.options.has_sums {
                self.grid("key", ["total", "share", SUM], rows, |row: &Row<'_>| {
                    let (_, total_sum) = sums(row);
                    [grouped(row.total), share(row.total, sum), total_sum]
                })?;
            } else {
                self.grid("key", ["total", "share"], rows, |row: &Row<'_>| {
                    [grouped(row.total), share(row.total, sum)]
                })?;
            }
        }
        self.ledger(&report.ledger);
        self.latency(report.latency.as_ref());
        self.lag(report.lag);
        self.out.finish()
    }
}

/// What a row of the table is about.
trait HasKey {
    fn key(&self) -> KeyRef<'_>;
}

impl HasKey for Row<'_> {
    fn key(&self) -> KeyRef<'_> {
        self.key
    }
}

impl HasKey for Trend<'_> {
    fn key(&self) -> KeyRef<'_> {
        self.key
    }
}

fn parts<'a>(rows: &Rows<'a>) -> (&'a [Row<'a>], Hidden) {
    (rows.shown, rows.hidden)
}

fn is_empty(rows: &Rows<'_>) -> bool {
    rows.shown.is_empty() && rows.hidden.keys == 0
}

/// All of a column, the hidden rows included.
fn sum(rows: &Rows<'_>, figure: impl Fn(&Row<'_>) -> u64) -> u64 {
    rows.shown.iter().map(figure).sum::<u64>() + rows.hidden.count
}

/// The column of what numbers add up to, in a batch or, under totals, since the start.
const SUM: &str = "sum";

/// A row's sums, of the batch and since the start.
fn sums(row: &Row<'_>) -> (String, String) {
    let sums = row
        .sums
        .map(|sums| (grouped_sum(sums.sum), grouped_sum(sums.total)));
    sums.unwrap_or_default()
}

/// A sum with its whole part grouped.
fn grouped_sum(sum: &Decimal) -> String {
    let text = sum.to_string();
    let (whole, decimals) = text.split_at(text.find('.').unwrap_or(text.len()));
    let digits = whole.trim_start_matches('-');
    let sign = &whole[..whole.len() - digits.len()];
    format!("{sign}{}{decimals}", grouped_digits(digits))
}

/// `… 12 more keys`, and what they come to under each column.
fn hidden_texts<const N: usize>(hidden: &Hidden, columns: [&str; N]) -> (String, [String; N]) {
    let keys = if hidden.keys == 1 { "key" } else { "keys" };
    let mut figures = columns.map(|column| match &hidden.sum {
        Some(sum) if column == SUM => grouped_sum(sum),
        _ => String::new(),
    });
    figures[0] = grouped(hidden.count);
    (format!("… {} more {keys}", grouped(hidden.keys)), figures)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {

    use super::super::RowSums;
    use super::super::testing::{self, row};
    use super::super::text::is_plain;
    use super::*;

    fn plain() -> SinkOptions {
        SinkOptions::default()
    }

    fn written(report: &BatchReport<'_>, options: SinkOptions) -> String {
        testing::written(
            |out| Box::new(TableSink::new(out, options)),
            |sink| sink.batch(report),
        )
    }

    fn written_totals(report: &TotalsReport<'_>) -> String {
        testing::written(
            |out| Box::new(TableSink::new(out, plain())),
            |sink| sink.totals(report),
        )
    }

    #[test]
    fn a_batch() {
        assert_eq!(
            written(&testing::batch(&testing::STATUSES), plain()),
            "\
batch 3  2026-11-22 15:47:35 – 15:47:40  5 s
  key        count   share  per second      total
  PLACED       500  50.5 %         100      1,200
  SHIPPED      250  25.3 %        50.0        900
  DELIVERED    200  20.2 %        40.0  1,000,000
  CANCELLED     40   4.0 %        8.00         40
  lines 1,000  counted 990  missing 2  malformed 5  blank 3

"
        );
    }

    #[test]
    fn the_span_is_local_and_may_cross_midnight() {
        let mut report = testing::batch(&testing::STATUSES);
        let head = |report: &BatchReport<'_>| {
            let options = SinkOptions {
                zone: testing::kolkata(),
                ..plain()
            };
            written(report, options).lines().next().unwrap().to_owned()
        };
        assert_eq!(
            head(&report),
            "batch 3  2026-11-22 21:17:35 – 21:17:40  5 s"
        );
        report.start = Timestamp::from_millis(1_795_362_458_760);
        assert_eq!(
            head(&report),
            "batch 3  2026-11-22 21:17:38 – 21:17:40  1.24 s"
        );
        report.end = report.start.plus_nanos(3 * 3600 * 1_000_000_000);
        assert_eq!(
            head(&report),
            "batch 3  2026-11-22 21:17:38 – 2026-11-23 00:17:38  3 h 0 min"
        );
    }

    #[test]
    fn hidden_rows_are_summed() {
        let mut report = testing::batch(&testing::STATUSES[..1]);
        report.counts.hidden = Hidden {
            keys: 12,
            count: 1234,
            sum: None,
        };
        assert_eq!(
            written(&report, plain()),
            "\
batch 3  2026-11-22 15:47:35 – 15:47:40  5 s
  key             count   share  per second  total
  PLACED            500  28.8 %         100  1,200
  … 12 more keys  1,234
  lines 1,000  counted 990  missing 2  malformed 5  blank 3

"
        );
        report.counts = Rows {
            shown: &[],
            hidden: Hidden {
                keys: 1,
                count: 2,
                sum: None,
            },
        };
        assert!(written(&report, plain()).contains("\n  … 1 more key      2\n"));
    }

    #[test]
    fn sums_have_columns_of_their_own() {
        let keys = [["PLACED", "DE"], ["a, b", "null"]].map(|parts| {
            let parts = parts.map(KeyRef::string);
            testing::composite(&parts)
        });
        let [sum, total] = ["-1234567.50", "12345678901234567890e-2"].map(testing::decimal);
        let sums = Some(RowSums {
            sum: &sum,
            total: &total,
        });
        let rows = keys.each_ref().map(|key| Row {
            sums,
            ..row(KeyRef::composite(key), 500, 1200)
        });
        let mut report = testing::batch(&rows);
        report.ledger.unsummed = 2;
        report.counts.hidden = Hidden {
            keys: 12,
            count: 1234,
            sum: Some(sum),
        };
        let options = SinkOptions {
            has_sums: true,
            ..plain()
        };
        assert_eq!(
            written(&report, options.clone()),
            "\
batch 3  2026-11-22 15:47:35 – 15:47:40  5 s
  key             count   share  per second  total            sum                   total sum
  PLACED, DE        500  22.4 %         100  1,200  -1,234,567.50  123,456,789,012,345,678.90
  \"a, b\", \"null\"    500  22.4 %         100  1,200  -1,234,567.50  123,456,789,012,345,678.90
  … 12 more keys  1,234                             -1,234,567.50
  lines 1,000  counted 990  missing 2  malformed 5  blank 3  unsummed 2

"
        );
        let report = testing::totals(&rows[..1]);
        let text = testing::written(
            |out| Box::new(TableSink::new(out, options)),
            |sink| sink.totals(&report),
        );
        let row = "\n  PLACED, DE  1,200  100 %  123,456,789,012,345,678.90\n";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn empty_batches_say_so() {
        let mut report = testing::batch(&[]);
        report.ledger = Ledger::default();
        assert_eq!(
            written(&report, plain()),
            "batch 3  2026-11-22 15:47:35 – 15:47:40  5 s\n  no records\n  lines 0  counted 0\n\n"
        );
        report.ledger = Ledger {
            lines: 2,
            malformed: 2,
            ..Ledger::default()
        };
        let text = written(&report, plain());
        assert!(
            text.ends_with("\n  no records counted\n  lines 2  counted 0  malformed 2\n\n"),
            "{text}"
        );
    }

    #[test]
    fn totals() {
        let rows = [
            row(KeyRef::string("PLACED"), 1200, 1200),
            row(KeyRef::null(), 300, 300),
        ];
        let mut report = testing::totals(&rows);
        report.latency = Some(testing::LATENCY);
        let offsets = [testing::offsets(), testing::shard_offsets()];
        report.lag = &offsets;
        assert_eq!(
            written_totals(&report),
            "\
totals  2026-11-22 15:47:40
  key     total   share
  PLACED  1,200  80.0 %
  null      300  20.0 %
  lines 1,000  counted 990  missing 2  malformed 5  blank 3
  latency  receive to counted: p50 120 µs  p99 1.50 ms  p99.9 2 ms  max 3 ms; boundary to printed: –
  lag  1,212 behind the end of kafka://b/orders, by partition 0: 1,212, 3: 0, 4: unknown
  lag  1 min 2 s behind the end of kinesis://orders, by shard shardId-0: 0 s, shardId-1: 1 min 2 s
"
        );
    }

    #[test]
    fn hostile_keys_keep_the_columns() {
        let rows = [
            row(KeyRef::string("\x1b[2Jx\0"), 9, 9),
            row(KeyRef::string("東京"), 8, 8),
            row(KeyRef::string("👍🏽 🇩🇪 ❤\u{fe0f}"), 7, 7),
            row(KeyRef::string("e\u{301}\u{202e}"), 6, 6),
            row(KeyRef::string("\"both' \\"), 5, 5),
            row(KeyRef::string("=cmd()"), 4, 4),
            row(KeyRef::string(" "), 3, 3),
            row(KeyRef::string("1"), 2, 2),
            row(KeyRef::number("1"), 2, 2),
            row(KeyRef::string("null"), 1, 1),
            row(KeyRef::null(), 1, 1),
        ];
        let text = written(&testing::batch(&rows), plain());
        let keys = "  key           count   share  per second  total
  \\x1b[2Jx\\x00      9  18.8 %        1.80      9
  東京              8  16.7 %        1.60      8
  👍🏽 🇩🇪 ❤\u{fe0f}          7  14.6 %        1.40      7
  e\u{301}\\u{202e}         6  12.5 %        1.20      6
  \"\\\"both' \\\\\"      5  10.4 %        1.00      5
  =cmd()            4   8.3 %        0.80      4
  \" \"               3   6.2 %        0.60      3
  \"1\"               2   4.2 %        0.40      2
  1                 2   4.2 %        0.40      2
  \"null\"            1   2.1 %        0.20      1
  null              1   2.1 %        0.20      1
";
        assert!(text.contains(keys), "{text}");
        for key in testing::hostile_keys() {
            let rows = [row(KeyRef::string(&key), 1, 1)];
            let text = written(&testing::batch(&rows), plain());
            assert_eq!(text.lines().count(), 5);
            assert!(
                text.lines()
                    .all(|line| line.chars().all(is_plain) && width(line) < 110)
            );
        }
    }

    #[test]
    fn rows_fit_the_terminal() {
        let key = "k".repeat(100);
        let rows = [row(KeyRef::string(&key), 1, 1)];
        let mut report = testing::batch(&rows);
        report.ledger.late = 1_000_000;
        for columns in [48, 80, 120, 300] {
            let text = written(
                &report,
                SinkOptions {
                    width: Some(columns),
                    ..plain()
                },
            );
            assert!(
                text.lines().all(|line| width(line) <= columns),
                "{columns}\n{text}"
            );
        }
        let narrow = written(
            &report,
            SinkOptions {
                width: Some(10),
                ..plain()
            },
        );
        assert!(narrow.contains("\n  kkkkkkk…  "), "{narrow}");
        assert!(
            narrow.ends_with("\n  malformed 5\n  blank 3\n  late 1,000,000\n\n"),
            "{narrow}"
        );
    }

    #[test]
    fn colour_marks_heads_and_bad_lines() {
        let options = SinkOptions {
            color: true,
            ..plain()
        };
        let text = written(&testing::batch(&testing::STATUSES[3..]), options);
        assert_eq!(
            text,
            "\x1b[1mbatch 3\x1b[0m  \x1b[2m2026-11-22 15:47:35 – 15:47:40  5 s\x1b[0m\n  \
             \x1b[2mkey        count  share  per second  total\x1b[0m\n  \
             CANCELLED     40  100 %        8.00     40\n  \
             lines 1,000  counted 990  \x1b[33mmissing 2\x1b[0m  \x1b[31mmalformed 5\x1b[0m  \
             \x1b[33mblank 3\x1b[0m\n\n"
        );
    }
}
