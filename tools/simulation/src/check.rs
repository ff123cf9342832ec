//! What must hold of every life, and in the end: the slow and simple model.

use std::collections::BTreeMap;
use std::fmt::Debug;

use tallyline::clock::Timestamp;
use tallyline::key::{Key, KeyRef};
use tallyline::ledger::Ledger;
use tallyline::oracle::Oracle;
use tallyline::pipeline::Settings;
use tallyline::window::WindowSpec;

use crate::layout::LaidLine;
use crate::seen::{Figures, Place, Seen, SeenBatch, SeenWindow};
use crate::timed::Timed;

/// Where counting stands: what a state holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The last batch.
    pub(crate) batch: u64,
    pub(crate) ledger: Ledger,
    pub(crate) totals: Figures,
}

impl Standing {
    /// Where it stands after some batches more.
    pub(crate) fn after(&self, batches: &[SeenBatch]) -> Standing {
        let mut after = self.clone();
        for batch in batches {
            after.batch = batch.number;
            after.ledger += batch.ledger;
            add(&mut after.totals, &batch.counts);
        }
        after
    }
}

/// Judges lines and compares reports.
pub(crate) struct Checker {
    oracle: Oracle,
    every_nanos: u64,
    windows: Vec<WindowSpec>,
    /// Whether a life goes on with the windows that the one before left open.
    goes_on: bool,
    keys_max: u64,
    /// Windows are by the records' own time.
    pub(crate) timed: Option<Timed>,
    /// What everything must come to in the end.
    expected: (Ledger, Figures),
}

/// A limit that no simulation comes to.
pub(crate) const KEYS_ENOUGH: u64 = 1_000_000;

/// Keys beyond the limit.
fn other() -> Key {
    KeyRef::string("_other").to_key()
}

pub(crate) fn add(figures: &mut Figures, more: &Figures) {
    for (key, count) in more {
        *figures.entry(key.clone()).or_default() += count;
    }
}

/// Whether two things are the same.
///
/// # Errors
/// If not: what they are.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, seen: &T, expected: &T) -> Result<(), String> {
    match seen == expected {
        true => Ok(()),
        false => Err(format!("{what}: {seen:?}\nexpected: {expected:?}")),
    }
}

impl Checker {
    pub(crate) fn new(settings: &Settings) -> Checker {
        Checker {
            oracle: Oracle::new(settings.query.clone(), settings.line_bytes_max),
            every_nanos: settings.every_nanos,
            windows: settings.windows.specs.clone(),
            goes_on: settings.state_lag > 0,
            keys_max: settings.keys_max,
            timed: Timed::new(settings),
            expected: Default::default(),
        }
    }

    /// The number, from 0 on, of the batch of a life that what comes `at` a time belongs to.
    pub(crate) fn batch_of(&self, start: Timestamp, at: Timestamp) -> usize {
        let every = self.every_nanos as i64;
        let slot = |time: Timestamp| time.as_nanos().div_euclid(every);
        (slot(at) - slot(start)) as usize
    }

    /// Takes note of a line that must be counted in the end.
    pub(crate) fn expect(&mut self, line: &[u8]) {
        judge(&self.oracle, line, &mut self.expected);
        if let Some(timed) = &mut self.timed {
            timed.expect(&self.oracle, line);
        }
    }

    /// Batches come one after another without a gap, each balanced, and add up to the totals.
    pub(crate) fn reports(&self, seen: &Seen, before: &Standing) -> Result<(), String> {
        let mut standing = before.clone();
        for (number, batch) in seen.batches.iter().enumerate() {
            let told = |why| format!("batch {}: {why}", batch.number);
            same("a batch's number", &batch.number, &(standing.batch + 1))?;
            standing = standing.after(std::slice::from_ref(batch));
            self.report(batch, &standing).map_err(told)?;
            if let Some(next) = seen.batches.get(number + 1) {
                same("a batch's start", &next.start, &batch.end).map_err(told)?;
                let boundary = batch.end.multiple_from(self.every_nanos);
                same("a batch's end", &batch.end, &boundary).map_err(told)?;
                if batch.end <= batch.start {
                    return Err(told(format!("{} to {}", batch.start, batch.end)));
                }
            }
        }
        let totals = vec![(standing.ledger, standing.totals)];
        same("totals", &seen.totals, &totals)
    }

    fn report(&self, batch: &SeenBatch, standing: &Standing) -> Result<(), String> {
        same("rows", &batch.rows, &batch.counts.len())?;
        same("balance", &batch.ledger.is_balanced(), &true)?;
        let sum = batch.counts.values().sum();
        same("counted", &batch.ledger.counted, &sum)?;
        let keys = batch.counts.keys();
        let totals = keys.map(|key| (key.clone(), standing.totals[key]));
        same("totals so far", &batch.totals, &totals.collect())
    }

    /// A window is the sum of its batches, those of lives before included, and every one is reported, once.
    pub(crate) fn windows(&self, past: &[SeenBatch], seen: &Seen) -> Result<(), String> {
        if let Some(timed) = &self.timed {
            return timed.reports(&seen.windows);
        }
        for window in &seen.windows {
            self.window(window, past, &seen.batches[..window.batches])
                .map_err(|why| format!("window {} to {}: {why}", window.spec, window.end))?;
        }
        for spec in &self.windows {
            let reported = seen.windows.iter().filter(|window| window.spec == *spec);
            let ends: Vec<Timestamp> = reported.map(|window| window.end).collect();
            if !ends.is_sorted_by(|earlier, later| earlier < later) {
                return Err(format!("windows {spec}: they end at {ends:?}"));
            }
            for batch in &seen.batches {
                let is_due = batch.end.multiple_from(spec.slide_nanos) == batch.end;
                if is_due && batch.start < batch.end && !ends.contains(&batch.end) {
                    return Err(format!("no window {spec} to {}", batch.end));
                }
            }
        }
        Ok(())
    }

