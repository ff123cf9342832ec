//! The parser against the oracle: by hand, at random, and at the limits.

use fastrand::Rng;
use proptest::prelude::*;

use super::check::{LINE_BYTES_MAX, Verdicts, check_line, check_line_within};
use super::samples::{corner_cases, mutate, nested, queries, record};
use super::*;
use crate::key::Key;

fn path(text: &str) -> KeyPath {
    KeyPath::parse(text).expect("the tests' paths are valid")
}

/// A plain count.
fn by(text: &str) -> Query {
    path(text).into()
}

fn verdict(path: &str, line: &[u8]) -> Result<Key, Reason> {
    match RecordParser::new(by(path), usize::MAX).line(line) {
        Verdict::Counted(key) | Verdict::Summed(key, _) | Verdict::Timed(key, _) => {
            Ok(key.to_key())
        }
        Verdict::Dropped(reason) => Err(reason),
    }
}

fn string(text: &str) -> Result<Key, Reason> {
    Ok(KeyRef::string(text).to_key())
}

fn number(text: &str) -> Result<Key, Reason> {
    Ok(KeyRef::number(text).to_key())
}

#[test]
fn corner_cases_have_the_oracle_s_verdict() {
    for query in queries() {
        for line in corner_cases() {
            check_line_within(&query, &line, usize::MAX);
        }
    }
}

