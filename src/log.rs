//! What the program says beside its results: warnings, notes, the summary, errors, on standard error.
//!
//! Everybody speaks through `tracing`; [`Log`] writes each event as one line, for people
//! (` WARN connection lost`) or for machines (`--log-format json`: an object with the time, the level and
//! the message). What is no event, the summary and the error that ends a run, has the same two forms.
//!
//! A standard error that is closed is nobody's loss: the counting goes on.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::progress::Stderr;
use crate::summary::Summary;

/// How a message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, with the time.
    Json,
}

impl LogFormat {
    /// A message that has come at a time.
    fn line(self, at: Timestamp, level: Level, message: &str) -> String {
        match self {
            LogFormat::Text => format!("{level:>5} {message}\n"),
            LogFormat::Json => object(at, level, message, Map::new()),
        }
    }

    /// The error that ends the program, which may have several lines.
    pub fn error(self, message: &str) -> String {
        let now = SystemClock.now();
        let line = |message: &str| match self {
            LogFormat::Text => format!("tallyline: {message}\n"),
            LogFormat::Json => self.line(now, Level::ERROR, message),
        };
        message.lines().map(line).collect()
    }

    /// Something to be told that is neither wrong nor a detail.
    pub fn note(self, message: &str) -> String {
        match self {
            LogFormat::Text => format!("{message}\n"),
            LogFormat::Json => self.line(SystemClock.now(), Level::INFO, message),
        }
    }

    /// What a run came to.
    pub fn summary(self, summary: &Summary) -> String {
        match self {
            LogFormat::Text => format!("\n{}\n", summary.to_string().trim_end()),
            LogFormat::Json => object(SystemClock.now(), Level::INFO, "done", summary.figures()),
        }
    }
}

/// An object in one line, with more of its own.
fn object(at: Timestamp, level: Level, message: &str, more: Map<String, Value>) -> String {
    let level = level.as_str().to_lowercase();
    let mut line = format!(
        r#"{{"time":"{at}","level":"{level}","message":{}"#,
        Value::from(message)
    );
    for (name, value) in more {
        push(&mut line, format_args!(",{}:{value}", Value::from(name)));
    }
    line.push_str("}\n");
    line
}

/// Writes events. See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log {
    format: LogFormat,
}

impl Log {
    /// A log in this format.
    pub fn new(format: LogFormat) -> Log {
        Log { format }
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let level = *event.metadata().level();
        let message = format!("{}{}", said.message, said.rest);
        let line = self.format.line(SystemClock.now(), level, &message);
        drop(Stderr.write_all(line.as_bytes()));
    }
}

/// An event's message, and behind it the fields that libraries add.
#[derive(Debug, Default)]
struct Said {
    message: String,
    rest: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => push(&mut self.message, format_args!("{value:?}")),
            name => push(&mut self.rest, format_args!(" {name}={value:?}")),
        }
    }
}

fn push(out: &mut String, arguments: fmt::Arguments<'_>) {
    out.write_fmt(arguments)
        .expect("writing into a String does not fail");
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_in_either_format() {
        let at = Timestamp::from_millis(1_500);
        let line = |format: LogFormat| format.line(at, Level::WARN, "lost \"a\"");
        assert_eq!(line(LogFormat::Text), " WARN lost \"a\"\n");
        assert_eq!(
            line(LogFormat::Json),
            "{\"time\":\"1970-01-01T00:00:01.500Z\",\"level\":\"warn\",\"message\":\"lost \\\"a\\\"\"}\n"
        );
    }

    #[test]
    fn an_error_of_several_lines_is_several_objects() {
        let objects = LogFormat::Json.error("a: b\nc");
        let messages = objects.lines().map(|line| {
            let object: Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["level"], "error");
            object["message"].as_str().unwrap().to_owned()
        });
        assert_eq!(messages.collect::<Vec<_>>(), ["a: b", "c"]);
        assert_eq!(LogFormat::Text.error("a"), "tallyline: a\n");
    }

    #[test]
    fn the_summary_has_figures_that_are_numbers() {
        let summary = Summary {
            bytes: 71,
            duration_ns: 1_500_000,
            ..Summary::default()
        };
        let object: Value = serde_json::from_str(&LogFormat::Json.summary(&summary)).unwrap();
        assert_eq!(
            (&object["message"], &object["bytes"]),
            (&"done".into(), &71.into())
        );
        assert_eq!(object["duration_us"], 1_500);
        assert_eq!(object["ledger"]["malformed"], 0);
    }
}
