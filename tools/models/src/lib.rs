//! Loom models of every atomic protocol that is tallyline's own.
//!
//! The files under test are compiled here themselves, with loom's atomics in place of the standard
//! library's; a model then runs every interleaving of its threads, and every value that the memory
//! model lets a load return. Without `--cfg loom` the crate is empty.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p tallyline-models --release
//! ```
//!
//! | model | what it holds |
//! |---|---|
//! | `parking` | no wake-up is lost between a sleeper and those who wake it |
//! | `pool` | a reader that waits for room gets every chunk that two parsers return |
//! | `boundary` | a shard closes a batch when both parsers' marks have come, with exactly its pairs |
//! | `keys` | all shards together take no more keys than the limit, and no fewer |
//!
//! What stands in for what: crossbeam's queues are not ours to prove, and their `SeqCst` operations
//! would hide a missing fence of ours. `queue` therefore has the least order that a queue must
//! have: what was written before a push is seen after its pop, and nothing else. The eventfd of the
//! reader's poll and `std::thread::park` are both `loom::thread::park`: either remembers a wake-up
//! that comes before the sleep.
//!
//! Loom searches within a bound: a thread is interrupted at most `PREEMPTIONS_MAX` times where it
//! could have gone on (`LOOM_MAX_PREEMPTIONS` sets another bound).

#![cfg(loom)]
// Models fail by panicking.
#![allow(clippy::unwrap_used, reason = "a failed model panics")]

#[path = "../../../src/park.rs"]
pub mod park;
#[path = "../../../src/marks.rs"]
pub mod marks;
#[path = "../../../src/budget.rs"]
pub mod budget;

pub mod queue;
pub mod sleeper;

pub mod parking;
pub mod pool;
pub mod boundary;
pub mod keys;

/// Interruptions of a thread that could have gone on. Two find every fence that is taken out; the
/// three-threaded models take hours with none.
pub const PREEMPTIONS_MAX: usize = 2;

/// Runs a model in every interleaving within the bound.
pub fn check(model: impl Fn() + Send + Sync + 'static) {
    check_within(PREEMPTIONS_MAX, model);
}

/// The same with a bound of its own, for a model that is small enough for a wider one.
pub fn check_within(preemptions_max: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // `LOOM_MAX_PREEMPTIONS`, if set, is there already.
    builder.preemption_bound.get_or_insert(preemptions_max);
    builder.check(model);
}
