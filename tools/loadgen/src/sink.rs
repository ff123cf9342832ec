//! The physical limit: reads a stream and throws it away.

use std::io;
use std::io::{ErrorKind, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Bytes asked for per read.
const READ_BYTES: usize = 256 * 1024;

/// What [`sink`] read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes read.
    pub bytes: u64,
    /// Newlines among them, if they were counted.
    pub lines: Option<u64>,
    /// From the first byte to the close.
    pub elapsed: Duration,
}

/// Connects to `addr` and reads until the peer closes, 256 KiB at a time. With `count_lines` it counts newlines, which
/// costs a pass over the bytes.
///
/// # Errors
///
/// Connecting or reading failed; a reset counts as one.
pub fn sink(addr: impl ToSocketAddrs, count_lines: bool) -> io::Result<Received> {
    let mut stream = TcpStream::connect(addr)?;
    let mut room = vec![0; READ_BYTES];
    let mut bytes = 0;
    let mut lines = 0;
    let mut first_byte: Option<Instant> = None;
    loop {
        match stream.read(&mut room) {
            Ok(0) => break,
            Ok(read) => {
                first_byte.get_or_insert_with(Instant::now);
                bytes += read as u64;
                if count_lines {
                    lines += memchr::memchr_iter(b'\n', &room[..read]).count() as u64;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let elapsed = first_byte.map_or(Duration::ZERO, |first| first.elapsed());
    Ok(Received {
        bytes,
        lines: count_lines.then_some(lines),
        elapsed,
    })
}
