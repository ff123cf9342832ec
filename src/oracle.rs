//! The oracle: the slow, simple judge and counter that everything else is compared with.
//!
//! Tests, fuzz targets and `tallyline verify` feed it. It knows JSON through serde_json alone and
//! shares nothing with the parsers but the query, its paths' segments and how times are read; it goes over a record once per
//! nesting level, allocates freely and has no clever part. Its worth is that it can be read.
//!
//! serde_json's raw values are cut out without recursion, so no record can exhaust the stack here.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::NANOS_MAX;
use crate::key::{Key, KeyKind, KeyRef};
use crate::ledger::{Ledger, Reason};
use crate::record::condition::{Literal, Test};
use crate::record::{KeyPath, Query};

mod number;

pub use number::SlowSum;

/// How deep containers may nest, counted as the design does: `[]` is 1 deep.
const DEPTH_MAX: usize = 1024;

/// Judges lines one by one and counts whole streams.
#[derive(Clone, Debug)]
pub struct Oracle {
    query: Query,
    max_line_bytes: usize,
    /// Where the lines of all streams counted so far went.
    pub ledger: Ledger,
    /// How often each key was counted.
    pub counts: BTreeMap<Key, u64>,
    /// The sum of each key's numbers, if the query has a sum.
    pub sums: BTreeMap<Key, SlowSum>,
}

impl Oracle {
    /// An oracle that has counted nothing yet; lines of more than `max_line_bytes` are oversize.
    pub fn new(query: impl Into<Query>, max_line_bytes: usize) -> Self {
        Oracle {
            query: query.into(),
            max_line_bytes,
            ledger: Ledger::default(),
            counts: BTreeMap::new(),
            sums: BTreeMap::new(),
        }
    }

    /// The key a line (without its `\n`) is counted under.
    ///
    /// # Errors
    ///
    /// The reason why it is not counted.
    pub fn verdict(&self, line: &[u8]) -> Result<Key, Reason> {
        if line.len() > self.max_line_bytes {
            return Err(Reason::Oversize);
        }
        if line.iter().all(|byte| b" \t\r".contains(byte)) {
            return Err(Reason::Blank);
        }
        let text = std::str::from_utf8(line).map_err(|_| Reason::Malformed)?;
        let record: &RawValue = serde_json::from_str(text).map_err(|_| Reason::Malformed)?;
        check_insides(record)?;
        for (path, test) in self.query.conditions() {
            if !is_true(test, follow(record, path)) {
                return Err(Reason::Filtered);
            }
        }
        let mut parts = Vec::new();
        for path in self.query.by() {
            let value = follow(record, path).ok_or(Reason::Missing)?;
            parts.push(scalar(value)?.ok_or(Reason::Missing)?);
        }
        if self.query.time().is_some() && self.time(line).is_none() {
            return Err(Reason::Missing);
        }
        if let [key] = &*parts {
            return Ok(key.clone());
        }
        let mut bytes = Vec::new();
        for part in parts {
            part.as_ref().push_part(&mut bytes);
        }
        Ok(KeyRef::composite(&bytes).to_key())
    }

    /// The time of a valid line, in nanoseconds since the epoch, if the query has one and the line too.
    pub fn time(&self, line: &[u8]) -> Option<i64> {
        let record: &RawValue = serde_json::from_slice(line).ok()?;
        let (path, format) = self.query.time()?;
        let time = scalar(follow(record, path)?).ok()??;
        let nanos = format.nanos(time.as_ref())?;
        (nanos.unsigned_abs() <= NANOS_MAX as u64).then_some(nanos)
    }

    /// The number that a line, which is counted, adds under its key, in full; none if it has none.
    pub fn number(&self, line: &[u8]) -> Option<String> {
        self.addend(line).map(|number| number.to_string())
    }

    /// Whether a line, which is counted, should have had a number to add and has none.
    pub fn lacks_number(&self, line: &[u8]) -> bool {
        self.query.sum().is_some() && self.addend(line).is_none()
    }

    fn addend(&self, line: &[u8]) -> Option<SlowSum> {
        let record: &RawValue = serde_json::from_slice(line).ok()?;
        let value = follow(record, self.query.sum()?)?.get();
        let is_number = value.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        is_number.then(|| SlowSum::parse(value)).flatten()
    }

