//! The addresses of one node: what its name resolved to, and which one to try next.
//!
//! A resolver that fails takes nothing away: the last known addresses stay in use.

use crate::engine::time::{Duration, Time};
use std::net::SocketAddr;

/// A name is resolved anew after this time.
pub const REFRESH: Duration = Duration::from_secs(30);

/// After a failed probe a name is resolved anew, but not sooner than this after the last time.
pub const RETRY: Duration = Duration::from_secs(1);

/// The address book of one node.
#[derive(Clone, Debug)]
pub struct AddressBook {
    /// A name to resolve, or a literal address that never changes.
    named: bool,
    addresses: Vec<SocketAddr>,
    /// Index of the address to try first.
    first: usize,
    /// The resolver is at work.
    asked: bool,
    /// When it last answered.
    answered: Option<Time>,
    /// The name is in doubt: a probe failed since the last answer.
    doubt: bool,
    error: String,
}

impl AddressBook {
    /// For a literal address.
    pub fn literal(address: SocketAddr) -> AddressBook {
        AddressBook { named: false, addresses: vec![address], ..AddressBook::named() }
    }

    /// For a name that has not been resolved yet.
    pub fn named() -> AddressBook {
        AddressBook {
            named: true,
            addresses: Vec::new(),
            first: 0,
            asked: false,
            answered: None,
            doubt: false,
            error: String::new(),
        }
    }

    /// The same addresses at another port; a question to the resolver is not carried over.
    pub fn at_port(&self, port: u16) -> AddressBook {
        let mut book = AddressBook { asked: false, ..self.clone() };
        book.addresses.iter_mut().for_each(|address| address.set_port(port));
        book
    }

    /// The address to try now; `None` if the name never resolved.
    pub fn current(&self) -> Option<SocketAddr> {
        self.addresses.get(self.first).copied()
    }

    /// The addresses in an order of their own, to compare: resolvers turn theirs around.
    pub fn sorted(&self) -> Vec<SocketAddr> {
        let mut addresses = self.addresses.clone();
        addresses.sort_unstable();
        addresses
    }

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether the name never resolved.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The resolver's last complaint; empty if it last succeeded.
    pub fn error(&self) -> &str {
        &self.error
    }

    /// The current address did not work: the next one in order is tried next time.
    pub fn advance(&mut self) {
        if !self.addresses.is_empty() {
            self.first = (self.first + 1) % self.addresses.len();
        }
    }

    /// A probe failed: the name may have moved.
    pub fn probe_failed(&mut self) {
        self.doubt = true;
    }

    /// Whether to ask the resolver now. After `true` it counts as asked until [`AddressBook::resolved`].
    pub fn ask(&mut self, now: Time) -> bool {
        if !self.named || self.asked {
            return false;
        }
        let age = self.answered.map(|at| now.since(at));
        let due = match age {
            None => true,
            Some(age) => age >= REFRESH || ((self.doubt || self.is_empty()) && age >= RETRY),
        };
        self.asked = due;
        due
    }

    /// Whether the resolver is at work on this name.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// The resolver was let go before it answered.
    pub fn forget_question(&mut self) {
        self.asked = false;
    }

    /// The resolver's answer. An address that is in use and still listed stays the first to try.
    pub fn resolved(&mut self, now: Time, answer: Result<Vec<SocketAddr>, String>) {
        self.asked = false;
        self.answered = Some(now);
        match answer {
            Ok(found) if !found.is_empty() => {
                let current = self.current();
                let mut addresses: Vec<SocketAddr> = Vec::with_capacity(found.len());
                for address in found {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                self.first = current.and_then(|c| addresses.iter().position(|a| *a == c)).unwrap_or_default();
                self.addresses = addresses;
                self.doubt = false;
                self.error.clear();
            }
            Ok(_) => self.error = "the name has no address".into(),
            Err(error) => self.error = error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| text.parse().expect("a literal")).collect()
    }

    #[test]
    fn a_literal_is_never_resolved() {
        let mut book = AddressBook::literal(addresses(&["10.0.0.1:3306"])[0]);
        assert!(!book.ask(at(0)));
        book.probe_failed();
        assert!(!book.ask(at(1_000_000)));
        book.advance();
        assert_eq!(book.current(), Some(addresses(&["10.0.0.1:3306"])[0]));
    }

    #[test]
    fn a_failing_resolver_takes_nothing_away() {
        let mut book = AddressBook::named();
        assert!(book.ask(at(0)));
        assert!(!book.ask(at(1)), "asked once at a time");
        book.resolved(at(5), Err("no such host".into()));
        assert_eq!((book.current(), book.error()), (None, "no such host"));
        assert!(!book.ask(at(1004)), "not sooner than a second after the answer");
        assert!(book.ask(at(1005)));
        let known = addresses(&["10.0.0.1:3306", "[2001:db8::1]:3306", "10.0.0.1:3306"]);
        book.resolved(at(1010), Ok(known.clone()));
        assert_eq!((book.len(), book.error()), (2, ""));
        book.advance();
        assert!(!book.ask(at(31_009)));
        assert!(book.ask(at(31_010)));
        book.resolved(at(31_020), Err("server failure".into()));
        assert_eq!((book.current(), book.error()), (Some(known[1]), "server failure"));
        assert!(book.ask(at(61_020)));
        book.resolved(at(61_030), Ok(Vec::new()));
        assert_eq!((book.current(), book.error()), (Some(known[1]), "the name has no address"));
    }

    #[test]
    fn addresses_are_tried_in_order_and_the_working_one_is_kept() {
        let mut book = AddressBook::named();
        let old = addresses(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
        book.resolved(at(0), Ok(old.clone()));
        for expected in [0, 1, 2, 0, 1] {
            assert_eq!(book.current(), Some(old[expected]));
            book.advance();
        }
        // Now at index 2; a shuffled answer keeps it, an answer without it starts at the front.
        book.resolved(at(1), Ok(addresses(&["10.0.0.3:1", "10.0.0.1:1"])));
        assert_eq!(book.current(), Some(old[2]));
        book.resolved(at(2), Ok(addresses(&["10.0.0.9:1", "10.0.0.1:1"])));
        assert_eq!(book.current(), Some(addresses(&["10.0.0.9:1"])[0]));
    }

    #[test]
    fn a_failed_probe_asks_again_but_at_most_once_a_second() {
        let mut book = AddressBook::named();
        book.resolved(at(0), Ok(addresses(&["10.0.0.1:1"])));
        assert!(!book.ask(at(2000)));
        book.probe_failed();
        assert!(!book.ask(at(999)));
        assert!(book.ask(at(1000)));
        book.resolved(at(1001), Ok(addresses(&["10.0.0.1:1"])));
        assert!(!book.ask(at(5000)), "the answer settled the doubt");
    }
}
