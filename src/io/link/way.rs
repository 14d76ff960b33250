//! The way to a connection: the addresses in order inside one deadline, a backlog that is full, the attempt's end.

use super::{Context, Link};
use crate::engine::{Input, Time};
use crate::io::entropy;
use crate::io::socket::{Progress, Socket, Target};
use std::time::Duration;

/// How often a unix socket with a full backlog is tried again.
const BACKLOG_RETRY: Duration = Duration::from_millis(10);

/// An attempt at a connection, over all addresses of the node.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) target: Target,
    pub(super) addresses_left: usize,
    /// The most telling failure so far.
    pub(super) errno: i32,
    /// When to try a full backlog again.
    pub(super) retry_at: Option<Time>,
    /// When the next address gets its chance.
    pub(super) next_at: Option<Time>,
}

impl Link {
    pub(super) fn connect(&mut self, context: &mut Context<'_>) {
        self.close(context);
        let addresses_left = if self.setup.unix.is_some() { 1 } else { self.setup.book.len() };
        self.connect_next(context, addresses_left, libc::EADDRNOTAVAIL);
    }

    /// Tries the addresses in order until one is on its way.
    pub(super) fn connect_next(
        &mut self,
        context: &mut Context<'_>,
        mut addresses_left: usize,
        mut errno: i32,
    ) {
        while addresses_left > 0 {
            addresses_left -= 1;
            let target = match (&self.setup.unix, self.setup.book.current()) {
                (Some(path), _) => Target::Unix(path.clone()),
                (None, Some(address)) => Target::Tcp(address),
                (None, None) => break,
            };
            self.tally.connects += 1;
            let outcome = Socket::connect(context.registry, &target).and_then(|(socket, progress)| {
                if progress != Progress::Full {
                    let output = progress == Progress::Pending;
                    context.poller.add(socket.number(), self.token(), output)?;
                }
                Ok((socket, progress))
            });
            match outcome {
                Ok((socket, progress)) => {
                    self.socket = Some(socket);
                    let retry_at = (progress == Progress::Full).then(|| context.now + BACKLOG_RETRY);
                    if progress == Progress::Up {
                        self.established(context);
                    } else {
                        let next_at = self.share_of_time(context.now, addresses_left);
                        self.attempt = Some(Attempt { target, addresses_left, errno, retry_at, next_at });
                    }
                    return;
                }
                Err(error) => {
                    errno = more_telling(errno, error.raw_os_error().unwrap_or(libc::EIO));
                    if addresses_left > 0 {
                        self.setup.book.advance();
                    }
                }
            }
        }
        self.session.handle_connect_failed(context.now, errno);
    }

    /// The pending attempt ended, well or not.
    pub(super) fn attempt_ended(&mut self, context: &mut Context<'_>) {
        let Some(attempt) = self.attempt.take() else { return };
        let Some(socket) = &self.socket else { return };
        let outcome =
            socket.finish().and_then(|()| context.poller.change(socket.number(), self.token(), false));
        match outcome {
            Ok(()) => self.established(context),
            Err(error) => {
                let errno = more_telling(attempt.errno, error.raw_os_error().unwrap_or(libc::EIO));
                self.close(context);
                if attempt.addresses_left > 0 {
                    self.setup.book.advance();
                }
                self.connect_next(context, attempt.addresses_left, errno);
            }
        }
    }

    /// Until when the address at hand may use up the connect's deadline; none for the last one, which has the rest.
    pub(super) fn share_of_time(&self, now: Time, addresses_left: usize) -> Option<Time> {
        let left = u32::try_from(addresses_left).ok().filter(|left| *left > 0)?;
        let ends = self.session.poll_timeout()?;
        Some(now + ends.since(now) / left.saturating_add(1))
    }

    /// Nothing came of the address at hand in its share of the time.
    pub(super) fn give_up_address(&mut self, context: &mut Context<'_>) {
        let Some(attempt) = self.attempt.take() else { return };
        self.close(context);
        self.setup.book.advance();
        self.connect_next(context, attempt.addresses_left, more_telling(attempt.errno, libc::ETIMEDOUT));
    }

    /// Tries a full backlog again.
    pub(super) fn retry(&mut self, context: &mut Context<'_>) {
        let (Some(attempt), Some(socket)) = (&mut self.attempt, &self.socket) else { return };
        let token = u64::from(self.generation) << 32 | u64::from(self.index);
        let outcome = socket.retry(&attempt.target).and_then(|progress| {
            if progress != Progress::Full {
                context.poller.add(socket.number(), token, progress == Progress::Pending)?;
            }
            Ok(progress)
        });
        match outcome {
            Ok(Progress::Full) => attempt.retry_at = Some(context.now + BACKLOG_RETRY),
            Ok(Progress::Pending) => attempt.retry_at = None,
            Ok(Progress::Up) => {
                self.attempt = None;
                self.established(context);
            }
            Err(error) => {
                self.close(context);
                self.session.handle_connect_failed(context.now, error.raw_os_error().unwrap_or(libc::EIO));
            }
        }
    }

    pub(super) fn established(&mut self, context: &mut Context<'_>) {
        let ip = self.setup.book.current().filter(|_| self.setup.name.is_some()).map(|address| address.ip());
        if let Some(ip) = ip.filter(|ip| Some(*ip) != self.located) {
            self.located = Some(ip);
            context.inputs.push_back(Input::Located { node: self.setup.node, ip });
        }
        self.encrypted = false;
        match entropy::bytes::<20>() {
            Ok(seed) => self.session.handle_connected(context.now, seed),
            Err(error) => {
                self.close(context);
                self.session.handle_connect_failed(context.now, error.raw_os_error().unwrap_or(libc::EIO));
            }
        }
    }
}

/// Of the failures of several addresses the one that says most about the server: a fault of our own proves nothing and
/// comes first; where one address is silent the server may live there, and silence takes longest to count; a refusal
/// proves that the host is there; an address family that this machine lacks says least.
pub(in crate::io) fn more_telling(a: i32, b: i32) -> i32 {
    let rank = |errno: i32| match errno {
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => 4,
        libc::ETIMEDOUT => 3,
        libc::ECONNREFUSED | libc::ECONNRESET => 2,
        libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT => 0,
        _ => 1,
    };
    if rank(b) >= rank(a) { b } else { a }
}
