//! A producer, and a parcel delivered through it: in a transaction, or without.
//!
//! librdkafka connects and tries again by itself, so a call answers late rather than that something is wrong. An attempt
//! ends when all messages are taken, when its time is up, or when all brokers have been lost for a while; whatever
//! ends it otherwise than well ends the connection too, and the next one finds out what came of it.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::events::Events;
use super::position::Position;
use super::rows::{Sent, each};
use super::told::Names;
use crate::delivery::outlet::{Cut, Refusal};
use crate::delivery::parcel::{Choice, Parcel};
use crate::kafka::is_refusal;

/// Messages between two looks at what became of those before.
const ROUND_MESSAGES: u64 = 1_000;

/// How long a call may take before it is looked at what else there is to know.
const SLICE: Duration = Duration::from_millis(200);

/// The same of a call that does not end before, though there is nothing left to wait for.
const SHORT_SLICE: Duration = Duration::from_millis(2);

/// Between two attempts at the same call, if the first did not take its time.
const BETWEEN_CALLS: Duration = Duration::from_millis(20);

/// How long all brokers may be gone before an attempt is given up.
const LOST_MAX: Duration = Duration::from_secs(5);

/// How long the end of a transaction may take that is of no use any more.
const ABORT_MAX: Duration = Duration::from_secs(1);

/// When an attempt is to be over: then, or now if it is cut off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline<'a>(Instant, &'a Cut);

impl<'a> Deadline<'a> {
    pub(super) fn after(time: Duration, cut: &'a Cut) -> Deadline<'a> {
        Deadline(Instant::now() + time, cut)
    }

    pub(super) fn left(self) -> Duration {
        match self.1.is_cut() {
            true => Duration::ZERO,
            false => self.0.saturating_duration_since(Instant::now()),
        }
    }
}

/// A connection over which parcels are delivered.
pub(super) struct Connection {
    line: Line,
    transactions: Option<Transactions>,
}

/// With a state: how parcels are delivered once.
struct Transactions {
    group: ConsumerGroupMetadata,
    /// What was delivered last.
    position: Position,
}

/// A producer, and what has been heard of it.
struct Line {
    producer: BaseProducer<Events>,
    names: Names,
    /// The last trouble that says why.
    why: Option<String>,
    /// Since when all brokers have been gone, and how much had been taken then.
    lost: Option<(Instant, u64)>,
}

impl Connection {
    pub(super) fn new(producer: BaseProducer<Events>, names: &Names) -> Connection {
        Connection {
            line: Line {
                producer,
                names: names.clone(),
                why: None,
                lost: None,
            },
            transactions: None,
        }
    }

    /// Shuts out whoever has used this name for transactions before, and brings what he has begun to an end: his
    /// last transaction has happened, or will never happen, when this returns.
    pub(super) fn take_over(&mut self, deadline: Deadline<'_>) -> Result<(), Refusal> {
        let line = &mut self.line;
        line.patiently(deadline, SLICE, |producer, slice| {
            producer.init_transactions(slice)
        })
    }

    /// Says that we deliver from now on, behind what was delivered last.
    pub(super) fn claim(
        &mut self,
        group: ConsumerGroupMetadata,
        position: Position,
        deadline: Deadline<'_>,
    ) -> Result<(), Refusal> {
        let transactions = Transactions { group, position };
        self.line.begin()?;
        self.line.commit(&transactions, deadline)?;
        self.transactions = Some(transactions);
        Ok(())
    }

    /// Whether it can be used for another parcel, as far as is known.
    pub(super) fn is_sound(&mut self) -> bool {
        let line = &mut self.line;
        line.producer.poll(Duration::ZERO);
        line.hear();
        line.why = None;
        line.lost.is_none() && line.producer.client().fatal_error().is_none()
    }

    /// Delivers a parcel, unless it was delivered last.
    pub(super) fn deliver(
        &mut self,
        parcel: &Parcel,
        choice: &Choice,
        (job, owner): (&str, &str),
        deadline: Deadline<'_>,
    ) -> Result<Sent, Refusal> {
        let line = &mut self.line;
        let Some(transactions) = &mut self.transactions else {
            let sent = line.send(parcel, choice, job, deadline)?;
            line.settle(deadline)?;
            return Ok(sent);
        };
        if transactions.position.is_behind(parcel) {
            return Ok(each(parcel, choice, job, |_, _| Ok(true))?);
        }
        line.begin()?;
        let sent = line.send(parcel, choice, job, deadline)?;
        line.settle(deadline)?;
        transactions.position = Position::behind(parcel, owner);
        line.commit(transactions, deadline)?;
        Ok(sent)
    }

    /// Ends what is under way, so that no reader has to wait until its time is up.
    pub(super) fn give_up(self) {
        if self.transactions.is_some() && self.line.lost.is_none() {
            // If brokers cannot be told, they find out.
            drop(self.line.producer.abort_transaction(ABORT_MAX));
        }
    }
}

impl Line {
    fn begin(&self) -> Result<(), Refusal> {
        let begun = self.producer.begin_transaction();
        begun.map_err(|error| self.names.told(&error, None))
    }

