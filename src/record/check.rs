//! Checks that compare the parser with the oracle, for property tests and fuzz targets.
//!
//! Each takes whatever input there is and panics, with both answers, where the two differ.

use super::path::{KeyPath, Segment};
use super::{LineSink, Query, RecordParser, Verdict};
use crate::decimal::Decimal;
use crate::key::{Key, KeyRef};
use crate::ledger::Reason;
use crate::oracle::Oracle;

/// The line limit that [`check_line`] sets, and the longest record that [`check_path`] makes, in
/// bytes: low enough for a fuzzer to reach.
pub const LINE_BYTES_MAX: usize = 4096;

/// Checks the verdicts on one line: alone, and among others in a chunk.
///
/// # Panics
///
/// If the parser and the oracle differ.
pub fn check_line(query: &Query, line: &[u8]) {
    check_line_within(query, line, LINE_BYTES_MAX);
}

/// [`check_line`] with a line limit.
///
/// # Panics
///
/// If the parser and the oracle differ.
pub fn check_line_within(query: &Query, line: &[u8], max_line_bytes: usize) {
    let mut parser = RecordParser::new(query.clone(), max_line_bytes);
    let oracle = Oracle::new(query.clone(), max_line_bytes);
    let expected = oracle.verdict(line);
    let number = expected.is_ok().then(|| oracle.number(line)).flatten();
    let shown = || String::from_utf8_lossy(&line[..line.len().min(1000)]);
    let verdict = parser.line(line);
    if let Verdict::Timed(_, nanos) = verdict {
        let expected = oracle.time(line);
        assert_eq!(Some(nanos), expected, "times; by {query}; {}", shown());
    }
    let (got, summed) = owned(verdict);
    assert_eq!(got, expected, "parser, oracle; by {query}; {}", shown());
    let summed = summed.map(|number| number.to_string());
    assert_eq!(summed, number, "numbers; by {query}; {}", shown());

    if line.contains(&b'\n') {
        return;
    }
    // Neighbours that leave the buffers dirty: escapes, an unclosed string, a number too large.
    let before = b"{\"a\":\"\\u0061\\n\",\"b\":[1e999]}\n\"\\";
    let chunk = [&before[..], b"\n", line, b"\n", line].concat();
    let mut verdicts = Verdicts::default();
    let lines = parser.chunk(&chunk, &mut verdicts);
    let verdicts = verdicts.0;
    assert_eq!(lines, verdicts.len() as u64);
    assert_eq!(verdicts.len(), if line.is_empty() { 3 } else { 4 });
    for (verdict, cut) in &verdicts[2..] {
        assert_eq!(verdict, &expected, "in a chunk; by {query}; {}", shown());
        if let Some(cut) = cut {
            assert_eq!(cut, line, "the sink's line; by {query}");
        }
    }
}

/// Checks that a key path's text parses or fails without a panic, prints as something that parses
/// to the same path, and finds the value where the path says it is.
///
/// # Panics
///
/// If it does not.
pub fn check_path(text: &str) {
    let path = match KeyPath::parse(text) {
        Ok(path) => path,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n'), "{message:?}");
            return;
        }
    };
    let printed = path.to_string();
    let again = KeyPath::parse(&printed);
    assert_eq!(again.as_ref(), Ok(&path), "{text:?} printed as {printed:?}");
    for in_arrays in [false, true] {
        let Some(line) = record_with(&path, in_arrays) else {
            continue;
        };
        let mut parser = RecordParser::new(path.clone(), usize::MAX);
        let found = Verdict::Counted(KeyRef::string("found"));
        let shown = String::from_utf8_lossy(&line);
        assert_eq!(parser.line(&line), found, "{text:?} in {shown}");
        check_line_within(&path.clone().into(), &line, usize::MAX);
    }
}

/// The largest index that [`check_path`] makes an array for.
const INDEX_MAX: usize = 20;

/// A record in which the path leads to `"found"`, unless that would be too large. What can be a
/// name or an index is an index with `in_arrays`, except at the top.
fn record_with(path: &KeyPath, in_arrays: bool) -> Option<Vec<u8>> {
    let mut record = String::from("\"found\"");
    for (i, segment) in path.segments().iter().enumerate().rev() {
        let element = match segment {
            Segment::Index(index) => Some(*index),
            Segment::NameOrIndex(_, index) if in_arrays && i > 0 => Some(*index),
            Segment::Name(_) | Segment::NameOrIndex(..) => None,
        };
        record = match element {
            Some(index) if index > INDEX_MAX => return None,
            Some(index) => format!("[{}{record},1]", "[0],".repeat(index)),
            None => {
                let name = serde_json::Value::from(segment.name()?);
                format!("{{{name}:0, \"other\":{{}}, {name}:{record}}}")
            }
        };
        if path.segments().len() > super::DEPTH_MAX || record.len() > LINE_BYTES_MAX {
            return None;
        }
    }
    Some(record.into_bytes())
}

fn owned(verdict: Verdict<'_>) -> (Result<Key, Reason>, Option<Decimal>) {
    match verdict {
        Verdict::Counted(key) => (Ok(key.to_key()), None),
        Verdict::Summed(key, number) => (Ok(key.to_key()), number),
        Verdict::Timed(key, _) => (Ok(key.to_key()), None),
        Verdict::Dropped(reason) => (Err(reason), None),
    }
}

/// A line's verdict, and the line if it was dropped.
pub type Outcome = (Result<Key, Reason>, Option<Vec<u8>>);

/// A sink that keeps everything it is told, in order: verdicts, the numbers of records that are
/// summed, and the times of those that have one.
#[derive(Debug, Default)]
pub struct Verdicts(pub Vec<Outcome>, pub Vec<Option<Decimal>>, pub Vec<i64>);

impl LineSink for Verdicts {
    fn counted(&mut self, key: KeyRef<'_>) {
        self.0.push((Ok(key.to_key()), None));
    }

    fn summed(&mut self, key: KeyRef<'_>, number: Option<Decimal>) {
        self.counted(key);
        self.1.push(number);
    }

    fn timed(&mut self, key: KeyRef<'_>, nanos: i64) {
        self.counted(key);
        self.2.push(nanos);
    }

    fn dropped(&mut self, reason: Reason, line: &[u8]) {
        self.0.push((Err(reason), Some(line.to_vec())));
    }
}
