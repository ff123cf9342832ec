//! Settings in a TOML file: `every = "5s"`.
//!
//! One flat table: a setting is called as its flag is. Everything that is wrong is told, each with
//! its line and column: what is no TOML, what nobody knows, what has a wrong value.
//!
//! Bound: [`FILE_BYTES_MAX`].

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::table::CONFIG;
use super::{Given, Kind, Layer, Place, Position, Setting, Table, Wrong, check};
use crate::cli::shown;
use crate::error::reason;
use crate::nearest::nearest;

/// The longest file that is read.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The bytes of a file, or why there are none.
pub(super) fn load(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let mut file = file.take(FILE_BYTES_MAX as u64 + 1);
        file.read_to_end(&mut bytes)
    });
    match read {
        Ok(_) if bytes.len() <= FILE_BYTES_MAX => Ok(bytes),
        Ok(_) => Err("longer than 1 MiB; name a file of settings".to_owned()),
        Err(error) => Err(format!(
            "cannot read it: {}; check the path",
            reason(&error)
        )),
    }
}

/// A file's text, to find positions in.
struct Text<'a> {
    file: Arc<str>,
    text: &'a str,
}

impl Text<'_> {
    /// The place of the byte at `index`.
    fn place(&self, index: usize) -> Place {
        let index = self.text.floor_char_boundary(index);
        let before = &self.text[..index];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File(Position {
            file: Arc::clone(&self.file),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        })
    }

    fn wrong(&self, index: usize, message: &str) -> Wrong {
        let place = self.place(index);
        let Place::File(position) = &place else {
            unreachable!("a text's places are in its file");
        };
        Wrong {
            line: format!("{position}: {message}"),
            place,
        }
    }
}

/// Reads the settings of a file called `name`.
pub(super) fn read(table: &Table, name: &str, bytes: &[u8], wrong: &mut Vec<Wrong>) -> Layer {
    let (valid, is_utf8) = match str::from_utf8(bytes) {
        Ok(text) => (text, true),
        Err(error) => {
            let valid = bytes[..error.valid_up_to()].utf8_chunks().next();
            (valid.map_or("", |chunk| chunk.valid()), false)
        }
    };
    let text = Text {
        file: name.into(),
        text: valid,
    };
    if !is_utf8 {
        wrong.push(text.wrong(valid.len(), "not UTF-8; save the file as UTF-8"));
        return Layer::new();
    }
    let (document, errors) = DeTable::parse_recoverable(valid);
    let first = wrong.len();
    for error in &errors {
        let start = error.span().map_or(0, |span| span.start);
        let error = text.wrong(start, &one_line(error.message()));
        // The first error of a line often brings others.
        let is_new = |wrong: &Wrong| !on_one_line(&wrong.place, &error.place);
        if wrong[first..].iter().all(is_new) {
            wrong.push(error);
        }
    }
    let mut layer = Layer::new();
    for (key, value) in document.get_ref() {
        // What was made of a line that is no TOML is nobody's setting.
        let is_guess = |place: &Place| wrong.iter().any(|wrong| on_one_line(&wrong.place, place));
        if is_guess(&text.place(key.span().start)) || is_guess(&text.place(value.span().start)) {
            continue;
        }
        match table
            .get(key.get_ref())
            .filter(|setting| setting.name != CONFIG)
        {
            Some(setting) => match values(&text, setting, value) {
                Ok(values) => drop(layer.insert(setting.name.clone(), values)),
                Err(error) => wrong.push(error),
            },
            None => wrong.push(text.wrong(key.span().start, &unknown(table, key.get_ref()))),
        }
    }
    check(table, &mut layer, wrong);
    layer
}

fn on_one_line(a: &Place, b: &Place) -> bool {
    matches!((a, b), (Place::File(a), Place::File(b)) if a.line == b.line)
}

/// The parser's message without what would break its line.
fn one_line(message: &str) -> String {
    message.replace('\n', " ").replace('`', "'")
}

fn unknown(table: &Table, key: &str) -> String {
    let known = table.settings().iter().map(|setting| setting.name.as_str());
    let name = shown(key);
    match nearest(key, known.filter(|&name| name != CONFIG)) {
        _ if key == CONFIG => format!("{name}: a file cannot name another; take it out"),
        Some(near) => format!("{name}: no such setting; did you mean {near}?"),
        None => format!("{name}: no such setting; tallyline config example shows all"),
    }
}

/// The values of a setting, as arguments have them.
fn values(
    text: &Text<'_>,
    setting: &Setting,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<Given>, Wrong> {
    match (setting.kind, value.get_ref()) {
        (Kind::Many, DeValue::Array(array)) => array
            .iter()
            .map(|element| one(text, setting, element))
            .collect(),
        _ => Ok(vec![one(text, setting, value)?]),
    }
}

fn one(text: &Text<'_>, setting: &Setting, value: &Spanned<DeValue<'_>>) -> Result<Given, Wrong> {
    let place = text.place(value.span().start);
    let wrong = |remedy: &str| {
        let name = place.name(setting);
        Wrong {
            place: place.clone(),
            line: format!("{name}: {remedy}"),
        }
    };
    let is_switch = setting.kind == Kind::Switch;
    let given = match value.get_ref() {
        DeValue::Boolean(on) if is_switch => on.to_string(),
        _ if is_switch => return Err(wrong("write true or false, without quotes")),
        DeValue::Boolean(_) => {
            return Err(wrong("neither true nor false; write the value in quotes"));
        }
        DeValue::String(string) => string.to_string(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) => value.to_string(),
            Err(_) => number.as_str().to_owned(),
        },
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => return Err(wrong("one value, not an array")),
        DeValue::Table(_) => return Err(wrong("one value, not a table; settings are not grouped")),
    };
    Ok(Given {
        value: given.into(),
        place,
    })
}
