//! The fast lane: whole chunks of lines at once, in front of the reference parser.
//!
//! [`FastParser::chunk`] cuts a chunk into *segments* of whole lines that fit the first-level
//! cache. For each it builds an index of all bytes that mean something, across all lines (see
//! `index`), and then judges line after line by the index: by what it remembers of lines of the
//! same shape (`shape`), else by a validating walk (`walk`). What stands in strings and what is
//! white space is not looked at again. Before a segment come the lines that need no index, because
//! they are the letter of recent lines but for a few values (`template`).
//!
//! Every line is validated whole: structure, literals, numbers, escapes, UTF-8. The lane is held to
//! one rule: it never accepts what the reference parser would refuse, and never gives another verdict, key or
//! number (what becomes of a line's fields is in `asked`).
//! Where it is not sure it *bails*: the line goes to the slow parser, and the lane goes on with the
//! next one. Each bail is counted under its [`BailReason`]. Where nearly all lines bail, the lane
//! rests: it leaves whole segments to the slow parser and tries again later.
//!
//! Bounds, besides those in `index` and `shape`:
//!
//! - `segment <= SEGMENT_BYTES_MAX = 16 KiB`, and `segment <= line_bytes_max`: so no line in a
//!   segment is oversize. A line longer than a segment goes to the slow parser.
//! - A segment ends in a newline, so a position is never the last byte but at the last newline.
//! - Memory: the index, `3 * SLOTS_MAX` bytes, eight shapes and a template; nothing grows with the input but
//!   the buffer for a key with escapes, up to a segment.
//!
//! On *orders* (71-byte lines, see `benches/parse_lane.rs`) the calls of a parser per line take
//! several times as long as the bytes do; indexing across lines is what the speed comes from.

mod index;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod walk;
mod asked;
mod escape;
mod number;
mod path;
mod shape;
mod template;
#[doc(hidden)]
pub mod check;

use memchr::{memchr, memrchr};

use crate::key::{KeyKind, KeyRef};
use crate::ledger::Reason;
use crate::record::query::Query;
use crate::record::{LineSink, each_line};
use asked::Asked;
use index::{Index, Portable, SEGMENT_BYTES_MAX, SLOTS_MAX, Simd};
use shape::Shapes;
use template::{Lesson, Templates};

/// The instructions a lane uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Those every machine has, a byte at a time: slower than no lane, the measure in tests.
    Portable,
    /// AVX2, BMI and carry-less multiply.
    Avx2,
    /// AVX-512 F, BW, VL, VBMI and VBMI2.
    Avx512,
}

impl Level {
    /// Every level, slowest first.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// The fastest level of this CPU that is faster than no lane, if there is one.
    pub fn best() -> Option<Level> {
        [Level::Avx512, Level::Avx2]
            .into_iter()
            .find(|level| level.is_available())
    }

    /// Whether this CPU has the instructions.
    pub fn is_available(self) -> bool {
        Instructions::detect(self).is_some()
    }
}

