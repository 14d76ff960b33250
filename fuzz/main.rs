//! The targets under libFuzzer; `PRIMACY_FUZZ_TARGET` names the one to run.
#![no_main]

mod targets;

use std::sync::OnceLock;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn chosen() -> fn(&[u8]) {
    let name = std::env::var("PRIMACY_FUZZ_TARGET").unwrap_or_default();
    match targets::TARGETS.iter().find(|t| t.0 == name) {
        Some(target) => target.1,
        None => panic!("PRIMACY_FUZZ_TARGET must name one of {:?}", targets::TARGETS.map(|t| t.0)),
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.get_or_init(chosen)(data));
