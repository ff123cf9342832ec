//! How late records were, from the time they were due to the time the kernel took them.
//!
//! The due time comes from the schedule, not from the moment the sender got round to the record, so a stall shows in
//! every record that it delayed (no coordinated omission). A write of more than 64 records is entered in 64 groups,
//! each with the latency of its first and thus latest record: never too low, too high by 1/64 of a write's span.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::schedule::Schedule;

const GROUPS_MAX: u64 = 64;
/// An hour; later is entered as an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Latencies of a run at a rate, in microseconds, exact to three digits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// Half of the records were not later than this.
    pub p50_us: f64,
    /// 99 % were not.
    pub p99_us: f64,
    /// 99.9 % were not.
    pub p999_us: f64,
    /// The latest record.
    pub max_us: f64,
    /// The last record sent: how far behind the run ended.
    pub lag_us: f64,
}

pub(crate) struct Recorder {
    histogram: Histogram<u64>,
    lag: Duration,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)
            .expect("the bounds are valid constants");
        Recorder {
            histogram,
            lag: Duration::ZERO,
        }
    }

    /// Enters the records `first..first + records`, all taken at `taken` after the start.
    pub(crate) fn record(&mut self, schedule: Schedule, first: u64, records: u64, taken: Duration) {
        let step = records.div_ceil(GROUPS_MAX).max(1);
        for offset in (0..records).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
            let late = taken.saturating_sub(schedule.due(first + offset));
            let late_ns = u64::try_from(late.as_nanos()).unwrap_or(LATENCY_NS_MAX);
            self.histogram
                .saturating_record_n(late_ns.max(1), step.min(records - offset));
        }
        if records > 0 {
            self.lag = taken.saturating_sub(schedule.due(first + records - 1));
        }
    }

    pub(crate) fn report(&self) -> Latency {
        let us = |ns: u64| ns as f64 / 1e3;
        Latency {
            p50_us: us(self.histogram.value_at_quantile(0.5)),
            p99_us: us(self.histogram.value_at_quantile(0.99)),
            p999_us: us(self.histogram.value_at_quantile(0.999)),
            max_us: us(self.histogram.max()),
            lag_us: self.lag.as_secs_f64() * 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn a_stall_shows_in_every_record_it_delayed() {
        let schedule = Schedule::new(NonZeroU64::new(1_000).expect("not 0"));
        let mut recorder = Recorder::new();
        // A second of records, taken all at once at its end: they are 1,000 to 1 ms late.
        recorder.record(schedule, 0, 1_000, Duration::from_secs(1));
        let latency = recorder.report();
        assert_eq!(recorder.histogram.len(), 1_000);
        assert!(
            (490_000.0..=520_000.0).contains(&latency.p50_us),
            "{latency:?}"
        );
        assert!(
            (999_000.0..=1_001_000.0).contains(&latency.max_us),
            "{latency:?}"
        );
        assert_eq!(latency.lag_us, 1_000.0);
    }

    #[test]
    fn nothing_sent_is_no_latency() {
        assert_eq!(Recorder::new().report(), Latency::default());
    }
}
