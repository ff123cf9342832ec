//! `--to kafka://…`: what consumers find in the topic, and what is told when it cannot be delivered.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{OwnBroker, Told, broker, create, fresh, read_all, sasl_broker, tls_broker};
use crate::support::{Running, tallyline};

/// A folder with input, and a topic of 4 partitions.
pub(crate) struct Place {
    folder: TempDir,
    broker: String,
    pub(crate) topic: String,
    pub(crate) url: String,
}

impl Place {
    fn new() -> Option<Place> {
        Some(Place::at(&broker()?, &[]))
    }

    pub(crate) fn at(broker: &str, settings: &[(&str, &str)]) -> Place {
        let topic = fresh("results");
        create(broker, &topic, 4, settings);
        let place = Place {
            folder: tempfile::tempdir().unwrap(),
            url: format!("kafka://{broker}/{topic}"),
            broker: broker.to_owned(),
            topic,
        };
        place.write("in.jsonl", &lines(&["PLACED", "PLACED", "SHIPPED"]));
        place
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, statuses: &[&str]) {
        let mut file = fs::File::options()
            .append(true)
            .open(self.path("in.jsonl"))
            .unwrap();
        file.write_all(lines(statuses).as_bytes()).unwrap();
    }

    /// The sink, with options in front.
    fn sink(&self, options: &str) -> String {
        format!("--to={options} {}", self.url)
    }

    /// Counts `in.jsonl` by status with these flags.
    pub(crate) fn count(&self, flags: &[&str]) -> Output {
        let mut command = tallyline(&["count", "--by=status", "--output=json", "--to-drain=0s"]);
        command.arg(self.path("in.jsonl")).args(flags);
        command.output().unwrap()
    }

