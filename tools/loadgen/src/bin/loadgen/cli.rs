//! The flags as typed, and usage errors in one line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use loadgen::{Limit, Plan, Shape, Spec};

use crate::Failure;
use crate::values::{self, Addr, Place, Rate, Target};

const EXAMPLES: &str = "\
Examples:
  loadgen serve 127.0.0.1:9998
      order records for ever to whoever connects, as fast as the client reads
  loadgen serve 127.0.0.1:9998 --rate 100
      one record every 10 ms, as the tutorial's order server sends them
  loadgen serve 127.0.0.1:9998 --count 10M --malformed 1% --missing 1% --expect answer.json
      ten million records, some of them bad, and the exact answer to compare with
  loadgen push tcp://localhost:9998 --rate 1M --duration 30s --keys 1000 --zipf 1.1
      a million records a second for 30 s, 1,000 keys of very different frequency, and how late they were
  loadgen push kafka://localhost:9092/orders --count 1M --expect answer.json
      a million messages, dealt to the topic's partitions in turn
  loadgen write orders.jsonl.zst --count 10M --shape wide
      a file, compressed as its name says
  loadgen sink tcp://localhost:9998
      read and throw away what a server sends: what the machine allows

The same flags and seed give the same bytes, whatever the command and the rate.
Exit status: 0 done, 1 failure while running or a peer that left early, 2 usage.";

/// Deterministic load for programs that count JSON lines, with the exact answer beside it.
#[derive(Parser)]
#[command(name = "loadgen", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Listen, and send to the clients that connect
    ///
    /// Prints `listening on ADDR:PORT` to standard error. A client that leaves is replaced by the next that connects.
    Serve {
        /// ADDR:PORT to listen at, or a port alone for loopback; port 0 takes a free one; or unix://PATH
        #[arg(value_parser = values::place, value_name = "ADDR")]
        place: Place,
        /// Wait for N clients, then deal the records to them in turn, by blocks of whole lines
        #[arg(long, value_name = "N", default_value = "1")]
        connections: NonZeroUsize,
        #[command(flatten)]
        load: Load,
    },
    /// Connect, and send
    Push {
        /// tcp://HOST:PORT or unix://PATH to connect to, or kafka://HOST:PORT/TOPIC (feature kafka): a message for each record
        #[arg(value_parser = values::target)]
        to: Target,
        #[command(flatten)]
        load: Load,
    },
    /// Write to a file
    Write {
        /// The file, or - for standard output; .gz and .zst are compressed
        file: PathBuf,
        #[command(flatten)]
        load: Load,
    },
    /// Connect, read and throw away: what the machine allows
    Sink {
        /// tcp://HOST:PORT to connect to
        #[arg(value_parser = values::url)]
        from: Addr,
        /// Count the lines as well, which costs a pass over the bytes
        #[arg(long)]
        count_lines: bool,
    },
}

/// What to send, how much and how fast.
#[derive(Args)]
pub(crate) struct Load {
    /// Records per second, sent on a schedule; 0 is as fast as it goes
    #[arg(long, value_name = "R", default_value = "0", value_parser = values::rate)]
    rate: Rate,
    /// End after N records (k, M and G are understood); without it and --duration never
    #[arg(long, value_name = "N", value_parser = values::number, conflicts_with = "duration")]
    count: Option<u64>,
    /// End after a time such as 500ms, 30s or 5m; with a rate: after the records due within it
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    duration: Option<Duration>,
    /// order: {"order_id": "<32 hex>", "status": "PLACED"}; wide: a nested order of about 574 bytes
    #[arg(long, value_enum, default_value = "order")]
    shape: ShapeArg,
    /// Distinct values of status, 1 to 10,000,000
    #[arg(long, value_name = "K", default_value = "4", value_parser = values::number)]
    keys: u64,
    /// Zipf exponent of the keys' frequencies, 0 (all alike) to 10
    #[arg(long, value_name = "S", default_value = "0")]
    zipf: f64,
    /// Share of lines that are not JSON, such as 0.01 or 1%
    #[arg(long, value_name = "P", default_value = "0", value_parser = values::share)]
    malformed: f64,
    /// Share of lines that are JSON but have no usable status, such as 0.01 or 1%
    #[arg(long, value_name = "P", default_value = "0", value_parser = values::share)]
    missing: f64,
    /// Another seed gives another stream
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// When done, write to FILE what a correct counter must report, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ShapeArg {
    Order,
    Wide,
}

impl Load {
    pub(crate) fn spec(&self) -> Spec {
        let shape = match self.shape {
            ShapeArg::Order => Shape::Order,
            ShapeArg::Wide => Shape::Wide,
        };
        let &Load {
            keys,
            zipf,
            malformed,
            missing,
            seed,
            ..
        } = self;
        Spec {
            shape,
            keys,
            zipf,
            malformed,
            missing,
            seed,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        let limit = match (self.count, self.duration) {
            (Some(records), _) => Limit::Records(records),
            (None, Some(time)) => Limit::Time(time),
            (None, None) => Limit::Forever,
        };
        Plan {
            rate: self.rate.0,
            limit,
        }
    }
}

/// The command line; `None` when help or the version was asked for and printed.
pub(crate) fn parse() -> Result<Option<Cli>, Failure> {
    match Cli::try_parse() {
        Ok(cli) => Ok(Some(cli)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            // Help for a reader that has gone is no failure.
            error.print().ok();
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Failure::Usage(
                "a command is missing: give serve, push, write or sink; see loadgen --help"
                    .to_owned(),
            ))
        }
        Err(error) => Err(Failure::Usage(one_line(&error.to_string()))),
    }
}

/// Clap's message without its usage part, on one line.
fn one_line(message: &str) -> String {
    let paragraphs = message
        .split("\n\n")
        .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    let words: Vec<&str> = paragraphs.flat_map(str::split_whitespace).collect();
    let line = words.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    format!("{line}; see loadgen --help")
}
