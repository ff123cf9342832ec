//! How records are written: one file per shape, and one that spoils them.
//!
//! A layout writes a good record into a slice with room to spare: it copies whole template pieces, then overwrites
//! the fields. What lies behind the record's length is scratch, and the next record covers it.

pub(crate) mod order;
pub(crate) mod wide;
pub(crate) mod bad;

use crate::keys::Cell;
use crate::mix::Words;

/// The lanes of a record's words, by use. A layout has the rest, from `LANE_FIELDS` on.
pub(crate) const LANE_ID: u64 = 0;
pub(crate) const LANE_KEY: u64 = 2;
pub(crate) const LANE_VERDICT: u64 = 3;
pub(crate) const LANE_FIELDS: u64 = 4;

/// A shape, ready to be written.
pub(crate) trait Layout {
    /// Bytes that `put` may touch.
    const ROOM: usize;

    /// Writes a record with its newline at the start of `room`, which holds at least `ROOM` bytes.
    fn put(&self, room: &mut [u8], words: Words, key: &Cell) -> Placed;
}

/// Where a record lies: `0 < key_at < len <= ROOM`.
pub(crate) struct Placed {
    /// Bytes of the record, its newline included.
    pub(crate) len: usize,
    /// Where the key's name starts, behind its opening quote.
    pub(crate) key_at: usize,
}
