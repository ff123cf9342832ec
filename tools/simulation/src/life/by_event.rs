//! Lives whose windows are by the records' own time: no batch is reported then, only windows and totals.

use tallyline::ledger::Ledger;

use super::*;

impl World<'_> {
    /// Checks a life, and takes note of where it leaves the next one.
    pub(super) fn check_by_event(&mut self, life: &Life<'_>) -> Result<Lived, String> {
        let before = self.before.clone();
        let mut seen = life.seen.totals.last().map(|(ledger, totals)| Standing {
            batch: 0,
            ledger: *ledger,
            totals: totals.clone(),
        });
        let look = match self.scenario.has_state {
            true => Some(Look::open(&self.state_path()).map_err(told)?),
            false => None,
        };
        let mut saved = usize::MAX;
        if let Some(look) = &look {
            self.before = held(look)?;
            saved = (self.before.batch - before.batch) as usize;
            self.check_held(look)?;
        } else if let Some(seen) = &seen {
            self.before = seen.clone();
        }
        let counted = self.before.totals.values().sum();
        same("counted", &self.before.ledger.counted, &counted)?;
        same("balance", &self.before.ledger.is_balanced(), &true)?;

        self.checker.windows(&[], &life.seen)?;
        let past = look.as_ref().map(past_places).transpose()?;
        let windows = life.seen.windows.iter().filter(|window| {
            let place = Place::new(window.spec, window.end);
            let is_saved = past.as_ref().is_none_or(|past| past.contains(&place));
            is_saved || !window.is_final
        });
        self.take_windows(windows)?;
        if let Some(look) = &look {
            self.check_past_windows(look)?;
            let end = check_past_batches(look, &self.before)?;
            // What a life that was not saved to its end told of may have ended earlier.
            self.now = end.map_or(self.now, |end| self.now.max(end));
        }

        let mut ends_well = false;
        if let Some((result, torn_lines)) = &life.result {
            self.check_torn(life, *torn_lines)?;
            ends_well = ended_well(life, result)?;
            self.take_sockets(life, saved);
        }
        if ends_well {
            let seen = seen.as_mut().ok_or("no totals of a run that ended well")?;
            seen.batch = self.before.batch;
            same("the totals told of", seen, &self.before)?;
        }
        Ok(Lived {
            lives: u64::from(life.result.is_some()),
            unsaved: u64::from(life.result.is_some() && !ends_well),
            batches: self.before.batch - before.batch,
            lines: self.before.ledger.lines - before.ledger.lines,
        })
    }
}

fn past_places(look: &Look) -> Result<BTreeSet<Place>, String> {
    let windows = look.windows(None, usize::MAX >> 1).map_err(told)?;
    let places = windows.iter();
    Ok(places
        .map(|window| Place::new(window.spec, window.end))
        .collect())
}

/// Checks that the batches of the history follow one another and add up; returns when the last one ended.
fn check_past_batches(look: &Look, standing: &Standing) -> Result<Option<Timestamp>, String> {
    let mut batches = look.batches(None, usize::MAX >> 1).map_err(told)?;
    batches.reverse();
    let mut sum = Ledger::default();
    for (number, batch) in (1..).zip(&batches) {
        same("a batch's number", &batch.batch, &number)?;
        let told: u64 = batch.report(|report| {
            let rows = report.counts.shown.iter();
            rows.map(|row| row.count).sum()
        });
        same(
            "a batch's counts",
            &(told + batch.keys.hidden.count),
            &batch.ledger.counted,
        )?;
        sum += batch.ledger;
    }
    same("the history's batches in all", &sum, &standing.ledger)?;
    Ok(batches.last().map(|batch| batch.end))
}
