//! Reports with fixed figures, for the tests of the sinks.

use std::io;

use jiff::tz::{Offset, TimeZone};

use crate::clock::Timestamp;
use crate::decimal::Decimal;
use crate::key::KeyRef;
use crate::ledger::Ledger;
use crate::source::{Lag, Next, Part, PartOffset, SourceOffsets};
use crate::window::WindowSpec;

use super::{
    BatchReport, Hidden, Latency, Percentiles, Row, Rows, Sink, TotalsReport, WindowReport,
};

pub(crate) const LEDGER: Ledger = Ledger {
    lines: 1000,
    counted: 990,
    missing: 2,
    filtered: 0,
    malformed: 5,
    oversize: 0,
    blank: 3,
    late: 0,
    unsummed: 0,
};

pub(crate) const LATENCY: Latency = Latency {
    receive_to_counted: Percentiles {
        count: 990,
        p50_us: 120,
        p99_us: 1500,
        p999_us: 2000,
        max_us: 3000,
    },
    boundary_to_printed: Percentiles {
        count: 0,
        p50_us: 0,
        p99_us: 0,
        p999_us: 0,
        max_us: 0,
    },
};

pub(crate) const STATUSES: [Row<'static>; 4] = [
    row(KeyRef::string("PLACED"), 500, 1200),
    row(KeyRef::string("SHIPPED"), 250, 900),
    row(KeyRef::string("DELIVERED"), 200, 1_000_000),
    row(KeyRef::string("CANCELLED"), 40, 40),
];

pub(crate) const fn row(key: KeyRef<'_>, count: u64, total: u64) -> Row<'_> {
    Row {
        key,
        count,
        total,
        sums: None,
    }
}

/// A composite key's bytes.
pub(crate) fn composite(parts: &[KeyRef<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    parts.iter().for_each(|part| part.push_part(&mut bytes));
    bytes
}

pub(crate) fn decimal(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

/// Five seconds, from 2026-11-22 15:47:35 UTC.
pub(crate) fn batch<'a>(rows: &'a [Row<'a>]) -> BatchReport<'a> {
    BatchReport {
        batch: 3,
        start: Timestamp::from_millis(1_795_362_455_000),
        end: Timestamp::from_millis(1_795_362_460_000),
        ledger: LEDGER,
        counts: Rows {
            shown: rows,
            hidden: Hidden::default(),
        },
        totals: None,
        latency: None,
        lag: &[],
    }
}

pub(crate) fn totals<'a>(rows: &'a [Row<'a>]) -> TotalsReport<'a> {
    TotalsReport {
        end: Timestamp::from_millis(1_795_362_460_000),
        ledger: LEDGER,
        totals: Rows {
            shown: rows,
            hidden: Hidden::default(),
        },
        latency: None,
        lag: &[],
    }
}

/// A minute, tumbling, that ends with the batch.
pub(crate) fn window<'a>(rows: &'a [Row<'a>]) -> WindowReport<'a> {
    let end = Timestamp::from_millis(1_795_362_460_000);
    let spec = WindowSpec {
        length_nanos: 60_000_000_000,
        slide_nanos: 60_000_000_000,
    };
    WindowReport {
        spec,
        start: spec.start(end),
        end,
        covered: (Timestamp::from_millis(1_795_362_455_000), end),
        is_final: true,
        counts: Rows {
            shown: rows,
            hidden: Hidden::default(),
        },
        trending: None,
    }
}

/// A topic with three partitions.
pub(crate) fn offsets() -> SourceOffsets {
    let part = |number, next, lag: Option<u64>| PartOffset {
        part: Part::Partition(number),
        next: Next::Record(next),
        lag: lag.map(Lag::Records),
    };
    SourceOffsets {
        source: 0,
        name: "kafka://b/orders".into(),
        parts: vec![
            part(0, 788, Some(1212)),
            part(3, 5, Some(0)),
            part(4, 1, None),
        ],
    }
}

/// A stream with a shard that was read out and one of its children.
pub(crate) fn shard_offsets() -> SourceOffsets {
    let part = |name: &str, next, millis: Option<u64>| PartOffset {
        part: Part::Shard(name.into()),
        next,
        lag: millis.map(Lag::Millis),
    };
    SourceOffsets {
        source: 1,
        name: "kinesis://orders".into(),
        parts: vec![
            part("shardId-0", Next::Nowhere, Some(0)),
            part("shardId-1", Next::Behind("4959".into()), Some(61_500)),
        ],
    }
}

/// Half an hour off the whole hours, so that a wrong zone shows.
pub(crate) fn kolkata() -> TimeZone {
    TimeZone::fixed(Offset::from_seconds(5 * 3600 + 1800).unwrap())
}

/// What a sink writes during `call`.
pub(crate) fn written<'w>(
    make: impl FnOnce(Shared) -> Box<dyn Sink + 'w>,
    call: impl FnOnce(&mut dyn Sink) -> io::Result<()>,
) -> String {
    let out = Shared::default();
    call(make(out.clone()).as_mut()).unwrap();
    let bytes = out.0.take();
    String::from_utf8(bytes).unwrap()
}

/// A buffer with two owners: the sink and the test.
#[derive(Clone, Default)]
pub(crate) struct Shared(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Strings that mean harm, or are just unlike a status.
pub(crate) fn hostile_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "\x1b[2J\x1b]0;title\x07",
        "\u{9b}31m",
        "\0",
        "\u{7f}\u{85}",
        "line\r\nfeed\ttab",
        "\u{202e}gnp.exe\u{2066}",
        "zero\u{200b}width\u{2028}",
        "東京都",
        "👩\u{200d}👩\u{200d}👧 👍🏽 🇩🇪",
        "\u{301}\u{301}e\u{301}",
        "\"quoted\" 'both' \\",
        "=cmd()",
        "a,b;c",
        "\u{10ffff}\u{e0041}",
        "",
        " ",
    ]
    .map(str::to_owned)
    .into();
    keys.push("k".repeat(64 * 1024));
    keys.push("\u{1b}東".repeat(16 * 1024));
    keys
}
