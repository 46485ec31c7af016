//! What was acknowledged survives: power failure and a full disk. (SIGKILL: `kills`.)
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::process::Command;

use common::real_host;
use store::{Medium, Range, StoreError, memory_on};
use world::sim;

/// The power fails with one write acknowledged and one under way: the first is there, the second is not.
/// The control: without the crash the second arrives.
#[test]
fn a_crash_of_the_memory_engine_loses_what_was_not_synced() {
    for crash in [true, false] {
        sim::run(sim::Config::default(), |sim| async move {
            let host = sim.host("cp1");
            let medium = Medium::default();
            let store = memory_on(&host, &medium);
            assert_eq!(store.put("a".into(), "acknowledged".into()).await, Ok(2));
            medium.hold(true);
            let waiting = host.spawn({
                let store = store.clone();
                async move { store.put("b".into(), "under way".into()).await }
            });
            let mut watch = store.watch(Range::all(), 3, Default::default()).await.unwrap();
            sim.elapse(std::time::Duration::from_secs(1)).await;
            assert_eq!(store.get(b"b", None).await.unwrap(), (None, 2), "nobody sees it before it is safe");
            if crash {
                medium.crash();
                assert_eq!(waiting.join().await, Some(Err(StoreError::Closed)));
                assert_eq!(store.put("c".into(), "late".into()).await, Err(StoreError::Closed));
            } else {
                medium.hold(false);
                assert_eq!(waiting.join().await, Some(Ok(3)));
                assert_eq!(watch.next().await.unwrap().unwrap().revision, 3);
            }
            let store = memory_on(&host, &medium);
            let keys = store.list(Range::all(), Default::default()).await.unwrap();
            let expected = if crash { vec!["a"] } else { vec!["a", "b"] };
            assert_eq!(keys.kvs.iter().map(|kv| kv.key.clone()).collect::<Vec<_>>(), expected);
            assert_eq!(keys.revision, expected.len() as i64 + 1);
        })
        .unwrap();
    }
}

/// What an engine refuses never was: no revision is spent, no watcher told, and writing goes on after.
#[test]
fn a_refused_write_leaves_no_trace() {
    sim::run(sim::Config::default(), |sim| async move {
        let host = sim.host("cp1");
        let medium = Medium::default();
        let store = memory_on(&host, &medium);
        store.put("a".into(), "1".into()).await.unwrap();
        let mut watch = store.watch(Range::all(), 3, Default::default()).await.unwrap();
        let full = StoreError::Full { path: "/var/lib/etcd".into() };
        medium.fail(Some(full.clone()));
        let writes = ["a", "b", "c"].map(|key| store.put(key.into(), "lost".into()));
        assert_eq!(futures::future::join_all(writes).await, vec![Err(full.clone()); 3]);
        assert_eq!(store.delete(Range::all()).await, Err(full.clone()));
        assert_eq!(store.lease_grant(5, std::time::Duration::from_secs(9)).await, Err(full));
        let before = store.list(Range::all(), Default::default()).await.unwrap();
        assert_eq!((before.count, before.revision, before.kvs[0].version), (1, 2, 1));
        medium.fail(None);
        assert_eq!(store.put("a".into(), "2".into()).await, Ok(3));
        let batch = watch.next().await.unwrap().unwrap();
        assert_eq!((batch.revision, batch.events[0].kv.version), (3, 2));
    })
    .unwrap();
}

/// A directory on a file system of its own size; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().ok()?;
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(dir.path()).output();
        mount.is_ok_and(|done| done.status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_survived() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED a_full_disk_is_said_and_survived: mounting a small tmpfs needs root");
        return;
    };
    let host = real_host(disk.0.path());
    let process = host.process("store");
    let store = store::sled(process.host(), "/data").await.unwrap();
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let mut written = 0;
    let error = loop {
        match store.put(format!("k{written}").into(), vec![written as u8; 20_000].into()).await {
            Ok(_) => written += 1,
            Err(e) => break e,
        }
        assert!(written < 1000, "three megabytes are full some time");
    };
    assert_eq!(error, StoreError::Full { path: disk.0.path().join("cp1/data") });
    assert!(error.to_string().contains("no space left on device; make room on that disk"), "{error}");
    let reads = store.list(Range::all(), Default::default()).await.unwrap();
    assert_eq!((reads.count, reads.revision), (written, written as i64 + 1), "reading goes on");
    assert!(store.put("x".into(), vec![1; 20_000].into()).await.is_err(), "still full");
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(store.put("x".into(), "1".into()).await, Ok(written as i64 + 2), "it goes on by itself");
    drop(store);
    process.kill().await;
    let store = store::sled(&host, "/data").await.unwrap();
    let all = store.list(Range::all(), Default::default()).await.unwrap();
    assert_eq!(
        (all.count, all.revision),
        (written + 1, written as i64 + 2),
        "what failed left nothing behind"
    );
}
