//! Planted violations, each of which must be found, and harmless code, which must not be reported.

use crate::{check, tree};

/// Checks `text` as `crate::engine::plant` (or another room's) in a small crate.
fn check_in(room: &str, text: &str) -> Vec<String> {
    let other = "pub use std::net as smuggled; pub use crate::io::Socket as Smuggled; pub struct Address; \
                 macro_rules! words { () => {} } pub(crate) use words; pub mod state { pub struct Inner; }";
    let found = tree::Crate::load("lib.rs", &|file| {
        Some(match file {
            "lib.rs" => {
                format!("mod {room}; mod probe; mod io; mod error; pub use error::Error; pub use io::Socket;")
            }
            "io/mod.rs" => "pub struct Socket; pub fn now() -> u64 { 0 }".into(),
            "error.rs" => "pub struct Error;".into(),
            "probe/mod.rs" => other.into(),
            f if f == format!("{room}/mod.rs") => {
                "mod plant; pub use std::net; pub mod time { pub struct Time; }".into()
            }
            f if f == format!("{room}/plant.rs") => text.into(),
            _ => return None,
        })
    });
    let place = format!("{room}/plant.rs: ");
    check::violations(&found).into_iter().filter(|line| line.starts_with(&place)).collect()
}

#[test]
fn every_planted_violation_is_found() {
    let planted = [
        // Imports in every shape.
        "use std::fs;",
        "use std::fs::File;",
        "use std::{fmt, fs::{self, File}};",
        "use std::net::{IpAddr, TcpStream};",
        "use std::net::TcpStream as IpAddr;",
        "use std::net::*;",
        "use std::collections::*;",
        "use std::*;",
        "use core::ptr;",
        "use ::std::thread;",
        "use libc;",
        "use libc::write;",
        "use {libc::write as put};",
        "pub use parking_lot::Mutex;",
        "extern crate libc;",
        "fn f() { use std::env; }",
        "mod inner { use std::process::Command; }",
        "const X: u8 = { use std::thread; 0 };",
        // Paths without import.
        "fn f() { std::thread::yield_now() }",
        "fn f() -> u64 { std::process::id().into() }",
        "fn f() { ::std::env::args(); }",
        "fn f() { libc::getpid(); }",
        "fn f() { ::libc::getpid(); }",
        "fn f() { rand::random::<u8>(); }",
        "struct S { socket: std::net::UdpSocket }",
        "fn f<T: std::io::Read>(_: T) {}",
        "impl std::io::Write for S {}",
        "fn f(x: Vec<Option<std::fs::File>>) {}",
        "type T = <std::fs::File as Clone>::X;",
        "fn f() { <T as std::io::Read>::read(x) }",
        "fn f() { if let std::env::VarError::NotPresent = x {} }",
        "fn f() { std::net::TcpStream { } }",
        // Through names.
        "use std::net; fn f() { net::TcpStream::connect(x); }",
        "use std as s; fn f() { s::thread::sleep(x) }",
        "use std::{self}; fn f() { std::thread::sleep(x) }",
        "use std::net as n; use n::TcpStream;",
        "use crate as c; fn f() { c::io::now() }",
        "use crate::probe as p; fn f() { p::smuggled::TcpStream::connect(x) }",
        "use crate::probe::smuggled::TcpStream;",
        "use crate::probe::Smuggled;",
        "fn f() { crate::probe::smuggled::UdpSocket::bind(x); }",
        "fn f() { super::net::UdpSocket::bind(x); }",
        "use super::*; fn f() { net::TcpStream::connect(x); }",
        "mod inner { fn f() { super::super::net::UdpSocket::bind(x); } }",
        // Rooms that are not pure, by every way.
        "use crate::io;",
        "use crate::io::Socket;",
        "use crate::Socket;",
        "use crate::{Error, io};",
        "use super::super::io::now;",
        "fn f() { super::super::io::now(); }",
        "fn f() { crate::io::now(); }",
        "fn f(s: crate::io::Socket) {}",
        "fn f(s: &dyn crate::ffi::T) {}",
        // Clocks, hashes.
        "use std::time::Instant;",
        "use std::time::{Duration, SystemTime as S};",
        "fn f() { std::time::Instant::now(); }",
        "use std::time; fn f() { time::SystemTime::now(); }",
        "use std::collections::HashMap;",
        "use std::collections::HashSet as BTreeSet;",
        "fn f() -> std::collections::HashMap<u8, u8> { x }",
        "use std::hash::RandomState;",
        "use std::collections::hash_map::DefaultHasher;",
        "use std::sync::Mutex;",
        "use std::sync::atomic::AtomicBool;",
        "thread_local! { static X: u8 = 0; }",
        // Macros, and paths in their tokens.
        "fn f() { println!(\"x\") }",
        "fn f() { eprintln!(\"x\") }",
        "fn f() { dbg!(1); }",
        "fn f() { std::println!(\"x\") }",
        "fn f() { todo!() }",
        "fn f() { include!(\"x\") }",
        "fn f() { format!(\"{}\", println!(\"x\")) }",
        "fn f() { format!(\"{}\", std::process::id()) }",
        "fn f() { vec![vec![(1, ::std::env::args())]] }",
        "fn f() { assert!(crate::io::now() == 0) }",
        "fn f() { write!(out, \"{}\", libc::getpid()) }",
        "use std::net; fn f() { vec![net::TcpStream::connect(x)] }",
        "fn f() { vec![path.exists()] }",
        "macro_rules! m { () => { std::thread::yield_now() } }",
        "macro_rules! m { () => { $crate::io::now() } }",
        "macro_rules! m { () => { use std::{fmt, fs}; } }",
        "macro_rules! m { () => { use std::net::*; } }",
        "macro_rules! m { () => { use std::net::{IpAddr, *}; } }",
        "macro_rules! m { ($t:ty) => { fn f(x: $t) { unsafe { g(x) } } } }",
        "macro_rules! m { () => { fn f(x: *const u8) {} } }",
        "macro_rules! m { () => { HashMap::new() } }",
        "#[derive(Clone, libc::Derive)] struct S;",
        // The system through allowed types.
        "use std::path::Path; fn f(p: &Path) -> bool { p.exists() }",
        "use std::path::Path; fn f(p: &Path) -> bool { Path::exists(p) }",
        "use std::path::Path; fn f(p: &Path) -> bool { <Path>::is_file(p) }",
        "fn f(x: &[std::path::PathBuf]) { x.iter().map(|p| p.metadata()) }",
        // Pointers and unsafe.
        "fn f(x: *const u8) {}",
        "fn f(x: &u8) -> usize { x as *const u8 as usize }",
        "fn f(x: &mut u8) { g(&raw mut *x) }",
        "fn f(x: &[u8]) -> bool { x.as_ptr() == y }",
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "unsafe impl Send for S {}",
        "unsafe trait T {}",
        "extern \"C\" { fn getpid() -> i32; }",
        "unsafe extern \"C\" { fn getpid() -> i32; }",
        "extern \"C\" fn f() {}",
        "static mut X: u8 = 0;",
        "impl S { fn f(&self) { std::thread::yield_now() } }",
        // Exempt is what is for tests alone.
        "#[cfg(not(test))] use std::fs;",
        "#[cfg(any(test, unix))] use std::fs;",
        "#[cfg(feature = \"testing\")] mod tests { use std::fs; }",
        "#[test] fn f() { std::thread::yield_now() }",
        // Numbers.
        "const X: f64 = 0;",
        "const X: u8 = (2.5) as u8;",
        "fn f(x: u32) -> bool { x as f32 > y }",
        "fn f() { 1f64; }",
        "fn f(d: Duration) { d.as_secs_f64(); }",
        "fn f() { vec![1.5]; }",
        "macro_rules! m { () => { x as f64 } }",
    ];
    let missed: Vec<&str> = planted.into_iter().filter(|text| check_in("engine", text).is_empty()).collect();
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
}

