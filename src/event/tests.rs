//! Event-time windows against a slow way: every record asked for each window whether it may come in.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::lane::Standing;
use crate::window::Entry;

/// Nanoseconds of a step: all times here are told in steps.
const STEP: i64 = 1_000_000;

const SHARDS: usize = 2;

/// A record: its time, its shard and its id there.
type Record = (i64, usize, u32);

/// A window that was reported: end, number of its spec, counts by shard and id, growth's base, final.
type Seen = (i64, usize, BTreeMap<(usize, u32), u64>, bool);

fn spec(length: i64, slide: i64) -> WindowSpec {
    let time = |steps: i64| Duration::from_nanos((steps * STEP) as u64);
    WindowSpec::new(time(length), time(slide)).unwrap()
}

fn settings(specs: &[WindowSpec], bytes_max: usize) -> WindowSettings {
    WindowSettings {
        specs: specs.to_vec(),
        trending: Some(3),
        bytes_max,
    }
}

fn closed_counts(records: &[Record], shard: usize, pane: i64) -> ClosedCounts {
    let mut tally = Tally::default();
    let mut counts = vec![0; 8];
    for &(at, _, id) in records.iter().filter(|record| record.1 == shard) {
        tally.add((at * STEP).div_euclid(pane), id, 1);
        counts[id as usize] += 1;
    }
    ClosedCounts {
        counts,
        panes: tally.close(),
        ..ClosedCounts::default()
    }
}

fn mark(number: usize, last: bool, standing: Standing) -> Mark {
    Mark {
        batch: number as u64 + 1,
        start: Timestamp::default(),
        end: Timestamp::default(),
        last,
        offsets: Arc::default(),
        files: Arc::default(),
        standing: [standing].into(),
    }
}

fn counts(sums: &Sums) -> BTreeMap<(usize, u32), u64> {
    let shards = sums.shards.iter().enumerate();
    shards
        .flat_map(|(shard, counts)| {
            let counted = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            counted.map(move |(id, &count)| ((shard, id as u32), count))
        })
        .collect()
}

/// What is reported for these batches, how many records were late, and how many windows were closed early.
fn reported(
    specs: &[WindowSpec],
    event: EventSettings,
    bytes_max: usize,
    batches: &[Vec<Record>],
) -> (Vec<Seen>, u64, u64) {
    reported_in_runs(specs, event, bytes_max, batches, None)
}

/// The same, where a run ends behind each batch that `restarts` says, and another goes on.
fn reported_in_runs(
    specs: &[WindowSpec],
    event: EventSettings,
    bytes_max: usize,
    batches: &[Vec<Record>],
    restarts: Option<&[bool]>,
) -> (Vec<Seen>, u64, u64) {
    let anew = || EventWindows::new(&settings(specs, bytes_max), event, 1, SHARDS);
    let mut windows = match restarts {
        Some(_) => anew().kept(None, &["a"]),
        None => anew(),
    };
    let mut kept = KeptEvents::default();
    let pane = pane_nanos(specs) as i64;
    let (mut seen, mut late) = (Vec::new(), 0);
    for (number, records) in batches.iter().enumerate() {
        let mut closed: Vec<ClosedCounts> = (0..SHARDS)
            .map(|shard| closed_counts(records, shard, pane))
            .collect();
        let late_now = windows.admit(&mut closed);
        let counted: u64 = closed.iter().flat_map(|closed| &closed.counts).sum();
        assert_eq!(counted + late_now, records.len() as u64);
        late += late_now;
        let mut latest = Latest::default();
        for &(at, ..) in records {
            latest.record(0, at * STEP);
        }
        let last = number + 1 == batches.len();
        let result =
            windows.close_batch(&mark(number, last, Standing::Active), &latest, |window| {
                let number = specs.iter().position(|spec| *spec == window.spec).unwrap();
                let sums = counts(window.sums);
                assert_eq!(sums.values().sum::<u64>(), window.sums.records());
                let end = window.end.as_nanos() / STEP;
                seen.push((end, number, sums, window.is_final));
                Ok::<(), Infallible>(())
            });
        let change = result.unwrap();
        assert_eq!(change.is_some(), restarts.is_some());
        if let Some(change) = change {
            keep(&mut kept, change);
        }
        if !last && restarts.is_some_and(|restarts| restarts[number]) {
            assert_eq!(kept.unfit(&settings(specs, bytes_max)), None);
            windows = anew().kept(Some(kept.clone()), &["a"]);
        }
    }
    (seen, late, windows.forced())
}

