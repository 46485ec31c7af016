//! A day of nothing but heartbeats on sled: the disk must not fill, whatever was overwritten.
//!
//! `STORE_CHURN=n` writes n times; the default is an hour of 48 nodes, 414,720 is a day of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use common::real_host;
use store::{ListOptions, Range, Store};
use world::Host;

const NODES: u64 = 48;
/// Heartbeats of all nodes within the five minutes between two compactions.
const BETWEEN_COMPACTIONS: u64 = NODES * 30;
/// About what a Lease takes as JSON.
const BYTES: usize = 600;

/// What the files take on the disk.
fn taken(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => taken(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// So many heartbeats, the nodes' all at once.
async fn beat(host: &Host, store: &Arc<dyn Store>, count: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let nodes = (0..NODES).map(|_| {
        let (store, next) = (store.clone(), next.clone());
        host.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return;
                }
                let key = format!("/registry/leases/kube-node-lease/node-{}", n % NODES);
                store.put(key.into(), vec![n as u8; BYTES].into()).await.unwrap();
            }
        })
    });
    for node in nodes.collect::<Vec<_>>() {
        node.join().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_overwritten_gives_its_space_back() {
    let writes = std::env::var("STORE_CHURN").map_or(NODES * 360, |n| n.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let host = real_host(root.path());
    let dir = root.path().join("cp1/data");
    let process = host.process("store");
    let store = store::sled(process.host(), "/data").await.unwrap();
    beat(&host, &store, NODES).await;
    let first = taken(&dir);
    let (mut done, mut highest, mut at_half) = (0, first, 0);
    while done < writes {
        beat(&host, &store, BETWEEN_COMPACTIONS).await;
        done += BETWEEN_COMPACTIONS;
        let now = store.revision().await.unwrap();
        store.compact(now).await.unwrap();
        assert_eq!(store.status().await.unwrap().oldest, now, "history in memory is bounded, too");
        highest = highest.max(taken(&dir));
        if done <= writes / 2 {
            at_half = highest;
        }
    }
    let said = format!(
        "churn: {done} writes of {BYTES} bytes over {NODES} keys ({} MiB in all); on disk {} KiB at first, {} at half, at most {}",
        (done * BYTES as u64) >> 20,
        first >> 10,
        at_half >> 10,
        highest >> 10
    );
    let _ = writeln!(std::io::stderr(), "{said}");
    assert!(highest < done * BYTES as u64 / 2 + (4 << 20), "the control: less than was written. {said}");
    assert!(highest <= 16 << 20, "{said}");
    assert!(highest <= at_half + at_half / 4, "the second half takes no more: {said}");
    drop(store);
    process.kill().await;
    let store = store::sled(&host, "/data").await.unwrap();
    let found = store.list(Range::all(), ListOptions::default()).await.unwrap();
    assert_eq!((found.count as u64, found.revision), (NODES, (NODES + done) as i64 + 1));
}
