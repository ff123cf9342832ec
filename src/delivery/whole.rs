//! How much of a file is whole: what a process that died may have left half written is behind that.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, sink};

use flate2::bufread::GzDecoder;
use memchr::{memchr_iter, memrchr};

use super::print::{Format, Packing};

/// The length of what is whole at the file's beginning, in bytes: lines, rows, archives one behind the other.
pub(super) fn whole_bytes(file: &mut File, format: Format, packing: Packing) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    match (packing, format) {
        (Packing::None, Format::Json) => lines(file),
        (Packing::None, Format::Csv) => rows(file),
        (Packing::Gzip, _) => archives(file, |input| {
            let mut decoder = GzDecoder::new(input);
            io::copy(&mut decoder, &mut sink()).map(drop)
        }),
        (Packing::Zstd, _) => archives(file, |input| {
            let mut decoder = zstd::Decoder::with_buffer(input)?.single_frame();
            io::copy(&mut decoder, &mut sink()).map(drop)
        }),
    }
}

/// Up to the last newline. The end is looked at alone.
fn lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut piece = vec![0; 64 * 1024];
    while end > 0 {
        let len = end.min(piece.len() as u64);
        file.seek(SeekFrom::Start(end - len))?;
        let piece = &mut piece[..usize::try_from(len).expect("a piece is short")];
        file.read_exact(piece)?;
        if let Some(newline) = memrchr(b'\n', piece) {
            return Ok(end - len + newline as u64 + 1);
        }
        end -= len;
    }
    Ok(0)
}

/// Up to the last newline that is not within quotes.
fn rows(file: &mut File) -> io::Result<u64> {
    let mut input = BufReader::with_capacity(64 * 1024, file);
    let (mut at, mut whole, mut is_quoted) = (0, 0, false);
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() {
            return Ok(whole);
        }
        let marks = memchr_iter(b'"', piece).chain([piece.len()]);
        let mut begin = 0;
        for quote in marks {
            if !is_quoted && let Some(newline) = memrchr(b'\n', &piece[begin..quote]) {
                whole = at + (begin + newline) as u64 + 1;
            }
            if quote < piece.len() {
                is_quoted = !is_quoted;
                begin = quote + 1;
            }
        }
        let len = piece.len();
        at += len as u64;
        input.consume(len);
    }
}

/// Up to the end of the last archive that can be read to its end.
fn archives(
    file: &mut File,
    read: impl Fn(&mut BufReader<&mut File>) -> io::Result<()>,
) -> io::Result<u64> {
    let mut input = BufReader::with_capacity(64 * 1024, file);
    let mut whole = 0;
    while !input.fill_buf()?.is_empty() {
        match read(&mut input) {
            Ok(()) => whole = input.stream_position()?,
            // What the disk does not give is no matter of archives.
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(whole)
}
