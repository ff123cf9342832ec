//! Windows against a slow way of making them: every window counted anew from all batches.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const EVERY: u64 = 5_000_000_000;

/// A batch that ends so many intervals after the one before it.
#[derive(Clone, Debug)]
struct Step {
    intervals: u64,
    /// By shard and id.
    counts: Vec<Vec<u64>>,
    other: u64,
}

/// A reported window: its spec's number, its end in intervals, what was in it and in the one before.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    spec: usize,
    end: u64,
    covered: (Timestamp, Timestamp),
    sums: Vec<Vec<u64>>,
    other: u64,
    before: Option<Vec<Vec<u64>>>,
}

fn at(intervals: u64) -> Timestamp {
    Timestamp::from_nanos((intervals * EVERY) as i64)
}

fn spec(length: u64, slide: u64) -> WindowSpec {
    let time = |intervals| Duration::from_nanos(intervals * EVERY);
    WindowSpec::new(time(length), time(slide)).unwrap()
}

/// Marks for the steps: the first batch begins within interval `start`, the last ends within one.
fn marks(start: u64, steps: &[Step], last_is_short: bool) -> Vec<Mark> {
    let mut begin = at(start).plus_nanos(EVERY / 2);
    let mut reached = start;
    let mut marks = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        reached += step.intervals;
        let last = i + 1 == steps.len();
        let end = match last && last_is_short {
            true => begin.max(at(reached).minus_nanos(EVERY / 3)),
            false => at(reached),
        };
        marks.push(Mark {
            batch: i as u64 + 1,
            start: begin,
            end,
            last,
            offsets: Arc::default(),
            files: Arc::default(),
            standing: Arc::default(),
        });
        begin = end;
    }
    marks
}

fn trimmed(mut shards: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
    for counts in &mut shards {
        while counts.last() == Some(&0) {
            counts.pop();
        }
    }
    while shards.last().is_some_and(Vec::is_empty) {
        shards.pop();
    }
    shards
}

/// What is reported; with restarts the run ends behind each batch that they say, and another goes on.
fn reported(
    settings: &WindowSettings,
    marks: &[Mark],
    steps: &[Step],
    restarts: &[bool],
) -> Vec<Seen> {
    let mut windows = Windows::new(settings, EVERY);
    if !restarts.is_empty() {
        windows = windows.kept(None);
    }
    let mut seen = Vec::new();
    let mut ring = KeptRing::default();
    for (number, (mark, step)) in marks.iter().zip(steps).enumerate() {
        let batch = BatchCounts::of(step.counts.clone(), step.other);
        let result = windows.close_batch(mark, &batch, |window| {
            seen.push(Seen {
                spec: settings
                    .specs
                    .iter()
                    .position(|spec| *spec == window.spec)
                    .unwrap(),
                end: window.end.as_nanos() as u64 / EVERY,
                covered: window.covered,
                sums: trimmed(window.sums.shards.clone()),
                other: window.sums.other,
                before: window.before.map(|before| trimmed(before.shards.clone())),
            });
            Ok::<(), Infallible>(())
        });
        result.unwrap();
        let slots = settings.slots(EVERY) as usize;
        assert!(
            windows.slots.len() <= slots,
            "{} slots",
            windows.slots.len()
        );
        keep(&mut ring, windows.change().unwrap());
        ring.ended = mark.end;
        if restarts.get(number) == Some(&true) {
            assert_eq!(ring.unfit(settings, mark.end), None);
            windows = Windows::new(settings, EVERY).kept(Some(ring.clone()));
        }
    }
    assert_eq!(windows.crowded_out(), 0);
    seen
}

/// What a state does with a change.
fn keep(ring: &mut KeptRing, change: RingChange) {
    ring.slots.push(change.slot);
    assert_eq!(change.number + 1, ring.first + ring.slots.len() as u64);
    ring.slots.drain(..(change.first - ring.first) as usize);
    ring.first = change.first;
    (ring.every_nanos, ring.opened) = (change.every_nanos, change.opened);
}

