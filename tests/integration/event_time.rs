//! Windows by the records' own time: what is in them, what is late, and that every run gives the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tallyline::clock::{SystemClock, Timestamp, VirtualClock};
use tallyline::event::EventSettings;
use tallyline::pipeline::Settings;
use tallyline::record::time::TimeFormat;
use tallyline::record::{KeyPath, Query};
use tallyline::source::{Files, Script, ScriptEvent, Source};
use tallyline::window::{WindowSettings, WindowSpec};

use crate::cli::feed;
use crate::support::{KeyCounts, Run, key, run_all, settings, tallyline};

const SECOND: i64 = 1_000_000_000;

/// 2026-11-22 15:47:40 UTC, a whole multiple of 20 s.
const AT: i64 = 1_795_362_460;

/// A record of a key at so many seconds after [`AT`].
fn line(seconds: i64, key: &str) -> String {
    format!("{{\"ts\":{},\"status\":\"{key}\"}}\n", AT + seconds)
}

fn spec(length: u64, slide: u64) -> WindowSpec {
    WindowSpec::new(Duration::from_secs(length), Duration::from_secs(slide)).unwrap()
}

fn timed(specs: Vec<WindowSpec>, lateness: u64) -> Settings {
    let path = |text| KeyPath::parse(text).unwrap();
    let query = Query::from(path("status")).with_time(path("ts"), TimeFormat::Auto);
    let settings = settings();
    Settings {
        query: query.unwrap(),
        windows: WindowSettings {
            specs,
            ..settings.windows
        },
        event: EventSettings {
            lateness_nanos: lateness * SECOND as u64,
            ..EventSettings::default()
        },
        ..settings
    }
}

/// Each window's counts by the end of the window, in seconds after [`AT`].
fn windows(run: &Run) -> Vec<(i64, KeyCounts)> {
    let windows = run.windows.iter();
    windows
        .map(|window| (window.end.as_nanos() / SECOND - AT, window.counts.clone()))
        .collect()
}

fn counts(expected: &[(&str, u64)]) -> KeyCounts {
    expected
        .iter()
        .map(|&(text, count)| (key(text), count))
        .collect()
}

fn script(events: &[(u64, String)]) -> Box<dyn Source> {
    let start = Timestamp::from_millis(1_000_000_000_000);
    Box::new(Script::new(events.iter().map(|(seconds, text)| {
        let at = start.plus_nanos(seconds * SECOND as u64);
        (at, ScriptEvent::Bytes(text.clone().into_bytes()))
    })))
}

/// Runs scripts that begin at the same time, on virtual time, in batches of 5 s.
fn run_scripts(settings: Settings, scripts: Vec<Box<dyn Source>>) -> Run {
    let clock = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000_000_000)));
    run_all(settings, scripts, clock, |_| {})
}

#[test]
fn records_are_counted_in_their_windows_and_late_ones_in_the_ledger() {
    for parsers in [1, 3] {
        let settings = Settings {
            parsers,
            ..timed(vec![spec(20, 10)], 5)
        };
        let events = [
            (0, line(1, "a") + &line(12, "b") + &line(14, "a")),
            // The watermark is at 9; then at 31.
            (5, line(36, "a") + &line(3, "b")),
            // Late: 9 (10 and 20 are closed). In time for the window that ends at 40: 29.
            (10, line(9, "a") + &line(29, "a")),
            (15, line(41, "c")),
        ];
        let run = run_scripts(settings, vec![script(&events)]);
        assert_eq!(
            windows(&run),
            [
                (10, counts(&[("a", 1), ("b", 1)])),
                (20, counts(&[("a", 2), ("b", 2)])),
                (30, counts(&[("a", 1), ("b", 1)])),
                (40, counts(&[("a", 2)])),
                (50, counts(&[("a", 1), ("c", 1)])),
                (60, counts(&[("c", 1)])),
            ]
        );
        assert_eq!((run.ledger.counted, run.ledger.late), (7, 1));
        assert_eq!(run.counts, counts(&[("a", 4), ("b", 2), ("c", 1)]));
        assert!(run.windows.iter().all(|window| window.is_final));
    }
}

#[test]
fn a_record_without_a_time_is_missing() {
    let text = line(1, "a")
        + "{\"status\":\"a\"}\n{\"status\":\"a\",\"ts\":\"soon\"}\n{\"status\":\"a\",\"ts\":{}}\n\
           {\"status\":\"a\",\"ts\":\"1066-10-14T09:00:00Z\"}\n{\"ts\":1795362460}\n";
    let run = run_scripts(timed(vec![spec(10, 10)], 0), vec![script(&[(0, text)])]);
    assert_eq!((run.ledger.counted, run.ledger.missing), (1, 5));
}

