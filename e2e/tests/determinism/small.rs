//! The world that is traced: one control plane and one worker, for a few minutes in which something is wanted of every
//! component, and in which clocks and connections do not stay as they are.

use std::time::Duration;

use chronoplane::{Cluster, ClusterOptions, ControlPlane, ControlPlaneOptions, cluster::CONTROL_PLANE};
use client::Resource;
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::{
    Event, Periods,
    sim::{self, Config, Sim},
};

const NODE: &str = "node1";
const DAY: Duration = Duration::from_secs(86_400);
const HALF: Duration = Duration::from_secs(30);
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
    /// An apiserver and its controllers, a Deployment whose pods no node runs, connections that are reset, a minute.
    Alone,
    /// Its bootstrap, with everything that is drawn there (names, serials, tokens), and a few heartbeats with their jitter.
    Young,
    /// That, work and faults, and the renewal of certificates of a day.
    Whole,
}

impl Life {
    /// As the other process is told.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Young => "young",
            Self::Whole => "whole",
        }
    }

    /// Reads [`Life::name`].
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Alone, Self::Young, Self::Whole].into_iter().find(|life| life.name() == name)
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
        if life == Life::Alone {
            alone(&sim).await;
            return sim.events();
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

/// See [`Life::Alone`].
async fn alone(sim: &Sim) {
    let host = sim.host(CONTROL_PLANE);
    let options = ControlPlaneOptions { controllers: true, ..ControlPlaneOptions::default() };
    let plane = ControlPlane::start(&host, options).await.expect("a control plane");
    sim.set_periods(Periods::upstream());
    let admin = plane.admin(&host).expect("a kubeconfig");
    admin.create(&DEPLOYMENTS, Some("default"), &deployment()).await.expect("a deployment");
    sim.elapse(HALF).await;
    let made = admin.get(&DEPLOYMENTS, Some("default"), "web").await.expect("the deployment");
    assert_eq!(made.pointer("/status/replicas"), Some(&Value::from(2)), "{made}");
    sim.reset_connections(CONTROL_PLANE, CONTROL_PLANE, 6443);
    sim.elapse(HALF).await;
}

/// Two pods.
fn deployment() -> Value {
    let labels = json!({"app": "web"});
    let template = json!({
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    });
    json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    })
}

/// Something is wanted of every component.
async fn works(cluster: &Cluster) {
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    let admin = cluster.admin();
    admin.create(&DEPLOYMENTS, Some("default"), &deployment()).await.expect("a deployment");
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
