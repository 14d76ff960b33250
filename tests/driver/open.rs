//! One instance for each cache in a process.

use crate::support::*;
use primacy::ErrorCode;
use primacy::config::Config;
use primacy::instance::Instance;
use std::path::Path;

fn config_at(cache: &Path, levels: u32) -> Config {
    let top = format!("cache_file = {cache:?}\ncontrol_socket = \"none\"");
    let more = format!("probe = \"external\"\npolicy = \"mpp\"\nlevels = {levels}");
    config(&["10.9.8.7:3306".into()], &top, &more)
}

/// Whether two handles are one instance: what one stops is stopped for the other.
fn is_same(one: &Instance, other: &Instance) -> bool {
    one.stop().expect("stop");
    other.explain("p").expect("explain");
    other
        .recover_pool("p", primacy::instance::Durability::NoWait)
        .is_err_and(|e| e.code() == ErrorCode::Stopped)
}

#[test]
fn the_same_cache_is_the_same_instance() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let first = Instance::open(config_at(&cache, 4)).expect("a new one");
    first.start().expect("start");
    // By another spelling of the path it is the same file, but another text, so another configuration.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).expect("a link");
    for (path, levels) in [(cache.clone(), 5), (link.join("cache"), 4)] {
        let error = Instance::open(config_at(&path, levels)).expect_err("another configuration");
        assert_eq!(error.code(), ErrorCode::ConfigDiffers);
        assert!(error.message().contains("cache"), "{error}");
    }
    let second = Instance::open(config_at(&cache, 4)).expect("the open one");
    drop(first);
    assert!(second.is_running(), "one reference is left");
    second.snapshot().expect("it works");
    let third = Instance::open(config_at(&cache, 4)).expect("the open one");
    assert!(is_same(&second, &third));
    // Stopped, it is not found any more; a new one may have another configuration.
    let fourth = Instance::open(config_at(&cache, 5)).expect("a new one");
    fourth.start().expect("start");
    drop((second, third));
    assert!(fourth.is_running());
    drop(fourth);
    assert!(!threads().iter().any(|(name, _)| name.starts_with("primacy")), "the last reference stopped it");
}

#[test]
fn one_that_was_made_by_new_is_found_and_another_cache_is_another() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let made = Instance::new(config_at(&folder.path().join("a"), 4)).expect("made");
    let other = Instance::open(config_at(&folder.path().join("b"), 4)).expect("another cache");
    let found = Instance::open(config_at(&folder.path().join("a"), 4)).expect("found");
    assert!(!is_same(&other, &found));
    assert!(is_same(&made, &found));
    // Without a cache: configurations that mean the same.
    let plain = |levels| {
        config(
            &["10.9.8.7:3306".into()],
            "",
            &format!("probe = \"external\"\npolicy = \"mpp\"\nlevels = {levels}"),
        )
    };
    let one = Instance::open(plain(4)).expect("one");
    let two = Instance::open(plain(5)).expect("two");
    let three = Instance::open(plain(4)).expect("three");
    assert!(!is_same(&two, &one));
    assert!(is_same(&one, &three));
}

#[test]
fn threads_that_open_at_once_get_one() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let opened: Vec<Instance> = std::thread::scope(|scope| {
        let open = || {
            let instance = Instance::open(config_at(&cache, 4)).expect("open");
            instance.start().expect("start");
            instance
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(threads().iter().filter(|(name, _)| name == "primacy").count(), 1);
    let (first, rest) = opened.split_first().expect("sixteen");
    assert!(rest.iter().all(|other| is_same(first, other)));
}
