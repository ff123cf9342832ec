//! How keys, samples and figures read on a terminal.
//!
//! Keys and bad lines come from whoever sends the stream, so everything that is shown of them
//! passes through here. What leaves is printable: no control character (C0, DEL, C1), no
//! bidirectional control, nothing of zero width that could hide or join text, no byte that is not
//! UTF-8. Those appear as `\n`, `\x1b`, `\u{202e}`; a combining mark at the start is written the
//! same way, or it would sit on the column before it. What counts as printable is what the
//! standard library's `escape_debug` leaves alone, less a few letters that have no shape.
//!
//! A text is read only as far as it is shown: a line of 1 MiB costs no more than its sample.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use unicode_width::UnicodeWidthStr;

use crate::key::{KeyKind, KeyRef};
use crate::source::{Lag, SourceOffsets};

use super::Percentiles;

/// Columns a key gets where nobody said how wide the terminal is.
pub const KEY_WIDTH_MAX: usize = 64;

/// Characters shown per column: beyond that a heap of combining marks is cut.
const CHARS_PER_COLUMN_MAX: usize = 4;

/// Whether a terminal shows `c` as a shape of its own and does nothing else with it.
pub(crate) fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    is_printable(c) && !is_shapeless(c)
}

/// Whether the Unicode standard calls `c` printable: Python's `str.isprintable`.
///
/// The standard library keeps exactly this table for `escape_debug`, in its Unicode version.
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    // Behind another character: in front, `escape_debug` escapes combining marks as well.
    let mut buffer = [b'a'; 5];
    let end = 1 + c.encode_utf8(&mut buffer[1..]).len();
    let text = std::str::from_utf8(&buffer[..end]).expect("an `a` and a character are UTF-8");
    text.escape_debug().count() == 2
}

/// Letters and marks that are printable by category and yet show nothing. Variation selectors
/// 15 and 16 stay: emoji are written with them.
fn is_shapeless(c: char) -> bool {
    matches!(c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{ffa0}'
        | '\u{e0100}'..='\u{e01ef}')
}

/// Which characters are written with a backslash beyond those a terminal cannot show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Also {
    /// None: for a sample, which is shown as it came.
    Nothing,
    /// The backslash, so that different keys look different.
    Backslash,
    /// The backslash and `"`, within quotes.
    Quotes,
}

/// Hands `take` the text of `bytes` piece by piece: a character, or what stands for one.
fn pieces(bytes: &[u8], also: Also, mut take: impl FnMut(&str) -> ControlFlow<()>) {
    let mut piece = String::new();
    let mut first = true;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            piece.clear();
            push_char(c, first, also, &mut piece);
            first = false;
            if take(&piece).is_break() {
                return;
            }
        }
        for byte in chunk.invalid() {
            piece.clear();
            push_hex(*byte, &mut piece);
            first = false;
            if take(&piece).is_break() {
                return;
            }
        }
    }
}

fn push_char(c: char, first: bool, also: Also, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\\' if also != Also::Nothing => out.push_str("\\\\"),
        '"' if also == Also::Quotes => out.push_str("\\\""),
        c if c.is_ascii_control() => push_hex(c as u8, out),
        c if !is_plain(c) || (first && !c.is_ascii() && c.escape_debug().len() > 1) => {
            push_format(out, format_args!("\\u{{{:x}}}", u32::from(c)));
        }
        c => out.push(c),
    }
}

fn push_hex(byte: u8, out: &mut String) {
    push_format(out, format_args!("\\x{byte:02x}"));
}

pub(crate) fn push_format(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments)
        .expect("writing into a String does not fail");
}

/// The start of `bytes` that is enough to show `chars_max` characters and to see that more follow.
fn head(bytes: &[u8], chars_max: usize) -> &[u8] {
    // A character has at most 4 bytes; the cut within one lies behind the last that is looked at.
    let end = chars_max.saturating_add(2).saturating_mul(4);
    &bytes[..bytes.len().min(end)]
}