/// A level, and the proof that the CPU has it.
#[derive(Clone, Copy)]
enum Instructions {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

impl Instructions {
    fn detect(level: Level) -> Option<Instructions> {
        match level {
            Level::Portable => Some(Instructions::Portable(Portable)),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::Avx2::detect().map(Instructions::Avx2),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::Avx512::detect().map(Instructions::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => None,
        }
    }
}

/// Why a line was left to the slow parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BailReason {
    /// Longer than a segment.
    Long,
    /// The last line, and without a newline.
    Unended,
    /// The lane rested.
    Resting,
    /// Not UTF-8.
    Utf8,
    /// No object at the top.
    NoObject,
    /// Nested deeper than the walk goes.
    Depth,
    /// A string that does not end, or with a control character in it.
    String,
    /// An escape that is none.
    Escape,
    /// An escaped surrogate that is no half of a pair.
    Surrogate,
    /// A number that is none.
    Number,
    /// A literal that is none.
    Literal,
    /// No value where one has to be.
    Value,
    /// A bracket, comma, colon or name that is missing or too much.
    Structure,
}

impl BailReason {
    /// Every reason, in the order of [`FastParser::bails`].
    pub const ALL: [BailReason; 13] = [
        BailReason::Long,
        BailReason::Unended,
        BailReason::Resting,
        BailReason::Utf8,
        BailReason::NoObject,
        BailReason::Depth,
        BailReason::String,
        BailReason::Escape,
        BailReason::Surrogate,
        BailReason::Number,
        BailReason::Literal,
        BailReason::Value,
        BailReason::Structure,
    ];
}

/// Judges lines by one query, as fast as the machine allows.
pub struct FastParser {
    instructions: Instructions,
    asked: Asked,
    /// The longest segment, in bytes.
    segment_bytes_max: usize,
    index: Index,
    shapes: Shapes,
    templates: Templates,
    rest: Rest,
    bails: [u64; BailReason::ALL.len()],
}

impl FastParser {
    /// A lane that answers `query` and whose slow parser refuses lines of more than
    /// `line_bytes_max` bytes; nothing if the CPU has not the instructions.
    pub fn new(query: &Query, line_bytes_max: usize, level: Level) -> Option<FastParser> {
        Some(FastParser {
            instructions: Instructions::detect(level)?,
            asked: Asked::new(query),
            segment_bytes_max: SEGMENT_BYTES_MAX.min(line_bytes_max),
            index: Index::new(),
            shapes: Shapes::new(),
            templates: Templates::default(),
            rest: Rest::default(),
            bails: [0; BailReason::ALL.len()],
        })
    }

    /// The lines left to the slow parser so far, by reason.
    pub fn bails(&self) -> impl Iterator<Item = (BailReason, u64)> {
        BailReason::ALL.into_iter().zip(self.bails)
    }

    /// The lines judged by a template so far, without an index.
    pub fn by_template(&self) -> u64 {
        self.templates.lines()
    }

    /// Judges the lines of `chunk` into `sink`, in order, and returns how many there were.
    ///
    /// Lines end at `\n`; the last one may lack it, and nothing behind the last `\n` is no line.
    /// `slow` judges a line (without its `\n`) that the lane leaves to it.
    pub fn chunk<K: LineSink>(
        &mut self,
        chunk: &[u8],
        slow: &mut impl FnMut(&[u8], &mut K),
        sink: &mut K,
    ) -> u64 {
        // Each arm is a copy of the lane, compiled for the level's instructions.
        match self.instructions {
            Instructions::Portable(simd) => self.segments(simd, chunk, slow, sink),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(simd) => simd.run(
                #[inline(always)]
                || self.segments(simd, chunk, slow, sink),
            ),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(simd) => simd.run(
                #[inline(always)]
                || self.segments(simd, chunk, slow, sink),
            ),
        }
    }

    /// Cuts the chunk into segments and judges their lines.
    #[inline(always)]
    fn segments<S: Simd, K: LineSink>(
        &mut self,
        simd: S,
        chunk: &[u8],
        slow: &mut impl FnMut(&[u8], &mut K),
        sink: &mut K,
    ) -> u64 {
        let mut lines = 0;
        let mut rest = chunk;
        while !rest.is_empty() {
            let short = simd.short();
            let (judged, by_template) = short.run(
                #[inline(always)]
                || {
                    let asked = &mut self.asked;
                    self.templates
                        .run(short, rest, self.segment_bytes_max, asked, sink)
                },
            );
            rest = &rest[judged..];
            lines += by_template;
            if let Some(last) = self.last_newline(rest) {
                let (text, behind) = rest.split_at(last + 1);
                rest = behind;
                lines += if self.rest.is_over() {
                    self.segment(simd, text, slow, sink)
                } else {
                    self.skip(text, slow, sink)
                };
                continue;
            }
            if rest.is_empty() {
                break;
            }
            let (reason, line, behind) = match memchr(b'\n', rest) {
                Some(end) => (BailReason::Long, &rest[..end], &rest[end + 1..]),
                None => (BailReason::Unended, rest, &rest[rest.len()..]),
            };
            rest = behind;
            lines += 1;
            self.bails[reason as usize] += 1;
            slow(line, sink);
        }
        lines
    }

    /// The newline that ends the next segment, if the next line is no longer than one.
    #[inline(always)]
    fn last_newline(&self, rest: &[u8]) -> Option<usize> {
        let newline = |bytes| memrchr(b'\n', &rest[..rest.len().min(bytes)]);
        let is_short = self.templates.is_good();
        let short = is_short.then(|| newline(self.segment_bytes_max.min(MISFITS_BYTES)));
        short.flatten().or_else(|| newline(self.segment_bytes_max))
    }