    /// Counts a whole finite stream: a byte order mark at its start is skipped, and its last line
    /// may lack the `\n`.
    pub fn count(&mut self, stream: &[u8]) {
        let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
        for line in stream.split_inclusive(|&byte| byte == b'\n') {
            self.count_line(line.strip_suffix(b"\n").unwrap_or(line));
        }
    }

    fn count_line(&mut self, line: &[u8]) {
        self.ledger.lines += 1;
        match self.verdict(line) {
            Ok(key) => {
                self.ledger.counted += 1;
                *self.counts.entry(key.clone()).or_default() += 1;
                if self.query.sum().is_some() {
                    self.add(key, line);
                }
            }
            Err(reason) => self.ledger.drop_line(reason),
        }
    }

    /// Adds the number of a line that is counted under `key`.
    fn add(&mut self, key: Key, line: &[u8]) {
        let number = self.addend(line);
        let sum = self.sums.entry(key).or_default();
        match number {
            Some(number) => sum.add(&number),
            None => self.ledger.unsummed += 1,
        }
    }
}

/// The counting of streams that are too long for memory.
impl Oracle {
    /// As [`Oracle::count`], line by line; of a line that is too long no more is kept than shows that.
    ///
    /// # Errors
    /// What the stream answers.
    pub fn count_stream(&mut self, stream: &mut dyn BufRead) -> io::Result<()> {
        let kept_bytes_max = self.max_line_bytes as u64 + 8;
        let mut is_first = true;
        let mut line = Vec::new();
        loop {
            line.clear();
            if stream.take(kept_bytes_max).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if line.last() != Some(&b'\n') {
                stream.skip_until(b'\n')?;
            }
            // Only the beginning of a stream has a mark to skip.
            match std::mem::take(&mut is_first) {
                true => self.count(&line),
                false => self.count_line(line.strip_suffix(b"\n").unwrap_or(&line)),
            }
        }
    }
}

/// An object's members as they stand, duplicates and all.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// What a raw value is, one level deep.
enum Shape<'a> {
    Object(Vec<(String, &'a RawValue)>),
    Array(Vec<&'a RawValue>),
    Scalar(Key),
}

/// Reads one level of a value. serde_json has checked its syntax when the raw value was cut out;
/// what it finds only now is a string that is no Unicode.
fn shape(value: &RawValue) -> Result<Shape<'_>, Reason> {
    let text = value.get();
    let malformed = |_| Reason::Malformed;
    let literal = |kind| {
        let bytes: &[u8] = if kind == KeyKind::Number {
            text.as_bytes()
        } else {
            b""
        };
        Shape::Scalar(KeyRef { kind, bytes }.to_key())
    };
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(malformed)?;
            Shape::Object(members)
        }
        Some(b'[') => Shape::Array(serde_json::from_str(text).map_err(malformed)?),
        Some(b'"') => {
            let value: String = serde_json::from_str(text).map_err(malformed)?;
            Shape::Scalar(KeyRef::string(&value).to_key())
        }
        Some(b'n') => literal(KeyKind::Null),
        Some(b'f') => literal(KeyKind::False),
        Some(b't') => literal(KeyKind::True),
        _ => literal(KeyKind::Number),
    })
}

/// Checks what cutting a raw value out does not: depth, and every string and name.
fn check_insides(record: &RawValue) -> Result<(), Reason> {
    let mut waiting = vec![(record, 1)];
    while let Some((value, depth)) = waiting.pop() {
        let children: Vec<&RawValue> = match shape(value)? {
            Shape::Object(members) => members.into_iter().map(|(_, value)| value).collect(),
            Shape::Array(elements) => elements,
            Shape::Scalar(_) => continue,
        };
        if depth > DEPTH_MAX {
            return Err(Reason::Malformed);
        }
        waiting.extend(children.into_iter().map(|child| (child, depth + 1)));
    }
    Ok(())
}

/// The value the path leads to, from an object at the top.
fn follow<'a>(record: &'a RawValue, path: &KeyPath) -> Option<&'a RawValue> {
    if !record.get().starts_with('{') {
        return None;
    }
    let mut value = record;
    for segment in path.segments() {
        value = match shape(value).ok()? {
            Shape::Object(members) => {
                let name = segment.name()?;
                let last = members.into_iter().rfind(|(member, _)| member == name);
                last?.1
            }
            Shape::Array(elements) => *elements.get(segment.index()?)?,
            Shape::Scalar(_) => return None,
        };
    }
    Some(value)
}

