//! TLS to the server, as `sslmode=` asks for it.

use std::process::Output;

use crate::server::{Place, lines, stderr};
use crate::support::tallyline;

/// A place, and the file with the authority of its server's certificate, which is for `localhost` and no number.
fn place() -> Option<(Place, String)> {
    let place = Place::new()?;
    let authority = std::env::var("TEST_POSTGRES_CA").unwrap();
    Some((place, authority))
}

/// Tries a sink: the options in front, the address with these parameters.
fn tried(place: &Place, host: &str, options: &str, parameters: &str) -> Output {
    let url = place.url.replace("127.0.0.1", host);
    let sink = format!("{options} {url}{parameters}");
    let mut command = tallyline(&["sink", "test", &sink]);
    command.env("PGPASSWORD", place.password());
    command.output().unwrap()
}

#[test]
fn a_connection_is_as_safe_as_was_asked_for() {
    let Some((place, ca)) = place() else { return };
    let (by_option, by_parameter) = (
        format!("ca={ca}"),
        format!("?sslmode=verify-full&sslrootcert={ca}"),
    );
    let verify_ca = "?sslmode=verify-ca";
    for (host, options, parameters, refused) in [
        ("127.0.0.1", "", "?sslmode=disable", None),
        ("127.0.0.1", "", "?sslmode=prefer", None),
        ("127.0.0.1", "", "?sslmode=require", None),
        (
            "127.0.0.1",
            "",
            "?sslmode=verify-ca",
            Some("invalid peer certificate"),
        ),
        ("127.0.0.1", &by_option, verify_ca, None),
        ("127.0.0.1", &by_option, "?sslmode=require", None),
        (
            "127.0.0.1",
            &by_option,
            "",
            Some("certificate not valid for name \"127.0.0.1\""),
        ),
        (
            "127.0.0.1",
            "",
            &by_parameter,
            Some("certificate not valid for name \"127.0.0.1\""),
        ),
        ("localhost", &by_option, "", None),
        ("localhost", "", &by_parameter, None),
        (
            "localhost",
            "",
            "?sslmode=verify-full",
            Some("invalid peer certificate"),
        ),
        (
            "127.0.0.1",
            "",
            "?sslmode=allow",
            Some("sslmode=allow: give disable, prefer, require, verify-ca or verify-full"),
        ),
        (
            "127.0.0.1",
            "ca=/nosuch.pem",
            "",
            Some("/nosuch.pem: cannot read it: no such file or directory"),
        ),
    ] {
        let output = tried(&place, host, options, parameters);
        let told = stderr(&output);
        let asked = format!("{options} {host} {parameters}: {told}");
        match refused {
            None => assert_eq!(output.status.code(), Some(0), "{asked}"),
            Some(words) => {
                assert_eq!(output.status.code(), Some(2), "{asked}");
                assert!(told.contains(words), "no {words:?}: {asked}");
                assert_eq!(told.lines().count(), 1, "{asked}");
            }
        }
    }
}

#[test]
fn rows_are_delivered_over_tls() {
    let Some((mut place, ca)) = place() else {
        return;
    };
    place.write("in.jsonl", &lines(&["A", "A"]));
    // The server tells who came how.
    let trap = "CREATE TABLE came (is_safe boolean); \
        CREATE FUNCTION came() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        INSERT INTO SCHEMA.came SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid(); RETURN NULL; END $$";
    place
        .client
        .batch_execute(&trap.replace("SCHEMA", &place.schema))
        .unwrap();
    assert!(place.count(&[&place.sink("")]).status.success());
    let watch = "CREATE TRIGGER came AFTER INSERT ON tallyline_batches FOR EACH STATEMENT EXECUTE FUNCTION came()";
    place.client.batch_execute(watch).unwrap();
    for (parameters, is_safe) in [
        ("?sslmode=disable", false),
        ("", true),
        ("?sslmode=verify-ca", true),
    ] {
        let sink = place.sink(&format!("ca={ca}")) + parameters;
        let sink = match parameters {
            // Nothing is asked for: what the server can.
            "" => place.sink(""),
            _ => sink,
        };
        let output = place.count(&[&sink]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let seen = place.texts("DELETE FROM came RETURNING is_safe::text");
        assert_eq!(seen, [is_safe.to_string()], "{parameters}");
    }
}
