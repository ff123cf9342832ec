//! Blocks of combined pairs: what crosses from a parser to a shard.
//!
//! A parser adds `(key, 1)` pairs to a [`Block`]; equal keys become one entry `(key, n)`, as Spark
//! combines on the map side, so a chunk of four statuses crosses as four entries. The shard reads
//! the entries, whose hashes it need not compute again, and sends the block back. Of a query with a
//! sum, numbers cross with their keys, combined as counts are.
//!
//! Bound: a block is full at [`ENTRIES_MAX`] entries or [`KEY_BYTES_MAX`] bytes of keys; one key
//! more may stand in it, however long. A block that grew beyond that gives its memory up on
//! [`Block::clear`].

use crate::clock::Timestamp;
use crate::decimal::Decimal;
use crate::key::{FOLD_BYTES_MAX, Fold, KeyKind, KeyRef};
use crate::slots::Slots;

/// Distinct keys at which a block is full.
pub const ENTRIES_MAX: usize = 4096;

/// Bytes of keys at which a block is full.
pub const KEY_BYTES_MAX: usize = 128 * 1024;

/// One key's pairs, combined.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    fold: Fold,
    /// `key_start + key_len <= keys.len()`
    key_start: u32,
    key_len: u32,
    count: u32,
    kind: KeyKind,
}

/// A key with its hash and its number of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The hash of `key`, as the parsers' hasher gives it.
    pub hash: u64,
    /// The key.
    pub key: KeyRef<'a>,
    /// The key's fold.
    pub fold: Fold,
    /// How many records.
    pub count: u64,
    /// The pane that their times lie in, if they have times of their own.
    pub pane: Option<i64>,
    /// The sum of their numbers, if any came.
    pub sum: Option<&'a Decimal>,
}

/// Pairs combined by key. See the module's documentation for its bound.
#[derive(Debug, Default)]
pub struct Block {
    entries: Vec<Entry>,
    keys: Vec<u8>,
    /// By entry; empty where records have no times of their own.
    panes: Vec<i64>,
    /// The pane of the pairs that are added.
    pane: Option<i64>,
    /// By entry, up to the last for which a number came; the others' are 0.
    sums: Vec<Decimal>,
    /// Finds an entry by its key; numbers are indexes into `entries`.
    table: Slots,
    /// Pairs that went in.
    records: u64,
    /// When the chunk of these pairs was read.
    pub received: Timestamp,
}

impl Block {
    /// Adds one pair, whose key has this fold; `hash` must be the same for equal keys. Returns the
    /// key's entry, good for [`Block::add_more`] until the block is cleared.
    #[inline]
    pub fn add(&mut self, hash: u64, fold: Fold, key: KeyRef<'_>) -> u32 {
        self.records += 1;
        let (entries, keys, panes, pane) = (&self.entries, &self.keys, &self.panes, self.pane);
        let found = self.table.find(self.place(hash), |i| {
            let entry = &entries[i as usize];
            entry.is_folded(fold, key)
                && panes.get(i as usize).copied() == pane
                && (key.bytes.len() <= FOLD_BYTES_MAX || entry.key(keys) == key)
        });
        match found {
            Ok(entry) => {
                // A block holds fewer pairs than chunks have bytes: the sum cannot wrap.
                self.entries[entry as usize].count += 1;
                entry
            }
            Err(vacant) => self.insert(vacant, hash, fold, key),
        }
    }

    /// The pane of the pairs that are added next; kept apart from those of others.
    #[inline]
    pub fn set_pane(&mut self, pane: i64) {
        self.pane = Some(pane);
    }

