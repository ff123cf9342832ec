//! A topic that results go to, and what consumers find in it.

use std::collections::HashSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use crate::served::{Found, Place};
use crate::server::Server;

/// How long a broker may take to answer.
const WAIT: Duration = Duration::from_secs(60);

/// A topic at a broker.
#[derive(Debug)]
pub struct Topic<'a> {
    broker: String,
    topic: String,
    server: Option<&'a Server>,
}

impl<'a> Topic<'a> {
    /// A topic that nobody else uses, at a broker which may be killed if it is ours.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(broker: &str, topic: &str, server: Option<&'a Server>) -> Result<Topic<'a>, String> {
        let told = |error: KafkaError| format!("{topic}: {error}");
        // It comes into being when it is written to: what is written says nothing of a batch.
        let producer: BaseProducer = config(broker).create().map_err(told)?;
        let record = BaseRecord::to(topic).key("first").payload("{}");
        producer.send(record).map_err(|(error, _)| told(error))?;
        producer.flush(WAIT).map_err(told)?;
        Ok(Topic {
            broker: broker.to_owned(),
            topic: topic.to_owned(),
            server,
        })
    }

    /// Counts a message; one that is there twice is an error.
    fn take(
        message: &[u8],
        found: &mut Found,
        seen: &mut HashSet<(u64, String)>,
    ) -> Result<(), String> {
        let value: Value = serde_json::from_slice(message).map_err(|error| error.to_string())?;
        let batch = value["batch"].as_u64().unwrap_or_default();
        match value["type"].as_str() {
            Some("batch") => found.batches.push(batch),
            Some("count") => {
                let key = value["key"].to_string();
                if !seen.insert((batch, key.clone())) {
                    return Err(format!("batch {batch} has {key} twice"));
                }
                *found.counts.entry(key).or_default() += value["count"].as_u64().unwrap_or(0);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Place for Topic<'_> {
    fn sink(&self) -> String {
        format!("kafka://{}/{}", self.broker, self.topic)
    }

    fn look(&self) -> Result<Found, String> {
        let told = |error: KafkaError| format!("{}: {error}", self.topic);
        let consumer: BaseConsumer = config(&self.broker)
            .set("group.id", "torture-that-commits-nothing")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .map_err(told)?;
        let metadata = consumer
            .fetch_metadata(Some(&self.topic), WAIT)
            .map_err(told)?;
        let mut partitions = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            let begin = Offset::Beginning;
            partitions
                .add_partition_offset(&self.topic, partition.id(), begin)
                .map_err(told)?;
        }
        consumer.assign(&partitions).map_err(told)?;
        let (mut found, mut seen) = (Found::default(), HashSet::new());
        let mut at_end = HashSet::new();
        while at_end.len() < partitions.count() {
            match consumer.poll(WAIT).ok_or("no broker answers")? {
                Ok(message) => {
                    Topic::take(message.payload().unwrap_or_default(), &mut found, &mut seen)?;
                }
                Err(KafkaError::PartitionEOF(number)) => {
                    at_end.insert(number);
                }
                Err(error) => return Err(told(error)),
            }
        }
        Ok(found)
    }

    fn server(&self) -> Option<&Server> {
        self.server
    }

    /// A broker takes its time to come up.
    fn server_kills_percent(&self) -> u8 {
        15
    }
}

fn config(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    config
}
