//! Files of a store with one byte changed, cut short, or written by half: told from the sound ones, refused, and repaired
//! as far as anything can be proved.
//!
//! Some places are tried, chosen by `STORE_SEED`; with `STORE_DAMAGE=all` each byte of a small store that has every kind
//! of record, in each of the three ways, and each 64 bytes of a larger one. In memory (`TMPDIR=/dev/shm`) that takes
//! minutes: most of it is syncing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use common::{picture, real_host};
use store::{Image, Kv, Op, Range, Store, StoreError, Txn, offline};
use world::{Entropy, Host};

/// Bytes of a file that are one place of the larger store.
const REGION: usize = 64;
/// Drives write these bytes whole or not at all.
const SECTOR: usize = 512;

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A bit of the byte there is the other way round.
    Flip(usize),
    /// All from there on is gone.
    Cut(usize),
    /// From there on its sector was never written.
    Torn(usize),
}

impl Damage {
    fn to(self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Flip(at) => bytes[at] ^= 1 << (at % 8),
            Self::Cut(at) => bytes.truncate(at),
            Self::Torn(at) => {
                let end = (at / SECTOR * SECTOR + SECTOR).min(bytes.len());
                bytes[at..end].fill(0);
            }
        }
        bytes
    }
}

/// A sound directory that was written to in several lives, file by file, and what it holds.
struct Original {
    files: BTreeMap<PathBuf, Vec<u8>>,
    image: Image,
    /// All that any key ever was.
    written: Vec<Kv>,
}

/// Writes, and keeps what was written.
async fn put(store: &Arc<dyn Store>, written: &mut Vec<Kv>, key: &str, value: Vec<u8>, lease: i64) {
    let put = Op::Put { key: Bytes::copy_from_slice(key.as_bytes()), value: value.into(), lease };
    store.txn(Txn::unconditional(vec![put])).await.unwrap();
    written.extend(store.get(key.as_bytes(), None).await.unwrap().0);
}

impl Original {
    /// 180 writes in three lives, some of them in several pieces.
    async fn large() -> Self {
        Self::make(3, false, async |life, store, written| {
            for n in 0..60_usize {
                let size = if n % 20 == 0 { 9000 } else { 40 + n };
                put(store, written, &format!("/registry/pods/default/p{n:02}"), vec![life; size], 0).await;
            }
            store.delete(Range::key(format!("/registry/pods/default/p{life:02}"))).await.unwrap();
            store.lease_grant(i64::from(life) + 1, Duration::from_secs(3600)).await.unwrap();
        })
        .await
    }

    /// As a kill leaves it, with a journal that sled lacks. One of each: a key as it was made, one that was overwritten, one in two pieces, one that was in two and is in
    /// one, one that is deleted, one with a lease; a lease, and one that was revoked.
    async fn small() -> Self {
        Self::make(2, true, async |life, store, written| {
            if life == 0 {
                for (key, size) in
                    [("/made", 9), ("/over", 9), ("/long", 3100), ("/less", 3100), ("/gone", 9)]
                {
                    put(store, written, key, vec![life; size], 0).await;
                }
                for id in [5, 6] {
                    store.lease_grant(id, Duration::from_secs(3600)).await.unwrap();
                    put(store, written, &format!("/lease{id}"), vec![life; 9], id).await;
                }
                return;
            }
            put(store, written, "/over", vec![life; 9], 0).await;
            put(store, written, "/less", vec![life; 9], 0).await;
            store.delete(Range::key("/gone")).await.unwrap();
            store.lease_revoke(6).await.unwrap();
        })
        .await
    }

    async fn make(lives: u8, killed: bool, live: impl AsyncFn(u8, &Arc<dyn Store>, &mut Vec<Kv>)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let host = real_host(root.path());
        let dir = root.path().join("cp1/data");
        let (mut written, mut files) = (Vec::new(), BTreeMap::new());
        for life in 0..lives {
            let process = host.process("store");
            let store = store::sled(process.host(), "/data").await.unwrap();
            live(life, &store, &mut written).await;
            files = picture(&dir);
            drop(store);
            process.kill().await;
        }
        let image = offline::load(&host, &dir).await.unwrap();
        if !killed {
            files = picture(&dir);
        }
        let files =
            files.into_iter().map(|(path, bytes)| (path.strip_prefix(&dir).unwrap().to_owned(), bytes));
        Self { files: files.collect(), image, written }
    }

    fn write(&self, to: &Path) {
        for (file, bytes) in &self.files {
            let path = to.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::create_dir_all(to.join("sled/blobs")).unwrap();
    }
}

/// What became of the damaged directories.
#[derive(Debug, Default)]
struct Tally {
    tried: usize,
    /// Nothing that counts was there.
    harmless: usize,
    refused: usize,
    /// Of those refused: everything was still there.
    whole: usize,
    /// Of those refused: part of it was.
    part: usize,
    /// Of those refused: nothing was.
    nothing: usize,
    /// Of those refused: another program's, by its FORMAT.
    strangers: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.tried += other.tried;
        self.harmless += other.harmless;
        self.refused += other.refused;
        self.whole += other.whole;
        self.part += other.part;
        self.nothing += other.nothing;
        self.strangers += other.strangers;
    }

