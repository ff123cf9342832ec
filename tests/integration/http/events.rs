//! Events: one for each batch, resumed where a viewer left; and what a run that is under way says.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::mpsc;

use super::client::{Events, get};
use super::{Over, options};
use crate::support::{Running, tallyline};

/// The numbers of the batches that are told to who has seen this one.
fn batches(address: SocketAddr, last: Option<&str>) -> Vec<u64> {
    let mut events = Events::open(address, last);
    let mut numbers = Vec::new();
    while let Some(event) = events.next() {
        if event.name == "batch" {
            numbers.push(event.data["batch"]["batch"].as_u64().unwrap());
        } else {
            assert_eq!(event.name, "end");
        }
    }
    numbers
}

#[test]
fn a_viewer_goes_on_where_it_left() {
    let over = Over::serve(options());
    let event = Events::open(over.address(), None).next().unwrap();
    assert_eq!(event.data["status"]["type"], "status");
    assert_eq!(event.data["totals"]["type"], "totals");
    let run = event.id.strip_suffix("-12").unwrap();
    assert_eq!(batches(over.address(), None), [12]);
    assert_eq!(batches(over.address(), Some(&event.id)), [0; 0]);
    let missed = batches(over.address(), Some(&format!("{run}-9")));
    assert_eq!(missed, [10, 11, 12]);
    // Another run's, and nonsense.
    let all: Vec<u64> = (1..=12).collect();
    assert_eq!(batches(over.address(), Some("77-9")), all);
    assert_eq!(batches(over.address(), Some("nonsense")), [12]);
}

#[test]
fn windows_come_with_the_batch_that_closes_them() {
    let over = Over::serve(options());
    let mut events = Events::open(over.address(), Some("0-0"));
    let mut told = Vec::new();
    while let Some(event) = events.next().filter(|event| event.name == "batch") {
        let windows = event.data["windows"].as_array().unwrap().clone();
        for window in &windows {
            assert_eq!(window["end"], event.data["batch"]["end"], "{window}");
        }
        told.extend(windows);
    }
    let printed = over.printed("window");
    let whole = printed
        .iter()
        .filter(|window| window["covered"]["end"].is_null());
    assert!(whole.clone().count() >= 5);
    for window in whole {
        assert!(told.iter().any(|other| other == *window), "{window}");
    }
}

/// The binary with a dashboard on a free port, and where that is.
fn serving(args: &[&str]) -> (Running, SocketAddr) {
    let (send, receive) = mpsc::channel();
    let mut command = tallyline(
        &[
            args,
            &[
                "--http",
                "127.0.0.1:0",
                "--every",
                "50ms",
                "--output",
                "none",
            ],
        ]
        .concat(),
    );
    let running = Running::start(command.stdin(Stdio::piped()), move |line| {
        if let Some(rest) = line.strip_prefix("dashboard at http://") {
            drop(send.send(rest.trim_end_matches('/').to_owned()));
        }
    });
    let address = receive.recv().expect("the address is told");
    (running, address.parse().unwrap())
}

#[test]
fn a_run_is_seen_while_it_lasts_and_its_end_is_told() {
    let (mut running, address) = serving(&["count", "-", "--by", "k"]);
    let mut stdin = running.stdin();
    let mut events = Events::open(address, None);
    for total in 1..=3 {
        writeln!(stdin, "{{\"k\":\"a\"}}").unwrap();
        loop {
            let event = events.next().expect("the run lasts");
            let counts = &event.data["totals"]["counts"];
            if counts[0]["total"] == total {
                break;
            }
            assert!(counts[0]["total"].as_u64().unwrap_or(0) < total, "{counts}");
        }
    }
    let status = get(address, "/api/v1/status").json();
    assert_eq!(status["sources"][0]["bytes"], 3 * 10);
    assert_eq!(get(address, "/readyz").status, 200);
    drop(stdin);
    let last = std::iter::from_fn(|| events.next()).last().unwrap();
    assert_eq!(last.name, "end");
    let output = running.finish();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_source_that_is_lost_makes_the_run_unready() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("tcp://{}", server.local_addr().unwrap());
    let (running, address) = serving(&["count", &source, "--by", "k"]);
    let (connection, _) = server.accept().unwrap();
    let mut events = Events::open(address, None);
    let mut wait_for = |state: &str| {
        let is_it =
            |event: super::client::Event| event.data["status"]["sources"][0]["state"] == state;
        assert!(std::iter::from_fn(|| events.next()).any(is_it), "{state}");
    };
    wait_for("connected");
    drop((connection, server));
    wait_for("reconnecting");
    let ready = get(address, "/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.json()["reasons"][0],
        format!("{source}: reconnecting")
    );
    assert_eq!(get(address, "/healthz").status, 200);
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.finish().status.code(), Some(0));
}
