//! Escapes in strings: rare enough to be handled a byte at a time.

use super::index::Simd;
use super::{BailReason, Segment};

/// Checks the escapes whose slots start at `at`; returns the first slot that is none.
///
/// Surrogates are left to the slow parser, right or not.
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
                    return Err(BailReason::Surrogate);
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
                let (digits, behind) = rest.split_at(4);
                rest = behind;
                let char = char(digits).expect("surrogates are refused by the check");
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

/// The character of four hexadecimal digits, unless it is a surrogate.
fn char(digits: &[u8]) -> Option<char> {
    let code = digits.iter().fold(0, |code, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        code << 4 | u32::from(value)
    });
    char::from_u32(code)
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
        ] {
            let mut resolved = vec![1];
            resolve(inside.as_bytes(), &mut resolved);
            assert_eq!(resolved, value.as_bytes(), "{inside}");
            assert!(resolves_to(inside.as_bytes(), value.as_bytes()));
            assert!(!resolves_to(inside.as_bytes(), b"another"));
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
