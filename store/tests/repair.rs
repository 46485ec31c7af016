//! A repair under SIGKILL: cut short wherever it was, the store is not opened before a repair has come to its end, and
//! what that gives is what one that nobody disturbed would have given. The damaged files are all kept, in one place.
//!
//! `STORE_KILLS=n` for n kills, `STORE_SEED` for other moments.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use common::{picture, real_host};
use store::{Image, StoreError, offline};
use world::{Entropy, Host};

const CHILD: &str = "STORE_REPAIR_CHILD";
/// What appears one after the other while a repair goes on; a kill comes shortly after one of them.
const MOMENTS: [&str; 7] = [
    "untouched.partial",
    "repaired.partial",
    "repaired.partial/ASIDE",
    "repaired",
    "damaged-1",
    "damaged-1/high-water",
    "damaged-1/sled",
];

/// The child half: repairs, until it is done or killed.
#[test]
fn child() {
    let Ok(root) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let host = real_host(Path::new(&root));
        offline::repair(&host, &Path::new(&root).join("cp1/data")).await.unwrap();
    });
}

/// A directory of which a part is lost, file by file.
async fn damaged() -> BTreeMap<PathBuf, Vec<u8>> {
    let root = tempfile::tempdir().unwrap();
    let host = real_host(root.path());
    let process = host.process("store");
    let store = store::sled(process.host(), "/data").await.unwrap();
    for n in 0..60_usize {
        store.put(format!("/k{n:02}").into(), vec![n as u8; 500 + 100 * n].into()).await.unwrap();
    }
    drop(store);
    process.kill().await;
    let dir = root.path().join("cp1/data");
    let mut files: BTreeMap<PathBuf, Vec<u8>> = picture(&dir)
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix(&dir).unwrap().to_owned(), bytes))
        .collect();
    let log = files.get_mut(Path::new("sled/db")).unwrap();
    log.truncate(log.len() / 2);
    files
}