/// What a state does with a change.
fn keep(kept: &mut KeptEvents, change: EventChange) {
    kept.pane_nanos = change.pane_nanos;
    kept.needed_from = change.needed_from;
    kept.watermark = change.watermark;
    let latest = change.latest.iter();
    kept.latest = latest.map(|&(_, nanos)| ("a".to_owned(), nanos)).collect();
    kept.earliest = change.earliest;
    kept.complete_from = change.complete_from;
    kept.closed = change.closed;
    for (shard, pairs) in change.brought.iter().enumerate() {
        for pair in pairs {
            let mut shards = vec![Vec::new(); SHARDS];
            shards[shard].push(Entry {
                id: pair.id,
                count: pair.count,
            });
            kept.panes.push(KeptPane {
                start: pair.pane * change.pane_nanos,
                shards,
                other: 0,
                records: u64::from(pair.count),
            });
        }
    }
    kept.panes.retain(|pane| pane.start >= change.needed_from);
}

/// The same, by asking each record for each window.
fn expected(specs: &[WindowSpec], lateness: i64, batches: &[Vec<Record>]) -> (Vec<Seen>, u64) {
    let (mut watermark, mut latest) = (i64::MIN, i64::MIN);
    let mut open: BTreeMap<(i64, usize), BTreeMap<(usize, u32), u64>> = BTreeMap::new();
    let (mut seen, mut late) = (Vec::new(), 0);
    for (number, records) in batches.iter().enumerate() {
        for &(at, shard, id) in records {
            let mut is_late = true;
            for (n, spec) in specs.iter().enumerate() {
                let (length, slide) = (
                    spec.length_nanos as i64 / STEP,
                    spec.slide_nanos as i64 / STEP,
                );
                for end in (at + 1)..=(at + length) {
                    if end.rem_euclid(slide) == 0 && end > watermark {
                        is_late = false;
                        *open
                            .entry((end, n))
                            .or_default()
                            .entry((shard, id))
                            .or_default() += 1;
                    }
                }
            }
            late += u64::from(is_late);
        }
        latest = records.iter().map(|record| record.0).fold(latest, i64::max);
        if latest > i64::MIN {
            watermark = watermark.max(latest - lateness);
        }
        let last = number + 1 == batches.len();
        let due: BTreeSet<(i64, usize)> = open.keys().copied().collect();
        for (end, n) in due {
            if end <= watermark || last {
                seen.push((end, n, open.remove(&(end, n)).unwrap(), true));
            }
        }
    }
    (seen, late)
}

fn event(lateness: i64, partial: bool) -> EventSettings {
    EventSettings {
        lateness_nanos: (lateness * STEP) as u64,
        idle_nanos: 1,
        partial,
    }
}

fn specs() -> impl Strategy<Value = Vec<WindowSpec>> {
    vec((1i64..9, 1i64..9), 1..4).prop_map(|lengths| {
        let mut specs: Vec<WindowSpec> = lengths
            .into_iter()
            .map(|(a, b)| spec(a.max(b), a.min(b)))
            .collect();
        specs.sort_by_key(|spec| (spec.length_nanos, spec.slide_nanos));
        specs.dedup();
        specs
    })
}

