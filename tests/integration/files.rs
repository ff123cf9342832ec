//! Files: many of them and globs, archives, and folders in which files appear.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use loadgen::{Expectation, Plan, Spec};
use rustix::process::Signal;

use crate::cli::feed;
use crate::support::{JsonTally, Running, tallyline};

/// Orders with a few faults, as bytes, and what a counter must say of them.
pub(crate) fn orders(records: u64) -> (Vec<u8>, Expectation) {
    let spec = Spec {
        malformed: 0.05,
        missing: 0.05,
        ..Spec::default()
    };
    let never = std::sync::atomic::AtomicBool::new(false);
    let mut bytes = Vec::new();
    let sent = loadgen::write(&mut bytes, &spec, &Plan::records(records), &never).unwrap();
    (bytes, sent.expectation)
}

/// Cuts `bytes` at line ends into so many files in `folder`, named `000.jsonl` and up. Every third
/// lacks its last newline, every other begins with a byte order mark.
fn deal_out(bytes: &[u8], files: usize, folder: &Path) {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    for (number, lines) in lines.chunks(lines.len().div_ceil(files)).enumerate() {
        let mut content = lines.concat();
        if number % 3 == 0 {
            content.pop();
        }
        if number % 2 == 0 {
            content.splice(0..0, *b"\xEF\xBB\xBF");
        }
        fs::write(folder.join(format!("{number:03}.jsonl")), content).unwrap();
    }
}

fn tally(output: &Output) -> JsonTally {
    let mut tally = JsonTally::default();
    for line in std::str::from_utf8(&output.stdout).unwrap().lines() {
        tally.add(line);
    }
    tally
}

/// Counts these sources by status into JSON, with these flags more.
fn count(sources: &[&str], flags: &[&str]) -> Output {
    let common = ["--by", "status", "--output", "json", "--quiet"];
    tallyline(&[&["count"], sources, &common, flags].concat())
        .output()
        .unwrap()
}

#[test]
fn many_files_count_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, expectation) = orders(30_000);
    deal_out(&bytes, 200, folder.path());
    let glob = format!("{}/*.jsonl", folder.path().display());
    let output = count(&[&glob], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    tally(&output).assert_is(&expectation);

    // As a shell expands the glob; and with other sources before, between and after.
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    names.sort();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(names.len(), 200);
    names.insert(150, "-");
    names.insert(0, "/dev/null");
    let output = count(&names, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    tally(&output).assert_is(&expectation);
}

#[test]
fn thousands_of_files_need_no_more_descriptors_and_memory_than_one() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..3000 {
        let name = folder.path().join(format!("{number}.jsonl"));
        fs::write(name, "{\"status\":1}\n{\"status\":2}").unwrap();
    }
    let glob = format!("{}/*", folder.path().display());
    // The least pool that the program takes, and few descriptors.
    let args = ["count", &glob, "--by", "status", "-o", "json", "-q"];
    let pool = ["--pool-bytes", "3MiB", "--parsers", "2"];
    let program = tallyline(&[&args[..], &pool].concat());
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 40; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .output()
        .unwrap();
    assert_eq!(limited.status.code(), Some(0), "{limited:?}");
    let tally = tally(&limited);
    assert_eq!((tally.lines, tally.counts["1"]), (6000, 3000));
}

#[test]
fn tap_shows_the_files_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("b", "3\n4"),
        ("a", "\u{feff}1\n2"),
        ("c", ""),
        ("d", "5\n"),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let glob = format!("{}/?", folder.path().display());
    let output = tallyline(&["tap", &glob, "--every", "24h"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("-\n1\n2\n3\n4\n5\n(5 lines)\n"), "{text}");
}

#[test]
fn what_cannot_be_read_ends_the_run_before_anything_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let name = |name: &str| folder.path().join(name).display().to_string();
    let (good, missing, sub) = (name("good.jsonl"), name("missing.jsonl"), name("sub"));
    fs::write(&good, "{\"status\":1}\n").unwrap();
    fs::create_dir(&sub).unwrap();
    for (sources, status, message) in [
        (
            [&good[..], &missing],
            1,
            format!("cannot open {missing}: no such file or directory; check the path"),
        ),
        (
            [&good, &sub],
            1,
            format!(
                "cannot read {sub}: it is a directory; write {sub}/ for the files that appear in it, or '{sub}/*'"
            ),
        ),
        (
            [&good, &name("*.json")],
            1,
            format!(
                "no file matches {}; check the path and the pattern",
                name("*.json")
            ),
        ),
        (
            [&good, &name("***")],
            2,
            format!(
                "source {}: not a glob: wildcards are either regular `*` or recursive `**`",
                name("***")
            ),
        ),
    ] {
        let output = count(&sources, &[]);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr, format!("tallyline: {message}\n"));
        assert!(output.stdout.is_empty());
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Several members or frames, cut in the middle of lines.
fn in_parts(bytes: &[u8], compress: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    bytes.chunks(100_001).flat_map(compress).collect()
}

