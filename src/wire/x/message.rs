//! The messages of the X protocol that a check sends and reads.
//!
//! A message is four bytes of length, little-endian, one of type, which the length counts, and a protobuf message.
//! Source: MySQL Internals, "X Protocol: Messages"; the files `mysqlx*.proto` of MySQL.

use super::protobuf::{Fields, Malformed, Value, push_bytes, push_number, take_varint, zigzag};
use crate::wire::packet::shown;
use crate::wire::server_error::{ServerError, WireError};

/// Bytes before a message's type.
pub(super) const LENGTH: usize = 4;

/// Types of messages that we send.
mod client {
    pub const CAPABILITIES_GET: u8 = 1;
    pub const CAPABILITIES_SET: u8 = 2;
    pub const CLOSE: u8 = 3;
    pub const AUTHENTICATE_START: u8 = 4;
    pub const AUTHENTICATE_CONTINUE: u8 = 5;
    pub const STMT_EXECUTE: u8 = 12;
}

/// A message from the server. What is not needed of it is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    Ok,
    Error {
        error: ServerError,
        fatal: bool,
    },
    Capabilities(Capabilities),
    /// The mechanism's challenge.
    AuthenticateContinue(&'a [u8]),
    AuthenticateOk,
    /// Something nobody asked for: warnings, changed state, a hello.
    Notice,
    Column {
        kind: u64,
        name: &'a [u8],
    },
    Row(&'a [u8]),
    FetchDone,
    StatementDone,
}

/// What a server, or a router in its place, can do, as far as we look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// TLS can be asked for.
    pub tls: bool,
    /// Names of the authentication mechanisms; empty if none was named. MySQL Router with a login of its own answers
    /// without any.
    pub mechanisms: Vec<String>,
    /// How many capabilities there are.
    pub count: usize,
}

/// What the front of a byte stream holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// Less than a whole message, and nothing wrong so far.
    Partial,
    /// A whole message, `used` bytes long with its length.
    Whole { kind: u8, payload: &'a [u8], used: usize },
    /// The declared length is 0 or above the cap.
    Absurd { declared: u32 },
}

/// Looks at the first message of `bytes`.
pub(super) fn first_frame(bytes: &[u8], cap: usize) -> Frame<'_> {
    let &[a, b, c, d, ref rest @ ..] = bytes else { return Frame::Partial };
    let declared = u32::from_le_bytes([a, b, c, d]);
    let length = declared as usize;
    if length == 0 || length > cap {
        return Frame::Absurd { declared };
    }
    match rest.get(..length) {
        Some(&[kind, ref payload @ ..]) => Frame::Whole { kind, payload, used: LENGTH + length },
        _ => Frame::Partial,
    }
}

/// Reads a message.
pub(super) fn read(kind: u8, payload: &[u8]) -> Result<Message<'_>, WireError> {
    let name = name_of(kind).ok_or_else(|| unknown(kind, payload))?;
    parse(kind, payload).map_err(|Malformed| {
        WireError::violation(format!("X protocol: {name} is malformed: {}", shown(payload)))
    })
}

/// An error if messages of that type are not known. `raw` is what to show, from the length on.
pub(super) fn expect_kind(kind: u8, raw: &[u8]) -> Result<(), WireError> {
    name_of(kind).map(|_| ()).ok_or_else(|| unknown(kind, raw))
}

fn name_of(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "an OK",
        1 => "an error",
        2 => "a list of capabilities",
        3 => "a challenge",
        4 => "the end of a login",
        11 => "a notice",
        12 => "a column",
        13 => "a row",
        14 => "the end of rows",
        17 => "the end of a statement",
        _ => return None,
    })
}

impl Message<'_> {
    /// What it is, for an error text.
    pub fn name(&self) -> &'static str {
        let kind = match self {
            Message::Ok => 0,
            Message::Error { .. } => 1,
            Message::Capabilities(_) => 2,
            Message::AuthenticateContinue(_) => 3,
            Message::AuthenticateOk => 4,
            Message::Notice => 11,
            Message::Column { .. } => 12,
            Message::Row(_) => 13,
            Message::FetchDone => 14,
            Message::StatementDone => 17,
        };
        name_of(kind).unwrap_or("a message")
    }
}

