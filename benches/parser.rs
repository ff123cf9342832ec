//! One parser thread, in memory: lines in, keys out, on records of two sizes.
//!
//! *orders* are lines of 71 bytes with two strings, *wide* are nested orders of 574 bytes, each on
//! average and with the newline; the key is `status`, of four values, all equally frequent.
//!
//! Beside the parser stand, line by line, as yardsticks: a bare simd-json tape with its buffers
//! reused, which is what the reference parser can reach at best; a typed `from_slice` of serde_json
//! and of sonic-rs; and sonic-rs' lazy `get`. All keep to weaker rules than ours: the tape refuses
//! large numbers, the typed ones let lone surrogates pass in what they skip, and `get` does not
//! look behind the first match.
//!
//! `TALLYLINE_BENCH_TINY=1` runs the same on little data in seconds.

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use memchr::memchr_iter;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use simd_json::prelude::*;
use simd_json::{Buffers, Tape, fill_tape_padded};
use tallyline::decimal::Decimal;
use tallyline::key::KeyRef;
use tallyline::ledger::Reason;
use tallyline::record::{KeyPath, LineSink, RecordParser};

#[path = "common/orders.rs"]
mod orders;

use orders::{STATUSES, order, wide_order};

const SEED: u64 = 20_261_123;

/// How often each status was seen, in the order of [`STATUSES`].
type Counts = [u64; 4];

struct Stream {
    bytes: Vec<u8>,
    lines: u64,
    /// The answer, known from making the lines.
    counts: Counts,
}

/// Counts `lines` lines that `write_line` writes, each with a newline and the status it is given.
fn stream(lines: u64, write_line: fn(&mut Rng, &mut String, &str)) -> Stream {
    let mut rng = Rng::with_seed(SEED);
    let mut text = String::new();
    let mut counts = Counts::default();
    for _ in 0..lines {
        let status = rng.usize(..4);
        counts[status] += 1;
        write_line(&mut rng, &mut text, STATUSES[status]);
        text.push('\n');
    }
    Stream {
        bytes: text.into_bytes(),
        lines,
        counts,
    }
}

/// Which status this is.
fn status_index(status: &[u8]) -> Option<usize> {
    STATUSES.iter().position(|s| s.as_bytes() == status)
}

struct CountingSink {
    counts: Counts,
    dropped: u64,
}

impl LineSink for CountingSink {
    #[inline]
    fn counted(&mut self, key: KeyRef<'_>) {
        match status_index(key.bytes) {
            Some(i) => self.counts[i] += 1,
            None => self.dropped += 1,
        }
    }

    fn summed(&mut self, key: KeyRef<'_>, _number: Option<Decimal>) {
        self.counted(key);
    }

    fn timed(&mut self, key: KeyRef<'_>, _nanos: i64) {
        self.counted(key);
    }

    fn dropped(&mut self, _reason: Reason, _line: &[u8]) {
        self.dropped += 1;
    }
}

fn tallyline(parser: &mut RecordParser, bytes: &[u8]) -> Counts {
    let mut sink = CountingSink {
        counts: Counts::default(),
        dropped: 0,
    };
    parser.chunk(bytes, &mut sink);
    assert_eq!(sink.dropped, 0);
    sink.counts
}

/// Calls `status_of` with each line and counts what comes back.
fn line_by_line<'a>(
    bytes: &'a [u8],
    mut status_of: impl FnMut(&'a [u8]) -> Option<Cow<'a, str>>,
) -> Counts {
    let mut counts = Counts::default();
    let mut start = 0;
    for end in memchr_iter(b'\n', bytes) {
        let status = status_of(&bytes[start..end]);
        let status = status.expect("every line has a status");
        counts[status_index(status.as_bytes()).expect("one of the four")] += 1;
        start = end + 1;
    }
    counts
}

/// A record of which one member is wanted, as `#[derive(Deserialize)]` would read it.
struct Order<'a> {
    status: Cow<'a, str>,
}

