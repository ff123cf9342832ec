//! Why a handshake came to nothing, in words that name the remedy: what is wrong with the peer's
//! certificate, or what the peer has against ours. They end in the one line of an error or a warning, so what a
//! certificate says of itself is escaped and cut short.

use std::io;

use rustls::{AlertDescription, CertificateError};

/// Of a certificate with more names the first are told.
const NAMES_TOLD: usize = 3;

/// The other side of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    /// With what the setting is called that names its authority.
    Server(&'static str),
    Producer,
}

/// What is wrong with the peer's TLS, and the remedy, in words.
pub(super) fn plain(error: &rustls::Error, peer: Peer) -> io::Error {
    use rustls::Error as Tls;
    let text = match error {
        Tls::InvalidMessage(_) => "the other side does not speak TLS".to_owned(),
        Tls::InvalidCertificate(why) => why_refused(why, peer),
        Tls::NoCertificatesPresented => {
            "it showed no certificate, and --tls-client-ca asks for one".to_owned()
        }
        Tls::AlertReceived(alert) => why_refusing(*alert, peer),
        error => format!("in TLS: {error}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Why we do not accept the peer's certificate.
fn why_refused(why: &CertificateError, peer: Peer) -> String {
    use CertificateError as Bad;
    match why {
        Bad::UnknownIssuer | Bad::BadSignature => format!(
            "its certificate is not of an authority that is trusted here; name the authority's with {}",
            match peer {
                Peer::Server(setting) => setting,
                Peer::Producer => "--tls-client-ca",
            }
        ),
        Bad::Expired | Bad::ExpiredContext { .. } => {
            "its certificate has expired; renew it".to_owned()
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "its certificate is not valid yet; check the clocks of both sides".to_owned()
        }
        Bad::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "its certificate is for no host's name; make one with a subjectAltName".to_owned()
        }
        Bad::NotValidForNameContext { presented, .. } => format!(
            "its certificate is for another name, {}; use a name that it is for",
            names(presented)
        ),
        // rustls hands on what it has no variant for as it came from webpki, which is no dependency of ours.
        Bad::Other(other) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "its certificate is an authority's; make one with basicConstraints=CA:FALSE".to_owned()
            }
            "UnsupportedCertVersion" => {
                "its certificate is of version 1, which names no host; make one with a subjectAltName"
                    .to_owned()
            }
            other => format!("its certificate cannot be used: {other}"),
        },
        why => format!("its certificate cannot be used: {why}"),
    }
}

/// The first names that a certificate is for, out of `DnsName("a.example")`, `IpAddress(127.0.0.1)`.
fn names(presented: &[String]) -> String {
    let name = |text: &String| {
        let inner = text
            .split_once('(')
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        let name = inner.unwrap_or(text).trim_matches('"');
        name.escape_debug().to_string()
    };
    let mut names: Vec<String> = presented.iter().take(NAMES_TOLD).map(name).collect();
    if presented.len() > NAMES_TOLD {
        names.push("…".to_owned());
    }
    names.join(", ")
}

/// Why the peer does not accept us, as far as it has told.
fn why_refusing(alert: AlertDescription, peer: Peer) -> String {
    use AlertDescription as Alert;
    match (alert, peer) {
        (Alert::CertificateRequired, Peer::Server(_)) => {
            "the server wants a certificate; give --tls-cert FILE and --tls-key FILE".to_owned()
        }
        (
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            // An authority of the same name with another key.
            | Alert::DecryptError
            | Alert::UnsupportedCertificate,
            _,
        ) => {
            format!("the other side does not accept our certificate ({alert:?}); check --tls-cert")
        }
        (alert, _) => format!("the other side refuses ({alert:?})"),
    }
}
