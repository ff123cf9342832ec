//! Sockets of all kinds, as sources see them: where one leads, how it is opened, how it is read.

use std::io::{self, Read as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use mio::Interest;
use rustix::net::sockopt;

use crate::error::Error;
use crate::source::Readiness;
#[cfg(feature = "tls")]
use crate::source::tls::{TlsClient, TlsStream};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A silent connection is probed after this long.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// Where a socket leads.
#[derive(Clone, Debug)]
pub enum Address {
    /// `HOST:PORT`.
    Tcp(String),
    /// `HOST:PORT` of a server that speaks TLS.
    #[cfg(feature = "tls")]
    Tls(String, TlsClient),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// `HOST:PORT` of the source `name`, to connect to.
    ///
    /// # Errors
    /// If it makes no sense (usage).
    pub fn tcp(name: &str, host_and_port: &str) -> Result<Address, Error> {
        if is_host_and_port(host_and_port, 1) {
            return Ok(Address::Tcp(host_and_port.to_owned()));
        }
        Err(Error::Usage(format!(
            "source {name}: not an address; write {scheme}://HOST:PORT, for example {scheme}://localhost:9998",
            scheme = scheme(name)
        )))
    }

    /// `ADDR:PORT` of the source `name`, to listen at; port 0 is any that is free.
    ///
    /// # Errors
    /// If it makes no sense (usage).
    pub fn tcp_listen(name: &str, address_and_port: &str) -> Result<Address, Error> {
        if is_host_and_port(address_and_port, 0) {
            return Ok(Address::Tcp(address_and_port.to_owned()));
        }
        Err(Error::Usage(format!(
            "source {name}: not an address; write {scheme}://ADDR:PORT, for example {scheme}://127.0.0.1:9998",
            scheme = scheme(name)
        )))
    }

    /// The path of a Unix socket, of the source `name`.
    ///
    /// # Errors
    /// If there is none (usage).
    pub fn unix(name: &str, path: &str) -> Result<Address, Error> {
        if path.is_empty() {
            return Err(Error::Usage(format!(
                "source {name}: the path is missing; write {scheme}://PATH, for example {scheme}:///run/orders.sock",
                scheme = scheme(name)
            )));
        }
        Ok(Address::Unix(PathBuf::from(path)))
    }
}

fn scheme(name: &str) -> &str {
    name.split("://").next().unwrap_or(name)
}

fn is_host_and_port(text: &str, port_min: u16) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = !host.is_empty() && !host.contains([':', '/', '@', '?', ' ']);
        (bracketed || plain) && port.parse::<u16>().is_ok_and(|port| port >= port_min)
    })
}

/// A connected socket that does not wait.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl Socket {
    /// Resolves and connects; waits, so not for the reader's thread.
    pub(super) fn connect(address: &Address) -> io::Result<Socket> {
        match address {
            Address::Tcp(host_and_port) => {
                let stream = connect_tcp(host_and_port)?;
                stream.set_nonblocking(true)?;
                Socket::tcp(mio::net::TcpStream::from_std(stream))
            }
            #[cfg(feature = "tls")]
            Address::Tls(host_and_port, client) => {
                let stream = connect_tcp(host_and_port)?;
                Socket::tls(TlsStream::connect(client, host_and_port, stream)?)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Ok(Socket::Unix(mio::net::UnixStream::from_std(stream)))
            }
        }
    }

    pub(super) fn tcp(stream: mio::net::TcpStream) -> io::Result<Socket> {
        keep_alive(&stream)?;
        Ok(Socket::Tcp(stream))
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(stream: TlsStream) -> io::Result<Socket> {
        keep_alive(stream.stream())?;
        Ok(Socket::Tls(Box::new(stream)))
    }

    pub(super) fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        let (registry, token) = (readiness.registry, readiness.token);
        match self {
            Socket::Tcp(stream) => registry.register(stream, token, Interest::READABLE),
            Socket::Unix(stream) => registry.register(stream, token, Interest::READABLE),
            #[cfg(feature = "tls")]
            Socket::Tls(stream) => stream.register(readiness),
        }
    }

    /// Reads what there is: `Ok(0)` when the peer has closed in good order, `WouldBlock` when there
    /// is nothing at the moment.
    pub(super) fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Socket::Tcp(stream) => stream.read(space),
                Socket::Unix(stream) => stream.read(space),
                #[cfg(feature = "tls")]
                Socket::Tls(stream) => stream.read(space),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// A peer that died without a word is noticed by the system's keepalive probes.
fn keep_alive(stream: &mio::net::TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?)
}

fn connect_tcp(host_and_port: &str) -> io::Result<TcpStream> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in host_and_port.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anything_is_resolved() {
        for good in [
            "localhost:1",
            "127.0.0.1:65535",
            "[::1]:9998",
            "a-b.example:80",
        ] {
            assert!(Address::tcp("tcp://x", good).is_ok(), "{good}");
            assert!(
                Address::tcp_listen("tcp-listen://x", good).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "",
            "localhost",
            ":9998",
            "h:65536",
            "h:http",
            "::1:80",
            "u@h:80",
            "h/p:80",
        ] {
            assert!(Address::tcp("tcp://x", bad).is_err(), "{bad}");
            assert!(Address::tcp_listen("tcp-listen://x", bad).is_err(), "{bad}");
        }
        assert!(Address::tcp("tcp://x", "h:0").is_err());
        assert!(Address::tcp_listen("tcp-listen://x", "h:0").is_ok());
        assert!(Address::unix("unix://", "").is_err());
    }
}
