//! Flags as typed.
//!
//! What clap can check of one value alone is checked here; what depends on several, or on the
//! world, in [`config`](crate::config). Whatever is wrong becomes one line that names the flag, its
//! value and the remedy.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::record::KeyPath;
use crate::sink::OutputFormat;
use crate::source::OnClose;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "tallyline", version, about, long_about = LONG_ABOUT, after_long_help = EXAMPLES)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How much to say on standard error.
    #[command(flatten)]
    pub voice: Voice,
}

const LONG_ABOUT: &str = "\
Counts the records of a live stream by key: newline-delimited JSON in, counts per batch and in \
total out. Exact, with an account of every line, in bounded memory.";

const EXAMPLES: &str = "\
Examples:
  tallyline demo
      An embedded order stream, counted live.
  tallyline count tcp://localhost:9998 --by status --every 5s
      Orders per five seconds by status, from a server that sends JSON lines.
  zcat access.json.gz | tallyline count - --by request.host --top 10 --output json
      The ten busiest hosts of a log, as JSON.
  tallyline tap tcp://localhost:9998
      What the stream looks like, before counting it.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count the records of a source by key.
    #[command(after_long_help = COUNT_EXAMPLES)]
    Count(CountArgs),
    /// Show the first raw lines of every batch, and how many came.
    #[command(after_long_help = TAP_EXAMPLES)]
    Tap(TapArgs),
    /// Count an embedded order stream over a real loopback socket.
    #[command(after_long_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
}

const COUNT_EXAMPLES: &str = "\
Sources:
  tcp://HOST:PORT         connect to a server that sends lines; reconnect when it closes
  tcp-listen://ADDR:PORT  accept any number of producers that send lines
  tls://, tls-listen://   the same over TLS, in a build with the feature tls
  unix://PATH             as tcp://, over a Unix socket
  unix-listen://PATH      as tcp-listen://, over a Unix socket
  -                       standard input
  FILE                    read to its end

Key paths:
  status                      a member of the record
  customer.address.country    a member of a member
  'items[0].sku'              an element of an array
  '[\"a.b\"]'                   a member whose name has a dot
  /items/0/sku                the same as a JSON Pointer

Examples:
  tallyline count tcp://localhost:9998 --by status --every 5s
  tallyline count orders.jsonl --by customer.address.country --output csv
  tallyline count - --by status --output spark < orders.jsonl
  tallyline count tcp://shop-1:9998 tcp://shop-2:9998 --by status
  tallyline count tcp-listen://127.0.0.1:9998 --by status

Exit status: 0 done or drained, 1 failure while running, 2 wrong usage, 3 the ledger does not
balance, 130 a second Ctrl-C. The first Ctrl-C counts what was received and prints it.";

const TAP_EXAMPLES: &str = "\
Examples:
  tallyline tap tcp://localhost:9998
  tallyline tap orders.jsonl --lines 3 --batches 1";

const DEMO_EXAMPLES: &str = "\
Examples:
  tallyline demo
  tallyline demo --rate 0 --duration 10s --stats     as fast as it goes";

/// `tallyline count`.
#[derive(Args, Clone, Debug)]
pub struct CountArgs {
    /// Where the lines come from: tcp://HOST:PORT, a file, - for standard input and others, see
    /// below; several are counted together.
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,

    /// What to count by: the path of a string, number, boolean or null in each record.
    #[arg(long, value_name = "PATH", value_parser = key_path)]
    pub by: KeyPath,

    /// How the source and the batches are handled.
    #[command(flatten)]
    pub stream: StreamArgs,

    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,

    /// How the machine is used.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// `tallyline tap`.
#[derive(Args, Clone, Debug)]
pub struct TapArgs {
    /// Where the lines come from: tcp://HOST:PORT, a file, - for standard input; see count --help.
    pub source: String,

    /// How many lines of each batch are shown.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub lines: usize,

    /// Stop after so many batches.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub batches: Option<u64>,

    /// How the source and the batches are handled.
    #[command(flatten)]
    pub stream: StreamArgs,
}

/// `tallyline demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// How long the stream lasts.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub duration: Duration,

    /// Records per second; 0: as many as the machine can.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub rate: u64,

    /// The batch interval.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    pub every: Duration,

    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,

    /// How the machine is used.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// How the source and the batches are handled.
#[derive(Args, Clone, Debug)]
pub struct StreamArgs {
    /// The batch interval; boundaries are whole multiples of it since the Unix epoch.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    pub every: Duration,

    /// What to do when a server (tcp://, unix://) closes the connection.
    #[arg(long, value_name = "WHAT", default_value = "reconnect")]
    pub on_close: OnClose,

    /// How long to keep trying for the first connection.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub connect_wait: Duration,

    /// Producers connected to one tcp-listen:// or unix-listen:// at once; the next is refused.
    #[arg(long, value_name = "N", default_value = "1024", value_parser = connections)]
    pub max_connections: usize,

