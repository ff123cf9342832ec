//! Nothing: for runs whose results go elsewhere.

use std::io;

use super::{BatchReport, Sink, TotalsReport, WindowReport};

/// Writes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoneSink;

impl Sink for NoneSink {
    fn wants_rows(&self) -> bool {
        false
    }

    fn batch(&mut self, _: &BatchReport<'_>) -> io::Result<()> {
        Ok(())
    }

    fn window(&mut self, _: &WindowReport<'_>) -> io::Result<()> {
        Ok(())
    }

    fn totals(&mut self, _: &TotalsReport<'_>) -> io::Result<()> {
        Ok(())
    }
}
