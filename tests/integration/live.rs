//! What viewers see of a run while it lasts: the same as the sinks, of the first keys, and never more than agreed.

use std::sync::{Arc, Mutex};

use tallyline::clock::{Timestamp, VirtualClock};
use tallyline::key::KeyRef;
use tallyline::live::{KEY_BYTES_MAX, KeyCounts, Link, Live, LiveSettings, Snapshot};
use tallyline::pipeline::{Pipeline, Settings};
use tallyline::record::KeyPath;
use tallyline::source::{Script, ScriptEvent};
use tallyline::window::{WindowSettings, WindowSpec};

const SECOND: u64 = 1_000_000_000;

fn at(second: u64) -> Timestamp {
    Timestamp::from_nanos((second * SECOND) as i64)
}

fn lines(keys: &[(&str, usize)]) -> ScriptEvent {
    let line = |key: &str| format!("{{\"k\":\"{key}\"}}\n");
    let text: String = keys
        .iter()
        .map(|&(key, count)| line(key).repeat(count))
        .collect();
    ScriptEvent::Bytes(text.into_bytes())
}

fn settings(live: LiveSettings) -> Settings {
    Settings {
        every_nanos: SECOND,
        parsers: 2,
        shards: 2,
        pin: false,
        live,
        ..Settings::new(KeyPath::parse("k").unwrap())
    }
}

/// Runs a script from second 100 on; what the bell's ringing showed, and the viewer.
fn run(settings: Settings, events: Vec<(u64, ScriptEvent)>) -> (Vec<Arc<Snapshot>>, Live) {
    let events = events
        .into_iter()
        .map(|(second, event)| (at(second), event));
    let clock = Arc::new(VirtualClock::new(at(100)));
    let sources: Vec<Box<dyn tallyline::source::Source>> = vec![Box::new(Script::new(events))];
    let mut pipeline = Pipeline::new(settings, sources, Vec::new(), clock).unwrap();
    let live = pipeline.live();
    assert!(live.now().batch().is_none());
    let seen: Arc<Mutex<Vec<Arc<Snapshot>>>> = Arc::default();
    let (viewer, keep) = (live.clone(), Arc::clone(&seen));
    pipeline.on_batch(Box::new(move || keep.lock().unwrap().push(viewer.now())));
    let (_, result) = pipeline.run().unwrap();
    result.unwrap();
    let seen = seen.lock().unwrap().clone();
    (seen, live)
}

fn rows(counts: &KeyCounts) -> Vec<(String, u64, u64)> {
    let row = |row: tallyline::sink::Row<'_>| (row.key.text().into_owned(), row.count, row.total);
    counts.lend().into_iter().map(row).collect()
}

fn row(key: &str, count: u64, total: u64) -> (String, u64, u64) {
    (key.to_owned(), count, total)
}

#[test]
fn each_batch_is_seen_as_it_closes() {
    let events = vec![
        (100, lines(&[("a", 3), ("b", 1)])),
        (101, lines(&[("b", 4)])),
        (101, ScriptEvent::Bytes(b"no JSON\n".to_vec())),
    ];
    let (seen, live) = run(settings(LiveSettings::FULL), events);
    let batches: Vec<_> = seen
        .iter()
        .map(|now| rows(&now.batch().unwrap().counts))
        .collect();
    assert_eq!(
        batches,
        [vec![row("a", 3, 3), row("b", 1, 1)], vec![row("b", 4, 5)],]
    );
    let last = live.now();
    assert!(last.is_over && !seen[0].is_over);
    assert_eq!(rows(&last.totals), [row("b", 5, 5), row("a", 3, 3)]);
    assert_eq!(rows(&last.batches[0].counts), batches[0]);
    assert_eq!((last.ledger.lines, last.ledger.malformed), (9, 1));
    assert_eq!(last.batch().unwrap().ledger.lines, 5);
    let source = &live.sources()[0];
    assert_eq!((source.link, source.bytes), (Link::Over, 8 * 10 + 8));
    assert_eq!(source.heard, Some(at(101)));
    assert_eq!(live.batches_due(), 0);
}

#[test]
fn what_is_kept_is_bounded_and_the_rest_summed() {
    let long = "x".repeat(KEY_BYTES_MAX + 1);
    let small = LiveSettings {
        keys: 3,
        keys_kept: 1,
        batches: 4,
        viewers: 0,
    };
    let events = (100..120).map(|second| {
        let keys = [("a", 4), ("b", 3), (&long, 2), ("c", 1), ("d", 1)];
        (second, lines(&keys))
    });
    let (seen, live) = run(settings(small), events.collect());
    assert_eq!(seen.len(), 20);
    let last = live.now();
    assert_eq!(last.batches.len(), 4);
    for (i, batch) in last.batches.iter().rev().enumerate() {
        let shown = &batch.counts.shown;
        // The long key had its place among the first three.
        let keys = if i == 0 { 2 } else { 1 };
        assert_eq!(shown.len(), keys);
        let counted: u64 = shown.iter().map(|key| key.count).sum();
        assert_eq!(counted + batch.counts.hidden.count, batch.ledger.counted);
        assert_eq!(shown.len() as u64 + batch.counts.hidden.keys, 5);
        assert_eq!(batch.batch, 20 - i as u64);
    }
    assert_eq!(rows(&last.totals), [row("a", 80, 80), row("b", 60, 60)]);
    assert_eq!((last.totals.hidden.keys, last.totals.hidden.count), (3, 80));
    // A key is held once, however often it is listed.
    let key = |batch: usize| Arc::as_ptr(&last.batches[batch].counts.shown[0].key);
    assert_eq!(key(0), key(3));
}

#[test]
fn windows_are_seen_with_what_grows() {
    let window = WindowSpec {
        length_nanos: 2 * SECOND,
        slide_nanos: 2 * SECOND,
    };
    let settings = Settings {
        windows: WindowSettings {
            specs: vec![window],
            trending: Some(5),
            bytes_max: 1 << 20,
        },
        ..settings(LiveSettings::FULL)
    };
    let events = vec![
        (100, lines(&[("a", 9), ("b", 1)])),
        (102, lines(&[("a", 9), ("b", 7)])),
        (104, ScriptEvent::Bytes(b"\n".to_vec())),
    ];
    let (_, live) = run(settings, events);
    let now = live.now();
    let ends: Vec<_> = now.windows[0].iter().map(|window| window.end).collect();
    assert_eq!(ends, [at(102), at(104)]);
    let last = &now.windows[0][1];
    let counts: Vec<_> = last.counts.shown.iter().map(|key| key.count).collect();
    assert_eq!(counts, [9, 7]);
    let growing = last.trending.as_ref().unwrap();
    let growing: Vec<_> = growing.iter().map(|key| key.lend().key).collect();
    assert_eq!(growing, [KeyRef::string("b")]);
}

#[test]
fn without_viewers_no_keys_are_kept() {
    let events = (100..103).map(|second| (second, lines(&[("a", 2)])));
    let (_, live) = run(settings(LiveSettings::default()), events.collect());
    let now = live.now();
    assert_eq!(now.batches.len(), 1);
    assert_eq!((now.ledger.counted, now.keys), (6, 1));
    assert!(now.totals.shown.is_empty() && now.batches[0].counts.shown.is_empty());
}
