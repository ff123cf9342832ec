//! The only reader of time.
//!
//! Everything that needs the time is handed a [`Clock`]; nothing else in the program asks the
//! system. On the virtual clock a recorded input gives the same bytes out each time.

use std::fmt;

use jiff::tz::TimeZone;

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
