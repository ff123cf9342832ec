//! Flags resolved: defaults filled in from the machine, sources opened, limits checked together.

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::{
    AccessArgs, Color, CountArgs, Emit, EventArgs, MachineArgs, OutputArgs, StreamArgs, Top, Ui,
    Voice, WindowArgs,
};
use crate::delivery::DeliverySettings;
use crate::error::Error;
use crate::event::EventSettings;
use crate::http;
use crate::live::LiveSettings;
use crate::log::LogFormat;
use crate::pipeline::{Settings, default_shards};
use crate::record::{KeyPath, Query};
use crate::reject::RejectOptions;
use crate::sink::text::grouped;
use crate::sink::{OutputFormat, SinkOptions};
use crate::source::{
    Address, Client, ClientOptions, FileSource, Files, Folder, Follow, KnownFiles, Listener,
    OnReplaced, Source, files_named, is_followable, takes_in,
};
use crate::state::{Meaning, Saved, SavedPart};
use crate::window::{self, SLOTS_MAX, WindowSettings};

/// A `Duration` as the pipeline counts time.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The pipeline's settings for `tallyline count`.
///
/// # Errors
/// If more is asked of a record than can be, or the windows do not fit the batches.
pub fn settings(args: &CountArgs) -> Result<Settings, Error> {
    let CountArgs {
        by,
        conditions,
        sum,
        ..
    } = args.clone();
    let query = Query::new(by, conditions, sum)
        .map_err(|error| Error::Usage(format!("--by, --where and --sum: {error}")))?;
    let mut settings = with_machine(query, &args.machine, &args.output);
    settings.every_nanos = nanos(args.stream.every);
    settings.line_bytes_max = args.stream.max_line;
    settings.tolerance = args.bad.max_malformed;
    settings.reject = args.bad.reject_file.clone().map(|path| RejectOptions {
        path,
        bytes_max: args.bad.reject_file_bytes as u64,
    });
    settings.fail_fast = args.stream.fail_fast;
    if args.state.state.is_some() {
        settings.state_lag = args.state.state_lag;
        settings.keep_nanos = nanos(args.state.keep);
    }
    settings.delivery = DeliverySettings {
        sinks: args.deliver.to.len(),
        bytes_max: args.deliver.to_spool as u64,
        // Not known before they are open.
        own_bytes_max: 0,
        drain: args.deliver.to_drain,
    };
    if let Some(path) = &args.event.event_time {
        settings.query = timed(settings.query, path.clone(), args)?;
        settings.event = event_settings(&args.event);
        settings.windows = window_settings(&args.windows);
        return Ok(settings);
    }
    let given = [
        ("event-time-format", args.event.event_time_format.is_some()),
        ("lateness", args.event.lateness.is_some()),
        ("idle-timeout", args.event.idle_timeout.is_some()),
        ("emit", args.event.emit.is_some()),
    ];
    if let Some((flag, _)) = given.iter().find(|(_, is_given)| *is_given) {
        return Err(Error::Usage(format!(
            "--{flag}: it is about records' own time; name where that stands with --event-time PATH, or leave it out"
        )));
    }
    settings.windows = windows(&args.windows, settings.every_nanos)?;
    Ok(settings)
}

/// The query for records that have their time at `path`.
fn timed(query: Query, path: KeyPath, args: &CountArgs) -> Result<Query, Error> {
    let refused = |remedy: &str| {
        Err(Error::Setting {
            name: "event-time",
            value: path.to_string(),
            remedy: remedy.to_owned(),
        })
    };
    if args.windows.windows.is_empty() {
        return refused("it puts records into windows; give one, such as --window 1m");
    }
    if query.sum().is_some() {
        return refused("windows have no sums; leave out --sum");
    }
    let format = args.event.event_time_format.clone().unwrap_or_default();
    query
        .with_time(path, format)
        .map_err(|error| Error::Usage(format!("--by, --where and --event-time: {error}")))
}

