//! Deterministic load for programs that count JSON lines, with the exact answer beside it.
//!
//! A [`Spec`] says what the stream consists of; a [`Generator`] writes it block by block and keeps the
//! [`Expectation`]; a [`Server`], [`push`] or [`write`](fn@write) (or, with the feature `kafka`, `push_kafka`) sends it as a [`Plan`] says, and tells what was
//! [`Sent`]. [`sink`](fn@sink) reads a stream and throws it away, to show what the machine allows.
//!
//! What holds:
//!
//! - Equal specs give equal bytes, however they are cut into calls, writes or connections, and at any rate.
//! - The expectation tells of exactly the lines that were handed over whole.
//! - Latency counts from the time a record was due, so that a stalled peer cannot hide.
//! - Memory is one block of 64 KiB, a send buffer of 512 KiB per connection and some 40 bytes per key, whatever the peer does.

pub mod spec;
mod mix;
mod keys;
mod record;
pub mod expectation;
pub mod generator;
pub mod schedule;
pub mod latency;
mod outlet;
#[cfg(feature = "kafka")]
mod topic;
pub mod sender;
pub mod server;
pub mod sink;

pub use expectation::Expectation;
pub use generator::Generator;
pub use latency::Latency;
pub use schedule::{Limit, Plan};
pub use sender::{End, Sent};
pub use server::{Server, push, write};
#[cfg(unix)]
pub use server::{push_unix, serve_unix};
pub use sink::{Received, sink};
pub use spec::{KEYS_MAX, Shape, Spec, SpecError, ZIPF_MAX};
#[cfg(feature = "kafka")]
pub use topic::push_kafka;
