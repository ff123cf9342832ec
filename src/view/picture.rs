//! What is drawn: a run as it stands, in plain data that knows nothing of where it came from.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::key::Key;
use crate::ledger::Ledger;
use crate::live::{Batch, Link, Live, Saving, Snapshot, SourceNow, Window};
use crate::sink::{Latency, text};

/// Batches that a key's curve goes back.
const TRACE_MAX: usize = 40;

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
    pub sources: Vec<SourceLine>,
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

/// A source, in a few words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLine {
    /// Its name, as the user wrote it.
    pub name: String,
    /// How it stands, and how far it is behind.
    pub state: String,
    /// Whether that is as it should be.
    pub is_well: bool,
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
        let paused = last.map_or(0, |batch| {
            batch.paused_nanos.saturating_mul(100) / batch.nanos()
        });
        let (rows, keys_hidden) = rows(&now);
        Picture {
            name: names.join(", "),
            by: about.by.join(", "),
            every_nanos: about.every_nanos,
            started: about.started,
            now: live.time(),
            batch: last.map_or(0, |batch| batch.batch),
            rates: traced(&now).iter().map(|batch| rate(batch)).collect(),
            bytes: reading.bytes,
            is_paused: reading.is_paused,
            paused_percent: paused.min(100),
            ledger: now.ledger,
            keys: now.keys,
            overflow: now.overflow,
            latency: now.latency,
            saving: now.saving,
            sources: sources
                .iter()
                .map(|source| source_line(source, &now))
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
        }
    }
}

/// The batches that curves are made of.
fn traced(now: &Snapshot) -> &[Arc<Batch>] {
    &now.batches[now.batches.len().saturating_sub(TRACE_MAX)..]
}

/// Records per second.
fn rate(batch: &Batch) -> u64 {
    let rate = u128::from(batch.ledger.lines) * 1_000_000_000 / u128::from(batch.nanos());
    u64::try_from(rate).unwrap_or(u64::MAX)
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

fn source_line(source: &SourceNow, now: &Snapshot) -> SourceLine {
    let mut state = match source.connections {
        Some(connections) if source.link == Link::Connected => {
            format!("listening, {connections} connected")
        }
        _ => source.link.name().to_owned(),
    };
    if source.losses > 0 {
        state += &format!(", lost {} times", text::grouped(source.losses));
    }
    let offsets = now.lag.iter().find(|offsets| offsets.name == source.name);
    if let Some(offsets) = offsets {
        state += &format!(", {}", text::behind(offsets));
    }
    SourceLine {
        name: source.name.to_string(),
        state,
        is_well: matches!(source.link, Link::Connected | Link::Over),
    }
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
