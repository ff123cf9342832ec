//! `--to` and `tallyline sink`: flags as typed.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::{duration, job, size};
use crate::delivery::SinkSpec;

pub(super) const TEST_EXAMPLES: &str = "\
Examples:
  tallyline sink test file:/var/log/counts.jsonl

Sees whether results could be delivered, and writes none. Exit status: 0 they could, 1 it cannot be
reached, 2 something is wrong with it or with the way it is named.";

/// Where results go beside standard output.
#[derive(Args, Clone, Debug)]
pub struct DeliverArgs {
    /// Send results there as well, such as file:counts.jsonl; what it is to get stands in front of it:
    /// 'top=50 filter=totals file:top.jsonl'. Repeatable; count --help tells of all.
    #[arg(long, value_name = "SINK", value_parser = SinkSpec::parse)]
    pub to: Vec<SinkSpec>,

    /// How much may wait for a sink that is slow or fails: in the state, beyond which counting waits for
    /// it; without --state in memory, beyond which the oldest batches are let go.
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = size)]
    pub to_spool: usize,

    /// How long a run that ends goes on trying a sink that fails. What it is doing then is not waited for; a sink
    /// that had not failed before has its timeout= for the batch at hand.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub to_drain: Duration,

    /// What results are known by at a sink that several programs deliver to.
    #[arg(long, value_name = "NAME", default_value = "tallyline", value_parser = job)]
    pub job: String,
}

/// `tallyline sink`.
#[derive(Debug, Subcommand)]
pub enum SinkCommand {
    /// See whether results could be delivered, and deliver none.
    #[command(after_help = TEST_EXAMPLES)]
    Test(SinkTestArgs),
}

/// `tallyline sink test`.
#[derive(Args, Clone, Debug)]
pub struct SinkTestArgs {
    /// The sink, as for count --to.
    #[arg(value_name = "SINK", value_parser = SinkSpec::parse)]
    pub sink: SinkSpec,

    /// The job whose results they would be.
    #[arg(long, value_name = "NAME", default_value = "tallyline", value_parser = job)]
    pub job: String,
}
