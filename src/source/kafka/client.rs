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
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Broker;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Statistics, TopicPartitionList};

use super::KafkaOptions;
use super::address::Address;
use super::partitions::numbers;
use super::properties::Properties;
use crate::error::Error;

/// The group of a run that is in none: librdkafka wants one, and nothing is ever committed to it.
const NO_GROUP: &str = "tallyline";

/// How long one question to a broker may take.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Between two looks at whether the connection has failed for good.
const METADATA_WAIT: Duration = Duration::from_millis(500);

/// How long a question is asked again and again.
const ASK_WAIT: Duration = Duration::from_secs(60);

const BETWEEN_QUESTIONS: Duration = Duration::from_millis(250);

/// What librdkafka may have to tell of an attempt to connect.
const EVENTS_MAX: usize = 32;

/// Between two attempts.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// Our own defaults where librdkafka's are for services that do other things beside; `-X` outdoes
/// them. Fetching ahead is limited in messages, as each takes some 300 bytes beside its value, and
/// is taken up again soon after it has stopped.
pub const DEFAULTS: [(&str, &str); 4] = [
    ("client.id", "tallyline"),
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
    name: Arc<str>,
    /// One at a time: the next comes when this one has been answered.
    pub(super) rebalances: ArrayQueue<Rebalance>,
    /// The last error of a connection that says why.
    error: ArrayQueue<(RDKafkaErrorCode, String)>,
    /// It was the last one that there was.
    are_all_down: AtomicBool,
    /// The last statistics.
    pub(super) statistics: ArrayQueue<Statistics>,
    /// Nobody answers rebalances any more: they are granted.
    pub(super) is_closing: AtomicBool,
}

/// What the last errors of connections come to.
#[derive(Debug, Default)]
pub(super) struct LastError {
    pub(super) code: Option<RDKafkaErrorCode>,
    pub(super) why: Option<String>,
    /// No broker is left.
    pub(super) are_all_down: bool,
}

impl Context {
    /// The errors since the last call.
    pub(super) fn last_error(&self) -> LastError {
        let last = self.error.pop();
        let code = last.as_ref().map(|(code, _)| *code);
        // Behind it stands how long it took, which reads as if it mattered.
        let why = last.map(|(_, why)| lower(why.split(" (after ").next().unwrap_or(&why)));
        LastError {
            code,
            why,
            // Relaxed: set by the thread that asks.
            are_all_down: self.are_all_down.swap(false, Ordering::Relaxed),
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let name = &self.name;
        match level {
            // Told as an error as well.
            _ if facility == "FAIL" => tracing::debug!("{name}: librdkafka: {message}"),
            RDKafkaLogLevel::Debug => tracing::debug!("{name}: librdkafka: {facility} {message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::info!("{name}: librdkafka: {message}");
            }
            _ => tracing::warn!("{name}: librdkafka: {message}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.statistics.force_push(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            tracing::debug!("{}: {code:?}: {reason}", self.name);
            match code {
                // No trouble, though told as an error.
                RDKafkaErrorCode::PartitionEOF => {}
                // It says nothing of the reason. Relaxed: see `last_error`.
                RDKafkaErrorCode::AllBrokersDown => {
                    self.are_all_down.store(true, Ordering::Relaxed)
                }
                code => {
                    // A refusal often comes a second time, as a failure of transport: what it was first says more.
                    let told = self.error.pop();
                    let told = told.filter(|(told, _)| is_refusal(*told) && !is_refusal(code));
                    let error = told.unwrap_or_else(|| (code, reason.to_owned()));
                    drop(self.error.force_push(error));
                }
            }
        }
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
        name: Arc::clone(name),
        rebalances: ArrayQueue::new(4),
        error: ArrayQueue::new(1),
        are_all_down: AtomicBool::new(false),
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
    let begun = Instant::now();
    let mut why = None;
    loop {
        let code = match partitions(consumer, topic) {
            Ok(numbers) => return Ok(numbers),
            Err(code) => code,
        };
        for _ in 0..EVENTS_MAX {
            // Serves what connections tell; nothing is assigned, so no message can come.
            drop(consumer.poll(Duration::ZERO));
        }
        let last = consumer.context().last_error();
        let is_late = begun.elapsed() >= wait;
        // That all are down is told a little after why.
        why = last.why.or(why);
        let remedy = match &why {
            Some(_) => "check the address, or give --connect-wait 10s",
            // As a listener for TLS or SASL ends it when it is spoken to in plain.
            None => "check the address and -X security.protocol, or give --connect-wait 10s",
        };
        let why = why
            .clone()
            .unwrap_or_else(|| words(&KafkaError::MetadataFetch(code)));
        let (what, remedy) = match last.code.unwrap_or(code) {
            code if is_refusal(code) => ("read", "check the credentials and what -X sets"),
            RDKafkaErrorCode::UnknownTopicOrPartition if is_late => {
                return Err(Error::Source(format!(
                    "cannot read {name}: there is no topic {topic}; check the name, or create it"
                )));
            }
            _ if is_late && (last.are_all_down || begun.elapsed() >= wait + ANSWER_WAIT) => {
                ("connect to", remedy)
            }
            _ => {
                std::thread::sleep(BETWEEN_ATTEMPTS);
                continue;
            }
        };
        return Err(Error::Source(format!(
            "cannot {what} {name}: {why}; {remedy}"
        )));
    }
}

/// The topic's partitions, if a broker knows of them.
fn partitions(consumer: &Consumer, topic: &str) -> Result<Vec<i32>, RDKafkaErrorCode> {
    let metadata = consumer
        .fetch_metadata(Some(topic), METADATA_WAIT)
        .map_err(|error| code(&error))?;
    let found = metadata.topics().first();
    let found = found.ok_or(RDKafkaErrorCode::UnknownTopicOrPartition)?;
    if let Some(error) = found.error() {
        return Err(error.into());
    }
    let mut numbers: Vec<i32> = found.partitions().iter().map(|part| part.id()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether a broker has been reached and does not have us, or we do not have it.
fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::TopicAuthorizationFailed
    )
}

fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error
        .rdkafka_error_code()
        .unwrap_or(RDKafkaErrorCode::Unknown)
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

/// An error as people say it: `unknown topic or partition`.
pub(super) fn words(error: &KafkaError) -> String {
    let Some(code) = error.rdkafka_error_code() else {
        return lower(&error.to_string());
    };
    // `UnknownTopicOrPartition (Broker: Unknown topic or partition)`.
    let text = code.to_string();
    let text = text
        .split_once(" (")
        .map_or(&*text, |(_, text)| text.trim_end_matches(')'));
    let text = text.split_once(": ").map_or(text, |(_, text)| text);
    lower(text)
}

/// Without a capital at the beginning, where it is a word's and not a name's.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_like_words() {
        let error = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
        assert_eq!(words(&error), "unknown topic or partition");
        assert_eq!(lower("SASL failed"), "SASL failed");
    }

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
