//! Sinks that fail, and then hang for longer than anybody waits: a run that is over does not wait for them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{ChildStdin, Output, Stdio};

use rustix::process::{Pid, test_kill_process};

use crate::support::{Running, tallyline};

/// Counts what it is given into a sink that has an hour for each batch.
fn start(folder: &Path, flags: &[&str], sink: &str) -> (Running, ChildStdin) {
    let sink = format!("--to=timeout=1h {sink}");
    let flags = [&["--output=none", "--every=20ms", "--to-drain=0s"], flags].concat();
    let mut command = tallyline(&["count", "-", "--by=status", &sink]);
    command
        .args(flags)
        .current_dir(folder)
        .stdin(Stdio::piped());
    let mut running = Running::start(&mut command, |_| {});
    let mut stdin = running.stdin();
    stdin.write_all(b"{\"status\":\"PLACED\"}\n").unwrap();
    (running, stdin)
}

fn given_up(output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("given up after"), "{told}");
    assert!(told.contains("(--to-drain)"), "{told}");
}

#[test]
fn a_command_that_hangs_is_killed_with_all_it_started_when_the_drain_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let command =
        "exec:test -e failed || { touch failed; exit 1; }; sleep 3600 & echo $! >fifo; wait";
    for flags in [&[][..], &["--state=s.db"]] {
        let (running, stdin) = start(folder.path(), flags, command);
        // The first attempt has failed, and the second one is under way.
        let pid = fs::read_to_string(&fifo).unwrap();
        drop(stdin);
        given_up(&running.finish());
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        // Killed, though whoever is to wait for it may not have done so yet.
        let state = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        assert!(
            test_kill_process(pid).is_err() || state.is_ok_and(|stat| stat.contains(") Z ")),
            "{pid:?} lives"
        );
        fs::remove_file(folder.path().join("failed")).unwrap();
    }
}

#[test]
fn a_web_hook_that_never_answers_is_left_to_itself_when_the_drain_is_over() {
    let folder = tempfile::tempdir().unwrap();
    for flags in [&[][..], &["--state=s.db"]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (running, stdin) = start(folder.path(), flags, &url);
        // HEAD, as the run begins; and a first POST.
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while request.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let answer = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).unwrap();
        }
        let hanging = listener.accept().unwrap();
        drop(stdin);
        given_up(&running.finish());
        drop(hanging);
    }
}
