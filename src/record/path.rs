//! The key path: where in a record the key stands.
//!
//! Parsed once from `--by` (and from `--where`), then followed in every record by the parsers and
//! by the oracle, which share nothing else. Two spellings of one path are equal and print alike.
//!
//! ```text
//! status                      a member of the record
//! customer.address.country    members of members
//! a["b.c"].d                  a name in JSON quotes, wherever a name may stand
//! items[0].sku                an element of an array
//! /items/0/sku                JSON Pointer (RFC 6901), as it starts with a slash
//! ```
//!
//! A number between dots is a member's name, a number in brackets is an index, and in a JSON
//! Pointer the record decides: `0` is an index in an array and a name in an object.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// One step of a key path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The object's member with this name; leads nowhere in an array.
    Name(Box<str>),
    /// The array's element with this index, from 0; leads nowhere in an object.
    Index(usize),
    /// A JSON Pointer's number: an index in an array, a name in an object.
    NameOrIndex(Box<str>, usize),
}

impl Segment {
    /// The name this segment has in an object, if it can lead into one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Segment::Name(name) | Segment::NameOrIndex(name, _) => Some(name),
            Segment::Index(_) => None,
        }
    }

    /// The index this segment has in an array, if it can lead into one.
    pub fn index(&self) -> Option<usize> {
        match self {
            Segment::Index(index) | Segment::NameOrIndex(_, index) => Some(*index),
            Segment::Name(_) => None,
        }
    }
}

/// A parsed key path: at least one segment, and the first can lead into an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPath {
    segments: Box<[Segment]>,
}

impl KeyPath {
    /// Parses a key path; the module's page has the grammar.
    ///
    /// # Errors
    ///
    /// On text that is no key path; the error says what is wrong, where, and what to write.
    pub fn parse(text: &str) -> Result<KeyPath, PathError> {
        let segments = if text.starts_with('/') {
            parse_pointer(text)
        } else {
            parse_dotted(text)
        };
        match segments {
            Ok(segments) => Ok(KeyPath {
                segments: segments.into(),
            }),
            Err((at, problem)) => Err(PathError {
                path: text.into(),
                column: text[..at].chars().count() + 1,
                problem,
            }),
        }
    }

    /// The path with these steps, of which the first can lead into an object.
    pub(super) fn of(segments: Vec<Segment>) -> KeyPath {
        KeyPath {
            segments: segments.into(),
        }
    }

    /// The steps from the record to the key; never empty.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl FromStr for KeyPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<KeyPath, PathError> {
        KeyPath::parse(text)
    }
}

/// The path in its usual form: dotted, or a JSON Pointer where only that says the same.
/// Parsing it gives the path again.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_pointer = |segment: &Segment| matches!(segment, Segment::NameOrIndex(..));
        if self.segments.iter().any(is_pointer) {
            return self.segments.iter().try_for_each(|segment| {
                let name = segment.name().unwrap_or_default();
                write!(f, "/{}", name.replace('~', "~0").replace('/', "~1"))
            });
        }
        for (i, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Name(name) | Segment::NameOrIndex(name, _) if is_plain(name) => {
                    if i > 0 {
                        f.write_char('.')?;
                    }
                    f.write_str(name)?;
                }
                Segment::Name(name) | Segment::NameOrIndex(name, _) => {
                    write!(f, "[{}]", serde_json::Value::from(&**name))?;
                }
            }
        }
        Ok(())
    }
}

/// Why a text is no key path, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    path: Box<str>,
    /// Counted in characters from 1, as an editor does.
    column: usize,
    problem: Problem,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PathError {
            path,
            column,
            problem,
        } = self;
        write!(f, "key path {path:?}, character {column}: {problem}")
    }
}

impl std::error::Error for PathError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    EmptyPath,
    EmptySegment,
    BareMark,
    UnclosedBracket,
    BadBracket,
    BadString,
    BadIndex,
    IndexFirst,
    AfterBracket,
    BadTilde,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Problem::EmptyPath => {
                "the path is empty; name a member, such as status or customer.country"
            }
            Problem::EmptySegment => {
                "a name is missing here; for a member whose name is empty write [\"\"]"
            }
            Problem::BareMark => {
                "a name with this character needs quotes in brackets, as in [\"a.b\"]"
            }
            Problem::UnclosedBracket => "this bracket is not closed; add a ]",
            Problem::BadBracket => {
                "brackets hold a name in quotes or an index, as in [\"a.b\"] or [0]"
            }
            Problem::BadString => {
                "this is no JSON string; close it with a quote, and escape quotes, backslashes \
                 and control characters as JSON does"
            }
            Problem::BadIndex => {
                "this is no array index; write a whole number from 0 on, without leading zeros"
            }
            Problem::IndexFirst => {
                "a record is an object at the top, so the path has to start with a member's name"
            }
            Problem::AfterBracket => "after a bracket comes a dot or another bracket; add one",
            Problem::BadTilde => "in a JSON Pointer write ~0 for a tilde and ~1 for a slash",
        })
    }
}

