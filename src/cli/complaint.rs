//! Wrong usage in one line: what is wrong, its value, the remedy.
//!
//! Clap finds what is wrong; its own text is several lines and names flags in its own way. A wrong
//! value reads the same wherever it came from (see [`settings`](crate::settings)): the setting's
//! name as it was written there, the value, and how to write it.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::sink::text;

/// Clap's complaint in one line.
pub fn one_line(error: &clap::Error) -> String {
    match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8 => {
            wrong_value(error).unwrap_or_else(|| plain(error))
        }
        ErrorKind::MissingRequiredArgument => format!(
            "{}: not provided; --help shows examples",
            text_of(error, ContextKind::InvalidArg)
                .unwrap_or_default()
                .replace(" or ", " and ")
        ),
        ErrorKind::UnknownArgument => unknown(error).unwrap_or_else(|| plain(error)),
        _ => plain(error),
    }
}

/// How a value should have been written, if that is what clap complains of.
pub(crate) fn remedy(error: &clap::Error) -> Option<String> {
    if let Some(values) = text_of(error, ContextKind::ValidValue) {
        return Some(format!("give {values}"));
    }
    match error.kind() {
        ErrorKind::ValueValidation => Some(error.source()?.to_string()),
        ErrorKind::InvalidUtf8 => Some("write it in UTF-8".to_owned()),
        _ => None,
    }
}

/// A value in one line, safe for a terminal, and not all of it if it is very long.
pub(crate) fn shown(value: &str) -> String {
    text::sample(value.as_bytes(), SHOWN_CHARS_MAX)
}

/// Characters of a wrong value that are enough to recognise it by.
const SHOWN_CHARS_MAX: usize = 200;

/// `--every '5': write a time such as …`
fn wrong_value(error: &clap::Error) -> Option<String> {
    let flag = text_of(error, ContextKind::InvalidArg)?;
    let value = text_of(error, ContextKind::InvalidValue)?;
    let name = match flag.split(' ').next()? {
        // A positional argument has no name but what its value is called.
        place if place.starts_with('<') => place.trim_matches(['<', '>', '.']).to_lowercase(),
        name => name.to_owned(),
    };
    match remedy(error) {
        Some(remedy) => Some(format!("{name} '{}': {remedy}", shown(&value))),
        None if value.is_empty() => Some(format!("{name}: a value is missing; write {flag}")),
        None => None,
    }
}

/// `'--evry': no such flag; did you mean '--every'?`
fn unknown(error: &clap::Error) -> Option<String> {
    let flag = text_of(error, ContextKind::InvalidArg)?;
    if !flag.starts_with('-') {
        return None;
    }
    Some(match text_of(error, ContextKind::SuggestedArg) {
        Some(near) => format!("'{flag}': no such flag; did you mean '{near}'?"),
        None => format!("'{flag}': no such flag; --help shows all"),
    })
}

/// What clap tells of its complaint, several texts as `a, b or c`.
fn text_of(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => match texts.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [most @ .., last] => Some(format!("{} or {last}", most.join(", "))),
        },
        _ => None,
    }
}

/// Clap's own words, without its layout.
fn plain(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let line = lines.collect::<Vec<_>>().join(" ");
    let line = line
        .strip_prefix("error: ")
        .unwrap_or(&line)
        .replace(" tip: ", "; ");
    line.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::definition;

    fn complaint(args: &[&str]) -> String {
        let args = [&["tallyline", "count"], args].concat();
        one_line(
            &definition()
                .try_get_matches_from(args)
                .expect_err("wrong usage"),
        )
    }

    #[test]
    fn complaints_name_the_flag_the_value_and_the_remedy_in_one_line() {
        let wrong = |args: &[&str]| complaint(&[&["-", "--by", "a"], args].concat());
        for (args, expected) in [
            (
                &["--every", "-5s"][..],
                "--every '-5s': write a time such as 500ms, 5s, 1m or 1h30m",
            ),
            (
                &["--every="],
                "--every '': write a time such as 500ms, 5s, 1m or 1h30m",
            ),
            (
                &["--every"],
                "--every: a value is missing; write --every <TIME>",
            ),
            (
                &["--parsers", "-1"],
                "--parsers '-1': give a number from 1 to 256",
            ),
            (
                &["--color", "red"],
                "--color 'red': give auto, always or never",
            ),
            (
                &["--evry", "5s"],
                "'--evry': no such flag; did you mean '--every'?",
            ),
            (
                &["--unheard-of"],
                "'--unheard-of': no such flag; --help shows all",
            ),
            (
                &["--every", "5s", "--every", "6s"],
                "the argument '--every <TIME>' cannot be used multiple times",
            ),
        ] {
            assert_eq!(wrong(args), expected);
        }
        assert_eq!(
            complaint(&["-"]),
            "--by <PATH>: not provided; --help shows examples"
        );
    }

    #[test]
    fn a_value_cannot_break_its_line() {
        let line = complaint(&[
            "-",
            "--by",
            "a",
            "--every",
            &format!("5\n\x1B[31m{}", "9".repeat(9999)),
        ]);
        assert!(
            line.starts_with("--every '5") && !line.contains(['\n', '\x1B']),
            "{line}"
        );
        assert!(line.len() < 400, "{line}");
    }

    #[test]
    fn every_flag_with_a_value_has_a_remedy_for_a_wrong_one() {
        for command in definition().get_subcommands() {
            for flag in command.get_opts().filter_map(clap::Arg::get_long) {
                for value in [
                    "",
                    "-5s",
                    "99999999999999999999999999",
                    "\u{1F980}",
                    "a..b[x",
                ] {
                    let args = [
                        "tallyline",
                        command.get_name(),
                        &format!("--{flag}={value}"),
                    ];
                    let Err(error) = definition().try_get_matches_from(args) else {
                        continue;
                    };
                    let line = one_line(&error);
                    let expected = match remedy(&error) {
                        None if value.is_empty() => format!("--{flag}: a value is missing; "),
                        _ => format!("--{flag} '{value}': "),
                    };
                    let is_fine = error.kind() == ErrorKind::MissingRequiredArgument;
                    assert!(is_fine || line.starts_with(&expected), "{args:?}: {line}");
                    assert_eq!(line.lines().count(), 1, "{line}");
                }
            }
        }
    }
}
