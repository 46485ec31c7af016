//! What happens on the disk in which order, disks that fail a sync, and sleds with holes.

use std::{cell::RefCell, fs::File, path::Path, sync::Arc};

use world::{
    Host,
    real::{Block, Real},
};

use super::{
    codec,
    core::Core,
    directory::copy_dir,
    journal::{FULL, Journal},
};
use crate::{Batch, Event, EventKind, Kv, Record, StoreError};

thread_local! {
    static STEPS: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Something was done to a file.
pub(super) fn note(step: &'static str) {
    STEPS.with_borrow_mut(|steps| steps.push(step));
}

fn steps() -> Vec<&'static str> {
    STEPS.take()
}

fn host(root: &Path) -> Host {
    Real::new(root.to_owned(), Block::reserve().unwrap()).host("cp1").unwrap()
}

fn put(revision: i64, key: &str, value: Vec<u8>) -> Record {
    let kv = Kv {
        key: key.to_owned().into(),
        value: value.into(),
        create_revision: revision,
        mod_revision: revision,
        version: 1,
        lease: 0,
    };
    let events: Arc<[Event]> = Arc::new([Event { kind: EventKind::Put, kv, prev: None }]);
    Record::Commit(Batch::changes(revision, events))
}

#[tokio::test]
async fn the_journal_is_synced_before_the_answer_and_sled_before_the_journal_is_written_over() {
    let root = tempfile::tempdir().unwrap();
    let (mut core, _) = Core::open(&root.path().join("data"), host(root.path()).clock()).unwrap();
    steps();
    core.append(&[put(2, "/a", vec![1; 100])]).unwrap();
    assert_eq!(steps(), ["journal written", "journal synced", "mark written"], "and then it is answered");
    core.settle().unwrap();
    assert_eq!(steps(), ["sled written"], "after the answer");
    let full = ["sled written", "sled flushed", "sled synced", "mark synced", "journal rewound"];
    // Appends of eight writers, say: each so much, three journals full of them.
    let (mut was_full, size) = (0, 12 << 10);
    for n in 0..3 * FULL / size {
        core.append(&[put(3 + n as i64, "/b", vec![1; size])]).unwrap();
        steps();
        core.settle().unwrap();
        match steps().as_slice() {
            ["sled written"] => {}
            others => {
                assert_eq!(others, full, "one flush is enough, at the end of an append");
                was_full += 1;
            }
        }
    }
    assert_eq!(was_full, 3);
    core.append(&[put(99, "/d", vec![1; 100])]).unwrap();
    steps();
    core.finish().unwrap();
    let end = ["sled written", "sled flushed", "sled synced", "mark synced", "journal cleared"];
    assert_eq!(steps(), end);
}

#[tokio::test]
async fn however_much_is_appended_at_once_sled_is_flushed_in_between() {
    let root = tempfile::tempdir().unwrap();
    let (path, clock) = (root.path().join("data"), host(root.path()).clock().clone());
    let (mut core, _) = Core::open(&path, &clock).unwrap();
    let records: Vec<Record> = (0..8).map(|n| put(2 + n, &format!("/{n}"), vec![n as u8; 1 << 20])).collect();
    core.append(&records).unwrap();
    // As a kill leaves it.
    copy_dir(&path, &root.path().join("killed")).unwrap();
    steps();
    core.settle().unwrap();
    let synced = steps().iter().filter(|step| **step == "sled synced").count();
    assert!(synced >= (8 << 20) / FULL, "{synced} times for 8 MiB");
    drop(core);
    steps();
    let (_, image) = Core::open(&root.path().join("killed"), &clock).unwrap();
    assert_eq!((image.keys.len(), image.revision), (8, 9), "the journal has all of it");
    let synced = steps().iter().filter(|step| **step == "sled synced").count();
    assert!(synced >= (8 << 20) / FULL, "an open too");
}

