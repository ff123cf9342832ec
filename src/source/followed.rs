//! One file that is followed: how far it has been read, and whether it is still the same file.
//!
//! Only whole lines are handed on, because many files share one source: an unfinished line stays in its
//! file until its newline has come, and is read again with it. So that a line that grows byte by byte is not
//! read again with every byte, what is longer than [`REREAD_BYTES_MAX`] is searched for its newline where it
//! has grown, and read when that is found: no byte is read more than twice then, and no line needs memory.
//!
//! After every read the file is looked at: if it is shorter than what had been read, or does not begin as it
//! did, it was cut and written anew in the meantime, what has just been read is thrown away, and the file
//! begins again. What was written between the last read and the cut is lost, which only the program that cut
//! it could have prevented.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::memrchr;

use crate::clock::Timestamp;
use crate::framing::BYTE_ORDER_MARK;
use crate::source::archive::{Sniffed, sniff};
use crate::source::identity::{Head, Inode};

/// An unfinished line up to this long is simply read again.
const REREAD_BYTES_MAX: u64 = 64 * 1024;

/// How much is searched at a time when a line is longer.
const SEARCH_BYTES: usize = 64 * 1024;

/// A file that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    /// Where it was found last.
    pub(super) name: String,
    pub(super) file: File,
    pub(super) inode: Inode,
    pub(super) head: Head,
    /// What was handed on: up to a line's end, unless `offset < whole`.
    offset: u64,
    /// There are whole lines up to here; `offset..whole` is handed on before anything else.
    whole: u64,
    /// The lines before it were handed on whole; `begun <= offset`.
    begun: u64,
    /// Its length when it was last looked at.
    len: u64,
    /// There is no newline in what follows `whole`, up to here. `offset <= whole <= searched`
    searched: u64,
    /// Since when no name leads to it any more, or it last grew after that.
    pub(super) gone_since: Option<Timestamp>,
    /// Nothing will be written to it any more: its tail is its last line.
    pub(super) is_ending: bool,
    /// It may have something to read, and waits for its turn.
    pub(super) is_ready: bool,
}

/// What [`Followed::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes; they end with a line unless [`Followed::is_within_line`].
    Bytes(usize),
    /// There is nothing more at the moment; at the end of one that is ending, for ever.
    Quiet,
    /// It is not the file any more that it was: see [`Followed::begin_again`].
    Cut,
    /// It is compressed.
    Archive,
}

impl Followed {
    /// Follows `file` from `offset` on, where a line begins.
    pub(super) fn new(name: String, file: File, inode: Inode, head: Head, offset: u64) -> Followed {
        Followed {
            name,
            file,
            inode,
            head,
            offset,
            begun: offset,
            len: offset,
            whole: offset,
            searched: offset,
            gone_since: None,
            is_ending: false,
            is_ready: false,
        }
    }

    /// Up to where lines were handed on.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Up to where whole lines were handed on.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Its length when it was last looked at.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether part of a line was handed on, and the rest must follow before anything else.
    pub(super) fn is_within_line(&self) -> bool {
        self.offset < self.whole
    }

    /// Whether it ends with a line that lacks its newline.
    pub(super) fn has_tail(&self) -> bool {
        self.searched > self.whole
    }

    /// Gives up what is left of a line that was partly handed on. Returns whether there was one.
    pub(super) fn give_up_line(&mut self) -> bool {
        let was_within_line = self.is_within_line();
        self.offset = self.whole;
        self.begun = self.whole;
        was_within_line
    }

    /// Begins with the first byte again. Returns whether part of a line had been handed on.
    pub(super) fn begin_again(&mut self) -> bool {
        let was_within_line = self.is_within_line();
        (self.offset, self.whole, self.searched) = (0, 0, 0);
        (self.begun, self.len) = (0, 0);
        self.head = Head::default();
        was_within_line
    }