#[test]
fn malformed_goes_before_filtered_before_missing() {
    let query = Query::new(
        vec![path("status"), path("country")],
        vec![Condition::parse("kind=order").expect("a condition")],
        Some(path("amount")),
    );
    let mut parser = RecordParser::new(query.expect("few fields"), usize::MAX);
    let mut key = Vec::new();
    KeyRef::string("PLACED").push_part(&mut key);
    KeyRef::null().push_part(&mut key);
    let key = KeyRef::composite(&key);
    let counted = |amount: Option<&str>| {
        let number = amount.map(|text| Decimal::parse(text.as_bytes()).expect("a number"));
        Verdict::Summed(key, number)
    };
    for (line, verdict) in [
        (
            r#"{"kind":"ORDER","x":01}"#,
            Verdict::Dropped(Reason::Malformed),
        ),
        (r#"{"kind":"ORDER"}"#, Verdict::Dropped(Reason::Filtered)),
        (
            r#"{"status":"PLACED","country":null}"#,
            Verdict::Dropped(Reason::Filtered),
        ),
        (r#"["order"]"#, Verdict::Dropped(Reason::Filtered)),
        (
            r#"{"kind":"order","status":"PLACED"}"#,
            Verdict::Dropped(Reason::Missing),
        ),
        (
            r#"{"kind":"order","status":[],"country":null}"#,
            Verdict::Dropped(Reason::Missing),
        ),
        (
            r#"{"kind":"order","status":"PLACED","country":null}"#,
            counted(None),
        ),
        (
            r#"{"kind":"order","status":"PLACED","country":null,"amount":"5"}"#,
            counted(None),
        ),
        (
            r#"{"kind":"order","status":"PLACED","country":null,"amount":1e400}"#,
            counted(None),
        ),
        (
            r#"{"kind":"order","status":"PLACED","country":null,"amount":12.50}"#,
            counted(Some("12.50")),
        ),
    ] {
        assert_eq!(parser.line(line.as_bytes()), verdict, "{line}");
    }
}

#[test]
fn numbers_of_any_size_are_keyed_by_their_text() {
    for text in ["1e400", "-0", "18446744073709551616", "1E+05", "0.10"] {
        for line in [
            format!(r#"{{"x":[1,"s",{{}}],"status":{text}}}"#),
            format!(r#"{{"x":-1e999,"status": {text} ,"y":[]}}"#),
            format!(r#"{{"1e999":"\"1","status":{text}}}"#),
        ] {
            assert_eq!(verdict("status", line.as_bytes()), number(text), "{line}");
        }
    }
    assert_eq!(
        verdict("status", br#"{"status":"\u0041","n":1e400}"#),
        string("A")
    );
    assert_eq!(
        verdict("status", br#"{"status":--1,"n":1e400}"#),
        Err(Reason::Malformed)
    );
}

#[test]
fn lone_surrogates_are_malformed_wherever_they_stand() {
    for escape in [
        r"\ud800",
        r"\uDBFF",
        r"\udc00",
        r"\uDFFF",
        r"\ud800\ud800",
        r"\ud800x",
        r"\ud800\n",
        r"\ud800\u0041",
        r"\udc00\ud800",
        r"\ud800\udbff",
        r"\ud83d\ude00\ude00",
    ] {
        for line in [
            format!(r#"{{"status":"{escape}"}}"#),
            format!(r#"{{"status":"x","y":"{escape}"}}"#),
            format!(r#"{{"status":"x","{escape}":1}}"#),
            format!(r#"{{"status":"x","y":[{{"z":["{escape}"]}}]}}"#),
            format!(r#"{{"status":"x","n":1e999,"y":"{escape}"}}"#),
        ] {
            assert_eq!(
                verdict("status", line.as_bytes()),
                Err(Reason::Malformed),
                "{line}"
            );
        }
    }
    assert_eq!(
        verdict("status", br#"{"status":"\ud83d\ude00"}"#),
        string("😀")
    );
}

#[test]
fn depth_ends_at_1024() {
    let path = format!("a{}", ".a".repeat(1023));
    assert_eq!(
        verdict(&path, &nested(1023, "{\"a\":", "}")),
        Err(Reason::Missing)
    );
    assert_eq!(verdict(&path, &nested(1024, "{\"a\":", "}")), number("1"));
    assert_eq!(
        verdict(&path, &nested(1025, "{\"a\":", "}")),
        Err(Reason::Malformed)
    );
    let open = b"[".repeat(1 << 20);
    assert_eq!(verdict("a", &open), Err(Reason::Malformed));
    for depth in [1023, 1024, 1025] {
        let mixed = nested(depth / 2, "[1e999,{\"a\":", "},{}]");
        check_line_within(&by("a"), &mixed, usize::MAX);
    }
}

#[test]
fn long_lines_and_keys_are_judged_whole() {
    let long = "x\u{fc}".repeat(40_000);
    for (line, expected) in [
        (format!(r#"{{"status":"{long}"}}"#), string(&long)),
        (format!(r#"{{"{long}":1,"status":""}}"#), string("")),
        (
            format!(r#"{{"status":1,"{long}":"\ud800"}}"#),
            Err(Reason::Malformed),
        ),
    ] {
        assert_eq!(verdict("status", line.as_bytes()), expected);
        check_line_within(&by("status"), line.as_bytes(), usize::MAX);
    }
    let escaped = r"\u00fc\\".repeat(20_000);
    let line = format!(r#"{{"status":"{escaped}"}}"#);
    assert_eq!(
        verdict("status", line.as_bytes()),
        string(&"ü\\".repeat(20_000))
    );

    let mut line = b"{\"status\":\"x\"}".to_vec();
    line.resize(1 << 20, b' ');
    check_line_within(&by("status"), &line, 1 << 20);
    check_line_within(&by("status"), &line, (1 << 20) - 1);
    line.fill(b' ');
    check_line_within(&by("status"), &line, 1 << 20);
    line.fill(b'"');
    check_line_within(&by("status"), &line, 1 << 20);
    line.fill(b',');
    check_line_within(&by("status"), &line, 1 << 20);
}

#[test]
fn line_limit_counts_the_line_without_its_end() {
    let mut parser = RecordParser::new(by("a"), 7);
    assert!(matches!(parser.line(b"{\"a\":1}"), Verdict::Counted(_)));
    assert_eq!(
        parser.line(b"{\"a\":1}\r"),
        Verdict::Dropped(Reason::Oversize)
    );
    assert_eq!(parser.line(&[b' '; 8]), Verdict::Dropped(Reason::Oversize));
    assert_eq!(parser.line(&[b' '; 7]), Verdict::Dropped(Reason::Blank));
}

#[test]
fn chunks_are_cut_at_newlines() {
    type Verdicts = [Result<Key, Reason>];
    let cases: [(&[u8], &Verdicts); 5] = [
        (b"", &[]),
        (b"\n", &[Err(Reason::Blank)]),
        (b"{\"a\":1}\n", &[number("1")]),
        (b"{\"a\":1}\r\n{\"a\":\"2\"}", &[number("1"), string("2")]),
        (
            b"\n\n{\"a\n1",
            &[
                Err(Reason::Blank),
                Err(Reason::Blank),
                Err(Reason::Malformed),
                Err(Reason::Missing),
            ],
        ),
    ];
    for (chunk, expected) in cases {
        let mut sink = check::Verdicts::default();
        let lines = RecordParser::new(by("a"), 100).chunk(chunk, &mut sink);
        let verdicts: Vec<_> = sink.0.into_iter().map(|(verdict, _)| verdict).collect();
        assert_eq!(verdicts, expected);
        assert_eq!(lines, expected.len() as u64);
    }
}

#[test]
fn parsers_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<RecordParser>();
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Bits of JSON that make lines when strung together; a failing string of them shrinks well.
fn fragment() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![
        &b"{"[..],
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b" ",
        b"\t",
        b"\r",
        b"\"status\":",
        b"\"a\":",
        b"\"b\":",
        b"{\"a\":",
        b"{\"a\":{\"b\":",
        b"\"x\"",
        b"\"\"",
        b"1",
        b"-1",
        b"-",
        b"0",
        b"1e400",
        b"12345678901234567890123",
        b".5",
        b"e9",
        b"true",
        b"false",
        b"null",
        b"nul",
        b"\\u0061",
        b"\\ud800",
        b"\\udc00",
        b"\\n",
        b"\\\"",
        b"\\\\",
        b"\xc3\xbc",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98\x80",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\x1f",
        b"\x7f",
        b"                                                               ",
    ])
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_have_the_oracle_s_verdict(line in prop::collection::vec(any::<u8>(), 0..200)) {
        check_line(&by("a"), &line);
    }

    #[test]
    fn strung_fragments_have_the_oracle_s_verdict(
        parts in prop::collection::vec(fragment(), 0..40),
        query in prop::sample::select(queries()),
    ) {
        check_line(&query, &parts.concat());
    }

    #[test]
    fn fragments_in_a_record_have_the_oracle_s_verdict(
        name in prop::collection::vec(fragment(), 0..3),
        value in prop::collection::vec(fragment(), 0..4),
        blanks in 0..70usize,
    ) {
        let line = [
            b"{\"a\":[1,\"", &name.concat()[..], b"\"],", &b" ".repeat(blanks), b"\"status\":",
            &value.concat(), b"}",
        ];
        check_line(&by("status"), &line.concat());
    }

    #[test]
    fn any_string_is_its_own_key(text in any::<String>(), name in any::<String>()) {
        let [quoted, member] = [&text, &name].map(|s| serde_json::Value::from(&s[..]));
        let line = format!("{{{member} : {quoted}}}");
        let path = format!("[{member}]");
        prop_assert_eq!(verdict(&path, line.as_bytes()), string(&text));
        check_line_within(&by(&path), line.as_bytes(), usize::MAX);
    }

    #[test]
    fn any_float_is_keyed_by_its_text(value in any::<f64>().prop_filter("finite", |f| f.is_finite())) {
        for text in [format!("{value:?}"), format!("{value}"), format!("{value:e}")] {
            let line = format!("{{\"a\":{text}}}");
            prop_assert_eq!(verdict("a", line.as_bytes()), number(&text));
            check_line(&by("a"), line.as_bytes());
        }
    }

    #[test]
    fn random_and_damaged_records_have_the_oracle_s_verdict(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let queries = queries();
        for _ in 0..20 {
            let query = &queries[rng.usize(..queries.len())];
            let mut line = record(&mut rng);
            check_line(query, &line);
            for _ in 0..5 {
                mutate(&mut rng, &mut line);
                check_line(query, &line);
            }
        }
    }

    #[test]
    fn any_stream_is_counted_as_the_oracle_does(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let mut stream = Vec::new();
        for _ in 0..rng.usize(..50) {
            let mut line = record(&mut rng);
            if rng.u8(..4) == 0 {
                mutate(&mut rng, &mut line);
            }
            stream.extend_from_slice(&line);
            stream.push(b'\n');
        }
        stream.truncate(rng.usize(..=stream.len()));
        let mut oracle = crate::oracle::Oracle::new(by("status"), LINE_BYTES_MAX);
        // The byte order mark is the reader's business.
        let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&stream);
        oracle.count(stream);

        let mut sink = Verdicts::default();
        let lines = RecordParser::new(by("status"), LINE_BYTES_MAX).chunk(stream, &mut sink);
        let mut ledger = crate::ledger::Ledger { lines, ..Default::default() };
        let mut counts = std::collections::BTreeMap::new();
        for (verdict, _) in sink.0 {
            match verdict {
                Ok(key) => {
                    ledger.counted += 1;
                    *counts.entry(key).or_insert(0) += 1;
                }
                Err(reason) => ledger.drop_line(reason),
            }
        }
        prop_assert_eq!(ledger, oracle.ledger);
        prop_assert_eq!(counts, oracle.counts);
    }
}
