//! A directory that cannot be opened: one clear sentence, and not a byte of it is changed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::{picture, real_host};
use store::{Medium, Range, Store, StoreError, memory_on};
use world::Host;

struct Bench {
    host: Host,
    path: PathBuf,
    _root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let host = real_host(root.path());
        Self { path: root.path().join("cp1/data"), host, _root: root }
    }

    async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        store::sled(&self.host, "/data").await
    }

    /// Tells a story of the store in a process of its own; when that is gone, the directory is free.
    async fn live(&self, story: impl AsyncFnOnce(&Arc<dyn Store>)) {
        let process = self.host.process("store");
        let store = store::sled(process.host(), "/data").await.unwrap();
        story(&store).await;
        drop(store);
        process.kill().await;
    }

    /// A store with a few hundred records, closed again.
    async fn filled(&self) {
        self.live(async |store| {
            for n in 0..300 {
                store
                    .put(format!("/registry/pods/default/p{n}").into(), vec![n as u8; 700].into())
                    .await
                    .unwrap();
            }
            let _ = store.lease_grant(7, std::time::Duration::from_secs(60)).await;
        })
        .await;
    }
}

/// Runs `spoil` on the directory of a filled store and says what an open makes of it.
async fn check(spoil: impl FnOnce(&Path), expected: &str) {
    let bench = Bench::new();
    bench.filled().await;
    spoil(&bench.path);
    let before = picture(&bench.path);
    let error = bench.open().await.map(|_| "opened").expect_err(expected).to_string();
    assert!(error.contains(expected), "{error:?} says {expected:?}");
    assert!(error.contains(bench.path.to_str().unwrap()), "{error:?} says where");
    assert!(!error.contains('\n'), "{error:?} is one sentence");
    let after = picture(&bench.path);
    assert!(before == after, "nothing was changed by the open that said {error:?}");
}

/// A store of the format that had no journal is opened, and is of the present format from then on.
#[tokio::test]
async fn the_former_format_is_brought_up_to_the_present_one() {
    let bench = Bench::new();
    bench.filled().await;
    let format = bench.path.join("FORMAT");
    assert_eq!(fs::read_to_string(&format).unwrap(), "chronoplane store 2\n");
    fs::write(&format, "chronoplane store 1\n").unwrap();
    fs::remove_file(bench.path.join("journal")).unwrap();
    let before = picture(&bench.path);
    assert!(store::offline::check(&bench.host, &bench.path).await.unwrap().is_sound());
    assert!(before == picture(&bench.path), "a look changes nothing");
    let store = bench.open().await.unwrap();
    assert_eq!(fs::read_to_string(&format).unwrap(), "chronoplane store 2\n");
    let found = store.list(Range::all(), Default::default()).await.unwrap();
    assert_eq!((found.count, found.revision), (300, 301));
    assert_eq!(store.put("next".into(), "1".into()).await, Ok(302));
}

/// How many keys and which revision an open finds.
async fn found(bench: &Bench) -> Result<(usize, i64), StoreError> {
    let process = bench.host.process("reader");
    let store = store::sled(process.host(), "/data").await?;
    let found = store.list(Range::all(), Default::default()).await?;
    drop(store);
    process.kill().await;
    Ok((found.count, found.revision))
}

