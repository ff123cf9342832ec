//! `tallyline count`: sources, counted by key.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_queue::ArrayQueue;
use signal_hook::consts::{SIGTSTP, SIGUSR1};

use crate::cli::{CountArgs, Voice};
use crate::clock::SystemClock;
use crate::command::service::Reports;
use crate::command::signals::{Signalled, Signals};
use crate::command::sink::open_all;
use crate::command::{print_summary, say, where_listening};
use crate::config::{self, Whole};
use crate::delivery::{Context, Deliveries, SinkSpec};
use crate::error::Error;
use crate::http;
use crate::live::LiveSettings;
use crate::log::LogFormat;
use crate::pipeline::{Pipeline, Settings};
use crate::progress::{Aside, Painter, Track};
use crate::sink::{Sink, text};
use crate::source::{Source, Streams};
use crate::state::State;
use crate::view::{AtEnd, Controls, Viewer, ViewerSlot};

pub(super) fn run(args: &CountArgs, voice: Voice) -> Result<(), Error> {
    let is_live = config::is_live(&args.output, voice, &args.sources)?;
    let server = config::http(args.http.http.as_deref(), &args.http.access)?;
    let signals = wait_for_signals(is_live)?;
    let (mut settings, sources, state) = open(args)?;
    let server = server.map(|(bound, shown)| {
        settings.live = shown;
        bound.with_history(args.state.state.clone())
    });
    let options = config::sink_options(&args.output, &args.windows, &settings.query);
    let shown = Shown {
        is_live,
        color: options.color,
        server,
        signals,
    };
    let context = Context {
        job: args.deliver.job.clone(),
        has_state: state.is_some(),
        rows: options.clone(),
    };
    let deliveries = open_all(&args.deliver.to, &context, state.as_ref())?;
    settings.delivery.own_bytes_max = deliveries.own_bytes_max();
    let sink = args.output.output.sink(io::stdout(), options);
    count(settings, sources, sink, deliveries, state, voice, shown)
}

/// How a run is looked at.
pub(super) struct Shown {
    /// On the whole screen, while it lasts.
    pub(super) is_live: bool,
    /// In colours.
    pub(super) color: bool,
    /// Over HTTP.
    pub(super) server: Option<http::Bound>,
    /// How it is told what to do, [`wait_for_signals`]'s.
    pub(super) signals: Signals,
}

/// Waits for what a run that is looked at so may be told, to be called before anybody can send to it.
pub(super) fn wait_for_signals(is_live: bool) -> Result<Signals, Error> {
    match is_live {
        true => Signals::wait(&[SIGUSR1, SIGTSTP]),
        false => Signals::wait(&[SIGUSR1]),
    }
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
    for source in &args.sources {
        if let Some(reject) = &settings.reject {
            let (path, older) = (&reject.path, reject.older());
            config::check_written("reject-file", path, &older, source, &args.stream)?;
        }
        for path in args.deliver.to.iter().filter_map(SinkSpec::path) {
            config::check_written("to", path, path, source, &args.stream)?;
        }
    }
    Ok((settings, sources, state))
}

/// Runs a pipeline on the system's clock until its sources are over or a signal drains it.
pub(super) fn count(
    mut settings: Settings,
    sources: Vec<Box<dyn Source>>,
    sink: Box<dyn Sink>,
    deliveries: Deliveries,
    state: Option<State>,
    voice: Voice,
    shown: Shown,
) -> Result<(), Error> {
    if shown.is_live {
        settings.live = LiveSettings {
            viewers: settings.live.viewers,
            ..LiveSettings::FULL
        };
    }
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
    // Of recorded input, by the records' own time, batches end by their bytes.
    let is_recorded = matches!(&*sources, [source] if source.is_recorded());
    let is_timed = settings.query.time().is_none() || !is_recorded;
    let clock = Arc::new(SystemClock);
    let viewer = ViewerSlot::new(ArrayQueue::new(1));
    let sink: Box<dyn Sink> = match shown.is_live {
        true => Box::new(AtEnd::new(sink, Arc::clone(&viewer))),
        false => Box::new(Aside(sink)),
    };
    let mut pipeline = Pipeline::new(settings, sources, vec![sink], clock.clone())?;
    pipeline = pipeline.with_deliveries(deliveries);
    if let Some(state) = state {
        pipeline = pipeline.with_state(state);
    }
    let server = shown.server.map(|bound| {
        listening.push_str(&format!("dashboard at {}\n", bound.url()));
        let (server, bell) = bound.serve(pipeline.live())?;
        pipeline.on_batch(bell);
        Ok(server)
    });
    let server = server.transpose()?;
    let (is_draining, is_to_suspend) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
    shown.signals.act_on(Signalled {
        status: Some((pipeline.live(), voice.log_format)),
        is_draining: Arc::clone(&is_draining),
        is_to_suspend: shown.is_live.then(|| Arc::clone(&is_to_suspend)),
        ..Signalled::run(pipeline.stop())
    });
    say(voice, &listening);
    let reports = Reports::start(&mut pipeline, is_timed)?;
    let refused = |error| Error::System("start a thread", error);
    let mut painter = None;
    if shown.is_live {
        let controls = Controls {
            is_draining,
            is_to_suspend,
            notes: listening.lines().map(str::to_owned).collect(),
            tracks,
            color: shown.color,
        };
        let started = Viewer::start(pipeline.live(), controls).map_err(refused)?;
        // The slot is empty: there is one viewer.
        drop(viewer.push(started));
    } else if let Some(tracks) = tracks
        && !voice.quiet
        && voice.log_format == LogFormat::Text
        && io::stderr().is_terminal()
    {
        painter = Some(Painter::start(tracks, clock).map_err(refused)?);
    }
    let outcome = pipeline.run();
    drop((viewer.pop(), painter, server, reports));
    let (summary, result) = outcome?;
    let is_unread = result.as_ref().is_err_and(Error::is_closed_pipe);
    if !voice.quiet && !is_unread {
        print_summary(voice, &summary);
    }
    result
}