    /// Every window of saved batches that holds something has closed when a later batch has ended.
    pub(crate) fn closed(
        &self,
        batches: &[SeenBatch],
        is_closed: impl Fn(&Place) -> bool,
    ) -> Result<(), String> {
        let reached = batches.last().map(|batch| batch.end);
        for batch in batches.iter().filter(|batch| batch.ledger.counted > 0) {
            let last = batch.end.max(batch.start.plus_nanos(1));
            let slot = last.multiple_from(self.every_nanos);
            for spec in &self.windows {
                let mut end = slot.multiple_from(spec.slide_nanos);
                while spec.start(end) < slot && Some(end) <= reached {
                    if !is_closed(&Place::new(*spec, end)) {
                        return Err(format!("window {spec} to {end} never closed"));
                    }
                    end = end.plus_nanos(spec.slide_nanos);
                }
            }
        }
        Ok(())
    }

    fn window(
        &self,
        window: &SeenWindow,
        past: &[SeenBatch],
        batches: &[SeenBatch],
    ) -> Result<(), String> {
        let start = window.spec.start(window.end);
        let mut sum = Figures::new();
        for batch in past.iter().chain(batches) {
            let last = batch.end.max(batch.start.plus_nanos(1));
            let slot = last.multiple_from(self.every_nanos);
            if start < slot && slot <= window.end {
                add(&mut sum, &batch.counts);
            }
        }
        let reached = batches.last().map(|batch| batch.end);
        let is_open = self.goes_on && Some(window.end) > reached;
        same("is final", &window.is_final, &!is_open)?;
        same("the sum of its batches", &window.counts, &sum)
    }

    /// Each batch holds the lines that were whole before its boundary, of a life that spans so much time;
    /// but for the last batch if it was stopped.
    pub(crate) fn contents(
        &self,
        batches: &[SeenBatch],
        lines: &[&LaidLine],
        (start, end): (Timestamp, Timestamp),
        is_whole: bool,
    ) -> Result<(), String> {
        let mut expected = vec![(Ledger::default(), Figures::new()); self.batch_of(start, end) + 1];
        for line in lines {
            let batch = self.batch_of(start, line.at);
            judge(&self.oracle, &line.bytes, &mut expected[batch]);
        }
        if is_whole {
            same("batches", &batches.len(), &expected.len())?;
            let last = batches.last().map(|batch| batch.end);
            same("the end", &last, &Some(end))?;
        }
        let first = batches.first().map(|batch| batch.start);
        same("the start", &first, &Some(start))?;
        let whole = if is_whole {
            batches.len()
        } else {
            batches.len() - 1
        };
        for (batch, (ledger, counts)) in batches[..whole].iter().zip(expected) {
            let told = |why| format!("batch {}: {why}", batch.number);
            self.ledger(&batch.ledger, &ledger).map_err(told)?;
            self.figures(&batch.counts, &counts, batch.ledger.late)
                .map_err(told)?;
        }
        Ok(())
    }

    /// Everything is counted, once; and so are the windows made that were reported as final, or as open in the end.
    pub(crate) fn end(
        &self,
        standing: &Standing,
        windows: &BTreeMap<Place, Figures>,
    ) -> Result<(), String> {
        let (ledger, totals) = &self.expected;
        let told = |why| format!("in the end: {why}");
        self.ledger(&standing.ledger, ledger).map_err(told)?;
        self.figures(&standing.totals, totals, standing.ledger.late)
            .map_err(told)?;
        match &self.timed {
            Some(timed) => timed.end(windows, &standing.totals, |seen, expected| {
                self.figures(seen, expected, 0)
            }),
            None => Ok(()),
        }
    }

    /// By the records' own time a record may be late instead of counted, unless none can be.
    fn ledger(&self, seen: &Ledger, expected: &Ledger) -> Result<(), String> {
        let mut seen = *seen;
        if self.timed.as_ref().is_some_and(|timed| !timed.covers) {
            seen.counted += std::mem::take(&mut seen.late);
        }
        same("ledger", &seen, expected)
    }

    /// With a limit it depends on the threads which keys come to be counted; but none is counted too often,
    /// and none is lost; nor is one of those that are not `late`.
    fn figures(&self, seen: &Figures, expected: &Figures, late: u64) -> Result<(), String> {
        if self.keys_max == KEYS_ENOUGH && late == 0 {
            return same("counts", seen, expected);
        }
        let sum = |figures: &Figures| figures.values().sum::<u64>();
        same("the sum of all counts", &(sum(seen) + late), &sum(expected))?;
        let keys = seen.iter().filter(|(key, _)| **key != other());
        let beyond = keys
            .clone()
            .find(|(key, count)| expected.get(key) < Some(count));
        same("a count that is too high", &beyond, &None)?;
        let keys = keys.count() as u64;
        same("keys within the limit", &keys.min(self.keys_max), &keys)
    }
}

/// Adds a line to what lines come to.
fn judge(oracle: &Oracle, line: &[u8], (ledger, counts): &mut (Ledger, Figures)) {
    ledger.lines += 1;
    match oracle.verdict(line) {
        Ok(key) => {
            ledger.counted += 1;
            ledger.unsummed += u64::from(oracle.lacks_number(line));
            *counts.entry(key).or_default() += 1;
        }
        Err(reason) => ledger.drop_line(reason),
    }
}
