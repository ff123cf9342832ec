//! JSON lines: one object per batch and one for the totals.
//!
//! Feeds programs, so its fields stay as they are; others may be added behind them. Keys keep
//! their type: a number is its source text, digit for digit; a composite key is an array of its parts.
//! A sum is a number in full, without an exponent: a reader who makes a double of it loses what doubles
//! lose. Strings hold no control character
//! and no bidirectional control: those are `\u` escapes, which every reader of JSON resolves, so
//! the output can be looked at on a terminal. Rows are written straight into a buffer, since a
//! batch may have a million of them.

use std::io::{self, Write};

use crate::decimal::Decimal;
use crate::key::{KeyKind, KeyRef};
use crate::ledger::Ledger;
use crate::prefetch::prefetch;
use crate::source::{Lag, Next, Part, PartOffset, SourceOffsets};
use crate::window::Trend;

use super::pieces::{Pieces, push_u64};
use super::text::is_plain;
use super::{
    BatchReport, Hidden, Latency, Percentiles, Row, RowSums, Sink, TotalsReport, WindowReport,
};

/// Writes one JSON object per line.
#[derive(Debug)]
pub struct JsonSink<W> {
    out: Pieces<W>,
}

impl<W: Write> JsonSink<W> {
    /// A sink that writes to `writer`.
    pub fn new(writer: W) -> JsonSink<W> {
        JsonSink {
            out: Pieces::new(writer),
        }
    }

    /// What stands behind the rows and ends the line.
    fn tail(
        &mut self,
        hidden: &Hidden,
        latency: Option<&Latency>,
        lag: &[SourceOffsets],
    ) -> io::Result<()> {
        push_hidden(hidden, &mut self.out.buffer);
        if let Some(latency) = latency {
            self.out.push_str(",\"latency\":{\"receive_to_counted\":");
            self.percentiles(&latency.receive_to_counted);
            self.out.push_str(",\"boundary_to_printed\":");
            self.percentiles(&latency.boundary_to_printed);
            self.out.push_str("}");
        }
        if !lag.is_empty() {
            self.lag(lag);
        }
        self.out.push_str("}\n");
        self.out.finish()
    }

    /// An element per partition or shard; its lag is left out where no end is known.
    fn lag(&mut self, lag: &[SourceOffsets]) {
        let parts = lag
            .iter()
            .flat_map(|source| source.parts.iter().map(|part| (&source.name, part)));
        let mut separator = ",\"lag\":[{\"source\":";
        for (name, part) in parts {
            self.out.push_str(separator);
            push_string(name, &mut self.out.buffer);
            self.part(part);
            self.out.push_str("}");
            separator = ",{\"source\":";
        }
        self.out.push_str("]");
    }

    /// Which part of a source, where it stands and how far behind its end that is.
    fn part(&mut self, part: &PartOffset) {
        self.member(part.part.kind());
        match &part.part {
            Part::Partition(number) => self.out.push_str(&number.to_string()),
            Part::Shard(name) => push_string(name, &mut self.out.buffer),
        }
        match &part.next {
            Next::Record(number) => {
                self.member("next");
                self.out.push_str(&number.to_string());
            }
            Next::Behind(number) => {
                self.member("behind");
                push_string(number, &mut self.out.buffer);
            }
            Next::Nowhere => {
                self.member("read_out");
                self.out.push_str("true");
            }
        }
        match part.lag {
            Some(Lag::Records(count)) => {
                self.member("lag");
                self.out.push_u64(count);
            }
            Some(Lag::Millis(millis)) => {
                self.member("lag_ms");
                self.out.push_u64(millis);
            }
            None => {}
        }
    }

    /// The name of an object's member that is not its first; its value is to follow.
    fn member(&mut self, name: &str) {
        for piece in [",\"", name, "\":"] {
            self.out.push_str(piece);
        }
    }

    fn percentiles(&mut self, latency: &Percentiles) {
        let percentiles = [
            ("count", latency.count),
            ("p50_us", latency.p50_us),
            ("p99_us", latency.p99_us),
            ("p999_us", latency.p999_us),
            ("max_us", latency.max_us),
        ];
        push_object(&percentiles, &mut self.out.buffer);
    }
}

