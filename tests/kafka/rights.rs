//! What a role may not do is told with the right that is missing.

use std::io::Write;
use std::process::Stdio;
use std::sync::mpsc;

use rustix::process::Signal;

use crate::cluster::{Operation, OwnBroker, Resource, allow, broker};
use crate::sink::{Place, lines, stderr};
use crate::support::{Running, tallyline};

/// A topic of a broker of our own, reached as the user `tally`.
fn place(own: &OwnBroker) -> Place {
    let mut place = Place::at(&own.address, &[]);
    place.write(
        "sasl",
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanisms=PLAIN\nsasl.username=tally\nsasl.password=line\n",
    );
    place.url = format!("kafka://{}/{}", own.sasl, place.topic);
    place
}

fn sink(place: &Place) -> String {
    format!("properties={} {}", place.path("sasl"), place.url)
}

fn no_write(place: &Place) -> String {
    let topic = &place.topic;
    format!("we may not write to topic {topic}; give the role the right to Write there")
}

#[test]
fn what_a_role_may_not_do_is_told_with_the_right_that_is_missing() {
    if broker().is_none() {
        return;
    }
    let own = OwnBroker::start("with-rights");
    a_topic_that_may_only_be_read_is_told_before_anything_is_counted(&own);
    rights_that_are_taken_away_are_told_with_the_batch(&own, false);
    rights_that_are_taken_away_are_told_with_the_batch(&own, true);
    the_name_of_transactions_is_told(&own);
}

fn a_topic_that_may_only_be_read_is_told_before_anything_is_counted(own: &OwnBroker) {
    let place = place(own);
    let test = || {
        tallyline(&["sink", "test", &sink(&place)])
            .output()
            .unwrap()
    };
    let may = test();
    assert_eq!(may.status.code(), Some(0), "{}", stderr(&may));
    allow(own, Resource::Topic, &place.topic, "tally", Operation::Read);
    // Brokers hear of it a little later.
    let may_not = std::iter::repeat_with(test).find(|output| !output.status.success());
    let may_not = may_not.unwrap();
    let counted = place.count(&[&format!("--to={}", sink(&place))]);
    for output in [may_not, counted] {
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(&no_write(&place)), "{told}");
    }
    assert_eq!(place.read(), []);
}

fn rights_that_are_taken_away_are_told_with_the_batch(own: &OwnBroker, has_state: bool) {
    let place = place(own);
    // With batches that follow each other faster no reader comes to an end.
    let mut command = tallyline(&[
        "count",
        "-",
        "--by=status",
        "--output=none",
        "--every=1s",
        "--to-drain=0s",
    ]);
    command
        .arg(format!("--to={}", sink(&place)))
        .stdin(Stdio::piped());
    if has_state {
        command.args(["--state", &place.path("s.db")]);
    }
    let (told, tells) = mpsc::channel();
    let mut running = Running::start(&mut command, move |line| {
        drop(told.send(line.to_owned()));
    });
    let mut stdin = running.stdin();
    stdin.write_all(lines(&["A"]).as_bytes()).unwrap();
    while place.read().is_empty() {}
    allow(own, Resource::Topic, &place.topic, "tally", Operation::Read);
    let wanted = format!("{}; tried again", no_write(&place));
    let mut found = tells
        .iter()
        .filter(|line| line.contains(" WARN ") || line.contains("ERROR"));
    let first = found.next().unwrap();
    assert!(first.contains(&wanted), "{first}");
    running.signal(Signal::TERM);
    assert_eq!(running.finish().status.code(), Some(1));
}

fn the_name_of_transactions_is_told(own: &OwnBroker) {
    for (resource, told) in [
        (
            Resource::TransactionalId,
            "we may not begin transactions as {}; give the role the right to Write on that",
        ),
        (
            Resource::Group,
            "we may not note in group {} what is delivered; give the role the right to Read on it",
        ),
    ] {
        let place = place(own);
        let name = format!("tallyline/j/{}", place.topic);
        allow(own, resource, &name, "somebody", Operation::Write);
        let told = told.replace("{}", &name);
        let is_told = || {
            let state = format!("--state={}", place.path("s.db"));
            let sink = format!("--to=timeout=10s {}", sink(&place));
            let output = place.count(&[&sink, "--job=j", &state]);
            std::fs::remove_file(place.path("s.db")).unwrap();
            let text = stderr(&output);
            assert!(
                output.status.success() || text.contains(&told),
                "no {told:?} in {text}"
            );
            text.contains(&told)
        };
        while !is_told() {}
    }
}
