//! Conditions: what `--where` asks of a record.
//!
//! ```text
//! status=PLACED          the value there is the string PLACED
//! code=200               ... the number 200 (or 200.0, or 2e2), or the string "200"
//! code="200"             ... the string "200" and nothing else: a VALUE in quotes is a JSON string
//! deleted=null           ... null, or the string "null"
//! status!=PLACED         it is not; true as well where nothing stands there, or an object or an array
//! customer.vip           something stands there, be it false, null, an object or an array
//! ```
//!
//! Of `PATH=VALUE` and `PATH!=VALUE` exactly one holds for any record, as in jq; who wants SQL's rule, by
//! which neither holds where nothing stands, adds the condition `PATH`. The path ends at the first `=`
//! outside of quotes, and what it may not have there, though `--by` takes it, are the characters `=`,
//! `<`, `>` and `!`: a typing error such as `price>5` is no name. Spaces around the operator count for
//! nothing.

use std::fmt;
use std::str::FromStr;

use super::path::{KeyPath, PathError, string_end};
use super::query::Value;
use super::simd::is_number;
use crate::decimal::is_same_number;
use crate::key::{KeyKind, KeyRef};

/// A path, and what must be true of the value there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Where.
    pub path: KeyPath,
    /// What.
    pub test: Test,
}

/// What must be true of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// There is one.
    Exists,
    /// It is this.
    Equal(Literal),
    /// It is not this, or there is none.
    NotEqual(Literal),
}

/// A value as a condition writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Literal {
    /// The string it is, or that it may also be.
    text: Box<str>,
    /// What it is beside a string, if anything.
    bare: Option<KeyKind>,
}

impl Condition {
    /// Parses a condition; the module's page has the grammar.
    ///
    /// # Errors
    /// On text that is none; the error says what to write.
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        let (path, test) = match operator(text) {
            None => (text, Test::Exists),
            Some(at) => {
                let value = text[at + 1..].trim_start();
                if value.starts_with('=') {
                    return Err(ConditionError::Operator);
                }
                let literal = Literal::parse(value)?;
                match text[..at].strip_suffix('!') {
                    Some(path) => (path, Test::NotEqual(literal)),
                    None => (&text[..at], Test::Equal(literal)),
                }
            }
        };
        let path = path.trim();
        if outside_quotes(path).any(|(_, c)| matches!(c, '<' | '>' | '!')) {
            return Err(ConditionError::Operator);
        }
        let path = KeyPath::parse(path).map_err(ConditionError::Path)?;
        Ok(Condition { path, test })
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Condition, ConditionError> {
        Condition::parse(text)
    }
}

/// The condition in its usual form. Parsing it gives the condition again.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path prints names with these characters in quotes, but a JSON Pointer cannot.
        write!(f, "{}", self.path)?;
        match &self.test {
            Test::Exists => Ok(()),
            Test::Equal(literal) => write!(f, "={literal}"),
            Test::NotEqual(literal) => write!(f, "!={literal}"),
        }
    }
}

impl Test {
    /// Whether it is true of what stands at the path.
    #[inline]
    pub(crate) fn holds(&self, value: Option<Value<'_>>) -> bool {
        match self {
            Test::Exists => value.is_some(),
            Test::Equal(literal) => literal.is_equal(value),
            Test::NotEqual(literal) => !literal.is_equal(value),
        }
    }
}

impl Test {
    /// The value that is asked for.
    pub(crate) fn wanted(&self) -> Option<&str> {
        match self {
            Test::Equal(literal) => Some(&literal.text),
            Test::Exists | Test::NotEqual(_) => None,
        }
    }
}

impl Literal {
    fn parse(text: &str) -> Result<Literal, ConditionError> {
        if text.starts_with('"') {
            let string: String = serde_json::from_str(text).map_err(|_| ConditionError::Quotes)?;
            return Ok(Literal {
                text: string.into(),
                bare: None,
            });
        }
        let bare = match text {
            "null" => Some(KeyKind::Null),
            "false" => Some(KeyKind::False),
            "true" => Some(KeyKind::True),
            number if is_number(number.as_bytes()) => Some(KeyKind::Number),
            _ => None,
        };
        Ok(Literal {
            text: text.into(),
            bare,
        })
    }

    /// The string it is, or may be.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it may be beside a string.
    pub fn bare(&self) -> Option<KeyKind> {
        self.bare
    }

    #[inline]
    fn is_equal(&self, value: Option<Value<'_>>) -> bool {
        let Some(Value::Scalar(KeyRef { kind, bytes })) = value else {
            return false;
        };
        match kind {
            KeyKind::String => bytes == self.text.as_bytes(),
            _ if self.bare != Some(kind) => false,
            KeyKind::Number => {
                bytes == self.text.as_bytes() || is_same_number(bytes, self.text.as_bytes())
            }
            _ => true,
        }
    }
}

/// In quotes if it has to be.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &*self.text;
        let is_trimmed = text.trim_start() == text && !text.starts_with(['"', '=']);
        if is_trimmed && Literal::parse(text).is_ok_and(|literal| literal == *self) {
            f.write_str(text)
        } else {
            write!(f, "{}", serde_json::Value::from(text))
        }
    }
}

