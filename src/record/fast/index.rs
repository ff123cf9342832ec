//! The index of a segment: where its interesting bytes are, and what they are.
//!
//! [`Index::fill`]s come from one implementation of [`Simd`] per instruction set. Each classifies
//! the text in blocks of 64 bytes into bit masks ([`Masks`]), [`Scan::slots`] turns the masks into
//! the block's *slots*, and the implementation appends the slots to the index. Everything that
//! decides what a slot is stands here, once; an instruction set only says which byte is which.
//!
//! A slot is one of
//!
//! - a quote that opens or closes a string,
//! - one of `{ } [ ] : ,` outside strings,
//! - the first byte of any other run of bytes that are neither these nor white space, outside
//!   strings: numbers, literals, and everything that is an error,
//! - a backslash that starts an escape outside strings, which is an error,
//! - a control character inside a string,
//! - a newline, always.
//!
//! So between two neighbouring slots lies either the clean inside of a string, or the rest of a
//! number or literal and then white space, or white space alone. A newline ends the string it
//! stands in: each line is indexed as if it were alone.
//!
//! Escapes in strings are no slots, or lines that differ in their notes would differ in their
//! shapes. They are listed apart, each with the slot that ends its string, and
//! [`settle`](super::escape::settle) writes there what they come to.
//!
//! Bounds, for a segment of `n` bytes: `n <= SEGMENT_BYTES_MAX`, so a position fits `u16`. A byte
//! makes at most one slot, so before the block at offset `b` the index holds `len <= b` slots; a
//! block may *write* 64 slots at `len` (most of them rubbish, overwritten by the next block), so
//! `len + 64 <= SEGMENT_BYTES_MAX + 64 = SLOTS_MAX`. The same slack lets a reader at slot
//! `i <= len` look at `kinds[i..i + 64]`.

/// The most bytes of a segment. Text and index of a segment stay in the first-level cache.
pub(super) const SEGMENT_BYTES_MAX: usize = 16 * 1024;

/// The bytes classified at a time: one bit each in a `u64`.
pub(super) const BLOCK_BYTES: usize = 64;

/// The capacity of an index, see the module's bounds.
pub(super) const SLOTS_MAX: usize = SEGMENT_BYTES_MAX + BLOCK_BYTES;

const _: () = assert!(SEGMENT_BYTES_MAX <= u16::MAX as usize + 1 - BLOCK_BYTES);
const _: () = assert!(SEGMENT_BYTES_MAX.is_multiple_of(BLOCK_BYTES));

/// The slots of a segment, in the order of the text.
pub(super) struct Index {
    /// The offset of each slot in the segment.
    pub(super) positions: Box<[u16; SLOTS_MAX]>,
    /// The byte at each slot: `0` for each digit and the minus sign, zero for all but ASCII.
    pub(super) kinds: Box<[u8; SLOTS_MAX]>,
    /// The number of slots, `0 <= len <= SEGMENT_BYTES_MAX`; what lies behind is rubbish.
    pub(super) len: usize,
    /// The escapes in strings, in the order of the text: at most one for every two bytes.
    pub(super) escapes: Vec<Escape>,
}

/// An escape in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Escape {
    /// The offset of its backslash in the segment.
    pub(super) position: u16,
    /// The slot behind it, which ends the string or is an error in it.
    pub(super) slot: u16,
}

/// Lists the escapes of the block at `offset`, before whose `slots` there are `len`.
#[cold]
pub(super) fn list_escapes(escapes: &mut Vec<Escape>, offset: usize, len: usize, found: Found) {
    let mut left = found.escapes;
    while left != 0 {
        let first = left & left.wrapping_neg();
        left ^= first;
        let before = (found.slots & (first - 1)).count_ones() as usize;
        // `SLOTS_MAX` bounds both, and fits.
        escapes.push(Escape {
            position: (offset + first.trailing_zeros() as usize) as u16,
            slot: (len + before) as u16,
        });
    }
}

