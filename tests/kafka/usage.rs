//! Statistics and wrong usage.

use loadgen::{Plan, Spec};
use serde_json::Value;

use crate::cluster::{broker, fill, fresh};
use crate::support::tallyline;

#[test]
fn the_lag_is_told_by_partition() {
    let Some(broker) = broker() else { return };
    let topic = fresh("lag");
    fill(&broker, &topic, &Spec::default(), &Plan::records(8000));
    let url = format!("kafka://{broker}/{topic}");
    let args = [
        "count",
        &url,
        "--by",
        "status",
        "--until-end",
        "--output",
        "json",
        "--stats",
        "--partitions",
        "1,5",
    ];
    let output = tallyline(&args).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let totals: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let lag = |partition: u32| serde_json::json!({"source": url, "partition": partition, "next": 1000, "lag": 0});
    assert_eq!(totals["lag"], Value::Array(vec![lag(1), lag(5)]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = format!("lag        0 behind the end of {url}, by partition 1: 0, 5: 0");
    assert!(stderr.lines().any(|said| said == line), "{stderr}");
}

#[test]
fn tap_shows_messages_and_takes_part_in_no_group() {
    let Some(broker) = broker() else { return };
    let topic = fresh("tapped");
    fill(&broker, &topic, &Spec::default(), &Plan::records(100));
    let url = format!("kafka://{broker}/{topic}");
    let output = tallyline(&["tap", &url, "--until-end", "--lines", "1"])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("{\"order_id\": ") && stdout.contains("(100 lines)"),
        "{stdout}"
    );
    let output = tallyline(&["tap", &url, "--group", "g"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("tallyline: --group g: "), "{stderr}");
}
