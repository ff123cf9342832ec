//! `tallyline man` and `tallyline completions`: made from the definition of the flags, so that neither
//! can lack one.
//!
//! A page has the sections that clap_mangen makes of a command, and for the text behind its options a
//! section under each of the text's own headings; examples keep their lines.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use crate::cli::{CompletionsArgs, ManArgs, definition};
use crate::error::{Error, reason};

/// What a line of help begins with that is to stay a line.
const INDENT: &str = "  ";

/// Prints a shell's completions.
pub(super) fn completions(args: CompletionsArgs) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "tallyline", &mut script);
    print(&script)
}

/// Prints one page, or writes all of them.
pub(super) fn man(args: &ManArgs) -> Result<(), Error> {
    let definition = definition();
    if let Some(dir) = &args.dir {
        return write_all(&definition, dir);
    }
    let mut command = &definition;
    for name in &args.command {
        let Some(next) = command.find_subcommand(name) else {
            let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            let remedy = match names.as_slice() {
                [] => format!("{} has no commands; leave it out", called(command)),
                names => format!("no such command; give one of {}", names.join(", ")),
            };
            return Err(Error::Usage(format!("command '{name}': {remedy}")));
        };
        command = next;
    }
    print(&page(command))
}

/// Writes the pages of a command and of all commands under it.
fn write_all(command: &Command, dir: &Path) -> Result<(), Error> {
    let path = dir.join(format!("{}.1", called(command).replace(' ', "-")));
    fs::write(&path, page(command)).map_err(|error| Error::Setting {
        name: "dir",
        value: dir.display().to_string(),
        remedy: format!(
            "cannot write {}: {}; name a folder to write to",
            path.display(),
            reason(&error)
        ),
    })?;
    command
        .get_subcommands()
        .try_for_each(|command| write_all(command, dir))
}

/// `tallyline state export`
fn called(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

/// The manual page of a command.
fn page(command: &Command) -> Vec<u8> {
    let version = definition().get_version().unwrap_or_default().to_owned();
    let man = Man::new(command.clone())
        .title(called(command).replace(' ', "-").to_uppercase())
        // Where a date might stand; a page of the same version is the same page.
        .date(version)
        .source("tallyline")
        .manual("User Commands");
    let mut page = Vec::new();
    rendered(&man, command, &mut page).expect("writing into memory does not fail");
    page
}

fn rendered(man: &Man, command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    let help = command.get_after_long_help().or(command.get_after_help());
    if let Some(help) = help {
        page.extend_from_slice(sections(&help.to_string()).as_bytes());
    }
    Ok(())
}

/// The text behind the options. `Examples:` heads a section, `Exit status: 0 …` begins one, lines that are
/// indented stay as they are, all others flow.
fn sections(help: &str) -> String {
    let mut text = String::new();
    let mut is_verbatim = false;
    for line in help.lines() {
        if line.starts_with(INDENT) != is_verbatim && !line.is_empty() {
            is_verbatim = !is_verbatim;
            text += if is_verbatim { ".nf\n" } else { ".fi\n" };
        }
        let (heading, rest) = match line.split_once(':') {
            Some((heading, rest)) if is_heading(heading) => (Some(heading), rest.trim_start()),
            _ => (None, line),
        };
        if let Some(heading) = heading {
            text += &format!(".SH {}\n", escaped(&heading.to_uppercase()));
        }
        match rest.strip_prefix(INDENT).unwrap_or(rest) {
            "" if heading.is_some() => {}
            "" if is_verbatim => text += "\n",
            "" => text += ".PP\n",
            rest => text += &format!("{}\n", escaped(rest)),
        }
    }
    if is_verbatim {
        text += ".fi\n";
    }
    text
}

/// Whether what stands before a colon heads what stands behind it.
fn is_heading(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphabetic() || c == ' ';
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.len() < 20
        && text.chars().all(is_word)
}

/// A line that roff takes as it stands.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line,
    }
}

fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes);
    written.and_then(|()| stdout.flush()).map_err(Error::Output)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use clap::ValueEnum;
    use clap_complete::Shell;

    use super::*;

    /// A command and all under it.
    fn all(command: &Command) -> Vec<&Command> {
        let under = command.get_subcommands().flat_map(all);
        [command].into_iter().chain(under).collect()
    }

    /// Its long flags.
    fn flags(command: &Command) -> impl Iterator<Item = &str> {
        command.get_arguments().filter_map(clap::Arg::get_long)
    }

    #[test]
    fn each_page_has_every_flag_and_every_line_of_help() {
        for command in all(&definition()) {
            let page = String::from_utf8(page(command))
                .unwrap()
                .replace("\\-", "-");
            for flag in flags(command) {
                assert!(
                    page.contains(&format!("--{flag}")),
                    "{}: {flag}",
                    called(command)
                );
            }
            let help = command.get_after_long_help().or(command.get_after_help());
            for line in help.map(ToString::to_string).unwrap_or_default().lines() {
                let line = escaped(line.trim()).replace("\\-", "-");
                let line = line.rsplit(": ").next().unwrap().trim_end_matches(':');
                let is_there = page.contains(line) || page.contains(&line.to_uppercase());
                assert!(is_there, "{}: {line}", called(command));
            }
        }
    }

    #[test]
    fn every_command_has_examples_in_its_short_help() {
        for command in all(&definition()) {
            let help = command.clone().render_help().to_string();
            assert!(help.contains("Example"), "{}: {help}", called(command));
        }
    }

    #[test]
    fn every_shell_completes_every_flag() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut definition(), "tallyline", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in all(&definition()) {
                for flag in flags(command) {
                    assert!(script.contains(flag), "{shell}: {flag}");
                }
            }
        }
    }

    #[test]
    fn help_becomes_sections_and_lines() {
        let help = "Examples:\n  a --b\n    .c\n\nThe rest\\flows.\nExit status: 0 well";
        assert_eq!(
            sections(help),
            ".SH EXAMPLES\n.nf\na \\-\\-b\n  .c\n\n.fi\nThe rest\\eflows.\n.SH EXIT STATUS\n0 well\n"
        );
    }
}
