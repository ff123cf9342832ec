//! `tallyline config`: what a file's settings come to, everything that is wrong with them, an example.

use std::env;
use std::io::{self, Write};

use crate::cli::{CheckArgs, Command};
use crate::config;
use crate::error::Error;
use crate::settings::{self, Sheet};
use crate::source::Streams;

/// Prints the settings of a file, with the environment over them.
pub(super) fn check(args: &CheckArgs) -> Result<(), Error> {
    let environment = env::vars_os().filter(|_| !args.no_environment);
    let (sheet, warnings) = Sheet::of_file(&args.file, environment).map_err(Error::Settings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // What must be set may be missing: it is then given on the command line.
    if let Ok(cli) = sheet.command_line("count")
        && let Command::Count(args) = &cli.command
    {
        let checked = config::settings(args).and_then(|settings| settings.check(Streams::ONE));
        checked.map_err(|error| Error::Usage(sheet.told(&error)))?;
    }
    print(&sheet.to_string())
}

/// Prints a file of all settings.
pub(super) fn example() -> Result<(), Error> {
    print(&settings::example())
}

fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    written.and_then(|()| stdout.flush()).map_err(Error::Output)
}
