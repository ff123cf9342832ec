//! What viewers cost: the pipeline with its HTTP server, counting files from the page cache as fast as it can in
//! batches of 100 ms, with nobody looking, with 200 viewers of `/events`, and with one that reads nothing.
//!
//! The cases take turns, so that a machine that drifts drifts for all of them; what is told is the median of each,
//! and the median of its ratio to the case before it in the same round. The viewers' own work (one thread that reads
//! for all of them) is on the same cores and so in the figure. Every run's ledger is checked.

mod common;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loadgen::{Plan, Spec};
use mio::{Events, Interest, Poll, Token};
use tallyline::clock::SystemClock;
use tallyline::http::{Bound, Limits, Options};
use tallyline::live::LiveSettings;
use tallyline::pipeline::{Pipeline, Settings};
use tallyline::record::KeyPath;
use tallyline::source::{FileSource, Source};

use common::{SEED, is_tiny, scaled};

/// Viewers of a case, and whether they read.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    viewers: usize,
    reads: bool,
}

const CASES: [Case; 3] = [
    Case {
        name: "nobody",
        viewers: 0,
        reads: true,
    },
    Case {
        name: "200 viewers",
        viewers: 200,
        reads: true,
    },
    Case {
        name: "one that reads nothing",
        viewers: 1,
        reads: false,
    },
];

/// Viewers of `/events` that are all there.
fn connect(address: SocketAddr, viewers: usize) -> Vec<TcpStream> {
    let viewer = |_| {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        let request = format!("GET /events HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("it answers");
        assert_eq!(&head, b"HTTP/1.1 200");
        stream
    };
    (0..viewers).map(viewer).collect()
}

/// Reads whatever comes for all of them, until it is over; the bytes that came.
fn read_all(streams: Vec<TcpStream>, is_over: &AtomicBool) -> io::Result<usize> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let mut streams: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            stream
                .set_nonblocking(true)
                .map(|()| mio::net::TcpStream::from_std(stream))
        })
        .collect::<Result<_, _>>()?;
    for (n, stream) in streams.iter_mut().enumerate() {
        poll.registry()
            .register(stream, Token(n), Interest::READABLE)?;
    }
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    while !is_over.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(50)))?;
        for event in &events {
            while let Ok(count @ 1..) = streams[event.token().0].read(&mut buffer) {
                bytes += count;
            }
        }
    }
    Ok(bytes)
}

/// Counts the file so often with these viewers; how long that took.
fn run(path: &str, times: usize, lines: u64, case: Case) -> Duration {
    let settings = Settings {
        every_nanos: 100_000_000,
        live: LiveSettings::FULL,
        ..Settings::new(KeyPath::parse("status").expect("a key path"))
    };
    let sources = (0..times).map(|_| -> Box<dyn Source> {
        Box::new(FileSource::open(path).expect("the file is there"))
    });
    let clock = Arc::new(SystemClock);
    let mut pipeline = Pipeline::new(settings, sources.collect(), Vec::new(), clock)
        .expect("the settings are good");
    let options = Options {
        address: "127.0.0.1:0".to_owned(),
        token_file: None,
        cert: None,
        key: None,
        metrics_keys: 50,
        limits: Limits::default(),
    };
    let bound = Bound::new(options).expect("a free port");
    let (server, bell) = bound.serve(pipeline.live()).expect("a thread");
    pipeline.on_batch(bell);
    let viewers = connect(server.address(), case.viewers);
    let is_over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_over);
    let (held, reading) = match case.reads {
        true => (
            Vec::new(),
            Some(thread::spawn(move || read_all(viewers, &told))),
        ),
        false => (viewers, None),
    };
    let begun = Instant::now();
    let (summary, result) = pipeline.run().expect("threads");
    let took = begun.elapsed();
    result.expect("the files can be read");
    assert_eq!(summary.ledger.lines, lines * times as u64);
    is_over.store(true, Ordering::Relaxed);
    if let Some(reading) = reading {
        let bytes = reading.join().expect("no panic").expect("no failure");
        assert!(case.viewers == 0 || bytes > 0, "nothing was seen");
    }
    drop(held);
    took
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("orders");
    let path = path.to_str().expect("a path in UTF-8");
    let spec = Spec {
        seed: SEED,
        ..Spec::default()
    };
    let file = io::BufWriter::new(std::fs::File::create(path).expect("a new file"));
    let plan = Plan::records(scaled(3_000_000) as u64);
    let sent = loadgen::write(file, &spec, &plan, &AtomicBool::new(false)).expect("disk space");
    let lines = sent.expectation.lines;
    let (rounds, times) = if is_tiny() { (1, 2) } else { (11, 30) };

    let mut rates: [Vec<f64>; CASES.len()] = Default::default();
    let mut ratios = rates.clone();
    for _ in 0..rounds {
        let mut alone = 0.0;
        for (n, case) in CASES.into_iter().enumerate() {
            let took = run(path, times, lines, case);
            let rate = (lines * times as u64) as f64 / took.as_secs_f64();
            if case.viewers == 0 {
                alone = rate;
            }
            rates[n].push(rate);
            ratios[n].push(rate / alone);
        }
    }
    let mut out = io::stdout().lock();
    for (n, case) in CASES.into_iter().enumerate() {
        let (rate, ratio) = (median(rates[n].clone()), median(ratios[n].clone()));
        let line = format!(
            "viewers/{:<24} {:>7.2} M records/s   {ratio:.3} of nobody's",
            case.name,
            rate / 1e6
        );
        writeln!(out, "{line}").expect("somebody reads it");
    }
}
