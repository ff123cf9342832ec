//! Every record once: from many shards, through splits and merges.

use std::collections::BTreeSet;

use loadgen::Generator;
use rustix::process::Signal;

use crate::stream::{Stream, expected, mixed, server};
use crate::support::{JsonTally, Running};

/// A run that goes on, its batches added up as they come.
pub(crate) struct Following {
    pub(crate) running: Running,
    tally: JsonTally,
}

impl Following {
    pub(crate) fn start(stream: &Stream, more: &[&str]) -> Following {
        let more = [&["--every", "200ms"], more].concat();
        Following {
            running: Running::start(&mut stream.counting(&more), |_| ()),
            tally: JsonTally::default(),
        }
    }

    /// Adds its next batch.
    pub(crate) fn batch(&mut self) {
        let line = self.running.line().expect("it runs until it is stopped");
        self.tally.add(&line);
    }

    /// Adds batches until so many lines have been counted.
    pub(crate) fn until(&mut self, lines: u64) {
        while self.tally.lines < lines {
            self.batch();
        }
    }

    /// Stops it: what it counted, and what it said.
    pub(crate) fn stop(mut self) -> (JsonTally, String) {
        self.running.signal(Signal::INT);
        let output = self.running.finish();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            self.tally.add(line);
        }
        (self.tally, stderr)
    }
}

/// Lines that have been put in so far.
pub(crate) fn lines(generator: &Generator) -> u64 {
    generator.expectation().lines
}

#[test]
fn every_record_of_several_shards() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 4);
    let mut generator = mixed();
    // More records in a shard than one read brings.
    stream.fill(&mut generator, 44_000, 1);
    stream.fill(&mut generator, 100_000, 100);
    stream.count(&[]).assert_is(&expected(&generator));
}

#[test]
fn a_split_and_a_merge_in_the_middle_lose_and_double_nothing() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 2);
    let mut generator = mixed();
    let mut fill = |stream: &mut Stream| stream.fill(&mut generator, 5_000, 5);
    fill(&mut stream);
    let mut following = Following::start(&stream, &[]);
    following.until(1);
    stream.split(0);
    fill(&mut stream);
    following.until(10_000);
    // One child and the other half; then a child of both kinds of parents.
    stream.merge(3, 1);
    fill(&mut stream);
    stream.split(4);
    fill(&mut stream);
    following.until(20_000);
    fill(&mut stream);
    following.until(25_000);
    let (tally, stderr) = following.stop();
    tally.assert_is(&expected(&generator));
    assert!(!stderr.contains("kinesis://"), "{stderr}");
    // The same again from the beginning, when all of it has happened.
    stream.count(&[]).assert_is(&expected(&generator));
    assert_eq!(stream.shards().len(), 7);
}

#[test]
fn a_run_killed_and_started_again_with_its_state_ends_as_if_it_had_not_been() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.db").to_str().unwrap().to_owned();
    let mut stream = Stream::create(&server, 2);
    let mut generator = mixed();
    for round in 1..4 {
        stream.fill(&mut generator, 4_000, 5);
        // A shard that was read out is not read again.
        stream.split(round);
        stream.fill(&mut generator, 4_000, 5);
        let args = ["--every", "200ms", "--state", &state];
        let mut running = Running::start(&mut stream.counting(&args), |_| ());
        while running.line().unwrap().contains("\"lines\":0,") {}
        running.signal(Signal::KILL);
        running.wait();
    }
    let args = ["--state", &state, "--until-end", "-q"];
    let output = stream.counting(&args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let totals = stdout
        .lines()
        .last()
        .unwrap()
        .replace("\"type\":\"totals\",", "");
    assert_eq!(totals, expected(&generator).to_json());
}

#[test]
fn with_each_batch_goes_where_each_shard_stands() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 2);
    let mut generator = mixed();
    stream.fill(&mut generator, 1_000, 10);
    stream.split(1);
    stream.fill(&mut generator, 1_000, 10);
    let output = stream
        .counting(&["--until-end", "--stats"])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let totals: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let parts = totals["lag"].as_array().unwrap();
    let mut numbers = BTreeSet::new();
    for (part, shard) in parts.iter().zip(stream.shards()) {
        assert_eq!(part["source"], stream.url);
        assert_eq!(part["shard"], shard.shard_id());
        assert_eq!(part["lag_ms"], 0, "{part}");
        if shard.shard_id().ends_with('1') {
            assert_eq!(part["read_out"], true, "{part}");
        } else {
            numbers.insert(part["behind"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!((parts.len(), numbers.len()), (4, 3), "{parts:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let told = format!(
        "lag        0 s behind the end of {}, by shard shardId-000000000000: 0 s, ",
        stream.url
    );
    assert!(stderr.contains(&told), "{stderr}");
}