    /// Opens, examines and repairs a directory with one damage. It is made below `host`'s root.
    async fn check(&mut self, original: &Original, host: &Host, file: &Path, damage: Damage) {
        let damaged = damage.to(&original.files[file]);
        if damaged == original.files[file] {
            return;
        }
        let dir = host.disk().real_path(Path::new("/data")).unwrap();
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        original.write(&dir);
        fs::write(dir.join(file), damaged).unwrap();
        let what = format!("{damage:?} of {}", file.display());
        let before = picture(&dir);
        self.tried += 1;
        match opened(host, &dir).await {
            Ok(image) => {
                assert!(image == original.image, "{what}: opened, and not what was written");
                self.harmless += 1;
            }
            Err(StoreError::Format { .. }) if file == Path::new("FORMAT") => {
                assert!(before == picture(&dir), "{what}: refused, and changed");
                self.refused += 1;
                self.strangers += 1;
            }
            Err(e @ StoreError::Corrupt { .. }) => {
                assert!(before == picture(&dir), "{what}: refused, and changed; {e}");
                self.refused += 1;
                let findings = offline::check(host, &dir).await.unwrap();
                assert!(!findings.is_sound(), "{what}: refused ({e}), and nothing found");
                assert!(before == picture(&dir), "{what}: a look changed it");
                self.repair(original, host, &dir, &what).await;
            }
            Err(e) => panic!("{what}: damage has its own words, not {e}"),
        }
    }

    async fn repair(&mut self, original: &Original, host: &Host, dir: &Path, what: &str) {
        let repair = offline::repair(host, dir).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(
            repair.set_aside.as_ref().is_some_and(|path| path.is_dir()),
            "{what}: the old files are kept"
        );
        let image = opened(host, dir).await.unwrap_or_else(|e| panic!("{what}, repaired: {e}"));
        assert_eq!(image.revision, repair.revision, "{what}");
        assert!(image.revision >= original.image.revision, "{what}: a revision is never used again");
        let lost = original.image.keys.len() - image.keys.len().min(original.image.keys.len());
        match lost {
            0 => self.whole += 1,
            _ if image.keys.is_empty() => self.nothing += 1,
            _ => self.part += 1,
        }
        // Whatever is there was written so. Where the repair vouches for it, it is the newest, too.
        for kv in image.keys.values() {
            let newest = original.image.keys.get(&kv.key);
            if repair.findings.complete {
                assert_eq!(Some(kv), newest, "{what}: kept as complete, and is not the newest");
            } else {
                assert!(original.written.contains(kv), "{what}: never written: {kv:?}");
                assert!(image.revision > original.image.revision, "{what}: who watches must look again");
            }
        }
        if repair.findings.complete {
            let dropped = repair.findings.complaints.iter().filter(|c| c.contains("cannot be used")).count();
            assert!(lost <= dropped, "{what}: {lost} lost, {dropped} named");
        }
        let findings = offline::check(host, dir).await.unwrap();
        assert!(findings.is_sound(), "{what}: repaired, and still {findings:?}");
    }
}

async fn opened(host: &Host, dir: &Path) -> Result<Image, StoreError> {
    // As a store opens it, and then all that is durable.
    let process = host.process("store");
    let store = store::sled(process.host(), "/data").await?;
    let listing = store.list(Range::all(), store::ListOptions::default()).await?;
    drop(store);
    process.kill().await;
    let image = offline::load(host, dir).await?;
    let keys: BTreeMap<Bytes, Kv> = listing.kvs.into_iter().map(|kv| (kv.key.clone(), kv)).collect();
    assert!(image.keys == keys && image.revision == listing.revision, "one directory, one content");
    Ok(image)
}

/// Tries all of `places`, as many at once as there are cores, and says for each file what became of it. Gives how many
/// were refused.
async fn try_all(what: &str, original: Original, places: Vec<(PathBuf, Damage)>) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let shared = Arc::new((original, places, AtomicUsize::new(0)));
    let workers: Vec<_> = (0..cores)
        .map(|_| {
            let shared = shared.clone();
            let root = tempfile::tempdir().unwrap();
            let host = real_host(root.path());
            let at = host.clone();
            host.spawn(async move {
                let (original, places, next) = &*shared;
                let mut tallies: BTreeMap<PathBuf, Tally> = BTreeMap::new();
                while let Some((file, damage)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    tallies.entry(file.clone()).or_default().check(original, &at, file, *damage).await;
                }
                drop(root);
                tallies
            })
        })
        .collect();
    let mut tallies: BTreeMap<PathBuf, Tally> = BTreeMap::new();
    for worker in workers {
        let found = worker.join().await.expect("its panic says what went wrong");
        found.iter().for_each(|(file, tally)| tallies.entry(file.clone()).or_default().add(tally));
    }
    for (file, tally) in &tallies {
        let len = shared.0.files[file].len();
        let _ = writeln!(std::io::stderr(), "damage, {what}: {} of {len} bytes: {tally:?}", file.display());
    }
    tallies.values().map(|tally| tally.refused).sum()
}

