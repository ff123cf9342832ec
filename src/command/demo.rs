//! `tallyline demo`: an embedded order stream, sent over a real loopback socket and counted.

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use loadgen::{Limit, Plan, Server, Spec};

use crate::cli::{DemoArgs, Voice};
use crate::command::count::{self, Shown};
use crate::config;
use crate::delivery::Deliveries;
use crate::error::Error;
use crate::record::KeyPath;
use crate::source::{Address, Client, ClientOptions, OnClose};

/// What records of the demo are counted by.
const BY: &str = "status";

/// The share of records that are malformed, and of those without a status, so that the ledger has
/// something to tell.
const FAULTY: f64 = 0.001;

pub(super) fn run(args: &DemoArgs, voice: Voice) -> Result<(), Error> {
    let address = Some(&*args.http).filter(|address| *address != "none");
    let site = config::http(address, &args.access)?;
    let is_live = config::is_live(&args.output, voice, &[])?;
    let signals = count::wait_for_signals(is_live)?;
    let spec = Spec {
        malformed: FAULTY,
        missing: FAULTY,
        zipf: 0.7,
        ..Spec::default()
    };
    let plan = Plan {
        rate: NonZeroU64::new(args.rate),
        limit: Limit::Time(args.duration),
    };
    let serving = |error| Error::System("serve the demo's orders on loopback", error);
    let server = Server::bind("127.0.0.1:0", &spec, plan).map_err(serving)?;
    let (address, stop) = (server.local_addr(), server.stop_flag());
    let server = thread::Builder::new()
        .name("orders".to_owned())
        .spawn(move || server.run());
    let server = server.map_err(serving)?;

    let options = ClientOptions {
        on_close: OnClose::Exit,
        connect_wait: Duration::ZERO,
    };
    let source = Client::connect(
        &format!("tcp://{address}"),
        Address::Tcp(address.to_string()),
        options,
    )?;
    let by = KeyPath::parse(BY).expect("a plain name is a path");
    let mut settings = config::with_machine(by.into(), &args.machine, &args.output);
    settings.every_nanos = config::nanos(args.every);
    let site = site.map(|(bound, shown)| {
        settings.live = shown;
        bound
    });
    settings.windows = config::windows(&args.windows, settings.every_nanos)?;
    let options = config::sink_options(&args.output, &args.windows, &settings.query);
    let shown = Shown {
        is_live,
        color: options.color,
        server: site,
        signals,
    };
    let sink = args.output.output.sink(io::stdout(), options);
    let result = count::count(
        settings,
        vec![Box::new(source)],
        sink,
        Deliveries::default(),
        None,
        voice,
        shown,
    );

    // The connection is closed by now: the server notices at its next record.
    stop.store(true, Ordering::Relaxed);
    server
        .join()
        .expect("the load generator does not panic")
        .map_err(serving)?;
    result
}
