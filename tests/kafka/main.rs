//! The Kafka source, and the sink, against a real broker.
//!
//! Built with the feature `kafka` only, and run only where a broker is named:
//!
//! ```text
//! export $(tools/kafka-broker start)
//! cargo test --features kafka --test kafka
//! tools/kafka-broker stop
//! ```

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

#[path = "../integration/support.rs"]
#[allow(
    dead_code,
    reason = "shared with the integration tests, which use all of it"
)]
mod support;
mod cluster;

mod exact;
mod faults;
mod lines;
mod sink;
mod rights;
mod usage;
