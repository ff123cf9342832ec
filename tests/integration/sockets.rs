//! Real sockets on loopback, the system's clock: what a server may do to a client.
//!
//! Nothing here is timed. A pause of a server only makes it likely that the client sees the pieces
//! apart; what must come out is the same if it does not. Cuts at known places are in `pipeline`.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use loadgen::{Plan, Server, Spec};
use rustix::net::sockopt::set_socket_linger;
use tallyline::clock::SystemClock;
use tallyline::error::Error;
use tallyline::pipeline::Settings;
use tallyline::source::{Address, Client, ClientOptions, OnClose};

use crate::support::{KeyCounts, Run, Seen, assert_ledger, counts_of, key, run, settings};

/// Long enough for a client that has nothing else to do to come round once.
const PAUSE: Duration = Duration::from_millis(1);

/// Counts what the server at `address` sends, calling `after_batch` after each batch of 20 ms.
fn count(address: SocketAddr, on_close: OnClose, after_batch: impl FnMut(&Seen) + 'static) -> Run {
    let options = ClientOptions {
        on_close,
        connect_wait: Duration::ZERO,
    };
    let name = format!("tcp://{address}");
    let source = Client::connect(&name, Address::Tcp(address.to_string()), options).unwrap();
    let settings = Settings {
        every_nanos: 20_000_000,
        ..settings()
    };
    run(
        settings,
        Box::new(source),
        Arc::new(SystemClock),
        after_batch,
    )
}

/// A server that serves its only client with `serve` and then closes.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        serve(stream);
    });
    (address, serving)
}

/// Counts what `serve` sends until it closes.
fn served(serve: impl FnOnce(TcpStream) + Send + 'static) -> Run {
    let (address, serving) = server(serve);
    let run = count(address, OnClose::Exit, |_| {});
    serving.join().unwrap();
    run
}

#[test]
fn a_slow_sender_byte_by_byte() {
    let run = served(|mut stream| {
        for byte in b"{\"status\":\"a\"}\r\n\n{\"status\":\"b\"}\n{\"status\":\"a\"}\n{}\nx\n" {
            stream.write_all(&[*byte]).unwrap();
            thread::sleep(PAUSE);
        }
    });
    assert!(run.result.is_ok());
    assert_eq!(run.counts, KeyCounts::from([(key("a"), 2), (key("b"), 1)]));
    let ledger = run.ledger;
    assert_eq!(
        (ledger.lines, ledger.blank, ledger.missing, ledger.malformed),
        (6, 1, 1, 1)
    );
}

#[test]
fn a_record_split_at_every_byte_over_two_writes() {
    let record = "{\"order_id\":\"0f\",\"status\":\"größe\"}\n".as_bytes();
    let run = served(|mut stream| {
        for at in 0..=record.len() {
            stream.write_all(&record[..at]).unwrap();
            thread::sleep(PAUSE);
            stream.write_all(&record[at..]).unwrap();
            thread::sleep(PAUSE);
        }
    });
    assert_eq!(
        run.counts,
        KeyCounts::from([(key("größe"), record.len() as u64 + 1)])
    );
    assert_eq!(run.ledger.lines, run.ledger.counted);
}

#[test]
fn many_records_in_one_write() {
    let run = served(|mut stream| {
        stream
            .write_all(
                "{\"status\":\"a\"}\n{\"status\":1}\n"
                    .repeat(50_000)
                    .as_bytes(),
            )
            .unwrap();
    });
    assert_eq!(run.ledger.lines, 100_000);
    assert_eq!(
        run.counts.values().copied().collect::<Vec<_>>(),
        [50_000, 50_000]
    );
}

#[test]
fn a_peer_that_closes_its_half_has_sent_a_whole_stream() {
    let (over, is_over) = mpsc::channel();
    let (address, serving) = server(move |mut stream| {
        // The last line lacks its newline.
        stream
            .write_all(b"{\"status\":\"a\"}\n{\"status\":\"last\"}")
            .unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // The other half stays open until the client has ended by itself.
        is_over.recv().unwrap();
        assert_eq!(
            stream.read(&mut [0; 1]).unwrap(),
            0,
            "the client sends nothing"
        );
    });
    let run = count(address, OnClose::Exit, |_| {});
    over.send(()).unwrap();
    serving.join().unwrap();
    assert!(run.result.is_ok());
    assert_eq!(
        run.counts,
        KeyCounts::from([(key("a"), 1), (key("last"), 1)])
    );
    assert_eq!((run.ledger.lines, run.summary.torn_lines), (2, 0));
}

