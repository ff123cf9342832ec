//! A server under test, streams in it, and the binary reading them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Credentials;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard};
use aws_smithy_http_client::Builder;
use loadgen::{Expectation, Generator, Spec};
use tokio::runtime::Runtime;

use crate::support::{JsonTally, tallyline};

/// Records in a call, as many as Kinesis takes.
const CALL_RECORDS: usize = 500;

/// The address of the server that all tests share, or `None` with a word on why nothing is tested.
#[allow(clippy::print_stderr, reason = "a test's own output")]
pub(crate) fn server() -> Option<String> {
    let value = std::env::var("TEST_KINESIS").ok();
    if value.is_none() {
        eprintln!("skipped: TEST_KINESIS is not set; run: export $(tools/kinesis-server start)");
    }
    value
}

/// The binary with these arguments, credentials and a region: the server takes any.
pub(crate) fn reader(args: &[&str]) -> Command {
    let mut command = tallyline(args);
    command
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A stream of a test's own, and how to fill it.
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) url: String,
    endpoint: String,
    sdk: Client,
    runtime: Runtime,
    /// Records put in, each with another partition key.
    records: u32,
}

impl Stream {
    pub(crate) fn create(endpoint: &str, shards: i32) -> Stream {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("s{number}-{}", jiff::Timestamp::now().as_millisecond());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(Builder::new().build_http())
            .endpoint_url(endpoint)
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .build();
        let sdk = Client::from_conf(config);
        let request = sdk.create_stream().stream_name(&name).shard_count(shards);
        runtime.block_on(request.send()).unwrap();
        Stream {
            url: format!("kinesis://{name}"),
            name,
            endpoint: endpoint.to_owned(),
            sdk,
            runtime,
            records: 0,
        }
    }

    /// Puts in records, each with a partition key of its own, so that all shards get some.
    pub(crate) fn put<T: AsRef<[u8]>>(&mut self, records: &[T]) {
        for call in records.chunks(CALL_RECORDS) {
            let entries = call.iter().map(|record| {
                self.records += 1;
                PutRecordsRequestEntry::builder()
                    .partition_key(format!("key-{}", self.records))
                    .data(Blob::new(record.as_ref()))
                    .build()
                    .unwrap()
            });
            let entries = entries.collect();
            let request = self.sdk.put_records().stream_name(&self.name);
            let answer = request.set_records(Some(entries)).send();
            let answer = self.runtime.block_on(answer).unwrap();
            assert_eq!(answer.failed_record_count, Some(0));
        }
    }

    /// Puts in the next lines of a generator, so many in a record.
    pub(crate) fn fill(&mut self, generator: &mut Generator, lines: u64, in_a_record: usize) {
        let mut bytes = Vec::new();
        generator.fill(&mut bytes, lines);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        let records: Vec<Vec<u8>> = lines.chunks(in_a_record).map(<[&[u8]]>::concat).collect();
        self.put(&records);
    }

    /// The shards, open ones and closed ones.
    pub(crate) fn shards(&self) -> Vec<Shard> {
        let request = self.sdk.list_shards().stream_name(&self.name);
        let answer = self.runtime.block_on(request.send()).unwrap();
        answer.shards.unwrap()
    }

    /// Splits the shard of this number in the middle.
    pub(crate) fn split(&self, shard: usize) {
        let shard = &self.shards()[shard];
        let range = shard.hash_key_range().unwrap();
        let end = |text: &str| text.parse::<u128>().unwrap() / 2;
        let middle = end(range.starting_hash_key()) + end(range.ending_hash_key());
        let request = self.sdk.split_shard().stream_name(&self.name);
        let request = request
            .shard_to_split(shard.shard_id())
            .new_starting_hash_key(middle.to_string());
        self.runtime.block_on(request.send()).unwrap();
    }

    /// Merges the shards of these numbers.
    pub(crate) fn merge(&self, one: usize, other: usize) {
        let shards = self.shards();
        let request = self.sdk.merge_shards().stream_name(&self.name);
        let request = request
            .shard_to_merge(shards[one].shard_id())
            .adjacent_shard_to_merge(shards[other].shard_id());
        self.runtime.block_on(request.send()).unwrap();
    }

    pub(crate) fn delete(&self) {
        let request = self.sdk.delete_stream().stream_name(&self.name);
        self.runtime.block_on(request.send()).unwrap();
    }

    /// The binary, counting this stream as JSON.
    pub(crate) fn counting(&self, more: &[&str]) -> Command {
        let args = [
            "count",
            &self.url,
            "--by",
            "status",
            "--output",
            "json",
            "--endpoint-url",
            &self.endpoint,
        ];
        reader(&[&args, more].concat())
    }

    /// What the binary counts up to the end.
    pub(crate) fn count(&self, more: &[&str]) -> JsonTally {
        let more = [&["-q", "--until-end"], more].concat();
        let output = self.counting(&more).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert_eq!(stderr, "");
        let mut tally = JsonTally::default();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            tally.add(line);
        }
        tally
    }
}

/// Records with something to tell in every column that the generator knows.
pub(crate) fn mixed() -> Generator {
    Generator::new(&Spec {
        malformed: 0.01,
        missing: 0.01,
        ..Spec::default()
    })
    .unwrap()
}

/// What a counter must say of everything that a generator has made.
pub(crate) fn expected(generator: &Generator) -> Expectation {
    generator.expectation().clone()
}

/// A server of a test's own, which it may kill.
pub(crate) struct OwnServer {
    name: String,
    pub(crate) endpoint: String,
}

impl OwnServer {
    pub(crate) fn start(name: &str, more: &[&str]) -> OwnServer {
        let out = tool(name, "start", more);
        let endpoint = out.trim().strip_prefix("TEST_KINESIS=").unwrap();
        OwnServer {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
        }
    }

    pub(crate) fn kill(&self) {
        tool(&self.name, "kill", &[]);
    }

    pub(crate) fn restart(&self) {
        tool(&self.name, "restart", &[]);
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        tool(&self.name, "stop", &[]);
    }
}

fn tool(name: &str, what: &str, more: &[&str]) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tools/kinesis-server");
    let output = Command::new(path)
        .args([what, "--name", name, "--for", "600"])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{what}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
