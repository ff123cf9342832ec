//! TLS over TCP, for `tls://` and `tls-listen://`: rustls, with ring for the cryptography.
//!
//! A connection is a socket like any other: the reader's thread decrypts what has come and never
//! waits. A client's handshake is made where it connects; a producer's, while it is read. A peer that
//! closes without TLS's own farewell may have been cut off: its stream is torn.
//!
//! ring needs nothing but a C compiler. That it takes its time to build is why TLS is a Cargo feature.

use std::fmt;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mio::Interest;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::error::{Error, reason};
use crate::source::Readiness;
use refusal::{Peer, plain};

mod refusal;

/// A server of `tls://`.
const SERVER: Peer = Peer::Server("--tls-ca");

/// How long a server may take for the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is kept to be sent; we send nothing but handshakes and alerts.
const SEND_BYTES_MAX: usize = 16 * 1024;

/// What a connection keeps at the most: a message of the handshake (64 KiB) or a record, its plain
/// text (16 KiB), what is to be sent, and its keys.
pub(super) const CONNECTION_BYTES: usize = 128 * 1024;

/// The files of certificates and keys, in PEM, as the flags name them.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// `--tls-cert`: our certificate, and those between it and its authority.
    pub cert: Option<PathBuf>,
    /// `--tls-key`: its key; without it there is no use for the certificate.
    pub key: Option<PathBuf>,
    /// `--tls-ca`: whom we trust to certify servers; else those whom the system trusts.
    pub ca: Option<PathBuf>,
    /// `--tls-client-ca`: producers must have a certificate of this authority.
    pub client_ca: Option<PathBuf>,
}

/// How we connect.
#[derive(Clone, Debug)]
pub struct TlsClient(Arc<ClientConfig>);

/// How we let others connect.
#[derive(Clone, Debug)]
pub struct TlsServer(Arc<ServerConfig>);

impl TlsClient {
    /// Trusts the authority in the files, and shows the certificate in them, if there is one.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub fn new(files: &TlsFiles) -> Result<TlsClient, Error> {
        let roots = authorities("--tls-ca", files.ca.as_deref())?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let config = match identity(files, "--tls")? {
            Some((certificates, key)) => config
                .with_client_auth_cert(certificates, key)
                .map_err(|error| unusable_identity(files, "--tls", &error))?,
            None => config.with_no_client_auth(),
        };
        Ok(TlsClient(Arc::new(config)))
    }
}

impl TlsServer {
    /// Shows the certificate in the files, and asks for one if an authority of clients is named.
    ///
    /// # Errors
    /// If a file is missing (usage) or cannot be used.
    pub fn new(name: &str, files: &TlsFiles) -> Result<TlsServer, Error> {
        let Some((certificates, key)) = identity(files, "--tls")? else {
            return Err(Error::Usage(format!(
                "source {name}: a certificate is needed; give --tls-cert FILE and --tls-key FILE"
            )));
        };
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let config = match &files.client_ca {
            Some(path) => {
                let roots = Arc::new(authority("--tls-client-ca", path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = verifier.build().map_err(unusable)?;
                config.with_client_cert_verifier(verifier)
            }
            None => config.with_no_client_auth(),
        };
        let mut config = config
            .with_single_cert(certificates, key)
            .map_err(|error| unusable_identity(files, "--tls", &error))?;
        // A producer that only writes would leave tickets unread, and its system then resets the
        // connection at its end, with lines that are still on their way.
        config.send_tls13_tickets = 0;
        Ok(TlsServer(Arc::new(config)))
    }
}

/// What a server of HTTP speaks TLS with, if a certificate is named (`--http-cert`, `--http-key`).
///
/// # Errors
/// If a file is missing (usage) or cannot be used.
pub(crate) fn http_server(files: &TlsFiles) -> Result<Option<Arc<ServerConfig>>, Error> {
    let Some((certificates, key)) = identity(files, "--http")? else {
        return Ok(None);
    };
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key);
    let config = config.map_err(|error| unusable_identity(files, "--http", &error))?;
    Ok(Some(Arc::new(config)))
}

/// A connection, of either side.
pub(super) struct TlsStream {
    stream: mio::net::TcpStream,
    connection: rustls::Connection,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsStream").field(&self.stream).finish()
    }
}

impl TlsStream {
    /// Makes the handshake with a server; waits.
    pub(super) fn connect(
        client: &TlsClient,
        host_and_port: &str,
        mut stream: TcpStream,
    ) -> io::Result<TlsStream> {
        let host = host_and_port.rsplit_once(':').map_or("", |(host, _)| host);
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let host = ServerName::try_from(host).map_err(io::Error::other)?;
        let connection = rustls::ClientConnection::new(Arc::clone(&client.0), host);
        let mut connection = connection.map_err(|error| plain(&error, SERVER))?;
        stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        stream.set_write_timeout(Some(HANDSHAKE_TIMEOUT))?;
        while connection.is_handshaking() {
            if let Err(error) = connection.complete_io(&mut stream) {
                return Err(told(error));
            }
        }
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        stream.set_nonblocking(true)?;
        Ok(TlsStream::new(
            mio::net::TcpStream::from_std(stream),
            connection.into(),
        ))
    }

