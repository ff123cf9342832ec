//! Flag values as people type them: `1M`, `30s`, `1%`, `tcp://HOST:PORT`. An error says what to give instead.

use std::num::NonZeroU64;
use std::time::Duration;

/// `HOST:PORT`, as the standard library resolves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addr(pub(crate) String);

/// A whole number, with `k`, `M` or `G` for thousands, millions, billions, and `_` between digits.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let parsed = digits
        .replace('_', "")
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    parsed.ok_or_else(|| "give a whole number such as 1000, 250k or 1M".to_owned())
}

/// Records per second, none for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) Option<NonZeroU64>);

/// Records per second.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    Ok(Rate(NonZeroU64::new(number(text)?)))
}

/// A time with its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let seconds = match &text[unit_at..] {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    let parsed = text[..unit_at]
        .parse::<f64>()
        .ok()
        .and_then(|n| Duration::try_from_secs_f64(n * seconds).ok());
    parsed.ok_or_else(|| "give a time with its unit such as 500ms, 30s, 5m or 1h".to_owned())
}

/// A share: `0.01` or `1%`. The range is the spec's to check.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse::<f64>(),
    };
    parsed.map_err(|_| "give a share such as 0.01 or 1%".to_owned())
}

/// `tcp://HOST:PORT`.
pub(crate) fn url(text: &str) -> Result<Addr, String> {
    match text.strip_prefix("tcp://") {
        Some(addr) if has_port(addr) => Ok(Addr(addr.to_owned())),
        _ => Err("give tcp://HOST:PORT, such as tcp://localhost:9998".to_owned()),
    }
}

/// Where `push` sends to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Tcp(Addr),
    #[cfg(unix)]
    Unix(String),
    #[cfg(feature = "kafka")]
    Kafka {
        brokers: String,
        topic: String,
    },
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Tcp(Addr(addr)) => f.write_str(addr),
            #[cfg(unix)]
            Target::Unix(path) => f.write_str(path),
            #[cfg(feature = "kafka")]
            Target::Kafka { brokers, topic } => write!(f, "kafka://{brokers}/{topic}"),
        }
    }
}

/// `tcp://HOST:PORT`, `unix://PATH` or `kafka://BROKERS/TOPIC`.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    #[cfg(unix)]
    if let Some(path) = text.strip_prefix("unix://").filter(|path| !path.is_empty()) {
        return Ok(Target::Unix(path.to_owned()));
    }
    if let Some(address) = text.strip_prefix("kafka://") {
        return kafka(address);
    }
    let remedy = "give tcp://HOST:PORT, such as tcp://localhost:9998, or unix://PATH";
    url(text).map(Target::Tcp).map_err(|_| remedy.to_owned())
}

#[cfg(feature = "kafka")]
fn kafka(address: &str) -> Result<Target, String> {
    match address.split_once('/') {
        Some((brokers, topic)) if !brokers.is_empty() && !topic.is_empty() => Ok(Target::Kafka {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
        }),
        _ => Err("give kafka://HOST:PORT/TOPIC, such as kafka://localhost:9092/orders".to_owned()),
    }
}

#[cfg(not(feature = "kafka"))]
fn kafka(_: &str) -> Result<Target, String> {
    Err("this build leaves Kafka out; build it with --features kafka".to_owned())
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(Addr),
    #[cfg(unix)]
    Unix(String),
}

/// `ADDR:PORT`, a port alone for loopback, or `unix://PATH`.
pub(crate) fn place(text: &str) -> Result<Place, String> {
    #[cfg(unix)]
    if let Some(path) = text.strip_prefix("unix://").filter(|path| !path.is_empty()) {
        return Ok(Place::Unix(path.to_owned()));
    }
    if text.parse::<u16>().is_ok() {
        return Ok(Place::Tcp(Addr(format!("127.0.0.1:{text}"))));
    }
    match has_port(text) {
        true => Ok(Place::Tcp(Addr(text.to_owned()))),
        false => Err(
            "give ADDR:PORT, such as 127.0.0.1:9998 (port 0 takes a free one), or unix://PATH"
                .to_owned(),
        ),
    }
}

fn has_port(addr: &str) -> bool {
    addr.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_units() {
        assert_eq!(number("1M"), Ok(1_000_000));
        assert_eq!(number("250k"), Ok(250_000));
        assert_eq!(number("1_000"), Ok(1_000));
        for text in ["", "k", "-1", "1.5k", "99999999999G", "ten", "é"] {
            assert!(number(text).is_err(), "{text}");
        }
        assert_eq!(rate("0"), Ok(Rate(None)));
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3_600)));
        for text in ["", "30", "s", "-1s", "1e300h", "5 days"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_take_percent() {
        assert_eq!(share("1%"), Ok(0.01));
        assert_eq!(share("0.5"), Ok(0.5));
        assert!(share("some").is_err());
    }

    #[test]
    fn addresses_have_a_port() {
        assert_eq!(
            url("tcp://localhost:9998"),
            Ok(Addr("localhost:9998".into()))
        );
        assert_eq!(place("9998"), Ok(Place::Tcp(Addr("127.0.0.1:9998".into()))));
        assert_eq!(place("[::1]:0"), Ok(Place::Tcp(Addr("[::1]:0".into()))));
        for text in [
            "localhost:9998",
            "tcp://localhost",
            "tcp://:1",
            "tcp://a:70000",
            "http://a:1",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
        assert!(place("localhost").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn targets_are_ports_or_paths() {
        assert_eq!(target("unix://a.sock"), Ok(Target::Unix("a.sock".into())));
        assert_eq!(target("tcp://h:1"), Ok(Target::Tcp(Addr("h:1".into()))));
        assert!(target("unix://").is_err());
        assert_eq!(place("unix://a.sock"), Ok(Place::Unix("a.sock".into())));
        assert!(place("unix://").is_err());
    }
}
