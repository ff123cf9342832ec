//! What the API says is what the sinks print.

use serde_json::Value;

use super::client::{get, get_with};
use super::{KEYS, Over, options};

/// Whether all members of `printed` are in `answered`, alike.
pub(super) fn assert_has(answered: &Value, printed: &Value) {
    for (name, value) in printed.as_object().unwrap() {
        assert_eq!(&answered[name], value, "{name} of {answered}");
    }
}

#[test]
fn objects_are_those_of_the_json_output() {
    let over = Over::serve(options());
    let totals = get(over.address(), "/api/v1/totals").json();
    assert_has(&totals, over.printed("totals")[0]);
    assert_eq!(totals["keys"], KEYS.len());

    let batches = get(over.address(), "/api/v1/batches").json();
    let batches = batches["batches"].as_array().unwrap();
    let printed = over.printed("batch");
    assert_eq!((batches.len(), printed.len()), (12, 12));
    for (answered, printed) in batches.iter().zip(printed) {
        assert_has(answered, printed);
    }

    let windows = get(
        over.address(),
        "/api/v1/windows?length_ms=6000&slide_ms=2000",
    )
    .json();
    let windows = windows["windows"].as_array().unwrap();
    let printed = over.printed("window");
    let printed = printed.iter().filter(|window| window["length_ms"] == 6000);
    let printed: Vec<_> = printed.collect();
    assert_eq!(windows.len(), printed.len());
    for (answered, printed) in windows.iter().zip(printed) {
        assert_has(answered, printed);
    }

    let ledger = get(over.address(), "/api/v1/ledger").json();
    assert_eq!(ledger["ledger"], over.printed("totals")[0]["ledger"]);
    assert_eq!(ledger["batches"][3]["ledger"], batches[3]["ledger"]);
}

#[test]
fn rows_are_those_of_the_csv_output() {
    let over = Over::serve(options());
    let csv = |path: &str| {
        let answer = get_with(over.address(), path, "accept: text/csv\r\n");
        assert_eq!(answer.field("content-type"), "text/csv; charset=utf-8");
        answer.text().to_owned()
    };
    let read = |text: &str, kind: &str| {
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        let rows = rows.records().map(|row| {
            let row: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
            row
        });
        let rows: Vec<Vec<String>> = rows.filter(|row| row[0] == kind).collect();
        assert!(!rows.is_empty(), "no {kind} in {text}");
        rows
    };
    for (path, kind) in [("/api/v1/totals", "totals"), ("/api/v1/batches", "batch")] {
        assert_eq!(read(&csv(path), kind), read(&over.csv, kind), "{path}");
    }
    let four = read(&over.csv, "window").into_iter().filter(|row| {
        let seconds = |time: &str| time[17..19].parse::<i32>().unwrap();
        (seconds(&row[3]) - seconds(&row[2])).rem_euclid(60) == 4
    });
    assert_eq!(
        read(&csv("/api/v1/windows"), "window"),
        four.collect::<Vec<_>>()
    );
    let ledger = csv("/api/v1/ledger");
    assert_eq!(read(&ledger, "batch").len(), 12);
    assert_eq!(read(&ledger, "totals")[0][4], "1662");
}

