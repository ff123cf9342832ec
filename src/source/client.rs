//! `tcp://HOST:PORT`, `unix://PATH`, `tls://HOST:PORT`: a client of a server that sends lines, as Spark's
//! `socketTextStream` is.
//!
//! A socket cannot replay: what was read and not yet printed is lost with the process, and what the
//! server sent into a connection that broke is lost with the connection. A stream that the server
//! closes in good order ends with its last line, newline or not; of one that breaks off, the
//! unfinished line is thrown away and told.
//!
//! The first connection is made before anything else starts, so that a wrong address is an error at
//! once. Later ones are made by a short-lived thread each, so that neither the resolver nor a dead
//! host holds up the reader and its batch boundaries; the waits in between double from
//! [`BACKOFF_NANOS_MIN`] to [`BACKOFF_NANOS_MAX`], each shortened by up to half at random, so that a
//! thousand clients do not come back as one.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;

use crate::clock::Timestamp;
use crate::error::{Error, reason};
use crate::live::Link;
use crate::source::socket::{Address, Socket};
use crate::source::{Read, Readiness, Source};

/// The first wait before reconnecting: 100 ms.
const BACKOFF_NANOS_MIN: u64 = 100_000_000;

/// The longest wait before reconnecting: 10 s.
const BACKOFF_NANOS_MAX: u64 = 10_000_000_000;

/// Between attempts while the first connection is waited for.
const FIRST_RETRY: Duration = Duration::from_millis(200);

/// What to do when the server closes the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnClose {
    /// Connect again, with backoff, for ever.
    #[default]
    Reconnect,
    /// End: the stream is complete.
    Exit,
}

/// How to treat a server.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientOptions {
    /// When the server closes.
    pub on_close: OnClose,
    /// How long to keep trying for the first connection; zero: one attempt.
    pub connect_wait: Duration,
}

#[derive(Debug)]
enum State {
    Connected(Socket),
    /// Lost; the next attempt begins then.
    Waiting(Timestamp),
    /// An attempt is being made.
    Connecting(Arc<ArrayQueue<io::Result<Socket>>>),
    Over,
}

/// A connection to a server, made again when it is lost.
#[derive(Debug)]
pub struct Client {
    name: String,
    address: Address,
    on_close: OnClose,
    state: State,
    /// Failed attempts, and connections that brought nothing, since bytes last came.
    failures: u32,
}

impl Client {
    /// Connects to `address`.
    ///
    /// # Errors
    /// If nobody answers there within the time.
    pub fn connect(name: &str, address: Address, options: ClientOptions) -> Result<Client, Error> {
        let begun = Instant::now();
        let socket = loop {
            match Socket::connect(&address) {
                Ok(socket) => break socket,
                Err(_) if begun.elapsed() < options.connect_wait => thread::sleep(FIRST_RETRY),
                Err(error) => return Err(cannot_connect(name, &address, &error)),
            }
        };
        Ok(Client {
            name: name.to_owned(),
            address,
            on_close: options.on_close,
            state: State::Connected(socket),
            failures: 0,
        })
    }

    /// The connection is gone: what comes next, and what the reader is to know of it.
    fn lost(&mut self, why: Option<&io::Error>, now: Timestamp) -> Read {
        match (self.on_close, why) {
            (OnClose::Reconnect, _) => {
                let why = why.map_or("closed by the server".to_owned(), reason);
                self.try_again(&format!("lost {}: {why}", self.name), now);
            }
            (OnClose::Exit, None) => self.state = State::Over,
            (OnClose::Exit, Some(error)) => {
                self.state = State::Over;
                return Read::Failed(Error::Source(format!(
                    "lost {}: {}; what came before is counted, an unfinished line is not",
                    self.name,
                    reason(error)
                )));
            }
        }
        Read::StreamEnd {
            torn: why.is_some(),
        }
    }

    fn try_again(&mut self, what: &str, now: Timestamp) {
        let nanos = backoff_nanos(self.failures, fastrand::f64());
        self.failures = self.failures.saturating_add(1);
        tracing::warn!("{what}; connecting again in {:.1} s", nanos as f64 / 1e9);
        self.state = State::Waiting(now.plus_nanos(nanos));
    }

