//! The lane against the slow parser and the oracle, each level this CPU has, by
//! [`check_chunk`]: by hand, over small alphabets, byte by byte, and at random.

use fastrand::Rng;
use proptest::prelude::*;

use super::check::{LINE_BYTES_MAX, check_chunk, check_index};
use super::*;
use crate::record::check::Verdicts;
use crate::record::samples::{corner_cases, mutate, nested, queries, query, record};

const ORDER: &[u8] = br#"{"order_id": "0123456789abcdef0123456789abcdef", "status": "PLACED"}"#;

/// A record with something of everything the lane takes.
const SAMPLE: &[u8] =
    br#"{"id":-12.50,"a":[1,{"b":true},[]],"\u0061x":"\n","st":{},"status":"x","z":null}"#;

/// A plain count.
fn by(path: &str) -> Query {
    query(&[path], &[], None)
}

/// Checks the lines, one after the other in a chunk.
fn check_lines(path: &str, lines: impl IntoIterator<Item = impl AsRef<[u8]>>) {
    check_lines_of(&by(path), lines);
}

/// [`check_lines`] of any query.
fn check_lines_of(query: &Query, lines: impl IntoIterator<Item = impl AsRef<[u8]>>) {
    let mut chunk = Vec::new();
    for line in lines {
        chunk.extend_from_slice(line.as_ref());
        chunk.push(b'\n');
        if chunk.len() > 64 << 10 {
            check_chunk(query, &chunk);
            chunk.clear();
        }
    }
    check_chunk(query, &chunk);
}

/// What the lane of each level makes of a line, without a slow parser: nothing if it bails.
fn verdicts(path: &str, line: &[u8]) -> Vec<Verdicts> {
    let chunk = [line, b"\n"].concat();
    let lanes = Level::ALL
        .into_iter()
        .filter_map(|level| FastParser::new(&by(path), usize::MAX, level));
    lanes
        .map(|mut lane| {
            let mut verdicts = Verdicts::default();
            assert_eq!(lane.chunk(&chunk, &mut |_, _| {}, &mut verdicts), 1);
            verdicts
        })
        .collect()
}

fn assert_bails(line: &[u8], reason: BailReason) {
    for level in Level::ALL {
        let Some(mut lane) = FastParser::new(&by("status"), usize::MAX, level) else {
            continue;
        };
        let mut slow = Vec::new();
        let chunk = [line, b"\n", ORDER, b"\n"].concat();
        let mut sink = Verdicts::default();
        lane.chunk(&chunk, &mut |line, _| slow.push(line.to_vec()), &mut sink);
        let bails: Vec<_> = lane.bails().filter(|&(_, count)| count > 0).collect();
        let shown = String::from_utf8_lossy(&line[..line.len().min(100)]);
        assert_eq!(bails, [(reason, 1)], "{level:?}, {shown}");
        assert_eq!(slow, [line], "{level:?}, {shown}");
        assert_eq!(
            sink.0.len(),
            1,
            "the next line is the lane's: {level:?}, {shown}"
        );
    }
}

