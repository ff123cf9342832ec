//! Settings in the environment: `TALLYLINE_EVERY=5s`.
//!
//! An empty variable is as good as none. Of a setting with several values each stands on a line of
//! its own: no other character is sure not to be part of a path or an address.

use std::ffi::OsString;

use super::table::{CONFIG, PREFIX};
use super::{Given, Kind, Layer, Place, Table, Wrong, check};
use crate::cli::shown;
use crate::nearest::nearest;

/// Reads the variables that are ours; returns warnings of those that only look like it.
pub(super) fn read(
    table: &Table,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    wrong: &mut Vec<Wrong>,
) -> (Layer, Vec<String>) {
    let (mut layer, mut warnings) = (Layer::new(), Vec::new());
    for (name, value) in variables {
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) || value.is_empty() {
            continue;
        }
        let Some(setting) = table
            .settings()
            .iter()
            .find(|setting| setting.variable == name)
        else {
            warnings.push(unknown(table, &name));
            continue;
        };
        let given = |value| Given {
            value,
            place: Place::Environment,
        };
        let values = match (setting.kind, value.to_str()) {
            (Kind::Many, Some(text)) => {
                let lines = text.lines().filter(|line| !line.is_empty());
                lines.map(|line| given(line.into())).collect()
            }
            (_, None) if setting.name != CONFIG => {
                wrong.push(Wrong::value(setting, &given(value), "write it in UTF-8"));
                continue;
            }
            _ => vec![given(value)],
        };
        layer.insert(setting.name.clone(), values);
    }
    warnings.sort();
    check(table, &mut layer, wrong);
    (layer, warnings)
}

fn unknown(table: &Table, name: &str) -> String {
    let names = table
        .settings()
        .iter()
        .map(|setting| setting.variable.as_str());
    match nearest(
        &name[PREFIX.len()..],
        names.map(|known| &known[PREFIX.len()..]),
    ) {
        Some(near) => format!(
            "{}: no such setting; did you mean {PREFIX}{near}?",
            shown(name)
        ),
        None => format!("{}: no such setting", shown(name)),
    }
}
