//! The picture on a frame: a head, the table of keys with their curves, windows, messages, and what the keys do.
//!
//! Any size will do, down to one column: lines are cut, columns that do not fit are left out, the least wanted
//! first, and so are panes. Keys, names and messages are made safe to show here.

use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::look::Look;
use super::picture::{KeyNow, Picture, WindowNow};
use crate::ledger::Reason;
use crate::sink::text::{
    bytes, duration, escape, grouped, per_second, percentiles, push_key, share, width,
};
use crate::window::Trend;

/// Columns between two others.
const GAP: usize = 2;

/// Columns that a key has at least, before others are left out for it; and at the most.
const KEY_WIDTH: (usize, usize) = (12, 48);

/// Columns of a curve.
const CURVE_WIDTH: usize = 20;

/// Sources that are told of.
const SOURCES_MAX: usize = 3;

/// Messages that are shown.
const MESSAGES_MAX: usize = 4;

/// Keys of a window that are shown.
const WINDOW_ROWS_MAX: usize = 5;

/// The bars of a curve, from none to the highest.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// All that is drawn.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The run.
    pub picture: &'a Picture,
    /// How it is looked at.
    pub look: &'a mut Look,
    /// The last messages, the oldest first, each a line.
    pub messages: &'a [String],
    /// Bytes per second at this moment.
    pub bytes_per_second: u64,
    /// The run is being ended.
    pub is_draining: bool,
    /// Whether colours are wanted.
    pub color: bool,
    /// The zone of times.
    pub zone: &'a TimeZone,
}

/// Draws a scene.
pub fn draw(frame: &mut Frame<'_>, scene: &mut Scene<'_>) {
    let area = frame.area();
    let head = head(scene);
    let messages = messages(scene, area);
    let window = window(scene, area);
    let foot = 1;
    // The table has the rows that are left, and three of them at least before there are panes.
    let mut left = usize::from(area.height).saturating_sub(foot);
    let mut take = |lines: &[Line<'_>], reserve: usize| {
        let taken = lines.len().min(left.saturating_sub(reserve));
        left -= taken;
        taken
    };
    let heads = take(&head, 1);
    let messages_shown = take(&messages, 6);
    let windows_shown = match take(&window, 6) {
        shown if shown < window.len().min(2) => 0,
        shown => shown,
    };
    let table = if scene.look.has_help {
        help()
    } else {
        table(scene, area.width.into(), left)
    };
    let blank = || Line::default();
    let padding = left.saturating_sub(table.len());
    let lines = head.into_iter().take(heads);
    let lines = lines.chain(table.into_iter().take(left));
    let lines = lines.chain(std::iter::repeat_with(blank).take(padding));
    let lines = lines.chain(window.into_iter().take(windows_shown));
    let first = messages.len() - messages_shown;
    let lines = lines.chain(messages.into_iter().skip(first));
    let lines = lines.chain([foot_line(scene)]);
    for (line, y) in lines.zip(area.top()..area.bottom()) {
        frame.buffer_mut().set_line(area.x, y, &line, area.width);
    }
    if scene.look.is_typing && area.height > 0 {
        let column = width(PROMPT) + width(&scene.look.filter);
        let column = u16::try_from(column).unwrap_or(u16::MAX);
        let column = column.min(area.width.saturating_sub(1));
        frame.set_cursor_position((area.x + column, area.bottom() - 1));
    }
}