    /// Leaves the lines of a segment to the slow parser; returns how many there are.
    #[cold]
    fn skip<K: LineSink>(
        &mut self,
        text: &[u8],
        slow: &mut impl FnMut(&[u8], &mut K),
        sink: &mut K,
    ) -> u64 {
        let lines = each_line(text, |line| slow(line, sink));
        self.bails[BailReason::Resting as usize] += lines;
        lines
    }

    /// Judges the lines of a segment, returns how many there are.
    #[inline(always)]
    fn segment<S: Simd, K: LineSink>(
        &mut self,
        simd: S,
        text: &[u8],
        slow: &mut impl FnMut(&[u8], &mut K),
        sink: &mut K,
    ) -> u64 {
        let is_ascii = simd.index(text, &mut self.index);
        if !self.index.escapes.is_empty() {
            escape::settle(text, &mut self.index);
        }
        let segment = Segment {
            simd,
            text,
            index: &self.index,
        };
        let len = self.index.len;
        let mut lines = 0;
        let mut bails = 0;
        let mut lesson = Lesson::default();
        let mut at = 0;
        while at < len {
            // Up to slot `end`, where a line starts or the segment ends, all is UTF-8.
            let end = if is_ascii { len } else { segment.utf8_end(at) };
            while at < end {
                let run = self.shapes.run(segment, at, end, &mut self.asked, sink);
                if run.1 as usize > lesson.lines {
                    lesson = self.shapes.lesson(at, run.1 as usize);
                }
                if run.1 > 0 {
                    // The next line may have another shape that is known.
                    at = run.0;
                    lines += run.1;
                    continue;
                }
                lines += 1;
                if segment.kinds()[at] == b'\n' {
                    sink.dropped(Reason::Blank, segment.line(at, at));
                    at += 1;
                    continue;
                }
                let newline = match self.asked.walk(segment, at) {
                    Ok((newline, founds)) => {
                        let slots = (at, newline);
                        self.shapes.keep(segment, slots, &founds, &self.asked);
                        if self.asked.is_plain() {
                            self.asked.judge_plain(segment, founds[0], slots, sink);
                        } else {
                            self.asked.judge(segment, &founds, slots, sink);
                        }
                        newline
                    }
                    Err(reason) => {
                        let newline = segment.newline(at);
                        bails += 1;
                        self.bails[reason as usize] += 1;
                        slow(segment.line(at, newline), sink);
                        newline
                    }
                };
                at = newline + 1;
            }
            if at < len {
                let newline = segment.newline(at);
                lines += 1;
                bails += 1;
                self.bails[BailReason::Utf8 as usize] += 1;
                slow(segment.line(at, newline), sink);
                at = newline + 1;
            }
        }
        self.templates.teach(segment, lesson);
        self.rest.after(lines, bails);
        lines
    }
}

/// The length of a segment for lines that a good template does not fit: a line that is not like the
/// others should not cost them the template for long.
const MISFITS_BYTES: usize = 2 * 1024;

/// When to leave segments to the slow parser.
///
/// A line that bails costs the lane's work in vain, up to a fifth of the slow parser's. Where three
/// of four lines bail, the lane rests for 1 segment, then 2, 4 and so on up to 32, and is tried
/// with one between: so it costs a hostile input a hundredth in the long run.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    /// The segments still to skip.
    left: u32,
    /// The segments to skip next time, less one; `< REST_SEGMENTS_MAX`.
    next: u32,
}

/// The longest rest, in segments.
const REST_SEGMENTS_MAX: u32 = 32;

impl Rest {
    /// Whether the next segment is the lane's.
    fn is_over(&mut self) -> bool {
        // Not `self.left -= u32::from(self.left != 0)`: inlined here, rustc 1.95 loses that store in
        // release builds, and the rest never ends. `tests::a_rest_ends`, built so, shows it.
        if self.left == 0 {
            return true;
        }
        self.left -= 1;
        false
    }

