//! A source that can replay: numbered records in partitions, each a line, as a Kafka topic has them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use tallyline::clock::Timestamp;
use tallyline::source::{
    Commit, Next, Part, PartOffset, Read, Readiness, Script, Source, SourceOffsets,
};

use crate::layout::Laid;

/// Where a partition stands behind so many bytes that have arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordEnd {
    pub(crate) arrived: u64,
    pub(crate) partition: usize,
    /// The number of the record to go on with.
    pub(crate) next: u64,
}

/// The partitions' positions, as a consumer group that was told of them keeps them.
pub(crate) type Committed = Arc<Mutex<Vec<u64>>>;

/// The topic, from where an earlier life left it on.
pub(crate) struct Topic {
    script: Script,
    name: String,
    ends: VecDeque<RecordEnd>,
    /// By partition, where to go on behind what has been read but for the last read.
    next: Vec<u64>,
    /// Bytes read in all, and before the last read.
    read: u64,
    read_before: u64,
    committed: Committed,
}

impl Topic {
    /// What is `laid` out of it, with the `ends` of its records; each partition is at `next` now.
    pub(crate) fn new(
        name: &str,
        laid: &Laid,
        ends: Vec<RecordEnd>,
        next: Vec<u64>,
        committed: Committed,
    ) -> Topic {
        Topic {
            script: Script::new(laid.events.clone()),
            name: name.to_owned(),
            ends: ends.into(),
            next,
            read: 0,
            read_before: 0,
            committed,
        }
    }
}

impl Source for Topic {
    fn name(&self) -> &str {
        &self.name
    }

    fn register(&mut self, readiness: &Readiness<'_>) -> io::Result<()> {
        self.script.register(readiness)
    }

    fn read(&mut self, space: &mut [u8], readiness: &Readiness<'_>, now: Timestamp) -> Read {
        let read = self.script.read(space, readiness, now);
        if let Read::Bytes(count) = read {
            self.read_before = self.read;
            self.read += count as u64;
        }
        read
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.script.wake_at()
    }

    fn offsets(&mut self, is_held: bool) -> Vec<PartOffset> {
        let read = if is_held { self.read_before } else { self.read };
        while let Some(end) = self.ends.front().filter(|end| end.arrived <= read) {
            self.next[end.partition] = end.next;
            self.ends.pop_front();
        }
        let parts = self.next.iter().enumerate();
        let offset = |(partition, &next): (usize, &u64)| PartOffset {
            part: Part::Partition(partition as i32),
            next: Next::Record(next as i64),
            lag: None,
        };
        parts.map(offset).collect()
    }

    fn committer(&mut self) -> Option<Box<dyn Commit>> {
        Some(Box::new(Group(Arc::clone(&self.committed))))
    }
}

/// Keeps what it is told.
struct Group(Committed);

impl Commit for Group {
    fn commit(&mut self, offsets: &SourceOffsets) {
        let next = offsets.parts.iter().map(|part| match part.next {
            Next::Record(number) => number as u64,
            _ => unreachable!("a topic's parts are numbered"),
        });
        *self.0.lock().expect("no holder panics") = next.collect();
    }
}
