//! Where to begin in a source that keeps its records.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::Timestamp;

/// `--from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// With the oldest record that is still there.
    #[default]
    Earliest,
    /// With the first record that comes after the start.
    Latest,
    /// With the first record of that time or later.
    Time(Timestamp),
}

impl StartAt {
    /// `earliest`, `latest`, a time with its offset (`2026-11-22T15:47:35Z`), or a local time or
    /// date (`2026-11-22 15:47:35`, `2026-11-22`).
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<StartAt, String> {
        match text {
            "earliest" => return Ok(StartAt::Earliest),
            "latest" => return Ok(StartAt::Latest),
            _ => {}
        }
        let time = text.parse::<jiff::Timestamp>().or_else(|_| {
            let local = text.parse::<DateTime>()?.to_zoned(TimeZone::system());
            local.map(|local| local.timestamp())
        });
        let nanos = time.ok().map(|time| time.as_nanosecond());
        match nanos.and_then(|nanos| i64::try_from(nanos).ok()) {
            Some(nanos) => Ok(StartAt::Time(Timestamp::from_nanos(nanos))),
            None => Err(
                "give earliest, latest or a time such as 2026-11-22T15:47:35Z or '2026-11-22 15:47'"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_local() {
        let at = |text| StartAt::parse(text);
        let time = StartAt::Time(Timestamp::from_millis(1_795_362_455_000));
        assert_eq!(at("earliest"), Ok(StartAt::Earliest));
        assert_eq!(at("latest"), Ok(StartAt::Latest));
        assert_eq!(at("2026-11-22T15:47:35Z"), Ok(time));
        assert_eq!(at("2026-11-22T16:47:35+01:00"), Ok(time));
        for local in ["2026-11-22 15:47:35", "2026-11-22T15:47", "2026-11-22"] {
            assert!(matches!(at(local), Ok(StartAt::Time(_))), "{local}");
        }
        for bad in ["", "yesterday", "15:47", "1795362455", "9999-12-31"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