/// All of `bytes`, made safe to show. Backslashes stay as they are.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    pieces(bytes, Also::Nothing, |piece| {
        out.push_str(piece);
        ControlFlow::Continue(())
    });
    out
}

/// The start of a line, made safe to show: at most `max_chars` characters, the last of them `…`
/// if something was left out. No escape is cut in two.
pub fn sample(bytes: &[u8], max_chars: usize) -> String {
    let mut out = String::new();
    let (mut chars, mut cut) = (0, 0);
    let mut whole = true;
    pieces(head(bytes, max_chars), Also::Nothing, |piece| {
        chars += piece.chars().count();
        if chars > max_chars {
            whole = false;
            return ControlFlow::Break(());
        }
        out.push_str(piece);
        if chars < max_chars {
            cut = out.len();
        }
        ControlFlow::Continue(())
    });
    if !whole {
        out.truncate(cut);
        if max_chars > 0 {
            out.push('…');
        }
    }
    out
}

/// The columns `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

/// Appends `key` as a table shows it, in at most `width_max` columns, and returns its width.
///
/// Numbers, booleans and null are bare. A string is bare too, unless it would look like one of
/// them or like a quoted string, is empty, or begins or ends with white space: then it is quoted.
/// Backslashes in strings are doubled, so different keys differ wherever they are not cut.
///
/// The parts of a composite key stand side by side with commas between them; where they do not fit,
/// each gets its share of the columns. Strings with a comma in them are quoted.
pub fn push_key(key: KeyRef<'_>, width_max: usize, out: &mut String) -> usize {
    if key.kind == KeyKind::Composite {
        return push_parts(key, width_max, out);
    }
    if key.kind != KeyKind::String {
        return push_cut(
            key.text().as_bytes(),
            Also::Nothing,
            ("", ""),
            width_max,
            out,
        );
    }
    if is_quoted(key.bytes) {
        push_cut(key.bytes, Also::Quotes, ("\"", "\""), width_max, out)
    } else {
        push_cut(key.bytes, Also::Backslash, ("", ""), width_max, out)
    }
}

fn push_parts(key: KeyRef<'_>, width_max: usize, out: &mut String) -> usize {
    let start = out.len();
    let push_all = |part_width_max: usize, out: &mut String| {
        let mut taken = 0;
        for (i, part) in key.parts().enumerate() {
            if i > 0 {
                out.push_str(SEPARATOR);
                taken += SEPARATOR.len();
            }
            let is_quoted = part.kind == KeyKind::String && part.bytes.contains(&b',');
            taken += match is_quoted {
                true => push_cut(part.bytes, Also::Quotes, ("\"", "\""), part_width_max, out),
                false => push_key(part, part_width_max, out),
            };
        }
        taken
    };
    let taken = push_all(width_max, out);
    if taken <= width_max {
        return taken;
    }
    out.truncate(start);
    let parts = key.parts().count();
    let separators = (parts - 1) * SEPARATOR.len();
    push_all((width_max.saturating_sub(separators) / parts).max(1), out)
}

/// What stands between the parts of a composite key.
const SEPARATOR: &str = ", ";

fn is_quoted(bytes: &[u8]) -> bool {
    match bytes {
        [] | [b'"', ..] | b"null" | b"true" | b"false" => return true,
        [b'-' | b'0'..=b'9', ..] if is_number(bytes) => return true,
        _ => {}
    }
    // No character has more than 4 bytes.
    let (head, tail) = (
        &bytes[..bytes.len().min(4)],
        &bytes[bytes.len().saturating_sub(4)..],
    );
    String::from_utf8_lossy(head).starts_with(char::is_whitespace)
        || String::from_utf8_lossy(tail).ends_with(char::is_whitespace)
}

