//! `kafka://BROKERS/TOPIC`: a topic's messages, each of one or more lines.
//!
//! A message ends its last line, newline or not, and never continues the line of another; one
//! without a value (a tombstone) or with an empty one is a blank line. A byte order mark at the
//! start of a message is skipped.
//!
//! A topic can be read again. With a consumer group the offsets behind a batch are committed when
//! every sink has taken that batch: after a crash the group goes on with the last batch that was not
//! printed, whose lines a restart counts again (at least once). Without one nothing is committed.
//!
//! Two threads, and between them a queue that is the seam between control and data:
//!
//! - *Control* is librdkafka's: the group, metadata, credentials, brokers lost and found. It is in
//!   `client` (connections), `group` (which partitions, from which offset, what is committed) and
//!   `partitions` (how far each one is).
//! - *Data* are whole messages with the offset behind each, put into a `handover` by
//!   `fetch` and taken by [`KafkaSource`] on the reader's thread. Whatever fetches messages of the
//!   partitions and offsets that `group` decides on can take `fetch`'s place: a lane of our own that
//!   fetches record batches from the partition leaders is to, as librdkafka spends some 0.5 µs of
//!   processor time on every message.
//!
//! The bytes are copied twice, out of librdkafka's memory and into the chunk; lent pieces of
//! librdkafka's memory would cost a reference count per message, which is more than 71 bytes' copy.
//!
//! Bounds: the handover's buffers, and what librdkafka fetches ahead
//! (`queued.max.messages.kbytes` and `queued.min.messages`, see `client`). While the reader takes
//! nothing, all buffers are full and the fetching stands still.

mod client;
mod fetch;
mod group;
mod partitions;
mod reports;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
pub use crate::kafka::Properties;
use crate::kafka::{ADDRESS, Address};
use crate::source::handover::{Intake, handover, memory_bytes};
use crate::source::{
    Commit, Lag, Next, Part, PartOffset, Read, Readiness, Source, SourceOffsets, StartAt,
};

use self::client::Client;
pub use self::client::DEFAULTS;
use self::fetch::Fetch;
use self::reports::Reports;

/// How a topic is read.
#[derive(Clone, Debug, Default)]
pub struct KafkaOptions {
    /// The consumer group that shares the partitions out and keeps the offsets.
    pub group: Option<String>,
    /// Without a group: these partitions, or all if there are none.
    pub partitions: Vec<i32>,
    /// Where to begin; in a group, in partitions of which it has no offset.
    pub from: StartAt,
    /// End at the partitions' ends as they are at the start.
    pub until_end: bool,
    /// What librdkafka is to be told beside.
    pub properties: Properties,
    /// Partitions that an earlier run has counted, and the offsets to go on at; these go before the group's
    /// and before `from`.
    pub counted: Vec<(i32, i64)>,
    /// How long to keep trying to reach a broker; zero: until the first attempts have failed.
    pub connect_wait: Duration,
}

/// What stands behind a message, or between two.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The message of `partition` before `next` is complete.
    Message { partition: i32, next: i64 },
    /// This partition is somebody else's now.
    Released(i32),
}

/// How far a partition is settled.
#[derive(Clone, Copy, Debug)]
struct Position {
    partition: i32,
    /// The message to go on with.
    next: i64,
    /// Behind its last message, when that was last heard of.
    end: Option<i64>,
}

impl Position {
    fn offset(&self) -> PartOffset {
        let lag = |end: i64| u64::try_from(end.saturating_sub(self.next)).unwrap_or(0);
        PartOffset {
            part: Part::Partition(self.partition),
            next: Next::Record(self.next),
            lag: self.end.map(lag).map(Lag::Records),
        }
    }
}

/// A topic, read by a thread of its own: the reader's end. See the module's documentation.
pub struct KafkaSource {
    name: Arc<str>,
    /// None once the source is dropped, which waits for the fetching thread.
    intake: Option<Intake<End>>,
    reports: Arc<Reports>,
    /// How far each partition is settled: by number.
    positions: Vec<Position>,
    in_group: bool,
    own_bytes_max: usize,
    /// Until the committer takes it over.
    thread: Option<JoinHandle<()>>,
}