fn everything() -> bool {
    std::env::var("STORE_DAMAGE").is_ok_and(|how| how == "all")
}

fn entropy() -> (u64, Entropy) {
    let seed = std::env::var("STORE_SEED").map_or(1, |seed| seed.parse().unwrap());
    (seed, Entropy::seeded(seed, "damage"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_damaged_place_is_found_out_and_nothing_false_is_kept() {
    let original = Original::large().await;
    let (seed, entropy) = entropy();
    let below = |n: usize| entropy.below(n as u64) as usize;
    let mut places = Vec::new();
    for (file, bytes) in &original.files {
        let regions = bytes.len().div_ceil(REGION);
        for region in 0..regions {
            let at = (region * REGION + below(REGION)).min(bytes.len() - 1);
            let damage = if below(4) == 0 { Damage::Cut(at) } else { Damage::Flip(at) };
            // A few of a large file's places, most of a small one's.
            if everything() || below(regions) < 24 {
                places.push((file.clone(), damage));
            }
        }
    }
    let refused = try_all(&format!("seed {seed}"), original, places).await;
    assert!(refused > 20, "the control: most files cannot take it");
}

/// Whether anything is at `at` or close to it. The rest is what sled leaves free of a segment: half a megabyte of zeros,
/// of which one in each sector stands for all.
fn is_near_something(bytes: &[u8], at: usize) -> bool {
    let near = at.saturating_sub(REGION)..(at + REGION).min(bytes.len());
    at.is_multiple_of(SECTOR) || bytes[near].iter().any(|byte| *byte != 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_byte_of_a_small_store_counts() {
    let original = Original::small().await;
    let (_, entropy) = entropy();
    let mut places = Vec::new();
    for (file, content) in &original.files {
        for at in (0..content.len()).filter(|at| is_near_something(content, *at)) {
            places.extend([Damage::Flip(at), Damage::Cut(at), Damage::Torn(at)].map(|d| (file.clone(), d)));
        }
    }
    if !everything() {
        let all = places.len() as u64;
        places.retain(|_| entropy.below(all) < 100);
    }
    let refused = try_all("each byte", original, places).await;
    assert!(refused > 10, "the control: most bytes count");
}

/// The control of all the others: what is sound is found so, and left alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_directory_has_nothing_to_repair() {
    let original = Original::large().await;
    let root = tempfile::tempdir().unwrap();
    let host = real_host(root.path());
    let dir = root.path().join("cp1/data");
    original.write(&dir);
    let before = picture(&dir);
    let findings = offline::check(&host, &dir).await.unwrap();
    assert!(findings.is_sound() && findings.complete, "{findings:?}");
    assert_eq!((findings.keys, findings.leases), (original.image.keys.len(), 3));
    assert_eq!(
        (findings.revision, findings.acknowledged),
        (original.image.revision, Some(original.image.revision))
    );
    let repair = offline::repair(&host, &dir).await.unwrap();
    assert_eq!((repair.set_aside, repair.revision), (None, original.image.revision));
    assert!(before == picture(&dir), "a look and a repair that is none change nothing");
    // Below etcd's data directory it is found as well, elsewhere not.
    let data = root.path().join("etcd");
    original.write(&data.join("member"));
    assert!(offline::check(&host, &data).await.unwrap().is_sound());
    let nothing = offline::check(&host, root.path()).await.unwrap_err().to_string();
    assert!(nothing.contains("holds no chronoplane store"), "{nothing}");
    // Beside a running store nobody looks.
    let store = store::sled(&host, "/data").await.unwrap();
    let taken = offline::check(&host, &dir).await.unwrap_err();
    assert!(matches!(taken, StoreError::Locked { .. }), "{taken}");
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_out_is_read_in() {
    let original = Original::large().await;
    let root = tempfile::tempdir().unwrap();
    let host = real_host(root.path());
    original.write(&root.path().join("old"));
    let image = offline::load(&host, &root.path().join("old")).await.unwrap();
    let mut lines = Vec::new();
    offline::write_lines(&image, &mut lines).unwrap();
    let read = offline::read_lines(&mut lines.as_slice()).unwrap();
    let new = root.path().join("cp1/data");
    fs::create_dir_all(new.parent().unwrap()).unwrap();
    offline::create(&host, &new, read.clone()).await.unwrap();
    let again = offline::create(&host, &new, read).await.unwrap_err().to_string();
    assert!(again.contains("holds a store already"), "{again}");
    // The same keys at the same revisions, and the next one is the next.
    let store = store::sled(&host, "/data").await.unwrap();
    let found = store.list(Range::all(), store::ListOptions::default()).await.unwrap();
    assert_eq!(found.revision, original.image.revision);
    assert!(found.kvs.iter().eq(original.image.keys.values()));
    assert_eq!(store.lease_status(2).await.unwrap().granted, Duration::from_secs(3600));
    assert_eq!(store.put("/next".into(), "1".into()).await, Ok(original.image.revision + 1));
}
