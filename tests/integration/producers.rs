//! Producers that connect to us, on real sockets and the system's clock: many at once, more than are
//! allowed, slow, silent, gone in the middle of a line.
//!
//! Nothing here is timed. A run is stopped by the test when it has seen what it waits for; if that
//! never comes, the test hangs.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tallyline::clock::SystemClock;
use tallyline::pipeline::Settings;
use tallyline::source::{Address, Client, ClientOptions, Listener, OnClose, Source};

use crate::support::{KeyCounts, Run, Seen, key, run, settings};

/// Listens at a free port for so many producers: the source, and where it listens.
fn listen(connections_max: usize) -> (Listener, String) {
    let any = Address::Tcp("127.0.0.1:0".to_owned());
    let listener = Listener::bind("tcp-listen://127.0.0.1:0", &any, connections_max).unwrap();
    let address = listener.name().strip_prefix("tcp-listen://").unwrap();
    assert!(
        !address.ends_with(":0"),
        "the name tells the port: {address}"
    );
    let address = address.to_owned();
    (listener, address)
}

/// Counts what the source brings in batches of 20 ms.
fn count(source: impl Source + 'static, after_batch: impl FnMut(&Seen) + 'static) -> Run {
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

/// Counts until so many lines have come.
fn count_lines(source: impl Source + 'static, lines: u64) -> Run {
    count(source, move |seen| {
        if seen.lines >= lines {
            seen.stop();
        }
    })
}

fn line(status: &str) -> String {
    format!("{{\"status\":\"{status}\"}}\n")
}

#[test]
fn two_hundred_producers_at_once() {
    const PRODUCERS: usize = 200;
    const LINES: usize = 500;
    let (listener, address) = listen(PRODUCERS);
    let connected = Arc::new(std::sync::Barrier::new(PRODUCERS));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|number| {
            let (address, connected) = (address.clone(), Arc::clone(&connected));
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                connected.wait();
                let lines = line(&format!("key-{}", number % 7)).repeat(LINES);
                // Pieces that end in the middle of lines.
                for piece in lines.as_bytes().chunks(97 + number) {
                    stream.write_all(piece).unwrap();
                }
            })
        })
        .collect();
    let run = count_lines(listener, (PRODUCERS * LINES) as u64);
    producers
        .into_iter()
        .for_each(|producer| producer.join().unwrap());
    assert!(run.result.is_ok());
    assert_eq!(run.ledger.lines, run.ledger.counted);
    let producers_of = |rest: usize| (rest..PRODUCERS).step_by(7).count();
    let expected = (0..7).map(|rest| {
        let lines = producers_of(rest) * LINES;
        (key(&format!("key-{rest}")), lines as u64)
    });
    assert_eq!(run.counts, expected.collect());
    assert_eq!(run.summary.torn_lines, 0);
}

#[test]
fn one_more_than_the_maximum_is_refused_and_has_its_place_when_another_leaves() {
    let (listener, address) = listen(2);
    let producing = thread::spawn(move || {
        let mut streams: Vec<TcpStream> = (0..2)
            .map(|_| TcpStream::connect(&address).unwrap())
            .collect();
        // Connections are accepted in the order in which they were made.
        let mut refused = TcpStream::connect(&address).unwrap();
        assert_eq!(
            refused.read(&mut [0]).unwrap_or(0),
            0,
            "refused, not left hanging"
        );
        let mut first = streams.remove(0);
        first.write_all(line("first").as_bytes()).unwrap();
        drop(first);
        // The next is refused until the first one's end has been read.
        loop {
            let mut next = TcpStream::connect(&address).unwrap();
            next.set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            let is_refused = match next.read(&mut [0]) {
                Ok(_) => true,
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            };
            if !is_refused {
                next.write_all(line("next").as_bytes()).unwrap();
                return (streams, next);
            }
        }
    });
    let run = count_lines(listener, 2);
    drop(producing.join().unwrap());
    assert!(run.result.is_ok());
    assert_eq!(
        run.counts,
        KeyCounts::from([(key("first"), 1), (key("next"), 1)])
    );
}

#[test]
fn a_producer_that_vanishes_in_the_middle_of_a_line_loses_that_piece_only() {
    let (listener, address) = listen(10);
    let (told, counted) = mpsc::channel();
    let producing = thread::spawn(move || {
        let connect = || TcpStream::connect(&address).unwrap();
        let (mut vanishing, mut closing, mut staying) = (connect(), connect(), connect());
        staying.write_all(b"{\"status\":").unwrap();
        vanishing
            .write_all((line("a") + "{\"status\":\"torn").as_bytes())
            .unwrap();
        closing
            .write_all((line("b") + "{\"status\":\"last\"}").as_bytes())
            .unwrap();
        counted.recv().unwrap();
        set_socket_linger(&vanishing, Some(Duration::ZERO)).unwrap();
        drop((vanishing, closing));
        staying.write_all(b"\"c\"}\n").unwrap();
        staying
    });
    let mut told = Some(told);
    let run = count(listener, move |seen| {
        if seen.lines >= 2
            && let Some(told) = told.take()
        {
            told.send(()).unwrap();
        }
        // The closed one's last line only lacks its newline.
        if seen.lines >= 4 {
            seen.stop();
        }
    });
    drop(producing.join().unwrap());
    assert!(run.result.is_ok());
    let expected = ["a", "b", "c", "last"].map(|status| (key(status), 1));
    assert_eq!(run.counts, KeyCounts::from(expected));
    assert_eq!((run.ledger.lines, run.summary.torn_lines), (4, 1));
}

