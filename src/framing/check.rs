//! A check that compares the way from bytes to totals with the oracle, for the fuzz target and for
//! property tests.
//!
//! It is the pipeline without its threads: chunks go round the parsers, pairs through blocks to the
//! shards, closed counts to the totals, all in one thread, so that a fuzzer gets through thousands
//! of inputs per second. The threads' part is the property tests'.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Framer;
use crate::block::Block;
use crate::budget::KeyBudget;
use crate::chunk::{Chunk, Pool};
use crate::clock::Timestamp;
use crate::counts::{Counts, Zeros};
use crate::decimal::Decimal;
use crate::hash::{KeyHasher, shard_of};
use crate::key::{Key, KeyRef};
use crate::ledger::{Ledger, Reason};
use crate::oracle::Oracle;
use crate::record::{LineSink, Query, RecordParser};
use crate::totals::{BatchCounts, Totals};

/// Bytes at the head of the input that say how the rest is dealt with.
pub const HEAD_BYTES: usize = 10;

/// How the input's head says that its bytes are dealt out.
#[derive(Debug)]
struct Deal {
    chunk_bytes: usize,
    pool_bytes: usize,
    line_bytes_max: usize,
    parsers: usize,
    shards: usize,
    /// Bytes of each read, in turn; none is 0.
    reads: [usize; 4],
    /// Chunks in a batch, at least 1.
    batch_chunks: usize,
    /// Where the first stream ends and the second begins, and whether the first breaks off there.
    border: usize,
    torn: bool,
    /// Whether the lines at hand are sent while the bytes of every other read are being read.
    overtakes: bool,
}

impl Deal {
    fn new(head: &[u8; HEAD_BYTES], bytes: usize) -> Deal {
        let [chunk, pool, line, threads, a, b, c, d, batch, border] = head.map(usize::from);
        // Long lines now and then, so that chunks grow.
        let line_bytes_max = 1 + if line < 128 { line } else { (line - 127) * 16 };
        let chunk_bytes = 4 + chunk;
        Deal {
            chunk_bytes,
            pool_bytes: 2 * chunk_bytes.max(line_bytes_max + 1) + chunk_bytes + pool,
            line_bytes_max,
            parsers: 1 + threads % 2,
            shards: 1 + threads / 2 % 3,
            reads: [a, b, c, d].map(|read| 1 + read),
            batch_chunks: 1 + batch % 8,
            border: bytes * border / 255,
            torn: threads >= 128,
            overtakes: threads & 64 > 0,
        }
    }
}

/// Checks that a stream, dealt out to reads, chunks, parsers, shards and batches as the input's
/// first [`HEAD_BYTES`] say, has the ledger and the counts that the oracle gives it whole.
///
/// # Panics
/// If they differ, a batch's books do not balance, or a bound is not kept.
pub fn check_stream(query: &Query, input: &[u8]) {
    let Some((head, bytes)) = input.split_first_chunk() else {
        return;
    };
    let deal = Deal::new(head, bytes.len());
    let (first, second) = bytes.split_at(deal.border);
    // An unfinished line of a stream that broke off is none.
    let whole = match (deal.torn, memchr::memrchr(b'\n', first)) {
        (false, _) => first,
        (true, last) => &first[..last.map_or(0, |last| last + 1)],
    };
    let mut oracle = Oracle::new(query.clone(), deal.line_bytes_max);
    oracle.count(whole);
    oracle.count(second);

    let mut flow = Flow::new(query, &deal);
    flow.stream(first);
    if deal.torn {
        flow.framer.discard_tail();
    } else {
        flow.framer.finish();
    }
    flow.stream(second);
    flow.framer.finish();
    let (ledger, counts, sums) = flow.end();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]);
    assert_eq!(ledger, oracle.ledger, "pipeline, oracle; {deal:?}; {shown}");
    assert_eq!(counts, oracle.counts, "pipeline, oracle; {deal:?}; {shown}");
    let expected = oracle
        .sums
        .iter()
        .map(|(key, sum)| (key.clone(), sum.to_string()));
    assert_eq!(
        sums,
        expected.collect(),
        "pipeline, oracle; {deal:?}; {shown}"
    );
}

