//! A driver of one check: a blocking socket, rustls inside it where TLS is asked for.

use primacy::engine::time::{Duration, Time};
use primacy::probe::{Action, Check, CheckEnd, CheckRequest, PeerSign};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

pub struct Driver {
    pub check: Check,
    address: SocketAddr,
    origin: Instant,
    stream: Option<TcpStream>,
    tls: Option<ClientConnection>,
    /// How many connections were made.
    pub connects: u32,
}

enum Step {
    Connect,
    Send(Vec<u8>),
    StartTls,
    Close,
    Done(CheckEnd),
}

impl Driver {
    pub fn new(check: Check, address: SocketAddr) -> Driver {
        Driver { check, address, origin: Instant::now(), stream: None, tls: None, connects: 0 }
    }

    fn now(&self) -> Time {
        Time::default() + self.origin.elapsed()
    }

    /// One check from its beginning to its end.
    pub fn run(&mut self, request: CheckRequest) -> CheckEnd {
        let now = self.now();
        self.check.begin(now, request);
        loop {
            if let Some(end) = self.drain() {
                return end;
            }
            self.wait();
        }
    }

    fn drain(&mut self) -> Option<CheckEnd> {
        loop {
            let step = match self.check.poll_action()? {
                Action::Connect => Step::Connect,
                Action::Send(bytes) => Step::Send(bytes.to_vec()),
                Action::StartTls => Step::StartTls,
                Action::Close => Step::Close,
                Action::Done(end) => Step::Done(end),
                Action::Lost => panic!("no check says so"),
            };
            match step {
                Step::Connect => self.connect(),
                Step::Send(bytes) => {
                    if let Err(error) = self.write(&bytes) {
                        self.check.handle_reset(self.now(), error.raw_os_error().unwrap_or(libc::EPROTO));
                    }
                }
                Step::StartTls => self.start_tls(),
                Step::Close => (self.stream, self.tls) = (None, None),
                Step::Done(end) => return Some(end),
            }
        }
    }

    fn left(&self) -> Duration {
        let left = self.check.poll_timeout().map(|at| at.since(self.now())).unwrap_or_default();
        left.max(Duration::from_millis(1))
    }

    fn connect(&mut self) {
        self.connects += 1;
        match TcpStream::connect_timeout(&self.address, self.left()) {
            Ok(stream) => {
                self.stream = Some(stream);
                self.check.handle_connected(self.now(), [7; 20]);
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.check.handle_timeout(self.now(), PeerSign::Connecting);
            }
            Err(error) => {
                self.check.handle_connect_failed(self.now(), error.raw_os_error().expect("a number"));
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let stream = self.stream.as_mut().expect("a connection");
        match &mut self.tls {
            None => stream.write_all(bytes),
            Some(tls) => rustls::Stream::new(tls, stream).write_all(bytes),
        }
    }

    fn start_tls(&mut self) {
        let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
        let mut tls = ClientConnection::new(trusting(), name).expect("a connection");
        let left = self.left();
        let stream = self.stream.as_mut().expect("a connection");
        stream.set_read_timeout(Some(left)).expect("a timeout");
        while tls.is_handshaking() {
            if let Err(error) = tls.complete_io(stream) {
                return self.check.handle_tls_failed(self.now(), &error.to_string());
            }
        }
        self.tls = Some(tls);
        self.check.handle_tls_up(self.now());
    }

    /// Waits for bytes, for the peer's end, or for the deadline.
    fn wait(&mut self) {
        let left = self.left();
        let mut buffer = [0; 4096];
        let stream = self.stream.as_mut().expect("a connection");
        stream.set_read_timeout(Some(left)).expect("a timeout");
        let read = match &mut self.tls {
            None => stream.read(&mut buffer),
            Some(tls) => rustls::Stream::new(tls, stream).read(&mut buffer),
        };
        let now = self.now();
        match read {
            Ok(0) => self.check.handle_eof(now),
            Ok(length) => self.check.handle_bytes(now, &buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.check.handle_timeout(now, PeerSign::Acknowledged);
            }
            Err(error) => self.check.handle_reset(now, error.raw_os_error().unwrap_or(libc::ECONNRESET)),
        }
    }
}

/// As `tls = "preferred"`: encrypted, to whomever.
fn trusting() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    Arc::new(config)
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
