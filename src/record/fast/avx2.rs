//! The index with AVX2 (Haswell, Zen and later).
#![allow(
    unsafe_code,
    reason = "loads, stores and calls into code for another CPU; benches/parse_lane.rs"
)]

use std::arch::x86_64::*;

use super::index::{
    BLOCK_BYTES, Index, Masks, SEGMENT_BYTES_MAX, SLOTS_MAX, Scan, Simd, list_escapes,
};

/// The proof that the CPU has the instructions this module uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The proof, if the CPU has them.
    pub(super) fn detect() -> Option<Avx2> {
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("pclmulqdq"))
        .then_some(Avx2(()))
    }
}

/// For each mask of eight slots, their offsets moved together, padded with `0x80`, which
/// `vpshufb` turns into zero.
static OFFSETS: [[u8; 8]; 256] = {
    let mut table = [[0x80; 8]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut bit, mut len) = (0, 0);
        while bit < 8 {
            if mask >> bit & 1 != 0 {
                table[mask][len] = bit as u8;
                len += 1;
            }
            bit += 1;
        }
        mask += 1;
    }
    table
};

impl Simd for Avx2 {
    type Short = Avx2;

    #[inline(always)]
    fn short(self) -> Avx2 {
        self
    }

    #[inline(always)]
    fn run<R>(self, work: impl FnOnce() -> R) -> R {
        // Never inlined, or code for AVX-512 around it would turn its comparisons into those.
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,pclmulqdq")]
        #[inline(never)]
        fn with_features<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: `self` is the proof that the CPU has these features.
        unsafe { with_features(work) }
    }

    #[inline(always)]
    fn index(self, text: &[u8], index: &mut Index) -> bool {
        // SAFETY: as above.
        unsafe { fill(text, index) }
    }

    #[inline(always)]
    fn differing64(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        #[target_feature(enable = "avx2")]
        #[inline]
        fn with_features(a: &[u8; 64], b: &[u8; 64]) -> u64 {
            let (a, b) = (load_pair(a), load_pair(b));
            !mask([_mm256_cmpeq_epi8(a[0], b[0]), _mm256_cmpeq_epi8(a[1], b[1])])
        }
        // SAFETY: as above.
        unsafe { with_features(a, b) }
    }

