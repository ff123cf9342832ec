//! The state: a batch saved in one transaction, and all keys brought back at the start.
//!
//! - `save`: [`Saver::note`] and [`Saver::save`] of a batch that changes a tenth of the keys, in turn, here and
//!   there among them; into a file in the temporary folder, a write-ahead log as in a run.
//! - `restore`: [`restore`] of all keys into two shards' counters, with the opening of the file.
//!
//! 4 (all of them change), 10 thousand and a million keys of ten bytes. Throughput is in changed keys, and in
//! keys. The ledger is checked against the totals with every restore.

mod common;

use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tallyline::block::Block;
use tallyline::budget::KeyBudget;
use tallyline::clock::Timestamp;
use tallyline::counts::{Counts, Zeros};
use tallyline::hash::KeyHasher;
use tallyline::key::KeyRef;
use tallyline::lane::Mark;
use tallyline::ledger::Ledger;
use tallyline::state::{
    BatchChange, Begin, Leaders, Meaning, Outcome, Past, Restored, Saver, State, WindowsChange,
    restore,
};
use tallyline::totals::Totals;

use common::{SEED, scaled, slow_group};

/// The changes of a run's batches: the first has every key, the others the next part of them.
struct Run {
    texts: Vec<String>,
    parts: usize,
    batch: u64,
    hasher: KeyHasher,
    shard: Counts,
    totals: Totals,
    ledger: Ledger,
}

impl Run {
    fn new(keys: usize) -> Run {
        Run {
            texts: (0..keys).map(|key| format!("{key:010}")).collect(),
            parts: if keys < 10 { 1 } else { 10 },
            batch: 0,
            hasher: KeyHasher::with_seed(SEED),
            shard: Counts::new(Arc::new(KeyBudget::new(keys as u64))),
            totals: Totals::new(1),
            ledger: Ledger::default(),
        }
    }

    fn changed(&self) -> u64 {
        self.texts.len().div_ceil(self.parts) as u64
    }

    fn next(&mut self) -> BatchChange {
        let part = self.batch as usize % self.parts;
        let changed = self.texts.iter().enumerate();
        let changed = changed.filter(|(key, _)| self.batch == 0 || key % self.parts == part);
        let mut block = Block::default();
        for (_, text) in changed {
            let key = KeyRef::string(text);
            let fold = key.fold();
            block.push(self.hasher.hash(fold, key), fold, key);
            if block.is_full() {
                self.shard.count(&block);
                block.clear();
            }
        }
        self.shard.count(&block);
        let batch = self.totals.add(vec![self.shard.close(Zeros::default())]);
        let ledger = Ledger {
            lines: batch.records(),
            counted: batch.records(),
            ..Ledger::default()
        };
        self.ledger += ledger;
        self.batch += 1;
        BatchChange {
            mark: Mark {
                batch: self.batch,
                start: Timestamp::default(),
                end: Timestamp::default(),
                last: false,
                offsets: Arc::default(),
                files: Arc::default(),
                standing: Arc::default(),
            },
            ledger: self.ledger,
            overflow: 0,
            other: 0,
            other_sum: None,
            parcel: None,
            shards: self.totals.change(&batch),
            windows: WindowsChange::None,
            past: Some(Past {
                ledger,
                leaders: Leaders::of_batch(&batch, &self.totals),
                windows: Vec::new(),
            }),
        }
    }
}

fn restored(path: &Path, keys: usize) -> Restored {
    let state = State::open(path, &Meaning::default()).expect("a state file");
    let budget = Arc::new(KeyBudget::new(keys as u64));
    let mut shards = [Counts::new(Arc::clone(&budget)), Counts::new(budget)];
    let hasher = KeyHasher::with_seed(SEED);
    let restored = restore(&state, &hasher, &mut shards, keys as u64).expect("its keys");
    assert_eq!(restored.rows.iter().map(Vec::len).sum::<usize>(), keys);
    restored
}

fn bench(criterion: &mut Criterion) {
    let here = tempfile::tempdir().expect("a folder for scratch files");
    for keys in [4, scaled(10_000), scaled(1_000_000)] {
        let path = here.path().join(format!("{keys}.db"));
        let mut run = Run::new(keys);
        let state = State::open(&path, &Meaning::default()).expect("a state file");
        let rows = vec![Vec::new()];
        let mut saver = Saver::new(state, rows, Begin::default()).expect("a run");
        saver.note(run.next());
        saver.save().expect("a disk with room");

        let mut group = slow_group(criterion, "state");
        group.throughput(Throughput::Elements(run.changed()));
        group.bench_function(format!("save/{keys}"), |bencher| {
            bencher.iter_batched(
                || run.next(),
                |change| {
                    saver.note(change);
                    saver.save().expect("a disk with room")
                },
                BatchSize::PerIteration,
            );
        });
        saver
            .end(Timestamp::default(), &Outcome::Over)
            .expect("a disk with room");
        group.throughput(Throughput::Elements(keys as u64));
        group.bench_function(format!("restore/{keys}"), |bencher| {
            bencher.iter_with_large_drop(|| restored(&path, keys));
        });
        group.finish();
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = bench }
criterion_main!(benches);
