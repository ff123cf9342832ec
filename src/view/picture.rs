//! What is drawn: a run as it stands, in plain data that knows nothing of where it came from.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::delivery::Delivered;
use crate::key::Key;
use crate::ledger::Ledger;
use crate::live::{Batch, Link, Live, Saving, Snapshot, SourceNow, Window};
use crate::sink::{Latency, text};

/// Batches that a key's curve goes back.
pub(super) const TRACE_MAX: usize = 40;

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The sources, by name.
    pub name: String,
    /// What is counted by.
    pub by: String,
    /// The batch interval.
    pub every_nanos: u64,
    /// When the run began.
    pub started: Timestamp,
    /// The time.
    pub now: Timestamp,
    /// The number of the last closed batch; 0: there is none yet.
    pub batch: u64,
    /// Records per second of the last batches, the oldest first.
    pub rates: Vec<u64>,
    /// Bytes received so far.
    pub bytes: u64,
    /// When there were so many.
    pub bytes_at: Timestamp,
    /// Whether backpressure holds up the reading now.
    pub is_paused: bool,
    /// Of the last batch, the part that backpressure held up the reading, in hundredths.
    pub paused_percent: u64,
    /// Where all lines went.
    pub ledger: Ledger,
    /// Distinct keys.
    pub keys: u64,
    /// Records of keys beyond the limit.
    pub overflow: u64,
    /// Latencies of the run.
    pub latency: Latency,
    /// The saving of the state, if there is one.
    pub saving: Option<Saving>,
    /// The sources.
    pub sources: Vec<EndLine>,
    /// Those sinks (`--to`) that are not as they should be.
    pub sinks: Vec<EndLine>,
    /// The keys that are told of, in no order.
    pub rows: Vec<KeyNow>,
    /// Keys that are not among them.
    pub keys_hidden: u64,
    /// The last window of each kind that was asked for.
    pub windows: Vec<WindowNow>,
    /// What else is to be known: where a dashboard is, what is wrong with a connection.
    pub notes: Vec<String>,
    /// How far sources that end have been read.
    pub progress: Option<String>,
    /// Whether the run is over.
    pub is_over: bool,
    /// Whether it is the run of another program, which goes on when this one ends.
    pub is_remote: bool,
}

/// What can be pictured.
pub trait Subject: Send {
    /// How it stands now.
    fn picture(&self) -> Picture;

    /// Another number whenever there is something new.
    fn version(&self) -> u64;

    /// The time.
    fn now(&self) -> Timestamp;
}

impl Subject for Live {
    fn picture(&self) -> Picture {
        Picture::of(self)
    }

    fn version(&self) -> u64 {
        Live::now(self).batch().map_or(0, |batch| batch.batch)
    }

    fn now(&self) -> Timestamp {
        self.time()
    }
}

/// A key's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNow {
    /// The key.
    pub key: Arc<Key>,
    /// Records in the last batch.
    pub count: u64,
    /// Records in the batch before; `None`: nobody knows, for it was not among the first then.
    pub before: Option<u64>,
    /// Records since the start.
    pub total: u64,
    /// Records in the last batches, the oldest first.
    pub trace: Vec<u64>,
}

impl KeyNow {
    /// How much more, or less, than in the batch before.
    pub fn change(&self) -> Option<i128> {
        let before = self.before?;
        Some(i128::from(self.count) - i128::from(before))
    }
}

/// A source or a sink, in a few words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndLine {
    /// Its name, as the user wrote it.
    pub name: String,
    /// How it stands, and how far it is behind.
    pub state: String,
    /// Whether that is as it should be.
    pub is_well: bool,
}

impl EndLine {
    /// Of a sink with which something is not as it should be.
    pub(super) fn sink(sink: &Delivered, lag_nanos: u64) -> Option<EndLine> {
        Some(EndLine {
            name: sink.name.clone(),
            state: sink.trouble(lag_nanos)?,
            is_well: false,
        })
    }

    /// Of a source whose link is called so ([`Link::name`]); `behind` says how far it is behind its end.
    pub(super) fn new(
        name: &str,
        link: &str,
        connections: Option<u64>,
        losses: u64,
        behind: Option<String>,
    ) -> EndLine {
        let is = |other: Link| link == other.name();
        let mut state = match connections {
            Some(connections) if is(Link::Connected) => {
                format!("listening, {connections} connected")
            }
            _ => link.to_owned(),
        };
        if losses > 0 {
            state += &format!(", lost {} times", text::grouped(losses));
        }
        if let Some(behind) = behind {
            state += &format!(", {behind}");
        }
        EndLine {
            name: name.to_owned(),
            state,
            is_well: is(Link::Connected) || is(Link::Over),
        }
    }
}