fn event_settings(args: &EventArgs) -> EventSettings {
    let defaults = EventSettings::default();
    EventSettings {
        lateness_nanos: args.lateness.map_or(defaults.lateness_nanos, nanos),
        idle_nanos: args.idle_timeout.map_or(defaults.idle_nanos, nanos),
        partial: args.emit == Some(Emit::Partial),
    }
}

fn window_settings(args: &WindowArgs) -> WindowSettings {
    WindowSettings {
        specs: args.windows.clone(),
        trending: args.trending,
        bytes_max: args.window_bytes,
    }
}

/// Windows that go together with batches of `every_nanos`.
///
/// # Errors
/// If a length or a slide is no multiple of it, a window holds too many batches, or there is none whose
/// growth could be told.
pub fn windows(args: &WindowArgs, every_nanos: u64) -> Result<WindowSettings, Error> {
    let every = window::time(every_nanos);
    for spec in &args.windows {
        if !spec.fits(every_nanos) {
            return Err(Error::Setting {
                name: "window",
                value: spec.to_string(),
                remedy: format!(
                    "a window is made of whole batches; give multiples of --every ({every}), or another --every"
                ),
            });
        }
    }
    let windows = window_settings(args);
    let longest = args.windows.iter().max_by_key(|spec| spec.length_nanos);
    match (longest, args.trending) {
        (Some(longest), _) if windows.slots(every_nanos) > SLOTS_MAX => Err(Error::Setting {
            name: "window",
            value: longest.to_string(),
            remedy: format!(
                "that is {} batches of {every}, of which {} can be kept; give a larger --every",
                grouped(windows.slots(every_nanos)),
                grouped(SLOTS_MAX),
            ),
        }),
        (None, Some(trending)) => Err(Error::Setting {
            name: "trending",
            value: trending.to_string(),
            remedy: "growth is from window to window; give one, such as --window 1m".to_owned(),
        }),
        _ => Ok(windows),
    }
}

/// What the totals of `tallyline count` mean: a state file goes with no other.
pub fn meaning(args: &CountArgs) -> Meaning {
    let setting = |name: &str, value: String| (name.to_owned(), value);
    let by = args.by.iter().map(|path| setting("by", path.to_string()));
    let conditions = args.conditions.iter();
    let conditions = conditions.map(|condition| setting("where", condition.to_string()));
    let sum = args.sum.iter().map(|path| setting("sum", path.to_string()));
    let time = args.event.event_time.iter().flat_map(|path| {
        let format = args.event.event_time_format.clone().unwrap_or_default();
        [
            setting("event-time", path.to_string()),
            setting("event-time-format", format.to_string()),
        ]
    });
    let max_line = setting("max-line", args.stream.max_line.to_string());
    Meaning::new(
        by.chain(conditions)
            .chain(sum)
            .chain(time)
            .chain([max_line]),
    )
}

/// What the sources find of an earlier run, according to its state.
pub fn resume(args: &CountArgs, saved: &Saved) -> Resume {
    let default = match args.stream.follow {
        true => OnReplaced::Recount,
        false => OnReplaced::Fail,
    };
    let on_replaced = args.state.on_replaced.unwrap_or(default);
    Resume {
        files: KnownFiles::new(saved.files.clone(), on_replaced),
        parts: saved.parts.clone(),
    }
}