/// A first open that was cut short, or for which there was no room, is begun again. Nothing was acknowledged before its
/// end, and each file that it makes may be there by half.
#[tokio::test]
async fn a_first_open_that_was_cut_short_is_begun_again() {
    let bench = Bench::new();
    bench.live(async |_| ()).await;
    assert_eq!(found(&bench).await, Ok((0, 1)));
    let whole = picture(&bench.path);
    let bytes = |name: &str| whole[&bench.path.join(name)].clone();
    let (format, mark, conf) = (bytes("FORMAT"), bytes("high-water"), bytes("sled/conf"));
    type Files<'a> = Vec<(&'static str, &'a [u8])>;
    let mut rows: Vec<Files<'_>> = (0..=format.len()).map(|at| vec![("FORMAT.new", &format[..at])]).collect();
    rows.extend((0..=conf.len()).map(|at| vec![("FORMAT.new", &format[..]), ("sled/conf", &conf[..at])]));
    rows.push(vec![("FORMAT.new", &format), ("sled/conf", &conf), ("sled/db", b"half a segment")]);
    for at in (0..=48).chain(4090..=mark.len()) {
        rows.push(vec![("FORMAT.new", &format), ("high-water.new", &mark[..at])]);
        rows.push(vec![("FORMAT.new", &format), ("high-water", &mark[..at])]);
    }
    for files in rows {
        let what: Vec<_> = files.iter().map(|(name, bytes)| (name, bytes.len())).collect();
        empty(&bench.path);
        for (name, bytes) in &files {
            let path = bench.path.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        assert_eq!(found(&bench).await, Ok((0, 1)), "{what:?}");
        let mut names: Vec<_> =
            fs::read_dir(&bench.path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["FORMAT", "LOCK", "high-water", "journal", "sled"], "{what:?}");
    }
}

/// A mark that says nothing is as good as one that is not there: it must not be where anything was acknowledged.
#[tokio::test]
async fn a_cut_mark_is_refused_only_where_something_was_acknowledged() {
    let (empty, filled) = (Bench::new(), Bench::new());
    assert_eq!(found(&empty).await, Ok((0, 1)));
    filled.filled().await;
    for (bench, expected) in [(&empty, (0, 1)), (&filled, (300, 301))] {
        let mark = bench.path.join("high-water");
        let whole = fs::read(&mark).unwrap();
        for at in (0..=48).step_by(4).chain((4090..=whole.len()).step_by(7)) {
            fs::write(&mark, &whole[..at]).unwrap();
            let sound = store::offline::check(&bench.host, &bench.path).await.unwrap().is_sound();
            let opened = found(bench).await;
            assert_eq!(sound, opened.is_ok(), "cut at {at}: {opened:?}");
            match opened {
                Ok(found) => assert_eq!(found, expected, "cut at {at}"),
                Err(e) => {
                    assert!(at < 40 && expected.0 > 0, "cut at {at}: {e}");
                    assert!(e.to_string().contains("is unreadable"), "cut at {at}: {e}");
                }
            }
            fs::write(&mark, &whole).unwrap();
        }
        // What a crash leaves beside files that are whole.
        for name in ["FORMAT.new", "high-water.new"] {
            fs::write(bench.path.join(name), "half").unwrap();
            assert_eq!(found(bench).await, Ok(expected), "beside {name}");
        }
    }
}

/// sled takes a snapshot that it has written by half for a whole one.
#[tokio::test]
async fn a_snapshot_by_half_is_forgotten() {
    let bench = Bench::new();
    bench.filled().await;
    for half in ["", "half a snapshot, and then the disk was full"] {
        let at = bench.path.join("sled/snap.00000000FFFFFFFF.generating");
        fs::write(&at, half).unwrap();
        assert_eq!(found(&bench).await, Ok((300, 301)), "{half:?}");
        assert!(!at.exists());
    }
}

fn flip(file: &Path, at: u64, n: usize) {
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut bytes = vec![0; n];
    file.read_exact_at(&mut bytes, at).unwrap();
    bytes.iter_mut().for_each(|b| *b ^= 0x5a);
    file.write_all_at(&bytes, at).unwrap();
}

fn empty(path: &Path) {
    fs::remove_dir_all(path).unwrap();
    fs::create_dir_all(path).unwrap();
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_left_alone() {
    check(
        |path| {
            fs::remove_dir_all(path).unwrap();
            fs::write(path, "a letter").unwrap();
        },
        "holds a file",
    )
    .await;
    check(
        |path| {
            empty(path);
            fs::write(path.join("letter.txt"), "dear").unwrap();
        },
        "holds other files (letter.txt)",
    )
    .await;
    check(
        |path| {
            empty(path);
            fs::create_dir_all(path.join("snap")).unwrap();
            fs::create_dir_all(path.join("wal")).unwrap();
            fs::write(path.join("snap/db"), "bbolt").unwrap();
        },
        "holds data of etcd itself",
    )
    .await;
    check(
        |path| {
            fs::rename(path.join("sled"), path.with_extension("kept")).unwrap();
            fs::remove_dir_all(path).unwrap();
            fs::rename(path.with_extension("kept"), path).unwrap();
        },
        "holds a sled database of another program",
    )
    .await;
    check(
        |path| fs::write(path.join("FORMAT"), "chronoplane store 3\n").unwrap(),
        "holds a chronoplane store of format 3, and this program reads chronoplane stores of formats 1 and 2 only",
    )
    .await;
}

#[tokio::test]
async fn a_damaged_directory_is_named_and_left_as_it_was() {
    let damaged = "is damaged: ";
    check(|path| fs::remove_file(path.join("high-water")).unwrap(), "its mark").await;
    check(|path| fs::write(path.join("high-water"), "x").unwrap(), "is unreadable").await;
    check(|path| fs::remove_dir_all(path.join("sled")).unwrap(), "sled is missing").await;
    check(|path| fs::remove_file(path.join("sled/db")).unwrap(), "but revision 301 was acknowledged").await;
    check(|path| fs::write(path.join("sled/db"), vec![0; 4096]).unwrap(), damaged).await;
    // sled itself opens this one, and loses what it writes there.
    check(|path| flip(&path.join("sled/db"), 5, 1), "the header of segment 0 of").await;
    for part in 1..8 {
        let cut = move |path: &Path| {
            let db = fs::OpenOptions::new().write(true).open(path.join("sled/db")).unwrap();
            let len = db.metadata().unwrap().len();
            db.set_len(len * part / 8).unwrap();
        };
        check(cut, damaged).await;
    }
}

/// With a snapshot that speaks of more than there is, sled panics: that is caught, and named like the rest.
#[tokio::test]
async fn a_panic_of_sled_is_named_too() {
    let mut panics = 0;
    for part in 1..6 {
        let bench = Bench::new();
        for _ in 0..4 {
            bench.filled().await;
        }
        let db = fs::OpenOptions::new().write(true).open(bench.path.join("sled/db")).unwrap();
        db.set_len(db.metadata().unwrap().len() * part / 6).unwrap();
        let before = picture(&bench.path);
        match bench.open().await {
            Err(e @ StoreError::Corrupt { .. }) => {
                assert!(before == picture(&bench.path), "nothing was changed");
                panics += usize::from(e.to_string().contains("sled gave up on"));
            }
            Err(e) => panic!("damage has its own words, not {e}"),
            // What was cut off was old.
            Ok(store) => {
                let found = store.list(Range::all(), Default::default()).await.unwrap();
                assert_eq!((found.count, found.revision), (300, 1201));
            }
        }
    }
    assert!(panics > 0, "the control: sled does panic");
}

/// sled's files for large pages are its undoing on a full disk: there never is one.
#[tokio::test]
async fn sled_never_sees_anything_large() {
    let bench = Bench::new();
    let store = bench.open().await.unwrap();
    for round in 0..2_u8 {
        for n in 0..60_usize {
            let key = format!("/{}/{n}", "long".repeat(200));
            store.put(key.into(), vec![round; n * n * 400].into()).await.unwrap();
        }
        for n in (0..60).step_by(7) {
            store.delete(Range::key(format!("/{}/{n}", "long".repeat(200)))).await.unwrap();
        }
        assert_eq!(fs::read_dir(bench.path.join("sled/blobs")).unwrap().count(), 0);
    }
}

/// A flipped byte shows, or lies where nothing that counts is kept: then all is still there.
#[tokio::test]
async fn a_flipped_byte_never_gives_a_wrong_answer() {
    let (mut shown, mut harmless) = (0, 0);
    for part in 0..16 {
        let bench = Bench::new();
        bench.filled().await;
        let db = bench.path.join("sled/db");
        let len = fs::metadata(&db).unwrap().len();
        flip(&db, len * part / 16 + 77, 16);
        let before = picture(&bench.path);
        match bench.open().await {
            Err(StoreError::Corrupt { .. }) => {
                shown += 1;
                assert!(before == picture(&bench.path), "nothing was changed");
            }
            Err(e) => panic!("damage has its own words, not {e}"),
            Ok(store) => {
                harmless += 1;
                let found = store.list(Range::all(), Default::default()).await.unwrap();
                assert_eq!((found.count, found.revision), (300, 301));
                let whole = |(n, kv): (usize, &store::Kv)| {
                    kv.value.len() == 700 && kv.value[0] == kv.value[699] && n < 300
                };
                assert!(found.kvs.iter().enumerate().all(whole));
            }
        }
    }
    assert!(shown > 0, "the control: some bytes count ({shown} shown, {harmless} harmless)");
}

#[tokio::test]
async fn a_forgotten_end_is_found_out() {
    let bench = Bench::new();
    let write = async |value: &'static str| {
        bench
            .live(async |store| {
                store.put("a".into(), value.into()).await.unwrap();
            })
            .await;
        // An open finds the directory free: nothing of sled's is written any more.
        bench.live(async |_| ()).await;
    };
    write("1").await;
    let old = picture(&bench.path.join("sled"));
    write("2").await;
    // A backup of sled's files alone, put back.
    fs::remove_dir_all(bench.path.join("sled")).unwrap();
    for (file, bytes) in old {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    fs::create_dir_all(bench.path.join("sled/blobs")).unwrap();
    let error = bench.open().await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("it ends at revision 2, but revision 3 was acknowledged"), "{error}");
}

#[tokio::test]
async fn one_directory_one_store() {
    let bench = Bench::new();
    bench
        .live(async |store| {
            store.put("a".into(), "1".into()).await.unwrap();
            let error = bench.open().await.map(|_| ()).unwrap_err();
            assert_eq!(error, StoreError::Locked { path: bench.path.clone(), pid: Some(std::process::id()) });
            assert!(error.to_string().ends_with("stop the other one, or give another directory"), "{error}");
            assert_eq!(store.put("a".into(), "2".into()).await, Ok(3), "the first goes on");
        })
        .await;
    assert_eq!(bench.open().await.unwrap().revision().await, Ok(3), "and leaves it free");
}

#[tokio::test]
async fn a_restart_continues_with_objects_revisions_and_leases() {
    let bench = Bench::new();
    let medium = Medium::default();
    let process = bench.host.process("etcd");
    // The same story on both engines that outlive a process.
    let sled = store::sled(process.host(), "/data").await.unwrap();
    let memory = memory_on(process.host(), &medium);
    for store in [&sled, &memory] {
        let lease = store.lease_grant(42, std::time::Duration::from_secs(3600)).await.unwrap();
        store.put("a".into(), "1".into()).await.unwrap();
        store.put("a".into(), "2".into()).await.unwrap();
        store.put_if("b".into(), vec![7; 1_000_000].into(), 0, lease.id).await.unwrap();
        store.put("c".into(), "1".into()).await.unwrap();
        store.delete(Range::key("c")).await.unwrap();
    }
    drop((sled, memory));
    process.kill().await;
    let sled = bench.open().await.unwrap();
    let memory = memory_on(&bench.host, &medium);
    let mut seen = Vec::new();
    for store in [&sled, &memory] {
        assert_eq!(store.revision().await, Ok(6));
        assert_eq!(store.lease_status(42).await.unwrap().keys, ["b"]);
        let listing = store.list(Range::all(), Default::default()).await.unwrap();
        assert_eq!(
            listing.kvs.iter().map(|kv| (kv.version, kv.mod_revision)).collect::<Vec<_>>(),
            [(2, 3), (1, 4)]
        );
        assert_eq!(store.lease_revoke(42).await, Ok(7), "and its key died");
        seen.push((listing, store.list(Range::all(), Default::default()).await.unwrap()));
    }
    assert_eq!(seen[0], seen[1], "the engines agree");
}

#[test]
fn the_simulated_gear_has_no_place_for_sled() {
    let error = world::sim::run(Default::default(), |sim| async move {
        store::sled(&sim.host("cp1"), "/data").await.map(|_| ()).unwrap_err().to_string()
    });
    assert_eq!(
        error.unwrap(),
        "open /data: the disk of a simulated host has no room for sled; use the memory engine there"
    );
}
