//! Which condition (`--where`) no record meets, and what there is instead: told once, when all records of the first
//! batches were filtered.
//!
//! A condition on a field that no record has is a mistake at first sight. One on a value that has not come yet may be met by
//! the next record, so that is told only when a few batches, or the whole run, have kept nothing.

use super::{BATCHES_MAX, RECORDS_MAX, is_behind_first, listed, meant, names};
use crate::key::KeyRef;
use crate::ledger::Ledger;
use crate::nearest::nearest;
use crate::record::fields::{Field, fields};
use crate::record::query::Value;
use crate::record::{Condition, Query};
use crate::sample::SAMPLE_BYTES_MAX;
use crate::sink::text::grouped;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct FilterHint {
    conditions: Vec<Condition>,
    records: Vec<Vec<Field>>,
    filtered: u64,
    batches_left: u32,
}

impl FilterHint {
    pub(super) fn new(query: &Query) -> FilterHint {
        let conditions = query.conditions().map(|(path, test)| Condition {
            path: path.clone(),
            test: test.clone(),
        });
        FilterHint {
            conditions: conditions.collect(),
            records: Vec::new(),
            filtered: 0,
            batches_left: BATCHES_MAX,
        }
    }

    /// A record that was filtered begins so. Of one that is longer nobody knows what else it has.
    pub(super) fn offer(&mut self, head: &[u8]) {
        let is_wanted = self.batches_left > 0 && self.records.len() < RECORDS_MAX;
        if is_wanted && head.len() < SAMPLE_BYTES_MAX {
            self.records.push(fields(head));
        }
    }

    /// A batch is over, perhaps the last: what to tell, if this is the time.
    pub(super) fn tell(&mut self, batch: &Ledger, is_last: bool) -> Option<String> {
        if self.batches_left == 0 {
            return None;
        }
        let is_met = batch.counted + batch.missing + batch.late > 0;
        self.filtered += batch.filtered;
        self.batches_left -= u32::from(batch.lines > 0);
        let is_time = is_last || self.batches_left == 0;
        let told = match self.unmet() {
            Some(condition) if !is_met && (is_time || !self.is_there(condition)) => {
                Some(self.text(condition))
            }
            _ => None,
        };
        if is_met || is_time || told.is_some() {
            self.batches_left = 0;
            self.records = Vec::new();
        }
        told
    }

    /// The first condition that none of the records meets.
    fn unmet(&self) -> Option<&Condition> {
        let is_unmet = |condition: &&Condition| {
            let mut records = self.records.iter();
            !is_behind_first(&condition.path) && records.all(|record| !is_met(condition, record))
        };
        match self.records.is_empty() {
            true => None,
            false => self.conditions.iter().find(is_unmet),
        }
    }

    /// What stands where a condition looks.
    fn found<'a>(&'a self, condition: &'a Condition) -> impl Iterator<Item = &'a Field> {
        let all = self.records.iter().flatten();
        all.filter(|field| field.is_at(&condition.path))
    }

    fn is_there(&self, condition: &Condition) -> bool {
        self.found(condition).next().is_some()
    }

    fn text(&self, condition: &Condition) -> String {
        let what = format!(
            "--where {condition}: none of {} records met it",
            grouped(self.filtered)
        );
        let mut values: Vec<String> = Vec::new();
        for value in self
            .found(condition)
            .filter_map(|field| field.scalar.as_deref())
        {
            if !values.iter().any(|known| known == value) {
                values.push(value.to_owned());
            }
        }
        if !values.is_empty() {
            let meant = did_you_mean(nearest_value(condition, &values));
            return format!("{what}{meant} there stands {}", listed(&values));
        }
        let why = match self.is_there(condition) {
            true => "an object or an array is there",
            false => "nothing is there",
        };
        let names = names(self.records.iter().flatten());
        if names.is_empty() {
            return format!("{what}, for {why}");
        }
        let meant = did_you_mean(meant(&condition.path.to_string(), &names).map(super::shown));
        format!("{what}, for {why}{meant} they have {}", listed(&names))
    }
}

/// `;`, with what was probably meant.
fn did_you_mean(meant: Option<String>) -> String {
    match meant {
        Some(meant) => format!("; did you mean {meant}?"),
        None => ";".to_owned(),
    }
}

/// Whether a record with these fields meets a condition.
fn is_met(condition: &Condition, record: &[Field]) -> bool {
    // The last of several members of a name is the one that counts.
    let field = record.iter().rfind(|field| field.is_at(&condition.path));
    match field.map(|field| field.scalar.as_deref()) {
        None => condition.test.holds(None),
        Some(None) => condition.test.holds(Some(Value::Container)),
        Some(Some(text)) => {
            let holds = |key: KeyRef<'_>| condition.test.holds(Some(Value::Scalar(key)));
            KeyRef::with_json(text, holds).unwrap_or(false)
        }
    }
}

