//! Pieces of a snapshot as JSON and CSV: the very objects and rows that `--output json` and `csv` print, made by
//! the same sinks, with a few members more behind them.

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::live::{Batch, Growing, Live, Snapshot, Window};
use crate::sink::{
    BatchReport, CsvSink, Hidden, JsonSink, Row, Rows, Sink, SinkOptions, TotalsReport,
    WindowReport, extras,
};
use crate::window::WindowSpec;

/// The totals from one row on, so many of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Page {
    fn of<'r, 'a>(&self, rows: &'r [Row<'a>]) -> &'r [Row<'a>] {
        let rest = rows.get(self.offset..).unwrap_or_default();
        &rest[..self.limit.min(rest.len())]
    }
}

/// What `write` sends to a JSON sink, as the text of one object with `more` members behind its own.
fn object(
    write: impl FnOnce(&mut JsonSink<&mut Vec<u8>>) -> io::Result<()>,
    more: &Value,
) -> String {
    let mut out = Vec::new();
    write(&mut JsonSink::new(&mut out)).expect("memory takes all that is written");
    let text = String::from_utf8(out).expect("JSON is UTF-8");
    with_members(text.trim_end(), more)
}

/// The text of an object, with those of another behind its members.
fn with_members(object: &str, more: &Value) -> String {
    let more = more.to_string();
    let object = object
        .strip_suffix('}')
        .expect("an object ends with a brace");
    match more.as_str() {
        "{}" => format!("{object}}}"),
        more => format!("{object},{}", &more[1..]),
    }
}

/// An array of these texts.
pub(super) fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// A batch with its first keys.
pub(super) fn batch(batch: &Batch, keys: usize) -> String {
    let (rows, hidden) = cut(batch.counts.lend(), batch.counts.hidden, keys);
    let report = batch_report(batch, &rows, hidden);
    let pace = batch.pace.as_ref();
    let more = json!({
        "printed_ms": pace.map(|pace| millis(pace.printed_nanos)),
        "paused_ms": pace.map(|pace| millis(pace.paused_nanos)),
        "p99_us": pace.map(|pace| pace.receive_to_counted.p99_us),
    });
    object(|sink| sink.batch(&report), &more)
}

/// Batches as rows.
pub(super) fn batches_csv(live: &Live, batches: &[Arc<Batch>], keys: usize) -> Vec<u8> {
    csv(live, |sink| {
        batches.iter().try_for_each(|batch| {
            let (rows, hidden) = cut(batch.counts.lend(), batch.counts.hidden, keys);
            sink.batch(&batch_report(batch, &rows, hidden))
        })
    })
}

fn batch_report<'a>(batch: &Batch, rows: &'a [Row<'a>], hidden: Hidden) -> BatchReport<'a> {
    BatchReport {
        batch: batch.batch,
        start: batch.start,
        end: batch.end,
        ledger: batch.ledger,
        counts: Rows {
            shown: rows,
            hidden,
        },
        totals: None,
        latency: None,
        lag: &[],
    }
}

/// A window with its first keys.
pub(super) fn window(window: &Window, keys: usize) -> String {
    let (rows, hidden) = cut(window.counts.lend(), window.counts.hidden, keys);
    let trends = lend(window.trending.as_deref(), keys);
    let report = window_report(window, &rows, hidden, trends.as_deref());
    object(|sink| sink.window(&report), &json!({}))
}

/// Windows as rows.
pub(super) fn windows_csv(live: &Live, windows: &[Arc<Window>], keys: usize) -> Vec<u8> {
    csv(live, |sink| {
        windows.iter().try_for_each(|window| {
            let (rows, hidden) = cut(window.counts.lend(), window.counts.hidden, keys);
            let trends = lend(window.trending.as_deref(), keys);
            sink.window(&window_report(window, &rows, hidden, trends.as_deref()))
        })
    })
}

fn window_report<'a>(
    window: &Window,
    rows: &'a [Row<'a>],
    hidden: Hidden,
    trending: Option<&'a [crate::window::Trend<'a>]>,
) -> WindowReport<'a> {
    WindowReport {
        spec: window.spec,
        start: window.start,
        end: window.end,
        covered: window.covered,
        is_final: window.is_final,
        counts: Rows {
            shown: rows,
            hidden,
        },
        trending,
    }
}

fn lend(growing: Option<&[Growing]>, keys: usize) -> Option<Vec<crate::window::Trend<'_>>> {
    growing.map(|growing| growing.iter().take(keys).map(Growing::lend).collect())
}

/// The totals of a page of keys, and where the next page is.
pub(super) fn totals(now: &Snapshot, page: Page) -> String {
    let rows = now.totals.lend();
    let report = totals_report(now, page.of(&rows));
    let behind = page.offset + page.limit;
    let next = (behind < rows.len())
        .then(|| format!("/api/v1/totals?offset={behind}&limit={}", page.limit));
    let more = json!({
        "keys": now.keys,
        "page": {
            "offset": page.offset, "limit": page.limit, "rows": rows.len(), "next": next,
        },
    });
    object(|sink| sink.totals(&report), &more)
}

/// The same as rows.
pub(super) fn totals_csv(live: &Live, now: &Snapshot, page: Page) -> Vec<u8> {
    let rows = now.totals.lend();
    csv(live, |sink| {
        sink.totals(&totals_report(now, page.of(&rows)))
    })
}