/// What a power failure may leave of more than one segment of sled's: the newest, and a hole before it.
#[tokio::test]
async fn a_sled_that_lacks_something_before_its_end_is_healed_by_the_journal() {
    let root = tempfile::tempdir().unwrap();
    let (path, clock) = (root.path().join("data"), host(root.path()).clock().clone());
    let (mut core, _) = Core::open(&path, &clock).unwrap();
    for n in 0..4 {
        core.append(&[put(2 + n, &format!("/{n}"), vec![n as u8; 100])]).unwrap();
        core.settle().unwrap();
    }
    let killed = root.path().join("killed");
    copy_dir(&path, &killed).unwrap();
    drop(core);
    // The journal is empty now: the control.
    for (dir, healed) in [(killed, true), (path, false)] {
        let db = sled::Config::new().path(dir.join("sled")).flush_every_ms(None).open().unwrap();
        let all: Vec<_> = [0, 1, 2, 3].map(|id| db.remove(codec::piece_key(id, 0)).unwrap().is_some()).into();
        if healed {
            // Of the copy nothing was flushed; the head alone, as if it had been.
            let newest = codec::Head { appends: 4, revision: 5, sum: 0 };
            let _ = db.insert(codec::HEAD, codec::head_item(&newest).1.unwrap()).unwrap();
        } else {
            assert!(all.iter().all(|there| *there), "the control: all was in sled");
        }
        db.flush().unwrap();
        drop(db);
        match Core::open(&dir, &clock) {
            Ok((_, image)) => assert_eq!((image.keys.len(), healed), (4, true)),
            Err(e) => assert!(matches!(e, StoreError::Corrupt { .. }) && !healed, "{e}"),
        }
    }
}

/// A file that takes whatever is written and cannot be synced.
fn unsyncable() -> File {
    File::options().read(true).write(true).open("/dev/null").unwrap()
}

#[tokio::test]
async fn after_a_sync_that_failed_nothing_is_written_and_the_journal_stays() {
    type Breaks = fn(&mut Core);
    let rows: [(&str, Breaks); 3] = [
        ("journal", |core| core.journal = Journal::begin(Path::new("/dev/null"), 0).unwrap()),
        ("sled", |core| core.files.as_mut().unwrap().break_with(unsyncable())),
        ("high-water", |core| core.mark.break_with(unsyncable())),
    ];
    for (what, break_it) in rows {
        let root = tempfile::tempdir().unwrap();
        let (path, clock) = (root.path().join("data"), host(root.path()).clock().clone());
        let (mut core, _) = Core::open(&path, &clock).unwrap();
        core.append(&[put(2, "/before", vec![1; 100])]).unwrap();
        core.settle().unwrap();
        break_it(&mut core);
        // More than a journal takes.
        let mut acknowledged = 1;
        let mut error = None;
        for n in 0..3 {
            match core.append(&[put(3 + n, &format!("/{n}"), vec![1; FULL])]) {
                Ok(()) => acknowledged += 1,
                Err(e) => {
                    error = Some(e);
                    break;
                }
            }
            let _ = core.settle();
        }
        let said = error.expect(what).to_string();
        let at = path.join(what).display().to_string();
        let why = "invalid argument; the store takes no more writes until it is opened again";
        assert_eq!(said, format!("sync {at}: {why}"));
        let journal = std::fs::read(path.join("journal")).unwrap();
        steps();
        assert_eq!(core.append(&[put(9, "/after", vec![1; 9])]).unwrap_err().to_string(), said);
        assert_eq!(core.finish().unwrap_err().to_string(), said);
        drop(core);
        assert!(steps().is_empty(), "{what}: nothing more was done");
        assert!(journal == std::fs::read(path.join("journal")).unwrap(), "{what}: the journal is as it was");
        let (mut core, image) = Core::open(&path, &clock).unwrap();
        assert_eq!(image.keys.len(), acknowledged, "{what}: whoever opens it anew finds all of it");
        core.append(&[put(image.revision + 1, "/again", vec![1; 9])]).unwrap();
    }
}
