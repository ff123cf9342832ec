//! What waits for a sink in a run without a state: a bounded queue in memory.
//!
//! The merge puts parcels in and never waits; the courier takes them out. Sinks share parcels, so what waits is
//! what waits for the slowest. When there is no room the oldest are let go, for the newest say more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;

use super::figures::Figures;
use super::parcel::Parcel;
use crate::sink::text;
use crate::thread::ThreadSleeper;

/// Parcels that wait at the most, however small they are.
const PARCELS_MAX: usize = 16_384;

/// A queue between the merge and one courier.
#[derive(Debug)]
pub struct Queue {
    parcels: ArrayQueue<Arc<Parcel>>,
    /// Of the parcels in the queue; a moment late, by one at the most.
    bytes: AtomicU64,
    bytes_max: u64,
    is_over: AtomicBool,
    pub(super) courier: ThreadSleeper,
    figures: Arc<Figures>,
}

impl Queue {
    /// An empty queue with room for so many bytes, or for one parcel that is longer.
    pub fn new(bytes_max: u64, figures: Arc<Figures>) -> Queue {
        Queue {
            parcels: ArrayQueue::new(PARCELS_MAX),
            bytes: AtomicU64::new(0),
            bytes_max,
            is_over: AtomicBool::new(false),
            courier: ThreadSleeper::default(),
            figures,
        }
    }

    /// Puts a parcel in.
    pub fn push(&self, parcel: Arc<Parcel>) {
        let len = parcel.bytes().len() as u64;
        // Relaxed: the queue itself orders what is in it; the sum is only compared.
        let mut bytes = self.bytes.fetch_add(len, Ordering::Relaxed) + len;
        let mut lost = 0;
        while bytes > self.bytes_max || self.parcels.is_full() {
            let Some(oldest) = self.parcels.pop() else {
                break;
            };
            let len = oldest.bytes().len() as u64;
            bytes = self.bytes.fetch_sub(len, Ordering::Relaxed) - len;
            lost += 1;
        }
        self.figures.wait_less(lost);
        if lost > 0 && self.figures.lose(lost) {
            tracing::warn!(
                "{}: more waits for it than {}: the oldest batches are let go (--to-spool; with --state counting would wait)",
                self.figures.name,
                text::bytes(self.bytes_max)
            );
        }
        self.figures.wait_more();
        let fits = self.parcels.push(parcel);
        assert!(fits.is_ok(), "room was made, and nobody else pushes");
        self.courier.wake();
    }

    /// Says that nothing follows.
    pub fn close(&self) {
        // Release: whoever sees it sees all that was pushed before.
        self.is_over.store(true, Ordering::Release);
        self.courier.wake();
    }

    pub(super) fn is_over(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.is_over.load(Ordering::Acquire)
    }

    /// The next parcel, once there is one; `None`: nothing follows.
    pub(super) fn next(&self) -> Option<Arc<Parcel>> {
        self.courier.wait(|| {
            let is_over = self.is_over();
            match self.parcels.pop() {
                Some(parcel) => {
                    let len = parcel.bytes().len() as u64;
                    self.bytes.fetch_sub(len, Ordering::Relaxed);
                    Some(Some(parcel))
                }
                None => is_over.then_some(None),
            }
        })
    }

    /// The parcel that came out last is done with.
    pub(super) fn done(&self) {
        self.figures.wait_less(1);
    }

    /// Lets go of the parcel that came out last and of those that are left. Returns how many that is.
    pub(super) fn give_up(&self) -> u64 {
        let left = 1 + std::iter::from_fn(|| self.parcels.pop()).count() as u64;
        self.figures.wait_less(left);
        left
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::delivery::Packer;
    use crate::sink::testing;

    fn parcel(batch: u64) -> Arc<Parcel> {
        let mut packer = Packer::default();
        packer.begin(batch, Timestamp::default(), Timestamp::default());
        packer.batch(&testing::batch(&testing::STATUSES));
        Arc::new(packer.finish().unwrap())
    }

    #[test]
    fn without_room_the_oldest_batches_are_let_go_and_counted() {
        let len = parcel(1).bytes().len() as u64;
        let figures = Arc::new(Figures::new("here".to_owned()));
        let queue = Queue::new(3 * len, Arc::clone(&figures));
        queue.courier.adopt();
        for batch in 1..=10 {
            queue.push(parcel(batch));
        }
        queue.close();
        assert_eq!((figures.outcome().lost, figures.outcome().waiting), (7, 3));
        let mut left = std::iter::from_fn(|| queue.next()).map(|parcel| parcel.batch());
        assert_eq!(left.next(), Some(8));
        assert_eq!(figures.outcome().waiting, 3, "it is not done with");
        queue.done();
        assert_eq!(left.next(), Some(9));
        drop(left);
        assert_eq!((queue.give_up(), figures.outcome().waiting), (2, 0));
    }

    #[test]
    fn a_parcel_that_is_longer_than_all_the_room_waits_alone() {
        let figures = Arc::new(Figures::new("here".to_owned()));
        let queue = Queue::new(1, figures);
        queue.courier.adopt();
        queue.push(parcel(1));
        queue.push(parcel(2));
        assert_eq!(queue.next().unwrap().batch(), 2);
        queue.close();
        assert_eq!(queue.next(), None);
    }
}
