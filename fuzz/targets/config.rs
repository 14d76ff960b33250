//! Configuration texts, single keys and pool strings.
//!
//! In a text, a line `%set KEY VALUE` sets a key and a line `%pool SPEC` adds a pool string; each first loads the TOML
//! lines before it.

use primacy::config::{ConfigBuilder, parse_duration, print_duration};
use primacy::error::{Error, ErrorCode};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut builder = ConfigBuilder::new();
    let mut toml = String::new();
    for line in text.split_inclusive('\n') {
        let order = line.trim_end_matches('\n');
        if let Some(rest) = order.strip_prefix("%set ") {
            load(&mut builder, &mut toml);
            let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
            attempt(&mut builder, "key ", |b| b.set(key, value));
            duration(value);
        } else if let Some(spec) = order.strip_prefix("%pool ") {
            load(&mut builder, &mut toml);
            attempt(&mut builder, "pool string, position ", |b| b.add_pool(spec));
        } else {
            toml.push_str(line);
        }
    }
    load(&mut builder, &mut toml);
    whole(&builder);
}

/// A pool string alone.
pub fn run_pool_string(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut builder = ConfigBuilder::new();
    attempt(&mut builder, "pool string, position ", |b| b.add_pool(text));
    whole(&builder);
}

fn load(builder: &mut ConfigBuilder, toml: &mut String) {
    let text = std::mem::take(toml);
    if !text.is_empty() {
        attempt(builder, "fuzz.toml:", |b| b.load_text(&text, "fuzz.toml"));
    }
}

/// An error names its place and changes nothing.
fn attempt(
    builder: &mut ConfigBuilder,
    place: &str,
    act: impl FnOnce(&mut ConfigBuilder) -> Result<(), Error>,
) {
    let before = builder.build().map_err(|e| e.message().to_owned());
    if let Err(error) = act(builder) {
        assert_eq!(error.code(), ErrorCode::Config, "{error}");
        assert!(error.message().starts_with(place), "{error}");
        assert_eq!(builder.build().map_err(|e| e.message().to_owned()), before, "after {error}");
    }
}

/// What is a configuration reads back from its own text.
fn whole(builder: &ConfigBuilder) {
    match builder.build() {
        Ok(config) => {
            let text = config.dump();
            let mut again = ConfigBuilder::new();
            again.load_text(&text, "dump").unwrap_or_else(|e| panic!("{e}\n{text}"));
            let again = again.build().unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(again, config, "{text}");
            assert_eq!(again.fingerprint(), config.fingerprint(), "{text}");
            for pool in &config.pools {
                let _ = primacy::policy::budget::budget(pool);
            }
        }
        Err(error) => assert_eq!(error.code(), ErrorCode::Config, "{error}"),
    }
}

fn duration(text: &str) {
    if let Ok(span) = parse_duration(text) {
        let printed = print_duration(span);
        assert_eq!(parse_duration(&printed), Ok(span), "{text:?} printed as {printed:?}");
    }
}
