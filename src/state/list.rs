//! Lists of keys and their counts as they stand in a state file: one value for a batch or a pane.
//!
//! Row numbers ascend and are told as what they are more than the one before; they and the counts are written seven
//! bits a byte, the lowest first, with the eighth set where another byte follows (LEB128). So a key takes
//! two to four bytes most often, and a list of many thousand is one row of a table.

/// A key's row number, and how often it came.
pub(super) type Counted = (i64, u64);

/// Writes a list whose row numbers ascend from 0 or more.
pub(super) fn pack(list: &[Counted]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(list.len() * 3);
    let mut before = 0;
    for &(row, count) in list {
        push(&mut bytes, (row - before).unsigned_abs());
        push(&mut bytes, count);
        before = row;
    }
    bytes
}

/// Reads a list; nothing if it is none.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<Counted>> {
    let numbers = unpack_numbers(bytes)?;
    let (pairs, []) = numbers.as_chunks::<2>() else {
        return None;
    };
    let mut row: i64 = 0;
    let mut pair = |&[more, count]: &[u64; 2]| {
        row = row.checked_add_unsigned(more)?;
        Some((row, count))
    };
    pairs.iter().map(&mut pair).collect()
}

/// Writes numbers that belong to the keys of a list.
pub(super) fn pack_numbers(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    numbers.for_each(|number| push(&mut bytes, number));
    bytes
}

/// Reads numbers; nothing if they are none.
pub(super) fn unpack_numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = Vec::with_capacity(bytes.len() / 2);
    let (mut number, mut shift) = (0_u64, 0);
    for &byte in bytes {
        let bits = u64::from(byte & 0x7F);
        if shift > 63 || (bits << shift) >> shift != bits {
            return None;
        }
        number |= bits << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            numbers.push(number);
            (number, shift) = (0, 0);
        }
    }
    (shift == 0).then_some(numbers)
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Sorts a list by row number and adds up what one row has several times.
pub(super) fn add_up(list: &mut Vec<Counted>) {
    list.sort_unstable_by_key(|&(row, _)| row);
    list.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same {
            kept.1 += next.1;
        }
        is_same
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_packed_comes_out_again(mut list in proptest::collection::vec((0..i64::MAX, any::<u64>()), 0..50)) {
            list.sort_unstable_by_key(|&(row, _)| row);
            prop_assert_eq!(unpack(&pack(&list)), Some(list.clone()));
            let counts: Vec<u64> = list.iter().map(|&(_, count)| count).collect();
            prop_assert_eq!(unpack_numbers(&pack_numbers(counts.iter().copied())), Some(counts));
        }

        #[test]
        fn anything_is_a_list_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            if let Some(list) = unpack(&bytes) {
                prop_assert_eq!(unpack(&pack(&list)), Some(list));
            }
        }
    }

    #[test]
    fn what_is_torn_is_no_list() {
        let packed = pack(&[(1, 300), (70_000, 1)]);
        assert_eq!(packed.len(), 1 + 2 + 3 + 1);
        for end in 1..packed.len() {
            assert_eq!(unpack(&packed[..end]).is_some(), end == 3, "{end}");
        }
        assert_eq!(unpack_numbers(&[0xFF; 11]), None);
        let mut list = vec![(7, 1), (3, 2), (7, 5)];
        add_up(&mut list);
        assert_eq!(list, [(3, 2), (7, 6)]);
    }
}
