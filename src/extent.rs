//! Extents: pieces of a file that parsers read for themselves.
//!
//! The reader cuts a file into extents and sends those down the lanes in place of bytes, so that
//! no single thread has to move a file's bytes on machines with many cores. A parser reads its
//! extent piece by piece into the chunk that the extent came with, and judges its lines there.
//!
//! Which lines are an extent's own: those whose *first* byte lies in it. So a parser skips to the
//! first line that begins in its extent and reads on beyond its end to finish the last one; every
//! line of the file is in exactly one extent, whatever the cuts.
//!
//! Reads are `pread`s into memory that stays in the second-level cache. Mapping the file would save
//! the copy but not the page faults, and a file cut short while it is mapped kills the process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memchr::{memchr, memrchr};

use crate::framing::{BYTE_ORDER_MARK, OVERSIZE_HEAD_BYTES};

/// How far beyond the end of an extent its last line is looked for in the same read.
const BEYOND_BYTES: u64 = 4096;

/// A piece of a file: the lines that begin at `start..end`.
#[derive(Clone, Debug)]
pub struct Extent {
    /// The file's name, for errors.
    pub name: Arc<str>,
    /// The file.
    pub file: Arc<File>,
    /// Where the reading of the file began: a line begins there, whatever stands before. 0, unless an earlier
    /// run has counted what stands before.
    pub begin: u64,
    /// The first byte; `begin <= start`.
    pub start: u64,
    /// Behind the last byte; `start < end <= file_end`.
    pub end: u64,
    /// The file's length when it was opened: what is behind it is not read.
    pub file_end: u64,
}

/// Takes an extent's lines.
pub trait ExtentSink {
    /// Whole lines; each ends in `\n`, save the last one of a file that ends without.
    fn lines(&mut self, lines: &[u8]);
    /// A line longer than the limit ended; its first bytes.
    fn oversize(&mut self, head: &[u8]);
}

/// What is at the front of the bytes that have been read and not yet dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    /// The beginning of a line.
    Line,
    /// The rest of a line that began before the extent.
    Foreign,
    /// The rest of a line that is too long.
    Oversize,
}

/// Reads an extent's own lines through `buffer` into `sink`. Lines of more than `line_bytes_max`
/// bytes that do not fit into `buffer` are skipped in linear time and told by their heads.
///
/// Takes no more memory than `buffer` or, for a line that does not fit into it, `line_bytes_max`
/// and a byte.
///
/// # Errors
/// What the system answers to a read; [`io::ErrorKind::UnexpectedEof`] if the file was cut short.
///
/// # Panics
/// If `buffer` is not longer than a byte order mark, or the file's first extent is not and there are
/// others: a mark is no line of its own.
pub fn read(
    extent: &Extent,
    buffer: &mut [u8],
    line_bytes_max: usize,
    sink: &mut impl ExtentSink,
) -> io::Result<()> {
    assert!(
        buffer.len() > BYTE_ORDER_MARK.len(),
        "a buffer of {} bytes",
        buffer.len()
    );
    let is_mark_whole = extent.start > 0
        || extent.end > BYTE_ORDER_MARK.len() as u64
        || extent.end == extent.file_end;
    assert!(is_mark_whole, "a first extent of {} bytes", extent.end);
    let mut front = if extent.start == extent.begin {
        Front::Line
    } else {
        Front::Foreign
    };
    let mut oversize_head = Vec::new();
    let mut window = Window {
        memory: Memory::Lent(buffer),
        from: 0,
        to: 0,
        // The byte before the extent tells whether a line begins with it.
        read_to: extent.start - u64::from(front == Front::Foreign),
    };
    loop {
        let is_file_begin = window.read_to == 0;
        window.make_space(line_bytes_max + 1);
        window.read(extent)?;
        if is_file_begin && window.bytes().starts_with(BYTE_ORDER_MARK) {
            window.drop_front(BYTE_ORDER_MARK.len());
        }
        let is_file_end = window.read_to == extent.file_end;
        if front != Front::Line {
            let newline = memchr(b'\n', window.bytes());
            window.drop_front(newline.map_or(window.bytes().len(), |newline| newline + 1));
            if front == Front::Oversize && (newline.is_some() || is_file_end) {
                sink.oversize(&oversize_head);
            }
            let is_foreign_to_the_end = front == Front::Foreign && window.read_to >= extent.end;
            match newline {
                Some(_) => front = Front::Line,
                None if is_file_end || is_foreign_to_the_end => return Ok(()),
                None => continue,
            }
        }
        let begin = window.read_to - window.bytes().len() as u64;
        if begin >= extent.end {
            return Ok(());
        }
        match own_lines(window.bytes(), extent.end - begin, is_file_end) {
            Own::Last(cut) => {
                sink.lines(&window.bytes()[..cut]);
                return Ok(());
            }
            Own::Some(cut) => {
                sink.lines(&window.bytes()[..cut]);
                window.drop_front(cut);
            }
            Own::None => {}
        }
        let tail = window.bytes();
        if tail.len() > line_bytes_max {
            front = Front::Oversize;
            oversize_head = tail[..tail.len().min(OVERSIZE_HEAD_BYTES)].to_vec();
            window.drop_front(tail.len());
        }
    }
}

/// Which of the lines at hand are the extent's own and whole.
enum Own {
    /// Those up to here, and no further line is.
    Last(usize),
    /// Those up to here; what follows is unfinished.
    Some(usize),
    /// The first line is unfinished.
    None,
}

