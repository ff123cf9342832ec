//! Those who ask too much: slow heads, long heads, many connections, viewers who do not read. The server goes on
//! answering others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tallyline::http::{Limits, Options};

use super::client::{connect, get, send};
use super::{Over, options};

fn limited(limits: Limits) -> Over {
    Over::serve(Options {
        limits,
        ..options()
    })
}

/// Reads until the peer closes, in whatever manner.
fn read_out(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    bytes
}

#[test]
fn a_head_that_does_not_come_is_waited_for_only_so_long() {
    let over = limited(Limits {
        head: Duration::from_millis(200),
        ..Limits::default()
    });
    let mut slow: Vec<TcpStream> = (0..50).map(|_| connect(over.address())).collect();
    for (i, stream) in slow.iter_mut().enumerate() {
        let begun = [
            "",
            "G",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nhost: local",
        ];
        stream.write_all(begun[i % begun.len()].as_bytes()).unwrap();
    }
    assert_eq!(get(over.address(), "/healthz").status, 200);
    for stream in &mut slow {
        // Closed, with an answer or without one; none hangs.
        let answer = String::from_utf8(read_out(stream)).unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
}

#[test]
fn a_head_is_only_so_long() {
    let over = limited(Limits::default());
    let host = format!("host: {}\r\nconnection: close\r\n", over.address());
    let long = "x".repeat(64 * 1024);
    let many = "a: b\r\n".repeat(200);
    for (request, statuses) in [
        (format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), [414, 431]),
        (
            format!("GET / HTTP/1.1\r\n{host}a: {long}\r\n\r\n"),
            [431, 431],
        ),
        (format!("GET / HTTP/1.1\r\n{host}{many}\r\n"), [431, 431]),
    ] {
        let mut stream = connect(over.address());
        // It may be refused before all of it is sent.
        drop(stream.write_all(request.as_bytes()));
        let answer = String::from_utf8(read_out(&mut stream)).unwrap();
        let is_refused = statuses
            .iter()
            .any(|status| answer.starts_with(&format!("HTTP/1.1 {status}")));
        assert!(is_refused || answer.is_empty(), "{answer}");
    }
    assert_eq!(
        send(over.address(), &format!("GET / HTTP/1.1\r\n{host}\r\n")).status,
        200
    );
}

#[test]
fn one_connection_too_many_is_refused_and_the_others_go_on() {
    let over = limited(Limits {
        connections: 8,
        ..Limits::default()
    });
    let ask = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut held: Vec<TcpStream> = (0..8).map(|_| connect(over.address())).collect();
    for stream in &mut held {
        stream.write_all(ask).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    for _ in 0..100 {
        let refused = read_out(&mut connect(over.address()));
        assert!(refused.starts_with(b"HTTP/1.1 503"), "{refused:?}");
    }
    // A place is free again when somebody leaves.
    drop(held.pop());
    let is_answered =
        (0..1000).any(|_| {
            let mut stream = connect(over.address());
            // Refused, it may be reset at once.
            drop(stream.write_all(
                b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            ));
            read_out(&mut stream).starts_with(b"HTTP/1.1 200")
        });
    assert!(is_answered);
}

#[test]
fn who_reads_nothing_is_let_go() {
    let over = limited(Limits {
        stall: Duration::from_millis(200),
        ..Limits::default()
    });
    let mut stream = connect(over.address());
    let ask = "GET /api/v1/batches HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    // More is asked for than all buffers between us hold; none of it is read.
    let ended = std::iter::repeat_with(|| stream.write_all(ask.as_bytes())).find_map(Result::err);
    let ended = ended.expect("the connection is closed").kind();
    assert!(
        matches!(
            ended,
            std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset
        ),
        "{ended:?}"
    );
    assert_eq!(get(over.address(), "/healthz").status, 200);
}

#[test]
fn what_is_no_http_is_refused() {
    let over = limited(Limits::default());
    for nonsense in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "{\"status\":\"PLACED\"}\n\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nbad\u{7}field: x\r\n\r\n",
    ] {
        let mut stream = connect(over.address());
        stream.write_all(nonsense.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = String::from_utf8(read_out(&mut stream)).unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{nonsense:?}: {answer}"
        );
    }
    assert_eq!(get(over.address(), "/healthz").status, 200);
}
