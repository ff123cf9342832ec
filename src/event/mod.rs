//! Windows by the records' own time.
//!
//! The parsers give every record the *pane* that its time lies in: a span as long as the greatest
//! common divisor of all window lengths and slides, so that every window is a run of whole panes. The
//! shards count by pane as well as by key ([`tally`]); the batch merge hands [`EventWindows`] what each
//! closed batch brought, and gets back which records were late and which windows close.
//!
//! - The *watermark* (`watermark.rs`) is the time up to which no more records are expected: over the
//!   sources, the least of the latest times that each has sent, less the lateness that is allowed.
//! - A window closes when the watermark reaches its end. Windows close in the order of their ends.
//! - A record is *late* when every window that holds its pane has closed. It is counted as late and not
//!   under its key. One that still has an open window is counted, in that one.
//! - Late or not is decided by the watermark at the end of the batch before, for a whole batch alike, so it depends
//!   neither on threads nor on the order in which they finish. Of recorded input a batch is so many
//!   bytes, not so much time, and every run gives the same.
//! - At the end of the input every window closes. With a state (`kept.rs`) the next run goes on with the windows that
//!   are open then; they are reported as they stand, and not as final.
//!
//! Bound: open panes take `--window-bytes`; beyond it the oldest windows are closed early, as if the
//! watermark had reached them, and that is told.

mod kept;
mod panes;
pub mod tally;
mod watermark;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests;

pub use kept::{EventChange, KeptEvents, KeptPane};
pub use tally::{PanePair, Tally};
pub use watermark::Latest;

use crate::clock::Timestamp;
use crate::counts::ClosedCounts;
use crate::lane::Mark;
use crate::window::{ClosedWindow, Sums, WindowSettings, WindowSpec};
use panes::{Panes, Range};
use watermark::{Awaited, Watermark};

/// Bytes of input after which a batch is closed, so that what it brings is bounded.
pub const BATCH_BYTES: u64 = 32 * 1024 * 1024;

/// Times that windows are made of, in nanoseconds: 1700 to 2240, so that no window's ends overflow.
pub const NANOS_MAX: i64 = 8_500_000_000_000_000_000;

/// How event time is dealt with, beside the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSettings {
    /// How much older than the latest of its source a record may be.
    pub lateness_nanos: u64,
    /// After so long without bytes a source holds no window open.
    pub idle_nanos: u64,
    /// Whether open windows are reported with each batch that changes them.
    pub partial: bool,
}

impl Default for EventSettings {
    /// No lateness, idle after a minute, final reports only.
    fn default() -> EventSettings {
        EventSettings {
            lateness_nanos: 0,
            idle_nanos: 60_000_000_000,
            partial: false,
        }
    }
}