    /// Commits the transaction that is open, and where we stand behind it.
    fn commit(
        &mut self,
        Transactions { group, position }: &Transactions,
        deadline: Deadline<'_>,
    ) -> Result<(), Refusal> {
        let offsets = position.offsets(&self.names.topic);
        let offsets = offsets.map_err(|error| self.names.told(&error, None))?;
        // This call is not resumed when it is called again, but begins anew.
        self.patiently(deadline, LOST_MAX, |producer, slice| {
            producer.send_offsets_to_transaction(&offsets, group, slice)
        })?;
        self.patiently(deadline, SLICE, |producer, slice| {
            producer.commit_transaction(slice)
        })
    }

    /// Hands librdkafka the messages of a parcel.
    fn send(
        &mut self,
        parcel: &Parcel,
        choice: &Choice,
        job: &str,
        deadline: Deadline<'_>,
    ) -> Result<Sent, Refusal> {
        let mut count = 0;
        let topic = self.names.topic.clone();
        let sent = each(parcel, choice, job, |key, value| {
            count += 1;
            if count % ROUND_MESSAGES == 0 {
                self.producer.poll(Duration::ZERO);
                self.look(deadline).map_err(io::Error::other)?;
            }
            let record = BaseRecord::to(&topic).key(key).payload(value);
            self.send_one(record, deadline).map_err(io::Error::other)
        })?;
        Ok(sent)
    }

    /// Whether the message is not too long.
    fn send_one(
        &mut self,
        mut record: BaseRecord<'_, [u8], [u8]>,
        deadline: Deadline<'_>,
    ) -> Result<bool, Refusal> {
        loop {
            let (error, returned) = match self.producer.send(record) {
                Ok(()) => return Ok(true),
                Err(refused) => refused,
            };
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => return Ok(false),
                Some(RDKafkaErrorCode::QueueFull) => {
                    self.producer.poll(SLICE);
                    self.look(deadline)?;
                }
                _ => return Err(self.refusal(&error)),
            }
            record = returned;
        }
    }

    /// Waits until brokers have all messages.
    fn settle(&mut self, deadline: Deadline<'_>) -> Result<(), Refusal> {
        self.patiently(deadline, SHORT_SLICE, |producer, slice| {
            producer.flush(slice)
        })?;
        self.look(deadline)
    }

    /// Calls what may be called again when it was not done in time, until it is done.
    fn patiently(
        &mut self,
        deadline: Deadline<'_>,
        slice: Duration,
        call: impl Fn(&BaseProducer<Events>, Duration) -> Result<(), KafkaError>,
    ) -> Result<(), Refusal> {
        loop {
            let begun = Instant::now();
            let error = match call(&self.producer, slice.min(deadline.left())) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.producer.poll(Duration::ZERO);
            if !may_be_repeated(&error) {
                return Err(self.refusal(&error));
            }
            self.look(deadline)?;
            if begun.elapsed() < slice {
                thread::sleep(BETWEEN_CALLS);
            }
        }
    }

    /// Whether it is worth while to go on.
    fn look(&mut self, deadline: Deadline<'_>) -> Result<(), Refusal> {
        self.hear();
        let (taken, refused) = {
            let context = self.producer.context();
            (context.taken(), context.refused())
        };
        if let Some(code) = refused {
            let error = self.reason(code);
            return Err(self.names.told(&error, self.why.as_deref()));
        }
        match self.lost {
            // They are back, and take messages.
            Some((_, before)) if before < taken => self.lost = None,
            Some((since, _)) if since.elapsed() >= LOST_MAX => {
                let why = self.why.as_deref().unwrap_or("all brokers are gone");
                return Err(Refusal::Later(format!("cannot reach it: {why}"), None));
            }
            _ => {}
        }
        if deadline.left().is_zero() {
            let error = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
            return Err(self.names.told(&error, self.why.as_deref()));
        }
        Ok(())
    }

    /// Why a message was not taken: one that librdkafka took back went with its transaction, whose error it tells to who
    /// wants another one begun.
    fn reason(&self, code: RDKafkaErrorCode) -> KafkaError {
        let of_transaction = match code {
            RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight => {
                self.producer.begin_transaction().err()
            }
            _ => None,
        };
        of_transaction.unwrap_or(KafkaError::MessageProduction(code))
    }

    fn hear(&mut self) {
        let context = self.producer.context();
        let last = context.troubles.last();
        if last.are_all_down && self.lost.is_none() {
            self.lost = Some((Instant::now(), context.taken()));
        }
        self.why = last.why.or(self.why.take());
    }

    /// What a call that failed comes to: what became of a message says more than what follows from it.
    fn refusal(&mut self, error: &KafkaError) -> Refusal {
        self.hear();
        let refused = self.producer.context().refused();
        let refused = refused.filter(|code| *code != RDKafkaErrorCode::PurgeQueue);
        match refused.map(KafkaError::MessageProduction) {
            Some(error) => self.names.told(&error, self.why.as_deref()),
            None => self.names.told(error, self.why.as_deref()),
        }
    }
}

/// Whether a call that failed so may be called again.
fn may_be_repeated(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !is_refusal(error.code()),
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}
