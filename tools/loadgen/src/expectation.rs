//! The exact answer: what a correct counter reports for the records generated so far.
//!
//! The generator tallies while it writes, block by block. Lines here are never filtered, oversize, blank or late, so
//! `lines = counted + missing + malformed`.

use std::fmt::Write as _;

use crate::keys;

/// The ledger and the totals that a correct counter by `status` must report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Lines in all.
    pub lines: u64,
    /// Lines with a key: the sum of `totals`.
    pub counted: u64,
    /// Lines of valid JSON without a scalar `status` at the top.
    pub missing: u64,
    /// Lines that are no valid JSON.
    pub malformed: u64,
    /// How often each key came, by key number; a key that has not come yet has a 0.
    pub totals: Vec<u64>,
}

impl Expectation {
    pub(crate) fn new(keys: u64) -> Self {
        Expectation {
            lines: 0,
            counted: 0,
            missing: 0,
            malformed: 0,
            totals: vec![0; keys as usize],
        }
    }

    /// The keys that came, with their totals: largest first, equal ones by name.
    pub fn ranked(&self) -> Vec<(String, u64)> {
        let keys = self.totals.len() as u64;
        let came = self
            .totals
            .iter()
            .enumerate()
            .filter(|&(_, &total)| total > 0);
        let mut rows: Vec<(String, u64)> = came
            .map(|(index, &total)| (keys::name(index as u64, keys), total))
            .collect();
        rows.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows
    }

    /// One JSON object, without a newline: `{"ledger":{"lines":…},"counts":[{"key":"PLACED","total":25},…]}`.
    /// It has all columns of tallyline's ledger, and the rows of [`ranked`](Self::ranked).
    pub fn to_json(&self) -> String {
        let Expectation {
            lines,
            counted,
            missing,
            malformed,
            ..
        } = self;
        let mut json = format!(
            r#"{{"ledger":{{"lines":{lines},"counted":{counted},"missing":{missing},"filtered":0,"malformed":{malformed},"oversize":0,"blank":0,"late":0}},"counts":["#
        );
        for (row, (key, total)) in self.ranked().iter().enumerate() {
            let comma = if row == 0 { "" } else { "," };
            // The names are plain ASCII without quotes or backslashes.
            write!(json, r#"{comma}{{"key":"{key}","total":{total}}}"#)
                .expect("a String takes all that is written");
        }
        json.push_str("]}");
        json
    }

    /// Takes back what `other` tallied.
    pub(crate) fn subtract(&mut self, other: &Expectation) {
        self.lines -= other.lines;
        self.counted -= other.counted;
        self.missing -= other.missing;
        self.malformed -= other.malformed;
        for (total, taken) in self.totals.iter_mut().zip(&other.totals) {
            *total -= taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_ranked_and_leaves_out_keys_that_never_came() {
        let expectation = Expectation {
            lines: 9,
            counted: 6,
            missing: 1,
            malformed: 2,
            totals: vec![1, 2, 0, 1, 2],
        };
        assert_eq!(
            expectation.to_json(),
            concat!(
                r#"{"ledger":{"lines":9,"counted":6,"missing":1,"filtered":0,"malformed":2,"#,
                r#""oversize":0,"blank":0,"late":0},"counts":[{"key":"KEY_000004","total":2},"#,
                r#"{"key":"SHIPPED","total":2},{"key":"CANCELLED","total":1},{"key":"PLACED","total":1}]}"#
            )
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&expectation.to_json()).expect("valid")["ledger"]
                ["lines"],
            9
        );
    }
}
