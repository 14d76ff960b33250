//! Reading one value by its key's type, and printing it again.

use super::foreign::{self, Foreign};
use super::keys::{Kind, Value, nearest};
use super::listen::ListenAddress;
use super::model::{AutoRecover, ControlSocket, LastResort, RsaPublicKey};
use super::tier::TierHost;
use super::vip::VipAddress;
use crate::engine::time::Duration;
use crate::pool::Address;
use crate::probe::{Cause, Class};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use toml::de::DeValue;

/// A value as it came in.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    /// From `set`: plain text, which the key's type reads.
    Plain(&'a str),
    /// From a TOML text: it has a type of its own.
    Toml(&'a DeValue<'a>),
}

/// Longest path in bytes that the system takes (PATH_MAX of Linux, less the final NUL).
const PATH_MAX: usize = 4095;

/// Longest path of a unix socket in bytes: `sun_path` has 108, the last one is a NUL (unix(7)).
const SOCKET_PATH_MAX: usize = 107;
/// Far more than a VIP has, and than a tier has hosts; the checks of the whole are narrower.
const VIP_ADDRESSES_MAX: usize = 256;
const IPS_MAX: usize = 64;
const HOSTS_MAX: usize = 32;
/// Longest argument of a program.
const ARGUMENT_MAX: usize = 4096;
/// Longer names than any system has.
const USER_MAX: usize = 64;
const USERS_MAX: usize = 64;
/// Addresses that one key lists.
const LISTEN_MAX: usize = 16;

/// Reads a value; the error is a sentence without place.
pub(super) fn read(kind: &Kind, raw: Raw<'_>) -> Result<Value, String> {
    match kind {
        Kind::Text { min, max, .. } => {
            let text = text_of(raw, "text")?;
            let count = text.chars().count();
            if text.chars().any(char::is_control) {
                return Err(format!("{} holds a control character", quote(text)));
            }
            if count < *min || count > *max {
                return Err(format!("{} has {count} characters, {min} to {max} are allowed", quote(text)));
            }
            Ok(Value::Text(text.into()))
        }
        Kind::Path => {
            let text = text_of(raw, "a path")?;
            check_path(text)?;
            Ok(Value::Text(text.into()))
        }
        Kind::Word { landed, later } => word(text_of(raw, "one word")?, landed, later),
        Kind::Term { words, foreign, .. } => term(text_of(raw, "one word")?, words, foreign),
        Kind::Flag => match raw {
            Raw::Toml(DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
            Raw::Toml(other) => {
                Err(format!("expected true or false without quotes, found {}", describe(other)))
            }
            Raw::Plain("true") => Ok(Value::Flag(true)),
            Raw::Plain("false") => Ok(Value::Flag(false)),
            Raw::Plain(text) => Err(format!("{} is neither true nor false", quote(text))),
        },
        Kind::Count { min, max, .. } => {
            let (number, shown) = integer(raw)?;
            match number.and_then(|n| u32::try_from(n).ok()).filter(|n| (min..=max).contains(&n)) {
                Some(n) => Ok(Value::Count(n)),
                None => Err(format!("{shown} is out of range: {min} to {max}")),
            }
        }
        Kind::Span { min, max, .. } | Kind::Within { min, max } => {
            let text = match raw {
                Raw::Toml(DeValue::Integer(n)) => return Err(no_unit(&n.to_string())),
                Raw::Toml(DeValue::Float(n)) => return Err(no_unit(&n.to_string())),
                raw => text_of(raw, "a duration such as \"500ms\"")?,
            };
            let span = parse_duration(text)?;
            if span < *min || span > *max {
                return Err(format!(
                    "{} is out of range: {} to {}",
                    quote(text),
                    print_duration(*min),
                    print_duration(*max)
                ));
            }
            Ok(Value::Span(span))
        }
        Kind::Causes => causes(raw),
        Kind::Rate => rate(text_of(raw, "off or COUNT/DURATION")?),
        Kind::LastResort => last_resort(text_of(raw, "alarm, after=DURATION or never")?),
        Kind::PublicKey => public_key(text_of(raw, "refuse, from-server or a path")?),
        Kind::ControlSocket => control_socket(text_of(raw, "none, beside-cache or a path")?),
        Kind::Users => users(raw),
        Kind::Descriptor => match integer(raw) {
            // The text is not repeated: it may be a password that was put here by mistake.
            Ok((Some(n), _)) => match i32::try_from(n).ok().filter(|n| *n >= 0) {
                Some(n) => Ok(Value::Descriptor(n)),
                None => Err("a file descriptor is a number from 0 to 2147483647".into()),
            },
            _ => Err("a file descriptor is a number from 0 to 2147483647".into()),
        },
        Kind::Port => {
            let (number, shown) = integer(raw)?;
            match number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0) {
                Some(n) => Ok(Value::Port(n)),
                None => Err(format!("{shown} is out of range: 1 to 65535")),
            }
        }
        Kind::NodeName => Address::parse(text_of(raw, "a node's address in quotes")?).map(Value::Address),
        Kind::Listen => listen_addresses(raw),
        Kind::Mode { .. } => {
            mode(text_of(raw, "a mode in octal digits and quotes, such as \"0660\"")?).map(Value::Mode)
        }
        Kind::Hosts => hosts(raw),
        Kind::Scores { min, max } => scores(raw, *min, *max),
        Kind::VipAddresses => {
            list_of(raw, "addresses", VIP_ADDRESSES_MAX, VipAddress::parse).map(Value::VipAddresses)
        }
        Kind::Ips => list_of(raw, "addresses", IPS_MAX, |text| {
            text.parse::<IpAddr>().map_err(|_| format!("{} is no IP address", quote(text)))
        })
        .map(Value::Ips),
        Kind::Texts { max } => texts(raw, *max).map(Value::Texts),
        Kind::Refused(instead) => Err((*instead).into()),
        Kind::Later => Err(not_landed("this key", "leave it out")),
        // Lists of nodes are read by the document, element by element.
        Kind::Address | Kind::Nodes => Err("expected a list of nodes".into()),
        Kind::Checkpoints => Err("expected a list of checkpoints".into()),
        Kind::Checks => Err("expected a list of checks".into()),
        Kind::Proxies => Err("expected a list of proxies".into()),
        Kind::Pools => pools(raw),
    }
}

