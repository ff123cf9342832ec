//! A sink that keeps everything, unchecked: what must hold of it is looked at when the life is over.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use tallyline::clock::Timestamp;
use tallyline::key::Key;
use tallyline::ledger::Ledger;
use tallyline::reader::Stop;
use tallyline::sink::{BatchReport, Row, Sink, TotalsReport, WindowReport};
use tallyline::window::WindowSpec;

/// Figures by key.
pub(crate) type Figures = BTreeMap<Key, u64>;

/// A batch's report.
#[derive(Clone, Debug)]
pub(crate) struct SeenBatch {
    pub(crate) number: u64,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) ledger: Ledger,
    pub(crate) counts: Figures,
    /// Of the same keys.
    pub(crate) totals: Figures,
    /// How many rows there were.
    pub(crate) rows: usize,
}

/// Which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    length_nanos: u64,
    slide_nanos: u64,
    end: Timestamp,
}

impl Place {
    pub(crate) fn new(spec: WindowSpec, end: Timestamp) -> Place {
        Place {
            length_nanos: spec.length_nanos,
            slide_nanos: spec.slide_nanos,
            end,
        }
    }

    pub(crate) fn is_of(&self, spec: WindowSpec) -> bool {
        *self == Place::new(spec, self.end)
    }
}

/// A window's report.
#[derive(Clone, Debug)]
pub(crate) struct SeenWindow {
    pub(crate) spec: WindowSpec,
    pub(crate) end: Timestamp,
    pub(crate) is_final: bool,
    /// Batches reported before it.
    pub(crate) batches: usize,
    pub(crate) counts: Figures,
}

/// Everything that a life reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) batches: Vec<SeenBatch>,
    pub(crate) windows: Vec<SeenWindow>,
    pub(crate) totals: Vec<(Ledger, Figures)>,
    /// When the run ended, if it came to its totals.
    ended: Option<Timestamp>,
}

impl Seen {
    /// When the last batch ended that was told of.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        let last = self.batches.last().map(|batch| batch.end);
        last.or(self.ended)
    }
}

/// The sink.
pub(crate) struct Keep {
    pub(crate) seen: Rc<RefCell<Seen>>,
    /// Stops the life after so many batches, or windows where no batches are told of.
    pub(crate) stop: Option<(usize, Rc<RefCell<Option<Stop>>>)>,
}

impl Keep {
    fn stop_after(&self, reports: usize) {
        if let Some((after, stop)) = &self.stop
            && *after == reports
            && let Some(stop) = &*stop.borrow()
        {
            stop.stop();
        }
    }
}

impl Sink for Keep {
    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()> {
        let rows = report.counts.shown;
        let mut seen = self.seen.borrow_mut();
        seen.batches.push(SeenBatch {
            number: report.batch,
            start: report.start,
            end: report.end,
            ledger: report.ledger,
            counts: by_key(rows, |row| row.count),
            totals: by_key(rows, |row| row.total),
            rows: rows.len(),
        });
        let reports = seen.batches.len();
        self.stop_after(reports);
        Ok(())
    }

    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()> {
        let mut seen = self.seen.borrow_mut();
        let window = SeenWindow {
            spec: report.spec,
            end: report.end,
            is_final: report.is_final,
            batches: seen.batches.len(),
            counts: by_key(report.counts.shown, |row| row.count),
        };
        seen.windows.push(window);
        // By event time no batches are told of.
        if seen.batches.is_empty() {
            let reports = seen.windows.len();
            self.stop_after(reports);
        }
        Ok(())
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        let rows = by_key(report.totals.shown, |row| row.total);
        let mut seen = self.seen.borrow_mut();
        seen.totals.push((report.ledger, rows));
        seen.ended = Some(report.end);
        Ok(())
    }
}

pub(crate) fn by_key(rows: &[Row<'_>], figure: impl Fn(&Row<'_>) -> u64) -> Figures {
    rows.iter()
        .map(|row| (row.key.to_key(), figure(row)))
        .collect()
}
