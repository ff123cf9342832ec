//! Sinks: a packed batch handed over, rows of 4, 10 thousand and a million keys.
//!
//! - `file`: JSON lines into the temporary folder, written and synced.
//! - `exec`: JSON lines to a command that reads and forgets them.
//! - `http`: a POST to a server in this process that reads the body and answers 200.
//! - `postgres/new` (feature `postgres`, on the server that `TEST_POSTGRES` names): counts and totals of keys that the
//!   tables do not have; two rows for each key.
//! - `postgres/again`: the next batch of the same keys: counts inserted, totals updated.
//! - `postgres/copy`: the same rows as `new`, from files, by `psql \copy` into tables made alike.
//! - `kafka/plain` (feature `kafka`, on the broker that `TEST_KAFKA` names): a message for each row and one for the batch,
//!   taken by the broker. `kafka/transactions`: as a run with a state delivers them, committed.
//! - `kafka/bare`: the same messages by librdkafka alone, compressed in the same way: sent in a loop, and polled until all are taken.
//!
//! Each checks that as many rows were taken as there are keys, and the tables that they hold them.

mod common;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use tallyline::clock::Timestamp;
use tallyline::delivery::{Context, Cut, Outlet, Packer, Parcel, SinkSpec, open};
use tallyline::key::KeyRef;
use tallyline::ledger::Ledger;
use tallyline::sink::{BatchReport, Hidden, Row, Rows};

use common::{scaled, slow_group};

/// The nth batch, in which each key came `n` times: its total is that of all batches.
fn parcel(keys: usize, nth: u64) -> Parcel {
    let texts: Vec<String> = (0..keys).map(|key| format!("KEY_{key:06}")).collect();
    let rows = texts.iter().map(|text| Row {
        key: KeyRef::string(text),
        count: nth,
        total: nth * (nth + 1) / 2,
        sums: None,
    });
    let rows: Vec<Row<'_>> = rows.collect();
    let records = keys as u64 * nth;
    let start = Timestamp::from_millis(1_795_362_455_000).plus_nanos(nth * 5_000_000_000);
    let mut packer = Packer::default();
    packer.begin(nth, start, start.plus_nanos(5_000_000_000));
    packer.batch(&BatchReport {
        batch: nth,
        start,
        end: start.plus_nanos(5_000_000_000),
        ledger: Ledger {
            lines: records,
            counted: records,
            ..Ledger::default()
        },
        counts: Rows {
            shown: &rows,
            hidden: Hidden::default(),
        },
        totals: None,
        latency: None,
        lag: &[],
    });
    packer.finish().expect("a batch was added")
}

fn sink(text: &str, has_state: bool) -> Box<dyn Outlet> {
    let spec = SinkSpec::parse(text).expect("a sink");
    let context = Context {
        job: "bench".to_owned(),
        has_state,
        ..Context::default()
    };
    open(&spec, &context, None).expect("its files can be read")
}

fn deliver(outlet: &mut dyn Outlet, parcel: &Parcel, keys: usize) {
    outlet.begin(parcel).expect("it is ready");
    let receipt = outlet
        .deliver(parcel, &Cut::default())
        .expect("it is taken");
    assert_eq!(receipt.rows, keys as u64);
}

/// A parcel of a higher number with each pass, those behind `nth`. Returns the last one's.
fn bench_next(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    keys: usize,
    outlet: &mut dyn Outlet,
    mut nth: u64,
) -> u64 {
    group.bench_function(format!("{name}/{keys}"), |bencher| {
        let next = || {
            nth += 1;
            parcel(keys, nth)
        };
        let deliver = |parcel| deliver(outlet, &parcel, keys);
        bencher.iter_batched(next, deliver, BatchSize::PerIteration);
    });
    nth
}

