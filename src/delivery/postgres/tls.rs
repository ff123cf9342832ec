//! TLS to PostgreSQL, with libpq's names: `sslmode=` and `sslrootcert=` in the address, or `PGSSLMODE` and `PGSSLROOTCERT`.
//!
//! As with libpq a mode below `verify-ca` encrypts and checks nobody's certificate: it keeps out who only listens. Named is
//! an authority, the least is that it has certified the server.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::source::tls::{authorities, provider};

/// How much is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing is encrypted.
    Disable,
    /// It is if the server can.
    Prefer,
    /// It must be.
    Require,
    /// An authority must have certified it.
    VerifyCa,
    /// And for this name.
    VerifyFull,
}

/// How to connect.
pub(super) struct Tls {
    /// The address without what is for us.
    pub(super) url: String,
    pub(super) mode: SslMode,
    pub(super) connector: MakeRustlsConnect,
}

impl Tls {
    /// Reads what is asked of TLS in an address, beside an authority that was named, or in the environment.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(url: &str, ca: Option<&Path>) -> Result<Tls, String> {
        let (url, mut asked) = take(url);
        let ca = ca.map(PathBuf::from).or(asked.ca.take());
        let ca = ca.or_else(|| env::var_os("PGSSLROOTCERT").map(PathBuf::from));
        let mode = asked.mode.or_else(|| env::var("PGSSLMODE").ok());
        let mode = match mode.as_deref() {
            Some("disable") => Mode::Disable,
            Some("prefer") => Mode::Prefer,
            // As libpq has it, for the sake of what was there before it.
            Some("require") if ca.is_some() => Mode::VerifyCa,
            Some("require") => Mode::Require,
            Some("verify-ca") => Mode::VerifyCa,
            Some("verify-full") => Mode::VerifyFull,
            Some(other) => {
                return Err(format!(
                    "sslmode={other}: give disable, prefer, require, verify-ca or verify-full"
                ));
            }
            None if ca.is_some() => Mode::VerifyFull,
            None => Mode::Prefer,
        };
        Ok(Tls {
            url,
            mode: match mode {
                Mode::Disable => SslMode::Disable,
                Mode::Prefer => SslMode::Prefer,
                Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
            },
            connector: MakeRustlsConnect::new(config(mode, ca.as_deref())?),
        })
    }
}

/// What an address says of TLS.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    mode: Option<String>,
    ca: Option<PathBuf>,
}

/// The address without that.
fn take(url: &str) -> (String, Asked) {
    let mut asked = Asked::default();
    let Some((place, options)) = url.split_once('?') else {
        return (url.to_owned(), asked);
    };
    let mut rest = Vec::new();
    for option in options.split('&') {
        match option.split_once('=') {
            Some(("sslmode", mode)) => asked.mode = Some(mode.to_owned()),
            Some(("sslrootcert", path)) => asked.ca = Some(path.into()),
            _ => rest.push(option),
        }
    }
    let url = match &rest[..] {
        [] => place.to_owned(),
        rest => format!("{place}?{}", rest.join("&")),
    };
    (url, asked)
}

fn config(mode: Mode, ca: Option<&Path>) -> Result<ClientConfig, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| told(&error))?;
    let verifier = match mode {
        Mode::Disable | Mode::Prefer | Mode::Require => None,
        Mode::VerifyCa | Mode::VerifyFull => {
            let roots = authorities("ca", ca).map_err(|error| told(&error))?;
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
            Some(verifier.build().map_err(|error| told(&error))?)
        }
    };
    let builder = match (mode, verifier) {
        (Mode::VerifyFull, Some(verifier)) => builder.with_webpki_verifier(verifier),
        (_, verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Lenient { verifier })),
    };
    Ok(builder.with_no_client_auth())
}

/// Takes a certificate for any name, and without a verifier of anybody. That the server has its key is checked all the same.
#[derive(Debug)]
struct Lenient {
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verified = match &self.verifier {
            Some(verifier) => verifier.verify_server_cert(certificate, between, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        };
        match verified {
            // The name is looked at last: all else is as it should be.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_tls_is_taken_out_of_the_address() {
        let plain = "postgres://me@h/db";
        assert_eq!(take(plain), (plain.to_owned(), Asked::default()));
        let url =
            "postgres://me@h/db?sslmode=verify-full&target_session_attrs=any&sslrootcert=/ca.pem";
        let asked = Asked {
            mode: Some("verify-full".to_owned()),
            ca: Some("/ca.pem".into()),
        };
        let rest = format!("{plain}?target_session_attrs=any");
        assert_eq!(take(url), (rest, asked));
        let told = Tls::new("postgres://me@h/db?sslmode=allow", None).err();
        let expected = "sslmode=allow: give disable, prefer, require, verify-ca or verify-full";
        assert_eq!(told.as_deref(), Some(expected));
    }
}