/// What was counted in batches that end in intervals `after..=end`.
fn counted(steps: &[(u64, &Step)], after: i64, end: u64) -> (Vec<Vec<u64>>, u64) {
    let (mut sums, mut other) = (vec![vec![0; 6]; 2], 0);
    for (reached, step) in steps {
        if *reached as i64 > after && *reached <= end {
            for (sums, counts) in sums.iter_mut().zip(&step.counts) {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
            other += step.other;
        }
    }
    (trimmed(sums), other)
}

/// The same, counted anew for each window.
fn expected(settings: &WindowSettings, start: u64, marks: &[Mark], steps: &[Step]) -> Vec<Seen> {
    let mut reached = start;
    let steps: Vec<(u64, &Step)> = steps
        .iter()
        .map(|step| {
            reached += step.intervals;
            (reached, step)
        })
        .collect();
    let stopped = marks.last().unwrap().end;
    let opened = marks[0].start;
    let mut seen = Vec::new();
    for (number, spec) in settings.specs.iter().enumerate() {
        let (length, slide) = (spec.length_nanos / EVERY, spec.slide_nanos / EVERY);
        let mut closed = 0;
        for end in (start + 1..=reached + slide).filter(|end| end.is_multiple_of(slide)) {
            let after = end as i64 - length as i64;
            let (sums, other) = counted(&steps, after, end);
            let is_batch_end = steps.iter().any(|(reached, _)| *reached == end);
            let has_news = counted(&steps, closed, end) != (Vec::new(), 0);
            let is_reported = if at(end) <= stopped {
                is_batch_end
                    || (end > start + steps[0].1.intervals && (&sums, other) != (&Vec::new(), 0))
            } else {
                has_news
            };
            if !is_reported {
                continue;
            }
            closed = end as i64;
            let is_comparable = after - length as i64 > start as i64 && at(end) <= stopped;
            let before = counted(&steps, after - length as i64, after.max(0) as u64).0;
            seen.push(Seen {
                spec: number,
                end,
                covered: (spec.start(at(end)).max(opened), at(end).min(stopped)),
                sums,
                other,
                before: is_comparable.then_some(before),
            });
        }
    }
    seen
}

fn step() -> impl Strategy<Value = Step> {
    let intervals = prop_oneof![12 => Just(1u64), 1 => 2..9u64, 1 => 20..90u64];
    let counts = prop_oneof![
        2 => vec(vec(prop_oneof![3 => Just(0u64), 2 => 1..9u64], 0..6), 2),
        1 => Just(vec![Vec::new(), Vec::new()]),
    ];
    (
        intervals,
        counts,
        prop_oneof![4 => Just(0u64), 1 => 1..5u64],
    )
        .prop_map(|(intervals, counts, other)| Step {
            intervals,
            counts,
            other,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..Default::default() })]

    #[test]
    fn runs_that_go_on_report_what_one_run_does(
        start in 0u64..40,
        steps in vec((step(), any::<bool>()), 1..60),
        lengths in vec((1u64..20, 1u64..20), 1..4),
        last_is_short: bool,
    ) {
        let specs = lengths.iter().map(|&(a, b)| spec(a.max(b), a.min(b))).collect();
        let settings = WindowSettings { specs, trending: Some(1), bytes_max: 1 << 20 };
        let (steps, restarts): (Vec<Step>, Vec<bool>) = steps.into_iter().unzip();
        let marks = marks(start, &steps, last_is_short);
        let one = reported(&settings, &marks, &steps, &[]);
        prop_assert_eq!(reported(&settings, &marks, &steps, &restarts), one);
    }

    #[test]
    fn a_window_is_the_sum_of_its_batches(
        start in 0u64..40,
        steps in vec(step(), 1..60),
        lengths in vec((1u64..20, 1u64..20), 1..4),
        last_is_short: bool,
    ) {
        let mut specs: Vec<WindowSpec> = lengths.iter().map(|&(a, b)| spec(a.max(b), a.min(b))).collect();
        specs.sort_by_key(|spec| (spec.length_nanos, spec.slide_nanos));
        specs.dedup();
        let settings = WindowSettings { specs, trending: Some(1), bytes_max: 1 << 20 };
        let marks = marks(start, &steps, last_is_short);
        let mut seen = reported(&settings, &marks, &steps, &[]);
        // Each spec's windows come in order; those of several specs in the order of the batches.
        seen.sort_by_key(|window| window.spec);
        prop_assert_eq!(seen, expected(&settings, start, &marks, &steps));
    }
}

