//! Counting by key, on both sides of the pipe to a shard.
//!
//! - `combine`: a parser's side: hash and [`Block::add`], per record, keys at hand.
//! - `first`: a shard's side: [`Counts::count`] on blocks while every key is new to it.
//! - `later`: the same when it has seen them all, the steady state of a stream.
//! - `close`: [`Counts::close`] of such a batch, the array of zeros come back from the merge.
//!
//! 4, 10 thousand and a million keys, statuses or of ten bytes; *uniform*: all alike, *zipf1*: key k with weight
//! 1/k. 4 and 10 thousand keys come in a million records, a million keys in three million. The sum
//! of the counts is checked on every pass, the number of keys on the first.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tallyline::block::Block;
use tallyline::budget::KeyBudget;
use tallyline::counts::{Counts, Zeros};

use common::{Keys, slow_group};

fn counts() -> Counts {
    Counts::new(Arc::new(KeyBudget::new(2_000_000)))
}

fn count_all(counts: &mut Counts, blocks: &[Block]) {
    blocks.iter().for_each(|block| counts.count(block));
}

/// Takes the array that came back.
fn zeros_of(counts: &mut Vec<u64>) -> Zeros {
    Zeros {
        counts: std::mem::take(counts),
        ..Zeros::default()
    }
}

fn bench(criterion: &mut Criterion) {
    for keys in Keys::cases() {
        let records = keys.len() as u64;
        let blocks = keys.blocks();
        let mut known = counts();
        count_all(&mut known, &blocks);
        let mut zeros = known.close(Zeros::default()).counts;
        assert_eq!(zeros.len(), keys.distinct());
        zeros.fill(0);

        let mut group = slow_group(criterion, "shard");
        group.throughput(Throughput::Elements(records));
        group.bench_function(format!("combine/{}", keys.name), |bencher| {
            let mut block = Block::default();
            bencher.iter(|| {
                let mut sum = 0;
                keys.combine(&mut block, |block| {
                    sum += block.records();
                    block.clear();
                });
                assert_eq!(sum, records);
            });
        });
        group.bench_function(format!("first/{}", keys.name), |bencher| {
            bencher.iter_batched_ref(
                counts,
                |counts| count_all(counts, &blocks),
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("later/{}", keys.name), |bencher| {
            bencher.iter_custom(|passes| {
                let mut elapsed = Duration::ZERO;
                for _ in 0..passes {
                    let begin = Instant::now();
                    count_all(&mut known, &blocks);
                    elapsed += begin.elapsed();
                    let counts = known.close(zeros_of(&mut zeros)).counts;
                    assert_eq!(counts.iter().sum::<u64>(), records);
                    zeros = counts;
                    zeros.fill(0);
                }
                elapsed
            });
        });
        group.bench_function(format!("close/{}", keys.name), |bencher| {
            bencher.iter_custom(|passes| {
                let mut elapsed = Duration::ZERO;
                for _ in 0..passes {
                    known.count(&blocks[0]);
                    let array = zeros_of(&mut zeros);
                    let begin = Instant::now();
                    let counts = known.close(array).counts;
                    elapsed += begin.elapsed();
                    assert_eq!(counts.iter().sum::<u64>(), blocks[0].records());
                    zeros = counts;
                    zeros.fill(0);
                }
                elapsed
            });
        });
        group.finish();
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = bench }
criterion_main!(benches);