    fn begin_connecting(&mut self, readiness: &Readiness<'_>, now: Timestamp) {
        let answer = Arc::new(ArrayQueue::new(1));
        let (sender, waker) = (answer.clone(), readiness.waker.clone());
        let address = self.address.clone();
        let attempt = move || {
            // One attempt, one answer: the queue has room. Nobody may be left to hear it.
            drop(sender.push(Socket::connect(&address)));
            drop(waker.wake());
        };
        match thread::Builder::new().name("connect".into()).spawn(attempt) {
            Ok(_) => self.state = State::Connecting(answer),
            Err(error) => {
                self.try_again(&format!("cannot start a thread: {}", reason(&error)), now)
            }
        }
    }

    fn connected(&mut self, socket: Socket, readiness: &Readiness<'_>) -> io::Result<()> {
        self.state = State::Connected(socket);
        self.register(readiness)?;
        tracing::warn!("connected to {} again", self.name);
        Ok(())
    }
}

impl Source for Client {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        match &mut self.state {
            State::Connected(socket) => socket.register(readiness),
            State::Waiting(_) | State::Connecting(_) | State::Over => Ok(()),
        }
    }

    fn read(&mut self, space: &mut [u8], readiness: &Readiness<'_>, now: Timestamp) -> Read {
        loop {
            match &mut self.state {
                State::Connected(socket) => match socket.read(space) {
                    Ok(0) => return self.lost(None, now),
                    Ok(count) => {
                        self.failures = 0;
                        return Read::Bytes(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Read::Nothing;
                    }
                    Err(error) => return self.lost(Some(&error), now),
                },
                State::Waiting(until) if now < *until => return Read::Nothing,
                State::Waiting(_) => self.begin_connecting(readiness, now),
                State::Connecting(answer) => match answer.pop() {
                    None => return Read::Nothing,
                    Some(result) => {
                        let result = result.and_then(|socket| self.connected(socket, readiness));
                        if let Err(error) = result {
                            let what =
                                format!("cannot connect to {}: {}", self.name, reason(&error));
                            self.try_again(&what, now);
                        }
                    }
                },
                State::Over => return Read::Finished,
            }
        }
    }

    fn link(&self) -> Link {
        match self.state {
            State::Connected(_) | State::Over => Link::Connected,
            State::Waiting(_) | State::Connecting(_) => Link::Reconnecting,
        }
    }

    fn is_fleeting(&self) -> bool {
        true
    }

    fn wake_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting(until) => Some(until),
            State::Connected(_) | State::Connecting(_) | State::Over => None,
        }
    }
}

/// The wait after `failures` failures; `0 <= random < 1`.
pub(super) fn backoff_nanos(failures: u32, random: f64) -> u64 {
    let doubled = BACKOFF_NANOS_MIN.saturating_mul(1 << failures.min(20));
    let nanos = doubled.min(BACKOFF_NANOS_MAX) as f64;
    (nanos * (1.0 - random / 2.0)) as u64
}

fn cannot_connect(name: &str, address: &Address, error: &io::Error) -> Error {
    if let Address::Unix(path) = address
        && fs::metadata(path).is_ok_and(|metadata| !metadata.file_type().is_socket())
    {
        let why = "there is a file of that name, and it is no socket; check the path";
        return Error::Source(format!("cannot connect to {name}: {why}"));
    }
    let remedy = match error.kind() {
        io::ErrorKind::NotFound if matches!(address, Address::Unix(_)) => {
            "check the path; start the server first, or wait for it with --connect-wait 30s"
        }
        io::ErrorKind::ConnectionRefused => {
            "start the server first, or wait for it with --connect-wait 30s"
        }
        // It says all there is to say.
        io::ErrorKind::InvalidData => {
            return Error::Source(format!("cannot connect to {name}: {}", reason(error)));
        }
        io::ErrorKind::TimedOut => "check the host, the port and the firewall in between",
        _ => "check the host's name and the network",
    };
    Error::Source(format!(
        "cannot connect to {name}: {}; {remedy}",
        reason(error)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_jitter_downward() {
        assert_eq!(backoff_nanos(0, 0.0), BACKOFF_NANOS_MIN);
        assert_eq!(backoff_nanos(1, 0.0), 2 * BACKOFF_NANOS_MIN);
        assert_eq!(backoff_nanos(50, 0.0), BACKOFF_NANOS_MAX);
        let shortest = backoff_nanos(50, 1.0 - f64::EPSILON);
        assert!(
            shortest.abs_diff(BACKOFF_NANOS_MAX / 2) < 1000,
            "{shortest}"
        );
    }
}
