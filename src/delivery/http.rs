//! `http://…`, `https://…`: one POST per batch, JSON lines, gzip.
//!
//! `Idempotency-Key` is the same whenever the same batch is handed over again: a receiver that keeps the keys it has
//! seen has every batch once. Headers that are secret stand in a file (`headers=FILE`, a `Name: value` on each
//! line). With `secret-file=FILE` the body is signed as it is sent: `X-Tallyline-Signature: sha256=` and the HMAC in
//! hexadecimal digits.
//!
//! 2xx is taken. 408, 429 and 5xx are tried again, not before `Retry-After` says so; so are other 4xx and redirects,
//! which somebody has to mend. What a receiver says of the batch itself (400, 411, 413, 414, 415, 422, 431) is final: it
//! is passed over, counted and told.

use std::fs;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, KeyInit, Mac};
use jiff::fmt::rfc2822;
use sha2::Sha256;
use ureq::config::ConfigBuilder;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body};

use super::outlet::{CHECK_WAIT, Context, Cut, Outlet, Receipt, Refusal};
use super::parcel::{Choice, Parcel};
use super::print::each;
use super::spec::{HttpOptions, SinkSpec};
use crate::error::{Error, reason};
use crate::sink::{JsonSink, text};
use crate::web;

/// Bytes of an answer that are looked at, to tell what a receiver complains of.
const ANSWER_BYTES_MAX: u64 = 4096;

/// A sink that is a web hook.
pub(super) struct HttpOutlet {
    agent: Agent,
    url: String,
    job: String,
    choice: Choice,
    timeout: Duration,
    headers: HeaderMap,
    secret: Option<Vec<u8>>,
}

impl HttpOutlet {
    /// Reads the files that belong to it.
    ///
    /// # Errors
    /// If one cannot be read or has something else in it, or the build has no TLS.
    pub(super) fn new(
        url: &str,
        options: &HttpOptions,
        spec: &SinkSpec,
        context: &Context,
    ) -> Result<HttpOutlet, Error> {
        let wrong = |remedy: String| Error::Setting {
            name: "to",
            value: spec.name(),
            remedy,
        };
        let read = |option: &str, path: &std::path::Path| {
            let path_shown = path.display();
            fs::read(path).map_err(|error| {
                wrong(format!(
                    "cannot read {path_shown}: {}; name the file with {option}=",
                    reason(&error)
                ))
            })
        };
        let mut headers = HeaderMap::new();
        if let Some(path) = &options.headers {
            let text = read("headers", path)?;
            let parsed = parse_headers(&text, &mut headers);
            parsed.map_err(|line| {
                wrong(format!(
                    "{}: line {line} is no header; write a 'Name: value' on each",
                    path.display()
                ))
            })?;
        }
        let secret = match &options.secret {
            Some(path) => {
                let secret = read("secret-file", path)?;
                let secret = secret.trim_ascii_end().to_vec();
                if secret.is_empty() {
                    return Err(wrong(format!(
                        "{}: there is no secret in it",
                        path.display()
                    )));
                }
                Some(secret)
            }
            None => None,
        };
        let patience =
            |config: ConfigBuilder<AgentScope>| config.timeout_global(Some(spec.timeout));
        let agent = web::agent(url, options.ca.as_deref(), patience).map_err(wrong)?;
        Ok(HttpOutlet {
            agent,
            url: url.to_owned(),
            job: context.job.clone(),
            choice: spec.choice,
            timeout: spec.timeout,
            headers,
            secret,
        })
    }

