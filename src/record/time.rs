//! The time that stands in a record: text in, nanoseconds since the Unix epoch out.
//!
//! A string is RFC 3339, `2026-11-22T15:47:35.250+01:00`; a number counts seconds, milli-, micro- or
//! nanoseconds since the epoch, by its size unless `--event-time-format` says which. Another format is
//! given as a `strftime` pattern; without a zone in it, times are UTC.
//!
//! Two forms are read here, a byte at a time, since every record has one of them: RFC 3339 as programs
//! write it, and plain numbers. What else may be a time is left to jiff, which property tests hold
//! this file to. A time before 1678 or after 2262 is none: it does not fit into 64 bits.

use std::fmt;
use std::sync::Arc;

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

use crate::key::{KeyKind, KeyRef};

const SECOND: i64 = 1_000_000_000;

/// How times are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339 in strings; numbers, in quotes or not, by their size.
    #[default]
    Auto,
    /// RFC 3339 in strings.
    Rfc3339,
    /// Numbers, in quotes or not, of this unit.
    Epoch(Unit),
    /// Strings, after a `strftime` pattern.
    Pattern(Arc<str>),
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl Unit {
    const fn nanos(self) -> i64 {
        match self {
            Unit::Seconds => SECOND,
            Unit::Millis => 1_000_000,
            Unit::Micros => 1000,
            Unit::Nanos => 1,
        }
    }

    /// The unit that makes a number of this size a time of our age: the limits are the year 5138 in
    /// seconds and 1973 in milliseconds, and so on by thousands.
    const fn guess(number: u64) -> Unit {
        match number {
            0..100_000_000_000 => Unit::Seconds,
            100_000_000_000..100_000_000_000_000 => Unit::Millis,
            100_000_000_000_000..100_000_000_000_000_000 => Unit::Micros,
            _ => Unit::Nanos,
        }
    }
}

impl TimeFormat {
    /// The format that the user calls so.
    ///
    /// # Errors
    /// How formats are written.
    pub fn parse(text: &str) -> Result<TimeFormat, String> {
        Ok(match text {
            "auto" => TimeFormat::Auto,
            "rfc3339" => TimeFormat::Rfc3339,
            "s" => TimeFormat::Epoch(Unit::Seconds),
            "ms" => TimeFormat::Epoch(Unit::Millis),
            "us" => TimeFormat::Epoch(Unit::Micros),
            "ns" => TimeFormat::Epoch(Unit::Nanos),
            pattern if pattern.contains('%') => {
                let sample = BrokenDownTime::from(&jiff::Zoned::new(
                    jiff::Timestamp::UNIX_EPOCH,
                    TimeZone::UTC,
                ));
                let written = sample
                    .to_string(pattern)
                    .map_err(|error| error.to_string())?;
                let format = TimeFormat::Pattern(pattern.into());
                if format.nanos(KeyRef::string(&written)).is_none() {
                    return Err(
                        "it names no whole time; give at least a date, such as '%Y-%m-%d %H:%M:%S'"
                            .to_owned(),
                    );
                }
                format
            }
            _ => {
                return Err(
                    "give auto, rfc3339, s, ms, us, ns, or a pattern such as '%d/%b/%Y:%H:%M:%S %z'"
                        .to_owned(),
                );
            }
        })
    }

    /// The time that a value tells, in nanoseconds since the epoch.
    #[inline]
    pub fn nanos(&self, value: KeyRef<'_>) -> Option<i64> {
        match (self, value.kind) {
            (TimeFormat::Auto, KeyKind::Number) => epoch(value.bytes, None),
            (TimeFormat::Auto, KeyKind::String) => {
                rfc3339(value.bytes).or_else(|| epoch(value.bytes, None))
            }
            (TimeFormat::Rfc3339, KeyKind::String) => rfc3339(value.bytes),
            (TimeFormat::Epoch(unit), KeyKind::Number | KeyKind::String) => {
                epoch(value.bytes, Some(*unit))
            }
            (TimeFormat::Pattern(pattern), KeyKind::String) => by_pattern(pattern, value.bytes),
            _ => None,
        }
    }
}

/// As the flag's value is written.
impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeFormat::Auto => "auto",
            TimeFormat::Rfc3339 => "rfc3339",
            TimeFormat::Epoch(Unit::Seconds) => "s",
            TimeFormat::Epoch(Unit::Millis) => "ms",
            TimeFormat::Epoch(Unit::Micros) => "us",
            TimeFormat::Epoch(Unit::Nanos) => "ns",
            TimeFormat::Pattern(pattern) => pattern,
        })
    }
}