fn unknown(kind: u8, payload: &[u8]) -> WireError {
    // The classic protocol's greeting: its protocol version stands where the type does.
    let hint = if kind == 10 {
        "; give the port of the X protocol, this one speaks the classic protocol"
    } else {
        ""
    };
    WireError::violation(format!("X protocol: a message of type {kind} came: {}{hint}", shown(payload)))
}

fn parse(kind: u8, payload: &[u8]) -> Result<Message<'_>, Malformed> {
    Ok(match kind {
        0 => Message::Ok,
        1 => error(payload)?,
        2 => Message::Capabilities(capabilities(payload)?),
        3 => Message::AuthenticateContinue(last_bytes(payload, 1)?.ok_or(Malformed)?),
        4 => Message::AuthenticateOk,
        11 => Message::Notice,
        12 => {
            let mut column = (None, &[][..]);
            for field in Fields::of(payload) {
                match field? {
                    (1, value) => column.0 = Some(value.number().ok_or(Malformed)?),
                    (2, value) => column.1 = value.bytes().ok_or(Malformed)?,
                    _ => {}
                }
            }
            Message::Column { kind: column.0.ok_or(Malformed)?, name: column.1 }
        }
        13 => Message::Row(payload),
        14 => Message::FetchDone,
        _ => Message::StatementDone,
    })
}

/// The last field of that number; the fields behind it are looked at too.
fn last_bytes(message: &[u8], number: u32) -> Result<Option<&[u8]>, Malformed> {
    let mut last = None;
    for field in Fields::of(message) {
        match field? {
            (n, value) if n == number => last = Some(value.bytes().ok_or(Malformed)?),
            _ => {}
        }
    }
    Ok(last)
}

fn error(payload: &[u8]) -> Result<Message<'_>, Malformed> {
    let (mut fatal, mut code, mut text, mut state) = (false, None, &[][..], None);
    for field in Fields::of(payload) {
        match field? {
            (1, value) => fatal = value.number().ok_or(Malformed)? == 1,
            (2, value) => code = value.number(),
            (3, value) => text = value.bytes().ok_or(Malformed)?,
            (4, value) => state = value.bytes().and_then(|bytes| <[u8; 5]>::try_from(bytes).ok()),
            _ => {}
        }
    }
    // MySQL's numbers have 16 bits everywhere but in this message.
    let code = u16::try_from(code.ok_or(Malformed)?).map_err(|_| Malformed)?;
    Ok(Message::Error { error: ServerError::new(code, state, text), fatal })
}

fn capabilities(payload: &[u8]) -> Result<Capabilities, Malformed> {
    /// More than a server has, or ever will.
    const MOST: usize = 64;
    let mut all = Capabilities::default();
    for field in Fields::of(payload) {
        let (1, Value::Bytes(capability)) = field? else { continue };
        all.count += 1;
        if all.count > MOST {
            return Err(Malformed);
        }
        let name = last_bytes(capability, 1)?.ok_or(Malformed)?;
        let value = last_bytes(capability, 2)?.ok_or(Malformed)?;
        match name {
            b"tls" => all.tls = true,
            b"authentication.mechanisms" => all.mechanisms = strings(value)?,
            _ => {}
        }
    }
    Ok(all)
}

