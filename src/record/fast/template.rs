//! The template: a line's own bytes as the measure of the next, without an index.
//!
//! Producers print records with one format string, so line after line has the same bytes, but for a
//! few values. A [`Template`] is learnt from neighbouring lines of one shape: the bytes that all of
//! them share, and between those the *gaps*, where a value stands. A line fits if it has the shared
//! bytes, and in the gaps clean strings, numbers and literals. Then it is valid because the line that
//! the template was learnt from was, and its key is in the same gap: names, brackets, commas, and the
//! white space between them are the same to the letter.
//!
//! - *Clean* is a string of ASCII without quote, backslash and control characters. It ends at the first
//!   byte that is not clean; if that is not the shared quote, the line does not fit.
//! - A string that had one length in all lines is no gap: its bytes are only asked to be clean. So an
//!   order with an id of 32 digits is one comparison of 64 bytes, one gap, one comparison. A length
//!   that changes later makes a gap of it.
//! - What does not fit is left to the index ([`super::FastParser`]), which learns again, more and more
//!   rarely, if nothing ever fits.
//!
//! Bounds: at most [`GAPS_MAX`] gaps and [`SHARED_BYTES_MAX`] shared bytes; with more, walking the
//! index is as fast. All reads are windows of 64 bytes inside the text, so the last lines of a chunk
//! are the index's.

use std::ops::Range;

use super::asked::Asked;
use super::index::{BLOCK_BYTES, Simd};
use super::{Segment, number};
use crate::key::{KeyKind, KeyRef};
use crate::ledger::Reason;
use crate::record::LineSink;
use crate::record::query::FIELDS_MAX;

/// The most gaps of a template. Each costs a chain of some 15 cycles, as long as a block's index.
const GAPS_MAX: usize = 4;

/// The most bytes of a template, without its gaps.
const SHARED_BYTES_MAX: usize = 512;

/// The lines that a template is learnt from, at the most.
const LESSON_LINES_MAX: usize = 8;

/// Neighbouring lines of one shape in a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lesson {
    /// The first slot of the first line.
    pub(super) first: usize,
    /// How many lines.
    pub(super) lines: usize,
    /// The slots of each.
    pub(super) slots: usize,
    /// The value of each field, as a slot of a line; [`NOWHERE`] if there is none.
    pub(super) values: [u16; FIELDS_MAX],
    /// Whether a field leads to an object or an array. Then nothing is learnt: a template knows of values,
    /// and of none.
    pub(super) has_containers: bool,
}

/// A slot that no value is at: lines of so many slots have no shape.
pub(super) const NOWHERE: u16 = u16::MAX;

impl Lesson {
    /// The fields whose value is at this slot of a line: a bit for each.
    fn fields_at(&self, slot: usize) -> u16 {
        let values = self.values.iter().enumerate();
        let here = values.filter(|&(_, &value)| usize::from(value) == slot);
        here.fold(0, |fields, (field, _)| fields | 1 << field)
    }
}

/// What lines are compared with. See the module's documentation.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
    /// For each string that is a value, whether its length may change.
    has_many_lengths: Vec<bool>,
}

/// Shared bytes, and the gap behind them.
#[derive(Debug)]
struct Part {
    blocks: Vec<Block>,
    gap: Gap,
    /// Where the first field is: all there is to know of a plain count.
    key: Key,
    /// The fields that are in this part, and where.
    fields: Vec<(usize, Key)>,
}

/// At most 64 bytes of a line.
#[derive(Debug)]
struct Block {
    bytes: [u8; BLOCK_BYTES],
    /// A bit for each byte that is shared.
    shared: u64,
    /// A bit for each byte that has to be clean. None has both, and bytes behind `len` neither.
    clean: u64,
    /// `1 <= len <= 64`
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// None: the line has ended.
    End,
    /// The inside of a string.
    String,
    /// A number or a literal, up to this byte.
    Scalar(u8),
}

