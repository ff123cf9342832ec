//! `/api/v1/…`: what there is to ask, what a question may say, and in which form it is answered.
//!
//! JSON, or CSV if `Accept` prefers `text/csv`. Lists come in pages whose `next` is the address of the page behind;
//! of batches and windows the newest page is the first, and each page is in the order of time; behind what is kept here they
//! go on into the history of the state ([`History`](super::history::History)). A parameter that is not known, or cannot
//! be used, is refused with a line that names it.

use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::Site;
use super::pages::Asked;
use super::render::{self, Page};
use crate::live::{Batch, Link, Snapshot, Window};

const JSON: &str = "application/json";
const CSV: &str = "text/csv; charset=utf-8";

/// What describes all this.
const DESCRIPTION: &str = include_str!("page/openapi.json");

/// The largest number that every reader of JSON takes for what it is: 2^53 - 1.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Rows, batches or windows of a page.
const LIMIT_MAX: usize = 1_000;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/totals", get(totals))
        .route("/batches", get(batches))
        .route("/windows", get(windows))
        .route("/ledger", get(ledger))
        .route("/status", get(status))
        .route("/openapi.json", get(openapi))
        .fallback(nothing)
}

/// An answer of this type.
pub(super) fn answer(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An answer that says what is wrong with the question.
pub(super) fn refusal(status: StatusCode, what: &str) -> Response {
    let mut response = answer(JSON, json!({"error": what}).to_string());
    *response.status_mut() = status;
    response
}

/// What is wrong with a question.
#[derive(Debug)]
struct Wrong {
    status: StatusCode,
    what: String,
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        refusal(self.status, &self.what)
    }
}

async fn nothing() -> Response {
    refusal(
        StatusCode::NOT_FOUND,
        "there is no such thing here; /api/v1/openapi.json says what there is",
    )
}

/// The parameters of a question, each taken by its name.
struct Parameters<'q> {
    members: Vec<(&'q str, &'q str)>,
}

impl<'q> Parameters<'q> {
    fn of(query: Option<&'q str>) -> Parameters<'q> {
        let members = query.unwrap_or_default().split('&');
        let members = members.filter(|member| !member.is_empty());
        let members = members.map(|member| member.split_once('=').unwrap_or((member, "")));
        Parameters {
            members: members.collect(),
        }
    }

    /// The number of this name, if it is given; `from..=to` is what it may be.
    fn number<T>(&mut self, name: &str, from: T, to: T) -> Result<Option<T>, Wrong>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let mut found = None;
        let mut given = 0;
        self.members.retain(|&(other, value)| {
            let is_it = other == name;
            if is_it {
                given += 1;
                found = Some(value);
            }
            !is_it
        });
        let Some(text) = found else { return Ok(None) };
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<T>().ok().filter(|_| is_plain && given == 1);
        match number.filter(|number| (&from..=&to).contains(&number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Wrong {
                status: StatusCode::BAD_REQUEST,
                what: format!("{name}: give one number from {from} to {to}"),
            }),
        }
    }

    /// Nothing else may have been given.
    fn end(self) -> Result<(), Wrong> {
        match self.members.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(40).collect();
                Err(Wrong {
                    status: StatusCode::BAD_REQUEST,
                    what: format!("{name}: there is no such parameter here"),
                })
            }
        }
    }
}

/// Whether rows are wanted rather than objects: as `Accept` says, the first of the two that it names.
fn wants_csv(fields: &HeaderMap) -> bool {
    let accepted = fields.get_all(ACCEPT).iter();
    let accepted = accepted.filter_map(|accept| accept.to_str().ok());
    let mut kinds = accepted.flat_map(|accept| accept.split(','));
    let first = kinds.find_map(|kind| match kind.split(';').next().unwrap_or("").trim() {
        "text/csv" => Some(true),
        "application/json" | "application/*" | "*/*" => Some(false),
        _ => None,
    });
    first.unwrap_or(false)
}

async fn totals(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    fields: HeaderMap,
) -> Result<Response, Wrong> {
    let mut asked = Parameters::of(query.as_deref());
    let offset = asked.number("offset", 0, 1_000_000)?.unwrap_or(0);
    let limit = asked.number("limit", 1, LIMIT_MAX)?.unwrap_or(100);
    asked.end()?;
    let now = site.live.now();
    let page = Page { offset, limit };
    Ok(match wants_csv(&fields) {
        true => answer(CSV, render::totals_csv(&site.live, &now, page)),
        false => answer(JSON, render::totals(&now, page)),
    })
}

