//! What librdkafka tells on the side: trouble with connections, and what became of messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use crate::kafka::{Troubles, code};

/// Notes all of it for the courier's thread, which is also the one that polls.
pub(super) struct Events {
    pub(super) troubles: Troubles,
    name: Arc<str>,
    /// Messages that a broker has.
    taken: AtomicU64,
    /// Why the first message that no broker took was not taken.
    refused: ArrayQueue<RDKafkaErrorCode>,
}

impl Events {
    pub(super) fn new(name: &Arc<str>) -> Events {
        Events {
            troubles: Troubles::new(Arc::clone(name)),
            name: Arc::clone(name),
            taken: AtomicU64::new(0),
            refused: ArrayQueue::new(1),
        }
    }

    /// How many messages brokers have taken so far.
    pub(super) fn taken(&self) -> u64 {
        // Relaxed: written by the thread that asks, when it polls.
        self.taken.load(Ordering::Relaxed)
    }

    /// Why a message was not taken, if one was not.
    pub(super) fn refused(&self) -> Option<RDKafkaErrorCode> {
        self.refused.pop()
    }
}

impl ClientContext for Events {
    /// What matters of it comes as an error, and is told by the courier; the rest is for who looks closer.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let name = &self.name;
        match level {
            RDKafkaLogLevel::Debug => tracing::debug!("{name}: librdkafka: {facility} {message}"),
            _ => tracing::info!("{name}: librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.hear(&error, reason);
    }
}

impl ConsumerContext for Events {}

impl ProducerContext for Events {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.taken.fetch_add(1, Ordering::Relaxed);
            }
            // The first says most: later ones follow from it.
            Err((error, _)) => drop(self.refused.push(code(error))),
        }
    }
}
