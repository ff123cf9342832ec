//! Every record once: from many partitions, over restarts, over a change of members.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use loadgen::{Plan, Spec};
use rustix::process::Signal;

use crate::cluster::{broker, fill, fresh, grow};
use crate::support::{JsonTally, Running, tallyline};

/// Records with something to tell in every column that the generator knows.
fn mixed() -> Spec {
    Spec {
        malformed: 0.001,
        missing: 0.001,
        ..Spec::default()
    }
}

/// Runs the binary on a topic until its end.
pub(crate) fn count(url: &str, more: &[&str]) -> JsonTally {
    let args = [
        &[
            "count",
            url,
            "--by",
            "status",
            "--output",
            "json",
            "-q",
            "--until-end",
        ],
        more,
    ];
    let output = tallyline(&args.concat()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "");
    let mut tally = JsonTally::default();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    tally
}

#[test]
fn five_million_records_over_eight_partitions() {
    let Some(broker) = broker() else { return };
    let topic = fresh("five-million");
    let expectation = fill(&broker, &topic, &mixed(), &Plan::records(5_000_000));
    let url = format!("kafka://{broker}/{topic}");
    count(&url, &[]).assert_is(&expectation);
    // Half of it from half of the partitions, as they are filled in turn.
    let even = count(&url, &["--partitions", "0,2,4,6"]);
    let odd = count(&url, &["--partitions", "1,3,5,7"]);
    assert_eq!((even.lines, odd.lines), (2_500_000, 2_500_000));
}

#[test]
fn partitions_that_a_topic_grows_by_are_read_from_their_beginnings() {
    let Some(broker) = broker() else { return };
    let topic = fresh("growing");
    let url = format!("kafka://{broker}/{topic}");
    fill(&broker, &topic, &mixed(), &Plan::records(800));
    let args = [
        "count",
        &url,
        "--by",
        "status",
        "--output",
        "json",
        "--every",
        "200ms",
        "-X",
        "topic.metadata.refresh.interval.ms=500",
    ];
    let mut running = Running::start(&mut tallyline(&args), |_| ());
    let mut tally = JsonTally::default();
    while tally.lines < 800 {
        tally.add(&running.line().unwrap());
    }
    grow(&broker, &topic, 10);
    fill(&broker, &topic, &mixed(), &Plan::records(1000));
    while tally.lines < 1800 {
        tally.add(&running.line().unwrap());
    }
    running.signal(Signal::INT);
    let output = running.finish();
    let stderr = String::from_utf8(output.stderr).unwrap();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    assert_eq!(tally.lines, 1800, "{stderr}");
    assert!(
        stderr.contains("the topic has grown, reading partitions 8, 9 too"),
        "{stderr}"
    );
}

#[test]
fn a_group_goes_on_behind_what_was_printed() {
    let Some(broker) = broker() else { return };
    let (topic, group) = (fresh("resumed"), fresh("resumed"));
    let url = format!("kafka://{broker}/{topic}");
    fill(&broker, &topic, &mixed(), &Plan::records(10_000));
    assert_eq!(count(&url, &["--group", &group]).lines, 10_000);
    fill(&broker, &topic, &mixed(), &Plan::records(5_000));
    assert_eq!(count(&url, &["--group", &group]).lines, 5_000);
    assert_eq!(count(&url, &["--group", &group]).lines, 0);
    assert_eq!(count(&url, &[]).lines, 15_000);
}

#[test]
fn what_was_read_and_not_printed_is_read_again_after_a_crash() {
    let Some(broker) = broker() else { return };
    let (topic, group) = (fresh("crashed"), fresh("crashed"));
    let url = format!("kafka://{broker}/{topic}");
    fill(&broker, &topic, &mixed(), &Plan::records(10_000));
    let mut member = follow(&url, &group, "24h");
    for _ in 0..8 {
        member.at_end.recv().unwrap();
    }
    member.running.signal(Signal::KILL);
    assert!(!member.running.wait().success());
    assert_eq!(
        count(&url, &["--group", &group, "-X", "session.timeout.ms=6000"]).lines,
        10_000
    );
}

/// A member of a group, its batches added up as they come.
struct Member {
    running: Running,
    tally: JsonTally,
    /// A word for every partition that is read to its end.
    at_end: Receiver<()>,
}

