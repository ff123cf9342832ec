//! Where settings come from: the command line, the environment, a file, the default; the first of
//! them that has a setting wins.
//!
//! [`resolve`] is fed the arguments and the environment of the program and hands the command line as
//! it would have been, had everything been typed there: what `cli.rs` defines is read once more, from
//! arguments, whatever the settings came from. So a value means the same everywhere, and the
//! [`Table`] of settings is clap's.
//!
//! Promises: every wrong value is told with the place it stands at, not only the first; a value is
//! wrong even where another hides it; a name that nobody knows is an error in a file, which is
//! ours, and a warning in the environment, which is everybody's. A setting with several values is
//! taken whole from one place. One that cannot go together with another (`quiet`, `verbose`) yields
//! to it if the other has precedence.

#[doc(hidden)]
pub mod check;
mod environment;
mod file;
mod print;
mod table;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};

use crate::cli::{Cli, definition, one_line, shown};
use crate::error::Error;
use table::CONFIG;

pub use print::{documentation, example};
pub use table::{Kind, Setting, Table};

/// Where a value stands. Lower ones win.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On the command line.
    CommandLine,
    /// In the environment.
    Environment,
    /// In a file.
    File(Position),
}

/// A place in a file, from 1 on; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file's name, as the user wrote it.
    pub file: Arc<str>,
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

impl Place {
    /// What a setting is called there.
    fn name(&self, setting: &Setting) -> String {
        match self {
            Place::CommandLine => setting.flag(),
            Place::Environment => setting.variable.clone(),
            Place::File(position) => format!("{position}: {}", setting.name),
        }
    }
}

/// `job.toml:3:9`
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its text, as an argument would have it.
    pub value: OsString,
    /// Where it stands.
    pub place: Place,
}

/// Values by the names of their settings.
pub(crate) type Layer = BTreeMap<String, Vec<Given>>;

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wrong {
    /// Where.
    pub place: Place,
    /// The whole line: the place, the setting, its value, the remedy.
    pub line: String,
}

impl Wrong {
    /// A setting's value is wrong.
    fn value(setting: &Setting, given: &Given, remedy: &str) -> Wrong {
        let (name, value) = (given.place.name(setting), given.value.to_string_lossy());
        Wrong {
            place: given.place.clone(),
            line: format!("{name} '{}': {remedy}", shown(&value)),
        }
    }
}

/// The program's settings, resolved.
#[derive(Debug)]
pub struct Resolved {
    /// As if everything had been typed.
    pub cli: Cli,
    /// Where it came from.
    pub sheet: Sheet,
    /// What is odd about the environment.
    pub warnings: Vec<String>,
}

/// Every setting that somebody set, with its place.
#[derive(Clone, Debug)]
pub struct Sheet {
    table: Table,
    layer: Layer,
}

/// Why there are no settings.
#[derive(Debug)]
pub enum Refusal {
    /// The command line is wrong, or asks for help.
    CommandLine(Box<clap::Error>),
    /// Settings are wrong: a line for each.
    Wrong(Vec<String>),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Refusal {
        Refusal::CommandLine(Box::new(error))
    }
}

