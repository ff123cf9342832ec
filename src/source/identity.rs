//! Which file a file is: device, inode, and a fingerprint of its head.
//!
//! Names change hands when files are rotated, and the inode of a deleted file is given to the next one, so
//! neither tells two files apart. A file is the one we know if device and inode are the same and it still
//! begins as it did: with the same bytes, up to the first [`HEAD_BYTES`] of what it had when we last looked.
//! A head that was shorter then grows with its file: the bytes that were there must be the same, those that
//! have come are taken into it. So two files are taken for one only if the second got the first one's inode
//! *and* begins with all that we had seen of its first [`HEAD_BYTES`].

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

/// How much of a file's beginning tells it from another.
pub(super) const HEAD_BYTES: usize = 1024;

/// A device and an inode: a file, as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode(u64, u64);

impl Inode {
    /// The file of this device and number.
    pub fn new(device: u64, number: u64) -> Inode {
        Inode(device, number)
    }

    /// The device.
    pub fn device(self) -> u64 {
        self.0
    }

    /// The number that the device gives it.
    pub fn number(self) -> u64 {
        self.1
    }

    pub(super) fn of(metadata: &Metadata) -> Inode {
        Inode(metadata.dev(), metadata.ino())
    }
}

/// The fingerprint of a file's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many bytes: at most 1,024.
    pub len: usize,
    /// Of these bytes.
    pub hash: u64,
}

impl Head {
    /// The head of a file as it is now, after checking that it begins with this one; `None` if it does
    /// not. `see` is shown the bytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn grown(self, file: &File, see: impl FnOnce(&[u8])) -> io::Result<Option<Head>> {
        let mut bytes = [0; HEAD_BYTES];
        let mut len = 0;
        while len < HEAD_BYTES {
            match file.read_at(&mut bytes[len..], len as u64) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if len < self.len || hash(&bytes[..self.len]) != self.hash {
            return Ok(None);
        }
        see(&bytes[..len]);
        Ok(Some(Head {
            len,
            hash: hash(&bytes[..len]),
        }))
    }
}

impl Default for Head {
    /// The head of an empty file.
    fn default() -> Head {
        Head {
            len: 0,
            hash: hash(&[]),
        }
    }
}

/// FNV-1a, which stays the same over versions and machines.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn grow(head: Head, file: &File) -> Option<Head> {
        head.grown(file, |_| {}).unwrap()
    }

    #[test]
    fn a_head_grows_with_its_file_and_holds_as_long_as_the_bytes_do() {
        let mut file = tempfile::tempfile().unwrap();
        let empty = grow(Head::default(), &file).unwrap();
        file.write_all(b"one\n").unwrap();
        let short = grow(empty, &file).unwrap();
        assert_eq!(short.len, 4);
        file.write_all(&[b'x'; 3 * HEAD_BYTES]).unwrap();
        let full = grow(short, &file).unwrap();
        assert_eq!(full.len, HEAD_BYTES);
        file.write_all(b"more").unwrap();
        assert_eq!(grow(full, &file), Some(full));

        file.write_all_at(b"two\n", 0).unwrap();
        for head in [short, full] {
            assert_eq!(grow(head, &file), None);
        }
        assert!(grow(Head::default(), &file).is_some());
    }

    #[test]
    fn a_file_cut_below_its_head_is_another() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        let head = grow(Head::default(), &file).unwrap();
        file.set_len(4).unwrap();
        assert_eq!(grow(head, &file), None);
    }
}