impl Index {
    pub(super) fn new() -> Index {
        Index {
            positions: Box::new([0; SLOTS_MAX]),
            kinds: Box::new([0; SLOTS_MAX]),
            len: 0,
            escapes: Vec::new(),
        }
    }
}

/// `{ } [ ] : ,` and newline; and two control characters that AVX2 would need more instructions to
/// tell from `,` and `:`. Outside strings those are errors, as a slot of their own as otherwise.
pub(super) const OPERATORS: &[u8] = b"{}[]:,\n\x0c\x1a";

/// What the lane asks of an instruction set.
///
/// A value of an implementing type is the proof that the CPU has the instructions.
pub(super) trait Simd: Copy {
    /// What short comparisons are best made with, one after the other.
    type Short: Simd;

    /// The proof that the CPU has that.
    fn short(self) -> Self::Short;

    /// Runs `work` where the compiler may use the instructions.
    fn run<R>(self, work: impl FnOnce() -> R) -> R;

    /// Replaces the index by that of `text` and says whether all of it is ASCII.
    ///
    /// # Panics
    ///
    /// If `text` is longer than [`SEGMENT_BYTES_MAX`].
    fn index(self, text: &[u8], index: &mut Index) -> bool;

    /// A bit for each byte in which the two differ.
    fn differing64(self, a: &[u8; 64], b: &[u8; 64]) -> u64;

    /// A bit for each byte that may stand in a string as itself and is ASCII.
    fn clean64(self, bytes: &[u8; 64]) -> u64;

    /// A bit for each byte in which the two differ.
    fn differing32(self, a: &[u8; 32], b: &[u8; 32]) -> u32;

    /// A bit for each byte that is a decimal digit.
    fn digits(self, bytes: &[u8; 32]) -> u32;
}

/// A block of text as bit masks; bit `i` is byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Masks {
    /// `"`.
    pub(super) quote: u64,
    /// `\`.
    pub(super) backslash: u64,
    /// [`OPERATORS`].
    pub(super) operator: u64,
    /// None of space, tab, carriage return, `quote` and `operator`.
    pub(super) scalar: u64,
    /// Below 0x20.
    pub(super) control: u64,
}

/// What a block leaves to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// All ones if the block ended inside a string, else zero.
    inside: u64,
    /// 1 if the block ended in a backslash that escapes the next byte, else 0.
    escape: u64,
    /// 1 if the block ended in the middle of a number or literal, else 0.
    scalar: u64,
}

/// What a block has, as bit masks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Its slots.
    pub(super) slots: u64,
    /// The backslashes that start an escape in a string; none is a slot.
    pub(super) escapes: u64,
}

impl Scan {
    /// The slots of the next block, and its escapes.
    ///
    /// `prefix_xor` gives for each bit the exclusive or of it and all lower ones; `newlines` the
    /// newlines of the block, and is called only where a string has a control character.
    #[inline(always)]
    pub(super) fn slots(
        &mut self,
        masks: Masks,
        prefix_xor: impl FnOnce(u64) -> u64,
        newlines: impl FnOnce() -> u64,
    ) -> Found {
        let mut quote = masks.quote;
        let mut starts = 0;
        if masks.backslash | self.escape != 0 {
            let escaped;
            (starts, escaped, self.escape) = escapes(masks.backslash, self.escape);
            quote &= !escaped;
        }
        let mut inside = prefix_xor(quote) ^ self.inside;
        let mut rare = 0;
        if masks.control & inside != 0 {
            inside = close_at_newlines(inside, newlines());
            rare = masks.control & inside;
        }
        self.inside = ((inside as i64) >> 63) as u64;

        let scalar_start = masks.scalar & !(masks.scalar << 1 | self.scalar);
        self.scalar = masks.scalar >> 63;

        Found {
            slots: quote | rare | ((masks.operator | scalar_start | starts) & !inside),
            escapes: starts & inside,
        }
    }
}