/// A page of batches or windows, and the address of the next one.
struct List<T> {
    items: Vec<Arc<T>>,
    /// Of each the first so many.
    keys: usize,
    next: Option<String>,
}

/// A page of batches, asked for by their numbers.
async fn page_of_batches(
    path: &str,
    query: Option<&str>,
    site: &Site,
    now: &Snapshot,
) -> Result<List<Batch>, Wrong> {
    let mut asked = Parameters::of(query);
    let between = Asked {
        after: asked.number("after", 0, NUMBER_MAX as i64)?,
        before: asked.number("before", 0, NUMBER_MAX as i64)?,
        limit: asked.number("limit", 1, LIMIT_MAX)?.unwrap_or(100),
    };
    let kept = site.live.about().shown.keys_kept;
    let keys = match path {
        "batches" => asked.number("keys", 0, kept)?.unwrap_or(kept),
        _ => 0,
    };
    asked.end()?;
    let place = |batch: &Batch| batch.batch as i64;
    let past = match site
        .history
        .as_ref()
        .zip(between.of_history(&now.batches, place))
    {
        Some((history, page)) => history.batches(page).await.map_err(unreadable)?,
        None => Vec::new(),
    };
    let (items, has_more) = between.put(past, &now.batches, place);
    let next = between.next(&items, has_more, place).map(|(bound, place)| {
        let keys = match path {
            "batches" => format!("&keys={keys}"),
            _ => String::new(),
        };
        format!(
            "/api/v1/{path}?{bound}={place}&limit={}{keys}",
            between.limit
        )
    });
    Ok(List { items, keys, next })
}

async fn batches(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    fields: HeaderMap,
) -> Result<Response, Wrong> {
    let now = site.live.now();
    let page = page_of_batches("batches", query.as_deref(), &site, &now).await?;
    if wants_csv(&fields) {
        let rows = render::batches_csv(&site.live, &page.items, page.keys);
        return Ok(answer(CSV, rows));
    }
    let batches = page.items.iter();
    let batches: Vec<String> = batches
        .map(|batch| render::batch(batch, page.keys))
        .collect();
    Ok(answer(JSON, list("batches", &batches, page.next)))
}

async fn ledger(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    fields: HeaderMap,
) -> Result<Response, Wrong> {
    let now = site.live.now();
    let page = page_of_batches("ledger", query.as_deref(), &site, &now).await?;
    Ok(match wants_csv(&fields) {
        true => answer(CSV, render::ledger_csv(&now, &page.items)),
        false => answer(
            JSON,
            render::ledger(&now, &page.items, page.next).to_string(),
        ),
    })
}

/// A page of the windows of a kind, asked for by their ends.
async fn page_of_windows(
    query: Option<&str>,
    site: &Site,
    now: &Snapshot,
) -> Result<List<Window>, Wrong> {
    let mut asked = Parameters::of(query);
    let about = site.live.about();
    let limit = asked.number("limit", 1, LIMIT_MAX)?.unwrap_or(100);
    let mut end_ms = |name| asked.number(name, 0, NUMBER_MAX as i64);
    let (after, before) = (end_ms("after_ms")?, end_ms("before_ms")?);
    let length = asked.number("length_ms", 1, NUMBER_MAX)?;
    let slide = asked.number("slide_ms", 1, NUMBER_MAX)?;
    let kept = about.shown.keys_kept;
    let keys = asked.number("keys", 0, kept)?.unwrap_or(kept);
    asked.end()?;
    let is_asked = |nanos: u64, ms: Option<u64>| ms.is_none_or(|ms| nanos / 1_000_000 == ms);
    let kinds = about.windows.iter().zip(&now.windows);
    let mut kinds = kinds.filter(|(spec, _)| {
        is_asked(spec.length_nanos, length) && is_asked(spec.slide_nanos, slide)
    });
    let Some((&spec, windows)) = kinds.next() else {
        return Err(Wrong {
            status: StatusCode::NOT_FOUND,
            what: "there is no such window in this run; /api/v1/status names those that there are"
                .to_owned(),
        });
    };
    let between = Asked {
        // The last nanosecond that belongs to the millisecond.
        after: after.map(|ms| ms.saturating_mul(1_000_000).saturating_add(999_999)),
        before: before.map(|ms| ms.saturating_mul(1_000_000)),
        limit,
    };
    let place = |window: &Window| window.end.as_nanos();
    let past = match site
        .history
        .as_ref()
        .zip(between.of_history(windows, place))
    {
        Some((history, page)) => history.windows(spec, page).await.map_err(unreadable)?,
        None => Vec::new(),
    };
    let (items, has_more) = between.put(past, windows, place);
    let next = between.next(&items, has_more, place).map(|(bound, end)| {
        format!(
            "/api/v1/windows?length_ms={}&slide_ms={}&{bound}_ms={}&limit={limit}&keys={keys}",
            spec.length_nanos / 1_000_000,
            spec.slide_nanos / 1_000_000,
            end / 1_000_000
        )
    });
    Ok(List { items, keys, next })
}

