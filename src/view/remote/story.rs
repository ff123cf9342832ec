//! What a run elsewhere has told, event by event: batches, windows and totals, as its HTTP server sends them.
//!
//! Fed with the data of `/events`. What is not there or is otherwise than expected counts as nothing: a newer server
//! may say more, and nothing it says may end the view. Numbers that are keys keep their digits. Bounded: so many
//! batches and kinds of windows, and of each the keys that one event may have.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::moment;
use crate::clock::Timestamp;
use crate::key::{Key, KeyRef};
use crate::ledger::Ledger;
use crate::view::picture::{KeyNow, Picture, TRACE_MAX, WindowNow, percent, rate};
use crate::window::WindowSpec;

/// Kinds of windows that are kept.
const WINDOWS_MAX: usize = 64;

/// An object whose members are still text: numbers keep their digits.
type Members = HashMap<String, Box<RawValue>>;

/// A batch as it was told.
#[derive(Debug, Default)]
struct Told {
    batch: u64,
    rate: u64,
    paused_percent: u64,
    /// Of each key its records in the batch and since the start.
    counts: HashMap<Arc<Key>, (u64, u64)>,
    /// Whether keys were left out.
    is_cut: bool,
}

/// See the module's documentation. A copy shares what it is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    /// Which run it is, as its server numbers them.
    run: String,
    batches: VecDeque<Arc<Told>>,
    windows: Vec<(WindowSpec, WindowNow)>,
    ledger: Ledger,
    totals: Arc<[(Arc<Key>, u64)]>,
}

impl Story {
    /// From now on it is that of this run: what another one told is forgotten.
    pub(super) fn begin(&mut self, run: &str) {
        if run != self.run {
            *self = Story {
                run: run.to_owned(),
                ..Story::default()
            };
        }
    }

    /// Takes the data of an event of this run; the text of the status that stands in it, if one does.
    pub(super) fn take(&mut self, run: &str, data: &str) -> Option<Box<RawValue>> {
        self.begin(run);
        let mut event = serde_json::from_str::<Members>(data).ok()?;
        if let Some(batch) = event.get("batch").and_then(|batch| members(batch)) {
            self.batch(&batch);
        }
        for window in &objects(&event, "windows") {
            self.window(window);
        }
        if let Some(totals) = event.get("totals").and_then(|totals| members(totals)) {
            self.ledger = ledger(&totals);
            let rows = rows(&totals, &["total"]).into_iter();
            self.totals = rows.map(|(key, [total])| (key, total)).collect();
        }
        event.remove("status")
    }

    fn batch(&mut self, batch: &Members) {
        let told = number(batch, "batch");
        if self.batches.back().is_some_and(|last| told <= last.batch) {
            return;
        }
        let (start, end) = (time(batch, "start"), time(batch, "end"));
        let nanos = end.nanos_since(start);
        let paused_nanos = number(batch, "paused_ms").saturating_mul(1_000_000);
        let counts = rows(batch, &["count", "total"]).into_iter();
        self.batches.push_back(Arc::new(Told {
            batch: told,
            rate: rate(ledger(batch).lines, nanos),
            paused_percent: percent(paused_nanos, nanos),
            counts: counts
                .map(|(key, [count, total])| (key, (count, total)))
                .collect(),
            is_cut: batch.contains_key("hidden"),
        }));
        if self.batches.len() > TRACE_MAX {
            self.batches.pop_front();
        }
    }

    fn window(&mut self, window: &Members) {
        let nanos = |name| number(window, name).saturating_mul(1_000_000);
        let spec = WindowSpec {
            length_nanos: nanos("length_ms"),
            slide_nanos: nanos("slide_ms"),
        };
        let counts = rows(window, &["count"]).into_iter();
        let counts: Vec<(Arc<Key>, u64)> = counts.map(|(key, [count])| (key, count)).collect();
        let hidden = window.get("hidden").and_then(|hidden| members(hidden));
        let hidden = hidden.map_or(0, |hidden| number(&hidden, "count"));
        let records = counts.iter().map(|&(_, count)| count);
        let trend = |trend: &Members| {
            let figure = |name| number(trend, name);
            Some((key(trend.get("key")?)?, figure("count"), figure("previous")))
        };
        let trending = objects(window, "trending");
        let now = WindowNow {
            spec: spec.to_string(),
            span: (time(window, "start"), time(window, "end")),
            is_open: window
                .get("final")
                .is_some_and(|is_final| is_final.get() == "false"),
            records: records.fold(hidden, u64::saturating_add),
            counts,
            trending: trending.iter().filter_map(trend).collect(),
        };
        let has_room = self.windows.len() < WINDOWS_MAX;
        match self.windows.iter_mut().find(|(known, _)| *known == spec) {
            Some((_, known)) => *known = now,
            None if has_room => self.windows.push((spec, now)),
            None => {}
        }
    }

