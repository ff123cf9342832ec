//! The live view on a real terminal: a pseudo-terminal, and an emulator that tells what stands on its screen.
//!
//! Progress is awaited by reading what is drawn. The view draws twice a second at least, so a condition that
//! never comes is told after so many reads.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use loadgen::{Plan, Server, Spec};
use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::termios::{LocalModes, tcgetattr};
use tallyline::view::Screen;

use crate::support::tallyline;

mod top;

/// Reads after which a condition is given up.
const READS_MAX: usize = 2_000;

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

/// The program on a terminal.
struct Terminal {
    pty: Pty,
    child: Child,
    parser: vt100::Parser,
    /// All that was written.
    bytes: Vec<u8>,
}

impl Terminal {
    fn start(args: &[&str]) -> Terminal {
        Terminal::run(Command::new(env!("CARGO_BIN_EXE_tallyline")).args(args))
    }

    fn run(command: Command) -> Terminal {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(24, 100)).unwrap();
        let command = command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        Terminal {
            child: command.spawn(pts).unwrap(),
            pty,
            parser: vt100::Parser::new(cells(24), cells(100), 0),
            bytes: Vec::new(),
        }
    }

    /// Takes what was drawn; `false` at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        // When the program has ended there is an error in place of an end.
        let count = self.pty.read(&mut buffer).unwrap_or(0);
        self.parser.process(&buffer[..count]);
        self.bytes.extend_from_slice(&buffer[..count]);
        count > 0
    }

    fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Waits until the screen's text is as it should be.
    fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        for _ in 0..READS_MAX {
            if is_so(&self.text()) {
                return;
            }
            assert!(self.read(), "it has ended before {what}: {}", self.text());
        }
        panic!("{what} has not come: {}", self.text());
    }

    /// Waits until the terminal is as it was before the program; checks that.
    fn until_given_back(&mut self) {
        while self.parser.screen().alternate_screen() {
            assert!(self.read(), "it has ended with the screen: {}", self.text());
        }
    }

    /// Whether lines are edited and keys are signals, as for a shell.
    fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.pty).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    fn press(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the program's end; checks that the terminal is as it was. Returns the exit status.
    fn end(&mut self) -> Option<i32> {
        while self.read() {}
        let status = self.child.wait().unwrap();
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
        assert!(self.is_cooked());
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has normally ended and been waited for; then there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A stream of orders that ends when it is told to.
struct Orders {
    source: String,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Orders {
    fn start() -> Orders {
        let spec = Spec {
            malformed: 0.01,
            ..Spec::default()
        };
        let plan = Plan {
            rate: std::num::NonZeroU64::new(5_000),
            ..Plan::default()
        };
        let server = Server::bind("127.0.0.1:0", &spec, plan).unwrap();
        Orders {
            source: format!("tcp://{}", server.local_addr()),
            stop: server.stop_flag(),
            thread: thread::spawn(move || drop(server.run())),
        }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

#[test]
fn a_run_is_shown_filtered_sorted_resized_and_ended_by_keys() {
    let orders = Orders::start();
    let args = [
        "count",
        &orders.source,
        "--by",
        "status",
        "--every",
        "100ms",
        "--window",
        "1s",
    ];
    let mut terminal = Terminal::start(&args);
    let has_rows = |text: &str| text.contains("PLACED") && text.contains("SHIPPED");
    terminal.until("the first rows", has_rows);
    assert!(terminal.parser.screen().alternate_screen());
    assert!(terminal.parser.screen().hide_cursor());
    terminal.until("the ledger", |text| text.contains("malformed "));
    terminal.until("the window", |text| text.contains("window 1s"));
    terminal.until("a sample", |text| text.contains("WARN malformed line"));

    terminal.press("w");
    terminal.until("no window", |text| !text.contains("window 1s"));
    terminal.press("s");
    terminal.until("another order", |text| text.contains("sort: total"));
    terminal.press("/ship\r");
    terminal.until("the filtered rows", |text| {
        text.contains("filter: ship") && text.contains("SHIPPED") && !text.contains("DELIVERED")
    });
    terminal.press("\x1b");
    terminal.until("all rows", |text| text.contains("DELIVERED"));
    terminal.press("?");
    terminal.until("the help", |text| text.contains("Ctrl-Z"));
    terminal.press("?p");
    terminal.until("the pause", |text| text.contains("view paused"));
    terminal.press("p");
    terminal.until("its end", |text| !text.contains("view paused"));

    terminal.pty.resize(Size::new(10, 40)).unwrap();
    terminal.parser.screen_mut().set_size(cells(10), cells(40));
    terminal.until("the smaller screen", |text| {
        text.lines()
            .last()
            .is_some_and(|line| line.starts_with("q drain"))
            && text.contains("key ")
    });

    terminal.press("q");
    assert_eq!(terminal.end(), Some(0));
    let text = String::from_utf8_lossy(&terminal.bytes).into_owned();
    let (_, after) = text.rsplit_once("\x1b[?1049l").unwrap();
    for part in [
        "totals",
        "PLACED",
        "WARN malformed line",
        "records/s",
        "duration",
    ] {
        assert!(after.contains(part), "{part}: {after}");
    }
    assert!(!after.contains("batch 1 "), "batches were shown: {after}");
    orders.stop();
}

#[test]
fn a_signal_drains_and_gives_the_terminal_back() {
    let orders = Orders::start();
    let args = [
        "count",
        &orders.source,
        "--by",
        "status",
        "--every",
        "100ms",
    ];
    let mut terminal = Terminal::start(&args);
    terminal.until("the first rows", |text| text.contains("PLACED"));
    let pid = terminal.pid();
    kill_process(pid, Signal::USR1).unwrap();
    terminal.until("the status", |text| text.contains("status: batch"));
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(terminal.end(), Some(0));
    orders.stop();
}

#[test]
fn suspended_it_gives_the_terminal_back_and_takes_it_again_when_it_goes_on() {
    let orders = Orders::start();
    let args = ["count", &orders.source, "--by=status", "--every=100ms"];
    let mut terminal = Terminal::start(&args);
    for _ in 0..2 {
        terminal.until("the rows", |text| text.contains("PLACED"));
        assert!(!terminal.is_cooked());
        kill_process(terminal.pid(), Signal::TSTP).unwrap();
        terminal.until_given_back();
        let stopped = waitpid(Some(terminal.pid()), WaitOptions::UNTRACED).unwrap();
        assert!(stopped.unwrap().1.stopped(), "it stands still");
        assert!(terminal.is_cooked() && !terminal.parser.screen().hide_cursor());
        let before = terminal.bytes.len();
        kill_process(terminal.pid(), Signal::CONT).unwrap();
        while !terminal.parser.screen().alternate_screen() {
            assert!(terminal.read());
        }
        assert!(terminal.bytes.len() > before);
    }
    terminal.until("all of it again", |text| {
        text.contains("tallyline  tcp://") && text.contains("PLACED") && text.contains("q drain")
    });
    terminal.press("q");
    assert_eq!(terminal.end(), Some(0));
    orders.stop();
}

#[test]
fn a_shell_suspends_it_by_a_key_and_brings_it_back() {
    let orders = Orders::start();
    let program = env!("CARGO_BIN_EXE_tallyline");
    let script = format!(
        "set -m; '{program}' count {} --by=status --every=100ms; echo the shell again; read line; fg; echo status $?",
        orders.source
    );
    let mut terminal = Terminal::run(Command::new("sh").args(["-c", &script]));
    terminal.until("the rows", |text| text.contains("PLACED"));
    terminal.press("\x1a");
    terminal.until_given_back();
    terminal.until("the shell", |text| text.contains("the shell again"));
    assert!(terminal.is_cooked());
    terminal.press("\n");
    terminal.until("all of it again", |text| {
        text.contains("PLACED") && text.contains("q drain")
    });
    terminal.press("q");
    assert_eq!(terminal.end(), Some(0));
    let text = terminal.text();
    assert!(text.contains("status 0"), "{text}");
    orders.stop();
}

/// What the panicking program below says of its death.
const LAST_WORDS: &str = "the planted panic";

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    let this = std::env::current_exe().unwrap();
    let name = "terminal::a_screen_is_taken_by_a_program_that_panics";
    let args = ["--ignored", "--exact", "--nocapture", name];
    let mut terminal = Terminal::run(Command::new(this).args(args));
    assert_eq!(terminal.end(), Some(7));
    let text = String::from_utf8_lossy(&terminal.bytes).into_owned();
    assert!(text.contains("\x1b[?1049h"), "the screen was taken: {text}");
    let (_, after) = text.rsplit_once("\x1b[?1049l").unwrap();
    assert!(after.contains(LAST_WORDS), "{text}");
}

#[test]
#[ignore = "the test above runs it, on a terminal of its own"]
fn a_screen_is_taken_by_a_program_that_panics() {
    let _screen = Screen::take().unwrap();
    // In a thread that has not got the screen, so that nothing but the hook gives it back in time.
    let panicked = thread::spawn(|| panic!("{LAST_WORDS}")).join();
    assert!(panicked.is_err());
    // Nor does its end.
    std::process::exit(7);
}

#[test]
fn a_run_that_ends_by_itself_prints_its_totals_and_a_plain_one_its_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.jsonl");
    std::fs::write(&path, "{\"status\":\"PLACED\"}\n".repeat(9)).unwrap();
    let path = path.to_str().unwrap();
    for (more, has_batches) in [(&[][..], false), (&["--ui", "plain"], true)] {
        let mut terminal = Terminal::start(&[&["count", path, "--by", "status"], more].concat());
        assert_eq!(terminal.end(), Some(0));
        let text = terminal.text();
        let has_taken = terminal
            .bytes
            .windows(8)
            .any(|bytes| bytes == b"\x1b[?1049h");
        assert!(!(has_batches && has_taken), "{text}");
        assert!(text.contains("totals") && text.contains("PLACED"), "{text}");
        assert_eq!(text.contains("batch 1"), has_batches, "{text}");
    }
}

#[test]
fn a_view_that_cannot_be_is_refused() {
    let refused = |args: &[&str]| {
        let args = [&["count", "-", "--by", "a", "--ui", "live"], args].concat();
        let output = tallyline(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        refused(&[]),
        "tallyline: --ui 'live': standard output is no terminal; leave it out\n"
    );
    let mut terminal = Terminal::start(&["count", "-", "--by", "a", "--ui", "live"]);
    assert_eq!(terminal.end(), Some(2));
    assert!(
        terminal.text().contains("what is typed is the source"),
        "{}",
        terminal.text()
    );
}