#[test]
fn silent_producers_and_one_byte_by_byte_hold_up_nobody() {
    let (listener, address) = listen(1024);
    let producing = thread::spawn(move || {
        let connect = || TcpStream::connect(&address).unwrap();
        let silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
        let mut slow = connect();
        slow.set_nodelay(true).unwrap();
        let mut fast = connect();
        for byte in line("slow").repeat(10).as_bytes() {
            slow.write_all(&[*byte]).unwrap();
            fast.write_all(line("fast").repeat(20).as_bytes()).unwrap();
        }
        (silent, slow, fast)
    });
    let (slow, fast) = (10, 20 * 10 * line("slow").len() as u64);
    let run = count_lines(listener, slow + fast);
    drop(producing.join().unwrap());
    assert_eq!(
        run.counts,
        KeyCounts::from([(key("fast"), fast), (key("slow"), slow)])
    );
}

#[test]
fn a_producer_that_never_pauses_does_not_starve_another() {
    let (listener, address) = listen(10);
    let is_enough = Arc::new(AtomicBool::new(false));
    let pouring = {
        let (address, is_enough) = (address.clone(), Arc::clone(&is_enough));
        thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let lines = line("torrent").repeat(10_000);
            while !is_enough.load(Ordering::Relaxed) {
                // The counting may have ended first.
                if stream.write_all(lines.as_bytes()).is_err() {
                    return;
                }
            }
        })
    };
    let producing = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        for _ in 0..100 {
            stream.write_all(line("trickle").as_bytes()).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let (trickle, enough) = (key("trickle"), Arc::clone(&is_enough));
    let run = count(listener, move |seen| {
        let batches = seen.batches.iter();
        let lines: u64 = batches.filter_map(|batch| batch.counts.get(&trickle)).sum();
        if lines == 100 {
            enough.store(true, Ordering::Relaxed);
            seen.stop();
        }
    });
    pouring.join().unwrap();
    producing.join().unwrap();
    assert_eq!(run.counts[&key("trickle")], 100);
}

/// A path for a socket in a directory of its own, which is removed with the directory's guard.
fn socket_path() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.sock");
    (dir, path)
}

#[test]
fn producers_over_a_unix_socket_whose_file_goes_with_the_listener() {
    let (_dir, path) = socket_path();
    let address = Address::Unix(path.clone());
    // One that died without removing its file.
    drop(UnixListener::bind(&path).unwrap());
    let listener = Listener::bind("unix-listen://orders.sock", &address, 10).unwrap();
    let live = Listener::bind("unix-listen://orders.sock", &address, 10).unwrap_err();
    assert!(
        live.to_string().contains("another program listens there"),
        "{live}"
    );
    let producers: Vec<_> = (0..3)
        .map(|_| {
            let path = path.clone();
            thread::spawn(move || {
                let mut stream = UnixStream::connect(path).unwrap();
                stream.write_all(line("a").repeat(1000).as_bytes()).unwrap();
            })
        })
        .collect();
    let run = count_lines(listener, 3000);
    producers
        .into_iter()
        .for_each(|producer| producer.join().unwrap());
    assert_eq!(run.counts, KeyCounts::from([(key("a"), 3000)]));
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let (_dir, path) = socket_path();
    std::fs::write(&path, "precious").unwrap();
    let error = Listener::bind("unix-listen://x", &Address::Unix(path.clone()), 1).unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
}

#[test]
fn a_unix_server_that_restarts_is_found_again() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let options = ClientOptions {
        on_close: OnClose::Reconnect,
        ..ClientOptions::default()
    };
    let client = Client::connect("unix://orders.sock", Address::Unix(path.clone()), options);
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all((line("before") + "{\"status\":\"last\"}").as_bytes())
            .unwrap();
        drop((stream, listener));
        std::fs::remove_file(&path).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(line("after").as_bytes()).unwrap();
        stream
    });
    let run = count_lines(client.unwrap(), 3);
    drop(serving.join().unwrap());
    let expected = ["after", "before", "last"].map(|status| (key(status), 1));
    assert_eq!(run.counts, KeyCounts::from(expected));
    assert_eq!(run.summary.torn_lines, 0);
}
