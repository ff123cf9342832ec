//! `loadgen`: arguments in, load out, summary to standard error, exit status: 0 done, 1 failure while running or a
//! peer that left too early, 2 usage.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's own output; see `say` for a closed pipe"
)]

mod cli;
mod values;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
#[cfg(unix)]
use std::os::unix::{
    fs::FileTypeExt,
    net::{UnixListener, UnixStream},
};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use cli::{Cli, Command, Load};
use flate2::Compression;
use flate2::write::GzEncoder;
use loadgen::{End, Plan, Received, Sent, Server, Spec};
use values::{Place, Target};

/// What `zstd` itself takes unless told otherwise.
const ZSTD_LEVEL: i32 = 3;

/// What went wrong, as the line to print.
enum Failure {
    Usage(String),
    Running(String),
}

fn main() -> ExitCode {
    let outcome = cli::parse().and_then(|parsed| parsed.map_or(Ok(()), run));
    let (line, status) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(line)) => (line, 2),
        Err(Failure::Running(line)) => (line, 1),
    };
    say(&format!("loadgen: {line}"));
    ExitCode::from(status)
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve {
            place,
            connections,
            load,
        } => {
            let (spec, plan, answer) = prepare(&load)?;
            let sent = match place {
                Place::Tcp(addr) => {
                    let server = Server::bind(&*addr.0, &spec, plan)
                        .map_err(running(format!("cannot listen at {}", addr.0)))?
                        .connections(connections.get());
                    say(&format!("listening on {}", server.local_addr()));
                    server.run()
                }
                #[cfg(unix)]
                Place::Unix(path) => {
                    let listener = listen_at(&path)
                        .map_err(running(format!("cannot listen at unix://{path}")))?;
                    say(&format!("listening on unix://{path}"));
                    let sent =
                        loadgen::serve_unix(listener, connections.get(), &spec, &plan, &never());
                    // It was ours; who has removed it already did the same.
                    fs::remove_file(&path).ok();
                    sent
                }
            };
            finish(sent.map_err(running("cannot send".into()))?, answer)
        }
        Command::Push { to, load } => {
            let (spec, plan, answer) = prepare(&load)?;
            let sent = push(&to, &spec, &plan).map_err(running(format!("cannot send to {to}")))?;
            let (end, records) = (sent.end, sent.records);
            finish(sent, answer)?;
            if end == End::PeerClosed {
                return Err(Failure::Running(format!(
                    "{to} closed the connection after {records} records"
                )));
            }
            Ok(())
        }
        Command::Write { file, load } => {
            let (spec, plan, answer) = prepare(&load)?;
            let failed = running(format!("cannot write {}", file.display()));
            let sent = if file.as_os_str() == "-" {
                // Without the line buffer of `Stdout`, which would look for newlines in every block.
                let out =
                    duplicate_stdout().map_err(running("cannot open standard output".into()))?;
                loadgen::write(out, &spec, &plan, &never())
            } else {
                write_file(&file, &spec, &plan)
            };
            finish(sent.map_err(failed)?, answer)
        }
        Command::Sink { from, count_lines } => {
            let received = loadgen::sink(&*from.0, count_lines)
                .map_err(running(format!("cannot read from {}", from.0)))?;
            writeln!(io::stdout(), "{}", received_line(&received)).or_else(ignore_closed_pipe)
        }
    }
}

fn push(to: &Target, spec: &Spec, plan: &Plan) -> io::Result<Sent> {
    match to {
        Target::Tcp(addr) => loadgen::push(&*addr.0, spec, plan, &never()),
        #[cfg(unix)]
        Target::Unix(path) => loadgen::push_unix(path, spec, plan, &never()),
        #[cfg(feature = "kafka")]
        Target::Kafka { brokers, topic } => {
            loadgen::push_kafka(brokers, topic, spec, plan, &never())
        }
    }
}

/// A listener at a path; the socket that a dead one has left there is replaced.
#[cfg(unix)]
fn listen_at(path: &str) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let is_dead = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(is_dead) {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

/// Writes a file, compressed as its name says.
fn write_file(path: &Path, spec: &Spec, plan: &Plan) -> io::Result<Sent> {
    let file = File::create(path)?;
    match path.extension().and_then(OsStr::to_str) {
        Some("gz") => {
            let mut out = GzEncoder::new(file, Compression::fast());
            let sent = loadgen::write(&mut out, spec, plan, &never())?;
            out.finish()?;
            Ok(sent)
        }
        Some("zst") => {
            let mut out = zstd::Encoder::new(file, ZSTD_LEVEL)?;
            let sent = loadgen::write(&mut out, spec, plan, &never())?;
            out.finish()?;
            Ok(sent)
        }
        _ => loadgen::write(file, spec, plan, &never()),
    }
}

/// The flags resolved and checked, and the file for the exact answer opened, so that a long run does not fail at
/// its end.
fn prepare(load: &Load) -> Result<(Spec, Plan, Option<File>), Failure> {
    let spec = load.spec();
    spec.check().map_err(|error| {
        Failure::Usage(format!(
            "invalid value '{}' for '--{}': {}",
            error.value, error.field, error.remedy
        ))
    })?;
    let answer = load.expect.as_ref().map(|path| {
        File::create(path).map_err(|error| {
            let path = path.display();
            Failure::Usage(format!(
                "invalid value '{path}' for '--expect': {error}; give a file that can be written"
            ))
        })
    });
    Ok((spec, load.plan(), answer.transpose()?))
}

/// The summary, and the exact answer into its file.
fn finish(sent: Sent, answer: Option<File>) -> Result<(), Failure> {
    say(&sent_line(&sent));
    if let Some(latency) = sent.latency {
        say(&format!(
            "latency from the due time, µs: p50 {:.0}, p99 {:.0}, p99.9 {:.0}, max {:.0}; lag at the end {:.0}",
            latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us, latency.lag_us
        ));
    }
    match answer {
        None => Ok(()),
        Some(mut file) => writeln!(file, "{}", sent.expectation.to_json())
            .map_err(running("cannot write the --expect file".into())),
    }
}

fn sent_line(sent: &Sent) -> String {
    let seconds = sent.elapsed.as_secs_f64();
    let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
    let cut = match sent.cut {
        0 => String::new(),
        lines => format!("; {lines} cut where a peer left"),
    };
    format!(
        "sent {} records, {} bytes in {seconds:.3} s: {:.0} records/s, {:.3} GB/s{cut}",
        sent.records,
        sent.bytes,
        per_second(sent.records as f64),
        per_second(sent.bytes as f64) / 1e9,
    )
}

fn received_line(received: &Received) -> String {
    let seconds = received.elapsed.as_secs_f64();
    let gb_s = if seconds > 0.0 {
        received.bytes as f64 / seconds / 1e9
    } else {
        0.0
    };
    let lines = received
        .lines
        .map_or(String::new(), |lines| format!(", {lines} lines"));
    format!(
        "read {} bytes{lines} in {seconds:.3} s: {gb_s:.3} GB/s",
        received.bytes
    )
}

/// A line to standard error. Where that is closed there is nobody to tell.
fn say(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

fn running(what: String) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::Running(format!("{what}: {error}"))
}

fn ignore_closed_pipe(error: io::Error) -> Result<(), Failure> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(running("cannot write to standard output".into())(error)),
    }
}

/// The command is stopped by its signals, not by a flag.
fn never() -> AtomicBool {
    AtomicBool::new(false)
}

#[cfg(unix)]
fn duplicate_stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(not(unix))]
fn duplicate_stdout() -> io::Result<io::Stdout> {
    Ok(io::stdout())
}
