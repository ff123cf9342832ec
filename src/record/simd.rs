//! The reference parser: simd-json's tape of one line, and the query's paths followed on it.
//!
//! A line is copied into a scratch buffer, because simd-json resolves escapes in place, and parsed
//! onto a tape whose allocation goes from line to line. simd-json 0.19 holds to RFC 8259 in what it
//! accepts (UTF-8, control characters, surrogates, 1,024 levels) with one exception: it refuses
//! numbers it cannot represent, such as `1e400` or integers beyond 64 bits. Here only the grammar of
//! a number counts, so such a line is parsed again with its numbers replaced by zeros.
//!
//! The tape has values and no positions. A number's source text is found through simd-json's list
//! of structural bytes, which has one entry for each node of the tape and one for each of `,:]}`.

use std::mem;

use memchr::memchr2;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, StaticNode, Tape, fill_tape_padded};

use super::path::Segment;
use super::query::{Query, Value};
use super::{DEPTH_MAX, Verdict};
use crate::key::{KeyKind, KeyRef};
use crate::ledger::Reason;

/// The longest line simd-json's 32-bit positions allow for.
pub(super) const LINE_BYTES_MAX: usize = u32::MAX as usize - INPUT_PADDING;

/// Buffers that grew for a longer line than this are given back.
const LINE_BYTES_KEPT: usize = 64 << 10;

/// A parser's buffers between two chunks are never larger than this, in bytes.
///
/// Per byte of line they are two copies (scratch, numbers), simd-json's string buffer, a position
/// (4 bytes) and a tape node (24); growing doubles, so twice that, and 64 KiB for the stack.
pub const MEMORY_KEPT_BYTES_MAX: usize = 2 * LINE_BYTES_KEPT * (3 + 4 + NODE_BYTES) + (64 << 10);

const NODE_BYTES: usize = mem::size_of::<Node<'static>>();
const _: () = assert!(NODE_BYTES <= 24);

/// simd-json's buffers, kept from line to line.
pub(super) struct TapeParser {
    /// The line and, behind it, at least `INPUT_PADDING` bytes of anything.
    scratch: Vec<u8>,
    /// The same for the line with its numbers replaced; empty until one is needed.
    numberless: Vec<u8>,
    buffers: Buffers,
    /// Empty between lines: only its allocation is kept.
    tape: Tape<'static>,
}

impl TapeParser {
    pub(super) fn new() -> Self {
        TapeParser {
            scratch: Vec::new(),
            numberless: Vec::new(),
            buffers: Buffers::with_max_depth(0, DEPTH_MAX),
            tape: Tape(Vec::new()),
        }
    }

    /// Gives the buffers back if a long line made them grow.
    #[inline]
    pub(super) fn shrink(&mut self) {
        // No buffer grows without this one.
        if self.scratch.len() > LINE_BYTES_KEPT + INPUT_PADDING {
            self.start_anew();
        }
    }

    #[cold]
    fn start_anew(&mut self) {
        *self = TapeParser::new();
    }

    /// Judges a line that is neither oversize nor blank. A composite key is put together in `key`.
    #[inline]
    pub(super) fn record<'a>(
        &'a mut self,
        query: &Query,
        line: &'a [u8],
        key: &'a mut Vec<u8>,
    ) -> Verdict<'a> {
        if line.len() <= LINE_BYTES_KEPT {
            self.shrink();
        }
        let TapeParser {
            scratch,
            numberless,
            buffers,
            tape: kept,
        } = self;
        copy_padded(scratch, line);
        let mut tape = mem::replace(kept, Tape(Vec::new())).reset();
        let verdict = match fill_tape_padded(scratch, line.len(), buffers, &mut tape) {
            Ok(()) => judge(query, &tape.0, line, buffers, key),
            Err(error) if matches!(error.error(), ErrorType::InvalidNumber) => {
                copy_padded(numberless, line);
                replace_numbers(line, numberless);
                tape = tape.reset();
                match fill_tape_padded(numberless, line.len(), buffers, &mut tape) {
                    Ok(()) => judge(query, &tape.0, line, buffers, key),
                    Err(_) => Verdict::Dropped(Reason::Malformed),
                }
            }
            Err(_) => Verdict::Dropped(Reason::Malformed),
        };
        *kept = tape.reset();
        verdict
    }
}

