//! Bad lines: kept in a reject file, limited by `--max-malformed`, and the warnings of limits that
//! are told once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use loadgen::{Expectation, Plan, Spec};
use tempfile::TempDir;

use crate::support::{JsonTally, tallyline};

/// Runs `count` by `status` into JSON, with these bytes as standard input.
fn count(flags: &[&str], input: Vec<u8>) -> Output {
    let args = [&["count", "-", "--by", "status", "-o", "json"], flags].concat();
    let mut child = tallyline(&args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The program may end before it has read everything.
    let feeding = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

fn tally(output: &Output) -> JsonTally {
    let mut tally = JsonTally::default();
    for line in str::from_utf8(&output.stdout).unwrap().lines() {
        tally.add(line);
    }
    assert!(tally.totals.is_some(), "{output:?}");
    tally
}

fn column(tally: &JsonTally, name: &str) -> u64 {
    tally.totals.as_ref().unwrap().0[name].as_u64().unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

/// A file of records, some of them bad.
fn orders(path: &Path, records: u64) -> Expectation {
    let spec = Spec {
        malformed: 0.05,
        missing: 0.05,
        ..Spec::default()
    };
    let never = std::sync::atomic::AtomicBool::new(false);
    let file = File::create(path).unwrap();
    loadgen::write(file, &spec, &Plan::records(records), &never)
        .unwrap()
        .expectation
}

fn path_in(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// How often each line stands in a text.
fn multiset(text: &[u8]) -> BTreeMap<&[u8], usize> {
    let mut lines = BTreeMap::new();
    for line in text.split(|&byte| byte == b'\n') {
        *lines.entry(line).or_default() += 1;
    }
    lines
}

#[test]
fn the_rejected_lines_counted_again_are_the_same_bad_lines() {
    let folder = tempfile::tempdir().unwrap();
    let source = path_in(&folder, "orders.jsonl");
    let expectation = orders(Path::new(&source), 60_000);
    let mut first = None;
    for (parsers, from_file) in [("1", true), ("3", true), ("3", false)] {
        let reject = path_in(&folder, &format!("bad-{parsers}-{from_file}.jsonl"));
        let flags = [
            "--parsers",
            parsers,
            "--no-pin",
            "-q",
            "--reject-file",
            &reject,
        ];
        let output = match from_file {
            true => {
                let args = [
                    &["count", &source, "--by", "status", "-o", "json"],
                    &flags[..],
                ];
                tallyline(&args.concat()).output().unwrap()
            }
            false => count(&flags, fs::read(&source).unwrap()),
        };
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
        tally(&output).assert_is(&expectation);
        let rejected = fs::read(&reject).unwrap();
        let again = tally(&count(&["-q"], rejected.clone()));
        assert_eq!(column(&again, "malformed"), expectation.malformed);
        assert_eq!(column(&again, "missing"), expectation.missing);
        assert_eq!(again.lines, expectation.malformed + expectation.missing);
        let first = first.get_or_insert_with(|| rejected.clone());
        assert_eq!(multiset(&rejected), multiset(first), "{parsers} parsers");
    }
}

#[test]
fn each_oversize_line_is_rejected_with_a_head_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let source = path_in(&folder, "long.jsonl");
    let line = |i: usize| format!("{i:06}{}\n", "x".repeat(20 + i * 37 % 3000));
    let text: String = (0..2000).map(line).collect();
    fs::write(&source, &text).unwrap();
    let heads: Vec<String> = (0..2000).map(|i| line(i)[..17].to_owned()).collect();
    for from_file in [true, false] {
        let reject = path_in(&folder, &format!("bad-{from_file}"));
        let flags = [
            "--max-line",
            "16",
            "--reject-file",
            &reject,
            "--every",
            "24h",
        ];
        let output = match from_file {
            true => {
                let args = [&["count", &source, "--by", "a", "-o", "json"], &flags[..]];
                tallyline(&args.concat()).output().unwrap()
            }
            false => count(&flags, text.clone().into_bytes()),
        };
        assert_eq!(column(&tally(&output), "oversize"), 2000, "{output:?}");
        let rejected = fs::read_to_string(&reject).unwrap();
        let mut lines: Vec<&str> = rejected.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, heads);
        // The limit is told once.
        let warning =
            "lines of more than 16 bytes: skipped and counted as oversize; raise --max-line";
        assert_eq!(
            stderr(&output).matches(warning).count(),
            1,
            "{}",
            stderr(&output)
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_rejecting_and_not_the_counting() {
    let folder = tempfile::tempdir().unwrap();
    let source = path_in(&folder, "orders.jsonl");
    let expectation = orders(Path::new(&source), 60_000);
    let args = [
        "count",
        &source,
        "--by",
        "status",
        "-o",
        "json",
        "--reject-file",
        "/dev/full",
    ];
    let output = tallyline(&args).output().unwrap();
    tally(&output).assert_is(&expectation);
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let bad = expectation.malformed + expectation.missing;
    let end = format!(
        "tallyline: --reject-file /dev/full: {bad} bad lines were counted and not saved: no space left on device\n"
    );
    assert!(stderr.ends_with(&end), "{stderr}");
    assert_eq!(
        stderr.matches("bad lines are not saved any more").count(),
        1,
        "{stderr}"
    );
}

#[test]
fn a_reject_file_that_a_glob_or_a_folder_takes_in_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(path_in(&folder, "orders.jsonl"), "{}\n").unwrap();
    let (glob, here) = (path_in(&folder, "*.jsonl"), path_in(&folder, ""));
    let bad = path_in(&folder, "bad.jsonl");
    for (source, reject) in [
        (&glob, &bad),
        (&here, &bad),
        (&here, &path_in(&folder, "bad")),
    ] {
        let args = ["count", source, "--by", "status", "--reject-file", reject];
        let output = tallyline(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let expected = format!(
            "tallyline: --reject-file '{reject}': the source {source} takes it in; name a file elsewhere\n"
        );
        assert_eq!(stderr(&output), expected);
    }
    let args = [
        "count",
        &glob,
        "--by",
        "status",
        "-q",
        "--reject-file",
        &path_in(&folder, "bad.txt"),
    ];
    assert!(tallyline(&args).status().unwrap().success());
}

#[test]
fn a_reject_file_that_cannot_be_used_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let source = path_in(&folder, "orders.jsonl");
    fs::write(&source, "{}\n").unwrap();
    let (here, gone) = (path_in(&folder, ""), path_in(&folder, "no/bad.jsonl"));
    for (reject, remedy) in [
        (&source, "that is the source itself; name another file"),
        (
            &here,
            "cannot open it: is a directory; name a file to write to",
        ),
        (
            &gone,
            "cannot open it: no such file or directory; name a file to write to",
        ),
    ] {
        let args = ["count", &source, "--by", "a", "--reject-file", reject];
        let output = tallyline(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            stderr(&output),
            format!("tallyline: --reject-file '{reject}': {remedy}\n")
        );
        assert_eq!(fs::read_to_string(&source).unwrap(), "{}\n");
    }
}

#[test]
fn too_many_malformed_lines_end_the_run_before_the_batch_does() {
    // The stream stays open and the batch lasts a day: only the limit can end the run.
    let args = [
        "count", "-", "--by", "status", "-o", "json", "--every", "24h", "-q",
    ];
    for (limit, lines, least) in [("2", 3, 3), ("50%", 2000, 501)] {
        let args = [&args[..], &["--max-malformed", limit]].concat();
        let mut child = tallyline(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all("oh\n".repeat(lines).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{line}");
        assert!(
            line.starts_with(&format!("tallyline: --max-malformed {limit}: ")),
            "{line}"
        );
        assert!(
            line.contains(" lines are malformed; ") && line.lines().count() == 1,
            "{line}"
        );
        // What was received is counted and reported.
        let malformed = column(&tally(&output), "malformed");
        assert!((least..=lines as u64).contains(&malformed), "{malformed}");
        drop(stdin);
    }
}

#[test]
fn a_share_of_a_few_lines_is_judged_at_the_end() {
    let input = b"{\"status\":1}\noh\n{\"status\":1}\n{\"status\":1}\n".to_vec();
    for (limit, status) in [("25%", 0), ("24.9999%", 3), ("1", 0), ("0", 3), ("100%", 0)] {
        let output = count(&["-q", "--max-malformed", limit], input.clone());
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{limit}: {line}");
        assert_eq!(column(&tally(&output), "counted"), 3);
        match status {
            0 => assert_eq!(line, ""),
            _ => assert_eq!(
                line,
                format!(
                    "tallyline: --max-malformed {limit}: 1 of 4 lines are malformed; \
                     mend what sends them, or allow more\n"
                )
            ),
        }
    }
}

#[test]
fn a_key_called_other_brings_a_warning_of_too_many_keys_and_is_not_among_the_keys() {
    let lines = |keys: &[&str]| -> Vec<u8> {
        let lines = keys.iter().map(|key| format!("{{\"status\":\"{key}\"}}\n"));
        lines.collect::<String>().into_bytes()
    };
    let output = count(&[], lines(&["_other", "_other"]));
    let text = stderr(&output);
    assert!(
        !text.contains("--max-keys") && !text.contains("other  "),
        "{text}"
    );
    assert!(
        text.lines()
            .any(|line| line.split_whitespace().eq(["keys", "1"])),
        "{text}"
    );
    assert_eq!(tally(&output).counts["\"_other\""], 2);
    // With keys beyond the limit it shares their row; the limit is told once.
    let output = count(
        &["--max-keys", "1", "--shards", "1"],
        lines(&["a", "_other", "b", "a", "c"]),
    );
    let text = stderr(&output);
    assert_eq!(
        text.matches("more than 1 keys: further ones are counted under _other")
            .count(),
        1,
        "{text}"
    );
    assert!(
        text.contains("2  records of keys beyond --max-keys"),
        "{text}"
    );
    let tally = tally(&output);
    assert_eq!((tally.counts["\"a\""], tally.counts["\"_other\""]), (2, 3));
}
