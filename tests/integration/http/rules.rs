//! The alert rules and the Grafana dashboard in the documentation ask for metrics that there are.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::mpsc::channel;

use regex::Regex;
use serde_json::Value;

use super::client::get;
use crate::docs::root;
use crate::support::{Running, tallyline};

/// The names of a run's series, with a state and a sink.
fn names() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.db");
    let flags = [
        "count",
        "-",
        "--by",
        "k",
        "--http",
        "0",
        "--output",
        "none",
        "--every",
        "20ms",
        "--to",
        "exec:cat > /dev/null",
    ];
    let mut command = tallyline(&[&flags[..], &["--state", state.to_str().unwrap()]].concat());
    let (sender, addresses) = channel();
    let mut run = Running::start(command.stdin(Stdio::piped()), move |line| {
        if let Some(url) = line.strip_prefix("dashboard at http://") {
            sender.send(url.trim_end_matches('/').to_owned()).unwrap();
        }
    });
    let stdin = run.stdin();
    let address = addresses
        .recv()
        .expect("the address is told")
        .parse()
        .unwrap();
    // What the saving comes to is told once a batch has closed.
    let text = loop {
        let text = get(address, "/metrics").text().to_owned();
        if text.contains("tallyline_state_failing") {
            break text;
        }
    };
    drop(stdin);
    assert!(run.finish().status.success());
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    families
        .map(
            |family| match family.split_once(' ').expect("a name and a type") {
                (name, "counter") => format!("{name}_total"),
                (name, "info") => format!("{name}_info"),
                (name, _) => name.to_owned(),
            },
        )
        .collect()
}

#[test]
fn rules_and_the_dashboard_name_metrics_that_are_there() {
    let names = names();
    let name = Regex::new(r"tallyline_[a-z_]+").unwrap();
    let mut named = BTreeSet::new();
    for file in ["docs/alerts.yml", "docs/grafana.json"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let found = name.find_iter(&text).map(|found| found.as_str().to_owned());
        named.extend(found);
    }
    assert!(named.len() > 15, "{named:?}");
    let missing: Vec<_> = named.difference(&names).collect();
    assert!(
        missing.is_empty(),
        "no such metrics: {missing:?}; there are {names:?}"
    );
}

#[test]
fn the_dashboard_is_one_that_grafana_reads() {
    let text = fs::read_to_string(root().join("docs/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(
            panel["targets"]
                .as_array()
                .is_some_and(|targets| !targets.is_empty())
        );
        let place = &panel["gridPos"];
        let right = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(right <= 24, "{panel}");
    }
    assert!(panels.len() > 10);
}