#[test]
fn harmless_code_is_left_alone() {
    let harmless = [
        "use core::fmt::{self, Display, Write as _}; impl fmt::Display for S { fn f(f: &mut fmt::Formatter<'_>) {} }",
        "use std::collections::{BTreeMap, BTreeSet, btree_map::Entry}; fn f() { Entry::Vacant(x); BTreeMap::new(); }",
        "use std::net::{IpAddr, Ipv4Addr}; fn f() -> IpAddr { Ipv4Addr::LOCALHOST.into() }",
        "use std::net; fn f(x: net::IpAddr) {}",
        "use std::fmt::*;",
        "use std::time::Duration; fn f() { Duration::from_millis(1); }",
        "fn f() { core::str::from_utf8(x); str::from_utf8(x); u64::MAX; usize::try_from(x); }",
        "use toml; use serde::{Deserialize, Serialize}; #[derive(Deserialize)] struct S { v: toml::Value }",
        "use crate::probe::{Address, words}; words!(); fn f() { Address::new() }",
        "use super::super::probe::state::Inner; use crate::Error; fn f() -> crate::error::Error { x }",
        "use super::time::Time; use super::net::IpAddr; fn f() { Time::default(); }",
        "use crate::probe::smuggled::IpAddr;",
        "mod inner { pub fn g() {} } pub use inner::g; fn f() { inner::g(); self::inner::g(); }",
        "mod inner { use super::super::time::Time; }",
        "mod step { pub fn step() {} pub struct Next; } pub use step::{Next, step}; fn f(x: step::Next) { self::step::step() }",
        "#[allow(clippy::too_many_arguments)] #[expect(clippy::all)] fn f() {}",
        "macro_rules! m { ($n:ident, $v:ident) => { $n::$v; $crate::probe::Address; x * y } } fn f() { m!(A, B) }",
        "fn f() { <[u8]>::len(x); <T as Iterator>::next(x); <Self as core::fmt::Debug>::fmt(x); T::default(); }",
        "fn f() { let v = vec![1, 2]; assert!(v.len() > 1, \"{}\", v[0]); matches!(x, State::Active | crate::Error) }",
        "#[cfg(test)] mod tests { use std::fs; use std::collections::HashMap; fn f() { unsafe { println!() } } }",
        "#[cfg(test)] use std::fs; #[cfg(test)] fn f() { std::thread::yield_now() }",
        "/// [`std::fs::File`] and `HashMap`: words in a documentation.\nfn f() { g(\"std::fs\") }",
        "fn f<'a>(x: &'a str) -> impl Fn(&'a str) -> bool + use<'a> { move |y| x == y }",
        "type Result<T> = core::result::Result<T, Error>; fn f() -> Result<()> { Result::Ok(()) }",
    ];
    for text in harmless {
        let reported = check_in("engine", text);
        assert!(reported.is_empty(), "{text}\n{}", reported.join("\n"));
    }
}

