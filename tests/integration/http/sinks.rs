//! What becomes of results on their way to sinks, as metrics and in the status.

use std::io::Write;
use std::process::Stdio;
use std::sync::mpsc::channel;

use serde_json::Value;

use super::client::get;
use crate::support::{Running, tallyline};

#[test]
fn each_sink_tells_what_it_has_taken_and_what_failed() {
    let here = tempfile::tempdir().unwrap();
    let file = format!("file:{}/a.jsonl", here.path().display());
    let flags = [
        "count",
        "-",
        "--by=k",
        "--http=0",
        "--output=none",
        "--every=20ms",
        "--to-drain=0s",
        "--to=exec:false",
    ];
    let mut command = tallyline(&[&flags[..], &["--to", &file]].concat());
    let (sender, addresses) = channel();
    let mut run = Running::start(command.stdin(Stdio::piped()), move |line| {
        if let Some(url) = line.strip_prefix("dashboard at http://") {
            sender.send(url.trim_end_matches('/').to_owned()).unwrap();
        }
    });
    let mut stdin = run.stdin();
    let address = addresses.recv().unwrap().parse().unwrap();
    stdin.write_all(b"{\"k\":1}\n").unwrap();
    let figure = |text: &str, metric: &str, sink: &str| {
        let begin = format!("tallyline_{metric}{{sink=\"{sink}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&begin));
        line.map(|figure| figure.parse::<u64>().unwrap())
    };
    let text = loop {
        let text = get(address, "/metrics").text().to_owned();
        let failed = figure(&text, "sink_failed_attempts_total", "exec:false");
        let rows = figure(&text, "sink_delivered_rows_total", &file);
        if failed > Some(0) && rows > Some(0) {
            break text;
        }
    };
    assert_eq!(
        figure(&text, "sink_delivered_batches_total", "exec:false"),
        Some(0)
    );
    assert_eq!(figure(&text, "sink_failed_attempts_total", &file), Some(0));
    assert!(figure(&text, "sink_waiting_batches", "exec:false") > Some(0));
    assert_eq!(figure(&text, "sink_failing", "exec:false"), Some(1));
    assert_eq!(figure(&text, "sink_failing", &file), Some(0));
    assert!(text.contains("tallyline_sink_lag_seconds{sink=\"exec:false\"} "));

    let status = get(address, "/api/v1/status").json();
    let [failing, well] = &status["sinks"].as_array().unwrap()[..] else {
        panic!("{status}");
    };
    assert_eq!(failing["name"], "exec:false");
    assert_eq!(
        (&failing["batches"], &failing["failing"]),
        (&0.into(), &true.into())
    );
    assert!(failing["waiting"].as_u64() > Some(0), "{failing}");
    assert_eq!(failing["last_error"], "the command ended with status 1");
    assert_eq!(well["name"], file.as_str());
    assert_eq!(
        (&well["failing"], &well["last_error"]),
        (&false.into(), &Value::Null)
    );
    assert!(well["rows"].as_u64() > Some(0), "{well}");
    drop(stdin);
    assert_eq!(run.finish().status.code(), Some(1));
}
