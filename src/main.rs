//! The tallyline program: arguments in, exit status out.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use tallyline::cli::{Voice, one_line};
use tallyline::log::{Log, LogFormat};
use tallyline::settings::{self, Refusal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    let resolved = match settings::resolve(&args, env::vars_os()) {
        Ok(resolved) => resolved,
        Err(refusal) => return refuse(refusal),
    };
    listen(resolved.cli.voice);
    for warning in &resolved.warnings {
        tracing::warn!("{warning}");
    }
    match tallyline::command::run(&resolved.cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            let format = resolved.cli.voice.log_format;
            fail(format, &resolved.sheet.told(&error), error.exit_status())
        }
    }
}

/// Help, the version, or what is wrong with the arguments and the settings.
fn refuse(refusal: Refusal) -> ExitCode {
    match refusal {
        Refusal::CommandLine(error) if error.exit_code() == 0 => {
            // Whoever closed the pipe has seen enough of it.
            drop(error.print());
            ExitCode::SUCCESS
        }
        Refusal::CommandLine(error)
            if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            drop(error.print());
            ExitCode::from(2)
        }
        Refusal::CommandLine(error) => fail(LogFormat::Text, &one_line(&error), 2),
        Refusal::Wrong(lines) => {
            let more = match lines.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more: see 'tallyline config check')"),
            };
            fail(LogFormat::Text, &format!("{}{more}", lines[0]), 2)
        }
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
    // What libraries have to say (Amazon's SDK, at length) becomes an error or a warning of ours where it matters.
    let others = match level {
        LevelFilter::DEBUG => LevelFilter::WARN,
        _ => LevelFilter::OFF,
    };
    let targets = Targets::new()
        .with_default(others)
        .with_target("tallyline", level);
    tracing_subscriber::registry()
        .with(Log::new(voice.log_format))
        .with(targets)
        .init();
}

/// The one place that prints errors.
fn fail(format: LogFormat, message: &str, status: u8) -> ExitCode {
    let lines = format.error(message);
    drop(std::io::stderr().lock().write_all(lines.as_bytes()));
    ExitCode::from(status)
}
