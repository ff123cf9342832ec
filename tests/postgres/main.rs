//! The PostgreSQL sink against a real server.
//!
//! Built with the feature `postgres` only, and run only where a server is named:
//!
//! ```text
//! export $(tools/postgres-server start)
//! cargo test --features postgres --test postgres
//! tools/postgres-server stop
//! ```

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

#[path = "../integration/support.rs"]
#[allow(
    dead_code,
    reason = "shared with the integration tests, which use all of it"
)]
mod support;
mod server;

mod faults;
mod frozen;
mod rows;
mod tls;
