//! Who may ask, and what a browser may do with the answer.
//!
//! - *By which name*: without a token only this machine is listened to, and a request must name it: `localhost`,
//!   a name below it, or an address of loopback. A page from elsewhere that has its own name resolved to
//!   127.0.0.1 (DNS rebinding) is so turned away.
//! - *With a token* every request but `/healthz` needs it: as `Authorization: Bearer …`, or in a cookie that is set
//!   when the page is first opened as `/?token=…`; a browser sends the cookie to this name alone, so names need
//!   no check. Comparing takes the same time wherever the difference is.
//! - *What a browser may do*: nothing but what stands in files of ours (a content security policy without
//!   exceptions); no frame, no other page's script, no cache has what is answered.

use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION,
    REFERRER_POLICY, SET_COOKIE, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use super::Site;
use super::api::refusal;
use crate::error::{Error, reason};

/// The shortest token, in characters: 96 bits as hexadecimal digits.
const TOKEN_CHARS_MIN: usize = 24;

/// The longest token.
const TOKEN_CHARS_MAX: usize = 1024;

/// Nothing but files of ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What goes with every answer.
const FIELDS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// See the module's documentation.
#[derive(Clone)]
pub(super) struct Guard {
    token: Option<String>,
    /// The cookie's name: browsers do not tell the ports of a host apart.
    cookie: String,
    /// Whether the cookie is for TLS alone.
    is_secure: bool,
}

impl Guard {
    /// A guard that asks for the token in this file, or for none.
    ///
    /// # Errors
    /// If the file cannot be read, or no token is in it (usage).
    pub(super) fn new(token_file: Option<&Path>) -> Result<Guard, Error> {
        let token = token_file.map(|path| token("http-token-file", path));
        let token = token.transpose()?;
        Ok(Guard {
            token,
            cookie: String::new(),
            is_secure: false,
        })
    }

    pub(super) fn asks_for_token(&self) -> bool {
        self.token.is_some()
    }

    /// The guard of a server at this address, with TLS or without.
    pub(super) fn at(self, address: SocketAddr, is_secure: bool) -> Guard {
        Guard {
            cookie: format!("tallyline-{}", address.port()),
            is_secure,
            ..self
        }
    }

    /// The answer to who is not let through.
    fn check(&self, uri: &Uri, fields: &HeaderMap) -> Option<Response> {
        let path = uri.path();
        let Some(token) = &self.token else {
            return check_host(uri, fields);
        };
        if path == "/healthz" {
            return None;
        }
        if let Some(given) = token_asked_with(uri)
            && path == "/"
            && is_same(given, token)
        {
            return Some(self.welcome(token));
        }
        let bearer = fields.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let bearer = bearer.and_then(|value| value.strip_prefix(b"Bearer "));
        let cookies = fields.get_all(COOKIE).iter();
        let cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
        let mut cookies = cookies.flat_map(|cookies| cookies.split("; "));
        let prefix = format!("{}=", self.cookie);
        let cookie = cookies.find_map(|cookie| cookie.strip_prefix(&prefix));
        let given = bearer.or(cookie.map(str::as_bytes)).unwrap_or_default();
        match is_same(given, token) {
            true => None,
            false => Some(unauthorized()),
        }
    }

    /// Sets the cookie, and takes the token out of the address.
    fn welcome(&self, token: &str) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let cookie = format!(
            "{}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000{}",
            self.cookie,
            if self.is_secure { "; Secure" } else { "" }
        );
        let fields = response.headers_mut();
        fields.insert(LOCATION, HeaderValue::from_static("/"));
        fields.insert(
            SET_COOKIE,
            HeaderValue::from_str(&cookie).expect("a token has no control characters"),
        );
        response
    }
}

/// The guard says nothing of its token.
impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("asks_for_token", &self.asks_for_token())
            .finish()
    }
}

/// Lets through who may ask, and puts what goes with every answer to it.
pub(super) async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let turned_away = site.guard.check(request.uri(), request.headers());
    let mut response = match turned_away {
        None => next.run(request).await,
        Some(answer) => answer,
    };
    let fields = response.headers_mut();
    for (name, value) in FIELDS {
        fields.insert(name, HeaderValue::from_static(value));
    }
    fields
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    fields.append(
        VARY,
        HeaderValue::from_static("accept, cookie, authorization"),
    );
    response
}

fn check_host(uri: &Uri, fields: &HeaderMap) -> Option<Response> {
    let host = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => fields.get(HOST).and_then(|host| host.to_str().ok()),
    };
    let hosts = fields.get_all(HOST).iter().count();
    match host {
        Some(host) if hosts <= 1 && is_this_machine(host) => None,
        _ => Some(refusal(
            StatusCode::MISDIRECTED_REQUEST,
            "host: only localhost and addresses of loopback are answered here; for another name give --http-token-file",
        )),
    }
}

/// Whether `host`, with a port or without, is a name of this machine's loopback and nothing else's.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(name).parse::<IpAddr>() {
        return address.is_loopback() && (address.is_ipv6() == bare.is_some());
    }
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn token_asked_with(uri: &Uri) -> Option<&[u8]> {
    let mut members = uri.query()?.split('&');
    let token = members.find_map(|member| member.strip_prefix("token="));
    token.map(str::as_bytes)
}

/// Takes as long for any token of the right length.
fn is_same(given: &[u8], token: &str) -> bool {
    let token = token.as_bytes();
    if given.len() != token.len() {
        return false;
    }
    let pairs = given.iter().zip(token);
    let difference = pairs.fold(0, |difference, (a, b)| black_box(difference | (a ^ b)));
    difference == 0
}

fn unauthorized() -> Response {
    let mut response = refusal(
        StatusCode::UNAUTHORIZED,
        "a token is asked for here: open /?token=TOKEN, or send 'Authorization: Bearer TOKEN'",
    );
    let fields = response.headers_mut();
    fields.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The token in a file that this setting names.
pub(crate) fn token(setting: &'static str, path: &Path) -> Result<String, Error> {
    let refused = |remedy: String| Error::Setting {
        name: setting,
        value: path.display().to_string(),
        remedy,
    };
    let text = fs::read_to_string(path)
        .map_err(|error| refused(format!("cannot read it: {}; name a file", reason(&error))))?;
    let token = text.trim();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&token.len()) || !token.bytes().all(is_plain) {
        return Err(refused(format!(
            "no token in it; put {TOKEN_CHARS_MIN} or more letters and digits there, such as 'openssl rand -hex 32' prints"
        )));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_are_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "a.localhost:1",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            ":8080",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com:80",
            "10.0.0.1:8080",
            "[::2]:80",
            "::1",
            "localhost:8080@example.com",
            "notlocalhost",
            "0.0.0.0:8080",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_token_is_compared_whole() {
        assert!(is_same(b"abc", "abc"));
        for other in ["abd", "bbc", "ab", "abcd", ""] {
            assert!(!is_same(other.as_bytes(), "abc"), "{other}");
        }
    }

    #[test]
    fn a_file_without_a_token_is_refused_in_a_line() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("token");
        for text in ["", "short\n", "spaces in what is long enough\n"] {
            fs::write(&path, text).unwrap();
            let error = token("http-token-file", &path).unwrap_err();
            assert!(matches!(
                error,
                Error::Setting {
                    name: "http-token-file",
                    ..
                }
            ));
            assert!(!error.to_string().contains("spaces"), "{error}");
        }
        fs::write(&path, format!("{}\n", "a1".repeat(20))).unwrap();
        assert_eq!(token("http-token-file", &path).unwrap().len(), 40);
    }
}
