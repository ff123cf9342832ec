//! The program from end to end: the library's pipeline, and the binary that is built from it.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod support;

mod pipeline;
mod queries;
mod files;
mod follow;
mod goldens;
mod house;
mod docs;
mod examples;
mod schema;
mod library;
mod sources;
mod wrong_sources;
mod sockets;
mod producers;
#[cfg(feature = "tls")]
mod tls;
mod windows;
mod event_time;
mod live;
mod http;
mod backpressure;
mod signals;
#[cfg(target_os = "linux")]
mod service;
mod cli;
mod manual;
mod messages;
mod terminal;
mod settings;
mod bad_lines;
mod restart;
mod state;
mod sinks;
mod hung_sinks;