/// RFC 3339, and whatever else jiff takes for a point in time.
#[inline]
fn rfc3339(text: &[u8]) -> Option<i64> {
    usual(text).or_else(|| unusual(text))
}

#[cold]
fn unusual(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// `2026-11-22T15:47:35`, a fraction or none, `Z` or an offset; nothing if it is anything else.
#[inline]
fn usual(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [
        y0,
        y1,
        y2,
        y3,
        b'-',
        o0,
        o1,
        b'-',
        d0,
        d1,
        b'T' | b't' | b' ',
        h0,
        h1,
        b':',
        m0,
        m1,
        b':',
        s0,
        s1,
    ] = *head
    else {
        return None;
    };
    let year = 100 * two(y0, y1)? + two(y2, y3)?;
    let (month, day) = (two(o0, o1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(m0, m1)?, two(s0, s1)?);
    // Leap seconds and days that no month has are jiff's.
    let is_usual = matches!(year, 1678..=2261)
        && matches!(month, 1..=12)
        && (matches!(day, 1..=28) || matches!(day, 29..=31) && day <= days_in(year, month))
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_usual {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let offset = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = (hours * 60 + minutes) * 60;
            if sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second - offset;
    Some(seconds * SECOND + nanos)
}

/// The nanoseconds of `.25` at the start of `text`, if it has any, and what stands behind.
#[inline]
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', digits @ ..] = text else {
        return Some((0, text));
    };
    let len = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if !matches!(len, 1..=9) {
        return None;
    }
    let (digits, rest) = digits.split_at(len);
    let value = digits
        .iter()
        .fold(0, |value, digit| 10 * value + i64::from(digit - b'0'));
    Some((value * TENS[9 - len], rest))
}

/// Powers of ten, up to the ninth.
const TENS: [i64; 10] = [
    1,
    10,
    100,
    1000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    SECOND,
];

/// Two digits.
#[inline]
fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: Howard Hinnant's `days_from_civil`, for years
/// after 0.
#[inline]
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// A number of units since the epoch, such as `1795362455`, `1795362455.25` or `-1`; without a unit, by
/// its size. What is finer than a nanosecond is left out.
#[inline]
fn epoch(text: &[u8], unit: Option<Unit>) -> Option<i64> {
    let (is_negative, text) = match text {
        [b'-', text @ ..] => (true, text),
        text => (false, text),
    };
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // Nineteen digits are less than 10^19, which 64 bits hold.
    if !matches!(len, 1..=19) {
        return None;
    }
    let (digits, rest) = text.split_at(len);
    let number = digits
        .iter()
        .fold(0, |number, digit| 10 * number + u64::from(digit - b'0'));
    let unit = unit.unwrap_or(Unit::guess(number)).nanos();
    let part = match rest {
        [] => 0,
        [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let digits = &digits[..digits.len().min(9)];
            let value = digits
                .iter()
                .fold(0, |value, digit| 10 * value + i64::from(digit - b'0'));
            value * TENS[9 - digits.len()] / (SECOND / unit)
        }
        _ => return None,
    };
    let nanos = i64::try_from(number)
        .ok()?
        .checked_mul(unit)?
        .checked_add(part)?;
    Some(if is_negative { -nanos } else { nanos })
}

fn by_pattern(pattern: &str, text: &[u8]) -> Option<i64> {
    let parsed = BrokenDownTime::parse(pattern, text).ok()?;
    let time = match parsed.to_timestamp() {
        Ok(time) => time,
        Err(_) => {
            let date = parsed.to_date().ok()?;
            let time = parsed.to_time().unwrap_or_default();
            date.to_datetime(time)
                .to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp()
        }
    };
    i64::try_from(time.as_nanosecond()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-22T15:47:35Z.
    const AT: i64 = 1_795_362_455 * SECOND;

    fn string(format: &str, text: &str) -> Option<i64> {
        TimeFormat::parse(format)
            .unwrap()
            .nanos(KeyRef::string(text))
    }

    fn number(format: &str, text: &str) -> Option<i64> {
        TimeFormat::parse(format)
            .unwrap()
            .nanos(KeyRef::number(text))
    }

    #[test]
    fn rfc_3339_with_and_without_fraction_and_offset() {
        for (text, expected) in [
            ("2026-11-22T15:47:35Z", Some(AT)),
            ("2026-11-22t15:47:35z", Some(AT)),
            ("2026-11-22 15:47:35Z", Some(AT)),
            ("2026-11-22T16:47:35+01:00", Some(AT)),
            ("2026-11-22T10:17:35-05:30", Some(AT)),
            ("2026-11-22T15:47:35.5Z", Some(AT + SECOND / 2)),
            ("2026-11-22T15:47:35.000000001Z", Some(AT + 1)),
            ("1969-12-31T23:59:59.75Z", Some(-SECOND / 4)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800 * SECOND)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-11-31T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22T15:47:35", None),
            ("2026-11-22", None),
            ("0001-01-01T00:00:00Z", None),
            ("9999-12-31T00:00:00Z", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(string("rfc3339", text), expected, "{text}");
            assert_eq!(string("auto", text), expected, "{text}");
        }
        // A leap second is the one before it, as jiff has it.
        assert_eq!(
            string("auto", "2016-12-31T23:59:60Z"),
            Some(1_483_228_799 * SECOND)
        );
        assert_eq!(number("rfc3339", "1795362455"), None);
        assert_eq!(string("rfc3339", "1795362455"), None);
    }

    #[test]
    fn numbers_since_the_epoch() {
        for (text, expected) in [
            ("1795362455", Some(AT)),
            ("1795362455000", Some(AT)),
            ("1795362455000000", Some(AT)),
            ("1795362455000000000", Some(AT)),
            ("1795362455.25", Some(AT + SECOND / 4)),
            ("1795362455000.25", Some(AT + 250_000)),
            ("1795362455.1234567891", Some(AT + 123_456_789)),
            ("0", Some(0)),
            ("-1.5", Some(-3 * SECOND / 2)),
            ("9999999999999999999", None),
            ("99999999999999999999", None),
            ("1.5e9", None),
        ] {
            assert_eq!(number("auto", text), expected, "{text}");
            assert_eq!(string("auto", text), expected, "{text}");
        }
        assert_eq!(number("ms", "1000"), Some(SECOND));
        assert_eq!(string("us", "1000000"), Some(SECOND));
        assert_eq!(number("ns", "1000.9"), Some(1000));
        assert_eq!(number("s", "1795362455000"), None);
        for text in ["", "-", ".", "1.", ".5", "+1", "1 ", "1_0"] {
            assert_eq!(string("auto", text), None, "{text}");
        }
        for kind in [KeyRef::null(), KeyRef::boolean(true)] {
            assert_eq!(TimeFormat::Auto.nanos(kind), None);
        }
    }

    #[test]
    fn patterns_may_have_a_zone_and_may_lack_the_hour() {
        assert_eq!(
            string("%d/%b/%Y:%H:%M:%S %z", "22/Nov/2026:16:47:35 +0100"),
            Some(AT)
        );
        assert_eq!(string("%Y-%m-%d %H:%M:%S", "2026-11-22 15:47:35"), Some(AT));
        assert_eq!(string("%Y-%m-%d", "1970-01-02"), Some(86_400 * SECOND));
        assert_eq!(string("%Y-%m-%d", "1970-01-02 1"), None);
        assert_eq!(number("%Y-%m-%d", "1970"), None);
        for bad in ["", "rfc", "%H:%M", "%Y", "%Q", "minutes"] {
            assert!(TimeFormat::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..Default::default() })]

        #[test]
        fn times_are_those_that_jiff_reads(
            nanos in any::<i64>(),
            digits in 0usize..10,
            minutes in -1439i32..1440,
            mark in prop::sample::select(&["T", "t", " "][..]),
        ) {
            let time = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap();
            let offset = jiff::tz::Offset::from_seconds(60 * minutes).unwrap();
            let civil = offset.to_datetime(time);
            let fraction = format!("{:09}", civil.subsec_nanosecond());
            let fraction = match digits {
                0 => String::new(),
                digits => format!(".{}", &fraction[..digits]),
            };
            let zone = match minutes {
                0 => "Z".to_owned(),
                _ => format!("{}{:02}:{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60),
            };
            let text = format!("{}{mark}{}{fraction}{zone}", civil.date(), civil.strftime("%H:%M:%S"));
            let expected: jiff::Timestamp = text.parse().unwrap();
            let expected = i64::try_from(expected.as_nanosecond()).ok();
            prop_assert_eq!(rfc3339(text.as_bytes()), expected, "{}", text);
            if matches!(civil.year(), 1678..=2261) {
                prop_assert_eq!(usual(text.as_bytes()), expected, "{}", text);
            }
        }

        #[test]
        fn what_is_read_here_jiff_reads_as_well(
            text in "[12][0-9]{3}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,11})?([Zz]|[+-][0-2][0-9]:[0-6][0-9]|[+-][0-9]{2}|)",
        ) {
            if let Some(nanos) = usual(text.as_bytes()) {
                let expected: jiff::Timestamp = text.parse().unwrap();
                prop_assert_eq!(i128::from(nanos), expected.as_nanosecond(), "{}", text);
            }
        }
    }
}
