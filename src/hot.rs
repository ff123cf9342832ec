//! Hot keys: a few recent keys of a parser, in front of its blocks.
//!
//! Streams that are counted have few keys, or few that make up most of the records. A [`HotKeys`]
//! answers for those with one look into a table of 4 KiB: a short key is there if its [`Fold`], length
//! and kind are; its records are counted in the table and *settled* into their block when the key is
//! replaced or the block is sent. What is not there goes to the block the long way, and replaces what
//! stood in its place.
//!
//! Why: the long way (hash, shard, block, slot, entry) is a chain of dependent reads of some 60
//! cycles, and a record in the fast lane has 50 for everything. Here the chain is one multiplication
//! and one read (`benches/shard.rs`, `combine`).
//!
//! A key's place is found by multiplication, without regard to who else is there. Where two frequent
//! keys meet in one place, [`HotKeys::adapt`] notices that records were missed more often than there
//! are keys, and takes another multiplier; where keys do not repeat, it *rests*: it takes none in for
//! a while, and the combiner does not look for equal keys in the blocks either.

use crate::decimal::Decimal;
use crate::key::{FOLD_BYTES_MAX, Fold, KeyRef};

/// Places in the table, a power of two.
const PLACES: usize = 128;

/// Batches of chunks that the table is left as it is for when it did not help.
const REST: u32 = 32;

/// Where a key's records are settled: an entry of a shard's block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Whose block.
    pub shard: u32,
    /// Which entry of it.
    pub entry: u32,
}

/// Records of one key that are not in its block yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// Where they belong.
    pub account: Account,
    /// How many they are.
    pub count: u32,
    /// The sum of their numbers, if any came.
    pub sum: Option<Decimal>,
}

/// What a key has in the table, its sum apart.
#[derive(Clone, Copy, Debug)]
struct Records {
    account: Account,
    count: u32,
}

#[derive(Clone, Copy, Debug)]
struct HotKey {
    fold: Fold,
    /// The key's length and kind: with them, a fold is all of a short key.
    sort: u32,
    records: Records,
}

impl HotKey {
    fn is_vacant(&self) -> bool {
        self.sort == VACANT.sort
    }
}

const VACANT: HotKey = HotKey {
    fold: Fold::NONE,
    sort: u32::MAX,
    records: Records {
        account: Account { shard: 0, entry: 0 },
        count: 0,
    },
};

/// The table. See the module's documentation.
#[derive(Debug)]
pub struct HotKeys {
    places: Box<[HotKey; PLACES]>,
    /// By place; empty until a number comes, so that plain counting has none of it in its cache.
    sums: Vec<Decimal>,
    /// Mixed into each key's sort: the pane that records are of; 0 where they have none.
    pane: u32,
    /// Odd.
    multiplier: u64,
    /// Records not found here since [`HotKeys::adapt`].
    missed: u64,
    /// How often that is still to come before the table takes keys again.
    rest: u32,
}

impl Default for HotKeys {
    fn default() -> HotKeys {
        HotKeys {
            places: Box::new([VACANT; PLACES]),
            sums: Vec::new(),
            pane: 0,
            // The golden ratio's, as in Fibonacci hashing.
            multiplier: 0x9E37_79B9_7F4A_7C15,
            missed: 0,
            rest: 0,
        }
    }
}

/// Panes that [`HotKeys::set_pane`] tells apart.
pub const PANES_MAX: u32 = 1 << 23;

impl HotKeys {
    /// Counts the records that follow apart from those of other panes.
    ///
    /// # Panics
    /// If there are not so many panes.
    pub fn set_pane(&mut self, pane: u32) {
        assert!(pane < PANES_MAX, "pane {pane}");
        self.pane = pane << SORT_BITS;
    }

    /// Counts a record of this key and fold if the key is here; else somebody else must.
    #[inline]
    pub fn count(&mut self, fold: Fold, key: KeyRef<'_>) -> bool {
        self.find(fold, key).is_some()
    }

    /// [`HotKeys::count`] of a record with a number, or without one though it should have one.
    #[inline]
    pub fn sum(&mut self, fold: Fold, key: KeyRef<'_>, number: Option<&Decimal>) -> bool {
        let Some(place) = self.find(fold, key) else {
            return false;
        };
        if let Some(number) = number {
            if self.sums.is_empty() {
                self.sums.resize(PLACES, Decimal::default());
            }
            self.sums[place] += number;
        }
        true
    }

