//! `--http ADDR`: the run, looked at by a browser, by other programs and by Prometheus.
//!
//! Fed by [`Live`] alone and, of what is longer ago, by the state file, on a thread of its own with a runtime of one
//! thread: whatever goes on here, the counting knows nothing of it but a byte written to a socket behind each batch.
//! Nothing can be changed from here.
//!
//! | path | what |
//! |---|---|
//! | `/` | the dashboard: one page, embedded, which loads nothing from elsewhere |
//! | `/events` | an event for each batch, as it closes (server-sent events) |
//! | `/api/v1/…` | totals, batches, windows, ledger, status as JSON or CSV; `openapi.json` describes them |
//! | `/metrics` | OpenMetrics |
//! | `/healthz`, `/readyz` | whether the process answers; whether sources are connected and batches close |
//!
//! Promises (`guard.rs` and `serve.rs` say how they are kept):
//!
//! - Only this machine is answered, unless a token is asked for; a page from elsewhere cannot read anything,
//!   not even by a name of its own for this machine's address.
//! - Memory is bounded: so many connections, each of a short head and no body; events are made once for all
//!   viewers, and a viewer who does not read is left behind and then let go.

mod api;
mod events;
mod guard;
mod history;
mod metrics;
mod page;
mod pages;
mod render;
mod serve;
mod stall;
mod tls;

pub(crate) use guard::token;
pub use serve::{Bound, Server};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use tokio::sync::watch;

use crate::live::Live;
use events::News;
use guard::Guard;
use history::History;
use metrics::Metrics;

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen: `ADDR:PORT`, or a port of loopback.
    pub address: String,
    /// The file of the token that is asked for.
    pub token_file: Option<PathBuf>,
    /// Our certificate and its key, in PEM: TLS is spoken.
    pub cert: Option<PathBuf>,
    /// See [`Options::cert`].
    pub key: Option<PathBuf>,
    /// Keys that are labels of metrics.
    pub metrics_keys: usize,
    /// What others may take of us.
    pub limits: Limits,
}

/// What a peer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// How long a request's head may take to come, and how long a connection may be idle.
    pub head: Duration,
    /// How long a peer may read nothing of what is there for it.
    pub stall: Duration,
    /// After so long without a batch a viewer is told that all is well.
    pub quiet: Duration,
}

impl Default for Limits {
    /// As documented: 512 connections, 10 s, 30 s, 15 s.
    fn default() -> Limits {
        Limits {
            connections: 512,
            head: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            quiet: Duration::from_secs(15),
        }
    }
}

/// What every request is answered from.
struct Site {
    live: Live,
    history: Option<History>,
    guard: Guard,
    news: watch::Receiver<Arc<News>>,
    metrics: Metrics,
    quiet: Duration,
}

/// The whole site behind its guard.
fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/app.js", get(page::script))
        .route("/chart.js", get(page::chart))
        .route("/style.css", get(page::style))
        .route("/icon.svg", get(page::icon))
        .route("/events", get(events::events))
        .nest("/api/v1", api::router())
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&site),
            guard::guard,
        ))
        .with_state(site)
}
