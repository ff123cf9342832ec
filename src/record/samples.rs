//! Records to test with: hand-written corner cases, random records and random damage.
//!
//! For unit tests, integration tests and the seeds of fuzz targets. Everything comes from the
//! generator that is passed in, so a seed gives the same bytes every time.

use fastrand::Rng;

use super::time::TimeFormat;
use super::{Condition, KeyPath, Query};

/// Key paths that the samples have values for.
pub const PATHS: [&str; 8] = [
    "status",
    "a",
    "a.b",
    "/a/0",
    "a[1].b",
    "[\"a.b\"]",
    "[\"\"]",
    "/0/a~1b",
];

/// Queries of every kind over those paths: what is counted by, the conditions, and what is summed. Those
/// with a condition or a sum alone come first, behind the plain ones.
const QUERIES: [(&[&str], &[&str], Option<&str>); 16] = [
    (&["status"], &["a"], None),
    (&["status"], &["a!=1"], None),
    (&["status"], &[], Some("a")),
    (&["status", "a"], &[], None),
    (&["a", "a.b"], &[], None),
    (&["a.b", "a"], &["a"], Some("a.b")),
    (&["/a/0", "a[1].b", "/a/1"], &[], None),
    (&["/0", "status"], &["[\"\"]"], Some("/0/a~1b")),
    (&["status", "status"], &["status!=PLACED"], Some("status")),
    (&["status"], &["status=PLACED"], None),
    (&["status"], &["a=\"1\"", "b!=null"], None),
    (&["a"], &["status=1e5"], Some("a")),
    (&["a"], &["a.b!=true", "a[1].b!=false", "b"], Some("b")),
    (&["[\"a.b\"]"], &["[\"\"]=status"], Some("[\"\"]")),
    (&["0", "/0", "b"], &[], None),
    (
        &["a", "b", "status", "order_id"],
        &["nowhere!=x"],
        Some("a"),
    ),
];

/// Queries to test with: plain counts by each of [`PATHS`], then others.
///
/// # Panics
/// Never: they are valid.
pub fn queries() -> Vec<Query> {
    let plain = PATHS.iter().map(|path| query(&[path], &[], None));
    let others = QUERIES.map(|(by, conditions, sum)| query(by, conditions, sum));
    let timed = [("status", "a"), ("a", "order_id"), ("b", "b")].map(|(by, time)| {
        let time = KeyPath::parse(time).expect("a key path");
        let query = query(&[by], &[], None).with_time(time, TimeFormat::Auto);
        query.expect("a query of few fields")
    });
    plain.chain(others).chain(timed).collect()
}

/// A query, from the texts of its flags.
///
/// # Panics
/// If one of them is wrong.
pub fn query(by: &[&str], conditions: &[&str], sum: Option<&str>) -> Query {
    let path = |text: &&str| KeyPath::parse(text).expect("a key path");
    let condition = |text: &&str| Condition::parse(text).expect("a condition");
    let by = by.iter().map(path).collect();
    let conditions = conditions.iter().map(condition).collect();
    Query::new(by, conditions, sum.as_ref().map(path)).expect("a query of few fields")
}

const NAMES: [&str; 14] = [
    "status",
    "st\\u0061tus",
    "a",
    "\\u0061",
    "b",
    "a.b",
    "",
    "0",
    "1",
    "a/b",
    "a\\/b",
    "order_id",
    "\\ud83d\\ude00",
    "größe",
];

const STRINGS: [&str; 20] = [
    "",
    "PLACED",
    "SHIPPED",
    "status",
    "ü€😀",
    "\\\"\\\\\\/\\b\\f\\n\\r\\t",
    "\\u0000",
    "\\u00e9\\u20AC\\uD83D\\uDE00",
    "\\ud7ff\\ue000\\uffff",
    "a string that is longer than one block of sixty-four bytes, so that it crosses its border",
    "{\\\"status\\\":1}",
    "},{",
    "\u{7f}\u{80}\u{2028}\u{feff}",
    "1",
    "null",
    // No Unicode, or no JSON.
    "\\ud800",
    "\\udc00\\ud800",
    "\\ud800\\ud800\\udc00",
    "\\x",
    "\\u12g4",
];

