//! A sender that is faster than the counting waits: memory stays under the bound that `-v` prints,
//! and nothing is lost. Linux, where `/proc` tells the most memory a process ever had resident.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use loadgen::{Plan, Sent, Server, Shape, Spec};
use rustix::process::Signal;
use tallyline::pipeline::Settings;
use tallyline::record::KeyPath;
use tallyline::sink::text;
use tallyline::source::Streams;

use crate::support::{JsonTally, Running, tallyline};

const POOL_BYTES: usize = 2 << 20;
const LINE_BYTES_MAX: usize = 64 << 10;
const KEYS_MAX: u64 = 20_000;

/// Flags that keep the bound low, so that a stream is many times as large.
fn flags(source: &str, parsers: usize) -> Vec<String> {
    let values = [
        ("--by", "status".to_owned()),
        ("--output", "json".to_owned()),
        ("--every", "20ms".to_owned()),
        ("--parsers", parsers.to_string()),
        ("--shards", "1".to_owned()),
        ("--pool-bytes", POOL_BYTES.to_string()),
        ("--max-line", LINE_BYTES_MAX.to_string()),
        ("--max-keys", KEYS_MAX.to_string()),
    ];
    let flags = values
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value]);
    ["count", source, "-v"]
        .map(str::to_owned)
        .into_iter()
        .chain(flags)
        .collect()
}

/// The bound for these flags, with keys as long as the program assumes for what it prints.
fn bound(parsers: usize, streams: Streams) -> u64 {
    let settings = Settings {
        parsers,
        shards: 1,
        pool_bytes: POOL_BYTES,
        line_bytes_max: LINE_BYTES_MAX,
        keys_max: KEYS_MAX,
        ..Settings::new(KeyPath::parse("status").unwrap())
    };
    settings.memory_bytes_max(streams, 32)
}

/// The most memory the process ever had resident, in bytes.
fn resident_bytes_max(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// The processor time the process has used so far, in ticks.
fn processor_ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11..13]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum()
}

/// The program counting what an unthrottled server sends.
struct Race {
    running: Running,
    sending: JoinHandle<Sent>,
    tally: JsonTally,
    records: u64,
    parsers: usize,
}

impl Race {
    fn start(spec: &Spec, records: u64, parsers: usize) -> Race {
        let server = Server::bind("127.0.0.1:0", spec, Plan::records(records)).unwrap();
        let source = format!("tcp://{}", server.local_addr());
        let sending = thread::spawn(move || server.run().unwrap());
        let flags = flags(&source, parsers);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let running = Running::start(&mut tallyline(&flags), |_| {});
        let tally = JsonTally::default();
        Race {
            running,
            sending,
            tally,
            records,
            parsers,
        }
    }

    /// Reads one line of the output.
    fn read(&mut self) {
        let line = self.running.line().expect("the program goes on");
        self.tally.add(&line);
    }

    /// Reads on until every line is counted; then drains the program, which would wait for the
    /// server to come back, and checks everything.
    fn finish(mut self) {
        while self.tally.lines < self.records {
            self.read();
        }
        let resident = resident_bytes_max(self.running.id());
        self.running.signal(Signal::TERM);
        let output = self.running.finish();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            self.tally.add(line);
        }
        assert_eq!(output.status.code(), Some(0));
        let sent = self.sending.join().unwrap();
        assert_eq!(sent.records, self.records);
        self.tally.assert_is(&sent.expectation);

        let bound = bound(self.parsers, Streams::ONE);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let printed = format!("memory at most {} with 32-byte keys", text::bytes(bound));
        assert!(stderr.contains(&printed), "{printed}: {stderr}");
        assert!(
            resident < bound,
            "{resident} bytes resident, the bound is {bound}"
        );
        assert!(
            sent.bytes > 4 * bound,
            "what was sent, {} bytes, nearly fits",
            sent.bytes
        );
    }
}

#[test]
fn one_slow_parser_holds_up_the_sender() {
    let spec = Spec {
        shape: Shape::Wide,
        keys: 1000,
        malformed: 0.01,
        missing: 0.01,
        ..Spec::default()
    };
    Race::start(&spec, 400_000, 1).finish();
}

#[test]
fn an_output_that_nobody_reads_holds_up_the_sender() {
    // A batch's rows are several times what a pipe holds.
    let spec = Spec {
        keys: 15_000,
        ..Spec::default()
    };
    let mut race = Race::start(&spec, 3_000_000, 2);
    let process = race.running.id();
    race.read();
    // Until every thread has stopped for want of room: the processor time used does not change from
    // one look to the next.
    let (mut ticks, mut looks) = (processor_ticks(process), 0);
    while looks < 10 {
        thread::sleep(Duration::from_millis(20));
        let now = processor_ticks(process);
        looks = if now == ticks { looks + 1 } else { 0 };
        ticks = now;
    }
    assert!(!race.sending.is_finished(), "the sender waits");
    race.finish();
}

/// Producers that each leave a line of nearly the longest length unfinished.
#[test]
fn two_hundred_unfinished_lines_stay_under_the_bound() {
    const PRODUCERS: usize = 200;
    let mut flags = flags("tcp-listen://127.0.0.1:0", 1);
    flags.extend(["--max-connections".to_owned(), PRODUCERS.to_string()]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let (told, address) = mpsc::channel();
    let mut running = Running::start(&mut tallyline(&flags), move |line| {
        if let Some(address) = line.strip_prefix("listening on tcp-listen://") {
            told.send(address.to_owned()).unwrap();
        }
    });
    let address = address.recv().unwrap();
    let head = format!("{{\"padding\":\"{}", " ".repeat(LINE_BYTES_MAX - 100));
    let mut streams = Vec::new();
    for _ in 0..PRODUCERS {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        streams.push(stream);
    }
    // What all of them sent before the first of these lines is read has been read before the last.
    let (mut tally, mut lines) = (JsonTally::default(), 0);
    for round in 0..2 {
        for stream in &mut streams {
            let tail = if round == 0 {
                "\",\"status\":\"a\"}\n"
            } else {
                "\n"
            };
            stream.write_all(tail.as_bytes()).unwrap();
            lines += 1;
        }
        while tally.lines < lines {
            tally.add(&running.line().expect("the program goes on"));
        }
    }
    let resident = resident_bytes_max(running.id());
    running.signal(Signal::TERM);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(tally.counts["\"a\""], PRODUCERS as u64);
    let streams = Streams {
        sources: 0,
        connections: PRODUCERS,
        own_bytes: 0,
    };
    let bound = bound(1, streams);
    let printed = format!("memory at most {} with", text::bytes(bound));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&printed), "{printed}: {stderr}");
    assert!(
        resident < bound,
        "{resident} bytes resident, the bound is {bound}"
    );
}
