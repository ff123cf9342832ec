//! The picture on a frame: a head, the table of keys with their curves, windows, messages, and what the keys do.
//!
//! Any size will do, down to one column: lines are cut, columns that do not fit are left out, the least wanted
//! first, and so are panes. Keys, names and messages are made safe to show here.

mod head;
mod table;
mod window;

use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use self::head::head;
use self::table::table;
use self::window::window;
use super::look::Look;
use super::picture::Picture;
use crate::sink::text::{grouped, sample, width};

/// Columns of a curve.
const CURVE_WIDTH: usize = 20;

/// Messages that are shown.
const MESSAGES_MAX: usize = 4;

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
        help(scene.picture.is_remote)
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

/// The last figures as bars of which the highest is the greatest.
fn curve(figures: &[u64]) -> String {
    let shown = &figures[figures.len().saturating_sub(CURVE_WIDTH)..];
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

/// A text in so many columns.
fn pad(text: &str, columns: usize, is_right: bool) -> String {
    let space = " ".repeat(columns.saturating_sub(width(text)));
    match is_right {
        true => format!("{space}{text}"),
        false => format!("{text}{space}"),
    }
}

/// The last messages.
fn messages(scene: &Scene<'_>, area: Rect) -> Vec<Line<'static>> {
    let first = scene.messages.len().saturating_sub(MESSAGES_MAX);
    let hue = style(scene.color, Color::Yellow, Modifier::empty());
    let line = |message: &String| {
        let text = sample(message.trim().as_bytes(), area.width.into());
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
    let quit = match scene.picture.is_remote {
        true => "q quit",
        false => "q drain and quit",
    };
    let mut keys = vec![quit.to_owned(), order, filter, "p pause".to_owned()];
    if !scene.picture.windows.is_empty() {
        keys.push("w window".to_owned());
    }
    keys.push("? help".to_owned());
    if scene.picture.keys_hidden > 0 {
        keys.push(format!("{} keys more", grouped(scene.picture.keys_hidden)));
    }
    Line::styled(keys.join("   "), dim())
}

fn help(is_remote: bool) -> Vec<Line<'static>> {
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
    let mut lines: Vec<Line<'_>> = KEYS.into_iter().map(line).collect();
    if is_remote {
        lines.splice(0..3, [line(("q, Ctrl-C", "leave; the run goes on"))]);
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests;
