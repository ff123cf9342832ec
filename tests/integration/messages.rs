//! What is told on standard error: its formats, and the hint for a path that is not there.

use serde_json::Value;

use crate::cli::feed;

/// Standard error of a count of these lines.
fn told(flags: &[&str], lines: &str) -> String {
    let args = [&["count", "-", "-o", "none"], flags].concat();
    let output = feed(&args, lines.as_bytes().to_vec());
    String::from_utf8(output.stderr).unwrap()
}

const ORDERS: &str = concat!(
    r#"{"order":1,"status":"PLACED","customer":{"country":"DE"}}"#,
    "\n",
    r#"{"order":2,"status":"SHIPPED","customer":{"country":"FR"}}"#,
    "\n",
);

#[test]
fn a_wrong_path_is_answered_with_the_fields_that_are_there() {
    let stderr = told(&["--by", "stauts"], ORDERS);
    let expected = "--by stauts: nothing to count by there in 2 of 2 records; did you mean status? \
                    they have order, status, customer.country";
    assert_eq!(stderr.matches(expected).count(), 1, "{stderr}");
    let stderr = told(&["--by", "status"], ORDERS);
    assert!(!stderr.contains("they have"), "{stderr}");
    let stderr = told(&["--by", "stauts", "-q"], ORDERS);
    assert_eq!(stderr, "");
    let with_time = [
        "--by",
        "status",
        "--event-time",
        "created",
        "--window",
        "1m",
    ];
    let stderr = told(&with_time, ORDERS);
    assert!(
        stderr.contains("--event-time created: nothing to count by there"),
        "{stderr}"
    );
}

#[test]
fn a_condition_that_keeps_nothing_is_answered_with_what_is_there() {
    for (condition, expected) in [
        (
            "staus=PLACED",
            "--where staus=PLACED: none of 2 records met it, for nothing is there; did you mean status? \
             they have order, status, customer.country\n",
        ),
        (
            "status=placed",
            "--where status=placed: none of 2 records met it; did you mean PLACED? \
             there stands \"PLACED\", \"SHIPPED\"\n",
        ),
    ] {
        let flags = ["--by", "status", "--parsers", "1", "--where", condition];
        let stderr = told(&flags, ORDERS);
        assert_eq!(stderr.matches(expected).count(), 1, "{stderr}");
        assert!(!stderr.contains("filtered line"), "{stderr}");
    }
    let stderr = told(&["--by", "status", "--where", "status=SHIPPED"], ORDERS);
    assert!(!stderr.contains("none of"), "{stderr}");
}

#[test]
fn everything_told_to_a_machine_is_json() {
    let mut lines = ORDERS.to_owned();
    lines.push_str("\u{1b}[31m\n");
    let flags = [
        "--by",
        "nowhere",
        "--max-malformed",
        "0",
        "-v",
        "--log-format",
        "json",
    ];
    let stderr = told(&flags, &lines);
    let objects: Vec<Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for object in &objects {
        assert!(object["time"].as_str().unwrap().ends_with('Z'), "{object}");
        assert!(object["message"].is_string(), "{object}");
    }
    let with = |level: &str, part: &str| {
        let is_it = |object: &&Value| {
            object["level"] == level && object["message"].as_str().unwrap().contains(part)
        };
        objects
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{part}: {stderr}"))
    };
    with("info", "counting -");
    with("warn", "malformed line");
    with("warn", "they have order, status");
    with("error", "--max-malformed 0");
    let ledger = &with("info", "done")["ledger"];
    assert_eq!(
        (&ledger["lines"], &ledger["malformed"]),
        (&3.into(), &1.into())
    );
}

#[test]
fn a_wrong_format_is_told_with_those_there_are() {
    let stderr = told(&["--by", "a", "--log-format", "xml"], "");
    assert_eq!(stderr, "tallyline: --log-format 'xml': give text or json\n");
}
