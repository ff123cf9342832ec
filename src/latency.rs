//! Latency histograms: one writer each, added up at the batch boundary.
//!
//! Values are microseconds, from 1 µs to an hour, with two significant digits: some 2,500 buckets.
//! A longer latency is recorded as an hour.

use hdrhistogram::Histogram;

use crate::sink::Percentiles;

/// An hour, in microseconds.
const MAX_US: u64 = 3_600_000_000;

/// Significant decimal digits kept.
const DIGITS: u8 = 2;

/// Latencies in microseconds.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, MAX_US, DIGITS);
        Latencies {
            histogram: histogram.expect("the bounds are constants within the crate's"),
        }
    }
}

impl Latencies {
    /// Records a latency of `nanos` nanoseconds for each of `records` records.
    pub fn record(&mut self, nanos: u64, records: u64) {
        self.histogram
            .saturating_record_n(nanos.div_ceil(1000).clamp(1, MAX_US), records);
    }

    /// Adds what another writer recorded.
    pub fn add(&mut self, other: &Latencies) {
        self.histogram
            .add(&other.histogram)
            .expect("all histograms have the same bounds");
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.histogram.reset();
    }

    /// The percentiles of what was recorded.
    pub fn percentiles(&self) -> Percentiles {
        if self.histogram.is_empty() {
            return Percentiles::default();
        }
        Percentiles {
            count: self.histogram.len(),
            p50_us: self.histogram.value_at_quantile(0.5),
            p99_us: self.histogram.value_at_quantile(0.99),
            p999_us: self.histogram.value_at_quantile(0.999),
            max_us: self.histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_weighted_by_records() {
        let mut one = Latencies::default();
        one.record(10_000, 980);
        let mut other = Latencies::default();
        other.record(2_000_000, 20);
        other.record(u64::MAX, 0);
        one.add(&other);
        let p = one.percentiles();
        assert_eq!((p.count, p.p50_us), (1000, 10));
        assert!((1990..=2015).contains(&p.p99_us), "{p:?}");
        one.reset();
        assert_eq!(one.percentiles(), Percentiles::default());
    }
}
