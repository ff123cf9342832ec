//! The thread that serves: accepts connections, so many at once, and ends with the run.
//!
//! A connection has [`Limits::head`] for each request's head, which is at most [`HEAD_BYTES_MAX`] long; none
//! has a body that anybody reads. One more than there may be is told so and closed.
//!
//! The merge rings by writing a byte to a socket that never blocks it; the thread then makes the batch's event,
//! once for all viewers.

use std::fmt;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs as _};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixStream};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::events::News;
use super::guard::Guard;
use super::history::History;
use super::metrics::Metrics;
use super::stall::Stalling;
use super::tls::Tls;
use super::{Limits, Options, Site, router};
use crate::error::{Error, reason};
use crate::live::{Bell, Live};

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Fields of a request's head.
const FIELDS_MAX: usize = 64;

/// How long viewers have, when the run is over, to take its last event.
const FAREWELL: Duration = Duration::from_millis(500);

/// What one connection too many is told.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 5\r\n\r\n";

/// A port that is ours; nobody is served yet.
#[derive(Debug)]
pub struct Bound {
    listener: StdListener,
    address: SocketAddr,
    guard: Guard,
    tls: Option<Tls>,
    options: Options,
    history: Option<PathBuf>,
}

impl Bound {
    /// Takes the port.
    ///
    /// # Errors
    /// If that cannot be had, or others than this machine could use it without a token (both usage).
    pub fn new(options: Options) -> Result<Bound, Error> {
        let refused = |remedy: String| Error::Setting {
            name: "http",
            value: options.address.clone(),
            remedy,
        };
        let typed = match options.address.parse::<u16>() {
            Ok(port) => format!("127.0.0.1:{port}"),
            Err(_) => options.address.clone(),
        };
        let addresses = typed.to_socket_addrs().map_err(|error| {
            refused(format!(
                "{}; give ADDR:PORT, such as 127.0.0.1:8080, or a port",
                reason(&error)
            ))
        })?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        let guard = Guard::new(options.token_file.as_deref())?;
        let tls = Tls::new(options.cert.as_deref(), options.key.as_deref())?;
        let is_open = addresses.iter().any(|address| !address.ip().is_loopback());
        if is_open && !guard.asks_for_token() {
            return Err(refused(
                "others on the network could read it; give --http-token-file FILE, or listen at 127.0.0.1"
                    .to_owned(),
            ));
        }
        let cannot = |error: io::Error| {
            refused(format!(
                "cannot listen there: {}; choose another port",
                reason(&error)
            ))
        };
        let listener = StdListener::bind(&*addresses).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Bound {
            listener,
            address,
            guard: guard.at(address, tls.is_some()),
            tls,
            history: None,
            options,
        })
    }

    /// Where it can be reached, as a browser wants it.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", self.address)
    }

    /// Has what is longer ago than `live` tells read from this state file.
    #[must_use]
    pub fn with_history(mut self, state: Option<PathBuf>) -> Bound {
        self.history = state;
        self
    }

    /// Serves what `live` shows until the server is dropped; the bell is to be rung behind each batch.
    ///
    /// # Errors
    /// If the system refuses a thread or what a runtime needs.
    pub fn serve(self, live: Live) -> Result<(Server, Bell), Error> {
        let failed = |error| Error::System("start the HTTP server", error);
        let (ring, rung) = StdUnixStream::pair().map_err(failed)?;
        ring.set_nonblocking(true).map_err(failed)?;
        rung.set_nonblocking(true).map_err(failed)?;
        let ends = ring.try_clone().map_err(failed)?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // For the history, which is read by one request at a time.
            .max_blocking_threads(1)
            .build()
            .map_err(failed)?;
        let address = self.address;
        let body = move || {
            if let Err(error) = runtime.block_on(serve(self, live, rung)) {
                tracing::error!("the HTTP server has ended: {}", reason(&error));
            }
            // A disk that does not answer holds up nobody's end.
            runtime.shutdown_timeout(FAREWELL);
        };
        let thread = thread::Builder::new().name("http".to_owned()).spawn(body);
        let server = Server {
            address,
            ends,
            thread: Some(thread.map_err(failed)?),
        };
        // A full socket rings already.
        let bell = Box::new(move || drop((&ring).write(&[1])));
        Ok((server, bell as Bell))
    }
}

