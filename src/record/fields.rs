//! The fields of a record: what there is to count by, for somebody who asked for what is not there.
//!
//! Reads the head of a line, as samples keep it: a record may be cut off anywhere, and what stands before
//! that is found. Nothing is judged here; the head of a malformed line has the fields before its fault.
//! Bounded: so many fields, objects within objects so deep, of an array its first element.

use super::path::{KeyPath, Segment};

/// Fields of one record that are told of.
const FIELDS_MAX: usize = 64;

/// Steps of a path that is told of.
const STEPS_MAX: usize = 6;

/// A member, or an array's first element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it stands.
    pub path: KeyPath,
    /// What stands there, as it is written; `None`: an object or an array.
    pub scalar: Option<Box<str>>,
}

impl Field {
    /// Whether there is something to count by, rather than an object or an array.
    pub fn is_scalar(&self) -> bool {
        self.scalar.is_some()
    }

    /// Whether a path leads here; a JSON Pointer's number is a name or an index.
    pub fn is_at(&self, path: &KeyPath) -> bool {
        let (path, field) = (path.segments(), self.path.segments());
        let is_same = |(asked, found): (&Segment, &Segment)| match found {
            Segment::Index(index) => asked.index() == Some(*index),
            Segment::Name(name) | Segment::NameOrIndex(name, _) => asked.name() == Some(name),
        };
        path.len() == field.len() && path.iter().zip(field).all(is_same)
    }
}

/// The fields of a record that begins so, in their order.
pub fn fields(head: &[u8]) -> Vec<Field> {
    let mut scan = Scan {
        rest: head,
        path: Vec::new(),
        fields: Vec::new(),
    };
    // Where the head ends, or is no JSON, there is nothing more to find.
    if scan.peek() == Some(b'{') {
        let _end: Option<()> = scan.value();
    }
    scan.fields
}

struct Scan<'a> {
    rest: &'a [u8],
    path: Vec<Segment>,
    fields: Vec<Field>,
}

impl<'a> Scan<'a> {
    /// The next byte that is no white space; it stays.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    /// Takes the next byte, if it is this one.
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.rest = &self.rest[1..])
    }

    /// A value, with what is in it.
    fn value(&mut self) -> Option<()> {
        let first = self.peek()?;
        let is_container = matches!(first, b'{' | b'[');
        if is_container {
            self.found(None);
        }
        match first {
            _ if is_container && self.path.len() >= STEPS_MAX => self.skip(),
            b'{' => self.object(),
            b'[' => self.array(),
            _ => {
                let scalar = self.scalar()?;
                self.found(Some(scalar));
                Some(())
            }
        }
    }

    fn found(&mut self, scalar: Option<&[u8]>) {
        if !self.path.is_empty() && self.fields.len() < FIELDS_MAX {
            let path = KeyPath::of(self.path.clone());
            let scalar = scalar.map(|text| String::from_utf8_lossy(text).into());
            self.fields.push(Field { path, scalar });
        }
    }

    fn object(&mut self) -> Option<()> {
        self.take(b'{')?;
        while self.peek()? != b'}' {
            let name: String = serde_json::from_slice(self.string()?).ok()?;
            self.take(b':')?;
            self.path.push(Segment::Name(name.into()));
            self.value()?;
            self.path.pop();
            if self.peek()? != b'}' {
                self.take(b',')?;
            }
        }
        self.take(b'}')
    }

    fn array(&mut self) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? != b']' {
            self.path.push(Segment::Index(0));
            self.value()?;
            self.path.pop();
        }
        while self.peek()? != b']' {
            self.take(b',')?;
            self.skip()?;
        }
        self.take(b']')
    }

    /// Passes over a value, however deep.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            match self.peek()? {
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' | b':' if depth > 0 => {}
                _ => {
                    self.scalar()?;
                    if depth == 0 {
                        return Some(());
                    }
                    continue;
                }
            }
            self.rest = &self.rest[1..];
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// A string, a number or a literal, to its end.
    fn scalar(&mut self) -> Option<&'a [u8]> {
        if self.peek()? == b'"' {
            return self.string();
        }
        let is_end = |byte: &u8| !matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'-' | b'.');
        let end = self.rest.iter().position(is_end)?;
        let (scalar, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!scalar.is_empty()).then_some(scalar)
    }

    /// A string with its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        if self.peek()? != b'"' {
            return None;
        }
        let mut end = 1;
        loop {
            match self.rest.get(end)? {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let (string, rest) = self.rest.split_at(end + 1);
        self.rest = rest;
        Some(string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(head: &str) -> Vec<String> {
        let shown = |field: Field| match field.is_scalar() {
            true => field.path.to_string(),
            false => format!("({})", field.path),
        };
        fields(head.as_bytes()).into_iter().map(shown).collect()
    }

    #[test]
    fn members_and_first_elements_are_found() {
        let record =
            r#"{"a": 1, "b": {"c": "x\"y", "d.e": null}, "f": [{"g": true}, {"h": 0}], "i": []}"#;
        assert_eq!(
            shown(record),
            [
                "a",
                "(b)",
                "b.c",
                r#"b["d.e"]"#,
                "(f)",
                "(f[0])",
                "f[0].g",
                "(i)"
            ]
        );
    }

    #[test]
    fn scalars_are_as_they_are_written() {
        let record = br#"{"a": "st\u0061r", "b": 1.50, "c": null, "d": {"e": true}}"#;
        let scalars = fields(record).into_iter().map(|field| field.scalar);
        let scalars: Vec<Option<Box<str>>> = scalars.collect();
        let wanted = [
            Some(r#""st\u0061r""#),
            Some("1.50"),
            Some("null"),
            None,
            Some("true"),
        ];
        assert_eq!(scalars, wanted.map(|text| text.map(Into::into)));
    }

    #[test]
    fn a_head_has_the_fields_before_its_end() {
        let record = r#"{"st\u0061tus":"PLACED","n":{"x":1.5e3},"rest":"abc"}"#;
        let whole = shown(record);
        assert_eq!(whole, ["status", "(n)", "n.x", "rest"]);
        for end in 0..record.len() {
            let some = shown(&record[..end]);
            assert!(whole.starts_with(&some), "{some:?}");
        }
    }

    #[test]
    fn what_is_no_object_has_none() {
        for head in [
            "",
            "[{\"a\":1}]",
            "1",
            "null",
            "not JSON",
            "{",
            "{1:2}",
            "{\"a\"",
            "{\"a\":}",
        ] {
            assert_eq!(shown(head), Vec::<String>::new(), "{head}");
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let deep = "{\"a\":".repeat(100_000);
        assert_eq!(fields(deep.as_bytes()).len(), STEPS_MAX);
        let deep = format!("{{\"a\":{}", "[".repeat(1_000_000));
        assert_eq!(fields(deep.as_bytes()).len(), STEPS_MAX);
        let wide: Vec<String> = (0..1_000).map(|i| format!("\"f{i}\":{i}")).collect();
        assert_eq!(shown(&format!("{{{}}}", wide.join(","))).len(), FIELDS_MAX);
    }
}