/// Whether a condition's test is true of what stands at its path.
fn is_true(test: &Test, value: Option<&RawValue>) -> bool {
    match test {
        Test::Exists => value.is_some(),
        Test::Equal(literal) => value.is_some_and(|value| is_equal(literal, value)),
        Test::NotEqual(literal) => !is_true(&Test::Equal(literal.clone()), value),
    }
}

fn is_equal(literal: &Literal, value: &RawValue) -> bool {
    match shape(value) {
        Ok(Shape::Scalar(key)) => match key.as_ref() {
            KeyRef {
                kind: KeyKind::String,
                bytes,
            } => literal.text().as_bytes() == bytes,
            KeyRef {
                kind: KeyKind::Number,
                ..
            } => {
                literal.bare() == Some(KeyKind::Number)
                    && number::is_same(literal.text(), value.get())
            }
            key => literal.bare() == Some(key.kind),
        },
        _ => false,
    }
}

/// The value as a key; none for a container.
fn scalar(value: &RawValue) -> Result<Option<Key>, Reason> {
    Ok(match shape(value)? {
        Shape::Scalar(key) => Some(key),
        Shape::Object(_) | Shape::Array(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oracle(path: &str) -> Oracle {
        Oracle::new(KeyPath::parse(path).expect("a key path"), 100)
    }

    #[test]
    fn verdicts_are_the_design_s() {
        use Reason::*;
        let string = |text| Ok(KeyRef::string(text).to_key());
        let cases: &[(&str, Result<Key, Reason>)] = &[
            (r#"{"a":"x"}"#, string("x")),
            (r#"{"\u0061":"\ud83d\ude00"}"#, string("😀")),
            (r#"{"a":1,"a":"y"}"#, string("y")),
            (
                r#"{"a":-0.10e+400}"#,
                Ok(KeyRef::number("-0.10e+400").to_key()),
            ),
            (r#"{"a":true}"#, Ok(KeyRef::boolean(true).to_key())),
            (r#"{"a":null}"#, Ok(KeyRef::null().to_key())),
            (r#"{"a":{}}"#, Err(Missing)),
            (r#"{"a":"x","a":[]}"#, Err(Missing)),
            (r#"{"b":"x"}"#, Err(Missing)),
            (r#"{"b":{"a":1}}"#, Err(Missing)),
            (r#""a""#, Err(Missing)),
            (r#"{"a":"x","b":"\udc00"}"#, Err(Malformed)),
            (r#"{"a":"x"} 1"#, Err(Malformed)),
            (r#"{"a":01}"#, Err(Malformed)),
            ("\u{feff}{\"a\":1}", Err(Malformed)),
            (" \t\r", Err(Blank)),
            ("", Err(Blank)),
        ];
        for (line, verdict) in cases {
            assert_eq!(oracle("a").verdict(line.as_bytes()), *verdict, "{line}");
        }
        assert_eq!(oracle("a").verdict(&[b' '; 101]), Err(Oversize));
    }

    #[test]
    fn depth_is_counted_from_the_top() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        let verdict = |line: String| {
            Oracle::new(KeyPath::parse("a").expect("a key path"), usize::MAX)
                .verdict(line.as_bytes())
        };
        assert_eq!(verdict(nested(1024)), Err(Reason::Missing));
        assert_eq!(verdict(nested(1025)), Err(Reason::Malformed));
        assert_eq!(verdict(nested(20_000)), Err(Reason::Malformed));
    }

    #[test]
    fn streams_are_cut_at_newlines() {
        let mut oracle = oracle("a");
        oracle.count(b"\xEF\xBB\xBF{\"a\":1}\r\n\n{\"a\":1}\n{\"b\":1}\nx");
        oracle.count(b"");
        oracle.count(b"{\"a\":2}\n");
        let ledger = Ledger {
            lines: 6,
            counted: 3,
            missing: 1,
            malformed: 1,
            blank: 1,
            ..Ledger::default()
        };
        assert_eq!(oracle.ledger, ledger);
        assert!(oracle.ledger.is_balanced());
        let counts: Vec<_> = oracle.counts.values().copied().collect();
        assert_eq!(counts, [2, 1]);
    }
}