    /// Certificates and keys of tls:// and tls-listen://.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// End at the first source that fails, instead of going on with the others.
    #[arg(long)]
    pub fail_fast: bool,

    /// The longest line; a longer one is skipped and counted as oversize.
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = size)]
    pub max_line: usize,
}

/// Certificates and keys of `tls://` and `tls-listen://`, files in PEM format.
#[derive(Args, Clone, Debug)]
pub struct TlsArgs {
    /// Our certificate: needed for tls-listen://, shown to a server of tls:// that asks for one.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The key of our certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// The authority that servers of tls:// must be certified by. [default: whom the system trusts]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// The authority that producers at tls-listen:// must be certified by. [default: none asked]
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
}

/// What is printed.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// The format of the counts on standard output.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: OutputFormat,

    /// How many rows are shown, or `all`; the rest is summed. [default: table 50, spark 10, else all]
    #[arg(long, value_name = "N", value_parser = top)]
    pub top: Option<Top>,

    /// Show latency percentiles: from receiving a record to counting it, and from a batch's
    /// boundary to its being printed.
    #[arg(long)]
    pub stats: bool,

    /// When to use colour; NO_COLOR is obeyed.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// How the machine is used.
#[derive(Args, Clone, Debug)]
pub struct MachineArgs {
    /// Parser threads. [default: one per core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub parsers: Option<usize>,

    /// Counter threads. [default: one per four parsers]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub shards: Option<usize>,

    /// Leave it to the system on which core each parser runs.
    #[arg(long)]
    pub no_pin: bool,

    /// Memory for input on its way to the parsers.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = size)]
    pub pool_bytes: usize,

    /// Distinct keys; records of further ones are counted under _other.
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub max_keys: u64,
}

/// How much to say on standard error.
#[derive(Args, Clone, Copy, Debug)]
pub struct Voice {
    /// Say more: settings, bounds and connections; twice, for debugging.
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Say nothing but errors: no warnings, no samples of bad lines, no summary.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A limit on rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// No limit.
    All,
    /// So many, at least 1.
    Rows(usize),
}

fn key_path(text: &str) -> Result<KeyPath, String> {
    KeyPath::parse(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time such as 500ms, 5s, 1m or 1h30m".to_owned();
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    let bounds = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
    if bounds.contains(&interval) {
        return Ok(interval);
    }
    Err("give an interval from 10ms to 24h".to_owned())
}

fn threads(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=256).contains(number));
    number.ok_or_else(|| "give a number from 1 to 256".to_owned())
}

fn connections(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| "give a number from 1 to 1000000".to_owned())
}

fn top(text: &str) -> Result<Top, String> {
    if text == "all" {
        return Ok(Top::All);
    }
    let rows = text.parse().ok().filter(|&rows| rows > 0).map(Top::Rows);
    rows.ok_or_else(|| "give a number of rows from 1 up, or all".to_owned())
}

/// A size in bytes: `1048576`, `512KiB`, `64MiB`, `1GiB`, or decimal `500kB`, `1MB`.
fn size(text: &str) -> Result<usize, String> {
    let wrong =
        || "write a size such as 1048576, 512KiB or 64MiB, at least 1 and at most 1TiB".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let unit: usize = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    let bytes = number
        .checked_mul(unit)
        .filter(|bytes| (1..=1 << 40).contains(bytes));
    bytes.ok_or_else(wrong)
}

/// Clap's complaint in one line: what, where, and the remedy.
pub fn one_line(error: &clap::Error) -> String {
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
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("64 KiB"), Ok(64 << 10));
        assert_eq!(size("500kB"), Ok(500_000));
        assert_eq!(size("7"), Ok(7));
        for bad in [
            "",
            "0",
            "MiB",
            "-1",
            "1.5MiB",
            "1XB",
            "99999999999999999999",
            "9999999G",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("1m"), Ok(Duration::from_secs(60)));
        for bad in ["", "5", "0s", "-5s", "1ms", "25h", "soon"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn complaints_name_the_flag_the_value_and_the_remedy_in_one_line() {
        let complaint = |args: &[&str]| {
            let args = [&["tallyline", "count"], args].concat();
            one_line(&Cli::try_parse_from(args).expect_err("wrong usage"))
        };
        assert_eq!(
            complaint(&["-", "--by", "a", "--every", "5"]),
            "invalid value '5' for '--every <TIME>': write a time such as 500ms, 5s, 1m or 1h30m"
        );
        assert_eq!(
            complaint(&["-"]),
            "the following required arguments were not provided: --by <PATH>"
        );
        let typo = complaint(&["-", "--by", "a", "--evry", "5s"]);
        assert!(
            typo.contains("'--evry'") && typo.contains("'--every'"),
            "{typo}"
        );
        assert!(!typo.contains('\n'));
    }
}
