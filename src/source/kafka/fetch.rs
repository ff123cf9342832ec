//! The fetching thread: librdkafka's messages into the handover.
//!
//! It polls as long as messages are waiting and copies each into the handover's buffers; when no
//! message is waiting it hands over what it has, so a trickle is counted without delay. Between two rounds it deals with what else librdkafka told: rebalances,
//! ends of partitions, brokers lost and found, offsets to commit.
//!
//! This is the data path that a fetch lane of our own can replace; see the parent module.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, Statistics};

use super::client::{Brokers, Client};
use super::partitions::{Partitions, list};
use super::reports::Reports;
use super::{End, KafkaOptions};
use crate::error::Error;
use crate::kafka::words;
use crate::source::StartAt;
use crate::source::handover::Outlet;

/// Messages between two looks at what else there is to do.
const ROUND_MESSAGES: usize = 16 * 1024;

/// How long to wait for a message before looking at what else there is to do.
const IDLE_WAIT: Duration = Duration::from_millis(50);

/// How often a consumer without partitions asks whether the group is at the end.
const GROUP_END_LOOK: Duration = Duration::from_secs(1);

/// The fetching thread's state.
pub(super) struct Fetch {
    pub(super) client: Client,
    pub(super) outlet: Outlet<End>,
    pub(super) reports: Arc<Reports>,
    pub(super) partitions: Partitions,
    pub(super) in_group: bool,
    pub(super) from: StartAt,
    /// Partitions were given to us, none perhaps.
    pub(super) has_assignment: bool,
    until_end: bool,
    /// All partitions are wanted, those too that the topic has not yet.
    follows_growth: bool,
    brokers: Brokers,
    /// The last error of a connection.
    why: Option<String>,
    group_looked_at: Option<Instant>,
}

impl Fetch {
    /// A fetching thread's state; learns where the partitions end if that matters.
    pub(super) fn new(
        client: Client,
        options: &KafkaOptions,
        outlet: Outlet<End>,
        reports: Arc<Reports>,
    ) -> Result<Fetch, Error> {
        let mut partitions = Partitions::default();
        for &(number, next) in &options.counted {
            let partition = partitions.at(number);
            (partition.next, partition.reported) = (Some(next), Some(next));
        }
        if options.until_end {
            let bounds = client.bounds()?;
            for &(number, begin, end) in &bounds {
                let partition = partitions.at(number);
                partition.end = Some(end);
                partition.is_done = Some(begin).max(partition.next) >= Some(end);
            }
            reports.set_ends(
                bounds
                    .iter()
                    .map(|&(number, _, end)| (number, end))
                    .collect(),
            );
        }
        Ok(Fetch {
            client,
            outlet,
            reports,
            partitions,
            in_group: options.group.is_some(),
            from: options.from,
            has_assignment: false,
            until_end: options.until_end,
            follows_growth: options.group.is_none()
                && options.partitions.is_empty()
                && !options.until_end,
            brokers: Brokers::default(),
            why: None,
            group_looked_at: None,
        })
    }

    /// Fetches until the reader leaves, then commits the last offsets and leaves the group.
    pub(super) fn run(mut self) {
        self.outlet.adopt();
        self.reports.adopt();
        let outcome = self.begin().and_then(|()| self.fetch());
        self.outlet.finish(outcome);
        self.reports.wait();
        self.hear_reports();
        self.commit(CommitMode::Sync);
        self.client.close();
    }

    /// Until the reader leaves, or every partition is at its end.
    fn fetch(&mut self) -> Result<(), Error> {
        while !self.outlet.is_left() {
            let polled = self.round()?;
            self.outlet.hand_over();
            self.hear_reports();
            self.commit(CommitMode::Async);
            self.hear_statistics()?;
            if let Some(rebalance) = self.client.consumer.context().rebalances.pop() {
                self.rebalance(&rebalance)?;
            }
            if self.until_end && self.is_at_end()? {
                return Ok(());
            }
            if polled == 0 {
                self.poll(IDLE_WAIT)?;
            }
        }
        Ok(())
    }

    /// Takes the messages that are waiting, but not for ever; returns how many.
    fn round(&mut self) -> Result<usize, Error> {
        for polled in 0..ROUND_MESSAGES {
            if !self.poll(Duration::ZERO)? {
                return Ok(polled);
            }
        }
        Ok(ROUND_MESSAGES)
    }

    /// Takes the next message or event; `false` if none came.
    fn poll(&mut self, wait: Duration) -> Result<bool, Error> {
        let error = match self.client.consumer.poll(wait) {
            None => return Ok(false),
            Some(Ok(message)) => {
                take(
                    &message,
                    &mut self.partitions,
                    &mut self.outlet,
                    &self.client,
                );
                return Ok(true);
            }
            Some(Err(error)) => error,
        };
        match error {
            KafkaError::PartitionEOF(number) => {
                tracing::debug!("{}: at the end of partition {number}", self.client.name);
                if self.until_end {
                    finish(number, &mut self.partitions, &self.client);
                }
            }
            error => self.trouble(&error)?,
        }
        Ok(true)
    }

