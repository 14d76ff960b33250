//! What is asked of etcd, and how it answers: version 3 by its JSON gateway (etcd 3.4 and newer, paths below `/v3`).
//!
//! A gateway speaks protobuf's JSON: bytes are Base64, numbers of 64 bits are strings, fields of value 0 are left out. Nothing here
//! depends on revisions of the past, so compaction does not matter.

use crate::engine::time::Duration;
use core::fmt;
use serde_json::{Value, json};

/// The most bytes of an answer that are read: many times what the longest one has.
pub const ANSWER_MAX: usize = 64 * 1024;

/// Characters kept of the store's own words.
const WORDS_MAX: usize = 200;

/// A question. Keys and values are texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A new lease of so many seconds.
    Grant {
        /// Its length.
        seconds: u64,
    },
    /// Renew the lease.
    KeepAlive {
        /// Its number.
        lease: i64,
    },
    /// End the lease, and with it the key.
    Revoke {
        /// Its number.
        lease: i64,
    },
    /// How much time the lease has left.
    Remaining {
        /// Its number.
        lease: i64,
    },
    /// Who holds the key.
    Look {
        /// The key.
        key: String,
    },
    /// Put the key, bound to the lease, if there is none; else say who holds it.
    Claim {
        /// The key.
        key: String,
        /// Who we are.
        value: String,
        /// The lease.
        lease: i64,
    },
    /// Put the key, bound to the lease, if it is as it was at that revision; else say who holds it.
    TakeOver {
        /// The key.
        key: String,
        /// Who we are.
        value: String,
        /// The lease.
        lease: i64,
        /// The revision of its last change.
        revision: u64,
    },
}

/// Who holds the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The value.
    pub value: String,
    /// The lease that it is bound to; 0 for none.
    pub lease: i64,
    /// The revision of its last change.
    pub revision: u64,
}

/// Why there is no answer that helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// No connection, or no answer in time.
    Unreachable,
    /// etcd answers, but has no leader or no majority, or is overloaded.
    NoQuorum,
    /// It does not let us: account, password, role, certificate.
    Denied,
    /// What answers does not speak as etcd does.
    Garbage,
    /// etcd refused the question for another reason.
    Refused,
}

impl Trouble {
    /// The word in views.
    pub const fn name(self) -> &'static str {
        match self {
            Trouble::Unreachable => "unreachable",
            Trouble::NoQuorum => "no_quorum",
            Trouble::Denied => "denied",
            Trouble::Garbage => "garbage",
            Trouble::Refused => "refused",
        }
    }
}

