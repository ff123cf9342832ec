//! A key: what a record is counted by.
//!
//! The parsers make [`KeyRef`]s out of the lines they read, the combine table and the shards hold
//! the same two parts (kind and bytes), and the sinks print them. Two keys are equal when their
//! kinds and their bytes are: the string `"1"`, the number `1` and the number `1.0` are three keys.
//!
//! A composite key is one key too, so that nobody between the parsers and the sinks needs to know of
//! parts: its bytes are its parts', each behind a byte that tells the part's kind and that UTF-8 has no
//! use for (`KeyKind::mark`). That is one byte a part, nothing to escape, and equal bytes mean
//! equal parts; two short parts still fit a [`Fold`]. Only the order of output looks inside.

use std::cmp::Ordering;
use std::fmt;

/// The JSON type of a key.
///
/// The order of the variants is the order in which keys of equal count are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// `null`; the key's bytes are empty.
    Null = 0,
    /// `false`; the key's bytes are empty.
    False = 1,
    /// `true`; the key's bytes are empty.
    True = 2,
    /// A number; the key's bytes are its source text, as RFC 8259 writes numbers.
    Number = 3,
    /// A string; the key's bytes are its value, escapes resolved, in UTF-8.
    String = 4,
    /// Several values; the key's bytes are those of [`KeyRef::push_part`], part after part.
    Composite = 5,
}

/// The least byte that begins a part of a composite key. UTF-8 has no byte from here on.
const MARK_MIN: u8 = 0xF8;

impl KeyKind {
    /// The kind with this discriminant, if there is one.
    pub const fn from_u8(value: u8) -> Option<KeyKind> {
        match value {
            0 => Some(KeyKind::Null),
            1 => Some(KeyKind::False),
            2 => Some(KeyKind::True),
            3 => Some(KeyKind::Number),
            4 => Some(KeyKind::String),
            5 => Some(KeyKind::Composite),
            _ => None,
        }
    }

    /// The name of the JSON type, as CSV output prints it.
    pub const fn name(self) -> &'static str {
        match self {
            KeyKind::Null => "null",
            KeyKind::False | KeyKind::True => "boolean",
            KeyKind::Number => "number",
            KeyKind::String => "string",
            KeyKind::Composite => "composite",
        }
    }

    /// The byte that a part of this kind begins with in a composite key.
    const fn mark(self) -> u8 {
        MARK_MIN + self as u8
    }
}

/// The longest key that its [`Fold`] holds wholly, in bytes.
pub const FOLD_BYTES_MAX: usize = 16;

/// What [`KeyRef::fold`] makes of a key's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fold([u64; 2]);

impl Fold {
    /// The fold of a key of no bytes.
    pub const NONE: Fold = Fold([0; 2]);

    /// Both words.
    #[inline]
    pub fn words(self) -> [u64; 2] {
        self.0
    }
}

/// A borrowed key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyRef<'a> {
    /// The JSON type.
    pub kind: KeyKind,
    /// The value, as [`KeyKind`] says for each kind; valid UTF-8 but for a composite key's marks.
    pub bytes: &'a [u8],
}

impl<'a> KeyRef<'a> {
    /// The key of a string value.
    pub const fn string(value: &'a str) -> KeyRef<'a> {
        KeyRef {
            kind: KeyKind::String,
            bytes: value.as_bytes(),
        }
    }

    /// The key of a number with this source text.
    pub const fn number(text: &'a str) -> KeyRef<'a> {
        KeyRef {
            kind: KeyKind::Number,
            bytes: text.as_bytes(),
        }
    }

    /// The key of a boolean.
    pub const fn boolean(value: bool) -> KeyRef<'static> {
        KeyRef {
            kind: if value { KeyKind::True } else { KeyKind::False },
            bytes: b"",
        }
    }

    /// The key of `null`.
    pub const fn null() -> KeyRef<'static> {
        KeyRef {
            kind: KeyKind::Null,
            bytes: b"",
        }
    }

