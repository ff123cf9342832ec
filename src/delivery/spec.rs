//! A sink as it is typed: `top=50 filter=totals file:/srv/top.jsonl`.
//!
//! What a sink is to be like stands in front of it, as words; what begins with a known scheme is the sink, to the
//! end of the text, whatever is in it: a command may have spaces, an address question marks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::parcel::Choice;
use crate::cli::{Top, duration, size, top, url};

/// How long an attempt may take unless somebody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A sink and how it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSpec {
    /// Where it is.
    pub target: Target,
    /// What it gets.
    pub choice: Choice,
    /// How long an attempt may take.
    pub timeout: Duration,
}

/// Where a sink is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file, or a pattern for several.
    File(String, FileOptions),
    /// A command.
    Exec(String),
    /// An address to post to.
    Http(String, HttpOptions),
    /// A database.
    Postgres(String, PostgresOptions),
    /// A topic, and what librdkafka is to be told: `NAME=VALUE` or `@FILE`.
    Kafka(String, Vec<String>),
}

/// How a file is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// The length at which it is put aside.
    pub rotate_bytes: Option<u64>,
}

/// How an address is posted to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpOptions {
    /// A file of headers.
    pub headers: Option<PathBuf>,
    /// A file with the secret that bodies are signed with.
    pub secret: Option<PathBuf>,
    /// A file with the authority that certifies the server.
    pub ca: Option<PathBuf>,
}

/// How a database is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Where the tables are, if not where the role finds them.
    pub schema: Option<String>,
    /// What their names begin with.
    pub prefix: String,
    /// Whether tables that are missing are an error.
    pub no_create: bool,
    /// A file with the password.
    pub password: Option<PathBuf>,
    /// A file with the authority that certifies the server.
    pub ca: Option<PathBuf>,
}

impl Default for PostgresOptions {
    fn default() -> PostgresOptions {
        PostgresOptions {
            schema: None,
            prefix: "tallyline_".to_owned(),
            no_create: false,
            password: None,
            ca: None,
        }
    }
}

/// What is told to those who wrote something else.
const SINKS: &str = "write a sink such as file:counts.jsonl, exec:COMMAND, https://HOST/PATH, postgres://USER@HOST/DB or kafka://HOST:PORT/TOPIC, options in front of it";

/// The words that may stand in front of each kind.
const COMMON: &str = "top=N, filter=WHAT, timeout=TIME";

impl SinkSpec {
    /// Reads what somebody typed.
    ///
    /// # Errors
    /// How it should have been written.
    pub fn parse(text: &str) -> Result<SinkSpec, String> {
        let mut rest = text.trim();
        let mut options = Vec::new();
        let target = loop {
            if let Some(target) = Target::parse(rest)? {
                break target;
            }
            let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            options.push(option(word)?);
            rest = behind.trim_start();
        };
        let mut spec = SinkSpec {
            target,
            choice: Choice::ALL,
            timeout: TIMEOUT,
        };
        for (name, value) in options {
            let set = spec.set(name, value);
            set.map_err(|remedy| format!("{name}={value}: {remedy}"))?;
        }
        Ok(spec)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match (name, &mut self.target) {
            ("top", _) => {
                self.choice.top = match top(value)? {
                    Top::All => None,
                    Top::Rows(rows) => Some(rows),
                }
            }
            ("filter", _) => self.choice = filter(value, self.choice.top)?,
            ("timeout", _) => match duration(value)? {
                Duration::ZERO => return Err("give a time from 1ms up".to_owned()),
                timeout => self.timeout = timeout,
            },
            ("rotate", Target::File(_, file)) => file.rotate_bytes = Some(size(value)? as u64),
            ("headers", Target::Http(_, http)) => http.headers = Some(value.into()),
            ("secret-file", Target::Http(_, http)) => http.secret = Some(value.into()),
            ("schema", Target::Postgres(_, sink)) => sink.schema = Some(word(value)?),
            ("prefix", Target::Postgres(_, sink)) => sink.prefix = word(value)?,
            ("no-create", Target::Postgres(_, sink)) => sink.no_create = true,
            ("password-file", Target::Postgres(_, sink)) => sink.password = Some(value.into()),
            ("properties", Target::Kafka(_, properties)) => properties.push(format!("@{value}")),
            (_, Target::Kafka(_, properties)) if name.starts_with("X.") => {
                properties.push(format!("{}={value}", &name[2..]));
            }
            ("ca", Target::Http(_, http)) => http.ca = Some(value.into()),
            ("ca", Target::Postgres(_, sink)) => sink.ca = Some(value.into()),
            (_, target) => {
                return Err(format!(
                    "no such option here; there are {COMMON}{}",
                    target.options()
                ));
            }
        }
        Ok(())
    }