/// Settings with what the machine and the output ask for, the rest at its default.
pub fn with_machine(query: Query, machine: &MachineArgs, output: &OutputArgs) -> Settings {
    let defaults = Settings::new(query);
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

/// The HTTP server at `address`, and what its viewers are shown.
///
/// # Errors
/// If it cannot be there, or not in that way.
pub fn http(
    address: Option<&str>,
    args: &AccessArgs,
) -> Result<Option<(http::Bound, LiveSettings)>, Error> {
    let Some(address) = address else {
        return match (&args.http_token_file, &args.http_cert, &args.http_key) {
            (None, None, None) => Ok(None),
            (Some(_), ..) => Err(without_http("--http-token-file")),
            (_, Some(_), _) => Err(without_http("--http-cert")),
            (.., Some(_)) => Err(without_http("--http-key")),
        };
    };
    let limits = http::Limits {
        connections: args.http_connections,
        ..http::Limits::default()
    };
    let bound = http::Bound::new(http::Options {
        address: address.to_owned(),
        token_file: args.http_token_file.clone(),
        cert: args.http_cert.clone(),
        key: args.http_key.clone(),
        metrics_keys: args.metrics_keys,
        limits,
    })?;
    let shown = LiveSettings {
        viewers: args.http_connections,
        ..LiveSettings::FULL
    };
    Ok(Some((bound, shown)))
}

fn without_http(flag: &str) -> Error {
    Error::Usage(format!(
        "{flag}: nothing is served over HTTP; give --http ADDR, or leave it out"
    ))
}

/// How many rows are shown.
fn top(output: &OutputArgs) -> Option<usize> {
    match output.top {
        None => output.output.default_top(),
        Some(Top::All) => None,
        Some(Top::Rows(rows)) => Some(rows),
    }
}

/// Whether the counts are shown live, for sources with these names.
///
/// # Errors
/// If that is asked for and cannot be.
pub(crate) fn is_live(
    output: &OutputArgs,
    voice: Voice,
    sources: &[String],
) -> Result<bool, Error> {
    let hindrance = hindrance_to_view(output, sources);
    match (output.ui, hindrance) {
        (Ui::Plain, _) => Ok(false),
        (Ui::Auto, hindrance) => {
            Ok(hindrance.is_none() && voice.log_format == LogFormat::Text && is_in_foreground())
        }
        (Ui::Live, None) => Ok(true),
        (Ui::Live, Some(remedy)) => Err(Error::Setting {
            name: "ui",
            value: "live".to_owned(),
            remedy: remedy.to_owned(),
        }),
    }
}

/// What stands against a live view, and what to do about it.
fn hindrance_to_view(output: &OutputArgs, sources: &[String]) -> Option<&'static str> {
    let stdin = std::io::stdin();
    if !std::io::stdout().is_terminal() {
        return Some("standard output is no terminal; leave it out");
    }
    if is_dumb() {
        return Some("TERM says that the terminal cannot do it; set TERM, or leave it out");
    }
    if output.output != OutputFormat::Table {
        return Some("it is there for the table only; leave it out, or --output");
    }
    let reads_keys = sources.iter().any(|name| name == "-") && stdin.is_terminal();
    reads_keys.then_some("what is typed is the source; leave it out, or name another source")
}

