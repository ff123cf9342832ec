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
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

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
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(24, 100)).unwrap();
        let command = Command::new(env!("CARGO_BIN_EXE_tallyline")).args(args);
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

    fn press(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the program's end; checks that the terminal is as it was. Returns the exit status.
    fn end(&mut self) -> Option<i32> {
        while self.read() {}
        let status = self.child.wait().unwrap();
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
        let modes = tcgetattr(&self.pty).unwrap().local_modes;
        let wanted = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        assert!(modes.contains(wanted), "{modes:?}");
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
    let pid = Pid::from_raw(terminal.child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::USR1).unwrap();
    terminal.until("the status", |text| text.contains("status: batch"));
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(terminal.end(), Some(0));
    orders.stop();
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
