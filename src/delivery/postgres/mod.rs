//! `postgres://USER@HOST/DB`: rows in tables, so that a batch that is handed over again changes nothing.
//!
//! A batch is one transaction: its rows are copied into a temporary table and from there inserted, or updated where
//! a row of the same job, start and key is there already. Totals are updated with every batch, from its own rows.
//! A connection is kept; after a failure there is a new one (`line`).
//!
//! Rows go in by the order of the index that tells them apart: of a million new keys that takes the server a third of the
//! time that it takes in any other.
//!
//! A key is stored as the JSON that `--output json` prints, in a column of type `text`: what PostgreSQL cannot store in
//! a text, the character U+0000, is an escape there, as all control characters are. No two keys have the same JSON. An index cannot
//! hold a key of 64 KiB, so rows are told apart by the key's SHA-256 (`key_hash`), which is as good.

mod digest;
mod line;
mod password;
mod tables;
mod tls;

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp as Time;
use sha2::{Digest, Sha256};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::digest::{Digests, Hashed};
use self::line::{Line, Values};
use self::tables::Tables;
use self::tls::Tls;
use super::outlet::{CHECK_WAIT, Context, Cut, Outlet, Receipt, Refusal};
use super::parcel::{Choice, Parcel, Report};
use super::spec::{PostgresOptions, SinkSpec};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::sink::{BatchReport, RowSums, Rows, TotalsReport, WindowReport, push_key};

/// Bytes of rows that are sent at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Totals of which it is worth while to ask which are as they should be.
const DIGESTED_MIN: usize = 1_000;

/// Rows on their way from us to the tables, as long as a transaction lasts.
const INCOMING: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS tallyline_incoming (key text, key_hash bytea, \
                        count bigint, total bigint, sum numeric, total_sum numeric) ON COMMIT DELETE ROWS";

/// A sink that is a database.
pub(super) struct PostgresOutlet {
    config: Config,
    tls: MakeRustlsConnect,
    tables: Tables,
    job: String,
    choice: Choice,
    may_create: bool,
    timeout: Duration,
    line: Option<Line>,
}

impl PostgresOutlet {
    /// Finds the password, in the file that is named, the environment or PostgreSQL's own file of passwords.
    ///
    /// # Errors
    /// If the address is none, or a file cannot be read.
    pub(super) fn new(
        url: &str,
        options: &PostgresOptions,
        spec: &SinkSpec,
        context: &Context,
    ) -> Result<PostgresOutlet, Error> {
        let wrong = |remedy: String| Error::Setting {
            name: "to",
            value: spec.name(),
            remedy,
        };
        let tls = Tls::new(url, options.ca.as_deref()).map_err(wrong)?;
        let mut config: Config = tls.url.parse().map_err(|error| {
            wrong(format!(
                "that is no address ({error}); write postgres://USER@HOST:PORT/DATABASE"
            ))
        })?;
        config
            .ssl_mode(tls.mode)
            .application_name("tallyline")
            .connect_timeout(spec.timeout)
            .tcp_user_timeout(spec.timeout);
        let password = password::password(&config, options.password.as_deref());
        if let Some(password) = password.map_err(wrong)? {
            config.password(password);
        }
        Ok(PostgresOutlet {
            config,
            tls: tls.connector,
            tables: Tables::new(options.schema.as_deref(), &options.prefix),
            job: context.job.clone(),
            choice: spec.choice,
            may_create: !options.no_create,
            timeout: spec.timeout,
            line: None,
        })
    }

    fn connect(&self, timeout: Duration) -> Result<Line, Refusal> {
        let line = Line::connect(&self.config, self.tls.clone(), timeout)?;
        let encoding = line.query_one("SHOW server_encoding", &[])?;
        let encoding: &str = encoding.get(0);
        if encoding != "UTF8" {
            return Err(Refusal::Wrong(format!(
                "the database is in {encoding}, which has not all characters; name one in UTF8"
            )));
        }
        line.run(INCOMING)?;
        Ok(line)
    }

    /// The connection; a new one finds the tables, or makes them.
    fn line(&mut self) -> Result<Line, Refusal> {
        if let Some(line) = self.line.take() {
            return Ok(line);
        }
        let line = self.connect(self.timeout)?;
        if self.may_create {
            for table in self.tables.all() {
                if table.columns_of(&line)?.is_empty() {
                    line.run(&table.create())?;
                }
            }
        }
        Ok(line)
    }

    /// What there is of the tables.
    fn look(&self, line: &Line) -> Result<String, Refusal> {
        let mut missing = Vec::new();
        for table in self.tables.all() {
            match table.fault(line)? {
                Some(Fault::Missing) => missing.push(table),
                Some(Fault::Wrong(fault)) => return Err(Refusal::Wrong(fault)),
                None => {}
            }
        }
        match (&missing[..], self.may_create) {
            ([], _) => Ok("the tables are there, and may be written to".to_owned()),
            ([table, ..], false) => Err(Refusal::Wrong(format!(
                "there is no table {}; leave out no-create, or make it as docs/sinks.md tells",
                table.name
            ))),
            (tables, true) => {
                if !self.tables.may_create(line)? {
                    return Err(Refusal::Wrong(format!(
                        "there is no table {}, and we may not create it; have it made as docs/sinks.md tells",
                        tables[0].name
                    )));
                }
                Ok(format!(
                    "{} tables are missing, and will be created",
                    tables.len()
                ))
            }
        }
    }

