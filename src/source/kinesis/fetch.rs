//! The fetching thread: pages of records from the shards into the handover.
//!
//! One thread, and in it tokio's runtime for one thread, which the SDK needs. A few reads are under way at once, never
//! two of one shard; each brings a page, which is put into the handover before the next answer is looked at. With no
//! buffer left all of it stands still; an iterator that grows too old meanwhile is renewed behind the last record.
//!
//! Kinesis allows five reads of a shard in a second, from whomever: a shard is read every
//! [`BETWEEN_READS`] while there is more, and every [`BETWEEN_LOOKS`] when all has been read. Who reads beside us takes
//! of the same five; when they are used up, the waits double.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::types::{Record, Shard as Listed};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::aggregate::{HashRange, unpack};
use super::client::{Client, Page, Start, Trouble, backoff};
use super::shards::Shards;
use super::{End, KinesisOptions, What};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::source::StartAt;
use crate::source::handover::Outlet;

/// Reads under way at once. An answer is up to 10 MiB of records, and a third more as it comes.
pub(super) const READS_MAX: usize = 4;

/// The memory of the answers under way.
pub(super) const PAGES_BYTES_MAX: usize = READS_MAX * (10 << 20) * 7 / 3;

/// Between two reads of a shard that has more.
const BETWEEN_READS: Duration = Duration::from_millis(210);

/// Between two reads of a shard that had no more.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// How long the thread may not see that the reader has left.
const LOOK_WAIT: Duration = Duration::from_millis(50);

/// Between two words about being throttled.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(30);

/// The fetching thread's state.
pub(super) struct Fetch {
    client: Arc<Client>,
    shards: Shards,
    outlet: Outlet<End>,
    tasks: JoinSet<Answer>,
    /// With `--until-end`: records that came later are not wanted.
    end: Option<Timestamp>,
    listing: Listing,
    /// The last answer was that there is none.
    is_lost: bool,
    throttled_told: Option<Instant>,
}

/// When the shards are to be listed again.
#[derive(Clone, Copy, Debug)]
enum Listing {
    NotDue,
    Due(Instant),
    UnderWay,
}

/// What a task comes back with.
enum Answer {
    Read {
        shard: Arc<str>,
        /// The iterator that was used, or was to be.
        iterator: Option<String>,
        page: Result<Page, Trouble>,
    },
    Shards(Result<Vec<Listed>, Trouble>),
}

impl Fetch {
    pub(super) fn new(
        client: Client,
        listed: &[Listed],
        options: &KinesisOptions,
        outlet: Outlet<End>,
    ) -> Fetch {
        let start = match options.from {
            StartAt::Earliest => Start::Earliest,
            StartAt::Latest => Start::Latest,
            StartAt::Time(time) => Start::Time(time),
        };
        // The server's time is told to the second before.
        let end = client.server_time().plus_nanos(1_000_000_000);
        let mut shards = Shards::default();
        shards.learn(listed, &start, Instant::now());
        for (name, next) in &options.counted {
            if let Some(shard) = shards.get_mut(name) {
                shard.go_on(next);
            }
        }
        Fetch {
            client: Arc::new(client),
            shards,
            outlet,
            tasks: JoinSet::new(),
            end: options.until_end.then_some(end),
            listing: Listing::NotDue,
            is_lost: false,
            throttled_told: None,
        }
    }

    /// Fetches until the reader leaves, or with `--until-end` until the end.
    pub(super) fn run(mut self, runtime: Runtime) {
        self.outlet.adopt();
        let outcome = runtime.block_on(self.fetch());
        self.outlet.finish(outcome);
        // A name that is being looked up is not waited for.
        runtime.shutdown_background();
    }

