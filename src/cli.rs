//! Flags as typed.
//!
//! What clap can check of one value alone is checked here; what depends on several, or on the
//! world, in [`config`](crate::config). Whatever is wrong becomes one line that names the flag, its
//! value and the remedy.

mod complaint;
mod http;
mod manual;
mod sink;
mod state;
mod top;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};

use crate::log::LogFormat;
use crate::record::time::TimeFormat;
use crate::record::{Condition, KeyPath};
use crate::sink::OutputFormat;
use crate::source::{OnClose, OnReplaced, StartAt};
use crate::state::SENT_MAX;
use crate::tolerance::Tolerance;
use crate::window::WindowSpec;

pub use complaint::one_line;
pub(crate) use complaint::{remedy, shown};
pub use http::{AccessArgs, HttpArgs};
pub use manual::{CompletionsArgs, ManArgs};
pub use sink::{DeliverArgs, SinkCommand, SinkTestArgs};
pub use state::{
    ExportArgs, ExportFormat, ExportWhat, MergeArgs, StateCommand, StateFileArgs, VerifyArgs,
};
pub use top::TopArgs;
use values::{condition, interval, keep, key_path, number, partition, region, tolerance, window};
pub(crate) use values::{duration, size, top, url};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "tallyline", version, about, long_about = LONG_ABOUT, after_help = EXAMPLES)]
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
  tallyline count 'logs/*.json.gz' --by request.host --top 10 --output json
      The ten busiest hosts of all logs, as JSON.
  tallyline tap tcp://localhost:9998
      What the stream looks like, before counting it.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count the records of a source by key.
    #[command(after_help = COUNT_HINT, after_long_help = COUNT_EXAMPLES)]
    Count(Box<CountArgs>),
    /// Show the first raw lines of every batch, and how many came.
    #[command(after_help = TAP_HINT, after_long_help = TAP_EXAMPLES)]
    Tap(Box<TapArgs>),
    /// Check a file of settings, or show an example of one.
    #[command(
        subcommand,
        arg_required_else_help = true,
        disable_help_subcommand = true
    )]
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigCommand),
    /// Show, check, export, put aside or add up state files (count --state).
    #[command(
        subcommand,
        arg_required_else_help = true,
        disable_help_subcommand = true
    )]
    #[command(after_help = state::STATE_EXAMPLES)]
    State(StateCommand),
    /// Try sinks (count --to).
    #[command(
        subcommand,
        arg_required_else_help = true,
        disable_help_subcommand = true
    )]
    #[command(after_help = sink::TEST_EXAMPLES)]
    Sink(SinkCommand),
    /// Count files again, slowly and simply, and compare with a state file.
    #[command(after_help = state::VERIFY_HINT, after_long_help = state::VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Count an embedded order stream over a real loopback socket.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Box<DemoArgs>),
    /// Look at a run elsewhere, live, by its HTTP address (count --http).
    #[command(after_help = top::TOP_EXAMPLES)]
    Top(TopArgs),
    /// Print a shell's completions of commands, flags and values.
    #[command(after_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the manual page of a command, or write all of them into a folder.
    #[command(after_help = manual::MAN_EXAMPLES)]
    Man(ManArgs),
}

const COUNT_HINT: &str = "\
Examples:
  tallyline count tcp://localhost:9998 --by status --every 5s
  tallyline count 'logs/*.json.gz' --by request.host --top 10 --output json

--help tells of sources, key paths and conditions, with more examples.";

const COUNT_EXAMPLES: &str = "\
Sources:
  tcp://HOST:PORT         connect to a server that sends lines; reconnect when it closes
  tcp-listen://ADDR:PORT  accept any number of producers that send lines
  tls://, tls-listen://   the same over TLS, in a build with the feature tls
  unix://PATH             as tcp://, over a Unix socket
  unix-listen://PATH      as tcp-listen://, over a Unix socket
  kafka://BROKERS/TOPIC   a topic's messages, each of one or more lines (feature kafka)
  kinesis://STREAM        a stream's records, each of one or more lines (feature kinesis)
  -                       standard input
  FILE                    read to its end; several are read one after another; gzip and zstd are
                          told by their contents; with --follow, read on as it grows and is rotated
  'logs/*.jsonl'          every file that the glob matches, by name
  DIR/                    every file that appears in the folder, once, when it is complete