/// Whether the terminal is ours: who asks it for keys in the background is stopped.
fn is_in_foreground() -> bool {
    let group = rustix::termios::tcgetpgrp(std::io::stdout());
    group.is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Whether the terminal can do nothing but print.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// How the output of a query looks where it goes.
pub fn sink_options(output: &OutputArgs, windows: &WindowArgs, query: &Query) -> SinkOptions {
    let is_terminal = std::io::stdout().is_terminal();
    SinkOptions {
        zone: TimeZone::system(),
        color: is_coloured(output.color),
        width: is_terminal.then(terminal_width).flatten(),
        trending: windows.trending.is_some(),
        key_parts: query.by().len(),
        has_sums: query.sum().is_some(),
    }
}

/// Whether standard output is to have colours.
pub(crate) fn is_coloured(when: Color) -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match when {
        Color::Auto => std::io::stdout().is_terminal() && !is_dumb() && !is_unwanted,
        Color::Always => true,
        Color::Never => false,
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

/// What an earlier run has counted.
#[derive(Clone, Debug)]
pub struct Resume {
    files: KnownFiles,
    parts: Vec<SavedPart>,
}

impl Resume {
    /// How far the parts of a source are counted, by its name.
    pub fn parts_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a SavedPart> {
        self.parts.iter().filter(move |part| part.source == source)
    }
}

/// Opens the sources with these names. Files that stand side by side are one source.
///
/// # Errors
/// If a name makes no sense or standard input is named twice (usage), or what a name stands for cannot
/// be reached or read.
pub fn open_sources(
    names: &[String],
    stream: &StreamArgs,
    whole: Whole,
    resume: Option<&Resume>,
) -> Result<Vec<Box<dyn Source>>, Error> {
    if names.iter().filter(|name| *name == "-").count() > 1 {
        return Err(Error::Usage(
            "source -: named twice, but there is one standard input; name it once".to_owned(),
        ));
    }
    check_flags(names, stream)?;
    let in_extents = whole == Whole::Yes;
    let poll_nanos = stream.poll.map(nanos);
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    let (mut files, mut followed) = (Vec::new(), Vec::new());
    // One more turn than there are names, for the files at the end.
    for name in names.iter().map(Some).chain([None]) {
        let path = name.filter(|name| is_path(name) && !is_folder(name));
        if let Some(path) = path.filter(|_| stream.follow)
            && is_followable(path)?
        {
            followed.push(path.clone());
            continue;
        }
        if let Some(path) = path
            && let Some(more) = files_named(path)?
        {
            files.extend(more);
            continue;
        }
        if !files.is_empty() {
            let mut files = Files::new(std::mem::take(&mut files), in_extents);
            if let Some(resume) = resume {
                files = files.with_known(resume.files.clone())?;
            }
            sources.push(Box::new(files));
        }
        if !followed.is_empty() {
            let mut follow = Follow::new(&std::mem::take(&mut followed), poll_nanos)?;
            if let Some(resume) = resume {
                follow = follow.with_known(&resume.files)?;
            }
            sources.push(Box::new(follow));
        }
        match name {
            Some(name) if is_folder(name) => {
                let pattern = stream.pattern.as_deref();
                let mut folder = Folder::new(name, pattern, poll_nanos, in_extents)?;
                if let Some(resume) = resume {
                    folder = folder.with_known(resume.files.clone());
                }
                sources.push(Box::new(folder));
            }
            Some(name) => sources.push(open_stream(name, stream, whole, resume)?),
            None => {}
        }
    }
    Ok(sources)
}

/// Whether flags for Kafka, Kinesis, TLS, files and folders find any.
fn check_flags(names: &[String], stream: &StreamArgs) -> Result<(), Error> {
    let schemes = names.iter().filter_map(|name| name.split_once("://"));
    let schemes: Vec<&str> = schemes.map(|(scheme, _)| scheme).collect();
    let kept = stream.kept.given_for_none_of(&schemes);
    if let Some((flag, wanted)) = kept.or_else(|| stream.tls.given_for_none_of(&schemes)) {
        let wanted: Vec<String> = wanted.iter().map(|scheme| format!("{scheme}://")).collect();
        return Err(Error::Usage(format!(
            "{flag}: among the sources there is no {}; name one, or leave it out",
            wanted.join(" or ")
        )));
    }
    let has_file = names.iter().any(|name| is_path(name) && !is_folder(name));
    let has_folder = names.iter().any(|name| is_folder(name));
    let needs = |flag: &str, what: &str| {
        Err(Error::Usage(format!(
            "{flag}: among the sources there is no {what}; name one, or leave it out"
        )))
    };
    match stream {
        stream if stream.follow && !has_file => needs("--follow", "file"),
        stream if stream.pattern.is_some() && !has_folder => {
            needs("--pattern", "folder, such as in/")
        }
        stream if stream.poll.is_some() && !has_folder && !stream.follow => {
            needs("--poll", "folder, and no file with --follow")
        }
        _ => Ok(()),
    }
}

/// Opens a source that is no plain file.
fn open_stream(
    name: &str,
    stream: &StreamArgs,
    whole: Whole,
    resume: Option<&Resume>,
) -> Result<Box<dyn Source>, Error> {
    if name == "-" {
        return Ok(Box::new(FileSource::stdin()?));
    }
    match name.split_once("://") {
        Some(("tcp", address)) => connect(name, Address::tcp(name, address)?, stream),
        Some(("unix", path)) => connect(name, Address::unix(name, path)?, stream),
        Some(("tcp-listen", address)) => listen(name, &Address::tcp_listen(name, address)?, stream),
        Some(("unix-listen", path)) => listen(name, &Address::unix(name, path)?, stream),
        Some(("kafka", address)) => kafka(name, address, stream, whole, resume),
        Some(("kinesis", address)) => kinesis(name, address, stream, resume),
        Some(("tls", address)) => tls::connect(name, address, stream),
        Some(("tls-listen", address)) => tls::listen(name, address, stream),
        Some((scheme, _)) if is_scheme(scheme) => Err(Error::Usage(format!(
            "source {name}: {scheme}:// is not known here; give tcp://HOST:PORT, tcp-listen://ADDR:PORT, unix://PATH, unix-listen://PATH, kafka://BROKERS/TOPIC, kinesis://STREAM, a file, DIR/, or - for standard input"
        ))),
        _ if name.is_empty() => Err(Error::Usage(
            "source '': the name is empty; give tcp://HOST:PORT, kafka://BROKERS/TOPIC, a file, or - for standard input"
                .to_owned(),
        )),
        _ => Ok(Box::new(FileSource::open(name)?)),
    }
}

/// Refuses a file to write to, named by a setting, that a source reads, or would if it were there: what is appended
/// to it would be read again and again. `put_aside` is what the file is called when it is full.
///
/// # Errors
/// If it is one.
pub fn check_written(
    name: &'static str,
    path: &Path,
    put_aside: &Path,
    source: &str,
    stream: &StreamArgs,
) -> Result<(), Error> {
    let identity = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
    };
    let of_source = identity(Path::new(source));
    let remedy = if of_source.is_some() && of_source == identity(path) {
        "that is the source itself; name another file".to_owned()
    } else if is_path(source)
        && [path, put_aside]
            .into_iter()
            .any(|path| takes_in(source, stream.pattern.as_deref(), path))
    {
        format!("the source {source} takes it in; name a file elsewhere")
    } else {
        return Ok(());
    };
    Err(Error::Setting {
        name,
        value: path.display().to_string(),
        remedy,
    })
}

fn connect(name: &str, address: Address, stream: &StreamArgs) -> Result<Box<dyn Source>, Error> {
    let options = ClientOptions {
        on_close: stream.on_close,
        connect_wait: stream.connect_wait,
    };
    Ok(Box::new(Client::connect(name, address, options)?))
}

fn listen(name: &str, address: &Address, stream: &StreamArgs) -> Result<Box<dyn Source>, Error> {
    Ok(Box::new(Listener::bind(
        name,
        address,
        stream.max_connections,
    )?))
}

/// Sources over TLS.
#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::source::{TlsClient, TlsFiles, TlsServer};

    pub(super) fn connect(
        name: &str,
        address: &str,
        stream: &StreamArgs,
    ) -> Result<Box<dyn Source>, Error> {
        // Checked as any address is.
        Address::tcp(name, address)?;
        let client = TlsClient::new(&files(stream))?;
        super::connect(name, Address::Tls(address.to_owned(), client), stream)
    }

    pub(super) fn listen(
        name: &str,
        address: &str,
        stream: &StreamArgs,
    ) -> Result<Box<dyn Source>, Error> {
        let address = Address::tcp_listen(name, address)?;
        let server = TlsServer::new(name, &files(stream))?;
        let listener = Listener::bind(name, &address, stream.max_connections)?;
        Ok(Box::new(listener.with_tls(server)))
    }

    fn files(stream: &StreamArgs) -> TlsFiles {
        let args = stream.tls.clone();
        TlsFiles {
            cert: args.tls_cert,
            key: args.tls_key,
            ca: args.tls_ca,
            client_ca: args.tls_client_ca,
        }
    }
}