    async fn fetch(&mut self) -> Result<(), Error> {
        while !self.outlet.is_left() && !self.is_at_end() {
            let now = Instant::now();
            self.begin_reads(now);
            if matches!(self.listing, Listing::Due(at) if at <= now) {
                self.listing = Listing::UnderWay;
                let client = Arc::clone(&self.client);
                self.tasks
                    .spawn(async move { Answer::Shards(client.shards().await) });
            }
            let look = now + LOOK_WAIT;
            let wake = self
                .shards
                .next_due()
                .map_or(look, |due| due.clamp(now, look));
            // With as many reads under way as there may be, one of them is waited for.
            let wake = if self.tasks.len() < READS_MAX {
                wake
            } else {
                look
            };
            match timeout_at(wake, next(&mut self.tasks)).await {
                Ok(answer) => self.take(answer)?,
                Err(_) => continue,
            }
            self.outlet.hand_over();
        }
        Ok(())
    }

    /// With `--until-end`: whether it is reached, and not only because shards are gone that the list knows more of.
    fn is_at_end(&self) -> bool {
        let is_known = matches!(self.listing, Listing::NotDue);
        self.end.is_some() && is_known && self.shards.are_over()
    }

    /// Begins the reads that are due.
    fn begin_reads(&mut self, now: Instant) {
        while self.tasks.len() < READS_MAX
            && let Some((name, shard)) = self.shards.due(now)
        {
            shard.is_reading = true;
            shard.due = now + BETWEEN_READS;
            let (start, iterator) = (shard.start.clone(), shard.iterator.take());
            let client = Arc::clone(&self.client);
            self.tasks.spawn(read(client, name, start, iterator));
        }
    }

    fn take(&mut self, answer: Answer) -> Result<(), Error> {
        match answer {
            Answer::Read {
                shard,
                iterator,
                page,
            } => {
                if let Some(known) = self.shards.get_mut(&shard) {
                    known.is_reading = false;
                    known.iterator = iterator;
                    if known.start == Start::Latest && known.iterator.is_some() {
                        // Another iterator is not to begin later than this one.
                        known.start = Start::Time(self.client.server_time());
                    }
                }
                match page {
                    Ok(page) => self.page(&shard, page),
                    Err(trouble) => return self.trouble(&shard, trouble),
                }
            }
            Answer::Shards(Ok(_)) if self.end.is_some() => self.listing = Listing::NotDue,
            Answer::Shards(Ok(listed)) => {
                self.listing = Listing::NotDue;
                let gone = self.shards.learn(&listed, &Start::Earliest, Instant::now());
                for shard in gone {
                    self.put_end(&shard, What::Forgotten);
                }
            }
            Answer::Shards(Err(trouble)) => {
                self.listing = Listing::Due(Instant::now() + backoff(5));
                self.tell(&trouble);
                if matches!(trouble, Trouble::NotFound | Trouble::Lasting(_)) {
                    return Err(self.client.failure(&trouble));
                }
            }
        }
        Ok(())
    }

    /// A page of a shard has come.
    fn page(&mut self, name: &Arc<str>, page: Page) {
        if std::mem::take(&mut self.is_lost) {
            tracing::warn!("connected to {} again", self.client.name);
        }
        let Some(shard) = self.shards.get_mut(name) else {
            return;
        };
        shard.failures = 0;
        let range = shard.range;
        let is_caught_up = page.millis_behind == 0;
        let (mut last, mut is_past_end) = (None, false);
        for record in page.records {
            if self.end.is_some_and(|end| arrival(&record) > end) {
                is_past_end = true;
                break;
            }
            if !put(&mut self.outlet, record.data.as_ref(), range) {
                return;
            }
            let number: Arc<str> = record.sequence_number.into();
            self.put_end(name, What::Behind(Arc::clone(&number)));
            last = Some(number);
        }
        let Some(shard) = self.shards.get_mut(name) else {
            return;
        };
        if let Some(number) = last {
            shard.start = Start::Behind(number);
        }
        if is_caught_up {
            shard.due += BETWEEN_LOOKS - BETWEEN_READS;
        }
        let has_moved = shard.millis_behind.replace(page.millis_behind) != Some(page.millis_behind);
        let is_read_out = page.iterator.is_none() && !is_past_end;
        let is_at_end = self.end.is_some() && is_caught_up;
        shard.is_over = is_read_out || is_past_end || is_at_end;
        shard.iterator = page.iterator;
        if has_moved {
            self.put_end(name, What::Lag(page.millis_behind));
        }
        if is_read_out {
            tracing::info!("{}: {name} is read out", self.client.name);
            self.put_end(name, What::ReadOut);
            if self.end.is_none() {
                self.listing = Listing::Due(Instant::now());
            }
        }
    }