fn write(files: &BTreeMap<PathBuf, Vec<u8>>, to: &Path) {
    for (file, bytes) in files {
        let path = to.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::create_dir_all(to.join("sled/blobs")).unwrap();
}

/// Starts a repair and kills it a little after `moment`; whether it was still at work.
async fn cut_short(host: &Host, root: &Path, moment: &str, little: Duration) -> bool {
    let sight = root.join("cp1/data").join(moment);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child"])
        .env(CHILD, root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Without a pause: the moments are shorter than one.
    while !sight.exists() && child.try_wait().unwrap().is_none() {}
    host.clock().sleep(little).await;
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// What is there when the directory is opened.
async fn image(host: &Host, dir: &Path) -> Result<Image, StoreError> {
    offline::load(host, dir).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_that_is_cut_short_is_brought_to_its_end() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect("a number"));
    let (kills, seed) = (number("STORE_KILLS").unwrap_or(40), number("STORE_SEED").unwrap_or(1));
    let files = damaged().await;
    let entropy = Entropy::seeded(seed, "repair");
    // The control: one that nobody disturbs.
    let root = tempfile::tempdir().unwrap();
    let host = real_host(root.path());
    let dir = root.path().join("cp1/data");
    write(&files, &dir);
    assert!(matches!(image(&host, &dir).await, Err(StoreError::Corrupt { .. })), "it is damaged");
    offline::repair(&host, &dir).await.unwrap();
    let expected = image(&host, &dir).await.unwrap();
    assert!((1..60).contains(&expected.keys.len()), "a part is lost, {} are left", expected.keys.len());

    let (mut early, mut in_the_middle, mut too_late) = (0, 0, 0);
    for n in 0..kills {
        let root = tempfile::tempdir().unwrap();
        let host = real_host(root.path());
        let dir = root.path().join("cp1/data");
        write(&files, &dir);
        // Some are cut short more than once.
        for _ in 0..=n % 3 {
            let moment = MOMENTS[entropy.below(MOMENTS.len() as u64) as usize];
            let little = Duration::from_micros(entropy.below(1500));
            let cut = cut_short(&host, root.path(), moment, little).await;
            let (begun, what) = (dir.join("repaired").exists(), format!("kill {n}, after {moment}"));
            match image(&host, &dir).await {
                // All but the end of the program itself was done.
                Ok(image) => {
                    assert!(!begun && image == expected, "{what}: opened, and not repaired");
                    too_late += 1;
                    break;
                }
                Err(StoreError::Corrupt { what: said, .. }) => {
                    assert!(cut, "{what}: it has ended by itself, and left {said}");
                    assert_eq!(said.contains("a repair of it was cut short"), begun, "{what}: {said}");
                }
                Err(e) => panic!("{what}: {e}"),
            }
            if begun { in_the_middle += 1 } else { early += 1 }
        }
        offline::repair(&host, &dir).await.unwrap();
        assert_eq!(image(&host, &dir).await.unwrap(), expected, "kill {n}: as if nothing had come between");
        let aside =
            fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let aside: Vec<String> = aside.filter(|name| name.starts_with("damaged")).collect();
        assert_eq!(aside, ["damaged-1"], "kill {n}: one repair, one place");
        for file in ["sled/db", "high-water"] {
            let kept = fs::read(dir.join("damaged-1").join(file)).unwrap();
            assert!(kept == files[Path::new(file)], "kill {n}: {file} is kept as it was");
        }
    }
    let said = format!(
        "repair: {kills} directories (seed {seed}), cut short {early} times before anything was in its place and \
         {in_the_middle} times in the middle of it, {too_late} times too late"
    );
    let _ = writeln!(std::io::stderr(), "{said}");
    assert!(early > 0 && in_the_middle > 0, "the control: {said}");
}

/// sled has lost what came before the journal, and the mark is away: what the journal has is kept, and the store goes on
/// further than any journal could have come.
#[tokio::test]
async fn a_journal_without_its_sled_is_kept_and_no_revision_is_used_again() {
    type Spoil = fn(&Path);
    let rows: [(&str, Spoil); 3] = [
        ("an empty log", |sled| fs::write(sled.join("db"), "").unwrap()),
        ("a log of another program", |sled| fs::write(sled.join("db"), vec![7; 1 << 20]).unwrap()),
        ("no sled", |sled| fs::remove_dir_all(sled).unwrap()),
    ];
    for (what, spoil) in rows {
        let root = tempfile::tempdir().unwrap();
        let host = real_host(root.path());
        let dir = root.path().join("cp1/data");
        let mut left = BTreeMap::new();
        // In its second life it has a journal.
        for life in 0..2_usize {
            let process = host.process("store");
            let store = store::sled(process.host(), "/data").await.unwrap();
            for n in 0..[60, 3][life] {
                store.put(format!("/k{n:02}").into(), vec![life as u8; 500].into()).await.unwrap();
            }
            left = picture(&dir);
            drop(store);
            process.kill().await;
            image(&host, &dir).await.unwrap();
        }
        left.retain(|path, _| !path.ends_with("high-water"));
        fs::remove_dir_all(&dir).unwrap();
        write(&left, &dir);
        spoil(&dir.join("sled"));
        let before = picture(&dir);
        let refused = image(&host, &dir).await;
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{what}: {refused:?}");
        assert!(before == picture(&dir), "{what}: refused, and changed");
        let repair = offline::repair(&host, &dir).await.unwrap();
        assert!(!repair.findings.complete, "{what}: {:?}", repair.findings);
        let image = image(&host, &dir).await.unwrap();
        let newest = |n: usize| image.keys[format!("/k{n:02}").as_bytes()].value == vec![1; 500];
        assert!((0..3).all(newest), "{what}: {:?}", image.keys.keys());
        // A journal is of 256 appends at most, each of 256 transactions at most.
        assert_eq!(image.revision, 64 + 65_537, "{what}");
    }
}
