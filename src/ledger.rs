//! The ledger: where every line went.
//!
//! Each line that was read ends in exactly one column. Parsers fill a ledger per batch, the batch
//! merge adds them up and checks [`Ledger::is_balanced`] at every boundary: `lines` is counted where
//! lines are cut, the columns where they are judged, so a line that got lost in between shows.

use std::ops::AddAssign;

/// Why a line was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Valid JSON in which the key path does not lead to a string, number, boolean or null.
    Missing,
    /// A filter's condition was not met.
    Filtered,
    /// Not valid JSON (RFC 8259, UTF-8), nested too deeply, or a string that is no Unicode.
    Malformed,
    /// Longer than the line limit.
    Oversize,
    /// Only white space.
    Blank,
    /// Older than the watermark allows (event-time windows).
    Late,
}

impl Reason {
    /// Every reason, in the ledger's order.
    pub const ALL: [Reason; 6] = [
        Reason::Missing,
        Reason::Filtered,
        Reason::Malformed,
        Reason::Oversize,
        Reason::Blank,
        Reason::Late,
    ];

    /// The ledger column's name, as every output prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Missing => "missing",
            Reason::Filtered => "filtered",
            Reason::Malformed => "malformed",
            Reason::Oversize => "oversize",
            Reason::Blank => "blank",
            Reason::Late => "late",
        }
    }
}

/// Lines by what became of them. All fields count lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Lines received.
    pub lines: u64,
    /// Lines counted under a key.
    pub counted: u64,
    /// See [`Reason::Missing`].
    pub missing: u64,
    /// See [`Reason::Filtered`].
    pub filtered: u64,
    /// See [`Reason::Malformed`].
    pub malformed: u64,
    /// See [`Reason::Oversize`].
    pub oversize: u64,
    /// See [`Reason::Blank`].
    pub blank: u64,
    /// See [`Reason::Late`].
    pub late: u64,
    /// Of the counted lines, those that should have had a number to add and had none. No column.
    pub unsummed: u64,
}

impl Ledger {
    /// The column of lines dropped for `reason`.
    pub fn column(&self, reason: Reason) -> u64 {
        match reason {
            Reason::Missing => self.missing,
            Reason::Filtered => self.filtered,
            Reason::Malformed => self.malformed,
            Reason::Oversize => self.oversize,
            Reason::Blank => self.blank,
            Reason::Late => self.late,
        }
    }

    /// Enters one line that was not counted; `lines` is the caller's, who cut the line.
    pub fn drop_line(&mut self, reason: Reason) {
        let column = match reason {
            Reason::Missing => &mut self.missing,
            Reason::Filtered => &mut self.filtered,
            Reason::Malformed => &mut self.malformed,
            Reason::Oversize => &mut self.oversize,
            Reason::Blank => &mut self.blank,
            Reason::Late => &mut self.late,
        };
        *column += 1;
    }

    /// The lines that were not counted, all reasons together.
    pub fn dropped(&self) -> u64 {
        Reason::ALL.iter().map(|&reason| self.column(reason)).sum()
    }

    /// Whether every line is in exactly one column.
    pub fn is_balanced(&self) -> bool {
        self.lines == self.counted + self.dropped()
    }

    /// The columns in their fixed order, `lines` first, with their names.
    pub fn columns(&self) -> [(&'static str, u64); 8] {
        [
            ("lines", self.lines),
            ("counted", self.counted),
            ("missing", self.missing),
            ("filtered", self.filtered),
            ("malformed", self.malformed),
            ("oversize", self.oversize),
            ("blank", self.blank),
            ("late", self.late),
        ]
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Ledger) {
        self.lines += other.lines;
        self.counted += other.counted;
        self.missing += other.missing;
        self.filtered += other.filtered;
        self.malformed += other.malformed;
        self.oversize += other.oversize;
        self.blank += other.blank;
        self.late += other.late;
        self.unsummed += other.unsummed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_column_of_its_own() {
        let mut ledger = Ledger::default();
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            ledger.drop_line(reason);
            assert_eq!(ledger.column(reason), 1);
            assert_eq!(ledger.dropped(), i as u64 + 1);
            assert!(!ledger.is_balanced());
            ledger.lines += 1;
            assert!(ledger.is_balanced());
        }
    }
}
