//! What is wrong with a database, in one line.

use crate::server::{Place, lines, stderr};
use crate::support::tallyline;

/// Counts into a sink that is wrong, which must be refused in one line with these words.
fn refused(place: &Place, sink: &str, words: &str) {
    let output = place.count(&[sink]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(words), "no {words:?} in: {told}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_is_wrong_with_the_tables_is_told_before_anything_is_counted() {
    let Some(mut place) = Place::new() else {
        return;
    };
    let schema = place.schema.clone();
    refused(
        &place,
        &place.sink("no-create"),
        &format!("there is no table \"{schema}\".\"tallyline_batches\"; leave out no-create"),
    );
    refused(
        &place,
        &place.sink("").replace(&schema, "nowhere"),
        "and we may not create it",
    );
    assert!(place.count(&[&place.sink("")]).status.success());
    for (change, told) in [
        (
            "ALTER TABLE tallyline_counts ALTER count TYPE integer",
            "column count is integer, not bigint",
        ),
        (
            "ALTER TABLE tallyline_counts DROP count",
            "has no column count",
        ),
        (
            "ALTER TABLE tallyline_totals DROP CONSTRAINT tallyline_totals_pkey",
            "has no primary key (job, key_hash)",
        ),
        ("DROP TABLE tallyline_windows", "there is no table"),
    ] {
        // Undone behind each.
        place.client.batch_execute(change).unwrap();
        refused(&place, &place.sink("no-create"), told);
        place
            .client
            .batch_execute(
                "DROP TABLE IF EXISTS tallyline_counts, tallyline_totals, tallyline_windows",
            )
            .unwrap();
        assert!(place.count(&[&place.sink("")]).status.success());
    }
}

#[test]
fn a_role_that_may_insert_update_and_read_is_enough() {
    let Some(mut place) = Place::new() else {
        return;
    };
    assert!(place.count(&[&place.sink("")]).status.success());
    let (schema, role) = (place.schema.clone(), format!("role_{}", place.schema));
    let make = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'line'; GRANT USAGE ON SCHEMA {schema} TO {role}"
    );
    place.client.batch_execute(&make).unwrap();
    let sink = place
        .sink("")
        .replace("postgres://tally@", &format!("postgres://{role}@"));
    refused(&place, &sink, "we may not INSERT in table");
    let grant = format!("GRANT INSERT, UPDATE, SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}");
    place.client.batch_execute(&grant).unwrap();
    place.write("in.jsonl", &lines(&["A"]));
    let output = place.count(&[&sink]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(place.figure("SELECT count(*) FROM tallyline_counts"), 1);
    place
        .client
        .batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .unwrap();
}

#[test]
fn passwords_come_from_files_and_are_never_shown() {
    let Some(place) = Place::new() else {
        return;
    };
    let url = place.url.clone();
    let test = |sink: &str, name: &str, value: &str| {
        let mut command = tallyline(&["sink", "test", sink]);
        command.env_remove("PGPASSWORD").env("HOME", place.path(""));
        command.env(name, value).output().unwrap()
    };
    place.write("passes", "*:*:*:tally:line\n");
    place.write("password", "line\n");
    let by_file = format!("password-file={} {url}", place.path("password"));
    for output in [
        test(&url, "PGPASSWORD", "line"),
        test(&url, "PGPASSFILE", &place.path("passes")),
        test(&by_file, "PGPASSFILE", ""),
    ] {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let wrong = stderr(&test(&url, "PGPASSWORD", "secret"));
    assert!(
        wrong.contains("password authentication failed for user \"tally\"; check the user"),
        "{wrong}"
    );
    assert!(!wrong.contains("secret"), "{wrong}");
    let none = stderr(&test(&url, "PGPASSFILE", ""));
    assert!(
        none.contains("it wants a password") || none.contains("cannot read"),
        "{none}"
    );
    let nowhere = test(
        &url.replace("/postgres", "/nowhere")
            .replace("postgres:/nowhere", "postgres:/"),
        "PGPASSWORD",
        "line",
    );
    assert!(
        stderr(&nowhere)
            .contains("database \"nowhere\" does not exist; name a database that is there"),
        "{}",
        stderr(&nowhere)
    );
}

#[test]
fn a_server_that_is_not_there_is_told_and_the_counting_goes_on() {
    let Some(place) = Place::new() else {
        return;
    };
    place.write("in.jsonl", &lines(&["A"]));
    let output = place.count(&["--to=postgres://tally@127.0.0.1:1/postgres"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.contains("cannot reach it: connection refused; tried again, counting goes on"),
        "{told}"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
}

#[test]
fn a_connection_that_is_cut_is_made_anew() {
    let Some(mut place) = Place::new() else {
        return;
    };
    place.write("in.jsonl", &lines(&["A"]));
    assert!(place.count(&[&place.sink("")]).status.success());
    // In the middle of a batch, once.
    let trap = "CREATE SEQUENCE cut; \
        CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        IF nextval('cut') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$; \
        CREATE TRIGGER cut BEFORE INSERT ON tallyline_counts FOR EACH ROW EXECUTE FUNCTION cut()";
    let trap = trap.replace(
        "nextval('cut')",
        &format!("nextval('{}.cut')", place.schema),
    );
    place.client.batch_execute(&trap).unwrap();
    let state = format!("--state={}", place.path("s.db"));
    let output = place.count(&[&state, &place.sink(""), "--to-drain=20s"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("takes results again"), "{told}");
    assert_eq!(place.figure("SELECT count(*) FROM tallyline_counts"), 2);
}

#[test]
fn a_table_that_somebody_holds_is_told_when_time_is_up() {
    let Some(mut place) = Place::new() else {
        return;
    };
    place.write("in.jsonl", &lines(&["A"]));
    assert!(place.count(&[&place.sink("")]).status.success());
    let lock = "BEGIN; LOCK TABLE tallyline_counts IN ACCESS EXCLUSIVE MODE";
    place.client.batch_execute(lock).unwrap();
    let output = place.count(&[&place.sink("timeout=300ms no-create")]);
    place.client.batch_execute("ROLLBACK").unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains(
            "canceling statement due to statement timeout; tried again, counting goes on"
        ),
        "{told}"
    );
    assert_eq!(place.figure("SELECT count(*) FROM tallyline_counts"), 1);
}
