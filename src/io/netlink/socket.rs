//! A netlink socket: one request at a time, its answers read to the end, within a bounded time.

use super::error::{Capability, NetError, NetResult};
use super::message::{Attributes, Builder, HEADER, Message, Messages, i32_at, text, u32_at};
use crate::io::descriptor::{Fd, Registry, checked, owned};
use core::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest wait for an answer. The kernel makes most answers within the call that sends the request.
const PATIENCE: Duration = Duration::from_secs(1);
/// The kernel never packs more than 32 KiB into a datagram of a listing.
const BUFFER: usize = 64 << 10;
/// How often a listing is asked for anew when the kernel says that things changed under it.
const LISTINGS: usize = 5;

pub(super) const REQUEST: u16 = 0x01;
pub(super) const ACK: u16 = 0x04;
pub(super) const REPLACE: u16 = 0x100;
pub(super) const CREATE: u16 = 0x400;
const DUMP: u16 = 0x300;
const DUMP_INTERRUPTED: u16 = 0x10;
/// In an acknowledgement: the request is not repeated in full; attributes follow.
const CAPPED: u16 = 0x100;
const ACK_ATTRIBUTES: u16 = 0x200;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The kernel's words in an acknowledgement.
const ACK_MESSAGE: u16 = 1;

/// Which part of the kernel a socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Links, addresses, routes (rtnetlink(7)).
    Route,
    /// Sockets (sock_diag(7)).
    Diag,
}

/// A socket of the network namespace in which the calling thread was when it opened it.
#[derive(Debug)]
pub(super) struct Netlink {
    fd: Fd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// For requests.
    pub(super) fn open(registry: &Arc<Registry>, protocol: Protocol) -> NetResult<Netlink> {
        let netlink = Netlink::make(registry, protocol, 0, 0)?;
        let patience = libc::timeval {
            tv_sec: PATIENCE.as_secs() as libc::time_t,
            tv_usec: PATIENCE.subsec_micros() as libc::suseconds_t,
        };
        netlink.option(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience).map_err(|error| opening(&error))?;
        // Words beside error numbers, and no echo of the request. Kernels that know neither still answer.
        let _ = netlink.option(libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, &1i32);
        let _ = netlink.option(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, &1i32);
        Ok(netlink)
    }

