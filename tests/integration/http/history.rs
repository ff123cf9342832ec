//! With a state the API goes back to what earlier runs counted, and says of it what they printed.

use std::path::PathBuf;

use serde_json::Value;
use tallyline::live::LiveSettings;

use super::answers::assert_has;
use super::client::{get, get_with};
use super::{Over, options};

/// Few batches and windows are kept in memory.
const SHORT: LiveSettings = LiveSettings {
    batches: 4,
    ..LiveSettings::FULL
};

/// Two runs over one state, of which the second is served, with a pause between them.
fn two_runs(state: &std::path::Path) -> (Over, Over) {
    let run = |seconds| Over::run(options(), SHORT, seconds, Some(state.to_owned()));
    (run(0..12), run(20..27))
}

/// The items of all pages from an address on, page by page.
fn pages(over: &Over, path: &str, kind: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = get(over.address(), &path).json();
        pages.push(page[kind].as_array().unwrap().clone());
        next = page["page"]["next"].as_str().map(str::to_owned);
    }
    pages
}

#[test]
fn batches_of_earlier_runs_are_on_the_pages_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = two_runs(&folder.path().join("state.db"));
    let printed = [first.printed("batch"), second.printed("batch")].concat();
    let all = pages(&second, "/api/v1/batches?limit=1000", "batches").concat();
    assert_eq!(all.len(), printed.len());
    for (number, (answered, printed)) in (1..).zip(all.iter().zip(&printed)) {
        assert_has(answered, printed);
        assert_eq!(answered["batch"], number);
        // How those in memory went is known.
        let is_kept = number > all.len() - 4;
        assert_eq!(answered["p99_us"].is_number(), is_kept, "{answered}");
    }
    for limit in [1, 3, 5] {
        let back = pages(
            &second,
            &format!("/api/v1/batches?limit={limit}"),
            "batches",
        );
        assert!(back.iter().all(|page| (1..=limit).contains(&page.len())));
        let back: Vec<Value> = back.into_iter().rev().flatten().collect();
        assert_eq!(back, all);
        let forth = format!("/api/v1/batches?limit={limit}&after=0");
        assert_eq!(pages(&second, &forth, "batches").concat(), all);
    }
    let between = get(second.address(), "/api/v1/batches?after=2&before=6&keys=1").json();
    let between = between["batches"].as_array().unwrap();
    assert_eq!(between.len(), 3);
    for (answered, whole) in between.iter().zip(&all[2..]) {
        assert_eq!(answered["counts"][0], whole["counts"][0]);
        assert_eq!(
            answered["hidden"]["keys"],
            whole["counts"].as_array().unwrap().len() - 1
        );
        let others = &whole["counts"].as_array().unwrap()[1..];
        let others: u64 = others
            .iter()
            .map(|row| row["count"].as_u64().unwrap())
            .sum();
        assert_eq!(answered["hidden"]["count"], others);
    }

    let ledgers = get(second.address(), "/api/v1/ledger?limit=1000").json();
    assert_eq!(ledgers["batches"].as_array().unwrap().len(), all.len());
    assert_eq!(ledgers["batches"][0]["ledger"], all[0]["ledger"]);
    let csv = get_with(
        second.address(),
        "/api/v1/batches?limit=1000",
        "accept: text/csv\r\n",
    );
    let rows = csv::Reader::from_reader(csv.text().as_bytes())
        .into_records()
        .count();
    let counts = all
        .iter()
        .map(|batch| batch["counts"].as_array().unwrap().len());
    assert!(rows >= counts.sum(), "{rows} rows");
}

#[test]
fn windows_of_earlier_runs_are_on_the_pages_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = two_runs(&folder.path().join("state.db"));
    for (length, slide) in [(4_000, 4_000), (6_000, 2_000)] {
        // A window that was open when a run ended is in no history.
        let mut printed = first.printed("window");
        printed.retain(|window| window["final"] == true);
        printed.extend(second.printed("window"));
        printed.retain(|window| window["length_ms"] == length && window["slide_ms"] == slide);
        let path = format!("/api/v1/windows?length_ms={length}&slide_ms={slide}");
        let all = pages(&second, &format!("{path}&limit=1000"), "windows").concat();
        assert_eq!(all.len(), printed.len());
        for (answered, printed) in all.iter().zip(&printed) {
            // What grew is known of windows in memory alone.
            let without = |window: &Value| {
                let mut window = window.clone();
                window.as_object_mut().unwrap().remove("trending");
                window
            };
            assert_eq!(without(answered), without(printed));
        }
        let back = pages(&second, &format!("{path}&limit=2"), "windows");
        let back: Vec<Value> = back.into_iter().rev().flatten().collect();
        assert_eq!(back, all);
        let forth = pages(&second, &format!("{path}&limit=2&after_ms=0"), "windows");
        assert_eq!(forth.concat(), all);
    }
}

#[test]
fn a_history_that_cannot_be_read_is_told_and_what_is_in_memory_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.db");
    let over = Over::run(options(), SHORT, 0..12, Some(state.clone()));
    std::fs::write(&state, "something else").unwrap();
    let kept = get(over.address(), "/api/v1/batches?limit=2");
    assert_eq!(kept.status, 200);
    let answer = get(over.address(), "/api/v1/batches?limit=9");
    assert_eq!(answer.status, 503);
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(
        error.starts_with("the history cannot be read: ") && error.contains("state.db"),
        "{error}"
    );
    assert_eq!(get(over.address(), "/api/v1/windows?limit=9").status, 503);
    assert_eq!(get(over.address(), "/healthz").status, 200);
}

#[test]
fn long_keys_are_among_the_others_in_the_history_too() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.db");
    let over = Over::run(options(), SHORT, 0..12, Some(state.clone()));
    let db = rusqlite::Connection::open(&state).unwrap();
    let long = "x".repeat(513);
    let change = "UPDATE key SET text = CAST(?1 AS BLOB) WHERE CAST(text AS TEXT) = 'PLACED'";
    assert_eq!(db.execute(change, [&long]).unwrap(), 1);
    let batch = get(over.address(), "/api/v1/batches?before=4&limit=1").json();
    let printed = over.printed("batch")[2]["counts"].as_array().unwrap();
    let (long, others): (Vec<&Value>, Vec<&Value>) =
        printed.iter().partition(|row| row["key"] == "PLACED");
    let batch = &batch["batches"][0];
    assert_eq!(
        batch["counts"]
            .as_array()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        others
    );
    let hidden = serde_json::json!({"keys": 1, "count": long[0]["count"]});
    assert_eq!(batch["hidden"], hidden);
}

#[test]
fn without_a_state_there_is_what_is_in_memory() {
    let over = Over::run(options(), SHORT, 0..12, None::<PathBuf>);
    let all = pages(&over, "/api/v1/batches", "batches").concat();
    let numbers: Vec<u64> = all
        .iter()
        .map(|batch| batch["batch"].as_u64().unwrap())
        .collect();
    let last = over.printed("batch").len() as u64;
    assert_eq!(numbers, (last - 3..=last).collect::<Vec<_>>());
    let behind = get(over.address(), &format!("/api/v1/batches?after={last}")).json();
    assert_eq!(behind["batches"].as_array().unwrap().len(), 0);
    assert_eq!(behind["page"]["next"], Value::Null);
}
