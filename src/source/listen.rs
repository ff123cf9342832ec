//! `tcp-listen://ADDR:PORT`, `unix-listen://PATH`, `tls-listen://ADDR:PORT`: any number of producers that connect and send.
//!
//! The [`Listener`] hands every producer that connects over to the reader as a stream of its own, up
//! to a number at once; one more is refused: its connection is closed, and that is told. A producer
//! that closes in good order has ended with its last line, newline or not; of one that breaks off,
//! the unfinished line is thrown away and counted as torn. Neither ends the listening.
//!
//! A socket cannot replay: what was read and not yet printed is lost with the process.

use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use mio::Interest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::clock::Timestamp;
use crate::error::{Error, reason};
use crate::source::socket::{Address, Socket};
#[cfg(feature = "tls")]
use crate::source::tls::{self, TlsServer, TlsStream};
use crate::source::{Read, Readiness, Source};

/// Descriptors that the program needs beside those of producers.
const OTHER_DESCRIPTORS: usize = 64;

/// Producers refused in one turn; then others have theirs.
const REFUSED_AT_ONCE: usize = 64;

/// How long nothing is said of further refusals.
const SILENCE_NANOS: u64 = 10_000_000_000;

/// When to try again to accept a producer that the system had no means for.
const RETRY_NANOS: u64 = 100_000_000;

/// A socket that producers connect to.
#[derive(Debug)]
pub struct Listener {
    name: String,
    socket: Listening,
    /// That of a Unix socket; removed with the listener.
    _file: Option<SocketFile>,
    connections_max: usize,
    /// Held by every connection too: so many are taken.
    refusals: Arc<Refusals>,
    #[cfg(feature = "tls")]
    tls: Option<TlsServer>,
    wake_at: Option<Timestamp>,
}

#[derive(Debug)]
enum Listening {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
}

impl Listener {
    /// Listens at `address` for at most `connections_max` producers at once. `name` is the source as
    /// the user wrote it; of a port 0, the name tells the one that was free.
    ///
    /// # Errors
    /// If that is not possible, or so many are not (usage).
    ///
    /// # Panics
    /// If the address is that of a server to connect to over TLS; see `with_tls`.
    pub fn bind(name: &str, address: &Address, connections_max: usize) -> Result<Listener, Error> {
        let failed = |error: io::Error| cannot_listen(name, &error);
        allow_descriptors(connections_max)?;
        let (mut name_bound, mut file) = (name.to_owned(), None);
        let socket = match address {
            #[cfg(feature = "tls")]
            Address::Tls(..) => panic!("{address:?} is not to be listened at"),
            Address::Tcp(address_and_port) => {
                let listener = TcpListener::bind(address_and_port).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                if address_and_port.ends_with(":0") {
                    let bound = listener.local_addr().map_err(failed)?;
                    name_bound = name.replace(address_and_port, &bound.to_string());
                }
                Listening::Tcp(mio::net::TcpListener::from_std(listener))
            }
            Address::Unix(path) => {
                remove_stale(name, path)?;
                let listener = UnixListener::bind(path).map_err(failed)?;
                file = Some(SocketFile::new(path).map_err(failed)?);
                listener.set_nonblocking(true).map_err(failed)?;
                Listening::Unix(mio::net::UnixListener::from_std(listener))
            }
        };
        Ok(Listener {
            name: name_bound,
            socket,
            _file: file,
            connections_max,
            refusals: Arc::default(),
            #[cfg(feature = "tls")]
            tls: None,
            wake_at: None,
        })
    }

    /// Has producers speak TLS.
    #[cfg(feature = "tls")]
    pub fn with_tls(self, server: TlsServer) -> Listener {
        Listener {
            tls: Some(server),
            ..self
        }
    }

    /// The next producer that has connected, and where it comes from.
    fn accept(&self) -> io::Result<(Socket, String)> {
        match &self.socket {
            Listening::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                #[cfg(feature = "tls")]
                if let Some(server) = &self.tls {
                    let stream = TlsStream::accept(server, stream)?;
                    return Ok((Socket::tls(stream)?, peer.to_string()));
                }
                Ok((Socket::tcp(stream)?, peer.to_string()))
            }
            Listening::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), "a local process".to_owned()))
            }
        }
    }

    fn is_full(&self) -> bool {
        // The listener itself holds one.
        Arc::strong_count(&self.refusals) > self.connections_max
    }
}

