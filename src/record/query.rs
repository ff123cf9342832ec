//! The query: what is asked of a record, and the verdict that follows from its values.
//!
//! A query names *fields*, the values at some paths: those of the key (`--by`), of the conditions
//! (`--where`), and the number to add (`--sum`). Parsers find the fields of a line in whatever way is
//! fast and call `Query::judge`, the one place that turns values into a verdict. A path that is
//! asked for twice is one field.
//!
//! The order of verdicts: a line that is malformed is that and nothing else; one that does not meet a
//! condition is filtered, with or without a key; one without a whole key is missing, and so is one without
//! a time, if times are asked for. A record that
//! has a key and no number to add is counted and adds nothing.
//!
//! A plain count, by one key and of all records, is the common case; it has a way of its own through
//! the parsers ([`Query::plain`]).

use std::fmt;

use super::Verdict;
use super::condition::{Condition, Test};
use super::path::KeyPath;
use super::time::TimeFormat;
use crate::decimal::Decimal;
use crate::event::NANOS_MAX;
use crate::key::{KeyKind, KeyRef};
use crate::ledger::Reason;

/// The most fields of a query.
pub const FIELDS_MAX: usize = 16;

/// What is asked of every record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The paths, all different; at most [`FIELDS_MAX`].
    fields: Vec<KeyPath>,
    /// The fields that make the key, in its order; at least one.
    by: Vec<usize>,
    /// The fields with conditions.
    conditions: Vec<(usize, Test)>,
    /// The field of the number to add.
    sum: Option<usize>,
    /// The field of the record's time, and how it is written.
    time: Option<(usize, TimeFormat)>,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An object or an array.
    Container,
    /// A value that can be a key.
    Scalar(KeyRef<'a>),
}

impl Query {
    /// A query for records that meet all conditions, counted by the values at all of `by`, with the
    /// numbers at `sum` added up.
    ///
    /// A record without a time is missing, if one is asked for with [`Query::with_time`].
    ///
    /// # Errors
    /// If there are more than [`FIELDS_MAX`] different paths.
    ///
    /// # Panics
    /// If there is nothing to count by.
    pub fn new(
        by: Vec<KeyPath>,
        conditions: Vec<Condition>,
        sum: Option<KeyPath>,
    ) -> Result<Query, TooManyFields> {
        assert!(!by.is_empty(), "a query needs a path to count by");
        let mut fields: Vec<KeyPath> = Vec::new();
        let mut field = |path: KeyPath| {
            let known = fields.iter().position(|known| *known == path);
            known.unwrap_or_else(|| {
                fields.push(path);
                fields.len() - 1
            })
        };
        let by = by.into_iter().map(&mut field).collect();
        let conditions = conditions
            .into_iter()
            .map(|condition| (field(condition.path), condition.test))
            .collect();
        let sum = sum.map(field);
        match fields.len() {
            ..=FIELDS_MAX => Ok(Query {
                fields,
                by,
                conditions,
                sum,
                time: None,
            }),
            count => Err(TooManyFields(count)),
        }
    }

    /// The same query for records that have times of their own at a path.
    ///
    /// # Errors
    /// If that is one path too many.
    ///
    /// # Panics
    /// If it has a sum: windows have none.
    pub fn with_time(mut self, path: KeyPath, format: TimeFormat) -> Result<Query, TooManyFields> {
        assert!(self.sum.is_none(), "a query with a sum and a time");
        let known = self.fields.iter().position(|known| *known == path);
        let field = known.unwrap_or(self.fields.len());
        if known.is_none() {
            self.fields.push(path);
        }
        self.time = Some((field, format));
        match self.fields.len() {
            ..=FIELDS_MAX => Ok(self),
            count => Err(TooManyFields(count)),
        }
    }

    /// The path of the record's time, and how it is written.
    pub fn time(&self) -> Option<(&KeyPath, &TimeFormat)> {
        let time = self.time.as_ref();
        time.map(|(field, format)| (&self.fields[*field], format))
    }

