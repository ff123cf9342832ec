//! The head: what the run is, how fast it goes, where its lines went, how its sources stand, which sinks lag.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::{Scene, bold, curve, dim, style};
use crate::ledger::Reason;
use crate::sink::text::{bytes, duration, escape, grouped, percentiles};
use crate::view::picture::{EndLine, Picture};

/// Sources that are told of, and sinks.
const ENDS_MAX: usize = 3;

/// All of its lines, and a blank one behind them.
pub(super) fn head(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let picture = scene.picture;
    let red = style(scene.color, Color::Red, Modifier::REVERSED);
    let mut lines = vec![
        title(scene),
        speed(scene, red),
        account(picture, red),
        lag(picture),
    ];
    if picture.saving.is_some_and(|saving| saving.is_failing) {
        lines.push(Line::styled("the state cannot be saved", red));
    }
    lines.extend(sources(picture, red));
    lines.extend(ends(&picture.sinks, "sinks", red));
    let notes = picture.notes.iter();
    lines.extend(notes.map(|note| Line::styled(escape(note.as_bytes()), dim())));
    lines.push(Line::default());
    lines
}

fn title(scene: &Scene<'_>) -> Line<'static> {
    let picture = scene.picture;
    let mut title = vec![Span::styled("tallyline", bold()), Span::raw("  ")];
    let states = [
        (scene.is_draining, "draining"),
        (scene.look.is_paused, "view paused, counting goes on"),
        (picture.is_over, "over"),
    ];
    for (_, state) in states.iter().filter(|(is_so, _)| *is_so) {
        let yellow = style(scene.color, Color::Yellow, Modifier::REVERSED);
        title.push(Span::styled(format!("[{state}]"), yellow));
        title.push(Span::raw("  "));
    }
    let up = picture.now.nanos_since(picture.started) / 1_000_000_000;
    title.push(Span::raw(format!(
        "{} by {}  every {}  up {}  batch {}",
        escape(picture.name.as_bytes()),
        escape(picture.by.as_bytes()),
        duration(picture.every_nanos),
        duration(up * 1_000_000_000),
        grouped(picture.batch),
    )));
    Line::from(title)
}

/// Rates, and what holds them up.
fn speed(scene: &Scene<'_>, red: Style) -> Line<'static> {
    let picture = scene.picture;
    let rate = picture.rates.last().copied().unwrap_or_default();
    let cyan = style(scene.color, Color::Cyan, Modifier::empty());
    let mut speed = vec![
        Span::styled(grouped(rate), bold()),
        Span::raw(format!(" records/s  {}/s  ", bytes(scene.bytes_per_second))),
        Span::styled(curve(&picture.rates), cyan),
        Span::raw(format!("  keys {}", grouped(picture.keys))),
    ];
    if picture.overflow > 0 {
        let text = format!("  {} records under _other", grouped(picture.overflow));
        speed.push(Span::styled(text, red));
    }
    if picture.is_paused || picture.paused_percent > 0 {
        let text = format!("  input paused {} %", picture.paused_percent);
        let yellow = style(scene.color, Color::Yellow, Modifier::BOLD);
        speed.push(Span::styled(text, yellow));
    }
    if let Some(progress) = &picture.progress {
        speed.push(Span::raw(format!("  {progress}")));
    }
    Line::from(speed)
}

/// The ledger: what is wrong in it stands out.
fn account(picture: &Picture, red: Style) -> Line<'static> {
    let ledger = &picture.ledger;
    let (lines, counted) = (grouped(ledger.lines), grouped(ledger.counted));
    let mut account = vec![Span::raw(format!("lines {lines}  counted {counted}"))];
    for reason in Reason::ALL {
        let lines = ledger.column(reason);
        if lines > 0 {
            let is_wrong = !matches!(reason, Reason::Filtered | Reason::Blank);
            let text = format!("{} {}", reason.name(), grouped(lines));
            account.push(Span::raw("  "));
            account.push(Span::styled(
                text,
                if is_wrong { red } else { Style::new() },
            ));
        }
    }
    Line::from(account)
}

fn lag(picture: &Picture) -> Line<'static> {
    let mut lag = format!("lag  {}", percentiles(&picture.latency.receive_to_counted));
    if let Some(saving) = picture.saving {
        lag += &format!("  to be saved {}", saving.batches_waiting);
    }
    Line::styled(lag, dim())
}

/// The sources, unless there is one and it is well: that one is in the title.
fn sources(picture: &Picture, red: Style) -> Vec<Line<'static>> {
    match &picture.sources[..] {
        [one] if one.is_well && one.state == "connected" => Vec::new(),
        sources => ends(sources, "sources", red),
    }
}

/// A line for each, up to so many.
fn ends(ends: &[EndLine], what: &str, red: Style) -> Vec<Line<'static>> {
    // Those that are not well come first: there may be no room for all.
    let (well, unwell): (Vec<_>, Vec<_>) = ends.iter().partition(|one| one.is_well);
    let told = unwell.into_iter().chain(well).take(ENDS_MAX);
    let line = |one: &EndLine| {
        let (name, state) = (escape(one.name.as_bytes()), escape(one.state.as_bytes()));
        Line::styled(
            format!("{name}: {state}"),
            if one.is_well { dim() } else { red },
        )
    };
    let mut lines: Vec<Line<'_>> = told.map(line).collect();
    if ends.len() > ENDS_MAX {
        let more = format!("and {} more {what}", ends.len() - ENDS_MAX);
        lines.push(Line::styled(more, dim()));
    }
    lines
}
