//! The command line: every error is one line that names the setting, its value and the remedy, with
//! the right exit status; and what the program does with input and output of every kind.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::thread;

use crate::support::{JsonTally, Running, tallyline};

/// Runs the binary with these bytes as standard input.
pub(crate) fn feed(args: &[&str], input: Vec<u8>) -> Output {
    let mut command = tallyline(args);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = thread::spawn(move || {
        // The program may end before it has read everything.
        drop(stdin.write_all(&input));
    });
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

/// Checks that a run fails with this status and one line that has all of these parts.
fn fails(args: &[&str], status: i32, parts: &[&str]) {
    let output = tallyline(args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    let message = stderr
        .strip_prefix("tallyline: ")
        .expect("the program's name")
        .trim_end();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    let first = message.chars().next().unwrap();
    assert!(
        !first.is_uppercase() && !message.ends_with('.'),
        "{message}"
    );
    assert!(output.stdout.is_empty(), "{args:?}");
}

/// `count` of standard input with these flags more.
fn count_fails(flags: &[&str], parts: &[&str]) {
    fails(
        &[&["count", "-", "--by", "status"], flags].concat(),
        2,
        parts,
    );
}

#[test]
fn an_unknown_host() {
    // An empty label: no resolver asks the network for it.
    let source = "tcp://no-such-host..invalid:9998";
    fails(
        &["count", source, "--by", "a"],
        1,
        &[source, "cannot connect", "check the host's name"],
    );
}

#[test]
fn a_refused_connection() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let parts = [
        &source[..],
        "connection refused",
        "start the server",
        "--connect-wait",
    ];
    fails(&["count", &source, "--by", "a"], 1, &parts);
    fails(&["tap", &source], 1, &parts);
}

#[test]
fn an_address_without_a_port() {
    fails(
        &["count", "tcp://localhost", "--by", "a"],
        2,
        &["tcp://localhost", "tcp://HOST:PORT"],
    );
}

#[test]
fn an_unreadable_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.jsonl");
    fs::write(&path, "{}\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let name = path.to_str().unwrap();
    // The administrator reads everything.
    if File::open(&path).is_err() {
        fails(
            &["count", name, "--by", "a"],
            1,
            &[name, "permission denied", "check who may read"],
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_fails_while_it_is_read() {
    // Opens, but nothing is mapped at its beginning.
    let name = "/proc/self/mem";
    let output = tallyline(&["count", name, "--by", "a", "-o", "none", "-q"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr,
        format!("tallyline: cannot read {name}: input/output error\n")
    );
}

#[test]
fn a_missing_file() {
    let name = "/no/such/file.jsonl";
    fails(
        &["count", name, "--by", "a"],
        1,
        &[name, "no such file", "check the path"],
    );
    fails(&["tap", name], 1, &[name, "no such file", "check the path"]);
}

#[test]
fn a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().to_str().unwrap();
    fails(
        &["count", name, "--by", "a"],
        1,
        &[name, "is a directory", "for the files that appear in it"],
    );
}

#[test]
fn an_unknown_scheme() {
    let source = "gopher://localhost/1";
    fails(
        &["count", source, "--by", "a"],
        2,
        &[source, "gopher://", "tcp://HOST:PORT"],
    );
}

#[cfg(not(feature = "kafka"))]
#[test]
fn a_build_that_leaves_kafka_out() {
    let source = "kafka://localhost:9092/orders";
    fails(
        &["count", source, "--by", "a"],
        2,
        &[source, "--features kafka"],
    );
}

#[test]
fn flags_of_another_source() {
    count_fails(
        &["--until-end"],
        &["--until-end", "among the sources", "kafka://"],
    );
    count_fails(
        &["--from", "yesterday"],
        &["--from", "yesterday", "earliest"],
    );
    count_fails(
        &["--partitions", "1,x"],
        &["--partitions", "'x'", "such as 0,2,5"],
    );
}

#[test]
fn no_source_at_all() {
    fails(&["count", "--by", "a"], 2, &["<SOURCE>", "not provided"]);
    fails(
        &["count", "", "--by", "a"],
        2,
        &["source ''", "empty", "tcp://HOST:PORT"],
    );
}

#[test]
fn a_bad_interval() {
    count_fails(
        &["--every", "5"],
        &["'5'", "--every", "write a time such as"],
    );
    count_fails(&["--every", "0s"], &["'0s'", "--every", "from 10ms to 24h"]);
    count_fails(
        &["--every", "-5s"],
        &["--every '-5s'", "write a time such as"],
    );
}

#[test]
fn windows_that_are_not_made_of_batches() {
    count_fails(
        &["--window", "soon"],
        &["--window 'soon'", "such as 1m or 1h/5m"],
    );
    count_fails(&["--window", "1m/2m"], &["--window '1m/2m'", "swap them"]);
    for window in ["7s", "10s/4s", "3s"] {
        let parts = [&format!("--window '{window}'"), "multiples of --every (5s)"];
        count_fails(&["--window", "1m", "--window", window], &parts);
    }
    count_fails(
        &["--every", "10ms", "--window", "24h"],
        &["--window '24h'", "8,640,000 batches", "larger --every"],
    );
    count_fails(
        &["--trending", "5"],
        &["--trending '5'", "such as --window 1m"],
    );
}

#[test]
fn event_time_that_goes_with_nothing() {
    let time = ["--event-time", "ts"];
    let with = |more: &[&'static str]| [&time[..], more].concat();
    count_fails(&time, &["--event-time 'ts'", "such as --window 1m"]);
    count_fails(
        &with(&["--window", "1m", "--sum", "a"]),
        &["--event-time 'ts'", "leave out --sum"],
    );
    count_fails(
        &with(&["--window", "1m", "--event-time-format", "iso"]),
        &[
            "--event-time-format 'iso'",
            "rfc3339, s, ms, us, ns, or a pattern",
        ],
    );
    for flag in ["--lateness", "--idle-timeout"] {
        count_fails(&[flag, "5s"], &[flag, "--event-time PATH"]);
    }
    count_fails(&["--emit", "partial"], &["--emit", "--event-time PATH"]);
    count_fails(&["--emit", "all"], &["--emit 'all'", "final", "partial"]);
}

#[test]
fn a_bad_path_expression() {
    fails(&["count", "-", "--by", "a..b"], 2, &["'a..b'", "--by"]);
    fails(&["count", "-", "--by", "a[x]"], 2, &["'a[x]'", "--by"]);
    fails(&["count", "-", "--by", ""], 2, &["''", "--by"]);
}

#[test]
fn no_key_path() {
    fails(&["count", "-"], 2, &["--by <PATH>", "not provided"]);
}

#[test]
fn an_unknown_flag_brings_a_suggestion() {
    count_fails(&["--evry", "5s"], &["'--evry'", "'--every'"]);
}

#[test]
fn an_unknown_format() {
    count_fails(
        &["--output", "xml"],
        &["'xml'", "--output", "table", "spark", "json", "csv"],
    );
}

#[test]
fn a_bad_size() {
    for size in ["1XB", "0", "many"] {
        count_fails(
            &["--pool-bytes", size],
            &[size, "--pool-bytes", "such as 1048576"],
        );
        count_fails(
            &["--max-line", size],
            &[size, "--max-line", "such as 1048576"],
        );
    }
}

#[test]
fn a_number_out_of_range() {
    count_fails(&["--parsers", "0"], &["'0'", "--parsers", "from 1 to 256"]);
    count_fails(&["--top", "0"], &["'0'", "--top", "from 1 up, or all"]);
    count_fails(&["--max-keys", "0"], &["'0'", "--max-keys", "from 1 to"]);
}

#[test]
fn a_pool_that_is_too_small() {
    count_fails(
        &["--pool-bytes", "1KiB"],
        &["--pool-bytes '1024'", "too small", "give at least"],
    );
    count_fails(
        &["--max-line", "1GiB"],
        &["--pool-bytes '67108864'", "too small", "give at least"],
    );
}

#[test]
fn the_least_pool_that_the_complaint_names_is_enough() {
    let flags = ["count", "-", "--by", "a", "--parsers", "2", "--pool-bytes"];
    let output = tallyline(&[&flags[..], &["1"]].concat()).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    let least = complaint.trim_end().rsplit(' ').next().unwrap();
    let output = feed(
        &[&flags[..], &[least, "-o", "none", "-q"]].concat(),
        b"{\"a\":1}\n".to_vec(),
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    for command in [
        &["count", "-", "--by", "status", "--every", "20ms"][..],
        &[
            "count", "-", "--by", "status", "--every", "20ms", "--output", "json",
        ],
        &["tap", "-", "--every", "20ms"],
    ] {
        let mut child = tallyline(command).stdin(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        // Its input stays open: it ends because there is nobody to write for.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"{\"status\":1}\n").unwrap();
        let status = child.wait().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(0), "{command:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{command:?}");
        drop(stdin);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told_in_one_line() {
    for format in ["table", "json", "csv", "spark"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let args = [
            "count",
            "/dev/null",
            "--by",
            "status",
            "--output",
            format,
            "--quiet",
        ];
        let output = tallyline(&args).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {stderr}");
        assert_eq!(
            stderr,
            "tallyline: cannot write the output: no space left on device; \
             what was counted up to here stands above\n",
            "{format}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_stops_the_counting() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let args = ["count", "-", "--by", "status", "--every", "20ms"];
    let mut child = tallyline(&args)
        .stdin(Stdio::piped())
        .stdout(full)
        .spawn()
        .unwrap();
    // Its input stays open.
    let stdin = child.stdin.take();
    let status = child.wait().unwrap();
    let stderr = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    let errors = stderr
        .lines()
        .filter(|line| line.starts_with("tallyline: "));
    assert_eq!(errors.count(), 1, "{stderr}");
    drop(stdin);
}

#[test]
fn help_has_examples() {
    for (args, example) in [
        (
            &["--help"][..],
            "tallyline count tcp://localhost:9998 --by status --every 5s",
        ),
        (
            &["count", "--help"],
            "tallyline count orders.jsonl --by customer.address.country",
        ),
        (&["tap", "--help"], "tallyline tap tcp://localhost:9998"),
        (
            &["config", "check", "--help"],
            "tallyline config check job.toml",
        ),
        (&["demo", "--help"], "tallyline demo --rate 0"),
    ] {
        let output = tallyline(args).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            stdout.contains("Examples:") && stdout.contains(example),
            "{stdout}"
        );
        assert!(output.stderr.is_empty());
        if args[0] == "count" {
            assert!(stdout.contains("--by <PATH> <SOURCE>"), "{stdout}");
        }
    }
}

#[test]
fn binary_input_ends_with_a_balanced_ledger() {
    let mut rng = fastrand::Rng::with_seed(20_261_123);
    let mut noise = vec![0; 20_000_000];
    rng.fill(&mut noise);
    let newlines = noise.iter().filter(|&&byte| byte == b'\n').count() as u64;
    let lines = newlines + u64::from(noise.last() != Some(&b'\n'));
    let output = feed(&["count", "-", "--by", "status", "--output", "json"], noise);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let mut tally = JsonTally::default();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    assert!(tally.totals.is_some());
    assert_eq!(tally.lines, lines);
    // The sample of bad lines is safe to show.
    assert!(stderr.contains("malformed line: "), "{stderr}");
    assert!(
        stderr.chars().all(|c| c == '\n' || !c.is_control()),
        "{stderr}"
    );
}

#[test]
fn lines_longer_than_the_limit_are_counted_as_oversize() {
    let mut input = b"{\"status\":1}\n".to_vec();
    input.resize(5_000_000, b'x');
    input.extend_from_slice(b"\n{\"status\":2}");
    let args = [
        "count",
        "-",
        "--by",
        "status",
        "--max-line",
        "1KiB",
        "--output",
        "json",
        "-q",
    ];
    let output = feed(&args, input);
    let mut tally = JsonTally::default();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    let (ledger, counts) = tally.totals.unwrap();
    assert_eq!(
        (ledger["lines"].as_u64(), ledger["oversize"].as_u64()),
        (Some(3), Some(1))
    );
    assert_eq!(counts.len(), 2);
    assert!(output.stderr.is_empty(), "quiet");
}

#[test]
fn a_file_and_standard_input_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.jsonl");
    let spec = loadgen::Spec {
        malformed: 0.1,
        missing: 0.1,
        ..Default::default()
    };
    let plan = loadgen::Plan::records(50_000);
    let never = std::sync::atomic::AtomicBool::new(false);
    let sent = loadgen::write(File::create(&path).unwrap(), &spec, &plan, &never).unwrap();
    let flags = ["--by", "status", "--output", "json", "-q"];
    let from_file = [&["count", path.to_str().unwrap()], &flags[..]].concat();
    let from_stdin = [&["count", "-"], &flags[..]].concat();
    for output in [
        tallyline(&from_file).output().unwrap(),
        feed(&from_stdin, fs::read(&path).unwrap()),
    ] {
        let mut tally = JsonTally::default();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            tally.add(line);
        }
        tally.assert_is(&sent.expectation);
    }
}

#[test]
fn tap_shows_the_first_lines_and_how_many_came() {
    // A day's batch: one is all there can be, unless the day ends in between.
    let args = ["tap", "-", "--lines", "2", "--every", "24h"];
    let output = feed(&args, b"{\"status\":1}\nnot JSON\n\xFF\n\nlast".to_vec());
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let rule = "-".repeat(43);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("Time: "))
        .collect();
    let expected = [
        &rule[..],
        &rule,
        "{\"status\":1}",
        "not JSON",
        "...",
        "(5 lines)",
        "",
    ];
    assert_eq!(lines, expected, "{text}");
    assert!(output.stderr.is_empty());
}

#[test]
fn tap_stops_after_so_many_batches() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("tcp://{}", listener.local_addr().unwrap());
    let args = ["tap", &source, "--batches", "2", "--every", "20ms"];
    let output = Running::start(&mut tallyline(&args), |_| {}).finish();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("(0 lines)").count(), 2, "{text}");
}

#[test]
fn the_demo_counts_its_orders() {
    let args = [
        "demo",
        "--duration",
        "1s",
        "--rate",
        "20000",
        "--every",
        "100ms",
        "-o",
        "json",
        "-q",
    ];
    let output = tallyline(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut tally = JsonTally::default();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    assert_eq!((tally.lines, tally.totals.is_some()), (20_000, true));
}
