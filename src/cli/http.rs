//! Flags of the HTTP server.

use std::path::PathBuf;

use clap::Args;

use super::values::number;

/// Who may look on over HTTP, and where.
#[derive(Args, Clone, Debug)]
pub struct HttpArgs {
    /// Serve the dashboard, the API and the metrics here: ADDR:PORT, or a port of 127.0.0.1. Other addresses than
    /// those of loopback need --http-token-file.
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,

    /// How the dashboard is kept from others.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// Who may look on over HTTP.
#[derive(Args, Clone, Debug)]
pub struct AccessArgs {
    /// Answer only who has the token in this file: a browser that opened /?token=TOKEN once, or a program that
    /// sends it as 'Authorization: Bearer TOKEN'.
    #[arg(long, value_name = "FILE")]
    pub http_token_file: Option<PathBuf>,

    /// Our certificate, with --http-key: https:// rather than http:// (feature tls).
    #[arg(long, value_name = "FILE")]
    pub http_cert: Option<PathBuf>,

    /// The key of our certificate (--http-cert).
    #[arg(long, value_name = "FILE")]
    pub http_key: Option<PathBuf>,

    /// Connections to --http at once; the next is refused.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = number::<usize>(1..=65_536))]
    pub http_connections: usize,

    /// Keys that are labels of /metrics; the others are counted there under _other.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = number::<usize>(0..=1_000))]
    pub metrics_keys: usize,
}