/// The length of a pane: the greatest that lengths and slides are multiples of.
///
/// # Panics
/// If there are no windows.
pub fn pane_nanos(specs: &[WindowSpec]) -> u64 {
    let times = specs
        .iter()
        .flat_map(|spec| [spec.length_nanos, spec.slide_nanos]);
    times
        .reduce(gcd)
        .expect("event time is asked for with windows")
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// One kind of window as it goes along the panes.
#[derive(Debug)]
struct Window {
    spec: WindowSpec,
    /// Every window that ends not after this has closed.
    closed: i64,
    now: Range,
    before: Option<Range>,
}

impl Window {
    fn length(&self) -> i64 {
        self.spec.length_nanos as i64
    }

    fn slide(&self) -> i64 {
        self.spec.slide_nanos as i64
    }

    /// The end of the last window that holds the time `at`.
    fn last_end(&self, at: i64) -> i64 {
        floor(at + self.length(), self.slide())
    }

    /// The end of the first window that is open and not empty.
    fn next_end(&self, panes: &Panes) -> Option<i64> {
        let least = floor(self.closed, self.slide()) + self.slide();
        let start = panes.first_from(least - self.length())?;
        Some(least.max(floor(start, self.slide()) + self.slide()))
    }

    /// What comes before can be in no open window, nor in the length before one.
    fn needs_from(&self) -> i64 {
        let lengths = if self.before.is_some() { 2 } else { 1 };
        floor(self.closed, self.slide()) + self.slide() - lengths * self.length()
    }
}

/// The greatest multiple of `step` that is not after `at`.
fn floor(at: i64, step: i64) -> i64 {
    at - at.rem_euclid(step)
}

/// All windows of a run by event time.
#[derive(Debug)]
pub struct EventWindows {
    windows: Vec<Window>,
    panes: Panes,
    watermark: Watermark,
    settings: EventSettings,
    bytes_max: usize,
    /// The earliest time of all records.
    earliest: Option<i64>,
    /// Panes that the open batch has changed; only where open windows are reported.
    changed: Vec<i64>,
    /// Windows that were closed for want of room.
    forced: u64,
    /// What begins earlier may lack records: the panes of an earlier run did not fit.
    complete_from: i64,
    /// What the open batch brings, by shard; only where a later run goes on with the windows.
    brought: Option<Vec<Vec<PanePair>>>,
}

impl EventWindows {
    /// No record has come, of none of `sources`.
    ///
    /// # Panics
    /// If there are no windows.
    pub fn new(
        windows: &WindowSettings,
        settings: EventSettings,
        sources: usize,
        shards: usize,
    ) -> EventWindows {
        let window = |&spec: &WindowSpec| Window {
            spec,
            closed: -NANOS_MAX - spec.length_nanos as i64,
            now: Range::default(),
            before: windows.trending.map(|_| Range::default()),
        };
        EventWindows {
            windows: windows.specs.iter().map(window).collect(),
            panes: Panes::new(pane_nanos(&windows.specs) as i64, shards),
            watermark: Watermark::new(settings.lateness_nanos, sources),
            settings,
            bytes_max: windows.bytes_max,
            earliest: None,
            changed: Vec::new(),
            forced: 0,
            complete_from: i64::MIN,
            brought: None,
        }
    }

    /// Windows that were closed for want of room.
    pub fn forced(&self) -> u64 {
        self.forced
    }

    /// The latest time of all records.
    pub fn latest(&self) -> Option<Timestamp> {
        self.watermark.latest().map(Timestamp::from_nanos)
    }

    /// Takes in a batch as the shards closed it. Records that are late are taken off the counts and
    /// returned by their number.
    pub fn admit(&mut self, closed: &mut [ClosedCounts]) -> u64 {
        let mut late = 0;
        for (shard, closed) in closed.iter_mut().enumerate() {
            let mut pairs = std::mem::take(&mut closed.panes);
            // Sorted, as the pairs are.
            let mut late_panes = Vec::new();
            for pairs in pairs.chunk_by(|a, b| a.pane == b.pane) {
                let pane = pairs[0].pane;
                if self.is_late(pane) {
                    late += tally::take_off(pairs, closed);
                    late_panes.push(pane);
                } else {
                    self.take_in(shard, pairs);
                }
            }
            if let Some(brought) = &mut self.brought {
                if !late_panes.is_empty() {
                    pairs.retain(|pair| late_panes.binary_search(&pair.pane).is_err());
                }
                brought[shard] = pairs;
            }
        }
        late
    }

    fn is_late(&self, pane: i64) -> bool {
        let start = self.panes.start(pane);
        let mut windows = self.windows.iter();
        windows.all(|window| window.last_end(start) <= window.closed)
    }

    fn take_in(&mut self, shard: usize, pairs: &[PanePair]) {
        let pane = pairs[0].pane;
        let start = self.panes.start(pane);
        self.earliest = Some(self.earliest.map_or(start, |earliest| earliest.min(start)));
        if self.settings.partial {
            self.changed.push(start);
        }
        for window in &mut self.windows {
            let ranges = [Some(&mut window.now), window.before.as_mut()];
            for range in ranges.into_iter().flatten() {
                range.add_if_in(start, shard, pairs);
            }
        }
        self.panes.add(pane, shard, pairs);
    }

    /// Closes the batch: moves the watermark on and reports the windows that close, then those that the
    /// batch changed, if that is wanted. Returns what is to be kept of it, if anything is.
    ///
    /// # Errors
    /// What `report` answers.
    pub fn close_batch<E>(
        &mut self,
        mark: &Mark,
        latest: &Latest,
        mut report: impl FnMut(ClosedWindow<'_>) -> Result<(), E>,
    ) -> Result<Option<EventChange>, E> {
        let goes_on = self.brought.is_some();
        let awaited = self.watermark.advance(latest, &mark.standing);
        let reached = match awaited {
            Awaited::Some if goes_on || !mark.last => self.watermark.at(),
            // What this run was to read is read; the next one may have more.
            Awaited::NoneIsOver if goes_on => self.watermark.conclude(),
            // Nothing more is expected: every window closes.
            _ => self.ends().max().unwrap_or(i64::MIN),
        };
        self.close_until(reached, true, &mut report)?;
        while self.panes.bytes() > self.bytes_max
            && let Some(next) = self
                .windows
                .iter()
                .filter_map(|w| w.next_end(&self.panes))
                .min()
        {
            self.forced += 1;
            self.close_until(next, true, &mut report)?;
        }
        let change = self.change();
        match goes_on && mark.last {
            true => {
                let end = self.ends().max().unwrap_or(i64::MIN);
                self.close_until(end, false, &mut report)?;
            }
            false => self.report_changed(&mut report)?,
        }
        Ok(change)
    }

    /// The last ends of windows that hold panes.
    fn ends(&self) -> impl Iterator<Item = i64> {
        let last = self.panes.last();
        let windows = self.windows.iter();
        windows.filter_map(move |window| Some(window.last_end(last?)))
    }

    fn close_until<E>(
        &mut self,
        reached: i64,
        is_final: bool,
        report: &mut impl FnMut(ClosedWindow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let next = |(n, window): (usize, &Window)| Some((window.next_end(&self.panes)?, n));
            let first = self.windows.iter().enumerate().filter_map(next).min();
            let Some((end, n)) = first.filter(|&(end, _)| end <= reached) else {
                break;
            };
            let window = &mut self.windows[n];
            let start = end - window.length();
            window.closed = end;
            window.now.move_to(start, end, &self.panes);
            let before = start - window.length();
            let is_whole = |earliest| earliest <= before && self.complete_from <= before;
            let is_comparable = self.earliest.is_some_and(is_whole);
            if let Some(before) = &mut window.before {
                before.move_to(start - (end - start), start, &self.panes);
            }
            let before = window.before.as_ref().filter(|_| is_comparable);
            report(closed(
                window.spec,
                end,
                &window.now.sums,
                before.map(|before| &before.sums),
                (self.complete_from, is_final),
            ))?;
        }
        for window in &mut self.windows {
            window.closed = window.closed.max(reached);
        }
        self.forget();
        Ok(())
    }

    /// Lets go of panes that no window holds any more.
    fn forget(&mut self) {
        let needed = self.needed_from();
        for window in &mut self.windows {
            let ranges = [Some(&mut window.now), window.before.as_mut()];
            for range in ranges.into_iter().flatten() {
                range.forget_before(needed, &self.panes);
            }
        }
        self.panes.forget_before(needed);
    }

    /// What comes before is in no open window, nor in the length before one.
    fn needed_from(&self) -> i64 {
        let needed = self.windows.iter().map(Window::needs_from).min();
        needed.expect("there is a window")
    }

    /// Reports the open windows that hold changed panes, each counted from its panes.
    fn report_changed<E>(
        &mut self,
        report: &mut impl FnMut(ClosedWindow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut open: Vec<(i64, usize)> = Vec::new();
        for start in self.changed.drain(..) {
            for (n, window) in self.windows.iter().enumerate() {
                let mut end = floor(start, window.slide()) + window.slide();
                while end <= window.last_end(start) {
                    if end > window.closed {
                        open.push((end, n));
                    }
                    end += window.slide();
                }
            }
        }
        open.sort_unstable();
        open.dedup();
        for (end, n) in open {
            let window = &self.windows[n];
            let mut range = Range::default();
            range.move_to(end - window.length(), end, &self.panes);
            let is_open = (self.complete_from, false);
            report(closed(window.spec, end, &range.sums, None, is_open))?;
        }
        Ok(())
    }
}

fn closed<'a>(
    spec: WindowSpec,
    end: i64,
    sums: &'a Sums,
    before: Option<&'a Sums>,
    (complete_from, is_final): (i64, bool),
) -> ClosedWindow<'a> {
    let end = Timestamp::from_nanos(end);
    let start = spec.start(end).max(Timestamp::from_nanos(complete_from));
    ClosedWindow {
        spec,
        end,
        covered: (start.min(end), end),
        sums,
        before,
        is_final,
    }
}
