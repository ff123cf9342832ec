//! Exact decimals: what `--sum` adds up, and how numbers are compared.
//!
//! The record parser makes a [`Decimal`] of a number's text; blocks, shards and totals add them, and
//! sinks print them. A decimal number is added as the decimal number that it is: ten times `0.1` are
//! `1.0`, not `0.9999999999999999`.
//!
//! A number can be added if it has at most [`WHOLE_DIGITS_MAX`] digits before the point and
//! [`DECIMALS_MAX`] behind it, exponent resolved, zeros at either end apart. That is every signed 64-bit
//! integer and nearly every double as programs print them; `1e400` is none, and that is told.
//!
//! Why two integers: a sum's whole part is that of fewer than 10^19 numbers (three hundred years
//! of a billion a second) below 10^19 each, so below 10^38 < 2^127, and its fraction stays below 1 by carrying. So no sum overflows or loses a
//! digit, whatever the order of adding: sums of any threads, cuts and batches are the same.

use std::fmt;
use std::ops::AddAssign;

/// The most digits before the point of a number that can be added.
pub const WHOLE_DIGITS_MAX: usize = 19;

/// The most digits behind the point of a number that can be added.
pub const DECIMALS_MAX: usize = 38;

/// The fraction of 1.
const ONE: u128 = 10u128.pow(DECIMALS_MAX as u32);

/// `POWERS[n]` is 10 to the power of `n`.
const POWERS: [u128; DECIMALS_MAX + 1] = {
    let mut powers = [1; DECIMALS_MAX + 1];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

/// A number, or a sum of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The largest whole number that is not more.
    whole: i128,
    /// What is more than that, in units of 10^-38: `0 <= fraction < 10^38`.
    fraction: u128,
    /// The digits behind the point that are shown: as many as the number with the most has.
    decimals: u8,
}

impl Default for Decimal {
    fn default() -> Decimal {
        Decimal::ZERO
    }
}

impl Decimal {
    /// The sum of nothing.
    pub const ZERO: Decimal = Decimal {
        whole: 0,
        fraction: 0,
        decimals: 0,
    };

    /// The number with this text, if it is one that can be added.
    ///
    /// The text is a number as RFC 8259 writes them.
    #[inline]
    pub fn parse(text: &[u8]) -> Option<Decimal> {
        let (is_negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let magnitude = match plain(digits) {
            Some(magnitude) => magnitude,
            None => Significant::of(text).magnitude()?,
        };
        Some(if is_negative { -magnitude } else { magnitude })
    }

    /// The number or sum that is printed as this text.
    pub fn printed(text: &str) -> Option<Decimal> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > DECIMALS_MAX {
            return None;
        }
        let fraction = match decimals {
            "" => 0,
            decimals => decimals.parse::<u128>().ok()?,
        };
        let magnitude = Decimal {
            whole: whole.parse().ok()?,
            fraction: fraction * POWERS[DECIMALS_MAX - decimals.len()],
            decimals: decimals.len() as u8,
        };
        Some(if is_negative { -magnitude } else { magnitude })
    }

    /// Whether two numbers are equal, however many decimals they show.
    pub fn is_same(&self, other: &Decimal) -> bool {
        (self.whole, self.fraction) == (other.whole, other.fraction)
    }
}

/// A number without sign and exponent and of few digits: nearly all are.
#[inline]
fn plain(digits: &[u8]) -> Option<Decimal> {
    if digits.len() > WHOLE_DIGITS_MAX {
        return None;
    }
    let mut whole = 0u64;
    let mut at = 0;
    while let Some(digit @ b'0'..=b'9') = digits.get(at) {
        // Nineteen digits fit.
        whole = whole * 10 + u64::from(digit - b'0');
        at += 1;
    }
    let Some(point) = digits.get(at) else {
        return Some(Decimal {
            whole: whole.into(),
            ..Decimal::default()
        });
    };
    if *point != b'.' {
        return None;
    }
    let decimals = &digits[at + 1..];
    let mut fraction = 0u64;
    for digit in decimals {
        match digit {
            b'0'..=b'9' => fraction = fraction * 10 + u64::from(digit - b'0'),
            _ => return None,
        }
    }
    Some(Decimal {
        whole: whole.into(),
        fraction: u128::from(fraction) * POWERS[DECIMALS_MAX - decimals.len()],
        decimals: decimals.len() as u8,
    })
}

