//! What becomes of lines that are not counted, beside their column in the ledger: a sample to show,
//! a place in the reject file, a step towards the limit of malformed lines.
//!
//! One per parser thread; its combiner feeds it. Costs nothing for lines that are counted, and what
//! nobody asked for costs nothing for the others.

use std::sync::Arc;

use crate::ledger::{Ledger, Reason};
use crate::reject::Rejecter;
use crate::sample::Sampler;
use crate::tolerance::Watch;

/// One thread's dealings with bad lines.
pub struct BadLines {
    sampler: Sampler,
    rejecter: Option<Rejecter>,
    watch: Option<Arc<Watch>>,
    /// Lines, and malformed ones, of this batch that the watch knows of.
    told: (u64, u64),
}

impl BadLines {
    /// Samples by `sampler`, saving by `rejecter`, limited by `watch`.
    pub fn new(
        sampler: Sampler,
        rejecter: Option<Rejecter>,
        watch: Option<Arc<Watch>>,
    ) -> BadLines {
        BadLines {
            sampler,
            rejecter,
            watch,
            told: (0, 0),
        }
    }

    /// A line that was not counted; may wait for the reject file.
    pub fn offer(&mut self, reason: Reason, line: &[u8]) {
        self.sampler.offer(reason, line);
        if let Some(rejecter) = &mut self.rejecter {
            rejecter.offer(reason, line);
        }
    }

    /// Some more lines are in this batch's ledger.
    pub fn judged(&mut self, ledger: &Ledger) {
        if let Some(watch) = &self.watch {
            let (lines, malformed) = self.told;
            watch.add(ledger.lines - lines, ledger.malformed - malformed);
            self.told = (ledger.lines, ledger.malformed);
        }
    }

    /// The thread has nothing else to do, or enough has come together.
    pub fn flush(&mut self) {
        if let Some(rejecter) = &mut self.rejecter {
            rejecter.flush();
        }
    }

    /// A new batch begins.
    pub fn next_batch(&mut self) {
        self.sampler.next_batch();
        self.told = (0, 0);
    }

    /// Nothing follows.
    pub fn finish(self) {
        if let Some(rejecter) = self.rejecter {
            rejecter.finish();
        }
    }
}