#[test]
fn usual_lines_are_the_lane_s() {
    for (line, key) in [
        (ORDER, KeyRef::string("PLACED")),
        (
            br#" { "status" : 1.5 , "a" : [ ] } "#,
            KeyRef::number("1.5"),
        ),
        (br#"{"status":-1e-5}"#, KeyRef::number("-1e-5")),
        (
            br#"{"status":true,"n":[0,-0,1e400]}"#,
            KeyRef::boolean(true),
        ),
        (br#"{"status":"x","status":null}"#, KeyRef::null()),
        (
            br#"{"st\u0061tus":"a\u00e9\n"}"#,
            KeyRef::string("a\u{e9}\n"),
        ),
        (
            "{\"größe\":\"日本\",\"status\":\"ü\"}".as_bytes(),
            KeyRef::string("ü"),
        ),
    ] {
        for verdicts in verdicts("status", line) {
            assert_eq!(
                verdicts.0,
                [(Ok(key.to_key()), None)],
                "{}",
                String::from_utf8_lossy(line)
            );
        }
    }
    for verdicts in verdicts(
        "items[1].sku",
        br#"{"items":[{"sku":1},{"sku":2},{"sku":3}]}"#,
    ) {
        assert_eq!(verdicts.0, [(Ok(KeyRef::number("2").to_key()), None)]);
    }
}

#[test]
fn each_reason_to_bail_is_reached() {
    use BailReason::*;
    assert_bails(
        &[b"{\"a\":\"", &[b'x'; SEGMENT_BYTES_MAX][..], b"\"}"].concat(),
        Long,
    );
    assert_bails(b"{\"status\":\"\xff\"}", Utf8);
    assert_bails(b"[1]", NoObject);
    assert_bails(&nested(walk::DEPTH_MAX + 1, "{\"a\":", "}"), Depth);
    assert_bails(b"{\"status\":\"x}", String);
    assert_bails(b"{\"status\":\"\x01\"}", String);
    assert_bails(b"{\"status\":\"\\x\"}", Escape);
    assert_bails(b"{\"status\":\"\\u12g4\"}", Escape);
    assert_bails(b"{\"status\":\"\\ud800\"}", Surrogate);
    assert_bails(b"{\"status\":01}", Number);
    assert_bails(b"{\"status\":nul}", Literal);
    assert_bails(b"{\"status\":}", Value);
    assert_bails(b"{\"status\":1]", Structure);

    for level in Level::ALL {
        let Some(mut lane) = FastParser::new(&by("status"), usize::MAX, level) else {
            continue;
        };
        let mut sink = Verdicts::default();
        lane.chunk(b"{}", &mut |_, _| {}, &mut sink);
        let bad = b"x\n".repeat(SEGMENT_BYTES_MAX);
        lane.chunk(&bad, &mut |_, _| {}, &mut sink);
        for (reason, count) in lane.bails() {
            let reached = [Unended, Resting, NoObject].contains(&reason);
            assert_eq!(count > 0, reached, "{level:?}, {reason:?}");
        }
    }
}

#[test]
fn a_rest_ends() {
    for level in Level::ALL {
        let Some(mut lane) = FastParser::new(&by("status"), usize::MAX, level) else {
            continue;
        };
        let mut sink = Verdicts::default();
        let mut slow = |_: &[u8], _: &mut Verdicts| {};
        lane.chunk(&b"x\n".repeat(64 * SEGMENT_BYTES_MAX), &mut slow, &mut sink);
        let order = [ORDER, b"\n"].concat();
        let segment = order.repeat(SEGMENT_BYTES_MAX / order.len());
        for _ in 0..=REST_SEGMENTS_MAX {
            lane.chunk(&segment, &mut slow, &mut sink);
        }
        sink.0.clear();
        lane.chunk(&segment, &mut slow, &mut sink);
        assert_eq!(sink.0.len(), SEGMENT_BYTES_MAX / order.len(), "{level:?}");
    }
}

#[test]
fn corner_cases_have_the_oracle_s_verdict() {
    for query in queries() {
        check_lines_of(&query, corner_cases());
        // And each between lines that have a shape.
        let between = corner_cases().into_iter().filter(|line| line.len() < 200);
        check_lines_of(&query, between.flat_map(|line| [ORDER.to_vec(), line]));
    }
}

/// All strings of up to `len` of these bytes.
fn strings(alphabet: &[u8], len: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..=len).flat_map(move |len| {
        (0..alphabet.len().pow(len)).map(move |mut code| {
            let digit = |_| {
                let byte = alphabet[code % alphabet.len()];
                code /= alphabet.len();
                byte
            };
            (0..len).map(digit).collect()
        })
    })
}

#[test]
fn small_values_have_the_oracle_s_verdict() {
    let values = strings(b"{}[]\":,1 -\\e", 4);
    check_lines(
        "a",
        values.map(|value| [b"{\"a\":", &value[..], b"}"].concat()),
    );
    let deeper = strings(b"{}[]\",1", 5).filter(|value| value.len() == 5);
    check_lines(
        "a.b",
        deeper.map(|value| [b"{\"a\":", &value[..], b",\"b\":2}"].concat()),
    );
}

#[test]
fn small_objects_have_the_oracle_s_verdict() {
    let rests = ["", "}", "]", "\"}", "}}", ":1}"];
    for rest in rests {
        let lines = strings(b"{}\":,1a\\", 4);
        check_lines(
            "a",
            lines.map(|line| [b"{\"a\"", &line[..], rest.as_bytes()].concat()),
        );
    }
}

#[test]
fn every_byte_at_every_place_has_the_oracle_s_verdict() {
    for sample in [ORDER, SAMPLE] {
        let places = 0..sample.len();
        let lines = places.flat_map(|place| {
            (0..=u8::MAX)
                .filter(|&byte| byte != b'\n')
                .flat_map(move |byte| {
                    let mut replaced = sample.to_vec();
                    replaced[place] = byte;
                    // Its neighbour has the sample's shape, so that the line meets it.
                    [sample.to_vec(), replaced]
                })
        });
        check_lines("status", lines);
    }
}

#[test]
fn a_line_cut_short_does_not_change_the_next() {
    for len in 0..SAMPLE.len() {
        check_lines("status", [&SAMPLE[..len], SAMPLE, &SAMPLE[len..], ORDER]);
        check_lines("a[1].b", [ORDER, &SAMPLE[..len], SAMPLE]);
    }
}

#[test]
fn names_are_compared_whole() {
    for name in [
        "status",
        "s",
        "",
        "a name of thirty-one bytes: 89ab",
        "one of thirty-two bytes: 6789abc",
    ] {
        let by = format!("[{name:?}]");
        let longer = format!("{name}s");
        let mut names = vec![name, &longer];
        names.extend((1..=name.len().min(2)).map(|short| &name[..name.len() - short]));
        let changed: Vec<String> = (0..name.len())
            .map(|at| name[..at].to_owned() + "~" + &name[at + 1..])
            .collect();
        names.extend(changed.iter().map(String::as_str));
        let pad = " ".repeat(40);
        // Alone and in pairs; near the end of the segment and not; walked and of a known shape.
        let lines = names.iter().flat_map(|name| {
            let alone = format!("{{\"{name}\":1}}");
            let first = format!("{{\"{name}\":1,\"status\":2}}{pad}");
            let last = format!("{{\"status\":1,\"{name}\":2}}{pad}");
            [alone, first, last]
        });
        let lines: Vec<String> = lines.collect();
        check_lines(&by, &lines);
        for line in &lines {
            check_lines(&by, [line]);
        }
    }
}

#[test]
fn names_with_a_quote_are_found_by_their_escapes_only() {
    for by in [
        r#"["a\":"]"#,
        r#"["a\""]"#,
        r#"["\""]"#,
        r#"["\\"]"#,
        r#"["\u0001"]"#,
    ] {
        check_lines(
            by,
            [
                r#"{"a":"x"}                                 "#,
                r#"{"a":"x"}"#,
                r#"{"a\":":1}"#,
                r#"{"a\"":1}"#,
                r#"{"a" :1}"#,
                r#"{"\"":1}"#,
                r#"{"":":1"}                                 "#,
                r#"{"\\":1}"#,
                r#"{"\u0001":1}"#,
                r#"{"\u0022":1,"a\u0022":2,"a\u0022:":3}"#,
            ],
        );
    }
}

#[test]
fn lone_surrogates_are_never_accepted() {
    for escape in [
        r"\ud800",
        r"\uDBFF",
        r"\udc00",
        r"\uDFFF",
        r"\ud83d\ude00",
        r"\ud83d\u0041",
    ] {
        check_lines(
            "status",
            [
                format!(r#"{{"status":"{escape}"}}"#),
                format!(r#"{{"status":"x","y":"{escape}"}}"#),
                format!(r#"{{"{escape}":1,"status":"x"}}"#),
                format!(r#"{{"status":"x","y":{{"{escape}":1}}}}"#),
            ],
        );
    }
}

#[test]
fn brackets_close_what_they_opened() {
    check_lines(
        "a",
        [
            "{\"a\":[1}",
            "{\"a\":[1}}",
            "{\"a\":{\"b\":1]}",
            "{\"a\":1]",
            "{\"a\":[}",
            "{\"a\":{]}",
            "{\"a\":[[1}]}",
            "{\"a\":[{]}]}",
            "[1}",
            "{\"a\":[1]}",
        ],
    );
}

#[test]
fn control_characters_are_never_accepted() {
    // At each place of a block, in a string and outside.
    for byte in 0..0x20u8 {
        let lines = (0..70).flat_map(|len| {
            let pad = "x".repeat(len);
            let blank = " ".repeat(len);
            let byte = byte as char;
            [
                format!("{{\"status\":\"{pad}{byte}{pad}\"}}"),
                format!("{{\"{pad}{byte}\":1,\"status\":1}}"),
                format!("{{\"status\":{blank}{byte}1}}"),
                format!("{{\"status\":\"{pad}\"}}{byte}{blank}"),
            ]
        });
        check_lines("status", lines);
    }
}

#[test]
fn runs_of_backslashes_cross_blocks() {
    for len in 0..140 {
        for backslashes in [1, 2, 3, 62, 63, 64, 65, 127, 128, 129] {
            let line = format!(
                "{{\"a\":\"{}{}\",\"b\":1}}",
                "x".repeat(len),
                "\\".repeat(backslashes)
            );
            check_index([line.as_bytes(), b"\n", ORDER, b"\n"].concat().as_slice());
            if len % 64 < 2 || len % 64 > 60 {
                check_lines("b", [line.as_bytes(), ORDER]);
            }
        }
    }
}

#[test]
fn segments_end_anywhere() {
    // A chunk a little shorter and longer than a segment, and lines that just fit one or do not.
    let order = [ORDER, b"\n"].concat();
    let chunk = order.repeat(2 * SEGMENT_BYTES_MAX / order.len());
    for len in [-65isize, -64, -63, -2, -1, 0, 1, 2, 63, 64, 65] {
        let len = SEGMENT_BYTES_MAX.wrapping_add_signed(len);
        check_chunk(&by("status"), &chunk[..len]);
        let filler = len - ORDER.len() - 1;
        check_lines(
            "status",
            [&[ORDER, &b" ".repeat(filler)].concat()[..], ORDER],
        );
        check_lines("status", [&b"[".repeat(len)[..], ORDER]);
        check_lines("status", [&b"\"".repeat(len)[..], ORDER]);
    }
    // Lines about as long as the limit.
    let lines = (0..2 * LINE_BYTES_MAX).map(|len| [ORDER, &b" ".repeat(len)].concat());
    check_lines("status", lines.skip(LINE_BYTES_MAX / 2).step_by(7));
    for limit in 0..100 {
        for level in Level::ALL {
            let Some(mut lane) = FastParser::new(&by("status"), limit, level) else {
                continue;
            };
            let mut sink = Verdicts::default();
            let mut oversize = 0;
            let slow =
                &mut |line: &[u8], _: &mut Verdicts| oversize += usize::from(line.len() > limit);
            lane.chunk(&order, slow, &mut sink);
            assert_eq!(
                sink.0.len() + oversize,
                usize::from(limit != ORDER.len()),
                "{limit}"
            );
        }
    }
}

#[test]
fn many_shapes_take_turns() {
    let lines = (0..3000).map(|i: usize| {
        let members = (0..i % 7).map(|k| match (i >> k) % 3 {
            0 => format!("\"m{k}\":{}", i % 100),
            1 => format!("\"m{k}\":\"{i}\""),
            _ => format!("\"m{k}\":[{i},true]"),
        });
        let members: Vec<String> = members
            .chain([format!("\"status\":\"{}\"", i % 4)])
            .collect();
        format!("{{{}}}", members.join(","))
    });
    check_lines("status", lines);
}

#[test]
fn shapes_longer_than_are_kept_are_walked() {
    for members in [60, 62, 63, 64, 65, 100] {
        let members: Vec<String> = (0..members).map(|i| format!("\"m{i}\":{i}")).collect();
        let line = format!("{{{},\"status\":\"x\"}}", members.join(","));
        let broken = line.replace(":17", ":1x");
        check_lines("status", [&line, &line, &broken, &line]);
    }
}

/// A chunk of lines, good and bad, some of them several times.
fn chunk(rng: &mut Rng) -> Vec<u8> {
    let mut chunk = Vec::new();
    for _ in 0..rng.usize(1..12) {
        let mut line = record(rng);
        if rng.u8(..3) == 0 {
            mutate(rng, &mut line);
        }
        line.retain(|&byte| byte != b'\n');
        for _ in 0..rng.usize(1..4) {
            chunk.extend_from_slice(&line);
            chunk.push(b'\n');
            if rng.u8(..4) == 0 {
                mutate(rng, &mut line);
            }
        }
    }
    // Cut anywhere, at both ends.
    if rng.bool() {
        chunk.truncate(rng.usize(..=chunk.len()));
    }
    if rng.bool() {
        chunk.drain(..rng.usize(..=chunk.len()));
    }
    chunk
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn mixed_chunks_have_the_oracle_s_verdicts(seed in any::<u64>(), query in prop::sample::select(queries())) {
        check_chunk(&query, &chunk(&mut Rng::with_seed(seed)));
    }

    #[test]
    fn bytes_that_mean_something_have_the_oracle_s_verdicts(
        bytes in prop::collection::vec(prop::sample::select(&b"{}[]\":,\n \\1-.eta\xc3\xa4\x00"[..]), 0..300)
    ) {
        check_chunk(&by("a"), &bytes);
    }
}
