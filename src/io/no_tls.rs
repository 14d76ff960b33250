//! A build without the feature `tls`: the same face, which refuses what it cannot keep.

use crate::config::{ProbeConfig, TlsMode};
use crate::error::{Error, ErrorCode, Result};
use crate::pool::Host;

/// There is none.
#[derive(Clone, Debug)]
pub(crate) enum TlsConfig {}

/// There is none.
#[derive(Clone, Debug)]
pub(crate) enum TlsSetup {}

/// There is none.
#[derive(Debug)]
pub(super) enum Stream {}

/// What came out of the bytes that came in.
pub(super) struct Inside {
    pub(super) plain: Vec<u8>,
    pub(super) up: bool,
    pub(super) end: Option<core::result::Result<(), String>>,
}

impl TlsConfig {
    /// `preferred` is plain TCP, as with a server that does not offer TLS.
    pub(crate) fn read(probe: &ProbeConfig) -> Result<Option<TlsConfig>> {
        match probe.tls {
            TlsMode::Disabled | TlsMode::Preferred => Ok(None),
            mode => Err(Error::new(
                ErrorCode::Unsupported,
                format!("tls = \"{}\": this library was built without TLS (feature `tls`)", mode.name()),
            )),
        }
    }

    pub(crate) fn to(&self, _host: &Host) -> Result<TlsSetup> {
        match *self {}
    }
}

impl Stream {
    pub(super) fn new(setup: &TlsSetup, _out: &mut Vec<u8>) -> core::result::Result<Stream, String> {
        match *setup {}
    }

    pub(super) fn write(&mut self, _plain: &[u8], _out: &mut Vec<u8>) -> bool {
        match *self {}
    }

    pub(super) fn read(&mut self, _bytes: &[u8], _out: &mut Vec<u8>) -> Inside {
        match *self {}
    }

    pub(super) fn close(&mut self, _out: &mut Vec<u8>) {
        match *self {}
    }
}
