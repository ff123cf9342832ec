//! `tallyline top`: another process's run on a terminal, as it goes on, is over, is gone and comes back; and what it
//! says where there is none.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
#[cfg(feature = "tls")]
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use rustix::process::Signal;
use tallyline::view::Remote;

use super::{Orders, Terminal};
use crate::support::{Running, tallyline};

/// A run that is looked at over HTTP, at this address; and where it is.
fn served(orders: &Orders, http: &str, flags: &[&str]) -> (Running, String) {
    let args = [
        &["count", &orders.source, "--by", "status"][..],
        &["--every", "100ms", "--output", "none", "--http", http],
        flags,
    ];
    let (telling, told) = mpsc::channel();
    let running = Running::start(&mut tallyline(&args.concat()), move |line| {
        if let Some(url) = line.strip_prefix("dashboard at ") {
            telling.send(url.to_owned()).unwrap();
        }
    });
    let url = told.recv().expect("the address is told");
    (running, url)
}

const ANYWHERE: &str = "127.0.0.1:0";

#[test]
fn a_run_elsewhere_is_looked_at_until_it_is_gone_and_again_when_there_is_another() {
    let orders = Orders::start();
    let (running, url) = served(&orders, ANYWHERE, &["--window", "1s"]);
    let mut terminal = Terminal::start(&["top", &url]);
    terminal.until("the rows", |text| {
        text.contains("PLACED") && text.contains("q quit")
    });
    terminal.until("the head", |text| text.contains("by status  every 100 ms"));
    terminal.until("whose it is", |text| text.contains(&url));
    terminal.until("the window", |text| text.contains("window 1s"));
    terminal.until("the ledger", |text| text.contains("malformed "));
    terminal.press("w");
    terminal.until("no window", |text| !text.contains("window 1s"));
    terminal.press("/ship\r");
    terminal.until("the filtered rows", |text| !text.contains("PLACED"));
    terminal.press("\x1b");
    terminal.until("all rows", |text| text.contains("PLACED"));
    terminal.press("?");
    terminal.until("the help", |text| text.contains("leave; the run goes on"));
    terminal.press("?");

    running.signal(Signal::KILL);
    terminal.until("the loss", |text| text.contains("trying again"));
    assert!(terminal.text().contains("PLACED"), "what was seen stays");
    drop(running);
    let http = url.trim_start_matches("http://").trim_end_matches('/');
    let (running, _) = served(&orders, http, &["--where", "status=SHIPPED"]);
    terminal.until("the other run", |text| {
        text.contains("filtered") && !text.contains("trying again")
    });
    assert!(!terminal.text().contains("PLACED"), "{}", terminal.text());

    terminal.press("q");
    assert_eq!(terminal.end(), Some(0));
    drop(running);
    let mut terminal = Terminal::start(&["top", &url]);
    assert_eq!(terminal.end(), Some(1));
    let text = terminal.text().replace('\n', "");
    let said = format!(
        "tallyline: cannot look at {}: connection refused; check the address",
        url.trim_end_matches('/')
    );
    assert!(text.starts_with(&said), "{text}");
    orders.stop();
}

#[test]
fn a_run_without_a_batch_is_told_of_and_ctrl_c_leaves() {
    let (telling, told) = mpsc::channel();
    let args = ["count", "tcp-listen://127.0.0.1:0", "--by", "status"];
    let args = [&args[..], &["--every", "1h", "--http", ANYWHERE]].concat();
    let running = Running::start(&mut tallyline(&args), move |line| {
        drop(telling.send(line.to_owned()));
    });
    let listening = told.recv().unwrap();
    let source = listening.strip_prefix("listening on ").unwrap();
    let dashboard = told.recv().unwrap();
    let mut terminal = Terminal::start(&["top", dashboard.strip_prefix("dashboard at ").unwrap()]);
    terminal.until("the head", |text| text.contains("by status  every 1 h"));
    terminal.until("the source", |text| text.contains("listening, 0 connected"));
    // The status is asked for between batches.
    let producer = std::net::TcpStream::connect(source.strip_prefix("tcp-listen://").unwrap());
    terminal.until("the producer", |text| {
        text.contains("listening, 1 connected")
    });
    drop(producer);
    terminal.press("\x03");
    assert_eq!(terminal.end(), Some(0));
    drop(running);
}

