//! TLS for the dashboard, in a build that has it (feature `tls`).

use std::io;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Error;

#[cfg(feature = "tls")]
mod spoken {
    use super::*;
    use crate::source::{TlsFiles, http_server};
    use tokio_rustls::TlsAcceptor;

    /// How a connection's TLS is begun.
    #[derive(Clone)]
    pub(in crate::http) struct Tls(TlsAcceptor);

    impl Tls {
        /// With this certificate and its key, if they are named.
        pub(in crate::http) fn new(
            cert: Option<&Path>,
            key: Option<&Path>,
        ) -> Result<Option<Tls>, Error> {
            let files = TlsFiles {
                cert: cert.map(Path::to_owned),
                key: key.map(Path::to_owned),
                ..TlsFiles::default()
            };
            Ok(http_server(&files)?.map(|config| Tls(config.into())))
        }

        /// Makes the handshake.
        pub(in crate::http) async fn accept<S>(
            &self,
            stream: S,
        ) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + use<S>>
        where
            S: AsyncRead + AsyncWrite + Unpin,
        {
            self.0.accept(stream).await
        }
    }
}

#[cfg(not(feature = "tls"))]
mod spoken {
    use super::*;

    /// There is none in this build.
    #[derive(Clone)]
    pub(in crate::http) enum Tls {}

    impl Tls {
        /// Refuses a certificate.
        pub(in crate::http) fn new(
            cert: Option<&Path>,
            key: Option<&Path>,
        ) -> Result<Option<Tls>, Error> {
            let given = [("--http-cert", cert), ("--http-key", key)];
            match given
                .into_iter()
                .find_map(|(flag, path)| Some((flag, path?)))
            {
                None => Ok(None),
                Some((flag, path)) => Err(Error::Usage(format!(
                    "{flag} {}: this build cannot speak TLS; build it with --features tls, or leave it out",
                    path.display()
                ))),
            }
        }

        /// Is never called.
        pub(in crate::http) async fn accept<S>(
            &self,
            _: S,
        ) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + use<S>>
        where
            S: AsyncRead + AsyncWrite + Unpin,
        {
            match *self {}
            #[allow(unreachable_code, reason = "it says what would be returned")]
            Ok(tokio::io::empty())
        }
    }
}

pub(super) use spoken::Tls;

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}
