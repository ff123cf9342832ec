//! What is counted: orders with some lines that are none, from a seed.

use std::io;
use std::sync::atomic::AtomicBool;

use loadgen::{Plan, Spec};

/// What records are like: of many keys, so that a save has much to write, and some are none.
pub(crate) fn spec(seed: u64) -> Spec {
    Spec {
        keys: 5_000,
        zipf: 0.8,
        malformed: 0.01,
        missing: 0.01,
        seed,
        ..Spec::default()
    }
}

/// The first so many records.
pub(crate) fn orders(seed: u64, records: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let never = AtomicBool::new(false);
    loadgen::write(&mut bytes, &spec(seed), &Plan::records(records), &never)
        .expect("memory can be written to");
    bytes
}

/// The same as a gzip archive.
pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    io::Write::write_all(&mut encoder, bytes).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}
