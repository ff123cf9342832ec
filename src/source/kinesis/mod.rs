//! `kinesis://STREAM`: the records of a Kinesis stream, each of one or more lines.
//!
//! A record ends its last line, newline or not, and never continues the line of another. Those that Amazon's producer
//! library has packed many into are unpacked (`aggregate`).
//!
//! All shards are read, each in order, and where shards are split or merged the children when their parents have been
//! read out (`shards`). A stream can be read again: behind each record stands its sequence number, and with each batch's
//! mark goes, for each shard, the last that was read whole. Kinesis itself keeps nothing of it: a second run goes on
//! there if it was saved (`--state`), and begins where `--from` says otherwise.
//!
//! A thread of its own asks Kinesis through Amazon's SDK (`client`), when each shard is due (`fetch`), and hands the
//! records over through the same buffers as the Kafka source does; the counting path sees no async runtime. The SDK
//! itself brings records as copies, base64 decoded: 2 MB/s a shard, as Kinesis allows, is no work.
//!
//! Bounds: the handover's buffers, and four answers of at most 10 MiB of records at once. While the reader takes
//! nothing, all buffers are full and the fetching stands still.

mod address;
mod aggregate;
mod client;
mod fetch;
mod shards;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::source::handover::{Intake, handover, memory_bytes};
use crate::source::{Lag, Next, Part, PartOffset, Read, Readiness, Source, StartAt};

use self::address::Address;
use self::client::Client;
use self::fetch::{Fetch, PAGES_BYTES_MAX};

/// How a stream is read.
#[derive(Clone, Debug, Default)]
pub struct KinesisOptions {
    /// The region; else what the environment or a profile says.
    pub region: Option<String>,
    /// Where Kinesis answers, if not where the region's does.
    pub endpoint_url: Option<String>,
    /// Where to begin.
    pub from: StartAt,
    /// End at the shards' ends as they are at the start.
    pub until_end: bool,
    /// How long to keep trying to reach it; zero: until the first attempt has failed.
    pub connect_wait: Duration,
    /// The shards that an earlier run has counted, and where to go on in each.
    pub counted: Vec<(Arc<str>, Next)>,
}

/// What stands behind a record, or between two.
#[derive(Clone, Debug)]
struct End {
    shard: Arc<str>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// The record of this sequence number is complete.
    Behind(Arc<str>),
    /// How many milliseconds the shard's newest record is newer.
    Lag(u64),
    /// Nothing more will come of the shard.
    ReadOut,
    /// The stream knows nothing of the shard any more.
    Forgotten,
}

/// How far a shard is settled.
#[derive(Clone, Debug)]
struct Position {
    shard: Arc<str>,
    /// None before its first record.
    next: Option<Next>,
    millis_behind: Option<u64>,
}

impl Position {
    fn counted((shard, next): &(Arc<str>, Next)) -> Position {
        Position {
            shard: Arc::clone(shard),
            next: Some(next.clone()),
            millis_behind: None,
        }
    }

    fn offset(&self) -> Option<PartOffset> {
        Some(PartOffset {
            part: Part::Shard(Arc::clone(&self.shard)),
            next: self.next.clone()?,
            lag: self.millis_behind.map(Lag::Millis),
        })
    }
}

/// A stream, read by a thread of its own: the reader's end. See the module's documentation.
pub struct KinesisSource {
    name: Arc<str>,
    /// None once the source is dropped, which waits for the fetching thread.
    intake: Option<Intake<End>>,
    /// How far each shard is settled: by name.
    positions: Vec<Position>,
    thread: Option<JoinHandle<()>>,
}

impl KinesisSource {
    /// Finds credentials, learns of the stream's shards, and begins to fetch.
    ///
    /// # Errors
    /// If the address makes no sense or no region is known (usage); if Kinesis cannot be reached, refuses the
    /// credentials or has no such stream.
    pub fn open(
        name: &str,
        address: &str,
        options: &KinesisOptions,
    ) -> Result<KinesisSource, Error> {
        let address = Address::parse(name, address)?;
        let name: Arc<str> = name.into();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::System("start a runtime", error))?;
        let connecting = Client::connect(Arc::clone(&name), address, options);
        let (client, shards) = runtime.block_on(connecting)?;
        let (outlet, intake) = handover();
        let fetch = Fetch::new(client, &shards, options, outlet);
        let is_listed = |name: &str| shards.iter().any(|shard| shard.shard_id() == name);
        let counted = options.counted.iter().filter(|(name, _)| is_listed(name));
        let mut positions: Vec<Position> = counted.map(Position::counted).collect();
        positions.sort_by(|one, other| one.shard.cmp(&other.shard));
        let thread = crate::thread::spawn("kinesis".to_owned(), None, move || fetch.run(runtime));
        Ok(KinesisSource {
            name,
            intake: Some(intake),
            positions,
            thread: Some(thread.map_err(|error| Error::System("start a thread", error))?),
        })
    }
}

/// Notes in the shards' positions what stands behind a record.
fn note(positions: &mut Vec<Position>, end: &End) {
    let found = positions.binary_search_by(|position| position.shard.cmp(&end.shard));
    let at = found.unwrap_or_else(|at| {
        let position = Position {
            shard: Arc::clone(&end.shard),
            next: None,
            millis_behind: None,
        };
        positions.insert(at, position);
        at
    });
    match &end.what {
        What::Behind(number) => positions[at].next = Some(Next::Behind(Arc::clone(number))),
        What::Lag(millis) => positions[at].millis_behind = Some(*millis),
        What::ReadOut => positions[at].next = Some(Next::Nowhere),
        What::Forgotten => drop(positions.remove(at)),
    }
}

impl Source for KinesisSource {
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
            Some(intake) => intake.read(space, |end| note(positions, end)),
            None => Read::Finished,
        }
    }

    fn own_bytes_max(&self) -> usize {
        memory_bytes::<End>() + PAGES_BYTES_MAX
    }

    fn offsets(&mut self, is_held: bool) -> Vec<PartOffset> {
        let positions = &mut self.positions;
        if let Some(intake) = self.intake.as_mut().filter(|_| !is_held) {
            intake.settle(|end| note(positions, end));
        }
        self.positions.iter().filter_map(Position::offset).collect()
    }
}

impl Drop for KinesisSource {
    fn drop(&mut self) {
        self.intake = None;
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .expect("a thread that panics ends the program");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_stands_behind_its_last_record_until_it_is_forgotten() {
        let mut positions = Vec::new();
        let mut after = |shard: &str, what| {
            let shard = shard.into();
            note(&mut positions, &End { shard, what });
            let offsets = positions.iter().filter_map(Position::offset);
            offsets
                .map(|offset| (offset.part.to_string(), offset.next, offset.lag))
                .collect::<Vec<_>>()
        };
        let b = |next, lag| ("b".to_owned(), next, lag);
        assert_eq!(after("b", What::Lag(7)), []);
        let first = Next::Behind("1".into());
        let lag = Some(Lag::Millis(7));
        assert_eq!(
            after("b", What::Behind("1".into())),
            [b(first.clone(), lag)]
        );
        let a = ("a".to_owned(), Next::Nowhere, None);
        assert_eq!(after("a", What::ReadOut), [a, b(first.clone(), lag)]);
        assert_eq!(after("a", What::Forgotten), [b(first, lag)]);
    }
}