fn not_landed(what: &str, instead: &str) -> String {
    format!("{what} has not landed in version {}: {instead}", env!("CARGO_PKG_VERSION"))
}

/// Quotes a value for an error: escaped, and cut where it is long.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let cut: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("\"{cut}{more}\"")
}

/// A TOML value in words. Text is not repeated: the place is named, and it may be a secret.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "text in quotes".into(),
        DeValue::Integer(n) => format!("the number {}", cut(&n.to_string())),
        DeValue::Float(n) => format!("the number {}", cut(&n.to_string())),
        DeValue::Boolean(flag) => format!("{flag}"),
        DeValue::Datetime(_) => "a date or time".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

fn text_of<'a>(raw: Raw<'a>, expected: &str) -> Result<&'a str, String> {
    match raw {
        Raw::Plain(text) => Ok(text),
        Raw::Toml(DeValue::String(text)) => Ok(text),
        Raw::Toml(other) => Err(format!("expected {expected} in quotes, found {}", describe(other))),
    }
}

/// The number, absent where it does not fit 64 bits, and its spelling for errors.
fn integer(raw: Raw<'_>) -> Result<(Option<i64>, String), String> {
    match raw {
        Raw::Toml(DeValue::Integer(n)) => {
            Ok((i64::from_str_radix(n.as_str(), n.radix()).ok(), cut(&n.to_string())))
        }
        Raw::Toml(other) => Err(format!("expected a whole number without quotes, found {}", describe(other))),
        Raw::Plain(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("{} is not a whole number", quote(text)));
            }
            Ok((text.parse().ok(), cut(text)))
        }
    }
}

fn check_path(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("the path is empty".into())
    } else if text.len() > PATH_MAX {
        Err(format!("the path has {} bytes, {PATH_MAX} are allowed", text.len()))
    } else if text.contains('\0') {
        Err("the path holds a NUL character".into())
    } else {
        Ok(())
    }
}

fn word(text: &str, landed: &[&'static str], later: &[&'static str]) -> Result<Value, String> {
    if let Some(word) = landed.iter().find(|w| w.eq_ignore_ascii_case(text)) {
        return Ok(Value::Word(word));
    }
    let allowed = match landed {
        [one] => format!("only \"{one}\" is allowed"),
        many => format!("one of {} is allowed", many.join(", ")),
    };
    match later.iter().find(|w| w.eq_ignore_ascii_case(text)) {
        Some(word) => Err(not_landed(&quote(word), &allowed)),
        None => Err(format!("{} is not known here: {allowed}", quote(text))),
    }
}

