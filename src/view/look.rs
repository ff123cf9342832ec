//! How the picture is looked at: order, filter, place; changed by keys.
//!
//! A key is turned into a change here and into an [`Act`] that the viewer carries out: nothing here touches
//! the terminal or the run.

use std::cmp::Reverse;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::picture::{KeyNow, Picture};
use crate::sink::text::push_key;

/// Columns of a key in which a filter looks for its text.
const SEARCHED_WIDTH: usize = 512;

/// The longest filter, in characters.
const FILTER_CHARS_MAX: usize = 100;

/// What keys are sorted by. Equal ones are sorted by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Records in the last batch, the most first.
    #[default]
    Count,
    /// Records since the start, the most first.
    Total,
    /// Growth against the batch before, the greatest first.
    Change,
    /// The key.
    Name,
}

impl Sort {
    /// What it is called on the screen.
    pub const fn name(self) -> &'static str {
        match self {
            Sort::Count => "count",
            Sort::Total => "total",
            Sort::Change => "change",
            Sort::Name => "name",
        }
    }

    const fn next(self) -> Sort {
        match self {
            Sort::Count => Sort::Total,
            Sort::Total => Sort::Change,
            Sort::Change => Sort::Name,
            Sort::Name => Sort::Count,
        }
    }
}

/// What is to be done about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    None,
    /// Draw again.
    Draw,
    /// Count what was received, then end.
    Drain,
    /// As Ctrl-C does on a plain terminal.
    Interrupt,
    /// Stop the program until it is continued.
    Suspend,
}

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The order.
    pub sort: Sort,
    /// The order turned round.
    pub is_reversed: bool,
    /// Only keys with this in their text, in whatever case.
    pub filter: String,
    /// The filter is being typed.
    pub is_typing: bool,
    /// The first row that is shown; [`Look::settle`] keeps it within the rows.
    pub top: usize,
    /// The picture stands still.
    pub is_paused: bool,
    /// The keys are explained.
    pub has_help: bool,
    /// Which kind of window is shown; one past the last: none.
    pub window: usize,
    /// Rows that fit, as they did when it was last drawn.
    pub page: usize,
}