/// Whether `text` is a number as RFC 8259 writes it.
fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    if matches!(text, [b'0', b'0'..=b'9', ..]) {
        return false;
    }
    let Some(text) = after_digits(text) else {
        return false;
    };
    let integer = match text {
        [b'.', fraction @ ..] => after_digits(fraction),
        rest => Some(rest),
    };
    match integer {
        Some([]) => true,
        Some([b'e' | b'E', exponent @ ..]) => {
            let digits = match exponent {
                [b'+' | b'-', digits @ ..] => digits,
                digits => digits,
            };
            after_digits(digits).is_some_and(<[u8]>::is_empty)
        }
        _ => false,
    }
}

/// What follows one or more digits.
fn after_digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &text[digits..])
}

/// Appends the escaped `bytes` between `quotes`, cut with `…` to `width_max` columns; returns the
/// width. A cut string keeps its opening quote only.
fn push_cut(
    bytes: &[u8],
    also: Also,
    quotes: (&str, &str),
    width_max: usize,
    out: &mut String,
) -> usize {
    let start = out.len();
    out.push_str(quotes.0);
    let plain = bytes.len() + quotes.0.len() + quotes.1.len() <= width_max
        && bytes
            .iter()
            .all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'\\' | b'"'));
    if plain {
        out.extend(bytes.iter().map(|&byte| char::from(byte)));
        out.push_str(quotes.1);
        return out.len() - start;
    }
    let chars_max = width_max.saturating_mul(CHARS_PER_COLUMN_MAX);
    let mut cut = if width_max > width(quotes.0) {
        out.len()
    } else {
        start
    };
    let mut chars = 0;
    let mut whole = true;
    pieces(head(bytes, chars_max), also, |piece| {
        out.push_str(piece);
        chars += 1;
        let columns = width(&out[start..]);
        if columns + quotes.1.len() > width_max || chars > chars_max {
            whole = false;
            return ControlFlow::Break(());
        }
        cut = if columns < width_max { out.len() } else { cut };
        ControlFlow::Continue(())
    });
    // An empty string is but quotes, and even they may be too wide.
    if whole && width(&out[start..]) + quotes.1.len() <= width_max {
        out.push_str(quotes.1);
    } else {
        out.truncate(cut);
        if width_max > 0 {
            out.push('…');
        }
    }
    width(&out[start..])
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    grouped_digits(&number.to_string())
}

/// Digits in groups of three, from the last.
pub(super) fn grouped_digits(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `count` per second over `nanos`: `0`, `0.25`, `12.5`, `1,234`; `–` if no time passed.
pub fn per_second(count: u64, nanos: u64) -> String {
    if nanos == 0 {
        return "–".to_owned();
    }
    let rate = count as f64 * 1e9 / nanos as f64;
    if count == 0 {
        "0".to_owned()
    } else if rate < 0.005 {
        "<0.01".to_owned()
    } else if rate < 9.995 {
        format!("{rate:.2}")
    } else if rate < 99.95 {
        format!("{rate:.1}")
    } else {
        // A float beyond u64 saturates, which no count over a nanosecond or more reaches by far.
        grouped(rate.round() as u64)
    }
}

/// `part` of `whole`: `25.3 %`; `–` of nothing. Only nothing is `0 %` and only all is `100 %`.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if part == 0 {
        "0 %".to_owned()
    } else if part >= whole {
        "100 %".to_owned()
    } else if percent < 0.05 {
        "<0.1 %".to_owned()
    } else if percent >= 99.95 {
        ">99.9 %".to_owned()
    } else {
        format!("{percent:.1} %")
    }
}

/// `999 B`, `715.0 MB`: powers of 1000.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        value /= 1000.0;
        unit = next;
        if value < 999.95 {
            break;
        }
    }
    format!("{value:.1} {unit}")
}

