//! Records that Amazon's producer library (KPL) has packed many into one.
//!
//! Such a record is [`MAGIC`], a protocol buffer and its MD5 digest. The buffer, as the library's documentation
//! ("KPL aggregated record format") has it:
//!
//! ```text
//! AggregatedRecord: 1 partition_key_table, strings   2 explicit_hash_key_table, strings   3 records
//! Record:           1 index of its partition key     2 index of its explicit hash key     3 data
//! ```
//!
//! No line of JSON begins with the magic bytes: they are no Unicode. What begins so and is not of this form
//! otherwise, or has another digest, is taken as it is, as Amazon's own consumer library does: it is then a
//! malformed line.
//!
//! Each record in it has a key of its own, whose hash says to which shard it belongs. While a stream is split the
//! library may have guessed wrong; it then finds out and sends the strays again to where they belong. So those that
//! are not of the shard that they came from are left out, or they would be counted twice.
//!
//! Written out rather than generated: two messages of six fields are not worth a compiler for protocol buffers.

use md5::{Digest as _, Md5};

/// How such a record begins.
const MAGIC: &[u8] = &[0xF3, 0x89, 0x9A, 0xC2];

/// The length of an MD5 digest.
const DIGEST_BYTES: usize = 16;

/// The hashes of the keys whose records are a shard's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HashRange {
    pub(super) first: u128,
    pub(super) last: u128,
}

impl HashRange {
    pub(super) const ALL: HashRange = HashRange {
        first: 0,
        last: u128::MAX,
    };

    fn contains(self, hash: u128) -> bool {
        (self.first..=self.last).contains(&hash)
    }
}

/// The data of the records in a record that are of this range of hashes; `None` if it is just one record.
pub(super) fn unpack(data: &[u8], range: HashRange) -> Option<Vec<&[u8]>> {
    let packed = data.strip_prefix(MAGIC)?;
    let (message, digest) = packed.split_at(packed.len().checked_sub(DIGEST_BYTES)?);
    if Md5::digest(message)[..] != *digest {
        return None;
    }
    let (mut keys, mut explicit) = (Vec::new(), Vec::new());
    let mut records = Vec::new();
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(key)) => keys.push(hash(key)),
            (2, Value::Bytes(text)) => explicit.push(std::str::from_utf8(text).ok()?.parse().ok()?),
            (3, Value::Bytes(record)) => records.push(Record::parse(record)?),
            _ => {}
        }
    }
    let mut own = Vec::with_capacity(records.len());
    for record in records {
        let hash = match record.explicit {
            Some(index) => explicit.get(index)?,
            None => keys.get(record.key)?,
        };
        if range.contains(*hash) {
            own.push(record.data);
        }
    }
    Some(own)
}

/// Where the record of a partition key belongs.
fn hash(key: &[u8]) -> u128 {
    u128::from_be_bytes(Md5::digest(key).into())
}

/// A record among others.
struct Record<'a> {
    /// Its partition key and its explicit hash key, by index in the tables.
    key: usize,
    explicit: Option<usize>,
    data: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(message: &'a [u8]) -> Option<Record<'a>> {
        let (mut key, mut explicit, mut data) = (None, None, None);
        for field in Fields(message) {
            match field? {
                (1, Value::Number(index)) => key = Some(usize::try_from(index).ok()?),
                (2, Value::Number(index)) => explicit = Some(usize::try_from(index).ok()?),
                (3, Value::Bytes(bytes)) => data = Some(bytes),
                _ => {}
            }
        }
        Some(Record {
            key: key?,
            explicit,
            data: data?,
        })
    }
}

/// The value of a field, of the two kinds that occur.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, by number; `None` for what is none.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            2 => {
                let count = usize::try_from(self.number()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(count)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A field of bytes, shorter than 128.
    fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap();
        [&[number << 3 | 2, length][..], value].concat()
    }

    fn record(key: u8, explicit: Option<u8>, data: &[u8]) -> Vec<u8> {
        let explicit = explicit.map_or(Vec::new(), |index| vec![2 << 3, index]);
        let fields = [vec![1 << 3, key], explicit, bytes(3, data)];
        bytes(3, &fields.concat())
    }

    fn packed(message: &[u8]) -> Vec<u8> {
        [MAGIC, message, &Md5::digest(message)].concat()
    }

    fn example() -> Vec<u8> {
        let fields = [
            bytes(1, b"a"),
            bytes(1, b"b"),
            bytes(2, b"7"),
            record(0, None, b"{\"n\":1}"),
            record(1, None, b"{\"n\":2}"),
            record(0, Some(0), b"{\"n\":3}"),
        ];
        packed(&fields.concat())
    }

    #[test]
    fn records_come_out_one_by_one() {
        let data = example();
        let parts = unpack(&data, HashRange::ALL).unwrap();
        assert_eq!(parts, [b"{\"n\":1}", b"{\"n\":2}", b"{\"n\":3}"]);
    }

    #[test]
    fn records_of_other_shards_are_left_out() {
        let data = example();
        let of = |first, last| unpack(&data, HashRange { first, last }).unwrap();
        // The MD5 of "a" is 0cc1…, that of "b" is 92eb….
        let (a, b) = (hash(b"a"), hash(b"b"));
        assert_eq!(a >> 120, 0x0C);
        assert_eq!(of(a, a), [b"{\"n\":1}"]);
        assert_eq!(of(a, b), [b"{\"n\":1}", b"{\"n\":2}"]);
        assert_eq!(of(0, 7), [b"{\"n\":3}"]);
        assert!(of(8, 8).is_empty());
    }

    #[test]
    fn what_is_not_of_the_form_is_one_record() {
        let data = example();
        let is_one = |data: &[u8]| unpack(data, HashRange::ALL).is_none();
        assert!(is_one(b"") && is_one(b"{\"n\":1}") && is_one(MAGIC));
        for at in [4, data.len() / 2, data.len() - 1] {
            let mut damaged = data.clone();
            damaged[at] ^= 1;
            assert!(is_one(&damaged), "{at}");
        }
        // No such key.
        assert!(is_one(&packed(&record(0, None, b"x"))));
        // A field of eight bytes.
        assert!(is_one(&packed(&[9, 0, 0, 0, 0, 0, 0, 0, 0])));
    }

    proptest! {
        #[test]
        fn no_bytes_whatever_are_too_strange(message in proptest::collection::vec(any::<u8>(), 0..64)) {
            let data = packed(&message);
            let bytes = unpack(&data, HashRange::ALL).map_or(0, |parts| parts.concat().len());
            prop_assert!(bytes <= message.len());
        }
    }
}
