//! The whole pipeline: a stream counted to its end, from a file and over TCP on loopback.
//!
//! *orders* (71 bytes a line, 4 statuses alike) and *keys* (the same with a million keys, Zipf 1.0),
//! from the load generator with a fixed seed. Over TCP the generator runs in a thread beside the
//! pipeline and makes its lines while it sends them, so its share of the cores is in the figure.
//! Every run's ledger and totals are held against the generator's expectation.

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use loadgen::{Expectation, Plan, Spec};
use tallyline::clock::SystemClock;
use tallyline::key::KeyRef;
use tallyline::pipeline::{Pipeline, Settings};
use tallyline::record::KeyPath;
use tallyline::sink::{BatchReport, Sink, TotalsReport, WindowReport};
use tallyline::source::{Address, Client, ClientOptions, FileSource, OnClose, Source};

use common::{SEED, scaled, slow_group};

/// Holds the totals against the answer.
struct Check(Arc<Vec<(String, u64)>>);

impl Sink for Check {
    fn batch(&mut self, _: &BatchReport<'_>) -> io::Result<()> {
        Ok(())
    }

    fn window(&mut self, _: &WindowReport<'_>) -> io::Result<()> {
        Ok(())
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        let rows = report.totals.shown;
        assert_eq!(rows.len(), self.0.len());
        for (row, (key, total)) in rows.iter().zip(self.0.iter()) {
            assert_eq!((row.key, row.total), (KeyRef::string(key), *total));
        }
        Ok(())
    }
}

/// Runs a pipeline from `source` to the end.
fn count(source: Box<dyn Source>, parsers: usize, expected: &Expected) {
    let settings = Settings {
        parsers,
        ..Settings::new(KeyPath::parse("status").expect("a key path"))
    };
    let sink = Box::new(Check(Arc::clone(&expected.ranked)));
    let pipeline = Pipeline::new(settings, vec![source], vec![sink], Arc::new(SystemClock));
    let (summary, result) = pipeline
        .and_then(Pipeline::run)
        .expect("the settings are good");
    result.expect("the source does not fail");
    let Expectation { lines, counted, .. } = expected.answer;
    assert_eq!(
        (summary.ledger.lines, summary.ledger.counted),
        (lines, counted)
    );
    assert_eq!(summary.bytes, expected.bytes);
}

struct Expected {
    answer: Expectation,
    ranked: Arc<Vec<(String, u64)>>,
    bytes: u64,
}

fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let orders = Spec {
        seed: SEED,
        ..Spec::default()
    };
    let keys = Spec {
        keys: scaled(1_000_000) as u64,
        zipf: 1.0,
        ..orders.clone()
    };
    let plan = Plan::records(scaled(3_000_000) as u64);
    for (name, spec) in [("orders", orders), ("keys-1M-zipf1", keys)] {
        let path = dir.path().join(name);
        let path = path.to_str().expect("a path in UTF-8");
        let file = io::BufWriter::new(std::fs::File::create(path).expect("a new file"));
        let sent = loadgen::write(file, &spec, &plan, &AtomicBool::new(false)).expect("disk space");
        let expected = Expected {
            ranked: Arc::new(sent.expectation.ranked()),
            answer: sent.expectation,
            bytes: sent.bytes,
        };
        let mut group = slow_group(criterion, "end_to_end");
        group.throughput(Throughput::ElementsAndBytes {
            elements: expected.answer.lines,
            bytes: expected.bytes,
        });
        for parsers in [1, 2] {
            group.bench_function(format!("file/{name}/{parsers}-parsers"), |bencher| {
                bencher.iter_batched(
                    || FileSource::open(path).expect("the file is there"),
                    |source| count(Box::new(source), parsers, &expected),
                    BatchSize::PerIteration,
                );
            });
            group.bench_function(format!("tcp/{name}/{parsers}-parsers"), |bencher| {
                bencher.iter_batched(
                    || loadgen::Server::bind("127.0.0.1:0", &spec, plan).expect("a free port"),
                    |server| {
                        let address = server.local_addr().to_string();
                        let sending = thread::spawn(move || server.run());
                        let options = ClientOptions {
                            on_close: OnClose::Exit,
                            ..ClientOptions::default()
                        };
                        let source = Client::connect("tcp", Address::Tcp(address), options)
                            .expect("the server listens");
                        count(Box::new(source), parsers, &expected);
                        let sent = sending.join().expect("no panic").expect("sent");
                        assert_eq!(sent.expectation, expected.answer);
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = common::criterion(); targets = bench }
criterion_main!(benches);