fn bench(criterion: &mut Criterion) {
    let here = tempfile::tempdir().expect("a folder for scratch files");
    let server = server::start();
    let mut group = slow_group(criterion, "delivery");
    for keys in [4, scaled(10_000), scaled(1_000_000)] {
        group.throughput(Throughput::Elements(keys as u64));
        let path = here.path().join(format!("{keys}.jsonl"));
        let file = format!("file:{}", path.display());
        let sinks = [
            ("file", &*file),
            ("exec", "exec:cat >/dev/null"),
            ("http", &server),
        ];
        for (name, to) in sinks {
            let mut outlet = sink(to, false);
            bench_next(&mut group, name, keys, &mut *outlet, 0);
            outlet.finish().expect("it can be finished");
        }
        #[cfg(feature = "postgres")]
        tables::bench(&mut group, keys, here.path());
        #[cfg(feature = "kafka")]
        topic::bench(&mut group, keys);
    }
    group.finish();
}

/// A server that takes everything.
mod server {
    use std::io::{BufRead, BufReader, Read, Write, copy, sink};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    /// Starts it; its address. It ends with the process.
    pub(super) fn start() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                thread::spawn(move || serve(stream));
            }
        });
        format!("http://{address}/")
    }

    fn serve(stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap_or(0) > 0 {
            let header = line.trim_end().to_ascii_lowercase();
            if let Some(bytes) = header.strip_prefix("content-length: ") {
                length = bytes.parse().expect("a length");
            }
            line.clear();
            if header.is_empty() {
                copy(&mut (&mut reader).take(length), &mut sink()).expect("a body");
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                reader.get_mut().write_all(answer).expect("it listens");
            }
        }
    }
}

#[cfg(feature = "postgres")]
mod tables {
    use std::path::Path;
    use std::process::Command;

    use criterion::measurement::WallTime;
    use criterion::{BatchSize, BenchmarkGroup};
    use torture::postgres::{self, Client, NoTls};

    use super::{bench_next, deliver, parcel, sink};

    const EMPTY: &str = "TRUNCATE tallyline_counts, tallyline_totals, tallyline_batches";

    pub(super) fn bench(group: &mut BenchmarkGroup<'_, WallTime>, keys: usize, here: &Path) {
        let Ok(url) = std::env::var("TEST_POSTGRES") else {
            return;
        };
        let password = std::env::var("TEST_POSTGRES_PASSWORD").expect("a password goes with it");
        let mut config: postgres::Config = url.parse().expect("an address");
        let mut client = config.password(&password).connect(NoTls).expect("a server");
        let schema = format!("bench_{}", std::process::id());
        let make = format!(
            "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}; SET search_path = {schema}"
        );
        client.batch_execute(&make).expect("a schema");
        let file = here.join("password");
        std::fs::write(&file, &password).expect("a disk with room");
        let to = format!("schema={schema} password-file={} {url}", file.display());
        let mut outlet = sink(&to, false);
        let first = parcel(keys, 1);
        deliver(&mut *outlet, &first, keys);

        group.bench_function(format!("postgres/new/{keys}"), |bencher| {
            let setup = || client.batch_execute(EMPTY).expect("tables");
            let routine = |()| deliver(&mut *outlet, &first, keys);
            bencher.iter_batched(setup, routine, BatchSize::PerIteration);
        });
        let nth = bench_next(group, "postgres/again", keys, &mut *outlet, 1);
        let totals = "SELECT count(*) FROM tallyline_totals";
        assert_eq!(figure(&mut client, totals), keys as i64);
        let last = format!("SELECT count(*) FROM tallyline_counts WHERE count = {nth}");
        assert_eq!(figure(&mut client, &last), keys as i64);
        let last = "DELETE FROM tallyline_counts WHERE count > 1";
        client.batch_execute(last).expect("tables");

        let psql = |command: &str| {
            let status = Command::new("psql")
                .env("PGPASSWORD", &password)
                .env("PGOPTIONS", format!("-c search_path={schema}"))
                .args(["-q", "-v", "ON_ERROR_STOP=1", "-c", command, &url])
                .status();
            status.is_ok_and(|status| status.success())
        };
        let path = |table: &str| here.join(table).display().to_string();
        let copy = |how: &str| {
            ["tallyline_counts", "tallyline_totals"]
                .iter()
                .all(|table| psql(&format!("\\copy {table} {how} '{}'", path(table))))
        };
        if copy("to") {
            group.bench_function(format!("postgres/copy/{keys}"), |bencher| {
                let setup = || client.batch_execute(EMPTY).expect("tables");
                let routine = |()| assert!(copy("from"));
                bencher.iter_batched(setup, routine, BatchSize::PerIteration);
            });
        }
        let drop = format!("DROP SCHEMA {schema} CASCADE");
        client.batch_execute(&drop).expect("our own schema");
    }

