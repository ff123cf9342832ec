//! A parcel's reports as messages: one for each row, and behind them one for the report itself.
//!
//! A message's key is a JSON array that begins with the job and the kind: of a batch's row `["job","count",KEY]`, of a
//! window's `["job","window_count",LENGTH_MS,SLIDE_MS,"START",KEY]`. In a compacted topic the newest of each stays: the
//! last count and total of every key, and each window as it was reported last. Values have the members that
//! `--output json` prints, the job first.

use std::io;

use crate::delivery::parcel::{Choice, Parcel, Report};
use crate::sink::{
    BatchReport, Hidden, Row, Rows, TotalsReport, WindowReport, push_batch, push_count,
    push_hidden, push_key, push_span, push_string, push_total, push_totals, push_trending,
    push_window, push_window_count,
};

/// What came of a parcel's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Rows that are messages now.
    pub(super) rows: u64,
    /// Rows that no message can hold; their report sums them as hidden.
    pub(super) oversize: u64,
}

/// Makes messages of what is wanted of a parcel, and gives each to `send`, which says whether it could be held: of
/// rows only.
pub(super) fn each(
    parcel: &Parcel,
    choice: &Choice,
    job: &str,
    send: impl FnMut(&[u8], &[u8]) -> io::Result<bool>,
) -> io::Result<Sent> {
    let mut begin = Vec::new();
    push_string(job, &mut begin);
    let mut messages = Messages {
        job: begin,
        key: Vec::new(),
        value: Vec::new(),
        sent: Sent::default(),
        send,
    };
    parcel.each(choice, |report| match report {
        Report::Batch(report) => messages.batch(report),
        Report::Window(report) => messages.window(report),
        Report::Totals(report) => messages.totals(report),
    })?;
    Ok(messages.sent)
}

struct Messages<F> {
    /// The job, as JSON.
    job: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
    sent: Sent,
    send: F,
}

impl<F: FnMut(&[u8], &[u8]) -> io::Result<bool>> Messages<F> {
    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()> {
        let of = format!(
            "\"batch\":{},\"start\":\"{}\",\"end\":\"{}\"",
            report.batch, report.start, report.end
        );
        let hidden = self.rows(&report.counts, "count", "", of.as_bytes(), push_count)?;
        self.report("batch", "", &hidden, |out| push_batch(report, out))
    }

    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()> {
        let mut of = Vec::new();
        push_span(report, &mut of);
        let which = format!(
            ",{},{},\"{}\"",
            report.spec.length_nanos / 1_000_000,
            report.spec.slide_nanos / 1_000_000,
            report.start
        );
        let rows = &report.counts;
        let hidden = self.rows(rows, "window_count", &which, &of, push_window_count)?;
        self.report("window", &which, &hidden, |out| {
            push_window(report, out);
            push_trending(report.trending, out);
        })
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        let of = format!("\"end\":\"{}\"", report.end);
        let hidden = self.rows(&report.totals, "total", "", of.as_bytes(), push_total)?;
        self.report("totals", "", &hidden, |out| push_totals(report, out))
    }

