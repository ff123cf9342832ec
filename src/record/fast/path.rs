//! The key's path, as the lane compares it with names.

use super::Segment;
use super::index::Simd;
use crate::record::path::{self, KeyPath};

/// The steps of a path, at least one.
pub(super) struct Path {
    steps: Box<[Step]>,
}

/// A step, at a level: the first step is at level 0.
struct Step {
    /// The member's name, if the step can lead into an object.
    name: Option<Box<[u8]>>,
    /// The name and the quote behind it, if `mask` is not zero.
    ///
    /// It is compared with names that have no escapes. A name with a quote in it is none of those,
    /// and compared so it would be found where it is not, in `{"a":"` for the name `a":`.
    window: [u8; 32],
    /// A bit for each byte of `window` that counts; zero if there is no name, if it does not fit,
    /// or if it has a quote in it.
    mask: u32,
    /// The index, if the step can lead into an array.
    index: Option<usize>,
}

impl Path {
    pub(super) fn new(path: &KeyPath) -> Path {
        Path {
            steps: path.segments().iter().map(Step::new).collect(),
        }
    }

    /// The number of steps.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The index that the step at this level is, if it can lead into an array.
    #[inline(always)]
    pub(super) fn index(&self, level: usize) -> Option<usize> {
        self.steps[level].index
    }

    /// The name that the step at this level is, if it can lead into an object.
    pub(super) fn name(&self, level: usize) -> Option<&[u8]> {
        self.steps[level].name.as_deref()
    }

    /// Whether the name whose opening quote is at this slot is the step at this level.
    ///
    /// The name has no escapes and is closed.
    #[inline(always)]
    pub(super) fn is_step<S: Simd>(
        &self,
        segment: Segment<'_, S>,
        level: usize,
        slot: usize,
    ) -> bool {
        let step = &self.steps[level];
        let text = &segment.text[segment.position(slot) + 1..];
        match text.first_chunk::<32>() {
            Some(window) if step.mask != 0 => {
                segment.simd.differing32(window, &step.window) & step.mask == 0
            }
            _ => step.is_at(text),
        }
    }

    /// The name of the step at this level with the quote behind it, and a bit for each byte that
    /// counts, if it can be compared so.
    pub(super) fn window(&self, level: usize) -> Option<([u8; 32], u32)> {
        let step = &self.steps[level];
        (step.mask != 0).then_some((step.window, step.mask))
    }
}

impl Step {
    fn new(segment: &path::Segment) -> Step {
        let mut step = Step {
            name: segment.name().map(|name| name.as_bytes().into()),
            window: [0; 32],
            mask: 0,
            index: segment.index(),
        };
        if let Some(name) = &step.name
            && name.len() < step.window.len()
            && !name.contains(&b'"')
        {
            step.window[..name.len()].copy_from_slice(name);
            step.window[name.len()] = b'"';
            step.mask = u32::MAX >> (31 - name.len());
        }
        step
    }

    /// Whether the string whose inside starts at `text`, and has no escapes, is the name.
    fn is_at(&self, text: &[u8]) -> bool {
        let Some(name) = &self.name else {
            return false;
        };
        match text.strip_prefix(&**name) {
            Some(behind) => behind.first() == Some(&b'"') && !name.contains(&b'"'),
            None => false,
        }
    }
}
