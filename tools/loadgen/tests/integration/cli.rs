//! The command: what it prints, what it leaves behind, and its exit statuses.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;

use loadgen::{Generator, Spec};

use crate::stream;

fn loadgen(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(args);
    command
}

fn output(args: &[&str]) -> Output {
    loadgen(args).output().expect("runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn usage_errors_are_one_line_with_flag_value_and_remedy() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["write", "-", "--rate", "fast"], &["--rate", "fast", "1M"]),
        (
            &["write", "-", "--duration", "30"],
            &["--duration", "30", "30s"],
        ),
        (
            &["write", "-", "--keys", "0"],
            &["--keys", "0", "1 to 10,000,000"],
        ),
        (&["write", "-", "--zipf", "11"], &["--zipf", "11", "0"]),
        (
            &["write", "-", "--malformed", "150%"],
            &["--malformed", "1.5", "100%"],
        ),
        (
            &["write", "-", "--malformed", "0.6", "--missing", "0.6"],
            &["--missing", "0.6", "at most 1"],
        ),
        (
            &["write", "-", "--shape", "tall"],
            &["--shape", "tall", "wide"],
        ),
        (
            &["write", "-", "--count", "1", "--duration", "1s"],
            &["--count", "--duration"],
        ),
        (
            &["write", "-", "--expect", "/no/such/folder/file"],
            &["--expect", "/no/such/folder/file", "give a file"],
        ),
        (&["write", "-", "--cuont", "1"], &["--cuont", "--count"]),
        (
            &["push", "localhost:1"],
            &["localhost:1", "tcp://HOST:PORT"],
        ),
        (&["serve", "localhost"], &["localhost", "ADDR:PORT"]),
        (
            &["serve", "0", "--connections", "0"],
            &["--connections", "0"],
        ),
        (&["serve"], &["ADDR"]),
        (&[], &["serve", "sink"]),
    ];
    for (args, words) in cases {
        let output = output(args);
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert!(
            words.iter().all(|word| stderr.contains(word)),
            "{args:?}: {stderr}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_has_examples() {
    let help = output(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
}

#[test]
fn a_running_error_is_status_1() {
    // A port that was free a moment ago, and that nobody listens at.
    let addr = TcpListener::bind("127.0.0.1:0")
        .expect("binds")
        .local_addr()
        .expect("has an address");
    let output = output(&["push", &format!("tcp://{addr}"), "--count", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 1);
}

#[test]
fn writing_to_stdout_gives_the_stream_and_the_answer() {
    let answer = std::env::temp_dir().join(format!("loadgen-answer-{}.json", std::process::id()));
    let path = answer.to_str().expect("a plain path");
    let args = [
        "write",
        "-",
        "--count",
        "1k",
        "--missing",
        "5%",
        "--keys",
        "9",
        "--seed",
        "3",
        "--expect",
        path,
    ];
    let output = output(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let spec = Spec {
        missing: 0.05,
        keys: 9,
        seed: 3,
        ..Spec::default()
    };
    assert!(output.stdout == stream(&spec, 1_000));
    let mut generator = Generator::new(&spec).expect("valid");
    generator.fill(&mut Vec::new(), 1_000);
    let written = std::fs::read_to_string(&answer).expect("was written");
    std::fs::remove_file(&answer).expect("is removed");
    assert_eq!(written, generator.expectation().to_json() + "\n");
    assert!(
        stderr(&output).starts_with("sent 1000 records"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_closed_pipe_ends_writing_quietly() {
    let mut child = loadgen(&["write", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child
        .stdout
        .take()
        .expect("is piped")
        .read_exact(&mut [0; 100])
        .expect("reads");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn serve_says_where_it_listens_and_sink_reads_it() {
    let mut server = loadgen(&["serve", "127.0.0.1:0", "--count", "5000"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(server.stderr.take().expect("is piped")).lines();
    let first = lines.next().expect("a line").expect("is text");
    let addr = first.strip_prefix("listening on ").expect("says where");
    let output = output(&["sink", &format!("tcp://{addr}"), "--count-lines"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let bytes = stream(&Spec::default(), 5_000).len();
    assert!(
        said.starts_with(&format!("read {bytes} bytes, 5000 lines in ")),
        "{said}"
    );
    assert!(
        lines
            .next()
            .expect("a summary")
            .expect("is text")
            .starts_with("sent 5000 records")
    );
    assert!(server.wait().expect("ends").success());
}

#[cfg(unix)]
#[test]
fn a_unix_socket_gives_the_stream_and_a_dead_one_is_replaced() {
    use std::os::unix::net::{UnixListener, UnixStream};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    drop(UnixListener::bind(&path).unwrap());
    let url = format!("unix://{}", path.display());
    let mut child = loadgen(&["serve", &url, "--count", "5000"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut stderr = BufReader::new(child.stderr.take().expect("is piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, format!("listening on {url}\n"));
    let mut received = Vec::new();
    let mut client = UnixStream::connect(&path).unwrap();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, stream(&Spec::default(), 5000));
    assert!(child.wait().expect("ends").success());
    assert!(!path.exists());
}

#[test]
fn files_are_compressed_as_their_names_say() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str| {
        let path = folder.path().join(name);
        let output = output(&["write", path.to_str().unwrap(), "--count", "5000"]);
        assert!(output.status.success(), "{output:?}");
        std::fs::read(path).unwrap()
    };
    let expected = stream(&Spec::default(), 5000);
    assert_eq!(written("orders.jsonl"), expected);
    let mut gunzipped = Vec::new();
    flate2::read::GzDecoder::new(&written("orders.jsonl.gz")[..])
        .read_to_end(&mut gunzipped)
        .unwrap();
    assert_eq!(gunzipped, expected);
    assert_eq!(
        zstd::decode_all(&written("orders.jsonl.zst")[..]).unwrap(),
        expected
    );
}

#[test]
fn a_push_whose_peer_leaves_says_so_and_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let to = format!("tcp://{}", listener.local_addr().expect("has an address"));
    let reading = thread::spawn(move || {
        listener
            .accept()
            .expect("accepts")
            .0
            .read_exact(&mut [0; 100])
            .expect("reads");
    });
    let output = output(&["push", &to]);
    reading.join().expect("no panic");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("closed the connection after"),
        "{}",
        stderr(&output)
    );
}