impl std::ops::Neg for Decimal {
    type Output = Decimal;

    fn neg(self) -> Decimal {
        let (whole, fraction) = match self.fraction {
            0 => (-self.whole, 0),
            fraction => (-self.whole - 1, ONE - fraction),
        };
        Decimal {
            whole,
            fraction,
            ..self
        }
    }
}

impl AddAssign<&Decimal> for Decimal {
    #[inline]
    fn add_assign(&mut self, other: &Decimal) {
        // Below 2 * 10^38, which is below 2^128.
        let fraction = self.fraction + other.fraction;
        let carry = fraction >= ONE;
        self.fraction = if carry { fraction - ONE } else { fraction };
        self.whole += other.whole + i128::from(carry);
        self.decimals = self.decimals.max(other.decimals);
    }
}

/// In full, without an exponent: digits that JSON, CSV and people read.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_negative = self.whole < 0;
        let magnitude = if is_negative { -*self } else { *self };
        if is_negative {
            f.write_str("-")?;
        }
        write!(f, "{}", magnitude.whole)?;
        match usize::from(self.decimals) {
            0 => Ok(()),
            wide => {
                let shown = magnitude.fraction / POWERS[DECIMALS_MAX - wide];
                write!(f, ".{shown:0wide$}")
            }
        }
    }
}

/// Whether two texts, numbers as RFC 8259 writes them, are of the same number: `2e2` is `200.0`.
pub fn is_same_number(a: &[u8], b: &[u8]) -> bool {
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => a.is_same(&b),
        (None, None) => Significant::of(a).is_same(&Significant::of(b)),
        _ => false,
    }
}

/// A number by its significant digits: `0.d1d2… * 10^exponent`, and `d1` and the last one are not 0.
#[derive(Clone, Debug)]
struct Significant {
    is_negative: bool,
    digits: Vec<u8>,
    exponent: i64,
    /// Digits that the text has behind the point, exponent resolved.
    decimals: i64,
}

impl Significant {
    fn of(text: &[u8]) -> Significant {
        let is_negative = text.starts_with(b"-");
        let text = text.strip_prefix(b"-").unwrap_or(text);
        let mantissa_len = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = text.split_at(mantissa_len.unwrap_or(text.len()));
        let exponent = exponent_of(exponent);
        let point = mantissa.iter().position(|&byte| byte == b'.');
        let whole = point.unwrap_or(mantissa.len());
        let mut digits: Vec<u8> = mantissa.to_vec();
        if let Some(point) = point {
            digits.remove(point);
        }
        let fraction = (digits.len() - whole) as i64;
        let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let exponent_of_digits = match digits.is_empty() {
            true => 0,
            false => exponent.saturating_add(whole as i64 - zeros as i64),
        };
        Significant {
            is_negative: is_negative && !digits.is_empty(),
            exponent: exponent_of_digits,
            decimals: fraction.saturating_sub(exponent),
            digits,
        }
    }

    fn is_same(&self, other: &Significant) -> bool {
        (self.is_negative, self.exponent) == (other.is_negative, other.exponent)
            && self.digits == other.digits
    }

    /// The number without its sign, if it can be added.
    fn magnitude(&self) -> Option<Decimal> {
        let count = self.digits.len() as i64;
        let least_decimals = count.saturating_sub(self.exponent).max(0);
        let is_small = self.exponent <= WHOLE_DIGITS_MAX as i64;
        if !is_small || least_decimals > DECIMALS_MAX as i64 {
            return None;
        }
        // The digit at 10^-place, for places from -18 to 38.
        let digit = |place: i64| {
            let at = usize::try_from(place - 1 + self.exponent).ok();
            let digit = at.and_then(|at| self.digits.get(at));
            u128::from(digit.map_or(0, |digit| digit - b'0'))
        };
        let number = |places: std::ops::RangeInclusive<i64>| {
            places.fold(0u128, |number, place| number * 10 + digit(place))
        };
        let decimals = self.decimals.clamp(least_decimals, DECIMALS_MAX as i64);
        Some(Decimal {
            whole: number(1 - WHOLE_DIGITS_MAX as i64..=0) as i128,
            fraction: number(1..=DECIMALS_MAX as i64),
            decimals: decimals as u8,
        })
    }
}

