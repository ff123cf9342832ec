//! `tallyline top`: flags as typed.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::Color;

pub(super) const TOP_EXAMPLES: &str = "\
Examples:
  tallyline top http://127.0.0.1:8080
  tallyline top http://counter:8080 --token-file counter.token
  tallyline top https://counter:8443 --tls-ca ca.pem --token-file counter.token

Shows what 'tallyline count --http 8080' counts there, as that shows it on a terminal. q leaves; the run goes on.

Exit status: 0 it was left, 1 there is nothing to look at, 2 wrong usage.";

/// `tallyline top`.
#[derive(Args, Clone, Debug)]
pub struct TopArgs {
    /// Where the run answers, as count --http prints it: http://HOST:PORT, or https:// (feature tls).
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: String,

    /// The token that is asked for, in a file: what the run there was given as --http-token-file.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The authority that an https:// server must be certified by. [default: whom the system trusts]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// When to use colour; NO_COLOR is obeyed.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}
