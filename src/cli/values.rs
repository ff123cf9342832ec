//! What a flag's value may be: each function reads one kind of value, or says how it is written.
//!
//! The remedy stands behind the flag and its value: `--every '5': write a time such as …`. It is the
//! same whether the value came from the command line, the environment or a file.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Top;
use crate::record::{Condition, KeyPath};
use crate::tolerance::Tolerance;
use crate::window::WindowSpec;

/// The longest time that can be set: a leap year.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

pub(super) fn key_path(text: &str) -> Result<KeyPath, String> {
    KeyPath::parse(text).map_err(|error| error.to_string())
}

pub(super) fn condition(text: &str) -> Result<Condition, String> {
    Condition::parse(text).map_err(|error| error.to_string())
}

/// A name that can stand in a key, a header and a table without quotes.
pub(super) fn job(text: &str) -> Result<String, String> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    if !text.is_empty() && text.len() <= 200 && text.chars().all(is_in_name) {
        return Ok(text.to_owned());
    }
    Err("give a name of letters, digits and -_.:@, up to 200 of them".to_owned())
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time such as 500ms, 5s, 1m or 1h30m".to_owned();
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    let duration = Duration::try_from(parsed).map_err(|_| wrong())?;
    if duration <= DURATION_MAX {
        return Ok(duration);
    }
    Err("give a time up to 8784h, a year".to_owned())
}

/// How long something is kept: days, too.
pub(super) fn keep(text: &str) -> Result<Duration, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u64>().ok());
    let hours = days.map(|days| format!("{}h", days.saturating_mul(24)));
    duration(hours.as_deref().unwrap_or(text)).map_err(|error| match error.starts_with("give") {
        true => "give a time up to 366d, a year".to_owned(),
        false => "write a time such as 30d, 12h or 0s".to_owned(),
    })
}

pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    let bounds = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
    if bounds.contains(&interval) {
        return Ok(interval);
    }
    Err("give an interval from 10ms to 24h".to_owned())
}

/// A window's length and slide: `1m`, `1h/5m`.
pub(super) fn window(text: &str) -> Result<WindowSpec, String> {
    let (length, slide) = text.split_once('/').unwrap_or((text, text));
    let time = |text: &str| {
        duration(text.trim()).map_err(|error| match error.starts_with("give") {
            true => error,
            false => "write a length, and a slide if they overlap, such as 1m or 1h/5m".to_owned(),
        })
    };
    WindowSpec::new(time(length)?, time(slide)?).map_err(str::to_owned)
}

/// A whole number within `range`; an end of [`u64::MAX`] stands for none.
pub(super) fn number<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.filter(|_| digits).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            match *most {
                u64::MAX => format!("give a number from {least} up"),
                _ => format!("give a number from {least} to {most}"),
            }
        })
    }
}

pub(super) fn tolerance(text: &str) -> Result<Tolerance, String> {
    let wrong = || "give a number of lines such as 100, or a part of them such as 0.5%".to_owned();
    Tolerance::parse(text).ok_or_else(wrong)
}

pub(super) fn partition(text: &str) -> Result<i32, String> {
    let number = text.trim().parse().ok().filter(|&number| number >= 0);
    number.ok_or_else(|| "give numbers from 0 up, such as 0,2,5".to_owned())
}

pub(crate) fn top(text: &str) -> Result<Top, String> {
    if text == "all" {
        return Ok(Top::All);
    }
    let rows = text.parse().ok().filter(|&rows| rows > 0).map(Top::Rows);
    rows.ok_or_else(|| "give a number of rows from 1 up, or all".to_owned())
}

/// A size in bytes: `1048576`, `512KiB`, `64MiB`, `1GiB`, or decimal `500kB`, `1MB`.
pub(super) fn region(text: &str) -> Result<String, String> {
    let is_in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.is_empty() && text.bytes().all(is_in_name) {
        return Ok(text.to_owned());
    }
    Err("write a region such as eu-central-1".to_owned())
}

/// An address of a service: only what no client could make anything of is refused here.
pub(crate) fn url(text: &str) -> Result<String, String> {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let is_host = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', ':']);
    if rest.is_some_and(is_host) && !text.contains(char::is_whitespace) {
        return Ok(text.to_owned());
    }
    Err("write http://HOST:PORT or https://HOST".to_owned())
}

pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong =
        || "write a size such as 1048576, 512KiB or 64MiB, at least 1 and at most 1TiB".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let unit: usize = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    let bytes = number
        .checked_mul(unit)
        .filter(|bytes| (1..=1 << 40).contains(bytes));
    bytes.ok_or_else(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn regions_and_addresses_look_like_such() {
        assert_eq!(region("eu-central-1"), Ok("eu-central-1".to_owned()));
        let good = "https://kinesis.eu-central-1.amazonaws.com";
        assert_eq!(url(good), Ok(good.to_owned()));
        assert!(url("http://[::1]:4566").is_ok());
        for bad in ["", "Frankfurt", "eu central", "eu/../x"] {
            assert!(region(bad).is_err(), "{bad}");
        }
        for bad in [
            "",
            "localhost:4566",
            "ftp://x",
            "http://",
            "http://:1",
            "https:// x",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("64 KiB"), Ok(64 << 10));
        assert_eq!(size("500kB"), Ok(500_000));
        assert_eq!(size("7"), Ok(7));
        for bad in [
            "",
            "0",
            "MiB",
            "-1",
            "1.5MiB",
            "1XB",
            "99999999999999999999",
            "9999999G",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("1m"), Ok(Duration::from_secs(60)));
        for bad in [
            "",
            "5",
            "0s",
            "-5s",
            "1ms",
            "25h",
            "9999999999h",
            "99999999999999999999h",
            "soon",
        ] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn windows_have_a_length_and_may_slide() {
        let spec = |length, slide| {
            let (length, slide) = (Duration::from_secs(length), Duration::from_secs(slide));
            Ok(WindowSpec::new(length, slide).unwrap())
        };
        assert_eq!(window("1m"), spec(60, 60));
        assert_eq!(window("1h / 5m"), spec(3600, 300));
        for bad in [
            "", "/", "1m/", "/1m", "5", "1m/5", "1m/2m", "0s", "1m/0s", "1m/5s/1s", "9000h",
        ] {
            assert!(window(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_digits_within_their_range() {
        let parse = number::<usize>(1..=256);
        assert_eq!((parse("1"), parse("256")), (Ok(1), Ok(256)));
        for bad in [
            "",
            "0",
            "257",
            "-1",
            "+1",
            "1.0",
            "1e3",
            " 1",
            "99999999999999999999",
        ] {
            assert_eq!(
                parse(bad),
                Err("give a number from 1 to 256".to_owned()),
                "{bad}"
            );
        }
        let parse = number::<u64>(1..=u64::MAX);
        assert_eq!(parse("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(
            parse("18446744073709551616"),
            Err("give a number from 1 up".to_owned())
        );
    }
}
