//! A proxy that speaks MPP, for commands: one connection, one command at a time. Blocks.

use crate::error::{Error, ErrorCode, Result};
use crate::io::proxy_client::ProxyClient;
use crate::mpp::{Account, Command, Element, Evaluation, Outcome, Row};
use crate::pool::{Address, Host};
use crate::wire::{Secret, Transport};
use std::path::Path;
use std::time::Duration;

pub use super::push::evaluations;

/// Who logs in to a proxy.
#[derive(Clone, Debug)]
pub struct ProxyLogin {
    /// Where its admin plugin listens, or its data port if its script takes commands there.
    pub address: Address,
    /// The account's name.
    pub user: String,
    /// Its password; none and an empty one are the same.
    pub password: Option<Secret>,
    /// For the connection, for the login, and for each answer.
    pub timeout: Duration,
}

/// Reads the file of a password, as a configuration's `password_file` is read.
///
/// # Errors
/// [`ErrorCode::Secret`] for a file that is missing, unreadable or open to every user.
pub fn read_password(path: &Path) -> Result<Secret> {
    crate::io::file::read_secret(path)
}

/// A connection to a proxy.
#[derive(Debug)]
pub struct ProxyAdmin {
    client: ProxyClient,
    proxy: String,
}

impl ProxyAdmin {
    /// Connects and logs in. Resolves a name.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] with the reason: nobody listens, nothing comes in time, the login is refused.
    pub fn connect(login: ProxyLogin) -> Result<ProxyAdmin> {
        let ProxyLogin { address, user, password, timeout } = login;
        let transport =
            if matches!(address.host, Host::Unix(_)) { Transport::Unix } else { Transport::Plain };
        let client = ProxyClient::connect(&address, Account { user, password, transport, timeout })?;
        Ok(ProxyAdmin { client, proxy: address.to_string() })
    }

    /// Its canonical address.
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// The rows of `MPP SHOW ALL`.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if the connection breaks; [`ErrorCode::Refused`] if the proxy does not answer with such a table.
    pub fn show(&mut self) -> Result<Vec<Row>> {
        let reply = self.client.ask(&Command::ShowAll.to_string())?;
        reply.shown().map_err(|words| self.refused(&words))
    }

    /// Makes a node known to the proxy; its state is UNKNOWN then.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if the connection breaks; [`ErrorCode::Refused`] with the proxy's words.
    pub fn initialize(&mut self, is: &Evaluation) -> Result<()> {
        self.carry_out(&Command::Initialize { node: is.node.clone(), node_type: is.node_type })
    }

    /// Sets one element of a node.
    ///
    /// # Errors
    /// As [`ProxyAdmin::initialize`].
    pub fn set(&mut self, node: &Address, element: Element) -> Result<()> {
        self.carry_out(&Command::Set { node: node.clone(), element })
    }

    /// Sets all elements of a node; the state last, so that it takes clients only once all is known of it.
    ///
    /// # Errors
    /// As [`ProxyAdmin::initialize`].
    pub fn set_all(&mut self, is: &Evaluation) -> Result<()> {
        self.set(&is.node, Element::Type(is.node_type))?;
        self.set(&is.node, Element::Status(is.status))?;
        match self.set(&is.node, Element::Weight(is.weight)) {
            // The original's script takes no weights.
            Err(error) if error.code() == ErrorCode::Refused => {}
            other => other?,
        }
        self.set(&is.node, Element::State(is.state))
    }

    fn carry_out(&mut self, command: &Command) -> Result<()> {
        match self.ask(&command.to_string())? {
            Outcome::Refused(_) if command.to_string().contains(" STATE FAILED_") => {
                // As the original spells it.
                match self.ask(&command.to_string().replace(" STATE FAILED_", " STATE FAIL_"))? {
                    Outcome::Done => Ok(()),
                    Outcome::Uninitialized(words) | Outcome::Refused(words) => Err(self.refused(&words)),
                }
            }
            Outcome::Done => Ok(()),
            Outcome::Uninitialized(words) => {
                Err(self
                    .refused(&format!("{words} (`primacy proxyadmin --initialize-all` makes nodes known)")))
            }
            Outcome::Refused(words) => Err(self.refused(&words)),
        }
    }

    fn ask(&mut self, command: &str) -> Result<Outcome> {
        Ok(self.client.ask(command)?.outcome())
    }

    /// Sends a command as text, which is parsed first, and gives the answer as text: rows of cells divided by tabs, each ended
    /// by a newline; `SUCCESS` for one that was carried out.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for what is no command; as [`ProxyAdmin::initialize`].
    pub fn command(&mut self, text: &str) -> Result<String> {
        let command = Command::parse(text).map_err(|words| Error::new(ErrorCode::Invalid, words))?;
        if command != Command::ShowAll {
            self.carry_out(&command)?;
            return Ok("SUCCESS\n".into());
        }
        let clean = |cell: &str| cell.replace(['\t', '\n'], " ");
        let line = |row: &Row| {
            let Row { node, group, element, value } = row;
            format!("{}\t{}\t{}\t{}\n", clean(node), clean(group), clean(element), clean(value))
        };
        Ok(self.show()?.iter().map(line).collect())
    }

    fn refused(&self, words: &str) -> Error {
        Error::new(ErrorCode::Refused, format!("proxy {}: {words}", self.proxy))
    }
}
