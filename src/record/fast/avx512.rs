//! The index with AVX-512 (F, BW, VBMI, VBMI2): Ice Lake, Zen 4 and later.
//!
//! A block is one register. Two table look-ups name its bytes, five tests make masks of them, and
//! `vpcompressb` moves the slots together, whatever their number. It compresses into a register
//! and stores that whole: with a memory operand the instruction is microcode on Zen 4.
#![allow(
    unsafe_code,
    reason = "loads, stores and calls into code for another CPU; benches/parse_lane.rs"
)]

use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::index::{
    BLOCK_BYTES, Index, Masks, SEGMENT_BYTES_MAX, SLOTS_MAX, Scan, Simd, fold, list_escapes,
};

/// The proof that the CPU has the instructions this module uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(Avx2);

impl Avx512 {
    /// The proof, if the CPU has them.
    pub(super) fn detect() -> Option<Avx512> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vbmi2"))
        .then(Avx2::detect)
        .flatten()
        .map(Avx512)
    }
}

/// What a byte is to [`Masks`], a bit each.
const OPERATOR: i8 = i8::MIN;
const WHITE: i8 = 1;
const QUOTE: i8 = 2;

/// The bits above of each ASCII byte.
const CLASSES: [i8; 128] = {
    let mut table = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'{' | b'}' | b'[' | b']' | b':' | b',' | b'\n' | 0x0c | 0x1a => OPERATOR,
            b' ' | b'\t' | b'\r' => WHITE,
            b'"' => QUOTE,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// Each ASCII byte as a slot shows it.
const FOLDED: [i8; 128] = {
    let mut table = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = fold(byte as u8) as i8;
        byte += 1;
    }
    table
};

/// The bytes 0 to 63.
const OFFSETS: [i8; 64] = {
    let mut table = [0; 64];
    let mut at = 0;
    while at < 64 {
        table[at] = at as i8;
        at += 1;
    }
    table
};

impl Simd for Avx512 {
    type Short = Avx2;

    #[inline(always)]
    fn short(self) -> Avx2 {
        self.0
    }