Key paths:
  status                      a member of the record
  customer.address.country    a member of a member
  'items[0].sku'              an element of an array
  '[\"a.b\"]'                   a member whose name has a dot
  /items/0/sku                the same as a JSON Pointer

Conditions:
  status=PLACED               the string PLACED
  code=200                    the number 200, or the string \"200\"; 'code=\"200\"' only the string
  deleted!=true               anything else than true, or nothing at all
  customer.vip                anything, be it false or null

Sinks (--to):
  file:PATH               append JSON lines, or CSV if the name ends so; behind .gz or .zst compressed;
                          a time in the name (counts-%Y%m%d-%H.jsonl) makes a file for each time
  exec:COMMAND            run a command for every batch, its JSON lines on standard input
  http://…, https://…     a POST per batch, JSON lines, gzip (https:// with the feature tls)
  postgres://USER@HOST/DB upsert rows into tables, created if they are missing (feature postgres);
                          the password from PGPASSWORD, PGPASSFILE or password-file=FILE
  kafka://BROKERS/TOPIC   a message per row, keyed by job and key; with --state in transactions (feature kafka)

In front of a sink, as words:
  top=N                   rows of a report, the rest is summed
  filter=WHAT,…           batches, windows, totals, ledger
  timeout=TIME            how long an attempt may take (30s)
  rotate=SIZE             file: put it aside when it is that long
  headers=FILE            http: send these headers too, a 'Name: value' on each line
  secret-file=FILE        http: sign bodies (X-Tallyline-Signature, HMAC with SHA-256)
  schema=NAME, prefix=NAME, no-create, password-file=FILE    postgres; sslmode=MODE as libpq has it
  X.NAME=VALUE            kafka: a property for librdkafka; properties=FILE has one per line, secrets too
  ca=FILE                 https, postgres: the authority that certifies the server

Examples:
  tallyline count tcp://localhost:9998 --by status --every 5s
  tallyline count orders.jsonl --by customer.address.country --output csv
  tallyline count 'logs/**/*.jsonl' --by status
  tallyline count --follow '/var/log/app/*.jsonl' --by level --every 10s
  tallyline count incoming/ --pattern '*.jsonl.gz' --by status
  tallyline count - --by status --output spark < orders.jsonl
  tallyline count tcp://shop-1:9998 tcp://shop-2:9998 --by status
  tallyline count tcp-listen://127.0.0.1:9998 --by status
  tallyline count kafka://localhost:9092/orders --by status --group tally
  tallyline count kafka://localhost:9092/orders --by status --from 2026-11-22T15:00:00Z --until-end
  tallyline count tcp://localhost:9998 --by status --window 1m --window 1h/1m
  tallyline count tcp://localhost:9998 --by title --every 10s --window 1h/10m --trending 10
  tallyline count kinesis://orders --by status --region eu-central-1 --from latest
  tallyline count --follow app.jsonl --by level --state app.db   killed and started again, exact
  tallyline count orders.jsonl --by status --by customer.address.country
  tallyline count orders.jsonl --by customer.id --where status=PLACED --sum total --top 10
  tallyline count orders.jsonl --by status --event-time created_at --window 1h --lateness 5m
  tallyline count orders.jsonl --by status --max-malformed 1% --reject-file bad.jsonl
  tallyline count tcp://localhost:9998 --by status --http 8080   with a dashboard at http://127.0.0.1:8080/
  tallyline count tcp://localhost:9998 --by status --to 'rotate=64MiB file:/var/log/counts.jsonl'
  tallyline count tcp://localhost:9998 --by status --state s.db --to 'filter=totals exec:./notify'
  tallyline count tcp://localhost:9998 --by status --state s.db --to postgres://me@localhost/db