#[test]
fn a_window_that_a_run_left_open_is_closed_by_a_later_one() {
    let settings = WindowSettings {
        specs: vec![spec(2, 2)],
        trending: None,
        bytes_max: 1 << 20,
    };
    let step = Step {
        intervals: 1,
        counts: vec![vec![3]],
        other: 0,
    };
    // Begins at a window's start, and is stopped in the middle of its second half.
    let mut marks = marks(10, &[step.clone(), step.clone()], false);
    marks[1].end = marks[1].end.minus_nanos(EVERY / 2);
    marks[1].last = true;
    let mut ring = KeptRing::default();
    let close = |windows: &mut Windows, mark: &Mark| {
        let mut seen = Vec::new();
        let batch = BatchCounts::of(step.counts.clone(), 0);
        let result = windows.close_batch(mark, &batch, |window| {
            let end = window.end.as_nanos() as u64 / EVERY;
            seen.push((end, window.sums.records(), window.is_final));
            Ok::<(), Infallible>(())
        });
        result.unwrap();
        seen
    };
    let mut windows = Windows::new(&settings, EVERY).kept(None);
    assert_eq!(close(&mut windows, &marks[0]), []);
    keep(&mut ring, windows.change().unwrap());
    assert_eq!(close(&mut windows, &marks[1]), [(12, 6, false)]);
    keep(&mut ring, windows.change().unwrap());
    ring.ended = marks[1].end;
    let later = |start: u64, end: u64| Mark {
        start: at(start),
        end: at(end),
        last: false,
        ..marks[1].clone()
    };
    let mut next = Windows::new(&settings, EVERY).kept(Some(ring.clone()));
    assert_eq!(close(&mut next, &later(20, 21)), [(12, 6, true)]);
    // Within the same slot it goes on with the window.
    let mut next = Windows::new(&settings, EVERY).kept(Some(ring));
    let rest = Mark {
        start: marks[1].end,
        ..later(11, 12)
    };
    assert_eq!(close(&mut next, &rest), [(12, 9, true)]);
}

#[test]
fn what_does_not_fit_is_told() {
    let settings = WindowSettings {
        specs: vec![spec(4, 2)],
        trending: None,
        bytes_max: 128,
    };
    let mut windows = Windows::new(&settings, EVERY).kept(None);
    let steps = [1, 1].map(|intervals| Step {
        intervals,
        counts: vec![vec![1, 2, 3], vec![4]],
        other: 0,
    });
    let mut ring = KeptRing::default();
    for (mark, step) in marks(10, &steps, false).iter().zip(&steps) {
        let batch = BatchCounts::of(step.counts.clone(), step.other);
        let result = windows.close_batch(mark, &batch, |_| Ok::<(), Infallible>(()));
        result.unwrap();
        keep(&mut ring, windows.change().unwrap());
    }
    let unfit = |specs: &[WindowSpec], bytes_max, now| {
        let specs = specs.to_vec();
        let settings = WindowSettings {
            specs,
            bytes_max,
            ..settings.clone()
        };
        ring.unfit(&settings, at(now)).unwrap_or_default()
    };
    assert_eq!(unfit(&[spec(3, 1)], 64, 12), "");
    let odd = WindowSpec::new(Duration::from_secs(7), Duration::from_secs(7)).unwrap();
    assert!(unfit(&[odd], 64, 12).contains("are of 5s, of which --window 7s is no multiple"));
    assert!(unfit(&[spec(4, 2)], 56, 12).contains("more than --window-bytes"));
    assert!(unfit(&[spec(4, 2)], 64, 11).contains("which is yet to come by the clock"));
}

/// One batch of these counts, in a ring with room for `entries` keys of it.
fn slot(counts: &[u64], entries: usize) -> Slot {
    let (even, odd) = counts.split_at(counts.len() / 2);
    let batch = BatchCounts::of(vec![even.to_vec(), odd.to_vec()], 1);
    Slot::new(at(1), &batch, entries)
}

#[test]
fn the_rarest_keys_of_a_batch_make_room() {
    let kept = |slot: &Slot| -> Vec<u32> {
        slot.shards
            .iter()
            .flatten()
            .map(|entry| entry.count)
            .collect()
    };
    let counts = [3, 0, 1, 5, 3, 1, 3];
    for (entries, expected) in [
        (9, &[3, 1, 5, 3, 1, 3][..]),
        (6, &[3, 1, 5, 3, 1, 3]),
        (5, &[3, 1, 5, 3, 3]),
        (4, &[3, 5, 3, 3]),
        (3, &[3, 5, 3]),
        (1, &[5]),
        (0, &[]),
    ] {
        let slot = slot(&counts, entries);
        assert_eq!(kept(&slot), expected, "{entries}");
        let sum: u64 = expected.iter().map(|&count| u64::from(count)).sum();
        assert_eq!(slot.records, 17);
        assert_eq!((sum + slot.other, slot.other - 1), (17, slot.crowded_out()));
    }
}

#[test]
fn a_count_may_be_larger_than_an_entry_holds() {
    let many = 3 * u64::from(u32::MAX) + 7;
    let slot = slot(&[0, many], 9);
    let mut sums = Sums::default();
    sums.add(&slot);
    assert_eq!(sums.shards[1], [many]);
    sums.subtract(&slot);
    assert_eq!((sums.records, &sums.shards[1][..]), (0, &[0][..]));
}