fn batches() -> impl Strategy<Value = Vec<Vec<Record>>> {
    let record = (0i64..14, 0..SHARDS, 0u32..5);
    let batch = (
        prop_oneof![6 => 0i64..6, 1 => 20i64..90],
        vec(record, 0..12),
    );
    (-50i64..50, vec(batch, 1..14)).prop_map(|(start, batches)| {
        let mut now = start;
        let mut batch = |(step, records): (i64, Vec<Record>)| {
            now += step;
            let records = records.into_iter();
            records
                .map(|(back, shard, id)| (now - back, shard, id))
                .collect()
        };
        batches.into_iter().map(&mut batch).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 600, ..Default::default() })]

    #[test]
    fn each_record_is_in_the_windows_that_are_open_to_it(
        specs in specs(),
        lateness in 0i64..12,
        batches in batches(),
    ) {
        let (seen, late, forced) = reported(&specs, event(lateness, false), 1 << 20, &batches);
        prop_assert_eq!(forced, 0);
        prop_assert_eq!((seen, late), expected(&specs, lateness, &batches));
    }

    #[test]
    fn runs_that_go_on_report_what_one_run_does(
        specs in specs(),
        lateness in 0i64..12,
        batches in batches(),
        restarts in vec(any::<bool>(), 14),
    ) {
        let event = event(lateness, false);
        let (mut one, late, _) = reported(&specs, event, 1 << 20, &batches);
        let (seen, late_in_runs, _) =
            reported_in_runs(&specs, event, 1 << 20, &batches, Some(&restarts));
        // What is open in the end is told, and not as final.
        let finals = seen.iter().filter(|seen| seen.3).count();
        one.iter_mut().skip(finals).for_each(|seen| seen.3 = false);
        prop_assert_eq!((seen, late_in_runs), (one, late));
    }

    #[test]
    fn reports_of_open_windows_lead_to_the_final_one(
        specs in specs(),
        lateness in 0i64..12,
        batches in batches(),
    ) {
        let (seen, late, _) = reported(&specs, event(lateness, true), 1 << 20, &batches);
        let (finals, expected_late) = expected(&specs, lateness, &batches);
        let mut so_far: BTreeMap<(i64, usize), u64> = BTreeMap::new();
        for (end, n, counts, is_final) in &seen {
            let records = counts.values().sum();
            let before = so_far.insert((*end, *n), records).unwrap_or(0);
            prop_assert!(records > before || (*is_final && records >= before));
        }
        let seen: Vec<Seen> = seen.into_iter().filter(|seen| seen.3).collect();
        prop_assert_eq!((seen, late), (finals, expected_late));
    }

    #[test]
    fn want_of_room_closes_windows_early_and_loses_nothing(
        specs in specs(),
        batches in batches(),
    ) {
        let tumbling: Vec<WindowSpec> = specs.into_iter().map(|spec| WindowSpec { slide_nanos: spec.length_nanos, ..spec }).take(1).collect();
        let (seen, late, _) = reported(&tumbling, event(1000, false), 700, &batches);
        let counted: u64 = seen.iter().flat_map(|seen| seen.2.values()).sum();
        let records: usize = batches.iter().map(Vec::len).sum();
        prop_assert_eq!(counted + late, records as u64);
        let ends: Vec<_> = seen.iter().map(|seen| seen.0).collect();
        prop_assert!(ends.is_sorted());
    }
}

#[test]
fn a_source_that_is_idle_holds_nothing_open() {
    let specs = [spec(10, 10)];
    let mut windows = EventWindows::new(&settings(&specs, 1 << 20), event(5, false), 1, SHARDS);
    let mut step = |records: &[Record], standing| {
        let mut closed = [
            closed_counts(records, 0, 10 * STEP),
            ClosedCounts::default(),
        ];
        let late = windows.admit(&mut closed);
        let mut latest = Latest::default();
        for &(at, ..) in records {
            latest.record(0, at * STEP);
        }
        let mut ends = Vec::new();
        let result = windows.close_batch(&mark(0, false, standing), &latest, |window| {
            ends.push(window.end.as_nanos() / STEP);
            Ok::<(), Infallible>(())
        });
        result.unwrap();
        (late, ends)
    };
    assert_eq!(
        step(&[(3, 0, 0), (12, 0, 0)], Standing::Active),
        (0, vec![])
    );
    assert_eq!(step(&[], Standing::Active), (0, vec![]));
    assert_eq!(step(&[], Standing::Idle), (0, vec![10, 20]));
    // It goes on: what is older than the closed windows is late.
    assert_eq!(
        step(&[(14, 0, 0), (21, 0, 0)], Standing::Active),
        (1, vec![])
    );
    assert_eq!(step(&[(35, 0, 0)], Standing::Active), (0, vec![30]));
}

#[test]
fn a_tally_adds_equal_pairs_together() {
    let mut tally = Tally::default();
    for n in 0..30_000 {
        tally.add(n % 3, 7, 2);
    }
    assert!(tally.pairs.len() <= 8192, "{}", tally.pairs.len());
    tally.add(1, 7, u64::from(u32::MAX));
    let pairs = tally.close();
    let total = |pane| {
        let pairs = pairs.iter().filter(|pair| pair.pane == pane);
        pairs.map(|pair| u64::from(pair.count)).sum::<u64>()
    };
    assert_eq!(
        [total(0), total(1), total(2)],
        [20_000, 20_000 + u64::from(u32::MAX), 20_000]
    );
    assert!(pairs.is_sorted_by_key(|pair| pair.pane) && pairs.len() == 4);
    assert!(tally.close().is_empty());
}