Settings:
  Every flag can stand in a TOML file under its long name (--config job.toml) and in the
  environment (TALLYLINE_MAX_LINE for --max-line). A flag goes over the environment, the
  environment over the file. 'tallyline config example' shows a file of all settings.

Exit status: 0 done or drained, 1 failure while running, 2 wrong usage, 3 the ledger does not
balance or more lines were malformed than --max-malformed allows, 130 a second Ctrl-C. The first Ctrl-C counts what was received and prints it.";

const TAP_HINT: &str = "\
Example: tallyline tap tcp://localhost:9998";

const TAP_EXAMPLES: &str = "\
Examples:
  tallyline tap tcp://localhost:9998
  tallyline tap orders.jsonl --lines 3 --batches 1";

const DEMO_EXAMPLES: &str = "\
Examples:
  tallyline demo                    open the dashboard that it names in a browser
  tallyline demo --window 10s/2s --trending 3
  tallyline demo --rate 0 --duration 10s --stats     as fast as it goes";

const CONFIG_EXAMPLES: &str = "\
Examples:
  tallyline config example > job.toml
  tallyline config check job.toml";

const EXAMPLE_EXAMPLES: &str = "\
Example: tallyline config example > job.toml";

const CHECK_EXAMPLES: &str = "\
Examples:
  tallyline config example > job.toml
  tallyline config check job.toml
  tallyline count --config job.toml

The settings are printed with the place that each comes from, as a file that gives the same again.
Exit status: 0 all is well, 2 something is wrong; then each fault is a line with line and column.";

/// `tallyline count`.
#[derive(Args, Clone, Debug)]
pub struct CountArgs {
    /// Where the lines come from: tcp://HOST:PORT, files, globs, DIR/, - for standard input and others;
    /// count --help tells of all.
    #[arg(id = "source", required = true, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub sources: Vec<String>,

    /// What to count by: the path of a string, number, boolean or null in each record. Several make a
    /// composite key.
    #[arg(long, required = true, value_name = "PATH", value_parser = key_path)]
    pub by: Vec<KeyPath>,

    /// Count only records that meet a condition, or all of several: PATH=VALUE, PATH!=VALUE, or PATH if
    /// anything stands there.
    #[arg(long = "where", value_name = "CONDITION", value_parser = condition)]
    pub conditions: Vec<Condition>,

    /// Add up the numbers at a path, exactly, beside counting.
    #[arg(long, value_name = "PATH", value_parser = key_path)]
    pub sum: Option<KeyPath>,

    /// Where settings are read from.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// How the source and the batches are handled.
    #[command(flatten)]
    pub stream: StreamArgs,

    /// What is done with bad lines.
    #[command(flatten)]
    pub bad: BadLineArgs,

    /// Windows over several batches.
    #[command(flatten)]
    pub windows: WindowArgs,

    /// Windows by the records' own time.
    #[command(flatten)]
    pub event: EventArgs,

    /// What is kept from run to run.
    #[command(flatten)]
    pub state: StateArgs,

    /// Who may look on.
    #[command(flatten)]
    pub http: HttpArgs,

    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Where results go beside standard output.
    #[command(flatten)]
    pub deliver: DeliverArgs,

    /// How the machine is used.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// `tallyline tap`.
#[derive(Args, Clone, Debug)]
pub struct TapArgs {
    /// Where the lines come from: tcp://HOST:PORT, files, globs, DIR/, - for standard input and others;
    /// count --help tells of all.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub source: String,

    /// How many lines of each batch are shown.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = number::<usize>(0..=1_000_000))]
    pub lines: usize,

    /// Stop after so many batches.
    #[arg(long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX))]
    pub batches: Option<u64>,

    /// Where settings are read from.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// How the source and the batches are handled.
    #[command(flatten)]
    pub stream: StreamArgs,
}

/// `tallyline config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print what a file's settings come to, as a file again, or everything that is wrong with them.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Print a file of all settings with their defaults, commented out.
    #[command(after_help = EXAMPLE_EXAMPLES)]
    Example,
}

