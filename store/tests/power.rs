//! The etcd pod on disks that are slow or lie, and power that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::{sync::Arc, time::Duration};

use common::tls::{EtcdCa, client, manifest};
use futures::future::join_all;
use store::{Store, server};
use world::{Host, Unit, sim};

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const OUTAGE: Duration = Duration::from_secs(10);

/// Hosts with an etcd each, all of one cluster, as units that start with the machine; and a client elsewhere.
fn cluster(sim: &sim::Sim, names: &[&str]) -> Arc<dyn Store> {
    let hosts: Vec<Host> = names.iter().map(|name| sim.host(name)).collect();
    let ca = EtcdCa::new(&hosts[0]);
    let all: Vec<String> =
        hosts.iter().map(|host| format!("{}=https://{}:2380", host.name(), host.net().address())).collect();
    for host in &hosts {
        ca.kubeadm(host, YEAR);
        let flag = format!("--initial-cluster={}", all.join(","));
        let unit = Unit::new(move |host: Host| {
            let args = manifest(&host).into_iter().chain([flag.clone()]).collect();
            server::run(host, args)
        });
        host.services().install("etcd", unit);
        host.services().start(host, "etcd");
    }
    let elsewhere = sim.host("client");
    ca.issue(&elsewhere, "apiserver-etcd-client", "kube-apiserver-etcd-client", Vec::new(), YEAR);
    let endpoints = hosts.iter().map(|host| format!("https://{}:2379", host.net().address()));
    store::etcd(&elsewhere, &client(endpoints.collect())).unwrap()
}

async fn ready(sim: &sim::Sim, store: &Arc<dyn Store>) {
    for _ in 0..400 {
        if store.revision().await.is_ok() {
            return;
        }
        sim.elapse(Duration::from_millis(50)).await;
    }
    panic!("etcd does not answer: {:?}", store.revision().await);
}

/// `names` are members, the disks of `liars` lie, and the power of `dark` fails at once: whether the write is `kept`.
fn check(
    names: &'static [&'static str],
    liars: &'static [&'static str],
    dark: &'static [&'static str],
    kept: bool,
) {
    sim::run(sim::Config::default(), |sim| async move {
        let store = cluster(&sim, names);
        ready(&sim, &store).await;
        assert_eq!(store.put("before".into(), "1".into()).await, Ok(2));
        liars.iter().for_each(|name| sim.disk(name).set_fsync_lies(true));
        assert_eq!(store.put("after".into(), "2".into()).await, Ok(3));
        join_all(dark.iter().map(|name| sim.power_failure(name, OUTAGE))).await;
        ready(&sim, &store).await;
        let what = format!("{liars:?} lie, {dark:?} are dark");
        assert!(store.get(b"before", None).await.unwrap().0.is_some(), "{what}");
        assert_eq!(store.get(b"after", None).await.unwrap().0.is_some(), kept, "{what}");
        assert_eq!(store.put("later".into(), "3".into()).await, Ok(if kept { 4 } else { 3 }), "{what}");
    })
    .unwrap();
}

#[test]
fn a_lone_member_loses_what_its_disk_lied_about() {
    check(&["cp1"], &[], &["cp1"], true);
    check(&["cp1"], &["cp1"], &[], true);
    check(&["cp1"], &["cp1"], &["cp1"], false);
}

#[test]
fn one_honest_copy_or_one_that_kept_its_power_is_enough() {
    const ALL: &[&str] = &["cp1", "cp2", "cp3"];
    check(ALL, ALL, ALL, false);
    check(ALL, &["cp1", "cp2"], ALL, true);
    check(ALL, ALL, &["cp1", "cp2"], true);
}

