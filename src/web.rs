//! A client of other people's HTTP, over TLS if the build has it: what web hooks
//! ([`delivery`](crate::delivery)) and `top` ([`view`](crate::view)) have in common.
//!
//! Small and blocking, for threads that wait for nothing else. It goes nowhere but where it is sent: a redirect is an
//! answer like any other, so that a token is never shown to somebody else.

use std::path::Path;

use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;

use crate::error::reason;

/// A client for `url`, which names the scheme that is spoken; `ca` is the authority that the server must be
/// certified by, rather than the system's. `patience` says how long it waits.
///
/// # Errors
/// In words, if the build has no TLS and `url` wants it, or there are no certificates in the file.
pub(crate) fn agent(
    url: &str,
    ca: Option<&Path>,
    patience: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>,
) -> Result<Agent, String> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("tallyline/", env!("CARGO_PKG_VERSION")));
    let config = match url.starts_with("https:") {
        true => tls::with(config, ca)?,
        false => config,
    };
    Ok(patience(config).build().into())
}

/// Why no answer has come, in words; `ca` is what the setting is called that names an authority.
pub(crate) fn explain(error: ureq::Error, ca: &'static str) -> String {
    match error {
        ureq::Error::Io(error) => reason(&tls::plain(error, ca)),
        ureq::Error::HostNotFound => "there is no such host".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::BadUri(why) => format!("that is no address: {why}"),
        error => error.to_string(),
    }
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use ureq::tls::{Certificate, RootCerts, TlsConfig};

    use super::*;
    pub(super) use crate::source::plain_tls as plain;

    /// Trusts the authorities of a file, or the system's.
    pub(super) fn with(
        config: ConfigBuilder<AgentScope>,
        ca: Option<&Path>,
    ) -> Result<ConfigBuilder<AgentScope>, String> {
        let authorities: Vec<CertificateDer<'static>> = match ca {
            Some(path) => read(path)
                .map_err(|why| format!("{}: no certificates in PEM format{why}", path.display()))?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let authorities: Vec<Certificate<'static>> = authorities
            .iter()
            .map(|authority| Certificate::from_der(authority).to_owned())
            .collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(authorities)))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        Ok(config.tls_config(tls))
    }

    /// The certificates in a file; else why there are none.
    fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
        let found: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        match found {
            Ok(found) if found.is_empty() => Err(String::new()),
            found => found.map_err(|error| format!(": {error}")),
        }
    }
}

#[cfg(not(feature = "tls"))]
mod tls {
    use std::io;

    use super::*;

    pub(super) fn with(
        _: ConfigBuilder<AgentScope>,
        _: Option<&Path>,
    ) -> Result<ConfigBuilder<AgentScope>, String> {
        Err("this build has no TLS; build it with --features tls".to_owned())
    }

    pub(super) fn plain(error: io::Error, _: &'static str) -> io::Error {
        error
    }
}