#[test]
fn pages_lead_from_one_to_the_next() {
    let over = Over::serve(options());
    let follow = |first: &str, of: &str, what: fn(&Value) -> String| {
        let (mut path, mut pages) = (first.to_owned(), Vec::new());
        loop {
            let page = get(over.address(), &path).json();
            let items = page[of].as_array().unwrap();
            pages.push(items.iter().map(what).collect::<Vec<_>>());
            match page["page"]["next"].as_str() {
                Some(next) => path = next.to_owned(),
                None => return pages,
            }
        }
    };
    let keys = follow("/api/v1/totals?limit=4", "counts", |row| {
        row["key"].to_string()
    });
    assert_eq!(keys.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
    let batches = follow("/api/v1/batches?limit=5&keys=1", "batches", |batch| {
        assert_eq!(batch["counts"].as_array().unwrap().len(), 1);
        assert_eq!(batch["hidden"]["keys"], KEYS.len() - 1);
        batch["batch"].to_string()
    });
    let numbers: Vec<_> = batches.iter().rev().flatten().cloned().collect();
    let all: Vec<_> = (1..=12).map(|number| number.to_string()).collect();
    assert_eq!((batches.len(), numbers), (3, all.clone()));
    let ledger = follow("/api/v1/ledger?limit=11", "batches", |batch| {
        batch["batch"].to_string()
    });
    assert_eq!(ledger.concat().len(), all.len());
    let windows = follow("/api/v1/windows?limit=1", "windows", |window| {
        window["end"].to_string()
    });
    assert_eq!(windows.len(), 3);
}

#[test]
fn a_question_that_makes_no_sense_is_told_why() {
    let over = Over::serve(options());
    for (path, status, what) in [
        (
            "/api/v1/totals?limit=0",
            400,
            "limit: give one number from 1 to 1000",
        ),
        ("/api/v1/totals?limit=ten", 400, "limit: "),
        (
            "/api/v1/totals?top=5",
            400,
            "top: there is no such parameter here",
        ),
        (
            "/api/v1/batches?keys=51",
            400,
            "keys: give one number from 0 to 50",
        ),
        ("/api/v1/batches?before=-1", 400, "before: "),
        (
            "/api/v1/ledger?before=9007199254740992",
            400,
            "before: give one number from 0 to 9007199254740991",
        ),
        (
            "/api/v1/windows?length_ms=5",
            404,
            "there is no such window in this run",
        ),
        ("/api/v1/status?x", 400, "x: "),
        ("/api/v1/nothing", 404, "there is no such thing here"),
    ] {
        let answer = get(over.address(), path);
        assert_eq!(answer.status, status, "{path}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(what), "{path}: {error}");
    }
}

#[test]
fn metrics_add_up() {
    let over = Over::serve(options());
    let answer = get(over.address(), "/metrics");
    assert!(
        answer
            .field("content-type")
            .starts_with("application/openmetrics-text")
    );
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let values = |name: &str| -> Vec<(String, u64)> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let values = lines.filter_map(|line| line.rsplit_once(' '));
        values
            .map(|(labels, value)| (labels.to_owned(), value.parse().unwrap()))
            .collect()
    };
    let records = values("tallyline_records_total");
    let counted = over.printed("totals")[0]["ledger"]["counted"]
        .as_u64()
        .unwrap();
    assert_eq!(records.iter().map(|(_, value)| value).sum::<u64>(), counted);
    // Three keys, as was asked for, and the others.
    assert_eq!(records.len(), 4, "{records:?}");
    assert!(records[3].0.contains("_other"), "{records:?}");
    let escaped = r#"{key="a,\"b\"\n",type="string"}"#;
    assert!(
        records.iter().any(|(labels, _)| labels == escaped),
        "{records:?}"
    );
    let lines: u64 = values("tallyline_lines_total")
        .iter()
        .map(|(_, value)| value)
        .sum();
    assert_eq!(values("tallyline_received_lines_total")[0].1, lines);
}

#[test]
fn the_page_and_its_files_are_there_packed_or_not() {
    let over = Over::serve(options());
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/chart.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let plain = get(over.address(), path);
        assert_eq!(
            (plain.status, plain.field("content-type")),
            (200, kind),
            "{path}"
        );
        let packed = get_with(over.address(), path, "accept-encoding: br, gzip\r\n");
        assert_eq!(packed.field("content-encoding"), "gzip", "{path}");
        let mut unpacked = Vec::new();
        let mut gzip = flate2::read::GzDecoder::new(&*packed.body);
        std::io::Read::read_to_end(&mut gzip, &mut unpacked).unwrap();
        assert_eq!(unpacked, plain.body, "{path}");
    }
    let api = get(over.address(), "/api/v1/openapi.json").json();
    assert_eq!(api["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_run_that_is_over_is_well() {
    let over = Over::serve(options());
    assert_eq!(get(over.address(), "/healthz").text(), "ok\n");
    assert_eq!(get(over.address(), "/readyz").json()["ready"], true);
    let status = get(over.address(), "/api/v1/status").json();
    assert_eq!(
        (&status["over"], &status["batch"]),
        (&true.into(), &12.into())
    );
    assert_eq!(status["sources"][0]["state"], "over");
}