/// A colour; what stands for it where none is wanted.
fn style(color: bool, hue: Color, plain: Modifier) -> Style {
    match color {
        true => Style::new().fg(hue),
        false => Style::new().add_modifier(plain),
    }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// What the run is, how fast it goes, where its lines went, how its sources stand.
fn head(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let picture = scene.picture;
    let red = style(scene.color, Color::Red, Modifier::REVERSED);
    let mut title = vec![Span::styled("tallyline", bold()), Span::raw("  ")];
    let is_paused = scene.look.is_paused;
    let states = [
        (scene.is_draining, "draining"),
        (is_paused, "view paused, counting goes on"),
        (picture.is_over, "over"),
    ];
    for (_, state) in states.iter().filter(|(is_so, _)| *is_so) {
        let yellow = style(scene.color, Color::Yellow, Modifier::REVERSED);
        title.push(Span::styled(format!("[{state}]"), yellow));
        title.push(Span::raw("  "));
    }
    let up = whole_seconds(picture.now.nanos_since(picture.started));
    title.push(Span::raw(format!(
        "{} by {}  every {}  up {up}  batch {}",
        escape(picture.name.as_bytes()),
        escape(picture.by.as_bytes()),
        duration(picture.every_nanos),
        grouped(picture.batch),
    )));

    let rate = picture.rates.last().copied().unwrap_or_default();
    let mut speed = vec![
        Span::styled(grouped(rate), bold()),
        Span::raw(format!(" records/s  {}/s  ", bytes(scene.bytes_per_second))),
        Span::styled(
            curve(&picture.rates, CURVE_WIDTH),
            style(scene.color, Color::Cyan, Modifier::empty()),
        ),
        Span::raw(format!("  keys {}", grouped(picture.keys))),
    ];
    if picture.overflow > 0 {
        let text = format!("  {} records under _other", grouped(picture.overflow));
        speed.push(Span::styled(text, red));
    }
    if picture.is_paused || picture.paused_percent > 0 {
        let text = format!("  input paused {} %", picture.paused_percent);
        speed.push(Span::styled(
            text,
            style(scene.color, Color::Yellow, Modifier::BOLD),
        ));
    }

    if let Some(progress) = &picture.progress {
        speed.push(Span::raw(format!("  {progress}")));
    }

    let ledger = &picture.ledger;
    let mut account = vec![Span::raw(format!(
        "lines {}  counted {}",
        grouped(ledger.lines),
        grouped(ledger.counted)
    ))];
    for reason in Reason::ALL {
        let lines = ledger.column(reason);
        let is_wrong = !matches!(reason, Reason::Filtered | Reason::Blank);
        if lines > 0 {
            account.push(Span::raw("  "));
            let text = format!("{} {}", reason.name(), grouped(lines));
            account.push(Span::styled(
                text,
                if is_wrong { red } else { Style::new() },
            ));
        }
    }

    let mut lag = format!("lag  {}", percentiles(&picture.latency.receive_to_counted));
    if let Some(saving) = picture.saving {
        lag += &format!("  to be saved {}", saving.batches_waiting);
    }
    let mut lines = vec![
        Line::from(title),
        Line::from(speed),
        Line::from(account),
        Line::styled(lag, dim()),
    ];
    if let Some(saving) = picture.saving
        && saving.is_failing
    {
        lines.push(Line::styled("the state cannot be saved", red));
    }
    let sources = &picture.sources;
    // One that is well is in the title.
    let is_told = sources.len() > 1
        || sources
            .iter()
            .any(|one| !one.is_well || one.state != "connected");
    if is_told {
        // Those that are not well come first: there may be no room for all.
        let (well, unwell): (Vec<_>, Vec<_>) = sources.iter().partition(|one| one.is_well);
        for one in unwell.into_iter().chain(well).take(SOURCES_MAX) {
            let text = format!(
                "{}: {}",
                escape(one.name.as_bytes()),
                escape(one.state.as_bytes())
            );
            lines.push(Line::styled(text, if one.is_well { dim() } else { red }));
        }
        if sources.len() > SOURCES_MAX {
            let more = format!("and {} more sources", sources.len() - SOURCES_MAX);
            lines.push(Line::styled(more, dim()));
        }
    }
    let notes = picture.notes.iter();
    lines.extend(notes.map(|note| Line::styled(escape(note.as_bytes()), dim())));
    lines.push(Line::default());
    lines
}

/// `3 min 20 s`
fn whole_seconds(nanos: u64) -> String {
    duration(nanos / 1_000_000_000 * 1_000_000_000)
}

/// The last figures as bars of which the highest is the greatest.
fn curve(figures: &[u64], columns: usize) -> String {
    let shown = &figures[figures.len().saturating_sub(columns)..];
    let most = shown.iter().copied().max().unwrap_or(0);
    let bar = |&figure: &u64| match figure {
        0 => BARS[0],
        // From the lowest bar up, in equal steps.
        figure => {
            let step = u128::from(figure) * 7 / u128::from(most);
            BARS[1 + usize::try_from(step).unwrap_or(7)]
        }
    };
    shown.iter().map(bar).collect()
}

/// A column of the table: its name, and what it says of a key.
struct Column {
    name: &'static str,
    figures: Vec<String>,
    is_right: bool,
}

impl Column {
    fn width(&self) -> usize {
        let widths = self.figures.iter().map(|figure| width(figure));
        widths.max().unwrap_or(0).max(self.name.len())
    }
}

/// The keys, a row each, under the names of the columns; in so many lines.
fn table(scene: &mut Scene<'_>, columns: usize, lines: usize) -> Vec<Line<'static>> {
    let picture = scene.picture;
    let all = scene.look.rows(picture);
    let rows_max = lines.saturating_sub(1);
    scene.look.settle(all.len(), rows_max);
    let end = all.len().min(scene.look.top + rows_max);
    let rows = &all[scene.look.top.min(end)..end];
    let counted = scene.picture.rows.iter().map(|row| row.count).sum();
    let seconds = picture.every_nanos;
    let column = |name, is_right, figure: &dyn Fn(&KeyNow) -> String| Column {
        name,
        is_right,
        figures: rows.iter().map(|row| figure(row)).collect(),
    };
    // The most wanted first.
    let wanted = [
        column("count", true, &|row| grouped(row.count)),
        column("total", true, &|row| grouped(row.total)),
        column("change", true, &|row| change(row)),
        column("share", true, &|row| share(row.count, counted)),
        column("per second", true, &|row| per_second(row.count, seconds)),
        column("last batches", false, &|row| curve(&row.trace, CURVE_WIDTH)),
    ];
    // In the order in which they stand.
    let mut shown: Vec<usize> = Vec::new();
    let mut taken = 0;
    for (number, column) in wanted.iter().enumerate() {
        let more = GAP + column.width();
        if taken + more + KEY_WIDTH.0 > columns && number > 0 {
            break;
        }
        taken += more;
        shown.push(number);
    }
    const ORDER: [usize; 6] = [0, 3, 4, 2, 1, 5];
    let shown: Vec<&Column> = ORDER
        .iter()
        .filter(|number| shown.contains(number))
        .map(|&number| &wanted[number])
        .collect();
    let key_width = columns.saturating_sub(taken).clamp(1, KEY_WIDTH.1);
    let mut head = pad("key", key_width, false);
    for column in &shown {
        head += &format!(
            "{:GAP$}{}",
            "",
            pad(column.name, column.width(), column.is_right)
        );
    }
    let mut table = vec![Line::styled(head, dim())];
    for (number, row) in rows.iter().enumerate() {
        let mut key = String::new();
        push_key((*row.key).as_ref(), key_width, &mut key);
        let mut spans = vec![Span::raw(pad(&key, key_width, false))];
        for column in &shown {
            let figure = pad(&column.figures[number], column.width(), column.is_right);
            let hue = match column.name {
                "change" if row.change() > Some(0) => {
                    style(scene.color, Color::Green, Modifier::empty())
                }
                "change" if row.change() < Some(0) => {
                    style(scene.color, Color::Magenta, Modifier::empty())
                }
                "last batches" => style(scene.color, Color::Cyan, Modifier::empty()),
                _ => Style::new(),
            };
            spans.push(Span::raw(" ".repeat(GAP)));
            spans.push(Span::styled(figure, hue));
        }
        table.push(Line::from(spans));
    }
    if rows.is_empty() {
        let text = match (picture.batch, picture.rows.is_empty()) {
            (0, _) => "the first batch is open",
            (_, true) => "no records counted",
            (_, false) => "no key has that in its name; Esc shows all",
        };
        table.push(Line::styled(text, dim()));
    }
    table.truncate(lines);
    table
}

fn change(row: &KeyNow) -> String {
    let Some(change) = row.change() else {
        return "–".to_owned();
    };
    let figure = grouped(u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX));
    match change {
        0 => "=".to_owned(),
        1.. => format!("+{figure}"),
        _ => format!("-{figure}"),
    }
}

/// A text in so many columns.
fn pad(text: &str, columns: usize, is_right: bool) -> String {
    let space = " ".repeat(columns.saturating_sub(width(text)));
    match is_right {
        true => format!("{space}{text}"),
        false => format!("{text}{space}"),
    }
}

/// The window that was chosen, if there is one.
fn window(scene: &Scene<'_>, area: Rect) -> Vec<Line<'static>> {
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
    let left = window_rows(window, columns.min(60));
    let right = trending_rows(window, half.saturating_sub(GAP).min(60));
    for number in 0..left.len().max(right.len()) {
        let text = |rows: &[String]| rows.get(number).cloned().unwrap_or_default();
        let left = pad(&text(&left), columns.min(60), false);
        lines.push(Line::raw(format!("{left}{:GAP$}{}", "", text(&right))));
    }
    lines
}

fn window_rows(window: &WindowNow, columns: usize) -> Vec<String> {
    let rows = window.counts.iter().take(WINDOW_ROWS_MAX);
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
    let rows = window.trending.iter().take(WINDOW_ROWS_MAX);
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

/// The last messages.
fn messages(scene: &Scene<'_>, area: Rect) -> Vec<Line<'static>> {
    let first = scene.messages.len().saturating_sub(MESSAGES_MAX);
    let hue = style(scene.color, Color::Yellow, Modifier::empty());
    let line = |message: &String| {
        let text = crate::sink::text::sample(message.trim().as_bytes(), area.width.into());
        Line::styled(text, hue)
    };
    scene.messages[first..].iter().map(line).collect()
}

/// What stands before a filter that is being typed.
const PROMPT: &str = "filter: ";

fn foot_line(scene: &Scene<'_>) -> Line<'static> {
    let look = &*scene.look;
    if look.is_typing {
        return Line::raw(format!("{PROMPT}{}", look.filter));
    }
    let order = format!(
        "s sort: {}{}",
        look.sort.name(),
        if look.is_reversed { ", reversed" } else { "" }
    );
    let filter = match look.filter.as_str() {
        "" => "/ filter".to_owned(),
        filter => format!("/ filter: {filter}"),
    };
    let mut keys = vec![
        "q drain and quit".to_owned(),
        order,
        filter,
        "p pause".to_owned(),
    ];
    if !scene.picture.windows.is_empty() {
        keys.push("w window".to_owned());
    }
    keys.push("? help".to_owned());
    if scene.picture.keys_hidden > 0 {
        keys.push(format!("{} keys more", grouped(scene.picture.keys_hidden)));
    }
    Line::styled(keys.join("   "), dim())
}

fn help() -> Vec<Line<'static>> {
    const KEYS: [(&str, &str); 10] = [
        ("q", "count what was received, print the totals, end"),
        ("Ctrl-C", "the same; twice: end at once"),
        ("Ctrl-Z", "suspend the program, counting too; fg goes on"),
        (
            "/",
            "show keys with a text in them; Enter keeps it, Esc shows all",
        ),
        (
            "s, r",
            "sort by count, total, change, name; turn the order round",
        ),
        ("p, space", "hold the picture still; the counting goes on"),
        ("w", "the next kind of window, or none"),
        ("↑ ↓ k j", "one row"),
        ("PgUp PgDn", "a page; Home, End: the first, the last row"),
        ("?", "this; any key ends it"),
    ];
    let line = |(key, what): (&str, &str)| {
        Line::from(vec![
            Span::styled(pad(key, 11, false), bold()),
            Span::raw(what.to_owned()),
        ])
    };
    KEYS.into_iter().map(line).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests;
