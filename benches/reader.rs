//! The reader stage alone: bytes in memory to chunks of whole lines that nobody parses.
//!
//! What it costs is a copy (which the kernel does in a real run), a backward search for the last
//! newline, and the tail's move to the next chunk. *orders* are lines of 71 bytes; *long* are lines
//! of 600 KiB, for each of which a chunk has to grow; *oversize* are lines of 3 MiB, which are
//! skipped. The answer, bytes of lines and oversize lines, is checked on every pass.

mod common;

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tallyline::chunk::{Chunk, Pool};
use tallyline::clock::{SystemClock, Timestamp};
use tallyline::lane::Mark;
use tallyline::live::Gauges;
use tallyline::reader::{Downstream, Reader, ReaderParts, ReaderPoll};
use tallyline::source::{Read, Readiness, Source};

const CHUNK_BYTES: usize = 256 * 1024;
const POOL_BYTES: usize = 64 * 1024 * 1024;
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A stream in memory, read as much at a time as there is space for.
struct Memory {
    bytes: Arc<[u8]>,
    at: usize,
}

impl Source for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return Read::Finished;
        }
        let count = rest.len().min(space.len());
        space[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Read::Bytes(count)
    }
}

/// Takes chunks and gives them back at once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    line_bytes: usize,
    oversize_lines: u64,
}

impl Downstream for Tally {
    fn reclaim(&mut self, _: &mut Pool) {}

    fn has_room(&self) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        true
    }

    fn is_idle(&self) -> bool {
        true
    }

    fn chunk(&mut self, chunk: Box<Chunk>, pool: &mut Pool) {
        self.line_bytes += black_box(chunk.lines()).len();
        self.oversize_lines += chunk.oversize_lines;
        pool.put(chunk);
    }

    fn mark(&mut self, _: &Mark) -> bool {
        true
    }
}

fn reader(bytes: Arc<[u8]>) -> Reader<Tally> {
    let sources: Vec<Box<dyn Source>> = vec![Box::new(Memory { bytes, at: 0 })];
    let parts = ReaderParts {
        gauges: Arc::new(Gauges::new(&sources)),
        sources,
        pool: Pool::new(CHUNK_BYTES, POOL_BYTES),
        downstream: Tally::default(),
        clock: Arc::new(SystemClock),
        every_nanos: 5_000_000_000,
        first_batch: 1,
        line_bytes_max: LINE_BYTES_MAX,
        send_bytes: CHUNK_BYTES / 2,
        long_connections_max: 0,
        fail_fast: false,
        event: None,
    };
    Reader::new(parts, ReaderPoll::new().expect("a poll"))
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reader");
    let bytes = common::scaled(128 << 20);
    for (name, line_bytes) in [("orders", 71), ("long", 600 << 10), ("oversize", 3 << 20)] {
        let mut line = vec![b'x'; line_bytes];
        line[line_bytes - 1] = b'\n';
        let lines = (bytes / line_bytes).max(1);
        let stream: Arc<[u8]> = line.repeat(lines).into();
        let expected = if line_bytes <= LINE_BYTES_MAX {
            Tally {
                line_bytes: stream.len(),
                oversize_lines: 0,
            }
        } else {
            Tally {
                line_bytes: 0,
                oversize_lines: lines as u64,
            }
        };
        group.throughput(Throughput::ElementsAndBytes {
            elements: lines as u64,
            bytes: stream.len() as u64,
        });
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || reader(Arc::clone(&stream)),
                |reader| {
                    let (report, tally) = reader.run().expect("memory does not fail");
                    assert_eq!((report.bytes, &tally), (stream.len() as u64, &expected));
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = bench }
criterion_main!(benches);
