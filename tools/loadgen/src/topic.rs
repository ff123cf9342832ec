//! A Kafka topic as an outlet: every record is a message, without its newline, dealt to the partitions in turn.
//!
//! The producer is idempotent: a broker that is lost in the middle and comes back within five minutes has each record
//! once. A record counts as taken when it is queued; [`Outlet::finish`] waits until the broker has them all, and it is
//! an error if one was given up.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memchr::memchr_iter;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use crate::outlet::{Halt, Outlet, Taken, TakenEnd};
use crate::schedule::Plan;
use crate::sender::{Sent, send};
use crate::spec::Spec;

/// How long a topic may take to come into being.
const TOPIC_WAIT: Duration = Duration::from_secs(15);
/// How long the broker may take for what is still queued at the end.
const FLUSH_WAIT: Duration = Duration::from_secs(300);
const FULL_WAIT: Duration = Duration::from_millis(10);

/// Sends records as messages of `topic` until the plan is fulfilled or `stop` is set; the brokers may create the topic.
///
/// # Errors
///
/// No broker answered, there is no such topic, or a record was not delivered; `InvalidInput` when the spec is out of its
/// ranges.
pub fn push_kafka(
    brokers: &str,
    topic: &str,
    spec: &Spec,
    plan: &Plan,
    stop: &AtomicBool,
) -> io::Result<Sent> {
    let generator = crate::server::generator(spec)?;
    let mut topic = Topic::open(brokers, topic)?;
    send(generator, plan, &mut topic, stop)
}

/// Counts what was given up.
#[derive(Default)]
struct Failures(AtomicU64);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            // Relaxed: read by the thread that polls, which is where this runs.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Topic {
    producer: BaseProducer<Failures>,
    name: String,
    partitions: i32,
    /// The partition whose turn it is, `< partitions`.
    turn: i32,
}

impl Topic {
    fn open(brokers: &str, name: &str) -> io::Result<Topic> {
        let producer: BaseProducer<Failures> = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "loadgen")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "500000")
            .create_with_context(Failures::default())
            .map_err(io::Error::other)?;
        let begun = Instant::now();
        loop {
            let metadata = producer.client().fetch_metadata(Some(name), TOPIC_WAIT);
            let metadata = metadata.map_err(io::Error::other)?;
            let topic = metadata.topics().first();
            let partitions = topic.map_or(0, |topic| topic.partitions().len());
            if partitions > 0 {
                let partitions = i32::try_from(partitions).map_err(io::Error::other)?;
                return Ok(Topic {
                    producer,
                    name: name.to_owned(),
                    partitions,
                    turn: 0,
                });
            }
            if begun.elapsed() > TOPIC_WAIT {
                return Err(io::Error::other(format!("there is no topic {name}")));
            }
            std::thread::sleep(FULL_WAIT);
        }
    }

    /// Queues a record; `false`: halted while the queue was full.
    fn send(&mut self, record: &[u8], halt: &Halt<'_>) -> io::Result<bool> {
        let mut message = BaseRecord::<(), [u8]>::to(&self.name)
            .payload(record)
            .partition(self.turn);
        self.turn = (self.turn + 1) % self.partitions;
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(true),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    if halt.asked() {
                        return Ok(false);
                    }
                    self.producer.poll(FULL_WAIT);
                    message = back;
                }
                Err((error, _)) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl Outlet for Topic {
    fn ready(&mut self, _: &Halt<'_>) -> io::Result<bool> {
        Ok(true)
    }

    fn offer(&mut self, block: &[u8], halt: &Halt<'_>) -> io::Result<Taken> {
        let mut bytes = 0;
        for newline in memchr_iter(b'\n', block) {
            if !self.send(&block[bytes..newline], halt)? {
                return Ok(Taken {
                    bytes,
                    end: TakenEnd::Halted,
                });
            }
            bytes = newline + 1;
        }
        self.producer.poll(Duration::ZERO);
        Ok(Taken {
            bytes,
            end: TakenEnd::Complete,
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.producer.flush(FLUSH_WAIT).map_err(io::Error::other)?;
        match self.producer.context().0.load(Ordering::Relaxed) {
            0 => Ok(()),
            lost => Err(io::Error::other(format!(
                "{lost} records were not delivered"
            ))),
        }
    }
}
