//! Kinesis, as Amazon's SDK speaks with it: connected to, asked, and what it says when something is wrong.
//!
//! Before anything is counted the stream's shards must have been listed, so that a wrong name, region, address or
//! wrong credentials are an error at once. The SDK's own retries are off: what passes by itself is tried again by
//! `fetch`, which tells of it and knows which shards may go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::Client as Sdk;
use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{
    Config, ConfigBag, Intercept, ProvideCredentials as _, RuntimeComponents,
    StalledStreamProtectionConfig,
};
use aws_sdk_kinesis::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};
use aws_sdk_kinesis::types::{Record, Shard, ShardIteratorType};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use super::KinesisOptions;
use super::address::Address;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::source::client::backoff_nanos;

/// How long a connection may take to come about.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// How long an answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// A stream that can be asked.
pub(super) struct Client {
    pub(super) name: Arc<str>,
    address: Address,
    sdk: Sdk,
    date: ServerDate,
}

/// Where to begin in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With the oldest record that is still there.
    Earliest,
    /// With the next record that comes.
    Latest,
    /// With the first record of that time or later.
    Time(Timestamp),
    /// Behind the record of this sequence number.
    Behind(Arc<str>),
}

/// What a read of a shard brings.
pub(super) struct Page {
    pub(super) records: Vec<Record>,
    /// With what to go on; none: the shard is closed and read out.
    pub(super) iterator: Option<String>,
    pub(super) millis_behind: u64,
}

/// Why an answer did not come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// More was asked than is allowed in a time.
    Throttled,
    /// An iterator is too old.
    Expired,
    /// There is no such stream or shard.
    NotFound,
    /// It may be better the next time.
    Passing(String),
    /// It will not.
    Lasting(String),
}

impl Client {
    /// Finds region and credentials and lists the stream's shards.
    pub(super) async fn connect(
        name: Arc<str>,
        address: Address,
        options: &KinesisOptions,
    ) -> Result<(Client, Vec<Shard>), Error> {
        let config = configuration(&name, &address, options).await?;
        let date = ServerDate::default();
        let sdk = Config::from(&config).to_builder();
        let sdk = sdk.interceptor(date.clone());
        let client = Client {
            name,
            address,
            sdk: Sdk::from_conf(sdk.build()),
            date,
        };
        let begun = Instant::now();
        let mut failures = 0;
        loop {
            let trouble = match client.shards().await {
                Ok(shards) => return Ok((client, shards)),
                Err(trouble) => trouble,
            };
            let may_pass = matches!(trouble, Trouble::Passing(_) | Trouble::Throttled);
            if !may_pass || begun.elapsed() >= options.connect_wait {
                return Err(client.cannot_begin(trouble, &config));
            }
            tokio::time::sleep(backoff(failures)).await;
            failures += 1;
        }
    }

    /// The stream's shards, as far as their records are still there.
    pub(super) async fn shards(&self) -> Result<Vec<Shard>, Trouble> {
        let mut shards = Vec::new();
        let mut more = None;
        loop {
            let request = self.sdk.list_shards();
            let request = match &more {
                // The stream is in the token.
                Some(token) => request.next_token(token),
                None => request
                    .set_stream_name(self.stream_name())
                    .set_stream_arn(self.stream_arn()),
            };
            let answer = request.send().await.map_err(trouble)?;
            shards.extend(answer.shards.unwrap_or_default());
            more = answer.next_token;
            if more.is_none() {
                return Ok(shards);
            }
        }
    }

    /// An iterator of a shard; it lasts five minutes.
    pub(super) async fn iterator(&self, shard: &str, start: &Start) -> Result<String, Trouble> {
        let request = self.sdk.get_shard_iterator();
        let request = request
            .set_stream_name(self.stream_name())
            .set_stream_arn(self.stream_arn())
            .shard_id(shard);
        let request = match start {
            Start::Earliest => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Start::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
            Start::Time(time) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(time.as_nanos().div_euclid(1_000_000))),
            Start::Behind(number) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(&**number),
        };
        let answer = request.send().await.map_err(trouble)?;
        let missing = || Trouble::Passing("the answer has no iterator".to_owned());
        answer.shard_iterator.ok_or_else(missing)
    }

    /// The next records of a shard, as many as Kinesis gives at once: at most 10 MiB.
    pub(super) async fn read(&self, iterator: &str) -> Result<Page, Trouble> {
        let request = self.sdk.get_records().shard_iterator(iterator);
        let request = request.set_stream_arn(self.stream_arn());
        let answer = request.send().await.map_err(trouble)?;
        Ok(Page {
            records: answer.records,
            iterator: answer.next_shard_iterator,
            millis_behind: answer
                .millis_behind_latest
                .unwrap_or(0)
                .try_into()
                .unwrap_or(0),
        })
    }

    /// What time it is for Kinesis, to the second before; for us, if it has not said.
    pub(super) fn server_time(&self) -> Timestamp {
        self.date.get().unwrap_or_else(|| {
            let now = jiff::Timestamp::now();
            Timestamp::from_millis(now.as_millisecond())
        })
    }

    /// What is wrong with the stream for good.
    pub(super) fn failure(&self, trouble: &Trouble) -> Error {
        Error::Source(format!("lost {}: {}", self.name, self.words(trouble)))
    }

    /// Why the stream cannot be read, and what to do.
    fn cannot_begin(&self, trouble: Trouble, config: &SdkConfig) -> Error {
        let name = &self.name;
        let region = config.region().map_or("", Region::as_ref);
        let what = self.words(&trouble);
        Error::Source(match trouble {
            Trouble::NotFound => {
                format!("cannot read {name}: {what} in {region}; check the name and --region")
            }
            Trouble::Passing(_) => format!(
                "cannot connect to {name}: {what}; check --region, --endpoint-url and the network, or give --connect-wait 10s"
            ),
            _ => format!("cannot read {name}: {what}"),
        })
    }

    /// Trouble in a few words.
    pub(super) fn words(&self, trouble: &Trouble) -> String {
        match trouble {
            Trouble::Throttled => "it is asked more often than it allows".to_owned(),
            Trouble::Expired => "the iterator is too old".to_owned(),
            Trouble::NotFound => format!("there is no stream {}", self.address.stream),
            Trouble::Passing(why) | Trouble::Lasting(why) => why.clone(),
        }
    }

    fn stream_name(&self) -> Option<String> {
        let is_named = self.address.arn.is_none();
        is_named.then(|| self.address.stream.clone())
    }

    fn stream_arn(&self) -> Option<String> {
        let arn = self.address.arn.as_ref();
        arn.map(|arn| arn.text.clone())
    }
}