/// The verdict on a line that is valid, from its tape.
#[inline]
fn judge<'a>(
    query: &Query,
    nodes: &[Node<'a>],
    line: &'a [u8],
    buffers: &Buffers,
    key: &'a mut Vec<u8>,
) -> Verdict<'a> {
    let value = |field: usize| {
        let at = follow(query.fields()[field].segments(), nodes)?;
        value_of(at, nodes, line, buffers.structural_indexes())
    };
    query.judge(value, key)
}

/// Puts `line` at the start of `buffer` and leaves at least `INPUT_PADDING` bytes behind it.
#[inline]
fn copy_padded(buffer: &mut Vec<u8>, line: &[u8]) {
    let padded = line.len() + INPUT_PADDING;
    if buffer.len() < padded {
        buffer.resize(padded, b' ');
    }
    buffer[..line.len()].copy_from_slice(line);
}

/// Where on the tape the path leads from the object at the top, if anywhere.
#[inline]
fn follow(path: &[Segment], nodes: &[Node<'_>]) -> Option<usize> {
    if !matches!(nodes.first(), Some(Node::Object { .. })) {
        return None;
    }
    let mut at = 0;
    for segment in path {
        at = match *nodes.get(at)? {
            Node::Object { len, .. } => last_member(nodes, at, len, segment.name()?)?,
            Node::Array { len, .. } => element(nodes, at, len, segment.index()?)?,
            Node::String(_) | Node::Static(_) => return None,
        };
    }
    Some(at)
}

/// The value of the last of the object's `len` members that has this name.
#[inline]
fn last_member(nodes: &[Node<'_>], object: usize, len: usize, name: &str) -> Option<usize> {
    let mut found = None;
    let mut at = object + 1;
    for _ in 0..len {
        if matches!(nodes.get(at)?, Node::String(member) if *member == name) {
            found = Some(at + 1);
        }
        at = behind(nodes, at + 1)?;
    }
    found
}

fn element(nodes: &[Node<'_>], array: usize, len: usize, index: usize) -> Option<usize> {
    if index >= len {
        return None;
    }
    let mut at = array + 1;
    for _ in 0..index {
        at = behind(nodes, at)?;
    }
    Some(at)
}

/// The node behind the value at `at`, its insides skipped.
#[inline]
fn behind(nodes: &[Node<'_>], at: usize) -> Option<usize> {
    Some(match *nodes.get(at)? {
        Node::Object { count, .. } | Node::Array { count, .. } => at + 1 + count,
        Node::String(_) | Node::Static(_) => at + 1,
    })
}

/// The value at node `at`.
#[inline]
fn value_of<'a>(
    at: usize,
    nodes: &[Node<'a>],
    line: &'a [u8],
    structurals: &[u32],
) -> Option<Value<'a>> {
    let key = match *nodes.get(at)? {
        Node::String(value) => KeyRef::string(value),
        Node::Static(StaticNode::Null) => KeyRef::null(),
        Node::Static(StaticNode::Bool(value)) => KeyRef::boolean(value),
        Node::Static(_) => KeyRef {
            kind: KeyKind::Number,
            bytes: number_text(at, line, structurals)?,
        },
        Node::Object { .. } | Node::Array { .. } => return Some(Value::Container),
    };
    Some(Value::Scalar(key))
}

/// The source text of the number at node `at`.
fn number_text<'a>(at: usize, line: &'a [u8], structurals: &[u32]) -> Option<&'a [u8]> {
    let start = structurals
        .iter()
        .map(|&start| start as usize)
        .filter(|&start| !matches!(line.get(start), Some(b',' | b':' | b']' | b'}')))
        .nth(at)?;
    let text = line.get(start..)?;
    Some(&text[..token_length(text)])
}

/// How long the token at the start of `bytes` is: up to a structural byte, white space or a quote.
fn token_length(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| {
        matches!(
            byte,
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"' | b' ' | b'\t' | b'\n' | b'\r'
        )
    };
    bytes.iter().position(ends).unwrap_or(bytes.len())
}

/// Overwrites each number of `line` in its copy with a zero and spaces.
///
/// Only whole tokens that are numbers by the grammar are touched, so no line becomes valid by it
/// that was not but for the size of its numbers, and nothing moves.
#[cold]
fn replace_numbers(line: &[u8], copy: &mut [u8]) {
    let mut at = 0;
    while at < line.len() {
        if line[at] == b'"' {
            at = behind_string(line, at);
            continue;
        }
        let length = token_length(&line[at..]);
        if is_number(&line[at..at + length]) {
            copy[at..at + length].fill(b' ');
            copy[at] = b'0';
        }
        at += length.max(1);
    }
}

/// The byte behind the string that opens at `open`; the line's end if it is not closed.
fn behind_string(line: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(i) = line.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if line[at + i] == b'"' {
            return at + i + 1;
        }
        at += i + 2;
    }
    line.len()
}

