//! Which shards there are, in which order they are read, and when each is to be read next.
//!
//! A shard that was split or merged is closed: it is read out, and then come its children, so records of one key stay
//! in order. A shard whose parents are gone (their records are older than the stream keeps them) waits for nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_kinesis::types::Shard as Listed;
use tokio::time::Instant;

use super::aggregate::HashRange;
use super::client::Start;
use crate::source::Next;

/// A shard, as far as it is known and read.
#[derive(Debug)]
pub(super) struct Shard {
    /// Those that it was split or merged from.
    parents: Vec<Arc<str>>,
    /// The keys whose records are its own.
    pub(super) range: HashRange,
    /// Where to begin, with no iterator.
    pub(super) start: Start,
    /// With what to go on.
    pub(super) iterator: Option<String>,
    /// When it may be read again.
    pub(super) due: Instant,
    /// A read is under way.
    pub(super) is_reading: bool,
    /// Nothing more of it is wanted, or will come.
    pub(super) is_over: bool,
    /// Attempts that have failed since the last that did not.
    pub(super) failures: u32,
    /// How far behind it was last said to be.
    pub(super) millis_behind: Option<u64>,
}

impl Shard {
    /// Begins where an earlier run has left it.
    pub(super) fn go_on(&mut self, next: &Next) {
        match next {
            Next::Behind(number) => self.start = Start::Behind(Arc::clone(number)),
            Next::Nowhere => self.is_over = true,
            Next::Record(_) => unreachable!("shards have sequence numbers"),
        }
    }
}

/// All shards of a stream, by name, which is by age.
#[derive(Debug, Default)]
pub(super) struct Shards(BTreeMap<Arc<str>, Shard>);

impl Shards {
    /// Takes in the shards of a list that are new; they begin at `start`. Returns the names of those that are over
    /// and not listed any more, which are forgotten.
    pub(super) fn learn(
        &mut self,
        listed: &[Listed],
        start: &Start,
        now: Instant,
    ) -> Vec<Arc<str>> {
        for shard in listed {
            if !self.0.contains_key(shard.shard_id()) {
                self.0
                    .insert(shard.shard_id().into(), new(shard, start, now));
            }
        }
        let names: BTreeSet<&str> = listed.iter().map(Listed::shard_id).collect();
        let gone = self
            .0
            .extract_if(.., |name, shard| shard.is_over && !names.contains(&**name));
        gone.map(|(name, _)| name).collect()
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Shard> {
        self.0.get_mut(name)
    }

    /// Whether nothing is left to read.
    pub(super) fn are_over(&self) -> bool {
        self.0.values().all(|shard| shard.is_over)
    }

    /// The shard that has been due longest.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Arc<str>, &mut Shard)> {
        let due = self.readable().filter(|(_, shard)| shard.due <= now);
        let name = Arc::clone(due.min_by_key(|(_, shard)| shard.due)?.0);
        let shard = self.0.get_mut(&name)?;
        Some((name, shard))
    }

    /// When the next one will be due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.readable().map(|(_, shard)| shard.due).min()
    }

    /// Those that can be read, unless that is not yet due.
    fn readable(&self) -> impl Iterator<Item = (&Arc<str>, &Shard)> {
        let is_over = |parent| {
            self.0
                .get(parent)
                .is_none_or(|parent: &Shard| parent.is_over)
        };
        self.0.iter().filter(move |(_, shard)| {
            !shard.is_over && !shard.is_reading && shard.parents.iter().all(is_over)
        })
    }
}

fn new(listed: &Listed, start: &Start, now: Instant) -> Shard {
    let parents = [listed.parent_shard_id(), listed.adjacent_parent_shard_id()];
    let range = listed.hash_key_range().and_then(|range| {
        let first = range.starting_hash_key().parse().ok()?;
        let last = range.ending_hash_key().parse().ok()?;
        Some(HashRange { first, last })
    });
    let is_closed = listed
        .sequence_number_range()
        .is_some_and(|range| range.ending_sequence_number().is_some());
    Shard {
        parents: parents.into_iter().flatten().map(Arc::from).collect(),
        range: range.unwrap_or(HashRange::ALL),
        start: start.clone(),
        iterator: None,
        due: now,
        is_reading: false,
        // Of a closed shard nothing is later than now.
        is_over: is_closed && *start == Start::Latest,
        failures: 0,
        millis_behind: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_kinesis::types::SequenceNumberRange;

    use super::*;

    fn listed(name: &str, parents: &[&str], is_closed: bool) -> Listed {
        let numbers = SequenceNumberRange::builder()
            .starting_sequence_number("1")
            .set_ending_sequence_number(is_closed.then(|| "2".to_owned()))
            .build();
        Listed::builder()
            .shard_id(name)
            .set_parent_shard_id(parents.first().map(|&parent| parent.to_owned()))
            .set_adjacent_parent_shard_id(parents.get(1).map(|&parent| parent.to_owned()))
            .hash_key_range(
                aws_sdk_kinesis::types::HashKeyRange::builder()
                    .starting_hash_key("0")
                    .ending_hash_key("9")
                    .build()
                    .unwrap(),
            )
            .sequence_number_range(numbers.unwrap())
            .build()
            .unwrap()
    }

    /// Those that are due, each read for ever.
    fn due(shards: &mut Shards, now: Instant) -> Vec<String> {
        let mut names = Vec::new();
        while let Some((name, shard)) = shards.due(now) {
            shard.is_reading = true;
            names.push(name.to_string());
        }
        names
    }

    #[test]
    fn children_wait_for_all_of_their_parents() {
        let now = Instant::now();
        let mut shards = Shards::default();
        let list = [
            listed("0", &["gone"], true),
            listed("1", &[], true),
            listed("2", &["0", "1"], false),
        ];
        assert!(shards.learn(&list, &Start::Earliest, now).is_empty());
        assert_eq!(due(&mut shards, now), ["0", "1"]);
        for name in ["0", "1"] {
            assert!(due(&mut shards, now).is_empty());
            shards.get_mut(name).unwrap().is_over = true;
        }
        assert_eq!(due(&mut shards, now), ["2"]);
        assert!(!shards.are_over());
        // Shard 0 is older than the stream keeps its records, and forgotten.
        assert_eq!(
            shards.learn(&list[1..], &Start::Earliest, now),
            ["0".into()]
        );
    }

    #[test]
    fn from_now_on_closed_shards_are_of_no_interest() {
        let now = Instant::now();
        let mut shards = Shards::default();
        let list = [listed("0", &[], true), listed("1", &["0"], false)];
        shards.learn(&list, &Start::Latest, now);
        assert_eq!(due(&mut shards, now), ["1"]);
        assert_eq!(
            shards.get_mut("1").unwrap().range,
            HashRange { first: 0, last: 9 }
        );
    }

    #[test]
    fn the_shard_that_has_waited_longest_comes_first() {
        let now = Instant::now();
        let mut shards = Shards::default();
        let list = [listed("0", &[], false), listed("1", &[], false)];
        shards.learn(&list, &Start::Earliest, now);
        let later = now + Duration::from_secs(1);
        shards.get_mut("0").unwrap().due = later;
        assert_eq!(shards.next_due(), Some(now));
        assert_eq!(due(&mut shards, now), ["1"]);
        assert_eq!(shards.next_due(), Some(later));
        assert_eq!(due(&mut shards, later), ["0"]);
        assert_eq!(shards.next_due(), None);
    }
}
