//! A server that stands still: its connections are open, and nobody answers.

use std::io::Write;
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};

use torture::Server;

use crate::server::{Place, lines, stderr};
use crate::support::{Running, tallyline};

const SILENT: &str = "it does not answer: nothing has come for 1 s (timeout=); tried again";

/// A server of the test's own, and a place on it; none where there is no PostgreSQL.
fn own(name: &str) -> Option<(Server, Place)> {
    Place::new()?;
    let server = Server::start("postgres-server", name).unwrap();
    let told = |name: &str| server.told(name).to_owned();
    let place = Place::at(&told("TEST_POSTGRES"), &told("TEST_POSTGRES_PASSWORD"));
    Some((server, place))
}

/// A run that counts what it is given, with a state, and what it says.
fn start(place: &Place, drain: &str) -> (Running, ChildStdin, Receiver<String>) {
    let mut command = tallyline(&["count", "-", "--by=status", "--output=json", "--every=50ms"]);
    let state = format!("--state={}", place.path("s.db"));
    command
        .args([&state, drain, &place.sink("timeout=1s")])
        .env("PGPASSWORD", place.password())
        .stdin(Stdio::piped());
    let (told, tells) = channel();
    let mut running = Running::start(&mut command, move |line| {
        drop(told.send(line.to_owned()));
    });
    let stdin = running.stdin();
    (running, stdin, tells)
}

fn await_line(tells: &Receiver<String>, words: &str) {
    let found = tells.iter().find(|line| line.contains(words));
    assert!(found.is_some(), "no {words:?}");
}

const ROWS: &str = "SELECT key || ' ' || sum(count) || ' ' || min(total) FROM tallyline_counts \
                    JOIN tallyline_totals USING (job, key) GROUP BY key ORDER BY key";

#[test]
fn a_server_that_is_frozen_in_a_commit_and_thaws_has_each_batch_once() {
    let Some((server, mut place)) = own("frozen-in-a-commit") else {
        return;
    };
    // Tables, and a commit that waits for us, once.
    assert!(
        place
            .count(&[&place.sink(""), "--job=before"])
            .status
            .success()
    );
    let trap = "\
        CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        PERFORM pg_advisory_lock(1); PERFORM pg_advisory_unlock(1); RETURN NULL; END $$; \
        CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON tallyline_counts DEFERRABLE INITIALLY DEFERRED \
        FOR EACH ROW EXECUTE FUNCTION trap(); SELECT pg_advisory_lock(1)";
    place.client.batch_execute(trap).unwrap();
    let (running, mut stdin, tells) = start(&place, "--to-drain=60s");
    stdin.write_all(lines(&["A", "B"]).as_bytes()).unwrap();
    let is_committing = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while place.figure(is_committing) == 0 {}

    server.freeze().unwrap();
    await_line(&tells, SILENT);
    server.thaw().unwrap();
    // What was begun before the frost is committed now, whoever waits for it.
    place
        .client
        .batch_execute("SELECT pg_advisory_unlock(1)")
        .unwrap();
    await_line(&tells, "takes results again");
    stdin.write_all(lines(&["A"]).as_bytes()).unwrap();
    drop(stdin);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(place.texts(ROWS), ["\"A\" 2 2", "\"B\" 1 1"]);
    let batches = "SELECT count(*) - count(DISTINCT (job, batch)) FROM tallyline_batches";
    assert_eq!(place.figure(batches), 0);
}

#[test]
fn a_run_ends_though_the_server_stays_frozen_and_the_next_one_delivers() {
    let Some((server, mut place)) = own("frozen-for-good") else {
        return;
    };
    assert!(
        place
            .count(&[&place.sink(""), "--job=before"])
            .status
            .success()
    );
    let (running, mut stdin, tells) = start(&place, "--to-drain=0s");
    server.freeze().unwrap();
    stdin.write_all(lines(&["A"]).as_bytes()).unwrap();
    await_line(&tells, SILENT);
    drop(stdin);
    let output = running.finish();
    // Whatever fails from here on, the schema can be dropped.
    server.thaw().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.matches("tried again").count(), 1, "{told}");
    assert!(told.contains("(--to-drain)"), "{told}");
    let state = format!("--state={}", place.path("s.db"));
    let output = place.count(&[&state, &place.sink(""), "--to-drain=60s"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(place.texts(ROWS), ["\"A\" 1 1"]);
}
