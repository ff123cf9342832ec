//! What a service manager hears of a run.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Running, tallyline};

/// The manager's end.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Manager {
        Manager(UnixDatagram::bind(path).unwrap())
    }

    /// The next thing that is told.
    fn hear(&self) -> Option<String> {
        // Nothing is ever waited for as long as this.
        self.hear_within(Duration::from_secs(60))
    }

    /// The same; `None` after a silence of this length.
    fn hear_within(&self, silence: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(silence)).unwrap();
        let mut space = [0; 1024];
        let count = self.0.recv(&mut space).ok()?;
        Some(String::from_utf8(space[..count].to_vec()).unwrap())
    }

    /// Hears on until this is told, which it is not without end.
    fn wait_for(&self, beginning: &str) -> String {
        let mut heard = Vec::new();
        for _ in 0..10_000 {
            let told = self
                .hear()
                .unwrap_or_else(|| panic!("silence after {heard:?}"));
            if told.starts_with(beginning) {
                return told;
            }
            heard.push(told);
        }
        panic!("never {beginning}, but {heard:?}");
    }
}

/// A run that counts its standard input, in batches of 20 ms.
fn count(manager: &str) -> Command {
    let args = [
        "count", "-", "--by", "k", "--every", "20ms", "--output", "json", "-q",
    ];
    let mut command = tallyline(&args);
    command.stdin(Stdio::piped()).env("NOTIFY_SOCKET", manager);
    command
}

#[test]
fn ready_the_last_batch_and_stopping_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::at(&path);
    let mut run = Running::start(&mut count(path.to_str().unwrap()), |_| {});
    assert_eq!(manager.hear().as_deref(), Some("READY=1"));
    let mut stdin = run.stdin();
    stdin
        .write_all(b"{\"k\":1}\n{\"k\":2}\nnot JSON\n")
        .unwrap();
    let status = manager.wait_for("STATUS=batch");
    assert!(
        status.contains(" lines, ") && status.contains(" a second; "),
        "{status}"
    );
    run.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert_eq!(run.finish().status.code(), Some(0));
    drop(stdin);
}

#[test]
fn a_watchdog_is_answered_until_batches_stop_closing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::at(&path);
    let mut command = count(path.to_str().unwrap());
    command.env("WATCHDOG_USEC", "100000");
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // Nobody reads the output: with so many keys a pipe is full after a few batches, and the merge waits.
    let keys: String = (0..20_000)
        .map(|key| format!("{{\"k\":{key}}}\n"))
        .collect();
    stdin.write_all(keys.as_bytes()).unwrap();
    manager.wait_for("WATCHDOG=1");
    let silence = Duration::from_secs(2);
    let is_silent = (0..1000).any(|_| manager.hear_within(silence).is_none());
    assert!(is_silent, "the watchdog is answered by a run that is stuck");
    // Once it is read the run is well again.
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    manager.wait_for("WATCHDOG=1");
    drop(stdin);
    manager.wait_for("STOPPING=1");
    assert!(child.wait().unwrap().success());
    assert!(reading.join().unwrap().ends_with("]}\n"));
}

#[test]
fn another_process_s_watchdog_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::at(&path);
    let mut command = count(path.to_str().unwrap());
    command
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", "1");
    let mut run = Running::start(&mut command, |_| {});
    let stdin = run.stdin();
    for _ in 0..3 {
        manager.wait_for("STATUS=batch");
    }
    drop(stdin);
    let mut told = Vec::new();
    while told.last().is_none_or(|told| told != "STOPPING=1") {
        told.push(manager.hear().expect("it says when it stops"));
    }
    assert!(!told.contains(&"WATCHDOG=1".to_owned()), "{told:?}");
    assert!(run.finish().status.success());
}

#[test]
fn an_abstract_socket_is_a_socket_too() {
    let name = format!("tallyline-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager(UnixDatagram::bind_addr(&address).unwrap());
    let mut run = Running::start(&mut count(&format!("@{name}")), |_| {});
    assert_eq!(manager.hear().as_deref(), Some("READY=1"));
    drop(run.stdin());
    manager.wait_for("STOPPING=1");
    assert!(run.finish().status.success());
}

#[test]
fn a_manager_that_does_not_listen_is_nobody_s_loss() {
    for name in ["/nosuch/notify", "", "x\u{e9}".repeat(100).as_str()] {
        let mut run = Running::start(&mut count(name), |_| {});
        drop(run.stdin());
        assert!(run.finish().status.success(), "{name}");
    }
}