    /// What the table finds an entry by: equal keys of several panes are not to crowd one place.
    #[inline]
    fn place(&self, hash: u64) -> u64 {
        match self.pane {
            Some(pane) => hash ^ (pane as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            None => hash,
        }
    }

    /// Adds one pair without looking whether its key is in the block: it becomes an entry of its own,
    /// and [`Block::add`] does not find it. Returns it as that does.
    #[inline]
    pub fn push(&mut self, hash: u64, fold: Fold, key: KeyRef<'_>) -> u32 {
        self.records += 1;
        self.append(hash, fold, key)
    }

    /// Adds `count` pairs more of a key that is in the block.
    ///
    /// # Panics
    /// If there is no such entry.
    #[inline]
    pub fn add_more(&mut self, entry: u32, count: u32) {
        self.records += u64::from(count);
        self.entries[entry as usize].count += count;
    }

    /// Adds to the sum of a key that is in the block.
    #[inline]
    pub fn add_number(&mut self, entry: u32, number: &Decimal) {
        let entry = entry as usize;
        if self.sums.len() <= entry {
            self.sums.resize(entry + 1, Decimal::default());
        }
        self.sums[entry] += number;
    }

    #[cold]
    fn insert(&mut self, vacant: usize, hash: u64, fold: Fold, key: KeyRef<'_>) -> u32 {
        let entry = self.append(hash, fold, key);
        self.table.insert(vacant, self.place(hash), entry);
        entry
    }

    #[inline]
    fn append(&mut self, hash: u64, fold: Fold, key: KeyRef<'_>) -> u32 {
        let entry = self.entries.len() as u32;
        self.entries.push(Entry {
            hash,
            fold,
            key_start: self.keys.len() as u32,
            key_len: key.bytes.len() as u32,
            count: 1,
            kind: key.kind,
        });
        self.keys.extend_from_slice(key.bytes);
        self.panes.extend(self.pane);
        entry
    }

    /// Whether the block must be sent before another pair is added.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX || self.keys.len() >= KEY_BYTES_MAX
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Pairs that were added.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The pairs, one for each key that was added and one for each push; the iterator's copies are
    /// cheap.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = Pair<'_>> + Clone {
        self.entries.iter().enumerate().map(|(i, entry)| Pair {
            hash: entry.hash,
            key: entry.key(&self.keys),
            fold: entry.fold,
            count: entry.count.into(),
            pane: self.panes.get(i).copied(),
            sum: self.sums.get(i),
        })
    }

    /// Empties the block for the next chunk.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.table.clear();
        self.panes.clear();
        self.pane = None;
        self.sums.clear();
        self.keys.clear();
        self.keys.shrink_to(2 * KEY_BYTES_MAX);
        self.records = 0;
    }
}

impl Entry {
    #[inline]
    fn is_folded(&self, fold: Fold, key: KeyRef<'_>) -> bool {
        self.fold == fold && self.kind == key.kind && self.key_len as usize == key.bytes.len()
    }

    fn key<'a>(&self, keys: &'a [u8]) -> KeyRef<'a> {
        let start = self.key_start as usize;
        KeyRef {
            kind: self.kind,
            bytes: &keys[start..start + self.key_len as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(block: &mut Block, hash: u64, key: KeyRef<'_>) {
        block.add(hash, key.fold(), key);
    }

    #[test]
    fn equal_keys_become_one_entry() {
        let mut block = Block::default();
        for _ in 0..3 {
            add(&mut block, 7, KeyRef::string("a"));
            add(&mut block, 7, KeyRef::number("1"));
        }
        add(&mut block, 8, KeyRef::string("a\0"));
        add(&mut block, 7, KeyRef::string("1"));
        let pairs: Vec<_> = block
            .pairs()
            .map(|pair| (pair.key.to_key(), pair.count))
            .collect();
        let expected = [
            (KeyRef::string("a").to_key(), 3),
            (KeyRef::number("1").to_key(), 3),
            (KeyRef::string("a\0").to_key(), 1),
            (KeyRef::string("1").to_key(), 1),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(block.records(), 8);
        block.clear();
        assert!(block.is_empty());
        assert_eq!(block.pairs().len(), 0);
    }

    #[test]
    fn keys_of_one_hash_are_compared_whole() {
        for len in 1..40 {
            let mut block = Block::default();
            let alike = "a".repeat(len);
            add(&mut block, 7, KeyRef::string(&alike));
            for at in 0..len {
                let mut other = alike.clone();
                other.replace_range(at..=at, "b");
                add(&mut block, 7, KeyRef::string(&other));
            }
            assert_eq!(block.pairs().len(), 1 + len);
        }
    }

    #[test]
    fn pushed_pairs_stay_apart() {
        let mut block = Block::default();
        let key = KeyRef::string("a");
        block.push(7, key.fold(), key);
        add(&mut block, 7, key);
        block.push(7, key.fold(), key);
        add(&mut block, 7, key);
        let counts: Vec<u64> = block.pairs().map(|pair| pair.count).collect();
        assert_eq!((counts, block.records()), (vec![1, 2, 1], 4));
    }

    #[test]
    fn is_full_at_its_bounds_and_gives_a_huge_key_back() {
        let mut block = Block::default();
        for i in 0..ENTRIES_MAX as u64 {
            assert!(!block.is_full());
            add(&mut block, i, KeyRef::string(&i.to_string()));
        }
        assert!(block.is_full());
        block.clear();
        add(&mut block, 1, KeyRef::string(&"k".repeat(1 << 20)));
        assert!(block.is_full());
        block.clear();
        assert!(block.keys.capacity() <= 2 * KEY_BYTES_MAX);
    }
}
