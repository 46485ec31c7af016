//! Files of a store with one byte changed, or cut short: told from the sound ones, refused, and repaired as far as
//! anything can be proved.
//!
//! Some places are tried, chosen by `STORE_SEED`; with `STORE_DAMAGE=all` each 64 bytes of each file.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use common::{picture, real_host};
use store::{Image, Kv, Range, StoreError, offline};
use world::{Entropy, Host};

/// Bytes of a file that are one place.
const REGION: u64 = 64;

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A bit of the byte there is the other way round.
    Flip(u64),
    /// All from there on is gone.
    Cut(u64),
}

/// A sound directory that was written to in several lives, file by file, and what it holds.
struct Original {
    files: BTreeMap<PathBuf, Vec<u8>>,
    image: Image,
}

impl Original {
    async fn make() -> Self {
        let root = tempfile::tempdir().unwrap();
        let host = real_host(root.path());
        for life in 0..3_u8 {
            let process = host.process("store");
            let store = store::sled(process.host(), "/data").await.unwrap();
            for n in 0..60_usize {
                let size = if n % 20 == 0 { 9000 } else { 40 + n };
                store
                    .put(format!("/registry/pods/default/p{n:02}").into(), vec![life; size].into())
                    .await
                    .unwrap();
            }
            store.delete(Range::key(format!("/registry/pods/default/p{life:02}"))).await.unwrap();
            store.lease_grant(i64::from(life) + 1, Duration::from_secs(3600)).await.unwrap();
            drop(store);
            process.kill().await;
        }
        let dir = root.path().join("cp1/data");
        let image = offline::load(&host, &dir).await.unwrap();
        let files = picture(&dir);
        let files =
            files.into_iter().map(|(path, bytes)| (path.strip_prefix(&dir).unwrap().to_owned(), bytes));
        Self { files: files.collect(), image }
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

fn spoil(file: &Path, damage: Damage) {
    match damage {
        Damage::Flip(at) => {
            let mut bytes = fs::read(file).unwrap();
            bytes[at as usize] ^= 1 << (at % 8);
            fs::write(file, bytes).unwrap();
        }
        Damage::Cut(at) => {
            fs::OpenOptions::new().write(true).open(file).unwrap().set_len(at).unwrap();
        }
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
    /// Opens, examines and repairs a directory with one damage.
    async fn check(&mut self, original: &Original, file: &Path, damage: Damage) {
        let root = tempfile::tempdir().unwrap();
        let host = real_host(root.path());
        let dir = root.path().join("cp1/data");
        original.write(&dir);
        spoil(&dir.join(file), damage);
        let what = format!("{damage:?} of {}", file.display());
        let before = picture(&dir);
        self.tried += 1;
        match opened(&host, &dir).await {
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
                let findings = offline::check(&host, &dir).await.unwrap();
                assert!(!findings.is_sound(), "{what}: refused ({e}), and nothing found");
                assert!(before == picture(&dir), "{what}: a look changed it");
                self.repair(original, &host, &dir, &what).await;
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
                assert!(was_written(kv), "{what}: never written: {kv:?}");
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

/// Whether a life of [`Original::make`] has written this.
fn was_written(kv: &Kv) -> bool {
    let uniform = kv.value.first().is_some_and(|life| *life < 3 && kv.value.iter().all(|byte| byte == life));
    uniform && (1..=3).contains(&kv.version) && kv.mod_revision > kv.value[0].into()
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_damaged_place_is_found_out_and_nothing_false_is_kept() {
    let original = Original::make().await;
    let everything = std::env::var("STORE_DAMAGE").is_ok_and(|how| how == "all");
    let seed = std::env::var("STORE_SEED").map_or(1, |seed| seed.parse().unwrap());
    let entropy = Entropy::seeded(seed, "damage");
    let mut lines = Vec::new();
    let mut refused = 0;
    for (file, bytes) in &original.files {
        let len = bytes.len() as u64;
        let mut tally = Tally::default();
        for region in 0..len.div_ceil(REGION) {
            let at = (region * REGION + entropy.below(REGION)).min(len - 1);
            let damage = if entropy.below(4) == 0 { Damage::Cut(at) } else { Damage::Flip(at) };
            // A few of a large file's places, most of a small one's.
            if everything || entropy.below(len.div_ceil(REGION)) < 24 {
                tally.check(&original, file, damage).await;
            }
        }
        refused += tally.refused;
        lines.push(format!("damage (seed {seed}): {} of {len} bytes: {tally:?}", file.display()));
    }
    for line in &lines {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    assert!(refused > 20, "the control: most files cannot take it: {lines:#?}");
}

/// A record that was changed beneath sled is named and dropped; all others are vouched for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_directory_has_nothing_to_repair() {
    let original = Original::make().await;
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
    let original = Original::make().await;
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