/// A trouble and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub trouble: Trouble,
    /// What happened and what to do, without secrets.
    pub words: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Request::Grant`].
    Granted {
        /// The lease's number.
        lease: i64,
        /// What the store granted, which may be more than was asked for.
        ttl: Duration,
    },
    /// To [`Request::KeepAlive`]: renewed, for so long.
    Alive {
        /// What was granted.
        ttl: Duration,
    },
    /// To [`Request::Remaining`].
    Left {
        /// What the store counts on still.
        time: Duration,
    },
    /// There is no lease of that number, or none any more.
    NoLease,
    /// To [`Request::Look`], [`Request::Claim`] and [`Request::TakeOver`]: somebody holds the key.
    Held(Holder),
    /// To [`Request::Look`], and [`Request::TakeOver`]: nobody does.
    Free,
    /// To [`Request::Claim`] and [`Request::TakeOver`]: the key is ours.
    Claimed {
        /// The revision of the change: it orders all ownerships.
        revision: u64,
    },
    /// To none of them.
    Failed(Failure),
}

impl Request {
    /// The path of the gateway and the body to post.
    pub fn encode(&self) -> (&'static str, String) {
        let number = |n: i64| n.to_string();
        let put = |key: &str, value: &str, lease: i64| json!({ "request_put": { "key": base64(key), "value": base64(value), "lease": number(lease) } });
        let range = |key: &str| json!({ "request_range": { "key": base64(key) } });
        let (path, body) = match self {
            Request::Grant { seconds } => ("/v3/lease/grant", json!({ "TTL": seconds.to_string() })),
            Request::KeepAlive { lease } => ("/v3/lease/keepalive", json!({ "ID": number(*lease) })),
            Request::Revoke { lease } => ("/v3/lease/revoke", json!({ "ID": number(*lease) })),
            Request::Remaining { lease } => ("/v3/lease/timetolive", json!({ "ID": number(*lease) })),
            Request::Look { key } => ("/v3/kv/range", json!({ "key": base64(key) })),
            Request::Claim { key, value, lease } => (
                "/v3/kv/txn",
                json!({
                    "compare": [{ "key": base64(key), "target": "CREATE", "result": "EQUAL", "create_revision": "0" }],
                    "success": [put(key, value, *lease)],
                    "failure": [range(key)],
                }),
            ),
            Request::TakeOver { key, value, lease, revision } => (
                "/v3/kv/txn",
                json!({
                    "compare": [{ "key": base64(key), "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string() }],
                    "success": [put(key, value, *lease)],
                    "failure": [range(key)],
                }),
            ),
        };
        (path, body.to_string())
    }

    /// Reads the answer: the status of HTTP and the body.
    pub fn decode(&self, status: u16, body: &[u8]) -> Answer {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return garbage(status, "the answer is not JSON");
        };
        if status != 200 || body.get("error").is_some() {
            return refused(status, &body);
        }
        self.read(&body).unwrap_or_else(|| garbage(status, "the answer lacks what was asked for"))
    }

    fn read(&self, body: &Value) -> Option<Answer> {
        Some(match self {
            Request::Grant { .. } => {
                let (lease, ttl) = (integer(body.get("ID")?)?, seconds(body.get("TTL")?)?);
                // A lease without number or length is none.
                if lease == 0 || ttl.is_zero() {
                    return None;
                }
                Answer::Granted { lease, ttl }
            }
            Request::KeepAlive { lease } => {
                // The gateway streams: an object of which one line comes.
                let result = body.get("result")?;
                if integer(result.get("ID")?)? != *lease {
                    return None;
                }
                match result.get("TTL").and_then(seconds) {
                    Some(ttl) if !ttl.is_zero() => Answer::Alive { ttl },
                    _ => Answer::NoLease,
                }
            }
            Request::Revoke { .. } => Answer::NoLease,
            Request::Remaining { .. } => {
                // -1 for a lease that is no more; left out is 0, the last second.
                let left = body.get("TTL").map_or(Some(0), integer)?;
                u64::try_from(left)
                    .map_or(Answer::NoLease, |left| Answer::Left { time: Duration::from_secs(left) })
            }
            Request::Look { .. } => match body.get("kvs").and_then(|kvs| kvs.get(0)) {
                Some(kv) => Answer::Held(holder(kv)?),
                None => {
                    // An empty object would do for "nobody": every answer of etcd has a header.
                    body.get("header")?;
                    Answer::Free
                }
            },
            Request::Claim { .. } | Request::TakeOver { .. } => {
                if body.get("succeeded").and_then(Value::as_bool) == Some(true) {
                    let revision = u64::try_from(integer(body.get("header")?.get("revision")?)?).ok()?;
                    Answer::Claimed { revision }
                } else {
                    let range = body.get("responses")?.get(0)?.get("response_range")?;
                    match range.get("kvs").and_then(|kvs| kvs.get(0)) {
                        Some(kv) => Answer::Held(holder(kv)?),
                        None => Answer::Free,
                    }
                }
            }
        })
    }
}

/// The question by which an account gets its token, and the token in the answer.
pub mod login {
    use super::{Answer, refused};
    use serde_json::{Value, json};

    /// The path and the body to post. The body holds the password.
    pub fn encode(user: &str, password: &str) -> (&'static str, String) {
        ("/v3/auth/authenticate", json!({ "name": user, "password": password }).to_string())
    }

    /// The token.
    ///
    /// # Errors
    /// [`Answer::Failed`], in boxed words.
    pub fn decode(status: u16, body: &[u8]) -> Result<String, Answer> {
        let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
        match body.get("token").and_then(Value::as_str) {
            Some(token) if status == 200 => Ok(token.to_owned()),
            _ => Err(refused(status, &body)),
        }
    }
}

/// Whether the answer says that our token has run out: etcd was restarted, or the token is too old.
pub fn wants_login(status: u16) -> bool {
    status == 401
}

/// A failure in our own words.
pub fn failure(trouble: Trouble, words: impl Into<String>) -> Answer {
    Answer::Failed(Failure { trouble, words: words.into() })
}

fn garbage(status: u16, what: &str) -> Answer {
    failure(
        Trouble::Garbage,
        format!("status {status}, {what}: is this the client address of an etcd 3.4 or newer?"),
    )
}

/// Codes of gRPC as the gateway passes them on.
mod code {
    pub const DEADLINE_EXCEEDED: i64 = 4;
    pub const NOT_FOUND: i64 = 5;
    pub const PERMISSION_DENIED: i64 = 7;
    pub const RESOURCE_EXHAUSTED: i64 = 8;
    pub const UNAVAILABLE: i64 = 14;
    pub const UNAUTHENTICATED: i64 = 16;
}

fn refused(status: u16, body: &Value) -> Answer {
    // A stream wraps its error once more.
    let error = body.get("error").filter(|e| e.is_object()).unwrap_or(body);
    let number = ["code", "grpc_code"].iter().find_map(|name| error.get(*name).and_then(integer));
    let said = ["message", "error"].iter().find_map(|name| error.get(*name).and_then(Value::as_str));
    let Some(said) = said else { return garbage(status, "the answer says nothing") };
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect();
    if number == Some(code::NOT_FOUND) && said.contains("lease not found") {
        return Answer::NoLease;
    }
    let trouble = match number {
        // Old gateways tell of "request timed out" and of a changed leader by "unknown" (2), so words count, too.
        _ if said.contains("timed out") || said.contains("leader") => Trouble::NoQuorum,
        Some(code::UNAVAILABLE | code::DEADLINE_EXCEEDED | code::RESOURCE_EXHAUSTED) => Trouble::NoQuorum,
        Some(code::UNAUTHENTICATED | code::PERMISSION_DENIED) => Trouble::Denied,
        _ if said.contains("authentication failed") || said.contains("permission denied") => Trouble::Denied,
        _ if matches!(status, 401 | 403) || said.contains("user name is empty") => Trouble::Denied,
        _ => Trouble::Refused,
    };
    failure(trouble, format!("etcd says: {said}"))
}

fn holder(kv: &Value) -> Option<Holder> {
    let value = kv.get("value").map_or(Some(String::new()), |v| {
        // Whatever stands there was put by somebody: that it is no text of ours does not free the key.
        Some(String::from_utf8_lossy(&from_base64(v.as_str()?)?).into_owned())
    })?;
    let lease = kv.get("lease").map_or(Some(0), integer)?;
    let revision = u64::try_from(integer(kv.get("mod_revision")?)?).ok()?;
    Some(Holder { value, lease, revision })
}

/// A number, or a text of one.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A length in seconds of at most a year: nothing longer is meant.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = u64::try_from(integer(value)?).ok()?;
    (seconds <= 366 * 86_400).then(|| Duration::from_secs(seconds))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 4.
fn base64(text: &str) -> String {
    let mut out = String::with_capacity(text.len().div_ceil(3) * 4);
    for chunk in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let index = (bits >> (18 - 6 * i) & 63) as usize;
            let digit = if i <= chunk.len() { ALPHABET.get(index) } else { None };
            out.push(char::from(digit.copied().unwrap_or(b'=')));
        }
    }
    out
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if text.len() % 4 != 0 || text.len() - digits.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests;