fn follow(url: &str, group: &str, every: &str) -> Member {
    let (sender, at_end) = mpsc::channel();
    let args = [
        "count",
        url,
        "--by",
        "status",
        "--output",
        "json",
        "-vv",
        "--every",
        every,
        "--group",
        group,
        "-X",
        "session.timeout.ms=6000",
    ];
    let on_stderr = move |line: &str| {
        if line.contains("at the end of partition") {
            sender.send(()).ok();
        }
    };
    Member {
        running: Running::start(&mut tallyline(&args), on_stderr),
        tally: JsonTally::default(),
        at_end,
    }
}

impl Member {
    /// Adds its next batch.
    fn batch(&mut self) {
        let line = self.running.line().expect("it runs until it is stopped");
        self.tally.add(&line);
    }

    /// Adds batches until one has lines.
    fn batch_with_lines(&mut self) {
        let before = self.tally.lines;
        while self.tally.lines == before {
            self.batch();
        }
    }

    /// Stops it, and adds what is left.
    fn stop(mut self) -> JsonTally {
        self.running.signal(Signal::INT);
        let output = self.running.finish();
        assert!(output.status.success(), "{output:?}");
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            self.tally.add(line);
        }
        assert!(self.tally.totals.is_some());
        self.tally
    }
}

#[test]
fn a_member_that_comes_and_goes_leaves_the_sums_exact() {
    let Some(broker) = broker() else { return };
    let (topic, group) = (fresh("shared"), fresh("shared"));
    let url = format!("kafka://{broker}/{topic}");
    // The topic is there before its first reader.
    fill(&broker, &topic, &mixed(), &Plan::records(8));
    let plan = Plan {
        rate: std::num::NonZeroU64::new(50_000),
        ..Plan::records(600_000)
    };
    let filling = thread::spawn(move || {
        let never = AtomicBool::new(false);
        loadgen::push_kafka(&broker, &topic, &mixed(), &plan, &never).unwrap()
    });
    let mut first = follow(&url, &group, "500ms");
    first.batch_with_lines();
    let mut second = follow(&url, &group, "500ms");
    second.batch_with_lines();
    second.batch_with_lines();
    let second = second.stop();
    let sent = filling.join().unwrap();
    let all = sent.expectation.lines + 8;
    while first.tally.lines + second.lines < all {
        first.batch();
    }
    let first = first.stop();
    assert_eq!(first.lines + second.lines, all);
    assert!(second.lines > 0);
}

#[test]
fn a_killed_run_goes_on_from_its_state() {
    let Some(broker) = broker() else { return };
    let topic = fresh("state");
    let url = format!("kafka://{broker}/{topic}");
    let options = torture::Options {
        binary: env!("CARGO_BIN_EXE_tallyline").into(),
        seed: fastrand::u64(..1 << 32),
        kills: 12,
        has_fault_points: false,
    };
    let filled = torture::topic(&options, &url, |spec, plan| {
        fill(&broker, &topic, spec, plan);
        Ok(())
    });
    filled.unwrap();
}

#[test]
fn a_state_goes_before_the_group_and_the_group_hears_of_it() {
    let Some(broker) = broker() else { return };
    let here = tempfile::tempdir().unwrap();
    let state = format!("--state={}", here.path().join("state.db").display());
    let (topic, group, other) = (fresh("state"), fresh("state"), fresh("state"));
    let url = format!("kafka://{broker}/{topic}");
    let expectation = fill(&broker, &topic, &mixed(), &Plan::records(10_000));
    let run = |more: &[&str]| {
        let args = [
            "count",
            &url,
            "--by=status",
            "--output=json",
            "-q",
            "--until-end",
        ];
        let output = tallyline(&[&args, more].concat()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        last["ledger"]["lines"].as_u64().unwrap()
    };
    assert_eq!(run(&["--group", &group, &state]), expectation.lines);
    // A group that knows nothing, and no group at all: what is counted stays counted.
    assert_eq!(run(&["--group", &other, &state]), expectation.lines);
    assert_eq!(run(&[&state]), expectation.lines);
    // The group was told.
    assert_eq!(run(&["--group", &group]), 0);
}
