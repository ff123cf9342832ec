//! Every way to send hands over exactly the stream, and says so.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use loadgen::{End, Expectation, Generator, Limit, Plan, Server, Shape, Spec, push, sink, write};

use crate::{mixed, stream};

fn never() -> AtomicBool {
    AtomicBool::new(false)
}

fn read_all(addr: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    TcpStream::connect(addr)
        .expect("connects")
        .read_to_end(&mut bytes)
        .expect("reads");
    bytes
}

fn expectation(spec: &Spec, records: u64) -> Expectation {
    let mut generator = Generator::new(spec).expect("a valid spec");
    generator.fill(&mut Vec::new(), records);
    generator.expectation().clone()
}

fn at_rate(rate: u64, limit: Limit) -> Plan {
    Plan {
        rate: NonZeroU64::new(rate),
        limit,
    }
}

#[test]
fn a_client_of_the_server_gets_the_stream() {
    let spec = mixed();
    let server = Server::bind("127.0.0.1:0", &spec, Plan::records(50_000)).expect("binds");
    let addr = server.local_addr();
    let sending = thread::spawn(move || server.run().expect("sends"));
    let bytes = read_all(addr);
    let sent = sending.join().expect("no panic");
    assert!(bytes == stream(&spec, 50_000));
    assert_eq!(
        (sent.records, sent.bytes, sent.cut, sent.end),
        (50_000, bytes.len() as u64, 0, End::Complete)
    );
    assert_eq!(sent.expectation, expectation(&spec, 50_000));
    assert!(sent.latency.is_none());
}

#[test]
fn several_clients_get_the_stream_together_in_whole_lines() {
    let spec = Spec::default();
    let server = Server::bind("127.0.0.1:0", &spec, Plan::records(40_000))
        .expect("binds")
        .connections(3);
    let addr = server.local_addr();
    let sending = thread::spawn(move || server.run().expect("sends"));
    let clients: Vec<_> = (0..3)
        .map(|_| thread::spawn(move || read_all(addr)))
        .collect();
    let parts: Vec<Vec<u8>> = clients
        .into_iter()
        .map(|client| client.join().expect("no panic"))
        .collect();
    assert_eq!(sending.join().expect("no panic").records, 40_000);
    assert!(parts.iter().all(|part| part.ends_with(b"\n")));
    let whole = stream(&spec, 40_000);
    let sorted = |bytes: &[u8]| {
        let mut lines: Vec<Vec<u8>> = bytes
            .split_inclusive(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        lines.sort();
        lines
    };
    assert!(sorted(&parts.concat()) == sorted(&whole));
}

#[test]
fn after_a_client_left_the_next_gets_the_following_lines_in_full() {
    let spec = mixed();
    let records = 300_000;
    let server = Server::bind("127.0.0.1:0", &spec, Plan::records(records)).expect("binds");
    let addr = server.local_addr();
    let sending = thread::spawn(move || server.run().expect("sends"));
    let mut first = vec![0; 1_000];
    // Closing with unread bytes resets the connection.
    TcpStream::connect(addr)
        .expect("connects")
        .read_exact(&mut first)
        .expect("reads");
    let second = read_all(addr);
    let sent = sending.join().expect("no panic");
    let whole = stream(&spec, records);
    assert!(whole.starts_with(&first));
    assert!(whole.ends_with(&second) && second.len() < whole.len());
    assert_eq!(whole[whole.len() - second.len() - 1], b'\n');
    assert_eq!((sent.records, sent.end), (records, End::Complete));
    assert_eq!(sent.expectation, expectation(&spec, records));
}

#[test]
fn a_waiting_server_can_be_stopped() {
    let server = Server::bind("127.0.0.1:0", &Spec::default(), Plan::default()).expect("binds");
    server.stop_flag().store(true, Ordering::Relaxed);
    let sent = server.run().expect("stops");
    assert_eq!((sent.records, sent.end), (0, End::Stopped));
}

#[test]
fn stopping_in_front_of_a_stalled_client_accounts_for_the_whole_lines() {
    let server = Server::bind("127.0.0.1:0", &mixed(), Plan::default()).expect("binds");
    let (addr, stop) = (server.local_addr(), server.stop_flag());
    let sending = thread::spawn(move || server.run().expect("sends"));
    let mut client = TcpStream::connect(addr).expect("connects");
    client.read_exact(&mut [0; 1]).expect("reads");
    // Long enough for the buffers to fill, normally; what follows holds in any case.
    thread::sleep(Duration::from_millis(200));
    stop.store(true, Ordering::Relaxed);
    let sent = sending.join().expect("no panic");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("reads");
    assert_eq!(sent.end, End::Stopped);
    assert_eq!(
        rest.iter().filter(|&&byte| byte == b'\n').count() as u64,
        sent.records
    );
    assert_eq!(sent.bytes, rest.len() as u64 + 1);
    assert_eq!(sent.cut, u64::from(!rest.ends_with(b"\n")));
    assert_eq!(sent.expectation, expectation(&mixed(), sent.records));
}

#[test]
fn pushing_at_a_rate_sends_the_same_stream_and_says_how_late() {
    let spec = Spec {
        shape: Shape::Wide,
        ..mixed()
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let addr = listener.local_addr().expect("has an address");
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        listener
            .accept()
            .expect("accepts")
            .0
            .read_to_end(&mut bytes)
            .expect("reads");
        bytes
    });
    let plan = at_rate(200_000, Limit::Time(Duration::from_millis(50)));
    let sent = push(addr, &spec, &plan, &never()).expect("sends");
    assert!(reading.join().expect("no panic") == stream(&spec, 10_000));
    assert_eq!((sent.records, sent.end), (10_000, End::Complete));
    let latency = sent.latency.expect("a rate gives latencies");
    assert!(
        latency.p50_us <= latency.p99_us
            && latency.p99_us <= latency.max_us
            && latency.max_us > 0.0
    );
}

