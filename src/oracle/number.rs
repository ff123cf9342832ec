//! The oracle's arithmetic: decimals as digits on paper, one to a byte.
//!
//! It shares nothing with [`crate::decimal`] but the limits of what can be added.

use crate::decimal::{DECIMALS_MAX, WHOLE_DIGITS_MAX};

/// Places of a sum before the point: a number's, and as many again for the carries.
const WHOLE_PLACES: usize = 2 * WHOLE_DIGITS_MAX;

/// Digits from the highest place to the lowest.
type Places = [u8; WHOLE_PLACES + DECIMALS_MAX];

/// A number, or a sum of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowSum {
    /// What was added, and what was taken away.
    sides: [Places; 2],
    decimals: usize,
}

impl Default for SlowSum {
    fn default() -> SlowSum {
        SlowSum {
            sides: [[0; WHOLE_PLACES + DECIMALS_MAX]; 2],
            decimals: 0,
        }
    }
}

impl SlowSum {
    /// The number with this text, unless it has too many digits to be added.
    pub fn parse(text: &str) -> Option<SlowSum> {
        let (is_negative, digits, exponent) = split(text);
        let point = digits.find('.').unwrap_or(digits.len()) as i64;
        let fraction = digits.len() as i64 - point - 1;
        let mut number = SlowSum::default();
        let digits = digits.bytes().filter(|&byte| byte != b'.');
        for (i, digit) in digits.enumerate().filter(|&(_, digit)| digit != b'0') {
            // The digit counts ten to the power of this.
            let power = (point - 1 - i as i64).checked_add(exponent)?;
            if power >= WHOLE_DIGITS_MAX as i64 || power < -(DECIMALS_MAX as i64) {
                return None;
            }
            let place = (WHOLE_PLACES as i64 - 1 - power) as usize;
            number.sides[usize::from(is_negative)][place] = digit - b'0';
        }
        let decimals = fraction.max(0).saturating_sub(exponent);
        let lowest = |side: &Places| side.iter().rposition(|&digit| digit != 0);
        let lowest = number.sides.iter().filter_map(lowest).max().unwrap_or(0);
        let least = (lowest + 1).saturating_sub(WHOLE_PLACES) as i64;
        number.decimals = decimals.clamp(least, DECIMALS_MAX as i64) as usize;
        Some(number)
    }

    /// Adds another.
    pub fn add(&mut self, other: &SlowSum) {
        for (sum, side) in self.sides.iter_mut().zip(&other.sides) {
            let mut carry = 0;
            for (sum, digit) in sum.iter_mut().zip(side).rev() {
                let digit = *sum + digit + carry;
                (*sum, carry) = (digit % 10, digit / 10);
            }
            assert_eq!(carry, 0, "a sum has twice the places of a number");
        }
        self.decimals = self.decimals.max(other.decimals);
    }
}

/// In full, as sums are printed.
impl std::fmt::Display for SlowSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [plus, minus] = &self.sides;
        let (sign, more, less) = match plus >= minus {
            true => ("", plus, minus),
            false => ("-", minus, plus),
        };
        let mut rest = *more;
        let mut borrowed = 0;
        for (rest, digit) in rest.iter_mut().zip(less).rev() {
            let digit = 10 + *rest - digit - borrowed;
            (*rest, borrowed) = (digit % 10, 1 - digit / 10);
        }
        let text: String = rest.iter().map(|digit| char::from(b'0' + digit)).collect();
        let (whole, fraction) = text.split_at(WHOLE_PLACES);
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            whole => whole,
        };
        let point = if self.decimals > 0 { "." } else { "" };
        write!(f, "{sign}{whole}{point}{}", &fraction[..self.decimals])
    }
}

/// Whether two texts are of the same number, of whatever size.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    let normal = |text| {
        let (is_negative, digits, exponent) = split(text);
        let point = digits.find('.').unwrap_or(digits.len()) as i64;
        let digits = digits.replace('.', "");
        let zeros = digits.len() - digits.trim_start_matches('0').len();
        match digits.trim_matches('0') {
            "" => (false, String::new(), 0),
            digits => (
                is_negative,
                digits.to_owned(),
                exponent.saturating_add(point - zeros as i64),
            ),
        }
    };
    normal(a) == normal(b)
}

/// Whether there is a minus, the digits and their point, and the exponent.
fn split(text: &str) -> (bool, &str, i64) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let beyond = if exponent.starts_with('-') {
        -i64::MAX
    } else {
        i64::MAX
    };
    let exponent = exponent.parse().unwrap_or(beyond);
    let digits = mantissa.strip_prefix('-').unwrap_or(mantissa);
    (mantissa.starts_with('-'), digits, exponent)
}
