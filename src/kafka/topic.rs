//! A topic looked for: the first thing that is asked of a broker, as it tells what is wrong with the address, the
//! credentials or the name.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use super::trouble::{Troubles, code, code_words, is_refusal};

/// How long one question to a broker may take.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Between two looks at whether the connection has failed for good.
const METADATA_WAIT: Duration = Duration::from_millis(500);

/// What librdkafka may have to tell of an attempt to connect.
const EVENTS_MAX: usize = 32;

/// Between two attempts.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// Why a topic was not found.
#[derive(Debug)]
pub(crate) enum Unfound {
    /// A broker has been reached and does not have us, or we do not have it.
    Refused(RDKafkaErrorCode, String),
    /// There is no such topic.
    Missing,
    /// No broker answers; why, if a connection has told.
    Unreached(String, bool),
}

/// The topic's partitions, once a broker has answered, which is tried for so long; zero: until the first attempts
/// have failed. Nothing may be assigned to the consumer. It never creates a topic.
pub(crate) fn find<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    troubles: &Troubles,
    topic: &str,
    wait: Duration,
) -> Result<Vec<i32>, Unfound> {
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
        let last = troubles.last();
        let is_late = begun.elapsed() >= wait;
        // That all are down is told a little after why.
        why = last.why.or(why);
        let is_told = why.is_some();
        let told = || why.clone().unwrap_or_else(|| code_words(code));
        match last.code.unwrap_or(code) {
            code if is_refusal(code) => return Err(Unfound::Refused(code, told())),
            RDKafkaErrorCode::UnknownTopicOrPartition if is_late => return Err(Unfound::Missing),
            _ if is_late && (last.are_all_down || begun.elapsed() >= wait + ANSWER_WAIT) => {
                return Err(Unfound::Unreached(told(), is_told));
            }
            _ => thread::sleep(BETWEEN_ATTEMPTS),
        }
    }
}

/// The topic's partitions, if a broker knows of them.
fn partitions<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
) -> Result<Vec<i32>, RDKafkaErrorCode> {
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