/// What a build without TLS says to sources over it.
#[cfg(not(feature = "tls"))]
mod tls {
    use super::*;

    pub(super) fn connect(name: &str, _: &str, _: &StreamArgs) -> Result<Box<dyn Source>, Error> {
        Err(Error::Usage(format!(
            "source {name}: this build has no TLS; build it with --features tls"
        )))
    }

    pub(super) use connect as listen;
}

/// Whether a name stands for the files that appear in a folder.
fn is_folder(name: &str) -> bool {
    is_path(name) && name.ends_with('/')
}

/// Whether a name is to be looked for in the file system.
fn is_path(name: &str) -> bool {
    let has_scheme = name
        .split_once("://")
        .is_some_and(|(scheme, _)| is_scheme(scheme));
    !name.is_empty() && name != "-" && !has_scheme
}

#[cfg(feature = "kafka")]
fn kafka(
    name: &str,
    address: &str,
    stream: &StreamArgs,
    whole: Whole,
    resume: Option<&Resume>,
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
        counted: resume.map_or_else(Vec::new, |resume| counted(resume, name)),
    };
    Ok(Box::new(KafkaSource::open(name, address, &options)?))
}

/// The partitions of a topic that were counted, and where to go on in each.
#[cfg(feature = "kafka")]
fn counted(resume: &Resume, name: &str) -> Vec<(i32, i64)> {
    let parts = resume.parts_of(name);
    parts
        .filter_map(|part| Some((part.part.parse().ok()?, part.next.parse().ok()?)))
        .collect()
}

