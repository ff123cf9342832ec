//! The table of settings: one for each flag of a command that takes `--config`.
//!
//! It is read from clap's definition of the command line and holds nothing of its own, so a flag that
//! is added there can be set in a file and in the environment from that moment: `--max-line` is
//! `max-line` in a file and `TALLYLINE_MAX_LINE` in the environment. A test fails for a flag whose
//! shape ([`Kind`]) this file does not know.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command};

use crate::cli::{definition, remedy};

/// The flag that names the file. Commands that have it are those that have settings.
pub(super) const CONFIG: &str = "config";

/// What a variable's name begins with.
pub(super) const PREFIX: &str = "TALLYLINE_";

/// How many values a setting has, and of what kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Switch,
    /// How often the flag is given.
    Counter,
    /// One value.
    One,
    /// Any number of values: an array in a file, one a line in the environment.
    Many,
}

/// One setting.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name in a file: the long flag's, or what a positional argument is called.
    pub name: String,
    /// Its name in the environment.
    pub variable: String,
    /// How many values it has.
    pub kind: Kind,
    /// The commands that have it, in the order of the help.
    pub commands: Vec<String>,
    arg: Arg,
}

impl Setting {
    /// The setting of a flag, unless the flag is one that only shows something (`--help`).
    ///
    /// # Panics
    /// If the flag has a shape that nobody has thought of here.
    fn of(arg: &Arg, command: &str) -> Option<Setting> {
        let kind = match arg.get_action() {
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version => {
                return None;
            }
            ArgAction::SetTrue => Kind::Switch,
            ArgAction::Count => Kind::Counter,
            ArgAction::Set => Kind::One,
            ArgAction::Append => Kind::Many,
            other => panic!("--{}: {other:?} cannot be set in a file", arg.get_id()),
        };
        let name = arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned();
        Some(Setting {
            variable: format!("{PREFIX}{}", name.replace('-', "_").to_uppercase()),
            name,
            kind,
            commands: vec![command.to_owned()],
            arg: arg.clone(),
        })
    }

    /// How the command line names it.
    pub fn flag(&self) -> String {
        match self.arg.is_positional() {
            true => self.name.clone(),
            false => format!("--{}", self.name),
        }
    }

    /// What its value is called in the help.
    pub fn value_name(&self) -> &str {
        match (self.kind, self.arg.get_value_names()) {
            (Kind::One | Kind::Many, Some([name, ..])) => name,
            _ => "",
        }
    }

