//! What to count by instead: told once, when most records lack what was asked for. And what to filter by instead
//! ([`FilterHint`]), when no record has met a condition.
//!
//! The batch merge offers it the samples of records that were not counted and asks it at each boundary, until the
//! first few batches that had lines are over. A wrong path is a mistake that otherwise shows as nothing but a large
//! figure; the answer to it stands in the records.
//!
//! Bounded: it keeps the heads of a few lines, and names a few fields.

mod filter;

use crate::ledger::{Ledger, Reason};
use crate::nearest::nearest;
use crate::record::fields::{Field, fields};
use crate::record::{KeyPath, Query};
use crate::sink::text::{grouped, sample};
use filter::FilterHint;

/// Batches with lines in which a path may turn out to be wrong.
const BATCHES_MAX: u32 = 3;

/// Records that are looked into.
const RECORDS_MAX: usize = 8;

/// Fields that are named.
const NAMED_MAX: usize = 12;

/// Characters of a field's path.
const CHARS_MAX: usize = 60;

/// See the module's documentation.
#[derive(Debug)]
pub struct Hint {
    /// What every record must have, and by which flag.
    asked: Vec<(&'static str, KeyPath)>,
    records: Vec<Vec<Field>>,
    lines: u64,
    missing: u64,
    batches_left: u32,
    filter: FilterHint,
}

impl Hint {
    /// For those who ask this.
    pub fn new(query: &Query) -> Hint {
        let by = query.by().map(|path| ("--by", path.clone()));
        let time = query.time().map(|(path, _)| ("--event-time", path.clone()));
        Hint {
            asked: by.chain(time).collect(),
            records: Vec::new(),
            lines: 0,
            missing: 0,
            batches_left: BATCHES_MAX,
            filter: FilterHint::new(query),
        }
    }

    /// A record that was not counted for this reason begins so.
    pub fn offer(&mut self, reason: Reason, head: &[u8]) {
        match reason {
            Reason::Missing if self.batches_left > 0 && self.records.len() < RECORDS_MAX => {
                self.records.push(fields(head));
            }
            Reason::Filtered => self.filter.offer(head),
            _ => {}
        }
    }

    /// A batch is over, perhaps the last: what to tell, if this is the time.
    pub fn tell(&mut self, batch: &Ledger, is_last: bool) -> Option<String> {
        let told = self.filter.tell(batch, is_last);
        told.or_else(|| self.tell_missing(batch))
    }

    fn tell_missing(&mut self, batch: &Ledger) -> Option<String> {
        if self.batches_left == 0 || batch.lines == 0 {
            return None;
        }
        self.batches_left -= 1;
        self.missing += batch.missing;
        self.lines += batch.missing + batch.counted + batch.late;
        if self.missing <= self.lines / 2 || self.records.is_empty() {
            return None;
        }
        let told = self.wrong().map(|(flag, path)| self.text(flag, path));
        self.batches_left = 0;
        self.records = Vec::new();
        told
    }

    /// The first path that is not there in most of the records.
    fn wrong(&self) -> Option<(&'static str, &KeyPath)> {
        let is_alone = self.asked.len() == 1;
        let lacks = |path: &KeyPath| {
            let has = |record: &&Vec<Field>| {
                record
                    .iter()
                    .any(|field| field.is_scalar() && field.is_at(path))
            };
            let is_sure = is_alone || !is_behind_first(path);
            is_sure && self.records.iter().filter(has).count() <= self.records.len() / 2
        };
        let wrong = self.asked.iter().find(|(_, path)| lacks(path));
        wrong.map(|(flag, path)| (*flag, path))
    }

