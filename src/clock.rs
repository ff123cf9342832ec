//! The only reader of time.
//!
//! Everything that needs the time is handed a [`Clock`]; nothing else in the program asks the
//! system. On the virtual clock a recorded input gives the same bytes out each time.
//!
//! The time of day can be set, by a person or by who keeps it right. The program's time follows it forward,
//! and back over less than a second. When it is set back further the program's time goes on without a break
//! ([`Steps`]), and that is told: boundaries never come twice, and nobody waits an hour for the next batch.

use std::fmt;
use std::io;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use mio::{Events, Poll};

/// A point in time: nanoseconds since the Unix epoch, UTC. Range: the years 1678 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Nanoseconds in a millisecond.
const NANOS_PER_MILLI: i64 = 1_000_000;

impl Timestamp {
    /// The point `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Timestamp {
        Timestamp(nanos)
    }

    /// The point `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis * NANOS_PER_MILLI)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Nanoseconds from `earlier` to `self`; 0 if `earlier` is the later one.
    pub const fn nanos_since(self, earlier: Timestamp) -> u64 {
        let nanos = self.0.saturating_sub(earlier.0);
        if nanos < 0 { 0 } else { nanos as u64 }
    }

    /// The point `nanos` nanoseconds later.
    pub const fn plus_nanos(self, nanos: u64) -> Timestamp {
        Timestamp(self.0.saturating_add_unsigned(nanos))
    }

    /// The point `nanos` nanoseconds earlier.
    pub const fn minus_nanos(self, nanos: u64) -> Timestamp {
        Timestamp(self.0.saturating_sub_unsigned(nanos))
    }

    /// The first whole multiple of `nanos` since the epoch that is not before this point.
    ///
    /// # Panics
    /// If `nanos` is 0.
    pub fn multiple_from(self, nanos: u64) -> Timestamp {
        let every = i64::try_from(nanos).unwrap_or(i64::MAX);
        let into = self.0.rem_euclid(every);
        self.plus_nanos(if into == 0 { 0 } else { (every - into) as u64 })
    }

    /// This point in `zone`, as `2026-11-22 15:47:40`: how Spark heads its batches.
    pub fn civil(self, zone: &TimeZone) -> String {
        zone.to_datetime(self.to_jiff())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string()
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(self.0.into())
            .expect("every i64 of nanoseconds is within jiff's range")
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T15:47:35.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

/// Tells the time and lets it pass.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits for an event or until `deadline`, whichever comes first; without a deadline, for an
    /// event. May return early without either.
    ///
    /// # Errors
    /// What the system answers to the poll.
    fn wait(
        &self,
        poll: &mut Poll,
        events: &mut Events,
        deadline: Option<Timestamp>,
    ) -> io::Result<()>;
}

/// The program's time, made of the time of day, which can be set, and of a time that only passes.
#[derive(Debug)]
pub struct Steps {
    /// The program's time less the time that passes, in nanoseconds; the least there is until somebody looks.
    offset: AtomicI64,
    /// The time of day was set back, and has not caught up since.
    is_ahead: AtomicBool,
}

/// Over how much the time of day may be set back and is followed: then a batch is longer by that.
const STEP_BACK_NANOS_MAX: i64 = 1_000_000_000;

/// Less is not worth telling all cores, which read the offset.
const FOLLOWED_NANOS_MIN: u64 = 1_000_000;

impl Default for Steps {
    fn default() -> Steps {
        Steps::new()
    }
}

impl Steps {
    /// Nobody has looked yet.
    pub const fn new() -> Steps {
        Steps {
            offset: AtomicI64::new(i64::MIN),
            is_ahead: AtomicBool::new(false),
        }
    }

    /// The program's time, when the time of day is `day`, and `passed` nanoseconds have passed since some
    /// instant.
    pub fn time(&self, day: Timestamp, passed: i64) -> Timestamp {
        // Relaxed, here and below: the time orders nothing else, and whoever sees the time of day set makes
        // the same of it.
        let time = passed.saturating_add(self.offset.load(Ordering::Relaxed));
        let ahead = time.saturating_sub(day.0);
        if ahead > STEP_BACK_NANOS_MAX {
            if !self.is_ahead.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "the clock was set back by {:#}: batches go on without a break, their times ahead of it by that until it is set forward or the program is started anew",
                    SignedDuration::from_secs(ahead / 1_000_000_000)
                );
            }
            return Timestamp(time);
        }
        if ahead.unsigned_abs() > FOLLOWED_NANOS_MIN {
            let offset = day.0.saturating_sub(passed);
            self.offset.store(offset, Ordering::Relaxed);
        }
        if self.is_ahead.load(Ordering::Relaxed) && self.is_ahead.swap(false, Ordering::Relaxed) {
            tracing::warn!("the clock was set forward again: the times of batches are its times");
        }
        day
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// There is one in a process.
static STEPS: Steps = Steps::new();

