//! The connection to the brokers, as librdkafka keeps it: made, checked, and told of.
//!
//! Before anything is counted a broker must have answered and the topic be there, so that a wrong
//! address, wrong credentials or a wrong name are an error at once. Later on librdkafka connects
//! again by itself; what becomes of brokers is told from its statistics, once a second.
//!
//! librdkafka runs what it has to say (errors, rebalances, statistics) in the thread that polls; the
//! [`Context`] only queues it, and that thread deals with it between two messages, where it can see
//! the rest of its state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Broker;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Statistics, TopicPartitionList};

use super::KafkaOptions;
use super::partitions::numbers;
use crate::error::Error;
use crate::kafka::{
    ANSWER_WAIT, Address, CLIENT_ID, Properties, Troubles, Unfound, find, lower, words,
};

/// The group of a run that is in none: librdkafka wants one, and nothing is ever committed to it.
const NO_GROUP: &str = "tallyline";

/// How long a question is asked again and again.
const ASK_WAIT: Duration = Duration::from_secs(60);

const BETWEEN_QUESTIONS: Duration = Duration::from_millis(250);

/// Our own defaults where librdkafka's are for services that do other things beside; `-X` outdoes
/// them. Fetching ahead is limited in messages, as each takes some 300 bytes beside its value, and
/// is taken up again soon after it has stopped.
pub const DEFAULTS: [(&str, &str); 4] = [
    CLIENT_ID,
    (AHEAD_MESSAGES, "50000"),
    (AHEAD_KBYTES, "16384"),
    ("fetch.queue.backoff.ms", "2"),
];

/// Fetching ahead stands still while there are so many messages of a partition.
const AHEAD_MESSAGES: &str = "queued.min.messages";

/// Or so many KiB of all partitions.
const AHEAD_KBYTES: &str = "queued.max.messages.kbytes";

/// What librdkafka keeps for a message beside its value, measured.
const MESSAGE_BYTES: usize = 300;

/// The most memory of messages that librdkafka has fetched ahead.
fn ahead_bytes_max(properties: &Properties, partitions: usize) -> usize {
    let number = |name: &str| {
        let default = DEFAULTS.iter().find(|(property, _)| *property == name);
        let default = default.and_then(|(_, value)| value.parse().ok());
        properties.number(name).or(default).unwrap_or(0)
    };
    let messages = partitions.saturating_mul(number(AHEAD_MESSAGES));
    let values = number(AHEAD_KBYTES).saturating_mul(1024);
    values.saturating_add(messages.saturating_mul(MESSAGE_BYTES))
}

/// A consumer that queues what it has to say.
pub(super) type Consumer = BaseConsumer<Context>;

/// Partitions given or taken.
pub(super) struct Rebalance {
    pub(super) is_given: bool,
    pub(super) partitions: Vec<i32>,
}

/// What librdkafka tells, until the fetching thread comes to it.
pub(super) struct Context {
    /// One at a time: the next comes when this one has been answered.
    pub(super) rebalances: ArrayQueue<Rebalance>,
    pub(super) troubles: Troubles,
    /// The last statistics.
    pub(super) statistics: ArrayQueue<Statistics>,
    /// Nobody answers rebalances any more: they are granted.
    pub(super) is_closing: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.troubles.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.statistics.force_push(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.hear(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        // Acquire: pairs with the Release in `Client::close`.
        if self.is_closing.load(Ordering::Acquire) {
            // An error leaves librdkafka waiting; it gives up when the consumer is destroyed.
            drop(release(consumer, list));
            return;
        }
        let partitions = list
            .elements()
            .iter()
            .map(|part| part.partition())
            .collect();
        self.rebalances.force_push(Rebalance {
            is_given: what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
            partitions,
        });
    }
}

/// Gives partitions back, as the group's protocol has it: these, or all.
pub(super) fn release(consumer: &Consumer, list: &TopicPartitionList) -> Result<(), KafkaError> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

/// A consumer that has reached a broker and knows its topic.
pub(super) struct Client {
    pub(super) name: Arc<str>,
    pub(super) topic: String,
    pub(super) consumer: Consumer,
    /// The topic's partitions, or those that were asked for.
    pub(super) partitions: Vec<i32>,
    /// The most memory of messages that were fetched ahead.
    pub(super) ahead_bytes_max: usize,
}

impl Client {
    /// Reaches a broker and learns of the topic.
    pub(super) fn connect(
        name: Arc<str>,
        address: Address,
        options: &KafkaOptions,
    ) -> Result<Client, Error> {
        let consumer = create(&name, &address, options)?;
        let partitions = find_topic(&name, &consumer, &address.topic, options.connect_wait)?;
        let chosen = match &options.partitions[..] {
            [] => partitions,
            chosen => {
                let missing = chosen.iter().find(|&number| !partitions.contains(number));
                if let Some(missing) = missing {
                    return Err(Error::Usage(format!(
                        "--partitions {missing}: {name} has no such partition; it has {}",
                        numbers(&partitions)
                    )));
                }
                let mut chosen = chosen.to_vec();
                chosen.sort_unstable();
                chosen.dedup();
                chosen
            }
        };
        Ok(Client {
            name,
            topic: address.topic,
            consumer,
            ahead_bytes_max: ahead_bytes_max(&options.properties, chosen.len()),
            partitions: chosen,
        })
    }

