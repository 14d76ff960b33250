//! TLS inside a link: rustls, which turns bytes into bytes and never sees the socket.
//!
//! No provider is installed for the process: the host may use rustls, too. Sessions are not resumed, because a resumed
//! one does not show the server's certificate again, and a probe has to notice when that has expired.

use super::file;
use crate::config::{ClientCertificate, ProbeConfig, TlsMode};
use crate::error::{Error, ErrorCode, Result};
use crate::pool::Host;
use core::fmt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

/// What nodes with the same settings share: the authorities and our own certificate.
#[derive(Clone)]
pub(crate) struct TlsConfig {
    config: Arc<ClientConfig>,
    mode: TlsMode,
}

/// TLS to one node.
#[derive(Clone)]
pub(crate) struct TlsSetup {
    shared: TlsConfig,
    name: ServerName<'static>,
}

/// One encrypted connection.
pub(super) struct Stream {
    connection: ClientConnection,
    mode: TlsMode,
    up: bool,
}

/// What came out of the bytes that came in.
pub(super) struct Inside {
    /// What the server said.
    pub(super) plain: Vec<u8>,
    /// The handshake was completed by these bytes.
    pub(super) up: bool,
    /// The server closed its side, or the connection cannot go on: what is wrong and what to change.
    pub(super) end: Option<core::result::Result<(), String>>,
}

impl TlsConfig {
    /// Reads the files that the settings name. `None` where TLS is disabled.
    pub(crate) fn read(probe: &ProbeConfig) -> Result<Option<TlsConfig>> {
        if probe.tls == TlsMode::Disabled {
            return Ok(None);
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier {
            roots: probe
                .tls_ca
                .as_deref()
                .filter(|_| probe.tls.verifies())
                .map(read_authorities)
                .transpose()?,
            name: probe.tls == TlsMode::VerifyIdentity,
            algorithms: provider.signature_verification_algorithms,
        };
        let internal = |what: rustls::Error| Error::new(ErrorCode::Config, format!("TLS: {what}"));
        let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(internal)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &probe.tls_certificate {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let (chain, key) = read_own(files)?;
                builder.with_client_auth_cert(chain, key).map_err(|what| {
                    refuse(
                        "tls_cert",
                        &files.chain,
                        format!("it does not go with the key in tls_key: {what}"),
                    )
                })?
            }
        };
        config.resumption = Resumption::disabled();
        Ok(Some(TlsConfig { config: Arc::new(config), mode: probe.tls }))
    }

    /// TLS to the node at `host`.
    pub(crate) fn to(&self, host: &Host) -> Result<TlsSetup> {
        let name = match host {
            Host::Ip(ip) => ServerName::from(*ip),
            Host::Name(name) => match ServerName::try_from(name.clone()) {
                Ok(name) => name,
                Err(_) if self.mode == TlsMode::VerifyIdentity => {
                    return Err(Error::new(
                        ErrorCode::Config,
                        format!(
                            "no certificate can be for the name {name}; set tls = \"verify-ca\" for this node"
                        ),
                    ));
                }
                Err(_) => nobody(),
            },
            Host::Unix(_) => nobody(),
        };
        Ok(TlsSetup { shared: self.clone(), name })
    }
}

/// For a handshake that names nobody and looks at no name.
fn nobody() -> ServerName<'static> {
    ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

impl fmt::Debug for TlsSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsSetup({})", self.shared.mode.name())
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({})", self.mode.name())
    }
}

impl Stream {
    /// Begins the handshake; its first bytes go into `out`.
    pub(super) fn new(setup: &TlsSetup, out: &mut Vec<u8>) -> core::result::Result<Stream, String> {
        let TlsSetup { shared, name } = setup;
        let connection = ClientConnection::new(Arc::clone(&shared.config), name.clone())
            .map_err(|error| explain(&error, shared.mode))?;
        let mut stream = Stream { connection, mode: shared.mode, up: false };
        stream.collect(out);
        Ok(stream)
    }

    /// Encrypts `plain` into `out`. False if the connection takes nothing more.
    pub(super) fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> bool {
        let taken = self.connection.writer().write_all(plain);
        self.collect(out);
        taken.is_ok()
    }

    /// Takes in what the socket brought; what has to be answered at once goes into `out`.
    pub(super) fn read(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Inside {
        let mut inside = Inside { plain: Vec::new(), up: false, end: None };
        while !bytes.is_empty() && inside.end.is_none() {
            let taken = self.connection.read_tls(&mut bytes);
            let outcome = match taken {
                // Nothing is taken after the server's goodbye.
                Ok(0) => break,
                Ok(_) => self.connection.process_new_packets().map_err(|error| explain(&error, self.mode)),
                Err(error) => Err(error.to_string()),
            };
            let mut reader = self.connection.reader();
            while let Ok(chunk) = reader.fill_buf() {
                let length = chunk.len();
                if length == 0 {
                    break;
                }
                inside.plain.extend_from_slice(chunk);
                reader.consume(length);
            }
            match outcome {
                Ok(state) if state.peer_has_closed() => inside.end = Some(Ok(())),
                Ok(_) => {}
                Err(what) => inside.end = Some(Err(what)),
            }
        }
        // An alert after a failure, too: it tells the server's log why.
        self.collect(out);
        if !self.up && !self.connection.is_handshaking() {
            self.up = true;
            inside.up = true;
        }
        inside
    }

    /// Says goodbye into `out`.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        if self.up {
            self.connection.send_close_notify();
            self.collect(out);
        }
    }

    fn collect(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // A vector takes everything.
            if self.connection.write_tls(out).is_err() {
                return;
            }
        }
    }
}

