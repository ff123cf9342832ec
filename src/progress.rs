//! How far finite files have been read: a line on standard error, where that is a terminal.
//!
//! The sources count bytes ([`Track`]); a thread paints the line over itself twice a second; whoever writes
//! anything else to the terminal has it taken away first: warnings by [`Stderr`], results by [`Aside`]. A run of
//! less than half a second shows nothing, and nothing is left of the line at the end.
//!
//! While the live view has the terminal, what is to stay there is kept for it ([`keep`]): so many lines, the
//! last ones; they are written when the view gives the terminal back ([`release`]).
//!
//! The lock in here is held for as long as a short line takes to be written to standard error, never while
//! results are: nobody in front of a closed batch waits for a slow reader of the output.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::sink::text::{bytes, duration, share};
use crate::sink::{BatchReport, Sink, TotalsReport, WindowReport};

/// How often the line is painted.
const INTERVAL: Duration = Duration::from_millis(500);

/// Back to the line's beginning, and nothing in it.
const ERASE: &str = "\r\x1b[K";

/// How far a source has come that ends.
#[derive(Debug)]
pub struct Track {
    /// Bytes in all, as they stood when the run began.
    pub bytes_total: u64,
    /// Bytes read; of archives, compressed ones. Written by the reader alone.
    pub bytes_done: AtomicU64,
}

/// The line on the screen, of which there is one.
struct Line {
    is_shown: bool,
    /// Results are being written.
    is_aside: bool,
    /// What is kept while somebody else has the terminal, a line each.
    kept: Option<VecDeque<String>>,
    /// Lines that there was no room to keep.
    forgotten: usize,
}

/// Lines that are kept.
const KEPT_MAX: usize = 200;

static LINE: Mutex<Line> = Mutex::new(Line {
    is_shown: false,
    is_aside: false,
    kept: None,
    forgotten: 0,
});

fn line() -> MutexGuard<'static, Line> {
    // Two flags cannot be left half changed.
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    /// Standard error may be closed: that is nobody's loss.
    fn paint(&mut self, text: &str) {
        if !self.is_aside && self.kept.is_none() {
            self.is_shown = true;
            drop(
                io::stderr()
                    .lock()
                    .write_all(format!("{ERASE}{text}").as_bytes()),
            );
        }
    }

    fn erase(&mut self) {
        if std::mem::replace(&mut self.is_shown, false) {
            drop(io::stderr().lock().write_all(ERASE.as_bytes()));
        }
    }
}

/// Keeps what is to be told until [`release`] is called.
pub fn keep() {
    let mut line = line();
    line.erase();
    line.kept = Some(VecDeque::new());
}

/// The lines that are kept, the oldest first.
pub fn kept() -> Vec<String> {
    line().kept.iter().flatten().cloned().collect()
}

/// Tells what was kept, and keeps nothing more.
pub fn release() {
    let mut line = line();
    let Some(kept) = line.kept.take() else { return };
    // What is no terminal was told at once.
    if io::stderr().is_terminal() {
        let mut text = match std::mem::take(&mut line.forgotten) {
            0 => String::new(),
            lines => format!("{lines} earlier messages are left out\n"),
        };
        text.extend(kept);
        drop(io::stderr().lock().write_all(text.as_bytes()));
    }
}

/// Standard error, for what is to stay there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut line = line();
        line.erase();
        let Line {
            kept, forgotten, ..
        } = &mut *line;
        if let Some(kept) = kept {
            kept.push_back(String::from_utf8_lossy(text).into_owned());
            if kept.len() > KEPT_MAX {
                kept.pop_front();
                *forgotten += 1;
            }
            if io::stderr().is_terminal() {
                return Ok(text.len());
            }
        }
        io::stderr().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// A sink that has the line taken away while it writes.
pub struct Aside(pub Box<dyn Sink>);

impl Aside {
    fn write(&mut self, write: impl FnOnce(&mut dyn Sink) -> io::Result<()>) -> io::Result<()> {
        let mut taken = line();
        taken.erase();
        taken.is_aside = true;
        drop(taken);
        let result = write(&mut *self.0);
        line().is_aside = false;
        result
    }
}

impl Sink for Aside {
    fn wants_totals(&self) -> bool {
        self.0.wants_totals()
    }

    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()> {
        self.write(|sink| sink.batch(report))
    }

    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()> {
        self.write(|sink| sink.window(report))
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        self.write(|sink| sink.totals(report))
    }
}

/// Paints the line until it is dropped.
#[derive(Debug)]
pub struct Painter {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Painter {
    /// Begins to paint how far these sources have come.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(tracks: Vec<Arc<Track>>, clock: Arc<dyn Clock>) -> io::Result<Painter> {
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let paint = move || {
            let start = clock.now();
            loop {
                thread::park_timeout(INTERVAL);
                // Relaxed: nothing comes with the flag, and the unpark orders it.
                if until.load(Ordering::Relaxed) {
                    return line().erase();
                }
                line().paint(&text(&tracks, start, clock.now()));
            }
        };
        let thread = thread::Builder::new()
            .name("progress".to_owned())
            .spawn(paint)?;
        Ok(Painter {
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        // Relaxed: see the thread.
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It paints and does not panic; if it did, the line would stay, and nothing else.
            drop(thread.join());
        }
    }
}

/// What the line says.
pub(crate) fn text(tracks: &[Arc<Track>], start: Timestamp, now: Timestamp) -> String {
    // Relaxed: a figure a moment old is as good.
    let done = tracks
        .iter()
        .map(|track| track.bytes_done.load(Ordering::Relaxed))
        .sum();
    let total = tracks.iter().map(|track| track.bytes_total).sum();
    describe(done, total, now.nanos_since(start))
}

/// So much of so much in so long. Files may have grown since the total was taken.
fn describe(done: u64, total: u64, nanos: u64) -> String {
    let total = total.max(done);
    let per = |figure: u64, count: u64, of: u64| {
        let result = u128::from(figure) * u128::from(count) / u128::from(of.max(1));
        u64::try_from(result).unwrap_or(u64::MAX)
    };
    let left = match done {
        0 => "–".to_owned(),
        _ => duration(per(total - done, nanos, done) / 1_000_000_000 * 1_000_000_000),
    };
    format!(
        "{}  {} of {}  {}/s  {left} left",
        share(done, total),
        bytes(done),
        bytes(total),
        bytes(per(done, 1_000_000_000, nanos)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_bytes_rate_and_time_left() {
        const SECOND: u64 = 1_000_000_000;
        assert_eq!(
            describe(250_000_000, 1_000_000_000, SECOND / 2),
            "25.0 %  250.0 MB of 1.0 GB  500.0 MB/s  1 s left"
        );
        assert_eq!(describe(0, 0, 0), "–  0 B of 0 B  0 B/s  – left");
        assert_eq!(
            describe(3000, 2000, SECOND),
            "100 %  3.0 kB of 3.0 kB  3.0 kB/s  0 s left"
        );
        assert!(describe(1, u64::MAX, u64::MAX).ends_with(" left"));
    }
}