#[test]
fn the_slower_of_two_sources_holds_windows_open_until_it_is_idle() {
    let settings = Settings {
        event: EventSettings {
            idle_nanos: 60 * SECOND as u64,
            ..EventSettings::default()
        },
        ..timed(vec![spec(10, 10)], 0)
    };
    let fast: Vec<(u64, String)> = (0..40)
        .map(|n| (5 * n, line(10 * n as i64, "fast")))
        .collect();
    // Silent between 20 s and 150 s.
    let slow = [
        (0, line(0, "slow")),
        (20, line(5, "slow")),
        (150, line(30, "slow") + &line(390, "slow")),
    ];
    let run = run_scripts(settings, vec![script(&fast), script(&slow)]);
    let slow_counts: BTreeMap<i64, u64> = windows(&run)
        .into_iter()
        .filter_map(|(end, counts)| Some((end, *counts.get(&key("slow"))?)))
        .collect();
    // Its records of 0 and 5 are in time, though the fast one is far ahead; the one of 30 came after it
    // had been given up.
    assert_eq!(slow_counts, BTreeMap::from([(10, 2), (400, 1)]));
    assert_eq!((run.ledger.counted, run.ledger.late), (43, 1));
    let ends: Vec<i64> = windows(&run).into_iter().map(|(end, _)| end).collect();
    assert!(ends.is_sorted() && ends.len() == 40);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..Default::default() })]

    #[test]
    fn each_record_is_in_all_its_windows_whatever_the_threads(
        records in vec((0u64..3000, 0i64..40, 0u8..4), 1..60),
        lengths in vec((1u64..30, 1u64..30), 1..3),
        (parsers, shards) in (1usize..4, 1usize..4),
    ) {
        let specs: Vec<WindowSpec> = lengths.iter().map(|&(a, b)| spec(a.max(b), a.min(b))).collect();
        let settings = Settings { parsers, shards, ..timed(specs.clone(), 3600) };
        let mut now = 0;
        let events: Vec<(u64, String)> = records.iter().map(|&(millis, seconds, status)| {
            now += millis;
            (now / 1000, line(seconds, &format!("s{status}")))
        }).collect();
        let run = run_scripts(settings, vec![script(&events)]);
        let mut expected: BTreeMap<(Timestamp, u64, u64), KeyCounts> = BTreeMap::new();
        for &(_, seconds, status) in &records {
            for spec in &specs {
                let at = AT + seconds;
                let slide = (spec.slide_nanos / SECOND as u64) as i64;
                let length = (spec.length_nanos / SECOND as u64) as i64;
                for end in (at + 1..=at + length).filter(|end| end % slide == 0) {
                    let end = Timestamp::from_nanos(end * SECOND);
                    let counts = expected.entry((end, spec.length_nanos, spec.slide_nanos)).or_default();
                    *counts.entry(key(&format!("s{status}"))).or_default() += 1;
                }
            }
        }
        if specs.len() == 2 && specs[0] == specs[1] {
            // Each of two equal windows is reported.
            for counts in expected.values_mut().flat_map(BTreeMap::values_mut) {
                *counts *= 2;
            }
        }
        let mut seen: BTreeMap<(Timestamp, u64, u64), KeyCounts> = BTreeMap::new();
        for window in &run.windows {
            let spec = window.spec;
            let counts = seen.entry((window.end, spec.length_nanos, spec.slide_nanos)).or_default();
            for (key, count) in &window.counts {
                *counts.entry(key.clone()).or_default() += count;
            }
        }
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(run.ledger.late, 0);
        prop_assert!(run.windows.is_sorted_by_key(|window| window.end));
    }
}

/// Lines of a stream whose disorder makes some late, longer than a few batches of recorded input.
fn disordered(lines: u64, seed: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut text = String::new();
    for n in 0..lines {
        let back = if rng.u8(..) < 3 {
            20_000_000
        } else {
            rng.u64(..50_000)
        };
        let micros = (AT as u64 * 1_000_000 + n * 20).saturating_sub(back);
        let key = rng.u32(..50);
        writeln!(
            text,
            "{{\"ts\":{micros},\"pad\":\"{:0100}\",\"status\":\"k{key}\"}}",
            n
        )
        .unwrap();
    }
    text
}