/// Judges the server's certificate as the mode demands.
#[derive(Debug)]
struct Verifier {
    /// Without authorities nothing is verified.
    roots: Option<RootCertStore>,
    name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> core::result::Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let cert = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&cert, roots, intermediates, now, algorithms)?;
            if self.name {
                verify_server_name(&cert, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    // Without authorities the key is anybody's and its signature proves nothing; looking at it would only shut out
    // servers with certificates of a form that webpki does not read (X.509 v1).

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> core::result::Result<HandshakeSignatureValid, rustls::Error> {
        match self.roots {
            Some(_) => rustls::crypto::verify_tls12_signature(message, cert, signature, &self.algorithms),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> core::result::Result<HandshakeSignatureValid, rustls::Error> {
        match self.roots {
            Some(_) => rustls::crypto::verify_tls13_signature(message, cert, signature, &self.algorithms),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What is wrong and what to change, in one sentence or two.
fn explain(error: &rustls::Error, mode: TlsMode) -> String {
    use rustls::Error as E;
    const VERSIONS: &str = "no TLS version or cipher in common: TLS 1.2 and 1.3 are spoken here; set tls_version there, \
         or tls = \"disabled\" for this node";
    const OURS: &str = "set tls_cert and tls_key to a certificate that the server's ssl_ca has signed";
    match error {
        E::InvalidCertificate(what) => certificate(what, mode),
        E::PeerIncompatible(_) => VERSIONS.into(),
        E::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure) => {
            VERSIONS.into()
        }
        E::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        ) => format!("the server does not accept our certificate ({alert:?}); {OURS}"),
        E::AlertReceived(alert) => {
            format!("the server broke off with the alert {alert:?}; its log may say why")
        }
        E::InvalidMessage(_) => "the server's answer is not TLS; see whether a proxy stands between".into(),
        other => format!("{other}"),
    }
}

/// What is wrong with the server's certificate.
fn certificate(what: &CertificateError, mode: TlsMode) -> String {
    use CertificateError as C;
    let mode = mode.name();
    match what {
        C::Expired => "the server's certificate has expired; renew it".into(),
        C::ExpiredContext { time, not_after } => format!(
            "the server's certificate expired {} ago; renew it",
            age(time.as_secs().saturating_sub(not_after.as_secs()))
        ),
        C::NotValidYet | C::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; see that the clocks agree".into()
        }
        C::UnknownIssuer => {
            "the server's certificate is not signed by an authority in tls_ca; put the right one there".into()
        }
        C::BadSignature => {
            "the server's certificate is not signed by the authority in tls_ca whose name it bears; put the right one \
             there"
                .into()
        }
        C::NotValidForName => format!(
            "the server's certificate is not for this node's address; issue one with it in subjectAltName, or set tls \
             = \"verify-ca\" instead of \"{mode}\""
        ),
        C::NotValidForNameContext { expected, presented } => {
            let presented: Vec<String> = presented.iter().take(8).map(|name| cut(name)).collect();
            let names = if presented.is_empty() { "no name".into() } else { presented.join(", ") };
            format!(
                "the server's certificate is for {names}, not for {} (only subjectAltName counts); issue another one, \
                 or set tls = \"verify-ca\" instead of \"{mode}\"",
                expected.to_str()
            )
        }
        C::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server shows an authority's certificate (CA:TRUE) as its own; issue one for the server".into()
        }
        other => format!(
            "the server's certificate cannot be verified ({}); issue an X.509 v3 certificate for servers, or set tls = \
             \"required\" instead of \"{mode}\"",
            cut(&format!("{other:?}"))
        ),
    }
}

/// A server's words, bounded and printable.
fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(120).collect()
}

fn age(seconds: u64) -> String {
    match seconds {
        0..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn refuse(key: &str, path: &Path, what: impl fmt::Display) -> Error {
    Error::new(ErrorCode::Secret, format!("{key} file {}: {what}", path.display()))
}

pub(super) fn read_certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = file::read_public(path).map_err(|what| refuse(key, path, what))?;
    let list: core::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let list = list.map_err(|what| refuse(key, path, format!("it is not PEM: {what}")))?;
    if list.is_empty() {
        return Err(refuse(key, path, "there is no certificate in it; it must hold one or more in PEM"));
    }
    Ok(list)
}

fn read_authorities(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in read_certificates("tls_ca", path)? {
        roots
            .add(authority)
            .map_err(|what| refuse("tls_ca", path, format!("a certificate in it cannot be used: {what}")))?;
    }
    Ok(roots)
}

fn read_own(files: &ClientCertificate) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = read_certificates("tls_cert", &files.chain)?;
    let bytes = file::read_private_key(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(bytes.expose()).map_err(|_| {
        // The parser's words may quote the file.
        refuse(
            "tls_key",
            &files.key,
            "there is no usable private key in it; it must hold one in PEM, not encrypted (PKCS #8, PKCS #1 or SEC 1)",
        )
    })?;
    Ok((chain, key))
}
