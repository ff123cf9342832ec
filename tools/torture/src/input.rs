//! What is counted: orders with some lines that are none, and records with times of their own, from a seed.

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

/// How far out of order the times of [`Timed`] are, in milliseconds.
pub(crate) const DISORDER_MILLIS: u64 = 700;

/// Records of few keys, whose times go on, somewhat out of order: `{"ts":1795362460123,"status":"k7"}`.
pub(crate) struct Timed {
    rng: fastrand::Rng,
    millis: u64,
    /// The latest time so far.
    pub(crate) latest: u64,
    /// All that were made: time and key.
    pub(crate) records: Vec<(u64, u8)>,
}

impl Timed {
    pub(crate) fn new(seed: u64) -> Timed {
        Timed {
            rng: fastrand::Rng::with_seed(seed),
            millis: 1_795_362_460_000,
            latest: 0,
            records: Vec::new(),
        }
    }

    /// The next so many lines.
    pub(crate) fn lines(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            self.millis += self.rng.u64(..3);
            let time = self.millis - self.rng.u64(..DISORDER_MILLIS);
            let key = self.rng.u8(..KEYS);
            self.latest = self.latest.max(time);
            self.records.push((time, key));
            let line = format!("{{\"ts\":{time},\"status\":\"k{key}\"}}\n");
            bytes.extend_from_slice(line.as_bytes());
        }
        bytes
    }
}

/// Few enough that the history tells of all of them.
const KEYS: u8 = 20;
