//! Lines that a counter must not count: not JSON at all, or JSON without the key.
//!
//! Each is made from a good record of the stream's shape, so that bad lines are about as long as good ones and hide
//! among them. None contains a newline before its last byte, none is blank.

use super::Placed;

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed,
    Missing,
}

/// The longest that a line grows by being spoiled.
const GROWTH_MAX: usize = 32;

/// Replaces the good record at the start of `room` by a bad one and returns its length, newline included. `word`
/// decides on the kind and its details; `scratch` is overwritten.
#[cold]
pub(crate) fn spoil(
    fault: Fault,
    room: &mut [u8],
    placed: &Placed,
    word: u32,
    scratch: &mut Vec<u8>,
) -> usize {
    let record = &room[..placed.len - 1];
    scratch.clear();
    match fault {
        Fault::Malformed => malformed(record, placed.key_at, word, scratch),
        Fault::Missing => missing(record, placed.key_at, word, scratch),
    }
    scratch.push(b'\n');
    assert!(
        scratch.len() <= placed.len + GROWTH_MAX,
        "{} bytes from {}",
        scratch.len(),
        placed.len
    );
    room[..scratch.len()].copy_from_slice(scratch);
    scratch.len()
}

/// The parts of a record around its key: `…"status": "`, `PLACED`, `"…`.
fn parts(record: &[u8], key_at: usize) -> (&[u8], &[u8], &[u8]) {
    let key_len = record[key_at..]
        .iter()
        .position(|&byte| byte == b'"')
        .expect("the key is quoted");
    (
        &record[..key_at],
        &record[key_at..key_at + key_len],
        &record[key_at + key_len..],
    )
}

fn malformed(record: &[u8], key_at: usize, word: u32, out: &mut Vec<u8>) {
    let (before, key, after) = parts(record, key_at);
    let detail = word / 16;
    let mut join = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    match word % 10 {
        // Cut anywhere, as by a writer that died: the closing brace at least is gone.
        0 => join(&[&record[..1 + detail as usize % (record.len() - 1)]]),
        1 => {
            let words: [&[u8]; 5] = [
                b"PLACED",
                b"NaN",
                b"undefined",
                b"status=PLACED",
                b"ERROR order service timed out",
            ];
            join(&[words[detail as usize % words.len()]]);
        }
        // The opening or the closing quote of the value is missing.
        2 if detail.is_multiple_of(2) => join(&[&before[..before.len() - 1], key, after]),
        2 => join(&[before, key, &after[1..]]),
        // No UTF-8: a byte that never occurs, a head without its continuation, a continuation without its head.
        3 => join(&[
            before,
            &[[0xFF, 0xC3, 0x80][detail as usize % 3]],
            &key[1..],
            after,
        ]),
        4 => join(&[&record[..record.len() - 1], b",}"]),
        // A raw control character in a string.
        5 => join(&[
            before,
            &[[0x00, 0x01, b'\t', 0x1F][detail as usize % 4]],
            &key[1..],
            after,
        ]),
        // Something behind the record.
        6 => join(&[record, b" {}"]),
        // Half of a surrogate pair.
        7 => join(&[before, br"\ud83d", key, after]),
        // A number with a leading zero as the value.
        8 => join(&[&before[..before.len() - 1], b"017", &after[1..]]),
        _ => join(&[&before[..before.len() - 1], b"'", key, b"'", &after[1..]]),
    }
}

fn missing(record: &[u8], key_at: usize, word: u32, out: &mut Vec<u8>) {
    let (before, key, after) = parts(record, key_at);
    let name_at = before.len() - r#"status": ""#.len();
    let detail = word / 16;
    let mut join = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    match word % 7 {
        // Another member name of the same length.
        0 => {
            let names: [&[u8]; 3] = [b"Status", b"state_", b"statu\xC3\x9F"];
            join(&[
                &before[..name_at],
                names[detail as usize % 3],
                &before[name_at + 6..],
                key,
                after,
            ]);
        }
        1 => join(&[
            &before[..before.len() - 1],
            br#"{"status": ""#,
            key,
            b"\"}",
            &after[1..],
        ]),
        2 => join(&[
            &before[..before.len() - 1],
            b"[\"",
            key,
            b"\"]",
            &after[1..],
        ]),
        3 => join(&[b"[", record, b"]"]),
        4 => {
            let scalars: [&[u8]; 5] = [br#""status""#, b"17", b"-0.5e3", b"true", b"null"];
            join(&[scalars[detail as usize % scalars.len()]]);
        }
        5 => join(&[b"{}"]),
        _ => join(&[br#"{"order": "#, record, b"}"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::keys::cells;
    use crate::mix::Words;
    use crate::record::Layout;
    use crate::record::order::Order;
    use crate::record::wide::Wide;

    fn spoiled<L: Layout>(layout: &L, fault: Fault, check: fn(&[u8]) -> bool) {
        let cell = cells(1)[0];
        for word in 0..5_000 {
            let mut room = vec![0; L::ROOM];
            let placed = layout.put(&mut room, Words::of(1, u64::from(word)), &cell);
            let len = spoil(fault, &mut room, &placed, word, &mut Vec::new());
            let line = &room[..len - 1];
            assert_eq!(room[len - 1], b'\n');
            assert!(!line.contains(&b'\n') && !line.trim_ascii().is_empty());
            assert!(check(line), "{fault:?} {word}: {}", line.escape_ascii());
        }
    }

    #[test]
    fn malformed_lines_are_not_json() {
        let check = |line: &[u8]| serde_json::from_slice::<Value>(line).is_err();
        spoiled(&Order, Fault::Malformed, check);
        spoiled(&Wide::new(), Fault::Malformed, check);
    }

    #[test]
    fn missing_lines_are_json_without_a_scalar_status() {
        let check = |line: &[u8]| match serde_json::from_slice::<Value>(line) {
            Ok(value) => value
                .get("status")
                .is_none_or(|status| status.is_object() || status.is_array()),
            Err(_) => false,
        };
        spoiled(&Order, Fault::Missing, check);
        spoiled(&Wide::new(), Fault::Missing, check);
    }
}