/// Where in a part a field's value is.
#[derive(Clone, Copy, Debug, Default)]
enum Key {
    /// In another part, or the line has none.
    #[default]
    Elsewhere,
    /// A string of one length.
    Shared { offset: usize, len: usize },
    /// What fills the gap.
    Gap,
}

/// A value of a line that is learnt from: its bytes, from the line's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    start: usize,
    end: usize,
    is_string: bool,
    /// The fields whose value it is: a bit for each.
    fields: u16,
}

impl Template {
    /// Learns from lines that have been judged. `before` is what was known so far.
    ///
    /// Nothing is learnt from lines that share too little.
    pub(super) fn learn<S: Simd>(
        segment: Segment<'_, S>,
        lesson: Lesson,
        before: Option<&Template>,
    ) -> Option<Template> {
        let lines = lesson.lines.min(LESSON_LINES_MAX);
        let starts = (0..lines).map(|line| lesson.first + line * lesson.slots);
        let lines: Vec<(&[u8], Vec<Token>)> = starts
            .map(|first| {
                let line = segment.ended_line(first, first + lesson.slots - 1);
                Some((line, tokens(segment, first, lesson)?))
            })
            .collect::<Option<_>>()?;
        let (line, tokens) = lines.first()?;
        if lines
            .iter()
            .any(|other| !is_alike((line, tokens), (other.0, &other.1)))
        {
            return None;
        }
        let mut has_many_lengths = Vec::new();
        for (i, token) in tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| token.is_string)
        {
            let len = token.end - token.start;
            let is_one_length = lines
                .iter()
                .all(|(_, tokens)| tokens[i].end - tokens[i].start == len);
            let strings = has_many_lengths.len();
            // Of another kind of line it is no wrong answer, only a needless gap.
            let had_many =
                before.is_some_and(|before| before.has_many_lengths.get(strings) == Some(&true));
            has_many_lengths.push(!is_one_length || had_many);
        }
        Template::assemble(line, tokens, has_many_lengths)
    }

    fn assemble(line: &[u8], tokens: &[Token], has_many_lengths: Vec<bool>) -> Option<Template> {
        let mut parts = Vec::new();
        let mut part = Draft::default();
        let mut many_lengths = has_many_lengths.iter();
        let mut at = 0;
        for token in tokens {
            part.share(&line[at..token.start]);
            at = token.end;
            let is_gap = !token.is_string || many_lengths.next() == Some(&true);
            let key = match is_gap {
                true => Key::Gap,
                false => Key::Shared {
                    offset: part.bytes.len(),
                    len: token.end - token.start,
                },
            };
            let fields = (0..FIELDS_MAX).filter(|field| token.fields >> field & 1 == 1);
            part.fields.extend(fields.map(|field| (field, key)));
            if is_gap {
                let gap = match token.is_string {
                    true => Gap::String,
                    false => Gap::Scalar(line[token.end]),
                };
                parts.push(std::mem::take(&mut part).finish(gap));
            } else {
                part.keep_clean(token.end - token.start);
            }
        }
        part.share(&line[at..]);
        parts.push(part.finish(Gap::End));
        let shared_bytes: usize = parts.iter().map(Part::len).sum();
        (parts.len() <= GAPS_MAX + 1 && shared_bytes <= SHARED_BYTES_MAX).then_some(Template {
            parts,
            has_many_lengths,
        })
    }

    /// Judges the lines at the start of `text`, as long as they fit, end in it and are no longer than
    /// `line_bytes_max`. Returns their bytes and how many there were.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        &self,
        simd: S,
        text: &[u8],
        line_bytes_max: usize,
        asked: &mut Asked,
        sink: &mut impl LineSink,
    ) -> (usize, u64) {
        if asked.is_plain() {
            self.each(
                simd,
                text,
                line_bytes_max,
                OnePlace(NO_PLACE),
                #[inline(always)]
                |line, OnePlace(place)| match value_at(text, place) {
                    Some(key) => sink.counted(key),
                    None => sink.dropped(Reason::Missing, line),
                },
            )
        } else {
            self.each(
                simd,
                text,
                line_bytes_max,
                AllPlaces([NO_PLACE; FIELDS_MAX]),
                #[inline(always)]
                |line, AllPlaces(places)| {
                    asked.judge_keys(|field| value_at(text, &places[field]), line, sink);
                },
            )
        }
    }

    /// Gives each line that fits, and where its values are, to `judge`; as [`Template::run`].
    #[inline(always)]
    fn each<S: Simd, P: Places>(
        &self,
        simd: S,
        text: &[u8],
        line_bytes_max: usize,
        mut places: P,
        mut judge: impl FnMut(&[u8], &P),
    ) -> (usize, u64) {
        let (mut start, mut lines) = (0, 0);
        while let Some(end) = self.line(simd, text, start, &mut places) {
            if end - start - 1 > line_bytes_max {
                break;
            }
            judge(&text[start..end - 1], &places);
            start = end;
            lines += 1;
        }
        (start, lines)
    }

    /// The end of the line that starts at `start`, if it fits; `places` take where its values are.
    #[inline(always)]
    fn line<S: Simd>(
        &self,
        simd: S,
        text: &[u8],
        start: usize,
        places: &mut impl Places,
    ) -> Option<usize> {
        let mut at = start;
        for part in &self.parts {
            let part_start = at;
            for block in &part.blocks {
                let bytes = window(text, at)?;
                if simd.differing64(bytes, &block.bytes) & block.shared != 0
                    || (block.clean != 0 && !simd.clean64(bytes) & block.clean != 0)
                {
                    return None;
                }
                at += block.len;
            }
            let gap_start = at;
            match part.gap {
                Gap::End => {}
                Gap::String => loop {
                    let len = simd.clean64(window(text, at)?).trailing_ones() as usize;
                    at += len;
                    if len < BLOCK_BYTES {
                        break;
                    }
                },
                Gap::Scalar(end) => at = scalar_end(simd, text, at, end)?,
            }
            places.take(part, part_start, gap_start..at);
        }
        Some(at)
    }
}

