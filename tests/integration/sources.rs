//! Several sources in one run, and sources that hand over connections, on virtual time: exact over
//! all of them, however little memory there is, and whatever becomes of one.

use std::io;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tallyline::clock::{Timestamp, VirtualClock};
use tallyline::error::Error;
use tallyline::oracle::Oracle;
use tallyline::pipeline::Settings;
use tallyline::source::{Read, Readiness, Script, ScriptEvent, Source, Streams};

use crate::support::{KeyCounts, Run, key, run_all, settings};

const START: Timestamp = Timestamp::from_millis(1_795_362_457_123);

/// A stream that always has its next piece, and how it ends.
#[derive(Clone, Debug)]
struct Pieces {
    bytes: Vec<u8>,
    piece: usize,
    torn: bool,
    is_over: bool,
}

impl Source for Pieces {
    fn name(&self) -> &str {
        "pieces"
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        if self.is_over {
            return Read::Finished;
        }
        let count = self.piece.min(self.bytes.len()).min(space.len());
        if count == 0 {
            self.is_over = true;
            return Read::StreamEnd { torn: self.torn };
        }
        space[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes.drain(..count);
        Read::Bytes(count)
    }
}

/// Hands over all its connections, one each time it is asked.
struct Crowd(Vec<Pieces>);

impl Source for Crowd {
    fn name(&self) -> &str {
        "crowd"
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, _: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        match self.0.pop() {
            Some(connection) => Read::Connection(Box::new(connection)),
            None => Read::Finished,
        }
    }

    fn connections_max(&self) -> usize {
        self.0.len()
    }
}

/// Fails with its name when its time comes.
struct Failing(Timestamp);

impl Source for Failing {
    fn name(&self) -> &str {
        "failing"
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, _: &mut [u8], _: &Readiness<'_>, now: Timestamp) -> Read {
        if now < self.0 {
            return Read::Nothing;
        }
        Read::Failed(Error::Source("lost failing: on purpose".to_owned()))
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.0)
    }
}

/// A line of about this many bytes with its end, of which the key is the number.
fn line(number: u8, bytes: usize) -> Vec<u8> {
    let head = format!("{{\"status\":{number}");
    let padding = bytes.saturating_sub(head.len() + 1);
    format!("{head}{}}}\n", " ".repeat(padding)).into_bytes()
}

/// Streams of short, long and too long lines; the last line may lack its end.
fn pieces() -> impl Strategy<Value = Pieces> {
    let shape = (0u8..6, prop_oneof![3 => 0usize..40, 1 => 40usize..400]);
    (
        vec(shape, 0..25),
        prop::bool::weighted(0.3),
        1usize..120,
        any::<bool>(),
        0usize..20,
    )
        .prop_map(|(lines, has_mark, piece, torn, cut)| {
            let mut bytes = if has_mark {
                b"\xEF\xBB\xBF".to_vec()
            } else {
                Vec::new()
            };
            bytes.extend(
                lines
                    .into_iter()
                    .flat_map(|(number, size)| line(number, size)),
            );
            bytes.truncate(bytes.len().saturating_sub(cut));
            Pieces {
                bytes,
                piece,
                torn,
                is_over: false,
            }
        })
}

/// What a counter must make of these streams, and the unfinished lines of those that broke off.
fn judge(settings: &Settings, streams: &[Pieces]) -> (Oracle, u64) {
    let mut oracle = Oracle::new(settings.query.clone(), settings.line_bytes_max);
    let mut torn_lines = 0;
    for stream in streams {
        let mut bytes = &stream.bytes[..];
        let last = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let is_line = bytes.len() > last && bytes != b"\xEF\xBB\xBF";
        if stream.torn && is_line {
            torn_lines += 1;
        }
        if stream.torn {
            bytes = &bytes[..last];
        }
        oracle.count(bytes);
    }
    (oracle, torn_lines)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn several_sources_and_connections_are_exact_in_the_least_memory(
        sources in vec(pieces(), 0..4),
        connections in vec(pieces(), 1..12),
        parsers in 1usize..=3,
        shards in 1usize..=2,
        chunk_bytes in 4usize..200,
        line_bytes_max in 8usize..300,
        more in 0usize..500,
    ) {
        let mut settings = Settings { parsers, shards, chunk_bytes, line_bytes_max, ..settings() };
        let streams: Vec<Pieces> = sources.iter().chain(&connections).cloned().collect();
        let (oracle, torn_lines) = judge(&settings, &streams);
        let mut all: Vec<Box<dyn Source>> = vec![Box::new(Crowd(connections))];
        all.extend(sources.into_iter().map(|source| Box::new(source) as Box<dyn Source>));
        settings.pool_bytes = settings.pool_bytes_min(Streams::of(&all)) + more;
        let run = run_all(settings, all, Arc::new(VirtualClock::new(START)), |_| {});
        prop_assert!(run.result.is_ok());
        prop_assert_eq!((run.ledger, run.counts), (oracle.ledger, oracle.counts));
        prop_assert_eq!(run.summary.torn_lines, torn_lines);
    }
}

/// A script of one line at so many milliseconds after the start.
fn script(ms: u64, text: &str) -> Box<dyn Source> {
    let at = START.plus_nanos(ms * 1_000_000);
    let event = ScriptEvent::Bytes(text.as_bytes().to_vec());
    Box::new(Script::new([(at, event)]))
}

/// Two scripts, and between their lines something that fails.
fn run_with_failing(fail_fast: bool) -> Run {
    let failing = Failing(START.plus_nanos(2_000_000));
    let sources = vec![
        script(1, "{\"status\":\"a\"}\n"),
        Box::new(failing),
        script(3, "{\"status\":\"b\"}\n"),
    ];
    let settings = Settings {
        fail_fast,
        ..settings()
    };
    run_all(
        settings,
        sources,
        Arc::new(VirtualClock::new(START)),
        |_| {},
    )
}

#[test]
fn a_source_that_fails_leaves_the_others_counting() {
    let run = run_with_failing(false);
    assert_eq!(run.counts, KeyCounts::from([(key("a"), 1), (key("b"), 1)]));
    let error = run.result.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.exit_status()),
        ("lost failing: on purpose", 1)
    );
}

#[test]
fn with_fail_fast_the_first_failure_ends_the_run() {
    let run = run_with_failing(true);
    assert_eq!(run.counts, KeyCounts::from([(key("a"), 1)]));
    assert_eq!(run.result.unwrap_err().exit_status(), 1);
}