/// A server at work; ends when it is dropped, after viewers have had the time for the last event.
pub struct Server {
    address: SocketAddr,
    /// The bell; closed in both directions, it says that the run is over.
    ends: StdUnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.address).finish()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.ends.shutdown(std::net::Shutdown::Both));
        if let Some(thread) = self.thread.take() {
            // It has told what went wrong.
            drop(thread.join());
        }
    }
}

async fn serve(bound: Bound, live: Live, rung: StdUnixStream) -> io::Result<()> {
    let (sender, news) = watch::channel(Arc::new(News::of(&live)));
    let limits = bound.options.limits;
    let site = Arc::new(Site {
        metrics: Metrics::new(live.clone(), bound.options.metrics_keys),
        live: live.clone(),
        history: bound.history.map(History::new),
        guard: bound.guard,
        news,
        quiet: limits.quiet,
    });
    let places = Arc::new(Semaphore::new(limits.connections));
    let (going, is_going) = watch::channel(());
    let listener = TcpListener::from_std(bound.listener)?;
    let accepting = accept(&listener, bound.tls, site, limits, &places, is_going);
    let listening = listen(UnixStream::from_std(rung)?, &live, &sender);
    if let Either::Left((result, _)) = select(pin!(accepting), pin!(listening)).await {
        result?;
    }
    // Connections are told that it is over, and end behind the answer that they are at.
    drop(going);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    drop(tokio::time::timeout(FAREWELL, places.acquire_many(all)).await);
    Ok(())
}

/// Makes an event of each batch that is rung for, until the bell is taken down.
async fn listen(rung: UnixStream, live: &Live, news: &watch::Sender<Arc<News>>) {
    let mut rings = [0; 64];
    loop {
        if rung.readable().await.is_err() {
            break;
        }
        match rung.try_read(&mut rings) {
            Ok(0) => break,
            Ok(_) => drop(news.send_replace(Arc::new(News::of(live)))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    news.send_replace(Arc::new(News::of(live)));
}

async fn accept(
    listener: &TcpListener,
    tls: Option<Tls>,
    site: Arc<Site>,
    limits: Limits,
    places: &Arc<Semaphore>,
    is_going: watch::Receiver<()>,
) -> io::Result<()> {
    let service = TowerToHyperService::new(router(site));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Of descriptors, say: those who are there go on.
                tracing::debug!("cannot accept a viewer: {}", reason(&error));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match Arc::clone(places).try_acquire_owned() {
            Ok(place) => {
                // Events are small and are to go out at once.
                drop(stream.set_nodelay(true));
                let stream = Stalling::new(stream, limits.stall);
                let (service, is_going) = (service.clone(), is_going.clone());
                match tls.clone() {
                    None => {
                        tokio::spawn(hold(place, connection(stream, service, limits, is_going)))
                    }
                    Some(tls) => tokio::spawn(hold(place, async move {
                        let stream = tokio::time::timeout(limits.head, tls.accept(stream)).await;
                        if let Ok(Ok(stream)) = stream {
                            connection(stream, service, limits, is_going).await;
                        }
                    })),
                };
            }
            // Whatever fits into its buffer; nobody waits for it.
            Err(_) => drop(stream.try_write(FULL)),
        }
    }
}

/// Keeps a place taken while a connection lasts.
async fn hold(place: OwnedSemaphorePermit, connection: impl Future<Output = ()>) {
    connection.await;
    drop(place);
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: TowerToHyperService<axum::Router>,
    limits: Limits,
    mut is_going: watch::Receiver<()>,
) {
    let stream = TokioIo::new(stream);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(FIELDS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(http.serve_connection(stream, service));
    let ended = match select(connection.as_mut(), pin!(is_going.changed())).await {
        Either::Left((ended, _)) => ended,
        Either::Right(_) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a viewer's connection: {error}");
    }
}
