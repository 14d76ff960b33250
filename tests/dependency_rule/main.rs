//! The dependency rule: pure rooms name only what is on an allow-list, and `unsafe` stays in `ffi` and `io`.
//!
//! The test follows the crate's `mod` declarations, parses every file, follows imports, renames and re-exports to what
//! a path means in the end, and holds that against the list in `rules.rs`. What stands in `#[cfg(test)]` is exempt.

mod check;
mod planted;
mod rules;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;

/// All Rust files below `src`, by their path from there.
fn sources() -> BTreeMap<String, String> {
    fn collect(folder: &Path, prefix: &str, out: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                collect(&entry.path(), &format!("{name}/"), out);
            } else if name.ends_with(".rs") {
                out.insert(name, std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut out);
    out
}

#[test]
fn pure_rooms_name_only_what_is_listed() {
    let sources = sources();
    let found = tree::Crate::load("lib.rs", &|file| sources.get(file).cloned());
    let mut wrong = check::violations(&found);
    wrong.extend(
        check::strays(&found, sources.keys())
            .into_iter()
            .map(|file| format!("{file}: no module leads to this file")),
    );
    assert!(wrong.is_empty(), "the dependency rule is broken:\n{}", wrong.join("\n"));
    // The walk has gone through the rooms and not around them.
    for file in
        ["error.rs", "engine/mod.rs", "pool/state.rs", "policy/mod.rs", "store/text.rs", "wire/secret.rs"]
    {
        assert!(
            found.files.iter().any(|f| f.file == file && rules::is_pure(&f.module)),
            "{file} was not looked at"
        );
    }
}

#[test]
fn unsafe_stays_in_ffi_and_io() {
    let sources = sources();
    let wrong: Vec<&String> = sources
        .iter()
        .filter(|(file, _)| !file.starts_with("ffi/") && !file.starts_with("io/"))
        .filter(|(_, text)| check::count_unsafe(text) > 0)
        .map(|(file, _)| file)
        .collect();
    assert!(wrong.is_empty(), "unsafe outside of ffi and io: {wrong:?}");
    assert!(check::count_unsafe(&sources["io/lock.rs"]) > 0, "the count finds what is there");
}