    /// How many rows of a report it wants; `None`: all.
    pub fn rows_max(&self) -> Option<usize> {
        let Choice {
            batches,
            windows,
            totals,
            top,
            ..
        } = self.choice;
        if batches || windows || totals {
            top
        } else {
            Some(0)
        }
    }

    /// The file that is written, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.target {
            Target::File(path, _) => Some(Path::new(path)),
            Target::Exec(_) | Target::Http(..) | Target::Postgres(..) | Target::Kafka(..) => None,
        }
    }

    /// How it is known: without options.
    pub fn name(&self) -> String {
        match &self.target {
            Target::File(path, _) => format!("file:{path}"),
            Target::Exec(command) => format!("exec:{command}"),
            Target::Http(url, _) | Target::Postgres(url, _) | Target::Kafka(url, _) => url.clone(),
        }
    }
}

impl Target {
    /// The target that all of `text` is, if it is one.
    fn parse(text: &str) -> Result<Option<Target>, String> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Ok(None);
        };
        let target = match scheme {
            "file" => Target::File(rest.to_owned(), FileOptions::default()),
            "exec" => Target::Exec(rest.trim().to_owned()),
            "http" | "https" => Target::Http(address(text)?, HttpOptions::default()),
            "postgres" | "postgresql" => {
                Target::Postgres(database(text)?, PostgresOptions::default())
            }
            "kafka" => Target::Kafka(text.to_owned(), Vec::new()),
            _ => return Ok(None),
        };
        match rest.trim() {
            "" => Err(format!("nothing is named; {SINKS}")),
            _ => Ok(Some(target)),
        }
    }

    /// The options that it has beside the common ones.
    fn options(&self) -> &'static str {
        match self {
            Target::File(..) => ", rotate=SIZE",
            Target::Exec(_) => "",
            Target::Postgres(..) => {
                ", schema=NAME, prefix=NAME, no-create, password-file=FILE, ca=FILE"
            }
            Target::Kafka(..) => ", X.NAME=VALUE, properties=FILE",
            Target::Http(..) => ", headers=FILE, secret-file=FILE, ca=FILE",
        }
    }
}

/// An address to post to, without credentials, which everybody could read.
fn address(text: &str) -> Result<String, String> {
    let url = url(text)?;
    let host = url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', '?']).next().unwrap_or_default();
    match host.contains('@') {
        true => Err("no secret is taken here; write an Authorization header into a file, and give headers=FILE".to_owned()),
        false => Ok(url),
    }
}

/// An address of a database, without a password, which everybody could read.
fn database(text: &str) -> Result<String, String> {
    let rest = text.split_once("://").map(|(_, rest)| rest);
    let rest = rest.ok_or("write postgres://USER@HOST:PORT/DATABASE")?;
    let user = rest.split(['/', '?']).next().unwrap_or_default();
    let has_password = user
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'));
    match has_password || rest.contains("password=") {
        true => Err(
            "no password is taken here; give it in PGPASSWORD, in a file that PGPASSFILE names, or with password-file="
                .to_owned(),
        ),
        false => Ok(text.to_owned()),
    }
}