#[test]
fn a_run_that_asks_for_a_token_is_looked_at_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, token).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let right = file("right", "0123456789abcdef0123456789abcdef\n");
    let wrong = file("wrong", "fedcba9876543210fedcba9876543210\n");
    let none = file("none", "\n");
    let orders = Orders::start();
    let (running, url) = served(&orders, ANYWHERE, &["--http-token-file", &right]);
    for (flags, status, said) in [
        (
            &[][..],
            1,
            "it asks for a token; name the file that it is in with --token-file",
        ),
        (
            &["--token-file", &wrong],
            1,
            "it asks for another token; check the file that --token-file names",
        ),
        (&["--token-file", &none], 2, "no token in it; put 24 or"),
        (&["--token-file", "gone"], 2, "--token-file 'gone': cannot"),
    ] {
        let mut terminal = Terminal::start(&[&["top", &url], flags].concat());
        assert_eq!(terminal.end(), Some(status));
        let text = terminal.text().replace('\n', "");
        assert!(text.contains(said), "{text}");
    }
    let mut terminal = Terminal::start(&["top", &url, "--token-file", &right]);
    terminal.until("the rows", |text| text.contains("PLACED"));
    running.signal(Signal::TERM);
    terminal.until("the end", |text| {
        text.contains("[over]") && text.contains("the run is over; waiting")
    });
    terminal.press("q");
    assert_eq!(terminal.end(), Some(0));
    orders.stop();
}

#[cfg(feature = "tls")]
#[test]
fn a_run_is_looked_at_over_tls() {
    let authority = crate::tls::Authority::new();
    authority.certify("server", "localhost", |_| {});
    let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| authority.file(name));
    let [cert, key, ca] = [&cert, &key, &ca].map(|path| path.to_str().unwrap());
    let orders = Orders::start();
    let flags = ["--http-cert", cert, "--http-key", key];
    let (_running, url) = served(&orders, ANYWHERE, &flags);
    let named = url.replace("127.0.0.1", "localhost");
    let mut terminal = Terminal::start(&["top", &named, "--tls-ca", ca]);
    terminal.until("the rows", |text| text.contains("PLACED"));
    terminal.press("q");
    assert_eq!(terminal.end(), Some(0));

    let refused = |url: &str, ca: Option<&str>| match Remote::connect(url, None, ca.map(Path::new))
    {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{url} is trusted"),
    };
    let text = refused(&named, None);
    assert!(
        text.ends_with("name the authority's with --tls-ca"),
        "{text}"
    );
    let text = refused(&url, Some(ca));
    assert!(text.contains("for another name, localhost"), "{text}");
    let text = refused(&url.replace("https", "http"), None);
    assert!(text.contains("check the address"), "{text}");
    let text = refused(&named, Some(key));
    assert!(text.contains("no certificates in PEM format"), "{text}");
    orders.stop();
}

/// Answers every request with these bytes.
fn stranger(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(ANYWHERE).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines();
            let head = lines.map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            // Who has gone already needs no answer.
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    address
}

#[test]
fn what_is_no_tallyline_is_told_with_a_remedy() {
    const CLOSE: &str = "connection: close\r\n\r\n";
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>";
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{}";
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://example.org/\r\nconnection: close\r\n\r\n";
    let full = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let none = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert!(
        [html, json, moved, full, none]
            .iter()
            .all(|answer| answer.contains(CLOSE))
    );
    for (answer, said) in [
        (
            html,
            "what it sends is something else: it seems to be no tallyline; check",
        ),
        (
            json,
            "its status is none: it seems to be no tallyline; check",
        ),
        (
            none,
            "it answers 404: it seems to be no tallyline; check the address and the port",
        ),
        (moved, "it is elsewhere; try http://example.org/"),
        (full, "it has as many viewers as it takes; close one"),
        (
            "SSH-2.0-OpenSSH_9.2\r\n",
            "; check the address, and that the run there",
        ),
        (
            "",
            "; check the address, and that the run there is given --http",
        ),
    ] {
        let url = format!("http://{}", stranger(answer));
        let Err(error) = Remote::connect(&url, None, None) else {
            panic!("{answer}");
        };
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("cannot look at {url}: ")),
            "{text}"
        );
        assert!(text.contains(said) && !text.contains('\n'), "{text}");
        assert_eq!(error.exit_status(), 1);
    }
}

#[test]
fn an_address_that_makes_no_sense_and_an_output_that_is_no_terminal() {
    for (url, remedy) in [
        ("localhost:8080", "write http://HOST:PORT"),
        ("http://", "write http://HOST:PORT"),
    ] {
        let mut terminal = Terminal::start(&["top", url]);
        assert_eq!(terminal.end(), Some(2));
        let text = terminal.text();
        let said = format!("tallyline: url '{url}': {remedy}");
        assert!(text.starts_with(&said), "{text}");
    }
    for url in [
        "http://localhost/?token=secret",
        "http://me:secret@localhost",
    ] {
        let mut terminal = Terminal::start(&["top", url]);
        assert_eq!(terminal.end(), Some(2));
        let text = terminal.text();
        assert!(
            text.starts_with("tallyline: url: name no more than"),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }
    #[cfg(not(feature = "tls"))]
    {
        let mut terminal = Terminal::start(&["top", "https://localhost:8080"]);
        assert_eq!(terminal.end(), Some(2));
        assert!(terminal.text().contains("this build has no TLS; build it"));
    }
    let output = tallyline(&["top", "http://127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("tallyline: top: standard output is no terminal; "),
        "{stderr}"
    );
}
