//! The batch merge: two shards' closed counts into the totals, and the rows to show.
//!
//! - `add`: [`Totals::add`] of a batch that brings no new keys.
//! - `rows-top10`, `rows-top1000` (what viewers are shown), `rows-all`: [`Totals::batch_rows`] of the same batch.
//!
//! 4, 10 thousand and a million keys, statuses or of ten bytes; *uniform*: all alike, *zipf1*: key k with weight
//! 1/k. Throughput is in keys. The sums are checked on every pass.

mod common;

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tallyline::budget::KeyBudget;
use tallyline::counts::{ClosedCounts, Counts, Zeros};
use tallyline::totals::Totals;

use common::{Keys, slow_group};

fn bench(criterion: &mut Criterion) {
    for keys in Keys::cases() {
        let records = keys.len() as u64;
        let budget = Arc::new(KeyBudget::new(2_000_000));
        let mut shards = [Counts::new(Arc::clone(&budget)), Counts::new(budget)];
        for (n, block) in keys.blocks().iter().enumerate() {
            // Each shard gets every other block, so most keys are in both: more work, same kind.
            shards[n % 2].count(block);
        }
        let closed: Vec<ClosedCounts> = shards
            .iter_mut()
            .map(|shard| shard.close(Zeros::default()))
            .collect();
        // The same counts once more, without news.
        let again = || -> Vec<ClosedCounts> {
            closed
                .iter()
                .map(|shard| ClosedCounts {
                    counts: shard.counts.clone(),
                    ..ClosedCounts::default()
                })
                .collect()
        };
        let mut batches = (again(), again());
        let mut totals = Totals::new(2);
        let (first, rest) = (std::mem::take(&mut batches.0), batches.1);
        let news = closed.iter().zip(first).map(|(news, counts)| ClosedCounts {
            counts: counts.counts,
            new_keys: news.new_keys.clone(),
            new_segments: news.new_segments.clone(),
            ..ClosedCounts::default()
        });
        totals.add(news.collect());
        let batch = totals.add(rest);
        assert_eq!(batch.records(), records);

        let mut group = slow_group(criterion, "merge");
        group.throughput(Throughput::Elements(totals.keys()));
        group.bench_function(format!("add/{}", keys.name), |bencher| {
            bencher.iter_batched(
                again,
                |closed| {
                    let batch = totals.add(closed);
                    assert_eq!(batch.records(), records);
                    batch
                },
                BatchSize::PerIteration,
            );
        });
        for (name, top) in [
            ("rows-top10", Some(10)),
            ("rows-top1000", Some(1000)),
            ("rows-all", None),
        ] {
            group.bench_function(format!("{name}/{}", keys.name), |bencher| {
                bencher.iter_with_large_drop(|| {
                    let (rows, hidden) = totals.batch_rows(&batch, top);
                    let shown: u64 = rows.iter().map(|row| row.count).sum();
                    assert_eq!(shown + hidden.count, records);
                    rows
                });
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = bench }
criterion_main!(benches);
