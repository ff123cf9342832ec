//! The library as another program uses it: a reader in, results out.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::time::Duration;

use tallyline::clock::Timestamp;
use tallyline::counting::{Counting, Report, Run};
use tallyline::error::Error;

/// Longer than a test lasts, so that all of an input is one batch.
const DAY: Duration = Duration::from_secs(24 * 3600);

const ORDERS: &str = "{\"status\":\"PLACED\",\"amount\":1.5}\n\
                      not JSON\n\
                      {\"status\":\"PLACED\",\"amount\":0.25}\n\
                      {\"status\":\"SHIPPED\",\"amount\":2}\n";

/// Lines for ever, or until somebody stops asking.
struct Endless;

impl Read for Endless {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let line = b"{\"status\":1}\n";
        space[..line.len()].copy_from_slice(line);
        Ok(line.len())
    }
}

/// Some bytes, then a failure of this kind; or a panic.
struct Failing(&'static [u8], Option<io::ErrorKind>);

impl Read for Failing {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(space)?;
        match (count, self.1) {
            (0, Some(kind)) => Err(kind.into()),
            (0, None) => panic!("as asked"),
            _ => Ok(count),
        }
    }
}

/// The totals by key, as text.
fn totals(run: &mut Run) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for report in run {
        if let Report::Totals(totals) = report {
            let rows = totals.counts.iter();
            all = rows
                .map(|row| (row.key.text().into_owned(), row.total))
                .collect();
        }
    }
    all
}

fn message(counting: Counting) -> String {
    counting.start().expect_err("wrong").to_string()
}

#[test]
fn a_reader_s_batches_and_totals_come_in_order() {
    let counting = Counting::by("status").every(DAY).set("sum", "amount");
    let mut run = counting.read("orders", ORDERS.as_bytes()).start().unwrap();
    let reports: Vec<Report> = run.by_ref().collect();
    let [Report::Batch(batch), Report::Totals(totals)] = &*reports else {
        panic!("{reports:?}")
    };
    assert_eq!(
        (batch.number, batch.ledger.lines, batch.ledger.malformed),
        (1, 4, 1)
    );
    assert!(batch.start <= batch.end);
    let placed = &batch.counts[0];
    assert_eq!(
        (&*placed.key.text(), placed.count, placed.total),
        ("PLACED", 2, 2)
    );
    assert_eq!(
        placed.sum.map(|sum| sum.to_string()).as_deref(),
        Some("1.75")
    );
    assert_eq!((totals.ledger, totals.counts.len()), (batch.ledger, 2));
    assert_eq!(totals.hidden.keys, 0);
    let summary = run.finish().unwrap();
    assert_eq!((summary.ledger, summary.batches), (totals.ledger, 1));
}

#[test]
fn readers_and_named_sources_are_counted_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.jsonl");
    fs::write(&path, ORDERS).unwrap();
    let counting = Counting::by("status")
        .every(DAY)
        .source(path.to_str().unwrap());
    let counting = counting
        .read("a", ORDERS.as_bytes())
        .read("b", "{\"status\":null}".as_bytes());
    let mut run = counting.start().unwrap();
    let expected = [("PLACED", 4), ("SHIPPED", 2), ("null", 1)];
    let expected = expected.map(|(key, total)| (key.to_owned(), total));
    assert_eq!(totals(&mut run), BTreeMap::from(expected));
    assert_eq!(run.finish().unwrap().ledger.malformed, 2);
}

#[test]
fn conditions_composite_keys_and_limits_are_settings() {
    let counting = Counting::by("status").and_by("amount").every(DAY);
    let counting = counting.set("where", "status=PLACED").set("top", "1");
    let mut run = counting.read("orders", ORDERS.as_bytes()).start().unwrap();
    let Some(Report::Batch(batch)) = run.next() else {
        panic!("no batch")
    };
    assert_eq!((batch.ledger.counted, batch.ledger.filtered), (2, 1));
    let parts: Vec<_> = batch.counts[0]
        .key
        .as_ref()
        .parts()
        .map(|part| part.text())
        .collect();
    assert_eq!(parts, ["PLACED", "0.25"]);
    assert_eq!((batch.hidden.keys, batch.hidden.count), (1, 1));
    run.finish().unwrap();
}

