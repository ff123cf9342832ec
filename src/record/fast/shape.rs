//! The shape cache: what a walk found out, kept for the next line like it.
//!
//! Two lines have the same *shape* when their slots are of the same kinds in the same order. All
//! that the walk concludes from kinds is then true of both. Left to check are the numbers, the
//! literals, and the names that decide about a path: if each of these still is or is not the
//! path's step as it was, the value is at the same slot. A line with an escape in one of these names has
//! no shape.
//!
//! Bounds: a shape has `1 <= len <= SLOTS_KEPT_MAX` slots, of which the last and no other is a
//! newline. So while all slots but the last have been found equal, the index goes on, and the
//! window of 64 kinds at the next slot is inside it (see [`super::index`]); and a line that fits
//! has exactly `len` slots.

use super::Segment;
use super::asked::{Asked, Founds};
use super::index::Simd;
use super::path::Path;
use super::template::{Lesson, NOWHERE};
use super::walk::{Found, Notes};
use crate::record::LineSink;
use crate::record::query::FIELDS_MAX;

/// The most slots of a shape that is kept.
const SLOTS_KEPT_MAX: usize = 256;

/// The shapes kept. A stream of more shapes than this, well mixed, is walked.
const SHAPES: usize = 8;

/// The shapes seen last.
pub(super) struct Shapes {
    shapes: [Shape; SHAPES],
    /// The shape that fitted last, `< SHAPES`.
    recent: usize,
    /// The shape to forget for a new one, `< SHAPES`.
    oldest: usize,
}

/// A shape, and what is left to check of a line that has it. Slots count from the line's first.
struct Shape {
    /// The number of slots; 0 for a shape that no line has.
    len: usize,
    kinds: Box<[u8; SLOTS_KEPT_MAX]>,
    names: Vec<Name>,
    /// The numbers and literals.
    scalars: Vec<u16>,
    /// What is on the path of each field.
    founds: Founds,
}

/// A name that decides about a path.
struct Name {
    slot: u16,
    is_step: bool,
    /// A bit for each byte of `step` to compare, from the lowest without a gap.
    mask: u32,
    /// The step it is or is not.
    step: [u8; 32],
}

impl Shapes {
    pub(super) fn new() -> Shapes {
        let shapes = std::array::from_fn(|_| Shape {
            len: 0,
            kinds: Box::new([0; SLOTS_KEPT_MAX]),
            names: Vec::new(),
            scalars: Vec::new(),
            founds: [Found::Nothing; FIELDS_MAX],
        });
        Shapes {
            shapes,
            recent: 0,
            oldest: 0,
        }
    }

    /// Judges lines from the one whose first slot is `at` on, as long as they are valid and of one
    /// known shape, up to slot `end`, where a line starts. Returns the slot behind the last of
    /// them, and how many there were.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        &mut self,
        segment: Segment<'_, S>,
        at: usize,
        end: usize,
        asked: &mut Asked,
        sink: &mut impl LineSink,
    ) -> (usize, u64) {
        if !self.shapes[self.recent].fits(segment, at) {
            match self.shapes.iter().position(|shape| shape.fits(segment, at)) {
                Some(known) => self.recent = known,
                None => return (at, 0),
            }
        }
        self.shapes[self.recent].run(segment, at, end, asked, sink)
    }

    /// What there is to learn from `lines` lines from the one whose first slot is `first` on, which
    /// [`Shapes::run`] has just judged.
    pub(super) fn lesson(&self, first: usize, lines: usize) -> Lesson {
        let shape = &self.shapes[self.recent];
        Lesson {
            first,
            lines,
            slots: shape.len,
            values: shape.founds.map(|found| match found {
                Found::Scalar(slot) => slot as u16,
                Found::Nothing | Found::Container | Found::Escaped(_) => NOWHERE,
            }),
            has_containers: shape.founds.contains(&Found::Container),
        }
    }

    /// Keeps the shape of the line from slot `first` to `newline`, in which that was found, from the notes
    /// on the walks of it.
    pub(super) fn keep<S: Simd>(
        &mut self,
        segment: Segment<'_, S>,
        (first, newline): (usize, usize),
        founds: &Founds,
        asked: &Asked,
    ) {
        let len = newline + 1 - first;
        if len > SLOTS_KEPT_MAX || asked.drafts().any(|(_, draft)| draft.is_unusual) {
            return;
        }
        let shape = &mut self.shapes[self.oldest];
        // Whatever comes of it, what it was is gone.
        shape.len = 0;
        shape.names.clear();
        for (path, draft) in asked.drafts() {
            if shape.add_names(path, draft).is_none() {
                return;
            }
        }
        // Every walk has seen the same scalars.
        if let Some((_, draft)) = asked.drafts().next() {
            let scalars = draft.scalars.iter().map(|&scalar| draft.slot(scalar));
            shape.scalars.clear();
            shape.scalars.extend(scalars);
        }
        shape.kinds[..len].copy_from_slice(&segment.kinds()[first..][..len]);
        shape.founds = *founds;
        shape.len = len;
        self.recent = self.oldest;
        self.oldest = (self.oldest + 1) % SHAPES;
    }
}