impl Look {
    /// Takes a key that was pressed, with so many kinds of windows there to be shown.
    pub fn press(&mut self, key: KeyEvent, windows: usize) -> Act {
        if key.kind == KeyEventKind::Release {
            return Act::None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Act::Interrupt,
                KeyCode::Char('z') => Act::Suspend,
                KeyCode::Char('l') => Act::Draw,
                _ => Act::None,
            };
        }
        if self.is_typing {
            return self.type_filter(key.code);
        }
        if self.has_help {
            self.has_help = false;
            return match key.code {
                KeyCode::Char('q') => Act::Drain,
                _ => Act::Draw,
            };
        }
        match key.code {
            KeyCode::Char('q') => return Act::Drain,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('w') if windows > 0 => self.window = (self.window + 1) % (windows + 1),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.has_help = true,
            code => return self.go(code),
        }
        self.top = 0;
        Act::Draw
    }

    fn type_filter(&mut self, code: KeyCode) -> Act {
        match code {
            KeyCode::Char(c) if self.filter.chars().count() < FILTER_CHARS_MAX => {
                self.filter.push(c);
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            code => return self.go(code),
        }
        self.top = 0;
        Act::Draw
    }

    fn go(&mut self, code: KeyCode) -> Act {
        let page = self.page.max(1);
        self.top = match code {
            KeyCode::Up | KeyCode::Char('k') => self.top.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.top.saturating_add(1),
            KeyCode::PageUp => self.top.saturating_sub(page),
            KeyCode::PageDown => self.top.saturating_add(page),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => usize::MAX,
            _ => return Act::None,
        };
        Act::Draw
    }

    /// The rows of a picture that are to be seen, in their order.
    pub fn rows<'a>(&self, picture: &'a Picture) -> Vec<&'a KeyNow> {
        let wanted = self.filter.to_lowercase();
        let mut text = String::new();
        let mut is_wanted = |row: &&KeyNow| {
            text.clear();
            push_key((*row.key).as_ref(), SEARCHED_WIDTH, &mut text);
            wanted.is_empty() || text.to_lowercase().contains(&wanted)
        };
        let mut rows: Vec<&KeyNow> = picture.rows.iter().filter(|row| is_wanted(row)).collect();
        match self.sort {
            Sort::Count => rows.sort_by_key(|row| (Reverse((row.count, row.total)), &row.key)),
            Sort::Total => rows.sort_by_key(|row| (Reverse(row.total), &row.key)),
            Sort::Change => rows.sort_by_key(|row| (Reverse(row.change()), &row.key)),
            Sort::Name => rows.sort_by_key(|row| &row.key),
        }
        if self.is_reversed {
            rows.reverse();
        }
        rows
    }

    /// Keeps the place within this many rows.
    pub fn settle(&mut self, rows: usize, page: usize) {
        self.page = page;
        self.top = self.top.min(rows.saturating_sub(page));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::key::KeyRef;

    fn press(look: &mut Look, keys: &str) -> Vec<Act> {
        let code = |c| match c {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        keys.chars()
            .map(|c| look.press(KeyEvent::from(code(c)), 2))
            .collect()
    }

    fn picture() -> Picture {
        let row = |name: &str, count, before, total| KeyNow {
            key: Arc::new(KeyRef::string(name).to_key()),
            count,
            before: Some(before),
            total,
            trace: Vec::new(),
        };
        Picture {
            rows: vec![row("b", 5, 9, 50), row("A", 5, 1, 90), row("c", 7, 7, 10)],
            ..Picture::default()
        }
    }

    fn names(look: &Look) -> String {
        let picture = picture();
        let rows = look.rows(&picture);
        rows.iter()
            .map(|row| (*row.key).as_ref().text().into_owned())
            .collect()
    }

    #[test]
    fn rows_are_sorted_by_count_total_change_and_name() {
        let mut look = Look::default();
        assert_eq!(names(&look), "cAb");
        press(&mut look, "s");
        assert_eq!(names(&look), "Abc");
        press(&mut look, "s");
        assert_eq!(names(&look), "Acb");
        press(&mut look, "s");
        assert_eq!(names(&look), "Abc");
        press(&mut look, "r");
        assert_eq!(names(&look), "cbA");
        press(&mut look, "rs");
        assert_eq!((look.sort, names(&look).as_str()), (Sort::Count, "cAb"));
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared() {
        let mut look = Look::default();
        press(&mut look, "/aq");
        assert_eq!((look.filter.as_str(), names(&look).as_str()), ("aq", ""));
        look.press(KeyEvent::from(KeyCode::Backspace), 0);
        assert_eq!(names(&look), "A");
        assert_eq!(press(&mut look, "\nq"), [Act::Draw, Act::Drain]);
        assert_eq!(names(&look), "A");
        press(&mut look, "\x1b");
        assert_eq!(names(&look), "cAb");
        press(&mut look, &format!("/{}", "x".repeat(9_999)));
        assert_eq!(look.filter.len(), FILTER_CHARS_MAX);
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let mut look = Look::default();
        assert_eq!(press(&mut look, "?p"), [Act::Draw; 2]);
        assert!(!look.is_paused, "any key only ends the help");
        press(&mut look, "pw");
        assert_eq!((look.is_paused, look.window), (true, 1));
        press(&mut look, "pww");
        assert_eq!((look.is_paused, look.window), (false, 0));
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        assert_eq!(look.press(control('c'), 0), Act::Interrupt);
        assert_eq!(look.press(control('z'), 0), Act::Suspend);
        assert_eq!(look.press(KeyEvent::from(KeyCode::Tab), 0), Act::None);
    }

    #[test]
    fn the_place_stays_within_the_rows() {
        let mut look = Look::default();
        look.settle(100, 10);
        for (code, top) in [
            (KeyCode::Up, 0),
            (KeyCode::Down, 1),
            (KeyCode::PageDown, 11),
            (KeyCode::End, 90),
            (KeyCode::PageUp, 80),
            (KeyCode::Home, 0),
        ] {
            look.press(KeyEvent::from(code), 0);
            look.settle(100, 10);
            assert_eq!(look.top, top, "{code:?}");
        }
        look.settle(3, 10);
        press(&mut look, "G");
        look.settle(3, 10);
        assert_eq!(look.top, 0);
    }
}
