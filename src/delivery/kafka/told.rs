//! What brokers and librdkafka answer, in words for whoever has to mend it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::delivery::outlet::Refusal;
use crate::kafka::{code, is_refusal, lower, words};

/// What rights are given for.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) topic: String,
    /// How the group and the transactions are called, if there is a state.
    pub(super) transactions: Option<String>,
}

impl Names {
    /// What an error means; `why` is the last that was heard of connections.
    pub(super) fn told(&self, error: &KafkaError, why: Option<&str>) -> Refusal {
        use RDKafkaErrorCode as Code;
        match error {
            KafkaError::ClientConfig(_, why, property, _) => {
                return Refusal::Wrong(format!(
                    "X.{property}: {}; librdkafka's list of properties has what can be set",
                    lower(why)
                ));
            }
            KafkaError::ClientCreation(why) => {
                return Refusal::Wrong(format!("{}; check what X. sets", lower(why)));
            }
            _ => {}
        }
        let said = words(error);
        match code(error) {
            code if is_refusal(code) => self.refused(code, why.unwrap_or(&said)),
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                Refusal::Wrong("there is no such topic any more; create it".to_owned())
            }
            Code::MessageSizeTooLarge | Code::InvalidMessageSize => Refusal::Never(
                "the topic takes no messages as long (max.message.bytes); let X.message.max.bytes= be no more"
                    .to_owned(),
            ),
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Refusal::Later(
                "shut out by the brokers: somebody else delivers this job, or a batch took too long"
                    .to_owned(),
                None,
            ),
            Code::InvalidRecord | Code::PolicyViolation => Refusal::Never(said),
            Code::InvalidTransactionTimeout => Refusal::Wrong(
                "brokers let no transaction take as long (transaction.max.timeout.ms); give a timeout= that is shorter"
                    .to_owned(),
            ),
            Code::OperationTimedOut | Code::MessageTimedOut | Code::RequestTimedOut => {
                let because = why.map_or(String::new(), |why| format!(": {why}"));
                Refusal::Later(format!("it takes longer than timeout= allows{because}"), None)
            }
            _ => Refusal::Later(why.unwrap_or(&said).to_owned(), None),
        }
    }

    /// What is to be done about a broker that does not have us: the right that is missing, if it is one.
    pub(super) fn refused(&self, code: RDKafkaErrorCode, why: &str) -> Refusal {
        let (topic, name) = (
            &self.topic,
            self.transactions.as_deref().unwrap_or_default(),
        );
        Refusal::Wrong(match code {
            RDKafkaErrorCode::TopicAuthorizationFailed => {
                format!("we may not write to topic {topic}; give the role the right to Write there")
            }
            // The right to write to any topic is enough since 3.0.
            RDKafkaErrorCode::ClusterAuthorizationFailed => format!(
                "we may not write to topic {topic}; give the role the right to Write there, and to brokers \
                 before 3.0 that of IdempotentWrite on the cluster"
            ),
            RDKafkaErrorCode::TransactionalIdAuthorizationFailed => format!(
                "we may not begin transactions as {name}; give the role the right to Write on that transactional id"
            ),
            RDKafkaErrorCode::GroupAuthorizationFailed => format!(
                "we may not note in group {name} what is delivered; give the role the right to Read on it"
            ),
            _ => format!("{why}; check the credentials, the rights and what X. sets"),
        })
    }
}
