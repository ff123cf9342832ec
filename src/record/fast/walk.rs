//! The validating walk: one line's slots in, the value at a path out, or a reason to ask the slow parser.
//!
//! It follows one path. For a query of several fields a line is walked once for each of them: only a line
//! of a shape that is new is walked at all.
//!
//! The walk reads the kinds of the slots as a grammar and looks into the text only where a slot
//! cannot tell: the rest of a literal, a number, an escape, a name that decides about the path. It
//! refuses everything it is not sure of, so what it lets through is valid, apart from UTF-8, which
//! [`super::FastParser`] has checked before.
//!
//! A segment ends in a newline, a newline is always a slot, and nothing inside a line accepts it.
//! So the walk never passes its line's last slot; each slot it accepts is followed by another,
//! which ends what the accepted one starts.

use super::escape::{self, ESCAPED};
use super::index::Simd;
use super::path::Path;
use super::{BailReason, Segment};

/// The deepest nesting the walk follows: a bit of a `u64` for each level.
pub(super) const DEPTH_MAX: usize = 64;

/// What stands at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// An object or an array.
    Container,
    /// A value whose first byte is at this slot, and without an escape.
    Scalar(usize),
    /// A string with an escape, whose opening quote is at this slot.
    Escaped(usize),
}

impl Found {
    /// The same with slots that count from `first`.
    #[inline(always)]
    pub(super) fn from(self, first: usize) -> Found {
        match self {
            Found::Scalar(slot) => Found::Scalar(slot - first),
            Found::Escaped(slot) => Found::Escaped(slot - first),
            nowhere => nowhere,
        }
    }
}

/// A line that is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    /// The slot of the line's newline.
    pub(super) newline: usize,
    /// The value on the path.
    pub(super) found: Found,
}

/// Takes notes on what a walk finds.
pub(super) trait Notes {
    /// The name at this slot decides about the path's step at `level`: it is that, or it is not.
    fn name(&mut self, slot: usize, level: usize, is_step: bool);
    /// A number or literal starts at this slot.
    fn scalar(&mut self, slot: usize);
    /// A name with escapes decides about the path.
    fn escaped_name(&mut self);
}

/// Walks the line whose first slot is `first`.
#[inline(always)]
pub(super) fn line<S: Simd>(
    segment: Segment<'_, S>,
    first: usize,
    path: &Path,
    notes: &mut impl Notes,
) -> Result<Walked, BailReason> {
    let kinds = segment.kinds();
    if kinds[first] != b'{' {
        return Err(BailReason::NoObject);
    }
    let mut at = first;
    // A bit for each open container, the innermost lowest: 1 for an object, 0 for an array.
    let mut objects = 0u64;
    // The open containers, `depth <= DEPTH_MAX`.
    let mut depth = 0;
    // The path's first `on_path` - 1 steps lead to the container at this depth, and no further:
    // `on_path <= depth`, and `on_path <= path.len()`. Its members or elements decide.
    let mut on_path = 0;
    // For each array on the path, by level, the index of the element at hand.
    let mut elements = [0usize; DEPTH_MAX];
    // Whether the path's first `on_path` steps lead to the value at hand.
    let mut is_step = true;
    let mut found = Found::Nothing;

    loop {
        // A value starts at slot `at`.
        let value = at;
        let kind = kinds[at];
        at += 1;
        match kind {
            b'"' => {
                let is_escaped = kinds[at] != b'"';
                if is_escaped && kinds[at] != ESCAPED {
                    return Err(escape::reason(kinds[at]));
                }
                at += 1;
                if is_step && on_path == path.len() {
                    found = if is_escaped {
                        Found::Escaped(value)
                    } else {
                        Found::Scalar(value)
                    };
                }
            }
            b'{' | b'[' => {
                if depth == DEPTH_MAX {
                    return Err(BailReason::Depth);
                }
                let is_object = kind == b'{';
                objects = objects << 1 | u64::from(is_object);
                depth += 1;
                if is_step && on_path < path.len() && (is_object || path.index(on_path).is_some()) {
                    elements[on_path] = 0;
                    on_path = depth;
                } else if is_step && on_path == path.len() {
                    found = Found::Container;
                }
                // The closing bracket's code is the opening one's and 2.
                if kinds[at] != kind + 2 {
                    if is_object {
                        (at, is_step) = name(segment, at, path, on_path, depth == on_path, notes)?;
                    } else {
                        is_step = depth == on_path && path.index(on_path - 1) == Some(0);
                    }
                    if is_step {
                        found = Found::Nothing;
                    }
                    continue;
                }
            }
            b'0' | b't' | b'f' | b'n' => {
                notes.scalar(value);
                if segment.scalar(value).is_none() {
                    return Err(match kind {
                        b'0' => BailReason::Number,
                        _ => BailReason::Literal,
                    });
                }
                if is_step && on_path == path.len() {
                    found = Found::Scalar(value);
                }
            }
            _ => return Err(BailReason::Value),
        }

        // A value has ended. What follows, or closes around it?
        loop {
            let is_object = objects & 1 != 0;
            match kinds[at] {
                b',' => {
                    at += 1;
                    if is_object {
                        (at, is_step) = name(segment, at, path, on_path, depth == on_path, notes)?;
                    } else {
                        is_step = depth == on_path && {
                            elements[on_path - 1] += 1;
                            path.index(on_path - 1) == Some(elements[on_path - 1])
                        };
                    }
                    if is_step {
                        found = Found::Nothing;
                    }
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return Err(BailReason::Structure),
            }
            at += 1;
            on_path -= usize::from(depth == on_path);
            objects >>= 1;
            depth -= 1;
            if depth == 0 {
                return match kinds[at] {
                    b'\n' => Ok(Walked { newline: at, found }),
                    _ => Err(BailReason::Structure),
                };
            }
        }
    }
}

/// Reads a name and its colon from slot `at` on. Returns the slot behind, and whether the name
/// `decides` about the path's step `on_path` and is it.
#[inline(always)]
fn name<S: Simd>(
    segment: Segment<'_, S>,
    at: usize,
    path: &Path,
    on_path: usize,
    decides: bool,
    notes: &mut impl Notes,
) -> Result<(usize, bool), BailReason> {
    let kinds = segment.kinds();
    if kinds[at] != b'"' {
        return Err(BailReason::Structure);
    }
    let is_escaped = kinds[at + 1] != b'"';
    if is_escaped && kinds[at + 1] != ESCAPED {
        return Err(escape::reason(kinds[at + 1]));
    }
    if kinds[at + 2] != b':' {
        return Err(BailReason::Structure);
    }
    if !decides {
        return Ok((at + 3, false));
    }
    let is_step = if is_escaped {
        notes.escaped_name();
        is_escaped_step(segment, at, path.name(on_path - 1))
    } else {
        let is_step = path.is_step(segment, on_path - 1, at);
        notes.name(at, on_path - 1, is_step);
        is_step
    };
    Ok((at + 3, is_step))
}

/// Whether the name at slot `at`, which has escapes, stands for this step's, if that has one.
#[cold]
fn is_escaped_step<S: Simd>(segment: Segment<'_, S>, at: usize, step: Option<&[u8]>) -> bool {
    step.is_some_and(|step| escape::resolves_to(segment.escaped(at), step))
}
