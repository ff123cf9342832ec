//! One parser thread, in memory, with each level of the fast lane and without it, in pairs.
//!
//! What counts here are ratios, and where others share the machine a ratio holds only between
//! neighbours. So this is no criterion bench: in each round every contender judges the same bytes
//! once, and the ratio to the slow path is taken within the round. Printed are medians over the
//! rounds: million lines a second, GB a second, and the ratio.
//!
//! Contenders: `slow`, the reference parser line by line; `tape`, a bare simd-json tape of each
//! line, which is less than a parser has to do; then the levels of the lane that this CPU has.
//! Inputs: *orders* and *wide* as in `parser.rs`; then what should hurt the lane. At the end queries of
//! several fields, each beside the plain count of the same lines (`queries`). `--list` is
//! ignored, any other argument picks the inputs whose name has it in it.
//!
//! `TALLYLINE_BENCH_TINY=1` runs the same on little data in a second.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use fastrand::Rng;
use memchr::{memchr_iter, memrchr};
use simd_json::prelude::*;
use simd_json::{Buffers, INPUT_PADDING, Tape, fill_tape_padded};
use tallyline::decimal::Decimal;
use tallyline::key::KeyRef;
use tallyline::ledger::Reason;
use tallyline::record::fast::Level;
use tallyline::record::samples::query;
use tallyline::record::{KeyPath, LineSink, RecordParser};

#[path = "common/orders.rs"]
mod orders;

use orders::{STATUSES, order, wide_order};

const SEED: u64 = 20_261_123;

/// The chunks a reader makes, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

type WriteLine = fn(&mut Rng, &mut String, &str);

