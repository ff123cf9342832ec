//! What librdkafka tells of connections, and errors in words.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What connections have told of since somebody asked.
pub(crate) struct Troubles {
    name: Arc<str>,
    /// The last error of a connection that says why.
    error: ArrayQueue<(RDKafkaErrorCode, String)>,
    /// It was the last one that there was.
    are_all_down: AtomicBool,
}

/// What the last errors of connections come to.
#[derive(Debug, Default)]
pub(crate) struct LastError {
    pub(crate) code: Option<RDKafkaErrorCode>,
    pub(crate) why: Option<String>,
    /// No broker is left.
    pub(crate) are_all_down: bool,
}

impl Troubles {
    /// None yet; messages begin with this name.
    pub(crate) fn new(name: Arc<str>) -> Troubles {
        Troubles {
            name,
            error: ArrayQueue::new(1),
            are_all_down: AtomicBool::new(false),
        }
    }

    /// The errors since the last call.
    pub(crate) fn last(&self) -> LastError {
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

    /// Takes note of an error that librdkafka tells of.
    pub(crate) fn hear(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        tracing::debug!("{}: {code:?}: {reason}", self.name);
        match code {
            // No trouble, though told as an error.
            RDKafkaErrorCode::PartitionEOF => {}
            // It says nothing of the reason. Relaxed: see `last`.
            RDKafkaErrorCode::AllBrokersDown => self.are_all_down.store(true, Ordering::Relaxed),
            code => {
                // A refusal often comes a second time, as a failure of transport: what it was first says more.
                let told = self.error.pop();
                let told = told.filter(|(told, _)| is_refusal(*told) && !is_refusal(code));
                let error = told.unwrap_or_else(|| (code, reason.to_owned()));
                drop(self.error.force_push(error));
            }
        }
    }

    /// Passes on what librdkafka would print.
    pub(crate) fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
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
}

/// Whether a broker has been reached and does not have us, or we do not have it.
pub(crate) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    )
}

/// What kind of error it is.
pub(crate) fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error
        .rdkafka_error_code()
        .unwrap_or(RDKafkaErrorCode::Unknown)
}

/// An error as people say it: `unknown topic or partition`.
pub(crate) fn words(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => code_words(code),
        None => lower(&error.to_string()),
    }
}

/// The same of its code.
pub(crate) fn code_words(code: RDKafkaErrorCode) -> String {
    // `UnknownTopicOrPartition (Broker: Unknown topic or partition)`.
    let text = code.to_string();
    let text = text
        .split_once(" (")
        .map_or(&*text, |(_, text)| text.trim_end_matches(')'));
    let text = text.split_once(": ").map_or(text, |(_, text)| text);
    lower(text)
}

/// Without a capital at the beginning, where it is a word's and not a name's.
pub(crate) fn lower(text: &str) -> String {
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
    fn what_a_refusal_said_first_is_kept() {
        let troubles = Troubles::new("here".into());
        for (code, reason) in [
            (
                RDKafkaErrorCode::Authentication,
                "Invalid username (after 3ms)",
            ),
            (RDKafkaErrorCode::BrokerTransportFailure, "Disconnected"),
            (RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down"),
        ] {
            troubles.hear(&KafkaError::Global(code), reason);
        }
        let last = troubles.last();
        assert_eq!(last.why.as_deref(), Some("invalid username"));
        assert!(last.are_all_down);
        assert!(troubles.last().why.is_none());
    }
}