/// Where no value is: before one is a colon, at the least.
const NO_PLACE: Range<usize> = 0..0;

/// Where the values of a line are. All lines that fit have the same fields, so what one takes replaces
/// what the line before it took.
trait Places {
    /// A part starts there, and that is its gap.
    fn take(&mut self, part: &Part, start: usize, gap: Range<usize>);
}

/// The one of a plain count.
struct OnePlace(Range<usize>);

impl Places for OnePlace {
    #[inline(always)]
    fn take(&mut self, part: &Part, start: usize, gap: Range<usize>) {
        part.key.put(start, gap, &mut self.0);
    }
}

/// Those of all fields.
struct AllPlaces([Range<usize>; FIELDS_MAX]);

impl Places for AllPlaces {
    #[inline(always)]
    fn take(&mut self, part: &Part, start: usize, gap: Range<usize>) {
        for (field, key) in &part.fields {
            key.put(start, gap.clone(), &mut self.0[*field]);
        }
    }
}

impl Key {
    /// Where it is in a part that starts there and has this gap, if it is in it.
    #[inline(always)]
    fn put(self, start: usize, gap: Range<usize>, place: &mut Range<usize>) {
        match self {
            Key::Elsewhere => {}
            Key::Shared { offset, len } => *place = start + offset..start + offset + len,
            Key::Gap => *place = gap,
        }
    }
}

#[inline(always)]
fn window(text: &[u8], at: usize) -> Option<&[u8; BLOCK_BYTES]> {
    text.get(at..)?.first_chunk()
}

/// Where the number or literal at `start` ends, if it does at the first byte that is `end`.
#[inline(always)]
fn scalar_end<S: Simd>(simd: S, text: &[u8], start: usize, end: u8) -> Option<usize> {
    let bytes = window(text, start)?;
    let len = simd.differing64(bytes, &[end; BLOCK_BYTES]).trailing_ones() as usize;
    let next = start + len;
    let is_whole = match bytes[0] {
        _ if len == BLOCK_BYTES || len == 0 => false,
        b'0'..=b'9' | b'-' => number::end(simd, text, start, next) == Some(next),
        b't' => bytes.starts_with(b"true") && len == 4,
        b'f' => bytes.starts_with(b"false") && len == 5,
        b'n' => bytes.starts_with(b"null") && len == 4,
        _ => false,
    };
    is_whole.then_some(next)
}

