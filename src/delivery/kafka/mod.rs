//! `kafka://BROKERS/TOPIC`: a message for each row, keyed so that a compacted topic has the newest of each (`rows`).
//!
//! Without a state an idempotent producer delivers: every broker that has to have a message has it, in order, before
//! a batch counts as taken. With a state each batch is one transaction, which holds its messages and, as an offset of a
//! group, which batch it was (`position`). Whoever reads committed transactions only has each batch once:
//!
//! - *Killed before the commit* the transaction never happens: the next process takes its name over, which ends it.
//! - *Killed behind the commit, before the state knew of it*: the next process is handed the same batch again, and
//!   finds in the group that it was delivered last. The state has no sink more than one batch ahead of itself, so the
//!   last is all that needs to be known.
//! - *Not killed, but in doubt* (a broker that does not answer): the connection is given up, and the next attempt
//!   does as a new process would.
//!
//! A process claims the group before it delivers. One that is shut out finds another's claim there, and says so;
//! one whose transaction took too long for the brokers, who shut it out as well, finds its own and goes on.

mod connection;
mod events;
mod position;
mod rights;
mod rows;
mod told;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;

use self::connection::{Connection, Deadline};
use self::events::Events;
use self::position::Reader;
use self::told::Names;
use super::outlet::{CHECK_WAIT, Context, Cut, Outlet, Receipt, Refusal};
use super::parcel::{Choice, Parcel};
use super::spec::SinkSpec;
use crate::error::Error;
use crate::kafka::{ADDRESS, Address, CLIENT_ID, Properties, Taken, Unfound, find, words};
use crate::sink::text::grouped;

/// Our own defaults; what is set in front of the sink outdoes them. What waits to be sent is bounded, as a batch
/// may have a million rows.
const DEFAULTS: [(&str, &str); 4] = [
    CLIENT_ID,
    ("compression.type", "lz4"),
    (WAITING_KBYTES, "16384"),
    (WAITING_MESSAGES, "50000"),
];

/// So many KiB of messages wait to be sent.
const WAITING_KBYTES: &str = "queue.buffering.max.kbytes";

/// Or so many messages.
const WAITING_MESSAGES: &str = "queue.buffering.max.messages";

/// What librdkafka keeps for a message beside its key and value.
const MESSAGE_BYTES: u64 = 300;

/// Properties that are not the user's to set, and what to do instead.
const TAKEN: Taken = &[
    (
        "bootstrap.servers",
        "name the brokers in kafka://BROKERS/TOPIC",
    ),
    (
        "metadata.broker.list",
        "name the brokers in kafka://BROKERS/TOPIC",
    ),
    ("transactional.id", "it is made of --job and the topic"),
    ("group.id", "it is made of --job and the topic"),
    ("isolation.level", "it follows from --state"),
    ("enable.auto.commit", "nothing is consumed"),
    ("log.queue", "it is off"),
];

/// What brokers let a transaction take at the most, unless they are set otherwise.
const TRANSACTION_MAX: Duration = Duration::from_secs(15 * 60);

/// A sink that is a topic.
pub(super) struct KafkaOutlet {
    name: Arc<str>,
    brokers: String,
    names: Names,
    properties: Properties,
    job: String,
    choice: Choice,
    timeout: Duration,
    /// Which process we are.
    owner: String,
    connection: Option<Connection>,
    /// Whether we have delivered before, or were about to.
    has_claimed: bool,
    /// Whether brokers have ever answered.
    has_found: bool,
}

impl KafkaOutlet {
    /// Reads what librdkafka is to be told.
    ///
    /// # Errors
    /// If the address or a property makes no sense, or a file cannot be read.
    pub(super) fn new(
        url: &str,
        properties: &[String],
        spec: &SinkSpec,
        context: &Context,
    ) -> Result<KafkaOutlet, Error> {
        let wrong = |remedy: String| Error::Setting {
            name: "to",
            value: spec.name(),
            remedy,
        };
        let address = url.trim_start_matches("kafka://");
        let address =
            Address::parse(address).map_err(|what| wrong(format!("{what}; {ADDRESS}")))?;
        let mut told = Properties::default();
        for property in properties {
            match property.strip_prefix('@') {
                Some(path) => told
                    .read(path, TAKEN)
                    .map_err(|what| format!("properties={what}")),
                None => told
                    .set(property, "properties=FILE", TAKEN)
                    .map_err(|what| format!("X.{what}")),
            }
            .map_err(wrong)?;
        }
        let name = format!("tallyline/{}/{}", context.job, address.topic);
        Ok(KafkaOutlet {
            name: spec.name().into(),
            brokers: address.brokers,
            names: Names {
                topic: address.topic,
                transactions: context.has_state.then_some(name),
            },
            properties: told,
            job: context.job.clone(),
            choice: spec.choice,
            timeout: spec.timeout,
            owner: format!("{}-{:016x}", std::process::id(), fastrand::u64(..)),
            connection: None,
            has_claimed: false,
            has_found: false,
        })
    }

