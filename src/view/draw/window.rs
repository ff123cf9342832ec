//! A window's pane: its first keys, and beside them those that grow.

use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Scene, bold, pad};
use crate::sink::text::{grouped, push_key, share, width};
use crate::view::picture::WindowNow;
use crate::window::Trend;

/// Keys that are shown.
const ROWS_MAX: usize = 5;

/// Columns of a list at the most.
const WIDTH_MAX: usize = 60;

/// Columns between the two lists.
const GAP: usize = 2;

/// The window that was chosen, if there is one.
pub(super) fn window(scene: &Scene<'_>, area: Rect) -> Vec<Line<'static>> {
    let Some(window) = scene.picture.windows.get(scene.look.window) else {
        return Vec::new();
    };
    let (start, end) = (
        window.span.0.civil(scene.zone),
        window.span.1.civil(scene.zone),
    );
    let end = end.split_once(' ').map_or(end.as_str(), |(_, time)| time);
    let open = if window.is_open { "  so far" } else { "" };
    let head = format!("window {}  {start} – {end}{open}", window.spec);
    let mut lines = vec![Line::default(), Line::styled(head, bold())];
    let half = usize::from(area.width) / 2;
    let columns = if window.trending.is_empty() {
        half * 2
    } else {
        half
    };
    let left = window_rows(window, columns.min(WIDTH_MAX));
    let right = trending_rows(window, half.saturating_sub(GAP).min(WIDTH_MAX));
    for number in 0..left.len().max(right.len()) {
        let text = |rows: &[String]| rows.get(number).cloned().unwrap_or_default();
        let left = pad(&text(&left), columns.min(WIDTH_MAX), false);
        lines.push(Line::raw(format!("{left}{:GAP$}{}", "", text(&right))));
    }
    lines
}

fn window_rows(window: &WindowNow, columns: usize) -> Vec<String> {
    let rows = window.counts.iter().take(ROWS_MAX);
    let figures = |count: u64| {
        format!(
            "{:>12}  {:>7}",
            grouped(count),
            share(count, window.records)
        )
    };
    rows.map(|(key, count)| {
        let figures = figures(*count);
        let room = columns.saturating_sub(width(&figures)).max(1);
        let mut text = String::new();
        push_key((**key).as_ref(), room, &mut text);
        format!("{}{figures}", pad(&text, room, false))
    })
    .collect()
}

fn trending_rows(window: &WindowNow, columns: usize) -> Vec<String> {
    let rows = window.trending.iter().take(ROWS_MAX);
    rows.map(|(key, count, previous)| {
        let trend = Trend {
            key: (**key).as_ref(),
            count: *count,
            previous: *previous,
        };
        let figures = format!("{:>10}  ×{}", grouped(*count), trend.ratio_text());
        let room = columns.saturating_sub(width(&figures)).max(1);
        let mut text = String::new();
        push_key(trend.key, room, &mut text);
        format!("{}{figures}", pad(&text, room, false))
    })
    .collect()
}
