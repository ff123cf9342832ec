//! The counters of one shard: the keys that hash to it, written by one thread alone.
//!
//! The shard's thread feeds them blocks of combined pairs and closes them at each batch boundary;
//! the batch merge gets what [`Counts::close`] hands over.
//!
//! A key is known by its *id*, dense from 0 in the order of first sight; counts are an array over
//! ids, so closing a batch of a million keys is handing over a pointer. The merge learns the keys
//! of new ids with the batch in which they were first seen.
//!
//! Bound: at most [`KeyBudget`] keys in all shards together; records of further keys are counted
//! as overflow, which the merge shows as the key [`OTHER`]. A live key costs its length (shared
//! with the merge), an entry (32 bytes) and two to four slots (8 bytes each) here, and 8 bytes in each
//! counts array; with a sum, 48 bytes more in each.

use std::sync::Arc;

use crate::block::{Block, Pair};
use crate::budget::KeyBudget;
use crate::decimal::Decimal;
use crate::event::{PanePair, Tally, tally};
use crate::key::{FOLD_BYTES_MAX, Fold, KeyKind, KeyRef};
use crate::prefetch::prefetch;
use crate::slots::Slots;

/// The key under which records beyond the key limit are counted.
pub const OTHER: KeyRef<'static> = KeyRef::string("_other");

/// Bytes of keys after which a segment is closed.
const SEGMENT_BYTES: usize = 256 * 1024;

/// Where a key's bytes are.
#[derive(Clone, Copy, Debug)]
pub struct KeyPlace {
    segment: u32,
    /// `start + len <= segment's length`
    start: u32,
    len: u32,
    kind: KeyKind,
}

/// Pairs by which one step of a search is ahead of the next: with three reads each, about as many
/// misses as a core can have under way.
const LOOK_AHEAD: usize = 16;

/// With fewer keys everything is in the second-level cache, and a look ahead only costs.
const LOOK_AHEAD_KEYS_MIN: usize = 16 * 1024;

/// A key that a shard holds. A short one is compared here, without a look at its bytes.
///
/// Aligned, so that none lies in two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Entry {
    fold: Fold,
    place: KeyPlace,
}

/// The bytes of keys, append-only; a closed segment never changes and is shared with the merge.
#[derive(Debug, Default)]
pub struct Segments {
    closed: Vec<Arc<[u8]>>,
}

impl Segments {
    /// The key at `place`, whose segment must be closed.
    pub fn key(&self, place: KeyPlace) -> KeyRef<'_> {
        place.within(&self.closed[place.segment as usize])
    }

    /// The segments behind the first so many.
    pub fn from(&self, first: usize) -> &[Arc<[u8]>] {
        &self.closed[first..]
    }

    /// Adds the segments of a closed batch.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Arc<[u8]>>) {
        self.closed.extend(more);
    }
}

impl KeyPlace {
    fn within(self, segment: &[u8]) -> KeyRef<'_> {
        let start = self.start as usize;
        KeyRef {
            kind: self.kind,
            bytes: &segment[start..start + self.len as usize],
        }
    }
}

/// What a shard hands over when its batch closes.
#[derive(Debug, Default)]
pub struct ClosedCounts {
    /// Records by id; as long as the shard has keys.
    pub counts: Vec<u64>,
    /// Sums by id, up to the last id for which a number came; the others' are 0.
    pub sums: Vec<Decimal>,
    /// Records of keys beyond the limit.
    pub overflow: u64,
    /// Records whose key is [`OTHER`] itself.
    pub other: u64,
    /// The sum of both.
    pub other_sum: Decimal,
    /// The places of the ids that are new, in the order of the ids.
    pub new_keys: Vec<KeyPlace>,
    /// Records by pane and id, sorted by pane; only where records have times of their own.
    pub panes: Vec<PanePair>,
    /// The segments that are new; every place handed over so far lies in one handed over.
    pub new_segments: Vec<Arc<[u8]>>,
}

/// Arrays that have been used, all zeros again, to count the next batches in.
#[derive(Debug, Default)]
pub struct Zeros {
    /// For counts.
    pub counts: Vec<u64>,
    /// For sums, of no length.
    pub sums: Vec<Decimal>,
}

/// The counters of one shard.
#[derive(Debug)]
pub struct Counts {
    budget: Arc<KeyBudget>,
    entries: Vec<Entry>,
    /// Finds an entry by its key; numbers are ids.
    table: Slots,
    segments: Segments,
    open_segment: Vec<u8>,
    counts: Vec<u64>,
    /// See [`ClosedCounts::sums`].
    sums: Vec<Decimal>,
    overflow: u64,
    other: u64,
    other_sum: Decimal,
    /// The same by pane.
    tally: Tally,
    /// Ids and segments the merge knows of.
    told_keys: usize,
    told_segments: usize,
}

impl Counts {
    /// An empty shard that takes room for its keys from `budget`.
    pub fn new(budget: Arc<KeyBudget>) -> Counts {
        Counts {
            budget,
            entries: Vec::new(),
            table: Slots::default(),
            segments: Segments::default(),
            open_segment: Vec::new(),
            counts: Vec::new(),
            sums: Vec::new(),
            overflow: 0,
            other: 0,
            other_sum: Decimal::default(),
            tally: Tally::default(),
            told_keys: 0,
            told_segments: 0,
        }
    }