/// A word of ours; a word of another router is answered with ours.
fn term(text: &str, words: &[&'static str], foreign: &[Foreign]) -> Result<Value, String> {
    if let Some(word) = words.iter().find(|w| w.eq_ignore_ascii_case(text)) {
        return Ok(Value::Word(word));
    }
    let unknown = format!("{} is not known here", quote(text));
    if let Some(hint) = foreign::hint(foreign, text) {
        return Err(format!("{unknown}: {hint}; one of {} is allowed", words.join(", ")));
    }
    match nearest(words, &text.to_ascii_lowercase().replace('_', "-")) {
        Some(near) => Err(format!("{unknown}; did you mean {near}?")),
        None => Err(format!("{unknown}: one of {} is allowed", words.join(", "))),
    }
}

fn causes(raw: Raw<'_>) -> Result<Value, String> {
    let mut out = Vec::new();
    let mut add = |text: &str| {
        let Some(cause) = Cause::from_name(text) else {
            return Err(format!("{} is not a cause: {}", quote(text), allowed_causes()));
        };
        if cause.class() != Class::Refusing {
            let why = match cause.class() {
                Class::Gone | Class::Hung | Class::Silent => "fails an ACTIVE node anyway",
                Class::Replication => "never fails an ACTIVE node",
                _ => "never fails a node",
            };
            return Err(format!("{} {why}: {}", quote(text), allowed_causes()));
        }
        if !out.contains(&cause) {
            out.push(cause);
        }
        Ok(())
    };
    match raw {
        Raw::Plain(text) => {
            let list = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
            for item in
                list.split(',').map(|item| item.trim().trim_matches('"')).filter(|item| !item.is_empty())
            {
                add(item)?;
            }
        }
        Raw::Toml(DeValue::Array(list)) => {
            for item in list.iter() {
                match item.get_ref() {
                    DeValue::String(text) => add(text)?,
                    other => {
                        return Err(format!("expected names of causes in quotes, found {}", describe(other)));
                    }
                }
            }
        }
        Raw::Toml(other) => return Err(format!("expected a list of causes, found {}", describe(other))),
    }
    out.sort();
    Ok(Value::Causes(out))
}

fn allowed_causes() -> String {
    let names: Vec<&str> = Cause::ALL
        .iter()
        .filter(|cause| cause.class() == Class::Refusing)
        .map(|cause| cause.name())
        .collect();
    format!("allowed are {}", names.join(", "))
}

/// The most recoveries, and the shortest and longest time for them.
pub(super) const RATE: (u32, Duration, Duration) =
    (1000, Duration::from_secs(60), Duration::from_secs(30 * 86_400));

fn rate(text: &str) -> Result<Value, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(Value::Rate(None));
    }
    let (most, shortest, longest) = RATE;
    let Some((count, per)) = text.split_once('/') else {
        return Err(format!(
            "{} is not known here: write off, or a number per time such as 3/1h",
            quote(text)
        ));
    };
    let count = count.trim();
    let number = count.parse().ok().filter(|_| count.bytes().all(|b| b.is_ascii_digit()));
    let Some(count) = number.filter(|n| (1..=most).contains(n)) else {
        return Err(format!(
            "{} is no number from 1 to {most}: write a number per time such as 3/1h",
            quote(count)
        ));
    };
    let per = parse_duration(per.trim())?;
    if per < shortest || per > longest {
        let (min, max) = (print_duration(shortest), print_duration(longest));
        return Err(format!("{} is out of range: the time is {min} to {max}", quote(text)));
    }
    Ok(Value::Rate(Some(AutoRecover { count, per })))
}

/// The shortest and longest wait of `last_resort`.
pub(super) const LAST_RESORT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

fn last_resort(text: &str) -> Result<Value, String> {
    match text.split_once('=') {
        None if text.eq_ignore_ascii_case("alarm") => Ok(Value::LastResort(LastResort::Alarm)),
        None if text.eq_ignore_ascii_case("never") => Ok(Value::LastResort(LastResort::Never)),
        Some((word, wait)) if word.trim_end().eq_ignore_ascii_case("after") => {
            let wait = parse_duration(wait.trim_start())?;
            let (min, max) = LAST_RESORT;
            if wait < min || wait > max {
                let (min, max) = (print_duration(min), print_duration(max));
                return Err(format!("{} is out of range: after={min} to after={max}", quote(text)));
            }
            Ok(Value::LastResort(LastResort::After(wait)))
        }
        _ => {
            Err(format!("{} is not known here: write alarm, never, or a time such as after=10m", quote(text)))
        }
    }
}

