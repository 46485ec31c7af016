//! The world that is traced: one control plane and one worker, for a few minutes in which something is wanted of every
//! component, and in which clocks and connections do not stay as they are.

use std::time::Duration;

use chronoplane::{Cluster, ClusterOptions, cluster::CONTROL_PLANE};
use client::Resource;
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::{
    Event, Periods,
    sim::{self, Config, Sim},
};

const NODE: &str = "node1";
const DAY: Duration = Duration::from_secs(86_400);
const FEW_HEARTBEATS: Duration = Duration::from_secs(25);
const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
const SERVICES: Resource = Resource::core("services");

/// Where chance comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chance {
    /// From the world's seed, for every host.
    AsSeeded,
    /// One host's from another seed, from the beginning.
    Anew {
        /// Which.
        host: &'static str,
        /// Its seed.
        seed: u64,
    },
}

/// How much of it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Its bootstrap, with everything that is drawn there (names, serials, tokens), and a few heartbeats with their jitter.
    Young,
    /// That, work and faults, and the renewal of certificates of a day.
    Whole,
}

impl Life {
    /// As the other process is told.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Young => "young",
            Self::Whole => "whole",
        }
    }

    /// Reads [`Life::name`].
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Young, Self::Whole].into_iter().find(|life| life.name() == name)
    }
}

/// Everything that happens with that seed.
pub(crate) fn trace(seed: u64, life: Life, chance: Chance) -> Vec<Event> {
    let config = Config { seed, periods: Periods::sparse(), ..Config::default() };
    sim::run(config, async |sim: Sim| {
        // Addresses are given in the order of these, whoever is seeded anew.
        for host in [CONTROL_PLANE, NODE] {
            sim.host(host);
        }
        if let Chance::Anew { host, seed } = chance {
            sim.reseed(host, seed);
        }
        let signed = (life == Life::Whole).then_some(DAY);
        let options = ClusterOptions { nodes: 1, signing_duration: signed, ..ClusterOptions::default() };
        let cluster = Cluster::start(&sim, options).await.expect("a cluster");
        sim.set_periods(Periods::upstream());
        if life == Life::Whole {
            works(&cluster).await;
            meets_faults(&cluster).await;
            sim.set_periods(Periods::sparse());
            cluster.elapse(DAY).await;
        } else {
            cluster.elapse(FEW_HEARTBEATS).await;
        }
        sim.events()
    })
    .expect("a runtime")
}

/// Something is wanted of every component.
async fn works(cluster: &Cluster) {
    let labels = json!({"app": "web"});
    let template = json!({
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    });
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    });
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": labels, "ports": [{"port": 80}]},
    });
    let admin = cluster.admin();
    admin.create(&DEPLOYMENTS, Some("default"), &deployment).await.expect("a deployment");
    admin.create(&SERVICES, Some("default"), &service).await.expect("a service");
    let runs = async || {
        let deployment = admin.get(&DEPLOYMENTS, Some("default"), "web").await.ok()?;
        (deployment.pointer("/status/readyReplicas") == Some(&Value::from(2))).then_some(())
    };
    cluster.elapse_until("two pods run", Duration::from_secs(60), runs).await.expect("pods");
}

/// Each begins something anew.
async fn meets_faults(cluster: &Cluster) {
    let sim = cluster.sim();
    cluster.elapse(Duration::from_secs(15)).await;
    sim.reset_connections(NODE, CONTROL_PLANE, 6443);
    cluster.step(NODE, SignedDuration::from_secs(-20));
    cluster.elapse(Duration::from_secs(15)).await;
    cluster.pause(CONTROL_PLANE, Duration::from_secs(20)).await;
    cluster.elapse(Duration::from_secs(15)).await;
    cluster.reboot(NODE, Duration::from_secs(20)).await;
    cluster.elapse(Duration::from_secs(30)).await;
}