    fn write(&self, line: &Line, parcel: &Parcel) -> io::Result<u64> {
        line.run("BEGIN")?;
        let mut rows = 0;
        // Totals are made of a batch's rows, whether those are wanted or not.
        let choice = Choice {
            batches: true,
            ..self.choice
        };
        parcel.each(&choice, |report| {
            rows += match report {
                Report::Batch(report) => self.batch(line, report)?,
                Report::Window(report) => self.window(line, report)?,
                Report::Totals(report) => self.totals(line, report)?,
            };
            Ok(())
        })?;
        line.run("COMMIT")?;
        Ok(rows)
    }

    fn batch(&self, line: &Line, report: &BatchReport<'_>) -> io::Result<u64> {
        let Choice {
            batches,
            totals,
            ledger,
            ..
        } = self.choice;
        if batches || ledger {
            self.ledger(line, report, &report.ledger)?;
        }
        if !batches && !totals {
            return Ok(0);
        }
        copy(line, &by_hash(&report.counts))?;
        if batches {
            self.counts(line, &micros(report.start))?;
        }
        if totals {
            self.upsert_totals(line)?;
        }
        Ok(report.counts.shown.len() as u64)
    }

    fn counts(&self, line: &Line, start: &String) -> Result<(), Refusal> {
        let counts = &self.tables.counts.name;
        let insert = format!(
            "INSERT INTO {counts} AS old (job, batch_start, key, key_hash, count, sum) \
             SELECT $1, $2::text::timestamptz, key, key_hash, count, sum FROM tallyline_incoming"
        );
        let known = format!("{counts} WHERE job = $1 AND batch_start = $2::text::timestamptz");
        let conflict = "ON CONFLICT (job, batch_start, key_hash) DO UPDATE SET count = excluded.count, sum = excluded.sum \
                        WHERE (old.count, old.sum) IS DISTINCT FROM (excluded.count, excluded.sum)";
        upsert(line, &insert, &known, conflict, &[&self.job, start])
    }

    fn ledger(
        &self,
        line: &Line,
        report: &BatchReport<'_>,
        ledger: &Ledger,
    ) -> Result<(), Refusal> {
        let columns = ledger.columns();
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let figures: Vec<String> = columns
            .iter()
            .map(|(_, figure)| figure.to_string())
            .collect();
        let sets: Vec<String> = names
            .iter()
            .chain(&["batch", "batch_end", "hidden_keys", "hidden_count"])
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        // Figures of ours need no quotes.
        let upsert = format!(
            "INSERT INTO {batches} (job, batch_start, batch_end, batch, hidden_keys, hidden_count, {names}) \
             VALUES ($1, $2::text::timestamptz, $3::text::timestamptz, {batch}, {keys}, {count}, {figures}) \
             ON CONFLICT (job, batch_start) DO UPDATE SET {sets}",
            batches = self.tables.batches.name,
            names = names.join(", "),
            batch = report.batch,
            keys = report.counts.hidden.keys,
            count = report.counts.hidden.count,
            figures = figures.join(", "),
            sets = sets.join(", "),
        );
        let (start, end) = (micros(report.start), micros(report.end));
        line.execute(&upsert, &[&self.job, &start, &end])
    }

    fn window(&self, line: &Line, report: &WindowReport<'_>) -> io::Result<u64> {
        copy(line, &by_hash(&report.counts))?;
        let upsert = format!(
            "INSERT INTO {windows} AS old (job, length_ms, slide_ms, window_start, window_end, final, key, key_hash, count) \
             SELECT $1, {length}, {slide}, $2::text::timestamptz, $3::text::timestamptz, {is_final}, key, key_hash, count \
             FROM tallyline_incoming \
             ON CONFLICT (job, length_ms, slide_ms, window_start, key_hash) \
             DO UPDATE SET count = excluded.count, final = excluded.final \
             WHERE (old.count, old.final) IS DISTINCT FROM (excluded.count, excluded.final)",
            windows = self.tables.windows.name,
            length = report.spec.length_nanos / 1_000_000,
            slide = report.spec.slide_nanos / 1_000_000,
            is_final = report.is_final,
        );
        let (start, end) = (micros(report.start), micros(report.end));
        line.execute(&upsert, &[&self.job, &start, &end])?;
        Ok(report.counts.shown.len() as u64)
    }