impl KafkaSource {
    /// Reaches a broker, learns of the topic, and begins to fetch.
    ///
    /// # Errors
    /// If the address, a partition or a property makes no sense (usage); if no broker answers, the
    /// credentials are refused or there is no such topic.
    pub fn open(name: &str, address: &str, options: &KafkaOptions) -> Result<KafkaSource, Error> {
        let address = Address::parse(address)
            .map_err(|what| Error::Usage(format!("source {name}: {what}; {ADDRESS}")))?;
        let name: Arc<str> = name.into();
        let client = Client::connect(Arc::clone(&name), address, options)?;
        let own_bytes_max = memory_bytes::<End>() + client.ahead_bytes_max;
        let reports = Arc::new(Reports::new());
        let (outlet, intake) = handover();
        let fetch = Fetch::new(client, options, outlet, Arc::clone(&reports))?;
        let thread = crate::thread::spawn("kafka".to_owned(), None, move || fetch.run());
        Ok(KafkaSource {
            name,
            intake: Some(intake),
            reports,
            positions: Vec::new(),
            in_group: options.group.is_some(),
            own_bytes_max,
            thread: Some(thread.map_err(|error| Error::System("start a thread", error))?),
        })
    }
}

/// Notes in the partitions' positions what stands behind a message.
fn note(positions: &mut Vec<Position>, end: End) {
    let (partition, next) = match end {
        End::Message { partition, next } => (partition, next),
        End::Released(number) => {
            positions.retain(|position| position.partition != number);
            return;
        }
    };
    match positions.binary_search_by_key(&partition, |position| position.partition) {
        Ok(at) => positions[at].next = next,
        Err(at) => {
            let position = Position {
                partition,
                next,
                end: None,
            };
            positions.insert(at, position);
        }
    }
}

impl Source for KafkaSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        if let Some(intake) = &self.intake {
            intake.set_waker(readiness.waker);
        }
        Ok(())
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        let positions = &mut self.positions;
        match &mut self.intake {
            Some(intake) => intake.read(space, |&end| note(positions, end)),
            None => Read::Finished,
        }
    }

    fn own_bytes_max(&self) -> usize {
        self.own_bytes_max
    }

    fn offsets(&mut self, is_held: bool) -> Vec<PartOffset> {
        let positions = &mut self.positions;
        if let Some(intake) = self.intake.as_mut().filter(|_| !is_held) {
            intake.settle(|&end| note(positions, end));
        }
        if let Some(ends) = self.reports.take_ends() {
            for position in &mut self.positions {
                let end = ends
                    .iter()
                    .find(|(number, _)| *number == position.partition);
                position.end = end.map(|&(_, end)| end).or(position.end);
            }
        }
        self.positions.iter().map(Position::offset).collect()
    }

    fn committer(&mut self) -> Option<Box<dyn Commit>> {
        let reports = Arc::clone(&self.reports);
        let thread = self.thread.take_if(|_| self.in_group)?;
        reports.begin();
        Some(Box::new(GroupCommit {
            reports,
            thread: Some(thread),
        }))
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.intake = None;
        if let Some(thread) = self.thread.take() {
            join(thread, &self.name);
        }
    }
}

/// The merge's end: passes on what has been reported, and lets the group go at the end of the run.
struct GroupCommit {
    reports: Arc<Reports>,
    thread: Option<JoinHandle<()>>,
}

impl Commit for GroupCommit {
    fn commit(&mut self, offsets: &SourceOffsets) {
        let parts = offsets.parts.iter();
        let reported = parts.filter_map(|offset| match (&offset.part, &offset.next) {
            (&Part::Partition(number), &Next::Record(next)) => Some((number, next)),
            _ => None,
        });
        self.reports.report(reported.collect());
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.reports.end();
        if let Some(thread) = self.thread.take() {
            join(thread, "the consumer group");
        }
    }
}

/// How long the last commit and the leaving of the group may take: no broker may be left to hear it.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// Waits for the fetching thread, but not for ever.
fn join(thread: JoinHandle<()>, name: &str) {
    let begun = std::time::Instant::now();
    while !thread.is_finished() && begun.elapsed() < CLOSE_WAIT {
        std::thread::sleep(Duration::from_millis(1));
    }
    if thread.is_finished() {
        thread
            .join()
            .expect("a thread that panics ends the program");
    } else {
        tracing::warn!(
            "left {name} without a word: no broker has answered for {} s",
            CLOSE_WAIT.as_secs()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_what_is_there_and_not_read() {
        let lag = |next, end| {
            let position = Position {
                partition: 0,
                next,
                end,
            };
            position.offset().lag
        };
        assert_eq!(lag(7, Some(10)), Some(Lag::Records(3)));
        assert_eq!(lag(5, Some(4)), Some(Lag::Records(0)));
        assert_eq!(lag(5, None), None);
    }
}