/// What the pairs of one parser's chunk are combined in, and where they go.
struct Pairs<'a> {
    hasher: &'a KeyHasher,
    blocks: &'a mut [Block],
    counts: &'a mut [Counts],
    ledger: &'a mut Ledger,
}

impl Pairs<'_> {
    fn send(&mut self, shard: usize) {
        self.counts[shard].count(&self.blocks[shard]);
        self.blocks[shard].clear();
    }
}

impl LineSink for Pairs<'_> {
    fn counted(&mut self, key: KeyRef<'_>) {
        self.add(key, None);
    }

    fn summed(&mut self, key: KeyRef<'_>, number: Option<Decimal>) {
        self.ledger.unsummed += u64::from(number.is_none());
        self.add(key, number);
    }

    fn timed(&mut self, key: KeyRef<'_>, _: i64) {
        self.add(key, None);
    }

    fn dropped(&mut self, reason: Reason, _: &[u8]) {
        self.ledger.drop_line(reason);
    }
}

impl Pairs<'_> {
    fn add(&mut self, key: KeyRef<'_>, number: Option<Decimal>) {
        let fold = key.fold();
        let hash = self.hasher.hash(fold, key);
        let shard = shard_of(hash, self.blocks.len());
        let entry = self.blocks[shard].add(hash, fold, key);
        if let Some(number) = number {
            self.blocks[shard].add_number(entry, &number);
        }
        self.ledger.counted += 1;
        if self.blocks[shard].is_full() {
            self.send(shard);
        }
    }
}

/// The stages, in one thread.
struct Flow {
    reads: Vec<usize>,
    /// The next of `reads`.
    read: usize,
    pool: Pool,
    framer: Framer,
    parsers: Vec<RecordParser>,
    /// Whose turn it is.
    parser: usize,
    hasher: KeyHasher,
    blocks: Vec<Block>,
    counts: Vec<Counts>,
    zeros: Vec<Zeros>,
    totals: Totals,
    overtakes: bool,
    batch_chunks: usize,
    chunks: usize,
    /// The open batch's.
    ledger: Ledger,
    ledger_total: Ledger,
    bytes_max: usize,
}

impl Flow {
    fn new(query: &Query, deal: &Deal) -> Flow {
        let mut pool = Pool::new(deal.chunk_bytes, deal.pool_bytes);
        let chunk = pool.take().expect("the pool holds more than one chunk");
        let budget = Arc::new(KeyBudget::new(u64::MAX));
        let parser = |_| RecordParser::new(query.clone(), deal.line_bytes_max);
        let counts = |_| Counts::new(Arc::clone(&budget));
        let mut totals = Totals::new(deal.shards);
        if query.sum().is_some() {
            totals.show_sums();
        }
        Flow {
            reads: deal.reads.to_vec(),
            read: 0,
            framer: Framer::new(deal.line_bytes_max, chunk),
            pool,
            parsers: (0..deal.parsers).map(parser).collect(),
            parser: 0,
            hasher: KeyHasher::with_seed(1),
            blocks: (0..deal.shards).map(|_| Block::default()).collect(),
            counts: (0..deal.shards).map(counts).collect(),
            zeros: Vec::new(),
            totals,
            overtakes: deal.overtakes,
            batch_chunks: deal.batch_chunks,
            chunks: 0,
            ledger: Ledger::default(),
            ledger_total: Ledger::default(),
            bytes_max: deal.pool_bytes,
        }
    }

