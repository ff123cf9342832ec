//! The thread that draws: looks at the run and at the keys in turn until it is closed.
//!
//! It begins half a second after the run, so that a short run shows nothing but its results. While it has the
//! screen, messages are kept for its pane ([`progress::keep`]); what it kept is written when it ends.
//! If the terminal fails it ends, and the run goes on without it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use jiff::tz::TimeZone;
use ratatui::crossterm::event::{self, Event};
use rustix::process::{Signal, getppid, getsid, kill_current_process_group};
use signal_hook::consts::{SIGCONT, SIGINT};
use signal_hook::flag;
use signal_hook::low_level::{raise, unregister};

use super::draw::Scene;
use super::look::{Act, Look};
use super::picture::{Picture, Subject};
use super::screen::Screen;
use crate::clock::Timestamp;
use crate::error::reason;
use crate::progress::{self, Track};
use crate::sink::{BatchReport, Sink, TotalsReport, WindowReport};

/// A run that is shorter has no view.
const DELAY: Duration = Duration::from_millis(500);

/// How long keys are waited for before it is looked whether there is something new to draw.
const TICK: Duration = Duration::from_millis(100);

/// How often figures are drawn that change without a batch.
const REFRESH_NANOS: u64 = 500_000_000;

/// The least time between two frames.
const FRAME: Duration = Duration::from_millis(50);

/// What the view has to do with the program.
#[derive(Debug)]
pub struct Controls {
    /// Whether the run is being ended.
    pub is_draining: Arc<AtomicBool>,
    /// Somebody asks for the program to be suspended; taken back here.
    pub is_to_suspend: Arc<AtomicBool>,
    /// What else is to be known of the run, a line each.
    pub notes: Vec<String>,
    /// How far the sources have come, if they end.
    pub tracks: Option<Vec<Arc<Track>>>,
    /// Whether colours are wanted.
    pub color: bool,
}

/// The view's end in the program. Closed when it is dropped.
pub struct Viewer {
    is_closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    /// Begins to show a run.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(subject: impl Subject + 'static, controls: Controls) -> io::Result<Viewer> {
        let is_closed = Arc::new(AtomicBool::new(false));
        let mut view = View::new(Box::new(subject), controls, Arc::clone(&is_closed));
        let show = move || {
            thread::park_timeout(DELAY);
            if view.is_closed() {
                return;
            }
            if let Err(error) = view.run() {
                tracing::warn!(
                    "the view has ended: {}; the counting goes on",
                    reason(&error)
                );
            }
        };
        let thread = thread::Builder::new().name("view".to_owned()).spawn(show)?;
        Ok(Viewer {
            is_closed,
            thread: Some(thread),
        })
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // Relaxed: nothing comes with the flag, and the join orders what follows.
        self.is_closed.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // If it panicked, its screen has been restored and the panic told.
            drop(thread.join());
        }
    }
}

/// Shows a subject on this thread until the flag is raised.
///
/// # Errors
/// If the terminal fails.
pub fn watch(
    subject: impl Subject + 'static,
    controls: Controls,
    is_closed: &Arc<AtomicBool>,
) -> io::Result<()> {
    View::new(Box::new(subject), controls, Arc::clone(is_closed)).run()
}

/// What the thread has.
struct View {
    subject: Box<dyn Subject>,
    controls: Controls,
    zone: TimeZone,
    is_closed: Arc<AtomicBool>,
    look: Look,
    picture: Picture,
    /// Of the subject, when the picture was made.
    version: u64,
    /// When the last frame was drawn.
    drawn: Option<Timestamp>,
    speed: Speed,
}

impl View {
    fn new(subject: Box<dyn Subject>, controls: Controls, is_closed: Arc<AtomicBool>) -> View {
        View {
            subject,
            controls,
            zone: TimeZone::system(),
            is_closed,
            look: Look::default(),
            picture: Picture::default(),
            version: 0,
            drawn: None,
            speed: Speed::default(),
        }
    }

    fn is_closed(&self) -> bool {
        // Relaxed: see the drop of the viewer.
        self.is_closed.load(Ordering::Relaxed)
    }

    fn run(&mut self) -> io::Result<()> {
        progress::keep();
        let result = self.show();
        progress::release();
        result
    }

    fn show(&mut self) -> io::Result<()> {
        let mut screen = Screen::take()?;
        while !self.is_closed() {
            // Relaxed: the flag says all there is to say.
            if self.controls.is_to_suspend.swap(false, Ordering::Relaxed) {
                screen = self.suspend(screen)?;
            }
            self.refresh(&mut screen)?;
            if event::poll(TICK)? {
                self.take_keys()?;
                self.drawn = None;
                thread::park_timeout(FRAME);
            }
        }
        Ok(())
    }

