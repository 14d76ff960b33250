//! Bytes in and out of a link's socket, encrypted or not.

use super::{Context, Link};
use crate::io::socket::{Received, Socket};
use crate::io::tls::Stream;

/// Reads of one socket in a row; a server that pours must not starve the others.
const READS: usize = 16;

impl Link {
    /// Begins to encrypt.
    pub(super) fn start_tls(&mut self, context: &mut Context<'_>) {
        self.encrypted = true;
        let stream = match &self.setup.tls {
            Some(setup) => Stream::new(setup, &mut self.outgoing),
            None => Err("no TLS was set up, which is a defect of this library; please report it".into()),
        };
        let sent = match (stream, &self.socket) {
            (Ok(stream), Some(socket)) => {
                self.tls = Some(Box::new(stream));
                send_rest(socket, &mut self.outgoing)
            }
            (Ok(_), None) => Err(libc::ENOTCONN),
            (Err(what), _) => return self.session.handle_tls_failed(context.now, &what),
        };
        match sent {
            Ok(()) => self.watch_output(context),
            Err(errno) => self.session.handle_reset(context.now, errno),
        }
    }

    /// Takes in `count` encrypted bytes of the buffer. Whether the connection goes on.
    pub(super) fn decrypt(&mut self, context: &mut Context<'_>, count: usize) -> bool {
        let generation = self.generation;
        let Some(tls) = &mut self.tls else { return false };
        let inside = tls.read(context.buffer.get(..count).unwrap_or_default(), &mut self.outgoing);
        if inside.up {
            self.session.handle_tls_up(context.now);
            self.drain(context);
        }
        if self.generation == generation && !inside.plain.is_empty() {
            self.session.handle_bytes(context.now, &inside.plain);
            self.drain(context);
        }
        if self.generation != generation {
            return false;
        }
        match inside.end {
            None => {
                // Of a handshake, or of TLS itself; what the session had to say went out already.
                let sent =
                    self.socket.as_ref().map_or(Ok(()), |socket| send_rest(socket, &mut self.outgoing));
                match sent {
                    Ok(()) => self.watch_output(context),
                    Err(errno) => self.session.handle_reset(context.now, errno),
                }
                return true;
            }
            Some(Ok(())) => self.session.handle_eof(context.now),
            Some(Err(what)) => self.session.handle_tls_failed(context.now, &what),
        }
        self.drain(context);
        self.close_if(context, generation);
        false
    }

    /// Reads what is there.
    pub(super) fn read(&mut self, context: &mut Context<'_>) {
        let generation = self.generation;
        for _ in 0..READS {
            let Some(socket) = self.socket.as_ref().filter(|_| self.generation == generation) else { return };
            match socket.receive(context.buffer) {
                Received::Nothing => return,
                Received::Bytes(count) if self.tls.is_some() => {
                    if !self.decrypt(context, count) || count < context.buffer.len() {
                        return;
                    }
                }
                Received::Bytes(count) => {
                    let bytes = context.buffer.get(..count).unwrap_or_default();
                    self.session.handle_bytes(context.now, bytes);
                    self.drain(context);
                    if count < context.buffer.len() {
                        return;
                    }
                }
                Received::End => {
                    // The descriptor stays readable for ever; the session has no more use for it.
                    self.session.handle_eof(context.now);
                    self.drain(context);
                    self.close_if(context, generation);
                    return;
                }
                Received::Broken(errno) => {
                    self.session.handle_reset(context.now, errno);
                    self.drain(context);
                    self.close_if(context, generation);
                    return;
                }
            }
        }
    }

    /// Writes what the socket did not take before.
    pub(super) fn flush(&mut self, context: &mut Context<'_>) {
        let Some(socket) = &self.socket else { return };
        match socket.send(&self.outgoing) {
            Ok(sent) => {
                self.outgoing.drain(..sent.min(self.outgoing.len()));
                if self.outgoing.is_empty() {
                    // Cannot fail for a descriptor that is registered; if it does, an event too many comes.
                    let _ = context.poller.change(socket.number(), self.token(), false);
                }
            }
            Err(error) => {
                self.session.handle_reset(context.now, error.raw_os_error().unwrap_or(libc::EIO));
            }
        }
    }

    pub(super) fn watch_output(&mut self, context: &mut Context<'_>) {
        if let (false, Some(socket)) = (self.outgoing.is_empty(), &self.socket) {
            if let Err(error) = context.poller.change(socket.number(), self.token(), true) {
                self.session.handle_reset(context.now, error.raw_os_error().unwrap_or(libc::EIO));
            }
        }
    }
}

pub(super) fn send(socket: &Socket, bytes: &[u8], rest: &mut Vec<u8>) -> Result<(), i32> {
    let sent = socket.send(bytes).map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
    rest.extend_from_slice(bytes.get(sent..).unwrap_or_default());
    Ok(())
}

/// Sends what the socket takes; the rest stays.
pub(super) fn send_rest(socket: &Socket, outgoing: &mut Vec<u8>) -> Result<(), i32> {
    let sent = socket.send(outgoing).map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
    outgoing.drain(..sent.min(outgoing.len()));
    Ok(())
}
