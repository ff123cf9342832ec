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
}

/// The sink.
pub(crate) struct Keep {
    pub(crate) seen: Rc<RefCell<Seen>>,
    /// Stops the life after so many batches.
    pub(crate) stop: Option<(usize, Rc<RefCell<Option<Stop>>>)>,
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
        if let Some((batches, stop)) = &self.stop
            && seen.batches.len() == *batches
            && let Some(stop) = &*stop.borrow()
        {
            stop.stop();
        }
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
        Ok(())
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        let rows = by_key(report.totals.shown, |row| row.total);
        self.seen.borrow_mut().totals.push((report.ledger, rows));
        Ok(())
    }
}

pub(crate) fn by_key(rows: &[Row<'_>], figure: impl Fn(&Row<'_>) -> u64) -> Figures {
    rows.iter()
        .map(|row| (row.key.to_key(), figure(row)))
        .collect()
}