/// A sync of 300 ms: each write waits for it, reads do not, and writes that wait together share the next one.
#[test]
fn writes_wait_for_a_slow_sync_and_share_it() {
    sim::run(sim::Config::default(), |sim| async move {
        let store = cluster(&sim, &["cp1"]);
        ready(&sim, &store).await;
        let clock = sim.host("client").clock().clone();
        let put = async |count: usize| {
            let began = clock.monotonic();
            let writes = (0..count).map(|n| store.put(format!("k{n}").into(), "1".into()));
            assert!(join_all(writes).await.iter().all(Result::is_ok));
            clock.monotonic().since(began)
        };
        assert_eq!(put(1).await, Duration::ZERO, "the control");
        let sync = Duration::from_millis(300);
        sim.disk("cp1").set_fsync_takes(sync);
        assert_eq!(put(1).await, sync);
        assert_eq!(put(10).await, sync, "ten that come together share one");
        let late = async {
            sim.elapse(sync / 3).await;
            put(10).await
        };
        let (first, late) = futures::join!(put(1), late);
        assert_eq!((first, late), (sync, 2 * sync - sync / 3), "who comes during a sync waits for the next");
        let began = clock.monotonic();
        assert!(store.get(b"k0", None).await.unwrap().0.is_some());
        assert_eq!(clock.monotonic().since(began), Duration::ZERO, "a read");
        // The power fails while a write waits for its sync: it was not acknowledged, and is not there.
        let waiting = store.clone();
        let writer = sim.host("client").spawn(async move { waiting.put("late".into(), "1".into()).await });
        sim.elapse(sync / 2).await;
        sim.power_failure("cp1", OUTAGE).await;
        ready(&sim, &store).await;
        assert!(writer.join().await.unwrap().is_err());
        assert!(store.get(b"late", None).await.unwrap().0.is_none());
    })
    .unwrap();
}

/// A member whose sync fails ends, as etcd does: nobody knows what is on its disk. Nothing of that write is there
/// afterwards; the others, if there are any, go on without it.
#[test]
fn a_member_whose_sync_fails_ends() {
    sim::run(sim::Config::default(), |sim| async move {
        let store = cluster(&sim, &["cp1"]);
        ready(&sim, &store).await;
        assert_eq!(store.put("before".into(), "1".into()).await, Ok(2));
        sim.disk("cp1").set_fsync_fails(true);
        let host = sim.host("cp1");
        assert!(host.services().is_active("etcd"), "the control: it runs until something is written");
        store.put("lost".into(), "1".into()).await.unwrap_err();
        sim.elapse(Duration::from_secs(1)).await;
        let said = format!("{:?}", host.services().last_exit("etcd"));
        assert!(said.contains("failed to save Raft hard state and entries"), "{said}");
        sim.disk("cp1").set_fsync_fails(false);
        host.services().restart(&host, "etcd").await;
        ready(&sim, &store).await;
        assert!(store.get(b"before", None).await.unwrap().0.is_some());
        assert!(store.get(b"lost", None).await.unwrap().0.is_none());
        assert_eq!(store.put("later".into(), "1".into()).await, Ok(3));
    })
    .unwrap();
    for failing in ["cp1", "cp2", "cp3"] {
        sim::run(sim::Config::default(), move |sim| async move {
            let store = cluster(&sim, &["cp1", "cp2", "cp3"]);
            ready(&sim, &store).await;
            assert_eq!(store.put("before".into(), "1".into()).await, Ok(2));
            sim.disk(failing).set_fsync_fails(true);
            let mut tries = 0;
            while store.put("after".into(), "1".into()).await.is_err() {
                tries += 1;
                assert!(tries < 20, "two of three commit");
                sim.elapse(Duration::from_secs(1)).await;
            }
            sim.elapse(Duration::from_secs(1)).await;
            for name in ["cp1", "cp2", "cp3"] {
                let ended = sim.host(name).services().last_exit("etcd").is_some();
                assert_eq!(ended, name == failing, "{name}, {failing} fails");
            }
            assert!(store.get(b"before", None).await.unwrap().0.is_some());
            assert!(store.get(b"after", None).await.unwrap().0.is_some());
        })
        .unwrap();
    }
}