impl Shape {
    /// Adds the names that decide about a path; nothing if one cannot be compared.
    fn add_names(&mut self, path: &Path, draft: &Draft) -> Option<()> {
        for &(name, level, is_step) in &draft.names {
            let (step, mask) = path.window(level)?;
            self.names.push(Name {
                slot: draft.slot(name),
                is_step,
                mask,
                step,
            });
        }
        Some(())
    }

    /// Whether the line whose first slot is `at` has this shape.
    #[inline(always)]
    fn fits<S: Simd>(&self, segment: Segment<'_, S>, mut at: usize) -> bool {
        let mut left = self.len;
        if left == 0 {
            return false;
        }
        let (windows, _) = self.kinds.as_chunks::<64>();
        for window in windows {
            let Some(kinds) = segment.kinds()[at..].first_chunk::<64>() else {
                return false;
            };
            let differing = segment.simd.differing64(kinds, window);
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

    /// [`Shapes::run`] of this shape, which the first line has.
    #[inline(always)]
    fn run<S: Simd>(
        &self,
        segment: Segment<'_, S>,
        at: usize,
        end: usize,
        asked: &mut Asked,
        sink: &mut impl LineSink,
    ) -> (usize, u64) {
        if asked.is_plain() {
            let found = self.founds[0];
            self.each(
                segment,
                at,
                end,
                #[inline(always)]
                |slots| asked.judge_plain(segment, found, slots, sink),
            )
        } else {
            self.each(
                segment,
                at,
                end,
                #[inline(always)]
                |slots| asked.judge(segment, &self.founds, slots, sink),
            )
        }
    }

    /// Has lines of this shape judged, by the slots of their beginning and their newline, as long as they
    /// are valid.
    #[inline(always)]
    fn each<S: Simd>(
        &self,
        segment: Segment<'_, S>,
        mut at: usize,
        end: usize,
        mut judge: impl FnMut((usize, usize)),
    ) -> (usize, u64) {
        let mut lines = 0;
        while self.names_agree(segment, at) && self.scalars_agree(segment, at) {
            let behind = at + self.len;
            judge((at, behind - 1));
            lines += 1;
            at = behind;
            if at >= end || !self.fits(segment, at) {
                break;
            }
        }
        (at, lines)
    }

    /// Whether each name that decides about a path decides as it did.
    #[inline(always)]
    fn names_agree<S: Simd>(&self, segment: Segment<'_, S>, at: usize) -> bool {
        for name in &self.names {
            let quote = segment.position(at + name.slot as usize);
            let text = &segment.text[quote + 1..];
            let is_step = match text.first_chunk::<32>() {
                Some(window) => segment.simd.differing32(window, &name.step) & name.mask == 0,
                None => {
                    let len = name.mask.count_ones() as usize;
                    text.starts_with(&name.step[..len])
                }
            };
            if is_step != name.is_step {
                return false;
            }
        }
        true
    }

    /// Whether the numbers and literals are any.
    #[inline(always)]
    fn scalars_agree<S: Simd>(&self, segment: Segment<'_, S>, at: usize) -> bool {
        for &slot in &self.scalars {
            if segment.scalar(at + slot as usize).is_none() {
                return false;
            }
        }
        true
    }
}

/// The notes on a walk. Slots count from the segment's first.
#[derive(Default)]
pub(super) struct Draft {
    /// The line's first slot.
    first: usize,
    /// Slot, level, and whether it is the step.
    names: Vec<(usize, usize, bool)>,
    scalars: Vec<usize>,
    is_unusual: bool,
}

impl Draft {
    /// Takes notes on the line whose first slot is `first`.
    pub(super) fn start(&mut self, first: usize) -> &mut Draft {
        self.first = first;
        self.names.clear();
        self.scalars.clear();
        self.is_unusual = false;
        self
    }

    /// A slot as it counts from the line's first; of a line that is kept it fits.
    fn slot(&self, slot: usize) -> u16 {
        (slot - self.first) as u16
    }

    /// Whether there is room for another note; what has no room is not worth one.
    fn has_room(&mut self, slot: usize) -> bool {
        self.is_unusual |= slot - self.first >= SLOTS_KEPT_MAX;
        !self.is_unusual
    }
}

impl Notes for Draft {
    #[inline(always)]
    fn name(&mut self, slot: usize, level: usize, is_step: bool) {
        if self.has_room(slot) {
            self.names.push((slot, level, is_step));
        }
    }

    #[inline(always)]
    fn scalar(&mut self, slot: usize) {
        if self.has_room(slot) {
            self.scalars.push(slot);
        }
    }

    #[inline(always)]
    fn escaped_name(&mut self) {
        self.is_unusual = true;
    }
}
