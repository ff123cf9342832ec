//! A lane, and the way back: what handing a chunk to another thread costs, whatever is in it.
//!
//! *throughput* keeps as many chunks under way as a lane holds; *ping-pong* has one, so that both
//! threads wait for each other each time: twice the latency of a hand-over. With fewer cores than
//! threads it measures the scheduler. The chunks that came are counted.

mod common;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tallyline::chunk::{Pool, Returns};
use tallyline::clock::Timestamp;
use tallyline::lane::{Lane, LaneItem, Mark};
use tallyline::thread::ThreadSleeper;

const LANE_CHUNKS_MAX: usize = 8;
const CHUNK_BYTES: usize = 64;

/// A parser that parses nothing; how many chunks came.
fn parser(lane: &Lane, returns: &Returns, reader: &ThreadSleeper) -> u64 {
    lane.parser.adopt();
    let mut chunks = 0;
    while let LaneItem::Chunk(chunk) = lane.receive() {
        chunks += 1;
        returns
            .push(chunk)
            .expect("the return queue has room for every chunk");
        reader.wake();
    }
    chunks
}

/// Sends `sent` chunks to another thread and takes them back, at most `under_way` at a time. The
/// reader's poll is replaced by parking.
fn round_trips(sent: u64, under_way: usize) -> Duration {
    let mut pool = Pool::new(CHUNK_BYTES, CHUNK_BYTES * under_way);
    let lane = Arc::new(Lane::new(LANE_CHUNKS_MAX));
    let reader = Arc::new(ThreadSleeper::default());
    reader.adopt();
    let thread = {
        let (lane, returns, reader) = (Arc::clone(&lane), pool.returns(), Arc::clone(&reader));
        thread::spawn(move || parser(&lane, &returns, &reader))
    };
    let mut take = || {
        reader.wait(|| {
            pool.reclaim(|_| {});
            pool.take()
        })
    };
    // The first chunk out and back, so that the thread is there.
    lane.send(LaneItem::Chunk(take()))
        .expect("room for a chunk");
    let begin = Instant::now();
    for _ in 0..sent {
        lane.send(LaneItem::Chunk(take()))
            .expect("room for the pool's chunks");
    }
    let all: Vec<_> = (0..under_way).map(|_| take()).collect();
    let elapsed = begin.elapsed();
    assert_eq!(all.len(), under_way);
    let last = Mark {
        batch: 1,
        start: Timestamp::default(),
        end: Timestamp::default(),
        last: true,
        offsets: Arc::default(),
        files: Arc::default(),
        standing: Arc::default(),
    };
    lane.send(LaneItem::Mark(last)).expect("room for a mark");
    assert_eq!(thread.join().expect("no panic"), sent + 1);
    elapsed
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lane");
    group.throughput(Throughput::Elements(1));
    for (name, under_way) in [("throughput", LANE_CHUNKS_MAX), ("ping-pong", 1)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|chunks| round_trips(chunks, under_way));
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = bench }
criterion_main!(benches);