    fn totals(&self, line: &Line, report: &TotalsReport<'_>) -> io::Result<u64> {
        let Rows { shown, hidden } = &report.totals;
        let mut rows = by_hash(&report.totals);
        // Where some are hidden the table may have those, too, and all parts would differ.
        if shown.len() >= DIGESTED_MIN && hidden.keys == 0 {
            rows = Digests::of(line, &self.tables.totals.name, &self.job)?.differing(rows);
        }
        if !rows.is_empty() {
            copy(line, &rows)?;
            // Most are as the batches left them, and an upsert writes to a row that stays as it is, too.
            let same = format!(
                "DELETE FROM tallyline_incoming AS new USING {totals} AS old \
                 WHERE old.job = $1 AND old.key_hash = new.key_hash \
                 AND (old.total, old.total_sum) IS NOT DISTINCT FROM (new.total, new.total_sum)",
                totals = self.tables.totals.name,
            );
            line.execute(&same, &[&self.job])?;
            self.upsert_totals(line)?;
        }
        Ok(shown.len() as u64)
    }

    fn upsert_totals(&self, line: &Line) -> Result<(), Refusal> {
        let totals = &self.tables.totals.name;
        let insert = format!(
            "INSERT INTO {totals} AS old (job, key, key_hash, total, total_sum) \
             SELECT $1, key, key_hash, total, total_sum FROM tallyline_incoming"
        );
        let known = format!("{totals} WHERE job = $1");
        let conflict = "ON CONFLICT (job, key_hash) DO UPDATE SET total = excluded.total, total_sum = excluded.total_sum \
                        WHERE (old.total, old.total_sum) IS DISTINCT FROM (excluded.total, excluded.total_sum)";
        upsert(line, &insert, &known, conflict, &[&self.job])
    }
}

impl Outlet for PostgresOutlet {
    fn check(&mut self) -> Result<String, Refusal> {
        let line = self.connect(self.timeout.min(CHECK_WAIT))?;
        let found = self.look(&line);
        line.close();
        found
    }

    fn deliver(&mut self, parcel: &Parcel, _: &Cut) -> Result<Receipt, Refusal> {
        let line = self.line()?;
        match self.write(&line, parcel) {
            Ok(rows) => {
                self.line = Some(line);
                Ok(Receipt { rows, mark: None })
            }
            Err(error) => {
                // With what is under way on it.
                line.close();
                Err(error.into())
            }
        }
    }

    fn finish(&mut self) -> Result<(), Refusal> {
        if let Some(line) = self.line.take() {
            line.close();
        }
        Ok(())
    }
}

/// What is wrong with a table.
pub(super) enum Fault {
    /// It is not there.
    Missing,
    /// It is another one.
    Wrong(String),
}

/// Inserts, or updates if any of the rows may be `known`: an insert that does not look for them takes half of the time.
fn upsert(
    line: &Line,
    insert: &str,
    known: &str,
    conflict: &str,
    values: Values<'_>,
) -> Result<(), Refusal> {
    let is_known = line.query_one(&format!("SELECT EXISTS (SELECT FROM {known})"), values)?;
    let conflict = match is_known.get(0) {
        true => conflict,
        false => "",
    };
    line.execute(&format!("{insert} {conflict}"), values)
}

/// Copies rows into the table of incoming ones, in place of those that are there.
fn copy(line: &Line, rows: &[Hashed<'_>]) -> io::Result<()> {
    let into = "COPY tallyline_incoming (key, key_hash, count, total, sum, total_sum) FROM STDIN";
    line.execute("TRUNCATE tallyline_incoming", &[])?;
    let mut writer = line.copy_in(into)?;
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    let mut key = Vec::new();
    for (hash, row) in rows {
        key.clear();
        push_key(row.key, &mut key);
        push_copied(&key, &mut piece);
        piece.extend_from_slice(b"\t\\\\x");
        push_hex(hash, &mut piece);
        write!(piece, "\t{}\t{}\t", row.count, row.total)?;
        match row.sums {
            Some(RowSums { sum, total }) => writeln!(piece, "{sum}\t{total}")?,
            None => piece.extend_from_slice(b"\\N\t\\N\n"),
        }
        if piece.len() >= PIECE_BYTES {
            writer.send(std::mem::replace(
                &mut piece,
                Vec::with_capacity(2 * PIECE_BYTES),
            ))?;
        }
    }
    writer.send(piece)?;
    Ok(writer.finish()?)
}

/// The rows in the order of their keys' SHA-256, which is that of JSON.
fn by_hash<'a>(rows: &'a Rows<'a>) -> Vec<Hashed<'a>> {
    let mut key = Vec::new();
    let mut hashes: Vec<([u8; 32], usize)> = Vec::with_capacity(rows.shown.len());
    for (nth, row) in rows.shown.iter().enumerate() {
        key.clear();
        push_key(row.key, &mut key);
        hashes.push((Sha256::digest(&key).into(), nth));
    }
    hashes.sort_unstable();
    hashes
        .into_iter()
        .map(|(hash, nth)| (hash, &rows.shown[nth]))
        .collect()
}

fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// JSON has no control characters, so that a backslash is all that `COPY` would take for something else.
fn push_copied(json: &[u8], out: &mut Vec<u8>) {
    for &byte in json {
        if byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

/// A time as PostgreSQL reads it, which knows microseconds.
fn micros(time: Timestamp) -> String {
    let time = Time::from_nanosecond(time.as_nanos().into());
    time.map(|time| format!("{time:.6}")).unwrap_or_default()
}
