//! Windows over several batches, on virtual time: what they hold, when they close, what is printed.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tallyline::clock::Timestamp;
use tallyline::pipeline::Settings;
use tallyline::source::ScriptEvent;
use tallyline::window::{WindowSettings, WindowSpec};

use crate::support::{Batch, KeyCounts, Window, run_script, settings};

/// The batch interval, in nanoseconds.
const EVERY: u64 = 1_000_000_000;

/// 2026-11-22 15:47:37.500 UTC.
const START: Timestamp = Timestamp::from_millis(1_795_362_457_500);

/// A window of so many batches, every so many.
fn spec(length: u64, slide: u64) -> WindowSpec {
    let time = |batches| Duration::from_nanos(batches * EVERY);
    WindowSpec::new(time(length), time(slide)).unwrap()
}

fn windowed(specs: Vec<WindowSpec>) -> Settings {
    let settings = settings();
    Settings {
        every_nanos: EVERY,
        windows: WindowSettings {
            specs,
            ..settings.windows
        },
        ..settings
    }
}

/// Orders with these statuses, each so many milliseconds after the one before it.
fn events(orders: &[(u64, u8)]) -> Vec<(Timestamp, ScriptEvent)> {
    let mut at = START;
    let mut event = |&(millis, status): &(u64, u8)| {
        at = at.plus_nanos(millis * 1_000_000);
        let line = format!("{{\"status\":\"s{status}\"}}\n");
        (at, ScriptEvent::Bytes(line.into_bytes()))
    };
    orders.iter().map(&mut event).collect()
}

/// The counts of batches that end within a window.
fn summed(batches: &[Batch], window: &Window) -> KeyCounts {
    let start = window.spec.start(window.end);
    let slot = |batch: &Batch| {
        batch
            .end
            .max(batch.start.plus_nanos(1))
            .multiple_from(EVERY)
    };
    let mut sums = KeyCounts::new();
    for batch in batches {
        if slot(batch) > start && slot(batch) <= window.end {
            for (key, count) in &batch.counts {
                *sums.entry(key.clone()).or_default() += count;
            }
        }
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..Default::default() })]

    #[test]
    fn windows_are_sums_of_batches_whatever_the_threads(
        orders in vec((0u64..2500, 0u8..4), 0..40),
        lengths in vec((1u64..9, 1u64..9), 1..3),
        (parsers, shards) in (1usize..4, 1usize..4),
    ) {
        let specs: Vec<WindowSpec> = lengths.iter().map(|&(a, b)| spec(a.max(b), a.min(b))).collect();
        let settings = Settings { parsers, shards, ..windowed(specs.clone()) };
        let run = run_script(settings, START, events(&orders));
        let mut ends: BTreeMap<(u64, u64), Vec<Timestamp>> = BTreeMap::new();
        for window in &run.windows {
            prop_assert_eq!(&window.counts, &summed(&run.batches, window), "{:?}", window);
            let spec = (window.spec.length_nanos, window.spec.slide_nanos);
            ends.entry(spec).or_default().push(window.end);
        }
        for spec in &specs {
            // Of each that ended during the run one report; specs may be alike.
            let times = specs.iter().filter(|other| *other == spec).count();
            let ends = ends.get(&(spec.length_nanos, spec.slide_nanos)).map_or(&[][..], Vec::as_slice);
            let stopped = run.batches.last().unwrap().end;
            let mut due = START.multiple_from(spec.slide_nanos);
            while due <= stopped {
                prop_assert_eq!(ends.iter().filter(|end| **end == due).count(), times);
                due = due.plus_nanos(spec.slide_nanos);
            }
            prop_assert!(ends.iter().all(|end| *end <= due), "none is cut short but the next");
            if spec.length_nanos == spec.slide_nanos && times == 1 {
                let of_spec = run.windows.iter().filter(|window| window.spec == *spec);
                let records: u64 = of_spec.flat_map(|window| window.counts.values()).sum();
                prop_assert_eq!(records, run.ledger.counted, "each record is in one tumbling window");
            }
        }
    }
}

#[test]
fn the_first_windows_begin_and_the_last_one_ends_with_the_run() {
    // 15:47:37.5, 38.5, 40.5 and 41.5; the stream ends with the last.
    let run = run_script(
        windowed(vec![spec(4, 2)]),
        START,
        events(&[(0, 0), (1000, 1), (2000, 0), (1000, 2)]),
    );
    let at = |millis: i64| Timestamp::from_millis(1_795_362_400_000 + millis);
    let seen: Vec<_> = run
        .windows
        .iter()
        .map(|window| {
            let records: u64 = window.counts.values().sum();
            (window.end, window.covered, records)
        })
        .collect();
    assert_eq!(
        seen,
        [
            (at(58_000), (START, at(58_000)), 1),
            (at(60_000), (START, at(60_000)), 2),
            (at(62_000), (at(58_000), at(61_500)), 3),
        ]
    );
}
