//! A look at the files with secrets, as a check of a configuration wants it.

use super::open::read_key;
use crate::config::{Config, ProbeMode, RsaPublicKey};
use crate::error::{Error, ErrorCode, Result};
use crate::io::file::read_secret;
use crate::io::tls::TlsConfig;
use crate::pool::Host;
use std::collections::BTreeSet;

/// Reads every password file, key file and certificate that the library's probes need, and forgets what it read.
///
/// # Errors
/// [`ErrorCode::Secret`]; the text names the file and the node that is probed with it.
pub fn check_secrets(config: &Config) -> Result<()> {
    let mut seen = BTreeSet::new();
    for pool in config.pools.iter().filter(|pool| pool.probe_mode == ProbeMode::Builtin) {
        for node in &pool.nodes {
            let of = |e: &str| {
                Error::new(
                    ErrorCode::Secret,
                    format!("{e} (for the probes of {} in pool {})", node.address, pool.name),
                )
            };
            if let Some(path) = node.probe.password_file.as_ref().filter(|path| seen.insert((*path).clone()))
            {
                read_secret(path).map_err(|e| of(e.message()))?;
            }
            if let RsaPublicKey::File(path) = &node.probe.rsa_public_key
                && seen.insert(path.clone())
            {
                read_key(path).map_err(|e| of(e.message()))?;
            }
            if !matches!(node.address.host, Host::Unix(_)) {
                TlsConfig::read(&node.probe).map_err(|e| of(e.message()))?;
            }
        }
    }
    for push in &config.push {
        if let Some(path) = push.password_file.as_ref().filter(|path| seen.insert((*path).clone())) {
            read_secret(path).map_err(|e| {
                let text = format!("{} (for the proxy {} in push)", e.message(), push.address);
                Error::new(ErrorCode::Secret, text)
            })?;
        }
    }
    Ok(())
}