#[test]
fn floats_are_for_rooms_that_do_not_decide() {
    let text = "pub fn f(lag: f64) -> bool { lag.fract() > 0.5 }";
    assert!(check_in("wire", text).is_empty());
    for room in ["engine", "pool", "policy"] {
        assert!(!check_in(room, text).is_empty(), "{room}");
    }
}

#[test]
fn files_for_tests_alone_are_exempt_and_strays_are_found() {
    let found = tree::Crate::load("lib.rs", &|file| {
        Some(match file {
            "lib.rs" => "mod engine;".into(),
            "engine/mod.rs" => "mod loop_; #[cfg(test)] mod tests;".into(),
            "engine/loop_.rs" => "mod step; #[cfg(test)] mod tests;".into(),
            "engine/loop_/step.rs" => "use std::fs;".into(),
            _ => return None,
        })
    });
    assert_eq!(check::violations(&found), ["engine/loop_/step.rs: std::fs: std::fs is not on the list"]);
    let files: Vec<String> = [
        "engine/mod.rs",
        "engine/loop_.rs",
        "engine/loop_/step.rs",
        "engine/loop_/tests.rs",
        "engine/tests/more.rs",
        "engine/stray.rs",
        "io/stray.rs",
    ]
    .map(String::from)
    .into();
    assert_eq!(check::strays(&found, files.iter()), ["engine/stray.rs"]);
}

#[test]
fn unsafe_is_counted_in_code_alone() {
    assert_eq!(check::count_unsafe("// unsafe\nfn f() { \"unsafe\"; not_unsafe() } /* unsafe */"), 0);
    assert_eq!(
        check::count_unsafe("mod a { fn f() { unsafe { g() } } } m! { unsafe } unsafe impl A for B {}"),
        3
    );
    assert_eq!(check::count_unsafe("#[unsafe(no_mangle)] pub fn f() {}"), 1);
}
