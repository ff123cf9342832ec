//! A Kafka topic counted to its end, beside a bare librdkafka consumer that throws its messages away.
//!
//! *orders* (71 bytes a message, no key, not compressed) over 8 partitions, on the broker that
//! `TEST_KAFKA` names; without one there is nothing to measure. Two runs in turn, each from
//! its first connection to its last message:
//!
//! - `bare`: a consumer of librdkafka, polled in a loop, with the settings that tallyline gives its
//!   own (with librdkafka's, which stop fetching for a second whenever enough is fetched ahead, it
//!   takes six times as long);
//! - `tallyline`: the pipeline, its ledger held against the number of messages.
//!
//! The broker works on the same cores. Rounds alternate, and medians are compared, as figures drift.

#![allow(clippy::print_stdout, reason = "a bench's own output")]

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use loadgen::{Plan, Spec};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tallyline::clock::SystemClock;
use tallyline::pipeline::{Pipeline, Settings};
use tallyline::record::KeyPath;
use tallyline::source::kafka::{DEFAULTS, KafkaOptions, KafkaSource};

use common::{SEED, scaled};

const ROUNDS: usize = 5;
const PARTITIONS: i32 = 8;

fn main() {
    let Ok(broker) = std::env::var("TEST_KAFKA") else {
        println!("nothing measured: TEST_KAFKA is not set; export $(tools/kafka-broker start)");
        return;
    };
    let messages = scaled(5_000_000) as u64;
    let topic = format!("bench-{messages}-{}", jiff::Timestamp::now().as_second());
    fill(&broker, &topic, messages);

    let runs: [(&str, &dyn Fn()); 2] = [
        ("bare", &|| discard(&broker, &topic, messages)),
        ("tallyline", &|| count(&broker, &topic, messages)),
    ];
    let mut times = runs.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, run), times) in runs.iter().zip(&mut times) {
            let begun = Instant::now();
            run();
            times.push(begun.elapsed());
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    for ((name, _), median) in runs.iter().zip(medians) {
        let share = medians[0].as_secs_f64() / median.as_secs_f64();
        println!(
            "{name:<9} {:>7.3} s  {:>9.0} messages/s  {:>5.1} % of bare",
            median.as_secs_f64(),
            messages as f64 / median.as_secs_f64(),
            share * 100.0
        );
    }
}

fn fill(broker: &str, topic: &str, messages: u64) {
    let spec = Spec {
        seed: SEED,
        ..Spec::default()
    };
    let never = AtomicBool::new(false);
    loadgen::push_kafka(broker, topic, &spec, &Plan::records(messages), &never)
        .expect("the broker takes the messages");
}

/// Polls until all messages have come, and looks at none. (That a partition is at its end librdkafka
/// would tell half a second later.)
fn discard(broker: &str, topic: &str, messages: u64) {
    let mut config = ClientConfig::new();
    for (name, value) in DEFAULTS {
        config.set(name, value);
    }
    let consumer: BaseConsumer = config
        .set("bootstrap.servers", broker)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .create()
        .expect("the settings are good");
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(topic, 0, PARTITIONS - 1);
    partitions
        .set_all_offsets(Offset::Beginning)
        .and_then(|()| consumer.assign(&partitions))
        .expect("the partitions are there");
    let mut polled = 0;
    while polled < messages {
        match consumer.poll(Duration::from_secs(10)) {
            Some(Ok(_)) => polled += 1,
            other => panic!("the broker is there: {other:?}"),
        }
    }
}

fn count(broker: &str, topic: &str, messages: u64) {
    let options = KafkaOptions {
        until_end: true,
        ..KafkaOptions::default()
    };
    let address = format!("{broker}/{topic}");
    let source = KafkaSource::open(&format!("kafka://{address}"), &address, &options)
        .expect("the topic is there");
    let settings = Settings::new(KeyPath::parse("status").expect("a key path"));
    let sources = vec![Box::new(source) as _];
    let pipeline = Pipeline::new(settings, sources, Vec::new(), Arc::new(SystemClock));
    let (summary, result) = pipeline
        .and_then(Pipeline::run)
        .expect("the settings are good");
    result.expect("the source does not fail");
    assert_eq!(summary.ledger.counted, messages);
}
