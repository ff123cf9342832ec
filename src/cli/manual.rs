//! `tallyline completions` and `tallyline man`: flags as typed.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::Shell;

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  tallyline completions bash > ~/.local/share/bash-completion/completions/tallyline
  tallyline completions zsh > ~/.zfunc/_tallyline     with ~/.zfunc in $fpath
  tallyline completions fish > ~/.config/fish/completions/tallyline.fish";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  tallyline man | man -l -
  tallyline man state export | man -l -
  tallyline man --dir /usr/local/share/man/man1";

/// `tallyline completions`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `tallyline man`.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// The command whose page is printed, such as count or state export. [default: the program's own]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Vec<String>,

    /// Write the pages of all commands into this folder instead.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}
