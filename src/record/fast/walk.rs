//! The validating walk: one line's slots in, its key out, or a reason to ask the slow parser.
//!
//! The walk reads the kinds of the slots as a grammar and looks into the text only where a slot
//! cannot tell: the rest of a literal, a number, an escape, a name on the key's path. It refuses
//! everything it is not sure of, so what it lets through is valid, apart from UTF-8, which
//! [`super::FastParser`] has checked before.
//!
//! The text ends in a newline, and a newline is always a slot that nothing inside a line accepts.
//! So the walk of a line never passes the line's last slot, and every slot it accepts is followed
//! by another: `kinds[at]` and `positions[at]` are in bounds, and so is `text[position + 1]`.

use super::index::{Index, Simd};
use super::number;
use super::path::Path;
use super::BailReason;

/// The deepest nesting the walk follows: a bit of a `u64` for each level.
pub(super) const DEPTH_MAX: u32 = 64;

/// What stands at the end of the key's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, an object or an array.
    Nothing,
    /// A value whose first byte is at this slot.
    Scalar(usize),
    /// A string with an escape.
    Escaped,
}

/// A line that is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    /// The slot of the line's newline.
    pub(super) newline: usize,
    /// The value on the path.
    pub(super) found: Found,
}

/// What a walk tells about the line while it goes, for whoever wants to know.
pub(super) trait Notes {
    /// The name at this slot decides about the path's step `level`: it is the step's, or not.
    fn name(&mut self, slot: usize, level: usize, is_step: bool);
    /// A number or literal starts at this slot.
    fn scalar(&mut self, slot: usize);
    /// The line has something that its slots do not tell whole.
    fn unusual(&mut self);
}

/// Nobody wants to know.
impl Notes for () {
    #[inline(always)]
    fn name(&mut self, _: usize, _: usize, _: bool) {}
    #[inline(always)]
    fn scalar(&mut self, _: usize) {}
    #[inline(always)]
    fn unusual(&mut self) {}
}

/// Walks the line whose first slot is `first`.
#[inline(always)]
pub(super) fn line<S: Simd>(
    simd: S,
    text: &[u8],
    index: &Index,
    first: usize,
    path: &Path,
    notes: &mut impl Notes,
) -> Result<Walked, BailReason> {
    let (positions, kinds) = (&*index.positions, &*index.kinds);
    if kinds[first] != b'{' {
        return Err(BailReason::NoObject);
    }
    let mut at = first;
    // A bit for each open container, the innermost lowest: 1 for an object.
    let mut objects = 0u64;
    let mut depth = 0u32;
    // The innermost container on the path is at this depth: the path's first `on_path - 1` steps
    // lead there. The container at hand is on the path if it is at this depth.
    let mut on_path = 0u32;
    // The value at hand is what the path's first `steps` steps lead to, if `is_step`.
    let mut is_step = true;
    let mut found = Found::Nothing;

    loop {
        // A value starts at slot `at`.
        let value = at;
        let kind = kinds[at];
        at += 1;
        match kind {
            b'"' => {
                let escaped = kinds[at] == b'\\';
                if escaped {
                    notes.unusual();
                    at = escapes(text, index, at)?;
                }
                if kinds[at] != b'"' {
                    return Err(BailReason::String);
                }
                at += 1;
                if is_step && on_path as usize == path.len() {
                    found = if escaped { Found::Escaped } else { Found::Scalar(value) };
                }
            }
            b'{' | b'[' => {
                if depth == DEPTH_MAX {
                    return Err(BailReason::Depth);
                }
                let is_object = kind == b'{';
                objects = objects << 1 | u64::from(is_object);
                depth += 1;
                if is_step && (on_path as usize) < path.len() {
                    if is_object {
                        on_path = depth;
                    } else if path.leads_into_array(on_path as usize) {
                        return Err(BailReason::ArrayOnPath);
                    }
                }
                if kinds[at] != kind + 2 {
                    if is_object {
                        (at, is_step) = name(simd, text, index, at, path, depth == on_path, on_path, notes)?;
                        if is_step { found = Found::Nothing; }
                    } else {
                        is_step = false;
                    }
                    continue;
                }
            }
            b'0' => {
                notes.scalar(value);
                let (start, next) = (positions[value] as usize, positions[at] as usize);
                if number::end(simd, text, start, next).is_none() {
                    return Err(BailReason::Number);
                }
                if is_step && on_path as usize == path.len() {
                    found = Found::Scalar(value);
                }
            }
            b't' | b'f' | b'n' => {
                notes.scalar(value);
                let (start, next) = (positions[value] as usize, positions[at] as usize);
                if !literal(&text[start..next]) {
                    return Err(BailReason::Literal);
                }
                if is_step && on_path as usize == path.len() {
                    found = Found::Scalar(value);
                }
            }
            _ => return Err(BailReason::Value),
        }

        // A value ended before slot `at`, or its brackets close there.
        loop {
            let is_object = objects & 1 != 0;
            match kinds[at] {
                b',' => {
                    at += 1;
                    is_step = false;
                    if is_object {
                        (at, is_step) = name(simd, text, index, at, path, depth == on_path, on_path, notes)?;
                        if is_step { found = Found::Nothing; }
                    }
                    break;
                }
                b'}' if is_object => on_path -= u32::from(depth == on_path),
                b']' if !is_object => {}
                _ => return Err(BailReason::Structure),
            }
            at += 1;
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

/// Reads a name and its colon from slot `at`; returns the slot behind and whether the name is the
/// path's next step.
#[expect(clippy::too_many_arguments, reason = "inlined into the walk, whose state they are")]
#[inline(always)]
fn name<S: Simd>(
    simd: S,
    text: &[u8],
    index: &Index,
    at: usize,
    path: &Path,
    decides: bool,
    on_path: u32,
    notes: &mut impl Notes,
) -> Result<(usize, bool), BailReason> {
    let (positions, kinds) = (&*index.positions, &*index.kinds);
    if kinds[at] != b'"' {
        return Err(BailReason::Structure);
    }
    if kinds[at + 1] != b'"' || kinds[at + 2] != b':' {
        return Err(if kinds[at + 1] == b'\\' {
            BailReason::EscapedName
        } else {
            BailReason::Structure
        });
    }
    let mut is_step = false;
    if decides {
        let level = on_path as usize - 1;
        is_step = path.is_step(simd, level, text, positions[at] as usize);
        notes.name(at, level, is_step);
    }
    Ok((at + 3, is_step))
}

/// Checks the escapes that start at slot `at`; returns the first slot that is none.
#[cold]
fn escapes(text: &[u8], index: &Index, mut at: usize) -> Result<usize, BailReason> {
    while index.kinds[at] == b'\\' {
        let escape = &text[index.positions[at] as usize + 1..];
        match escape[0] {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                let digits = escape.get(1..5).ok_or(BailReason::Escape)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(BailReason::Escape);
                }
                // U+D800 to U+DFFF: right only in pairs.
                if digits[0] | 0x20 == b'd' && digits[1] >= b'8' {
                    return Err(BailReason::Surrogate);
                }
            }
            _ => return Err(BailReason::Escape),
        }
        at += 1;
    }
    Ok(at)
}

/// Whether this is a literal and then only white space.
#[inline(always)]
pub(super) fn literal(text: &[u8]) -> bool {
    let rest = match text {
        [b't', b'r', b'u', b'e', rest @ ..] => rest,
        [b'f', b'a', b'l', b's', b'e', rest @ ..] => rest,
        [b'n', b'u', b'l', b'l', rest @ ..] => rest,
        _ => return false,
    };
    rest.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}
