//! Settings printed: as a file that can be fed back, as an example, as the documentation's table.

use std::fmt;

use super::table::CONFIG;
use super::{Given, Kind, Place, Setting, Sheet, Table};

/// The settings in TOML, each with where it came from. Those that nobody set and that have no default
/// are named in comments.
impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unset = Vec::new();
        for setting in self
            .table
            .settings()
            .iter()
            .filter(|setting| setting.name != CONFIG)
        {
            let defaults = setting.defaults();
            if let Some(given) = self.layer.get(&setting.name) {
                let values: Vec<_> = given
                    .iter()
                    .map(|given| given.value.to_string_lossy())
                    .collect();
                writeln!(
                    f,
                    "{}  # {}",
                    assignment(setting, &values),
                    origin(setting, given)
                )?;
            } else if !defaults.is_empty() {
                writeln!(f, "{}  # default", assignment(setting, &defaults))?;
            } else {
                unset.push(setting.name.as_str());
            }
        }
        if !unset.is_empty() {
            writeln!(f, "# not set: {}", unset.join(", "))?;
        }
        Ok(())
    }
}

fn origin(setting: &Setting, given: &[Given]) -> String {
    match given.first().map(|given| &given.place) {
        Some(Place::File(position)) => position.to_string().escape_debug().to_string(),
        Some(place) => place.name(setting),
        None => "no values".to_owned(),
    }
}

/// `every = "5s"`
fn assignment<V: AsRef<str>>(setting: &Setting, values: &[V]) -> String {
    let values: Vec<String> = values
        .iter()
        .map(|value| literal(setting, value.as_ref()))
        .collect();
    let name = &setting.name;
    match (setting.kind, values.as_slice()) {
        (Kind::Many, values) => format!("{name} = [{}]", values.join(", ")),
        (_, [value, ..]) => format!("{name} = {value}"),
        (_, []) => format!("# {name}"),
    }
}

fn literal(setting: &Setting, value: &str) -> String {
    match setting.kind {
        Kind::Switch => matches!(value, "true" | "1").to_string(),
        Kind::Counter => value.parse().unwrap_or(0u8).to_string(),
        // As Rust would write it: no leading zeros, nothing beyond what TOML can hold.
        _ if setting.is_number()
            && value
                .parse()
                .is_ok_and(|number: i64| number.to_string() == value) =>
        {
            value.to_owned()
        }
        _ => quoted(value),
    }
}

/// A TOML string: JSON's escapes, and one that only TOML asks for.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7F}', "\\u007F")
}

/// A file of all settings, commented out, with what each is for.
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of tallyline: tallyline count --config FILE\n\
         # A flag goes over the environment, the environment over this file, this file over the default.\n",
    );
    for setting in Table::new()
        .settings()
        .iter()
        .filter(|setting| setting.name != CONFIG)
    {
        let defaults = setting.defaults();
        let value = match (setting.kind, defaults.as_slice()) {
            (Kind::Many, []) => "[]".to_owned(),
            (_, []) => quoted(""),
            (_, [value, ..]) => literal(setting, value),
        };
        let mut help = setting.help();
        if setting.commands.len() == 1 {
            help = format!("{help} ({} only)", setting.commands[0]);
        }
        text += &format!(
            "\n# {}\n# {} = {value}\n",
            help.replace('\n', "\n# "),
            setting.name
        );
    }
    text
}

/// The documentation's table of settings, in Markdown.
pub fn documentation() -> String {
    let mut text = String::from(
        "| in a file | on the command line | in the environment | default | of |\n|---|---|---|---|---|\n",
    );
    for setting in Table::new().settings() {
        let name = match setting.name.as_str() {
            CONFIG => String::new(),
            name => format!("`{name}`"),
        };
        let flag = match setting.is_positional() {
            true => setting.value_name().to_owned(),
            false => format!("{} {}", setting.flag(), setting.value_name()),
        };
        let default = setting.defaults().join(", ");
        let default = if default.is_empty() {
            default
        } else {
            format!("`{default}`")
        };
        let commands = setting.commands.join(", ");
        text += &format!(
            "| {name} | `{}` | `{}` | {default} | {commands} |\n",
            flag.trim_end().replace('|', "\\|"),
            setting.variable
        );
    }
    text
}