/// From when on the time that passes is taken.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let passed = BEGUN.elapsed().as_nanos();
        // A system clock before 1970 or after 2262 is told as the nearest time we can tell.
        let day = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
        };
        STEPS.time(Timestamp(day), i64::try_from(passed).unwrap_or(i64::MAX))
    }

    fn wait(
        &self,
        poll: &mut Poll,
        events: &mut Events,
        deadline: Option<Timestamp>,
    ) -> io::Result<()> {
        let timeout =
            deadline.map(|deadline| Duration::from_nanos(deadline.nanos_since(self.now())));
        match poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

/// A clock that stands still until somebody waits; then it is at the deadline at once.
///
/// The reader waits only when no source has anything to read, so on this clock a scripted input
/// gives the same batches every time, however fast the machine is.
#[derive(Debug)]
pub struct VirtualClock {
    nanos: AtomicI64,
    /// How far it goes on with each look.
    step_nanos: i64,
}

impl VirtualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> VirtualClock {
        VirtualClock::running(start, 0)
    }

    /// A clock that runs on by so many nanoseconds whenever it is looked at, so that a boundary can come
    /// between any two looks.
    pub fn running(start: Timestamp, step_nanos: i64) -> VirtualClock {
        VirtualClock {
            nanos: AtomicI64::new(start.0),
            step_nanos,
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        // Relaxed: the time orders nothing else.
        Timestamp(self.nanos.fetch_add(self.step_nanos, Ordering::Relaxed))
    }

    fn wait(
        &self,
        poll: &mut Poll,
        events: &mut Events,
        deadline: Option<Timestamp>,
    ) -> io::Result<()> {
        if let Some(deadline) = deadline {
            self.nanos.fetch_max(deadline.0, Ordering::Relaxed);
        }
        SystemClock.wait(poll, events, deadline.map(|_| Timestamp(i64::MIN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_contract_says() {
        let time = Timestamp::from_millis(1_795_362_455_000);
        assert_eq!(time.to_string(), "2026-11-22T15:47:35.000Z");
        assert_eq!(time.civil(&TimeZone::UTC), "2026-11-22 15:47:35");
        assert_eq!(Timestamp::from_nanos(i64::MIN).to_string().len(), 24);
        assert_eq!(Timestamp::from_nanos(i64::MAX).to_string().len(), 24);
    }

    #[test]
    fn the_program_s_time_follows_the_clock_but_not_far_back() {
        const S: i64 = 1_000_000_000;
        const DAY: i64 = 1_795_362_457 * S;
        const HOUR: i64 = 3600 * S;
        let steps = Steps::new();
        // What has passed, what the clock says less that, and how far the program's time is from it.
        let looks = [
            (S, 0, 0),
            (2 * S, 0, 0),
            // Forward, and a little back.
            (3 * S, HOUR, 0),
            (4 * S, HOUR - S / 2, 0),
            // Far back, and further.
            (5 * S, 0, HOUR - S / 2),
            (7200 * S, 0, HOUR - S / 2),
            (7201 * S, -HOUR, 2 * HOUR - S / 2),
            // It catches up.
            (7202 * S, HOUR - S, 0),
            (7203 * S, 2 * HOUR, 0),
        ];
        for (passed, set, ahead) in looks {
            let day = DAY + passed + set;
            let time = steps.time(Timestamp(day), passed);
            assert_eq!(time.0 - day, ahead, "after {passed} ns");
        }
    }

    #[test]
    fn differences_do_not_wrap() {
        let (a, b) = (Timestamp::from_millis(5), Timestamp::from_millis(7));
        assert_eq!(b.nanos_since(a), 2_000_000);
        assert_eq!(a.nanos_since(b), 0);
        assert_eq!(a.plus_nanos(2_000_000), b);
    }
}