    /// Says how a segment went.
    fn after(&mut self, lines: u64, bails: u64) {
        if bails * 4 < lines * 3 {
            self.next = 0;
        } else {
            self.left = self.next + 1;
            self.next = (2 * self.next + 1).min(REST_SEGMENTS_MAX - 1);
        }
    }
}

/// A segment and its index.
#[derive(Clone, Copy)]
struct Segment<'a, S> {
    simd: S,
    /// Whole lines; ends in a newline.
    text: &'a [u8],
    index: &'a Index,
}

impl<'a, S: Simd> Segment<'a, S> {
    #[inline(always)]
    fn kinds(self) -> &'a [u8; SLOTS_MAX] {
        &self.index.kinds
    }

    #[inline(always)]
    fn position(self, slot: usize) -> usize {
        self.index.positions[slot] as usize
    }

    /// The slot of the newline of the line that slot `at` is of.
    fn newline(self, at: usize) -> usize {
        let len = memchr(b'\n', &self.kinds()[at..self.index.len]);
        at + len.expect("a segment ends in a newline, and a newline is a slot")
    }

    /// Where the line starts whose first slot is this.
    #[inline(always)]
    fn line_start(self, first: usize) -> usize {
        if first == 0 {
            0
        } else {
            self.position(first - 1) + 1
        }
    }

    /// The line from its first slot to its newline's, without that.
    #[inline(always)]
    fn line(self, first: usize, newline: usize) -> &'a [u8] {
        &self.text[self.line_start(first)..self.position(newline)]
    }

    /// The line from its first slot to its newline's, with that.
    fn ended_line(self, first: usize, newline: usize) -> &'a [u8] {
        &self.text[self.line_start(first)..=self.position(newline)]
    }

    /// The end of the number or literal at this slot, if it is one and then only white space up to
    /// the next slot.
    #[inline(always)]
    fn scalar(self, slot: usize) -> Option<usize> {
        let (start, next) = (self.position(slot), self.position(slot + 1));
        let literal: &[u8] = match self.kinds()[slot] {
            b'0' => return number::end(self.simd, self.text, start, next),
            b't' => b"true",
            b'f' => b"false",
            _ => b"null",
        };
        let behind = self.text[start..next].strip_prefix(literal)?;
        is_white(behind).then_some(next - behind.len())
    }

    /// The key that the value at this slot is; it has been checked and has no escapes.
    #[inline(always)]
    fn key(self, slot: usize) -> KeyRef<'a> {
        let start = self.position(slot);
        match self.kinds()[slot] {
            b'"' => KeyRef {
                kind: KeyKind::String,
                bytes: &self.text[start + 1..self.position(slot + 1)],
            },
            b'0' => {
                let end = self.scalar(slot).expect("a number has been checked");
                KeyRef {
                    kind: KeyKind::Number,
                    bytes: &self.text[start..end],
                }
            }
            b't' => KeyRef::boolean(true),
            b'f' => KeyRef::boolean(false),
            _ => KeyRef::null(),
        }
    }

    /// The inside of the string at this slot; it has been checked and has escapes.
    fn escaped(self, slot: usize) -> &'a [u8] {
        &self.text[self.position(slot) + 1..self.position(slot + 1)]
    }

    /// The key that the string at this slot is; it has been checked and has escapes.
    #[cold]
    fn escaped_key<'b>(self, slot: usize, resolved: &'b mut Vec<u8>) -> KeyRef<'b> {
        escape::resolve(self.escaped(slot), resolved);
        KeyRef {
            kind: KeyKind::String,
            bytes: resolved,
        }
    }

    /// The first slot of the first line that is not UTF-8, from the line whose first slot is `at`
    /// on; `index.len` if there is none.
    #[cold]
    fn utf8_end(self, at: usize) -> usize {
        let start = self.line_start(at);
        let Err(error) = simdutf8::compat::from_utf8(&self.text[start..]) else {
            return self.index.len;
        };
        let invalid = start + error.valid_up_to();
        let slots = &self.index.positions[..self.index.len];
        let behind = slots.partition_point(|&position| (position as usize) < invalid);
        memrchr(b'\n', &self.kinds()[..behind]).map_or(0, |newline| newline + 1)
    }
}

/// Whether there is nothing but white space.
#[inline(always)]
fn is_white(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests;
