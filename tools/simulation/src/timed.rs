//! What must hold of windows by the records' own time, which close when the watermark says so and not the clock.
//!
//! Where the lateness that is allowed covers all disorder, nothing may be late, and the windows of all lives are those that
//! the lines make ([`Timed::expect`]). Where it does not, it depends on the threads and the lives what is late; but a record
//! is in every window of its time that was open, or it is late, so that windows which do not overlap hold what was counted.

use std::collections::BTreeMap;

use tallyline::clock::Timestamp;
use tallyline::key::Key;
use tallyline::oracle::Oracle;
use tallyline::pipeline::Settings;
use tallyline::window::WindowSpec;

use crate::check::{add, same};
use crate::scenario::TIMES_MS;
use crate::seen::{Figures, Place, SeenWindow};

/// The windows of a simulation by event time.
pub(crate) struct Timed {
    specs: Vec<WindowSpec>,
    /// Nothing can be late.
    pub(crate) covers: bool,
    /// What the lines make.
    expected: BTreeMap<Place, Figures>,
}

impl Timed {
    /// Nothing, if windows are by arrival.
    pub(crate) fn new(settings: &Settings) -> Option<Timed> {
        settings.query.time()?;
        let disorder = (TIMES_MS.end - TIMES_MS.start) * 1_000_000;
        Some(Timed {
            specs: settings.windows.specs.clone(),
            covers: settings.event.lateness_nanos >= disorder,
            expected: BTreeMap::new(),
        })
    }

    /// Takes note of a line that must be counted in the end.
    pub(crate) fn expect(&mut self, oracle: &Oracle, line: &[u8]) {
        let (Ok(key), Some(time)) = (oracle.verdict(line), oracle.time(line)) else {
            return;
        };
        let time = Timestamp::from_nanos(time);
        for spec in &self.specs {
            let mut end = time.plus_nanos(1).multiple_from(spec.slide_nanos);
            while spec.start(end) <= time {
                let place = Place::new(*spec, end);
                *self
                    .expected
                    .entry(place)
                    .or_default()
                    .entry(key.clone())
                    .or_default() += 1;
                end = end.plus_nanos(spec.slide_nanos);
            }
        }
    }

    /// Windows of a life close in the order of their ends, each once, and after that they are not heard of.
    pub(crate) fn reports(&self, seen: &[SeenWindow]) -> Result<(), String> {
        for spec in &self.specs {
            let mut closed = None;
            for window in seen.iter().filter(|window| window.spec == *spec) {
                if Some(window.end) <= closed {
                    return Err(format!("window {spec} to {} after it closed", window.end));
                }
                if window.is_final {
                    closed = Some(window.end);
                }
            }
        }
        Ok(())
    }

    /// What the windows of all lives come to, those that are open in the end included.
    pub(crate) fn end(
        &self,
        windows: &BTreeMap<Place, Figures>,
        totals: &Figures,
        figures: impl Fn(&Figures, &Figures) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.covers {
            let places = |windows: &BTreeMap<Place, Figures>| windows.keys().copied().collect();
            let (seen, expected): (Vec<_>, Vec<_>) = (places(windows), places(&self.expected));
            same("the windows of all lives", &seen, &expected)?;
            for (place, counts) in windows {
                figures(counts, &self.expected[place])
                    .map_err(|why| format!("window {place:?}: {why}"))?;
            }
        }
        for spec in &self.specs {
            let mut sum = Figures::new();
            let windows = windows.iter().filter(|(place, _)| place.is_of(*spec));
            windows.for_each(|(_, counts)| add(&mut sum, counts));
            self.sum(*spec, &sum, totals)
                .map_err(|why| format!("windows {spec} in all: {why}"))?;
        }
        Ok(())
    }

    /// A record is in as many windows of a kind as overlap, at the most.
    fn sum(&self, spec: WindowSpec, sum: &Figures, totals: &Figures) -> Result<(), String> {
        if self.specs.len() == 1 && !spec.is_sliding() {
            return same("counts", sum, totals);
        }
        let overlap = spec.length_nanos.div_ceil(spec.slide_nanos);
        let is_too_many = |(key, count): &(&Key, &u64)| {
            let total = totals.get(*key).copied().unwrap_or(0);
            **count > overlap * total
        };
        same(
            "a count that is too high",
            &sum.iter().find(is_too_many),
            &None,
        )
    }
}
