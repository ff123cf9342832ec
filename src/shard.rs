//! A shard thread: blocks of pairs in, closed batches out.
//!
//! Each parser has a pipe of its own to the shard. Behind a parser's last block of a batch comes its
//! boundary mark; from then on the shard leaves that pipe alone until every parser's mark has come.
//! Then it closes the batch, hands it to the batch merge, and goes on. So a batch holds exactly the
//! lines read before its boundary, whatever the threads do, and no thread stops for it.
//!
//! A merge that is slower than the batches come ([`CLOSED_MAX`] behind) makes the shard wait, and
//! through the pipes the parsers, the reader and the sender.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::clock::Clock;
use crate::counts::{ClosedCounts, Counts, Zeros};
use crate::lane::Mark;
use crate::latency::Latencies;
use crate::marks::Marks;
use crate::pipe::{PipeItem, PipeReceiver, Told};
use crate::thread::ThreadSleeper;

/// Closed batches of one shard that may wait for the merge.
pub const CLOSED_MAX: usize = 2;

/// One shard's part of a closed batch.
#[derive(Debug)]
pub struct ShardBatch {
    /// Which batch.
    pub mark: Mark,
    /// What parsers told this shard of the batch.
    pub told: Told,
    /// Its counts.
    pub counts: ClosedCounts,
    /// From each record's read to its count.
    pub latencies: Latencies,
}

/// The queues between one shard and the merge.
#[derive(Debug)]
pub struct Closed {
    /// Closed batches, in order.
    pub batches: ArrayQueue<Box<ShardBatch>>,
    /// Count arrays on their way back, all zeros.
    pub zeros: ArrayQueue<Zeros>,
}

impl Default for Closed {
    fn default() -> Closed {
        // One array is being filled, the others wait or are being merged.
        Closed {
            batches: ArrayQueue::new(CLOSED_MAX),
            zeros: ArrayQueue::new(CLOSED_MAX + 2),
        }
    }
}

/// What a shard thread is made of.
pub struct Shard {
    /// One pipe from each parser.
    pub pipes: Vec<PipeReceiver>,
    /// The shard's own sleeper, which the parsers and the merge wake.
    pub sleeper: Arc<ThreadSleeper>,
    /// Its counters.
    pub counts: Counts,
    /// Where closed batches go.
    pub closed: Arc<Closed>,
    /// The merge's sleeper.
    pub merge: Arc<ThreadSleeper>,
    /// Tells when a record was counted.
    pub clock: Arc<dyn Clock>,
}

impl Shard {
    /// Counts until the last batch is closed.
    pub fn run(mut self) {
        self.sleeper.adopt();
        let mut marks = Marks::new(self.pipes.len());
        let mut told = Told::default();
        let mut latencies = Latencies::default();
        loop {
            match receive(&self.pipes, &self.sleeper, &marks) {
                (parser, PipeItem::Block(block)) => {
                    self.counts.count(&block);
                    let nanos = self.clock.now().nanos_since(block.received);
                    latencies.record(nanos, block.records());
                    self.pipes[parser].give_back(block);
                }
                (parser, PipeItem::Mark(mark, more)) => {
                    told.merge(&more);
                    if marks.mark(parser) {
                        let is_last = mark.last;
                        let batch = ShardBatch {
                            mark,
                            told: std::mem::take(&mut told),
                            counts: self
                                .counts
                                .close(self.closed.zeros.pop().unwrap_or_default()),
                            latencies: latencies.clone(),
                        };
                        latencies.reset();
                        self.hand_over(Box::new(batch));
                        if is_last {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn hand_over(&self, batch: Box<ShardBatch>) {
        let mut batch = Some(batch);
        self.sleeper.wait(|| {
            batch = self.closed.batches.push(batch.take()?).err();
            batch.is_none().then_some(())
        });
        self.merge.wake();
    }
}

/// The next item of any parser whose mark has not come, and which parser's it is.
fn receive(pipes: &[PipeReceiver], sleeper: &ThreadSleeper, marks: &Marks) -> (usize, PipeItem) {
    sleeper.wait(|| {
        let open = pipes
            .iter()
            .enumerate()
            .filter(|&(parser, _)| marks.awaits(parser));
        open.into_iter()
            .find_map(|(parser, pipe)| Some((parser, pipe.receive()?)))
    })
}
