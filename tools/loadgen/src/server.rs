//! The ways to send: a server that clients connect to, a client that pushes, a writer.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::generator::Generator;
use crate::outlet::{Clients, Peer, Writer};
use crate::schedule::Plan;
use crate::sender::{Sent, send};
use crate::spec::Spec;

/// Listens and sends to the clients that connect, as the tutorial's order server does.
///
/// Sending starts when all expected clients are there. The records are dealt to them in turn, by blocks of whole
/// lines (64 KiB; at a rate, what is due), so the clients together get exactly the stream. A client that stalls holds
/// up the others. A client that leaves is replaced by the next that connects, which gets the first line that was
/// not handed over in full.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::Read;
///
/// let server = loadgen::Server::bind("127.0.0.1:0", &loadgen::Spec::default(), loadgen::Plan::records(1_000))?;
/// let addr = server.local_addr();
/// let sending = std::thread::spawn(move || server.run());
/// let mut lines = String::new();
/// std::net::TcpStream::connect(addr)?.read_to_string(&mut lines)?;
/// let sent = sending.join().expect("the server does not panic")?;
/// assert_eq!(lines.lines().count() as u64, sent.expectation.lines);
/// # Ok(())
/// # }
/// ```
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    generator: Generator,
    plan: Plan,
    connections: usize,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Listens at `addr` for one client; port 0 takes a free port.
    ///
    /// # Errors
    ///
    /// The address cannot be resolved or listened at; `InvalidInput` when the spec is out of its ranges.
    pub fn bind(addr: impl ToSocketAddrs, spec: &Spec, plan: Plan) -> io::Result<Self> {
        let generator = generator(spec)?;
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        Ok(Server {
            listener,
            addr,
            generator,
            plan,
            connections: 1,
            stop: Arc::default(),
        })
    }

    /// Waits for this many clients before it sends. Default: 1.
    ///
    /// # Panics
    ///
    /// When it is 0.
    pub fn connections(mut self, connections: usize) -> Self {
        assert!(connections > 0, "a server without clients sends nothing");
        self.connections = connections;
        self
    }

    /// The address that clients connect to.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Set it to end [`run`](Self::run): at once while it waits, after the block under way while it sends, after a
    /// second if the client does not read.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Sends until the plan is fulfilled or the stop flag is set, and closes the connections.
    ///
    /// # Errors
    ///
    /// Accepting or writing failed for another reason than a client's leaving.
    pub fn run(self) -> io::Result<Sent> {
        let mut clients = Clients::new(self.listener, self.connections)?;
        send(self.generator, &self.plan, &mut clients, &self.stop)
    }
}

/// As a [`Server`], to clients of the Unix socket `listener`, as many as `connections`.
///
/// # Errors
///
/// As [`Server::run`]; `InvalidInput` when the spec is out of its ranges.
///
/// # Panics
///
/// When `connections` is 0.
#[cfg(unix)]
pub fn serve_unix(
    listener: std::os::unix::net::UnixListener,
    connections: usize,
    spec: &Spec,
    plan: &Plan,
    stop: &AtomicBool,
) -> io::Result<Sent> {
    assert!(connections > 0, "a server without clients sends nothing");
    let generator = generator(spec)?;
    let mut clients = Clients::new(listener, connections)?;
    send(generator, plan, &mut clients, stop)
}

/// Connects to `addr` and sends until the plan is fulfilled, `stop` is set or the peer closes
/// ([`End::PeerClosed`](crate::End::PeerClosed)).
///
/// # Errors
///
/// Connecting failed, or writing for another reason than the peer's leaving; `InvalidInput` when the spec is out of
/// its ranges.
pub fn push(
    addr: impl ToSocketAddrs,
    spec: &Spec,
    plan: &Plan,
    stop: &AtomicBool,
) -> io::Result<Sent> {
    let generator = generator(spec)?;
    let mut peer = Peer::new(TcpStream::connect(addr)?)?;
    send(generator, plan, &mut peer, stop)
}

/// The same to the Unix socket at `path`.
///
/// # Errors
///
/// As [`push`].
#[cfg(unix)]
pub fn push_unix(
    path: impl AsRef<std::path::Path>,
    spec: &Spec,
    plan: &Plan,
    stop: &AtomicBool,
) -> io::Result<Sent> {
    let generator = generator(spec)?;
    let mut peer = Peer::new(std::os::unix::net::UnixStream::connect(path)?)?;
    send(generator, plan, &mut peer, stop)
}

/// Writes to `out` until the plan is fulfilled, `stop` is set or a pipe's reader closes
/// ([`End::PeerClosed`](crate::End::PeerClosed)).
///
/// # Errors
///
/// Writing failed, except by a closed pipe; `InvalidInput` when the spec is out of its ranges.
pub fn write(out: impl Write, spec: &Spec, plan: &Plan, stop: &AtomicBool) -> io::Result<Sent> {
    send(
        generator(spec)?,
        plan,
        &mut Writer {
            inner: out,
            gone: false,
        },
        stop,
    )
}

pub(crate) fn generator(spec: &Spec) -> io::Result<Generator> {
    Generator::new(spec).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}
