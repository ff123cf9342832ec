//! Where records go: sockets or a writer. The sender offers whole lines and learns how many bytes were taken.
//!
//! A socket's write returns after 50 ms at the latest (`SO_SNDTIMEO`), so that a stop or a deadline is seen while the
//! peer stalls. After a stop a block that is under way gets one more second, so that normally no line is cut.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::SockRef;

const WRITE_TIMEOUT: Duration = Duration::from_millis(50);
/// `SO_SNDBUF`, which Linux doubles. Left to itself it grows to megabytes that fall out of the cache before the peer
/// reads them: sender and sink together then took a quarter to a half more processor time for the same bytes.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
const ACCEPT_POLL: Duration = Duration::from_millis(5);
const GRACE: Duration = Duration::from_secs(1);

/// When to give up waiting: a flag that another thread may set, or a deadline.
pub(crate) struct Halt<'a> {
    pub(crate) stop: &'a AtomicBool,
    pub(crate) deadline: Option<Instant>,
}

impl Halt<'_> {
    pub(crate) fn asked(&self) -> bool {
        // Relaxed: the flag carries no data with it.
        self.stop.load(Ordering::Relaxed)
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// What became of a block: `bytes` of it were taken, all of them if `end` is `Complete`.
pub(crate) struct Taken {
    pub(crate) bytes: usize,
    pub(crate) end: TakenEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakenEnd {
    Complete,
    /// The peer closed, or the connection broke.
    PeerGone,
    /// Halted while the peer did not read.
    Halted,
}

/// Something that takes records.
pub(crate) trait Outlet {
    /// Waits until there is somebody to send to. `false`: halted, or nobody will come any more.
    fn ready(&mut self, halt: &Halt<'_>) -> io::Result<bool>;
    /// Offers a block of whole lines.
    fn offer(&mut self, block: &[u8], halt: &Halt<'_>) -> io::Result<Taken>;
    /// Everything was offered.
    fn finish(&mut self) -> io::Result<()>;
}

/// Clients of a listener, served in turn, a block each. One that leaves is replaced by the next that connects.
pub(crate) struct Clients<L: Listener> {
    listener: L,
    slots: Vec<Option<L::Stream>>,
    /// The slot whose turn it is, `< slots.len()`.
    turn: usize,
    /// Clients accepted so far.
    pub(crate) accepted: u64,
}

impl<L: Listener> Clients<L> {
    pub(crate) fn new(listener: L, slots: usize) -> io::Result<Self> {
        listener.never_wait()?;
        Ok(Clients {
            listener,
            slots: (0..slots).map(|_| None).collect(),
            turn: 0,
            accepted: 0,
        })
    }
}

impl<L: Listener> Outlet for Clients<L> {
    fn ready(&mut self, halt: &Halt<'_>) -> io::Result<bool> {
        while let Some(slot) = self.slots.iter().position(Option::is_none) {
            match self.listener.next() {
                Ok(stream) => {
                    stream.prepare()?;
                    self.slots[slot] = Some(stream);
                    self.accepted += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if halt.asked() {
                        return Ok(false);
                    }
                    sleep(ACCEPT_POLL);
                }
                // The client left between its connecting and our accepting.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn offer(&mut self, block: &[u8], halt: &Halt<'_>) -> io::Result<Taken> {
        let stream = self.slots[self.turn]
            .as_mut()
            .expect("ready filled every slot");
        let taken = offer_to_socket(stream, block, halt)?;
        if taken.end == TakenEnd::PeerGone {
            self.slots[self.turn] = None;
        } else {
            self.turn = (self.turn + 1) % self.slots.len();
        }
        Ok(taken)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.slots.iter().flatten().for_each(Stream::close);
        Ok(())
    }
}

/// Where clients connect.
pub(crate) trait Listener {
    type Stream: Stream;
    /// Lets [`next`](Listener::next) say that nobody is there rather than wait for somebody.
    fn never_wait(&self) -> io::Result<()>;
    /// The next client.
    fn next(&self) -> io::Result<Self::Stream>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn never_wait(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }

    fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

#[cfg(unix)]
impl Listener for UnixListener {
    type Stream = UnixStream;

    fn never_wait(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }

    fn next(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.accept()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

/// A connected socket of any kind.
pub(crate) trait Stream: Write {
    /// Sets it up for sending.
    fn prepare(&self) -> io::Result<()>;
    /// Ends the stream, so that the peer reads what is on its way and then the end. A peer that has left has nothing
    /// to be told.
    fn close(&self);
}

impl Stream for TcpStream {
    fn prepare(&self) -> io::Result<()> {
        // At a low rate every record has to leave at once.
        self.set_nodelay(true)?;
        SockRef::from(self).set_send_buffer_size(SEND_BUFFER_BYTES)?;
        self.set_write_timeout(Some(WRITE_TIMEOUT))
    }

    fn close(&self) {
        self.shutdown(Shutdown::Write).ok();
    }
}

#[cfg(unix)]
impl Stream for UnixStream {
    fn prepare(&self) -> io::Result<()> {
        SockRef::from(self).set_send_buffer_size(SEND_BUFFER_BYTES)?;
        self.set_write_timeout(Some(WRITE_TIMEOUT))
    }

    fn close(&self) {
        self.shutdown(Shutdown::Write).ok();
    }
}

/// One connection that we made.
pub(crate) struct Peer<S> {
    stream: S,
    gone: bool,
}

impl<S: Stream> Peer<S> {
    pub(crate) fn new(stream: S) -> io::Result<Self> {
        stream.prepare()?;
        Ok(Peer {
            stream,
            gone: false,
        })
    }
}

impl<S: Stream> Outlet for Peer<S> {
    fn ready(&mut self, _: &Halt<'_>) -> io::Result<bool> {
        Ok(!self.gone)
    }

    fn offer(&mut self, block: &[u8], halt: &Halt<'_>) -> io::Result<Taken> {
        let taken = offer_to_socket(&mut self.stream, block, halt)?;
        self.gone = taken.end == TakenEnd::PeerGone;
        Ok(taken)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.stream.close();
        Ok(())
    }
}

/// A file, a pipe, anything that can be written to.
pub(crate) struct Writer<W> {
    pub(crate) inner: W,
    pub(crate) gone: bool,
}

impl<W: Write> Outlet for Writer<W> {
    fn ready(&mut self, _: &Halt<'_>) -> io::Result<bool> {
        Ok(!self.gone)
    }

    fn offer(&mut self, block: &[u8], _: &Halt<'_>) -> io::Result<Taken> {
        let mut bytes = 0;
        while bytes < block.len() {
            match self.inner.write(&block[bytes..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    self.gone = true;
                    return Ok(Taken {
                        bytes,
                        end: TakenEnd::PeerGone,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Taken {
            bytes,
            end: TakenEnd::Complete,
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.gone {
            Ok(())
        } else {
            self.inner.flush()
        }
    }
}

fn offer_to_socket(stream: &mut impl Stream, block: &[u8], halt: &Halt<'_>) -> io::Result<Taken> {
    let mut bytes = 0;
    let mut grace_until: Option<Instant> = None;
    while bytes < block.len() {
        match stream.write(&block[bytes..]) {
            Ok(written) => bytes += written,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    if halt.asked()
                        && Instant::now()
                            >= *grace_until.get_or_insert_with(|| Instant::now() + GRACE)
                    {
                        return Ok(Taken {
                            bytes,
                            end: TakenEnd::Halted,
                        });
                    }
                }
                ErrorKind::BrokenPipe
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted => {
                    return Ok(Taken {
                        bytes,
                        end: TakenEnd::PeerGone,
                    });
                }
                _ => return Err(error),
            },
        }
    }
    Ok(Taken {
        bytes,
        end: TakenEnd::Complete,
    })
}
