//! The shape cache: what a walk found out, kept for the next line like it.
//!
//! Two lines of the same *shape* have the same kinds of slots in the same order. All that the walk
//! concludes from kinds is then true of both, and what is left to check are the names that decide
//! about the path, the numbers and the literals. If each name still is or is not the path's step
//! as it was, the value is at the same slot.
//!
//! Bounds: a shape has `1 <= len <= SHAPE_SLOTS_MAX` slots, of which the last and no other is a
//! newline. So where all but the last have been found equal, the index goes on, and the window of
//! 64 kinds at the next slot is inside it (see [`super::index`]).

use super::index::{Index, Simd};
use super::number;
use super::path::Path;
use super::walk::{Found, Notes, Walked, literal};

/// The most slots of a shape that is kept.
const SHAPE_SLOTS_MAX: usize = 256;

/// The shapes kept.
const SHAPES: usize = 4;

/// The shapes seen last.
pub(super) struct Shapes {
    shapes: Box<[Shape; SHAPES]>,
    /// The shape that fitted last.
    recent: usize,
    /// The shape to forget for a new one.
    oldest: usize,
}

/// A shape, and what is left to check of a line that has it.
struct Shape {
    /// The number of slots; 0 for a shape that nothing has.
    len: usize,
    kinds: [u8; SHAPE_SLOTS_MAX],
    names: Vec<Name>,
    /// The numbers and literals, each by its slot, counted from the line's first.
    scalars: Vec<u16>,
    /// The slot of the value on the path.
    value: Option<u16>,
    /// Whether a line like it has to be walked all the same.
    is_unusual: bool,
    first: usize,
}

/// A name that decides about the path.
#[derive(Clone, Copy)]
struct Name {
    /// Its slot, counted from the line's first.
    slot: u16,
    level: u16,
    is_step: bool,
}

impl Shapes {
    pub(super) fn new() -> Shapes {
        let shape = || Shape {
            len: 0,
            kinds: [0; SHAPE_SLOTS_MAX],
            names: Vec::new(),
            scalars: Vec::new(),
            value: None,
            is_unusual: false,
            first: 0,
        };
        Shapes {
            shapes: Box::new([(); SHAPES].map(|()| shape())),
            recent: 0,
            oldest: 0,
        }
    }

    /// What a walk of the line whose first slot is `first` would find, if the line has a shape that
    /// is known and nothing in it is wrong.
    #[inline(always)]
    pub(super) fn line<S: Simd>(
        &mut self,
        simd: S,
        text: &[u8],
        index: &Index,
        first: usize,
        path: &Path,
    ) -> Option<Walked> {
        let recent = &self.shapes[self.recent];
        if recent.fits(simd, index, first) {
            return recent.line(simd, text, index, first, path);
        }
        for (at, shape) in self.shapes.iter().enumerate() {
            if at != self.recent && shape.fits(simd, index, first) {
                self.recent = at;
                return shape.line(simd, text, index, first, path);
            }
        }
        None
    }

    /// A shape to take the notes of the walk of the line whose first slot is `first`.
    pub(super) fn notes(&mut self, first: usize) -> &mut impl Notes {
        let shape = &mut self.shapes[self.oldest];
        shape.len = 0;
        shape.names.clear();
        shape.scalars.clear();
        shape.is_unusual = false;
        shape.first = first;
        shape
    }

    /// Keeps the shape that took the notes of the walk.
    pub(super) fn keep(&mut self, index: &Index, walked: Walked) {
        let shape = &mut self.shapes[self.oldest];
        let len = walked.newline + 1 - shape.first;
        if shape.is_unusual || len > SHAPE_SLOTS_MAX {
            return;
        }
        shape.len = len;
        shape.kinds[..len].copy_from_slice(&index.kinds[shape.first..][..len]);
        shape.value = match walked.found {
            Found::Scalar(slot) => Some((slot - shape.first) as u16),
            Found::Nothing | Found::Escaped => None,
        };
        self.recent = self.oldest;
        self.oldest = (self.oldest + 1) % SHAPES;
    }
}

impl Notes for Shape {
    fn name(&mut self, slot: usize, level: usize, is_step: bool) {
        let slot = slot - self.first;
        if slot >= SHAPE_SLOTS_MAX {
            self.is_unusual = true;
            return;
        }
        self.names.push(Name { slot: slot as u16, level: level as u16, is_step });
    }

    fn scalar(&mut self, slot: usize) {
        let slot = slot - self.first;
        if slot >= SHAPE_SLOTS_MAX {
            self.is_unusual = true;
            return;
        }
        self.scalars.push(slot as u16);
    }

    fn unusual(&mut self) {
        self.is_unusual = true;
    }
}

impl Shape {
    /// Whether the slots of the line are of these kinds.
    #[inline(always)]
    fn fits<S: Simd>(&self, simd: S, index: &Index, first: usize) -> bool {
        if self.len == 0 {
            return false;
        }
        let (windows, _) = self.kinds.as_chunks::<64>();
        let mut left = self.len;
        let mut at = first;
        for window in windows {
            let Some(kinds) = index.kinds[at..].first_chunk::<64>() else {
                return false;
            };
            let differing = simd.differing64(kinds, window);
            if left <= 64 {
                return differing << (64 - left) == 0;
            }
            if differing != 0 {
                return false;
            }
            at += 64;
            left -= 64;
        }
        false
    }

    /// Checks what the kinds do not tell.
    #[inline(always)]
    fn line<S: Simd>(&self, simd: S, text: &[u8], index: &Index, first: usize, path: &Path) -> Option<Walked> {
        let positions = &*index.positions;
        for name in &self.names {
            let quote = positions[first + name.slot as usize] as usize;
            if path.is_step(simd, name.level as usize, text, quote) != name.is_step {
                return None;
            }
        }
        for &slot in &self.scalars {
            let slot = first + slot as usize;
            let (start, next) = (positions[slot] as usize, positions[slot + 1] as usize);
            let is_valid = match index.kinds[slot] {
                b'0' => number::end(simd, text, start, next).is_some(),
                _ => literal(&text[start..next]),
            };
            if !is_valid {
                return None;
            }
        }
        Some(Walked {
            newline: first + self.len - 1,
            found: self.value.map_or(Found::Nothing, |slot| Found::Scalar(first + slot as usize)),
        })
    }
}
