//! Flags resolved: defaults filled in from the machine, sources opened, limits checked together.

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::{Color, CountArgs, MachineArgs, OutputArgs, StreamArgs, Top};
use crate::error::Error;
use crate::pipeline::{Settings, default_shards};
use crate::record::KeyPath;
use crate::reject::RejectOptions;
use crate::sink::SinkOptions;
use crate::source::{FileSource, Source, TcpOptions, TcpSource};

/// A `Duration` as the pipeline counts time.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The pipeline's settings for `tallyline count`.
pub fn settings(args: &CountArgs) -> Settings {
    let mut settings = with_machine(args.by.clone(), &args.machine, &args.output);
    settings.every_nanos = nanos(args.stream.every);
    settings.line_bytes_max = args.stream.max_line;
    settings.tolerance = args.bad.max_malformed;
    settings.reject = args.bad.reject_file.clone().map(|path| RejectOptions {
        path,
        bytes_max: args.bad.reject_file_bytes as u64,
    });
    settings
}

/// Settings with what the machine and the output ask for, the rest at its default.
pub fn with_machine(by: KeyPath, machine: &MachineArgs, output: &OutputArgs) -> Settings {
    let defaults = Settings::new(by);
    let parsers = machine.parsers.unwrap_or(defaults.parsers);
    Settings {
        parsers,
        shards: machine.shards.unwrap_or(default_shards(parsers)),
        pin: !machine.no_pin,
        pool_bytes: machine.pool_bytes,
        keys_max: machine.max_keys,
        top: top(output),
        stats: output.stats,
        ..defaults
    }
}

/// How many rows are shown.
fn top(output: &OutputArgs) -> Option<usize> {
    match output.top {
        None => output.output.default_top(),
        Some(Top::All) => None,
        Some(Top::Rows(rows)) => Some(rows),
    }
}

/// How the output looks where it goes.
pub fn sink_options(output: &OutputArgs) -> SinkOptions {
    let is_terminal = std::io::stdout().is_terminal();
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    SinkOptions {
        zone: TimeZone::system(),
        color: match output.color {
            Color::Auto => is_terminal && !is_dumb && !is_unwanted,
            Color::Always => true,
            Color::Never => false,
        },
        width: is_terminal.then(terminal_width).flatten(),
    }
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// Whether all of a source's lines are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// All of them, in any order: parsers may read them for themselves.
    Yes,
    /// The first ones, in order.
    No,
}

/// Opens a source.
///
/// # Errors
/// If its name makes no sense (usage), or it cannot be reached or read.
pub fn open_source(
    name: &str,
    stream: &StreamArgs,
    whole: Whole,
) -> Result<Box<dyn Source>, Error> {
    let scheme = name.split_once("://");
    if let Some(flag) = stream.kept.given()
        && scheme.is_none_or(|(scheme, _)| scheme != "kafka")
    {
        return Err(Error::Usage(format!(
            "{flag}: source {name} has no use for it; it is for kafka://BROKERS/TOPIC"
        )));
    }
    if name == "-" {
        return Ok(Box::new(FileSource::stdin()?));
    }
    match scheme {
        Some(("kafka", address)) => kafka(name, address, stream, whole),
        Some(("tcp", address)) => {
            let options = TcpOptions {
                on_close: stream.on_close,
                connect_wait: stream.connect_wait,
            };
            Ok(Box::new(TcpSource::connect(name, address, options)?))
        }
        Some((scheme, _)) if is_scheme(scheme) => Err(Error::Usage(format!(
            "source {name}: {scheme}:// is not known here; give tcp://HOST:PORT, kafka://BROKERS/TOPIC, a file, or - for standard input"
        ))),
        _ if name.is_empty() => Err(Error::Usage(
            "source '': the name is empty; give tcp://HOST:PORT, kafka://BROKERS/TOPIC, a file, or - for standard input"
                .to_owned(),
        )),
        _ if whole == Whole::Yes => Ok(Box::new(FileSource::open(name)?.in_extents()?)),
        _ => Ok(Box::new(FileSource::open(name)?)),
    }
}

/// Refuses a reject file that is the source itself: what is appended to it would be read, and rejected,
/// again and again.
///
/// # Errors
/// If it is.
pub fn check_reject_file(reject: &RejectOptions, source: &str) -> Result<(), Error> {
    let identity = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
    };
    let of_source = identity(Path::new(source));
    if of_source.is_none() || of_source != identity(&reject.path) {
        return Ok(());
    }
    Err(Error::Setting {
        name: "reject-file",
        value: reject.path.display().to_string(),
        remedy: "that is the source itself; name another file".to_owned(),
    })
}

#[cfg(feature = "kafka")]
fn kafka(
    name: &str,
    address: &str,
    stream: &StreamArgs,
    whole: Whole,
) -> Result<Box<dyn Source>, Error> {
    use crate::source::kafka::{KafkaOptions, KafkaSource, Properties};

    let kept = &stream.kept;
    if let (Some(group), Whole::No) = (&kept.group, whole) {
        return Err(Error::Usage(format!(
            "--group {group}: who only looks is in no group, which would miss what he saw; leave it out"
        )));
    }
    let options = KafkaOptions {
        group: kept.group.clone(),
        partitions: kept.partitions.clone(),
        from: kept.from.unwrap_or_default(),
        until_end: kept.until_end,
        properties: Properties::parse(&kept.properties)?,
        connect_wait: stream.connect_wait,
    };
    Ok(Box::new(KafkaSource::open(name, address, &options)?))
}

#[cfg(not(feature = "kafka"))]
fn kafka(name: &str, _: &str, _: &StreamArgs, _: Whole) -> Result<Box<dyn Source>, Error> {
    Err(Error::Usage(format!(
        "source {name}: this build leaves Kafka out; build it with --features kafka"
    )))
}

/// Whether this can be the scheme of an address, rather than the beginning of a strange file name.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}
