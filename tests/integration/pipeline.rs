//! The pipeline on virtual time, against the oracle: any lines, cut anywhere, on any number of
//! threads, in batches of any length.

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;
use proptest::collection::vec;
use proptest::prelude::*;
use tallyline::clock::{Timestamp, VirtualClock};
use tallyline::ledger::Ledger;
use tallyline::oracle::Oracle;
use tallyline::pipeline::Settings;
use tallyline::record::{KeyPath, Query, samples};
use tallyline::source::{Script, ScriptEvent, Streams};

use crate::support::{KeyCounts, Run, key, run, run_script, settings};

const MILLI: u64 = 1_000_000;

/// 2026-11-22 15:47:37.123 UTC: no multiple of any interval here.
const START: Timestamp = Timestamp::from_millis(1_795_362_457_123);

/// One line without its end.
#[derive(Clone, Debug)]
enum Line {
    /// An order with this key, as it stands in JSON.
    Order(&'static str),
    /// A random record by this seed.
    Record(u64),
    /// A random record, damaged.
    Damaged(u64),
    Corner(prop::sample::Index),
    Blank(&'static str),
    /// A record about as long as the longest line allowed: so much of it, in tenths.
    Long(usize),
}

impl Line {
    fn bytes(&self, line_bytes_max: usize) -> Vec<u8> {
        match self {
            Line::Order(key) => format!(r#"{{"id":7,"status":{key}}}"#).into_bytes(),
            Line::Record(seed) => samples::record(&mut Rng::with_seed(*seed)),
            Line::Damaged(seed) => {
                let mut rng = Rng::with_seed(*seed);
                let mut line = samples::record(&mut rng);
                samples::mutate(&mut rng, &mut line);
                line
            }
            Line::Corner(index) => {
                let mut corners = samples::corner_cases();
                corners.retain(|line| line.len() < 300 && !line.contains(&b'\n'));
                index.get(&corners).clone()
            }
            Line::Blank(blank) => blank.as_bytes().to_vec(),
            Line::Long(tenths) => {
                let padding = " ".repeat((line_bytes_max * tenths / 10).saturating_sub(20));
                format!(r#"{{"status":"long"{padding}}}"#).into_bytes()
            }
        }
    }
}

fn line() -> impl Strategy<Value = Line> {
    let keys = &[
        r#""PLACED""#,
        r#""SHIPPED""#,
        "1",
        "1.0",
        "-0.1e+400",
        r#""1""#,
        "true",
        r#""true""#,
        "null",
        r#""null""#,
        r#""""#,
        r#""pl\u0061ced""#,
        "[]",
        "{}",
        "01",
    ][..];
    prop_oneof![
        6 => prop::sample::select(keys).prop_map(Line::Order),
        2 => any::<u64>().prop_map(Line::Record),
        1 => any::<u64>().prop_map(Line::Damaged),
        1 => any::<prop::sample::Index>().prop_map(Line::Corner),
        1 => prop::sample::select(&["", " ", "\t \r", "\r"][..]).prop_map(Line::Blank),
        1 => (5usize..40).prop_map(Line::Long),
    ]
}

/// A stream of the source: lines and their ends, and how it ends itself.
#[derive(Clone, Debug)]
struct Stream {
    has_mark: bool,
    lines: Vec<(Line, bool)>,
    has_last_newline: bool,
    torn: bool,
}

impl Stream {
    fn bytes(&self, line_bytes_max: usize) -> Vec<u8> {
        let mut bytes = if self.has_mark {
            b"\xEF\xBB\xBF".to_vec()
        } else {
            Vec::new()
        };
        for (i, (line, has_return)) in self.lines.iter().enumerate() {
            bytes.extend(line.bytes(line_bytes_max));
            let is_last = i + 1 == self.lines.len();
            if !is_last || self.has_last_newline {
                bytes.extend_from_slice(if *has_return { b"\r\n" } else { b"\n" });
            }
        }
        bytes
    }
}

fn stream() -> impl Strategy<Value = Stream> {
    let lines = vec((line(), prop::bool::weighted(0.2)), 0..60);
    (
        prop::bool::weighted(0.3),
        lines,
        any::<bool>(),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(has_mark, lines, has_last_newline, torn)| Stream {
            has_mark,
            lines,
            has_last_newline,
            torn,
        })
}

/// Sizes and delays in milliseconds of the pieces in which bytes arrive, used in turn.
fn pieces() -> impl Strategy<Value = Vec<(usize, u64)>> {
    vec(
        (1usize..80, prop_oneof![5 => Just(0), 1 => 1u64..400]),
        1..30,
    )
}

/// Queries that need no windows.
fn untimed_queries() -> Vec<Query> {
    let mut queries = samples::queries();
    queries.retain(|query| query.time().is_none());
    queries
}

fn small_settings() -> impl Strategy<Value = Settings> {
    (
        1usize..=4,
        1usize..=4,
        10u64..2000,
        4usize..200,
        16usize..300,
        0usize..1000,
        prop_oneof![
            2 => Just(settings().query),
            1 => proptest::sample::select(untimed_queries()),
        ],
    )
        .prop_map(
            |(parsers, shards, every_ms, chunk_bytes, line_bytes_max, more, query)| {
                let mut settings = Settings {
                    query,
                    parsers,
                    shards,
                    every_nanos: every_ms * MILLI,
                    chunk_bytes,
                    line_bytes_max,
                    ..settings()
                };
                settings.pool_bytes = settings.pool_bytes_min(Streams::ONE) + more;
                settings
            },
        )
}

/// A script, and what a counter must make of it.
struct Scripted {
    events: Vec<(Timestamp, ScriptEvent)>,
    /// When each line was whole, and the line.
    lines: Vec<(Timestamp, Vec<u8>)>,
    torn_lines: u64,
    end: Timestamp,
    bytes: Vec<Vec<u8>>,
}

/// Lays the streams out in time, in pieces.
fn script(streams: &[Stream], pieces: &[(usize, u64)], line_bytes_max: usize) -> Scripted {
    let mut scripted = Scripted {
        events: Vec::new(),
        lines: Vec::new(),
        torn_lines: 0,
        end: START,
        bytes: Vec::new(),
    };
    let mut pieces = pieces.iter().cycle();
    for (i, stream) in streams.iter().enumerate() {
        let bytes = stream.bytes(line_bytes_max);
        // When each byte arrives.
        let mut times = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (size, delay_ms) = pieces.next().unwrap();
            scripted.end = scripted.end.plus_nanos(delay_ms * MILLI);
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            scripted
                .events
                .push((scripted.end, ScriptEvent::Bytes(piece.to_vec())));
            times.resize(times.len() + piece.len(), scripted.end);
            rest = behind;
        }
        // The script itself ends the last stream, in good order.
        let torn = stream.torn && i + 1 < streams.len();
        if i + 1 < streams.len() {
            let (_, delay_ms) = pieces.next().unwrap();
            scripted.end = scripted.end.plus_nanos(delay_ms * MILLI);
            scripted
                .events
                .push((scripted.end, ScriptEvent::StreamEnd { torn }));
        }
        let mark = if bytes.starts_with(b"\xEF\xBB\xBF") {
            3
        } else {
            0
        };
        let mut from = mark;
        for (at, _) in bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'\n') {
            scripted.lines.push((times[at], bytes[from..at].to_vec()));
            from = at + 1;
        }
        let mut kept = bytes.clone();
        if from < bytes.len() && torn {
            scripted.torn_lines += 1;
            kept.truncate(from);
        } else if from < bytes.len() {
            scripted.lines.push((scripted.end, bytes[from..].to_vec()));
        }
        scripted.bytes.push(kept);
    }
    scripted
}

/// The boundaries of the batch interval after the start, up to and with `end`.
fn boundaries(every_nanos: u64, end: Timestamp) -> Vec<Timestamp> {
    let every = every_nanos as i64;
    let first = (START.as_nanos() / every + 1) * every;
    (first..=end.as_nanos())
        .step_by(every_nanos as usize)
        .map(Timestamp::from_nanos)
        .collect()
}

/// Ledger and counts of these lines, by the oracle's verdicts.
fn judge(oracle: &Oracle, lines: &[&[u8]]) -> (Ledger, KeyCounts) {
    let (mut ledger, mut counts) = (Ledger::default(), KeyCounts::new());
    for line in lines {
        ledger.lines += 1;
        match oracle.verdict(line) {
            Ok(key) => {
                ledger.counted += 1;
                ledger.unsummed += u64::from(oracle.lacks_number(line));
                *counts.entry(key).or_default() += 1;
            }
            Err(reason) => ledger.drop_line(reason),
        }
    }
    (ledger, counts)
}

fn check(settings: Settings, scripted: Scripted) -> Run {
    let mut oracle = Oracle::new(settings.query.clone(), settings.line_bytes_max);
    for bytes in &scripted.bytes {
        oracle.count(bytes);
    }
    let boundaries = boundaries(settings.every_nanos, scripted.end);
    let run = run_script(settings, START, scripted.events);

    assert!(run.result.is_ok(), "{:?}", run.result);
    assert_eq!(
        (run.ledger, &run.counts),
        (oracle.ledger, &oracle.counts),
        "pipeline, oracle"
    );
    let sums = oracle.sums.iter();
    let sums = sums.map(|(key, sum)| (key.clone(), sum.to_string()));
    assert_eq!(run.sums, sums.collect(), "pipeline, oracle");
    assert_eq!(run.summary.torn_lines, scripted.torn_lines);
    assert_eq!(run.summary.keys, run.counts.len() as u64);

    let ends: Vec<Timestamp> = run.batches.iter().map(|batch| batch.end).collect();
    let expected: Vec<Timestamp> = boundaries.iter().copied().chain([scripted.end]).collect();
    assert_eq!(ends, expected, "the batches' ends");
    assert_eq!(run.batches[0].start, START);
    let batch_of = |at: &Timestamp| boundaries.partition_point(|boundary| boundary <= at);
    for (number, batch) in run.batches.iter().enumerate() {
        let lines = scripted
            .lines
            .iter()
            .filter(|(at, _)| batch_of(at) == number);
        let lines: Vec<&[u8]> = lines.map(|(_, line)| &line[..]).collect();
        let expected = judge(&oracle, &lines);
        assert_eq!(
            (batch.ledger, batch.counts.clone()),
            expected,
            "batch {}, oracle",
            number + 1
        );
    }
    run
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn equals_the_oracle_batch_by_batch_however_cut_and_on_any_number_of_threads(
        streams in vec(stream(), 1..4),
        pieces in pieces(),
        settings in small_settings(),
    ) {
        let scripted = script(&streams, &pieces, settings.line_bytes_max);
        check(settings, scripted);
    }

    #[test]
    fn past_the_key_limit_totals_stay_right(
        numbers in vec(0u32..60, 0..300),
        keys_max in 1u64..50,
        settings in small_settings(),
        piece in 1usize..200,
    ) {
        let keys: BTreeSet<u32> = numbers.iter().copied().collect();
        let lines: String = numbers.iter().map(|n| format!("{{\"status\":{n}}}\n")).collect();
        let by = KeyPath::parse("status").unwrap();
        let mut oracle = Oracle::new(by, settings.line_bytes_max);
        oracle.count(lines.as_bytes());
        let events = lines.as_bytes().chunks(piece);
        let events = events.map(|bytes| (START, ScriptEvent::Bytes(bytes.to_vec()))).collect();
        let query = Query::from(KeyPath::parse("status").unwrap());
        let mut run = run_script(Settings { query, keys_max, ..settings }, START, events);

        assert_eq!(run.ledger, oracle.ledger);
        let other = run.counts.remove(&key("_other")).unwrap_or(0);
        assert_eq!(run.counts.len() as u64, keys_max.min(keys.len() as u64));
        assert_eq!(other > 0, keys.len() as u64 > keys_max);
        // A key that got in was counted from its first record on.
        for (key, count) in &run.counts {
            assert_eq!(count, &oracle.counts[key], "{key:?}");
        }
        assert_eq!(run.counts.values().sum::<u64>() + other, oracle.ledger.counted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn boundaries_that_come_in_the_middle_of_anything_change_no_count(
        streams in vec(stream(), 1..4),
        pieces in pieces(),
        settings in small_settings(),
        // Looks at the clock in a batch.
        looks in 2u64..40,
    ) {
        let scripted = script(&streams, &pieces, settings.line_bytes_max);
        let mut oracle = Oracle::new(settings.query.clone(), settings.line_bytes_max);
        for bytes in &scripted.bytes {
            oracle.count(bytes);
        }
        let clock = VirtualClock::running(START, (settings.every_nanos / looks) as i64);
        let source = Box::new(Script::new(scripted.events));
        let run = run(settings, source, Arc::new(clock), |_| {});
        prop_assert!(run.result.is_ok());
        prop_assert_eq!((run.ledger, run.counts), (oracle.ledger, oracle.counts));
        prop_assert_eq!(run.summary.torn_lines, scripted.torn_lines);
    }
}

/// An event that brings text at so many milliseconds after [`START`].
fn text(ms: u64, text: &str) -> (Timestamp, ScriptEvent) {
    (
        START.plus_nanos(ms * MILLI),
        ScriptEvent::Bytes(text.as_bytes().to_vec()),
    )
}

#[test]
fn a_record_split_at_every_byte_is_one_record() {
    let record = "{\"id\":1,\"status\":\"größe\"}\r\n";
    let mut events = Vec::new();
    for at in 0..=record.len() {
        let (head, tail) = record.as_bytes().split_at(at);
        for piece in [head, tail] {
            let ms = events.len() as u64 * 700;
            events.push((
                START.plus_nanos(ms * MILLI),
                ScriptEvent::Bytes(piece.to_vec()),
            ));
        }
    }
    let lines = record.len() as u64 + 1;
    let run = run_script(settings(), START, events);
    assert_eq!(run.counts, KeyCounts::from([(key("größe"), lines)]));
    assert_eq!(run.ledger.lines, lines);
}

#[test]
fn totals_keep_other_records_of_batches_before_one_with_all_keys() {
    let other = "{\"status\":\"_other\"}\n";
    let events = vec![text(0, other), text(6_000, "{\"status\":\"a\"}\n")];
    let run = run_script(settings(), START, events);
    assert_eq!(run.counts, [(key("_other"), 1), (key("a"), 1)].into());
}

#[test]
fn a_stream_without_a_line_still_has_its_batches() {
    let end = START.plus_nanos(12_000 * MILLI);
    let run = run_script(
        settings(),
        START,
        vec![(end, ScriptEvent::StreamEnd { torn: false })],
    );
    assert!(run.result.is_ok());
    assert_eq!(run.ledger, Ledger::default());
    assert_eq!(run.summary.bytes, 0);
    let seconds: Vec<i64> = run
        .batches
        .iter()
        .map(|batch| batch.end.as_nanos() / 1_000_000)
        .collect();
    assert_eq!(
        seconds,
        [1_795_362_460_000, 1_795_362_465_000, 1_795_362_469_123],
        "the first is short, boundaries are multiples of 5 s, the last ends with the stream"
    );
    assert!(run.batches.iter().all(|batch| batch.counts.is_empty()));
}

#[test]
fn a_stream_that_ends_at_once_has_one_batch() {
    let run = run_script(settings(), START, Vec::new());
    assert_eq!(run.batches.len(), 1);
    assert_eq!((run.batches[0].start, run.batches[0].end), (START, START));
}

#[test]
fn a_line_that_ends_on_the_boundary_belongs_to_the_next_batch() {
    let line = "{\"status\":1}\n";
    // The first boundary is 2,877 ms after the start.
    let events = vec![
        text(2876, line),
        text(2877, line),
        text(2877, line),
        text(2878, line),
    ];
    let run = run_script(settings(), START, events);
    let lines: Vec<u64> = run.batches.iter().map(|batch| batch.ledger.lines).collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn a_line_belongs_to_the_batch_of_its_last_byte() {
    let events = vec![
        text(0, "{\"status\":1}\n{\"sta"),
        text(4000, "tus\":2}"),
        text(9000, "\n{}"),
    ];
    let run = run_script(settings(), START, events);
    let lines: Vec<u64> = run.batches.iter().map(|batch| batch.ledger.lines).collect();
    assert_eq!(lines, [1, 0, 2]);
}

#[test]
fn a_key_called_other_is_one_row_with_the_keys_beyond_the_limit() {
    let lines = "{\"status\":\"_other\"}\n{\"status\":\"a\"}\n{\"status\":\"b\"}\n";
    let one = Settings {
        parsers: 1,
        shards: 1,
        keys_max: 1,
        ..settings()
    };
    let run = run_script(one, START, vec![text(0, lines)]);
    assert_eq!(
        run.counts,
        KeyCounts::from([(key("_other"), 2), (key("a"), 1)])
    );
}

#[test]
fn long_lines_and_long_keys_fit_the_least_pool() {
    let mut small = Settings {
        parsers: 4,
        shards: 3,
        chunk_bytes: 1024,
        line_bytes_max: 1 << 20,
        ..settings()
    };
    small.pool_bytes = small.pool_bytes_min(Streams::ONE);
    let wrapping = r#"{"status":""}"#.len();
    let longest = "k".repeat((1 << 20) - wrapping);
    let lines: String = [
        65_536,
        0,
        longest.len(),
        1,
        longest.len() + 1,
        longest.len(),
    ]
    .map(|length| format!("{{\"status\":\"{}\"}}\n", &"k".repeat(length)))
    .concat();
    let events = lines.as_bytes().chunks(100_000);
    let events = events
        .map(|bytes| (START, ScriptEvent::Bytes(bytes.to_vec())))
        .collect();
    let run = run_script(small, START, events);
    assert_eq!((run.ledger.counted, run.ledger.oversize), (5, 1));
    let count = |length: usize| run.counts[&key(&"k".repeat(length))];
    assert_eq!([65_536, 0, longest.len(), 1].map(count), [1, 1, 2, 1]);
}

#[test]
fn only_the_path_counts() {
    let lines = "{\"a\":{\"b\":[\"x\",\"y\"]},\"b\":\"z\"}\n{\"a\":{\"c\":1}}\n{\"a\":{\"b\":{\"1\":\"w\"}}}\n";
    for (path, keys) in [
        ("a.b[1]", &["y"][..]),
        ("a.b.1", &["w"]),
        ("/a/b/1", &["w", "y"]),
    ] {
        let query = Query::from(KeyPath::parse(path).unwrap());
        let mut oracle = Oracle::new(query.clone(), 1000);
        oracle.count(lines.as_bytes());
        let settings = Settings {
            query,
            ..settings()
        };
        let run = run_script(settings, START, vec![text(0, lines)]);
        assert_eq!(
            run.counts,
            keys.iter().map(|text| (key(text), 1)).collect(),
            "{path}"
        );
        assert_eq!(
            (run.ledger, run.counts),
            (oracle.ledger, oracle.counts),
            "{path}"
        );
    }
}
