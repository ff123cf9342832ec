//! Looking at a stream, and wrong usage.

use crate::stream::{Stream, reader, server};

#[test]
fn tap_shows_records() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 1);
    stream.put(&["{\"n\":1}", "{\"n\":2}"]);
    let args = [
        "tap",
        &stream.url,
        "--until-end",
        "--lines",
        "1",
        "--endpoint-url",
        &server,
    ];
    let output = reader(&args).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("{\"n\":1}\n") && stdout.contains("(2 lines)"),
        "{stdout}"
    );
}

#[test]
fn a_stream_by_its_arn() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 2);
    stream.put(&["{\"status\":\"a\"}"; 20]);
    let name = &stream.name;
    stream.url = format!("kinesis://arn:aws:kinesis:eu-central-1:123456789012:stream/{name}");
    assert_eq!(stream.count(&[]).lines, 20);
}

#[test]
fn wrong_values_are_one_line_with_the_remedy() {
    for (args, expected) in [
        (
            &["kinesis://a/b"][..],
            "source kinesis://a/b: a stream's name is of letters",
        ),
        (
            &["kinesis://a", "--region", "Frankfurt"],
            "--region 'Frankfurt': write a region such as ",
        ),
        (
            &["kinesis://a", "--endpoint-url", "localhost"],
            "--endpoint-url 'localhost': write http://HOST:PORT ",
        ),
        (
            &["kinesis://a", "--group", "g"],
            "--group: among the sources there is no kafka://; name one",
        ),
        (
            &["-", "--from", "latest"],
            "--from: among the sources there is no kafka:// or kinesis://; ",
        ),
        (
            &["-", "--region", "x"],
            "--region: among the sources there is no kinesis://; name one",
        ),
    ] {
        let output = reader(&[&["count", "--by", "status"], args].concat())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.starts_with(&format!("tallyline: {expected}")),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
