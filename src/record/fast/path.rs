//! The key's path, as the lane compares it with names.

use super::index::Simd;

/// The steps of a path.
pub(super) struct Path {
    steps: Box<[Step]>,
}

/// A member's name; its bytes are compared as they stand in the text, without escapes.
struct Step {
    name: Box<[u8]>,
    /// The name and the quote behind it, if they fit.
    window: [u8; 32],
    /// A bit for each byte of `window` that counts; zero if they do not fit.
    mask: u32,
}

impl Path {
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Path {
        let step = |name: &[u8]| {
            let mut window = [0; 32];
            let mut mask = 0;
            if name.len() < window.len() {
                window[..name.len()].copy_from_slice(name);
                window[name.len()] = b'"';
                mask = u32::MAX >> (31 - name.len());
            }
            Step { name: name.into(), window, mask }
        };
        Path { steps: names.into_iter().map(step).collect() }
    }

    /// The number of steps.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn leads_into_array(&self, _level: usize) -> bool {
        false
    }

    /// Whether the name whose opening quote is at `quote` is the path's step `level`.
    ///
    /// The name has no escapes, and the text goes on behind it.
    #[inline(always)]
    pub(super) fn is_step<S: Simd>(&self, simd: S, level: usize, text: &[u8], quote: usize) -> bool {
        let step = &self.steps[level];
        let text = &text[quote + 1..];
        match text.first_chunk::<32>() {
            Some(window) if step.mask != 0 => {
                simd.differing32(window, &step.window) & step.mask == 0
            }
            _ => text.strip_prefix(&*step.name).is_some_and(|rest| rest.first() == Some(&b'"')),
        }
    }
}
