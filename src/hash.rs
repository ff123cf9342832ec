//! The hash of a key, and the shard that follows from it.
//!
//! A parser hashes every record's key once; the hash goes with the pair to its shard, which need not
//! compute it again. All parsers of a run use one [`KeyHasher`], seeded at its start, so that nobody
//! can send keys that collide on purpose.
//!
//! Why not a general hasher: a key's [`Fold`] is at hand for comparing keys anyway, and of a short key
//! it holds every byte. Two multiplications whose product's halves are folded together (the step that
//! wyhash and foldhash are made of) turn it into a hash, without a call, a branch or a look at the
//! bytes. Keys too long for their fold are hashed with foldhash.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::key::{FOLD_BYTES_MAX, Fold, KeyRef};

/// Hashes keys; two with one seed do so alike.
#[derive(Clone, Debug)]
pub struct KeyHasher {
    seeds: [u64; 3],
    long: FixedState,
}

impl KeyHasher {
    /// A hasher with this seed.
    pub fn with_seed(seed: u64) -> KeyHasher {
        let mut rng = fastrand::Rng::with_seed(seed);
        KeyHasher {
            seeds: std::array::from_fn(|_| rng.u64(..)),
            long: FixedState::with_seed(seed),
        }
    }

    /// The hash of a key that has this fold.
    #[inline]
    pub fn hash(&self, fold: Fold, key: KeyRef<'_>) -> u64 {
        let [first, second, third] = self.seeds;
        // Kind and length tell apart what has the same fold.
        let rest = if key.bytes.len() <= FOLD_BYTES_MAX {
            key.bytes.len() as u64
        } else {
            self.hash_long(key.bytes)
        };
        let [low, high] = fold.words();
        let hash = folded_multiply(low ^ first, high ^ second);
        folded_multiply(hash ^ rest.rotate_left(8) ^ key.kind as u64, third)
    }

    #[cold]
    fn hash_long(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.long.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }
}

/// The shard of a key with this hash: `0 <= shard < shards`.
#[inline]
pub fn shard_of(hash: u64, shards: usize) -> usize {
    // Multiply-shift over bits that the tables' tags do not depend on.
    (((hash >> 32) * shards as u64) >> 32) as usize
}

/// The halves of the product, folded together: each bit of it depends on all of both factors.
#[inline]
fn folded_multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(hasher: &KeyHasher, key: KeyRef<'_>) -> u64 {
        hasher.hash(key.fold(), key)
    }

    #[test]
    fn every_shard_gets_its_share() {
        let hasher = KeyHasher::with_seed(1);
        for prefix in ["", "KEY_", "a key too long for its fold "] {
            for shards in [1, 2, 3, 7] {
                let mut keys = vec![0u32; shards];
                for i in 0..10_000 {
                    let text = format!("{prefix}{i}");
                    keys[shard_of(hash(&hasher, KeyRef::string(&text)), shards)] += 1;
                }
                let fair = 10_000 / shards as u32;
                let is_fair = |&n: &u32| n > fair * 8 / 10 && n < fair * 12 / 10;
                assert!(keys.iter().all(is_fair), "{prefix:?}: {keys:?}");
            }
        }
    }

    #[test]
    fn the_tables_bits_are_spread_evenly() {
        // The tables find a key by the top of the low half. Where 64 Ki keys fall into as many places at
        // random, 1/e of the places stay empty; sequences of keys must not do worse.
        for prefix in ["", "KEY_", "sku-0000000", "a key too long for its fold "] {
            let hasher = KeyHasher::with_seed(7);
            let mut places = vec![false; 1 << 16];
            for i in 0..1 << 16 {
                let text = format!("{prefix}{i}");
                let low_half = hash(&hasher, KeyRef::string(&text)) as u32;
                places[(low_half >> 16) as usize] = true;
            }
            let empty = places.iter().filter(|&&taken| !taken).count();
            assert!((23_000..25_300).contains(&empty), "{prefix:?}: {empty}");
        }
    }

    #[test]
    fn kinds_and_lengths_hash_apart() {
        let hasher = KeyHasher::with_seed(1);
        let keys = [
            KeyRef::null(),
            KeyRef::boolean(false),
            KeyRef::boolean(true),
            KeyRef::string(""),
            KeyRef::string("1"),
            KeyRef::number("1"),
            KeyRef::string("1\0"),
            KeyRef::string("11"),
            KeyRef::string("aaaa"),
            KeyRef::string("aaaaa"),
        ];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(hash(&hasher, *a), hash(&hasher, *b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn seeds_hash_apart() {
        let key = KeyRef::string("PLACED");
        let hashes = [1, 2].map(|seed| hash(&KeyHasher::with_seed(seed), key));
        assert_ne!(hashes[0], hashes[1]);
    }
}