    fn figure(client: &mut Client, sql: &str) -> i64 {
        client.query_one(sql, &[]).expect("tables").get(0)
    }
}

#[cfg(feature = "kafka")]
mod topic {
    use std::time::Duration;

    use criterion::BenchmarkGroup;
    use criterion::measurement::WallTime;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};
    use rdkafka::message::Message as _;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    use rdkafka::{ClientConfig, Offset, TopicPartitionList};

    use super::{bench_next, sink};

    const WAIT: Duration = Duration::from_secs(60);

    /// Key and value.
    type Parts = (Vec<u8>, Vec<u8>);

    pub(super) fn bench(group: &mut BenchmarkGroup<'_, WallTime>, keys: usize) {
        let Ok(broker) = std::env::var("TEST_KAFKA") else {
            return;
        };
        let topic = format!("bench-{}-{keys}", std::process::id());
        let producer = producer(&broker);
        // It comes into being when it is written to.
        send(&producer, &topic, &[Parts::default()]);
        let to = format!("kafka://{broker}/{topic}");
        for (name, has_state) in [("kafka/plain", false), ("kafka/transactions", true)] {
            let mut outlet = sink(&to, has_state);
            bench_next(group, name, keys, &mut *outlet, 0);
        }
        let messages = read(&broker, &topic, keys + 1);
        group.bench_function(format!("kafka/bare/{keys}"), |bencher| {
            bencher.iter(|| send(&producer, &topic, &messages));
        });
    }

    fn producer(broker: &str) -> BaseProducer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", broker)
            .set("compression.type", "lz4")
            .set("enable.idempotence", "true");
        config.create().expect("the settings are good")
    }

    fn send(producer: &BaseProducer, topic: &str, messages: &[Parts]) {
        for (key, value) in messages {
            let mut record = BaseRecord::to(topic).key(&key[..]).payload(&value[..]);
            while let Err((error, returned)) = producer.send(record) {
                let code = error.rdkafka_error_code();
                assert_eq!(code, Some(RDKafkaErrorCode::QueueFull), "{error}");
                producer.poll(Duration::from_millis(1));
                record = returned;
            }
        }
        // Its own flush looks ten times a second.
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
    }

    /// So many messages of the topic, those of batches.
    fn read(broker: &str, topic: &str, count: usize) -> Vec<Parts> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", broker)
            .set("group.id", "bench")
            .set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().expect("the settings are good");
        let found = consumer.fetch_metadata(Some(topic), WAIT);
        let partitions = found.expect("it is there").topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions as i32 - 1);
        list.set_all_offsets(Offset::Beginning)
            .and_then(|()| consumer.assign(&list))
            .expect("the partitions are there");
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            let message = consumer.poll(WAIT).expect("there are as many");
            let message = message.unwrap_or_else(|error: KafkaError| panic!("{error}"));
            let part = |part: Option<&[u8]>| part.unwrap_or_default().to_vec();
            if message.payload_len() > 0 {
                messages.push((part(message.key()), part(message.payload())));
            }
        }
        messages
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = bench }
criterion_main!(benches);