#[test]
fn archives_are_told_by_their_contents() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, expectation) = orders(40_000);
    let skippable = [&b"\x5A\x2A\x4D\x18\x03\x00\x00\x00abc"[..], &zstd(&bytes)].concat();
    for archive in [
        gzip(&bytes),
        zstd(&bytes),
        in_parts(&bytes, gzip),
        in_parts(&bytes, zstd),
        skippable,
        gzip(&[b"\xEF\xBB\xBF", &bytes[..bytes.len() - 1]].concat()),
    ] {
        // A name that lies.
        let path = folder.path().join("orders.jsonl");
        fs::write(&path, &archive).unwrap();
        let from_file = count(&[path.to_str().unwrap()], &[]);
        let args = ["count", "-", "--by", "status", "-o", "json", "-q"];
        let from_pipe = feed(&args, archive);
        let mut redirected = tallyline(&args);
        let redirected = redirected.stdin(File::open(&path).unwrap());
        for output in [from_file, from_pipe, redirected.output().unwrap()] {
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            tally(&output).assert_is(&expectation);
        }
    }
}

#[test]
fn archives_and_plain_files_count_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, expectation) = orders(20_000);
    deal_out(&bytes, 30, folder.path());
    for number in 0..30 {
        let path = folder.path().join(format!("{number:03}.jsonl"));
        let content = fs::read(&path).unwrap();
        match number % 3 {
            0 => {}
            1 => fs::write(&path, gzip(&content)).unwrap(),
            _ => fs::write(&path, zstd(&content)).unwrap(),
        }
    }
    let output = count(&[&format!("{}/*", folder.path().display())], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    tally(&output).assert_is(&expectation);
}

#[test]
fn a_broken_archive_is_counted_up_to_the_break_and_the_others_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, _) = orders(50_000);
    let (broken, other) = (folder.path().join("a"), folder.path().join("b"));
    fs::write(&other, "{\"status\":\"other\"}\n").unwrap();
    for (archive, why) in [
        (gzip(&bytes), "it is cut short"),
        (zstd(&bytes), "it is cut short"),
        (
            [gzip(&bytes), b"rubbish behind it\n".to_vec()].concat(),
            "invalid gzip header",
        ),
        (
            [zstd(&bytes), b"rubbish behind it\n".to_vec()].concat(),
            "unknown frame descriptor",
        ),
    ] {
        let is_cut = why.contains("cut");
        let len = if is_cut {
            archive.len() / 2
        } else {
            archive.len()
        };
        fs::write(&broken, &archive[..len]).unwrap();
        let output = count(&[broken.to_str().unwrap(), other.to_str().unwrap()], &[]);
        let stderr = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(
            stderr,
            format!(
                "tallyline: cannot decompress {}: {why}; what came before is counted\n",
                broken.display()
            )
        );
        let tally = tally(&output);
        assert_eq!(tally.counts["\"other\""], 1);
        if is_cut {
            assert!((10_000..50_000).contains(&tally.lines), "{}", tally.lines);
        } else {
            assert_eq!(tally.lines, 50_001);
        }
    }
}

