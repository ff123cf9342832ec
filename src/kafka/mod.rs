//! What the source and the sink on Kafka share: addresses, properties for librdkafka, and what it says when
//! something is wrong.
//!
//! librdkafka tells of trouble twice: in what a call answers, which is often no more than that time is up, and on the
//! side, in events, which say why. `Troubles` keeps the last of those until somebody asks.

mod address;
mod properties;
mod topic;
mod trouble;

pub(crate) use address::{ADDRESS, Address};
pub use properties::Properties;
pub(crate) use properties::Taken;
pub(crate) use topic::{ANSWER_WAIT, Unfound, find};
pub(crate) use trouble::{Troubles, code, is_refusal, lower, words};

/// What librdkafka calls us by, in brokers' logs and quotas.
pub(crate) const CLIENT_ID: (&str, &str) = ("client.id", "tallyline");
