//! What goes wrong on the way: brokers that die, topics and users that are not there.

use std::num::NonZeroU64;
use std::sync::atomic::AtomicBool;
use std::thread;

use loadgen::{Plan, Spec};
use rustix::process::Signal;

use crate::cluster::{OwnBroker, broker, fill, fresh, sasl_broker, tls_broker};
use crate::exact::count;
use crate::support::{JsonTally, Running, tallyline};

#[test]
fn a_broker_killed_in_the_middle_and_restarted_costs_no_record() {
    if broker().is_none() {
        return;
    }
    let broker = OwnBroker::start("killed-in-a-test");
    let (topic, group) = (fresh("killed"), fresh("killed"));
    let url = format!("kafka://{}/{topic}", broker.address);
    fill(&broker.address, &topic, &Spec::default(), &Plan::records(8));
    let plan = Plan {
        rate: NonZeroU64::new(50_000),
        ..Plan::records(400_000)
    };
    let address = broker.address.clone();
    let filling = thread::spawn(move || {
        let never = AtomicBool::new(false);
        loadgen::push_kafka(&address, &topic, &Spec::default(), &plan, &never).unwrap()
    });
    let args = [
        "count", &url, "--by", "status", "--output", "json", "--every", "500ms", "--group", &group,
    ];
    let mut running = Running::start(&mut tallyline(&args), |_| ());
    let mut tally = JsonTally::default();
    while tally.lines < 10_000 {
        tally.add(&running.line().unwrap());
    }
    broker.kill();
    broker.restart();
    while tally.lines < 400_008 {
        tally.add(&running.line().unwrap());
    }
    let sent = filling.join().unwrap();
    assert_eq!(sent.expectation.lines, 400_000);
    running.signal(Signal::INT);
    let output = running.finish();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert_eq!(tally.lines, 400_008, "{stderr}");
    assert!(stderr.contains("lost 127.0.0.1:"), "{stderr}");
    assert!(stderr.contains(" again"), "{stderr}");
    // The group has it all: nothing is counted twice after the end.
    assert_eq!(count(&url, &["--group", &group]).lines, 0);
}

/// Runs the binary on a topic that cannot be read: one line on standard error.
fn failure(url: &str, more: &[&str]) -> (Option<i32>, String) {
    let args = [&["count", url, "--by", "status", "--output", "json"], more];
    let output = tallyline(&args.concat()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.stdout, b"");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    (output.status.code(), stderr)
}

#[test]
fn a_topic_that_does_not_exist_is_named() {
    let Some(broker) = broker() else { return };
    let url = format!("kafka://{broker}/never-written-to");
    let expected = format!(
        "tallyline: cannot read {url}: there is no topic never-written-to; check the name, or create it\n"
    );
    assert_eq!(failure(&url, &[]), (Some(1), expected));
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let (status, line) = failure("kafka://127.0.0.1:1/orders", &[]);
    assert_eq!(status, Some(1));
    assert!(
        line.starts_with("tallyline: cannot connect to kafka://127.0.0.1:1/orders: "),
        "{line}"
    );
    assert!(line.contains("onnection refused"), "{line}");
}

#[test]
fn a_partition_that_is_not_there_is_named() {
    let Some(broker) = broker() else { return };
    let topic = fresh("eight");
    fill(&broker, &topic, &Spec::default(), &Plan::records(8));
    let (status, line) = failure(
        &format!("kafka://{broker}/{topic}"),
        &["--partitions", "3,8"],
    );
    assert_eq!(status, Some(2));
    assert!(line.starts_with("tallyline: --partitions 8: "), "{line}");
}

#[test]
fn credentials_are_checked_before_anything_is_counted() {
    let (Some(broker), Some(sasl)) = (broker(), sasl_broker()) else {
        return;
    };
    let topic = fresh("guarded");
    fill(&broker, &topic, &Spec::default(), &Plan::records(100));
    let url = format!("kafka://{sasl}/{topic}");
    let properties = |password: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanisms=PLAIN\nsasl.username=tally\nsasl.password={password}\n"
        );
        std::fs::write(file.path(), text).unwrap();
        file
    };
    let (right, wrong) = (properties("line"), properties("guessed"));
    let argument = |file: &tempfile::NamedTempFile| format!("@{}", file.path().display());
    assert_eq!(count(&url, &["-X", &argument(&right)]).lines, 100);
    let (status, line) = failure(&url, &["-X", &argument(&wrong)]);
    assert_eq!(status, Some(1));
    assert!(line.contains("Invalid username or password"), "{line}");
    assert!(!line.contains("guessed"), "{line}");
}

#[test]
fn over_tls_a_broker_is_counted_from_if_its_certificate_can_be_trusted() {
    let (Some(broker), Some((tls, authority))) = (broker(), tls_broker()) else {
        return;
    };
    let topic = fresh("private");
    fill(&broker, &topic, &Spec::default(), &Plan::records(1000));
    let url = format!("kafka://{tls}/{topic}");
    let speak_tls = ["-X", "security.protocol=SSL"];
    let location = format!("ssl.ca.location={authority}");
    let trusting = [&speak_tls[..], &["-X", &location]].concat();
    assert_eq!(count(&url, &trusting).lines, 1000);
    let nosuch = [&speak_tls[..], &["-X", "ssl.ca.location=/nosuch.pem"]].concat();
    for (flags, status, beginning, part) in [
        (
            &speak_tls[..],
            1,
            "cannot read",
            "certificate verify failed",
        ),
        (
            &[],
            1,
            "cannot connect to",
            "check the address and -X security.protocol, or",
        ),
        (&nosuch, 2, "source", "ssl.ca.location failed"),
    ] {
        let (ended_with, line) = failure(&url, flags);
        assert_eq!(ended_with, Some(status), "{line}");
        let beginning = format!("tallyline: {beginning} {url}: ");
        assert!(
            line.starts_with(&beginning) && line.contains(part),
            "{line}"
        );
    }
}