    /// Counts a block's pairs.
    ///
    /// The searches of pairs to come begin before that of a pair ends: first their slots are fetched,
    /// then the entries and counts that the slots name.
    pub fn count(&mut self, block: &Block) {
        let is_large = self.entries.len() >= LOOK_AHEAD_KEYS_MIN;
        let mut ahead = block.pairs();
        let mut far_ahead = block.pairs();
        if is_large {
            for pair in far_ahead.by_ref().take(2 * LOOK_AHEAD) {
                self.table.prefetch(pair.hash);
            }
            for pair in ahead.by_ref().take(LOOK_AHEAD) {
                self.look_ahead(&pair);
            }
        }
        for pair in block.pairs() {
            if is_large {
                if let Some(pair) = far_ahead.next() {
                    self.table.prefetch(pair.hash);
                }
                if let Some(pair) = ahead.next() {
                    self.look_ahead(&pair);
                }
            }
            let id = self.id(&pair);
            match id {
                Some(id) => self.counts[id as usize] += pair.count,
                None if pair.key == OTHER => self.other += pair.count,
                None => self.overflow += pair.count,
            }
            if let Some(pane) = pair.pane {
                self.tally.add(pane, tally_id(id, pair.key), pair.count);
            }
            if let Some(sum) = pair.sum {
                self.add_sum(id, sum);
            }
        }
    }

    fn add_sum(&mut self, id: Option<u32>, sum: &Decimal) {
        let Some(id) = id else {
            self.other_sum += sum;
            return;
        };
        let id = id as usize;
        if self.sums.len() <= id {
            self.sums.resize(id + 1, Decimal::default());
        }
        self.sums[id] += sum;
    }

    /// Fetches what the pair's slot, which has been fetched, names.
    #[inline]
    fn look_ahead(&self, pair: &Pair<'_>) {
        let id = self.table.guess(pair.hash) as usize;
        prefetch(&self.entries, id);
        prefetch(&self.counts, id);
    }

    /// Takes a key of an earlier run, with no records in the open batch: keys get their ids in the order
    /// in which they come. `false` if there is no room for it.
    pub fn restore(&mut self, hash: u64, key: KeyRef<'_>) -> bool {
        let pair = Pair {
            hash,
            key,
            fold: key.fold(),
            count: 0,
            pane: None,
            sum: None,
        };
        self.id(&pair).is_some()
    }

    /// Closes the batch; `zeros` came back from the merge, or are empty.
    pub fn close(&mut self, mut zeros: Zeros) -> ClosedCounts {
        self.close_segment();
        zeros.counts.resize(self.counts.len(), 0);
        let new_keys = self.entries[self.told_keys..]
            .iter()
            .map(|entry| entry.place)
            .collect();
        let new_segments = self.segments.closed[self.told_segments..].to_vec();
        self.told_keys = self.entries.len();
        self.told_segments = self.segments.closed.len();
        ClosedCounts {
            counts: std::mem::replace(&mut self.counts, zeros.counts),
            sums: std::mem::replace(&mut self.sums, zeros.sums),
            overflow: std::mem::take(&mut self.overflow),
            other: std::mem::take(&mut self.other),
            other_sum: std::mem::take(&mut self.other_sum),
            new_keys,
            panes: self.tally.close(),
            new_segments,
        }
    }

    /// The id of the pair's key, a new one if need be; `None` beyond the limit, and for [`OTHER`].
    #[inline]
    fn id(&mut self, pair: &Pair<'_>) -> Option<u32> {
        let (entries, segments, open) = (&self.entries, &self.segments, &self.open_segment);
        let key = pair.key;
        let found = self.table.find(pair.hash, |id| {
            let Entry { fold, place } = entries[id as usize];
            fold == pair.fold
                && place.kind == key.kind
                && place.len as usize == key.bytes.len()
                && (key.bytes.len() <= FOLD_BYTES_MAX || {
                    let segment = segments.closed.get(place.segment as usize);
                    place.within(segment.map_or(open, |closed| closed)) == key
                })
        });
        match found {
            Ok(id) => Some(id),
            Err(vacant) => self.insert(vacant, pair),
        }
    }

    #[cold]
    fn insert(&mut self, vacant: usize, pair: &Pair<'_>) -> Option<u32> {
        let key = pair.key;
        // It shares its row with the overflow, or two rows would bear the name.
        if key == OTHER || !self.budget.take() {
            return None;
        }
        if self.open_segment.len() + key.bytes.len() > SEGMENT_BYTES {
            self.close_segment();
        }
        let place = KeyPlace {
            segment: self.segments.closed.len() as u32,
            start: self.open_segment.len() as u32,
            len: key.bytes.len() as u32,
            kind: key.kind,
        };
        self.open_segment.extend_from_slice(key.bytes);
        let id = self.entries.len() as u32;
        self.entries.push(Entry {
            fold: pair.fold,
            place,
        });
        self.counts.push(0);
        self.table.insert(vacant, pair.hash, id);
        Some(id)
    }

