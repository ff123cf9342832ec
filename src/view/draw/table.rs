//! The table: a row for each key, with its figures and its curve.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::{Scene, curve, dim, pad, style};
use crate::sink::text::{grouped, per_second, push_key, share, width};
use crate::view::picture::{KeyNow, Picture};

/// Columns between two others.
const GAP: usize = 2;

/// Columns that a key has at least, before others are left out for it; and at the most.
const KEY_WIDTH: (usize, usize) = (12, 48);

/// A column of the table: its name, and what it says of each key.
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

    /// A figure, or the name, in the column's width.
    fn cell(&self, text: &str) -> String {
        pad(text, self.width(), self.is_right)
    }
}

/// The keys, a row each, under the names of the columns; in so many lines.
pub(super) fn table(scene: &mut Scene<'_>, width: usize, lines: usize) -> Vec<Line<'static>> {
    let picture = scene.picture;
    let all = scene.look.rows(picture);
    let rows_max = lines.saturating_sub(1);
    scene.look.settle(all.len(), rows_max);
    let rows = &all[scene.look.top..all.len().min(scene.look.top + rows_max)];
    let columns = columns(picture, rows);
    let (shown, taken) = fitting(&columns, width);
    let key_width = width.saturating_sub(taken).clamp(1, KEY_WIDTH.1);
    let mut head = pad("key", key_width, false);
    for column in &shown {
        head += &format!("{:GAP$}{}", "", column.cell(column.name));
    }
    let mut table = vec![Line::styled(head, dim())];
    for (number, row) in rows.iter().enumerate() {
        let mut key = String::new();
        push_key((*row.key).as_ref(), key_width, &mut key);
        let mut spans = vec![Span::raw(pad(&key, key_width, false))];
        for column in &shown {
            spans.push(Span::raw(" ".repeat(GAP)));
            let figure = column.cell(&column.figures[number]);
            spans.push(Span::styled(figure, hue(column, row, scene.color)));
        }
        table.push(Line::from(spans));
    }
    if rows.is_empty() {
        table.push(Line::styled(nothing(picture), dim()));
    }
    table.truncate(lines);
    table
}

/// All columns, in the order in which they stand.
fn columns(picture: &Picture, rows: &[&KeyNow]) -> [Column; 6] {
    let counted = picture.rows.iter().map(|row| row.count).sum();
    let nanos = picture.every_nanos;
    let column = |name, is_right, figure: &dyn Fn(&KeyNow) -> String| Column {
        name,
        is_right,
        figures: rows.iter().map(|row| figure(row)).collect(),
    };
    [
        column("count", true, &|row| grouped(row.count)),
        column("share", true, &|row| share(row.count, counted)),
        column("per second", true, &|row| per_second(row.count, nanos)),
        column("change", true, &change),
        column("total", true, &|row| grouped(row.total)),
        column("last batches", false, &|row| curve(&row.trace)),
    ]
}

/// The columns that fit beside a key, and what they take. The first always does.
fn fitting(columns: &[Column; 6], width: usize) -> (Vec<&Column>, usize) {
    // By how much they are wanted.
    const WANTED: [usize; 6] = [0, 4, 3, 1, 2, 5];
    let mut shown = Vec::new();
    let mut taken = 0;
    for number in WANTED {
        let more = GAP + columns[number].width();
        if taken + more + KEY_WIDTH.0 > width && number > 0 {
            break;
        }
        taken += more;
        shown.push(number);
    }
    shown.sort_unstable();
    (
        shown.into_iter().map(|number| &columns[number]).collect(),
        taken,
    )
}

/// How a figure stands out.
fn hue(column: &Column, row: &KeyNow, color: bool) -> Style {
    let plain = Modifier::empty();
    match (column.name, row.change()) {
        ("change", Some(change)) if change > 0 => style(color, Color::Green, plain),
        ("change", Some(change)) if change < 0 => style(color, Color::Magenta, plain),
        ("last batches", _) => style(color, Color::Cyan, plain),
        _ => Style::new(),
    }
}

/// Why there is no row.
fn nothing(picture: &Picture) -> &'static str {
    match (picture.batch, picture.rows.is_empty()) {
        (0, _) => "the first batch is open",
        (_, true) => "no records counted",
        (_, false) => "no key has that in its name; Esc shows all",
    }
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