/// What is wrong, and the byte of the text where.
type Failure = (usize, Problem);

/// Whether a name can stand in a dotted path without quotes.
///
/// Stricter than the parser: white space would make the path hard to read in a list, and operators are
/// none in `--where PATH=VALUE` only within quotes.
fn is_plain(name: &str) -> bool {
    let is_special = |c: char| {
        matches!(
            c,
            '.' | '[' | ']' | '"' | '\\' | '/' | '=' | '<' | '>' | '!'
        ) || c.is_whitespace()
            || c.is_control()
    };
    !name.is_empty() && !name.contains(is_special)
}

fn parse_dotted(text: &str) -> Result<Vec<Segment>, Failure> {
    if text.is_empty() {
        return Err((0, Problem::EmptyPath));
    }
    let mut segments = Vec::new();
    let mut at = 0;
    loop {
        // A name has to stand here: at the start and behind a dot.
        if text[at..].starts_with('[') {
            let (segment, end) = parse_bracket(text, at)?;
            if segment.name().is_none() {
                let first = segments.is_empty();
                return Err((
                    at,
                    if first {
                        Problem::IndexFirst
                    } else {
                        Problem::EmptySegment
                    },
                ));
            }
            segments.push(segment);
            at = end;
        } else {
            let end = text[at..].find(['.', '[']).map_or(text.len(), |i| at + i);
            let name = &text[at..end];
            if name.is_empty() {
                return Err((at, Problem::EmptySegment));
            }
            if let Some(i) = name.find([']', '"', '\\']) {
                return Err((at + i, Problem::BareMark));
            }
            segments.push(Segment::Name(name.into()));
            at = end;
        }
        while text[at..].starts_with('[') {
            let (segment, end) = parse_bracket(text, at)?;
            segments.push(segment);
            at = end;
        }
        match text.as_bytes().get(at) {
            None => return Ok(segments),
            Some(b'.') => at += 1,
            Some(_) => return Err((at, Problem::AfterBracket)),
        }
    }
}

/// Parses `["name"]` or `[0]` from the `[` at byte `open`; returns the byte behind the `]` too.
fn parse_bracket(text: &str, open: usize) -> Result<(Segment, usize), Failure> {
    let inner = open + 1;
    let (segment, close) = if text[inner..].starts_with('"') {
        let end = string_end(text, inner).ok_or((inner, Problem::BadString))?;
        let name: String =
            serde_json::from_str(&text[inner..end]).map_err(|_| (inner, Problem::BadString))?;
        (Segment::Name(name.into()), end)
    } else {
        let length = text[inner..]
            .find(']')
            .ok_or((open, Problem::UnclosedBracket))?;
        let index = &text[inner..inner + length];
        if index.is_empty() || !index.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Err((inner, Problem::BadBracket));
        }
        let index = array_index(index).ok_or((inner, Problem::BadIndex))?;
        (Segment::Index(index), inner + length)
    };
    match text.as_bytes().get(close) {
        Some(b']') => Ok((segment, close + 1)),
        Some(_) => Err((close, Problem::BadBracket)),
        None => Err((open, Problem::UnclosedBracket)),
    }
}

