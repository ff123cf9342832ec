//! tallyline counts the records of a live stream by key: per batch, per window and in total,
//! exactly, with an account of every line, in bounded memory.
//!
//! # The flow
//!
//! ```text
//! source ──bytes──▶ reader ──chunks of whole lines──▶ lanes ──▶ parsers ──(key, n)──▶ pipes ──▶ shards
//!                                                                                                 │ at each
//!                             sinks ◀── rows ◀── windows, totals ◀── batch merge ◀──────────────┘ boundary
//! ```
//!
//! The modules below stand in the order of the data. [`pipeline`] alone knows all of them; a stage
//! knows the type it receives and the type it emits.
//!
//! # What always holds
//!
//! - Every line ends in exactly one column of the [`ledger`]; the counts' sum equals its `counted`.
//!   Both are checked at every batch boundary.
//! - A batch holds exactly the lines whose last byte was read before its boundary, whatever the
//!   threads do, and the result does not depend on how many there are.
//! - [`record`] gives a line the same verdict whatever its neighbours and the cuts are, and the
//!   [`oracle`] agrees with it.
//!
//! # What never happens
//!
//! - No lock between the socket and the closed batch: stages share queues and nothing else.
//! - No queue, map or buffer grows with the speed or the length of the input.
//! - No line is lost in silence, and none stops the stream.
//! - Nothing but [`clock`] reads the time.
//!
//! # For programs that count
//!
//! [`counting`] is what to build on: a builder, and the results as an iterator. It and the types that it hands over
//! ([`key`], [`ledger`], [`decimal`], [`summary`], [`error`], [`clock::Timestamp`]) follow semantic versioning. The stages
//! are public so that benches, fuzz targets and tools run the very code that the program does, each by itself; they change
//! with any version.
//!
//! ```
//! use tallyline::counting::{Counting, Report};
//!
//! let lines = "{\"status\":\"PLACED\"}\n{\"status\":\"PLACED\"}\nnot JSON\n";
//! let mut run = Counting::by("status").read("lines", lines.as_bytes()).start()?;
//! let totals = run.find_map(|report| match report {
//!     Report::Totals(totals) => Some(totals),
//!     _ => None,
//! });
//! let totals = totals.expect("a run ends with its totals");
//! assert_eq!((totals.ledger.counted, totals.ledger.malformed), (2, 1));
//! run.finish()?;
//! # Ok::<(), tallyline::error::Error>(())
//! ```

// For programs that count: what to build on.
pub mod counting;
// The program: flags as typed, or set elsewhere; flags resolved, what each command does.
pub mod cli;
pub mod settings;
pub mod config;
pub mod command;
// The stages, in the order of the data.
pub mod pipeline;
pub mod source;
pub mod reader;
pub mod chunk;
pub mod framing;
pub mod framers;
pub mod extent;
pub mod lane;
pub mod lanes;
pub mod parser;
pub mod record;
pub mod combine;
pub mod hot;
pub mod hash;
pub mod block;
pub mod pipe;
pub mod marks;
pub mod shard;
pub mod counts;
pub mod budget;
mod prefetch;
pub mod slots;
pub mod batch;
pub mod totals;
mod rows;
pub mod window;
pub mod event;
pub mod latency;
pub mod bad;
pub mod sample;
mod hint;
pub mod tolerance;
pub mod reject;
pub mod sink;
mod web;
pub mod delivery;
pub mod state;
pub mod live;
pub mod view;
pub mod http;
pub mod summary;
pub mod progress;
pub mod log;
// The slow and simple counter that the stages are held to.
pub mod oracle;
// What all of them use.
mod nearest;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod thread;
pub mod park;
pub mod faults;
pub mod key;
pub mod decimal;
pub mod ledger;
pub mod clock;
pub mod error;