/// `950 ns`, `12.3 µs`, `5 s`, `1.24 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`: three digits, or
/// the two largest units.
pub fn duration(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    match nanos {
        0 => return "0 s".to_owned(),
        1..1_000 => return format!("{nanos} ns"),
        // The upper ends round to the next unit.
        1_000..999_500 => return three_digits(nanos as f64 / 1e3, "µs"),
        999_500..999_500_000 => return three_digits(nanos as f64 / 1e6, "ms"),
        999_500_000..59_950_000_000 => return three_digits(nanos as f64 / 1e9, "s"),
        _ => {}
    }
    // Rounded before the unit is chosen: 3,599.6 s is an hour, not 59 min 60 s.
    let seconds = nanos.saturating_add(SECOND / 2) / SECOND;
    if seconds < 3600 {
        return format!("{} min {} s", seconds / 60, seconds % 60);
    }
    let minutes = (seconds + 30) / 60;
    if minutes < 24 * 60 {
        return format!("{} h {} min", minutes / 60, minutes % 60);
    }
    let hours = (minutes + 30) / 60;
    format!("{} d {} h", hours / 24, hours % 24)
}

fn three_digits(value: f64, unit: &str) -> String {
    let decimals = match value {
        value if value.fract() == 0.0 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// `p50 120 µs  p99 1.5 ms  p99.9 2 ms  max 3 ms`; `–` if nothing was recorded.
pub fn percentiles(latency: &Percentiles) -> Cow<'static, str> {
    if latency.count == 0 {
        return "–".into();
    }
    let micros = |us: u64| duration(us.saturating_mul(1000));
    format!(
        "p50 {}  p99 {}  p99.9 {}  max {}",
        micros(latency.p50_us),
        micros(latency.p99_us),
        micros(latency.p999_us),
        micros(latency.max_us),
    )
    .into()
}

/// `12 behind the end of kafka://b/orders, by partition 0: 12, 3: 0`; for milliseconds the longest is said first.
pub fn lag(offsets: &SourceOffsets) -> String {
    let (mut records, mut longest) = (0, None);
    let mut parts = String::new();
    for part in &offsets.parts {
        let lag: Cow<'_, str> = match part.lag {
            Some(Lag::Records(count)) => {
                records += count;
                grouped(count).into()
            }
            Some(Lag::Millis(millis)) => {
                longest = longest.max(Some(millis));
                duration(millis.saturating_mul(1_000_000)).into()
            }
            None => "unknown".into(),
        };
        // Writing into a string cannot fail.
        write!(parts, ", {}: {lag}", part.part).ok();
    }
    let all = behind_in_all(records, longest);
    let name = escape(offsets.name.as_bytes());
    let kind = offsets
        .parts
        .first()
        .map_or("part", |part| part.part.kind());
    let parts = parts.trim_start_matches(", ");
    format!("{all} behind the end of {name}, by {kind} {parts}")
}

/// How far a source is behind its end: `1,212 behind`.
pub fn behind(offsets: &SourceOffsets) -> String {
    let (mut records, mut longest) = (0, None);
    for part in &offsets.parts {
        match part.lag {
            Some(Lag::Records(count)) => records += count,
            Some(Lag::Millis(millis)) => longest = longest.max(Some(millis)),
            None => {}
        }
    }
    format!("{} behind", behind_in_all(records, longest))
}