/// A window.
#[derive(Clone, Debug, Default)]
pub struct WindowNow {
    /// Its length and slide.
    pub spec: String,
    /// When it began and ended.
    pub span: (Timestamp, Timestamp),
    /// Whether more may come into it.
    pub is_open: bool,
    /// Its first keys.
    pub counts: Vec<(Arc<Key>, u64)>,
    /// All of its records.
    pub records: u64,
    /// Keys that grow: records in it and in the length before.
    pub trending: Vec<(Arc<Key>, u64, u64)>,
}

impl Picture {
    /// A run of this process.
    pub fn of(live: &Live) -> Picture {
        let (about, now, reading) = (live.about(), live.now(), live.reading());
        let sources = live.sources();
        let names: Vec<&str> = sources.iter().map(|source| &*source.name).collect();
        let last = now.batch();
        let (rows, keys_hidden) = rows(&now);
        Picture {
            name: names.join(", "),
            by: about.by.join(", "),
            every_nanos: about.every_nanos,
            started: about.started,
            now: live.time(),
            batch: last.map_or(0, |batch| batch.batch),
            rates: traced(&now)
                .iter()
                .map(|batch| rate(batch.ledger.lines, batch.nanos()))
                .collect(),
            bytes: reading.bytes,
            bytes_at: live.time(),
            is_paused: reading.is_paused,
            paused_percent: last.map_or(0, |batch| {
                let pace = batch.pace.as_ref();
                percent(pace.map_or(0, |pace| pace.paused_nanos), batch.nanos())
            }),
            ledger: now.ledger,
            keys: now.keys,
            overflow: now.overflow,
            latency: now.latency,
            saving: now.saving,
            sources: sources
                .iter()
                .map(|source| source_line(source, &now))
                .collect(),
            sinks: live
                .sinks()
                .iter()
                .filter_map(|sink| EndLine::sink(sink, sink.lag_nanos(about.started, live.time())))
                .collect(),
            rows,
            keys_hidden,
            windows: now
                .windows
                .iter()
                .filter_map(|kind| Some(window(kind.last()?)))
                .collect(),
            notes: Vec::new(),
            progress: None,
            is_over: now.is_over,
            is_remote: false,
        }
    }
}

/// The batches that curves are made of.
fn traced(now: &Snapshot) -> &[Arc<Batch>] {
    &now.batches[now.batches.len().saturating_sub(TRACE_MAX)..]
}

/// Lines per second.
pub(super) fn rate(lines: u64, nanos: u64) -> u64 {
    let rate = u128::from(lines) * 1_000_000_000 / u128::from(nanos.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// A part of a time, in hundredths.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    (part.saturating_mul(100) / whole.max(1)).min(100)
}

/// The first keys of the totals and those of the last batch, and how many others there are.
fn rows(now: &Snapshot) -> (Vec<KeyNow>, u64) {
    let batches = traced(now);
    let mut rows: Vec<KeyNow> = Vec::new();
    let mut places: HashMap<&Key, usize> = HashMap::new();
    let last = now
        .batch()
        .map(|batch| &batch.counts.shown[..])
        .unwrap_or_default();
    for (shown, is_last) in [(&now.totals.shown[..], false), (last, true)] {
        for one in shown {
            let place = *places.entry(&one.key).or_insert_with(|| {
                rows.push(KeyNow {
                    key: Arc::clone(&one.key),
                    count: 0,
                    before: Some(0),
                    total: one.total,
                    trace: vec![0; batches.len()],
                });
                rows.len() - 1
            });
            if is_last {
                rows[place].count = one.count;
            }
        }
    }
    for (number, batch) in batches.iter().enumerate() {
        for one in &batch.counts.shown {
            if let Some(&place) = places.get(&*one.key) {
                rows[place].trace[number] = one.count;
            }
        }
    }
    let before = batches.len().checked_sub(2).map(|number| &batches[number]);
    let is_known = before.is_some_and(|batch| batch.counts.hidden.keys == 0);
    for row in &mut rows {
        row.before = match before.map(|_| row.trace[batches.len() - 2]) {
            Some(0) if !is_known => None,
            count => count,
        };
    }
    let hidden = now.keys.saturating_sub(rows.len() as u64);
    (rows, hidden)
}

fn source_line(source: &SourceNow, now: &Snapshot) -> EndLine {
    let offsets = now.lag.iter().find(|offsets| offsets.name == source.name);
    EndLine::new(
        &source.name,
        source.link.name(),
        source.connections,
        source.losses,
        offsets.map(text::behind),
    )
}

fn window(window: &Arc<Window>) -> WindowNow {
    let counts = &window.counts;
    let shown = counts.shown.iter();
    let trending = window.trending.iter().flatten();
    WindowNow {
        spec: window.spec.to_string(),
        span: (window.start, window.end),
        is_open: !window.is_final,
        records: shown.clone().map(|one| one.count).sum::<u64>() + counts.hidden.count,
        counts: shown.map(|one| (Arc::clone(&one.key), one.count)).collect(),
        trending: trending
            .map(|one| (Arc::clone(&one.key), one.count, one.previous))
            .collect(),
    }
}