/// `tallyline config check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Leave the TALLYLINE_… variables aside.
    #[arg(long)]
    pub no_environment: bool,
}

/// Where settings are read from, beside the command line and the environment.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// A TOML file of settings; flags and TALLYLINE_… variables go over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `tallyline demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// How long the stream lasts.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub duration: Duration,

    /// Records per second; 0: as many as the machine can.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = number::<u64>(0..=u64::MAX))]
    pub rate: u64,

    /// The batch interval.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub every: Duration,

    /// Windows over several batches.
    #[command(flatten)]
    pub windows: WindowArgs,

    /// Where the dashboard is served: ADDR:PORT, or a port of 127.0.0.1; `none`: nowhere.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub http: String,

    /// How the dashboard is kept from others.
    #[command(flatten)]
    pub access: AccessArgs,

    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,

    /// How the machine is used.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// How the source and the batches are handled.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Input")]
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
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = number::<usize>(1..=1_000_000))]
    pub max_connections: usize,

    /// End at the first source that fails, instead of going on with the others.
    #[arg(long)]
    pub fail_fast: bool,

    /// Keep reading files as they grow, through rotation by rename or by copy and truncate, deletion
    /// and creation anew; wait for those that are not there yet.
    #[arg(long)]
    pub follow: bool,

    /// Look at followed files and folders at this interval rather than be told by the kernel: for
    /// network file systems.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub poll: Option<Duration>,

    /// Of the files that appear in DIR/, those whose names match.
    #[arg(long, value_name = "GLOB")]
    pub pattern: Option<String>,

    /// The longest line; a longer one is skipped and counted as oversize.
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = size)]
    pub max_line: usize,

    /// Where a source that keeps its records is begun and ended.
    #[command(flatten)]
    pub kept: KeptArgs,

    /// Certificates and keys of tls:// and tls-listen://.
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Where a source that keeps its records (Kafka, Kinesis) is begun and ended, and how it is reached.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Kafka and Kinesis")]
pub struct KeptArgs {
    /// Kafka, Kinesis: where to begin: earliest, latest, or a time such as 2026-11-22T15:47:35Z; in a
    /// group, in partitions of which it has no offset. [default: earliest]
    #[arg(long, value_name = "WHERE", value_parser = StartAt::parse)]
    pub from: Option<StartAt>,

    /// Kafka, Kinesis: end at the ends as they are at the start, instead of going on for ever.
    #[arg(long)]
    pub until_end: bool,

    /// Kafka: the consumer group that shares the partitions out and keeps the offsets of what has
    /// been printed. Without one, all partitions are read and nothing is kept.
    #[arg(long, value_name = "NAME", conflicts_with = "partitions")]
    pub group: Option<String>,

    /// Kafka: read these partitions only, such as 0,2,5.
    #[arg(long, value_name = "N,…", value_delimiter = ',',
          value_parser = partition)]
    pub partitions: Vec<i32>,

    /// Kafka: a property for librdkafka, such as security.protocol=SASL_SSL, or @FILE with one per
    /// line, where secrets belong; repeatable.
    #[arg(long = "property", short = 'X', value_name = "NAME=VALUE")]
    pub properties: Vec<String>,

    /// Kinesis: the region. [default: what AWS_REGION or the profile says]
    #[arg(long, value_name = "NAME", value_parser = region)]
    pub region: Option<String>,

    /// Kinesis: where it answers, if not where the region's does, such as http://127.0.0.1:4566.
    #[arg(long, value_name = "URL", value_parser = url)]
    pub endpoint_url: Option<String>,
}

impl KeptArgs {
    /// The first of these flags that was given and is for none of these schemes; and the schemes it is for.
    pub fn given_for_none_of(&self, schemes: &[&str]) -> Option<FlagFor> {
        given_for_none_of(
            schemes,
            &[
                (self.from.is_some(), "--from", &["kafka", "kinesis"]),
                (self.until_end, "--until-end", &["kafka", "kinesis"]),
                (self.group.is_some(), "--group", &["kafka"]),
                (!self.partitions.is_empty(), "--partitions", &["kafka"]),
                (!self.properties.is_empty(), "-X", &["kafka"]),
                (self.region.is_some(), "--region", &["kinesis"]),
                (self.endpoint_url.is_some(), "--endpoint-url", &["kinesis"]),
            ],
        )
    }
}

