//! What the benches share: the size of a run, and keys with a seed.
//!
//! Every bench compiles it for itself and uses a part of it.
#![allow(dead_code, reason = "each bench uses some of it")]

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use fastrand::Rng;
use tallyline::block::Block;
use tallyline::hash::KeyHasher;
use tallyline::key::{KeyKind, KeyRef};

/// The seed of everything random.
pub(crate) const SEED: u64 = 20_261_123;

/// Records that make a block when keys are few: those of a 256 KiB chunk of *orders*.
const BLOCK_RECORDS: usize = 256 * 1024 / 71;

/// Whether only to see that the benches run: little data, short times.
pub(crate) fn is_tiny() -> bool {
    std::env::var_os("TALLYLINE_BENCH_TINY").is_some()
}

/// `full`, or in the tiny form a hundredth of it.
pub(crate) fn scaled(full: usize) -> usize {
    if is_tiny() { full.div_ceil(100) } else { full }
}

/// Criterion as all benches use it; arguments on the command line go before.
pub(crate) fn criterion() -> Criterion {
    let criterion = Criterion::default();
    if is_tiny() {
        criterion
            .sample_size(10)
            .warm_up_time(Duration::from_millis(20))
            .measurement_time(Duration::from_millis(100))
    } else {
        criterion
            .sample_size(30)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(3))
    }
}

/// A group whose single iterations take long: as few samples as criterion allows.
pub(crate) fn slow_group<'a>(
    criterion: &'a mut Criterion,
    name: &str,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group
}

/// How often keys come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skew {
    /// All alike.
    Uniform,
    /// Key `k`, from 1, with a weight of `1 / k`.
    Zipf,
}

/// A stream of keys, each a string, one behind the other as in a chunk.
pub(crate) struct Keys {
    /// What the bench calls it: `10k-zipf1`.
    pub(crate) name: String,
    text: Vec<u8>,
    /// Where each record's key ends in `text`.
    ends: Vec<u32>,
    distinct: usize,
}

impl Keys {
    /// `records` records of `keys` keys: four statuses, or ten bytes each.
    pub(crate) fn new(keys: usize, skew: Skew, records: usize) -> Keys {
        let mut rng = Rng::with_seed(SEED);
        let short = match keys {
            0..1000 => keys.to_string(),
            1000..1_000_000 => format!("{}k", keys / 1000),
            _ => format!("{}M", keys / 1_000_000),
        };
        let mut below = Vec::with_capacity(keys);
        let mut sum = 0.0;
        for k in 1..=keys {
            sum += 1.0 / k as f64;
            below.push(sum);
        }
        let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(records));
        let mut seen = vec![false; keys];
        for _ in 0..records {
            let key = match skew {
                Skew::Uniform => rng.usize(..keys),
                Skew::Zipf => {
                    let at = rng.f64() * sum;
                    below.partition_point(|&below| below <= at).min(keys - 1)
                }
            };
            seen[key] = true;
            match ["PLACED", "SHIPPED", "DELIVERED", "CANCELLED"].get(key) {
                Some(status) => text.extend_from_slice(status.as_bytes()),
                None => text.extend_from_slice(format!("KEY_{key:06}").as_bytes()),
            }
            ends.push(text.len() as u32);
        }
        Keys {
            name: match skew {
                Skew::Uniform => format!("{short}-uniform"),
                Skew::Zipf => format!("{short}-zipf1"),
            },
            text,
            ends,
            distinct: seen.into_iter().filter(|&seen| seen).count(),
        }
    }

    /// The cases of every bench of keys: 4, 10 thousand and a million.
    pub(crate) fn cases() -> Vec<Keys> {
        let few = scaled(1_000_000);
        let many = scaled(3_000_000);
        vec![
            Keys::new(4, Skew::Uniform, few),
            Keys::new(scaled(10_000), Skew::Uniform, few),
            Keys::new(scaled(10_000), Skew::Zipf, few),
            Keys::new(scaled(1_000_000), Skew::Uniform, many),
            Keys::new(scaled(1_000_000), Skew::Zipf, many),
        ]
    }

    /// How many records.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many of the keys come at all.
    pub(crate) fn distinct(&self) -> usize {
        self.distinct
    }

    /// The keys, record by record.
    pub(crate) fn records(&self) -> impl Iterator<Item = KeyRef<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let bytes = &self.text[start..end as usize];
            start = end as usize;
            KeyRef {
                kind: KeyKind::String,
                bytes,
            }
        })
    }

    /// Combines the records into `block`, which `send` gets, and must clear, whenever a parser would
    /// send it. The work of a parser on keys it has found.
    pub(crate) fn combine(&self, block: &mut Block, mut send: impl FnMut(&mut Block)) {
        let hasher = KeyHasher::with_seed(SEED);
        for (n, key) in self.records().enumerate() {
            let fold = key.fold();
            block.add(hasher.hash(fold, key), fold, key);
            if block.is_full() || (n + 1) % BLOCK_RECORDS == 0 {
                send(block);
            }
        }
        if !block.is_empty() {
            send(block);
        }
    }

    /// The blocks that a shard gets.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        self.combine(&mut Block::default(), |block| {
            blocks.push(std::mem::take(block));
        });
        blocks
    }
}
