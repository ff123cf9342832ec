//! The only reader of time.
//!
//! Everything that needs the time is handed a [`Clock`]; nothing else in the program asks the
//! system. On the virtual clock a recorded input gives the same bytes out each time.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A system clock before 1970 or after 2262 is told as the nearest time we can tell.
        let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
        };
        Timestamp(nanos)
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
    fn differences_do_not_wrap() {
        let (a, b) = (Timestamp::from_millis(5), Timestamp::from_millis(7));
        assert_eq!(b.nanos_since(a), 2_000_000);
        assert_eq!(a.nanos_since(b), 0);
        assert_eq!(a.plus_nanos(2_000_000), b);
    }
}