#[test]
fn a_push_ends_when_the_peer_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let addr = listener.local_addr().expect("has an address");
    let reading = thread::spawn(move || {
        listener
            .accept()
            .expect("accepts")
            .0
            .read_exact(&mut [0; 500])
            .expect("reads");
    });
    let sent = push(addr, &Spec::default(), &Plan::default(), &never()).expect("ends");
    reading.join().expect("no panic");
    assert_eq!(sent.end, End::PeerClosed);
    assert_eq!(
        sent.expectation,
        expectation(&Spec::default(), sent.records)
    );
}

#[test]
fn a_writer_gets_the_stream_at_any_rate() {
    let spec = mixed();
    for plan in [
        Plan::records(3_000),
        at_rate(1_000_000, Limit::Records(3_000)),
    ] {
        let mut bytes = Vec::new();
        let sent = write(&mut bytes, &spec, &plan, &never()).expect("writes");
        assert!(bytes == stream(&spec, 3_000));
        assert_eq!(sent.expectation, expectation(&spec, 3_000));
    }
}

#[test]
fn a_time_cuts_the_same_stream() {
    let mut bytes = Vec::new();
    let plan = Plan {
        rate: None,
        limit: Limit::Time(Duration::from_millis(2)),
    };
    let sent = write(&mut bytes, &Spec::default(), &plan, &never()).expect("writes");
    assert_eq!(sent.end, End::Complete);
    assert!(bytes == stream(&Spec::default(), sent.records));
}

#[test]
fn a_writer_that_fails_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(write(Full, &Spec::default(), &Plan::records(1), &never()).is_err());
}

#[test]
fn the_sink_counts_what_was_sent() {
    let server = Server::bind("127.0.0.1:0", &mixed(), Plan::records(20_000)).expect("binds");
    let addr = server.local_addr();
    let sending = thread::spawn(move || server.run().expect("sends"));
    let received = sink(addr, true).expect("reads");
    let sent = sending.join().expect("no panic");
    assert_eq!((received.bytes, received.lines), (sent.bytes, Some(20_000)));
}

#[test]
fn a_bad_spec_is_invalid_input() {
    let spec = Spec {
        keys: 0,
        ..Spec::default()
    };
    let error = Server::bind("127.0.0.1:0", &spec, Plan::default())
        .err()
        .expect("an error");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