    /// What it is for, in one paragraph.
    pub fn help(&self) -> String {
        self.arg
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// The values it has when nobody sets it.
    pub fn defaults(&self) -> Vec<String> {
        let defaults = self.arg.get_default_values().iter();
        match self.kind {
            Kind::Switch => vec!["false".to_owned()],
            Kind::Counter => vec!["0".to_owned()],
            _ => defaults
                .map(|value| value.to_string_lossy().into_owned())
                .collect(),
        }
    }

    /// Whether its values are numbers, which need no quotes in a file.
    pub(super) fn is_number(&self) -> bool {
        let parsed = self.arg.get_value_parser().type_id();
        [TypeId::of::<usize>(), TypeId::of::<u64>()]
            .iter()
            .any(|number| parsed == *number)
    }

    /// Whether `values` are more than the flag's being left out.
    pub(super) fn is_on<V: AsRef<OsStr>>(&self, values: &[V]) -> bool {
        match self.kind {
            Kind::Switch => values
                .iter()
                .any(|value| is_true(value.as_ref()) == Some(true)),
            Kind::Counter => values.iter().any(|value| value.as_ref() != "0"),
            Kind::One | Kind::Many => !values.is_empty(),
        }
    }

    /// The arguments that set it to `values`; positional ones stand behind all flags.
    pub(super) fn arguments<V: AsRef<OsStr>>(&self, values: &[V]) -> Vec<OsString> {
        let flag = OsString::from(self.flag());
        let with = |value: &V| {
            let mut argument = flag.clone();
            argument.push("=");
            argument.push(value);
            argument
        };
        match self.kind {
            Kind::Switch if self.is_on(values) => vec![flag],
            Kind::Switch => Vec::new(),
            Kind::Counter => vec![flag; values.first().and_then(times).unwrap_or(0).into()],
            _ if self.arg.is_positional() => values
                .iter()
                .map(|value| value.as_ref().to_owned())
                .collect(),
            _ => values.iter().map(with).collect(),
        }
    }

    /// Whether it must be set somewhere.
    pub fn is_required(&self) -> bool {
        self.arg.is_required_set()
    }

    pub(super) fn is_positional(&self) -> bool {
        self.arg.is_positional()
    }

    pub(super) fn id(&self) -> &str {
        self.arg.get_id().as_str()
    }
}

fn is_true(value: &OsStr) -> Option<bool> {
    match value.to_str()? {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn times<V: AsRef<OsStr>>(value: &V) -> Option<u8> {
    value
        .as_ref()
        .to_str()?
        .parse()
        .ok()
        .filter(|times| *times <= TIMES_MAX)
}

/// How often a counted flag may be given: more says nothing more.
const TIMES_MAX: u8 = 9;

/// The settings of all commands that have some.
#[derive(Clone, Debug)]
pub struct Table {
    settings: Vec<Setting>,
    /// The command line, on which nothing must be given: the rest may stand in a file.
    lenient: Command,
}

impl Default for Table {
    fn default() -> Table {
        Table::new()
    }
}

impl Table {
    /// The table, as the command line's definition has it.
    pub fn new() -> Table {
        Table::of(definition())
    }

    /// The table of a command line that is defined so.
    pub(super) fn of(definition: Command) -> Table {
        let mut settings: Vec<Setting> = Vec::new();
        for command in definition
            .get_subcommands()
            .filter(|command| has_config(command))
        {
            for arg in command.get_arguments() {
                let Some(setting) = Setting::of(arg, command.get_name()) else {
                    continue;
                };
                match settings.iter_mut().find(|known| known.name == setting.name) {
                    Some(known) => known.commands.extend(setting.commands),
                    None => settings.push(setting),
                }
            }
        }
        let optional = |command: Command| match has_config(&command) {
            true => command.mut_args(|arg| arg.required(false)),
            false => command,
        };
        Table {
            settings,
            lenient: definition.mut_subcommands(optional),
        }
    }

    /// All settings, in the order of the help.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The settings of one command; none if it takes no `--config`.
    pub fn of_command(&self, command: &str) -> impl Iterator<Item = &Setting> {
        let has = move |setting: &&Setting| setting.commands.iter().any(|name| name == command);
        self.settings.iter().filter(has)
    }

    /// The setting that a file calls so.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Reads a command line on which anything may be missing.
    pub(super) fn command_line(&self, args: &[OsString]) -> Result<clap::ArgMatches, clap::Error> {
        self.lenient.clone().try_get_matches_from(args)
    }

    /// How a value should have been written, if it is wrong.
    pub(super) fn remedy(&self, setting: &Setting, value: &OsStr) -> Option<String> {
        match setting.kind {
            Kind::Switch if is_true(value).is_none() => {
                return Some("write true or false".to_owned());
            }
            Kind::Counter if times(&value).is_none() => {
                return Some(format!("give a number from 0 to {TIMES_MAX}"));
            }
            Kind::Switch | Kind::Counter => return None,
            Kind::One | Kind::Many => {}
        }
        let mut args = vec!["tallyline".into(), OsString::from(&setting.commands[0])];
        if setting.is_positional() {
            args.push("--".into());
        }
        args.extend(setting.arguments(&[value]));
        let error = self.command_line(&args).err()?;
        Some(remedy(&error).unwrap_or_else(|| "give a value".to_owned()))
    }

    /// The settings that cannot be set together with this one.
    pub(super) fn conflicts(&self, setting: &Setting) -> impl Iterator<Item = &Setting> {
        let own = |setting: &Setting| -> Vec<String> {
            let command = match setting.arg.is_global_set() {
                true => Some(&self.lenient),
                false => self.lenient.find_subcommand(&setting.commands[0]),
            };
            let others = command.map(|command| command.get_arg_conflicts_with(&setting.arg));
            others
                .into_iter()
                .flatten()
                .map(|arg| arg.get_id().to_string())
                .collect()
        };
        let of_it = own(setting);
        self.settings.iter().filter(move |other| {
            of_it.iter().any(|id| id == other.id())
                || own(other).iter().any(|id| id == setting.id())
        })
    }
}

fn has_config(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == CONFIG)
}