    fn text(&self, flag: &str, path: &KeyPath) -> String {
        let share = format!(
            "{} of {} records",
            grouped(self.missing),
            grouped(self.lines)
        );
        let all = || self.records.iter().flatten();
        let names = names(all());
        if names.is_empty() {
            return format!(
                "{flag} {path}: nothing there in {share}, which are no objects or have nothing to count by"
            );
        }
        let is_container = all().any(|field| !field.is_scalar() && field.is_at(path));
        let what = match is_container {
            true => "an object or an array, which cannot be counted by,",
            false => "nothing to count by",
        };
        let meant = match meant(&path.to_string(), &names) {
            Some(name) => format!("; did you mean {}?", shown(name)),
            None => ";".to_owned(),
        };
        let list = listed(&names);
        format!("{flag} {path}: {what} there in {share}{meant} they have {list}")
    }
}

/// The paths of these fields, each once.
fn names<'a>(fields: impl Iterator<Item = &'a Field>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for field in fields.filter(|field| field.is_scalar()) {
        let name = field.path.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The first of these, and how many more there are.
fn listed(names: &[String]) -> String {
    let first = names.iter().take(NAMED_MAX);
    let mut list: Vec<String> = first.map(|name| shown(name)).collect();
    if names.len() > NAMED_MAX {
        list.push(format!("{} more", names.len() - NAMED_MAX));
    }
    list.join(", ")
}

/// Whether a path leads to an element behind the first: those are not looked at.
fn is_behind_first(path: &KeyPath) -> bool {
    path.segments().iter().any(|step| step.index() > Some(0))
}

/// The path among these that was meant: one that ends in the same name, or looks much like it.
fn meant<'a>(path: &str, names: &'a [String]) -> Option<&'a str> {
    let last = |path: &'a str| path.rsplit(['.', '/']).next().unwrap_or(path);
    let wanted = path.rsplit(['.', '/']).next().unwrap_or(path);
    let same = names
        .iter()
        .find(|name| last(name).eq_ignore_ascii_case(wanted));
    let same = same.map(String::as_str);
    same.or_else(|| nearest(path, names.iter().map(String::as_str)))
}

/// A path as a terminal may show it: names come from whoever sends the stream.
fn shown(name: &str) -> String {
    sample(name.as_bytes(), CHARS_MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn batch(counted: u64, missing: u64) -> Ledger {
        Ledger {
            lines: counted + missing,
            counted,
            missing,
            ..Ledger::default()
        }
    }

    /// What is told of this record, which all are like.
    fn told(path: &str, record: &str) -> String {
        let mut hint = Hint::new(&KeyPath::parse(path).unwrap().into());
        hint.offer(Reason::Missing, record.as_bytes());
        let told = hint.tell(&batch(0, 1_000), false).unwrap();
        assert_eq!(hint.tell(&batch(0, 1_000), false), None, "once");
        told
    }

    const RECORD: &str = r#"{"id": 7, "status": "PLACED", "customer": {"country": "DE"}}"#;

    #[test]
    fn the_fields_that_are_there_are_named_and_the_nearest_is_suggested() {
        let has = "they have id, status, customer.country";
        let nothing = "nothing to count by there in 1,000 of 1,000 records";
        assert_eq!(
            told("stauts", RECORD),
            format!("--by stauts: {nothing}; did you mean status? {has}")
        );
        assert_eq!(
            told("country", RECORD),
            format!("--by country: {nothing}; did you mean customer.country? {has}")
        );
        assert_eq!(
            told("level", RECORD),
            format!("--by level: {nothing}; {has}")
        );
        assert_eq!(
            told("customer", RECORD),
            format!(
                "--by customer: an object or an array, which cannot be counted by, there in 1,000 of 1,000 records; did you mean customer.country? {has}"
            )
        );
        assert_eq!(
            told("/stauts", RECORD),
            format!("--by stauts: {nothing}; did you mean status? {has}")
        );
        assert!(told("a", "[1]").ends_with("which are no objects or have nothing to count by"));
    }

    #[test]
    fn names_from_the_stream_are_safe_and_few() {
        let many: Vec<String> = (0..40)
            .map(|i| format!("\"\\u001b[3{i}m{}\":1", "x".repeat(99)))
            .collect();
        let told = told("a", &format!("{{{}}}", many.join(",")));
        assert!(!told.contains('\x1b') && told.len() < 1_200, "{told}");
        assert!(told.ends_with("28 more"), "{told}");
    }

    #[test]
    fn a_few_records_without_it_are_no_mistake() {
        let mut hint = Hint::new(&KeyPath::parse("status").unwrap().into());
        hint.offer(Reason::Missing, b"{\"a\":1}");
        for _ in 0..BATCHES_MAX {
            assert_eq!(hint.tell(&batch(0, 0), false), None, "nothing came");
            assert_eq!(hint.tell(&batch(600, 400), false), None);
        }
        assert_eq!(
            hint.tell(&batch(0, 9_999), false),
            None,
            "the first batches were fine"
        );
    }

    #[test]
    fn of_several_paths_the_wrong_one_is_told() {
        let paths =
            ["/status", "items[1]", "customer.land"].map(|path| KeyPath::parse(path).unwrap());
        let mut hint = Hint::new(&Query::new(paths.into(), Vec::new(), None).unwrap());
        hint.offer(
            Reason::Missing,
            br#"{"status": "PLACED", "customer": {"country": "DE"}, "items": [1, 2]}"#,
        );
        let told = hint.tell(&batch(0, 5), false).unwrap();
        assert!(told.starts_with("--by customer.land: nothing"), "{told}");
    }
}
