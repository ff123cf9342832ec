//! TLS on real sockets, with certificates made on the spot: what passes, and what each side says when
//! the other's certificate, or the lack of it, or plain text, does not.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, StreamOwned, WantsVerifier,
};

use crate::support::{JsonTally, Running, tallyline};

/// An authority, and files of what it has certified.
pub(crate) struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Authority { dir, issuer }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Certifies a host: `NAME.pem` and `NAME.key`.
    pub(crate) fn certify(
        &self,
        name: &str,
        host: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let certificate: Certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn identity(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_file(self.file(&format!("{name}.pem")));
        let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key")));
        (vec![certificate.unwrap()], key.unwrap())
    }
}

/// The program listening over TLS with this authority's certificate `server`.
fn listening(authority: &Authority, flags: &[&str]) -> (Running, String, mpsc::Receiver<String>) {
    authority.certify("server", "localhost", |_| {});
    let (cert, key) = (authority.file("server.pem"), authority.file("server.key"));
    let count = [
        "count",
        "tls-listen://127.0.0.1:0",
        "--by",
        "status",
        "--output",
        "json",
    ];
    let mut command = tallyline(&count);
    command.args([
        "--every",
        "20ms",
        "--tls-cert",
        path(&cert),
        "--tls-key",
        path(&key),
    ]);
    command.args(flags);
    let (told, lines) = mpsc::channel();
    let running = Running::start(&mut command, move |line| {
        // Nobody may be left to hear it.
        drop(told.send(line.to_owned()));
    });
    let line = lines.recv().unwrap();
    let address = line.strip_prefix("listening on tls-listen://").unwrap();
    (running, address.to_owned(), lines)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A producer that trusts this authority and, if it is to, shows a certificate of it.
fn produce(
    authority: &Authority,
    shown: Option<&str>,
    address: &str,
) -> StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(authority.file("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        Some(name) => {
            let (certificates, key) = authority.identity(name);
            config.with_client_auth_cert(certificates, key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let host = ServerName::try_from("localhost").unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), host).unwrap();
    StreamOwned::new(connection, TcpStream::connect(address).unwrap())
}

/// Reads on until so many lines are counted, ends the program and checks that these were all.
fn drain(mut running: Running, lines: u64) -> JsonTally {
    let mut tally = JsonTally::default();
    while tally.lines < lines {
        tally.add(&running.line().expect("the program goes on"));
    }
    running.signal(Signal::TERM);
    let output = running.finish();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        tally.add(line);
    }
    assert_eq!((output.status.code(), tally.lines), (Some(0), lines));
    tally
}

/// The first warning that a refused producer causes.
fn warning(lines: &mpsc::Receiver<String>) -> String {
    let mut warnings = lines.iter().filter(|line| line.contains("refused"));
    warnings.next().expect("a warning")
}

#[test]
fn producers_over_tls_are_counted_exactly() {
    let authority = Authority::new();
    let (running, address, _lines) = listening(&authority, &[]);
    let producers: Vec<_> = (0..10)
        .map(|_| {
            let mut stream = produce(&authority, None, &address);
            thread::spawn(move || {
                for piece in "{\"status\":\"a\"}\n"
                    .repeat(20_000)
                    .as_bytes()
                    .chunks(30_000)
                {
                    stream.write_all(piece).unwrap();
                }
                stream.write_all(b"{\"status\":\"last\"}").unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            })
        })
        .collect();
    producers
        .into_iter()
        .for_each(|producer| producer.join().unwrap());
    let tally = drain(running, 200_010);
    assert_eq!(tally.counts["\"a\""], 200_000);
    assert_eq!(tally.counts["\"last\""], 10);
}

#[test]
fn a_plain_text_producer_is_refused_in_one_line_and_harms_nobody() {
    let authority = Authority::new();
    let (running, address, lines) = listening(&authority, &[]);
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(b"{\"status\":\"plain\"}\n").unwrap();
    let warning = warning(&lines);
    assert!(warning.contains("does not speak TLS"), "{warning}");
    let mut stream = produce(&authority, None, &address);
    stream.write_all(b"{\"status\":\"tls\"}\n").unwrap();
    assert_eq!(drain(running, 1).counts["\"tls\""], 1);
}