#[test]
fn a_server_that_sends_nothing() {
    let run = served(drop);
    assert!(run.result.is_ok());
    assert_eq!((run.ledger.lines, run.summary.bytes), (0, 0));
}

/// Resets the connection instead of closing it.
fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Tells, once, that `lines` lines were counted.
fn tell_at(lines: u64, told: mpsc::Sender<()>) -> impl FnMut(&Seen) {
    let mut told = Some(told);
    move |seen| {
        if seen.lines >= lines
            && let Some(told) = told.take()
        {
            told.send(()).unwrap();
        }
    }
}

#[test]
fn a_reset_in_the_middle_of_a_line_tears_the_line() {
    let (told, counted) = mpsc::channel();
    let (address, serving) = server(move |mut stream| {
        stream
            .write_all(b"{\"status\":\"a\"}\n{\"status\":\"b\"}\n{\"status\":\"torn\"}")
            .unwrap();
        // The unfinished line came with the others.
        counted.recv().unwrap();
        reset(stream);
    });
    let run = count(address, OnClose::Exit, tell_at(2, told));
    serving.join().unwrap();
    let Err(Error::Source(message)) = run.result else {
        panic!("{:?}", run.result);
    };
    assert_eq!(
        message,
        format!(
            "lost tcp://{address}: connection reset by peer; \
             what came before is counted, an unfinished line is not"
        )
    );
    assert_eq!(run.counts, KeyCounts::from([(key("a"), 1), (key("b"), 1)]));
    assert_eq!((run.ledger.lines, run.summary.torn_lines), (2, 1));
    assert!(run.summary.to_string().contains("torn"), "{}", run.summary);
}

#[test]
fn after_a_reset_the_next_connection_begins_afresh() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, counted) = mpsc::channel();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"{\"status\":\"a\"}\n{\"status\":")
            .unwrap();
        counted.recv().unwrap();
        reset(stream);
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"\"b\"}\n{\"status\":\"c\"}\n").unwrap();
        stream
    });
    let mut tell = tell_at(1, told);
    let run = count(address, OnClose::Reconnect, move |seen| {
        tell(seen);
        if seen.lines >= 3 {
            seen.stop();
        }
    });
    drop(serving.join().unwrap());
    assert!(run.result.is_ok());
    // `"b"}` is not the end of the torn line, but a bad line of its own.
    assert_eq!(run.counts, KeyCounts::from([(key("a"), 1), (key("c"), 1)]));
    assert_eq!((run.ledger.malformed, run.summary.torn_lines), (1, 1));
}

#[test]
fn a_server_that_restarts_is_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all("{\"status\":\"before\"}\n".repeat(1000).as_bytes())
            .unwrap();
        // The last line lacks its newline; what comes from the next connection is not glued to it.
        stream.write_all(b"{\"status\":\"last\"}").unwrap();
        drop(stream);
        drop(listener);
        let listener = TcpListener::bind(address).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all("{\"status\":\"after\"}\n".repeat(500).as_bytes())
            .unwrap();
        stream
    });
    let run = count(address, OnClose::Reconnect, |seen| {
        if seen.lines == 1501 {
            seen.stop();
        }
    });
    drop(serving.join().unwrap());
    assert!(run.result.is_ok());
    let expected = [(key("after"), 500), (key("before"), 1000), (key("last"), 1)];
    assert_eq!(run.counts, KeyCounts::from(expected));
    assert_eq!((run.ledger.lines, run.summary.torn_lines), (1501, 0));
}

#[test]
fn millions_of_records_as_fast_as_they_come() {
    let records = 10_000_000;
    let spec = Spec {
        keys: 1000,
        zipf: 1.0,
        malformed: 0.01,
        missing: 0.01,
        ..Spec::default()
    };
    let server = Server::bind("127.0.0.1:0", &spec, Plan::records(records)).unwrap();
    let address = server.local_addr();
    let serving = thread::spawn(move || server.run().unwrap());
    let run = count(address, OnClose::Exit, |_| {});
    let sent = serving.join().unwrap();
    assert!(run.result.is_ok());
    assert_eq!((sent.records, run.summary.bytes), (records, sent.bytes));
    assert_ledger(&run.ledger, &sent.expectation);
    assert_eq!(run.counts, counts_of(&sent.expectation));
}
