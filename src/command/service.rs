//! What a service manager is told (systemd's `Type=notify`): ready when the sources are open, how the run stands
//! behind each batch, stopping when it drains, and, if it keeps a watchdog, that batches still close.
//!
//! The watchdog is answered as long as no batch is overdue by as much as its interval ([`Live::batches_due`]); so it is
//! the merge, behind all other stages, that keeps the program alive, and whatever stage stands still is noticed. Between
//! batches a thread of its own answers, which sleeps otherwise; without a service manager there is none.
//!
//! The protocol is a line or more in a datagram to the Unix socket that `NOTIFY_SOCKET` names, a path or, behind `@`, an
//! abstract name. A manager that does not listen is nobody's loss.

use std::env;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park, park_timeout};
use std::time::Duration;

use crate::error::Error;
use crate::ledger::Reason;
use crate::live::{Live, Snapshot};
use crate::pipeline::Pipeline;
use crate::sink::text::{grouped, per_second};
use crate::thread::spawn;

/// Tells the service manager that the program is about to end.
pub(super) fn stopping() {
    if let Some(manager) = Manager::of_environment() {
        manager.tell("STOPPING=1");
    }
}

/// Tells the service manager, if there is one, how the run stands, until it is dropped.
#[derive(Debug)]
pub(super) struct Reports {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reports {
    /// Says that the run is ready. `is_timed`: whether its batches close by the clock, so that one can be overdue.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn start(pipeline: &mut Pipeline, is_timed: bool) -> Result<Option<Reports>, Error> {
        let Some(manager) = Manager::of_environment() else {
            return Ok(None);
        };
        manager.tell("READY=1");
        let is_over = Arc::new(AtomicBool::new(false));
        let reporter = Reporter {
            manager,
            watchdog: watchdog_of_environment(),
            live: pipeline.live(),
            is_timed,
            is_over: Arc::clone(&is_over),
        };
        let thread = spawn("service".to_owned(), None, move || reporter.run());
        let thread = thread.map_err(|error| Error::System("start a thread", error))?;
        let reporter = thread.thread().clone();
        pipeline.on_batch(Box::new(move || reporter.unpark()));
        Ok(Some(Reports {
            is_over,
            thread: Some(thread),
        }))
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        // Relaxed: unparking orders it.
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread
                .join()
                .expect("a thread that panics ends the program");
        }
        stopping();
    }
}

/// The thread that tells.
struct Reporter {
    manager: Manager,
    watchdog: Option<Duration>,
    live: Live,
    is_timed: bool,
    is_over: Arc<AtomicBool>,
}

impl Reporter {
    fn run(self) {
        let mut told = 0;
        // Relaxed: parking orders it.
        while !self.is_over.load(Ordering::Relaxed) {
            let now = self.live.now();
            let batch = now.batch().map_or(0, |batch| batch.batch);
            if batch != told {
                told = batch;
                self.manager.tell(&format!("STATUS={}", status(&now)));
            }
            match self.watchdog {
                None => park(),
                Some(interval) => {
                    if self.is_alive(interval) {
                        self.manager.tell("WATCHDOG=1");
                    }
                    // Half of it, as systemd advises.
                    park_timeout(interval / 2);
                }
            }
        }
    }

    /// Whether no batch is overdue by as much as the watchdog's interval.
    fn is_alive(&self, interval: Duration) -> bool {
        let overdue =
            u128::from(self.live.batches_due()) * u128::from(self.live.about().every_nanos);
        !self.is_timed || overdue < interval.as_nanos()
    }
}

/// The last batch in a line.
fn status(now: &Snapshot) -> String {
    let Some(batch) = now.batch() else {
        return "waiting for the first batch".to_owned();
    };
    let mut line = format!(
        "batch {}: {} lines, {} a second; {} keys in all",
        grouped(batch.batch),
        grouped(batch.ledger.lines),
        per_second(batch.ledger.lines, batch.nanos()),
        grouped(now.keys),
    );
    for reason in Reason::ALL {
        let dropped = batch.ledger.column(reason);
        if dropped > 0 {
            line.push_str(&format!(", {} {}", grouped(dropped), reason.name()));
        }
    }
    line
}

/// The service manager's socket.
#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    fn of_environment() -> Option<Manager> {
        let name = env::var("NOTIFY_SOCKET").ok()?;
        let manager = Manager::at(&name);
        if let Err(error) = &manager {
            tracing::warn!("NOTIFY_SOCKET '{name}': {error}; the service manager is told nothing");
        }
        manager.ok()
    }

    fn at(name: &str) -> io::Result<Manager> {
        let address = address(name)?;
        let socket = UnixDatagram::unbound()?;
        // One that is full must not hold anybody up.
        socket.set_nonblocking(true)?;
        Ok(Manager { socket, address })
    }

    fn tell(&self, what: &str) {
        if let Err(error) = self.socket.send_to_addr(what.as_bytes(), &self.address) {
            tracing::debug!("the service manager was not told {what}: {error}");
        }
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(name)
}

/// The watchdog's interval, if it is ours to answer.
fn watchdog_of_environment() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    if number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(process::id())) {
        return None;
    }
    let interval = number("WATCHDOG_USEC").map(Duration::from_micros);
    interval.filter(|interval| *interval > Duration::ZERO)
}