#[test]
fn a_compressed_trickle_is_counted_as_it_comes() {
    let args = [
        "count", "-", "--by", "status", "-o", "json", "-q", "--every", "20ms",
    ];
    let mut command = tallyline(&args);
    let mut reading = Running::start(command.stdin(Stdio::piped()), |_| {});
    let mut encoder = GzEncoder::new(reading.stdin(), Compression::fast());
    let mut tally = JsonTally::default();
    for lines in 1..=3 {
        encoder.write_all(b"{\"status\":1}\n").unwrap();
        encoder.flush().unwrap();
        while tally.lines < lines {
            tally.add(&reading.line().unwrap());
        }
    }
    drop(encoder.finish().unwrap());
    let output = reading.finish();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// Drains a run and adds what it says at its end.
pub(crate) fn drain(reading: Running, tally: &mut JsonTally) {
    reading.signal(Signal::TERM);
    let output = reading.finish();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for line in std::str::from_utf8(&output.stdout).unwrap().lines() {
        tally.add(line);
    }
}

/// Starts to count these sources by status, in short batches.
pub(crate) fn start(sources: &[&str], flags: &[&str]) -> Running {
    let common = ["--by", "status", "-o", "json", "--every", "20ms", "-q"];
    let args = [&["count"], sources, &common, flags].concat();
    Running::start(&mut tallyline(&args), |_| {})
}

#[test]
fn a_folder_s_files_count_once_when_they_are_complete() {
    for flags in [&[][..], &["--poll=20ms"]] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let status = |name: &str| format!("{{\"status\":\"{name}\"}}\n");
        let source = format!("{}/", folder.path().display());
        fs::write(at("early"), status("early")).unwrap();
        fs::create_dir(at("deep")).unwrap();
        fs::write(at("deep/file"), status("deep")).unwrap();
        for name in [".hidden", "_hidden", "a.tmp", "a._COPYING_"] {
            fs::write(at(name), status("temporary")).unwrap();
        }
        let mut reading = start(&[&source], flags);
        let mut tally = JsonTally::default();
        let mut wait_for = |lines: u64| {
            while tally.lines < lines {
                tally.add(&reading.line().unwrap());
            }
        };
        wait_for(1);
        // Renamed in; an archive; one that takes the name of another; one that is only renamed.
        fs::rename(at("a.tmp"), at("a")).unwrap();
        wait_for(2);
        fs::write(at("b.tmp"), gzip(status("b").as_bytes())).unwrap();
        fs::rename(at("b.tmp"), at("b")).unwrap();
        wait_for(3);
        fs::write(at("c.tmp"), status("c")).unwrap();
        fs::rename(at("c.tmp"), at("b")).unwrap();
        wait_for(4);
        fs::rename(at("b"), at("d")).unwrap();
        // Written in place, in two pieces.
        let mut file = File::create(at("e")).unwrap();
        file.write_all(status("e").as_bytes()).unwrap();
        file.write_all(status("e").as_bytes()).unwrap();
        drop(file);
        wait_for(6);
        drain(reading, &mut tally);
        let counts: Vec<(&str, u64)> = tally
            .counts
            .iter()
            .map(|(key, &count)| (key.trim_matches('"'), count))
            .collect();
        let expected = [("b", 1), ("c", 1), ("e", 2), ("early", 1), ("temporary", 1)];
        assert_eq!(counts, expected, "{flags:?}");
    }
}

#[test]
fn a_folder_s_files_are_chosen_by_pattern_and_come_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    for name in ["c.log", "a.log", "b.log", "a.txt"] {
        let mut file = File::create(folder.path().join(name)).unwrap();
        writeln!(file, "{name}").unwrap();
        file.set_modified(old).unwrap();
    }
    let source = format!("{}/", folder.path().display());
    let args = ["tap", &source, "--pattern", "*.log", "--every", "20ms"];
    let mut reading = Running::start(&mut tallyline(&args), |_| {});
    let mut lines = Vec::new();
    while lines.len() < 3 {
        let line = reading.line().unwrap();
        lines.extend(line.strip_suffix(".log\n").map(str::to_owned));
    }
    assert_eq!(lines, ["a", "b", "c"]);
    reading.signal(Signal::TERM);
    assert_eq!(reading.finish().status.code(), Some(0));
}

#[test]
fn flags_for_files_and_folders_want_some() {
    for (args, message) in [
        (
            &["count", "-", "--by", "a", "--follow"][..],
            "--follow: among the sources there is no file; name one, or leave it out",
        ),
        (
            &["count", "x", "--by", "a", "--pattern", "*"],
            "--pattern: among the sources there is no folder, such as in/; name one, or leave it out",
        ),
        (
            &["count", "x", "--by", "a", "--poll=1s"],
            "--poll: among the sources there is no folder, and no file with --follow; name one, or leave it out",
        ),
        (
            &["count", "/dev/", "--by", "a", "--pattern", "["],
            "--pattern [: not a glob: invalid range pattern",
        ),
    ] {
        let output = tallyline(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!("tallyline: {message}\n")
        );
    }
    let output = count(&["/no/such/folder/"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "tallyline: cannot read /no/such/folder/: no such file or directory; check the path\n"
    );
}
