//! The dashboard's files, embedded: the page, its script, its style, its icon.
//!
//! They are small and compressed once, when they are first asked for. Browsers ask again each time they open the page,
//! so that a new version of the program never shows the old one's.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::api::answer;

/// A file, and what it comes to compressed.
struct File {
    kind: &'static str,
    plain: &'static [u8],
    gzip: Bytes,
}

impl File {
    fn new(kind: &'static str, text: &'static str) -> File {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let written = gzip.write_all(text.as_bytes());
        let gzip = written.and_then(|()| gzip.finish());
        File {
            kind,
            plain: text.as_bytes(),
            gzip: gzip.expect("memory takes all that is written").into(),
        }
    }

    fn answer(&self, fields: &HeaderMap) -> Response {
        let accepted = fields.get(ACCEPT_ENCODING);
        let accepted = accepted.and_then(|accepted| accepted.to_str().ok());
        let is_packed = accepted.is_some_and(|accepted| accepted.contains("gzip"));
        let mut response = match is_packed {
            true => answer(self.kind, self.gzip.clone()),
            false => answer(self.kind, self.plain),
        };
        let fields = response.headers_mut();
        if is_packed {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

static INDEX: LazyLock<File> =
    LazyLock::new(|| File::new("text/html; charset=utf-8", include_str!("page/index.html")));
static SCRIPT: LazyLock<File> = LazyLock::new(|| {
    File::new(
        "text/javascript; charset=utf-8",
        include_str!("page/app.js"),
    )
});
static CHART: LazyLock<File> = LazyLock::new(|| {
    File::new(
        "text/javascript; charset=utf-8",
        include_str!("page/chart.js"),
    )
});
static STYLE: LazyLock<File> =
    LazyLock::new(|| File::new("text/css; charset=utf-8", include_str!("page/style.css")));
static ICON: LazyLock<File> =
    LazyLock::new(|| File::new("image/svg+xml", include_str!("page/icon.svg")));

pub(super) async fn index(fields: HeaderMap) -> Response {
    INDEX.answer(&fields)
}

pub(super) async fn script(fields: HeaderMap) -> Response {
    SCRIPT.answer(&fields)
}

pub(super) async fn chart(fields: HeaderMap) -> Response {
    CHART.answer(&fields)
}

pub(super) async fn style(fields: HeaderMap) -> Response {
    STYLE.answer(&fields)
}

pub(super) async fn icon(fields: HeaderMap) -> Response {
    ICON.answer(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small() {
        let files = [&INDEX, &SCRIPT, &CHART, &STYLE, &ICON];
        let bytes: usize = files.iter().map(|file| file.gzip.len()).sum();
        assert!(bytes < 150 * 1024, "{bytes} bytes compressed");
    }

    #[test]
    fn nothing_is_inline_and_nothing_from_elsewhere() {
        let page = include_str!("page/index.html");
        for inline in ["<style", "style=", "onclick", "onload", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        assert_eq!(page.matches("<script").count(), 1);
        for text in [
            page,
            include_str!("page/style.css"),
            include_str!("page/app.js"),
            include_str!("page/chart.js"),
        ] {
            let namespace = "http://www.w3.org/2000/svg";
            let elsewhere = text.replace(namespace, "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"));
        }
    }
}