#[test]
fn recorded_input_gives_the_same_windows_in_every_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recorded.jsonl");
    // 77 MB: three batches.
    fs::write(&path, disordered(500_000, 7)).unwrap();
    let run = |parsers: &str, shards: &str| {
        let output = tallyline(&[
            "count",
            path.to_str().unwrap(),
            "--by",
            "status",
            "--event-time",
            "ts",
            "--window",
            "2s/1s",
            "--every",
            "10ms",
            "--output",
            "json",
            "--parsers",
            parsers,
            "--shards",
            shards,
            "-q",
        ])
        .output()
        .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let first = run("1", "1");
    assert_eq!(run("3", "2"), first);
    assert_eq!(run("2", "1"), first);
    let totals: serde_json::Value = serde_json::from_str(first.lines().last().unwrap()).unwrap();
    let ledger = &totals["ledger"];
    assert!(ledger["late"].as_u64().unwrap() > 1000, "{ledger}");
    let late_and_counted = ledger["late"].as_u64().unwrap() + ledger["counted"].as_u64().unwrap();
    assert_eq!(late_and_counted, 500_000);
    assert!(first.lines().count() > 10);
    assert!(!first.contains("\"type\":\"batch\""));
}

#[test]
fn of_several_files_none_is_late_for_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for seed in 0..3 {
        let path = folder.path().join(format!("{seed}.jsonl"));
        let lines: String = (0..400_000).map(|n| line(n / 1000, "a")).collect();
        fs::write(&path, lines).unwrap();
        paths.push(path);
    }
    let source = Box::new(Files::new(paths, true));
    let clock = Arc::new(SystemClock);
    let run = run_all(timed(vec![spec(20, 20)], 0), vec![source], clock, |_| {});
    assert_eq!((run.ledger.counted, run.ledger.late), (1_200_000, 0));
    let expected = (1..=20).map(|n| (20 * n, counts(&[("a", 60_000)])));
    assert_eq!(windows(&run), expected.collect::<Vec<_>>());
}

#[test]
fn open_windows_are_reported_if_wanted_and_times_may_be_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    let text = "{\"time\":\"22/Nov/2026:16:47:41 +0100\",\"path\":\"/\"}\n\
                {\"time\":\"22/Nov/2026:15:47:49 +0000\",\"path\":\"/\"}\n\
                {\"time\":\"22/Nov/2026:15:47:52 +0000\",\"path\":\"/a\"}\n";
    fs::write(&path, text).unwrap();
    let format = "--event-time-format=%d/%b/%Y:%H:%M:%S %z";
    let args = [
        "count",
        path.to_str().unwrap(),
        "--by",
        "path",
        "--event-time",
        "time",
        format,
        "--window",
        "10s",
    ];
    let run = |more: &[&str]| {
        let output = tallyline(&[&args[..], more].concat()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let span = |end: &str, counts: &str| {
        let start = end.replace("50", "40").replace(":48:00", ":47:50");
        format!(
            "{{\"type\":\"window\",\"length_ms\":10000,\"slide_ms\":10000,\"start\":\"{start}\",\"end\":\"{end}\",\"final\":true,\"counts\":[{counts}]}}\n"
        )
    };
    let ledger = "\"ledger\":{\"lines\":3,\"counted\":3,\"missing\":0,\"filtered\":0,\"malformed\":0,\"oversize\":0,\"blank\":0,\"late\":0}";
    assert_eq!(
        run(&["--output", "json"]),
        span("2026-11-22T15:47:50.000Z", "{\"key\":\"/\",\"count\":2}")
            + &span("2026-11-22T15:48:00.000Z", "{\"key\":\"/a\",\"count\":1}")
            + &format!(
                "{{\"type\":\"totals\",{ledger},\"counts\":[{{\"key\":\"/\",\"total\":2}},{{\"key\":\"/a\",\"total\":1}}]}}\n"
            )
    );
    let fed = feed(
        &[
            "count",
            "-",
            "--by",
            "path",
            "--event-time",
            "time",
            format,
            "--window",
            "10s",
            "--output",
            "csv",
        ],
        text.into(),
    );
    assert_eq!(
        String::from_utf8(fed.stdout).unwrap(),
        "type,batch,start,end,key,key_type,count,total\n\
         window,,2026-11-22T15:47:40.000Z,2026-11-22T15:47:50.000Z,/,string,2,\n\
         window,,2026-11-22T15:47:50.000Z,2026-11-22T15:48:00.000Z,/a,string,1,\n\
         totals,,,2026-11-22T15:47:52.000Z,/,string,,2\n\
         totals,,,2026-11-22T15:47:52.000Z,/a,string,,1\n"
    );
}