    /// The run, which stands as `standing` says.
    pub(super) fn picture(&self, standing: &Picture) -> Picture {
        let last = self.batches.back();
        let rows = self.rows();
        Picture {
            batch: last.map_or(0, |last| last.batch),
            rates: self.batches.iter().map(|batch| batch.rate).collect(),
            paused_percent: last.map_or(0, |last| last.paused_percent),
            ledger: self.ledger,
            keys_hidden: standing.keys.saturating_sub(rows.len() as u64),
            rows,
            windows: self.windows.iter().map(|(_, now)| now.clone()).collect(),
            is_remote: true,
            ..standing.clone()
        }
    }

    /// The first keys of the totals and those of the last batch.
    fn rows(&self) -> Vec<KeyNow> {
        let last = self.batches.back();
        let before = self.batches.iter().rev().nth(1);
        let counted = last.into_iter().flat_map(|last| &last.counts);
        let counted = counted.map(|(key, &(_, total))| (key, total));
        let known = self.totals.iter().map(|(key, total)| (key, *total));
        let mut totals: HashMap<&Arc<Key>, u64> = counted.collect();
        totals.extend(known);
        let row = |(key, total): (&Arc<Key>, u64)| {
            let count = |told: &Arc<Told>| told.counts.get(key).map_or(0, |&(count, _)| count);
            KeyNow {
                key: Arc::clone(key),
                count: last.map_or(0, count),
                before: match before {
                    Some(told) if told.is_cut && !told.counts.contains_key(key) => None,
                    before => Some(before.map_or(0, count)),
                },
                total,
                trace: self.batches.iter().map(count).collect(),
            }
        };
        totals.into_iter().map(row).collect()
    }
}

fn members(object: &RawValue) -> Option<Members> {
    serde_json::from_str(object.get()).ok()
}

fn objects(object: &Members, name: &str) -> Vec<Members> {
    let array = object
        .get(name)
        .and_then(|array| serde_json::from_str(array.get()).ok());
    array.unwrap_or_default()
}