impl<'de> Deserialize<'de> for Order<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        /// A string, borrowed where it has no escapes.
        struct Text<'a>(Cow<'a, str>);

        impl<'de> Deserialize<'de> for Text<'de> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Borrow;

                impl<'de> Visitor<'de> for Borrow {
                    type Value = Text<'de>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                        Ok(Text(text.into()))
                    }

                    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                        Ok(Text(text.to_owned().into()))
                    }
                }

                deserializer.deserialize_str(Borrow)
            }
        }

        impl<'de> Visitor<'de> for Fields {
            type Value = Order<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an order")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Order<'de>, A::Error> {
                let mut status = Cow::Borrowed("");
                while let Some(Text(name)) = map.next_key()? {
                    if name == "status" {
                        status = map.next_value::<Text<'de>>()?.0;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Order { status })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

fn serde_json_typed(bytes: &[u8]) -> Counts {
    line_by_line(bytes, |line| {
        let order: Order<'_> = serde_json::from_slice(line).ok()?;
        Some(order.status)
    })
}

fn simd_json_tape(bytes: &[u8]) -> Counts {
    let mut counts = Counts::default();
    let (mut scratch, mut buffers) = (vec![0; 4096], Buffers::new(4096));
    let mut kept = Tape(Vec::new());
    let mut start = 0;
    for end in memchr_iter(b'\n', bytes) {
        scratch[..end - start].copy_from_slice(&bytes[start..end]);
        let mut tape = kept.reset();
        fill_tape_padded(&mut scratch, end - start, &mut buffers, &mut tape)
            .expect("every line is valid");
        let value = tape.as_value();
        let status = value.get_str("status").expect("every line has a status");
        counts[status_index(status.as_bytes()).expect("one of the four")] += 1;
        kept = tape.reset();
        start = end + 1;
    }
    counts
}

fn sonic_rs_typed(bytes: &[u8]) -> Counts {
    line_by_line(bytes, |line| {
        let order: Order<'_> = sonic_rs::from_slice(line).ok()?;
        Some(order.status)
    })
}

fn sonic_rs_get(bytes: &[u8]) -> Counts {
    line_by_line(bytes, |line| {
        let value = sonic_rs::get(line, ["status"]).ok()?;
        sonic_rs::from_str(value.as_raw_str()).ok().map(Cow::Owned)
    })
}

fn measure(
    group: &mut BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    stream: &Stream,
    mut count: impl FnMut(&[u8]) -> Counts,
) {
    assert_eq!(count(&stream.bytes), stream.counts, "{name}");
    group.bench_function(name, |bencher| {
        bencher.iter(|| count(black_box(&stream.bytes)));
    });
}

fn parser(criterion: &mut Criterion) {
    let tiny = std::env::var_os("TALLYLINE_BENCH_TINY").is_some();
    let path = KeyPath::parse("status").expect("a key path");
    let bytes: u64 = if tiny { 256 << 10 } else { 16 << 20 };
    let streams = [
        ("orders", stream(bytes / 71, order)),
        ("wide", stream(bytes / 574, wide_order)),
    ];
    for (name, stream) in &streams {
        let mut group = criterion.benchmark_group(format!("parser/{name}"));
        group.throughput(Throughput::ElementsAndBytes {
            elements: stream.lines,
            bytes: stream.bytes.len() as u64,
        });
        group.sample_size(if tiny { 10 } else { 30 });
        if tiny {
            group.warm_up_time(Duration::from_millis(50));
            group.measurement_time(Duration::from_millis(200));
        }
        let mut parser = RecordParser::new(path.clone(), 1 << 20);
        measure(&mut group, "tallyline", stream, |bytes| {
            tallyline(&mut parser, bytes)
        });
        measure(&mut group, "simd_json_tape", stream, simd_json_tape);
        measure(&mut group, "serde_json_typed", stream, serde_json_typed);
        measure(&mut group, "sonic_rs_typed", stream, sonic_rs_typed);
        measure(&mut group, "sonic_rs_get", stream, sonic_rs_get);
        group.finish();
    }
}

criterion_group!(benches, parser);
criterion_main!(benches);
