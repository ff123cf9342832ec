//! `--to` and `tallyline sink`: sinks opened, and tried.

use std::io::{self, Write};
use std::sync::Arc;

use crate::cli::{SinkCommand, SinkTestArgs};
use crate::delivery::{Context, Deliveries, Delivery, Figures, Refusal, SinkSpec, open};
use crate::error::Error;
use crate::state::{self, State};

pub(super) fn run(command: &SinkCommand) -> Result<(), Error> {
    let SinkCommand::Test(SinkTestArgs { sink, job }) = command;
    let context = Context {
        job: job.clone(),
        ..Context::default()
    };
    match open(sink, &context, None)?.check() {
        Ok(found) => {
            let line = format!("{}: {found}\n", sink.name());
            io::stdout()
                .write_all(line.as_bytes())
                .map_err(Error::Output)
        }
        Err(Refusal::Later(text, _)) => Err(Error::Sink(format!("{}: {text}", sink.name()))),
        Err(refusal) => Err(wrong(sink, &refusal)),
    }
}

/// Opens sinks for a run. One that is wrong ends it; one that cannot be reached is told, and tried again.
///
/// # Errors
/// If one is named twice, is wrong, or the state cannot say how far it came.
pub(crate) fn open_all(
    specs: &[SinkSpec],
    context: &Context,
    state: Option<&State>,
) -> Result<Deliveries, Error> {
    let names: Vec<String> = specs.iter().map(SinkSpec::name).collect();
    for (nth, name) in names.iter().enumerate() {
        if names[..nth].contains(name) {
            return Err(Error::Setting {
                name: "to",
                value: name.clone(),
                remedy: "named twice; name it once".to_owned(),
            });
        }
    }
    let places = match state {
        Some(state) if !names.is_empty() => state::places(state, &names)?,
        _ => vec![state::Place::default(); names.len()],
    };
    let mut sinks = Vec::new();
    for ((spec, name), place) in specs.iter().zip(names).zip(&places) {
        let mut outlet = open(spec, context, place.mark.as_deref())?;
        let figures = Figures::new(name);
        let name = &figures.name;
        match outlet.check() {
            Ok(found) => tracing::info!("{name}: {found}"),
            Err(Refusal::Later(text, _)) => {
                tracing::warn!("{name}: {text}; tried again, counting goes on");
                figures.warn(&text);
            }
            Err(refusal) => return Err(wrong(spec, &refusal)),
        }
        sinks.push(Delivery {
            outlet,
            figures: Arc::new(figures),
            top: spec.rows_max(),
        });
    }
    Ok(Deliveries { sinks, places })
}

fn wrong(spec: &SinkSpec, refusal: &Refusal) -> Error {
    Error::Setting {
        name: "to",
        value: spec.name(),
        remedy: refusal.to_string(),
    }
}