#[test]
fn windows_by_event_time_are_handed_over() {
    let lines = "{\"k\":1,\"at\":10}\n{\"k\":1,\"at\":59}\n{\"k\":2,\"at\":60}\n";
    let counting = Counting::by("k")
        .set("event-time", "at")
        .set("event-time-format", "s");
    let counting = counting.set("window", "1m").read("lines", lines.as_bytes());
    let mut windows = Vec::new();
    for report in counting.start().unwrap() {
        if let Report::Window(window) = report {
            let first = &window.counts[0];
            windows.push((
                window.start,
                first.0.text().into_owned(),
                first.1,
                window.is_final,
            ));
        }
    }
    let at = |seconds: i64| Timestamp::from_millis(1000 * seconds);
    let expected = [
        (at(0), "1".to_owned(), 2, true),
        (at(60), "2".to_owned(), 1, true),
    ];
    assert_eq!(windows, expected);
}

#[test]
fn a_state_goes_on_where_the_last_run_ended() {
    let folder = tempfile::tempdir().unwrap();
    let orders = folder.path().join("orders.jsonl");
    let state = folder.path().join("orders.db");
    let count = || {
        let counting = Counting::by("status")
            .every(DAY)
            .source(orders.to_str().unwrap());
        let mut run = counting
            .set("state", state.to_str().unwrap())
            .start()
            .unwrap();
        let totals = totals(&mut run);
        (run.finish().unwrap().ledger.lines, totals["PLACED"])
    };
    fs::write(&orders, ORDERS).unwrap();
    assert_eq!(count(), (4, 2));
    fs::write(&orders, ORDERS.repeat(2)).unwrap();
    assert_eq!(count(), (4, 4));
    assert_eq!(count(), (0, 4));
}

#[test]
fn a_reader_that_fails_is_named_and_what_came_before_stands() {
    let before = b"{\"status\":1}\n{\"status\":2}\n{\"stat";
    for (kind, reason) in [
        (Some(io::ErrorKind::ConnectionReset), "connection reset"),
        (None, "the reader panicked"),
    ] {
        let counting = Counting::by("status")
            .every(DAY)
            .read("orders", Failing(before, kind));
        let mut run = counting.start().unwrap();
        assert_eq!(totals(&mut run).len(), 2);
        let error = run.finish().unwrap_err();
        let expected = format!("cannot read orders: {reason}; what came before is counted");
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.exit_status(), 1);
    }
}

#[test]
fn an_endless_run_is_stopped_from_another_thread() {
    let counting = Counting::by("status").every(Duration::from_millis(10));
    let mut run = counting.read("lines", Endless).start().unwrap();
    let stopper = run.stopper();
    let first = run.next();
    assert!(matches!(first, Some(Report::Batch(_))), "{first:?}");
    std::thread::spawn(move || stopper.stop()).join().unwrap();
    let last = run.by_ref().last();
    assert!(matches!(last, Some(Report::Totals(_))), "{last:?}");
    let ledger = run.finish().unwrap().ledger;
    assert!(
        ledger.lines > 0 && ledger.lines == ledger.counted,
        "{ledger:?}"
    );
}

#[test]
fn a_run_that_nobody_wants_any_more_ends() {
    let start = || {
        let counting = Counting::by("status").every(Duration::from_millis(10));
        counting.read("lines", Endless).start().unwrap()
    };
    // In the middle of its results: the sink is waiting for room.
    let mut run = start();
    run.next().unwrap();
    run.finish().unwrap();
    drop(start());
}

#[test]
fn what_is_wrong_is_told_as_the_program_tells_it() {
    let counting = || Counting::by("status").read("orders", io::empty());
    let told = [
        (Counting::by("status"), "nothing to count"),
        (
            Counting::by("a..b").read("orders", io::empty()),
            "--by 'a..b': ",
        ),
        (
            counting().every(Duration::ZERO),
            "--every '0ms': give an interval from 10ms to 24h",
        ),
        (
            counting().set("evry", "5s"),
            "'--evry': no such flag; did you mean '--every'?",
        ),
        (counting().set("where", "="), "--where '=': "),
        (
            counting().switch("help"),
            "--help and --version are no settings",
        ),
        (
            counting().set("pool-bytes", "1"),
            "--pool-bytes '1': too small",
        ),
        (
            Counting::by("status").source("nosuch.jsonl"),
            "cannot open nosuch.jsonl: ",
        ),
    ];
    for (counting, expected) in told {
        let message = message(counting);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn runs_and_results_cross_threads() {
    fn is_send<T: Send>() {}
    is_send::<Counting>();
    is_send::<Run>();
    is_send::<Report>();
    is_send::<Error>();
}