/// A flag, and the schemes of the sources that it is for.
type FlagFor = (&'static str, &'static [&'static str]);

/// The first of these flags, each with whether it was given, that was and is for none of these schemes.
fn given_for_none_of(
    schemes: &[&str],
    flags: &[(bool, &'static str, &'static [&'static str])],
) -> Option<FlagFor> {
    let is_for = |wanted: &[&str]| wanted.iter().any(|scheme| schemes.contains(scheme));
    flags
        .iter()
        .find(|(is_given, _, wanted)| *is_given && !is_for(wanted))
        .map(|&(_, flag, wanted)| (flag, wanted))
}

/// Windows over several batches.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Windows")]
pub struct WindowArgs {
    /// Count over windows of this length as well, one closed every SLIDE (unless given, LEN: one after
    /// the other); both multiples of --every. Windows end at whole multiples of SLIDE since the Unix
    /// epoch. Repeatable.
    #[arg(long = "window", value_name = "LEN[/SLIDE]", value_parser = window)]
    pub windows: Vec<WindowSpec>,

    /// With each window name the N keys that grow most against the length before it.
    #[arg(long, value_name = "N", value_parser = number::<usize>(1..=1_000_000))]
    pub trending: Option<usize>,

    /// Memory for the batches that windows are made of; where a batch has more keys than fit into its
    /// share, windows count the rarest under _other.
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = size)]
    pub window_bytes: usize,
}

/// Windows by the records' own time.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Event time")]
pub struct EventArgs {
    /// Put records into windows by the time that stands in them at this path, not by when they came.
    /// Windows and totals are then printed, and no batches.
    #[arg(long, value_name = "PATH", value_parser = key_path)]
    pub event_time: Option<KeyPath>,

    /// How times are written: rfc3339; s, ms, us or ns since 1970; a pattern such as '%d/%b/%Y:%H:%M:%S %z';
    /// or auto: RFC 3339, and numbers by their size. [default: auto]
    #[arg(long, value_name = "FORMAT", value_parser = TimeFormat::parse)]
    pub event_time_format: Option<TimeFormat>,

    /// How much older than the latest record of its source one may be and still be expected: so much
    /// longer windows stay open. [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub lateness: Option<Duration>,

    /// After so long without input a source keeps no window open. [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub idle_timeout: Option<Duration>,

    /// Whether open windows are reported as well, with each batch that changes them. [default: final]
    #[arg(long, value_name = "WHICH")]
    pub emit: Option<Emit>,
}

/// Which reports of a window are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// The last one, when it closes.
    Final,
    /// Those before it, too.
    Partial,
}

/// What is done with bad lines.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Bad lines")]
pub struct BadLineArgs {
    /// End with exit status 3 as soon as more lines than this are malformed: so many, or such a part
    /// of all lines, judged from the 1,000th line on and at the end.
    #[arg(long, value_name = "N|P%", value_parser = tolerance)]
    pub max_malformed: Option<Tolerance>,

    /// Append bad lines to this file, as they came: malformed ones, those without the key,
    /// and the heads of oversize ones.
    #[arg(long, value_name = "FILE")]
    pub reject_file: Option<PathBuf>,

    /// The length of the reject file at which it is renamed to FILE.1 and begun anew.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = size)]
    pub reject_file_bytes: usize,
}

/// What is kept from run to run.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "State")]
pub struct StateArgs {
    /// Keep totals and positions in this file (SQLite): the same command goes on where the last run ended,
    /// however it ended. It is created if it is not there.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Batches that may wait to be saved; with more the counting waits for the disk.
    #[arg(long, value_name = "N", default_value_t = SENT_MAX, value_parser = number::<usize>(1..=1024))]
    pub state_lag: usize,

    /// How long closed batches and windows stay in the state's history, such as 12h or 30d; 0s: there is none.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = keep)]
    pub keep: Duration,

    /// What to do about a file that was counted and has been cut or replaced since. [default: fail, of
    /// files with --follow: recount]
    #[arg(long, value_name = "WHAT")]
    pub on_replaced: Option<OnReplaced>,
}

/// Certificates and keys of `tls://` and `tls-listen://`, files in PEM format.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// Our certificate, with --tls-key: needed for tls-listen://, shown to a server of tls:// that asks
    /// for one.
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The key of our certificate (--tls-cert).
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// The authority that servers of tls:// must be certified by. [default: whom the system trusts]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// The authority that producers at tls-listen:// must be certified by. [default: none asked]
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// As that of [`KeptArgs`].
    pub fn given_for_none_of(&self, schemes: &[&str]) -> Option<FlagFor> {
        given_for_none_of(
            schemes,
            &[
                (
                    self.tls_cert.is_some(),
                    "--tls-cert",
                    &["tls", "tls-listen"],
                ),
                (self.tls_key.is_some(), "--tls-key", &["tls", "tls-listen"]),
                (self.tls_ca.is_some(), "--tls-ca", &["tls"]),
                (
                    self.tls_client_ca.is_some(),
                    "--tls-client-ca",
                    &["tls-listen"],
                ),
            ],
        )
    }
}

/// What is printed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// The format of the counts on standard output.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: OutputFormat,

    /// How many rows are shown, or `all`; the rest is summed. [default: table 50, spark 10, else all]
    #[arg(long, value_name = "N", value_parser = top)]
    pub top: Option<Top>,

    /// Where the counts are shown: live, on the whole screen, or plain, one block after another. [auto:
    /// live if standard output is a terminal and the format is table]
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    pub ui: Ui,

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
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Parser threads. [default: one per core]
    #[arg(long, value_name = "N", value_parser = number::<usize>(1..=256))]
    pub parsers: Option<usize>,

    /// Counter threads. [default: one per four parsers; two if there are two or more parsers]
    #[arg(long, value_name = "N", value_parser = number::<usize>(1..=256))]
    pub shards: Option<usize>,

    /// Leave it to the system on which core each parser runs.
    #[arg(long)]
    pub no_pin: bool,

    /// Memory for input on its way to the parsers.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = size)]
    pub pool_bytes: usize,

    /// Distinct keys; records of further ones are counted under _other.
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = number::<u64>(1..=100_000_000))]
    pub max_keys: u64,
}

