//! The tallyline program: arguments in, exit status out.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;
use tallyline::cli::{Cli, Voice, definition, one_line};
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    let parsed = definition()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) if error.exit_code() == 0 => {
            // Help or version; whoever closed the pipe has seen enough of it.
            drop(error.print());
            return ExitCode::SUCCESS;
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            drop(error.print());
            return ExitCode::from(2);
        }
        Err(error) => return fail(&one_line(&error), 2),
    };
    listen(cli.voice);
    match tallyline::command::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), error.exit_status()),
    }
}

/// Sends warnings and the like to standard error.
fn listen(voice: Voice) {
    let level = match (voice.quiet, voice.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .without_time()
        // A closed standard error must not end the counting.
        .log_internal_errors(false)
        .init();
}

/// The one place that prints errors.
fn fail(message: &str, status: u8) -> ExitCode {
    let line = format!("tallyline: {message}\n");
    drop(std::io::stderr().lock().write_all(line.as_bytes()));
    ExitCode::from(status)
}
