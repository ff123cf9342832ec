//! The keys of a stream: their names, and which one a random word means.
//!
//! Names sit in cells of 16 bytes, so that the generator copies a whole cell whatever the name's length and moves on
//! by the length. Zipf-distributed keys are drawn with an alias table (Walker, 1977; built as Vose, 1991, does): one
//! look-up and one comparison per record, for any number of keys.

use crate::mix::below;

/// Longest name, in bytes; a cell's last byte holds the length.
const NAME_BYTES_MAX: usize = 15;

/// A name, padded with zeros, and its length in the last byte.
#[derive(Clone, Copy)]
pub(crate) struct Cell(pub(crate) [u8; 16]);

impl Cell {
    fn new(name: &str) -> Self {
        assert!(
            name.len() <= NAME_BYTES_MAX,
            "key name {name} has {} bytes, more than {NAME_BYTES_MAX}",
            name.len()
        );
        let mut bytes = [0; 16];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[15] = name.len() as u8;
        Cell(bytes)
    }

    /// The name's length, `0..=15`; the mask tells the compiler so.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.0[15] & 15)
    }
}

/// The name of key `index` in a stream of `keys` keys.
pub(crate) fn name(index: u64, keys: u64) -> String {
    match index {
        0 => "PLACED".to_owned(),
        1 => "SHIPPED".to_owned(),
        2 => "DELIVERED".to_owned(),
        3 => "CANCELLED".to_owned(),
        _ => {
            let width = (keys - 1).to_string().len().max(6);
            format!("KEY_{index:0width$}")
        }
    }
}

/// The cells of all names, in key order.
pub(crate) fn cells(keys: u64) -> Vec<Cell> {
    (0..keys)
        .map(|index| Cell::new(&name(index, keys)))
        .collect()
}

/// Turns a random word into a key's index, always below the number of keys.
pub(crate) trait Pick {
    fn pick(&self, word: u64) -> usize;
}

/// All keys equally often.
pub(crate) struct Uniform {
    pub(crate) keys: u64,
}

impl Pick for Uniform {
    #[inline(always)]
    fn pick(&self, word: u64) -> usize {
        below(word, self.keys) as usize
    }
}

/// Keys with given weights.
pub(crate) struct Alias {
    slots: Vec<Slot>,
}

/// A slot keeps its own key when the word's lower half is below `keep_below`, else it means `other`.
#[derive(Clone, Copy)]
struct Slot {
    keep_below: u32,
    other: u32,
}

impl Alias {
    pub(crate) fn zipf(keys: u64, exponent: f64) -> Self {
        let weights: Vec<f64> = (1..=keys).map(|k| (k as f64).powf(-exponent)).collect();
        Alias::new(&weights)
    }

    /// Splits the weights over slots of equal size: each light key shares its slot with one heavy key.
    fn new(weights: &[f64]) -> Self {
        let sum: f64 = weights.iter().sum();
        let mut left: Vec<f64> = weights
            .iter()
            .map(|weight| weight * weights.len() as f64 / sum)
            .collect();
        let mut slots: Vec<Slot> = (0..weights.len())
            .map(|index| Slot {
                keep_below: u32::MAX,
                other: index as u32,
            })
            .collect();
        let (mut light, mut heavy): (Vec<usize>, Vec<usize>) =
            (0..left.len()).partition(|&index| left[index] < 1.0);
        while let (Some(&small), Some(&large)) = (light.last(), heavy.last()) {
            light.pop();
            slots[small] = Slot {
                keep_below: (left[small] * 2f64.powi(32)) as u32,
                other: large as u32,
            };
            left[large] -= 1.0 - left[small];
            if left[large] < 1.0 {
                heavy.pop();
                light.push(large);
            }
        }
        Alias { slots }
    }
}

impl Pick for Alias {
    #[inline(always)]
    fn pick(&self, word: u64) -> usize {
        let index = ((word >> 32) * self.slots.len() as u64) >> 32;
        let slot = self.slots[index as usize];
        if (word as u32) < slot.keep_below {
            index as usize
        } else {
            slot.other as usize
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::Words;

    #[test]
    fn names_are_distinct_and_of_one_width() {
        assert_eq!(name(4, 5), "KEY_000004");
        assert_eq!(name(999_999, 1_000_000), "KEY_999999");
        assert_eq!(name(4, 1_000_001), "KEY_0000004");
        assert_eq!(cells(3).len(), 3);
        assert_eq!(cells(crate::spec::KEYS_MAX.min(2_000))[1_999].len(), 10);
        assert!(name(crate::spec::KEYS_MAX - 1, crate::spec::KEYS_MAX).len() <= NAME_BYTES_MAX);
    }

    #[test]
    fn alias_table_follows_the_weights() {
        let weights = [8.0, 4.0, 2.0, 1.0, 1.0];
        let alias = Alias::new(&weights);
        let mut seen = [0u32; 5];
        let draws = 160_000;
        for record in 0..draws {
            seen[alias.pick(Words::of(3, record).lane(2))] += 1;
        }
        for (weight, seen) in weights.iter().zip(seen) {
            let expected = weight / 16.0 * draws as f64;
            assert!(
                (f64::from(seen) - expected).abs() < 0.05 * expected,
                "{seen} for {expected}"
            );
        }
    }

    #[test]
    fn one_key_is_always_picked() {
        let alias = Alias::zipf(1, 1.0);
        assert_eq!([alias.pick(0), alias.pick(u64::MAX)], [0, 0]);
        assert_eq!(Uniform { keys: 1 }.pick(u64::MAX), 0);
    }
}
