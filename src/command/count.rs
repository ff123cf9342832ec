//! `tallyline count`: sources, counted by key.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use crate::cli::{CountArgs, Voice};
use crate::clock::SystemClock;
use crate::command::service::Reports;
use crate::command::{drain_on_signals, print_summary, say, where_listening};
use crate::config::{self, Whole};
use crate::error::Error;
use crate::http;
use crate::log::LogFormat;
use crate::pipeline::{Pipeline, Settings};
use crate::progress::{Aside, Painter, Track};
use crate::sink::{Sink, text};
use crate::source::{Source, Streams};
use crate::state::State;

pub(super) fn run(args: &CountArgs, voice: Voice) -> Result<(), Error> {
    let server = config::http(args.http.http.as_deref(), &args.http.access)?;
    let (mut settings, sources, state) = open(args)?;
    let server = server.map(|(bound, shown)| {
        settings.live = shown;
        bound
    });
    let sink = args.output.output.sink(
        io::stdout(),
        config::sink_options(&args.output, &args.windows, &settings.query),
    );
    count(settings, sources, sink, state, server, voice)
}

/// What a pipeline is built from.
pub(crate) type Opened = (Settings, Vec<Box<dyn Source>>, Option<State>);

/// Resolves the flags and opens what they name.
pub(crate) fn open(args: &CountArgs) -> Result<Opened, Error> {
    let settings = config::settings(args)?;
    let state = args.state.state.as_deref();
    let state = state
        .map(|path| State::open(path, &config::meaning(args)))
        .transpose()?;
    let resume = state
        .as_ref()
        .map(|state| config::resume(args, state.saved()));
    let sources = config::open_sources(&args.sources, &args.stream, Whole::Yes, resume.as_ref())?;
    if let Some(reject) = &settings.reject {
        for source in &args.sources {
            config::check_reject_file(reject, source, &args.stream)?;
        }
    }
    Ok((settings, sources, state))
}

/// Runs a pipeline on the system's clock until its sources are over or a signal drains it.
pub(super) fn count(
    settings: Settings,
    sources: Vec<Box<dyn Source>>,
    sink: Box<dyn Sink>,
    state: Option<State>,
    server: Option<http::Bound>,
    voice: Voice,
) -> Result<(), Error> {
    let streams = Streams::of(&sources);
    let names: Vec<&str> = sources.iter().map(|source| source.name()).collect();
    tracing::info!(
        "counting {} by {}: {} parsers, {} shards, memory at most {} with 32-byte keys ({} + {} a key beside its bytes)",
        names.join(", "),
        settings.query,
        settings.parsers,
        settings.shards,
        text::bytes(settings.memory_bytes_max(streams, 32)),
        text::bytes(
            settings.memory_bytes_max(streams, 0) - settings.keys_max * settings.key_bytes()
        ),
        text::bytes(settings.key_bytes()),
    );
    let mut listening = where_listening(&sources);
    let tracks: Option<Vec<Arc<Track>>> = sources.iter().map(|source| source.track()).collect();
    let tracks = tracks.filter(|_| {
        !voice.quiet && voice.log_format == LogFormat::Text && io::stderr().is_terminal()
    });
    // Of recorded input, by the records' own time, batches end by their bytes.
    let is_recorded = matches!(&*sources, [source] if source.is_recorded());
    let is_timed = settings.query.time().is_none() || !is_recorded;
    let clock = Arc::new(SystemClock);
    let sink = Box::new(Aside(sink));
    let mut pipeline = Pipeline::new(settings, sources, vec![sink], clock.clone())?;
    if let Some(state) = state {
        pipeline = pipeline.with_state(state);
    }
    let server = server.map(|bound| {
        listening.push_str(&format!("dashboard at {}\n", bound.url()));
        let (server, bell) = bound.serve(pipeline.live())?;
        pipeline.on_batch(bell);
        Ok(server)
    });
    let server = server.transpose()?;
    drain_on_signals(pipeline.stop())?;
    say(voice, &listening);
    let reports = Reports::start(&mut pipeline, is_timed)?;
    let painter = tracks
        .map(|tracks| Painter::start(tracks, clock))
        .transpose();
    let painter = painter.map_err(|error| Error::System("start a thread", error))?;
    let (summary, result) = pipeline.run()?;
    drop(painter);
    drop(server);
    drop(reports);
    let is_unread = result.as_ref().is_err_and(Error::is_closed_pipe);
    if !voice.quiet && !is_unread {
        print_summary(voice, &summary);
    }
    result
}
