//! The terminal while the view has it: raw, on its other screen, without a cursor.
//!
//! Whatever ends the program gives the terminal back: the end of the view, a panic, a signal that ends it at
//! once. [`restore`] may be called by anybody, any number of times.

use std::io::{self, Stdout, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::draw::{Scene, draw};

/// Whether the terminal is to be given back.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal. See the module's documentation.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal that standard output is.
    ///
    /// # Errors
    /// What the system answers; the terminal is as it was then.
    pub fn take() -> io::Result<Screen> {
        restore_on_panic();
        enable_raw_mode()?;
        IS_TAKEN.store(true, Ordering::SeqCst);
        let begun = execute!(io::stdout(), EnterAlternateScreen, Hide);
        let terminal = begun.and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match terminal {
            Ok(terminal) => Ok(Screen { terminal }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Draws a scene.
    ///
    /// # Errors
    /// What the system answers.
    pub fn draw(&mut self, scene: &mut Scene<'_>) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, scene)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if it was taken.
pub fn restore() {
    // SeqCst: once in a run, so nothing weaker needs a proof; who swaps it away restores.
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // A terminal that is gone has nothing to be restored.
        drop(execute!(io::stdout(), LeaveAlternateScreen, Show));
        drop(disable_raw_mode());
        drop(io::stdout().flush());
    }
}

/// A panic's message is to be read.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}