    /// The same, which must go well, into the topic and with a state. Returns what was printed.
    fn deliver(&self, flags: &[&str]) -> String {
        let (state, sink) = (format!("--state={}", self.path("s.db")), self.sink(""));
        let output = self.count(&[&[&state[..], &sink], flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// How many batches the sink has, as a state knows.
    fn batches_taken(&self, state: &str) -> i64 {
        let db = rusqlite::Connection::open(self.path(state)).unwrap();
        let taken = "SELECT batch FROM sink WHERE name LIKE 'kafka:%'";
        db.query_row(taken, [], |row| row.get(0)).unwrap_or(0)
    }

    /// What consumers find; nobody may be delivering.
    pub(crate) fn read(&self) -> Vec<Told> {
        read_all(&self.broker, &self.topic)
    }
}

pub(crate) fn lines(statuses: &[&str]) -> String {
    let line = |status: &&str| format!("{{\"status\":{}}}\n", Value::from(*status));
    statuses.iter().map(line).collect()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Of messages of a kind: how often each key was counted, by batch.
fn counts(messages: &[Told]) -> BTreeMap<(u64, String), u64> {
    let mut counts = BTreeMap::new();
    for Told { value, .. } in messages.iter().filter(|told| told.value["type"] == "count") {
        let which = (value["batch"].as_u64().unwrap(), value["key"].to_string());
        let count = value["count"].as_u64().unwrap();
        let before = counts.insert(which, count);
        assert_eq!(before, None, "twice: {value}");
    }
    counts
}

/// The same of what `--output json` printed.
fn printed(text: &str) -> BTreeMap<(u64, String), u64> {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let report: Value = serde_json::from_str(line).unwrap();
        let Some(batch) = report["batch"].as_u64() else {
            continue;
        };
        for row in report["counts"].as_array().unwrap() {
            counts.insert(
                (batch, row["key"].to_string()),
                row["count"].as_u64().unwrap(),
            );
        }
    }
    counts
}

#[test]
fn a_row_is_a_message_with_what_standard_output_has() {
    let Some(place) = Place::new() else { return };
    let output = place.count(&[&place.sink(""), "--job=j", "--window=10s"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let messages = place.read();
    let find = |key: Value| {
        let mut found = messages.iter().filter(|told| told.key == key);
        let value = found
            .next()
            .unwrap_or_else(|| panic!("no {key}"))
            .value
            .clone();
        assert!(found.next().is_none(), "twice: {key}");
        value
    };
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let reports: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [batch, window, totals] = &reports[..] else {
        panic!("{stdout}")
    };
    let row = find(serde_json::json!(["j", "count", "PLACED"]));
    assert_eq!(
        (&row["count"], &row["total"], &row["job"]),
        (&2.into(), &2.into(), &"j".into())
    );
    assert_eq!(
        (&row["start"], &row["end"]),
        (&batch["start"], &batch["end"])
    );
    let report = find(serde_json::json!(["j", "batch"]));
    assert_eq!(
        (&report["ledger"], &report["batch"]),
        (&batch["ledger"], &batch["batch"])
    );
    let which = [&window["length_ms"], &window["slide_ms"], &window["start"]];
    let row = find(serde_json::json!([
        "j",
        "window_count",
        which[0],
        which[1],
        which[2],
        "SHIPPED"
    ]));
    assert_eq!(
        (&row["count"], &row["final"]),
        (&1.into(), &window["final"])
    );
    find(serde_json::json!([
        "j", "window", which[0], which[1], which[2]
    ]));
    assert_eq!(
        find(serde_json::json!(["j", "total", "PLACED"]))["total"],
        2
    );
    assert_eq!(
        find(serde_json::json!(["j", "totals"]))["ledger"],
        totals["ledger"]
    );
    assert_eq!(messages.len(), 9);
    let told = format!("{}: 1 batch with 6 rows delivered\n", place.url);
    assert!(stderr(&output).contains(&told), "{}", stderr(&output));
}

#[test]
fn hostile_keys_arrive_as_they_left_and_each_has_a_message_of_its_own() {
    let Some(place) = Place::new() else { return };
    let mut keys: Vec<String> = [
        "\0",
        "a\0b",
        "\\u0000",
        "\"",
        "\\",
        "\n",
        "",
        "null",
        "1",
        "👩\u{200d}👧",
    ]
    .map(str::to_owned)
    .into();
    for plane in 0..17u32 {
        keys.extend(char::from_u32(plane << 16 | 0x1234).map(String::from));
    }
    let long = "k".repeat(64 * 1024);
    keys.extend([long.clone() + "1", long + "2"]);
    let mut text = lines(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    text += "{\"status\":1}\n{\"status\":1.0}\n{\"status\":null}\n{\"status\":true}\n";
    place.write("in.jsonl", &text);
    place.deliver(&[]);
    let messages = place.read();
    let of_kind = |kind: &'static str| {
        messages
            .iter()
            .filter(move |told| told.value["type"] == kind)
    };
    let seen: HashSet<String> = of_kind("total")
        .filter_map(|told| told.value["key"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(seen, keys.iter().cloned().collect());
    assert_eq!(of_kind("total").count(), keys.len() + 4);
    let distinct: HashSet<String> = messages.iter().map(|told| told.key.to_string()).collect();
    assert_eq!(distinct.len(), messages.len());
}

#[test]
fn with_a_state_each_batch_is_there_once_whatever_was_saved() {
    let Some(place) = Place::new() else { return };
    let mut all = place.deliver(&[]);
    place.append(&["CANCELLED"]);
    all += &place.deliver(&[]);
    let expected = printed(&all);
    assert_eq!(counts(&place.read()), expected);
    assert_eq!(expected.len(), 3);
    // A process that was killed behind its commit: the state does not know of the delivery, and hands the same
    // batch over again. The other sink takes nothing, so that the batch is still there.
    place.append(&["LATER"]);
    let other = ["--to=exec:false"];
    let state = format!("--state={}", place.path("s.db"));
    let output = place.count(&[&state, &place.sink(""), other[0]]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let db = rusqlite::Connection::open(place.path("s.db")).unwrap();
    let back = "UPDATE sink SET batch = batch - 1 WHERE name LIKE 'kafka:%'";
    assert_eq!(db.execute(back, []).unwrap(), 1);
    drop(db);
    let output = place.count(&[&state, &place.sink(""), other[0]]);
    // That one, and this run's own, which is empty.
    assert!(
        stderr(&output).contains("2 batches with"),
        "{}",
        stderr(&output)
    );
    // Twice would fail there.
    assert_eq!(counts(&place.read()).len(), 4);
}

#[test]
fn a_new_state_with_the_same_job_begins_again() {
    let Some(place) = Place::new() else { return };
    place.deliver(&[]);
    fs::remove_file(place.path("s.db")).unwrap();
    place.deliver(&[]);
    // Both runs' first batch, though the brokers know of a batch 1 of this job.
    let messages = place.read();
    let placed = messages
        .iter()
        .filter(|told| told.key[1] == "count" && told.key[2] == "PLACED");
    assert_eq!(placed.count(), 2);
}

#[test]
fn a_second_program_with_the_same_job_shuts_the_first_one_out_and_that_is_told() {
    let Some(place) = Place::new() else { return };
    let mut command = tallyline(&[
        "count",
        "-",
        "--by=status",
        "--output=none",
        "--every=100ms",
    ]);
    command
        .args([
            "--to-drain=0s",
            "--state",
            &place.path("first.db"),
            &place.sink(""),
        ])
        .stdin(Stdio::piped());
    let (told, tells) = mpsc::channel();
    let mut first = Running::start(&mut command, move |line| {
        drop(told.send(line.to_owned()));
    });
    let mut stdin = first.stdin();
    stdin.write_all(lines(&["A"]).as_bytes()).unwrap();
    while place.batches_taken("first.db") == 0 {}
    place.deliver(&[]);
    let shut_out = tells.iter().find(|line| {
        line.contains("another program has begun to deliver the results of job tallyline there; give each a --job of its own")
    });
    assert!(shut_out.is_some());
    first.signal(Signal::TERM);
    assert_eq!(first.finish().status.code(), Some(1));
    // With a job of its own it would not have been.
    let own = place.deliver(&["--job=other"]);
    assert!(!own.is_empty());
}

#[test]
fn a_row_that_is_too_long_for_a_message_is_hidden_and_told() {
    let Some(place) = Place::new() else { return };
    place.append(&[&"k".repeat(5_000)]);
    for state in ["--job=plain", &format!("--state={}", place.path("s.db"))] {
        let sink = place.sink("filter=batches X.message.max.bytes=4000 X.batch.size=4000");
        let output = place.count(&[&sink, state]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("batch 1: 1 row is longer than a message may be"),
            "{}",
            stderr(&output)
        );
    }
    let messages = place.read();
    let reports = messages.iter().filter(|told| told.value["type"] == "batch");
    for report in reports.clone() {
        assert_eq!(report.value["hidden"]["count"], 1);
    }
    assert_eq!(reports.count(), 2);
}

#[test]
fn what_the_topic_takes_no_message_of_is_passed_over_and_told() {
    let Some(broker) = broker() else { return };
    let place = Place::at(&broker, &[("max.message.bytes", "2000")]);
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(9_000)
        .collect();
    place.append(&[&noise]);
    let state = format!("--state={}", place.path("s.db"));
    let output = place.count(&[&state, &place.sink("")]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("batch 1 is not taken and passed over: the topic takes no messages as long"),
        "{told}"
    );
    assert_eq!(place.read(), []);
}

#[test]
fn what_is_wrong_with_a_topic_is_told_before_anything_is_counted() {
    let (Some(place), Some(sasl), Some((tls, _))) = (Place::new(), sasl_broker(), tls_broker())
    else {
        return;
    };
    place.write("sasl", "security.protocol=SASL_PLAINTEXT\nsasl.mechanisms=PLAIN\nsasl.username=tally\nsasl.password=guessed\n");
    let (of, broker, topic) = (&place.url, &place.broker, &place.topic);
    for (sink, told) in [
        (
            format!("kafka://{broker}/nosuch"),
            "there is no topic nosuch; check the name, or create it",
        ),
        (
            format!("kafka://{broker}"),
            "there is no topic; write kafka://HOST:PORT/TOPIC",
        ),
        (
            format!("X.nonsense=1 {of}"),
            "X.nonsense: no such configuration property",
        ),
        (format!("X.acks=1 {of}"), "`acks` must be set to `all`"),
        (
            format!("X.transactional.id=x {of}"),
            "transactional.id cannot be set so; it is made of --job",
        ),
        (
            format!("X.sasl.password=hunter2 {of}"),
            "X.sasl.password=…: a secret does not belong on the command line; write it into a file and give properties=FILE",
        ),
        (
            format!("properties=/nosuch {of}"),
            "properties=/nosuch: cannot read the file: no such file or directory",
        ),
        (
            format!("properties={} kafka://{sasl}/{topic}", place.path("sasl")),
            "Invalid username or password; check the credentials, the rights and what X. sets",
        ),
        (
            format!("X.security.protocol=SSL kafka://{tls}/{topic}"),
            "certificate verify failed",
        ),
    ] {
        let output = place.count(&[&format!("--to={sink}")]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{sink}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(told), "no {told:?} in {text}");
        assert!(
            !text.contains("hunter2") && !text.contains("guessed"),
            "{text}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn over_tls_and_with_credentials_results_are_delivered_too() {
    let (Some(place), Some(sasl), Some((tls, authority))) =
        (Place::new(), sasl_broker(), tls_broker())
    else {
        return;
    };
    place.write("sasl", "security.protocol=SASL_PLAINTEXT\nsasl.mechanisms=PLAIN\nsasl.username=tally\nsasl.password=line\n");
    let topic = &place.topic;
    let sinks = [
        format!("properties={} kafka://{sasl}/{topic}", place.path("sasl")),
        format!("X.security.protocol=SSL X.ssl.ca.location={authority} kafka://{tls}/{topic}"),
    ];
    for (job, sink) in ["sasl", "tls"].iter().zip(&sinks) {
        let state = format!("--state={}", place.path(&format!("{job}.db")));
        let output = place.count(&[&format!("--to={sink}"), &format!("--job={job}"), &state]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let tried = tallyline(&["sink", "test", sink]).output().unwrap();
        let found = String::from_utf8(tried.stdout).unwrap();
        assert!(
            found.ends_with(": the topic is there, with 4 partitions\n"),
            "{found}"
        );
    }
    let messages = place.read();
    for job in ["sasl", "tls"] {
        assert_eq!(messages.iter().filter(|told| told.key[0] == job).count(), 6);
    }
}

#[test]
fn a_broker_that_is_not_there_is_told_and_the_counting_goes_on() {
    let Some(place) = Place::new() else { return };
    for state in ["--job=plain", &format!("--state={}", place.path("s.db"))] {
        let output = place.count(&["--to=kafka://127.0.0.1:1/results", state]);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("onnection refused; tried again, counting goes on"),
            "{told}"
        );
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    }
}

#[test]
fn to_try_a_sink_writes_nothing_and_disturbs_nobody() {
    let Some(place) = Place::new() else { return };
    let tried = tallyline(&["sink", "test", &place.url]).output().unwrap();
    assert_eq!(tried.status.code(), Some(0), "{}", stderr(&tried));
    assert_eq!(place.read(), []);
    let missing = place.url.clone() + "-not-there";
    for _ in 0..2 {
        let tried = tallyline(&["sink", "test", &missing]).output().unwrap();
        assert!(
            stderr(&tried).contains("there is no topic"),
            "{}",
            stderr(&tried)
        );
    }
}

#[test]
fn a_broker_killed_and_restarted_costs_no_batch_and_doubles_none() {
    if broker().is_some() {
        let own = OwnBroker::start("killed-under-a-sink");
        lost_for_a_while(&own, OwnBroker::kill, OwnBroker::restart);
    }
}

#[test]
fn a_broker_that_is_frozen_and_thaws_costs_no_batch_and_doubles_none() {
    if broker().is_some() {
        let own = OwnBroker::start("frozen-under-a-sink");
        lost_for_a_while(&own, OwnBroker::freeze, OwnBroker::thaw);
    }
}

/// Counts before, while and after a broker is lost, which is told, and compares what consumers have with what was printed.
fn lost_for_a_while(own: &OwnBroker, lose: fn(&OwnBroker), find: fn(&OwnBroker)) {
    let place = Place::at(&own.address, &[]);
    let mut command = tallyline(&["count", "-", "--by=status", "--output=json", "--every=50ms"]);
    command
        .args([
            "--to-drain=60s",
            "--state",
            &place.path("s.db"),
            &place.sink("timeout=3s"),
        ])
        .stdin(Stdio::piped());
    let (told, tells) = mpsc::channel();
    let mut running = Running::start(&mut command, move |line| {
        drop(told.send(line.to_owned()));
    });
    let mut stdin = running.stdin();
    let mut stdout = String::new();
    let mut batches_with = |word: &str, count: usize, stdin: &mut std::process::ChildStdin| {
        for _ in 0..count {
            stdin.write_all(lines(&[word]).as_bytes()).unwrap();
            loop {
                let line = running.line().unwrap();
                stdout += &line;
                if line.contains(word) {
                    break;
                }
            }
        }
    };
    batches_with("before", 5, &mut stdin);
    lose(own);
    // Nobody waits for the broker.
    batches_with("meanwhile", 5, &mut stdin);
    assert!(
        tells
            .iter()
            .any(|line| line.contains("tried again, counting goes on"))
    );
    find(own);
    batches_with("after", 5, &mut stdin);
    assert!(
        tells
            .iter()
            .any(|line| line.contains("takes results again"))
    );
    drop(stdin);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout += &String::from_utf8(output.stdout).unwrap();
    assert_eq!(counts(&place.read()), printed(&stdout));
}

#[test]
fn what_consumers_have_in_the_end_is_what_was_counted_whatever_was_killed() {
    let Some(broker) = broker() else { return };
    let options = torture::Options {
        binary: env!("CARGO_BIN_EXE_tallyline").into(),
        seed: fastrand::u64(..1 << 32),
        kills: 12,
        has_fault_points: cfg!(feature = "simulation"),
    };
    let topic = torture::Topic::new(&broker, &fresh("torture"), None).unwrap();
    torture::served(&options, &topic).unwrap();
}
