//! How many malformed lines a run puts up with: `--max-malformed N` or `P%`.
//!
//! Parsers tell the [`Watch`] what each chunk came to; the one that sees the limit exceeded stops the
//! reading at once, and the run drains, reports and fails. A share is judged over all lines so far,
//! from [`SHARE_LINES_MIN`] lines on, and once more at the end, over however few there were.
//!
//! Two counters are shared by the parsers, touched once per chunk and only if there is a limit.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::Ledger;
use crate::reader::Stop;

/// Lines over which a share is judged at the least while a run goes on: one bad line among the first
/// ten is no tenth of a stream.
pub const SHARE_LINES_MIN: u64 = 1000;

/// A share of 1.
const WHOLE: u64 = 1_000_000;

/// How many malformed lines are put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// So many.
    Lines(u64),
    /// So many of a million lines.
    Share(u64),
}

impl Tolerance {
    /// Reads `100` or `0.5%`.
    pub fn parse(text: &str) -> Option<Tolerance> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let Some(percent) = text.strip_suffix('%') else {
            let lines = text.parse().ok().filter(|_| is_number(text));
            return lines.map(Tolerance::Lines);
        };
        // Ten thousandths of a percent are millionths.
        let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
        if !is_number(whole) || !is_number(part) || part.len() > 4 {
            return None;
        }
        let millionths: u64 = format!("{whole}{part:0<4}").parse().ok()?;
        Some(Tolerance::Share(millionths)).filter(|_| millionths <= WHOLE)
    }

    /// Whether so many malformed lines of so many are too many.
    pub fn is_exceeded(self, lines: u64, malformed: u64) -> bool {
        match self {
            Tolerance::Lines(most) => malformed > most,
            Tolerance::Share(millionths) => {
                u128::from(malformed) * u128::from(WHOLE)
                    > u128::from(lines) * u128::from(millionths)
            }
        }
    }
}

/// As it is written on the command line.
impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Tolerance::Lines(most) => write!(f, "{most}"),
            Tolerance::Share(millionths) => match millionths % 10_000 {
                0 => write!(f, "{}%", millionths / 10_000),
                part => {
                    let part = format!("{part:04}");
                    write!(f, "{}.{}%", millionths / 10_000, part.trim_end_matches('0'))
                }
            },
        }
    }
}

/// Counts malformed lines against a limit, for all parsers together.
#[derive(Debug)]
pub struct Watch {
    tolerance: Tolerance,
    stop: Stop,
    lines: AtomicU64,
    malformed: AtomicU64,
    /// Lines and malformed ones when the limit was exceeded.
    exceeded: OnceLock<(u64, u64)>,
}

impl Watch {
    /// A watch that stops the reading by `stop` when there are more than `tolerance` allows.
    pub fn new(tolerance: Tolerance, stop: Stop) -> Watch {
        Watch {
            tolerance,
            stop,
            lines: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            exceeded: OnceLock::new(),
        }
    }

    /// Some lines more, some of them malformed.
    pub fn add(&self, lines: u64, malformed: u64) {
        // Relaxed: the next step orders it.
        self.lines.fetch_add(lines, Ordering::Relaxed);
        if malformed == 0 {
            return;
        }
        // Release and Acquire pair with the same step of other parsers: who sees their malformed lines
        // sees all lines that those are among, so that a share is never taken for more than it is.
        let malformed = self.malformed.fetch_add(malformed, Ordering::AcqRel) + malformed;
        let lines = self.lines.load(Ordering::Relaxed);
        let is_enough = matches!(self.tolerance, Tolerance::Lines(_)) || lines >= SHARE_LINES_MIN;
        if is_enough
            && self.tolerance.is_exceeded(lines, malformed)
            && self.exceeded.set((lines, malformed)).is_ok()
        {
            self.stop.stop();
        }
    }

    /// At the end of a run that came to `ledger`: why it failed, if the limit was exceeded.
    pub fn verdict(&self, ledger: &Ledger) -> Option<String> {
        let at_end = Some((ledger.lines, ledger.malformed));
        let at_end = at_end.filter(|&(lines, bad)| self.tolerance.is_exceeded(lines, bad));
        let (lines, malformed) = at_end.or(self.exceeded.get().copied())?;
        Some(format!(
            "{malformed} of {lines} lines are malformed; mend what sends them, or allow more"
        ))
    }

    /// The limit.
    pub fn tolerance(&self) -> Tolerance {
        self.tolerance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::ReaderPoll;

    #[test]
    fn limits_are_numbers_or_percentages() {
        for (text, tolerance) in [
            ("0", Tolerance::Lines(0)),
            ("18446744073709551615", Tolerance::Lines(u64::MAX)),
            ("0%", Tolerance::Share(0)),
            ("0.0001%", Tolerance::Share(1)),
            ("12.5%", Tolerance::Share(125_000)),
            ("100%", Tolerance::Share(WHOLE)),
        ] {
            assert_eq!(Tolerance::parse(text), Some(tolerance));
            assert_eq!(tolerance.to_string(), text);
        }
        for bad in [
            "",
            "%",
            "-1",
            "+1",
            "1.5",
            "101%",
            "100.0001%",
            "1.%",
            ".5%",
            "0.00001%",
            "1 %",
            "99999999999999999999%",
        ] {
            assert_eq!(Tolerance::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_share_is_exact_at_its_edge() {
        let third = Tolerance::parse("33.3333%").unwrap();
        assert!(third.is_exceeded(3, 1) && !third.is_exceeded(1_000_000, 333_333));
        let all = Tolerance::parse("100%").unwrap();
        assert!(!all.is_exceeded(u64::MAX, u64::MAX));
        let none = Tolerance::parse("0%").unwrap();
        assert!(none.is_exceeded(u64::MAX, 1) && !none.is_exceeded(5, 0));
    }

    #[test]
    fn a_share_is_not_judged_over_a_few_lines_before_the_end() {
        let poll = ReaderPoll::new().unwrap();
        let ledger = |lines, malformed| Ledger {
            lines,
            malformed,
            ..Ledger::default()
        };
        let watch = Watch::new(Tolerance::Share(WHOLE / 10), poll.stop());
        watch.add(SHARE_LINES_MIN - 1, SHARE_LINES_MIN - 1);
        assert_eq!(watch.exceeded.get(), None);
        assert_eq!(watch.verdict(&ledger(20, 2)), None);
        assert!(
            watch
                .verdict(&ledger(20, 3))
                .unwrap()
                .starts_with("3 of 20 lines are malformed")
        );
        watch.add(1, 1);
        assert_eq!(
            watch.exceeded.get(),
            Some(&(SHARE_LINES_MIN, SHARE_LINES_MIN))
        );
        // What came while the run drained does not unsay it.
        assert!(watch.verdict(&ledger(1_000_000, SHARE_LINES_MIN)).is_some());
    }
}
