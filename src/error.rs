//! What can end a run, and the exit status each gets.
//!
//! A message is one line (save [`Error::Settings`], which is one for each fault): what was wrong, with its name and value, then the remedy; lower case, no
//! final full stop. Only `main` prints them.

use std::fmt;
use std::io;

use crate::tolerance::Tolerance;

/// Why a run ended other than well.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A flag or setting cannot be used; nothing was read. Exit status 2.
    Usage(String),
    /// A setting's value cannot be used, as was seen only beside other settings or the world; nothing
    /// was read. Exit status 2.
    Setting {
        /// The setting, as a file calls it: the long flag's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What to do.
        remedy: String,
    },
    /// Several settings are wrong, a line each. Exit status 2.
    Settings(Vec<String>),
    /// A source failed. Exit status 1.
    Source(String),
    /// The output could not be written. Exit status 1; a closed pipe ends quietly with 0.
    Output(io::Error),
    /// The system refused something the program needs. Exit status 1.
    System(&'static str, io::Error),
    /// More lines were malformed than the limit allows: the limit, and what there was. Exit status 3.
    Malformed(Tolerance, String),
    /// The state could not be saved or read. Exit status 1.
    State(String),
    /// Bad lines that were to be kept were not; everything was counted. Exit status 1.
    Unsaved(String),
    /// A sink cannot be reached, or has not taken all results. Exit status 1.
    Sink(String),
    /// A state is not what it should be. Exit status 3.
    Differs(String),
    /// The books do not balance: a bug. Exit status 3.
    Ledger(String),
}

impl Error {
    /// The program's exit status for this error.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Setting { .. } | Error::Settings(_) => 2,
            Error::Output(_) if self.is_closed_pipe() => 0,
            Error::Source(_)
            | Error::Output(_)
            | Error::System(..)
            | Error::State(_)
            | Error::Unsaved(_)
            | Error::Sink(_) => 1,
            Error::Malformed(..) | Error::Differs(_) | Error::Ledger(_) => 3,
        }
    }

    /// Whether the reader of our output went away, which is no fault.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(message)
            | Error::Source(message)
            | Error::State(message)
            | Error::Differs(message)
            | Error::Sink(message)
            | Error::Unsaved(message) => f.write_str(message),
            Error::Setting {
                name,
                value,
                remedy,
            } => write!(f, "--{name} '{value}': {remedy}"),
            Error::Settings(lines) => f.write_str(&lines.join("\n")),
            Error::Output(error) => write!(
                f,
                "cannot write the output: {}; what was counted up to here stands above",
                reason(error)
            ),
            Error::System(what, error) => write!(f, "cannot {what}: {}", reason(error)),
            Error::Malformed(limit, message) => write!(f, "--max-malformed {limit}: {message}"),
            Error::Ledger(message) => write!(
                f,
                "the ledger does not balance: {message}; this is a bug in tallyline, please report it"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// An I/O error as a person says it: `connection refused`, without the system's number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_read_like_words() {
        let error = io::Error::from_raw_os_error(111);
        assert_eq!(reason(&error), "connection refused");
    }

    #[test]
    fn statuses_are_those_of_the_contract() {
        let pipe = Error::Output(io::ErrorKind::BrokenPipe.into());
        let full = Error::Output(io::ErrorKind::StorageFull.into());
        assert_eq!(pipe.exit_status(), 0);
        assert_eq!(full.exit_status(), 1);
        assert_eq!(Error::Usage(String::new()).exit_status(), 2);
        assert_eq!(Error::Ledger(String::new()).exit_status(), 3);
    }
}