/// How far behind so many records are, or, where time is told, the longest.
pub(crate) fn behind_in_all(records: u64, longest_millis: Option<u64>) -> String {
    match longest_millis {
        Some(millis) => duration(millis.saturating_mul(1_000_000)),
        None => grouped(records),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(key: KeyRef<'_>, width_max: usize) -> String {
        let mut out = String::from("|");
        let columns = push_key(key, width_max, &mut out);
        assert_eq!(columns, width(&out[1..]), "{out}");
        out.split_off(1)
    }

    fn string(value: &str) -> String {
        key(KeyRef::string(value), 40)
    }

    #[test]
    fn nothing_drives_the_terminal() {
        let escaped = [
            ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
            ("\0\n\r\t\x7f", r"\x00\n\r\t\x7f"),
            ("\u{80}\u{9b}2J", r"\u{80}\u{9b}2J"),
            (
                "a\u{202e}b\u{2069}\u{200f}\u{61c}",
                r"a\u{202e}b\u{2069}\u{200f}\u{61c}",
            ),
            (
                "a\u{200b}\u{200d}\u{feff}\u{2060}",
                r"a\u{200b}\u{200d}\u{feff}\u{2060}",
            ),
            ("a\u{2028}\u{2029}\u{ad}", r"a\u{2028}\u{2029}\u{ad}"),
            ("\u{e0041}\u{e000}\u{3164}", r"\u{e0041}\u{e000}\u{3164}"),
            ("e\u{301}", "e\u{301}"),
            ("\u{301}e", r"\u{301}e"),
            ("東京 ❤\u{fe0f} \"ok\" C:\\x", "東京 ❤\u{fe0f} \"ok\" C:\\x"),
        ];
        for (text, expected) in escaped {
            assert_eq!(escape(text.as_bytes()), expected);
        }
        assert_eq!(escape(b"a\xff\xc3(\xe2\x82"), r"a\xff\xc3(\xe2\x82");
    }

    /// Named one by one, apart from how [`is_plain`] finds them.
    fn is_obeyed(c: char) -> bool {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    }

    #[test]
    fn no_character_slips_through() {
        for c in '\0'..=char::MAX {
            let mut text = String::from("a");
            text.push(c);
            let escaped = escape(text.as_bytes());
            assert!(!escaped.contains(is_obeyed), "{c:?}");
            let mut key = String::new();
            push_key(KeyRef::string(&text), 20, &mut key);
            assert!(!key.contains(is_obeyed), "{c:?}");
            assert!(!is_printable(c) || !is_obeyed(c), "{c:?}");
        }
    }

    #[test]
    fn samples_are_cut_between_pieces() {
        assert_eq!(sample(b"", 5), "");
        assert_eq!(sample(b"12345", 5), "12345");
        assert_eq!(sample(b"123456", 5), "1234…");
        assert_eq!(sample(b"123\x1b", 5), "123…");
        assert_eq!(sample(b"1\x1b", 5), r"1\x1b");
        assert_eq!(sample(b"1\x1b2", 5), "1…");
        assert_eq!(sample("日本日本日本".as_bytes(), 5), "日本日本…");
        assert_eq!(sample(b"12", 1), "…");
        assert_eq!(sample(b"12", 0), "");
        assert_eq!(sample(&[0xe2; 1 << 20], 6), r"\xe2…");
    }

    #[test]
    fn keys_of_different_types_look_different() {
        assert_eq!(key(KeyRef::number("1"), 9), "1");
        assert_eq!(key(KeyRef::null(), 9), "null");
        assert_eq!(key(KeyRef::boolean(false), 9), "false");
        for quoted in [
            "",
            "1",
            "-0",
            "1.5e+10",
            "0E-1",
            "null",
            "true",
            "false",
            " a",
            "a\u{3000}",
        ] {
            assert!(string(quoted).starts_with('"'), "{quoted}");
        }
        for bare in [
            "PLACED", "a b", "None", "1.", "-", "1e", "+1", ".5", "1 2", "01", "0x1", "a\"b", "…",
        ] {
            assert_eq!(string(bare), bare);
        }
        assert_eq!(string("\"1\""), r#""\"1\"""#);
        assert_eq!(string(" a\\\n"), r#"" a\\\n""#);
        assert_eq!(string(r"\x1b"), r"\\x1b");
        assert_eq!(string("\x1b"), r"\x1b");
    }

    #[test]
    fn keys_are_cut_to_their_width() {
        assert_eq!(key(KeyRef::string("PLACED"), 6), "PLACED");
        assert_eq!(key(KeyRef::string("PLACED"), 5), "PLAC…");
        assert_eq!(key(KeyRef::string("東京都庁"), 8), "東京都庁");
        assert_eq!(key(KeyRef::string("東京都庁"), 7), "東京都…");
        assert_eq!(key(KeyRef::string("東京都庁"), 6), "東京…");
        assert_eq!(key(KeyRef::string("12345"), 7), "\"12345\"");
        assert_eq!(key(KeyRef::string("12345"), 6), "\"1234…");
        assert_eq!(key(KeyRef::string("ab\x1b"), 5), "ab…");
        assert_eq!(key(KeyRef::string("ab"), 1), "…");
        assert_eq!(key(KeyRef::string("1"), 1), "…");
        assert_eq!(key(KeyRef::string("ab"), 0), "");
        assert_eq!(key(KeyRef::string(&"k".repeat(1 << 16)), 9), "kkkkkkkk…");
        let heap = format!("e{}", "\u{301}".repeat(1 << 16));
        assert!(key(KeyRef::string(&heap), 9).len() < 100);
    }

    #[test]
    fn figures() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        let second = 1_000_000_000;
        assert_eq!(per_second(0, second), "0");
        assert_eq!(per_second(1, 1000 * second), "<0.01");
        assert_eq!(per_second(1, 4 * second), "0.25");
        assert_eq!(per_second(9_999, 1000 * second), "10.0");
        assert_eq!(per_second(250, 5 * second), "50.0");
        assert_eq!(per_second(12_345, second), "12,345");
        assert_eq!(per_second(7, 0), "–");
        assert_eq!(share(0, 0), "–");
        assert_eq!(share(0, 9), "0 %");
        assert_eq!(share(9, 9), "100 %");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(1, 1_000_000), "<0.1 %");
        assert_eq!(share(999_999, 1_000_000), ">99.9 %");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "1.0 kB");
        assert_eq!(bytes(715_000_000), "715.0 MB");
        assert_eq!(bytes(999_950_000), "1.0 GB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }

    #[test]
    fn durations() {
        let cases = [
            (0, "0 s"),
            (950, "950 ns"),
            (12_340, "12.3 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (120_000_000, "120 ms"),
            (999_500_000, "1.00 s"),
            (1_240_000_000, "1.24 s"),
            (5_000_000_000, "5 s"),
            (59_949_000_000, "59.9 s"),
            (59_951_000_000, "1 min 0 s"),
            (200_000_000_000, "3 min 20 s"),
            (3_599_600_000_000, "1 h 0 min"),
            (7_500_000_000_000, "2 h 5 min"),
            (86_399_000_000_000, "1 d 0 h"),
            (273_600_000_000_000, "3 d 4 h"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(duration(nanos), expected);
        }
        assert_eq!(duration(u64::MAX), "213504 d 0 h");
    }

    proptest! {
        #[test]
        fn escaping_never_emits_what_a_terminal_obeys(bytes: Vec<u8>, text: String, max in 0..40usize) {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                prop_assert!(!escape(bytes).contains(is_obeyed));
                let sample = sample(bytes, max);
                prop_assert!(!sample.contains(is_obeyed));
                prop_assert!(sample.chars().count() <= max);
            }
            let mut out = String::new();
            let columns = push_key(KeyRef::string(&text), max, &mut out);
            prop_assert!(!out.contains(is_obeyed));
            prop_assert!(columns <= max && columns == width(&out), "{} {}", columns, out);
        }

        #[test]
        fn different_keys_look_different(a in ".{0,4}|[-0-9.e]{0,3}|[\\\\\"x1b\x1b ]{0,6}", b in ".{0,4}|[\\\\\"x1b\x1b ]{0,6}") {
            if a != b {
                prop_assert_ne!(key(KeyRef::string(&a), 200), key(KeyRef::string(&b), 200));
            }
        }
    }
}
