//! Which partitions are ours, from which offset, and what the group is told of them.
//!
//! Without a group the partitions are those asked for, or all that the topic has and comes to have. In a group they come and
//! go: before one is given up, everything read of it is waited for until it has been reported, and
//! committed, so that whoever gets it goes on exactly behind what we counted. The group waits with
//! us meanwhile, for [`REVOKE_WAIT`] at the most; with longer batches what was read is committed
//! though its batch is still open, and only a crash before that is printed would lose it.
//!
//! A partition begins behind what the group or we ourselves have counted of it, whichever is more:
//! a group that lost us for a while has older offsets than we do.

use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::End;
use super::client::{Rebalance, cannot, release};
use super::fetch::{Fetch, pause};
use super::partitions::{list, numbers};
use crate::error::Error;
use crate::kafka::{ANSWER_WAIT, words};
use crate::source::StartAt;

/// How long a group waits for the batch that holds what a partition brought.
const REVOKE_WAIT: Duration = Duration::from_secs(30);

/// Between two looks at whether it has been reported.
const REVOKE_LOOK: Duration = Duration::from_millis(5);

impl Fetch {
    /// Joins the group, or takes the partitions that were asked for.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        if self.in_group {
            let subscribed = self.client.consumer.subscribe(&[&self.client.topic]);
            return subscribed.map_err(|error| cannot(&self.client.name, "as a group", &error));
        }
        let partitions = self.client.partitions.clone();
        self.assign(&partitions)
    }

    /// Answers a rebalance.
    pub(super) fn rebalance(&mut self, rebalance: &Rebalance) -> Result<(), Error> {
        let name = &self.client.name;
        let partitions = numbers(&rebalance.partitions);
        match (rebalance.is_given, self.has_assignment) {
            (true, false) => tracing::info!("{name}: reading partitions {partitions}"),
            (true, true) => tracing::warn!("{name}: rebalanced, reading partitions {partitions}"),
            (false, _) => tracing::warn!("{name}: rebalanced, giving up partitions {partitions}"),
        }
        if rebalance.is_given {
            self.assign(&rebalance.partitions)
        } else {
            self.give_up(&rebalance.partitions)
        }
    }

    fn assign(&mut self, partitions: &[i32]) -> Result<(), Error> {
        let starts = self.starts(partitions)?;
        let consumer = &self.client.consumer;
        let is_incremental = matches!(
            consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        let assigned = match is_incremental && self.in_group {
            true => consumer.incremental_assign(&starts),
            false => consumer.assign(&starts),
        };
        assigned.map_err(|error| cannot(&self.client.name, "in its partitions", &error))?;
        for &number in partitions {
            self.partitions.at(number).is_assigned = true;
            if self.partitions.at(number).is_done {
                pause(&self.client, number);
            }
        }
        self.has_assignment = true;
        Ok(())
    }

    /// Without a group: takes up those of the topic's partitions that are new, from their beginnings.
    pub(super) fn grow(&mut self, partitions: impl Iterator<Item = i32>) -> Result<(), Error> {
        let known = &self.client.partitions;
        let is_new = |number: &i32| *number >= 0 && !known.contains(number);
        let mut new: Vec<i32> = partitions.filter(is_new).collect();
        if new.is_empty() {
            return Ok(());
        }
        new.sort_unstable();
        let name = &self.client.name;
        tracing::warn!(
            "{name}: the topic has grown, reading partitions {} too",
            numbers(&new)
        );
        let mut starts = list(&self.client.topic, new.iter().copied());
        starts
            .set_all_offsets(Offset::Beginning)
            .and_then(|()| self.client.consumer.incremental_assign(&starts))
            .map_err(|error| cannot(name, "in its new partitions", &error))?;
        for &number in &new {
            self.partitions.at(number).is_assigned = true;
        }
        self.client.partitions.extend(new);
        Ok(())
    }

    /// Where to begin in these partitions.
    fn starts(&mut self, partitions: &[i32]) -> Result<TopicPartitionList, Error> {
        let mut starts = list(&self.client.topic, partitions.iter().copied());
        let setting = |error: KafkaError| cannot(&self.client.name, "where to begin", &error);
        if self.in_group {
            starts = self.committed(&starts)?;
        }
        let mut fresh = Vec::new();
        for mut start in starts.elements() {
            let own = self.partitions.at(start.partition()).next;
            let committed = match start.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            self.partitions.at(start.partition()).committed = committed;
            match own.max(committed) {
                Some(next) => start.set_offset(Offset::Offset(next)).map_err(setting)?,
                None => fresh.push(start.partition()),
            }
        }
        let fresh_starts = self.fresh_starts(&fresh)?;
        for fresh in fresh_starts.elements() {
            starts
                .set_partition_offset(&self.client.topic, fresh.partition(), fresh.offset())
                .map_err(|error| cannot(&self.client.name, "where to begin", &error))?;
        }
        Ok(starts)
    }

    /// Where to begin in partitions of which nothing has been counted.
    fn fresh_starts(&self, partitions: &[i32]) -> Result<TopicPartitionList, Error> {
        let mut starts = list(&self.client.topic, partitions.iter().copied());
        let offset = match self.from {
            StartAt::Earliest => Offset::Beginning,
            StartAt::Latest => Offset::End,
            // A lookup takes milliseconds in the place of offsets.
            StartAt::Time(time) => Offset::Offset(time.as_nanos().div_euclid(1_000_000)),
        };
        starts
            .set_all_offsets(offset)
            .map_err(|error| cannot(&self.client.name, "where to begin", &error))?;
        match self.from {
            StartAt::Time(_) if !partitions.is_empty() => {
                self.client.ask("where that time is", || {
                    let consumer = &self.client.consumer;
                    consumer.offsets_for_times(starts.clone(), ANSWER_WAIT)
                })
            }
            _ => Ok(starts),
        }
    }

    /// What the group has of these partitions.
    pub(super) fn committed(
        &self,
        partitions: &TopicPartitionList,
    ) -> Result<TopicPartitionList, Error> {
        self.client.ask("where the group is", || {
            let consumer = &self.client.consumer;
            consumer.committed_offsets(partitions.clone(), ANSWER_WAIT)
        })
    }

    fn give_up(&mut self, partitions: &[i32]) -> Result<(), Error> {
        self.outlet.hand_over();
        if self.client.consumer.assignment_lost() {
            tracing::warn!(
                "{}: the group did not wait for us: what is not committed of partitions {} may be counted by others as well",
                self.client.name,
                numbers(partitions)
            );
        } else {
            self.wait_until_reported(partitions);
            self.commit(CommitMode::Sync);
        }
        for &number in partitions {
            self.partitions.at(number).is_assigned = false;
            self.outlet.end(End::Released(number));
        }
        let given = list(&self.client.topic, partitions.iter().copied());
        release(&self.client.consumer, &given)
            .map_err(|error| cannot(&self.client.name, "without its partitions", &error))
    }

    /// Waits for the batch that holds what these partitions brought; see the module's documentation.
    fn wait_until_reported(&mut self, partitions: &[i32]) {
        let begun = Instant::now();
        while begun.elapsed() < REVOKE_WAIT && !self.outlet.is_left() {
            self.hear_reports();
            if partitions
                .iter()
                .all(|&number| self.partitions.at(number).is_reported())
            {
                return;
            }
            std::thread::sleep(REVOKE_LOOK);
        }
        if self.outlet.is_emptied() && !self.outlet.is_left() {
            tracing::warn!(
                "{}: committing what was read of partitions {} though its batch is not printed yet",
                self.client.name,
                numbers(partitions)
            );
            for &number in partitions {
                let partition = self.partitions.at(number);
                partition.reported = partition.next;
            }
        }
    }

    /// Notes what has been reported since the last call.
    pub(super) fn hear_reports(&mut self) {
        while let Some(offsets) = self.reports.reported() {
            for (number, next) in offsets {
                let partition = self.partitions.at(number);
                partition.reported = partition.reported.max(Some(next));
            }
        }
    }

    /// Tells the group what has been reported of its partitions, if that is news.
    pub(super) fn commit(&mut self, mode: CommitMode) {
        if !self.in_group {
            return;
        }
        let mut news = TopicPartitionList::new();
        for (number, partition) in self.partitions.assigned() {
            if let Some(offset) = partition.reported
                && partition.reported > partition.committed
                && news
                    .add_partition_offset(&self.client.topic, number, Offset::Offset(offset))
                    .is_ok()
            {
                partition.committed = partition.reported;
            }
        }
        if news.count() == 0 {
            return;
        }
        if let Err(error) = self.client.consumer.commit(&news, mode) {
            tracing::warn!("{}: cannot commit: {}", self.client.name, words(&error));
            for (_, partition) in self.partitions.assigned() {
                // The next batch's commit tries again.
                partition.committed = None;
            }
        }
    }
}
