//! Load over loopback and through the command, with no fixed port and no timed assertion.

mod cli;
mod loopback;

use loadgen::{Generator, Spec};

/// The first `records` lines of a stream.
fn stream(spec: &Spec, records: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Generator::new(spec)
        .expect("a valid spec")
        .fill(&mut bytes, records);
    bytes
}

/// A spec with a bit of everything.
fn mixed() -> Spec {
    Spec {
        keys: 20,
        zipf: 1.0,
        malformed: 0.02,
        missing: 0.02,
        seed: 5,
        ..Spec::default()
    }
}
