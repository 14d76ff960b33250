//! What the helper does for the driver: names and writes; and what is told of it.

use super::Driver;
use crate::engine::notice::{Notice, Reason};
use crate::engine::{Input, Severity, Time};
use crate::io::checkpoint::Checker;
use crate::io::helper::{Helper, JobResult};
use crate::io::link::Link;
use crate::io::push::ProxyLink;
use crate::probe::AddressBook;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// After this time something that blocks is told to be slow.
const SLOW: Duration = Duration::from_secs(2);

impl Driver {
    pub(super) fn helper(&mut self) -> io::Result<&mut Helper> {
        match &mut self.helper {
            Some(helper) => Ok(helper),
            empty => Ok(empty.insert(Helper::start(Arc::clone(&self.wake))?)),
        }
    }

    /// What is known of the addresses of a link, or after all links of a checkpoint, or after all of those of a proxy.
    pub(super) fn book(&mut self, index: usize) -> Option<&mut AddressBook> {
        match index.checked_sub(self.links.len()) {
            None => self.links.get_mut(index).map(Link::book),
            Some(index) => match index.checked_sub(self.checkers.len()) {
                None => self.checkers.get_mut(index).map(Checker::book),
                Some(index) => self.proxies.get_mut(index).map(ProxyLink::book),
            },
        }
    }

    /// The name that is resolved for it.
    pub(super) fn name(&self, index: usize) -> Option<(&str, u16)> {
        match index.checked_sub(self.links.len()) {
            None => self.links.get(index).and_then(Link::name),
            Some(index) => match index.checked_sub(self.checkers.len()) {
                None => self.checkers.get(index).and_then(Checker::name),
                Some(index) => self.proxies.get(index).and_then(ProxyLink::name),
            },
        }
    }

    pub(super) fn resolve_if_due(&mut self, now: Time, index: usize) {
        if !self.book(index).is_some_and(|book| book.ask(now)) {
            return;
        }
        let Some((host, port)) = self.name(index).map(|(host, port)| (host.to_owned(), port)) else { return };
        match self.helper() {
            Ok(helper) => helper.resolve(index, host, port),
            Err(error) => {
                let words = format!("{host} cannot be resolved, no helper thread: {error}");
                if let Some(book) = self.book(index) {
                    book.resolved(now, Err(words));
                }
            }
        }
    }

    pub(super) fn take_results(&mut self, now: Time) {
        while let Some(result) = self.helper.as_mut().and_then(Helper::result) {
            match result {
                JobResult::Resolved { link, name: (host, port), answer } => {
                    // The index may have become another node's while the resolver was at work.
                    if self.name(link) == Some((&host, port)) {
                        self.resolved(now, link, answer);
                    }
                }
                JobResult::Written(Some((sequence, outcome))) => {
                    self.inputs.push_back(Input::Persisted { sequence, outcome });
                }
                JobResult::Written(None) => {}
            }
        }
        self.watch_helper(now);
    }

    /// The resolver has answered. What changes is told.
    pub(super) fn resolved(&mut self, now: Time, index: usize, answer: Result<Vec<SocketAddr>, String>) {
        let Some(link) = self.links.get_mut(index) else {
            // What comes of a checkpoint's or a proxy's name shows when it is used.
            if let Some(book) = self.book(index) {
                book.resolved(now, answer);
            }
            return;
        };
        if link.is_beside() {
            link.book().resolved(now, answer);
            return;
        }
        let node = link.node();
        let name = link.name().map(|(host, _)| host.to_owned()).unwrap_or_default();
        let before = link.book().sorted();
        link.book().resolved(now, answer);
        let (after, error) = (link.book().sorted(), link.book().error().to_owned());
        let was_told = core::mem::replace(&mut link.unresolved, !error.is_empty());
        let mut tell = |reason, severity, message| {
            self.notices.push_back(Notice { node: Some(node), reason, severity, message });
        };
        if error.is_empty() {
            self.tally.resolved += 1;
        } else {
            self.tally.unresolved += 1;
        }
        match (was_told, error.is_empty()) {
            (false, false) if after.is_empty() => {
                tell(Reason::Unresolved, Severity::Warning, error.clone());
            }
            (false, false) => {
                let text = format!("{error}; {} goes on with {}", name, list(&after));
                tell(Reason::Unresolved, Severity::Warning, text);
            }
            (true, true) => {
                tell(Reason::Resolved, Severity::Info, format!("{name} resolves again, to {}", list(&after)))
            }
            _ => {}
        }
        if error.is_empty() && !before.is_empty() && before != after {
            let text = format!("{name} resolves to {} now; it was {}", list(&after), list(&before));
            tell(Reason::Address, Severity::Warning, text);
        }
    }

    /// Tells of a helper that does not get on, and of its end.
    pub(super) fn watch_helper(&mut self, now: Time) {
        let waiting = self.helper.as_ref().and_then(Helper::waiting_since);
        let mut tell = |severity, message| {
            self.notices.push_back(Notice { node: None, reason: Reason::Slow, severity, message });
        };
        match (waiting, self.slow_since) {
            (Some(since), None) if now.since(since) > SLOW => {
                self.slow_since = Some(since);
                let text = "the resolver or the disk has not answered for 2 s: names keep their addresses and the cache its \
                            old state until it does; decisions go on";
                tell(Severity::Warning, text.to_string());
            }
            (waiting, Some(since)) if waiting.is_none_or(|oldest| oldest > since) => {
                self.slow_since = None;
                let text = format!(
                    "the resolver or the disk has answered after {} ms",
                    now.since(since).as_millis()
                );
                tell(Severity::Info, text);
            }
            _ => {}
        }
    }
}

/// Addresses for people, without what can be very long.
fn list(addresses: &[SocketAddr]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> =
        addresses.iter().take(SHOWN).map(|address| address.ip().to_string()).collect();
    if addresses.len() > SHOWN {
        shown.push(format!("{} more", addresses.len() - SHOWN));
    }
    shown.join(", ")
}