/// The backslashes that start an escape, the bytes that are escaped, and 1 if the next block's
/// first byte is; `escape` is 1 if this block's first byte is.
#[inline(always)]
fn escapes(backslash: u64, mut escape: u64) -> (u64, u64, u64) {
    let mut escapes = 0;
    let mut escaped = escape;
    let mut left = backslash & !escaped;
    escape = 0;
    while left != 0 {
        let first = left & left.wrapping_neg();
        escapes |= first;
        escaped |= first << 1;
        escape = first >> 63;
        left &= !(first | first << 1);
    }
    (escapes, escaped, escape)
}

/// Ends each string at the newline it runs into: from there on, inside and outside change places.
#[inline(always)]
fn close_at_newlines(mut inside: u64, newlines: u64) -> u64 {
    let mut left = newlines;
    while left & inside != 0 {
        let first = (left & inside) & (left & inside).wrapping_neg();
        let before = first - 1;
        inside ^= !before;
        left &= !(before | first);
    }
    inside
}

/// The byte as a slot shows it.
pub(super) const fn fold(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' | b'-' => b'0',
        0x80.. => 0,
        _ => byte,
    }
}

/// The instruction set that every machine has: a byte at a time, as the definitions say.
///
/// It is the measure for the others in the tests; it is too slow to be worth choosing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Simd for Portable {
    type Short = Portable;

    fn short(self) -> Portable {
        self
    }

    fn run<R>(self, work: impl FnOnce() -> R) -> R {
        work()
    }

    fn index(self, text: &[u8], index: &mut Index) -> bool {
        assert!(text.len() <= SEGMENT_BYTES_MAX);
        index.len = 0;
        index.escapes.clear();
        let mut scan = Scan::default();
        for (block, bytes) in text.chunks(BLOCK_BYTES).enumerate() {
            let mask = |wanted: &dyn Fn(u8) -> bool| {
                bytes
                    .iter()
                    .rev()
                    .fold(0, |mask, &byte| mask << 1 | u64::from(wanted(byte)))
            };
            let masks = Masks {
                quote: mask(&|byte| byte == b'"'),
                backslash: mask(&|byte| byte == b'\\'),
                operator: mask(&|byte| OPERATORS.contains(&byte)),
                scalar: mask(&|byte| !b" \t\r\"".contains(&byte) && !OPERATORS.contains(&byte)),
                control: mask(&|byte| byte < 0x20),
            };
            let prefix_xor = |mut bits: u64| {
                for shift in [1, 2, 4, 8, 16, 32] {
                    bits ^= bits << shift;
                }
                bits
            };
            let found = scan.slots(masks, prefix_xor, || mask(&|byte| byte == b'\n'));
            list_escapes(&mut index.escapes, block * BLOCK_BYTES, index.len, found);
            let mut slots = found.slots;
            while slots != 0 {
                let at = slots.trailing_zeros() as usize;
                index.positions[index.len] = (block * BLOCK_BYTES + at) as u16;
                index.kinds[index.len] = fold(bytes[at]);
                index.len += 1;
                slots &= slots - 1;
            }
        }
        text.is_ascii()
    }

    fn differing64(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        (0..64).fold(0, |mask, i| mask | u64::from(a[i] != b[i]) << i)
    }

    fn clean64(self, bytes: &[u8; 64]) -> u64 {
        let is_clean = |byte| matches!(byte, 0x20..=0x7f) && byte != b'"' && byte != b'\\';
        (0..64).fold(0, |mask, i| mask | u64::from(is_clean(bytes[i])) << i)
    }

    fn differing32(self, a: &[u8; 32], b: &[u8; 32]) -> u32 {
        (0..32).fold(0, |mask, i| mask | u32::from(a[i] != b[i]) << i)
    }

    fn digits(self, bytes: &[u8; 32]) -> u32 {
        (0..32).fold(0, |mask, i| {
            mask | u32::from(bytes[i].is_ascii_digit()) << i
        })
    }
}