    /// An error that librdkafka reports: most pass by themselves.
    fn trouble(&mut self, error: &KafkaError) -> Result<(), Error> {
        let last = self.client.consumer.context().troubles.last();
        self.why = last.why.or(self.why.take());
        let name = &self.client.name;
        let why = self.why.clone().unwrap_or_else(|| words(error));
        let failed = || Err(Error::Source(format!("lost {name}: {why}")));
        match error.rdkafka_error_code() {
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => failed(),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => failed(),
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) if self.in_group => failed(),
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            ) => {
                if self.until_end {
                    return failed();
                }
                tracing::warn!("{name}: {why}; waiting for it to come back");
                Ok(())
            }
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::GroupAuthorizationFailed,
            ) => {
                tracing::info!("{name}: {why}");
                Ok(())
            }
            _ => {
                tracing::warn!("{name}: {why}; librdkafka goes on");
                Ok(())
            }
        }
    }

    /// What librdkafka tells once a second: brokers lost and found, ends of partitions, new partitions.
    fn hear_statistics(&mut self) -> Result<(), Error> {
        let Some(statistics) = self.client.consumer.context().statistics.pop() else {
            return Ok(());
        };
        self.brokers
            .hear(&self.client.name, &statistics, self.why.as_deref());
        let ends = ends(&statistics, &self.client.topic);
        if !ends.is_empty() {
            self.reports.set_ends(ends);
        }
        let topic = statistics.topics.get(&self.client.topic);
        match topic.filter(|_| self.follows_growth) {
            Some(topic) => self.grow(topic.partitions.keys().copied()),
            None => Ok(()),
        }
    }

    /// With `--until-end`: whether every partition of ours is at its end. Who has none waits until
    /// those who have them are.
    fn is_at_end(&mut self) -> Result<bool, Error> {
        let mut assigned = self.partitions.assigned().peekable();
        if assigned.peek().is_some() {
            return Ok(assigned.all(|(_, partition)| partition.is_done));
        }
        drop(assigned);
        let is_time = self
            .group_looked_at
            .is_none_or(|at| at.elapsed() >= GROUP_END_LOOK);
        if !self.has_assignment || !is_time {
            return Ok(false);
        }
        self.group_looked_at = Some(Instant::now());
        let numbers = self.client.partitions.iter().copied();
        let committed = self.committed(&list(&self.client.topic, numbers))?;
        let is_reached = |(number, end): (i32, i64)| {
            let partition = committed.find_partition(&self.client.topic, number);
            let offset = partition.map(|partition| partition.offset());
            end == 0 || matches!(offset, Some(Offset::Offset(offset)) if offset >= end)
        };
        Ok(self.partitions.ends().all(is_reached))
    }
}

/// Takes a message: into the handover, unless it is behind the end that is wanted.
fn take(
    message: &BorrowedMessage<'_>,
    partitions: &mut Partitions,
    outlet: &mut Outlet<End>,
    client: &Client,
) {
    let (number, next) = (message.partition(), message.offset() + 1);
    if let Some(end) = partitions.at(number).end
        && next >= end
    {
        finish(number, partitions, client);
        if next > end {
            return;
        }
    }
    let value = message.payload().unwrap_or_default();
    let end = End::Message {
        partition: number,
        next,
    };
    if outlet.lines(value) && outlet.end(end) {
        partitions.at(number).next = Some(next);
    }
}

/// A partition is at the end that is wanted: nothing more of it is fetched.
fn finish(number: i32, partitions: &mut Partitions, client: &Client) {
    if !std::mem::replace(&mut partitions.at(number).is_done, true) {
        pause(client, number);
    }
}

/// Stops the fetching of a partition.
pub(super) fn pause(client: &Client, number: i32) {
    let paused = client.consumer.pause(&list(&client.topic, [number]));
    if let Err(error) = paused {
        // Then what is behind the end is fetched in vain.
        let why = words(&error);
        tracing::debug!("{}: cannot pause partition {number}: {why}", client.name);
    }
}

/// Where the topic's partitions end, as far as librdkafka knows.
fn ends(statistics: &Statistics, topic: &str) -> Vec<(i32, i64)> {
    let Some(topic) = statistics.topics.get(topic) else {
        return Vec::new();
    };
    let ends = topic.partitions.values().filter_map(|partition| {
        // What a consumer of committed transactions can read ends at the last stable offset.
        let end = [partition.ls_offset, partition.hi_offset];
        let end = end.into_iter().find(|&offset| offset >= 0)?;
        (partition.partition >= 0).then_some((partition.partition, end))
    });
    ends.collect()
}