/// How much to say on standard error.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Messages")]
pub struct Voice {
    /// Say more: settings, bounds and connections; twice, for debugging.
    #[arg(long, short, global = true, action = ArgAction::Count, display_order = 900)]
    pub verbose: u8,

    /// Say nothing but errors: no warnings, no samples of bad lines, no summary.
    #[arg(
        long,
        short,
        global = true,
        conflicts_with = "verbose",
        display_order = 901
    )]
    pub quiet: bool,

    /// How warnings, the summary and errors are written on standard error.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        display_order = 902
    )]
    pub log_format: LogFormat,
}

/// Where the counts are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ui {
    /// Live, if it can be.
    Auto,
    /// On the whole screen, while they change.
    Live,
    /// One block after another.
    Plain,
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

/// The command line's definition: the one table of flags, which `--config` files, `TALLYLINE_…`
/// variables and the documentation are derived from as well.
pub fn definition() -> clap::Command {
    let mut definition = values_with_hyphens(Cli::command());
    // Global flags reach the commands only now.
    definition.build();
    definition
}

/// Lets `-5s` be a value, though a wrong one, rather than a flag: its error then tells how times
/// are written.
fn values_with_hyphens(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| match arg.get_action() {
        ArgAction::Set | ArgAction::Append if !arg.is_positional() => arg.allow_hyphen_values(true),
        _ => arg,
    });
    command.mut_subcommands(values_with_hyphens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        definition().debug_assert();
    }
}