/// What stands behind the rows of a report with latencies and lags, up to the object's end.
pub(crate) fn extras(latency: &Latency, lag: &[SourceOffsets]) -> String {
    let mut out = Vec::new();
    let mut sink = JsonSink::new(&mut out);
    let written = sink.tail(&Hidden::default(), Some(latency), lag);
    written.expect("memory takes all that is written");
    String::from_utf8_lossy(out.trim_ascii_end()).into_owned()
}

impl<W: Write> Sink for JsonSink<W> {
    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()> {
        self.out.push_str("{");
        push_batch(report, &mut self.out.buffer);
        self.rows(report.counts.shown, push_count)?;
        let hidden = &report.counts.hidden;
        self.tail(hidden, report.latency.as_ref(), report.lag)
    }

    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()> {
        self.out.push_str("{");
        push_window(report, &mut self.out.buffer);
        self.rows(report.counts.shown, push_window_count)?;
        push_trending(report.trending, &mut self.out.buffer);
        self.tail(&report.counts.hidden, None, &[])
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        self.out.push_str("{");
        push_totals(report, &mut self.out.buffer);
        self.rows(report.totals.shown, push_total)?;
        let hidden = &report.totals.hidden;
        self.tail(hidden, report.latency.as_ref(), report.lag)
    }
}

impl<W: Write> JsonSink<W> {
    /// The array of rows, an object each, whose members `push` writes.
    #[inline]
    fn rows(&mut self, rows: &[Row<'_>], push: impl Fn(&Row<'_>, &mut Vec<u8>)) -> io::Result<()> {
        self.out.push_str(",\"counts\":[");
        let mut separator = "{";
        for row in ahead(rows) {
            self.out.push_str(separator);
            push(row, &mut self.out.buffer);
            self.out.push_str("}");
            self.out.spill()?;
            separator = ",{";
        }
        self.out.push_str("]");
        Ok(())
    }
}

/// The members of a batch's object that say which it is and where its lines went.
pub(crate) fn push_batch(report: &BatchReport<'_>, out: &mut Vec<u8>) {
    // A time needs no escapes.
    push_text(
        &format!(
            "\"type\":\"batch\",\"batch\":{},\"start\":\"{}\",\"end\":\"{}\",",
            report.batch, report.start, report.end
        ),
        out,
    );
    push_ledger(&report.ledger, out);
}

/// The members of a window's object that say which it is.
pub(crate) fn push_window(report: &WindowReport<'_>, out: &mut Vec<u8>) {
    push_text("\"type\":\"window\",", out);
    push_span(report, out);
    if !report.is_whole() {
        let (from, to) = report.covered;
        push_text(
            &format!(",\"covered\":{{\"start\":\"{from}\",\"end\":\"{to}\"}}"),
            out,
        );
    }
}

/// Those of them that its rows have as well, where each is by itself.
pub(crate) fn push_span(report: &WindowReport<'_>, out: &mut Vec<u8>) {
    let WindowReport {
        spec, start, end, ..
    } = report;
    push_text(
        &format!(
            "\"length_ms\":{},\"slide_ms\":{},\"start\":\"{start}\",\"end\":\"{end}\",\"final\":{}",
            spec.length_nanos / 1_000_000,
            spec.slide_nanos / 1_000_000,
            report.is_final,
        ),
        out,
    );
}

/// The members of the totals' object that say where all lines went.
pub(crate) fn push_totals(report: &TotalsReport<'_>, out: &mut Vec<u8>) {
    push_text("\"type\":\"totals\",", out);
    push_ledger(&report.ledger, out);
}

/// The members of a row of a batch.
pub(crate) fn push_count(row: &Row<'_>, out: &mut Vec<u8>) {
    push_text("\"key\":", out);
    push_key(row.key, out);
    push_text(",\"count\":", out);
    push_u64(row.count, out);
    push_text(",\"total\":", out);
    push_u64(row.total, out);
    if let Some(RowSums { sum, total }) = row.sums {
        push_sum("sum", sum, out);
        push_sum("total_sum", total, out);
    }
}

