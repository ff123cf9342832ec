//! What a message is: one or more lines, or a blank one.

use std::sync::Arc;

use loadgen::{Plan, Spec};
use serde_json::json;
use tallyline::clock::SystemClock;
use tallyline::ledger::Ledger;
use tallyline::source::StartAt;
use tallyline::source::kafka::{KafkaOptions, KafkaSource};

use crate::cluster::{broker, fill, fresh, send, send_at};
use crate::exact::count;
use crate::support::{key, run, settings};

#[test]
fn tombstones_and_empty_values_are_blank_and_messages_do_not_run_together() {
    let Some(broker) = broker() else { return };
    let topic = fresh("messages");
    let two: &[u8] = b"{\"status\":\"a\"}\n{\"status\":\"b\"}";
    let long = format!("{{\"status\":\"c\",\"pad\":\"{}\"}}", "x".repeat(300_000));
    send(
        &broker,
        &topic,
        &[
            None,
            Some(b""),
            Some(two),
            Some(b"{\"status\":\"a\"}\n"),
            Some(b"\n"),
            Some(b"\xEF\xBB\xBF{\"status\":\"b\"}"),
            Some(b"{\"status\":"),
            Some(b"\"a\"}"),
            Some(long.as_bytes()),
        ],
    );
    let tally = count(&format!("kafka://{broker}/{topic}"), &[]);
    let (ledger, counts) = tally.totals.unwrap();
    assert_eq!(
        ledger,
        json!({"lines": 10, "counted": 5, "missing": 0, "filtered": 0, "malformed": 2,
               "oversize": 0, "blank": 3, "late": 0})
    );
    let expected = [("\"a\"", 2), ("\"b\"", 2), ("\"c\"", 1)];
    assert_eq!(
        counts,
        expected.map(|(key, count)| (key.to_owned(), count)).into()
    );
}

#[test]
fn reading_begins_at_a_time() {
    let Some(broker) = broker() else { return };
    let topic = fresh("timed");
    let now = jiff::Timestamp::now().as_millisecond();
    let record: Option<&[u8]> = Some(b"{\"status\":\"a\"}");
    send_at(
        &broker,
        &topic,
        &[
            (now - 60_000, record),
            (now - 30_000, record),
            (now, record),
        ],
    );
    let url = format!("kafka://{broker}/{topic}");
    let from = |seconds_ago: i64| {
        let time = jiff::Timestamp::from_millisecond(now - seconds_ago * 1000).unwrap();
        count(&url, &["--from", &time.to_string()]).lines
    };
    assert_eq!(
        [from(90), from(60), from(59), from(30), from(0)],
        [3, 3, 2, 2, 1]
    );
    assert_eq!(count(&url, &["--from", "latest"]).lines, 0);
    assert_eq!(count(&url, &["--from", "earliest"]).lines, 3);
}

#[test]
fn until_end_means_the_end_as_it_was_at_the_start() {
    let Some(broker) = broker() else { return };
    let topic = fresh("ended");
    fill(&broker, &topic, &Spec::default(), &Plan::records(1000));
    let name = format!("kafka://{broker}/{topic}");
    let options = KafkaOptions {
        until_end: true,
        from: StartAt::Earliest,
        ..KafkaOptions::default()
    };
    let source = KafkaSource::open(&name, &format!("{broker}/{topic}"), &options).unwrap();
    let late: Option<&[u8]> = Some(b"{\"status\":\"LATE\"}");
    send(&broker, &topic, &[late; 500]);
    let run = run(settings(), Box::new(source), Arc::new(SystemClock), |_| ());
    run.result.unwrap();
    assert_eq!(
        run.ledger,
        Ledger {
            lines: 1000,
            counted: 1000,
            ..Ledger::default()
        }
    );
    assert!(!run.counts.contains_key(&key("LATE")));
}

#[test]
fn an_empty_topic_ends_at_once() {
    let Some(broker) = broker() else { return };
    let topic = fresh("empty");
    fill(&broker, &topic, &Spec::default(), &Plan::records(0));
    assert_eq!(count(&format!("kafka://{broker}/{topic}"), &[]).lines, 0);
    let group = fresh("empty");
    let url = format!("kafka://{broker}/{topic}");
    assert_eq!(count(&url, &["--group", &group]).lines, 0);
}
