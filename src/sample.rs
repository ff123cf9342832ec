//! Samples of lines that were not counted, for a human to see what is wrong with the stream, or with what was asked.
//!
//! Parsers and the reader drop the heads of bad lines into a small bounded queue, a few of each
//! kind per batch; the printer empties it at each boundary. A sample that finds the queue full is
//! lost, never a line: the ledger counts those.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::ledger::Reason;

/// Bytes of a line that a sample keeps: as many as tell what fields a record has.
pub const SAMPLE_BYTES_MAX: usize = 1024;

/// Samples of one reason that one parser takes in one batch.
const PER_REASON_MAX: u8 = 2;

/// Samples waiting to be shown.
const QUEUE_MAX: usize = 64;

/// The head of a line that was not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Why it was not counted.
    pub reason: Reason,
    /// Its first bytes, [`SAMPLE_BYTES_MAX`] at the most.
    pub head: Vec<u8>,
}

/// The queue of samples.
pub type SampleQueue = Arc<ArrayQueue<Sample>>;

/// An empty queue of samples.
pub fn queue() -> SampleQueue {
    Arc::new(ArrayQueue::new(QUEUE_MAX))
}

/// One thread's sampling: a few lines of each kind per batch.
#[derive(Debug)]
pub struct Sampler {
    queue: SampleQueue,
    /// Samples taken in this batch, by reason.
    taken: [u8; Reason::ALL.len()],
}

impl Sampler {
    /// A sampler that fills `queue`.
    pub fn new(queue: SampleQueue) -> Sampler {
        Sampler {
            queue,
            taken: [0; Reason::ALL.len()],
        }
    }

    /// Offers a line for a sample.
    pub fn offer(&mut self, reason: Reason, line: &[u8]) {
        let taken = &mut self.taken[reason as usize];
        if *taken < PER_REASON_MAX && reason != Reason::Blank {
            *taken += 1;
            let head = line[..line.len().min(SAMPLE_BYTES_MAX)].to_vec();
            // A full queue means that enough is waiting to be shown.
            drop(self.queue.push(Sample { reason, head }));
        }
    }

    /// A new batch begins.
    pub fn next_batch(&mut self) {
        self.taken.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_few_of_each_kind_per_batch() {
        let queue = queue();
        let mut sampler = Sampler::new(queue.clone());
        for _ in 0..2 {
            for _ in 0..100 {
                sampler.offer(Reason::Malformed, &[b'x'; 1000]);
                sampler.offer(Reason::Blank, b"");
                sampler.offer(Reason::Missing, b"{}");
            }
            let taken: Vec<Sample> = std::iter::from_fn(|| queue.pop()).collect();
            assert_eq!(taken.len(), 4);
            assert!(
                taken
                    .iter()
                    .all(|sample| sample.head.len() <= SAMPLE_BYTES_MAX)
            );
            sampler.next_batch();
        }
    }
}