#[test]
fn only_producers_that_the_authority_certified_are_let_in() {
    let authority = Authority::new();
    authority.certify("producer", "producer", |_| {});
    let ca = authority.file("ca.pem");
    let (running, address, lines) = listening(&authority, &["--tls-client-ca", path(&ca)]);
    let mut stranger = produce(&authority, None, &address);
    // Whether the refusal is noticed at the first write or later is the system's affair.
    drop(stranger.write_all(b"{\"status\":\"stranger\"}\n"));
    let warning = warning(&lines);
    assert!(warning.contains("showed no certificate"), "{warning}");
    let mut known = produce(&authority, Some("producer"), &address);
    known.write_all(b"{\"status\":\"known\"}\n").unwrap();
    assert_eq!(drain(running, 1).counts["\"known\""], 1);
}

/// Counts from a server at a name of this machine that shows a certificate; it may be refused.
fn count_from(authority: &Authority, shown: &str, host: &str, ca: &Path) -> std::process::Output {
    let (certificates, key) = authority.identity(shown);
    let config = server().with_no_client_auth();
    let config = config.with_single_cert(certificates, key).unwrap();
    serve_tls(config, host, &["--tls-ca", path(ca)])
}

/// Counts from a server that wants a certificate of this authority; these flags may name one.
fn count_from_asking(authority: &Authority, flags: &[&str]) -> std::process::Output {
    authority.certify("asking", "localhost", |_| {});
    let (certificates, key) = authority.identity("asking");
    let ca = authority.file("ca.pem");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let config = server().with_client_cert_verifier(verifier.build().unwrap());
    let config = config.with_single_cert(certificates, key).unwrap();
    serve_tls(
        config,
        "localhost",
        &[&["--tls-ca", path(&ca)], flags].concat(),
    )
}

fn server() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
}

fn serve_tls(config: ServerConfig, host: &str, flags: &[&str]) -> std::process::Output {
    serve(host, flags, move |stream| {
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        stream.write_all(&b"{\"status\":\"a\"}\n".repeat(5000))?;
        stream.conn.send_close_notify();
        stream.flush()
    })
}

fn serve(
    host: &str,
    flags: &[&str],
    serve: impl FnOnce(TcpStream) -> io::Result<()> + Send + 'static,
) -> std::process::Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("tls://{host}:{}", listener.local_addr().unwrap().port());
    // A client that refuses us has a reason, which is the test's to look at.
    let serving = thread::spawn(move || drop(serve(listener.accept().unwrap().0)));
    let mut command = tallyline(&["count", &source, "--by", "status", "--on-close", "exit"]);
    command.args(["--output", "json", "-q"]).args(flags);
    let output = command.output().unwrap();
    serving.join().unwrap();
    output
}

fn refused(output: &std::process::Output, part: &str) {
    ended_with(output, "cannot connect to tls://", part);
}

/// One line on standard error, with these two parts.
fn ended_with(output: &std::process::Output, what: &str, why: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(what) && stderr.contains(why), "{stderr}");
}