/// `bytes` begin with a line; lines that begin in their first `reach` bytes are the extent's own.
fn own_lines(bytes: &[u8], reach: u64, is_file_end: bool) -> Own {
    let reach = usize::try_from(reach).unwrap_or(usize::MAX);
    if let Some(beyond) = bytes.get(reach - 1..) {
        // The line that the extent's last byte belongs to is its last line.
        if let Some(newline) = memchr(b'\n', beyond) {
            return Own::Last(reach + newline);
        }
    }
    if is_file_end {
        return Own::Last(bytes.len());
    }
    memrchr(b'\n', bytes).map_or(Own::None, |newline| Own::Some(newline + 1))
}

enum Memory<'a> {
    Lent(&'a mut [u8]),
    /// For a line longer than the buffer.
    Grown(Vec<u8>),
}

/// A moving view of the file: bytes `from..to` of the memory end at `read_to` of the file.
struct Window<'a> {
    memory: Memory<'a>,
    /// `from <= to <= memory.len()`
    from: usize,
    to: usize,
    read_to: u64,
}

impl Window<'_> {
    fn memory(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Lent(memory) => memory,
            Memory::Grown(memory) => memory,
        }
    }

    fn bytes(&self) -> &[u8] {
        let memory: &[u8] = match &self.memory {
            Memory::Lent(memory) => memory,
            Memory::Grown(memory) => memory,
        };
        &memory[self.from..self.to]
    }

    fn drop_front(&mut self, count: usize) {
        self.from += count;
    }

    /// Moves what is left to the front, and grows when that fills the memory.
    fn make_space(&mut self, bytes_max: usize) {
        let (from, to) = (self.from, self.to);
        self.memory().copy_within(from..to, 0);
        (self.from, self.to) = (0, to - from);
        let len = self.memory().len();
        if self.to == len {
            let mut grown = vec![0; (2 * len).min(bytes_max).max(len + 1)];
            grown[..len].copy_from_slice(self.memory());
            self.memory = Memory::Grown(grown);
        }
    }

    /// One read, not past the end of the file and not far past the end of the extent.
    fn read(&mut self, extent: &Extent) -> io::Result<()> {
        let (to, at) = (self.to, self.read_to);
        let wanted = if at < extent.end {
            extent.end - at + BEYOND_BYTES
        } else {
            // The last line is a long one: each read twice the last.
            BEYOND_BYTES.max(to as u64)
        };
        let wanted = usize::try_from(wanted.min(extent.file_end - at)).unwrap_or(usize::MAX);
        if wanted == 0 {
            return Ok(());
        }
        let space = &mut self.memory()[to..];
        let space_len = space.len().min(wanted);
        let count = loop {
            match extent.file.read_at(&mut space[..space_len], at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it was cut short while it was read",
            ));
        }
        self.to += count;
        self.read_to += count as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    #[derive(Default)]
    struct Collected {
        lines: Vec<Vec<u8>>,
        oversize: u64,
        line_bytes_max: usize,
    }

    impl ExtentSink for Collected {
        fn lines(&mut self, mut lines: &[u8]) {
            while !lines.is_empty() {
                let end = memchr(b'\n', lines);
                let line = &lines[..end.unwrap_or(lines.len())];
                if line.len() > self.line_bytes_max {
                    self.oversize += 1;
                } else {
                    self.lines.push(line.to_vec());
                }
                lines = end.map_or(&[], |end| &lines[end + 1..]);
            }
        }

        fn oversize(&mut self, head: &[u8]) {
            assert!(!head.is_empty() && head.len() <= OVERSIZE_HEAD_BYTES);
            self.oversize += 1;
        }
    }

    fn collect(content: &[u8], cuts: &[u64], buffer: usize, max: usize) -> (Vec<Vec<u8>>, u64) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let (file, file_end) = (Arc::new(file), content.len() as u64);
        let mut collected = Collected {
            line_bytes_max: max,
            ..Collected::default()
        };
        let (mut start, mut cuts) = (0, cuts.iter().cycle());
        while start < file_end {
            let end = (start + cuts.next().unwrap()).min(file_end);
            let file = Arc::clone(&file);
            let extent = Extent {
                name: "f".into(),
                file,
                begin: 0,
                start,
                end,
                file_end,
            };
            read(&extent, &mut vec![0; buffer], max, &mut collected).unwrap();
            start = end;
        }
        (collected.lines, collected.oversize)
    }

    fn split(content: &[u8], max: usize) -> (Vec<Vec<u8>>, u64) {
        let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
        let mut all: Vec<Vec<u8>> = content.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        if all.last().is_some_and(Vec::is_empty) {
            all.pop();
        }
        let oversize = all.iter().filter(|line| line.len() > max).count() as u64;
        all.retain(|line| line.len() <= max);
        (all, oversize)
    }

    #[test]
    fn a_file_cut_short_is_an_error() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let extent = Extent {
            name: "f".into(),
            file,
            begin: 0,
            start: 0,
            end: 10,
            file_end: 10,
        };
        let error = read(&extent, &mut [0; 8], 8, &mut Collected::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..Default::default() })]

        #[test]
        fn every_line_is_in_exactly_one_extent(
            content in proptest::collection::vec(
                prop_oneof![1 => Just(b'\n'), 6 => b'a'..=b'z'], 0..300),
            mark in any::<bool>(),
            cuts in proptest::collection::vec(4u64..60, 1..6),
            buffer in 4usize..40,
            max in 1usize..60,
        ) {
            let mut content = content;
            if mark {
                content.splice(0..0, BYTE_ORDER_MARK.iter().copied());
            }
            prop_assert_eq!(collect(&content, &cuts, buffer, max), split(&content, max));
        }
    }
}