/// Whether a token is a number by the grammar of RFC 8259, section 6.
pub(super) fn is_number(token: &[u8]) -> bool {
    fn behind_digits(bytes: &[u8]) -> Option<&[u8]> {
        let count = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        (count > 0).then(|| &bytes[count..])
    }
    fn behind_number(bytes: &[u8]) -> Option<&[u8]> {
        let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
        let mut rest = match bytes.strip_prefix(b"0") {
            Some(rest) => rest,
            None => behind_digits(bytes)?,
        };
        if let [b'.', fraction @ ..] = rest {
            rest = behind_digits(fraction)?;
        }
        if let [b'e' | b'E', exponent @ ..] = rest {
            rest = match exponent {
                [b'+' | b'-', digits @ ..] => behind_digits(digits)?,
                digits => behind_digits(digits)?,
            };
        }
        Some(rest)
    }
    behind_number(token).is_some_and(<[u8]>::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_the_grammar_says() {
        for valid in [
            "0", "-0", "10", "1.50", "0.0", "1e5", "1E+05", "-1.2e-3", "0e0",
        ] {
            assert!(is_number(valid.as_bytes()), "{valid}");
        }
        for invalid in [
            "", "-", "--1", "+1", "01", "1.", ".5", "1e", "1e+", "1.e1", "0x1", "1_0",
        ] {
            assert!(!is_number(invalid.as_bytes()), "{invalid}");
        }
    }

    #[test]
    fn only_numbers_are_replaced_and_nothing_moves() {
        let line = br#"{"1e999":[-12,"\"7",12x,--1,1e400 ],"a":"3"#;
        let mut copy = line.to_vec();
        replace_numbers(line, &mut copy);
        assert_eq!(
            String::from_utf8_lossy(&copy),
            r#"{"1e999":[0  ,"\"7",12x,--1,0     ],"a":"3"#
        );
    }

    #[test]
    fn buffers_of_a_long_line_are_given_back() {
        let path = crate::record::KeyPath::parse("a").expect("a key path");
        let (query, mut key) = (Query::from(path), Vec::new());
        let mut long = vec![b'['; 1 << 20];
        let mut parser = TapeParser::new();
        parser.record(&query, &long, &mut key);
        assert!(parser.scratch.capacity() > 1 << 20);
        parser.record(&query, b"{}", &mut key);
        assert!(parser.scratch.capacity() < 1 << 10);

        // The densest line that is kept stays under the documented bound.
        long.truncate(LINE_BYTES_KEPT - 1);
        long.iter_mut().skip(1).step_by(2).for_each(|b| *b = b'0');
        long.iter_mut().skip(2).step_by(2).for_each(|b| *b = b',');
        long[LINE_BYTES_KEPT - 2] = b']';
        let verdict = parser.record(&query, &long, &mut key);
        assert_eq!(verdict, Verdict::Dropped(Reason::Missing));
        parser.shrink();
        let kept = parser.scratch.capacity()
            + parser.numberless.capacity()
            + parser.tape.0.capacity() * NODE_BYTES
            + parser.buffers.structural_indexes().len() * 4;
        assert!(
            kept > LINE_BYTES_KEPT && kept < MEMORY_KEPT_BYTES_MAX,
            "{kept}"
        );
    }
}
