//! Disks that are slow or lie, and the power that fails.

use std::time::Duration;

use api::object::ObjectExt as _;
use chronoplane::{Cluster, Who, cluster::wait_for};
use client::{ListParams, Resource};

use crate::common::{CONFIG_MAPS, config_map};

const SECOND: Duration = Duration::from_secs(1);

async fn answers(cluster: &Cluster) {
    let workstation = cluster.sim().host("workstation");
    wait_for(&workstation, "the apiserver answers", async || {
        let (status, _) = cluster.admin().raw(http::Method::GET, "/readyz", None).await.ok()?;
        status.is_success().then_some(())
    })
    .await
    .expect("it is back");
}

/// etcd acknowledges what its disk says is safe. If that lies, a power failure shows it: what was written since is gone,
/// and the revisions begin again at what was. The control: the same without the lie.
#[chronoplane::test]
async fn a_lying_disk_loses_an_acknowledged_write_at_a_power_failure(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, Default::default()).await.expect("a cluster");
    let (admin, namespace) = (cluster.admin(), Some("default"));
    let kept = async |name: &str| admin.get_opt(&CONFIG_MAPS, namespace, name).await.expect("answered");
    for (lies, name) in [(false, "honest"), (true, "lied-about")] {
        cluster.lying_fsync("cp1", lies);
        let written =
            admin.create(&CONFIG_MAPS, namespace, &config_map(name, "1")).await.expect("acknowledged");
        let read = kept(name).await.expect("there while the power is");
        assert_eq!(read.resource_version(), written.resource_version());
        cluster.power_failure("cp1", 20 * SECOND).await;
        answers(&cluster).await;
        assert_eq!(kept(name).await.is_none(), lies, "{name}");
    }
    assert!(kept("honest").await.is_some(), "the earlier one is on the disk");
}

/// A program that is only restarted has its page cache, whatever the disk makes of fsync.
#[chronoplane::test]
async fn a_restart_without_a_power_failure_loses_nothing(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, Default::default()).await.expect("a cluster");
    cluster.lying_fsync(Who::Members, true);
    let (admin, namespace) = (cluster.admin(), Some("default"));
    admin.create(&CONFIG_MAPS, namespace, &config_map("a", "1")).await.expect("acknowledged");
    cluster.reboot("cp1", 20 * SECOND).await;
    answers(&cluster).await;
    assert!(admin.get_opt(&CONFIG_MAPS, namespace, "a").await.expect("answered").is_some());
}

/// An fsync of 300 ms: each write takes that long, a read nothing. Those that wait together share one.
#[chronoplane::test]
async fn a_slow_disk_slows_writes_and_no_reads(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, Default::default()).await.expect("a cluster");
    let clock = sim.host("workstation").clock().clone();
    let (admin, namespace) = (cluster.admin(), Some("default"));
    let fsync = Duration::from_millis(300);
    for (slow, name) in [(false, "fast"), (true, "slow")] {
        if slow {
            cluster.slow_fsync("cp1", fsync);
        }
        let began = clock.monotonic();
        admin.create(&CONFIG_MAPS, namespace, &config_map(name, "1")).await.expect("acknowledged");
        let took = clock.monotonic().since(began);
        assert_eq!(took >= fsync, slow, "{took:?}");
        // One that was under way when it began, and its own.
        assert!(took <= 2 * fsync, "{took:?}");
        let began = clock.monotonic();
        admin.list(&Resource::core("namespaces"), None, &ListParams::default()).await.expect("answered");
        assert!(clock.monotonic().since(began) < fsync);
    }
    let began = clock.monotonic();
    let maps: Vec<_> = (0..20).map(|n| config_map(&format!("many-{n}"), "1")).collect();
    let kind = CONFIG_MAPS;
    let writes = maps.iter().map(|map| admin.create(&kind, namespace, map));
    for written in futures::future::join_all(writes).await {
        written.expect("acknowledged");
    }
    let took = clock.monotonic().since(began);
    assert!(took >= fsync && took < 10 * fsync, "{took:?}");
}

/// A disk whose fsync fails: etcd ends at each write; when the disk is sound again, the kubelet's next try of etcd stays, and
/// nothing that was acknowledged is missing.
#[chronoplane::test]
async fn a_failing_disk_ends_etcd_and_loses_nothing(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, Default::default()).await.expect("a cluster");
    let (admin, namespace) = (cluster.admin(), Some("default"));
    let restarts = async || {
        let pod =
            admin.get(&Resource::core("pods"), Some("kube-system"), "etcd-cp1").await.expect("answered");
        pod["status"]["containerStatuses"][0]["restartCount"].as_u64().expect("a number")
    };
    admin.create(&CONFIG_MAPS, namespace, &config_map("before", "1")).await.expect("acknowledged");
    assert_eq!(restarts().await, 0, "the control: a sound disk");
    cluster.failing_fsync("cp1", true);
    admin.create(&CONFIG_MAPS, namespace, &config_map("during", "1")).await.expect_err("not acknowledged");
    cluster.elapse(600 * SECOND).await;
    cluster.failing_fsync("cp1", false);
    answers(&cluster).await;
    cluster.nodes_ready().await.expect("well again");
    assert!(restarts().await > 1, "it ended, and at the next write again");
    let kept = async |name: &str| admin.get_opt(&CONFIG_MAPS, namespace, name).await.expect("answered");
    assert!(kept("before").await.is_some());
    assert!(kept("during").await.is_none(), "etcd never had it");
    admin.create(&CONFIG_MAPS, namespace, &config_map("during", "2")).await.expect("acknowledged");
}