fn public_key(text: &str) -> Result<Value, String> {
    match text {
        "refuse" => Ok(Value::PublicKey(RsaPublicKey::Refuse)),
        "from-server" => Ok(Value::PublicKey(RsaPublicKey::FromServer)),
        path if path.contains('/') => {
            check_path(path)?;
            Ok(Value::PublicKey(RsaPublicKey::File(PathBuf::from(path))))
        }
        other => Err(format!(
            "{} is not known here: write refuse, from-server or the path of a PEM file, with a slash in it",
            quote(other)
        )),
    }
}

fn control_socket(text: &str) -> Result<Value, String> {
    let socket = match text {
        "none" => ControlSocket::Off,
        "beside-cache" => ControlSocket::BesideCache,
        path if path.contains('/') => {
            check_path(path)?;
            socket_fits(path.len())?;
            ControlSocket::At(PathBuf::from(path))
        }
        other => {
            return Err(format!(
                "{} is not known here: write none, beside-cache or a path with a slash in it",
                quote(other)
            ));
        }
    };
    Ok(Value::ControlSocket(socket))
}

/// Names of pools; whether there are such pools is looked at when all is known.
fn pools(raw: Raw<'_>) -> Result<Value, String> {
    let mut out: Vec<String> = Vec::new();
    match raw {
        Raw::Plain(text) => {
            let list = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
            out.extend(list.split(',').map(|item| item.trim().trim_matches('"')).map(String::from));
        }
        Raw::Toml(DeValue::Array(list)) => {
            for item in list {
                out.push(text_of(Raw::Toml(item.get_ref()), "pools' names")?.into());
            }
        }
        Raw::Toml(other) => return Err(format!("expected a list of pools, found {}", describe(other))),
    }
    out.retain(|name| !name.is_empty());
    match out.iter().enumerate().find(|(i, name)| out.get(..*i).is_some_and(|before| before.contains(name))) {
        Some((_, name)) => Err(format!("{} stands in the list twice", quote(name))),
        None => Ok(Value::Pools(out)),
    }
}

/// Addresses to listen at: a list, or one alone.
fn listen_addresses(raw: Raw<'_>) -> Result<Value, String> {
    let mut out: Vec<ListenAddress> = Vec::new();
    let mut add = |text: &str| {
        let address = ListenAddress::parse(text)?;
        if let ListenAddress::Unix(path) = &address {
            socket_fits(path.as_os_str().len())?;
        }
        if out.contains(&address) {
            return Err(format!("{} stands here twice", quote(text)));
        }
        out.push(address);
        match out.len() {
            0..=LISTEN_MAX => Ok(()),
            _ => Err(format!("more than {LISTEN_MAX} addresses")),
        }
    };
    match raw {
        Raw::Plain(text) => {
            let list = text.strip_prefix('[').and_then(|t| t.strip_suffix(']').filter(|_| !is_v6(text)));
            list.unwrap_or(text)
                .split(',')
                .map(|item| item.trim().trim_matches('"'))
                .filter(|item| !item.is_empty())
                .try_for_each(&mut add)?;
        }
        Raw::Toml(DeValue::String(text)) => add(text)?,
        Raw::Toml(DeValue::Array(list)) => {
            for item in list {
                match item.get_ref() {
                    DeValue::String(text) => add(text)?,
                    other => return Err(format!("expected addresses in quotes, found {}", describe(other))),
                }
            }
        }
        Raw::Toml(other) => return Err(format!("expected a list of addresses, found {}", describe(other))),
    }
    Ok(Value::Listen(out))
}

/// Whether brackets are those of an IPv6 address, as in `[::1]`, which lacks its port.
fn is_v6(text: &str) -> bool {
    text.trim_matches(['[', ']']).parse::<core::net::Ipv6Addr>().is_ok()
}

