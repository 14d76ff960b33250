//! One question and its answer over a connection that is kept.

use crate::config::vip::LeaseConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::vip::lease::http::{Reader, Reply, post};
use parking_lot::Mutex;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

#[cfg(feature = "tls")]
use super::tls::Tls;

/// Bytes of one reading.
const CHUNK: usize = 8192;

/// Why there is no answer; the words do not name the endpoint.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// No connection, or none in time, or it broke.
    Unreachable(String),
    /// What came was no HTTP.
    Garbage(String),
    /// TLS could not be agreed on.
    Denied(String),
}

/// Where etcd answers.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// As it is configured.
    name: String,
    authority: String,
    host: String,
    port: u16,
    /// What the name resolved to, until none of it answers.
    known: Mutex<Vec<SocketAddr>>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

/// A connection that is kept.
pub(super) enum Link {
    Plain(Timed),
    #[cfg(feature = "tls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, Timed>>),
}

/// A socket whose every call ends by one time for all.
#[derive(Debug)]
pub(super) struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Link {
    fn set_deadline(&mut self, until: Instant) {
        match self {
            Link::Plain(timed) => timed.until = until,
            #[cfg(feature = "tls")]
            Link::Tls(stream) => stream.sock.until = until,
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Plain(timed) => timed.read(buffer),
            #[cfg(feature = "tls")]
            Link::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Plain(timed) => timed.write(bytes),
            #[cfg(feature = "tls")]
            Link::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Link::Plain(timed) => timed.flush(),
            #[cfg(feature = "tls")]
            Link::Tls(stream) => stream.flush(),
        }
    }
}

/// Reads the configured endpoints, and for TLS the files that they need.
pub(super) fn endpoints(config: &LeaseConfig) -> Result<Vec<Endpoint>> {
    config.endpoints.iter().map(|name| Endpoint::parse(name, config)).collect()
}

impl Endpoint {
    fn parse(name: &str, config: &LeaseConfig) -> Result<Endpoint> {
        let bad = |what: &str| Error::new(ErrorCode::Config, format!("etcd endpoint {name}: {what}"));
        let (secure, rest) = match (name.strip_prefix("http://"), name.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(bad("write http://HOST:PORT or https://HOST:PORT")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            // The colon of an address of IPv6 stands in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port =
            port.map_or(Ok(2379), str::parse).map_err(|_| bad("the port is no number of 1 to 65535"))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if bare.is_empty() || port == 0 || !bare.chars().all(fits) || (bare.contains(':') && bare == host) {
            return Err(bad("write http://HOST:PORT or https://HOST:PORT, an address of IPv6 in brackets"));
        }
        #[cfg(feature = "tls")]
        let tls = if secure { Some(Tls::read(bare, config)?) } else { None };
        #[cfg(not(feature = "tls"))]
        if secure {
            let _ = config;
            return Err(bad("this library was built without TLS"));
        }
        Ok(Endpoint {
            name: name.to_owned(),
            authority: authority.to_owned(),
            host: bare.to_owned(),
            port,
            known: Mutex::new(Vec::new()),
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// As it is configured.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Asks, over the kept connection if there is one.
    pub(super) fn exchange(
        &self,
        link: &mut Option<Link>,
        path: &str,
        token: Option<&str>,
        body: &str,
        until: Instant,
        most: usize,
    ) -> core::result::Result<Reply, NoAnswer> {
        let question = post(&self.authority, path, token, body);
        let kept = link.is_some();
        let (first, heard) = self.try_once(link, &question, until, most);
        match first {
            // A connection that was kept may have died since: etcd was restarted. If anything had come, it was alive.
            Err(NoAnswer::Unreachable(_)) if kept && !heard && Instant::now() < until => {
                self.try_once(link, &question, until, most).0
            }
            other => other,
        }
    }

    /// The answer, and whether a byte of it came.
    fn try_once(
        &self,
        kept: &mut Option<Link>,
        question: &[u8],
        until: Instant,
        most: usize,
    ) -> (core::result::Result<Reply, NoAnswer>, bool) {
        let mut link = match kept.take() {
            Some(link) => link,
            None => match self.connect(until) {
                Ok(link) => link,
                Err(error) => return (Err(error), false),
            },
        };
        link.set_deadline(until);
        let mut reader = Reader::new(most);
        let reply = talk(&mut link, question, &mut reader);
        if let Ok(reply) = &reply
            && reply.keep
        {
            *kept = Some(link);
        }
        (reply, !reader.is_empty())
    }

    fn connect(&self, until: Instant) -> core::result::Result<Link, NoAnswer> {
        let unreachable = |e: io::Error| NoAnswer::Unreachable(words(&e));
        let mut addresses = self.known.lock().clone();
        if addresses.is_empty() {
            // An address is no name: the resolver is not asked.
            let found = (self.host.as_str(), self.port).to_socket_addrs();
            let found =
                found.map_err(|e| NoAnswer::Unreachable(format!("the name does not resolve: {e}")))?;
            addresses = found.collect();
            *self.known.lock() = addresses.clone();
        }
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(unreachable)?;
                    return self.wrap(Timed { stream, until });
                }
                Err(error) => last = error,
            }
        }
        // The name may lead elsewhere by now.
        self.known.lock().clear();
        Err(unreachable(last))
    }

    #[cfg(feature = "tls")]
    fn wrap(&self, timed: Timed) -> core::result::Result<Link, NoAnswer> {
        match &self.tls {
            None => Ok(Link::Plain(timed)),
            Some(tls) => tls.wrap(timed).map(|stream| Link::Tls(Box::new(stream))),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn wrap(&self, timed: Timed) -> core::result::Result<Link, NoAnswer> {
        Ok(Link::Plain(timed))
    }
}

fn talk(link: &mut Link, question: &[u8], reader: &mut Reader) -> core::result::Result<Reply, NoAnswer> {
    link.write_all(question).and_then(|()| link.flush()).map_err(|e| broken(&e))?;
    let mut buffer = [0; CHUNK];
    loop {
        let garbage = |what: &str| NoAnswer::Garbage(what.to_owned());
        match link.read(&mut buffer) {
            Ok(0) if reader.is_empty() => {
                return Err(NoAnswer::Unreachable("the connection was closed".into()));
            }
            Ok(0) => return reader.end().map_err(garbage),
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                if let Some(reply) = reader.take(bytes).map_err(garbage)? {
                    return Ok(reply);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(&error)),
        }
    }
}

/// What a failed call means.
fn broken(error: &io::Error) -> NoAnswer {
    // rustls hands its own errors through as those of the socket.
    if error.kind() == io::ErrorKind::InvalidData {
        return NoAnswer::Denied(format!("TLS: {error}; see etcd_ca, etcd_cert and etcd_key"));
    }
    NoAnswer::Unreachable(words(error))
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        // A socket's timeout is EAGAIN on Linux.
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".into(),
        _ => error.to_string(),
    }
}