fn number(object: &Members, name: &str) -> u64 {
    let text = object.get(name).map(|value| value.get());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn time(object: &Members, name: &str) -> Timestamp {
    let text = object.get(name);
    let text = text.and_then(|text| serde_json::from_str::<String>(text.get()).ok());
    moment(&text.unwrap_or_default())
}

fn ledger(object: &Members) -> Ledger {
    let told = object.get("ledger").and_then(|ledger| members(ledger));
    let told = told.unwrap_or_default();
    Ledger {
        lines: number(&told, "lines"),
        counted: number(&told, "counted"),
        missing: number(&told, "missing"),
        filtered: number(&told, "filtered"),
        malformed: number(&told, "malformed"),
        oversize: number(&told, "oversize"),
        blank: number(&told, "blank"),
        late: number(&told, "late"),
        unsummed: number(&told, "unsummed"),
    }
}

/// The keys of an object's counts, each with these figures.
fn rows<const N: usize>(object: &Members, figures: &[&str; N]) -> Vec<(Arc<Key>, [u64; N])> {
    let row = |row: &Members| Some((key(row.get("key")?)?, figures.map(|name| number(row, name))));
    let rows = objects(object, "counts");
    rows.iter().filter_map(row).collect()
}

/// The key that is printed so.
fn key(text: &RawValue) -> Option<Arc<Key>> {
    let text = text.get();
    if !text.starts_with('[') {
        return KeyRef::with_json(text, |key| Arc::new(key.to_key()));
    }
    let parts: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
    let mut bytes = Vec::new();
    for part in &parts {
        KeyRef::with_json(part.get(), |key| key.push_part(&mut bytes))?;
    }
    Some(Arc::new(KeyRef::composite(&bytes).to_key()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn event(batch: u64, counts: &str, more: &str) -> String {
        format!(
            r#"{{"batch":{{"type":"batch","batch":{batch},"start":"2026-11-25T10:00:00.000Z","end":"2026-11-25T10:00:05.000Z",
               "ledger":{{"lines":50,"counted":49,"malformed":1}},"counts":[{counts}],"paused_ms":1000}}{more}}}"#
        )
    }

    fn picture(story: &Story) -> Picture {
        story.picture(&Picture {
            keys: 7,
            ..Picture::default()
        })
    }

    #[test]
    fn events_become_a_picture() {
        let mut story = Story::default();
        let told = story.take("9", &event(1, r#"{"key":"A","count":3,"total":3}"#, ""));
        assert!(told.is_none());
        let windows = r#","windows":[{"type":"window","length_ms":60000,"slide_ms":60000,"start":"2026-11-25T10:00:00.000Z",
            "end":"2026-11-25T10:01:00.000Z","final":false,"counts":[{"key":1e2,"count":5}],"hidden":{"keys":1,"count":2},
            "trending":[{"key":1e2,"count":5,"previous":1,"ratio":1.36}]}]"#;
        let totals = r#","totals":{"ledger":{"lines":99,"counted":98,"malformed":1},"counts":[{"key":"A","total":7},{"key":["x",1.0],"total":2}]}"#;
        let data = event(
            2,
            r#"{"key":"A","count":4,"total":7},{"key":null,"count":1,"total":1}"#,
            &format!(r#"{windows}{totals},"status":{{"type":"status"}}"#),
        );
        let told = story.take("9", &data).unwrap();
        assert_eq!(told.get(), r#"{"type":"status"}"#);
        let picture = picture(&story);
        assert_eq!((picture.batch, &picture.rates[..]), (2, &[10, 10][..]));
        assert_eq!((picture.ledger.lines, picture.paused_percent), (99, 20));
        assert_eq!((picture.keys_hidden, picture.rows.len()), (4, 3));
        let row = |key: KeyRef<'_>| {
            let mut rows = picture.rows.iter();
            let row = rows.find(|row| (*row.key).as_ref() == key).unwrap();
            (row.count, row.before, row.total, row.trace.clone())
        };
        assert_eq!(row(KeyRef::string("A")), (4, Some(3), 7, vec![3, 4]));
        assert_eq!(row(KeyRef::null()), (1, Some(0), 1, vec![0, 1]));
        let mut parts = Vec::new();
        KeyRef::string("x").push_part(&mut parts);
        KeyRef::number("1.0").push_part(&mut parts);
        assert_eq!(row(KeyRef::composite(&parts)), (0, Some(0), 2, vec![0, 0]));
        let window = &picture.windows[0];
        assert_eq!(
            (window.spec.as_str(), window.records, window.is_open),
            ("1m", 7, true)
        );
        assert_eq!((*window.trending[0].0).as_ref(), KeyRef::number("1e2"));
    }

    #[test]
    fn a_batch_that_left_keys_out_does_not_say_how_many_there_were_of_them() {
        let mut story = Story::default();
        let hidden = r#"{"key":"A","count":3,"total":3}],"hidden":{"keys":1,"count":1},"x":["#;
        story.take("9", &event(1, hidden, ""));
        story.take("9", &event(2, r#"{"key":"B","count":4,"total":5}"#, ""));
        assert_eq!(picture(&story).rows[0].before, None);
    }

    #[test]
    fn another_run_begins_anew_the_same_batch_counts_once_and_history_is_bounded() {
        let mut story = Story::default();
        for batch in [1, 2, 2, 1].into_iter().chain(2..=100) {
            story.take("9", &event(batch, "", ""));
        }
        assert_eq!(picture(&story).batch, 100);
        assert_eq!(picture(&story).rates.len(), TRACE_MAX);
        story.begin("9");
        assert_eq!(picture(&story).batch, 100);
        story.begin("10");
        assert_eq!(picture(&story).batch, 0);
        story.take("11", &event(1, "", ""));
        let picture = picture(&story);
        assert_eq!((picture.batch, picture.rates.len()), (1, 1));
    }

    #[test]
    fn what_is_no_event_changes_nothing() {
        let mut story = Story::default();
        story.take("9", &event(3, "", ""));
        for data in [
            "",
            "[]",
            "{",
            "{}",
            r#"{"batch":7}"#,
            r#"{"windows":{}}"#,
            r#"{"totals":null}"#,
            r#"{"batch":{"batch":-1,"counts":7,"start":1}}"#,
        ] {
            assert!(story.take("9", data).is_none());
        }
        let strange = r#"{"count":1},{"key":{},"count":1},{"key":[[]],"count":1},7"#;
        story.take("9", &event(4, strange, ""));
        let picture = picture(&story);
        assert_eq!((picture.batch, picture.rows.len()), (4, 0));
    }
}