    /// The composite key whose parts [`KeyRef::push_part`] has put into `bytes`.
    pub const fn composite(bytes: &'a [u8]) -> KeyRef<'a> {
        KeyRef {
            kind: KeyKind::Composite,
            bytes,
        }
    }

    /// Appends this key, which is not composite, as a part of a composite one.
    #[inline]
    pub fn push_part(&self, composite: &mut Vec<u8>) {
        composite.push(self.kind.mark());
        composite.extend_from_slice(self.bytes);
    }

    /// The parts of a composite key in their order; any other key is its only part.
    pub fn parts(&self) -> impl Iterator<Item = KeyRef<'a>> + use<'a> {
        let mut single = (self.kind != KeyKind::Composite).then_some(*self);
        let mut rest = match single {
            Some(_) => &[],
            None => self.bytes,
        };
        std::iter::from_fn(move || {
            if let Some(part) = single.take() {
                return Some(part);
            }
            let (&mark, behind) = rest.split_first()?;
            let len = behind.iter().position(|&byte| byte >= MARK_MIN);
            let (bytes, next) = behind.split_at(len.unwrap_or(behind.len()));
            rest = next;
            let kind = KeyKind::from_u8(mark - MARK_MIN).expect("a part begins with its mark");
            Some(KeyRef { kind, bytes })
        })
    }

    /// The key's text: a string's value, a number's source text, or the literal; of a composite key
    /// its parts' texts in brackets.
    ///
    /// The bytes of a key are UTF-8 by the parsers' contract; a replacement character in the
    /// result would be a bug, never a panic at the terminal.
    pub fn text(&self) -> std::borrow::Cow<'a, str> {
        match self.kind {
            KeyKind::Null => "null".into(),
            KeyKind::False => "false".into(),
            KeyKind::True => "true".into(),
            KeyKind::Number | KeyKind::String => match std::str::from_utf8(self.bytes) {
                Ok(text) => text.into(),
                Err(_) => String::from_utf8_lossy(self.bytes),
            },
            KeyKind::Composite => format!("{self:?}").into(),
        }
    }

    /// The key's bytes in two words, to be compared in one step.
    ///
    /// Of keys of equal kind and length up to [`FOLD_BYTES_MAX`], equal folds mean equal keys; of
    /// longer ones the fold is the first and the last eight bytes.
    #[inline]
    pub fn fold(&self) -> Fold {
        let len = self.bytes.len();
        let word = |at: usize| {
            let bytes = self.bytes[at..at + 4].first_chunk();
            u64::from(u32::from_le_bytes(
                *bytes.expect("four bytes are four bytes"),
            ))
        };
        let byte = |at: usize| u64::from(self.bytes[at]);
        match len {
            0 => Fold::NONE,
            1..4 => Fold([byte(0) | byte(len / 2) << 8 | byte(len - 1) << 16, 0]),
            // Lengths of every sort come mixed in a stream, so the usual ones take no branch apart:
            // four reads, from 0, `step`, `-4 - step` and -4, cover the bytes (as wyhash reads them).
            4..=FOLD_BYTES_MAX => {
                let step = (len >> 3) << 2;
                Fold([
                    word(0) | word(step) << 32,
                    word(len - 4 - step) | word(len - 4) << 32,
                ])
            }
            _ => Fold([word(0) | word(4) << 32, word(len - 8) | word(len - 4) << 32]),
        }
    }

