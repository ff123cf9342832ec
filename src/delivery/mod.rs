//! `--to SINK`: results on their way to where people keep them.
//!
//! Fed by the batch merge, which packs each batch's reports into one [`Parcel`] ([`Dispatch`]); feeds files,
//! commands, web hooks, topics, databases ([`Outlet`]), each by a thread of its own ([`Courier`]), in the order of the
//! batches, one at a time.
//!
//! A sink never slows the counting. With `--state` a parcel is saved in the transaction of its batch
//! ([`Spool`](crate::state::Spool)) and handed over only after that, together with how far the sink has come: whatever
//! dies, a batch is handed over again under the same number or not at all. What waits in the state is bounded by
//! `--to-spool`; beyond, the saving waits for the sink and the counting, in the end, for the saving, which is told.
//! Without a state parcels wait in memory ([`Queue`]), in as many bytes; beyond, the oldest are let go, counted and
//! told.
//!
//! A sink that fails is tried again, for ever, with growing pauses; at the end of a run for `--to-drain` more, and then
//! not waited for, whatever it is doing ([`Porter`]). Others go on. Only what a sink says can never be taken
//! ([`Refusal::Never`]) is passed over, counted and told.

mod parcel;
mod spec;
mod outlet;
mod figures;
mod queue;
mod dispatch;
mod porter;
mod courier;
mod print;
mod file;
mod whole;
mod exec;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "postgres")]
mod postgres;

pub use courier::{Courier, Feed};
pub use dispatch::Dispatch;
pub(crate) use figures::batches;
pub use figures::{Delivered, Figures};
pub use outlet::{Context, Cut, Outlet, Receipt, Refusal, open};
pub use parcel::{Choice, Packer, Parcel, Report};
pub use porter::{Hatch, Porter};
pub use queue::Queue;
pub use spec::{SinkSpec, Target};

use std::sync::Arc;
use std::time::Duration;

use crate::state::Place;

/// How results are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliverySettings {
    /// How many sinks there are.
    pub sinks: usize,
    /// How much may wait for one of them, in bytes.
    pub bytes_max: u64,
    /// What they keep themselves at the most, in bytes, all together.
    pub own_bytes_max: u64,
    /// How long a run that ends goes on trying one that takes nothing.
    pub drain: Duration,
}

/// What a packed row takes beside its key's bytes at the most, in bytes: kind, length, two figures; twice, as the
/// parcel may have grown to twice its need.
pub const PACKED_ROW_BYTES: u64 = 2 * (1 + 3 + 2 * 10);

/// The sinks of a run, and how far each has come according to the state.
#[derive(Default)]
pub struct Deliveries {
    /// The sinks.
    pub sinks: Vec<Delivery>,
    /// As many, in the same order.
    pub places: Vec<Place>,
}

impl Deliveries {
    /// As many rows as any of them wants; `None`: all.
    pub fn rows_max(&self) -> Option<usize> {
        let tops = self.sinks.iter().map(|sink| sink.top);
        tops.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// What sinks keep themselves at the most, in bytes.
    pub fn own_bytes_max(&self) -> u64 {
        self.sinks
            .iter()
            .map(|sink| sink.outlet.own_bytes_max())
            .sum()
    }

    /// What is known of each.
    pub fn figures(&self) -> Vec<Arc<Figures>> {
        let figures = self.sinks.iter().map(|sink| Arc::clone(&sink.figures));
        figures.collect()
    }
}

/// A sink that is open, and how it is known.
pub struct Delivery {
    /// What takes the parcels.
    pub outlet: Box<dyn Outlet>,
    /// What has been handed over so far.
    pub figures: Arc<Figures>,
    /// How many rows of a report it wants; `None`: all.
    pub top: Option<usize>,
}
