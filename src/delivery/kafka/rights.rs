//! Whether we may write to a topic, found out without writing to it.
//!
//! A broker looks at rights first. What it is asked here it must refuse for another reason: a message that is to be on two
//! replicas exactly (`acks=2`), which no broker since Kafka 0.9 does. Those that keep nothing to the protocol may take it:
//! it has a key and no value, and means nothing to who reads the topic as a table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::events::Events;
use crate::kafka::is_refusal;

/// Between two looks at whether an answer has come.
const LOOK: Duration = Duration::from_millis(20);

/// The key of the message that is never taken.
const KEY: &[u8] = b"[\"tallyline\",\"test\"]";

/// Why a topic may not be written to, if a broker says so within this time.
pub(super) fn missing_to_write(
    mut config: ClientConfig,
    topic: &str,
    name: &Arc<str>,
    wait: Duration,
) -> Option<RDKafkaErrorCode> {
    config
        .set("acks", "2")
        .set("enable.idempotence", "false")
        .set("message.timeout.ms", wait.as_millis().to_string());
    // Properties that go with something else say nothing of rights.
    let producer: BaseProducer<Events> = config.create_with_context(Events::new(name)).ok()?;
    let record = BaseRecord::<[u8], [u8]>::to(topic).partition(0).key(KEY);
    producer.send(record).ok()?;
    let begun = Instant::now();
    while producer.in_flight_count() > 0 && begun.elapsed() < wait {
        producer.poll(LOOK);
    }
    let refused = producer.context().refused();
    refused.filter(|code| is_refusal(*code))
}