    #[inline(always)]
    fn run<R>(self, work: impl FnOnce() -> R) -> R {
        #[target_feature(
            enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,popcnt,pclmulqdq"
        )]
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
        #[target_feature(enable = "avx512f,avx512bw")]
        #[inline]
        fn with_features(a: &[u8; 64], b: &[u8; 64]) -> u64 {
            _mm512_cmpneq_epi8_mask(load(a), load(b))
        }
        // SAFETY: as above.
        unsafe { with_features(a, b) }
    }

    #[inline(always)]
    fn clean64(self, bytes: &[u8; 64]) -> u64 {
        #[target_feature(enable = "avx512f,avx512bw")]
        #[inline]
        fn with_features(bytes: &[u8; 64]) -> u64 {
            let bytes = load(bytes);
            // As signed numbers, bytes that are not ASCII are below the space too.
            let clean = _mm512_cmpgt_epi8_mask(bytes, _mm512_set1_epi8(0x1f));
            let clean = _mm512_mask_cmpneq_epi8_mask(clean, bytes, _mm512_set1_epi8(b'"' as i8));
            _mm512_mask_cmpneq_epi8_mask(clean, bytes, _mm512_set1_epi8(b'\\' as i8))
        }
        // SAFETY: as above.
        unsafe { with_features(bytes) }
    }

    #[inline(always)]
    fn differing32(self, a: &[u8; 32], b: &[u8; 32]) -> u32 {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        #[inline]
        fn with_features(a: &[u8; 32], b: &[u8; 32]) -> u32 {
            _mm256_cmpneq_epi8_mask(load_half(a), load_half(b))
        }
        // SAFETY: as above.
        unsafe { with_features(a, b) }
    }

    #[inline(always)]
    fn digits(self, bytes: &[u8; 32]) -> u32 {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        #[inline]
        fn with_features(bytes: &[u8; 32]) -> u32 {
            let value = _mm256_sub_epi8(load_half(bytes), _mm256_set1_epi8(b'0' as i8));
            _mm256_cmplt_epu8_mask(value, _mm256_set1_epi8(10))
        }
        // SAFETY: as above.
        unsafe { with_features(bytes) }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the array is 64 readable bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx")]
#[inline]
fn load_half(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array is 32 readable bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn table(bytes: &[i8; 128]) -> [__m512i; 2] {
    // SAFETY: the array is 2 * 64 readable bytes; the loads need no alignment.
    unsafe {
        [
            _mm512_loadu_si512(bytes.as_ptr().cast()),
            _mm512_loadu_si512(bytes.as_ptr().add(64).cast()),
        ]
    }
}

/// The tables, in registers.
struct Tables {
    classes: [__m512i; 2],
    folded: [__m512i; 2],
    offsets: __m512i,
}

#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,popcnt,pclmulqdq"
)]
#[inline]
fn fill(text: &[u8], index: &mut Index) -> bool {
    assert!(text.len() <= SEGMENT_BYTES_MAX);
    let tables = Tables {
        classes: table(&CLASSES),
        folded: table(&FOLDED),
        // SAFETY: the array is 64 readable bytes; the load needs no alignment.
        offsets: unsafe { _mm512_loadu_si512(OFFSETS.as_ptr().cast()) },
    };
    index.escapes.clear();
    let mut scan = Scan::default();
    let mut slots = 0;
    let mut seen = _mm512_setzero_si512();
    let (blocks, rest) = text.as_chunks::<BLOCK_BYTES>();
    let mut padded = [b' '; BLOCK_BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    // One call, so that the compiler makes a loop of it.
    for offset in (0..text.len()).step_by(BLOCK_BYTES) {
        let bytes = blocks.get(offset / BLOCK_BYTES).unwrap_or(&padded);
        let bytes = load(bytes);
        seen = _mm512_or_si512(seen, bytes);
        slots = block(bytes, offset, &tables, &mut scan, index, slots);
    }
    index.len = slots;
    _mm512_movepi8_mask(seen) == 0
}

/// Appends the slots of the block at `offset` to the `len` there are; returns how many there are
/// then.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,popcnt,pclmulqdq"
)]
#[inline]
fn block(
    bytes: __m512i,
    offset: usize,
    tables: &Tables,
    scan: &mut Scan,
    index: &mut Index,
    len: usize,
) -> usize {
    // The look-ups see seven bits of a byte, so one that is not ASCII is set to zero.
    let ascii = _mm512_testn_epi8_mask(bytes, _mm512_set1_epi8(i8::MIN));
    let [low, high] = tables.classes;
    let classes = _mm512_maskz_permutex2var_epi8(ascii, low, bytes, high);
    let [low, high] = tables.folded;
    let folded = _mm512_maskz_permutex2var_epi8(ascii, low, bytes, high);

    let masks = Masks {
        quote: _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'"' as i8)),
        backslash: _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'\\' as i8)),
        operator: _mm512_movepi8_mask(classes),
        scalar: _mm512_testn_epi8_mask(classes, classes),
        control: _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)),
    };
    let found = scan.slots(
        masks,
        |quotes| {
            let product =
                _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(quotes as i64), _mm_set1_epi8(-1));
            _mm_cvtsi128_si64(product) as u64
        },
        || _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'\n' as i8)),
    );
    if found.escapes != 0 {
        list_escapes(&mut index.escapes, offset, len, found);
    }
    let slots = found.slots;

    let count = slots.count_ones() as usize;
    let folded = _mm512_maskz_compress_epi8(slots, folded);
    let offsets = _mm512_maskz_compress_epi8(slots, tables.offsets);
    let base = _mm512_set1_epi16(offset as i16);
    let (positions, kinds) = (&mut *index.positions, &mut *index.kinds);
    assert!(len + BLOCK_BYTES <= SLOTS_MAX);
    // SAFETY: both arrays have room for 64 elements at `len`, by the assertion above; the stores
    // write 64 bytes of `kinds`, and 32 elements of `positions` at `len` and at `len + 32`.
    unsafe {
        _mm512_storeu_si512(kinds.as_mut_ptr().add(len).cast(), folded);
        let to = positions.as_mut_ptr().add(len);
        let low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(offsets));
        _mm512_storeu_si512(to.cast(), _mm512_add_epi16(low, base));
        if count > 32 {
            let high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64::<1>(offsets));
            _mm512_storeu_si512(to.add(32).cast(), _mm512_add_epi16(high, base));
        }
    }
    len + count
}