/// A file's mode: permissions alone.
fn mode(text: &str) -> Result<u32, String> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal && mode <= 0o777 && mode & 0o600 == 0o600 => Ok(mode),
        _ => Err(format!("{} is no mode: write octal digits from \"0600\" to \"0777\"", quote(text))),
    }
}

fn socket_fits(length: usize) -> Result<(), String> {
    match length {
        0..=SOCKET_PATH_MAX => Ok(()),
        _ => Err(format!(
            "the path has {length} bytes, and the system takes {SOCKET_PATH_MAX} for a socket: choose a shorter one"
        )),
    }
}

fn users(raw: Raw<'_>) -> Result<Value, String> {
    let mut out: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | '/' | ',');
        if text.is_empty() || text.len() > USER_MAX || text.chars().any(bad) {
            return Err(format!("{} is no user's name or number", quote(text)));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_err() {
            return Err(format!("{} is no user's number: it has more than 32 bits", quote(text)));
        }
        if !out.iter().any(|known| known == text) {
            out.push(text.into());
        }
        match out.len() {
            0..=USERS_MAX => Ok(()),
            _ => Err(format!("more than {USERS_MAX} users")),
        }
    };
    match raw {
        Raw::Plain(text) => {
            let list = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
            list.split(',')
                .map(|item| item.trim().trim_matches('"'))
                .filter(|item| !item.is_empty())
                .try_for_each(&mut add)?;
        }
        Raw::Toml(DeValue::Array(list)) => {
            for item in list {
                match item.get_ref() {
                    DeValue::Integer(n) => match u32::from_str_radix(n.as_str(), n.radix()) {
                        Ok(number) => add(&number.to_string())?,
                        Err(_) => return Err(format!("{} is no user's number", cut(&n.to_string()))),
                    },
                    item => add(text_of(Raw::Toml(item), "users' names or numbers")?)?,
                }
            }
        }
        Raw::Toml(other) => return Err(format!("expected a list of users, found {}", describe(other))),
    }
    Ok(Value::Users(out))
}

/// Units and their length in microseconds, longest first.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

fn no_unit(number: &str) -> String {
    let number = cut(number);
    format!("{number} has no unit: write \"{number}ms\" or \"{number}s\"")
}

/// Parses a duration: a decimal number and a unit (`us`, `ms`, `s`, `m`, `h`, `d`), whole microseconds.
///
/// # Errors
/// A sentence that quotes the text and says what to write.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let malformed = || {
        format!(
            "{} is not a duration: write a number and a unit (us, ms, s, m, h, d), such as \"500ms\"",
            quote(text)
        )
    };
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).ok_or_else(malformed)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(malformed());
    }
    if unit.is_empty() {
        return Err(no_unit(number));
    }
    let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else { return Err(malformed()) };
    let fraction = fraction.trim_end_matches('0');
    if whole.len() > 18 || fraction.len() > 18 {
        return Err(format!("{} has too many digits", quote(text)));
    }
    // Fixed point: at most 36 digits before the unit, which u128 holds; the unit may overflow it.
    let scaled = format!("{whole}{fraction}").parse::<u128>().map_err(|_| malformed())?;
    let scale = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(u32::MAX));
    let micros =
        scaled.checked_mul(u128::from(*length)).ok_or_else(|| format!("{} is too long", quote(text)))?;
    if micros % scale != 0 {
        return Err(format!("{} is finer than a microsecond", quote(text)));
    }
    let micros = u64::try_from(micros / scale).map_err(|_| format!("{} is too long", quote(text)))?;
    Ok(Duration::from_micros(micros))
}

/// Prints a duration as [`parse_duration`] reads it, in the longest unit that leaves no fraction.
pub fn print_duration(span: Duration) -> String {
    let micros = span.as_micros();
    let fits = |length: u64| micros != 0 && micros % u128::from(length) == 0;
    match UNITS.iter().find(|(_, length)| fits(*length)) {
        Some((unit, length)) => format!("{}{unit}", micros / u128::from(*length)),
        None => "0s".into(),
    }
}

