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
        printable(line.trim_end()),
        " ".repeat(margin.len()),
        " ".repeat(column.checked_sub(1)?)
    ))
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