    /// Counts a record of this key if it is here; where that is.
    #[inline]
    fn find(&mut self, fold: Fold, key: KeyRef<'_>) -> Option<usize> {
        let sort = sort_of(key) | self.pane;
        let place = self.place(fold, sort);
        let hot = &mut self.places[place];
        if hot.fold == fold && hot.sort == sort {
            // Fewer than a few chunks have bytes: it cannot wrap.
            hot.records.count += 1;
            return Some(place);
        }
        self.missed += 1;
        None
    }

    /// Whether keys do not repeat at the moment: then there is nothing to combine, and
    /// [`HotKeys::put`] takes none in.
    #[inline]
    pub fn is_resting(&self) -> bool {
        self.rest > 0
    }

    /// Takes in a key that was not found, and whose block has it now at `account`. Returns what is
    /// to be settled for the key that stood in its place.
    #[inline]
    pub fn put(&mut self, fold: Fold, key: KeyRef<'_>, account: Account) -> Option<Unsettled> {
        if self.rest > 0 || key.bytes.len() > FOLD_BYTES_MAX {
            return None;
        }
        let sort = sort_of(key) | self.pane;
        let hot = HotKey {
            fold,
            sort,
            records: Records { account, count: 0 },
        };
        let place = self.place(fold, sort);
        let replaced = std::mem::replace(&mut self.places[place], hot);
        let unsettled = self.unsettled(place, replaced);
        (unsettled.count > 0).then_some(unsettled)
    }

    /// Forgets the keys of a shard; `settle` gets what each has.
    pub fn settle(&mut self, shard: u32, mut settle: impl FnMut(Unsettled)) {
        for place in 0..PLACES {
            let hot = self.places[place];
            if hot.records.account.shard == shard && !hot.is_vacant() {
                self.places[place] = VACANT;
                settle(self.unsettled(place, hot));
            }
        }
    }

    /// What is to be settled for a key that has left its place.
    fn unsettled(&mut self, place: usize, left: HotKey) -> Unsettled {
        let Records { account, count } = left.records;
        Unsettled {
            account,
            count,
            sum: self.sums.get_mut(place).map(std::mem::take),
        }
    }

    /// Looks back on `records`, at the end of which the table still has its keys.
    pub fn adapt(&mut self, records: u64) {
        let keys = self.places.iter().filter(|hot| !hot.is_vacant()).count() as u64;
        if self.rest > 0 {
            self.rest -= 1;
        } else if self.missed > records / 2 && self.missed > PLACES as u64 {
            self.rest = REST;
        } else if self.missed > 4 * keys {
            // Any odd number is as good as another; these do not repeat.
            self.multiplier = self.multiplier.wrapping_mul(0xD134_2543_DE82_EF95);
        }
        self.missed = 0;
    }

    #[inline]
    fn place(&self, fold: Fold, sort: u32) -> usize {
        let [low, high] = fold.words();
        let mixed = (low ^ high.rotate_left(27) ^ u64::from(sort)).wrapping_mul(self.multiplier);
        (mixed >> (u64::BITS - PLACES.trailing_zeros())) as usize
    }
}

/// Bits that the sort of a key takes: a length up to one more than a fold holds, and a kind.
const SORT_BITS: u32 = 8;