    /// A segment without bytes is closed too when a key of no bytes lies in it.
    fn close_segment(&mut self) {
        let used = self
            .entries
            .last()
            .is_some_and(|entry| entry.place.segment as usize == self.segments.closed.len());
        if used {
            self.segments
                .closed
                .push(self.open_segment.as_slice().into());
            self.open_segment.clear();
        }
    }
}

/// What a tally knows a key by.
fn tally_id(id: Option<u32>, key: KeyRef<'_>) -> u32 {
    id.unwrap_or(if key == OTHER {
        tally::OTHER_KEY
    } else {
        tally::OVERFLOW
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// What the merge would know after these batches.
    fn totals(shard_counts: Vec<ClosedCounts>) -> (BTreeMap<String, u64>, u64) {
        let (mut segments, mut places) = (Segments::default(), Vec::new());
        let (mut totals, mut overflow) = (BTreeMap::new(), 0);
        for batch in shard_counts {
            segments.extend(batch.new_segments);
            places.extend(batch.new_keys);
            assert_eq!(places.len(), batch.counts.len());
            overflow += batch.overflow;
            for (place, count) in places.iter().zip(batch.counts) {
                *totals
                    .entry(format!("{:?}", segments.key(*place)))
                    .or_default() += count;
            }
        }
        (totals, overflow)
    }

    fn block(keys: &[KeyRef<'_>]) -> Block {
        let mut block = Block::default();
        for &key in keys {
            // A poor hash on purpose: equal hashes must not make equal keys.
            block.add(key.bytes.len() as u64, key.fold(), key);
        }
        block
    }

    #[test]
    fn keys_keep_their_ids_over_batches() {
        let mut shard = Counts::new(Arc::new(KeyBudget::new(100)));
        shard.count(&block(&[
            KeyRef::string(""),
            KeyRef::null(),
            KeyRef::string("a"),
        ]));
        let first = shard.close(Zeros::default());
        shard.count(&block(&[
            KeyRef::string("a"),
            KeyRef::string("b"),
            KeyRef::string("a"),
        ]));
        let second = shard.close(Zeros {
            counts: vec![0; 1],
            ..Zeros::default()
        });
        assert_eq!(second.counts, [0, 0, 2, 1]);
        let third = shard.close(Zeros::default());
        assert!(third.new_segments.is_empty());
        let (totals, overflow) = totals(vec![first, second, third]);
        let expected = [("\"\"", 1), ("\"a\"", 3), ("\"b\"", 1), ("null", 1)];
        assert_eq!(totals, expected.map(|(key, n)| (key.to_owned(), n)).into());
        assert_eq!(overflow, 0);
    }

    #[test]
    fn keys_beyond_the_limit_are_counted_as_overflow() {
        let budget = Arc::new(KeyBudget::new(2));
        let mut shards = [Counts::new(budget.clone()), Counts::new(budget)];
        shards[0].count(&block(&[KeyRef::string("a")]));
        shards[1].count(&block(&[KeyRef::string("b"), KeyRef::string("c")]));
        shards[0].count(&block(&[KeyRef::string("a"), KeyRef::string("d"), OTHER]));
        let closed = shards[0].close(Zeros::default());
        assert_eq!(closed.other, 1);
        let (first, overflow) = totals(vec![closed]);
        assert_eq!((first["\"a\""], overflow), (2, 1));
        let (second, overflow) = totals(vec![shards[1].close(Zeros::default())]);
        assert_eq!((second["\"b\""], overflow), (1, 1));
    }

    #[test]
    fn keys_of_one_hash_are_compared_whole() {
        for len in [1, 7, 16, 17, 39] {
            let mut shard = Counts::new(Arc::new(KeyBudget::new(100)));
            let mut keys = vec!["a".repeat(len); len + 1];
            for (at, key) in keys[..len].iter_mut().enumerate() {
                key.replace_range(at..=at, "b");
            }
            let refs: Vec<KeyRef<'_>> = keys.iter().map(|key| KeyRef::string(key)).collect();
            // Within a batch, and against keys of the batch before, whose segment is closed.
            for _ in 0..2 {
                refs.iter().for_each(|&key| shard.count(&block(&[key])));
                let closed = shard.close(Zeros::default());
                assert_eq!(closed.counts, vec![1; len + 1]);
            }
        }
    }

    #[test]
    fn long_keys_open_new_segments() {
        let mut shard = Counts::new(Arc::new(KeyBudget::new(100)));
        let keys: Vec<String> = (0..9)
            .map(|i| i.to_string().repeat(SEGMENT_BYTES / 3))
            .collect();
        let refs: Vec<KeyRef<'_>> = keys.iter().map(|key| KeyRef::string(key)).collect();
        shard.count(&block(&refs));
        shard.count(&block(&refs));
        let closed = shard.close(Zeros::default());
        assert_eq!(closed.new_segments.len(), 3);
        let (totals, _) = totals(vec![closed]);
        assert_eq!(totals.len(), 9);
        assert!(totals.values().all(|&count| count == 2));
    }
}
