//! A connection to PostgreSQL on which nothing is waited for without end.
//!
//! Fed with statements by the sink, one at a time. The server is told how long one may take (`statement_timeout`), and
//! so has its say within that time: a slow upsert is done or cancelled, a lock that somebody holds is told as such. If
//! nothing at all has come a while after it ([`GRACE`]), the server is frozen, or the network swallows what it says:
//! keepalives would not tell the first, as a frozen server's system goes on answering them. The connection is given up
//! then. A `COMMIT` knows no timeout: one that waits for a standby that is gone ends here as well.
//!
//! A server that thaws may complete what it had been told, a `COMMIT` even: by then the batch is retried, whose upsert
//! waits for the rows and finds them as they should be. One that never hears of us again lets go of what it holds for
//! us, as it is told to look after the connection itself.
//!
//! The synchronous client of `postgres` waits for ever, so this is a thin one over the same asynchronous client, on a
//! runtime of the sink's own thread.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::SinkExt;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, CopyInSink, Error, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::delivery::outlet::Refusal;
use crate::error::reason;
use crate::sink::text;

/// How much longer than a statement may take its answer is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// How long it is tried to take leave of a server.
const LEAVE: Duration = Duration::from_secs(1);

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection.
pub(super) struct Line {
    client: Client,
    /// Ends with the connection.
    connection: JoinHandle<()>,
    waiting: Waiting,
}

/// How long is waited.
struct Waiting {
    /// Always there, until it is dropped.
    runtime: Option<Runtime>,
    timeout: Duration,
}

impl Line {
    /// Connects, and has the server end what takes longer than `timeout`.
    pub(super) fn connect(
        config: &Config,
        tls: MakeRustlsConnect,
        timeout: Duration,
    ) -> Result<Line, Refusal> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let waiting = Waiting {
            runtime: Some(runtime),
            timeout,
        };
        let (client, connection) = waiting.answer(timeout, async {
            let (client, connection) = config.connect(tls).await?;
            // What ends it is told by the statement that is under way.
            let connection = tokio::spawn(async { drop(connection.await) });
            Ok((client, connection))
        })?;
        let line = Line {
            client,
            connection,
            waiting,
        };
        line.set(timeout)?;
        Ok(line)
    }

    /// How long the server may take, and how it finds out that we are gone while it holds something for us.
    fn set(&self, timeout: Duration) -> Result<(), Refusal> {
        let (millis, seconds) = (timeout.as_millis(), timeout.as_secs().max(1));
        let idle = (timeout + GRACE).as_millis();
        self.run(&format!(
            "SET client_min_messages = warning; SET statement_timeout = {millis}; \
             SET idle_in_transaction_session_timeout = {idle}; \
             SET tcp_keepalives_idle = {seconds}; SET tcp_keepalives_interval = {seconds}; SET tcp_keepalives_count = 2"
        ))
    }

    /// Statements without values, one behind the other.
    pub(super) fn run(&self, sql: &str) -> Result<(), Refusal> {
        self.answer(self.client.batch_execute(sql))
    }

    /// A statement whose rows do not matter.
    pub(super) fn execute(&self, sql: &str, values: Values<'_>) -> Result<(), Refusal> {
        self.answer(self.client.execute(sql, values)).map(drop)
    }

    pub(super) fn query(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Refusal> {
        self.answer(self.client.query(sql, values))
    }

    pub(super) fn query_one(&self, sql: &str, values: Values<'_>) -> Result<Row, Refusal> {
        self.answer(self.client.query_one(sql, values))
    }

    /// Begins to copy rows in.
    pub(super) fn copy_in(&self, sql: &str) -> Result<CopyIn<'_>, Refusal> {
        let sink = self.answer(self.client.copy_in(sql))?;
        Ok(CopyIn {
            line: self,
            sink: Box::pin(sink),
        })
    }

    /// Takes leave, so that the server has nothing to complain of in its log.
    pub(super) fn close(self) {
        let Line {
            client,
            connection,
            waiting,
        } = self;
        drop(client);
        // That it could not be told in time changes nothing.
        drop(waiting.answer(LEAVE, async {
            drop(connection.await);
            Ok(())
        }));
    }

    fn answer<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Refusal> {
        self.waiting.answer(self.waiting.timeout + GRACE, answer)
    }
}

impl Waiting {
    fn answer<T>(
        &self,
        time: Duration,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Refusal> {
        let runtime = self.runtime.as_ref();
        let runtime = runtime.expect("it is taken when nothing is waited for any more");
        match runtime.block_on(async { tokio::time::timeout(time, answer).await }) {
            Ok(answer) => answer.map_err(|error| told(&error)),
            Err(_) => Err(self.silent()),
        }
    }

    /// The same words whatever was waited for, so that they are told once.
    fn silent(&self) -> Refusal {
        let nanos = u64::try_from(self.timeout.as_nanos()).unwrap_or(u64::MAX);
        let time = text::duration(nanos);
        Refusal::Later(
            format!("it does not answer: nothing has come for {time} (timeout=)"),
            None,
        )
    }
}

impl Drop for Waiting {
    /// Closes the connection, and leaves a name that is still being looked up to itself.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Rows on their way in.
pub(super) struct CopyIn<'a> {
    line: &'a Line,
    sink: Pin<Box<CopyInSink<io::Cursor<Vec<u8>>>>>,
}

impl CopyIn<'_> {
    /// Sends a piece, as soon as the server has room for it.
    pub(super) fn send(&mut self, piece: Vec<u8>) -> Result<(), Refusal> {
        self.line.answer(self.sink.send(io::Cursor::new(piece)))
    }

    pub(super) fn finish(mut self) -> Result<(), Refusal> {
        self.line.answer(self.sink.as_mut().finish()).map(drop)
    }
}

/// What PostgreSQL answers, and what that means.
fn told(error: &Error) -> Refusal {
    let Some(db) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            text = match error.downcast_ref::<io::Error>() {
                Some(error) => reason(error),
                None => error.to_string(),
            };
            source = error.source();
        }
        if error
            .to_string()
            .starts_with("error performing TLS handshake")
        {
            let text = text::sample(text.as_bytes(), 200);
            return Refusal::Wrong(format!(
                "no TLS: {text}; see sslmode= in its address, and name the authority with ca="
            ));
        }
        return match text.as_str() {
            "password missing" | "invalid configuration: password missing" => Refusal::Wrong(
                "it wants a password; give it in PGPASSWORD, in a file that PGPASSFILE names, or with password-file=".to_owned(),
            ),
            _ => Refusal::Later(format!("cannot reach it: {}", text::sample(text.as_bytes(), 200)), None),
        };
    };
    let said = text::sample(db.message().as_bytes(), 200);
    let wrong = |remedy: &str| Refusal::Wrong(format!("{said}; {remedy}"));
    let code = db.code();
    if [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
    ]
    .contains(code)
    {
        return wrong(
            "check the user, and the password in PGPASSWORD, PGPASSFILE or password-file=",
        );
    }
    match &code.code()[..2] {
        "3D" => wrong("name a database that is there"),
        "42" | "3F" => wrong("'tallyline sink test' tells what is wrong with the tables"),
        // Of the rows themselves, or more than a row can hold.
        "22" | "54" => Refusal::Never(said),
        _ => Refusal::Later(said, None),
    }
}