    fn stream(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            while self.framer.space().is_empty() {
                if self.framer.has_lines() {
                    self.send();
                } else {
                    let grew = self.framer.grow(&mut self.pool);
                    assert!(
                        grew,
                        "nothing is lent out, and the longest line does not fit"
                    );
                }
            }
            let space = self.framer.space();
            let count = self.reads[self.read % self.reads.len()]
                .min(rest.len())
                .min(space.len());
            self.read += 1;
            space[..count].copy_from_slice(&rest[..count]);
            self.framer.hold(count);
            if self.overtakes && self.read.is_multiple_of(2) && self.framer.has_lines() {
                self.send();
            }
            self.framer.advance(count, Timestamp::default());
            rest = &rest[count..];
            assert!(
                self.pool.bytes() <= self.bytes_max,
                "{} bytes",
                self.pool.bytes()
            );
        }
    }

    fn send(&mut self) {
        let chunk = self.framer.take(&mut self.pool);
        let chunk = chunk.expect("nothing is lent out: the pool has a chunk");
        self.parse(&chunk);
        self.pool.put(chunk);
        self.chunks += 1;
        if self.chunks.is_multiple_of(self.batch_chunks) {
            let closed = self.close_batch();
            self.zeros = closed.into_zeros().collect();
        }
    }

    fn parse(&mut self, chunk: &Chunk) {
        let parsers = self.parsers.len();
        let parser = &mut self.parsers[self.parser];
        self.parser = (self.parser + 1) % parsers;
        let mut pairs = Pairs {
            hasher: &self.hasher,
            blocks: &mut self.blocks,
            counts: &mut self.counts,
            ledger: &mut self.ledger,
        };
        for head in chunk.oversize_heads() {
            pairs.ledger.lines += 1;
            pairs.dropped(Reason::Oversize, head);
        }
        let lines = parser.chunk(chunk.lines(), &mut pairs);
        pairs.ledger.lines += lines;
        for shard in 0..pairs.blocks.len() {
            pairs.send(shard);
        }
    }

    fn close_batch(&mut self) -> BatchCounts {
        let mut zeros = std::mem::take(&mut self.zeros).into_iter();
        let closed = self
            .counts
            .iter_mut()
            .map(|counts| counts.close(zeros.next().unwrap_or_default()));
        let batch = self.totals.add(closed.collect());
        let ledger = std::mem::take(&mut self.ledger);
        assert!(ledger.is_balanced(), "{ledger:?}");
        assert_eq!(
            batch.records(),
            ledger.counted,
            "a batch's counts, its ledger"
        );
        self.ledger_total += ledger;
        batch
    }

    fn end(mut self) -> (Ledger, BTreeMap<Key, u64>, BTreeMap<Key, String>) {
        while self.framer.has_lines() {
            self.send();
        }
        self.close_batch();
        let (rows, _) = self.totals.total_rows(None);
        let counts: BTreeMap<Key, u64> = rows
            .iter()
            .map(|row| (row.key.to_key(), row.total))
            .collect();
        assert_eq!(counts.len(), rows.len(), "a key in two rows");
        assert_eq!(self.totals.keys(), counts.len() as u64);
        let sums = rows.iter().filter_map(|row| {
            let sum = row.sums?.total.to_string();
            Some((row.key.to_key(), sum))
        });
        (self.ledger_total, counts, sums.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn streams_dealt_out_anyhow_are_counted_as_the_oracle_counts_them(
            head in any::<[u8; HEAD_BYTES]>(),
            query in proptest::sample::select(samples::queries()),
            seeds in proptest::collection::vec(any::<u64>(), 0..40),
        ) {
            let mut input = head.to_vec();
            for seed in seeds {
                let mut rng = fastrand::Rng::with_seed(seed);
                let mut line = samples::record(&mut rng);
                if rng.u8(..4) == 0 {
                    samples::mutate(&mut rng, &mut line);
                }
                input.extend_from_slice(&line);
                input.push(b'\n');
            }
            check_stream(&query, &input);
        }
    }
}
