//! An open-addressing table of numbers by hash: what the shards and the blocks find their keys with.
//!
//! A slot holds 32 bits of the hash and the number (an index into the owner's entries). Whoever
//! looks something up gets the numbers with its 32 bits, one after the other, and compares the keys.
//!
//! Why not a general table: here [`Slots::guess`] answers from one slot and without a branch, so that a
//! shard can begin the searches of many keys before it ends the first, and the misses of a table
//! larger than the cache overlap instead of adding up. And the table grows from its own
//! slots, in their order, without a look at the entries: a slot's place is a prefix of its tag.
//!
//! Linear probing at a load of a half at the most: searches end within a cache line as a rule.

use crate::prefetch::prefetch;

/// The tag of a hash: the part that the slots know. The shard of a key depends on other bits.
fn tag_of(hash: u64) -> u32 {
    hash as u32
}

/// The smallest table.
const SLOTS_MIN: usize = 16;

/// A slot in use is not all zeros: its number is kept plus one.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    tag: u32,
    number_plus_one: u32,
}

/// The table. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Slots {
    /// A power of two of them.
    slots: Vec<Slot>,
    /// `tag >> shift` is a slot.
    shift: u32,
    /// Slots in use, at most half of them.
    used: usize,
}

impl Default for Slots {
    fn default() -> Slots {
        Slots::with_slots(SLOTS_MIN)
    }
}

impl Slots {
    fn with_slots(slots: usize) -> Slots {
        Slots {
            slots: vec![Slot::default(); slots],
            shift: u32::BITS - slots.trailing_zeros(),
            used: 0,
        }
    }

    /// The number in the slot where the search for a key with this hash begins, 0 if it is vacant: as
    /// a rule the key's own, so worth a look ahead.
    #[inline]
    pub fn guess(&self, hash: u64) -> u32 {
        self.slots[self.start(hash)]
            .number_plus_one
            .saturating_sub(1)
    }

    /// Fetches the slot that [`Slots::guess`] will look into.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.slots, self.start(hash));
    }

    fn start(&self, hash: u64) -> usize {
        (tag_of(hash) >> self.shift) as usize
    }

    /// The number of the key with this hash that `is_it` recognises, or the vacant slot where it
    /// belongs.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Result<u32, usize> {
        let tag = tag_of(hash);
        let mask = self.slots.len() - 1;
        let mut at = self.start(hash);
        loop {
            let slot = self.slots[at];
            if slot.number_plus_one == 0 {
                return Err(at);
            }
            if slot.tag == tag && is_it(slot.number_plus_one - 1) {
                return Ok(slot.number_plus_one - 1);
            }
            at = (at + 1) & mask;
        }
    }

    /// Puts a number into the vacant slot that [`Slots::find`] answered with, nothing having been
    /// inserted since.
    ///
    /// # Panics
    /// If the slot is not vacant, or the number is the largest there is.
    pub fn insert(&mut self, vacant: usize, hash: u64, number: u32) {
        let slot = &mut self.slots[vacant];
        assert!(slot.number_plus_one == 0, "slot {vacant} is in use");
        *slot = Slot {
            tag: tag_of(hash),
            number_plus_one: number.checked_add(1).expect("fewer numbers than 2^32"),
        };
        self.used += 1;
        if self.used * 2 > self.slots.len() {
            self.grow();
        }
    }

    /// Empties the table; it keeps its size.
    pub fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.used = 0;
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Slots::with_slots(self.slots.len() * 2);
        let mask = larger.slots.len() - 1;
        for &slot in self.slots.iter().filter(|slot| slot.number_plus_one != 0) {
            let mut at = (slot.tag >> larger.shift) as usize & mask;
            while larger.slots[at].number_plus_one != 0 {
                at = (at + 1) & mask;
            }
            larger.slots[at] = slot;
        }
        larger.used = self.used;
        *self = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn finds_what_a_map_finds() {
        let mut rng = fastrand::Rng::with_seed(5);
        // Few hashes, so that equal ones meet, and tags at the table's very end.
        let hashes: Vec<u64> = (0..500)
            .map(|i| {
                if i % 3 == 0 {
                    rng.u64(..)
                } else {
                    u64::MAX - i / 9
                }
            })
            .collect();
        let (mut slots, mut map) = (Slots::default(), HashMap::new());
        for _ in 0..2 {
            for (key, &hash) in hashes.iter().enumerate() {
                let found = slots.find(hash, |number| number == key as u32);
                assert_eq!(found.ok(), map.get(&key).copied());
                if let Err(vacant) = found {
                    slots.insert(vacant, hash, key as u32);
                    map.insert(key, key as u32);
                }
            }
        }
        assert!(slots.slots.len() >= 2 * map.len());
        slots.clear();
        assert!(slots.find(hashes[0], |_| true).is_err());
    }
}