/// Resolves the settings of a run.
///
/// # Errors
/// If the arguments make no sense, or any setting is wrong.
pub fn resolve(
    args: &[OsString],
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Resolved, Refusal> {
    let table = Table::new();
    let matches = match table.command_line(args) {
        // The help tells what must be set.
        Err(error) if error.exit_code() == 0 => definition().try_get_matches_from(args)?,
        parsed => parsed?,
    };
    let command = matches
        .subcommand()
        .filter(|(command, _)| table.of_command(command).next().is_some());
    let Some((command, matches)) = command else {
        let cli = Cli::from_arg_matches(&matches)?;
        let sheet = Sheet {
            table,
            layer: Layer::new(),
        };
        return Ok(Resolved {
            cli,
            sheet,
            warnings: Vec::new(),
        });
    };
    let mut wrong = Vec::new();
    let typed = typed(&table, command, matches, &mut wrong);
    let (environment, warnings) = environment::read(&table, variables, &mut wrong);
    let named = typed.get(CONFIG).or_else(|| environment.get(CONFIG));
    let mut file = Layer::new();
    if let Some([given]) = named.map(Vec::as_slice) {
        file = match file::load(Path::new(&given.value)) {
            Ok(text) => file::read(&table, &given.value.to_string_lossy(), &text, &mut wrong),
            Err(remedy) => {
                let setting = table.get(CONFIG).expect("the command has the flag");
                return Err(Refusal::Wrong(vec![
                    Wrong::value(setting, given, &remedy).line,
                ]));
            }
        };
    }
    let layer = overlay(&table, [typed, environment, file], &mut wrong);
    if !wrong.is_empty() {
        return Err(Refusal::Wrong(lines(wrong)));
    }
    let sheet = Sheet { table, layer };
    let cli = sheet.command_line(command).map_err(missing)?;
    Ok(Resolved {
        cli,
        sheet,
        warnings,
    })
}

impl Sheet {
    /// The settings of a file, with those of the environment over them.
    ///
    /// # Errors
    /// Everything that is wrong with them, a line each.
    pub fn of_file(
        path: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Sheet, Vec<String>), Vec<String>> {
        let name = path.to_string_lossy();
        let text = file::load(path).map_err(|remedy| vec![format!("{name}: {remedy}")])?;
        let table = Table::new();
        let mut wrong = Vec::new();
        let (environment, warnings) = environment::read(&table, variables, &mut wrong);
        let file = file::read(&table, &name, &text, &mut wrong);
        let layer = overlay(&table, [Layer::new(), environment, file], &mut wrong);
        match wrong.is_empty() {
            true => Ok((Sheet { table, layer }, warnings)),
            false => Err(lines(wrong)),
        }
    }

    /// The command line that would have set all this.
    ///
    /// # Errors
    /// If something is missing that must be set.
    pub fn command_line(&self, command: &str) -> Result<Cli, clap::Error> {
        let mut args = vec!["tallyline".into(), OsString::from(command)];
        let mut positional = vec![OsString::from("--")];
        for setting in self.table.of_command(command) {
            let given = self.layer.get(&setting.name).map_or(&[][..], Vec::as_slice);
            let values: Vec<&OsStr> = given.iter().map(|given| given.value.as_os_str()).collect();
            match setting.is_positional() {
                true => positional.extend(setting.arguments(&values)),
                false => args.extend(setting.arguments(&values)),
            }
        }
        args.extend(positional);
        Cli::from_arg_matches(&definition().try_get_matches_from(args)?)
    }

    /// An error as it is told: one about a setting names the place where it was set.
    pub fn told(&self, error: &Error) -> String {
        if let Error::Setting {
            name,
            value,
            remedy,
        } = error
            && let Some(setting) = self.table.get(name)
            && let Some([given, ..]) = self.layer.get(*name).map(Vec::as_slice)
        {
            return format!("{} '{value}': {remedy}", given.place.name(setting));
        }
        error.to_string()
    }
}

/// What is missing may be given in more than one way.
fn missing(error: clap::Error) -> Refusal {
    let line = one_line(&error);
    match line.split_once(": not provided") {
        Some((names, _)) if error.kind() == ErrorKind::MissingRequiredArgument => {
            let ways = "give it here, in the environment or in a file (--config)";
            Refusal::Wrong(vec![format!("{names}: not provided; {ways}")])
        }
        _ => error.into(),
    }
}

fn lines(mut wrong: Vec<Wrong>) -> Vec<String> {
    wrong.sort();
    wrong.into_iter().map(|wrong| wrong.line).collect()
}

/// What stands on the command line.
fn typed(table: &Table, command: &str, matches: &ArgMatches, wrong: &mut Vec<Wrong>) -> Layer {
    let mut layer = Layer::new();
    for setting in table.of_command(command) {
        let id = setting.id();
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let values: Vec<OsString> = match setting.kind {
            Kind::Switch => vec!["true".into()],
            Kind::Counter => vec![matches.get_count(id).to_string().into()],
            Kind::One | Kind::Many => {
                let raw = matches.get_raw(id);
                raw.into_iter().flatten().map(OsStr::to_owned).collect()
            }
        };
        let given = |value| Given {
            value,
            place: Place::CommandLine,
        };
        let values: Vec<Given> = values.into_iter().map(given).collect();
        // A flag without its value swallows the next flag.
        let is_flag = |value: &OsStr| {
            let name = value.to_str().and_then(|value| value.strip_prefix("--"));
            name.is_some_and(|name| table.get(name).is_some())
        };
        for given in values.iter().filter(|given| is_flag(&given.value)) {
            wrong.push(Wrong::value(
                setting,
                given,
                "that is a flag; a value is missing before it",
            ));
        }
        layer.insert(setting.name.clone(), values);
    }
    layer
}

/// Checks the values of a layer; takes those that are wrong out of it.
fn check(table: &Table, layer: &mut Layer, wrong: &mut Vec<Wrong>) {
    for (name, values) in layer {
        let setting = table.get(name).expect("layers hold settings of the table");
        values.retain(|given| match table.remedy(setting, &given.value) {
            Some(remedy) => {
                wrong.push(Wrong::value(setting, given, &remedy));
                false
            }
            None => true,
        });
    }
}

/// Puts each layer over those behind it.
fn overlay(table: &Table, layers: [Layer; 3], wrong: &mut Vec<Wrong>) -> Layer {
    let mut merged = Layer::new();
    for layer in layers {
        let lower: Layer = layer
            .into_iter()
            .filter(|(name, _)| !merged.contains_key(name))
            .collect();
        let mut kept = Layer::new();
        for (name, values) in lower {
            let setting = table.get(&name).expect("layers hold settings of the table");
            if !is_on(setting, &values) || !yields(table, setting, &values, &merged, &kept, wrong) {
                kept.insert(name, values);
            }
        }
        merged.extend(kept);
    }
    merged
}

fn is_on(setting: &Setting, values: &[Given]) -> bool {
    let values: Vec<&OsStr> = values.iter().map(|given| given.value.as_os_str()).collect();
    setting.is_on(&values)
}

/// Whether a setting gives way to one that it cannot go together with and that has precedence. One
/// of its own layer has none: that is an error.
fn yields(
    table: &Table,
    setting: &Setting,
    values: &[Given],
    merged: &Layer,
    kept: &Layer,
    wrong: &mut Vec<Wrong>,
) -> bool {
    let is_set = |other: &Setting, layer: &Layer| {
        layer
            .get(&other.name)
            .is_some_and(|values| is_on(other, values))
    };
    let mut yields = false;
    for other in table.conflicts(setting) {
        yields |= is_set(other, merged);
        if is_set(other, kept) {
            let (this, that) = (&values[0], &kept[&other.name][0]);
            let remedy = format!(
                "cannot go together with {}; take one out",
                that.place.name(other)
            );
            wrong.push(Wrong::value(setting, this, &remedy));
        }
    }
    yields
}

#[cfg(test)]
mod tests;
