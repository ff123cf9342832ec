//! `--state`, `tallyline state` and `tallyline verify`: what is kept, what is refused, and what is said.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, tallyline};

/// A folder with a state in it.
struct Kept {
    folder: TempDir,
}

impl Kept {
    fn new() -> Kept {
        Kept {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(self.at(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The command that counts these files by status into the state.
    fn command(&self, files: &[&str], flags: &[&str]) -> Command {
        let mut command = tallyline(&["count", "--by=status", "--output=json", "--state"]);
        command.arg(self.at("state.db")).args(flags);
        command.args(files.iter().map(|file| self.at(file)));
        command
    }

    fn run(&self, files: &[&str], flags: &[&str]) -> Output {
        self.command(files, flags).output().unwrap()
    }

    /// Counts, and returns the lines of this run and those in all.
    fn count(&self, files: &[&str], flags: &[&str]) -> (u64, u64) {
        let output = self.run(files, flags);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        figures(&output)
    }

    /// Counts, which must be refused with this status in one line that has these words.
    fn refused(&self, files: &[&str], flags: &[&str], status: i32, words: &[&str]) {
        let output = self.run(files, flags);
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "no {word:?} in: {stderr}");
        }
        assert!(output.stdout.is_empty());
    }

    fn state(&self, args: &[&str]) -> Output {
        let output = tallyline(&["state"]).args(args).output().unwrap();
        assert!(!stderr(&output).contains("panicked"), "{output:?}");
        output
    }

    fn sql(&self, sql: &str) {
        Connection::open(self.at("state.db"))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }
}

/// The lines of a run's batches, and those of its totals.
fn figures(output: &Output) -> (u64, u64) {
    let (mut lines, mut in_all) = (0, 0);
    for line in stdout(output).lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        let figure = object["ledger"]["lines"].as_u64();
        match object["type"].as_str().unwrap() {
            "batch" => lines += figure.unwrap(),
            "totals" => in_all = figure.unwrap(),
            _ => {}
        }
    }
    (lines, in_all)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn line(status: &str) -> String {
    format!("{{\"status\":\"{status}\"}}\n")
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn counting_a_finished_file_again_adds_nothing() {
    let kept = Kept::new();
    kept.write("a", &line("x").repeat(100));
    fs::write(kept.at("b.gz"), pack(line("y").repeat(50).as_bytes())).unwrap();
    fs::write(
        kept.at("c.zst"),
        zstd::encode_all(line("z").as_bytes(), 0).unwrap(),
    )
    .unwrap();
    let files = ["a", "b.gz", "c.zst"];
    assert_eq!(kept.count(&files, &[]), (151, 151));
    assert_eq!(kept.count(&files, &[]), (0, 151));
    // Nor under another name, nor as another kind of source, nor named twice.
    fs::rename(kept.at("a"), kept.at("d")).unwrap();
    assert_eq!(
        kept.count(&["d", "d", "c.zst"], &["--parsers=1", "--shards=3"]),
        (0, 151)
    );
    kept.write("e", &line("x"));
    assert_eq!(kept.count(&["e", "e"], &[]), (1, 152));
}

#[test]
fn what_was_added_to_a_file_is_counted_and_nothing_else() {
    let kept = Kept::new();
    let rest = line("x");
    kept.write("a", &(line("x").repeat(3) + "{\"stat"));
    // The unfinished line counts, as the last one of a file; so its rest is a line of its own.
    assert_eq!(kept.count(&["a"], &[]), (4, 4));
    kept.write("a", &("us\":1}\n".to_owned() + &rest.repeat(2)));
    assert_eq!(kept.count(&["a"], &[]), (3, 7));
    assert_eq!(kept.count(&["a"], &[]), (0, 7));
    let verified = tallyline(&["verify", &kept.path("a"), "--state", &kept.path("state.db")]);
    // The oracle reads what was torn in one piece.
    assert_eq!({ verified }.output().unwrap().status.code(), Some(3));
}

#[test]
fn totals_batches_and_keys_go_on() {
    let kept = Kept::new();
    kept.write(
        "a",
        &(line("x") + &line("") + "{\"status\":1}\n{\"status\":null}\n"),
    );
    kept.count(&["a"], &[]);
    kept.write("b", &(line("x") + "{\"status\":1.0}\n{\"status\":true}\n"));
    let output = kept.run(&["b"], &["--shards=3"]);
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines[0]["batch"].as_u64().unwrap() > 1, "{lines:?}");
    let x = &lines[0]["counts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["key"] == "x")
        .unwrap();
    assert_eq!((&x["count"], &x["total"]), (&1.into(), &2.into()));
    let totals = lines.last().unwrap()["counts"].as_array().unwrap();
    assert_eq!(totals.len(), 6, "{totals:?}");
    // The limit of keys holds for those of all runs.
    kept.write("c", &(line("new") + &line("x")));
    let output = kept.run(&["c"], &["--max-keys=6"]);
    assert!(
        stdout(&output).contains(r#""key":"_other","total":1"#),
        "{output:?}"
    );
    kept.write("d", &line("new"));
    kept.refused(
        &["d"],
        &["--max-keys=5"],
        2,
        &["--max-keys '5'", "has 6 keys"],
    );
    assert_eq!(kept.count(&["d"], &["--max-keys=7"]), (1, 10));
}

#[test]
fn a_replaced_file_is_told_and_dealt_with_as_asked() {
    let kept = Kept::new();
    // In its place: another file at this path could as well be the next one after a rotation.
    let anew = |text: &str| {
        let mut file = File::create(kept.at("a")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    anew(&line("old").repeat(10));
    assert_eq!(kept.count(&["a"], &[]), (10, 10));
    for flags in [&[][..], &["--on-replaced=fail"]] {
        anew(&line("new!").repeat(12));
        let words = [
            "was cut or replaced since it was counted up to byte 170",
            "--on-replaced recount",
        ];
        kept.refused(&["a"], flags, 1, &words);
    }
    assert_eq!(kept.count(&["a"], &["--on-replaced=recount"]), (12, 22));
    assert_eq!(kept.count(&["a"], &[]), (0, 22));
    // Cut in its place, and longer by now.
    let file = File::create(kept.at("a")).unwrap();
    file.write_all_at((line("cut").repeat(12) + &line("more!")).as_bytes(), 0)
        .unwrap();
    kept.refused(&["a"], &[], 1, &["up to byte 216"]);
    assert_eq!(kept.count(&["a"], &["--on-replaced=continue"]).1, 23);
    assert_eq!(kept.count(&["a"], &[]), (0, 23));
}

#[test]
fn a_rotated_file_is_no_replaced_one() {
    let kept = Kept::new();
    kept.write("a", &line("old"));
    assert_eq!(kept.count(&["a"], &[]), (1, 1));
    fs::rename(kept.at("a"), kept.at("a.1")).unwrap();
    kept.write("a", &line("new").repeat(2));
    assert_eq!(kept.count(&["a"], &[]), (2, 3));
    assert_eq!(kept.count(&["a.1", "a"], &[]), (0, 3));
}

#[test]
fn other_settings_are_refused_by_name() {
    let kept = Kept::new();
    kept.write("a", &line("x"));
    kept.count(&["a"], &[]);
    let mut other = tallyline(&["count", "--by=level", "--max-line=9", "--state"]);
    let output = other
        .arg(kept.at("state.db"))
        .arg(kept.at("a"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    for words in [
        "it was counted with --by status, this run has --by level",
        "it was counted with --max-line 1048576, this run has --max-line 9",
        "count as it was, name another file, or begin anew after 'tallyline state reset'",
    ] {
        assert!(told.contains(words), "{told}");
    }
    // What does not change the meaning may change.
    assert_eq!(kept.count(&["a"], &["--every=1s", "--top=1"]), (0, 1));
}

#[test]
fn a_second_process_is_told_the_first_one_s_number() {
    let kept = Kept::new();
    kept.write("a", &line("x"));
    let mut first = Running::start(
        &mut kept.command(&["a"], &["--follow", "--every=20ms"]),
        |_| {},
    );
    first.line().unwrap();
    let pid = first.id().to_string();
    kept.refused(
        &["a"],
        &[],
        2,
        &["--state", &format!("process {pid} counts into it")],
    );
    let reset = kept.state(&["reset", &kept.path("state.db")]);
    assert_eq!(reset.status.code(), Some(1));
    assert!(stderr(&reset).contains(&pid));
    // Whoever only looks may.
    let shown = kept.state(&["show", &kept.path("state.db")]);
    assert!(
        stdout(&shown).contains(&format!("process {pid}")),
        "{shown:?}"
    );
    first.signal(rustix::process::Signal::KILL);
    first.wait();
    assert_eq!(kept.count(&["a"], &[]).1, 1);
}

#[test]
fn what_is_no_state_of_ours_is_left_alone() {
    let kept = Kept::new();
    kept.write("a", &line("x"));
    kept.write(
        "state.db",
        "this is text, and long enough to be looked at as a database",
    );
    kept.refused(&["a"], &[], 2, &["--state", "this is no state file"]);
    fs::remove_file(kept.at("state.db")).unwrap();
    kept.sql("CREATE TABLE theirs (x)");
    let before = fs::read(kept.at("state.db")).unwrap();
    kept.refused(&["a"], &[], 2, &["a database of another program"]);
    assert_eq!(fs::read(kept.at("state.db")).unwrap(), before);
    fs::remove_file(kept.at("state.db")).unwrap();
    kept.count(&["a"], &[]);
    kept.sql("PRAGMA user_version = 99");
    kept.refused(
        &["a"],
        &[],
        2,
        &["a newer tallyline wrote it (state version 99, this one knows up to"],
    );
}

#[test]
fn a_damaged_state_is_told_with_the_ways_out() {
    let kept = Kept::new();
    kept.write("a", &line("x"));
    kept.count(&["a"], &[]);
    let whole = fs::read(kept.at("state.db")).unwrap();
    // Every page after the first is nonsense.
    let mut bytes = whole.clone();
    bytes[4096..].fill(0xA5);
    fs::write(kept.at("state.db"), &bytes).unwrap();
    kept.refused(&["a"], &[], 2, &["it is damaged", "tallyline state reset"]);
    let checked = kept.state(&["check", &kept.path("state.db")]);
    assert_ne!(checked.status.code(), Some(0), "{checked:?}");
    // Its parts do not go together.
    fs::write(kept.at("state.db"), &whole).unwrap();
    kept.sql("UPDATE total SET count = 7");
    kept.refused(
        &["a"],
        &[],
        2,
        &["the totals add up to 7, the ledger has 1 counted"],
    );
    let checked = kept.state(&["check", &kept.path("state.db")]);
    assert_eq!(checked.status.code(), Some(3), "{checked:?}");
    assert!(stdout(&checked).contains("1 lines counted, but the totals add up to 7"));
    let reset = kept.state(&["reset", &kept.path("state.db")]);
    assert_eq!(reset.status.code(), Some(0), "{reset:?}");
    assert!(kept.at("state.db.old").exists());
    assert_eq!(kept.count(&["a"], &[]), (1, 1));
}

#[test]
fn a_place_that_cannot_be_written_to_is_told() {
    let kept = Kept::new();
    kept.write("a", &line("x"));
    fs::create_dir(kept.at("state.db")).unwrap();
    kept.refused(&["a"], &[], 2, &["--state", "it cannot be opened"]);
    for place in ["no/such/state.db", "/proc/state.db"] {
        let mut command = tallyline(&["count", "--by=status", "--state", place]);
        let output = command.arg(kept.at("a")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(stderr(&output).contains("cannot write"), "{output:?}");
    }
}

#[test]
fn a_state_on_a_read_only_file_is_told() {
    let kept = Kept::new();
    kept.write("a", &line("x"));
    kept.count(&["a"], &[]);
    // The superuser writes to whatever he likes.
    let may_write = |path: &Path| File::options().write(true).open(path).is_ok();
    let path = kept.at("state.db");
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    if may_write(&path) {
        return;
    }
    kept.refused(&["a"], &[], 2, &["--state", "it may not be written to"]);
}

/// The largest file that the process may write stands in for a full disk, which takes a superuser to make.
#[test]
fn a_full_disk_stops_the_saving_with_an_error_and_not_the_counting() {
    let kept = Kept::new();
    kept.write("a", &line("x"));
    kept.count(&["a"], &[]);
    let many: String = (0..20_000)
        .map(|number| line(&format!("key {number}")))
        .collect();
    kept.write("b", &many);
    let full = kept.command(&["b"], &[]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh"]);
    limited.arg(full.get_program()).args(full.get_args());
    limited
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = limited.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        figures(&output),
        (20_000, 20_001),
        "all of it is counted and printed"
    );
    let told = stderr(&output);
    assert!(told.contains("cannot save in"), "{told}");
    assert!(told.contains("counting goes on"), "{told}");
    // What could not be saved is counted again, and then it is all there.
    assert_eq!(kept.count(&["b"], &[]), (20_000, 20_001));
    let checked = kept.state(&["check", &kept.path("state.db")]);
    assert!(
        stdout(&checked).contains("sound; 20,001 lines, 20,001 keys"),
        "{checked:?}"
    );
}

#[test]
fn states_are_shown_exported_and_added_up() {
    let kept = Kept::new();
    for (name, status, count) in [("a", "x", 3), ("b", "y", 2)] {
        kept.write(
            name,
            &(line(status).repeat(count) + "no JSON\n{\"status\":1}\n"),
        );
        kept.count(&[name], &[]);
        fs::rename(kept.at("state.db"), kept.at(&format!("{name}.db"))).unwrap();
    }
    let [a, b, sum] = ["a.db", "b.db", "sum.db"].map(|name| kept.path(name));
    let merged = kept.state(&["merge", &a, &b, "-o", &sum]);
    assert_eq!(merged.status.code(), Some(0), "{merged:?}");
    assert!(!stdout(&merged).contains("history"), "{merged:?}");
    for words in [
        "lines      9",
        "malformed  2",
        "keys       3",
        "counted to byte",
    ] {
        assert!(stdout(&merged).contains(words), "{merged:?}");
    }
    let exported = stdout(&kept.state(&["export", &sum]));
    let totals: Value = serde_json::from_str(&exported).unwrap();
    let expected: Value = serde_json::from_str(
        r#"[{"key":"x","total":3},{"key":1,"total":2},{"key":"y","total":2}]"#,
    )
    .unwrap();
    assert_eq!(totals["counts"], expected);
    let csv = stdout(&kept.state(&["export", &sum, "--format=csv"]));
    assert_eq!(csv.lines().count(), 4, "{csv}");
    // The SQL makes the same state.
    let sql = stdout(&kept.state(&["export", &sum, "--format=sql"]));
    kept.sql(&sql);
    assert_eq!(
        stdout(&kept.state(&["export", &kept.path("state.db")])),
        exported
    );
    assert_eq!(kept.count(&["a", "b"], &[]), (0, 9));
    // Twice the same lines are refused, and leave nothing behind.
    let twice = kept.state(&["merge", &sum, &a, "-o", &kept.path("twice.db")]);
    assert_eq!(twice.status.code(), Some(1), "{twice:?}");
    assert!(
        stderr(&twice).contains("is counted in another of these states too"),
        "{twice:?}"
    );
    assert!(!kept.at("twice.db").exists());
    let there = kept.state(&["merge", &a, &b, "-o", &sum]);
    assert_eq!(there.status.code(), Some(2), "{there:?}");
}

#[test]
fn files_are_counted_again_and_each_difference_is_told() {
    let kept = Kept::new();
    let text = "\u{feff}".to_owned()
        + &line("x").repeat(3)
        + "\nno JSON\n"
        + &line(&"y".repeat(99))
        + &line("z");
    kept.write("a", &text);
    fs::write(kept.at("b.gz"), pack(text.as_bytes())).unwrap();
    kept.count(&["a", "b.gz"], &["--max-line=50"]);
    // What came later is not counted, and not compared.
    kept.write("a", &line("x"));
    let verify = || {
        let state = kept.path("state.db");
        let mut command = tallyline(&[
            "verify",
            &kept.path("a"),
            &kept.path("b.gz"),
            "--state",
            &state,
        ]);
        command.output().unwrap()
    };
    let same = verify();
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    assert!(
        stdout(&same).contains("the same; 14 lines, 2 keys"),
        "{same:?}"
    );
    kept.sql("UPDATE total SET count = count + 1 WHERE count = 2; UPDATE progress SET blank = 1");
    let other = verify();
    assert_eq!(other.status.code(), Some(3), "{other:?}");
    let expected = [
        "blank: 1 in the state, 2 in the files",
        "key \"z\": 3 in the state, 2 in the files",
    ];
    assert_eq!(stdout(&other).lines().collect::<Vec<_>>(), expected);
}

/// Records of `x` at these seconds.
fn timed(seconds: &[u64]) -> String {
    let line = |second: &u64| format!("{{\"status\":\"x\",\"ts\":{}}}\n", 1_795_362_460 + second);
    seconds.iter().map(line).collect()
}

/// The windows of a run: their ends, in seconds after those of [`timed`], their records, and whether they are final.
fn windows(printed: &str) -> Vec<(i64, u64, bool)> {
    let objects = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let windows = objects.filter(|object| object["type"] == "window");
    let window = |window: Value| {
        let end: jiff::Timestamp = window["end"].as_str().unwrap().parse().unwrap();
        let records = window["counts"][0]["count"].as_u64().unwrap();
        (
            end.as_second() - 1_795_362_460,
            records,
            window["final"].as_bool().unwrap(),
        )
    };
    windows.map(window).collect()
}

#[test]
fn windows_by_event_time_go_on_from_run_to_run() {
    let kept = Kept::new();
    let flags = ["--event-time=ts", "--window=10s", "--lateness=2s"];
    kept.write("a", &timed(&[1, 5, 14, 15]));
    let first = stdout(&kept.run(&["a"], &flags));
    assert_eq!(windows(&first), [(10, 2, true), (20, 2, false)]);
    // What the last run left open goes on; of what it closed nothing does.
    kept.write("a", &timed(&[16, 9, 27]));
    let second = kept.run(&["a"], &flags);
    assert_eq!(windows(&stdout(&second)), [(20, 3, true), (30, 1, false)]);
    let totals = stdout(&second).lines().last().unwrap().to_owned();
    assert!(
        totals.contains(r#""late":1"#) && totals.contains(r#""total":6"#),
        "{totals}"
    );
    // Counted again it adds nothing, and shows what is open.
    assert_eq!(
        windows(&stdout(&kept.run(&["a"], &flags))),
        [(30, 1, false)]
    );
    let state = kept.path("state.db");
    let exported = stdout(&kept.state(&["export", &state, "--what=windows"]));
    assert_eq!(windows(&exported), [(10, 2, true), (20, 3, true)]);
    let shown = stdout(&kept.state(&["show", &state]));
    for words in [
        "windows    open, of 1 panes",
        ", 2 windows",
        ", all read: ",
        ", version ",
    ] {
        assert!(shown.contains(words), "no {words:?} in: {shown}");
    }
    let checked = kept.state(&["check", &state]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    // Other records would count otherwise.
    kept.refused(
        &["a"],
        &[],
        2,
        &["--event-time ts, this run has no --event-time"],
    );
}

#[test]
fn records_with_times_are_verified_unless_some_were_late() {
    let kept = Kept::new();
    let flags = ["--event-time=ts", "--window=10s"];
    kept.write(
        "a",
        &(timed(&[1, 5, 14]) + &line("no time") + &timed(&[20])),
    );
    let verify = || {
        let (a, state) = (kept.path("a"), kept.path("state.db"));
        tallyline(&["verify", &a, "--state", &state])
            .output()
            .unwrap()
    };
    kept.count(&["a"], &flags);
    let same = verify();
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    kept.write("a", &timed(&[3]));
    kept.count(&["a"], &flags);
    let late = verify();
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    assert!(stderr(&late).contains("1 lines came too late"), "{late:?}");
}

#[test]
fn other_windows_keep_what_fits() {
    let kept = Kept::new();
    let run = |window: &str| {
        let output = kept.run(&["a"], &["--event-time=ts", window, "--lateness=2s"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        (windows(&stdout(&output)), stderr(&output))
    };
    kept.write("a", &timed(&[1, 5, 14]));
    assert_eq!(run("--window=10s").0, [(10, 2, true), (20, 1, false)]);
    // The pane before has been let go of, which the part tells that is covered.
    kept.write("a", &timed(&[18]));
    let (seen, told) = run("--window=20s");
    assert_eq!(seen, [(20, 2, false)]);
    assert!(!told.contains("begin empty"), "{told}");
    let (seen, told) = run("--window=15s");
    assert_eq!(seen, []);
    assert!(
        told.contains("counted by 20s, and not all of --window are multiples"),
        "{told}"
    );
    // By arrival.
    let kept = Kept::new();
    let told = |flags: &[&str]| {
        let output = kept.run(&["a"], flags);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        stderr(&output)
    };
    kept.write("a", &line("x"));
    told(&["--every=20ms", "--window=40ms"]);
    let quiet = told(&["--every=40ms", "--window=80ms/40ms"]);
    assert!(!quiet.contains("begin empty"), "{quiet}");
    let odd = told(&["--every=30ms", "--window=60ms"]);
    assert!(
        odd.contains("are of 40ms, of which --window 60ms is no multiple"),
        "{odd}"
    );
    let none = told(&[]);
    assert!(none.contains("this one has no --window"), "{none}");
    let again = told(&[]);
    assert!(!again.contains("no --window"), "{again}");
}

#[test]
fn the_history_tells_of_batches_for_as_long_as_is_asked() {
    let kept = Kept::new();
    let many: String = (0..40)
        .map(|key| line(&format!("k{key}")).repeat(41 - key))
        .collect();
    kept.write("a", &many);
    let counted = stdout(&kept.run(&["a"], &[]));
    let state = kept.path("state.db");
    let history = || -> Vec<Value> {
        let exported = stdout(&kept.state(&["export", &state, "--what=batches"]));
        exported
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let batches = counted
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let batches: Vec<Value> = batches.filter(|object| object["type"] == "batch").collect();
    let told = history();
    assert_eq!(told.len(), batches.len());
    let (told, batch) = (&told[0], &batches[0]);
    for member in ["type", "batch", "start", "end", "ledger"] {
        assert_eq!(told[member], batch[member]);
    }
    let rows = |batch: &Value| batch["counts"].as_array().unwrap().clone();
    assert_eq!(rows(told), rows(batch)[..32]);
    let hidden: u64 = (2..10).sum();
    assert_eq!(
        told["hidden"],
        serde_json::json!({"keys": 8, "count": hidden})
    );
    // The history of before goes when it is too old, and none is kept if none is asked for.
    kept.count(&["a"], &["--keep=1ms"]);
    assert!(
        history()
            .iter()
            .all(|later| later["batch"].as_u64() > batch["batch"].as_u64())
    );
    kept.count(&["a"], &["--keep=0s"]);
    assert_eq!(history(), Vec::<Value>::new());
    let checked = kept.state(&["check", &state]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[test]
fn a_state_of_the_version_before_goes_on() {
    let kept = Kept::new();
    kept.write("a", &line("x").repeat(3));
    kept.count(&["a"], &[]);
    kept.sql(
        "DROP TABLE ring; DROP TABLE slot; DROP TABLE event; DROP TABLE pane; DROP TABLE closed; DROP TABLE latest; \
         DROP TABLE batch; DROP TABLE window; ALTER TABLE run DROP COLUMN outcome; PRAGMA user_version = 1",
    );
    // Whoever only looks leaves it as it is.
    let state = kept.path("state.db");
    let shown = stdout(&kept.state(&["show", &state]));
    assert!(
        shown.contains("lines      3") && shown.contains("run  "),
        "{shown}"
    );
    let checked = stdout(&kept.state(&["check", &state]));
    assert!(checked.contains("sound; 3 lines"), "{checked}");
    assert_eq!(
        stdout(&kept.state(&["export", &state, "--what=batches"])),
        ""
    );
    let db = Connection::open(kept.at("state.db")).unwrap();
    let version = || db.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
    assert_eq!(version().unwrap(), 1);
    kept.write("a", &line("y"));
    assert_eq!(kept.count(&["a"], &["--window=5s"]), (1, 4));
    assert_eq!(version().unwrap(), 2);
    let exported = stdout(&kept.state(&["export", &state, "--what=batches"]));
    assert!(
        exported.contains(r#"{"key":"y","count":1,"total":1}"#),
        "{exported}"
    );
}

#[test]
fn followed_files_go_on_where_they_were_left() {
    let kept = Kept::new();
    kept.write("a", &(line("x").repeat(2) + "{\"stat"));
    let follow = |wanted: u64| {
        let mut running = Running::start(
            &mut kept.command(&["a"], &["--follow", "--every=20ms"]),
            |_| {},
        );
        let mut lines = 0;
        while lines < wanted {
            let object: Value = serde_json::from_str(&running.line().unwrap()).unwrap();
            lines += object["ledger"]["lines"].as_u64().unwrap();
        }
        running.signal(rustix::process::Signal::TERM);
        let output = running.finish();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        lines + figures(&output).0
    };
    assert_eq!(follow(2), 2);
    // The rest of a file that has been renamed meanwhile, and what has its name now.
    kept.write("a", "us\":\"torn\"}\n");
    fs::rename(kept.at("a"), kept.at("a.1")).unwrap();
    kept.write("a", &line("new"));
    assert_eq!(follow(2), 2);
    assert_eq!(kept.count(&["a", "a.1"], &[]), (0, 4));
    // As a plain file, too, and back.
    kept.write("a", &line("new"));
    assert_eq!(kept.count(&["a"], &[]), (1, 5));
    kept.write("a", &line("new"));
    assert_eq!(follow(1), 1);
}

#[test]
fn sums_are_kept_exactly_and_added_up() {
    let kept = Kept::new();
    let record =
        |status: &str, price: &str| format!("{{\"status\":{status:?},\"price\":{price}}}\n");
    kept.write(
        "a",
        &(record("x", "0.1").repeat(10) + &record("y", "-2.50") + &record("x", "\"none\"")),
    );
    kept.write("b", &(record("x", "1e2") + &record("z", "99999999999.99")));
    let sum = ["--sum=price"];
    kept.count(&["a"], &sum);
    kept.refused(
        &["a"],
        &[],
        2,
        &["it was counted with --sum price, this run has no --sum"],
    );
    let totals = |output: &Output| stdout(output).lines().last().unwrap().to_owned();
    let once = totals(&kept.run(&["b"], &sum));
    for row in [
        r#""key":"x","total":12,"total_sum":101.0"#,
        r#""total_sum":-2.50"#,
        r#""total_sum":99999999999.99"#,
    ] {
        assert!(once.contains(row), "{row} in {once}");
    }
    assert!(once.contains(r#""unsummed":1"#), "{once}");
    let verify = |state: &str| {
        let files = [kept.path("a"), kept.path("b")];
        tallyline(&["verify", &files[0], &files[1], "--state", state])
            .output()
            .unwrap()
    };
    assert_eq!(verify(&kept.path("state.db")).status.code(), Some(0));
    // Counted apart and added up it is the same.
    fs::rename(kept.at("state.db"), kept.at("both.db")).unwrap();
    for name in ["a", "b"] {
        kept.count(&[name], &sum);
        fs::rename(kept.at("state.db"), kept.at(&format!("{name}.db"))).unwrap();
    }
    let [a, b, merged, both] = ["a.db", "b.db", "merged.db", "both.db"].map(|name| kept.path(name));
    let output = kept.state(&["merge", &a, &b, "-o", &merged]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        kept.state(&["export", &merged]).stdout,
        kept.state(&["export", &both]).stdout
    );
    assert_eq!(verify(&merged).status.code(), Some(0));
    Connection::open(&merged)
        .unwrap()
        .execute_batch("UPDATE total SET sum = '1.0' WHERE sum = '101.0'")
        .unwrap();
    let other = verify(&merged);
    assert_eq!(
        stdout(&other),
        "sum of \"x\": 1.0 in the state, 101.0 in the files\n"
    );
}