/// `hidden` are the keys that are on no page.
fn totals_report<'a>(now: &Snapshot, rows: &'a [Row<'a>]) -> TotalsReport<'a> {
    TotalsReport {
        end: now.batch().map(|batch| batch.end).unwrap_or_default(),
        ledger: now.ledger,
        totals: Rows {
            shown: rows,
            hidden: now.totals.hidden,
        },
        latency: None,
        lag: &[],
    }
}

fn csv(live: &Live, write: impl FnOnce(&mut CsvSink<&mut Vec<u8>>) -> io::Result<()>) -> Vec<u8> {
    let about = live.about();
    let options = SinkOptions {
        key_parts: about.by.len(),
        has_sums: about.sum.is_some(),
        trending: about.is_trending,
        ..SinkOptions::default()
    };
    let mut out = Vec::new();
    let mut sink = CsvSink::new(&mut out, &options);
    let written = sink.header().and_then(|()| write(&mut sink));
    written.expect("memory takes all that is written");
    drop(sink);
    out
}

/// Where the lines of each batch, and of all of them, went.
pub(super) fn ledger(now: &Snapshot, batches: &[Arc<Batch>], next: Option<String>) -> Value {
    let columns = |ledger: &crate::ledger::Ledger| -> Value {
        let columns = ledger.columns().into_iter();
        columns
            .map(|(name, lines)| (name.to_owned(), lines.into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let batch = |batch: &Arc<Batch>| {
        json!({
            "batch": batch.batch,
            "start": batch.start.to_string(),
            "end": batch.end.to_string(),
            "ledger": columns(&batch.ledger),
        })
    };
    json!({
        "type": "ledger",
        "ledger": columns(&now.ledger),
        "batches": batches.iter().map(batch).collect::<Vec<_>>(),
        "page": {"next": next},
    })
}

/// The same as rows: a batch's have its number, the last one, of all lines, has none.
pub(super) fn ledger_csv(now: &Snapshot, batches: &[Arc<Batch>]) -> Vec<u8> {
    let names = now.ledger.columns().map(|(name, _)| name);
    let mut out = format!("type,batch,start,end,{}\n", names.join(","));
    let mut row = |head: String, ledger: &crate::ledger::Ledger| {
        let lines = ledger.columns().map(|(_, lines)| lines.to_string());
        out.push_str(&format!("{head},{}\n", lines.join(",")));
    };
    for batch in batches {
        let head = format!("batch,{},{},{}", batch.batch, batch.start, batch.end);
        row(head, &batch.ledger);
    }
    row("totals,,,".to_owned(), &now.ledger);
    out.into_bytes()
}

/// How the run is going.
pub(super) fn status(live: &Live, now: &Snapshot) -> String {
    let about = live.about();
    let time = live.time();
    let reading = live.reading();
    let sources: Vec<Value> = live
        .sources()
        .iter()
        .map(|source| {
            json!({
                "source": &*source.name,
                "state": source.link.name(),
                "connections": source.connections,
                "bytes": source.bytes,
                "heard": source.heard.map(|at| at.to_string()),
                "losses": source.losses,
            })
        })
        .collect();
    let state = now.saving.map(|saving| {
        json!({
            "batches_waiting": saving.batches_waiting,
            "batches_waiting_max": about.state_lag_max,
            "waited_ms": millis(saving.waited_nanos),
            "failing": saving.is_failing,
        })
    });
    let sinks: Vec<Value> = live
        .sinks()
        .iter()
        .map(|sink| {
            let mut figures = sink.figures();
            figures["failing"] = sink.is_failing.into();
            figures["lag_ms"] = millis(sink.lag_nanos(about.started, time)).into();
            figures
        })
        .collect();
    let status = json!({
        "type": "status",
        "version": env!("CARGO_PKG_VERSION"),
        "started": about.started.to_string(),
        "time": time.to_string(),
        "uptime_ms": millis(time.nanos_since(about.started)),
        "over": now.is_over,
        "by": about.by,
        "sum": about.sum,
        "every_ms": about.every_nanos as f64 / 1e6,
        "windows": about.windows.iter().map(spec).collect::<Vec<_>>(),
        "by_event_time": about.is_by_event,
        "batch": now.batch().map(|batch| batch.batch),
        "batches_due": live.batches_due(),
        "keys": now.keys,
        "overflow": now.overflow,
        "crowded_out": now.crowded_out,
        "closed_early": now.closed_early,
        "input": {
            "bytes": reading.bytes,
            "paused": reading.is_paused,
            "paused_ms": millis(reading.paused_nanos),
        },
        "sources": sources,
        "state": state,
        "sinks": sinks,
    });
    let status = status.to_string();
    let status = status
        .strip_suffix('}')
        .expect("an object ends with a brace");
    format!("{status}{}", extras(&now.latency, &now.lag))
}

fn spec(spec: &WindowSpec) -> Value {
    json!({
        "name": spec.to_string(),
        "length_ms": spec.length_nanos / 1_000_000,
        "slide_ms": spec.slide_nanos / 1_000_000,
    })
}

fn millis(nanos: u64) -> u64 {
    nanos / 1_000_000
}

/// The first rows, and what the others come to.
fn cut<'a>(mut rows: Vec<Row<'a>>, mut hidden: Hidden, keys: usize) -> (Vec<Row<'a>>, Hidden) {
    for row in rows.drain(keys.min(rows.len())..) {
        hidden.hide(&row);
    }
    (rows, hidden)
}
