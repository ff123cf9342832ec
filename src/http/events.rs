//! `/events`: a batch as it closes, to every viewer (server-sent events).
//!
//! An event named `batch` has the batch with its first keys, the windows that closed with it, and, in the newest
//! one, totals and status. It is made once and shared. Its id tells the run and the batch: a viewer that comes
//! back with `Last-Event-ID` gets what it missed, as far as it is kept; one that was looking at another run, all
//! that is kept. A viewer that reads slowly is sent what it missed when it reads again, one event at a time, so
//! no queue grows with it. `end` is the last event of a run.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Site;
use super::api::answer;
use super::render::{self, Page};
use crate::live::{Batch, Live, Snapshot, Window};

/// Keys of an event's totals.
const TOTALS: Page = Page {
    offset: 0,
    limit: 50,
};

/// What a viewer hears first: how long to wait before it comes back, should the connection break, in
/// milliseconds.
const RETRY: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// What it hears while nothing happens: a comment.
const QUIET: Bytes = Bytes::from_static(b":\n\n");

/// What it hears last.
const END: Bytes = Bytes::from_static(b"event: end\ndata: {}\n\n");

/// A snapshot, and the event of its last batch.
pub(super) struct News {
    now: Arc<Snapshot>,
    event: Bytes,
}

impl News {
    /// Of what is shown now.
    pub(super) fn of(live: &Live) -> News {
        let now = live.now();
        let event = match now.batch() {
            Some(batch) => event(live, &now, batch),
            None => Bytes::new(),
        };
        News { now, event }
    }
}

/// The event of a batch; that of the last one says how everything stands.
fn event(live: &Live, now: &Snapshot, batch: &Batch) -> Bytes {
    let about = live.about();
    let keys = about.shown.keys_kept;
    let is_newest = now.batch().is_some_and(|last| last.batch == batch.batch);
    let is_its = |window: &Window| match about.is_by_event {
        // Their times are not those of batches.
        true => is_newest,
        false => window.end > batch.start && window.end <= batch.end,
    };
    let of_a_kind = now.windows.iter().filter_map(|windows| {
        let behind = windows.partition_point(|window| about.is_by_event || window.end <= batch.end);
        windows[..behind].last()
    });
    let windows: Vec<String> = of_a_kind
        .filter(|window| is_its(window))
        .map(|window| render::window(window, keys))
        .collect();
    let mut data = format!(
        "{{\"batch\":{},\"windows\":{}",
        render::batch(batch, keys),
        render::array(&windows)
    );
    if is_newest {
        let (totals, status) = (render::totals(now, TOTALS), render::status(live, now));
        data.push_str(&format!(",\"totals\":{totals},\"status\":{status}"));
    }
    let run = run(live);
    let id = batch.batch;
    Bytes::from(format!("id: {run}-{id}\nevent: batch\ndata: {data}}}\n\n"))
}

/// The run's number: batches of different runs may have the same.
fn run(live: &Live) -> i64 {
    live.about().started.as_nanos() / 1_000_000
}

/// What a viewer is at.
struct Viewer {
    site: Arc<Site>,
    news: watch::Receiver<Arc<News>>,
    /// The number of the batch that it was sent last.
    last: u64,
    has_begun: bool,
    has_ended: bool,
}

impl Viewer {
    /// What it is to hear next; waits for it.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(RETRY);
        }
        loop {
            if self.has_ended {
                return None;
            }
            let news = Arc::clone(&self.news.borrow_and_update());
            let batches = &news.now.batches;
            let next = batches.partition_point(|batch| batch.batch <= self.last);
            if let Some(batch) = batches.get(next) {
                self.last = batch.batch;
                return Some(match next + 1 == batches.len() {
                    true => news.event.clone(),
                    false => event(&self.site.live, &news.now, batch),
                });
            }
            if news.now.is_over {
                self.has_ended = true;
                return Some(END);
            }
            match timeout(self.site.quiet, self.news.changed()).await {
                Ok(Ok(())) => {}
                // The server ends in the middle of a run: the viewer is to come back.
                Ok(Err(_)) => return None,
                Err(_) => return Some(QUIET),
            }
        }
    }
}

/// The batch that a viewer of this run has seen last, as its `Last-Event-ID` says; 0: it was looking at another run.
fn last_seen(live: &Live, fields: &HeaderMap) -> Option<u64> {
    let id = fields.get("last-event-id")?.to_str().ok()?;
    let (its_run, batch) = id.rsplit_once('-')?;
    let batch = batch.parse().ok()?;
    let is_this = its_run.parse() == Ok(run(live));
    Some(if is_this { batch } else { 0 })
}

pub(super) async fn events(State(site): State<Arc<Site>>, fields: HeaderMap) -> Response {
    let newest = site.live.now().batch().map_or(0, |batch| batch.batch);
    let last = last_seen(&site.live, &fields).unwrap_or(newest.saturating_sub(1));
    let viewer = Viewer {
        news: site.news.clone(),
        site,
        last,
        has_begun: false,
        has_ended: false,
    };
    let events = stream::unfold(viewer, |mut viewer| async {
        let next = viewer.next().await?;
        Some((Ok::<_, Infallible>(next), viewer))
    });
    answer("text/event-stream", Body::from_stream(events))
}
