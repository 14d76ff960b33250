//! A file of tables between a writer and a reader: news, growth, loss, damage.

use super::{TablesReader, TablesWriter};
use crate::config::{OnStale, Role, Strategy};
use crate::engine::Time;
use crate::error::ErrorCode;
use crate::io::file::CacheFolder;
use crate::select::{PickList, ServiceTable, codec};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn table(name: &str, epoch: u64) -> ServiceTable {
    ServiceTable {
        pool: "p".into(),
        service: name.into(),
        epoch,
        role: Role::Active,
        strategy: Strategy::FirstAvailable,
        stale: OnStale::Serve,
        stale_after: Duration::from_secs(5),
        slots: Vec::new(),
        all: PickList::default(),
        rest: Vec::new(),
        sites: Vec::new(),
        active: None,
        nobody: None,
        closed: None,
    }
}

fn place() -> (tempfile::TempDir, Arc<CacheFolder>) {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = Arc::new(CacheFolder::open(&dir.path().join("cache")).expect("a cache"));
    (dir, folder)
}

fn epoch(reader: &mut TablesReader) -> Option<u64> {
    reader.look().expect("a look").tables.map(|tables| tables[0].epoch)
}

#[test]
fn a_reader_sees_each_change_once_and_moves_with_the_file() {
    let (_dir, folder) = place();
    assert!(TablesReader::open(&folder).expect("no file").is_none());
    let mut writer = TablesWriter::new(Arc::clone(&folder), 7, 1000, 3);
    writer.publish(Time(5), codec::encode([&table("rw", 1)]), 3).expect("a file");
    let mut reader = TablesReader::open(&folder).expect("a file").expect("a file");
    assert_eq!((reader.header().fingerprint, reader.header().events_before), (7, 3));
    assert_eq!((epoch(&mut reader), epoch(&mut reader)), (Some(1), None));
    for n in 2..9 {
        writer.publish(Time(n), codec::encode([&table("rw", n)]), 3).expect("a write");
        assert_eq!((epoch(&mut reader), epoch(&mut reader)), (Some(n), None));
    }
    // A pulse is no news of tables.
    writer.beat(Time(200_000_000), 9).expect("a beat");
    assert_eq!(epoch(&mut reader), None);
    assert_eq!((reader.header().pulse, reader.header().events), (200_000_000, 9));
    // More than fits makes a new file, which the reader finds.
    let many: Vec<ServiceTable> = (0..2000).map(|n| table(&format!("service-{n}"), 77)).collect();
    writer.publish(Time(300_000_000), codec::encode(&many), 9).expect("a write");
    let look = reader.look().expect("a look");
    assert!(look.reopened);
    assert_eq!(look.tables.map(|tables| tables.len()), Some(2000));
    // Another decider.
    let mut next = TablesWriter::new(Arc::clone(&folder), 7, 2000, 0);
    next.publish(Time(400_000_000), codec::encode([&table("rw", 90)]), 0).expect("a write");
    let before = *reader.header();
    assert_eq!(epoch(&mut reader), Some(90));
    assert!(!reader.header().same_life(&before));
    // Somebody removes the file: the decider makes it anew within a second.
    std::fs::remove_file(folder.path().with_extension("tables")).expect("a file");
    next.beat(Time(2_000_000_000), 0).expect("a beat");
    let mut reader = TablesReader::open(&folder).expect("a file").expect("made anew");
    assert_eq!(epoch(&mut reader), Some(90));
}

#[test]
fn a_file_cut_short_anywhere_is_a_typed_error() {
    let (_dir, folder) = place();
    let mut writer = TablesWriter::new(Arc::clone(&folder), 7, 1000, 0);
    writer.publish(Time(5), codec::encode([&table("rw", 1), &table("ro", 1)]), 0).expect("a file");
    let path = folder.path().with_extension("tables");
    let whole = std::fs::read(&path).expect("the file");
    let end = (0..whole.len()).rev().find(|&at| whole[at] != 0).expect("bytes") + 1;
    // The header's room holds nothing behind the header; a cut there is found when the half is read.
    for length in (0..400).chain(256 + 16 * 1024 - 8..end) {
        std::fs::write(&path, &whole[..length]).expect("a write");
        let outcome = TablesReader::open(&folder)
            .map(|reader| reader.expect("there is a file"))
            .and_then(|mut reader| reader.look().map(|look| look.tables));
        let error = outcome.expect_err("cut short");
        assert_eq!(error.code(), ErrorCode::Cache, "{length}: {error}");
        assert!(error.message().contains("cache.tables: "), "{error}");
    }
    // Each byte that counts, damaged.
    for at in (0..112).chain(256 + 16 * 1024..end) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, damaged).expect("a write");
        let outcome = TablesReader::open(&folder)
            .map(|reader| reader.expect("there is a file"))
            .and_then(|mut reader| reader.look().map(|look| look.tables));
        let error = outcome.expect_err("damaged");
        assert!(matches!(error.code(), ErrorCode::Cache | ErrorCode::Unsupported), "{at}: {error}");
    }
    std::fs::remove_file(&path).expect("the file");
    std::fs::create_dir(&path).expect("a folder");
    assert_eq!(TablesReader::open(&folder).expect_err("a folder").code(), ErrorCode::Cache);
}

#[test]
fn a_reader_beside_a_busy_writer_sees_whole_tables_and_none_twice() {
    let (_dir, folder) = place();
    let mut writer = TablesWriter::new(Arc::clone(&folder), 7, 1000, 0);
    writer.publish(Time(1), codec::encode([&table("rw", 1)]), 0).expect("a file");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = TablesReader::open(&folder).expect("a file").expect("a file");
            let (mut last, mut seen) = (0, 0u64);
            while !stop.load(Ordering::Acquire) {
                // A writer that never rests may keep a reader from ever seeing a half whole; then it says so.
                let Ok(look) = reader.look() else { continue };
                if let Some(tables) = look.tables {
                    let epoch = tables[0].epoch;
                    assert!(epoch > last, "{epoch} after {last}");
                    assert!(tables.iter().all(|table| table.epoch == epoch), "halves of two");
                    (last, seen) = (epoch, seen + 1);
                }
            }
            seen
        });
        for n in 2..20_000u64 {
            let count = 1 + n as usize % 40;
            let tables: Vec<ServiceTable> = (0..count).map(|at| table(&format!("s{at}"), n)).collect();
            writer.publish(Time(n), codec::encode(&tables), n).expect("a write");
        }
        stop.store(true, Ordering::Release);
        assert!(reading.join().expect("a reader") > 10);
    });
}