/// The strings of an `Any` that is an array of them.
fn strings(any: &[u8]) -> Result<Vec<String>, Malformed> {
    const MOST: usize = 32;
    let mut names = Vec::new();
    let Some(array) = last_bytes(any, 4)? else { return Ok(names) };
    for field in Fields::of(array) {
        let (1, Value::Bytes(element)) = field? else { continue };
        let Some(scalar) = last_bytes(element, 2)? else { continue };
        let Some(string) = last_bytes(scalar, 9)? else { continue };
        let name = last_bytes(string, 1)?.ok_or(Malformed)?;
        if names.len() == MOST || name.len() > 64 {
            return Err(Malformed);
        }
        names.push(String::from_utf8_lossy(name).into_owned());
    }
    Ok(names)
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XValue {
    /// NULL.
    Null,
    /// A signed number.
    Signed(i64),
    /// An unsigned number.
    Unsigned(u64),
    /// Text or bytes, without the zero byte that ends them on the wire.
    Bytes(Vec<u8>),
    /// A value of a kind that no check asks for: a decimal, a time, a set.
    Other,
}

/// Reads the fields of a row by the columns' kinds.
pub(super) fn row(payload: &[u8], kinds: &[u64]) -> Result<Vec<XValue>, WireError> {
    let mut values = Vec::with_capacity(kinds.len());
    for field in Fields::of(payload) {
        match (field, kinds.get(values.len())) {
            (Ok((1, Value::Bytes(bytes))), Some(&kind)) => {
                values.push(value(kind, bytes).ok_or_else(|| malformed_row(payload))?);
            }
            (Ok((number, _)), _) if number != 1 => {}
            _ => return Err(malformed_row(payload)),
        }
    }
    if values.len() == kinds.len() { Ok(values) } else { Err(malformed_row(payload)) }
}

fn malformed_row(payload: &[u8]) -> WireError {
    WireError::violation(format!("X protocol: a row does not go with its columns: {}", shown(payload)))
}

fn value(kind: u64, bytes: &[u8]) -> Option<XValue> {
    const SINT: u64 = 1;
    const UINT: u64 = 2;
    const BYTES: u64 = 7;
    if bytes.is_empty() {
        return Some(XValue::Null);
    }
    let number = || {
        let mut rest = bytes;
        take_varint(&mut rest).filter(|_| rest.is_empty())
    };
    Some(match kind {
        SINT => XValue::Signed(zigzag(number()?)),
        UINT => XValue::Unsigned(number()?),
        BYTES => XValue::Bytes(bytes.strip_suffix(&[0])?.to_vec()),
        _ => XValue::Other,
    })
}

fn push(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    // What we send is short: a statement, a name, a password.
    out.extend_from_slice(&(payload.len() as u32 + 1).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
}

pub(super) fn push_capabilities_get(out: &mut Vec<u8>) {
    push(out, client::CAPABILITIES_GET, &[]);
}

/// Asks for TLS: the capability `tls` is to be true.
pub(super) fn push_tls_request(out: &mut Vec<u8>) {
    const SCALAR: u64 = 1;
    const BOOL: u64 = 7;
    let (mut scalar, mut any, mut capability) = (Vec::new(), Vec::new(), Vec::new());
    push_number(&mut scalar, 1, BOOL);
    push_number(&mut scalar, 8, 1);
    push_number(&mut any, 1, SCALAR);
    push_bytes(&mut any, 2, &scalar);
    push_bytes(&mut capability, 1, b"tls");
    push_bytes(&mut capability, 2, &any);
    let (mut all, mut set) = (Vec::new(), Vec::new());
    push_bytes(&mut all, 1, &capability);
    push_bytes(&mut set, 1, &all);
    push(out, client::CAPABILITIES_SET, &set);
}

/// Begins a login by `mechanism`, for PLAIN with all that it needs.
pub(super) fn push_authenticate_start(out: &mut Vec<u8>, mechanism: &str, data: Option<&[u8]>) {
    let mut message = Vec::new();
    push_bytes(&mut message, 1, mechanism.as_bytes());
    if let Some(data) = data {
        push_bytes(&mut message, 2, data);
    }
    push(out, client::AUTHENTICATE_START, &message);
    message.fill(0);
}

pub(super) fn push_authenticate_continue(out: &mut Vec<u8>, data: &[u8]) {
    let mut message = Vec::new();
    push_bytes(&mut message, 1, data);
    push(out, client::AUTHENTICATE_CONTINUE, &message);
}

/// One statement in SQL.
pub(super) fn push_statement(out: &mut Vec<u8>, sql: &str) {
    let mut message = Vec::new();
    push_bytes(&mut message, 1, sql.as_bytes());
    push_bytes(&mut message, 3, b"sql");
    push(out, client::STMT_EXECUTE, &message);
}

pub(super) fn push_close(out: &mut Vec<u8>) {
    push(out, client::CLOSE, &[]);
}