    /// Begins to serve a client, whose handshake is made while it is read.
    pub(super) fn accept(server: &TlsServer, stream: mio::net::TcpStream) -> io::Result<TlsStream> {
        let connection = rustls::ServerConnection::new(Arc::clone(&server.0));
        let connection = connection.map_err(|error| plain(&error, Peer::Producer))?;
        Ok(TlsStream::new(stream, connection.into()))
    }

    fn new(stream: mio::net::TcpStream, mut connection: rustls::Connection) -> TlsStream {
        connection.set_buffer_limit(Some(SEND_BYTES_MAX));
        TlsStream { stream, connection }
    }

    pub(super) fn stream(&self) -> &mio::net::TcpStream {
        &self.stream
    }

    pub(super) fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let (registry, token) = (readiness.registry, readiness.token);
        registry.register(&mut self.stream, token, interest)
    }

    /// As that of any socket; `InvalidData` says what is wrong with the peer's TLS.
    pub(super) fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let mut has_closed = false;
        loop {
            match self.connection.reader().read(space) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            if has_closed {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.write()?;
            has_closed = self.connection.read_tls(&mut self.stream)? == 0;
            if let Err(error) = self.connection.process_new_packets() {
                // The peer is told why, if it still listens.
                drop(self.write());
                return Err(plain(&error, self.peer()));
            }
        }
    }

    fn peer(&self) -> Peer {
        match self.connection {
            rustls::Connection::Client(_) => SERVER,
            rustls::Connection::Server(_) => Peer::Producer,
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            };
        }
        Ok(())
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Our certificate and its key, if they are named.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// `flags` is what the flags that name them begin with.
fn identity(files: &TlsFiles, flags: &str) -> Result<Option<Identity>, Error> {
    let (cert_flag, key_flag) = (&*format!("{flags}-cert"), &*format!("{flags}-key"));
    let lacks = |flag: &str, path: &Path, other: &str| {
        let path = path.display();
        Err(Error::Usage(format!(
            "{flag} {path}: of no use alone; give {other} FILE too"
        )))
    };
    let (cert, key) = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => (cert, key),
        (Some(cert), None) => return lacks(cert_flag, cert, key_flag),
        (None, Some(key)) => return lacks(key_flag, key, cert_flag),
        (None, None) => return Ok(None),
    };
    let certificates = certificates(cert_flag, cert)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable(key_flag, key, "private key", &error))?;
    Ok(Some((certificates, key)))
}

/// The authority of a file, which `flag` names, or those whom the system trusts.
///
/// # Errors
/// If the file cannot be used.
pub(crate) fn authorities(flag: &str, ca: Option<&Path>) -> Result<RootCertStore, Error> {
    match ca {
        Some(path) => authority(flag, path),
        None => Ok(system_authorities()),
    }
}

fn authority(flag: &str, path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(flag, path)? {
        roots.add(certificate).map_err(|error| {
            Error::Usage(format!(
                "{flag} {}: not the certificate of an authority: {error}",
                path.display()
            ))
        })?;
    }
    Ok(roots)
}

fn certificates(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> =
        certificates.map_err(|error| unreadable(flag, path, "certificate", &error))?;
    if certificates.is_empty() {
        return Err(unreadable(
            flag,
            path,
            "certificate",
            &pem::Error::NoItemsFound,
        ));
    }
    Ok(certificates)
}

fn system_authorities() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("cannot read the system's certificates: {error}");
    }
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!("{} authorities, {ignored} ignored", roots.len());
    roots
}

fn unreadable(flag: &str, path: &Path, what: &str, error: &pem::Error) -> Error {
    let path = path.display();
    Error::Usage(match error {
        pem::Error::Io(error) => format!("{flag} {path}: cannot read it: {}", reason(error)),
        pem::Error::NoItemsFound => {
            format!("{flag} {path}: no {what} in it; give a file in PEM format")
        }
        error => format!("{flag} {path}: not in PEM format: {error}"),
    })
}

fn unusable(error: impl fmt::Display) -> Error {
    Error::Usage(format!(
        "the certificates cannot be used: {error}; check --tls-cert, --tls-key and --tls-client-ca"
    ))
}

/// Why a certificate and its key, which could be read, are of no use.
fn unusable_identity(files: &TlsFiles, flags: &str, error: &rustls::Error) -> Error {
    match (error, &files.cert, &files.key) {
        (rustls::Error::InconsistentKeys(_), Some(cert), Some(key)) => Error::Usage(format!(
            "{flags}-key {}: not the key of the certificate in {}; give the one that it was made with",
            key.display(),
            cert.display()
        )),
        _ => unusable(error),
    }
}

/// An error of a handshake with a server, which was made at once.
fn told(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        return io::Error::new(io::ErrorKind::TimedOut, "no answer to the TLS handshake");
    }
    plain_tls(error, "--tls-ca")
}

/// An error of a connection to a server over TLS; `ca` is what the setting is called that names its authority.
pub(crate) fn plain_tls(error: io::Error, ca: &'static str) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(inner) => plain(inner, Peer::Server(ca)),
        None => error,
    }
}