/// The members of a row of a window.
pub(crate) fn push_window_count(row: &Row<'_>, out: &mut Vec<u8>) {
    push_text("\"key\":", out);
    push_key(row.key, out);
    push_text(",\"count\":", out);
    push_u64(row.count, out);
}

/// The members of a row of totals.
pub(crate) fn push_total(row: &Row<'_>, out: &mut Vec<u8>) {
    push_text("\"key\":", out);
    push_key(row.key, out);
    push_text(",\"total\":", out);
    push_u64(row.total, out);
    if let Some(RowSums { total, .. }) = row.sums {
        push_sum("total_sum", total, out);
    }
}

/// What the rows that are not shown come to, if there are any; never the first member.
pub(crate) fn push_hidden(hidden: &Hidden, out: &mut Vec<u8>) {
    if hidden.keys == 0 {
        return;
    }
    push_text(",\"hidden\":{\"keys\":", out);
    push_u64(hidden.keys, out);
    push_text(",\"count\":", out);
    push_u64(hidden.count, out);
    if let Some(sum) = &hidden.sum {
        push_sum("sum", sum, out);
    }
    out.push(b'}');
}

/// The keys that grow, fastest first, if they are known; never the first member.
pub(crate) fn push_trending(trends: Option<&[Trend<'_>]>, out: &mut Vec<u8>) {
    let Some(trends) = trends else {
        return;
    };
    push_text(",\"trending\":[", out);
    let mut separator = "{\"key\":";
    for trend in trends {
        push_text(separator, out);
        push_key(trend.key, out);
        push_text(",\"count\":", out);
        push_u64(trend.count, out);
        push_text(",\"previous\":", out);
        push_u64(trend.previous, out);
        push_text(",\"ratio\":", out);
        push_text(&trend.ratio_text(), out);
        out.push(b'}');
        separator = ",{\"key\":";
    }
    out.push(b']');
}

fn push_ledger(ledger: &Ledger, out: &mut Vec<u8>) {
    push_text("\"ledger\":", out);
    push_object(&ledger.columns(), out);
    if ledger.unsummed > 0 {
        push_text(",\"unsummed\":", out);
        push_u64(ledger.unsummed, out);
    }
}

/// An object of numbers; the names need no escapes.
fn push_object(members: &[(&str, u64)], out: &mut Vec<u8>) {
    let mut separator = "{\"";
    for (name, value) in members {
        push_text(separator, out);
        push_text(name, out);
        push_text("\":", out);
        push_u64(*value, out);
        separator = ",\"";
    }
    out.push(b'}');
}

/// One more member of an object; the name needs no escapes.
fn push_sum(name: &str, sum: &Decimal, out: &mut Vec<u8>) {
    push_text(&format!(",\"{name}\":{sum}"), out);
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
}

/// The rows, in order. A key's bytes are fetched while the rows before it are written: in the order of the
/// counts they lie all over the memory.
fn ahead<'a>(rows: &'a [Row<'a>]) -> impl Iterator<Item = &'a Row<'a>> {
    const ROWS: usize = 16;
    rows.iter().enumerate().map(move |(i, row)| {
        if let Some(later) = rows.get(i + ROWS) {
            prefetch(later.key.bytes, 0);
        }
        row
    })
}

/// Appends `key` as the JSON value it was read from, escapes apart.
pub(crate) fn push_key(key: KeyRef<'_>, out: &mut Vec<u8>) {
    match key.kind {
        KeyKind::String => push_string(&key.text(), out),
        KeyKind::Composite => {
            let mut separator = b'[';
            for part in key.parts() {
                out.push(separator);
                push_key(part, out);
                separator = b',';
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(key.text().as_bytes()),
    }
}

pub(crate) fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    // Start of what is not yet copied; 0 <= start <= the length of text.
    let mut start = 0;
    for (i, byte) in text.bytes().enumerate() {
        if matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\' {
            continue;
        }
        let Some(c) = text.get(i..).and_then(|rest| rest.chars().next()) else {
            // Within a character, which was judged at its first byte.
            continue;
        };
        if !c.is_ascii() && is_plain(c) {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[start..i]);
        push_escape(c, out);
        start = i + c.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[start..]);
    out.push(b'"');
}

fn push_escape(c: char, out: &mut Vec<u8>) {
    let short = match c {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\n' => b"\\n",
        '\r' => b"\\r",
        '\t' => b"\\t",
        c => {
            // Beyond U+FFFF two escapes, of the surrogates.
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
            return;
        }
    };
    out.extend_from_slice(short);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::testing::{self, row};
    use super::super::{Row, Rows};
    use super::*;

    fn written(report: &BatchReport<'_>) -> String {
        testing::written(
            |out| Box::new(JsonSink::new(out)),
            |sink| sink.batch(report),
        )
    }

    #[test]
    fn a_batch_as_the_contract_says() {
        let rows = testing::STATUSES;
        let text = written(&testing::batch(&rows));
        assert_eq!(
            text,
            "{\"type\":\"batch\",\"batch\":3,\"start\":\"2026-11-22T15:47:35.000Z\",\
             \"end\":\"2026-11-22T15:47:40.000Z\",\"ledger\":{\"lines\":1000,\"counted\":990,\
             \"missing\":2,\"filtered\":0,\"malformed\":5,\"oversize\":0,\"blank\":3,\"late\":0},\
             \"counts\":[{\"key\":\"PLACED\",\"count\":500,\"total\":1200},\
             {\"key\":\"SHIPPED\",\"count\":250,\"total\":900},\
             {\"key\":\"DELIVERED\",\"count\":200,\"total\":1000000},\
             {\"key\":\"CANCELLED\",\"count\":40,\"total\":40}]}\n"
        );
    }

    #[test]
    fn composite_keys_are_arrays_and_sums_are_numbers_in_full() {
        let bytes = testing::composite(&[
            KeyRef::string("a\"b"),
            KeyRef::number("1e5"),
            KeyRef::null(),
        ]);
        let [sum, total] = ["0.30", "12345678901234567.89"].map(testing::decimal);
        let rows = [Row {
            sums: Some(RowSums {
                sum: &sum,
                total: &total,
            }),
            ..row(KeyRef::composite(&bytes), 2, 7)
        }];
        let mut report = testing::batch(&rows);
        report.ledger.unsummed = 4;
        report.counts.hidden = Hidden {
            keys: 1,
            count: 2,
            sum: Some(sum),
        };
        let text = written(&report);
        let expected = "\"late\":0},\"unsummed\":4,\"counts\":[{\"key\":[\"a\\\"b\",1e5,null],\
             \"count\":2,\"total\":7,\"sum\":0.30,\"total_sum\":12345678901234567.89}],\
             \"hidden\":{\"keys\":1,\"count\":2,\"sum\":0.30}}\n";
        assert!(text.ends_with(expected), "{text}");
        let report = testing::totals(&rows);
        let text = testing::written(
            |out| Box::new(JsonSink::new(out)),
            |sink| sink.totals(&report),
        );
        let expected =
            "[{\"key\":[\"a\\\"b\",1e5,null],\"total\":7,\"total_sum\":12345678901234567.89}]}\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn an_empty_batch() {
        let mut report = testing::batch(&[]);
        report.ledger = Ledger::default();
        assert!(written(&report).ends_with(",\"late\":0},\"counts\":[]}\n"));
    }

    #[test]
    fn hidden_rows_and_latency_stand_behind_the_counts() {
        let mut report = testing::batch(&[]);
        report.counts.hidden = Hidden {
            keys: 12,
            count: 990,
            sum: None,
        };
        report.latency = Some(testing::LATENCY);
        assert!(written(&report).ends_with(
            ",\"counts\":[],\"hidden\":{\"keys\":12,\"count\":990},\
             \"latency\":{\"receive_to_counted\":{\"count\":990,\"p50_us\":120,\"p99_us\":1500,\
             \"p999_us\":2000,\"max_us\":3000},\"boundary_to_printed\":{\"count\":0,\
             \"p50_us\":0,\"p99_us\":0,\"p999_us\":0,\"max_us\":0}}}\n"
        ));
    }

    #[test]
    fn the_lag_stands_last_by_part() {
        let mut report = testing::batch(&[]);
        let offsets = [testing::offsets(), testing::shard_offsets()];
        report.lag = &offsets;
        assert!(written(&report).ends_with(
            ",\"counts\":[],\"lag\":[\
             {\"source\":\"kafka://b/orders\",\"partition\":0,\"next\":788,\"lag\":1212},\
             {\"source\":\"kafka://b/orders\",\"partition\":3,\"next\":5,\"lag\":0},\
             {\"source\":\"kafka://b/orders\",\"partition\":4,\"next\":1},\
             {\"source\":\"kinesis://orders\",\"shard\":\"shardId-0\",\"read_out\":true,\"lag_ms\":0},\
             {\"source\":\"kinesis://orders\",\"shard\":\"shardId-1\",\"behind\":\"4959\",\"lag_ms\":61500}]}\n"
        ));
    }

    #[test]
    fn totals_as_the_contract_says() {
        let rows = [
            row(KeyRef::string("PLACED"), 1200, 1200),
            row(KeyRef::null(), 1, 1),
        ];
        let report = testing::totals(&rows);
        let text = testing::written(
            |out| Box::new(JsonSink::new(out)),
            |sink| sink.totals(&report),
        );
        assert_eq!(
            text,
            "{\"type\":\"totals\",\"ledger\":{\"lines\":1000,\"counted\":990,\"missing\":2,\
             \"filtered\":0,\"malformed\":5,\"oversize\":0,\"blank\":3,\"late\":0},\
             \"counts\":[{\"key\":\"PLACED\",\"total\":1200},{\"key\":null,\"total\":1}]}\n"
        );
    }

    #[test]
    fn keys_keep_their_type_and_numbers_their_text() {
        let rows = [
            row(KeyRef::null(), 1, 1),
            row(KeyRef::boolean(true), 1, 1),
            row(KeyRef::boolean(false), 1, 1),
            row(KeyRef::number("-0.10e+400"), 1, 1),
            row(KeyRef::number("123456789012345678901234567890"), 1, 1),
            row(KeyRef::string("null"), 1, 1),
        ];
        let text = written(&testing::batch(&rows));
        for key in [
            "null",
            "true",
            "false",
            "-0.10e+400",
            "123456789012345678901234567890",
            "\"null\"",
        ] {
            assert!(
                text.contains(&format!("{{\"key\":{key},\"count\":1,")),
                "{key}: {text}"
            );
        }
    }

    #[test]
    fn hostile_keys_come_back_and_drive_nothing() {
        let keys = testing::hostile_keys();
        let rows: Vec<Row<'_>> = keys
            .iter()
            .map(|key| row(KeyRef::string(key), 7, 8))
            .collect();
        let text = written(&testing::batch(&rows));
        assert!(text.trim_end().chars().all(is_plain));
        let value: Value = serde_json::from_str(&text).unwrap();
        let counts = value["counts"].as_array().unwrap();
        assert_eq!(counts.len(), keys.len());
        for (key, count) in keys.iter().zip(counts) {
            assert_eq!(count["key"].as_str(), Some(key.as_str()));
            assert_eq!(count["count"], 7);
            assert_eq!(count["total"], 8);
        }
    }

    #[test]
    fn every_character_comes_back() {
        let all: String = ('\0'..=char::MAX).collect();
        let mut out = Vec::new();
        push_string(&all, &mut out);
        let back: String = serde_json::from_slice(&out).unwrap();
        assert!(back == all);
        assert!(!String::from_utf8(out).unwrap().contains(char::is_control));
    }

    proptest! {
        #[test]
        fn any_string_comes_back(key: String, other in "[\\x00-\\xff\u{2000}-\u{206f}\u{1f600}\u{e0041}]*") {
            let rows = [row(KeyRef::string(&key), 1, 1), row(KeyRef::string(&other), 1, 1)];
            let mut report = testing::batch(&rows);
            report.counts = Rows { shown: &rows, hidden: Hidden::default() };
            let text = written(&report);
            prop_assert_eq!(text.matches('\n').count(), 1);
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(value["counts"][0]["key"].as_str(), Some(key.as_str()));
            prop_assert_eq!(value["counts"][1]["key"].as_str(), Some(other.as_str()));
        }
    }
}