/// The byte behind the closing quote of the JSON string that opens at byte `open`.
pub(super) fn string_end(text: &str, open: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = open + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn parse_pointer(text: &str) -> Result<Vec<Segment>, Failure> {
    let mut segments = Vec::new();
    let mut at = 0;
    for token in text.split('/').skip(1) {
        // The byte behind the slash.
        at += 1;
        let mut rest = token;
        while let Some(i) = rest.find('~') {
            rest = &rest[i + 1..];
            if !rest.starts_with(['0', '1']) {
                return Err((at + token.len() - rest.len() - 1, Problem::BadTilde));
            }
        }
        // In this order, so that `~01` is `~1` and no slash.
        let name = token.replace("~1", "/").replace("~0", "~").into();
        segments.push(match array_index(token) {
            Some(index) => Segment::NameOrIndex(name, index),
            None => Segment::Name(name),
        });
        at += token.len();
    }
    Ok(segments)
}

/// The array index that RFC 6901 writes so; no leading zeros, and no larger than memory.
fn array_index(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0')))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::check::check_path;
    use proptest::prelude::*;

    fn name(text: &str) -> Segment {
        Segment::Name(text.into())
    }

    fn number(text: &str) -> Segment {
        Segment::NameOrIndex(text.into(), text.parse().expect("a number"))
    }

    #[test]
    fn paths_mean_what_the_grammar_says() {
        use Segment::Index;
        let cases: &[(&str, &[Segment], &str)] = &[
            ("status", &[name("status")], "status"),
            ("a.b.c", &[name("a"), name("b"), name("c")], "a.b.c"),
            (r#"["a.b"]"#, &[name("a.b")], r#"["a.b"]"#),
            (
                r#"a["b.c"].d"#,
                &[name("a"), name("b.c"), name("d")],
                r#"a["b.c"].d"#,
            ),
            (
                r#"a.["b"]["c"]"#,
                &[name("a"), name("b"), name("c")],
                "a.b.c",
            ),
            (r#"["\u0061\n\"]"]"#, &[name("a\n\"]")], r#"["a\n\"]"]"#),
            (r#"[""]"#, &[name("")], r#"[""]"#),
            (
                "items[0].sku",
                &[name("items"), Index(0), name("sku")],
                "items[0].sku",
            ),
            ("a[1][20]", &[name("a"), Index(1), Index(20)], "a[1][20]"),
            ("a.0", &[name("a"), name("0")], "a.0"),
            ("0", &[name("0")], "0"),
            ("größe.ß", &[name("größe"), name("ß")], "größe.ß"),
            ("a b.c/d", &[name("a b"), name("c/d")], r#"["a b"]["c/d"]"#),
            ("~0", &[name("~0")], "~0"),
            ("/", &[name("")], r#"[""]"#),
            ("/a/", &[name("a"), name("")], r#"a[""]"#),
            (
                "/items/0/sku",
                &[name("items"), number("0"), name("sku")],
                "/items/0/sku",
            ),
            ("/0", &[number("0")], "/0"),
            ("/01/-", &[name("01"), name("-")], "01.-"),
            (
                "/a~1b/~0/~01",
                &[name("a/b"), name("~"), name("~1")],
                r#"["a/b"].~.~1"#,
            ),
            ("/a~1b~0/7", &[name("a/b~"), number("7")], "/a~1b~0/7"),
            (
                "/99999999999999999999999",
                &[name("99999999999999999999999")],
                "99999999999999999999999",
            ),
        ];
        for (text, segments, display) in cases {
            let path = KeyPath::parse(text).expect("a key path");
            assert_eq!(path.segments(), *segments, "{text}");
            assert_eq!(path.to_string(), *display, "{text}");
            assert_eq!(text.parse::<KeyPath>().expect("a key path"), path);
            assert_eq!(KeyPath::parse(display).expect("a key path"), path, "{text}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        use Problem::*;
        let cases = [
            ("", 1, EmptyPath),
            (".", 1, EmptySegment),
            ("a.", 3, EmptySegment),
            ("ä..b", 3, EmptySegment),
            ("a.[0]", 3, EmptySegment),
            ("[0]", 1, IndexFirst),
            ("[0].a", 1, IndexFirst),
            ("a]", 2, BareMark),
            ("\"a.b\"", 1, BareMark),
            ("a\\.b", 2, BareMark),
            ("a[", 2, UnclosedBracket),
            ("a[0", 2, UnclosedBracket),
            ("[\"a\"", 1, UnclosedBracket),
            ("a[]", 3, BadBracket),
            ("a[b]", 3, BadBracket),
            ("a['b']", 3, BadBracket),
            ("a[\"b\"c]", 6, BadBracket),
            ("[\"a", 2, BadString),
            ("[\"a\\", 2, BadString),
            ("[\"\\x\"]", 2, BadString),
            ("[\"\\ud800\"]", 2, BadString),
            ("[\"\n\"]", 2, BadString),
            ("a[01]", 3, BadIndex),
            ("a[-1]", 3, BadIndex),
            ("a[1x]", 3, BadIndex),
            ("a[99999999999999999999999]", 3, BadIndex),
            ("a[0]b", 5, AfterBracket),
            ("/a~", 3, BadTilde),
            ("/ä/b~0~2", 7, BadTilde),
        ];
        for (text, column, problem) in cases {
            let error = KeyPath::parse(text).expect_err("no key path");
            assert_eq!((error.column, error.problem), (column, problem), "{text:?}");
            let message = error.to_string();
            assert!(
                !message.contains('\n') && !message.ends_with('.'),
                "{message}"
            );
        }
    }

    #[test]
    fn error_reads_as_one_line() {
        assert_eq!(
            KeyPath::parse("a..b").expect_err("no key path").to_string(),
            r#"key path "a..b", character 3: a name is missing here; for a member whose name is empty write [""]"#
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_parses_or_not_but_never_panics(text in ".*") {
            check_path(&text);
        }

        #[test]
        fn path_like_text_round_trips(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "ä", ".", "[", "]", "\"", "\\", "0", "12", "/", "~0", "~1", "~", " ", "=",
                    "[\"", "\"]", "[0]", "\\u0041", "\\ud83d\\ude00", "\\n", "\u{1}", "\u{85}",
                ]),
                0..12,
            )
        ) {
            check_path(&parts.concat());
        }
    }
}
