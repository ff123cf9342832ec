//! Random-looking bits from a counter, and their spelling as hex or decimal digits.
//!
//! Every record is a pure function of the seed and its index: lane `l` of record `i` is the splitmix64 finaliser of
//! `base + (32 i + l) * GOLDEN`. So a stream can be cut, resumed and rewound anywhere, and no state has to be carried
//! from record to record, which lets the processor work on several at once. The finaliser is a bijection, hence the
//! same lane of two records never yields the same word: order ids do not repeat.
//!
//! Digits are made eight at a time in one `u64` (a byte per digit). Which nibble becomes which digit does not matter,
//! as long as no bit is lost.

/// The odd constant of splitmix64: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// Words that one record may draw: the lanes `0..LANES`.
pub(crate) const LANES: u64 = 32;

/// Where the lanes of a stream start.
pub(crate) fn base_of(seed: u64) -> u64 {
    finalise(seed ^ 0x7461_6C6C_796C_696E)
}

/// The words of one record.
#[derive(Clone, Copy)]
pub(crate) struct Words(u64);

impl Words {
    #[inline(always)]
    pub(crate) fn of(base: u64, record: u64) -> Self {
        Words(base.wrapping_add(record.wrapping_mul(LANES.wrapping_mul(GOLDEN))))
    }

    #[inline(always)]
    pub(crate) fn lane(self, lane: u64) -> u64 {
        finalise(self.0.wrapping_add(lane.wrapping_mul(GOLDEN)))
    }
}

/// The splitmix64 finaliser, a bijection of 64 bits.
#[inline(always)]
fn finalise(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `word` scaled to `0..bound`. The bias is below `bound / 2^64`.
#[inline(always)]
pub(crate) fn below(word: u64, bound: u64) -> u64 {
    ((u128::from(word) * u128::from(bound)) >> 64) as u64
}

const LOW_NIBBLES: u64 = 0x0F0F_0F0F_0F0F_0F0F;
const ONES: u64 = 0x0101_0101_0101_0101;

/// Eight lower-case hex digits from a word whose bytes are all below 16.
#[inline(always)]
fn hex8(nibbles: u64) -> u64 {
    // Bit 4 of (n + 6) says that n is 10 or more; no byte overflows into the next.
    let letters = ((nibbles + 6 * ONES) >> 4) & ONES;
    nibbles + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'9' - 1)
}

/// 32 lower-case hex digits that hold all bits of the two words.
#[inline(always)]
pub(crate) fn hex32(a: u64, b: u64) -> [u8; 32] {
    let mut out = [0; 32];
    let words = [
        a & LOW_NIBBLES,
        (a >> 4) & LOW_NIBBLES,
        b & LOW_NIBBLES,
        (b >> 4) & LOW_NIBBLES,
    ];
    for (cell, word) in out.chunks_exact_mut(8).zip(words) {
        cell.copy_from_slice(&hex8(word).to_le_bytes());
    }
    out
}

/// Eight decimal digits, as numbers 0..=9, one to a byte. Digits 0 to 9 are not quite equally likely.
#[inline(always)]
pub(crate) fn digits8(word: u64) -> u64 {
    // A nibble times ten is at most 150, so a byte holds it; its upper half is 0..=9.
    (((word & LOW_NIBBLES) * 10) >> 4) & LOW_NIBBLES
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hex_spells_every_nibble_and_loses_none() {
        let spelled = hex32(0xFEDC_BA98_7654_3210, 0x0123_4567_89AB_CDEF);
        assert_eq!(&spelled, b"02468ace13579bdffdb97531eca86420");
    }

    #[test]
    fn digits_are_digits() {
        for record in 0..1000 {
            let digits = digits8(Words::of(7, record).lane(0)).to_le_bytes();
            assert!(digits.iter().all(|&digit| digit <= 9), "{digits:?}");
        }
        assert_eq!(digits8(u64::MAX).to_le_bytes(), [9; 8]);
    }

    #[test]
    fn words_do_not_repeat() {
        let base = base_of(1);
        let words: HashSet<u64> = (0..10_000)
            .flat_map(|i| (0..LANES).map(move |l| Words::of(base, i).lane(l)))
            .collect();
        assert_eq!(words.len(), 320_000);
    }

    #[test]
    fn below_stays_below() {
        assert_eq!(below(0, 7), 0);
        assert_eq!(below(u64::MAX, 7), 6);
        assert_eq!(below(u64::MAX, 1), 0);
    }
}
