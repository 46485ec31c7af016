//! One-way cuts, half-open connections, slow links.

use std::time::Duration;

use api::object::ObjectExt as _;
use chronoplane::{Cluster, ClusterOptions};
use client::{Informer, InformerOptions, ListParams, Rest};

use crate::common::{CONFIG_MAPS, config_map, count, ready};

const SECOND: Duration = Duration::from_secs(1);

/// Node1's packets vanish, those to it arrive: it is silent, and Unknown once its grace is over. The other way round its
/// requests arrive and no answer does: the heartbeat that was under way still counts, and no later one is sent. Node2
/// is the control.
#[chronoplane::test(nodes = 2)]
async fn a_kubelet_behind_a_one_way_cut_becomes_not_ready_and_comes_back(cluster: Cluster) {
    let grace = cluster.options().profile.node_grace();
    for (from, to, at_most) in [("node1", "cp1", 10), ("cp1", "node1", 60)] {
        let way = cluster.one_way(from, to);
        way.cut();
        // Its last heartbeat was ten seconds ago at most.
        cluster.elapse(grace - 11 * SECOND).await;
        assert_eq!(ready(&cluster, "node1").await, "True", "{from} to {to}: within its grace");
        // The monitor looks every five seconds, and may have seen that heartbeat as late.
        cluster.elapse((12 + at_most) * SECOND).await;
        assert_eq!(ready(&cluster, "node1").await, "Unknown", "{from} to {to}");
        assert_eq!(ready(&cluster, "node2").await, "True", "the control");
        way.heal();
        cluster.nodes_ready().await.expect("all are back");
    }
}

/// A balancer forgets the connections of a client that only watches. Nobody tells it; HTTP/2's pings do, 30 s after the
/// last frame and 15 s without an answer, and it sees what it missed. The control: nothing is forgotten, nothing missed.
#[chronoplane::test]
async fn pings_notice_a_half_open_connection(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, ClusterOptions::default()).await.expect("a cluster");
    let host = sim.host("watcher");
    let go = cluster.options().profile.go();
    let rest = Rest::from_kubeconfig(&host, cluster.kubeconfig(), go, "watcher").expect("a client");
    let maps = Informer::start(&host, &rest, CONFIG_MAPS, InformerOptions::default());
    maps.synced().await;
    for (name, forgets) in [("control", false), ("missed", true)] {
        cluster.elapse(60 * SECOND).await;
        if forgets {
            assert_eq!(sim.half_open("watcher", "cp1", 6443), 1);
        }
        let map = config_map(name, "1");
        cluster.admin().create(&CONFIG_MAPS, Some("default"), &map).await.expect("made");
        let seen = || maps.get("default", name).is_some();
        // Fifteen seconds of silence are not noticed: a ping may have been answered just before.
        cluster.elapse(14 * SECOND).await;
        assert_eq!(seen(), !forgets, "{name}: after 14 s");
        cluster.elapse(46 * SECOND).await;
        assert!(seen(), "{name}: after a minute");
    }
}

/// A quarter of a second each way to a node: everything is slow there, nothing fails.
#[chronoplane::test]
async fn a_node_far_away_joins_and_stays_ready(sim: chronoplane::Sim) {
    let far = world::sim::Conditions {
        latency: Duration::from_millis(250),
        jitter: Duration::from_millis(50),
        loss_per_mille: 10,
        ..Default::default()
    };
    for (from, to) in [("node1", "cp1"), ("cp1", "node1")] {
        sim.set_conditions(from, to, far);
    }
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    let cluster = Cluster::start(&sim, options).await.expect("it joins");
    let unknown = || count(&cluster, "cp1", "node", &["name=node1", "state=unknown"]);
    for _ in 0..10 {
        cluster.elapse(30 * SECOND).await;
        assert_eq!(ready(&cluster, "node1").await, "True");
    }
    assert_eq!(unknown(), 0);
}

/// The apiserver and its store hear each other late and unevenly, so that its cache lags behind what it has acknowledged: a
/// list that names no revision has it all the same. The control: both at once.
#[chronoplane::test]
async fn a_list_has_what_was_acknowledged_however_late_the_cache_is(sim: chronoplane::Sim) {
    let cluster = Cluster::start(&sim, ClusterOptions::default()).await.expect("a cluster");
    let (admin, namespace) = (cluster.admin(), Some("default"));
    let uneven = world::sim::Conditions {
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(300),
        messages_per_second: std::num::NonZeroU32::new(20),
        ..Default::default()
    };
    for (round, conditions) in [Default::default(), uneven].into_iter().enumerate() {
        sim.set_conditions("cp1", "cp1", conditions);
        for n in 0..20 {
            let name = format!("m{round}-{n}");
            admin.create(&CONFIG_MAPS, namespace, &config_map(&name, "1")).await.expect("made");
            let listed = admin.list(&CONFIG_MAPS, namespace, &ListParams::default()).await.expect("listed");
            assert!(listed.items.iter().any(|item| item.name() == name), "{name} was acknowledged");
        }
    }
}