async fn windows(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    fields: HeaderMap,
) -> Result<Response, Wrong> {
    let now = site.live.now();
    let page = page_of_windows(query.as_deref(), &site, &now).await?;
    if wants_csv(&fields) {
        let rows = render::windows_csv(&site.live, &page.items, page.keys);
        return Ok(answer(CSV, rows));
    }
    let windows = page.items.iter();
    let windows: Vec<String> = windows
        .map(|window| render::window(window, page.keys))
        .collect();
    Ok(answer(JSON, list("windows", &windows, page.next)))
}

/// What there is to be said when the history cannot be read.
fn unreadable(why: String) -> Wrong {
    Wrong {
        status: StatusCode::SERVICE_UNAVAILABLE,
        what: format!("the history cannot be read: {why}"),
    }
}

fn list(kind: &str, items: &[String], next: Option<String>) -> String {
    let items = render::array(items);
    let page = json!({"next": next});
    format!("{{\"type\":\"{kind}\",\"{kind}\":{items},\"page\":{page}}}")
}

async fn status(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Wrong> {
    Parameters::of(query.as_deref()).end()?;
    Ok(answer(JSON, render::status(&site.live, &site.live.now())))
}

async fn openapi() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    answer(JSON, DESCRIPTION.replace("{version}", version))
}

pub(super) async fn healthz() -> Response {
    answer("text/plain; charset=utf-8", "ok\n")
}

/// Whether the run does what it is there for: sources are connected, batches close, the state is saved.
pub(super) async fn readyz(State(site): State<Arc<Site>>) -> Response {
    let mut reasons = Vec::new();
    for source in site.live.sources() {
        if let Link::Reconnecting | Link::Failed = source.link {
            reasons.push(format!("{}: {}", source.name, source.link.name()));
        }
    }
    let due = site.live.batches_due();
    if due > 0 {
        reasons.push(format!("{due} batches behind"));
    }
    if site
        .live
        .now()
        .saving
        .is_some_and(|saving| saving.is_failing)
    {
        reasons.push("the state cannot be saved".to_owned());
    }
    let is_ready = reasons.is_empty();
    let body = json!({"ready": is_ready, "reasons": reasons}).to_string();
    let mut response = answer(JSON, body);
    if !is_ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_or_refused() {
        let mut asked = Parameters::of(Some("limit=5&&offset=0"));
        assert_eq!(asked.number("limit", 1, 10).unwrap(), Some(5));
        assert_eq!(asked.number("before", 1, 10).unwrap(), None);
        assert!(asked.end().is_err(), "offset is left");
        for query in [
            "limit=",
            "limit",
            "limit=0",
            "limit=11",
            "limit=%35",
            "limit=+5",
            "limit=5&limit=5",
        ] {
            let mut asked = Parameters::of(Some(query));
            assert!(asked.number("limit", 1, 10).is_err(), "{query}");
        }
    }

    #[test]
    fn the_form_is_the_first_that_is_accepted() {
        for (accept, csv) in [
            ("text/csv", true),
            ("text/csv;q=0.9, */*", true),
            ("application/json, text/csv", false),
            ("*/*", false),
            ("text/html", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(wants_csv(&fields), csv, "{accept}");
        }
    }
}
