//! `tallyline state` and `tallyline verify`: flags as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

pub(super) const STATE_EXAMPLES: &str = "\
Examples:
  tallyline state show app.db
  tallyline state export app.db > totals.json
  tallyline state merge monday.db tuesday.db -o week.db";

const SHOW_EXAMPLES: &str = "\
Example: tallyline state show app.db";

const STATE_CHECK_EXAMPLES: &str = "\
Example: tallyline state check app.db

Exit status: 0 all is well, 3 something is wrong; then each fault is a line.";

const RESET_EXAMPLES: &str = "\
Example: tallyline state reset app.db";

pub(super) const VERIFY_HINT: &str = "\
Example: tallyline verify orders.jsonl --state orders.db";

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  tallyline count orders.jsonl --by status --state orders.db
  tallyline verify orders.jsonl --state orders.db

Counts the files again, line by line, with a counter that shares nothing with the fast one, and
prints each key whose total is another. Files are read as far as the state says that they were
counted. Name all files that were counted into the state.
Exit status: 0 all the same, 3 something differs.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  tallyline state export app.db > totals.json
  tallyline state export app.db --what windows --format csv > windows.csv
  tallyline state export app.db --format sql | sqlite3 copy.db";

const MERGE_EXAMPLES: &str = "\
Examples:
  tallyline state merge monday.db tuesday.db -o week.db

Totals and ledgers are added; open windows and the history stay where they are. States that have
counted the same file or the same partition are refused: its lines would count twice.";

/// `tallyline state`.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Show what a state file holds: settings, figures, how far each source is counted, the last runs.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(StateFileArgs),
    /// Check a state file: its structure, its ledger, its sums.
    #[command(after_help = STATE_CHECK_EXAMPLES)]
    Check(StateFileArgs),
    /// Print its totals, its history, or all of it as SQL.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Put a state file aside, so that the next run begins anew.
    #[command(after_help = RESET_EXAMPLES)]
    Reset(StateFileArgs),
    /// Add several state files up into a new one.
    #[command(after_help = MERGE_EXAMPLES)]
    Merge(MergeArgs),
}

/// A state file.
#[derive(Args, Clone, Debug)]
pub struct StateFileArgs {
    /// The state file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `tallyline state export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// The state file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// As what.
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub format: ExportFormat,

    /// What of it; as SQL it is always all.
    #[arg(long, value_name = "WHAT", default_value = "totals")]
    pub what: ExportWhat,
}

/// What of a state is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportWhat {
    /// The totals, as count prints them at the end.
    Totals,
    /// The batches of the history, the oldest first, each with its most frequent keys.
    Batches,
    /// The windows of the history in the order in which they closed.
    Windows,
}

/// As what a state is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Objects, as count --output json prints them.
    Json,
    /// Rows, one for each key.
    Csv,
    /// Every table, as statements that make the same database.
    Sql,
}

/// `tallyline state merge`.
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    /// The state files, at least two.
    #[arg(value_name = "FILE", required = true, num_args = 2..)]
    pub files: Vec<PathBuf>,

    /// The new state file.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

/// `tallyline verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The files that were counted: gzip and zstd too.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// The state that they were counted into.
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
}
