//! Reading the configuration, and showing the line that is wrong.

use crate::args::Args;
use crate::failure::{Exit, Failure, exit_of};
use crate::terminal::printable;
use primacy::config::{Config, ConfigBuilder};
use primacy::instance::cache_file::CacheFile;
use std::io;
use std::path::{Path, PathBuf};

/// The configuration that the command line names.
pub fn config(args: &Args) -> Result<Config, Failure> {
    let mut config = file(&args.config())?;
    if args.cache.is_some() {
        config.cache_file.clone_from(&args.cache);
    }
    Ok(config)
}

/// A configuration file, checked.
pub fn file(path: &Path) -> Result<Config, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|e| unreadable(&name, &e))?;
    let text = String::from_utf8(text).map_err(|e| {
        Failure::usage(format!("{name}: byte {}: not UTF-8, so no TOML text", e.utf8_error().valid_up_to()))
    })?;
    let mut builder = ConfigBuilder::new();
    builder.load_text(&text, &name).and_then(|()| builder.build()).map_err(|e| {
        let mut shown = e.message().to_string();
        if let Some(picture) = picture(e.message(), &name, &text) {
            shown.push('\n');
            shown.push_str(&picture);
        }
        Failure::new(exit_of(e.code()), shown)
    })
}

fn unreadable(name: &str, e: &io::Error) -> Failure {
    let hint = match e.kind() {
        io::ErrorKind::NotFound => "; name the configuration with --config FILE or PRIMACY_CONFIG",
        io::ErrorKind::PermissionDenied => "; run this as a user that may read it",
        _ => "",
    };
    Failure::usage(format!("cannot read the configuration {name}: {e}{hint}"))
}

/// The line that an error is about, with a caret under its column.
fn picture(message: &str, name: &str, text: &str) -> Option<String> {
    let mut place = message.strip_prefix(name)?.strip_prefix(':')?.splitn(3, ':');
    let number: usize = place.next()?.parse().ok()?;
    let column: usize = place.next()?.parse().ok()?;
    let line = text.split('\n').nth(number.checked_sub(1)?)?;
    let margin = number.to_string();
    // A tab takes one column here, as it does in the count.
    Some(format!(
        "  {margin} | {}\n  {} | {}^",
        veiled(&printable(line.trim_end())),
        " ".repeat(margin.len()),
        " ".repeat(column.checked_sub(1)?)
    ))
}

/// The line without the value of what looks like a password in the wrong place: it would stand in the logs of whoever checks.
fn veiled(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = ["pass", "pwd", "secret"].iter().filter_map(|w| lower[from..].find(w)).min() {
        let word = &lower[from + found..];
        let key = word.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        from += found + key.len();
        if matches!(key, "password_file" | "password_fd") {
            continue;
        }
        if let Some(equals) = lower[from..].find('=') {
            return format!("{}= …", &line[..from + equals]);
        }
    }
    line.to_string()
}

/// The cache file of the configuration.
pub fn cache_path(config: &Config) -> Result<PathBuf, Failure> {
    config.cache_file.clone().ok_or_else(|| {
        Failure::usage("the configuration names no cache_file, so there is no state to work on: set it, or give --cache FILE")
    })
}

/// The cache file of the configuration, for reading or for the lock.
pub fn cache(config: &Config) -> Result<CacheFile, Failure> {
    Ok(CacheFile::open(&cache_path(config)?)?)
}

/// What an operator can do about a cache that an agent holds, where the agent cannot be asked to do it.
pub fn with_advice(failure: Failure, args: &Args, command: &str) -> Failure {
    if failure.exit != Exit::Locked {
        return failure;
    }
    // The library speaks to programs of its own; here the way is another one.
    let held = failure.text.split_once("; stop it").map_or(failure.text.as_str(), |(held, _)| held);
    let config = args.config();
    Failure::new(
        Exit::Locked,
        format!(
            "{held}; nothing was changed. Stop it (clients keep their node, but nothing fails over meanwhile), run \
             `primacy --config {} {command}`, and start it again",
            config.display()
        ),
    )
}

/// The same, with the reason why the holder was not reached.
pub fn unreached(failure: Failure, why: &str) -> Failure {
    if failure.exit != Exit::Locked {
        return failure;
    }
    let text = failure.text.replacen("; nothing was changed.", &format!("; {why}; nothing was changed."), 1);
    Failure::new(Exit::Locked, text)
}

#[cfg(test)]
mod tests {
    use super::veiled;

    #[test]
    fn a_password_in_the_wrong_place_is_not_shown() {
        for (line, shown) in [
            ("password = \"s3cret\"", "password = …"),
            ("Passwrd=s3cret", "Passwrd= …"),
            (
                "{ address = \"db1\", probe = { password = \"s3cret\" } },",
                "{ address = \"db1\", probe = { password = …",
            ),
            ("password_file = \"a\", password = \"s3cret\"", "password_file = \"a\", password = …"),
            ("root_pwd.x = 's3cret'", "root_pwd.x = …"),
            ("password_file = \"/etc/primacy/password\"", "password_file = \"/etc/primacy/password\""),
            ("interval = 5", "interval = 5"),
            ("übersecret", "übersecret"),
        ] {
            assert_eq!(veiled(line), shown);
        }
    }
}