/// The value that stands there, if any does; a string's quotes are around it.
#[inline(always)]
fn value_at<'a>(text: &'a [u8], place: &Range<usize>) -> Option<KeyRef<'a>> {
    (place.start > 0).then(|| key_at(text, place.clone()))
}

#[inline(always)]
fn key_at(text: &[u8], key: Range<usize>) -> KeyRef<'_> {
    let is_string = text[key.start - 1] == b'"';
    let bytes = &text[key];
    let kind = match bytes.first() {
        _ if is_string => KeyKind::String,
        Some(b't') => return KeyRef::boolean(true),
        Some(b'f') => return KeyRef::boolean(false),
        Some(b'n') => return KeyRef::null(),
        _ => KeyKind::Number,
    };
    KeyRef { kind, bytes }
}

/// The values of a judged line without escapes; nothing if one is no value after all.
fn tokens<S: Simd>(segment: Segment<'_, S>, first: usize, lesson: Lesson) -> Option<Vec<Token>> {
    let kinds = &segment.kinds()[first..][..lesson.slots];
    let line_start = segment.line_start(first);
    let position = |slot: usize| segment.position(first + slot) - line_start;
    let mut tokens = Vec::new();
    let mut slot = 0;
    while slot < kinds.len() {
        let (start, end, is_string) = match kinds[slot] {
            b'"' => {
                slot += 1;
                if kinds[slot] != b'"' {
                    // Escapes fill no gap.
                    return None;
                }
                (position(slot - 1) + 1, position(slot), true)
            }
            b'0' | b't' | b'f' | b'n' => {
                let end = segment.scalar(first + slot)?;
                (position(slot), end - line_start, false)
            }
            _ => {
                slot += 1;
                continue;
            }
        };
        let opening = slot - usize::from(is_string);
        slot += 1;
        let is_name = kinds.get(slot) == Some(&b':');
        if !is_name {
            tokens.push(Token {
                start,
                end,
                is_string,
                fields: lesson.fields_at(opening),
            });
        }
    }
    Some(tokens)
}

/// Whether two lines of one shape have the same bytes around their values.
fn is_alike(a: (&[u8], &[Token]), b: (&[u8], &[Token])) -> bool {
    let between = |(line, tokens): (&[u8], &[Token])| -> Vec<Vec<u8>> {
        let starts = std::iter::once(0).chain(tokens.iter().map(|token| token.end));
        let ends = tokens.iter().map(|token| token.start).chain([line.len()]);
        starts
            .zip(ends)
            .map(|(start, end)| line[start..end].to_vec())
            .collect()
    };
    between(a) == between(b)
}

/// A part that is being put together.
#[derive(Default)]
struct Draft {
    bytes: Vec<u8>,
    is_shared: Vec<bool>,
    fields: Vec<(usize, Key)>,
}

impl Draft {
    fn share(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.is_shared.resize(self.bytes.len(), true);
    }

    fn keep_clean(&mut self, len: usize) {
        self.bytes.resize(self.bytes.len() + len, 0);
        self.is_shared.resize(self.bytes.len(), false);
    }

    fn finish(self, gap: Gap) -> Part {
        let blocks = self
            .bytes
            .chunks(BLOCK_BYTES)
            .zip(self.is_shared.chunks(BLOCK_BYTES));
        let blocks = blocks.map(|(bytes, is_shared)| {
            let mask = |wanted: bool| {
                let bits = is_shared.iter().enumerate();
                bits.fold(0, |mask, (i, &is)| mask | u64::from(is == wanted) << i)
            };
            let mut block = [0; BLOCK_BYTES];
            block[..bytes.len()].copy_from_slice(bytes);
            Block {
                bytes: block,
                shared: mask(true),
                clean: mask(false),
                len: bytes.len(),
            }
        });
        Part {
            blocks: blocks.collect(),
            gap,
            key: match self.fields.first() {
                Some(&(0, key)) => key,
                _ => Key::Elsewhere,
            },
            fields: self.fields,
        }
    }
}

