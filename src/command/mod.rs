//! What the program's commands do, each in its file: flags in, a run, a result out.
//!
//! The binary only parses arguments and turns the result into an exit status.

mod config;
pub(crate) mod count;
mod demo;
mod manual;
mod service;
mod signals;
pub(crate) mod sink;
mod state;
mod status;
mod tap;
mod top;
mod verify;

use std::io::Write;

use crate::cli::{Cli, Command, ConfigCommand, Voice};
use crate::error::Error;
use crate::source::Source;
use crate::summary::Summary;

/// Runs what the command line asks for.
///
/// # Errors
/// Whatever ended the run other than well; the results up to there have been printed.
pub fn run(cli: &Cli) -> Result<(), Error> {
    match &cli.command {
        Command::Count(args) => count::run(args, cli.voice),
        Command::Tap(args) => tap::run(args, cli.voice),
        Command::Config(ConfigCommand::Check(args)) => config::check(args),
        Command::Config(ConfigCommand::Example) => config::example(),
        Command::State(command) => state::run(command),
        Command::Sink(command) => sink::run(command),
        Command::Verify(args) => verify::run(args),
        Command::Demo(args) => demo::run(args, cli.voice),
        Command::Top(args) => top::run(args),
        Command::Completions(args) => manual::completions(*args),
        Command::Man(args) => manual::man(args),
    }
}

/// Where producers can connect, a line each.
fn where_listening(sources: &[Box<dyn Source>]) -> String {
    let listeners = sources.iter().filter(|source| source.connections_max() > 0);
    listeners
        .map(|source| format!("listening on {}\n", source.name()))
        .collect()
}

/// Says these lines on standard error, which may be closed: that is nobody's loss.
fn say(voice: Voice, lines: &str) {
    if !voice.quiet {
        let lines: String = lines
            .lines()
            .map(|line| voice.log_format.note(line))
            .collect();
        drop(std::io::stderr().lock().write_all(lines.as_bytes()));
    }
}

/// Prints the summary to standard error, which may be closed: that is nobody's loss.
fn print_summary(voice: Voice, summary: &Summary) {
    let text = voice.log_format.summary(summary);
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
