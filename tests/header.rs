//! The header is what the source says. `make header` writes it anew.

use std::path::Path;

/// In the order of reading: life first, names last.
const SOURCES: [&str; 14] = [
    "version", "status", "enums", "structs", "config", "instance", "commands", "orders", "snapshot", "read",
    "events", "selector", "proxy", "vip",
];

#[test]
fn header_is_generated_from_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES.iter().chain(["names"].iter()) {
        builder = builder.with_src(root.join(format!("src/ffi/{source}.rs")));
    }
    let mut bytes = Vec::new();
    builder.generate().expect("bindings").write(&mut bytes);
    let generated = String::from_utf8(bytes).expect("UTF-8");
    assert!(
        generated.contains(&format!("#define PRIMACY_VERSION \"{}\"", env!("CARGO_PKG_VERSION"))),
        "PRIMACY_VERSION in cbindgen.toml is not the package's version"
    );
    let path = root.join("include/primacy.h");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    // An unchanged header keeps its time, so that make has nothing to do.
    if std::env::var_os("PRIMACY_WRITE_HEADER").is_some() && old != generated {
        std::fs::write(&path, &generated).expect("include/primacy.h");
    }
    let committed = std::fs::read_to_string(&path).expect("include/primacy.h");
    if let Some((at, (is, should))) =
        committed.lines().zip(generated.lines()).enumerate().find(|(_, (is, should))| is != should)
    {
        panic!("include/primacy.h:{}: is {is:?}, the source says {should:?}; run `make header`", at + 1);
    }
    assert_eq!(committed.len(), generated.len(), "include/primacy.h ends differently; run `make header`");
}

#[test]
fn no_exported_function_is_outside_the_listed_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ffi");
    for entry in std::fs::read_dir(root).expect("src/ffi") {
        let path = entry.expect("entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let exports = text.lines().any(|line| line.starts_with("#[unsafe(no_mangle)]"));
        let listed = SOURCES.contains(&name.as_str()) || name == "names" || name == "testing";
        assert!(!exports || listed, "src/ffi/{name}.rs exports functions but is not part of the header");
    }
}