    /// For hearing what changes: nonblocking, member of these groups (`RTMGRP_*`).
    pub(super) fn listen(registry: &Arc<Registry>, groups: u32) -> NetResult<Netlink> {
        let netlink = Netlink::make(registry, Protocol::Route, libc::SOCK_NONBLOCK, groups)?;
        // A storm of changes should fit. Without the right to go beyond the limit, the limit must do.
        let room: i32 = 1 << 20;
        if netlink.option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &room).is_err() {
            let _ = netlink.option(libc::SOL_SOCKET, libc::SO_RCVBUF, &room);
        }
        Ok(netlink)
    }

    fn make(registry: &Arc<Registry>, protocol: Protocol, kind: i32, groups: u32) -> NetResult<Netlink> {
        let protocol = match protocol {
            Protocol::Route => libc::NETLINK_ROUTE,
            Protocol::Diag => libc::NETLINK_SOCK_DIAG,
        };
        // SAFETY: no pointer is passed.
        let fd = owned(unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC | kind, protocol)
        });
        let fd = registry.adopt(fd.map_err(|error| opening(&error))?);
        // SAFETY: all zeros are a valid sockaddr_nl: the kernel picks the port.
        let mut address: libc::sockaddr_nl = unsafe { core::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = groups;
        // SAFETY: the address is a live structure of the length that is passed with it.
        checked(unsafe {
            libc::bind(
                fd.number(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        })
        .map_err(|error| opening(&error))?;
        Ok(Netlink { fd, sequence: 0, buffer: vec![0; BUFFER] })
    }

    pub(super) fn number(&self) -> RawFd {
        self.fd.number()
    }

    /// Sends one request and waits until it is acknowledged; `each` gets what comes before that.
    pub(super) fn request(
        &mut self,
        task: fmt::Arguments<'_>,
        kind: u16,
        flags: u16,
        fill: impl FnOnce(&mut Builder, u16, u16, u32),
        mut each: impl FnMut(&Message<'_>),
    ) -> NetResult<()> {
        let sequence = self.next();
        let mut builder = Builder::default();
        fill(&mut builder, kind, flags | REQUEST | ACK, sequence);
        self.send(task, builder.bytes())?;
        self.answers(task, sequence, &mut each).map(|_| ())
    }

    /// Sends several requests at once and waits until each is acknowledged; `each` gets how each ended (0 or an errno).
    /// `requests` are closures' worth of work: the builder is called with the index of the request.
    pub(super) fn batch(
        &mut self,
        task: fmt::Arguments<'_>,
        count: usize,
        mut fill: impl FnMut(&mut Builder, usize, u32),
        mut each: impl FnMut(usize, Answer),
    ) -> NetResult<()> {
        let mut builder = Builder::default();
        let first = self.sequence.wrapping_add(1);
        for index in 0..count {
            let sequence = self.next();
            fill(&mut builder, index, sequence);
        }
        self.send(task, builder.bytes())?;
        for index in 0..count {
            let sequence = first.wrapping_add(index as u32);
            match self.answer(task, sequence, &mut |_| {})? {
                Some((answer, _)) => each(index, answer),
                None => return Err(NetError::Malformed { task: task.to_string() }),
            }
        }
        Ok(())
    }

    /// Asks for a listing. `begin` is called before each attempt, for the kernel may say in the midst of it that things
    /// have changed; after some attempts the last one must do.
    pub(super) fn list<T>(
        &mut self,
        task: fmt::Arguments<'_>,
        kind: u16,
        body: &[u8],
        attribute: Option<(u16, &[u8])>,
        mut read: impl FnMut(&Message<'_>) -> Option<T>,
    ) -> NetResult<Vec<T>> {
        let mut found = Vec::new();
        for _ in 0..LISTINGS {
            found.clear();
            let sequence = self.next();
            let mut builder = Builder::default();
            builder.begin(kind, REQUEST | DUMP, sequence, body);
            if let Some((kind, value)) = attribute {
                builder.attribute(kind, value);
            }
            self.send(task, builder.bytes())?;
            let interrupted = self.answers(task, sequence, &mut |message| found.extend(read(message)))?;
            if !interrupted {
                break;
            }
        }
        Ok(found)
    }

    /// Reads one datagram into the buffer and gives its messages to `each`. `None`: nothing is there now.
    ///
    /// # Errors
    /// The error number; ENOBUFS says that messages were lost.
    pub(super) fn hear(&mut self, mut each: impl FnMut(&Message<'_>)) -> Result<Option<()>, i32> {
        let Some(length) = self.receive()? else { return Ok(None) };
        for message in Messages::of(self.buffer.get(..length).unwrap_or_default()) {
            each(&message);
        }
        Ok(Some(()))
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&self, task: fmt::Arguments<'_>, bytes: &[u8]) -> NetResult<()> {
        loop {
            // SAFETY: pointer and length name `bytes`, which the kernel only reads. Without an address it goes to the
            // kernel.
            let sent = unsafe { libc::send(self.number(), bytes.as_ptr().cast(), bytes.len(), 0) };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(NetError::of_call(task, &error, Capability::NetAdmin));
            }
        }
    }

    /// Reads the answers to a request to their end. Whether a listing was disturbed.
    fn answers(
        &mut self,
        task: fmt::Arguments<'_>,
        sequence: u32,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> NetResult<bool> {
        match self.answer(task, sequence, each)? {
            Some((Answer { errno: 0, .. }, interrupted)) => Ok(interrupted),
            Some((Answer { errno, reason }, _)) => {
                Err(NetError::of(task, errno, reason, Capability::NetAdmin))
            }
            None => Err(NetError::Malformed { task: task.to_string() }),
        }
    }

    /// Reads until the end of the answer to this request. `None`: what came is no netlink.
    fn answer(
        &mut self,
        task: fmt::Arguments<'_>,
        sequence: u32,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> NetResult<Option<(Answer, bool)>> {
        let begun = Instant::now();
        let mut interrupted = false;
        loop {
            let length = match self.receive() {
                Ok(Some(length)) => length,
                Ok(None) => return Err(NetError::NoAnswer { task: task.to_string() }),
                Err(errno) => return Err(NetError::of(task, errno, String::new(), Capability::NetAdmin)),
            };
            let mut messages = Messages::of(self.buffer.get(..length).unwrap_or_default());
            // What answers an earlier request that nobody waited for is passed over.
            for message in messages.by_ref().filter(|message| message.sequence == sequence) {
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                match message.kind {
                    ERROR | DONE => return Ok(Answer::of(&message).map(|answer| (answer, interrupted))),
                    _ => each(&message),
                }
            }
            if messages.torn {
                return Ok(None);
            }
            if begun.elapsed() > PATIENCE {
                return Err(NetError::NoAnswer { task: task.to_string() });
            }
        }
    }

    /// The length of the next datagram from the kernel, which then is in the buffer.
    fn receive(&mut self) -> Result<Option<usize>, i32> {
        loop {
            // SAFETY: all zeros are a valid sockaddr_nl.
            let mut from: libc::sockaddr_nl = unsafe { core::mem::zeroed() };
            let mut from_length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            // SAFETY: the pointers name live memory of the lengths that are passed with them.
            let got = unsafe {
                libc::recvfrom(
                    self.fd.number(),
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len(),
                    libc::MSG_TRUNC,
                    (&raw mut from).cast(),
                    &mut from_length,
                )
            };
            match usize::try_from(got) {
                // Any process may write to our port; only the kernel has the number 0.
                Ok(_) if from.nl_pid != 0 => {}
                // With MSG_TRUNC this is the datagram's own length.
                Ok(length) if length > self.buffer.len() => return Err(libc::EMSGSIZE),
                Ok(length) => return Ok(Some(length)),
                Err(_) => match io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) {
                    libc::EINTR => {}
                    libc::EAGAIN => return Ok(None),
                    errno => return Err(errno),
                },
            }
        }
    }

    fn option<T>(&self, level: i32, name: i32, value: &T) -> io::Result<()> {
        // SAFETY: pointer and length name `value`.
        checked(unsafe {
            libc::setsockopt(
                self.number(),
                level,
                name,
                (value as *const T).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        })
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// 0, or the error number.
    pub(super) errno: i32,
    /// The kernel's words; often none.
    pub(super) reason: String,
}

impl Answer {
    /// Reads an acknowledgement or the end of a listing. `None` if it is cut off.
    pub(super) fn of(message: &Message<'_>) -> Option<Answer> {
        let errno = match i32_at(message.body, 0) {
            Some(number) => number.checked_neg()?,
            // The end of a listing may carry no number.
            None if message.kind == DONE && message.body.is_empty() => 0,
            None => return None,
        };
        let mut reason = String::new();
        if message.flags & ACK_ATTRIBUTES != 0 {
            let fixed = match message.kind {
                DONE => 4,
                // The number, and the request's header, or all of it.
                _ if message.flags & CAPPED != 0 => 4 + HEADER,
                _ => 4 + usize::try_from(u32_at(message.body, 4)?).ok()?.max(HEADER),
            };
            if let Some((_, words)) =
                Attributes::after(message.body, fixed).find(|(kind, _)| *kind == ACK_MESSAGE)
            {
                reason = text(words);
            }
        }
        Some(Answer { errno, reason })
    }
}

fn opening(error: &io::Error) -> NetError {
    NetError::of_call(format_args!("open a netlink socket"), error, Capability::NetAdmin)
}