    /// A message for each row of a kind. Returns what is hidden now.
    fn rows(
        &mut self,
        rows: &Rows<'_>,
        kind: &str,
        which: &str,
        of: &[u8],
        push: impl Fn(&Row<'_>, &mut Vec<u8>),
    ) -> io::Result<Hidden> {
        let mut hidden = rows.hidden;
        for row in rows.shown {
            self.begin(kind, which);
            self.key.push(b',');
            push_key(row.key, &mut self.key);
            self.key.push(b']');
            for part in [&b"\"type\":\""[..], kind.as_bytes(), b"\",", of, b","] {
                self.value.extend_from_slice(part);
            }
            push(row, &mut self.value);
            self.value.push(b'}');
            if (self.send)(&self.key, &self.value)? {
                self.sent.rows += 1;
            } else {
                self.sent.oversize += 1;
                hidden.hide(row);
            }
        }
        Ok(hidden)
    }

    /// The message of a report, behind its rows.
    fn report(
        &mut self,
        kind: &str,
        which: &str,
        hidden: &Hidden,
        push: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        self.begin(kind, which);
        self.key.push(b']');
        push(&mut self.value);
        push_hidden(hidden, &mut self.value);
        self.value.push(b'}');
        match (self.send)(&self.key, &self.value)? {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a report does not fit into a message; let X.message.max.bytes= be more",
            )),
        }
    }

    /// `["job","kind"` and `{"job":"job",`.
    fn begin(&mut self, kind: &str, which: &str) {
        self.key.clear();
        self.value.clear();
        let key = [
            b"[",
            &self.job[..],
            b",\"",
            kind.as_bytes(),
            b"\"",
            which.as_bytes(),
        ];
        for part in key {
            self.key.extend_from_slice(part);
        }
        for part in [b"{\"job\":", &self.job[..], b","] {
            self.value.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;
    use crate::delivery::Packer;
    use crate::key::KeyRef;
    use crate::sink::testing;

    fn messages(rows: &[Row<'_>], bytes_max: usize) -> (Vec<(Value, Value)>, Sent) {
        let (batch, window) = (testing::batch(rows), testing::window(rows));
        let totals = testing::totals(rows);
        let mut packer = Packer::default();
        packer.begin(batch.batch, batch.start, batch.end);
        packer.batch(&batch);
        packer.window(&window);
        packer.totals(&totals);
        let parcel = packer.finish().unwrap();
        let mut messages = Vec::new();
        let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap();
        let sent = each(&parcel, &Choice::ALL, "a\"b", |key, value| {
            let fits = value.len() <= bytes_max;
            if fits {
                messages.push((json(key), json(value)));
            }
            Ok(fits)
        });
        (messages, sent.unwrap())
    }

    #[test]
    fn every_row_and_every_report_is_a_message_of_its_own() {
        let (messages, sent) = messages(&testing::STATUSES[..2], usize::MAX);
        assert_eq!((sent.rows, sent.oversize), (6, 0));
        let keys: Vec<String> = messages.iter().map(|(key, _)| key.to_string()).collect();
        let start = &messages[2].1["start"];
        assert_eq!(start, "2026-11-22T15:47:35.000Z");
        let window = &messages[3].1;
        let which = format!(
            "{},{},{}",
            window["length_ms"], window["slide_ms"], window["start"]
        );
        assert_eq!(
            keys,
            [
                "[\"a\\\"b\",\"count\",\"PLACED\"]".to_owned(),
                "[\"a\\\"b\",\"count\",\"SHIPPED\"]".to_owned(),
                "[\"a\\\"b\",\"batch\"]".to_owned(),
                format!("[\"a\\\"b\",\"window_count\",{which},\"PLACED\"]"),
                format!("[\"a\\\"b\",\"window_count\",{which},\"SHIPPED\"]"),
                format!("[\"a\\\"b\",\"window\",{which}]"),
                "[\"a\\\"b\",\"total\",\"PLACED\"]".to_owned(),
                "[\"a\\\"b\",\"total\",\"SHIPPED\"]".to_owned(),
                "[\"a\\\"b\",\"totals\"]".to_owned(),
            ]
        );
        assert_eq!(
            messages[0].1.to_string(),
            serde_json::json!({"job": "a\"b", "type": "count", "batch": 3, "start": start,
                "end": "2026-11-22T15:47:40.000Z", "key": "PLACED", "count": 500, "total": 1200})
            .to_string()
        );
        assert_eq!(messages[2].1["ledger"]["lines"], 1000);
        assert_eq!(messages[8].1["type"], "totals");
    }

    #[test]
    fn a_row_that_no_message_can_hold_is_hidden_and_counted() {
        let long = "k".repeat(5_000);
        let rows = [
            testing::row(KeyRef::string("PLACED"), 3, 4),
            testing::row(KeyRef::string(&long), 2, 2),
        ];
        let (messages, sent) = messages(&rows, 1_000);
        assert_eq!((sent.rows, sent.oversize), (3, 3));
        let hidden = |kind: &str| {
            let mut of_kind = messages.iter().filter(|(_, value)| value["type"] == kind);
            of_kind.next().unwrap().1["hidden"].clone()
        };
        for kind in ["batch", "window", "totals"] {
            assert_eq!(hidden(kind)["keys"], 1, "{kind}");
            assert_eq!(hidden(kind)["count"], 2, "{kind}");
        }
    }

    #[test]
    fn no_two_keys_share_a_message_key() {
        let keys = testing::hostile_keys();
        let rows: Vec<Row<'_>> = keys
            .iter()
            .map(|key| testing::row(KeyRef::string(key), 1, 1))
            .collect();
        let (messages, _) = messages(&rows, usize::MAX);
        let distinct: HashSet<String> = messages.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(distinct.len(), messages.len());
        for (key, value) in &messages {
            let last = key.as_array().unwrap().last().unwrap();
            assert!(value.get("key").is_none_or(|key| key == last));
        }
    }
}