    /// What librdkafka is told whatever it is to do.
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (property, value) in DEFAULTS.into_iter().chain(self.properties.iter()) {
            config.set(property, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config.set_log_level(RDKafkaLogLevel::Warning);
        if self.properties.iter().any(|(name, _)| name == "debug") {
            config.set_log_level(RDKafkaLogLevel::Debug);
        }
        config
    }

    fn producer(&self) -> Result<BaseProducer<Events>, Refusal> {
        let mut config = self.config();
        let (name, timeout) = match &self.names.transactions {
            Some(name) => {
                config.set("transactional.id", name);
                ("transaction.timeout.ms", self.timeout.min(TRANSACTION_MAX))
            }
            None => {
                if self.properties.iter().all(|(name, _)| name != IDEMPOTENCE) {
                    config.set(IDEMPOTENCE, "true");
                }
                ("message.timeout.ms", self.timeout)
            }
        };
        if self.properties.iter().all(|(property, _)| property != name) {
            let millis = timeout.max(Duration::from_secs(1)).as_millis();
            config.set(name, millis.to_string());
        }
        let producer = config.create_with_context(Events::new(&self.name));
        producer.map_err(|error| self.names.told(&error, None))
    }

    /// A connection for questions, over which nothing is written.
    fn reader(&self, is_settled: bool) -> Result<Reader, Refusal> {
        let group = self.names.transactions.as_deref().unwrap_or("tallyline");
        let topic = &self.names.topic;
        let reader = Reader::open(self.config(), group, topic, &self.name, is_settled);
        reader.map_err(|error| self.names.told(&error, None))
    }

    /// Looks for the topic. Returns how many partitions it has.
    fn find(&self, reader: &Reader) -> Result<usize, Refusal> {
        let (consumer, topic) = (&reader.consumer, &self.names.topic);
        let found = find(consumer, reader.troubles(), topic, Duration::ZERO);
        found
            .map(|partitions| partitions.len())
            .map_err(|unfound| match unfound {
                Unfound::Refused(code, why) => self.names.refused(code, &why),
                Unfound::Missing => Refusal::Wrong(format!(
                    "there is no topic {topic}; check the name, or create it"
                )),
                // As a listener for TLS or SASL ends it when it is spoken to in plain.
                Unfound::Unreached(why, false) if !self.has_found => Refusal::Later(
                    format!("cannot reach it: {why}; perhaps X.security.protocol= is missing"),
                    None,
                ),
                Unfound::Unreached(why, _) => {
                    Refusal::Later(format!("cannot reach it: {why}"), None)
                }
            })
    }

    /// The connection, or a new one.
    fn connection(&mut self, deadline: Deadline<'_>) -> Result<Connection, Refusal> {
        if let Some(mut connection) = self.connection.take()
            && connection.is_sound()
        {
            return Ok(connection);
        }
        let reader = self.reader(true)?;
        self.find(&reader)?;
        self.has_found = true;
        let producer = self.producer()?;
        let mut connection = Connection::new(producer, &self.names);
        if self.names.transactions.is_some() {
            if self.has_claimed {
                self.see_who_delivers(deadline)?;
            }
            connection.take_over(deadline)?;
            let position = reader.read(deadline);
            let mut position = position
                .map_err(|error| self.names.told(&error, None))?
                .unwrap_or_default();
            position.owner.clone_from(&self.owner);
            let group = reader
                .group()
                .map_err(|error| self.names.told(&error, None))?;
            connection.claim(group, position, deadline)?;
            self.has_claimed = true;
        }
        Ok(connection)
    }

    /// Whether it is still us. Only whoever comes anew takes over from others.
    fn see_who_delivers(&self, deadline: Deadline<'_>) -> Result<(), Refusal> {
        // Whoever has taken over from us may have a transaction open: what was committed before it tells.
        let last = self.reader(false)?.read(deadline);
        let last = last.map_err(|error| self.names.told(&error, None))?;
        match last.is_none_or(|last| last.owner == self.owner) {
            true => Ok(()),
            false => Err(Refusal::Wrong(format!(
                "another program has begun to deliver the results of job {} there; give each a --job of its own, and start this one again",
                self.job
            ))),
        }
    }
}

const IDEMPOTENCE: &str = "enable.idempotence";

impl Outlet for KafkaOutlet {
    fn check(&mut self) -> Result<String, Refusal> {
        // Tells of properties that make no sense.
        drop(self.producer()?);
        let partitions = self.find(&self.reader(true)?)?;
        let topic = &self.names.topic;
        let wait = self.timeout.min(CHECK_WAIT);
        let missing = rights::missing_to_write(self.config(), topic, &self.name, wait);
        if let Some(code) = missing {
            let why = words(&KafkaError::MessageProduction(code));
            return Err(self.names.refused(code, &why));
        }
        let partitions = match partitions {
            1 => "1 partition".to_owned(),
            count => format!("{count} partitions"),
        };
        Ok(format!("the topic is there, with {partitions}"))
    }

    fn own_bytes_max(&self) -> u64 {
        let number = |name: &str| {
            let default = DEFAULTS.iter().find(|(property, _)| *property == name);
            let default = default.and_then(|(_, value)| value.parse().ok());
            self.properties.number(name).or(default).unwrap_or(0) as u64
        };
        let messages = number(WAITING_MESSAGES).saturating_mul(MESSAGE_BYTES);
        number(WAITING_KBYTES)
            .saturating_mul(1024)
            .saturating_add(messages)
    }

    fn deliver(&mut self, parcel: &Parcel, cut: &Cut) -> Result<Receipt, Refusal> {
        let deadline = Deadline::after(self.timeout, cut);
        let mut connection = self.connection(deadline)?;
        let who = (&*self.job, &*self.owner);
        match connection.deliver(parcel, &self.choice, who, deadline) {
            Ok(sent) => {
                if sent.oversize > 0 {
                    let (rows, are) = match sent.oversize {
                        1 => ("1 row".to_owned(), "is"),
                        count => (format!("{} rows", grouped(count)), "are"),
                    };
                    tracing::warn!(
                        "{}: batch {}: {rows} {are} longer than a message may be (X.message.max.bytes=), and summed as hidden",
                        self.name,
                        parcel.batch(),
                    );
                }
                self.connection = Some(connection);
                let rows = sent.rows;
                Ok(Receipt { rows, mark: None })
            }
            Err(refusal) => {
                connection.give_up();
                Err(refusal)
            }
        }
    }
}
