//! What stands in the tables.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::server::{Place, lines, stderr};

#[test]
fn rows_of_batches_totals_and_ledgers_are_there_once() {
    let Some(mut place) = Place::new() else {
        return;
    };
    let state = format!("--state={}", place.path("s.db"));
    let sink = place.sink("");
    for (text, total) in [("\"A\"", 2), ("\"B\"", 1)] {
        let more = lines(&[text.trim_matches('"'); 2][..total]);
        let before = std::fs::read_to_string(place.path("in.jsonl")).unwrap();
        place.write("in.jsonl", &(before + &more));
        let output = place.count(&[&state, &sink, "--job=j"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let counts =
        "SELECT job || ' ' || key || ' ' || count FROM tallyline_counts ORDER BY batch_start, key";
    assert_eq!(place.texts(counts), ["j \"A\" 2", "j \"B\" 1"]);
    let totals = "SELECT key || ' ' || total FROM tallyline_totals ORDER BY key";
    assert_eq!(place.texts(totals), ["\"A\" 2", "\"B\" 1"]);
    let ledgers =
        "SELECT batch || ' ' || lines || ' ' || counted FROM tallyline_batches ORDER BY batch";
    assert_eq!(place.texts(ledgers), ["1 2 2", "2 1 1"]);
}

#[test]
fn a_batch_that_is_handed_over_again_changes_nothing() {
    let Some(mut place) = Place::new() else {
        return;
    };
    place.write("in.jsonl", &lines(&["A", "B", "A"]));
    let path = place.path("s.db");
    // The other sink takes nothing, so that the batch stays in the state.
    let (state, sink) = (format!("--state={path}"), place.sink(""));
    let flags = [&state[..], &sink, "--to=exec:false"];
    place.count(&flags);
    let all = "SELECT t::text || c.xmin FROM tallyline_counts c JOIN tallyline_totals t USING (key) ORDER BY 1";
    let before = place.texts(all);
    assert_eq!(before.len(), 2);
    let db = rusqlite::Connection::open(&path).unwrap();
    let back = "UPDATE sink SET batch = 0 WHERE name LIKE 'postgres:%'";
    assert_eq!(db.execute(back, []).unwrap(), 1);
    drop(db);
    let told = stderr(&place.count(&flags));
    // That one, and the second run's own, which is empty.
    assert!(told.contains("2 batches with"), "{told}");
    assert_eq!(place.texts(all), before);
}

#[test]
fn of_many_totals_those_that_are_as_they_should_be_are_not_sent_at_the_end() {
    let Some(mut place) = Place::new() else {
        return;
    };
    let line = |key: u32| format!("{{\"status\":\"{key}\",\"amount\":{key}.50}}\n");
    let many: String = (0..3_000).map(line).collect();
    place.write("in.jsonl", &many);
    let (state, sink) = (format!("--state={}", place.path("s.db")), place.sink(""));
    let flags = [&state[..], &sink, "--sum=amount", "-vv"];
    let told = stderr(&place.count(&flags));
    assert!(
        told.contains(" 0 of 256 parts of the totals differ"),
        "{told}"
    );
    // Somebody has been there.
    place.run(
        "UPDATE tallyline_totals SET total = 7 WHERE key = '\"5\"'; \
         UPDATE tallyline_totals SET total_sum = 7 WHERE key = '\"6\"'; \
         DELETE FROM tallyline_totals WHERE key = '\"7\"'",
    );
    place.write("in.jsonl", &(many + &line(8)));
    let told = stderr(&place.count(&flags));
    assert!(
        told.contains(" 3 of 256 parts of the totals differ"),
        "{told}"
    );
    let wrong = "SELECT key FROM tallyline_totals WHERE key <> '\"8\"' \
                 AND (total <> 1 OR total_sum::text <> (key::json #>> '{}') || '.50')";
    assert_eq!(place.texts(wrong), Vec::<String>::new());
    let all = "SELECT count(*) || ' ' || sum(total) || ' ' || sum(total_sum) FROM tallyline_totals";
    let sum = (0..3_000).map(|key| 100 * key + 50).sum::<u64>() + 850;
    let sum = format!("{}.{:02}", sum / 100, sum % 100);
    assert_eq!(place.texts(all), [format!("3000 3001 {sum}")]);
}

#[test]
fn hostile_keys_arrive_as_they_left_and_none_are_merged() {
    let Some(mut place) = Place::new() else {
        return;
    };
    let mut keys: Vec<String> = [
        "\0",
        "\\0",
        "\\u0000",
        "a\0b",
        "'; DROP TABLE x; --",
        "\"",
        "\\",
        "\\N",
        "\t",
        "\n",
        "\r",
        "",
        " ",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{fffe}",
        "\u{10ffff}",
        "東京",
        "👩\u{200d}👧",
        "\\.",
        "null",
        "1",
    ]
    .map(str::to_owned)
    .into();
    for plane in 0..17u32 {
        keys.extend(char::from_u32(plane << 16 | 0x1234).map(String::from));
    }
    let long = "k".repeat(64 * 1024);
    keys.extend([long.clone() + "1", long + "2"]);
    let mut text: String = lines(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    text += "{\"status\":1}\n{\"status\":1.0}\n{\"status\":null}\n{\"status\":true}\n";
    place.write("in.jsonl", &text);
    let output = place.count(&[&place.sink("")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let totals: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let expected = totals["counts"].as_array().unwrap();
    assert_eq!(expected.len(), keys.len() + 4);
    let stored = place.texts("SELECT key FROM tallyline_totals WHERE total = 1");
    assert_eq!(stored.len(), expected.len());
    let mut read: BTreeMap<String, usize> = BTreeMap::new();
    for key in &stored {
        let value: Value = serde_json::from_str(key).unwrap();
        *read
            .entry(
                value
                    .as_str()
                    .map_or(key.clone(), |text| format!("string {text}")),
            )
            .or_default() += 1;
    }
    for key in &keys {
        assert_eq!(read.get(&format!("string {key}")), Some(&1), "{key:?}");
    }
    assert_eq!(read.get("1.0"), Some(&1));
    assert_eq!(
        place.figure("SELECT count(*) FROM tallyline_counts WHERE key = '\"\\u0000\"'"),
        1
    );
}

#[test]
fn windows_sums_and_choices_have_their_columns() {
    let Some(mut place) = Place::new() else {
        return;
    };
    place.write(
        "in.jsonl",
        "{\"status\":\"A\",\"n\":0.1}\n{\"status\":\"A\",\"n\":0.2}\n{\"status\":\"B\"}\n",
    );
    let output = place.count(&["--sum=n", "--window=10s", &place.sink("top=1 prefix=my_")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let counts = "SELECT key || ' ' || count || ' ' || sum FROM my_counts";
    assert_eq!(place.texts(counts), ["\"A\" 2 0.3"]);
    let hidden = "SELECT hidden_keys || ' ' || hidden_count FROM my_batches";
    assert_eq!(place.texts(hidden), ["1 1"]);
    let windows = "SELECT key || ' ' || count || ' ' || length_ms FROM my_windows";
    assert_eq!(place.texts(windows)[0], "\"A\" 2 10000");
    let output = place.count(&[&place.sink("filter=totals prefix=only_")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(place.figure("SELECT count(*) FROM only_totals"), 2);
    assert_eq!(
        place.figure(
            "SELECT (SELECT count(*) FROM only_counts) + (SELECT count(*) FROM only_batches)"
        ),
        0
    );
}

#[test]
fn the_dashboard_of_the_docs_finds_what_it_asks_for() {
    let Some(mut place) = Place::new() else {
        return;
    };
    place.write("in.jsonl", &(lines(&["A", "B", "A"]) + "no record\n"));
    let output = place.count(&[&place.sink(""), "--job=j", "--window=5s"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/grafana-postgres.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut answered = BTreeMap::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap() {
            // As the data source fills them in.
            let sql = target["rawSql"].as_str().unwrap();
            let sql = sql.replace("$job", "j").replace(
                "$__timeFilter(batch_start)",
                "batch_start BETWEEN now() - interval '1 h' AND now()",
            );
            let rows = place.client.query(&sql, &[]);
            answered.insert(
                title,
                rows.unwrap_or_else(|error| panic!("{title}: {error}"))
                    .len(),
            );
        }
    }
    let expected = [
        ("Counted", 1),
        ("Counts by key", 2),
        ("Last batch", 1),
        ("Last windows", 2),
        ("Malformed", 1),
        ("Missing", 1),
        ("Not counted", 1),
        ("Records a second", 1),
        ("Totals", 2),
    ];
    assert_eq!(answered, BTreeMap::from(expected));
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let jobs = variables
        .iter()
        .find(|variable| variable["name"] == "job")
        .unwrap();
    assert_eq!(place.texts(jobs["query"].as_str().unwrap()), ["j"]);
}
