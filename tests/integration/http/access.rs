//! Who is answered, and what a browser may do with it.

use super::client::{get, get_with, send};
use super::{Over, options, token_file};
use crate::support::tallyline;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn only_names_of_this_machine_are_answered() {
    let over = Over::serve(options());
    for path in ["/", "/api/v1/totals", "/events", "/metrics", "/healthz"] {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.7:80",
            "0.0.0.0",
        ] {
            let answer = get_with(over.address(), path, &format!("Host: {host}\r\n"));
            assert_eq!(answer.status, 421, "{path} as {host}");
            assert!(
                answer.text().starts_with("{\"error\":\"host: "),
                "{answer:?}"
            );
        }
    }
    for host in [
        "localhost",
        "localhost:1",
        "127.0.0.1",
        "[::1]:8080",
        "my.localhost",
    ] {
        let answer = get_with(over.address(), "/", &format!("Host: {host}\r\n"));
        assert_eq!(answer.status, 200, "{host}");
    }
    // Two names, none, and one that hides in the address.
    let close = "connection: close\r\n";
    for request in [
        format!("GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n{close}\r\n"),
        format!("GET / HTTP/1.0\r\n{close}\r\n"),
        format!("GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n{close}\r\n"),
    ] {
        let answer = send(over.address(), &request);
        assert!(matches!(answer.status, 400 | 421), "{request}: {answer:?}");
    }
}

#[test]
fn with_a_token_nothing_is_said_without_it() {
    let (_here, path) = token_file(TOKEN);
    let over = Over::serve(tallyline::http::Options {
        token_file: Some(path),
        ..options()
    });
    let paths = [
        "/",
        "/app.js",
        "/events",
        "/api/v1/totals",
        "/api/v1/openapi.json",
        "/metrics",
        "/readyz",
        "/nothing",
    ];
    let cookie_name = format!("tallyline-{}", over.address().port());
    for path in paths {
        for fields in [
            String::new(),
            "authorization: Bearer wrong\r\n".to_owned(),
            format!("authorization: Bearer {}0\r\n", &TOKEN[..31]),
            format!("authorization: Basic {TOKEN}\r\n"),
            format!("cookie: {cookie_name}=\r\n"),
            format!("cookie: other={TOKEN}\r\n"),
        ] {
            let answer = get_with(over.address(), path, &fields);
            assert_eq!(answer.status, 401, "{path} with {fields}");
            assert!(!answer.text().contains("PLACED"));
        }
    }
    assert_eq!(get(over.address(), "/healthz").status, 200);
    assert_eq!(
        get(over.address(), "/api/v1/totals?token=wrong").status,
        401
    );
    // The address is for the page alone: a link with a token in it is not to be kept.
    assert_eq!(
        get(over.address(), &format!("/api/v1/totals?token={TOKEN}")).status,
        401
    );
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    let totals = get_with(over.address(), "/api/v1/totals", &bearer);
    assert!(totals.text().contains("PLACED"));
    // By whatever name: a browser sends the cookie to that name alone.
    let named = get_with(
        over.address(),
        "/",
        &format!("{bearer}Host: shop.example\r\n"),
    );
    assert_eq!(named.status, 200);

    let welcome = get(over.address(), &format!("/?token={TOKEN}"));
    assert_eq!((welcome.status, welcome.field("location")), (303, "/"));
    let cookie = welcome.field("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    for path in ["/", "/api/v1/totals"] {
        let answer = get_with(over.address(), path, &format!("cookie: a=b; {cookie}\r\n"));
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[test]
fn nothing_can_be_changed_nor_used_by_another_page() {
    let over = Over::serve(options());
    let host = format!("host: {}\r\nconnection: close\r\n", over.address());
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let answer = send(
            over.address(),
            &format!("{method} /api/v1/totals HTTP/1.1\r\n{host}content-length: 0\r\n\r\n"),
        );
        assert_eq!(answer.status, 405, "{method}");
    }
    for path in ["/", "/api/v1/totals", "/events-not", "/api/v1/nothing"] {
        let answer = get_with(over.address(), path, "origin: http://evil.example\r\n");
        assert_eq!(answer.field("access-control-allow-origin"), "", "{path}");
        let policy = answer.field("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.field("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.field("cross-origin-resource-policy"), "same-origin");
        assert_eq!(answer.field("referrer-policy"), "no-referrer");
    }
}

#[test]
fn wrong_settings_are_a_line_and_status_2() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (_here, short) = token_file("short");
    let short = short.to_str().unwrap();
    for (flags, expected) in [
        (
            vec!["--http", "0.0.0.0:0"],
            "--http '0.0.0.0:0': others on the network could read it; give --http-token-file FILE",
        ),
        (
            vec!["--http", &taken],
            "cannot listen there: address already in use; choose another port",
        ),
        (
            vec!["--http", "nonsense"],
            "give ADDR:PORT, such as 127.0.0.1:8080, or a port",
        ),
        (
            vec!["--http", "0", "--http-token-file", short],
            "--http-token-file '",
        ),
        (
            vec!["--http", "0", "--http-token-file", "/nowhere"],
            "cannot read it: no such file or directory; name a file",
        ),
        (
            vec!["--http-token-file", short],
            "--http-token-file: nothing is served over HTTP; give --http ADDR, or leave it out",
        ),
    ] {
        let args = [vec!["count", "-", "--by", "status"], flags].concat();
        let output = tallyline(&args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