/// What an exponent with its `e` says; one beyond all reason is as good as the largest.
fn exponent_of(text: &[u8]) -> i64 {
    let text = text.get(1..).unwrap_or_default();
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let exponent = digits.iter().fold(0i64, |exponent, digit| {
        exponent
            .saturating_mul(10)
            .saturating_add((digit - b'0').into())
    });
    if is_negative { -exponent } else { exponent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(texts: &[&str]) -> String {
        let mut sum = Decimal::default();
        for text in texts {
            sum += &Decimal::parse(text.as_bytes()).expect(text);
        }
        sum.to_string()
    }

    #[test]
    fn money_does_not_drift() {
        assert_eq!(sum(&["0.1"; 10]), "1.0");
        assert_eq!(sum(&["0.10", "0.20"]), "0.30");
        assert_eq!(sum(&["19.99", "-20"]), "-0.01");
        assert_eq!(sum(&["-0.5", "-0.25", "1"]), "0.25");
        assert_eq!(sum(&["-7", "-0.01"]), "-7.01");
        assert_eq!(sum(&[]), "0");
        assert_eq!(sum(&["9999999999999999999"; 3]), "29999999999999999997");
        assert_eq!(
            sum(&["-9223372036854775808", "1e-2"]),
            "-9223372036854775807.99"
        );
    }

    #[test]
    fn numbers_are_what_their_text_says() {
        for (text, shown) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("1.50", "1.50"),
            ("1.5e3", "1500"),
            ("1.50e1", "15.0"),
            ("15E-1", "1.5"),
            ("2e+2", "200"),
            ("-1.2345678901234567e-05", "-0.000012345678901234567"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("1e18", "1000000000000000000"),
            ("1e-38", "0.00000000000000000000000000000000000001"),
            ("0e999999999999999999999", "0"),
            (
                "100000000000000000000000000e-26",
                "1.00000000000000000000000000",
            ),
            (
                "1.0000000000000000000000000000000000000000000",
                "1.00000000000000000000000000000000000000",
            ),
        ] {
            let number = Decimal::parse(text.as_bytes()).expect(text);
            assert_eq!(number.to_string(), shown, "{text}");
        }
        for text in [
            "1.5e-9223372036854775807",
            "-1.5e-66666666666666666666",
            "1.5e66666666666666666666",
            "1e19",
            "1e400",
            "1e-39",
            "10000000000000000000",
            "5e-324",
            "1e99999999999999999999",
        ] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_by_their_value() {
        for (a, b, is_same) in [
            ("200", "2e2", true),
            ("200", "200.00", true),
            ("-0", "0.0", true),
            ("1e400", "10e399", true),
            ("1e400", "1e401", false),
            ("-1e400", "1e400", false),
            ("5", "-5", false),
            ("5", "5.000000000000000000001", false),
        ] {
            assert_eq!(
                is_same_number(a.as_bytes(), b.as_bytes()),
                is_same,
                "{a} {b}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn both_ways_of_reading_agree(whole in 0u64..10_000_000_000, decimals in "[0-9]{0,8}", negative: bool) {
            let sign = if negative { "-" } else { "" };
            let point = if decimals.is_empty() { "" } else { "." };
            let text = format!("{sign}{whole}{point}{decimals}");
            let number = Decimal::parse(text.as_bytes()).expect("few digits");
            let magnitude = Significant::of(text.as_bytes()).magnitude().expect("few digits");
            prop_assert_eq!(number, if negative { -magnitude } else { magnitude });
            let is_zero = number.is_same(&Decimal::default());
            let shown = if is_zero { text.trim_start_matches('-') } else { &text };
            prop_assert_eq!(number.to_string(), shown);
        }
    }

    #[test]
    fn what_is_printed_can_be_read_again_with_all_its_digits() {
        let mut sum = Decimal::ZERO;
        for text in [
            "0",
            "-0.10",
            "9999999999999999999",
            "-1e-38",
            "0.1",
            "-123456789.000",
        ] {
            for _ in 0..3 {
                sum += &Decimal::parse(text.as_bytes()).unwrap();
                assert_eq!(Decimal::printed(&sum.to_string()), Some(sum), "{sum}");
            }
        }
        // More digits than a number may have that is added.
        let large = "-12345678901234567890123456789012345678.5";
        assert_eq!(Decimal::printed(large).unwrap().to_string(), large);
        for wrong in ["", "-", ".5", "1e5", "1.-5", "+1", "a"] {
            assert_eq!(Decimal::printed(wrong), None, "{wrong}");
        }
    }
}