/// A name that needs no thought: of a schema, or the beginning of a table's.
fn word(text: &str) -> Result<String, String> {
    let is_in_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match text.chars().all(is_in_word) && (1..=40).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err("give small letters, digits and _, up to 40 of them".to_owned()),
    }
}

/// A word in front of a sink.
fn option(word: &str) -> Result<(&str, &str), String> {
    match word.split_once('=') {
        None if word == "no-create" => Ok((word, "")),
        Some((name, value)) if !name.contains([':', '/']) => Ok((name, value)),
        _ => Err(match word.split_once(':') {
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
                format!("{scheme}: is not known here; {SINKS}")
            }
            _ => SINKS.to_owned(),
        }),
    }
}

fn filter(value: &str, top: Option<usize>) -> Result<Choice, String> {
    let mut choice = Choice {
        batches: false,
        windows: false,
        totals: false,
        ledger: false,
        top,
    };
    for name in value.split(',') {
        let wish = match name {
            "batches" => &mut choice.batches,
            "windows" => &mut choice.windows,
            "totals" => &mut choice.totals,
            "ledger" => &mut choice.ledger,
            _ => {
                return Err(
                    "give batches, windows, totals, ledger, or several with commas".to_owned(),
                );
            }
        };
        *wish = true;
    }
    Ok(choice)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn options_stand_in_front() {
        let text = "top=50  filter=totals,windows timeout=5s exec:sort -k1=2 | mail 'a: b'";
        let spec = SinkSpec::parse(text).unwrap();
        assert_eq!(
            spec.target,
            Target::Exec("sort -k1=2 | mail 'a: b'".to_owned())
        );
        assert_eq!(spec.name(), "exec:sort -k1=2 | mail 'a: b'");
        assert_eq!(spec.timeout, Duration::from_secs(5));
        assert_eq!(spec.rows_max(), Some(50));
        assert!(spec.choice.totals && spec.choice.windows && !spec.choice.batches);
        let spec = SinkSpec::parse("rotate=1MiB file:a b.jsonl").unwrap();
        let rotate_bytes = Some(1 << 20);
        assert_eq!(
            spec.target,
            Target::File("a b.jsonl".to_owned(), FileOptions { rotate_bytes })
        );
        let url = "http://127.0.0.1:80/a?top=1&to=x:y";
        assert_eq!(SinkSpec::parse(url).unwrap().name(), url);
        assert_eq!(
            SinkSpec::parse("filter=ledger exec:x").unwrap().rows_max(),
            Some(0)
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, told) in [
            ("", "write a sink such as"),
            ("counts.jsonl", "write a sink such as"),
            (
                "s3://bucket/x",
                "s3: is not known here; write a sink such as",
            ),
            ("file:", "nothing is named"),
            (
                "top=0 file:a",
                "top=0: give a number of rows from 1 up, or all",
            ),
            ("top=5", "write a sink such as"),
            ("filter=keys file:a", "filter=keys: give batches"),
            ("timeout=0s exec:a", "timeout=0s: give a time from 1ms up"),
            (
                "rotate=1MiB exec:a",
                "rotate=1MiB: no such option here; there are top=N, filter=WHAT, timeout=TIME",
            ),
            ("http://", "write http://HOST:PORT"),
            ("https://u:p@h/x", "no secret is taken here"),
            ("postgres://u:p@h/x", "no password is taken here"),
            ("postgres://u@h/x?password=p", "no password is taken here"),
            ("postgres:x", "write postgres://USER@HOST:PORT/DATABASE"),
            (
                "prefix=a-b postgres://u@h/x",
                "prefix=a-b: give small letters",
            ),
            ("no-create file:a", "no-create=: no such option here"),
        ] {
            let error = SinkSpec::parse(text).unwrap_err();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }
}