    /// Reads whole lines into `space`, which is not empty.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn read(&mut self, space: &mut [u8]) -> io::Result<Step> {
        if self.offset == 0 {
            self.skip_byte_order_mark()?;
        }
        let step = self.advance(space)?;
        let mut is_archive = false;
        let see = |bytes: &[u8]| is_archive = matches!(sniff(bytes), Sniffed::Archive(_));
        let head = self.head.grown(&self.file, see)?;
        let len = self.file.metadata()?.len();
        match head {
            Some(head) if len >= self.searched => (self.head, self.len) = (head, len),
            _ => return Ok(Step::Cut),
        }
        Ok(if is_archive { Step::Archive } else { step })
    }

    fn advance(&mut self, space: &mut [u8]) -> io::Result<Step> {
        loop {
            if self.offset < self.whole {
                let wanted = usize::try_from(self.whole - self.offset).unwrap_or(usize::MAX);
                let len = space.len().min(wanted);
                let count = self.read_at(&mut space[..len], self.offset)?;
                if let Some(at) = memrchr(b'\n', &space[..count]) {
                    self.begun = self.offset + at as u64 + 1;
                }
                self.offset += count as u64;
                return Ok(if count > 0 {
                    Step::Bytes(count)
                } else {
                    Step::Cut
                });
            }
            let tail = self.searched - self.whole;
            let has_grown = if tail <= REREAD_BYTES_MAX && tail < space.len() as u64 / 2 {
                let count = self.read_at(space, self.offset)?;
                let tail = tail as usize;
                if let Some(at) = memrchr(b'\n', space.get(tail..count).unwrap_or_default()) {
                    self.searched = self.offset + count as u64;
                    self.offset += (tail + at + 1) as u64;
                    self.whole = self.offset;
                    self.begun = self.offset;
                    return Ok(Step::Bytes(tail + at + 1));
                }
                self.searched = self.searched.max(self.offset + count as u64);
                count > tail
            } else {
                self.search()?
            };
            if !has_grown {
                if !self.is_ending || !self.has_tail() {
                    return Ok(Step::Quiet);
                }
                self.whole = self.searched;
            }
        }
    }

    /// Looks for the last newline in what follows the unfinished line; `false` if nothing does.
    fn search(&mut self) -> io::Result<bool> {
        let mut bytes = [0; SEARCH_BYTES];
        let count = self.read_at(&mut bytes, self.searched)?;
        if let Some(at) = memrchr(b'\n', &bytes[..count]) {
            self.whole = self.searched + at as u64 + 1;
        }
        self.searched += count as u64;
        Ok(count > 0)
    }

    fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        let mut bytes = [0; BYTE_ORDER_MARK.len()];
        if self.read_at(&mut bytes, 0)? == bytes.len() && bytes == BYTE_ORDER_MARK {
            self.offset = bytes.len() as u64;
            self.begun = self.offset;
            self.whole = self.whole.max(self.offset);
            self.searched = self.searched.max(self.offset);
        }
        Ok(())
    }

    fn read_at(&self, space: &mut [u8], at: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(space, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn follow(file: &File) -> Followed {
        let inode = Inode::of(&file.metadata().unwrap());
        let file = file.try_clone().unwrap();
        Followed::new("f".to_owned(), file, inode, Head::default(), 0)
    }

    /// Everything that is there, as it is handed on through spaces of `space` bytes.
    fn drain(followed: &mut Followed, space: usize) -> Vec<u8> {
        let (mut all, mut space) = (Vec::new(), vec![0; space]);
        loop {
            match followed.read(&mut space).unwrap() {
                Step::Bytes(count) => {
                    all.extend_from_slice(&space[..count]);
                    assert!(
                        followed.is_within_line() || followed.is_ending || all.ends_with(b"\n")
                    );
                }
                Step::Quiet => return all,
                step => panic!("{step:?}"),
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_begins_again() {
        let mut file = tempfile::tempfile().unwrap();
        let mut followed = follow(&file);
        file.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(drain(&mut followed, 64), b"one\ntwo\n");
        // Shorter; then as long as before, but with another beginning.
        for content in [&b"four\n"[..], b"five5\nsix\nsev"] {
            file.set_len(0).unwrap();
            file.write_all_at(content, 0).unwrap();
            assert_eq!(followed.read(&mut [0; 64]).unwrap(), Step::Cut);
            assert!(!followed.begin_again());
            let whole = memrchr(b'\n', content).unwrap() + 1;
            assert_eq!(drain(&mut followed, 64), &content[..whole]);
        }
        followed.is_ending = true;
        assert_eq!(drain(&mut followed, 64), b"sev");
    }

    #[test]
    fn an_archive_is_none_of_ours_even_if_it_begins_empty() {
        let mut file = tempfile::tempfile().unwrap();
        let mut followed = follow(&file);
        assert_eq!(drain(&mut followed, 64), b"");
        file.write_all(b"\x1F\x8B\x08\x00\n\n\n").unwrap();
        assert_eq!(followed.read(&mut [0; 64]).unwrap(), Step::Archive);
    }

    #[test]
    fn a_line_longer_than_everything_comes_once_its_newline_has_come() {
        let mut file = tempfile::tempfile().unwrap();
        let mut followed = follow(&file);
        let mut line = Vec::new();
        for _ in 0..7 {
            file.write_all(&[b'x'; 50_000]).unwrap();
            line.extend_from_slice(&[b'x'; 50_000]);
            assert_eq!(drain(&mut followed, 4096), b"");
        }
        file.write_all(b"\nand").unwrap();
        line.push(b'\n');
        assert_eq!(drain(&mut followed, 4096), line);
        assert!(followed.has_tail());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn whole_lines_come_whole_and_once_however_the_file_grows(
            pieces in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![1 => Just(b'\n'), 4 => Just(b'x')], 0..40), 0..12),
            mark in any::<bool>(),
            space in 1usize..50,
        ) {
            let mut file = tempfile::tempfile().unwrap();
            let mut followed = follow(&file);
            if mark {
                file.write_all(BYTE_ORDER_MARK).unwrap();
            }
            let (mut written, mut read) = (Vec::new(), Vec::new());
            for piece in pieces {
                file.write_all(&piece).unwrap();
                written.extend_from_slice(&piece);
                read.extend(drain(&mut followed, space));
                let whole = memrchr(b'\n', &written).map_or(0, |at| at + 1);
                prop_assert_eq!(&read, &written[..whole]);
            }
            followed.is_ending = true;
            read.extend(drain(&mut followed, space));
            prop_assert_eq!(read, written);
        }
    }
}
