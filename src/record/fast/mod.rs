//! The fast lane.

mod index;
mod number;
mod path;
mod walk;
mod shape;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx2;

use crate::key::{KeyKind, KeyRef};
use crate::ledger::Reason;
use crate::record::LineSink;
use index::{Index, Portable, SEGMENT_BYTES_MAX, Simd};
use path::Path;
use shape::Shapes;
use walk::{Found, Walked};

/// The instructions a lane uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A byte at a time; for the tests.
    Portable,
    /// AVX2.
    Avx2,
    /// AVX-512.
    Avx512,
}

impl Level {
    /// The levels this CPU has, slowest first.
    pub fn available() -> Vec<Level> {
        let mut levels = vec![Level::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(avx2::Avx2::detect().map(|_| Level::Avx2));
            levels.extend(avx512::Avx512::detect().map(|_| Level::Avx512));
        }
        levels
    }
}

/// Why a line was left to the slow parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BailReason {
    /// Longer than a segment.
    Long,
    /// The last line, without its newline.
    Unended,
    /// Not UTF-8.
    Utf8,
    /// No object at the top.
    NoObject,
    /// Nested deeper than the walk goes.
    Depth,
    /// A string that does not end, or with a control character.
    String,
    /// An escape that is none.
    Escape,
    /// A surrogate escape.
    Surrogate,
    /// A name with an escape.
    EscapedName,
    /// The key is a string with an escape.
    EscapedKey,
    /// The path leads into an array.
    ArrayOnPath,
    /// Not a number.
    Number,
    /// Not a literal.
    Literal,
    /// No value where one has to be.
    Value,
    /// Brackets, commas, colons.
    Structure,
}

impl BailReason {
    /// How many there are.
    pub const COUNT: usize = BailReason::Structure as usize + 1;
}

/// The fast lane.
pub struct FastParser {
    path: Path,
    segment_bytes: usize,
    level: Level,
    index: Index,
    shapes: Shapes,
    bails: [u64; BailReason::COUNT],
}

impl FastParser {
    /// For tests.
    pub fn new(names: &[&[u8]], line_bytes_max: usize, level: Level) -> FastParser {
        FastParser {
            path: Path::new(names.iter().copied()),
            segment_bytes: SEGMENT_BYTES_MAX.min(line_bytes_max),
            level,
            index: Index::new(),
            shapes: Shapes::new(),
            bails: [0; BailReason::COUNT],
        }
    }

    /// The lines left to the slow parser, by [`BailReason`].
    pub fn bails(&self) -> &[u64; BailReason::COUNT] {
        &self.bails
    }

    /// Parses a chunk of whole lines.
    pub fn chunk<K: LineSink>(
        &mut self,
        chunk: &[u8],
        slow: &mut impl FnMut(&[u8], &mut K),
        sink: &mut K,
    ) {
        match self.level {
            Level::Portable => Portable.run(|| self.segments(Portable, chunk, slow, sink)),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                let simd = avx2::Avx2::detect().expect("checked");
                simd.run(#[inline(always)] || self.segments(simd, chunk, slow, sink));
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                let simd = avx512::Avx512::detect().expect("checked");
                simd.run(#[inline(always)] || self.segments(simd, chunk, slow, sink));
            }
        }
    }

    #[inline(always)]
    fn segments<S: Simd, K: LineSink>(
        &mut self,
        simd: S,
        mut rest: &[u8],
        slow: &mut impl FnMut(&[u8], &mut K),
        sink: &mut K,
    ) {
        while !rest.is_empty() {
            let window = &rest[..rest.len().min(self.segment_bytes)];
            if let Some(last) = memchr::memrchr(b'\n', window) {
                let (text, behind) = rest.split_at(last + 1);
                self.segment(simd, text, slow, sink);
                rest = behind;
                continue;
            }
            let (line, behind) = match memchr::memchr(b'\n', rest) {
                Some(end) => {
                    self.bails[BailReason::Long as usize] += 1;
                    (&rest[..end], &rest[end + 1..])
                }
                None => {
                    self.bails[BailReason::Unended as usize] += 1;
                    (rest, &rest[rest.len()..])
                }
            };
            slow(line, sink);
            rest = behind;
        }
    }

    #[inline(always)]
    fn segment<S: Simd, K: LineSink>(
        &mut self,
        simd: S,
        text: &[u8],
        slow: &mut impl FnMut(&[u8], &mut K),
        sink: &mut K,
    ) {
        let is_ascii = simd.index(text, &mut self.index);
        let mut invalid = if is_ascii { usize::MAX } else { first_invalid(text, 0) };
        let mut at = 0;
        let mut start = 0;
        while at < self.index.len {
            let walked = if invalid != usize::MAX && invalid < line_end(&self.index, at).1 {
                invalid = first_invalid(text, line_end(&self.index, at).1 + 1);
                Err(BailReason::Utf8)
            } else if self.index.kinds[at] == b'\n' {
                let end = self.index.positions[at] as usize;
                sink.dropped(Reason::Blank, &text[start..end]);
                start = end + 1;
                at += 1;
                continue;
            } else if let Some(walked) = self.shapes.line(simd, text, &self.index, at, &self.path) {
                Ok(walked)
            } else {
                let walked = walk::line(simd, text, &self.index, at, &self.path, self.shapes.notes(at));
                if let Ok(walked) = walked {
                    self.shapes.keep(&self.index, walked);
                }
                walked
            };
            match walked {
                Ok(Walked { newline, found }) => {
                    let end = self.index.positions[newline] as usize;
                    match found {
                        Found::Scalar(slot) => sink.counted(key(simd, text, &self.index, slot)),
                        Found::Nothing => sink.dropped(Reason::Missing, &text[start..end]),
                        Found::Escaped => {
                            self.bails[BailReason::EscapedKey as usize] += 1;
                            slow(&text[start..end], sink);
                        }
                    }
                    at = newline + 1;
                    start = end + 1;
                }
                Err(reason) => {
                    let (newline, end) = line_end(&self.index, at);
                    self.bails[reason as usize] += 1;
                    slow(&text[start..end], sink);
                    at = newline + 1;
                    start = end + 1;
                }
            }
        }
    }
}

/// The key of the value at this slot.
#[inline(always)]
fn key<'a, S: Simd>(simd: S, text: &'a [u8], index: &Index, slot: usize) -> KeyRef<'a> {
    let start = index.positions[slot] as usize;
    let next = index.positions[slot + 1] as usize;
    match index.kinds[slot] {
        b'"' => KeyRef { kind: KeyKind::String, bytes: &text[start + 1..next] },
        b'0' => {
            let end = number::end(simd, text, start, next).expect("the walk has checked it");
            KeyRef { kind: KeyKind::Number, bytes: &text[start..end] }
        }
        b't' => KeyRef::boolean(true),
        b'f' => KeyRef::boolean(false),
        _ => KeyRef::null(),
    }
}

/// The newline of the line that slot `at` is of: its slot and its position.
fn line_end(index: &Index, at: usize) -> (usize, usize) {
    let len = memchr::memchr(b'\n', &index.kinds[at..index.len]).expect("a segment ends in a newline");
    (at + len, index.positions[at + len] as usize)
}

/// The first byte from `start` on that is not UTF-8, `usize::MAX` if all is.
#[cold]
fn first_invalid(text: &[u8], start: usize) -> usize {
    match simdutf8::compat::from_utf8(&text[start..]) {
        Ok(_) => usize::MAX,
        Err(error) => start + error.valid_up_to(),
    }
}
