//! `--follow`: files through everything that happens to log files, exact against what was written.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::files::{drain, start};
use crate::support::{JsonTally, Running};

/// How the program is told of changes: by the kernel, or by looking.
const WAYS: [&[&str]; 2] = [&["--follow"], &["--follow", "--poll=20ms"]];

/// A folder of logs and somebody who follows them.
struct Logs {
    folder: TempDir,
    reading: Running,
    tally: JsonTally,
}

impl Logs {
    /// Follows `pattern` in a new folder that `prepare` has been at.
    fn follow(pattern: &str, way: &[&str], prepare: impl FnOnce(&Path)) -> Logs {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let source = folder.path().join(pattern).display().to_string();
        let reading = start(&[&source], way);
        Logs {
            folder,
            reading,
            tally: JsonTally::default(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Reads batches until there have been so many lines.
    fn wait_for(&mut self, lines: u64) {
        // Batches come whether or not lines do.
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.tally.lines < lines {
            assert!(Instant::now() < deadline, "{lines} lines: {:?}", self.tally);
            let line = self.reading.line().expect("it goes on for ever");
            self.tally.add(&line);
        }
    }

    /// Ends the run, which must have been exact: of each status so many.
    fn end(mut self, counts: &[(&str, u64)]) {
        self.wait_for(counts.iter().map(|(_, count)| count).sum());
        drain(self.reading, &mut self.tally);
        let expected: Vec<(String, u64)> = counts
            .iter()
            .map(|&(status, count)| (format!("\"{status}\""), count))
            .collect();
        let counts: Vec<(String, u64)> = self.tally.counts.into_iter().collect();
        assert_eq!(counts, expected);
        assert_eq!(
            self.tally.lines,
            expected.iter().map(|(_, count)| count).sum::<u64>()
        );
    }
}

fn line(status: &str) -> String {
    format!("{{\"status\":\"{status}\"}}\n")
}

fn append(path: &Path) -> File {
    File::options()
        .append(true)
        .create(true)
        .open(path)
        .unwrap()
}

fn write(path: &Path, text: &str) {
    append(path).write_all(text.as_bytes()).unwrap();
}

#[test]
fn growth_is_counted_line_by_line() {
    for way in WAYS {
        let mut logs = Logs::follow("app.log", way, |folder| {
            write(
                &folder.join("app.log"),
                &("\u{feff}".to_owned() + &line("a")),
            );
        });
        logs.wait_for(1);
        let text = line("b");
        let (begin, end) = text.split_at(5);
        write(&logs.at("app.log"), &(line("a") + begin));
        logs.wait_for(2);
        write(&logs.at("app.log"), end);
        logs.wait_for(3);
        logs.end(&[("a", 2), ("b", 1)]);
    }
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_its_follower_from_its_beginning() {
    for way in WAYS {
        // The rotated file matches too: it is the same file under another name.
        for pattern in ["app.log", "app.log*"] {
            let mut logs = Logs::follow(pattern, way, |folder| {
                write(&folder.join("app.log"), &line("old"));
            });
            logs.wait_for(1);
            let mut writer = append(&logs.at("app.log"));
            fs::rename(logs.at("app.log"), logs.at("app.log.1")).unwrap();
            write(&logs.at("app.log"), &line("new"));
            logs.wait_for(2);
            // The writer has not noticed yet.
            writer.write_all(line("late").as_bytes()).unwrap();
            logs.wait_for(3);
            logs.end(&[("late", 1), ("new", 1), ("old", 1)]);
        }
    }
}

#[test]
fn a_copied_and_truncated_file_begins_again() {
    for way in WAYS {
        let mut logs = Logs::follow("app.log", way, |folder| {
            write(&folder.join("app.log"), &line("old").repeat(3));
        });
        logs.wait_for(3);
        let log = logs.at("app.log");
        fs::copy(&log, logs.at("app.log.1")).unwrap();
        let mut writer = append(&log);
        writer.set_len(0).unwrap();
        writer.write_all(line("new").as_bytes()).unwrap();
        logs.wait_for(4);
        // Cut and longer than before by the time that anybody looks.
        writer.set_len(0).unwrap();
        writer.write_all(line("more").repeat(9).as_bytes()).unwrap();
        logs.wait_for(13);
        logs.end(&[("more", 9), ("new", 1), ("old", 3)]);
    }
}

#[test]
fn a_deleted_file_and_the_one_created_in_its_place_are_two() {
    for way in WAYS {
        let mut logs = Logs::follow("app.log", way, |folder| {
            write(&folder.join("app.log"), &line("one"));
        });
        logs.wait_for(1);
        for number in 2..6 {
            fs::remove_file(logs.at("app.log")).unwrap();
            write(&logs.at("app.log"), &line("next"));
            logs.wait_for(number);
        }
        logs.end(&[("next", 4), ("one", 1)]);
    }
}

#[test]
fn files_and_folders_may_appear_later() {
    for way in WAYS {
        let mut logs = Logs::follow("*/app-?.log", way, |_| {});
        // It is under way.
        let first = logs.reading.line().unwrap();
        logs.tally.add(&first);
        for (number, folder) in (1..).zip(["x", "y", "x", "z"]) {
            fs::create_dir_all(logs.at(folder)).unwrap();
            write(
                &logs.at(folder).join(format!("app-{number}.log")),
                &line("a"),
            );
            logs.wait_for(number);
        }
        logs.end(&[("a", 4)]);
    }
}

#[test]
fn the_torn_last_line_of_a_file_that_is_gone_is_finished_at_its_end() {
    let mut logs = Logs::follow("app.log", WAYS[0], |folder| {
        write(&folder.join("app.log"), &(line("a") + line("b").trim_end()));
    });
    logs.wait_for(1);
    fs::rename(logs.at("app.log"), logs.at("app.log.1")).unwrap();
    write(&logs.at("app.log"), &line("c"));
    logs.wait_for(3);
    // Back again, it is not read again.
    fs::rename(logs.at("app.log.1"), logs.at("app.log")).unwrap();
    write(&logs.at("app.log"), &("\n".to_owned() + &line("d")));
    logs.wait_for(5);
    // The newline that had been missing is a blank line by now.
    let blank = logs.tally.lines - logs.tally.counts.values().sum::<u64>();
    assert_eq!(blank, 1);
    let counts: Vec<u64> = logs.tally.counts.values().copied().collect();
    assert_eq!(counts, [1, 1, 1, 1]);
}

#[test]
fn a_compressed_rotation_is_not_counted_again() {
    let mut logs = Logs::follow("app.log*", WAYS[0], |folder| {
        write(&folder.join("app.log"), &line("a"));
    });
    logs.wait_for(1);
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(line("a").as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let mut archive = File::create(logs.at("app.log.1.gz")).unwrap();
    for piece in packed.chunks(3) {
        archive.write_all(piece).unwrap();
    }
    write(&logs.at("app.log"), &line("b"));
    logs.wait_for(2);
    logs.end(&[("a", 1), ("b", 1)]);
}

#[test]
fn many_rotations_under_a_running_writer_lose_and_double_nothing() {
    const ROTATIONS: usize = 60;
    const LINES: usize = 500;
    // Whether the old files match too makes no difference.
    for pattern in ["app.log", "app.log*"] {
        let mut logs = Logs::follow(pattern, WAYS[0], |folder| {
            write(&folder.join("app.log"), &line("begin"));
        });
        logs.wait_for(1);
        let log = logs.at("app.log");
        let writing = std::thread::spawn(move || {
            for rotation in 1..=ROTATIONS {
                let mut file = append(&log);
                for number in 0..LINES {
                    let text = line(if number % 2 == 0 { "even" } else { "odd" });
                    // Lines are torn all the time.
                    let (begin, end) = text.split_at(number % text.len());
                    file.write_all(begin.as_bytes()).unwrap();
                    file.write_all(end.as_bytes()).unwrap();
                }
                // Older ones move on, as logrotate has it.
                for age in (1..rotation).rev() {
                    let name = |age: usize| PathBuf::from(format!("{}.{age}", log.display()));
                    fs::rename(name(age), name(age + 1)).unwrap();
                }
                fs::rename(&log, format!("{}.1", log.display())).unwrap();
            }
        });
        let half = (ROTATIONS * LINES / 2) as u64;
        logs.end(&[("begin", 1), ("even", half), ("odd", half)]);
        writing.join().unwrap();
    }
}
