//! Signals: the first drains, the second ends at once.
//!
//! Progress is awaited by reading what the program prints, never by time.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;

use loadgen::{Plan, Server, Spec};
use rustix::process::Signal;
use tallyline::sink::text;

use crate::support::{JsonTally, Running, expectation_of_first, tallyline};

/// Sends a signal in the middle of an endless, unthrottled stream. What the program then says it
/// received must be what it counted: the exact answer for that many first records of the stream.
fn drains_on(signal: Signal) {
    let spec = Spec {
        keys: 500,
        zipf: 1.0,
        malformed: 0.02,
        missing: 0.02,
        ..Spec::default()
    };
    let server = Server::bind("127.0.0.1:0", &spec, Plan::default()).unwrap();
    let source = format!("tcp://{}", server.local_addr());
    let stop = server.stop_flag();
    let sending = thread::spawn(move || server.run().unwrap());
    let args = [
        "count", &source, "--by", "status", "--every", "20ms", "--output", "json",
    ];
    let mut running = Running::start(&mut tallyline(&args), |_| {});

    let mut tally = JsonTally::default();
    while tally.lines < 20_000 {
        tally.add(&running.line().expect("the stream is endless"));
    }
    running.signal(signal);
    let output = running.finish();
    stop.store(true, Ordering::Relaxed);
    let sent = sending.join().unwrap();

    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    // `add` has checked that the totals' lines are those of the batches, and every balance.
    assert!(
        tally.lines <= sent.records,
        "{} lines of {}",
        tally.lines,
        sent.records
    );
    tally.assert_is(&expectation_of_first(&spec, tally.lines));
    let told = stderr
        .lines()
        .find_map(|line| line.strip_prefix("lines "))
        .expect("a summary");
    let told = told.split_whitespace().next().unwrap();
    assert_eq!(told, text::grouped(tally.lines), "{stderr}");
}

#[test]
fn sigterm_in_the_middle_of_a_stream_counts_what_was_received() {
    drains_on(Signal::TERM);
}

#[test]
fn sigint_in_the_middle_of_a_stream_counts_what_was_received() {
    drains_on(Signal::INT);
}

#[test]
fn what_producers_have_handed_over_is_counted_however_early_a_signal_comes() {
    let here = tempfile::tempdir().unwrap();
    let socket = here.path().join("orders.sock");
    let source = format!("unix-listen://{}", socket.display());
    let args = ["count", &source, "--by", "status", "--output", "json"];
    for _ in 0..10 {
        let running = Running::start(&mut tallyline(&args), |_| {});
        let mut producer = loop {
            match UnixStream::connect(&socket) {
                Ok(producer) => break producer,
                Err(_) => thread::yield_now(),
            }
        };
        producer
            .write_all(&b"{\"status\":\"A\"}\n".repeat(1_000))
            .unwrap();
        drop(producer);
        running.signal(Signal::INT);
        let output = running.finish();
        assert_eq!(output.status.code(), Some(0));
        let mut tally = JsonTally::default();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            tally.add(line);
        }
        assert_eq!(tally.lines, 1_000);
    }
}

#[test]
fn sigusr1_is_answered_with_a_line_and_disturbs_nothing() {
    let spec = Spec {
        malformed: 0.02,
        ..Spec::default()
    };
    let server = Server::bind("127.0.0.1:0", &spec, Plan::default()).unwrap();
    let source = format!("tcp://{}", server.local_addr());
    let stop = server.stop_flag();
    let sending = thread::spawn(move || server.run().unwrap());
    let args = [
        "count", &source, "--by", "status", "--every", "20ms", "--output", "json",
    ];
    let (telling, told) = mpsc::channel();
    let mut running = Running::start(&mut tallyline(&args), move |line| {
        if line.starts_with("status: ") {
            telling.send(line.to_owned()).unwrap();
        }
    });
    let mut tally = JsonTally::default();
    while tally.lines < 20_000 {
        tally.add(&running.line().expect("the stream is endless"));
    }
    let before = tally.lines;
    // A batch is told of in a status when it has been printed: that of `before` is, when the next is printed.
    while tally.lines == before {
        tally.add(&running.line().expect("the stream is endless"));
    }
    running.signal(Signal::USR1);
    let line = loop {
        match told.try_recv() {
            Ok(line) => break line,
            Err(_) => tally.add(&running.line().expect("the stream is endless")),
        }
    };
    for part in ["status: batch ", " records/s", "keys 4", "malformed "] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let (_, lines) = line.split_once(", lines ").unwrap();
    let lines = lines.split_once(", counted").unwrap().0.replace(',', "");
    assert!(lines.parse::<u64>().unwrap() >= before, "{line}, {before}");
    running.signal(Signal::TERM);
    let output = running.finish();
    stop.store(true, Ordering::Relaxed);
    sending.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    tally.assert_is(&expectation_of_first(&spec, tally.lines));
}

#[test]
fn a_signal_ends_the_counting_of_a_silent_server() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("tcp://{}", listener.local_addr().unwrap());
    let args = [
        "count", &source, "--by", "status", "--every", "20ms", "--output", "json",
    ];
    let mut running = Running::start(&mut tallyline(&args), |_| {});
    let mut tally = JsonTally::default();
    for _ in 0..3 {
        tally.add(&running.line().unwrap());
    }
    running.signal(Signal::TERM);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(0));
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    assert_eq!((tally.lines, tally.totals.is_some()), (0, true));
}

#[test]
fn a_second_sigint_ends_at_once_though_nobody_reads_the_output() {
    let spec = Spec {
        keys: 20_000,
        ..Spec::default()
    };
    let server = Server::bind("127.0.0.1:0", &spec, Plan::default()).unwrap();
    let source = format!("tcp://{}", server.local_addr());
    let stop = server.stop_flag();
    let sending = thread::spawn(move || server.run().unwrap());
    let args = [
        "count", &source, "--by", "status", "--every", "20ms", "--output", "json", "-v",
    ];
    let (draining, is_draining) = mpsc::channel();
    let mut running = Running::start(&mut tallyline(&args), move |line| {
        if line.contains("draining") {
            draining.send(()).unwrap();
        }
    });
    // Once so many keys were counted, the totals alone are several times what a pipe holds: with
    // nobody reading, draining cannot come to its end.
    let mut tally = JsonTally::default();
    while tally.counts.len() < 10_000 {
        tally.add(&running.line().expect("the stream is endless"));
    }
    running.signal(Signal::INT);
    is_draining
        .recv()
        .expect("the program says that it is draining");
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(130));
    stop.store(true, Ordering::Relaxed);
    sending.join().unwrap();
}

#[test]
fn tap_ends_on_a_signal() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("tcp://{}", listener.local_addr().unwrap());
    let mut running = Running::start(&mut tallyline(&["tap", &source, "--every", "20ms"]), |_| {});
    while running.line().unwrap() != "(0 lines)\n" {}
    running.signal(Signal::INT);
    assert_eq!(running.finish().status.code(), Some(0));
}
