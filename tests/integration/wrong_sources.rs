//! Sources that lead to the wrong thing or to nothing, one by one: a line that names the source and the remedy, and the
//! exit status. What needs a peer is where that peer is: certificates in `tls`, brokers and streams in tests of their own.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;

use crate::cli::feed;
use crate::support::{Running, tallyline};

/// A folder with one of each: `a.jsonl`, `cut.gz`, the folder `in`, and `dead.sock`, where nobody listens.
fn one_of_each() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.jsonl"), "{\"status\":\"a\"}\n").unwrap();
    fs::write(at("cut.gz"), cut_archive()).unwrap();
    fs::create_dir(at("in")).unwrap();
    drop(UnixListener::bind(at("dead.sock")).unwrap());
    folder
}

/// An archive of many lines that ends in the middle.
fn cut_archive() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder
        .write_all("{\"status\":\"a\"}\n".repeat(100_000).as_bytes())
        .unwrap();
    let mut archive = encoder.finish().unwrap();
    archive.truncate(archive.len() / 2);
    archive
}

/// `count` in this folder, with these arguments.
fn count(folder: &Path, args: &[&str]) -> Command {
    let mut command = tallyline(&["count", "--by", "status", "-o", "json", "-q"]);
    command.current_dir(folder).args(args);
    command
}

/// Checks that a run ends with this status, and this line and no other.
fn ends(mut command: Command, status: i32, line: &str) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, format!("tallyline: {line}\n"));
    assert_eq!(output.status.code(), Some(status), "{line}");
    assert_eq!(output.stdout, b"", "{line}");
}

#[test]
fn nothing_or_the_wrong_thing_at_a_path_is_told_before_anything_is_counted() {
    let folder = one_of_each();
    for (args, line) in [
        (
            &["nosuch/"][..],
            "cannot read nosuch/: no such file or directory; check the path",
        ),
        (
            &["a.jsonl/"],
            "cannot read a.jsonl/: not a directory; a file has no / at its end",
        ),
        (
            &["a.jsonl/x"],
            "cannot open a.jsonl/x: not a directory; check the path",
        ),
        (
            &["in/*.gz"],
            "no file matches in/*.gz; check the path and the pattern",
        ),
        (
            &["--follow", "in"],
            "cannot read in: it is a directory; write in/ for the files that appear in it, or 'in/*'",
        ),
        (
            &["dead.sock"],
            "cannot open dead.sock: no such device or address; a socket is named unix://PATH",
        ),
        (
            &["unix://nosuch"],
            "cannot connect to unix://nosuch: no such file or directory; check the path; start the server first, or wait for it with --connect-wait 30s",
        ),
        (
            &["unix://dead.sock"],
            "cannot connect to unix://dead.sock: connection refused; start the server first, or wait for it with --connect-wait 30s",
        ),
        (
            &["unix://a.jsonl"],
            "cannot connect to unix://a.jsonl: there is a file of that name, and it is no socket; check the path",
        ),
        (
            &["unix://in"],
            "cannot connect to unix://in: there is a file of that name, and it is no socket; check the path",
        ),
        (
            &["unix-listen://nosuch/s"],
            "cannot listen at unix-listen://nosuch/s: no such file or directory; check the address and the directory",
        ),
        (
            &["unix-listen://in"],
            "cannot listen at unix-listen://in: there is a file of that name, and it is no socket; remove it or give another path",
        ),
    ] {
        ends(count(folder.path(), args), 1, line);
    }
}

#[test]
fn addresses_that_are_taken_or_not_of_this_machine_or_make_no_sense() {
    let folder = one_of_each();
    // A block that documentation owns: no machine has it.
    let elsewhere = "tcp-listen://203.0.113.7:9998";
    let line = format!(
        "cannot listen at {elsewhere}: cannot assign requested address; give an address of this machine, or 0.0.0.0 for all of them"
    );
    ends(count(folder.path(), &[elsewhere]), 1, &line);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp-listen://{}", other.local_addr().unwrap());
    let line = format!(
        "cannot listen at {taken}: address already in use; another program listens there; end it or give another port"
    );
    ends(count(folder.path(), &[&taken]), 1, &line);
    for (source, line) in [
        (
            "unix://",
            "source unix://: the path is missing; write unix://PATH, for example unix:///run/orders.sock",
        ),
        (
            "tcp-listen://localhost",
            "source tcp-listen://localhost: not an address; write tcp-listen://ADDR:PORT, for example tcp-listen://127.0.0.1:9998",
        ),
    ] {
        ends(count(folder.path(), &[source]), 2, line);
    }
}

#[test]
fn standard_input_that_is_a_directory_or_an_archive_cut_short() {
    let folder = one_of_each();
    let mut command = count(folder.path(), &["-"]);
    command.stdin(Stdio::from(File::open(folder.path()).unwrap()));
    let line = "cannot read standard input: it is a directory; name that as the source, with a / at its end";
    ends(command, 1, line);
    let output = feed(
        &["count", "-", "--by", "status", "-o", "none", "-q"],
        cut_archive(),
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "tallyline: cannot decompress standard input: it is cut short; what came before is counted\n"
    );
}

#[test]
fn an_archive_cut_short_in_a_folder_is_named_and_the_next_file_counted() {
    let folder = one_of_each();
    let at = |name: &str| folder.path().join(name);
    let (told, errors) = std::sync::mpsc::channel();
    let mut command = count(folder.path(), &["in/", "--poll=20ms", "--every", "20ms"]);
    let mut running = Running::start(&mut command, move |line| {
        // Nobody may be left to hear it.
        drop(told.send(line.to_owned()));
    });
    fs::rename(at("cut.gz"), at("in/cut.gz")).unwrap();
    let expected = "cannot decompress in/cut.gz: it is cut short; what came before is counted";
    let error = errors.recv().unwrap();
    assert!(error.ends_with(expected), "{error}");
    fs::write(at("in/b.jsonl"), "{\"status\":\"other\"}\n").unwrap();
    while !running.line().unwrap().contains("\"other\"") {}
    running.signal(Signal::TERM);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