    /// Stops the program, and all that it shares a pipeline with, until it is continued.
    fn suspend(&mut self, screen: Screen) -> io::Result<Screen> {
        drop(screen);
        let is_continued = Arc::new(AtomicBool::new(false));
        let id = flag::register(SIGCONT, Arc::clone(&is_continued))?;
        kill_current_process_group(Signal::STOP)?;
        // This thread may run on for a moment before all are stopped.
        // Relaxed: the flag says all there is to say.
        while !is_continued.load(Ordering::Relaxed) {
            thread::sleep(FRAME);
        }
        unregister(id);
        self.drawn = None;
        Screen::take()
    }

    /// Draws, if there is something new.
    fn refresh(&mut self, screen: &mut Screen) -> io::Result<()> {
        let now = self.subject.now();
        let version = self.subject.version();
        let is_new = version != self.version;
        let is_due = self
            .drawn
            .is_none_or(|drawn| now.nanos_since(drawn) >= REFRESH_NANOS);
        if !is_due && (!is_new || self.look.is_paused) {
            return Ok(());
        }
        self.drawn = Some(now);
        if !self.look.is_paused || self.picture.sources.is_empty() {
            self.version = version;
            self.picture = self.subject.picture();
            self.picture
                .notes
                .extend(self.controls.notes.iter().cloned());
            let tracks = self.controls.tracks.as_deref();
            let started = self.picture.started;
            self.picture.progress = tracks.map(|tracks| progress::text(tracks, started, now));
            self.speed
                .measure(self.picture.bytes, self.picture.bytes_at);
        }
        let mut scene = Scene {
            picture: &self.picture,
            look: &mut self.look,
            messages: &progress::kept(),
            bytes_per_second: self.speed.per_second,
            // Relaxed: it is only shown.
            is_draining: self.controls.is_draining.load(Ordering::Relaxed),
            color: self.controls.color,
            zone: &self.zone,
        };
        screen.draw(&mut scene)
    }

    /// Takes all keys that are waiting.
    fn take_keys(&mut self) -> io::Result<()> {
        loop {
            if let Event::Key(key) = event::read()? {
                match self.look.press(key, self.picture.windows.len()) {
                    Act::None | Act::Draw => {}
                    // Relaxed: at worst it is asked for twice, which ends the program at once, as asked.
                    Act::Drain if self.controls.is_draining.load(Ordering::Relaxed) => {}
                    Act::Drain | Act::Interrupt => raise(SIGINT)?,
                    Act::Suspend if has_shell() => {
                        self.controls.is_to_suspend.store(true, Ordering::Relaxed);
                    }
                    Act::Suspend => {}
                }
            }
            if !event::poll(Duration::ZERO)? {
                return Ok(());
            }
        }
    }
}

/// Whether somebody is there who can continue a program that is suspended: its parent, in the same session.
fn has_shell() -> bool {
    let session = |pid| getsid(pid).ok();
    getppid().is_some_and(|parent| session(Some(parent)) == session(None))
}

/// Bytes per second, from one look to another.
#[derive(Default)]
struct Speed {
    last: Option<(u64, Timestamp)>,
    per_second: u64,
}

impl Speed {
    fn measure(&mut self, bytes: u64, now: Timestamp) {
        match self.last {
            Some((_, at)) if now.nanos_since(at) < REFRESH_NANOS => return,
            Some((before, at)) => {
                let more = u128::from(bytes.saturating_sub(before)) * 1_000_000_000;
                let rate = more / u128::from(now.nanos_since(at));
                self.per_second = u64::try_from(rate).unwrap_or(u64::MAX);
            }
            None => {}
        }
        self.last = Some((bytes, now));
    }
}

/// Where the sink finds the viewer, which starts after it was made.
pub type ViewerSlot = Arc<ArrayQueue<Viewer>>;

/// A sink that prints nothing while the view shows it; it closes the view before it prints the totals.
pub struct AtEnd {
    sink: Box<dyn Sink>,
    viewer: ViewerSlot,
}

impl AtEnd {
    /// Keeps `sink` back until it closes the viewer.
    pub fn new(sink: Box<dyn Sink>, viewer: ViewerSlot) -> AtEnd {
        AtEnd { sink, viewer }
    }
}

impl Sink for AtEnd {
    fn batch(&mut self, _: &BatchReport<'_>) -> io::Result<()> {
        Ok(())
    }

    fn window(&mut self, _: &WindowReport<'_>) -> io::Result<()> {
        Ok(())
    }

    fn totals(&mut self, report: &TotalsReport<'_>) -> io::Result<()> {
        drop(self.viewer.pop());
        self.sink.totals(report)
    }
}
