//! A server under test, and a schema in it that nobody else uses.

use std::fs;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use torture::postgres::{self, Client, NoTls};

use crate::support::tallyline;

/// A schema of a test's own, and a folder.
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) schema: String,
    pub(crate) url: String,
    password: String,
    folder: TempDir,
}

impl Place {
    /// `None`, with a word on why nothing is tested, if no server is named.
    #[allow(clippy::print_stderr, reason = "a test's own output")]
    pub(crate) fn new() -> Option<Place> {
        let Ok(url) = std::env::var("TEST_POSTGRES") else {
            eprintln!(
                "skipped: TEST_POSTGRES is not set; run: export $(tools/postgres-server start)"
            );
            return None;
        };
        let password = std::env::var("TEST_POSTGRES_PASSWORD").unwrap();
        Some(Place::at(&url, &password))
    }

    /// On this server.
    pub(crate) fn at(url: &str, password: &str) -> Place {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let mut config: postgres::Config = url.parse().unwrap();
        let mut client = config.password(password).connect(NoTls).unwrap();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let schema = format!("t{}_{number}", std::process::id());
        let make = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        client.batch_execute(&make).unwrap();
        client
            .batch_execute(&format!("SET search_path = {schema}"))
            .unwrap();
        let place = Place {
            client,
            schema,
            url: url.to_owned(),
            password: password.to_owned(),
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("in.jsonl", "");
        place
    }

    /// Of everybody there.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The sink in this schema, with more options.
    pub(crate) fn sink(&self, options: &str) -> String {
        format!("--to={options} schema={} {}", self.schema, self.url)
    }

    /// Counts `in.jsonl` by status with these flags.
    pub(crate) fn count(&self, flags: &[&str]) -> Output {
        let mut command = tallyline(&["count", "--by=status", "--output=json"]);
        if !flags.iter().any(|flag| flag.starts_with("--to-drain")) {
            command.arg("--to-drain=0s");
        }
        command.arg(self.path("in.jsonl")).args(flags);
        command.env("PGPASSWORD", &self.password).output().unwrap()
    }

    /// Rows of one text each.
    pub(crate) fn texts(&mut self, sql: &str) -> Vec<String> {
        let rows = self.client.query(sql, &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Statements of somebody else's.
    pub(crate) fn run(&mut self, sql: &str) {
        self.client.batch_execute(sql).unwrap();
    }

    pub(crate) fn figure(&mut self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).unwrap().get(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.client.batch_execute(&sql).unwrap();
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn lines(statuses: &[&str]) -> String {
    let line = |status: &&str| format!("{{\"status\":{}}}\n", serde_json::Value::from(*status));
    statuses.iter().map(line).collect()
}
