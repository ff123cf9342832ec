//! Escapes in strings: rare enough to be handled a byte at a time.
//!
//! They are checked once for a segment, before its lines are judged. What becomes of them is left at the
//! slot that ends their string, where the walk sees it, and where a shape tells strings with escapes from
//! those without.

use super::BailReason;
use super::index::{Escape, Index};

/// How the slot that ends a string shows that there are escapes in it, and all are right.
pub(super) const ESCAPED: u8 = b'\'';

/// How it shows an escape that is none.
const WRONG: u8 = b'\\';

/// How it shows an escaped surrogate that is no half of a pair.
const LONE: u8 = b'^';

/// Checks the escapes of a segment's strings, and marks the slots that end those: [`ESCAPED`], or
/// what [`reason`] knows.
#[cold]
pub(super) fn settle(text: &[u8], index: &mut Index) {
    // Where the escape ends that was checked last.
    let mut checked = 0;
    for &Escape { position, slot } in &index.escapes {
        let position = usize::from(position);
        if position < checked {
            // The second half of a pair.
            continue;
        }
        let end = &mut index.kinds[usize::from(slot)];
        *end = match (*end, check(&text[position + 1..])) {
            (b'"' | ESCAPED, Ok(len)) => {
                checked = position + 1 + len;
                ESCAPED
            }
            (b'"' | ESCAPED, Err(BailReason::Surrogate)) => LONE,
            (b'"' | ESCAPED, Err(_)) => WRONG,
            // It is wrong already, or no quote.
            (other, _) => other,
        };
    }
}

/// Why a string is no string, by the kind of the slot behind its opening quote.
#[cold]
pub(super) fn reason(kind: u8) -> BailReason {
    match kind {
        WRONG => BailReason::Escape,
        LONE => BailReason::Surrogate,
        _ => BailReason::String,
    }
}

/// Checks the escape that starts with the backslash before `code`; returns its length without that.
fn check(code: &[u8]) -> Result<usize, BailReason> {
    // A newline ends the segment, so there is a byte behind a backslash.
    match code[0] {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(1),
        b'u' => match char(&code[1..]) {
            Some((_, len)) => Ok(1 + len),
            None if unit(&code[1..]).is_some() => Err(BailReason::Surrogate),
            None => Err(BailReason::Escape),
        },
        _ => Err(BailReason::Escape),
    }
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
                let (char, len) = char(rest).expect("the check lets only characters through");
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

/// The character whose digits these bytes start with, as in `00e9` or `d83d\ude00`, and how many bytes
/// they are.
fn char(bytes: &[u8]) -> Option<(char, usize)> {
    let high = unit(bytes)?;
    if let Some(char) = char::from_u32(high) {
        return Some((char, 4));
    }
    let low = unit(bytes[4..].strip_prefix(b"\\u")?)?;
    let is_pair = (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low);
    // RFC 8259, section 7: both halves are offsets of ten bits.
    let code = 0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff);
    let char = char::from_u32(code).filter(|_| is_pair)?;
    Some((char, 10))
}

/// The UTF-16 code unit of the four hexadecimal digits that these bytes start with.
fn unit(bytes: &[u8]) -> Option<u32> {
    let digits: &[u8; 4] = bytes.first_chunk()?;
    let [a, b, c, d] = digits.map(|digit| DIGITS[usize::from(digit)]);
    // Whatever is no digit makes the sum negative.
    u32::try_from(a << 12 | b << 8 | c << 4 | d).ok()
}

/// What each byte is as a hexadecimal digit; -1 if it is none.
const DIGITS: [i32; 256] = {
    let mut table = [-1; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as i32;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as i32;
        digit += 1;
    }
    table
};

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
    fn characters_are_units_or_pairs_of_surrogates() {
        for (bytes, expected) in [
            ("0041", Some(('A', 4))),
            ("d7ff\\u0041", Some(('\u{d7ff}', 4))),
            ("E000", Some(('\u{e000}', 4))),
            ("d83d\\uDe00!", Some(('\u{1f600}', 10))),
            ("d83d\\ud83d", None),
            ("de00\\ud83d", None),
            ("d83d\\u0041", None),
            ("d83d\\ude0g", None),
            ("d83d/ude00", None),
            ("d83d\\nde00", None),
            ("d83d\\u", None),
            ("d83d", None),
            ("DFFF", None),
            ("004", None),
            ("004g", None),
            ("/041", None),
            (":041", None),
            ("@041", None),
            ("G041", None),
            ("`041", None),
        ] {
            assert_eq!(char(bytes.as_bytes()), expected, "{bytes}");
        }
    }
}
