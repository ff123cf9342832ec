//! What a record is: one or more lines, or many records in one.

use std::thread;
use std::time::Duration;

use md5::{Digest, Md5};
use serde_json::json;

use crate::exact::Following;
use crate::stream::{Stream, server};

#[test]
fn records_are_whole_lines_and_do_not_run_together() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 1);
    let long = format!("{{\"status\":\"c\",\"pad\":\"{}\"}}", "x".repeat(900_000));
    stream.put(&[
        b"".as_slice(),
        b"{\"status\":\"a\"}\n{\"status\":\"b\"}",
        b"{\"status\":\"a\"}\n",
        b"\n",
        b"\xEF\xBB\xBF{\"status\":\"b\"}",
        b"{\"status\":",
        b"\"a\"}",
        long.as_bytes(),
    ]);
    let (ledger, counts) = stream.count(&[]).totals.unwrap();
    assert_eq!(
        ledger,
        json!({"lines": 9, "counted": 5, "missing": 0, "filtered": 0, "malformed": 2,
               "oversize": 0, "blank": 2, "late": 0})
    );
    let expected = [("\"a\"", 2), ("\"b\"", 2), ("\"c\"", 1)];
    assert_eq!(
        counts,
        expected.map(|(key, count)| (key.to_owned(), count)).into()
    );
}

/// Packs records as Amazon's producer library does, all with one partition key.
fn packed(key: &str, records: &[&str]) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap();
        assert!(length < 128);
        [&[number << 3 | 2, length][..], bytes].concat()
    };
    let mut message = field(1, key.as_bytes());
    for record in records {
        let fields = [vec![1 << 3, 0], field(3, record.as_bytes())];
        message.extend(field(3, &fields.concat()));
    }
    let digest = Md5::digest(&message);
    [&[0xF3, 0x89, 0x9A, 0xC2][..], &message, &digest].concat()
}

#[test]
fn records_packed_by_the_producer_library_are_unpacked() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 1);
    let two = packed(
        "k",
        &[
            "{\"status\":\"a\"}",
            "{\"status\":\"b\"}\n{\"status\":\"a\"}",
        ],
    );
    let mut damaged = two.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let damaged_lines = damaged.split(|&byte| byte == b'\n').count();
    stream.put(&[two, damaged]);
    let tally = stream.count(&[]);
    let expected = [("\"a\"", 2), ("\"b\"", 1)];
    assert_eq!(
        tally.counts,
        expected.map(|(key, count)| (key.to_owned(), count)).into()
    );
    // What is damaged is taken as it came; a byte in it may be a newline.
    assert_eq!(tally.totals.unwrap().0["malformed"], damaged_lines);
}

#[test]
fn reading_begins_at_a_time() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 2);
    let record = "{\"status\":\"a\"}";
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(jiff::Timestamp::now());
        // Arrival times are told in milliseconds.
        thread::sleep(Duration::from_millis(5));
        stream.put(&[record; 10]);
    }
    let from = |time: &str| stream.count(&["--from", time]).lines;
    let counts: Vec<u64> = times.iter().map(|time| from(&time.to_string())).collect();
    assert_eq!(counts, [30, 20, 10]);
    assert_eq!([from("earliest"), from("latest")], [30, 0]);
}

#[test]
fn from_latest_reads_what_comes_and_nothing_before() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 2);
    stream.put(&["{\"status\":\"before\"}"; 50]);
    stream.split(0);
    let mut following = Following::start(&stream, &["--from", "latest"]);
    // Empty batches: it has looked in every shard.
    for _ in 0..5 {
        following.batch();
    }
    stream.put(&["{\"status\":\"after\"}"; 50]);
    following.until(50);
    let (tally, _) = following.stop();
    assert_eq!(tally.counts, [("\"after\"".to_owned(), 50)].into());
}

#[test]
fn an_empty_stream_ends_at_once() {
    let Some(server) = server() else { return };
    let stream = Stream::create(&server, 3);
    assert_eq!(stream.count(&[]).lines, 0);
}
