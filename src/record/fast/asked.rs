//! What is asked of each line: its fields, and how their values become the line's verdict.
//!
//! A walk, a shape or a template finds where the fields' values are. A plain count has one field, whose value
//! is the key; it goes straight to the sink. Of any other query the values are collected here, and
//! [`Query::judge`] makes the verdict of them.
//!
//! Bound: a buffer for each field and one for the key, each no longer than a segment.

use super::index::Simd;
use super::path::Path;
use super::shape::Draft;
use super::walk::{self, Found};
use super::{BailReason, Segment};
use crate::key::{KeyKind, KeyRef};
use crate::ledger::Reason;
use crate::record::LineSink;
use crate::record::query::{FIELDS_MAX, Query, Value};

/// What stands at each field's path; those that are not asked for have nothing.
pub(super) type Founds = [Found; FIELDS_MAX];

/// A query, and what it takes to answer it.
pub(super) struct Asked {
    query: Query,
    is_plain: bool,
    /// At least one.
    fields: Vec<Field>,
    /// The last composite key.
    key: Vec<u8>,
}

/// One field.
struct Field {
    path: Path,
    /// The notes on the last walk to it.
    draft: Draft,
    /// Its last value with escapes, resolved.
    resolved: Vec<u8>,
}

impl Asked {
    pub(super) fn new(query: &Query) -> Asked {
        let field = |path| Field {
            path: Path::new(path),
            draft: Draft::default(),
            resolved: Vec::new(),
        };
        Asked {
            is_plain: query.plain().is_some(),
            fields: query.fields().iter().map(field).collect(),
            query: query.clone(),
            key: Vec::new(),
        }
    }

    /// Whether it is a plain count, by the one field there is.
    #[inline(always)]
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The fields' paths, and the notes on the last walk to each.
    pub(super) fn drafts(&self) -> impl Iterator<Item = (&Path, &Draft)> {
        self.fields.iter().map(|field| (&field.path, &field.draft))
    }

    /// Walks the line whose first slot is `first`, once for each field. Returns the slot of its newline,
    /// and what was found, at slots that count from `first`.
    #[inline(always)]
    pub(super) fn walk<S: Simd>(
        &mut self,
        segment: Segment<'_, S>,
        first: usize,
    ) -> Result<(usize, Founds), BailReason> {
        let mut founds = [Found::Nothing; FIELDS_MAX];
        let mut newline = first;
        for (field, found) in self.fields.iter_mut().zip(&mut founds) {
            let notes = field.draft.start(first);
            let walked = walk::line(segment, first, &field.path, notes)?;
            (newline, *found) = (walked.newline, walked.found.from(first));
        }
        Ok((newline, founds))
    }

    /// Judges a line of a plain count, in which that was found; slots count from `first`.
    #[inline(always)]
    pub(super) fn judge_plain<S: Simd>(
        &mut self,
        segment: Segment<'_, S>,
        found: Found,
        (first, newline): (usize, usize),
        sink: &mut impl LineSink,
    ) {
        match found {
            Found::Scalar(slot) => sink.counted(segment.key(first + slot)),
            Found::Escaped(slot) => {
                let resolved = &mut self.fields[0].resolved;
                sink.counted(segment.escaped_key(first + slot, resolved));
            }
            Found::Nothing | Found::Container => {
                sink.dropped(Reason::Missing, segment.line(first, newline));
            }
        }
    }

    /// Judges a line of any other query, in which these were found; slots count from `first`.
    #[inline(always)]
    pub(super) fn judge<S: Simd>(
        &mut self,
        segment: Segment<'_, S>,
        founds: &Founds,
        (first, newline): (usize, usize),
        sink: &mut impl LineSink,
    ) {
        for (field, found) in self.fields.iter_mut().zip(founds) {
            if let Found::Escaped(slot) = *found {
                segment.escaped_key(first + slot, &mut field.resolved);
            }
        }
        let fields = &self.fields;
        let value = |field: usize| match founds[field] {
            Found::Nothing => None,
            Found::Container => Some(Value::Container),
            Found::Scalar(slot) => Some(Value::Scalar(segment.key(first + slot))),
            Found::Escaped(_) => {
                let bytes = &fields[field].resolved;
                Some(Value::Scalar(KeyRef {
                    kind: KeyKind::String,
                    bytes,
                }))
            }
        };
        let verdict = self.query.judge(value, &mut self.key);
        verdict.deliver(segment.line(first, newline), sink);
    }

    /// Judges a line of any other query in which each field has the value, if any, that `key` tells.
    #[inline(always)]
    pub(super) fn judge_keys<'a>(
        &mut self,
        key: impl Fn(usize) -> Option<KeyRef<'a>>,
        line: &[u8],
        sink: &mut impl LineSink,
    ) {
        let value = |field: usize| key(field).map(Value::Scalar);
        self.query.judge(value, &mut self.key).deliver(line, sink);
    }
}