    fn post(&self, parcel: &Parcel, body: &[u8]) -> Result<Response<Body>, ureq::Error> {
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/x-ndjson")
            .header("Content-Encoding", "gzip")
            .header("Idempotency-Key", parcel.key(&self.job));
        if let Some(secret) = &self.secret {
            request = request.header("X-Tallyline-Signature", signature(secret, body));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.send(body)
    }
}

/// `sha256=` and the body's HMAC.
fn signature(secret: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length will do");
    mac.update(body);
    let digits = mac.finalize().into_bytes();
    let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// Takes the headers of a file. The number of the line that is none otherwise.
fn parse_headers(text: &[u8], headers: &mut HeaderMap) -> Result<(), usize> {
    for (number, line) in (1usize..).zip(text.split(|&byte| byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':').ok_or(number)?;
        let name = HeaderName::from_bytes(line[..colon].trim_ascii()).map_err(|_| number)?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| number)?;
        headers.append(name, value);
    }
    Ok(())
}

impl Outlet for HttpOutlet {
    fn check(&mut self) -> Result<String, Refusal> {
        let mut request = self.agent.head(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let wait = self.timeout.min(CHECK_WAIT);
        let request = request.config().timeout_global(Some(wait)).build();
        let response = request.call().map_err(|error| match error {
            ureq::Error::Timeout(_) => Refusal::Later("it does not answer".to_owned(), None),
            error => unreachable(error),
        })?;
        match response.status().as_u16() {
            status @ (401 | 403) => Err(Refusal::Wrong(format!(
                "it answers {status} to HEAD: we may not; give what it wants with headers=FILE"
            ))),
            status => Ok(format!("it answers ({status} to HEAD)")),
        }
    }

    fn deliver(&mut self, parcel: &Parcel, _: &Cut) -> Result<Receipt, Refusal> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let rows = each(parcel, &self.choice, JsonSink::new(&mut encoder))?;
        encoder.flush()?;
        if encoder.get_ref().is_empty() || rows == 0 && !self.wants_empty() {
            return Ok(Receipt::default());
        }
        let body = encoder.finish()?;
        let response = self.post(parcel, &body);
        let response = response.map_err(unreachable)?;
        match response.status().as_u16() {
            200..300 => Ok(Receipt { rows, mark: None }),
            status => Err(refusal(status, response)),
        }
    }
}

impl HttpOutlet {
    /// A batch without rows is worth a request for its ledger's sake.
    fn wants_empty(&self) -> bool {
        self.choice.batches || self.choice.ledger
    }
}

/// What an answer other than 2xx means.
fn refusal(status: u16, mut response: Response<Body>) -> Refusal {
    let after = retry_after(response.headers());
    let location = response.headers().get("location").cloned();
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let body = body.read_to_vec().unwrap_or_default();
    let first = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let said = match first.trim_ascii() {
        b"" => String::new(),
        line => format!(": {}", text::sample(line, 120)),
    };
    let told = format!("it answers {status}{said}");
    match status {
        408 | 429 | 500.. => Refusal::Later(told, after),
        400 | 411 | 413 | 414 | 415 | 422 | 431 => Refusal::Never(told),
        300..400 => {
            let location = location
                .as_ref()
                .map_or(&b"elsewhere"[..], |to| to.as_bytes());
            let location = text::sample(location, 120);
            Refusal::Wrong(format!(
                "it answers {status}: it is at {location}; name that"
            ))
        }
        _ => Refusal::Wrong(told),
    }
}

/// How long the receiver wants to be left alone: seconds, or a date against its own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| rfc2822::parse(text).ok();
    let now = date(headers.get("date")?.to_str().ok()?)?;
    let until = date(text)?;
    Duration::try_from(until.duration_since(&now)).ok()
}

fn unreachable(error: ureq::Error) -> Refusal {
    match error {
        ureq::Error::Timeout(_) => {
            Refusal::Later("it takes longer than timeout= allows".to_owned(), None)
        }
        error @ ureq::Error::BadUri(_) => Refusal::Wrong(web::explain(error, "ca=")),
        error => Refusal::Later(
            format!("cannot reach it: {}", web::explain(error, "ca=")),
            None,
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_from_a_file() {
        let mut headers = HeaderMap::new();
        let text = b"# whose\nAuthorization: Bearer a:b\n\n  X-Empty:\r\n";
        parse_headers(text, &mut headers).unwrap();
        assert_eq!(headers["authorization"], "Bearer a:b");
        assert_eq!((headers.len(), headers["x-empty"].len()), (2, 0));
        for (text, line) in [(&b"a: b\nc"[..], 2), (b"a b: c", 1), (b"a: \x01", 1)] {
            assert_eq!(parse_headers(text, &mut HeaderMap::new()), Err(line));
        }
    }

    #[test]
    fn a_receiver_says_how_long_in_seconds_or_as_a_date() {
        let after = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for &(name, value) in pairs {
                headers.append(name, value.parse().unwrap());
            }
            retry_after(&headers)
        };
        let now = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        let dated = [now, ("retry-after", "Sun, 06 Nov 1994 08:50:00 GMT")];
        assert_eq!(after(&dated), Some(Duration::from_secs(23)));
        let past = [now, ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")];
        assert_eq!(after(&past), None);
        assert_eq!(after(&[("retry-after", "soon")]), None);
    }

    #[test]
    fn a_signature_is_what_everybody_computes() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
