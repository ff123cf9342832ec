//! What goes wrong on the way: servers that die, limits, streams that are not there.

use crate::exact::{Following, lines};
use crate::stream::{OwnServer, Stream, expected, mixed, reader, server};

#[test]
fn a_server_killed_in_the_middle_and_started_again_costs_no_record() {
    if server().is_none() {
        return;
    }
    let server = OwnServer::start("killed-in-a-test", &[]);
    let mut stream = Stream::create(&server.endpoint, 3);
    let mut generator = mixed();
    stream.fill(&mut generator, 30_000, 5);
    let mut following = Following::start(&stream, &["-v"]);
    following.until(1);
    server.kill();
    server.restart();
    stream.fill(&mut generator, 30_000, 5);
    following.until(lines(&generator));
    let (tally, said) = following.stop();
    tally.assert_is(&expected(&generator));
    assert!(said.contains("lost kinesis://"), "{said}");
    assert!(said.contains(" again"), "{said}");
}

#[test]
fn iterators_that_grow_too_old_are_renewed_behind_the_last_record() {
    if server().is_none() {
        return;
    }
    // Every iterator is too old by the time of the next read.
    let server = OwnServer::start("too-old-in-a-test", &["--iterator-seconds", "0.15"]);
    let mut stream = Stream::create(&server.endpoint, 1);
    let mut generator = mixed();
    stream.fill(&mut generator, 21_000, 1);
    stream.count(&[]).assert_is(&expected(&generator));
    let mut following = Following::start(&stream, &["--from", "latest"]);
    let before = lines(&generator);
    // Empty batches: it has looked, and looks again.
    following.batch();
    following.batch();
    for _ in 0..3 {
        stream.fill(&mut generator, 100, 1);
        following.until(lines(&generator) - before);
    }
    let (tally, stderr) = following.stop();
    assert_eq!(tally.lines, 300);
    assert!(!stderr.contains("kinesis://"), "{stderr}");
}

#[test]
fn who_is_throttled_reads_more_slowly_and_says_so() {
    if server().is_none() {
        return;
    }
    let server = OwnServer::start("throttled-in-a-test", &["--reads-per-second", "1"]);
    let mut stream = Stream::create(&server.endpoint, 1);
    let mut generator = mixed();
    stream.fill(&mut generator, 21_000, 1);
    let output = stream.counting(&["--until-end"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let told = "is read more often than Kinesis allows";
    assert_eq!(stderr.matches(told).count(), 1, "{stderr}");
    stream.count(&[]).assert_is(&expected(&generator));
}

#[test]
fn a_stream_deleted_while_it_is_read_is_named() {
    let Some(server) = server() else { return };
    let mut stream = Stream::create(&server, 2);
    let mut generator = mixed();
    stream.fill(&mut generator, 100, 1);
    let mut following = Following::start(&stream, &["-q"]);
    following.until(100);
    stream.delete();
    let output = following.running.finish();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let name = &stream.name;
    let expected = format!(
        "tallyline: lost {}: there is no stream {name}\n",
        stream.url
    );
    assert_eq!(stderr, expected);
}

/// Runs the binary on a stream that cannot be read: one line on standard error.
fn failure(args: &[&str], change: impl Fn(&mut std::process::Command)) -> (Option<i32>, String) {
    let args = [
        &[
            "count",
            "kinesis://unmade",
            "--by",
            "status",
            "--output",
            "json",
        ],
        args,
    ];
    let mut command = reader(&args.concat());
    change(&mut command);
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.stdout, b"");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    (output.status.code(), stderr)
}

#[test]
fn a_stream_that_does_not_exist_is_named() {
    let Some(server) = server() else { return };
    let expected = "tallyline: cannot read kinesis://unmade: there is no stream unmade in eu-central-1; check the name and --region\n";
    let failed = failure(&["--endpoint-url", &server], |_| ());
    assert_eq!(failed, (Some(1), expected.to_owned()));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let (status, line) = failure(&["--endpoint-url", "http://127.0.0.1:1"], |_| ());
    assert_eq!(status, Some(1));
    let expected = "tallyline: cannot connect to kinesis://unmade: connection refused; check ";
    assert!(line.starts_with(expected), "{line}");
}

#[test]
fn without_a_region_or_credentials_it_says_what_to_set() {
    let (status, line) = failure(&[], |command| {
        command.env_remove("AWS_REGION");
    });
    assert_eq!(status, Some(2));
    let expected = "tallyline: source kinesis://unmade: no region is known; give --region, ";
    assert!(line.starts_with(expected), "{line}");
    let (status, line) = failure(&["--region", "eu-central-1"], |command| {
        command.env_remove("AWS_ACCESS_KEY_ID");
    });
    assert_eq!(status, Some(1));
    let expected = "tallyline: cannot read kinesis://unmade: no credentials: ";
    assert!(line.starts_with(expected), "{line}");
}
