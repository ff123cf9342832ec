//! How far each partition is: what was handed over, what was reported, where it is to end.
//!
//! Kept for the whole run, across rebalances: a partition that comes back to us goes on behind what
//! we have counted of it, even if the group could not be told in time.

use rdkafka::TopicPartitionList;

/// One partition, as the fetching thread knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition {
    /// The offset behind the last message handed to the reader.
    pub(super) next: Option<i64>,
    /// The offset behind the last message that is reported; `reported <= next`.
    pub(super) reported: Option<i64>,
    /// What the group has been told, of it.
    pub(super) committed: Option<i64>,
    /// With `--until-end`: messages from this offset on are not wanted.
    pub(super) end: Option<i64>,
    /// Ours to read.
    pub(super) is_assigned: bool,
    /// Read up to its end.
    pub(super) is_done: bool,
}

impl Partition {
    /// Whether all that was handed over has been reported.
    pub(super) fn is_reported(&self) -> bool {
        self.reported >= self.next
    }
}

/// All partitions met so far, by number.
#[derive(Debug, Default)]
pub(super) struct Partitions(Vec<Partition>);

impl Partitions {
    /// The partition of this number, known or not.
    pub(super) fn at(&mut self, number: i32) -> &mut Partition {
        let index = usize::try_from(number).expect("librdkafka numbers partitions from 0");
        if index >= self.0.len() {
            self.0.resize_with(index + 1, Partition::default);
        }
        &mut self.0[index]
    }

    /// Those that are ours, with their numbers.
    pub(super) fn assigned(&mut self) -> impl Iterator<Item = (i32, &mut Partition)> {
        let numbered = (0..).zip(&mut self.0);
        numbered.filter(|(_, partition)| partition.is_assigned)
    }

    /// All with an end to reach, with their numbers and ends.
    pub(super) fn ends(&self) -> impl Iterator<Item = (i32, i64)> {
        let numbered = (0..).zip(&self.0);
        numbered.filter_map(|(number, partition)| Some((number, partition.end?)))
    }
}

/// The partitions of one topic as librdkafka takes them.
pub(super) fn list(topic: &str, numbers: impl IntoIterator<Item = i32>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for number in numbers {
        list.add_partition(topic, number);
    }
    list
}

/// The numbers in a list, as people read them: `0, 2, 5`.
pub(super) fn numbers(partitions: &[i32]) -> String {
    match partitions {
        [] => "none".to_owned(),
        some => some
            .iter()
            .map(i32::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}