    /// Where each partition begins and ends now.
    pub(super) fn bounds(&self) -> Result<Vec<(i32, i64, i64)>, Error> {
        let bounds = |&number: &i32| {
            let what = format!("where partition {number} ends");
            let (begin, end) = self.ask(&what, || {
                self.consumer
                    .fetch_watermarks(&self.topic, number, ANSWER_WAIT)
            })?;
            Ok((number, begin, end))
        };
        self.partitions.iter().map(bounds).collect()
    }

    /// Asks a broker, again if it is just then lost or the partition on its way to another.
    pub(super) fn ask<T>(
        &self,
        what: &str,
        mut question: impl FnMut() -> Result<T, KafkaError>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        loop {
            let error = match question() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if begun.elapsed() >= ASK_WAIT {
                return Err(cannot(&self.name, what, &error));
            }
            let why = words(&error);
            tracing::info!("cannot learn of {} {what}: {why}; asking again", self.name);
            std::thread::sleep(BETWEEN_QUESTIONS);
        }
    }

    /// Leaves the group, if in one.
    pub(super) fn close(self) {
        // Release: pairs with the Acquire in `Context::rebalance`.
        let context = Arc::clone(self.consumer.context());
        context.is_closing.store(true, Ordering::Release);
        drop(self.consumer);
    }
}

fn create(name: &Arc<str>, address: &Address, options: &KafkaOptions) -> Result<Consumer, Error> {
    let mut config = ClientConfig::new();
    for (property, value) in DEFAULTS.into_iter().chain(options.properties.iter()) {
        config.set(property, value);
    }
    config
        .set("bootstrap.servers", &address.brokers)
        .set("group.id", options.group.as_deref().unwrap_or(NO_GROUP))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("statistics.interval.ms", "1000")
        // Every partition is begun at an offset of our choice; this is for one that is gone, and
        // then losing least is best. librdkafka says so in a warning.
        .set("auto.offset.reset", "earliest")
        .set_log_level(RDKafkaLogLevel::Warning);
    if options.properties.iter().any(|(name, _)| name == "debug") {
        config.set_log_level(RDKafkaLogLevel::Debug);
    }
    let context = Context {
        rebalances: ArrayQueue::new(4),
        troubles: Troubles::new(Arc::clone(name)),
        statistics: ArrayQueue::new(1),
        is_closing: AtomicBool::new(false),
    };
    config
        .create_with_context(context)
        .map_err(|error| match error {
            KafkaError::ClientConfig(_, why, property, _) => Error::Usage(format!(
                "-X {property}: {}; librdkafka's list of properties has what can be set",
                lower(&why)
            )),
            KafkaError::ClientCreation(why) => Error::Usage(format!(
                "source {name}: {}; check what -X sets",
                lower(&why)
            )),
            error => cannot(name, "be connected to", &error),
        })
}

/// The topic's partitions, once a broker has answered.
fn find_topic(
    name: &str,
    consumer: &Consumer,
    topic: &str,
    wait: Duration,
) -> Result<Vec<i32>, Error> {
    find(consumer, &consumer.context().troubles, topic, wait).map_err(|unfound| {
        Error::Source(match unfound {
            Unfound::Refused(_, why) => {
                format!("cannot read {name}: {why}; check the credentials and what -X sets")
            }
            Unfound::Missing => format!(
                "cannot read {name}: there is no topic {topic}; check the name, or create it"
            ),
            Unfound::Unreached(why, true) => format!(
                "cannot connect to {name}: {why}; check the address, or give --connect-wait 10s"
            ),
            // As a listener for TLS or SASL ends it when it is spoken to in plain.
            Unfound::Unreached(why, false) => format!(
                "cannot connect to {name}: {why}; check the address and -X security.protocol, or give --connect-wait 10s"
            ),
        })
    })
}

/// Which brokers that we read from are there, as the statistics tell.
#[derive(Debug, Default)]
pub(super) struct Brokers(BTreeMap<String, bool>);

impl Brokers {
    /// Tells of brokers lost and found; `why` is the last error of a connection.
    pub(super) fn hear(&mut self, name: &str, statistics: &Statistics, why: Option<&str>) {
        for broker in statistics.brokers.values() {
            let is_up = broker.state == "UP";
            // A broker counts from the time it leads a partition of ours and answers.
            match (self.0.get(&broker.name), is_up) {
                (None, _) if broker.toppars.is_empty() => continue,
                (None, true) => tracing::info!("{name}: connected to {}", broker.name),
                (None, false) if !has_answered_and_gone(broker) => continue,
                (None | Some(&true), false) => tracing::warn!(
                    "lost {} of {name}: {}; connecting again",
                    broker.name,
                    why.unwrap_or("it does not answer")
                ),
                (Some(&false), true) => {
                    tracing::warn!("connected to {} of {name} again", broker.name);
                }
                _ => continue,
            }
            self.0.insert(broker.name.clone(), is_up);
        }
    }
}

/// Whether a broker was connected to and is not any more: it may come and go between two statistics.
fn has_answered_and_gone(broker: &Broker) -> bool {
    broker.rx > 0 && matches!(&*broker.state, "INIT" | "DOWN" | "TRY_CONNECT" | "CONNECT")
}

/// One line of why something was impossible.
pub(super) fn cannot(name: &str, what: &str, error: &KafkaError) -> Error {
    Error::Source(format!("cannot learn of {name} {what}: {}", words(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_lost_before_the_first_statistics_is_lost_all_the_same() {
        let hear = |brokers: &mut Brokers, state: &str, rx| {
            let broker = Broker {
                name: "b/1".to_owned(),
                state: state.to_owned(),
                rx,
                toppars: [("t-0".to_owned(), Default::default())].into(),
                ..Broker::default()
            };
            let mut statistics = Statistics::default();
            statistics.brokers.insert("b/1".to_owned(), broker);
            brokers.hear("t", &statistics, None);
            brokers.0.get("b/1").copied()
        };
        let mut brokers = Brokers::default();
        assert_eq!(hear(&mut brokers, "CONNECT", 0), None);
        assert_eq!(hear(&mut brokers, "AUTH_HANDSHAKE", 1), None);
        assert_eq!(hear(&mut brokers, "TRY_CONNECT", 5), Some(false));
        assert_eq!(hear(&mut brokers, "UP", 7), Some(true));
        assert_eq!(hear(&mut brokers, "CONNECT", 7), Some(false));
    }

    #[test]
    fn what_is_fetched_ahead_is_bounded_by_the_properties() {
        let bytes = |arguments: &[&str], partitions| {
            let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
            ahead_bytes_max(&Properties::parse(&arguments).unwrap(), partitions)
        };
        assert_eq!(bytes(&[], 2), (16 << 20) + 2 * 50_000 * 300);
        let set = ["queued.max.messages.kbytes=8", "queued.min.messages=10"];
        assert_eq!(bytes(&set, 2), (8 << 10) + 2 * 10 * 300);
    }
}