impl Part {
    fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.len).sum()
    }
}

/// The template in use, and when to look for another.
#[derive(Debug, Default)]
pub(super) struct Templates {
    template: Option<Template>,
    /// Whether the template judged some lines when it was last tried.
    is_good: bool,
    /// Lines that templates have judged.
    lines: u64,
    /// Segments to let pass before the next lesson.
    wait: u32,
    /// The same for the lesson after that, less one; `< WAIT_MAX`.
    next_wait: u32,
}

/// Lines that make a template a good one.
const GOOD_LINES: u64 = 4;

/// Lines of one shape that are worth a lesson.
const LESSON_LINES_MIN: usize = 4;

/// The longest wait, in segments: a lesson takes as long as some twenty lines.
const WAIT_MAX: u32 = 64;

impl Templates {
    /// [`Template::run`] of the template, if there is one.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        &mut self,
        simd: S,
        text: &[u8],
        line_bytes_max: usize,
        asked: &mut Asked,
        sink: &mut impl LineSink,
    ) -> (usize, u64) {
        let Some(template) = &self.template else {
            return (0, 0);
        };
        let (bytes, lines) = template.run(simd, text, line_bytes_max, asked, sink);
        self.lines += lines;
        self.is_good = lines >= GOOD_LINES;
        if self.is_good {
            (self.wait, self.next_wait) = (0, 0);
        }
        (bytes, lines)
    }

    /// Lines that templates have judged so far.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether the template is good: then the lines that do not fit are few.
    pub(super) fn is_good(&self) -> bool {
        self.is_good
    }

    /// Offers a segment's longest run of one shape; it is learnt from if there is need and the time
    /// has come.
    pub(super) fn teach<S: Simd>(&mut self, segment: Segment<'_, S>, lesson: Lesson) {
        if self.is_good || lesson.lines < LESSON_LINES_MIN || lesson.has_containers {
            return;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        let learnt = Template::learn(segment, lesson, self.template.as_ref());
        self.template = learnt.or_else(|| self.template.take());
        self.wait = self.next_wait;
        self.next_wait = (2 * self.next_wait + 1).min(WAIT_MAX - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{LINE_BYTES_MAX, check_chunk};
    use super::super::{FastParser, Level};
    use crate::record::Query;
    use crate::record::check::Verdicts;
    use crate::record::samples::query;

    /// How many of a chunk's lines templates judge at each level, in segments of half a KiB.
    fn templated(query: &Query, chunk: &[u8]) -> Vec<u64> {
        check_chunk(query, chunk);
        let lanes = Level::ALL.into_iter();
        let lanes = lanes.filter_map(|level| FastParser::new(query, LINE_BYTES_MAX, level));
        lanes
            .map(|mut lane| {
                lane.chunk(chunk, &mut |_, _| {}, &mut Verdicts::default());
                lane.by_template()
            })
            .collect()
    }

    fn lines<T: AsRef<[u8]>>(lines: impl IntoIterator<Item = T>) -> Vec<u8> {
        let ended = lines
            .into_iter()
            .map(|line| [line.as_ref(), b"\n"].concat());
        ended.collect::<Vec<_>>().concat()
    }

    /// A plain count.
    fn by(path: &str) -> Query {
        query(&[path], &[], None)
    }

    /// The lines with a query each, first the plain ones.
    fn lines_and_queries() -> Vec<(Query, &'static str)> {
        let plain = LINES.iter().map(|(path, line)| (by(path), *line));
        let [order, numbers, _, _, nested, nowhere] = LINES.map(|(_, line)| line);
        let others = [
            (query(&["id", "status"], &[], None), order),
            (query(&["status"], &["id!=x"], Some("n[0]")), numbers),
            (
                query(&["a.c", "a.b"], &["a.c=1", "b!=1"], Some("a.c")),
                nested,
            ),
            (query(&["status", "nowhere"], &["n"], None), nowhere),
        ];
        plain.chain(others).collect()
    }

    const LINES: [(&str, &str); 6] = [
        (
            "status",
            r#"{"id": "0123456789abcdef", "status": "PLACED"}"#,
        ),
        ("status", r#"{"status":"x","n":[-1.5e3,true],"s":""}"#),
        (
            "status",
            r#" { "status" : 200 , "ok" : false , "x" : null } "#,
        ),
        ("n[0]", "{\"n\":[\"a\"],\"\u{e4}\":\"b\"}\r"),
        (
            "a.b",
            r#"{"a":{"b":"0123456789012345678901234567890123456789012345678901234567890123456789","c":1}}"#,
        ),
        ("nowhere", r#"{"status":"PLACED","n":1}"#),
    ];

    #[test]
    fn lines_like_the_last_ones_need_no_index() {
        for (query, line) in lines_and_queries() {
            let count = 100;
            for templated in templated(&query, &lines(vec![line; count])) {
                // The first segment and the chunk's last bytes are the index's.
                assert!(templated as usize > count / 2, "{templated} of {line}");
            }
        }
    }

    #[test]
    fn strings_may_have_many_lengths() {
        let orders = (0..200).map(|i| {
            let status = ["PLACED", "SHIPPED", "DELIVERED", ""][i % 4];
            format!(r#"{{"id": "{i:032x}", "status": "{status}", "n": {i}}}"#)
        });
        for templated in templated(&by("status"), &lines(orders)) {
            assert!(templated > 150, "{templated}");
        }
        // Once it has had two lengths, a string is a gap for good.
        let rare = (0..400).map(|i| {
            let status = if i % 40 == 39 { "CANCELLED" } else { "PLACED" };
            format!(r#"{{"id": "{i:032x}", "status": "{status}"}}"#)
        });
        for templated in templated(&by("status"), &lines(rare)) {
            assert!(templated > 300, "{templated}");
        }
    }

    #[test]
    fn a_template_answers_for_no_line_but_its_own() {
        // Each line with each of its bytes changed, left out, or another put before it, between
        // lines that make a template of it.
        let bytes = b"\"\\{}[]:,\n\r\t\x00\x1f \x7f\x80\xc3\xff0123459-+.eEtrufalsnx/\xa4";
        for (query, line) in lines_and_queries() {
            let usual = lines(vec![line; 12]);
            let line = line.as_bytes();
            for at in 0..=line.len() {
                let (before, behind) = line.split_at(at);
                let mut chunk = Vec::new();
                for &byte in bytes {
                    chunk.extend_from_slice(&usual);
                    chunk.extend_from_slice(&lines([[before, &[byte], behind].concat()]));
                    if let Some(rest) = behind.get(1..) {
                        chunk.extend_from_slice(&lines([[before, &[byte], rest].concat()]));
                    }
                }
                chunk.extend_from_slice(&usual);
                if let Some(rest) = behind.get(1..) {
                    chunk.extend_from_slice(&lines([[before, rest].concat()]));
                }
                let usual_lines = 12 * (bytes.len() as u64 + 1);
                for templated in templated(&query, &chunk) {
                    let least = usual_lines / 16;
                    assert!(
                        templated > least,
                        "{templated} of {usual_lines} of {query}, byte {at}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_stream_without_a_usual_line_teaches_ever_more_rarely() {
        let chunk = lines((0..20_000).map(|i| format!(r#"{{"a{}":1,"status":"x"}}"#, i % 7)));
        assert!(
            templated(&by("status"), &chunk)
                .into_iter()
                .all(|lines| lines == 0)
        );
        // Four of one shape, then another: a template of the first does not fit the second.
        let chunk = lines((0..20_000).map(|i| match i / 6 % 2 {
            0 => r#"{"a":1,"status":"x"}"#,
            _ => r#"{"status":"y"}"#,
        }));
        templated(&by("status"), &chunk);
    }
}
