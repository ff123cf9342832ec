//! Escapes in strings: rare enough to be handled a byte at a time.

use super::index::Simd;
use super::{BailReason, Segment};

/// Checks the escapes whose slots start at `at`; returns the first slot that is none.
///
/// A surrogate that is no half of a pair is left to the slow parser.
#[cold]
pub(super) fn check<S: Simd>(segment: Segment<'_, S>, mut at: usize) -> Result<usize, BailReason> {
    while segment.kinds()[at] == b'\\' {
        // A newline ends the segment, so there is a byte behind a backslash.
        let code = &segment.text[segment.position(at) + 1..];
        match code[0] {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                let digits = code.get(1..5).ok_or(BailReason::Escape)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(BailReason::Escape);
                }
                if char(digits).is_none() {
                    let pair = code.get(1..PAIR_BYTES).and_then(pair);
                    pair.ok_or(BailReason::Surrogate)?;
                    // The second half's backslash is the next slot.
                    at += 1;
                }
            }
            _ => return Err(BailReason::Escape),
        }
        at += 1;
    }
    Ok(at)
}

/// Puts what a string stands for into `value`; its inside has been checked.
pub(super) fn resolve(inside: &[u8], value: &mut Vec<u8>) {
    value.clear();
    let mut rest = inside;
    while let Some(escape) = memchr::memchr(b'\\', rest) {
        value.extend_from_slice(&rest[..escape]);
        let code = rest[escape + 1];
        rest = &rest[escape + 2..];
        value.push(match code {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (char, len) = match char(&rest[..4]) {
                    Some(char) => (char, 4),
                    None => {
                        let pair = rest.get(..PAIR_BYTES - 1).and_then(pair);
                        let char = pair.expect("lone surrogates are refused by the check");
                        (char, PAIR_BYTES - 1)
                    }
                };
                rest = &rest[len..];
                value.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            itself => itself,
        });
    }
    value.extend_from_slice(rest);
}

/// Whether a string, whose inside has been checked, stands for `value`.
pub(super) fn resolves_to(inside: &[u8], value: &[u8]) -> bool {
    // No escape is longer than six bytes, and each stands for one byte at least.
    if inside.len() > value.len() * 6 {
        return false;
    }
    let mut resolved = Vec::with_capacity(inside.len());
    resolve(inside, &mut resolved);
    resolved == value
}

/// The bytes of `ud83d\ude00`.
const PAIR_BYTES: usize = 11;

/// The character of four hexadecimal digits, unless it is a surrogate.
fn char(digits: &[u8]) -> Option<char> {
    char::from_u32(code(digits))
}

/// The character of the two surrogates of `d83d\ude00`, whose first four are digits.
fn pair(escapes: &[u8]) -> Option<char> {
    let (high, behind) = escapes.split_at(4);
    let low = behind.strip_prefix(b"\\u")?;
    if !low.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let (high, low) = (code(high), code(low));
    let is_pair = (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low);
    // RFC 8259, section 7: both halves are offsets of ten bits.
    let code = 0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff);
    is_pair.then(|| char::from_u32(code)).flatten()
}

/// The number of four hexadecimal digits.
fn code(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |code, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        code << 4 | u32::from(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_what_the_rfc_says() {
        for (inside, value) in [
            ("", ""),
            ("plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"a\u0041\u00e9\u20AC\uFFFFz", "aA\u{e9}\u{20ac}\u{ffff}z"),
            (r"\u0000", "\0"),
            (
                r"a\ud83d\uDE00\ud800\udc00\uDBFF\udfffz",
                "a\u{1f600}\u{10000}\u{10ffff}z",
            ),
        ] {
            let mut resolved = vec![1];
            resolve(inside.as_bytes(), &mut resolved);
            assert_eq!(resolved, value.as_bytes(), "{inside}");
            assert!(resolves_to(inside.as_bytes(), value.as_bytes()));
            assert!(!resolves_to(inside.as_bytes(), b"another"));
        }
    }

    #[test]
    fn only_a_high_and_a_low_surrogate_are_a_pair() {
        for (escapes, char) in [
            (r"d83d\ude00", Some('\u{1f600}')),
            (r"d83d\ud83d", None),
            (r"ude00\ud83d", None),
            (r"d83d\u0041", None),
            (r"d83d\ude0g", None),
            (r"d83d/ude00", None),
            (r"d83d\nde00", None),
        ] {
            assert_eq!(pair(escapes.as_bytes()), char, "{escapes}");
        }
    }

    #[test]
    fn surrogates_are_no_characters() {
        for (digits, is_char) in [
            ("d7ff", true),
            ("d800", false),
            ("DBFF", false),
            ("dc00", false),
            ("DFFF", false),
            ("e000", true),
        ] {
            assert_eq!(char(digits.as_bytes()).is_some(), is_char, "{digits}");
        }
    }
}
