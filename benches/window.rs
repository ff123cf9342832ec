//! A sliding window: a closed batch comes in, the oldest goes out, sums are kept.
//!
//! - `slide`: [`Windows::close_batch`] with a window of ten batches that slides by one.
//! - `slide-trending`: the same with the ten batches before it kept to compare with.
//! - `rows-top10`: the window's rows, [`Totals::window_rows`].
//!
//! 10 thousand and a million keys, all of them in every batch (*all*) or a tenth of them, in turn (*tenth*).
//! Throughput is in keys of a batch. The window's records are checked on every pass.

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tallyline::block::Block;
use tallyline::budget::KeyBudget;
use tallyline::clock::Timestamp;
use tallyline::counts::{ClosedCounts, Counts, Zeros};
use tallyline::hash::KeyHasher;
use tallyline::key::KeyRef;
use tallyline::lane::Mark;
use tallyline::totals::{BatchCounts, Totals};
use tallyline::window::{Sums, WindowSettings, WindowSpec, Windows};

use common::{SEED, scaled, slow_group};

/// The batch interval, in nanoseconds.
const EVERY: u64 = 1_000_000_000;

/// Batches in the window.
const LENGTH: u64 = 10;

/// One shard's batches, of which each has every key, or the next tenth of them.
fn batches(keys: usize, parts: usize, totals: &mut Totals) -> Vec<BatchCounts> {
    let hasher = KeyHasher::with_seed(SEED);
    let mut shard = Counts::new(Arc::new(KeyBudget::new(keys as u64)));
    let texts: Vec<String> = (0..keys).map(|key| format!("{key:010}")).collect();
    let close = |shard: &mut Counts, part: usize| -> ClosedCounts {
        for texts in texts.chunks(100).skip(part).step_by(parts) {
            let mut block = Block::default();
            for text in texts {
                let key = KeyRef::string(text);
                let fold = key.fold();
                block.add(hasher.hash(fold, key), fold, key);
            }
            shard.count(&block);
        }
        shard.close(Zeros::default())
    };
    (0..parts)
        .map(|part| totals.add(vec![close(&mut shard, part)]))
        .collect()
}

fn settings(trending: bool) -> WindowSettings {
    let time = |batches| Duration::from_nanos(batches * EVERY);
    WindowSettings {
        specs: vec![WindowSpec::new(time(LENGTH), time(1)).expect("it is longer than its slide")],
        trending: trending.then_some(10),
        bytes_max: 1 << 30,
    }
}

/// The marks of batch after batch.
fn marks() -> impl Iterator<Item = Mark> {
    let at = |batch: u64| Timestamp::from_nanos((batch * EVERY) as i64);
    (1..).map(move |batch| Mark {
        batch,
        start: at(batch - 1),
        end: at(batch),
        last: false,
        offsets: Arc::default(),
        files: Arc::default(),
        standing: Arc::default(),
    })
}

/// Batches come in, the first ten unchecked: the window is not full before.
struct Feed<'a> {
    windows: Windows,
    batches: Box<dyn Iterator<Item = (Mark, &'a BatchCounts)> + 'a>,
    expected: u64,
}

impl<'a> Feed<'a> {
    fn new(batches: &'a [BatchCounts], trending: bool) -> Feed<'a> {
        let turns = (0..LENGTH as usize).map(|n| batches[n % batches.len()].records());
        let mut feed = Feed {
            windows: Windows::new(&settings(trending), EVERY),
            batches: Box::new(marks().zip(batches.iter().cycle())),
            expected: turns.sum(),
        };
        for _ in 0..2 * LENGTH {
            feed.slide(|_, _| {});
        }
        feed
    }

    fn slide(&mut self, check: impl FnOnce(&Sums, u64)) {
        let (mark, batch) = self.batches.next().expect("they go on for ever");
        let (mut check, expected) = (Some(check), self.expected);
        let result = self.windows.close_batch(&mark, batch, |window| {
            if let Some(check) = check.take() {
                check(window.sums, expected);
            }
            Ok::<(), Infallible>(())
        });
        result.expect("nobody objects");
    }
}

fn bench(criterion: &mut Criterion) {
    for (name, keys) in [("10k", scaled(10_000)), ("1m", scaled(1_000_000))] {
        for (share, parts) in [("all", 1), ("tenth", 10)] {
            let mut totals = Totals::new(1);
            let batches = batches(keys, parts, &mut totals);
            let mut group = slow_group(criterion, "window");
            group.throughput(Throughput::Elements(batches[0].records().max(1)));
            for (case, trending) in [("slide", false), ("slide-trending", true)] {
                let mut feed = Feed::new(&batches, trending);
                group.bench_function(format!("{case}/{name}-{share}"), |bencher| {
                    bencher.iter(|| {
                        feed.slide(|sums, expected| assert_eq!(sums.records(), expected));
                    });
                });
            }
            Feed::new(&batches, false).slide(|sums, expected| {
                group.bench_function(format!("rows-top10/{name}-{share}"), |bencher| {
                    bencher.iter(|| {
                        let (rows, hidden) = totals.window_rows(sums, Some(10));
                        let shown: u64 = rows.iter().map(|row| row.count).sum();
                        assert_eq!(shown + hidden.count, expected);
                    });
                });
            });
            group.finish();
        }
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = bench }
criterion_main!(benches);