const INPUTS: [(&str, WriteLine); 12] = [
    ("orders", order),
    ("wide", wide_order),
    ("half malformed", |rng, text, status| {
        order(rng, text, status);
        if rng.bool() {
            text.pop();
        }
    }),
    ("half unclosed", |rng, text, status| {
        order(rng, text, status);
        if rng.bool() {
            text.truncate(text.len() - 2);
        }
    }),
    ("all malformed", |rng, text, status| {
        order(rng, text, status);
        text.pop();
    }),
    ("names escaped", |rng, text, status| {
        put(
            text,
            format_args!(
                r#"{{"order\u005fid": "{:032x}", "st\u0061tus": "{status}"}}"#,
                rng.u128(..)
            ),
        );
    }),
    ("keys escaped", |rng, text, status| {
        put(
            text,
            format_args!(
                r#"{{"order_id": "{:032x}", "status": "\u0009{status}"}}"#,
                rng.u128(..)
            ),
        );
    }),
    ("surrogates", |rng, text, status| {
        put(
            text,
            format_args!(
                r#"{{"order_id": "{:032x}", "note": "\ud83d\ude00", "status": "{status}"}}"#,
                rng.u128(..)
            ),
        );
    }),
    ("exponents", |rng, text, status| {
        let (a, b) = (rng.u32(..), rng.u8(1..30));
        put(
            text,
            format_args!(
                r#"{{"order_id": 1.{a}e{b}, "total": {b}{a}E-{b}, "weight": {b}e+{b}, "status": "{status}"}}"#
            ),
        );
    }),
    ("non-ASCII", |rng, text, status| {
        put(
            text,
            format_args!(
                r#"{{"größe": "日本語{:08x}テキスト", "città": "Zürich", "status": "é{status}ü"}}"#,
                rng.u32(..)
            ),
        );
    }),
    ("1000 shapes", |rng, text, status| {
        text.push('{');
        let shape = rng.u16(..1000);
        for bit in 0..10 {
            let value = rng.u16(..1000);
            match shape >> bit & 1 {
                0 => put(text, format_args!(r#""f{bit}": {value}, "#)),
                _ => put(text, format_args!(r#""f{bit}": "{value}", "#)),
            }
        }
        put(text, format_args!(r#""status": "{status}"}}"#));
    }),
    ("no objects", |rng, text, _| {
        put(text, format_args!(r#""{:032x}""#, rng.u128(..)))
    }),
];

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes any text");
}

/// What an input's lines add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    counted: u64,
    key_bytes: u64,
    unsummed: u64,
    dropped: u64,
}

impl LineSink for Sum {
    #[inline]
    fn counted(&mut self, key: KeyRef<'_>) {
        self.counted += 1;
        self.key_bytes += key.bytes.len() as u64;
    }

    #[inline]
    fn summed(&mut self, key: KeyRef<'_>, number: Option<Decimal>) {
        self.counted(key);
        self.unsummed += u64::from(number.is_none());
    }

    fn timed(&mut self, key: KeyRef<'_>, _nanos: i64) {
        self.counted(key);
    }

    fn dropped(&mut self, _reason: Reason, _line: &[u8]) {
        self.dropped += 1;
    }
}

enum Contender {
    Tape { scratch: Vec<u8>, buffers: Buffers },
    Parser(Box<RecordParser>),
}

impl Contender {
    fn judge(&mut self, chunks: &[&[u8]]) -> Sum {
        let mut sum = Sum::default();
        for chunk in chunks {
            match self {
                Contender::Parser(parser) => {
                    parser.chunk(chunk, &mut sum);
                }
                Contender::Tape { scratch, buffers } => tape(chunk, scratch, buffers, &mut sum),
            }
        }
        sum
    }
}

fn tape(chunk: &[u8], scratch: &mut Vec<u8>, buffers: &mut Buffers, sum: &mut Sum) {
    let mut kept = Tape(Vec::new());
    let mut start = 0;
    for end in memchr_iter(b'\n', chunk) {
        let line = &chunk[start..end];
        start = end + 1;
        scratch.resize(scratch.len().max(line.len() + INPUT_PADDING), 0);
        scratch[..line.len()].copy_from_slice(line);
        let mut tape = kept.reset();
        let is_valid = fill_tape_padded(scratch, line.len(), buffers, &mut tape).is_ok();
        let value = tape.as_value();
        match is_valid.then(|| value.get_str("status")).flatten() {
            Some(status) => sum.counted(KeyRef::string(status)),
            None => sum.dropped(Reason::Missing, line),
        }
        kept = tape.reset();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let is_tiny = std::env::var_os("TALLYLINE_BENCH_TINY").is_some();
    let (bytes, rounds) = if is_tiny {
        (64 << 10, 2)
    } else {
        (8 << 20, 31)
    };
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    for (name, write_line) in INPUTS {
        if filter
            .as_ref()
            .is_some_and(|filter| !name.contains(filter.as_str()))
        {
            continue;
        }
        measure(name, write_line, bytes, rounds);
    }
    if filter.is_none_or(|filter| "queries".contains(&filter)) {
        for (name, write_line, queries) in QUERIES {
            measure_queries(name, write_line, queries, bytes, rounds);
        }
    }
}

/// What is counted by, the condition, and what is summed.
type Flags = (
    &'static [&'static str],
    &'static [&'static str],
    Option<&'static str>,
);

/// Inputs, and what is asked of them; first the plain count.
const QUERIES: [(&str, WriteLine, &[Flags]); 2] = [
    (
        "orders with a country and an amount",
        |rng, text, status| {
            let country = ["DE", "FR", "ES", "JP"][rng.usize(..4)];
            let (id, euros, cents) = (rng.u128(..), rng.u32(1..1000), rng.u8(..100));
            put(
                text,
                format_args!(
                    r#"{{"order_id": "{id:032x}", "status": "{status}", "country": "{country}", "amount": {euros}.{cents:02}}}"#
                ),
            );
        },
        &[
            (&["status"], &[], None),
            (&["status", "country"], &[], None),
            (&["status"], &["country!=DE"], None),
            (&["status"], &[], Some("amount")),
            (&["status", "country"], &["country!=DE"], Some("amount")),
        ],
    ),
    (
        "wide",
        wide_order,
        &[
            (&["status"], &[], None),
            (&["status", "customer.address.country"], &[], None),
            (&["status"], &["customer.address.country!=FR"], None),
            (&["status"], &[], Some("items[0].price")),
        ],
    ),
];

fn measure_queries(
    name: &str,
    write_line: WriteLine,
    queries: &[Flags],
    bytes: usize,
    rounds: usize,
) {
    let (text, lines) = input(write_line, bytes);
    let chunks = chunks(text.as_bytes());
    let parser = |&(by, conditions, sum): &Flags| {
        let query = query(by, conditions, sum);
        (
            query.to_string(),
            RecordParser::new(query, 1 << 20),
            Vec::new(),
        )
    };
    let mut contenders: Vec<_> = queries.iter().map(parser).collect();
    for _ in 0..rounds {
        for (name, parser, seconds) in &mut contenders {
            let mut sum = Sum::default();
            let start = Instant::now();
            for chunk in black_box(&chunks) {
                parser.chunk(chunk, &mut sum);
            }
            seconds.push(start.elapsed().as_secs_f64());
            assert_eq!(
                (sum.counted + sum.dropped, sum.unsummed),
                (lines, 0),
                "{name}"
            );
        }
    }
    println!(
        "{name}: {lines} lines of {} bytes",
        text.len() as u64 / lines
    );
    let plain = contenders[0].2.clone();
    for (name, _, seconds) in contenders {
        let ratios = plain.iter().zip(&seconds).map(|(plain, own)| plain / own);
        let ratio = median(ratios.collect());
        let rate = lines as f64 / median(seconds) / 1e6;
        println!("  {rate:7.1} M lines/s {ratio:6.2} x plain  by {name}");
    }
}

/// Lines of so many bytes, and how many they are.
fn input(write_line: WriteLine, bytes: usize) -> (String, u64) {
    let mut rng = Rng::with_seed(SEED);
    let mut text = String::new();
    let mut lines = 0;
    while text.len() < bytes {
        let status = STATUSES[rng.usize(..4)];
        write_line(&mut rng, &mut text, status);
        text.push('\n');
        lines += 1;
    }
    (text, lines)
}

fn chunks(text: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let window = &rest[..rest.len().min(CHUNK_BYTES)];
        let last = memrchr(b'\n', window).expect("lines are short");
        let (chunk, behind) = rest.split_at(last + 1);
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

fn measure(name: &str, write_line: WriteLine, bytes: usize, rounds: usize) {
    let (text, lines) = input(write_line, bytes);
    let chunks = chunks(text.as_bytes());
    let path = KeyPath::parse("status").expect("a key path");
    let parser = |level| {
        let parser = RecordParser::with_level(path.clone(), 1 << 20, level);
        Contender::Parser(Box::new(parser))
    };
    let tape = Contender::Tape {
        scratch: Vec::new(),
        buffers: Buffers::new(4096),
    };
    let mut contenders = vec![("slow".to_owned(), parser(None)), ("tape".to_owned(), tape)];
    for level in [Level::Avx2, Level::Avx512] {
        if level.is_available() {
            contenders.push((format!("{level:?}").to_lowercase(), parser(Some(level))));
        }
    }

    let expected = contenders[0].1.judge(&chunks);
    assert_eq!(expected.counted + expected.dropped, lines);
    let mut seconds = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds {
        for ((name, contender), seconds) in contenders.iter_mut().zip(&mut seconds) {
            let start = Instant::now();
            let sum = contender.judge(black_box(&chunks));
            seconds.push(start.elapsed().as_secs_f64());
            assert_eq!(sum, expected, "{name}");
        }
    }
    println!(
        "{name}: {lines} lines of {} bytes",
        text.len() as u64 / lines
    );
    for ((name, _), contender) in contenders.iter().zip(&seconds) {
        let ratios = seconds[0]
            .iter()
            .zip(contender)
            .map(|(slow, own)| slow / own);
        let time = median(contender.clone());
        println!(
            "  {name:7} {:7.1} M lines/s {:6.2} GB/s {:6.2} x slow",
            lines as f64 / time / 1e6,
            text.len() as f64 / time / 1e9,
            median(ratios.collect()),
        );
    }
}
