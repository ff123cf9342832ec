//! The merge's end: packs what it reports, and hands it on.

use std::sync::Arc;

use super::parcel::{Packer, Parcel};
use super::queue::Queue;
use crate::lane::Mark;

/// Packs the reports of each batch.
#[derive(Debug)]
pub struct Dispatch {
    /// The parcel that is being packed.
    pub packer: Packer,
    /// How many rows of a report any sink wants; `None`: all.
    pub top: Option<usize>,
    /// Where parcels go in a run without a state; with one they go with the batch's change.
    queues: Vec<Arc<Queue>>,
}

impl Dispatch {
    /// For sinks that want as many rows; no queues: parcels are taken away.
    pub fn new(top: Option<usize>, queues: Vec<Arc<Queue>>) -> Dispatch {
        Dispatch {
            packer: Packer::default(),
            top,
            queues,
        }
    }

    /// Begins the parcel of a batch.
    pub fn begin(&mut self, mark: &Mark) {
        self.packer.begin(mark.batch, mark.start, mark.end);
    }

    /// The batch's parcel, if there is anything in it.
    pub fn parcel(&mut self) -> Option<Arc<Parcel>> {
        self.packer.finish().map(Arc::new)
    }

    /// Hands the batch's parcel to the couriers.
    pub fn send(&mut self) {
        if let Some(parcel) = self.parcel() {
            for queue in &self.queues {
                queue.push(Arc::clone(&parcel));
            }
        }
    }

    /// Nothing follows.
    pub fn finish(self) {
        for queue in self.queues {
            queue.close();
        }
    }
}