    #[inline(always)]
    fn clean64(self, bytes: &[u8; 64]) -> u64 {
        #[target_feature(enable = "avx2")]
        #[inline]
        fn with_features(bytes: &[u8; 64]) -> u64 {
            mask(load_pair(bytes).map(|bytes| {
                let quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8));
                let backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8));
                // As signed numbers, bytes that are not ASCII are below the space too.
                let clean = _mm256_cmpgt_epi8(bytes, _mm256_set1_epi8(0x1f));
                _mm256_andnot_si256(_mm256_or_si256(quote, backslash), clean)
            }))
        }
        // SAFETY: as above.
        unsafe { with_features(bytes) }
    }

    #[inline(always)]
    fn differing32(self, a: &[u8; 32], b: &[u8; 32]) -> u32 {
        #[target_feature(enable = "avx2")]
        #[inline]
        fn with_features(a: &[u8; 32], b: &[u8; 32]) -> u32 {
            !_mm256_movemask_epi8(_mm256_cmpeq_epi8(load(a), load(b))) as u32
        }
        // SAFETY: as above.
        unsafe { with_features(a, b) }
    }

    #[inline(always)]
    fn digits(self, bytes: &[u8; 32]) -> u32 {
        #[target_feature(enable = "avx2")]
        #[inline]
        fn with_features(bytes: &[u8; 32]) -> u32 {
            _mm256_movemask_epi8(is_digit(load(bytes))) as u32
        }
        // SAFETY: as above.
        unsafe { with_features(bytes) }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array is 32 readable bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_pair(bytes: &[u8; 64]) -> [__m256i; 2] {
    let (halves, _) = bytes.as_chunks::<32>();
    [load(&halves[0]), load(&halves[1])]
}

/// A bit for each byte whose top bit is set.
#[target_feature(enable = "avx2")]
#[inline]
fn mask(bytes: [__m256i; 2]) -> u64 {
    let [low, high] = bytes.map(|half| _mm256_movemask_epi8(half) as u32);
    u64::from(low) | u64::from(high) << 32
}

#[target_feature(enable = "avx2")]
#[inline]
fn is_digit(bytes: __m256i) -> __m256i {
    let value = _mm256_sub_epi8(bytes, _mm256_set1_epi8(b'0' as i8));
    _mm256_cmpeq_epi8(value, _mm256_min_epu8(value, _mm256_set1_epi8(9)))
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,pclmulqdq")]
#[inline]
fn fill(text: &[u8], index: &mut Index) -> bool {
    assert!(text.len() <= SEGMENT_BYTES_MAX);
    index.escapes.clear();
    let mut scan = Scan::default();
    let mut slots = 0;
    let mut seen = _mm256_setzero_si256();
    let (blocks, rest) = text.as_chunks::<BLOCK_BYTES>();
    let mut padded = [b' '; BLOCK_BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    // One call, so that the compiler makes a loop of it.
    for offset in (0..text.len()).step_by(BLOCK_BYTES) {
        let bytes = blocks.get(offset / BLOCK_BYTES).unwrap_or(&padded);
        seen = _mm256_or_si256(seen, either(bytes));
        slots = block(bytes, offset, &mut scan, index, slots);
    }
    index.len = slots;
    _mm256_movemask_epi8(seen) == 0
}

/// The halves of the block, or-ed.
#[target_feature(enable = "avx2")]
#[inline]
fn either(bytes: &[u8; BLOCK_BYTES]) -> __m256i {
    let [low, high] = load_pair(bytes);
    _mm256_or_si256(low, high)
}

/// Appends the slots of the block at `offset` to the `len` there are; returns how many there are
/// then.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,pclmulqdq")]
#[inline]
fn block(
    bytes: &[u8; BLOCK_BYTES],
    offset: usize,
    scan: &mut Scan,
    index: &mut Index,
    mut len: usize,
) -> usize {
    let halves = load_pair(bytes);
    let equal = |half, byte: u8| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8));
    let quote = halves.map(|half| equal(half, b'"'));
    // Among operators, and among white space, each low nibble is one byte's, but for brackets and
    // braces, which differ in bit 5. To look up operators without that bit takes 0x0c for `,` and
    // 0x1a for `:`, see `OPERATORS`.
    let operators = _mm256_setr_epi8(
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b':' as i8, b'{' as i8, b',' as i8, b'}' as i8, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, b':' as i8, b'{' as i8, b',' as i8, b'}' as i8, 0, 0,
    );
    let whites = _mm256_setr_epi8(
        b' ' as i8,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        b'\t' as i8,
        0,
        0,
        0,
        b'\r' as i8,
        0,
        0,
        b' ' as i8,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        b'\t' as i8,
        0,
        0,
        0,
        b'\r' as i8,
        0,
        0,
    );
    let operator = halves.map(|half| {
        let upper = _mm256_or_si256(half, _mm256_set1_epi8(0x20));
        let operator = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(operators, half), upper);
        _mm256_or_si256(operator, equal(half, b'\n'))
    });
    let white = halves.map(|half| _mm256_cmpeq_epi8(_mm256_shuffle_epi8(whites, half), half));
    let either = |a: [__m256i; 2], b: [__m256i; 2]| {
        [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])]
    };
    let masks = Masks {
        quote: mask(quote),
        backslash: mask(halves.map(|half| equal(half, b'\\'))),
        operator: mask(operator),
        scalar: !mask(either(either(operator, white), quote)),
        control: mask(
            halves
                .map(|half| _mm256_cmpeq_epi8(half, _mm256_min_epu8(half, _mm256_set1_epi8(0x1f)))),
        ),
    };
    let found = scan.slots(
        masks,
        |quotes| {
            let product =
                _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(quotes as i64), _mm_set1_epi8(-1));
            _mm_cvtsi128_si64(product) as u64
        },
        || mask(halves.map(|half| equal(half, b'\n'))),
    );
    if found.escapes != 0 {
        list_escapes(&mut index.escapes, offset, len, found);
    }
    let mut slots = found.slots;

    let folded = halves.map(|half| {
        let minus = _mm256_cmpeq_epi8(half, _mm256_set1_epi8(b'-' as i8));
        let number = _mm256_or_si256(is_digit(half), minus);
        let folded = _mm256_blendv_epi8(half, _mm256_set1_epi8(b'0' as i8), number);
        // As signed numbers, the bytes that are not ASCII are below zero.
        _mm256_max_epi8(folded, _mm256_setzero_si256())
    });
    let (positions, kinds) = (&mut *index.positions, &mut *index.kinds);
    assert!(len + BLOCK_BYTES <= SLOTS_MAX);
    let mut base = _mm_set1_epi16(offset as i16);
    for half in folded {
        for eight in [
            _mm256_castsi256_si128(half),
            _mm_srli_si128::<8>(_mm256_castsi256_si128(half)),
            _mm256_extracti128_si256::<1>(half),
            _mm_srli_si128::<8>(_mm256_extracti128_si256::<1>(half)),
        ] {
            let some = (slots & 0xff) as usize;
            slots >>= 8;
            // SAFETY: a table's row is 8 readable bytes. `len` has grown by at most 8 for each of
            // the rounds before, of 8 in all, so by the assertion above both arrays have room for
            // 8 elements at `len`: 8 bytes and 16 bytes are written.
            unsafe {
                let offsets = _mm_loadl_epi64(OFFSETS[some].as_ptr().cast());
                _mm_storel_epi64(
                    kinds.as_mut_ptr().add(len).cast(),
                    _mm_shuffle_epi8(eight, offsets),
                );
                _mm_storeu_si128(
                    positions.as_mut_ptr().add(len).cast(),
                    _mm_add_epi16(_mm_cvtepu8_epi16(offsets), base),
                );
            }
            len += some.count_ones() as usize;
            base = _mm_add_epi16(base, _mm_set1_epi16(8));
        }
    }
    len
}