/// The wait after so many failures.
pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_nanos(backoff_nanos(failures, fastrand::f64()))
}

/// The SDK's configuration: region and credentials from wherever it looks for them.
async fn configuration(
    name: &str,
    address: &Address,
    options: &KinesisOptions,
) -> Result<SdkConfig, Error> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_WAIT)
        .operation_attempt_timeout(ANSWER_WAIT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled())
        // An answer that stands still because we take nothing is no reason to give it up.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .app_name(AppName::new("tallyline").expect("letters are a name"));
    let region = options.region.as_ref();
    if let Some(region) = region.or(address.arn.as_ref().map(|arn| &arn.region)) {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(Error::Usage(format!(
            "source {name}: no region is known; give --region, or set AWS_REGION or a profile's region"
        )));
    }
    if let Some(provider) = config.credentials_provider()
        && let Err(error) = provider.provide_credentials().await
    {
        return Err(Error::Source(format!(
            "cannot read {name}: no credentials: {}; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            root(&error)
        )));
    }
    Ok(config)
}

/// What an error of the SDK means for us.
fn trouble<E, R>(error: SdkError<E, R>) -> Trouble
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    match &error {
        SdkError::ServiceError(error) => {
            let meta = error.err().meta();
            let code = meta.code().unwrap_or("an error without a name");
            refusal(code, meta.message().unwrap_or_default())
        }
        SdkError::TimeoutError(_) => {
            Trouble::Passing(format!("no answer within {} s", ANSWER_WAIT.as_secs()))
        }
        SdkError::DispatchFailure(failure) => {
            let cause = failure.as_connector_error();
            Trouble::Passing(cause.map_or_else(|| root(&error), |cause| root(cause)))
        }
        _ => Trouble::Passing(root(&error)),
    }
}

/// What Kinesis means by an error of this name.
fn refusal(code: &str, message: &str) -> Trouble {
    let message = message.lines().next().unwrap_or_default();
    let message = message.trim_end_matches('.');
    match code {
        "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "KMSThrottlingException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded" => Trouble::Throttled,
        "ExpiredIteratorException" => Trouble::Expired,
        "ResourceNotFoundException" => Trouble::NotFound,
        "InternalFailureException"
        | "InternalFailure"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "ExpiredNextTokenException"
        | "ResourceInUseException" => Trouble::Passing(format!("{code}: {message}")),
        "AccessDeniedException" | "AccessDenied" | "KMSAccessDeniedException" => {
            Trouble::Lasting(format!(
                "access denied: {message}; it takes kinesis:ListShards, kinesis:GetShardIterator and kinesis:GetRecords (with encryption, kms:Decrypt)"
            ))
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "AuthFailure"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException" => Trouble::Lasting(format!(
            "the credentials are refused: {message}; check AWS_PROFILE or AWS_ACCESS_KEY_ID and what belongs to it"
        )),
        _ => Trouble::Lasting(format!("{code}: {message}")),
    }
}

/// The cause at the bottom of an error, in one line.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(error) => crate::error::reason(error),
        None => {
            let text = cause.to_string().replace(['\n', '\r'], " ");
            text.trim_end_matches('.').to_owned()
        }
    }
}

/// The date of Kinesis's last answer, in seconds since the epoch; 0 before the first.
#[derive(Clone, Debug, Default)]
struct ServerDate(Arc<AtomicI64>);

impl ServerDate {
    fn get(&self) -> Option<Timestamp> {
        // Relaxed: a number that stands for itself.
        let seconds = self.0.load(Ordering::Relaxed);
        (seconds > 0).then(|| Timestamp::from_millis(seconds.saturating_mul(1000)))
    }
}

impl Intercept for ServerDate {
    fn name(&self) -> &'static str {
        "ServerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.map(|date| DateTime::from_str(date, DateTimeFormat::HttpDate));
        if let Some(Ok(date)) = date {
            self.0.store(date.secs(), Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_what_can_be_done() {
        assert_eq!(refusal("LimitExceededException", ""), Trouble::Throttled);
        assert_eq!(refusal("ExpiredIteratorException", ""), Trouble::Expired);
        let passing = refusal("InternalFailure", "try again.\nlater");
        let expected = "InternalFailure: try again".to_owned();
        assert_eq!(passing, Trouble::Passing(expected));
        let Trouble::Lasting(denied) = refusal("AccessDeniedException", "user x may not") else {
            panic!("it lasts");
        };
        assert!(denied.starts_with("access denied: user x may not; "));
        let odd = refusal("ValidationException", "no.");
        assert_eq!(odd, Trouble::Lasting("ValidationException: no".to_owned()));
    }

    #[test]
    fn the_root_of_an_error_is_what_is_told() {
        let refused = std::io::Error::from_raw_os_error(111);
        let error = std::io::Error::other(Box::new(refused));
        assert_eq!(root(&error), "connection refused");
    }
}
