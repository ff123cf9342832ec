//! A broker under test, and topics in it.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loadgen::{Expectation, Plan, Spec};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

/// `HOST:PORT` of the listener without credentials, or `None` with a word on why nothing is tested.
pub(crate) fn broker() -> Option<String> {
    from_environment("TEST_KAFKA")
}

/// The same of the listener that wants a user (`tally`) and a password (`line`).
pub(crate) fn sasl_broker() -> Option<String> {
    from_environment("TEST_KAFKA_SASL")
}

/// The same of the listener that speaks TLS, and the file with the authority of its certificate.
pub(crate) fn tls_broker() -> Option<(String, String)> {
    from_environment("TEST_KAFKA_TLS").zip(from_environment("TEST_KAFKA_CA"))
}

#[allow(clippy::print_stderr, reason = "a test's own output")]
fn from_environment(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        eprintln!("skipped: {name} is not set; run: export $(tools/kafka-broker start)");
    }
    value
}

/// A name that no other test and no other run has used.
pub(crate) fn fresh(name: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let now = jiff::Timestamp::now().as_millisecond();
    format!("{name}-{now}-{number}")
}

/// Fills a topic with records, and says what a counter must say of them.
pub(crate) fn fill(broker: &str, topic: &str, spec: &Spec, plan: &Plan) -> Expectation {
    let never = AtomicBool::new(false);
    let sent = loadgen::push_kafka(broker, topic, spec, plan, &never).unwrap();
    sent.expectation
}

/// Gives a topic more partitions: so many in all.
pub(crate) fn grow(broker: &str, topic: &str, partitions: usize) {
    let (request, options) = ([NewPartitions::new(topic, partitions)], AdminOptions::new());
    let admin = admin(broker);
    let answer = wait_for(pin!(admin.create_partitions(&request, &options)));
    answer.unwrap()[0].as_ref().unwrap();
}

/// Makes a topic, with such settings.
pub(crate) fn create(broker: &str, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let mut request = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in settings {
        request = request.set(name, value);
    }
    let options = AdminOptions::new();
    let admin = admin(broker);
    let answer = wait_for(pin!(admin.create_topics([&request], &options)));
    answer.unwrap()[0].as_ref().unwrap();
    // Who asks right now may not hear of it yet.
    while partitions_of(broker, topic) != usize::try_from(partitions).unwrap() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn partitions_of(broker: &str, topic: &str) -> usize {
    let consumer: BaseConsumer = consumer(broker);
    let metadata = consumer
        .fetch_metadata(Some(topic), Duration::from_secs(10))
        .unwrap();
    metadata.topics()[0].partitions().len()
}

fn admin(broker: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", broker)
        .create()
        .unwrap()
}

fn consumer(broker: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "a-test-that-commits-nothing")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap()
}

fn wait_for<T>(mut answer: std::pin::Pin<&mut impl Future<Output = T>>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut context) {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A message, both parts of which are JSON.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) key: Value,
    pub(crate) value: Value,
}

/// All messages of committed transactions, in order within each partition, when there are to be no more.
pub(crate) fn read_all(broker: &str, topic: &str) -> Vec<Told> {
    let consumer = consumer(broker);
    let mut list = TopicPartitionList::new();
    let count = partitions_of(broker, topic);
    for number in 0..count {
        list.add_partition_offset(topic, i32::try_from(number).unwrap(), Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let json = |bytes: Option<&[u8]>| serde_json::from_slice(bytes.unwrap()).unwrap();
    let (mut messages, mut at_end) = (Vec::new(), HashSet::new());
    while at_end.len() < count {
        match consumer.poll(Duration::from_secs(30)).unwrap() {
            Ok(message) => messages.push(Told {
                key: json(message.key()),
                value: json(message.payload()),
            }),
            Err(KafkaError::PartitionEOF(number)) => {
                at_end.insert(number);
            }
            Err(error) => panic!("{error}"),
        }
    }
    messages
}

/// A message's value, or none.
pub(crate) type Payload<'a> = Option<&'a [u8]>;

/// Sends these messages to partition 0, each with its time in milliseconds since the epoch.
pub(crate) fn send_at(broker: &str, topic: &str, messages: &[(i64, Payload<'_>)]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .create()
        .unwrap();
    for &(millis, value) in messages {
        let record = BaseRecord::<[u8], [u8]>::to(topic)
            .partition(0)
            .timestamp(millis)
            .key(b"k");
        let record = match value {
            Some(value) => record.payload(value),
            None => record,
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// The same, with the time of sending.
pub(crate) fn send(broker: &str, topic: &str, messages: &[Payload<'_>]) {
    let now = jiff::Timestamp::now().as_millisecond();
    let messages: Vec<_> = messages.iter().map(|&value| (now, value)).collect();
    send_at(broker, topic, &messages);
}

/// A broker of a test's own, which it may kill.
pub(crate) struct OwnBroker {
    name: String,
    pub(crate) address: String,
    /// Of the listener that wants a user and a password.
    pub(crate) sasl: String,
}

impl OwnBroker {
    pub(crate) fn start(name: &str) -> OwnBroker {
        let out = tool(name, "start");
        let told = |name: &str| {
            let mut told = out.lines().filter_map(|line| line.strip_prefix(name));
            told.next().unwrap().to_owned()
        };
        OwnBroker {
            name: name.to_owned(),
            address: told("TEST_KAFKA="),
            sasl: told("TEST_KAFKA_SASL="),
        }
    }

    pub(crate) fn kill(&self) {
        tool(&self.name, "kill");
    }

    pub(crate) fn restart(&self) {
        tool(&self.name, "restart");
    }

    /// Nothing of it runs any more, though its connections stay open.
    pub(crate) fn freeze(&self) {
        tool(&self.name, "freeze");
    }

    pub(crate) fn thaw(&self) {
        tool(&self.name, "thaw");
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        tool(&self.name, "stop");
    }
}

fn tool(name: &str, what: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tools/kafka-broker");
    let output = Command::new(path)
        .args([what, "--name", name, "--for", "600"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{what}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a right is on, as the protocol has it.
#[derive(Clone, Copy)]
pub(crate) enum Resource {
    Topic = 2,
    Group = 3,
    TransactionalId = 5,
}

/// What may be done.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    Read = 3,
    Write = 4,
}

/// Lets a user do this, and nobody anything else: what no rule speaks of everybody may do.
pub(crate) fn allow(
    own: &OwnBroker,
    resource: Resource,
    name: &str,
    user: &str,
    operation: Operation,
) {
    let text = |text: &str| {
        let len = i16::try_from(text.len()).unwrap();
        [&len.to_be_bytes(), text.as_bytes()].concat()
    };
    const CREATE_ACLS: i16 = 30;
    const VERSION: i16 = 1;
    const LITERAL: u8 = 3;
    const ALLOW: u8 = 3;
    let request = [
        &CREATE_ACLS.to_be_bytes()[..],
        &VERSION.to_be_bytes(),
        // A number of ours, and a name; one rule.
        &1i32.to_be_bytes(),
        &text("test"),
        &1i32.to_be_bytes(),
        &[resource as u8],
        &text(name),
        &[LITERAL],
        &text(&format!("User:{user}")),
        &text("*"),
        &[operation as u8, ALLOW],
    ]
    .concat();
    let mut stream = TcpStream::connect(&own.address).unwrap();
    let len = u32::try_from(request.len()).unwrap();
    stream.write_all(&len.to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    // Its length, our number, a time, one result, which begins with an error.
    let mut answer = [0; 18];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[16..], [0, 0], "{answer:?}");
}
