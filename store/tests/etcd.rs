//! Against etcd itself, where it is installed: what we think etcd does, etcd does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use common::{
    model::{Leniency, Model, compare, stories},
    real_host,
    tls::{EtcdCa, client},
};
use proptest::{strategy::Strategy, strategy::ValueTree, test_runner::TestRunner};
use store::{ListOptions, Range, Store, StoreError, WatchOptions};
use world::Host;

/// etcd as a process; killed when dropped.
struct Etcd(Child);

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Etcd {
    /// Starts etcd on `host`'s address with the files of [`EtcdCa::kubeadm`]; `None` if there is no etcd.
    fn start(root: &Path, host: &Host) -> Option<Self> {
        let files = root.join(host.name());
        let pki = files.join("etc/kubernetes/pki/etcd");
        let ip = host.net().address();
        let mut command = Command::new("etcd");
        command
            .arg(format!("--data-dir={}", files.join("etcd-data").display()))
            .args([
                format!("--listen-client-urls=https://{ip}:2379"),
                format!("--advertise-client-urls=https://{ip}:2379"),
            ])
            .args([
                format!("--listen-peer-urls=http://{ip}:2380"),
                format!("--initial-advertise-peer-urls=http://{ip}:2380"),
            ])
            .arg(format!("--initial-cluster=default=http://{ip}:2380"))
            .arg(format!("--cert-file={}", pki.join("server.crt").display()))
            .arg(format!("--key-file={}", pki.join("server.key").display()))
            .arg(format!("--trusted-ca-file={}", pki.join("ca.crt").display()))
            .arg("--client-cert-auth")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().ok().map(Self)
    }
}

async fn ready(host: &Host, store: &Arc<dyn Store>) {
    let answered = host.clock().timeout(Duration::from_secs(30), async {
        while store.revision().await.is_err() {
            host.clock().sleep(Duration::from_millis(50)).await;
        }
    });
    answered.await.expect("etcd answers within half a minute");
}

/// An empty store again, whatever was there.
async fn empty(store: &Arc<dyn Store>) -> i64 {
    for id in 101..104 {
        let _ = store.lease_revoke(id).await;
    }
    // Something to delete, so that there is a new revision to compact to.
    store.put("/k/0".into(), "x".into()).await.unwrap();
    let (revision, _) = store.delete(Range::all()).await.unwrap();
    store.compact(revision).await.unwrap();
    revision
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_does_what_the_reference_does() {
    let root = tempfile::tempdir().unwrap();
    let host = real_host(root.path());
    EtcdCa::new(&host).kubeadm(&host, Duration::from_secs(86_400));
    let Some(etcd) = Etcd::start(root.path(), &host) else {
        eprintln!(
            "SKIPPED etcd_does_what_the_reference_does: no `etcd` on PATH (Debian: apt-get install etcd-server)"
        );
        return;
    };
    let store = store::etcd(&host, &client(vec![format!("https://{}:2379", host.net().address())])).unwrap();
    ready(&host, &store).await;

    let lenient = Leniency { watch_after_compaction_only: true, forgets_prev: true, no_marks: true };
    let mut runner = TestRunner::deterministic();
    for _ in 0..40 {
        let story = stories(false, 40).new_tree(&mut runner).unwrap().current();
        let mut model = Model::at(empty(&store).await);
        for step in &story {
            compare(&mut model, &*store, step, lenient).await;
        }
    }

    // A lease that is not kept ends, and its key with it.
    let lease = store.lease_grant(0, Duration::from_secs(2)).await.unwrap();
    store.put_if("/leased".into(), "1".into(), 0, lease.id).await.unwrap();
    assert_eq!(store.lease_keepalive(lease.id).await, Ok(lease.ttl));
    assert_eq!(store.lease_status(lease.id).await.unwrap().keys, ["/leased"]);
    let mut watch = store.watch(Range::key("/leased"), 0, WatchOptions::default()).await.unwrap();
    let gone = host.clock().timeout(Duration::from_secs(30), watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(gone.events[0].prev.as_ref().unwrap().value, "1");
    assert_eq!(store.lease_keepalive(lease.id).await, Err(StoreError::LeaseNotFound { id: lease.id }));
    assert!(store.status().await.unwrap().engine.starts_with("etcd 3."));

    // etcd is killed and comes back: the watch goes on where it was.
    let before = store.put("/k/1".into(), "before".into()).await.unwrap();
    let mut watch = store.watch(Range::key("/k/1"), before, WatchOptions::default()).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, before);
    drop(etcd);
    let down = store.put("/k/1".into(), "down".into()).await.unwrap_err().to_string();
    assert!(down.starts_with("rpc error: code = Unavailable desc = "), "{down}");
    let _etcd = Etcd::start(root.path(), &host);
    ready(&host, &store).await;
    let after = store.put("/k/1".into(), "after".into()).await.unwrap();
    let batch = host.clock().timeout(Duration::from_secs(30), watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((batch.revision, batch.events[0].kv.value.as_ref()), (after, &b"after"[..]));
    let old = ListOptions { at: Some(1), ..ListOptions::default() };
    let error = store.list(Range::all(), old).await.unwrap_err();
    assert_eq!(error, StoreError::Compacted { requested: 1, oldest: 0 });
}
