//! What `--output json` prints, held to the schema in the documentation.

use std::collections::BTreeSet;
use std::fs;

use boon::{Compiler, Schemas};
use serde_json::Value;

use crate::docs::root;
use crate::support::tallyline;

/// The documented schema, made to refuse what it does not know: then a member that nobody documented shows.
fn strict_schema() -> Value {
    let text = fs::read_to_string(root().join("docs/output.schema.json")).unwrap();
    let mut schema = serde_json::from_str(&text).unwrap();
    forbid_others(&mut schema);
    schema
}

fn forbid_others(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("type").is_some_and(|kind| kind == "object") {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            object.values_mut().for_each(forbid_others);
        }
        Value::Array(values) => values.iter_mut().for_each(forbid_others),
        _ => {}
    }
}

/// Lines whose output has every member that files can bring.
fn input() -> String {
    let mut lines = String::new();
    for second in 0..400 {
        let (key, amount) = (second % 7, second % 3);
        lines.push_str(&format!(
            "{{\"k\":{key},\"s\":\"x\\ty\",\"n\":null,\"a\":{amount}.5,\"at\":{second}}}\n"
        ));
    }
    lines.push_str(
        "{\"k\":true,\"s\":\"é\",\"n\":false,\"a\":\"none\",\"at\":401}\nnot JSON\n\n{}\n",
    );
    lines
}

#[test]
fn every_line_fits_and_no_member_is_undocumented() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input.jsonl");
    fs::write(&path, input()).unwrap();
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler
        .add_resource("output.json", strict_schema())
        .unwrap();
    let schema = compiler.compile("output.json", &mut schemas).unwrap();
    let mut members = BTreeSet::new();
    for flags in [
        &["--by", "k"][..],
        &[
            "--by", "k", "--by", "s", "--by", "n", "--sum", "a", "--top", "2", "--stats",
        ],
        &["--by", "s", "--every", "1h", "--window", "2h/1h"],
        &["--by", "k", "--max-keys", "2", "--max-line", "20"],
        &[
            "--by",
            "k",
            "--event-time",
            "at",
            "--event-time-format",
            "s",
            "--window",
            "1m/30s",
            "--trending",
            "3",
            "--emit",
            "partial",
        ],
    ] {
        let args = [
            &["count", path.to_str().unwrap(), "--output", "json", "-q"],
            flags,
        ]
        .concat();
        let output = tallyline(&args).output().unwrap();
        assert!(output.status.success(), "{flags:?}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().count() > 1, "{text}");
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            if let Err(error) = schemas.validate(&value, schema) {
                panic!("{flags:?}: {error:#}\n{line}");
            }
            note_members(&value, &mut members);
        }
    }
    // What the flags above were to bring out has come.
    for member in [
        "hidden",
        "latency",
        "trending",
        "covered",
        "unsummed",
        "total_sum",
        "final",
    ] {
        assert!(members.contains(member), "no {member} in {members:?}");
    }
}

fn note_members(value: &Value, members: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            members.extend(object.keys().cloned());
            object
                .values()
                .for_each(|value| note_members(value, members));
        }
        Value::Array(values) => values.iter().for_each(|value| note_members(value, members)),
        _ => {}
    }
}

#[test]
fn the_schema_tells_wrong_lines() {
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler
        .add_resource("output.json", strict_schema())
        .unwrap();
    let schema = compiler.compile("output.json", &mut schemas).unwrap();
    for line in [
        r#"{"type":"batch"}"#,
        r#"{"type":"totals","ledger":{},"counts":[]}"#,
        r#"{"type":"totals","counts":[{"key":{},"total":1}]}"#,
        "[]",
    ] {
        let value = serde_json::from_str(line).unwrap();
        assert!(schemas.validate(&value, schema).is_err(), "{line}");
    }
}