const NUMBERS: [&str; 25] = [
    "0",
    "-0",
    "1",
    "-12",
    "1.0",
    "0.10",
    "1e5",
    "1E+05",
    "-1.5e-3",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890.5",
    "1e400",
    "-1e-400",
    "-1.5e-66666666666666666666",
    "0.000000000000000000000000000000000000000000001e1",
    "1e99999999999999999999",
    // Not by the grammar.
    "01",
    "1.",
    ".5",
    "+1",
    "1e",
    "--1",
];

/// Lines written by hand: every kind of corner, without the very long ones.
pub fn corner_cases() -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for text in CORNERS {
        lines.push(text.to_vec());
    }
    for string in STRINGS.iter().chain(&NAMES) {
        lines.push(format!(r#"{{"status":"{string}"}}"#).into_bytes());
        lines.push(format!(r#"{{"status":"x","{string}":1}}"#).into_bytes());
    }
    for number in NUMBERS {
        lines.push(number.as_bytes().to_vec());
        lines.push(format!(r#"{{"status":{number}}}"#).into_bytes());
        lines.push(format!(r#"{{"n":[1e999,{number} ], "status" : "x" }}"#).into_bytes());
    }
    for byte in 0..=u8::MAX {
        // Each byte in a string, between tokens, behind a token, behind a backslash.
        lines.push([b"{\"status\":\"x", &[byte][..], b"y\"}"].concat());
        lines.push([b"{\"status\":", &[byte][..], b"1,\"a\":true}"].concat());
        lines.push([b"{\"a\":true,\"status\":1", &[byte][..], b"}"].concat());
        lines.push([b"{\"status\":\"\\", &[byte][..], b"1234\"}"].concat());
        lines.push(vec![byte]);
    }
    for bytes in INVALID_UTF8 {
        lines.push([&b"{\"status\":\""[..], bytes, b"\"}"].concat());
        lines.push([&b"{\""[..], bytes, b"\":1,\"status\":2}"].concat());
        lines.push([&b"{\"status\":1}"[..], bytes].concat());
    }
    for depth in [1, 2, 1023, 1024, 1025, 3000] {
        lines.push(nested(depth, "[", "]"));
        lines.push(nested(depth, "{\"a\":", "}"));
        lines.push("[".repeat(depth).into_bytes());
    }
    lines
}

/// `depth` containers around each other, and a number in the innermost.
pub fn nested(depth: usize, open: &str, close: &str) -> Vec<u8> {
    (open.repeat(depth) + "1" + &close.repeat(depth)).into_bytes()
}

const CORNERS: [&[u8]; 61] = [
    b"",
    b" ",
    b"\t\r ",
    b"\r",
    b"{}",
    b"[]",
    b" { } \r",
    b"{\"status\":\"PLACED\"}",
    b"{\"status\":\"PLACED\"}\r",
    b"\t{ \"status\"\t:\r\"PLACED\" } ",
    b"{\"status\":true}",
    b"{\"status\":false}",
    b"{\"status\":null}",
    b"{\"status\":{}}",
    b"{\"status\":[]}",
    b"{\"status\":[\"x\"]}",
    b"{\"Status\":1}",
    b"{\"a\":{\"status\":1}}",
    b"{\"status\":1,\"a\":{\"status\":2}}",
    b"{\"status\":1,\"status\":2}",
    b"{\"status\":1,\"st\\u0061tus\":\"x\"}",
    b"{\"status\":1,\"status\":[]}",
    b"{\"status\":[],\"status\":1}",
    b"{\"a\":{\"b\":1},\"a\":5}",
    b"{\"a\":5,\"a\":{\"b\":1,\"b\":2}}",
    b"{\"a\":[1,2]}",
    b"{\"a\":{\"0\":1,\"1\":2}}",
    b"{\"a\":[0,{\"b\":\"x\"},3]}",
    b"{\"a\":[0]}",
    b"{\"a.b\":1}",
    b"{\"\":1}",
    b"{\"0\":{\"a/b\":1}}",
    b"[{\"status\":1}]",
    b"[[1]]",
    b"\"status\"",
    b"1",
    b"true",
    b"nul",
    b"nulll",
    b"null x",
    b"True",
    b"NaN",
    b"1 2",
    b"{} {}",
    b"{\"status\":1}}",
    b"{\"status\":1",
    b"{\"status\":1,}",
    b"{\"status\":1,,\"a\":2}",
    b"{,\"status\":1}",
    b"{\"status\"}",
    b"{\"status\":}",
    b"{\"status\" 1}",
    b"{status:1}",
    b"{'status':1}",
    b"{\"status\":\"x}",
    b"{\"status\":\"x\\\"}",
    b"[1,]",
    b"[1}",
    b"{\"status\":1]",
    b"{\"status\":1}//c",
    b"\xEF\xBB\xBF{\"status\":1}",
];

const INVALID_UTF8: [&[u8]; 14] = [
    b"\x80",
    b"\xBF\xBF",
    b"\xC0\x80",
    b"\xC1\xBF",
    b"\xC3",
    b"\xC3\x28",
    b"\xE0\x80\x80",
    b"\xE2\x82",
    b"\xED\xA0\x80",
    b"\xED\xBF\xBF",
    b"\xF0\x80\x80\x80",
    b"\xF0\x9F\x98",
    b"\xF4\x90\x80\x80",
    b"\xFF\xFE",
];

/// A random record: mostly valid, with values for [`PATHS`] more often than not.
pub fn record(rng: &mut Rng) -> Vec<u8> {
    let mut out = String::new();
    if rng.u8(..16) == 0 {
        value(rng, &mut out, 0);
    } else {
        object(rng, &mut out, 0);
    }
    space(rng, &mut out);
    out.into_bytes()
}

fn object(rng: &mut Rng, out: &mut String, depth: usize) {
    out.push('{');
    let members = rng.usize(..6);
    for i in 0..members {
        if i > 0 {
            out.push(',');
        }
        space(rng, out);
        let name = NAMES[rng.usize(..NAMES.len())];
        out.extend(["\"", name, "\""]);
        space(rng, out);
        out.push(':');
        value(rng, out, depth + 1);
    }
    space(rng, out);
    out.push('}');
}

fn array(rng: &mut Rng, out: &mut String, depth: usize) {
    out.push('[');
    let elements = rng.usize(..5);
    for i in 0..elements {
        if i > 0 {
            out.push(',');
        }
        value(rng, out, depth + 1);
    }
    out.push(']');
}

fn value(rng: &mut Rng, out: &mut String, depth: usize) {
    space(rng, out);
    // Of each list's invalid tail only now and then, or no record of some size would be valid.
    let valid = rng.u8(..32) > 0;
    match rng.u8(if depth > 6 { 0..9 } else { 0..13 }) {
        0 => out.push_str("null"),
        1 => out.push_str("true"),
        2 => out.push_str("false"),
        3..=5 => {
            let count = if valid { 18 } else { NUMBERS.len() };
            out.push_str(NUMBERS[rng.usize(..count)]);
        }
        6..=8 => {
            let count = if valid { 15 } else { STRINGS.len() };
            out.extend(["\"", STRINGS[rng.usize(..count)], "\""]);
        }
        9 | 10 => object(rng, out, depth),
        _ => array(rng, out, depth),
    }
    space(rng, out);
}

fn space(rng: &mut Rng, out: &mut String) {
    if rng.u8(..8) == 0 {
        let blanks = [" ", "\t", "\r", "   ", " \r"];
        out.push_str(blanks[rng.usize(..blanks.len())]);
    }
}

/// Damages a line: flips, inserts, deletes, cuts or repeats bytes. Puts no `\n` in.
pub fn mutate(rng: &mut Rng, line: &mut Vec<u8>) {
    const MARKS: &[u8] = b"{}[],:\"\\ \t\r0123456789-+.eEutfn\x00\x1f\x7f\x80\xc3\xed\xff";
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=line.len());
        let end = rng.usize(at..=line.len()).min(at + 16);
        let mark = MARKS[rng.usize(..MARKS.len())];
        match rng.u8(..7) {
            0 if at < line.len() => line[at] ^= 1 << rng.u8(..8),
            1 if at < line.len() => line[at] = mark,
            2 => line.insert(at, mark),
            3 => drop(line.drain(at..end)),
            4 => line.truncate(at),
            5 => {
                let part = line[at..end].to_vec();
                let to = rng.usize(..=line.len());
                line.splice(to..to, part);
            }
            _ => {
                let other = record(rng);
                line.truncate(at);
                line.extend_from_slice(&other[rng.usize(..=other.len())..]);
            }
        }
    }
    line.retain(|&byte| byte != b'\n');
}