    /// Lends the key of a value that is written so in JSON; `None`: an object, an array or nothing. Whether it is well written
    /// is only looked at as far as a string needs it.
    pub(crate) fn with_json<T>(text: &str, take: impl FnOnce(KeyRef<'_>) -> T) -> Option<T> {
        Some(match text.as_bytes().first()? {
            b'"' => take(KeyRef::string(&serde_json::from_str::<String>(text).ok()?)),
            b't' => take(KeyRef::boolean(true)),
            b'f' => take(KeyRef::boolean(false)),
            b'n' => take(KeyRef::null()),
            b'[' | b'{' => return None,
            _ => take(KeyRef::number(text)),
        })
    }

    /// An owned copy.
    pub fn to_key(&self) -> Key {
        Key {
            kind: self.kind,
            bytes: self.bytes.into(),
        }
    }
}

/// By kind, then by bytes; composite keys by their parts, the first that differs.
impl Ord for KeyRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.kind == KeyKind::Composite && other.kind == KeyKind::Composite {
            return self.parts().cmp(other.parts());
        }
        self.kind
            .cmp(&other.kind)
            .then_with(|| self.bytes.cmp(other.bytes))
    }
}

impl PartialOrd for KeyRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            KeyKind::String => write!(f, "{:?}", self.text()),
            KeyKind::Composite => f.debug_list().entries(self.parts()).finish(),
            _ => write!(f, "{}", self.text()),
        }
    }
}

/// An owned key, for the oracle, for tests and for library users.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    kind: KeyKind,
    bytes: Box<[u8]>,
}

impl Key {
    /// The key, borrowed.
    pub fn as_ref(&self) -> KeyRef<'_> {
        KeyRef {
            kind: self.kind,
            bytes: &self.bytes,
        }
    }

    /// Its text: see [`KeyRef::text`].
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        self.as_ref().text()
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_keys_apart() {
        let keys = [
            KeyRef::null(),
            KeyRef::boolean(false),
            KeyRef::boolean(true),
            KeyRef::number("1"),
            KeyRef::number("1.0"),
            KeyRef::string("1"),
            KeyRef::string("null"),
        ];
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                assert_eq!(a == b, i == j, "{a:?} {b:?}");
                assert_eq!(a.cmp(b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn composite_keys_are_equal_and_sorted_by_their_parts() {
        let parts = [
            KeyRef::null(),
            KeyRef::boolean(true),
            KeyRef::number("1"),
            KeyRef::string(""),
            KeyRef::string("a"),
            KeyRef::string("a\0"),
            KeyRef::string("ab"),
            KeyRef::string("\u{10ffff}"),
        ];
        let mut keys = Vec::new();
        for first in parts {
            for second in parts {
                let mut bytes = Vec::new();
                first.push_part(&mut bytes);
                second.push_part(&mut bytes);
                keys.push(bytes);
            }
        }
        for (i, a) in keys.iter().map(|key| KeyRef::composite(key)).enumerate() {
            let own: Vec<_> = a.parts().collect();
            assert_eq!(own, [parts[i / parts.len()], parts[i % parts.len()]]);
            for (j, b) in keys.iter().map(|key| KeyRef::composite(key)).enumerate() {
                assert_eq!(a == b, i == j, "{a:?} {b:?}");
                assert_eq!(a.cmp(&b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
        let shown = format!("{:?}", KeyRef::composite(&keys[parts.len() + 4]));
        assert_eq!(shown, r#"[true, "a"]"#);
    }

    fn fold(bytes: &[u8]) -> Fold {
        let kind = KeyKind::String;
        KeyRef { kind, bytes }.fold()
    }

    #[test]
    fn folds_tell_short_keys_of_a_length_apart() {
        for len in 0..=40 {
            let bytes = vec![b'a'; len];
            for changed in 0..len {
                let mut other = bytes.clone();
                other[changed] = b'b';
                let is_within = len <= FOLD_BYTES_MAX || changed < 8 || changed >= len - 8;
                assert_eq!(fold(&bytes) != fold(&other), is_within, "{len} {changed}");
            }
        }
    }

    #[test]
    fn discriminants_round_trip() {
        for value in 0..=u8::MAX {
            if let Some(kind) = KeyKind::from_u8(value) {
                assert_eq!(kind as u8, value);
            }
        }
    }
}
