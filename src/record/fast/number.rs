//! Numbers, as RFC 8259 writes them.

use super::index::Simd;

/// The end of the number that starts at `start`, if `text[start..next]` is a number and then only
/// white space; `start < next`.
///
/// Integers and decimals of up to 32 bytes are checked without a loop; the rest byte by byte.
#[inline(always)]
pub(super) fn end<S: Simd>(simd: S, text: &[u8], start: usize, next: usize) -> Option<usize> {
    let len = next - start;
    if len <= 32
        && let Some(window) = text[start..].first_chunk::<32>()
    {
        let digits = simd.digits(window);
        let sign = usize::from(window[0] == b'-');
        let is_zero = window[sign] == b'0';
        // The bytes behind the sign that are no digits, and where the integer part ends.
        let others = (u32::MAX >> (32 - len)) & !digits & !(sign as u32);
        let point = len.min(others.trailing_zeros() as usize);
        let is_plain =
            others == 0 || (others.is_power_of_two() && window[point] == b'.' && point + 1 < len);
        if is_plain && point > sign && (!is_zero || point == sign + 1) {
            return Some(next);
        }
    }
    let end = start + len_of(&text[start..next])?;
    super::is_white(&text[end..next]).then_some(end)
}

/// The length of the number at the start of `bytes`, the longest there is.
fn len_of(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
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

#[cfg(test)]
mod tests {
    use super::super::index::Portable;
    use super::*;

    /// What the check says of `number`, followed by `white` and a comma: alone, and where the
    /// window of 32 bytes is complete.
    fn check(number: &str, white: &str, valid: bool) {
        for behind in [",", ",                                "] {
            let text = format!("[{number}{white}{behind}");
            let next = 1 + number.len() + white.len();
            let expected = valid.then_some(1 + number.len());
            assert_eq!(end(Portable, text.as_bytes(), 1, next), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_what_the_grammar_says() {
        // All strings of up to five of these against serde_json, which holds to the grammar.
        let alphabet = b"019-+.eE ";
        let mut strings = vec![String::new()];
        for start in 0.. {
            let Some(string) = strings.get(start).cloned() else {
                break;
            };
            if !string.is_empty() && !string.starts_with(' ') && !string.contains("  ") {
                let number = string.trim_end_matches(' ');
                let valid = serde_json::from_str::<&serde_json::value::RawValue>(number).is_ok();
                check(number, &string[number.len()..], valid);
            }
            if string.len() < 5 {
                strings.extend(
                    alphabet
                        .iter()
                        .map(|&byte| format!("{string}{}", byte as char)),
                );
            }
        }
    }

    #[test]
    fn long_numbers_leave_the_window() {
        for len in 25..40 {
            let digits = "7".repeat(len);
            check(&digits, "", true);
            check(&digits, " \t\r", true);
            check(&format!("-{digits}"), "", true);
            check(&format!("0.{digits}"), "", true);
            check(&format!("{digits}.0"), "", true);
            check(&format!("{digits}."), "", false);
            check(&format!("0{digits}"), "", false);
            check(&format!("{digits}.0.0"), "", false);
            check(&format!("{digits}x"), "", false);
        }
    }
}
