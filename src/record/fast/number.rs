//! Numbers, as RFC 8259 writes them.

use super::index::Simd;

/// The end of the number that starts at `start`, if `text[start..next]` is a number and then only
/// white space.
///
/// Integers and decimals of up to 32 bytes are checked without a loop; the rest byte by byte.
#[inline(always)]
pub(super) fn end<S: Simd>(simd: S, text: &[u8], start: usize, next: usize) -> Option<usize> {
    let len = next - start;
    if let Some(window) = text[start..].first_chunk::<32>()
        && len <= 32
    {
        let digits = simd.digits(window);
        let sign = usize::from(window[0] == b'-');
        let zero = window[sign] == b'0';
        // The bytes of the number behind the sign that are no digits.
        let other = (u32::MAX >> (32 - len)) & !digits & !(sign as u32);
        // Where the integer part ends.
        let point = if other == 0 { len } else { other.trailing_zeros() as usize };
        let plain = other == 0
            || (other.is_power_of_two() && window[point] == b'.' && point + 1 < len);
        if plain && point > sign && (!zero || point == sign + 1) {
            return Some(next);
        }
    }
    let end = start + len_of(&text[start..next])?;
    text[end..next]
        .iter()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .then_some(end)
}

/// The length of the longest number at the start of `bytes`.
fn len_of(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}
