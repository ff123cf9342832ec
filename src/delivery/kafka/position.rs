//! Which parcel was delivered last, kept by the brokers: as an offset of a consumer group that nobody is in, committed in
//! the parcel's own transaction.
//!
//! The group and the transactions of a job's sink have one name, `tallyline/JOB/TOPIC`. The offset, of partition 0, is the
//! batch's number; its metadata tell when the batch began, which together no other batch of the job has, and the owner: a
//! process, by a number of its own. Brokers forget a group's offsets when nothing was committed for
//! `offsets.retention.minutes`, a week unless set.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::connection::Deadline;
use super::events::Events;
use crate::delivery::parcel::Parcel;
use crate::kafka::{Troubles, code, is_refusal};

/// The partition whose offset it is; every topic has it.
const PARTITION: i32 = 0;

/// How long it is waited for brokers before it is looked what they have told on the side.
const SLICE: Duration = Duration::from_secs(2);

/// What they may have told.
const EVENTS_MAX: usize = 32;

/// What was delivered last, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The batch's number; 0: none was.
    pub(super) batch: u64,
    /// When it began, in nanoseconds since the Unix epoch.
    pub(super) start_nanos: i64,
    /// The process that said so.
    pub(super) owner: String,
}

impl Position {
    /// Behind this parcel.
    pub(super) fn behind(parcel: &Parcel, owner: &str) -> Position {
        Position {
            batch: parcel.batch(),
            start_nanos: parcel.start().as_nanos(),
            owner: owner.to_owned(),
        }
    }

    /// Whether it is this parcel that was delivered last.
    pub(super) fn is_behind(&self, parcel: &Parcel) -> bool {
        (self.batch, self.start_nanos) == (parcel.batch(), parcel.start().as_nanos())
    }

    /// As it is committed.
    pub(super) fn offsets(&self, topic: &str) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(topic, PARTITION);
        element.set_offset(Offset::Offset(
            i64::try_from(self.batch).unwrap_or(i64::MAX),
        ))?;
        element.set_metadata(format!("{} {}", self.start_nanos, self.owner));
        Ok(list)
    }

    /// As it was committed; none if it was not, or by somebody else in some other way.
    fn committed(list: &TopicPartitionList, topic: &str) -> Option<Position> {
        let element = list.find_partition(topic, PARTITION)?;
        let Offset::Offset(batch) = element.offset() else {
            return None;
        };
        let (start_nanos, owner) = element.metadata().split_once(' ')?;
        Some(Position {
            batch: batch.try_into().ok()?,
            start_nanos: start_nanos.parse().ok()?,
            owner: owner.to_owned(),
        })
    }
}

/// Asks brokers, and writes nothing: a consumer that consumes nothing.
pub(super) struct Reader {
    pub(super) consumer: BaseConsumer<Events>,
    topic: String,
}

impl Reader {
    /// A connection with these properties. `is_settled`: whoever asks waits for transactions that are under way.
    pub(super) fn open(
        mut config: ClientConfig,
        group: &str,
        topic: &str,
        name: &Arc<str>,
        is_settled: bool,
    ) -> Result<Reader, KafkaError> {
        let isolation = match is_settled {
            true => "read_committed",
            false => "read_uncommitted",
        };
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("isolation.level", isolation);
        Ok(Reader {
            consumer: config.create_with_context(Events::new(name))?,
            topic: topic.to_owned(),
        })
    }

    pub(super) fn troubles(&self) -> &Troubles {
        &self.consumer.context().troubles
    }

    /// What was delivered last; none if nothing was.
    pub(super) fn read(&self, deadline: Deadline<'_>) -> Result<Option<Position>, KafkaError> {
        loop {
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.topic, PARTITION);
            let slice = SLICE.min(deadline.left());
            let error = match self.consumer.committed_offsets(list, slice) {
                Ok(list) => return Ok(Position::committed(&list, &self.topic)),
                Err(error) => error,
            };
            if let Some(code) = self.refused() {
                return Err(KafkaError::OffsetFetch(code));
            }
            if code(&error) != RDKafkaErrorCode::OperationTimedOut || deadline.left().is_zero() {
                return Err(error);
            }
        }
    }

    /// Whether brokers do not have us, which a call that waits for a group's coordinator does not tell.
    fn refused(&self) -> Option<RDKafkaErrorCode> {
        let told = std::iter::from_fn(|| self.consumer.poll(Duration::ZERO));
        // Nothing is assigned, so no message can come.
        let told = told.take(EVENTS_MAX).filter_map(Result::err);
        let mut refusals = told
            .map(|error| code(&error))
            .filter(|code| is_refusal(*code));
        refusals.next()
    }

    /// The group, as a transaction wants to know it.
    pub(super) fn group(&self) -> Result<ConsumerGroupMetadata, KafkaError> {
        let group = self.consumer.group_metadata();
        group.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownGroup))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::delivery::Packer;
    use crate::sink::testing;

    #[test]
    fn a_position_comes_back_as_it_was_committed() {
        let mut packer = Packer::default();
        packer.begin(7, Timestamp::from_nanos(-5), Timestamp::default());
        packer.batch(&testing::batch(&testing::STATUSES));
        let parcel = packer.finish().unwrap();
        let position = Position::behind(&parcel, "me");
        let list = position.offsets("t").unwrap();
        assert_eq!(Position::committed(&list, "t"), Some(position.clone()));
        assert_eq!(Position::committed(&list, "u"), None);
        assert!(position.is_behind(&parcel) && !Position::default().is_behind(&parcel));
        let other = Position {
            start_nanos: 5,
            ..position
        };
        assert!(!other.is_behind(&parcel));
    }

    #[test]
    fn what_others_commit_is_no_position() {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(3))
            .unwrap();
        assert_eq!(Position::committed(&list, "t"), None);
    }
}