/// Why a text is no condition, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionError {
    /// What should be a path is none.
    Path(PathError),
    /// The value's quotes are not those of a JSON string.
    Quotes,
    /// Another operator than there are.
    Operator,
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConditionError::Path(error) => error.fmt(f),
            ConditionError::Quotes => f.write_str(
                "a value that begins with a quote is a JSON string; close it, and escape as JSON does",
            ),
            ConditionError::Operator => f.write_str(
                "write PATH=VALUE, PATH!=VALUE or PATH; a value that begins with = needs quotes, and so \
                 does a name with =, <, > or !, as in [\"a>b\"]",
            ),
        }
    }
}

impl std::error::Error for ConditionError {}

/// Where the `=` of the condition is.
fn operator(text: &str) -> Option<usize> {
    let mut outside = outside_quotes(text);
    outside.find(|&(_, c)| c == '=').map(|(at, _)| at)
}

/// The characters that are not within the quotes of a bracket, as in `["a=b"]`, with their places.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    // In a JSON Pointer brackets and quotes are characters as any others.
    let has_brackets = !text.starts_with('/');
    let mut behind = 0;
    text.char_indices().filter(move |&(at, _)| {
        if at < behind {
            return false;
        }
        if has_brackets && text[at..].starts_with("[\"") {
            behind = string_end(text, at + 1).unwrap_or(text.len());
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(condition: &str, value: Option<Value<'_>>) -> bool {
        let condition = Condition::parse(condition).expect("a condition");
        condition.test.holds(value)
    }

    #[test]
    fn values_are_typed_as_json_and_match_the_string_of_their_text() {
        let string = |text| Some(Value::Scalar(KeyRef::string(text)));
        let number = |text| Some(Value::Scalar(KeyRef::number(text)));
        let values = [
            None,
            Some(Value::Container),
            string("200"),
            number("200"),
            number("2.00e2"),
            number("201"),
            string("null"),
            Some(Value::Scalar(KeyRef::null())),
            Some(Value::Scalar(KeyRef::boolean(true))),
            string("PLACED"),
            string(""),
        ];
        for (condition, expected) in [
            ("a=200", "..===......"),
            ("a=\"200\"", "..=........"),
            ("a=2e2", "...==......"),
            ("a=null", "......==..."),
            ("a=true", "........=.."),
            ("a=False", "..........."),
            ("a = PLACED", ".........=."),
            ("a=PLACED ", "..........."),
            ("a=", "..........="),
            ("a", ".=========="),
        ] {
            for (value, expected) in values.into_iter().zip(expected.chars()) {
                assert_eq!(
                    holds(condition, value),
                    expected == '=',
                    "{condition} {value:?}"
                );
                if let Some((path, literal)) = condition.split_once('=') {
                    let not = format!("{path}!={literal}");
                    assert_eq!(holds(&not, value), expected != '=', "{not} {value:?}");
                }
            }
        }
    }

    #[test]
    fn the_path_ends_at_the_first_equals_sign_outside_of_quotes() {
        for (text, path, shown) in [
            ("a.b=x=y", "a.b", "a.b=x=y"),
            ("[\"a=b\"].c != x", "[\"a=b\"].c", "[\"a=b\"].c!=x"),
            ("[\"a\\\"]=b\"]=1", "[\"a\\\"]=b\"]", "[\"a\\\"]=b\"]=1"),
            ("/a/0/b[\"x=1", "/a/0/b[\"x", "/a/0/b[\"x=1"),
            ("[\"a>b\"]", "[\"a>b\"]", "[\"a>b\"]"),
            ("a=\" x\"", "a", "a=\" x\""),
            ("a=\"5\"", "a", "a=\"5\""),
            ("a=\"x\"", "a", "a=x"),
            ("a=\"=x\"", "a", "a=\"=x\""),
        ] {
            let condition = Condition::parse(text).expect(text);
            assert_eq!(condition.path, KeyPath::parse(path).expect(path), "{text}");
            assert_eq!(condition.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in ["a==5", "a>5", "a>=5", "a<b", "!a", "a!", "a!!=5", "a= =5"] {
            assert_eq!(
                Condition::parse(text),
                Err(ConditionError::Operator),
                "{text}"
            );
        }
        for text in ["a=\"5", "a=\"5\"5", "a=\"\\x\""] {
            assert_eq!(
                Condition::parse(text),
                Err(ConditionError::Quotes),
                "{text}"
            );
        }
        for text in ["", "=5", "!=5", "a..b=5", "[0]=1"] {
            let error = Condition::parse(text).expect_err(text);
            assert!(matches!(error, ConditionError::Path(_)), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_condition_prints_as_itself(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "ä", ".", "[", "]", "\"", "\\", "0", "12", "/", "~0", " ", "=", "!", "!=", "<",
                    "[\"", "\"]", "[0]", "null", "1e2", "\n",
                ]),
                0..12,
            )
        ) {
            let text = parts.concat();
            if let Ok(condition) = Condition::parse(&text) {
                let shown = condition.to_string();
                prop_assert_eq!(Condition::parse(&shown), Ok(condition), "{} as {}", text, shown);
            }
        }
    }
}
