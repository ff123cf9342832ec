//! Composite keys, conditions and sums, as users ask for them.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::tallyline;

const ORDERS: &str = r#"
{"status":"PLACED","customer":{"country":"DE"},"amount":12.50,"vip":true}
{"status":"PLACED","customer":{"country":"DE"},"amount":0.10,"vip":false}
{"status":"PLACED","customer":{"country":"FR"},"amount":1e3}
{"status":"SHIPPED","customer":{"country":"DE"},"amount":"7","vip":null}
{"status":"SHIPPED","customer":{"country":49},"amount":-0.20}
{"status":"SHIPPED","customer":{},"amount":5}
{"status":"LOST","amount":5
"#;

/// Counts [`ORDERS`], given on standard input.
fn count(flags: &[&str], variables: &[(&str, &str)]) -> Output {
    let args = [&["count", "-"], flags].concat();
    let mut command = tallyline(&args);
    command.envs(variables.iter().copied());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Refused flags end the program before it reads.
    drop(stdin.write_all(ORDERS.trim_start().as_bytes()));
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// The totals in JSON: the ledger's columns that are not 0, and the rest.
fn totals(flags: &[&str]) -> (Value, Value) {
    totals_of(&count(&[flags, &["-q", "-o", "json"]].concat(), &[]))
}

fn totals_of(output: &Output) -> (Value, Value) {
    assert!(output.status.success(), "{output:?}");
    let last = str::from_utf8(&output.stdout).unwrap().lines().last();
    let mut totals: Value = serde_json::from_str(last.unwrap()).unwrap();
    let mut ledger = totals["ledger"].take();
    let columns = ledger.as_object_mut().unwrap();
    columns.retain(|_, lines| *lines != 0);
    (ledger, totals["counts"].take())
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_composite_key_is_an_array_and_needs_all_its_parts() {
    let (ledger, counts) = totals(&["--by", "status", "--by", "customer.country"]);
    assert_eq!(
        ledger,
        json!({"lines": 7, "counted": 5, "missing": 1, "malformed": 1})
    );
    assert_eq!(
        counts,
        json!([
            {"key": ["PLACED", "DE"], "total": 2},
            {"key": ["PLACED", "FR"], "total": 1},
            {"key": ["SHIPPED", 49], "total": 1},
            {"key": ["SHIPPED", "DE"], "total": 1},
        ])
    );
}

#[test]
fn conditions_must_all_be_met_and_filtered_goes_before_missing() {
    let by = |conditions: &[&str]| {
        let mut flags = vec!["--by", "customer.country"];
        for condition in conditions {
            flags.extend(["--where", condition]);
        }
        let (ledger, _) = totals(&flags);
        let column = |name: &str| ledger[name].as_u64().unwrap_or(0);
        assert_eq!((column("lines"), column("malformed")), (7, 1));
        (column("counted"), column("missing"), column("filtered"))
    };
    assert_eq!(by(&[]), (5, 1, 0));
    assert_eq!(by(&["status=PLACED"]), (3, 0, 3));
    assert_eq!(by(&["status!=PLACED"]), (2, 1, 3));
    assert_eq!(by(&["vip"]), (3, 0, 3));
    assert_eq!(by(&["vip!=true"]), (4, 1, 1));
    assert_eq!(by(&["vip", "vip!=true"]), (2, 0, 4));
    assert_eq!(by(&["vip=null"]), (1, 0, 5));
    assert_eq!(by(&["amount=12.5"]), (1, 0, 5));
    assert_eq!(by(&["amount=7", "customer.country!=\"49\""]), (1, 0, 5));
    assert_eq!(by(&["amount=\"1e3\""]), (0, 0, 6));
    assert_eq!(by(&["customer"]), (5, 1, 0));
}

#[test]
fn sums_are_exact_and_what_has_no_number_is_told() {
    let output = count(&["--by", "status", "--sum", "amount", "-o", "json"], &[]);
    let text = str::from_utf8(&output.stdout).unwrap();
    for row in [
        r#"{"key":"PLACED","total":3,"total_sum":1012.60}"#,
        r#"{"key":"SHIPPED","total":3,"total_sum":4.80}"#,
    ] {
        assert!(text.contains(row), "{text}");
    }
    assert!(text.contains(r#""unsummed":1"#), "{text}");
    let warning = "records without a number at amount that can be added";
    assert_eq!(stderr(&output).matches(warning).count(), 1, "{output:?}");
    assert!(stderr(&output).contains("unsummed"), "{output:?}");
}

#[test]
fn beyond_the_key_limit_sums_go_under_other() {
    let flags = [
        "--by",
        "customer.country",
        "--by",
        "status",
        "--sum",
        "amount",
    ];
    let (_, counts) = totals(&[&flags[..], &["--max-keys", "1"]].concat());
    let rows = counts.as_array().unwrap();
    assert_eq!(rows.len(), 2, "{counts}");
    let other = rows.iter().find(|row| row["key"] == "_other").unwrap();
    // Which key has come first depends on the shards' turns; both sums together do not.
    let first = rows.iter().find(|row| row["key"].is_array()).unwrap();
    let cents = |row: &Value| (row["total_sum"].as_f64().unwrap() * 100.0).round();
    assert_eq!(cents(other) + cents(first), 101_240.0, "{counts}");
    assert_eq!(
        other["total"].as_u64().unwrap() + first["total"].as_u64().unwrap(),
        5
    );
}

#[test]
fn conditions_and_keys_stand_in_a_file_and_in_the_environment_too() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.toml");
    let text = "by = ['status', 'customer.country']\nwhere = ['status=PLACED', 'customer.country!=FR']\nsum = 'vip'\n";
    std::fs::write(&job, text).unwrap();
    let job = job.to_str().unwrap();
    let flags = ["--config", job, "-q", "-o", "json"];
    let variables = [("TALLYLINE_SUM", "amount")];
    let output = count(&flags, &variables);
    let (ledger, counts) = totals_of(&output);
    assert_eq!(
        ledger,
        json!({"lines": 7, "counted": 2, "filtered": 4, "malformed": 1})
    );
    assert_eq!(
        counts,
        json!([{"key": ["PLACED", "DE"], "total": 2, "total_sum": 12.60}])
    );
    let variables = [
        ("TALLYLINE_SUM", "amount"),
        ("TALLYLINE_WHERE", "status=SHIPPED\ncustomer.country=DE"),
    ];
    let (ledger, _) = totals_of(&count(&flags, &variables));
    assert_eq!(
        ledger,
        json!({"lines": 7, "counted": 1, "filtered": 5, "malformed": 1})
    );
}

#[test]
fn what_cannot_be_asked_is_one_line() {
    let many: Vec<String> = (0..17).map(|i| format!("p{i}")).collect();
    let mut too_many = vec!["--sum", "x"];
    for path in &many[..16] {
        too_many.extend(["--by", path]);
    }
    for (flags, expected) in [
        (
            &["--by", "status", "--where", "price>5"][..],
            "--where 'price>5': write PATH=VALUE, PATH!=VALUE or PATH; ",
        ),
        (
            &["--by", "status", "--where", "a..b=5"],
            "--where 'a..b=5': key path \"a..b\", character 3: a name is missing here; ",
        ),
        (
            &["--by", "status", "--where", "a=\"5"],
            "--where 'a=\"5': a value that begins with a quote is a JSON string; ",
        ),
        (
            &["--by", "status", "--sum", "[0]"],
            "--sum '[0]': key path \"[0]\", character 1: ",
        ),
        (
            &too_many,
            "--by, --where and --sum: 17 different paths are too many; give at most 16",
        ),
    ] {
        let output = count(flags, &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let line = stderr(&output);
        assert!(
            line.starts_with(&format!("tallyline: {expected}")),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn a_state_file_keeps_composite_keys_and_knows_the_conditions() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (orders, state) = (path("orders.jsonl"), path("orders.db"));
    std::fs::write(&orders, ORDERS.trim_start()).unwrap();
    let query = ["--by", "status", "--by", "customer.country"];
    let flags = [
        &["count", &orders, "-q", "-o", "json", "--state", &state][..],
        &query,
    ];
    let condition = ["--where", "customer.country!=FR"];
    let kept = [&flags.concat()[..], &condition].concat();
    for _ in 0..2 {
        let (ledger, counts) = totals_of(&tallyline(&kept).output().unwrap());
        assert_eq!(
            ledger,
            json!({"lines": 7, "counted": 4, "missing": 1, "filtered": 1, "malformed": 1})
        );
        assert_eq!(counts[0], json!({"key": ["PLACED", "DE"], "total": 2}));
    }
    let refused = tallyline(&flags.concat()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let words = "it was counted with --where customer.country!=FR, this run has no --where";
    assert!(stderr(&refused).contains(words), "{refused:?}");
    let verified = tallyline(&["verify", &orders, "--state", &state]).output();
    assert!(verified.as_ref().unwrap().status.success(), "{verified:?}");
    let exported = tallyline(&["state", "export", &state, "--format", "csv"]).output();
    let exported = exported.unwrap();
    let text = str::from_utf8(&exported.stdout).unwrap();
    assert!(
        text.contains(",PLACED,string,DE,string,,2\n"),
        "{exported:?}"
    );
}
