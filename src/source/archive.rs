//! gzip and zstd: told by their first bytes, whatever the file is called, and decompressed by a thread of
//! their own ([`pump`](super::pump)). From a pipe it hands on what it has before it waits for more, so a
//! compressed trickle is counted without delay.
//!
//! Several members (gzip) or frames (zstd) behind one another are one stream, as for `zcat` and `zstdcat`.
//! An archive that is cut short or damaged ends with an error; what came out of it before is counted.
//!
//! Memory: the pump's buffers, and the window that the archive asks for: 32 KiB for gzip,
//! mostly 8 MiB and never more than 128 MiB for zstd.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use mio::Waker;

use crate::source::file::{has_something, retry, wait_for_something};
use crate::source::pump::{self, Fill, Pump};

/// How much of the archive is read at a time.
const INPUT_BYTES: usize = 128 * 1024;

/// The largest window that a zstd archive may ask for, as its binary logarithm; `zstd` itself refuses
/// more unless it is told `--long`.
const WINDOW_LOG_MAX: u32 = 27;

/// The most memory that decompressing takes: see the module's documentation.
pub(super) const MEMORY_BYTES_MAX: usize = pump::MEMORY_BYTES + INPUT_BYTES + (1 << WINDOW_LOG_MAX);

/// How many bytes [`sniff`] wants to see.
pub(super) const HEAD_BYTES: usize = 4;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zstd,
}

/// What the first bytes of a stream say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sniffed {
    Plain,
    Archive(Format),
    /// There must be more of them to tell, unless the stream ends here.
    Unclear,
}

/// Looks at the first bytes of a stream. No line of JSON begins like an archive.
pub(super) fn sniff(head: &[u8]) -> Sniffed {
    let is = |magic: &[u8]| head.starts_with(magic);
    let may_be = |magic: &[u8]| magic.starts_with(head);
    // A zstd archive may begin with a frame for others to skip, of one of sixteen kinds.
    let mut skippable = [0x50, 0x2A, 0x4D, 0x18];
    if let Some(first @ 0x50..=0x5F) = head.first() {
        skippable[0] = *first;
    }
    let (gzip, zstd) = (b"\x1F\x8B\x08", b"\x28\xB5\x2F\xFD");
    if is(gzip) {
        Sniffed::Archive(Format::Gzip)
    } else if is(zstd) || is(&skippable) {
        Sniffed::Archive(Format::Zstd)
    } else if may_be(gzip) || may_be(zstd) || may_be(&skippable) {
        Sniffed::Unclear
    } else {
        Sniffed::Plain
    }
}

/// Whether a regular file is an archive.
///
/// # Errors
/// If it cannot be read.
pub(super) fn is_archive(file: &File) -> io::Result<bool> {
    let mut head = [0; HEAD_BYTES];
    let count = retry(|| file.read_at(&mut head, 0))?;
    Ok(matches!(sniff(&head[..count]), Sniffed::Archive(_)))
}

/// Has a thread decompress the stream of `head`, which has been read already, and what is left in `file`.
///
/// # Errors
/// If the system refuses a thread, or the decompressor its memory.
pub(super) fn decompress(
    format: Format,
    head: &[u8],
    file: Arc<File>,
    may_wait: bool,
    waker: Arc<Waker>,
) -> io::Result<Pump> {
    let head = io::Cursor::new(head.to_vec());
    let input = BufReader::with_capacity(INPUT_BYTES, Input { head, file });
    let archive = Archive::new(format, input)?;
    Pump::start("decoder", Decoding { archive, may_wait }, waker)
}

/// The contents of a regular file, decompressed if need be: for who reads it alone and may wait.
///
/// # Errors
/// If it cannot be read, or the decompressor gets no memory.
pub(crate) fn stream(file: File) -> io::Result<Box<dyn Read>> {
    let mut head = [0; HEAD_BYTES];
    let count = retry(|| file.read_at(&mut head, 0))?;
    let Sniffed::Archive(format) = sniff(&head[..count]) else {
        return Ok(Box::new(file));
    };
    let head = io::Cursor::new(Vec::new());
    let file = Arc::new(file);
    let input = BufReader::with_capacity(INPUT_BYTES, Input { head, file });
    Ok(match Archive::new(format, input)? {
        Archive::Gzip(decoder) => decoder,
        Archive::Zstd(decoder) => Box::new(decoder),
    })
}

/// The archive as it is read.
struct Input {
    /// What was read before it was known to be an archive.
    head: io::Cursor<Vec<u8>>,
    file: Arc<File>,
}

impl Read for Input {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let count = self.head.read(space)?;
        if count > 0 {
            return Ok(count);
        }
        loop {
            match retry(|| (&*self.file).read(space)) {
                // Somebody who shares the descriptor made it non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for_something(&self.file)?;
                }
                result => return result,
            }
        }
    }
}

enum Archive {
    Gzip(Box<MultiGzDecoder<BufReader<Input>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Input>>),
}

impl Archive {
    fn new(format: Format, input: BufReader<Input>) -> io::Result<Archive> {
        Ok(match format {
            Format::Gzip => Archive::Gzip(Box::new(MultiGzDecoder::new(input))),
            Format::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Archive::Zstd(decoder)
            }
        })
    }

    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Archive::Gzip(decoder) => decoder.read(space),
            Archive::Zstd(decoder) => decoder.read(space),
        }
    }

    fn input(&self) -> &BufReader<Input> {
        match self {
            Archive::Gzip(decoder) => decoder.get_ref(),
            Archive::Zstd(decoder) => decoder.get_ref(),
        }
    }
}

/// What the thread does.
struct Decoding {
    archive: Archive,
    may_wait: bool,
}

impl Fill for Decoding {
    fn fill(&mut self, buffer: &mut [u8]) -> (usize, Option<io::Result<()>>) {
        let mut count = 0;
        while count < buffer.len() {
            match self.archive.read(&mut buffer[count..]) {
                Ok(0) => return (count, Some(Ok(()))),
                Ok(more) => count += more,
                Err(error) => return (count, Some(Err(error))),
            }
            let input = self.archive.input();
            if self.may_wait
                && input.buffer().is_empty()
                && !has_something(&input.get_ref().file).unwrap_or(true)
            {
                break;
            }
        }
        (count, None)
    }
}

/// Why an archive could not be read to its end.
pub(super) fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "it is cut short".to_owned();
    }
    crate::error::reason(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_by_their_first_bytes() {
        let gzip = Sniffed::Archive(Format::Gzip);
        let zstd = Sniffed::Archive(Format::Zstd);
        for (head, sniffed) in [
            (&b"\x1F\x8B\x08\x00"[..], gzip),
            (b"\x1F\x8B\x08", gzip),
            (b"\x28\xB5\x2F\xFD", zstd),
            (b"\x50\x2A\x4D\x18", zstd),
            (b"\x5F\x2A\x4D\x18", zstd),
            (b"\x1F\x8B", Sniffed::Unclear),
            (b"(", Sniffed::Unclear),
            (b"S", Sniffed::Unclear),
            (b"", Sniffed::Unclear),
            (b"\x1F\x8B\x07", Sniffed::Plain),
            (b"(x", Sniffed::Plain),
            (b"\x60\x2A\x4D\x18", Sniffed::Plain),
            (b"{", Sniffed::Plain),
            (b"\n", Sniffed::Plain),
        ] {
            assert_eq!(sniff(head), sniffed, "{head:?}");
        }
    }
}
