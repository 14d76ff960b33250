//! TLS to etcd: the authority of its certificates, and our own.

use super::exchange::{NoAnswer, Timed};
use crate::config::vip::LeaseConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::io::file;
use crate::io::tls::read_certificates;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What a connection to one endpoint is made with.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS to {:?}", self.name)
    }
}

fn refuse(key: &str, path: &Path, what: impl fmt::Display) -> Error {
    Error::new(ErrorCode::Secret, format!("{key} file {}: {what}", path.display()))
}

impl Tls {
    /// Reads the files. The endpoint's certificate is always verified, its name too.
    pub(super) fn read(host: &str, config: &LeaseConfig) -> Result<Tls> {
        let error = |what: String| Error::new(ErrorCode::Config, what);
        let Some(ca) = &config.ca else {
            return Err(error(
                "an endpoint with https:// needs the authority of its certificate: set etcd_ca".into(),
            ));
        };
        let mut roots = RootCertStore::empty();
        for authority in read_certificates("etcd_ca", ca)? {
            roots.add(authority).map_err(|what| {
                refuse("etcd_ca", ca, format!("a certificate in it cannot be used: {what}"))
            })?;
        }
        // No provider is installed for the process: the host may use rustls, too.
        let builder =
            ClientConfig::builder_with_provider(Arc::<CryptoProvider>::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|what| error(format!("TLS: {what}")))?
                .with_root_certificates(roots);
        let config = match &config.certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let certificates = read_certificates("etcd_cert", chain)?;
                let bytes = file::read_private_key(key)?;
                // The parser's words may quote the file.
                let parsed = PrivateKeyDer::from_pem_slice(bytes.expose()).map_err(|_| {
                    refuse(
                        "etcd_key",
                        key,
                        "there is no usable private key in it; it must hold one in PEM, not encrypted",
                    )
                })?;
                builder.with_client_auth_cert(certificates, parsed).map_err(|what| {
                    refuse("etcd_cert", chain, format!("it does not go with the key in etcd_key: {what}"))
                })?
            }
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| error(format!("no certificate can be for the name {host}")))?;
        Ok(Tls { config: Arc::new(config), name })
    }

    /// Puts TLS on a connection; the handshake happens with the first bytes.
    pub(super) fn wrap(
        &self,
        timed: Timed,
    ) -> core::result::Result<StreamOwned<ClientConnection, Timed>, NoAnswer> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map(|connection| StreamOwned::new(connection, timed))
            .map_err(|what| NoAnswer::Denied(format!("TLS: {what}")))
    }
}
