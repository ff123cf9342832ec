//! How much to send and when: the plan of a run, and the arithmetic of a rate.
//!
//! Record `i` is due `i / rate` seconds after the start, computed in whole numbers so that no error adds up over days.
//! A time after the start is in nanoseconds.

use std::num::NonZeroU64;
use std::time::Duration;

const SECOND_NS: u128 = 1_000_000_000;
/// One wake-up of the sender serves this much of the schedule: below, waking costs more than writing.
const TICK: Duration = Duration::from_micros(100);
/// One write covers at most this much of the schedule, also when the sender is behind.
const WRITE_SPAN: Duration = Duration::from_millis(1);

/// How much to send, and how fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Records per second; `None`, the default, is as fast as the peer takes them.
    pub rate: Option<NonZeroU64>,
    /// When to end.
    pub limit: Limit,
}

/// When a run ends. However it ends, what was sent are the first records of the same stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// Never: until stopped. The default.
    #[default]
    Forever,
    /// After this many records.
    Records(u64),
    /// After this time. With a rate it means the records due within it, `rate * time`, even if sending them takes
    /// longer; without one it ends at the first block boundary after the time.
    Time(Duration),
}

impl Plan {
    /// As fast as it goes, `records` records.
    pub fn records(records: u64) -> Self {
        Plan {
            rate: None,
            limit: Limit::Records(records),
        }
    }

    /// The records to send, if their number is known beforehand.
    pub(crate) fn records_max(&self) -> Option<u64> {
        match (self.limit, self.rate) {
            (Limit::Records(records), _) => Some(records),
            (Limit::Time(time), Some(rate)) => Some(Schedule::new(rate).due_before(time)),
            (Limit::Time(_), None) | (Limit::Forever, _) => None,
        }
    }
}

/// When the records of a stream are due.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    rate: NonZeroU64,
}

impl Schedule {
    pub(crate) fn new(rate: NonZeroU64) -> Self {
        Schedule { rate }
    }

    /// When record `index` is due: the first nanosecond that is not too early.
    pub(crate) fn due(self, index: u64) -> Duration {
        let due_ns = (u128::from(index) * SECOND_NS).div_ceil(u128::from(self.rate.get()));
        Duration::from_nanos(u64::try_from(due_ns).unwrap_or(u64::MAX))
    }

    /// Records due at `time` or earlier.
    pub(crate) fn due_by(self, time: Duration) -> u64 {
        self.whole(time).saturating_add(1)
    }

    /// Records due earlier than `time`.
    fn due_before(self, time: Duration) -> u64 {
        u64::try_from((time.as_nanos() * u128::from(self.rate.get())).div_ceil(SECOND_NS))
            .unwrap_or(u64::MAX)
    }

    /// Records that one wake-up waits for, at least 1.
    pub(crate) fn tick_records(self) -> u64 {
        self.whole(TICK).max(1)
    }

    /// Records that one write may carry, at least 1.
    pub(crate) fn write_records_max(self) -> u64 {
        self.whole(WRITE_SPAN).max(1)
    }

    fn whole(self, time: Duration) -> u64 {
        u64::try_from(time.as_nanos() * u128::from(self.rate.get()) / SECOND_NS).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: u64) -> Schedule {
        Schedule::new(NonZeroU64::new(rate).expect("not 0"))
    }

    #[test]
    fn a_record_is_due_by_its_due_time_and_not_a_nanosecond_before() {
        for rate in [1, 3, 7, 100, 999_983, 1_000_000, 30_000_001] {
            let schedule = schedule(rate);
            for index in [1, 2, 3, 10, 12_345, 86_400 * rate] {
                let due = schedule.due(index);
                assert!(schedule.due_by(due) > index, "record {index} at {rate}/s");
                if rate < SECOND_NS as u64 {
                    assert!(
                        schedule.due_by(due - Duration::from_nanos(1)) <= index,
                        "record {index} at {rate}/s"
                    );
                }
            }
        }
    }

    #[test]
    fn a_hundred_a_second_is_one_each_ten_milliseconds() {
        let schedule = schedule(100);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(7), Duration::from_millis(70));
        assert_eq!(schedule.due_by(Duration::from_millis(69)), 7);
        assert_eq!(schedule.due_by(Duration::from_millis(70)), 8);
        assert_eq!(
            (schedule.tick_records(), schedule.write_records_max()),
            (1, 1)
        );
    }

    #[test]
    fn a_million_a_second_is_written_a_millisecond_at_most_at_a_time() {
        let schedule = schedule(1_000_000);
        assert_eq!(
            (schedule.tick_records(), schedule.write_records_max()),
            (100, 1_000)
        );
    }

    #[test]
    fn a_time_at_a_rate_is_a_number_of_records() {
        let plan = |rate, limit| Plan {
            rate: NonZeroU64::new(rate),
            limit,
        };
        let half = Limit::Time(Duration::from_millis(500));
        assert_eq!(plan(1_000, half).records_max(), Some(500));
        assert_eq!(plan(3, half).records_max(), Some(2));
        assert_eq!(plan(0, half).records_max(), None);
        assert_eq!(plan(5, Limit::Records(9)).records_max(), Some(9));
        assert_eq!(plan(5, Limit::Forever).records_max(), None);
        assert_eq!(plan(5, Limit::Time(Duration::ZERO)).records_max(), Some(0));
    }
}