impl Source for Listener {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        let (registry, token) = (readiness.registry, readiness.token);
        match &mut self.socket {
            Listening::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Listening::Unix(listener) => registry.register(listener, token, Interest::READABLE),
        }
    }

    fn read(&mut self, _: &mut [u8], _: &Readiness<'_>, now: Timestamp) -> Read {
        self.wake_at = None;
        for _ in 0..REFUSED_AT_ONCE {
            match self.accept() {
                Ok((_, peer)) if self.is_full() => {
                    let why = format!(
                        "{} are connected; raise --max-connections",
                        self.connections_max
                    );
                    self.refusals.tell(&self.name, &peer, &why, now);
                }
                Ok((socket, peer)) => {
                    tracing::info!("{}: {peer} has connected", self.name);
                    return Read::Connection(Box::new(Connection {
                        name: self.name.clone(),
                        peer,
                        socket: Some(socket),
                        refusals: Arc::clone(&self.refusals),
                    }));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Read::Nothing,
                    // It left before its turn came.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        self.refusals
                            .tell(&self.name, "a producer", &reason(&error), now);
                        self.wake_at = Some(now.plus_nanos(RETRY_NANOS));
                        return Read::Nothing;
                    }
                },
            }
        }
        self.wake_at = Some(now);
        Read::Nothing
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.wake_at
    }

    fn is_fleeting(&self) -> bool {
        true
    }

    fn connections_max(&self) -> usize {
        self.connections_max
    }

    #[cfg(feature = "tls")]
    fn own_bytes_max(&self) -> usize {
        match self.tls {
            Some(_) => self.connections_max * tls::CONNECTION_BYTES,
            None => 0,
        }
    }
}

/// Says who was refused and why, but not every time. Written by the reader's thread alone.
#[derive(Debug, Default)]
struct Refusals {
    silent_until_nanos: AtomicI64,
    unsaid: AtomicU64,
}

impl Refusals {
    fn tell(&self, name: &str, peer: &str, why: &str, now: Timestamp) {
        // Relaxed: no other thread reads or writes them.
        if now.as_nanos() < self.silent_until_nanos.load(Ordering::Relaxed) {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.unsaid.swap(0, Ordering::Relaxed) {
            0 => tracing::warn!("{name}: refused {peer}: {why}"),
            more => tracing::warn!("{name}: refused {peer}, and {more} before: {why}"),
        }
        let until = now.plus_nanos(SILENCE_NANOS).as_nanos();
        self.silent_until_nanos.store(until, Ordering::Relaxed);
    }
}

/// A producer that has connected.
#[derive(Debug)]
struct Connection {
    /// The listener's.
    name: String,
    peer: String,
    /// None: it has ended.
    socket: Option<Socket>,
    /// Its place is free again when the reader has forgotten it.
    refusals: Arc<Refusals>,
}

impl Source for Connection {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        match &mut self.socket {
            Some(socket) => socket.register(readiness),
            None => Ok(()),
        }
    }

    fn is_fleeting(&self) -> bool {
        true
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, now: Timestamp) -> Read {
        let Some(socket) = &mut self.socket else {
            return Read::Finished;
        };
        let torn = match socket.read(space) {
            Ok(0) => {
                tracing::info!("{}: {} has closed", self.name, self.peer);
                false
            }
            Ok(count) => return Read::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Read::Nothing,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.refusals
                    .tell(&self.name, &self.peer, &reason(&error), now);
                true
            }
            Err(error) => {
                tracing::info!("{}: lost {}: {}", self.name, self.peer, reason(&error));
                true
            }
        };
        self.socket = None;
        Read::StreamEnd { torn }
    }
}

/// The file of a Unix socket that we listen at; removed with this value, if it is still ours.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}: {}", self.path.display(), reason(&error));
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = std::fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Removes the socket file that a listener has left behind which is no more.
fn remove_stale(name: &str, path: &Path) -> Result<(), Error> {
    let Ok(file) = std::fs::symlink_metadata(path) else {
        // If it is there and cannot be looked at, binding says so.
        return Ok(());
    };
    if !file.file_type().is_socket() {
        return Err(Error::Source(format!(
            "cannot listen at {name}: there is a file of that name, and it is no socket; remove it or give another path"
        )));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!("{name}: replacing the socket file of a listener that is no more");
            std::fs::remove_file(path).map_err(|error| cannot_listen(name, &error))
        }
        // Its queue may be full: somebody is there all the same.
        _ => Err(Error::Source(format!(
            "cannot listen at {name}: another program listens there; end it or give another path"
        ))),
    }
}

/// Raises the limit of open files as far as the system allows, which must do for the connections.
fn allow_descriptors(connections_max: usize) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    let needed = (connections_max + OTHER_DESCRIPTORS) as u64;
    if let Some(maximum) = limit.maximum.filter(|&maximum| maximum < needed) {
        return Err(Error::Usage(format!(
            "--max-connections {connections_max}: more than the system lets this program have open; give at most {}, or raise the limit with ulimit -Hn",
            maximum.saturating_sub(OTHER_DESCRIPTORS as u64)
        )));
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| Error::System("raise the limit of open files", error.into()))
}

fn cannot_listen(name: &str, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; end it or give another port",
        io::ErrorKind::AddrNotAvailable => {
            "give an address of this machine, or 0.0.0.0 for all of them"
        }
        io::ErrorKind::PermissionDenied => "give a port above 1023 or a path that may be written",
        io::ErrorKind::NotFound => "check the address and the directory",
        _ => "check the address",
    };
    Error::Source(format!(
        "cannot listen at {name}: {}; {remedy}",
        reason(error)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_the_system_allows_are_wrong_usage() {
        let Some(maximum) = getrlimit(Resource::Nofile).maximum else {
            return;
        };
        let error = allow_descriptors(maximum as usize).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains("--max-connections"), "{error}");
    }
}