/// The string among these values that a condition was to name.
fn nearest_value(condition: &Condition, values: &[String]) -> Option<String> {
    let wanted = condition.test.wanted()?;
    let strings: Vec<String> = values
        .iter()
        .filter_map(|value| serde_json::from_str(value).ok())
        .collect();
    let same = strings
        .iter()
        .find(|value| value.eq_ignore_ascii_case(wanted));
    let same = same.map(String::as_str);
    let near = same.or_else(|| nearest(wanted, strings.iter().map(String::as_str)));
    near.map(super::shown)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use crate::record::KeyPath;

    const RECORD: &str =
        r#"{"id": 7, "status": "PLACED", "code": "200", "customer": {"country": "DE"}}"#;

    fn hint(conditions: &[&str]) -> FilterHint {
        let conditions = conditions
            .iter()
            .map(|text| Condition::parse(text).unwrap());
        let by = KeyPath::parse("status").unwrap();
        FilterHint::new(&Query::new(vec![by], conditions.collect(), None).unwrap())
    }

    fn filtered(lines: u64) -> Ledger {
        Ledger {
            lines,
            filtered: lines,
            ..Ledger::default()
        }
    }

    /// What is told at the end of a run that had nothing but this record.
    fn told(conditions: &[&str]) -> String {
        let mut hint = hint(conditions);
        hint.offer(RECORD.as_bytes());
        let told = hint.tell(&filtered(1_000), true).unwrap();
        assert_eq!(hint.tell(&filtered(1_000), true), None, "once");
        told
    }

    #[test]
    fn what_is_there_is_named() {
        let none = "none of 1,000 records met it";
        let has = "they have id, status, code, customer.country";
        for (conditions, expected) in [
            (
                &["stauts=PLACED"][..],
                format!("stauts=PLACED: {none}, for nothing is there; did you mean status? {has}"),
            ),
            (
                &["level"],
                format!("level: {none}, for nothing is there; {has}"),
            ),
            (
                &["customer=DE"],
                format!(
                    "customer=DE: {none}, for an object or an array is there; did you mean customer.country? {has}"
                ),
            ),
            (
                &["status", "status=Placed"],
                format!("status=Placed: {none}; did you mean PLACED? there stands \"PLACED\""),
            ),
            (
                &["status!=PLACED"],
                format!("status!=PLACED: {none}; there stands \"PLACED\""),
            ),
            (&["id=8"], format!("id=8: {none}; there stands 7")),
        ] {
            assert_eq!(told(conditions), format!("--where {expected}"));
        }
    }

    #[test]
    fn a_field_that_is_not_there_is_told_at_once_and_a_value_after_a_few_batches() {
        let mut absent = hint(&["level=1"]);
        absent.offer(RECORD.as_bytes());
        assert!(absent.tell(&filtered(1), false).is_some());
        let mut other = hint(&["status=SHIPPED"]);
        other.offer(RECORD.as_bytes());
        assert_eq!(other.tell(&filtered(0), false), None);
        for _ in 1..BATCHES_MAX {
            assert_eq!(other.tell(&filtered(1), false), None);
        }
        let told = other.tell(&filtered(1), false).unwrap();
        assert!(told.contains("none of 3 records"), "{told}");
    }

    #[test]
    fn nothing_is_told_of_a_filter_that_keeps_some_or_whose_records_are_not_known() {
        let mut some = hint(&["status=SHIPPED"]);
        some.offer(RECORD.as_bytes());
        let batch = Ledger {
            missing: 1,
            lines: 100,
            filtered: 99,
            ..Ledger::default()
        };
        assert_eq!(some.tell(&batch, false), None);
        assert_eq!(some.tell(&filtered(9), true), None);

        let mut cut = hint(&["level=1"]);
        let long = format!("{{\"a\":\"{}", "x".repeat(SAMPLE_BYTES_MAX));
        cut.offer(&long.as_bytes()[..SAMPLE_BYTES_MAX]);
        assert_eq!(cut.tell(&filtered(1), true), None);

        let mut each = hint(&["id=7", "id!=7"]);
        each.offer(RECORD.as_bytes());
        let told = each.tell(&filtered(1), true).unwrap();
        assert!(told.starts_with("--where id!=7"), "{told}");
        assert_eq!(hint(&[]).tell(&filtered(1), true), None);
    }
}