#[cfg(not(feature = "kafka"))]
fn kafka(
    name: &str,
    _: &str,
    _: &StreamArgs,
    _: Whole,
    _: Option<&Resume>,
) -> Result<Box<dyn Source>, Error> {
    Err(Error::Usage(format!(
        "source {name}: this build leaves Kafka out; build it with --features kafka"
    )))
}

#[cfg(feature = "kinesis")]
fn kinesis(
    name: &str,
    address: &str,
    stream: &StreamArgs,
    resume: Option<&Resume>,
) -> Result<Box<dyn Source>, Error> {
    use crate::source::kinesis::{KinesisOptions, KinesisSource};

    let kept = &stream.kept;
    let options = KinesisOptions {
        region: kept.region.clone(),
        endpoint_url: kept.endpoint_url.clone(),
        from: kept.from.unwrap_or_default(),
        until_end: kept.until_end,
        connect_wait: stream.connect_wait,
        counted: resume.map_or_else(Vec::new, |resume| counted_shards(resume, name)),
    };
    Ok(Box::new(KinesisSource::open(name, address, &options)?))
}

/// The shards of a stream that were counted, and where to go on in each.
#[cfg(feature = "kinesis")]
fn counted_shards(resume: &Resume, name: &str) -> Vec<(std::sync::Arc<str>, crate::source::Next)> {
    let parts = resume.parts_of(name);
    parts
        .filter_map(|part| Some((part.part.as_str().into(), part.next.parse().ok()?)))
        .collect()
}

#[cfg(not(feature = "kinesis"))]
fn kinesis(
    name: &str,
    _: &str,
    _: &StreamArgs,
    _: Option<&Resume>,
) -> Result<Box<dyn Source>, Error> {
    Err(Error::Usage(format!(
        "source {name}: this build leaves Kinesis out; build it with --features kinesis"
    )))
}

/// Whether this can be the scheme of an address, rather than the beginning of a strange file name.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}