#[test]
fn a_client_counts_from_a_server_that_it_can_trust_and_from_no_other() {
    let (authority, other) = (Authority::new(), Authority::new());
    let ca = authority.file("ca.pem");
    authority.certify("good", "localhost", |_| {});
    authority.certify("old", "localhost", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    authority.certify("early", "localhost", |params| {
        params.not_before = date_time_ymd(2900, 1, 1);
        params.not_after = date_time_ymd(2901, 1, 1);
    });
    authority.certify("authority", "localhost", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    authority.certify("nameless", "localhost", |params| {
        params.subject_alt_names.clear();
    });
    let output = count_from(&authority, "good", "localhost", &ca);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut tally = JsonTally::default();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .for_each(|line| tally.add(line));
    assert_eq!(tally.counts["\"a\""], 5000);

    refused(
        &count_from(&authority, "good", "localhost", &other.file("ca.pem")),
        "not of an authority",
    );
    refused(
        &count_from(&authority, "old", "localhost", &ca),
        "has expired",
    );
    for (shown, part) in [
        ("early", "not valid yet; check the clocks"),
        (
            "authority",
            "an authority's; make one with basicConstraints=CA:FALSE",
        ),
        (
            "nameless",
            "for no host's name; make one with a subjectAltName",
        ),
    ] {
        refused(&count_from(&authority, shown, "localhost", &ca), part);
    }
    refused(
        &count_from(&authority, "good", "127.0.0.1", &ca),
        "for another name, localhost; use",
    );
    let plain = serve("localhost", &["--tls-ca", path(&ca)], |mut stream| {
        stream.write_all(b"{\"status\":\"plain\"}\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    refused(&plain, "does not speak TLS");
}

#[test]
fn a_server_that_wants_a_certificate_is_shown_one_or_told_of_in_one_line() {
    let (authority, other) = (Authority::new(), Authority::new());
    for authority in [&authority, &other] {
        authority.certify("client", "client", |_| {});
    }
    let identity = |of: &Authority| [of.file("client.pem"), of.file("client.key")];
    let [cert, key] = identity(&authority);
    let flags = ["--tls-cert", path(&cert), "--tls-key", path(&key)];
    let output = count_from_asking(&authority, &flags);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let refused = |output: &std::process::Output, why: &str| {
        ended_with(output, "lost tls://localhost:", why);
    };
    refused(
        &count_from_asking(&authority, &[]),
        "the server wants a certificate; give --tls-cert FILE and --tls-key FILE",
    );
    let [cert, key] = identity(&other);
    let flags = ["--tls-cert", path(&cert), "--tls-key", path(&key)];
    refused(
        &count_from_asking(&authority, &flags),
        "does not accept our certificate",
    );
}

#[test]
fn a_server_that_is_not_there_is_named() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let source = format!("tls://{}", address.unwrap());
    let output = tallyline(&["count", &source, "--by", "a"])
        .output()
        .unwrap();
    refused(
        &output,
        "connection refused; start the server first, or wait",
    );
}

#[test]
fn flags_for_tls_want_a_source_over_tls() {
    for (flag, source, wanted) in [
        ("--tls-cert", "tcp://localhost:1", "tls:// or tls-listen://"),
        ("--tls-key", "tcp://localhost:1", "tls:// or tls-listen://"),
        ("--tls-ca", "tls-listen://localhost:0", "tls://"),
        ("--tls-client-ca", "tls://localhost:1", "tls-listen://"),
    ] {
        let args = ["count", source, "--by", "a", flag, "ca.pem"];
        let output = tallyline(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let expected = format!(
            "tallyline: {flag}: among the sources there is no {wanted}; name one, or leave it out\n"
        );
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    authority.certify("server", "localhost", |_| {});
    authority.certify("other", "localhost", |_| {});
    let (cert, key) = (authority.file("server.pem"), authority.file("server.key"));
    let other = authority.file("other.key");
    let empty = authority.file("empty.pem");
    fs::write(&empty, "").unwrap();
    let source = "tls-listen://127.0.0.1:0";
    for (flags, part) in [
        (vec![], "give --tls-cert FILE and --tls-key FILE"),
        (vec!["--tls-cert", path(&cert)], "--tls-key"),
        (
            vec!["--tls-cert", "nosuch", "--tls-key", path(&key)],
            "--tls-cert nosuch: cannot read it",
        ),
        (
            vec!["--tls-cert", path(&empty), "--tls-key", path(&key)],
            "no certificate in it",
        ),
        (
            vec!["--tls-cert", path(&cert), "--tls-key", path(&cert)],
            "no private key in it",
        ),
        (
            vec!["--tls-cert", path(&cert), "--tls-key", path(&other)],
            "other.key: not the key of the certificate in ",
        ),
    ] {
        let output = tallyline(&["count", source, "--by", "a"])
            .args(&flags)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{flags:?}: {stderr}");
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}