    /// The paths of the fields, by their indexes.
    pub fn fields(&self) -> &[KeyPath] {
        &self.fields
    }

    /// The paths of the key's parts.
    pub fn by(&self) -> impl ExactSizeIterator<Item = &KeyPath> {
        self.by.iter().map(|&field| &self.fields[field])
    }

    /// The conditions.
    pub fn conditions(&self) -> impl ExactSizeIterator<Item = (&KeyPath, &Test)> {
        let conditions = self.conditions.iter();
        conditions.map(|(field, test)| (&self.fields[*field], test))
    }

    /// The path of the number to add.
    pub fn sum(&self) -> Option<&KeyPath> {
        self.sum.map(|field| &self.fields[field])
    }

    /// The path of a plain count: by one key, without conditions and sum.
    pub fn plain(&self) -> Option<&KeyPath> {
        match &*self.by {
            [by] if self.conditions.is_empty() && self.sum.is_none() && self.time.is_none() => {
                Some(&self.fields[*by])
            }
            _ => None,
        }
    }

    /// The verdict on a valid record in which `value` tells what stands at a field's path, if anything.
    /// A composite key is put together in `key`.
    #[inline]
    pub(super) fn judge<'a>(
        &self,
        value: impl Fn(usize) -> Option<Value<'a>>,
        key: &'a mut Vec<u8>,
    ) -> Verdict<'a> {
        let missing = Verdict::Dropped(Reason::Missing);
        let holds = |(field, test): &(usize, Test)| test.holds(value(*field));
        if !self.conditions.iter().all(holds) {
            return Verdict::Dropped(Reason::Filtered);
        }
        let key = match *self.by {
            [by] => match value(by) {
                Some(Value::Scalar(key)) => key,
                _ => return missing,
            },
            ref by => {
                key.clear();
                for &by in by {
                    match value(by) {
                        Some(Value::Scalar(part)) => part.push_part(key),
                        _ => return missing,
                    }
                }
                KeyRef::composite(key)
            }
        };
        if let Some((field, format)) = &self.time {
            return match value(*field) {
                Some(Value::Scalar(time)) => match format.nanos(time).filter(is_in_reach) {
                    Some(nanos) => Verdict::Timed(key, nanos),
                    None => missing,
                },
                _ => missing,
            };
        }
        match self.sum {
            None => Verdict::Counted(key),
            Some(sum) => Verdict::Summed(key, value(sum).and_then(number)),
        }
    }
}

/// Whether windows can be made of a time.
fn is_in_reach(nanos: &i64) -> bool {
    (-NANOS_MAX..=NANOS_MAX).contains(nanos)
}

/// The number that a value is, if it can be added.
#[inline]
fn number(value: Value<'_>) -> Option<Decimal> {
    match value {
        Value::Scalar(KeyRef {
            kind: KeyKind::Number,
            bytes,
        }) => Decimal::parse(bytes),
        _ => None,
    }
}

/// A plain count.
impl From<KeyPath> for Query {
    fn from(by: KeyPath) -> Query {
        Query::new(vec![by], Vec::new(), None).expect("one path is not too many")
    }
}

/// What the query asks for, in words.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by: Vec<String> = self.by().map(ToString::to_string).collect();
        f.write_str(&by.join(", "))?;
        for (field, test) in &self.conditions {
            let condition = Condition {
                path: self.fields[*field].clone(),
                test: test.clone(),
            };
            write!(f, " where {condition}")?;
        }
        if let Some(sum) = self.sum() {
            write!(f, ", sum of {sum}")?;
        }
        match self.time() {
            Some((time, _)) => write!(f, ", by the time at {time}"),
            None => Ok(()),
        }
    }
}

/// How many fields a query would have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyFields(usize);

impl fmt::Display for TooManyFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0;
        write!(
            f,
            "{fields} different paths are too many; give at most {FIELDS_MAX}"
        )
    }
}

impl std::error::Error for TooManyFields {}