/// Length and kind of a key in one word, which is no long key's if the key is short.
#[inline]
fn sort_of(key: KeyRef<'_>) -> u32 {
    (key.bytes.len().min(FOLD_BYTES_MAX + 1) as u32) << 3 | key.kind as u32
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    /// Counts a record as a parser does; `true` if the key was here.
    fn count(hot: &mut HotKeys, key: KeyRef<'_>, entry: u32) -> (bool, Option<Unsettled>) {
        let fold = key.fold();
        if hot.count(fold, key) {
            return (true, None);
        }
        (false, hot.put(fold, key, Account { shard: 0, entry }))
    }

    #[test]
    fn keys_that_look_alike_are_kept_apart() {
        let keys = [
            KeyRef::null(),
            KeyRef::boolean(true),
            KeyRef::boolean(false),
            KeyRef::string(""),
            KeyRef::string("1"),
            KeyRef::number("1"),
            KeyRef::string("aaaa"),
            KeyRef::string("aaaaa"),
        ];
        for key in keys {
            let mut hot = HotKeys::default();
            assert!(!count(&mut hot, key, 0).0);
            for other in keys {
                assert_eq!(
                    hot.count(other.fold(), other),
                    key == other,
                    "{key:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn long_keys_are_left_to_the_blocks() {
        let mut hot = HotKeys::default();
        let [a, b] = ["12345678 90 12345678", "12345678 91 12345678"].map(KeyRef::string);
        assert_eq!(a.fold(), b.fold());
        for key in [a, b, a, b] {
            assert_eq!(count(&mut hot, key, 0), (false, None));
        }
    }

    #[test]
    fn a_replaced_key_is_settled_and_shards_are_settled_apart() {
        let mut hot = HotKeys::default();
        let keys: Vec<String> = (0..4 * PLACES as u32).map(|i| format!("key {i}")).collect();
        let mut settled = 0;
        for _ in 0..3 {
            for (i, key) in keys.iter().enumerate() {
                let key = KeyRef::string(key);
                let account = Account {
                    shard: i as u32 % 2,
                    entry: i as u32,
                };
                if hot.count(key.fold(), key) {
                    continue;
                }
                settled += 1;
                if let Some(unsettled) = hot.put(key.fold(), key, account) {
                    settled += unsettled.count;
                }
            }
        }
        for shard in [1, 0] {
            hot.settle(shard, |unsettled| {
                assert_eq!(unsettled.account.shard, shard);
                assert_eq!(unsettled.account.entry % 2, shard);
                settled += unsettled.count;
            });
        }
        assert_eq!(settled, 3 * keys.len() as u32);
        assert!(hot.places.iter().all(HotKey::is_vacant));
    }

    #[test]
    fn numbers_are_settled_with_their_key() {
        let one = Decimal::parse(b"1").unwrap();
        let mut hot = HotKeys::default();
        let (a, b) = (KeyRef::string("a"), KeyRef::string("b"));
        for (entry, key) in [a, b].into_iter().enumerate() {
            count(&mut hot, key, entry as u32);
        }
        for _ in 0..3 {
            assert!(hot.sum(a.fold(), a, Some(&one)));
            assert!(hot.sum(b.fold(), b, None));
        }
        let mut settled = Vec::new();
        hot.settle(0, |unsettled| settled.push(unsettled));
        settled.sort_by_key(|unsettled| unsettled.account.entry);
        let sums = settled.iter().map(|unsettled| unsettled.sum);
        let sums: Vec<String> = sums.map(|sum| sum.unwrap().to_string()).collect();
        assert_eq!(sums, ["3", "0"]);
        // Whoever takes the place begins at 0.
        count(&mut hot, a, 0);
        hot.settle(0, |unsettled| {
            assert_eq!(unsettled.sum, Some(Decimal::default()))
        });
    }

    #[test]
    fn frequent_keys_that_meet_in_one_place_part() {
        // Of 20 keys some meet in 128 places, but not with every multiplier.
        let keys: Vec<String> = (0..20).map(|i| format!("status {i}")).collect();
        let mut hot = HotKeys::default();
        let mut has_parted = false;
        for _ in 0..200 {
            for _ in 0..100 {
                for key in &keys {
                    count(&mut hot, KeyRef::string(key), 0);
                }
            }
            has_parted = hot.missed == keys.len() as u64;
            if has_parted {
                break;
            }
            hot.adapt(100 * keys.len() as u64);
            hot.settle(0, |_| {});
        }
        assert!(has_parted);
    }

    #[test]
    fn it_rests_while_keys_do_not_repeat() {
        let mut hot = HotKeys::default();
        for i in 0..1000 {
            count(&mut hot, KeyRef::number(&i.to_string()), 0);
        }
        hot.adapt(1000);
        hot.settle(0, |_| {});
        let key = KeyRef::string("PLACED");
        for _ in 0..REST {
            assert!(!count(&mut hot, key, 0).0 && !count(&mut hot, key, 0).0);
            hot.adapt(2);
        }
        assert!(!count(&mut hot, key, 0).0 && count(&mut hot, key, 0).0);
    }
}