    /// A shard could not be read.
    fn trouble(&mut self, name: &Arc<str>, trouble: Trouble) -> Result<(), Error> {
        let failures = self.shards.get_mut(name).map_or(0, |shard| shard.failures);
        // What is better the next time is not worth a word.
        if failures > 0 || !matches!(trouble, Trouble::Passing(_)) {
            self.tell(&trouble);
        }
        let Some(shard) = self.shards.get_mut(name) else {
            return Ok(());
        };
        match trouble {
            Trouble::Lasting(_) => return Err(self.client.failure(&trouble)),
            Trouble::Expired => shard.iterator = None,
            Trouble::Throttled | Trouble::Passing(_) => {
                shard.due = Instant::now() + backoff(shard.failures);
                shard.failures = shard.failures.saturating_add(1);
            }
            Trouble::NotFound => {
                // Its records have become too old while it was read; or the stream is gone, which the list will tell.
                shard.is_over = true;
                tracing::warn!(
                    "{}: {name} is gone; going on without the rest of it",
                    self.client.name
                );
                self.put_end(name, What::ReadOut);
                self.listing = Listing::Due(Instant::now());
            }
        }
        Ok(())
    }

    /// Tells of trouble, once for as long as it lasts.
    fn tell(&mut self, trouble: &Trouble) {
        let (name, now) = (&self.client.name, Instant::now());
        match trouble {
            Trouble::Passing(why) if !std::mem::replace(&mut self.is_lost, true) => {
                tracing::warn!("lost {name}: {why}; trying again");
            }
            Trouble::Throttled => {
                let told = self.throttled_told.replace(now);
                match told.filter(|&told| now - told < BETWEEN_WARNINGS) {
                    None => tracing::warn!(
                        "{name} is read more often than Kinesis allows, perhaps by others too; reading it more slowly"
                    ),
                    told => self.throttled_told = told,
                }
            }
            trouble => tracing::debug!("{name}: {}", self.client.words(trouble)),
        }
    }

    fn put_end(&mut self, shard: &Arc<str>, what: What) {
        let shard = Arc::clone(shard);
        // A reader that has left wants none.
        self.outlet.end(End { shard, what });
    }
}

/// Puts in a record's lines, or those of the records that are packed in it; `false` if the reader has left.
fn put(outlet: &mut Outlet<End>, data: &[u8], range: HashRange) -> bool {
    match unpack(data, range) {
        None => outlet.lines(data),
        Some(parts) => parts.into_iter().all(|part| outlet.lines(part)),
    }
}

/// When a record came to Kinesis.
fn arrival(record: &Record) -> Timestamp {
    let millis = record
        .approximate_arrival_timestamp
        .and_then(|time| time.to_millis().ok());
    Timestamp::from_millis(millis.unwrap_or(0))
}

/// The next answer; never, if none is under way.
async fn next(tasks: &mut JoinSet<Answer>) -> Answer {
    match tasks.join_next().await {
        Some(answer) => answer.expect("a task that panics ends the program"),
        None => std::future::pending().await,
    }
}

/// Reads a shard on, or from where it is to begin.
async fn read(
    client: Arc<Client>,
    shard: Arc<str>,
    start: Start,
    mut iterator: Option<String>,
) -> Answer {
    let page = async {
        let iterator = match &iterator {
            Some(iterator) => iterator,
            None => iterator.insert(client.iterator(&shard, &start).await?),
        };
        client.read(iterator).await
    };
    let page = page.await;
    Answer::Read {
        shard,
        iterator,
        page,
    }
}