/// A list of texts in a TOML text, or one with commas in plain text; none stands twice.
fn list_of<T: PartialEq>(
    raw: Raw<'_>,
    what: &str,
    most: usize,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut out: Vec<T> = Vec::new();
    let mut add = |text: &str| {
        let item = parse(text)?;
        if out.contains(&item) {
            return Err(format!("{} stands here twice", quote(text)));
        }
        out.push(item);
        if out.len() > most { Err(format!("more than {most} {what}")) } else { Ok(()) }
    };
    match raw {
        Raw::Plain(text) => {
            let list = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
            list.split(',')
                .map(|item| item.trim().trim_matches('"'))
                .filter(|item| !item.is_empty())
                .try_for_each(&mut add)?;
        }
        Raw::Toml(DeValue::String(text)) => add(text)?,
        Raw::Toml(DeValue::Array(list)) => {
            for item in list {
                add(text_of(Raw::Toml(item.get_ref()), what)?)?;
            }
        }
        Raw::Toml(other) => return Err(format!("expected a list of {what}, found {}", describe(other))),
    }
    Ok(out)
}

/// A list of texts; in plain text a TOML list too, since a comma may belong to an argument.
fn texts(raw: Raw<'_>, most: usize) -> Result<Vec<String>, String> {
    const WANTED: &str = "a list of texts such as [\"/usr/bin/systemctl\", \"restart\"]";
    match raw {
        Raw::Plain(text) => {
            let value = DeValue::parse(text).map_err(|_| format!("expected {WANTED}"))?;
            texts(Raw::Toml(value.get_ref()), most)
        }
        Raw::Toml(DeValue::Array(list)) => {
            if list.len() > most {
                return Err(format!("{} texts, {most} are allowed", list.len()));
            }
            let one = |item: &toml::Spanned<DeValue<'_>>| {
                let text = text_of(Raw::Toml(item.get_ref()), "a text")?;
                match text.len() {
                    0 if list.len() == 1 => Err("the text is empty".into()),
                    0..=ARGUMENT_MAX if !text.contains('\0') => Ok(text.to_string()),
                    _ => Err(format!("a text of more than {ARGUMENT_MAX} bytes, or with a NUL")),
                }
            };
            list.iter().map(one).collect()
        }
        Raw::Toml(other) => Err(format!("expected {WANTED}, found {}", describe(other))),
    }
}

/// The entries of a table by name; in plain text a TOML table too.
fn entries<T>(
    raw: Raw<'_>,
    wanted: &str,
    read: impl Fn(&str, &DeValue<'_>) -> Result<T, String>,
) -> Result<BTreeMap<String, T>, String> {
    match raw {
        Raw::Plain(text) => {
            let value = DeValue::parse(text).map_err(|_| format!("expected {wanted}"))?;
            entries(Raw::Toml(value.get_ref()), wanted, read)
        }
        Raw::Toml(DeValue::Table(table)) => {
            if table.len() > HOSTS_MAX {
                return Err(format!("{} hosts, {HOSTS_MAX} are allowed", table.len()));
            }
            let mut out = BTreeMap::new();
            for (name, value) in table.iter() {
                let name = name.get_ref().as_ref();
                super::draft::check_name(name, "host", true)?;
                out.insert(name.to_string(), read(name, value.get_ref())?);
            }
            Ok(out)
        }
        Raw::Toml(other) => Err(format!("expected {wanted}, found {}", describe(other))),
    }
}

fn hosts(raw: Raw<'_>) -> Result<Value, String> {
    let found = entries(raw, "a table of hosts such as { rt1 = \"10.0.1.1:6470\" }", |name, value| {
        let text = text_of(Raw::Toml(value), "an address")?;
        text.parse::<SocketAddr>()
            .ok()
            .filter(|address| address.port() != 0 && !address.ip().is_unspecified())
            .ok_or_else(|| {
                format!("{} of {name} is no address with a port: write IP:PORT or [IPv6]:PORT", quote(text))
            })
    })?;
    let hosts: Vec<TierHost> = found.into_iter().map(|(name, address)| TierHost { name, address }).collect();
    for (i, host) in hosts.iter().enumerate() {
        if let Some(other) = hosts.iter().take(i).find(|other| other.address == host.address) {
            return Err(format!("{} and {} have the same address", other.name, host.name));
        }
    }
    Ok(Value::Hosts(hosts))
}

fn scores(raw: Raw<'_>, min: u8, max: u8) -> Result<Value, String> {
    entries(raw, "a table of scores such as { rt1 = 150 }", |name, value| {
        let (number, shown) = integer(Raw::Toml(value))?;
        number
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| (min..=max).contains(n))
            .ok_or_else(|| format!("{shown} of {name} is out of range: {min} to {max}"))
    })
    .map(Value::Scores)
}
