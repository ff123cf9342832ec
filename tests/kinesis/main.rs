//! The Kinesis source against moto's server.
//!
//! Built with the feature `kinesis` only, and run only where a server is named:
//!
//! ```text
//! export $(tools/kinesis-server start)
//! cargo test --features kinesis --test kinesis
//! tools/kinesis-server stop
//! ```

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

#[path = "../integration/support.rs"]
#[allow(
    dead_code,
    reason = "shared with the integration tests, which use all of it"
)]
mod support;
mod stream;

mod exact;
mod faults;
mod lines;
mod usage;
