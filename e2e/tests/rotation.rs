//! Kubelets with certificates of a day, over weeks: nobody notices that they rotate; without rotation
//! everybody does.
//!
//! `CHRONOPLANE_DAYS=730` makes it two years (`scripts/rotation-two-years`).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use api::object::ObjectExt as _;
use chronoplane::{Cluster, ClusterOptions};
use client::{Informer, InformerOptions, ListParams, Resource};
use jiff::SignedDuration;
use parking_lot::Mutex;
use pki::Certificate;
use serde_json::Value;
use world::{
    Host, Periods,
    sim::{Config, Sim, run},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const WORKERS: usize = 10;
/// A heartbeat every four hours; a silent node is noticed after twenty: whoever does not renew a
/// certificate of a day is seen on the second day.
const PACE: Periods = Periods::times(1440);
/// The certificate of the API server's own client lives for a year of its process.
const SERVER_LIFE: u32 = 336;
/// The same over years: a heartbeat every 28 hours, silence noticed within six days.
const LONG_PACE: Periods = Periods::times(10_080);

fn days() -> u32 {
    let given = std::env::var("CHRONOPLANE_DAYS").ok().and_then(|text| text.parse().ok());
    given.unwrap_or(30)
}

async fn cluster(sim: &Sim, workers: usize) -> Cluster {
    let options = ClusterOptions {
        nodes: workers,
        signing_duration: Some(DAY),
        // What kubeadm makes ends with its year, and nobody renews it here.
        leaf_validity: (days() > SERVER_LIFE).then_some(2 * days() * DAY),
        ..ClusterOptions::default()
    };
    Cluster::start(sim, options).await.expect("a cluster")
}

/// Every moment at which a node was there and not Ready, as the watch showed it.
#[derive(Clone, Default)]
struct Silences(Arc<Mutex<Vec<String>>>);

impl Silences {
    /// Watches from now on, and never samples.
    async fn watch(cluster: &Cluster) -> Self {
        let this = Self::default();
        let host = cluster.sim().host("workstation");
        let nodes =
            Informer::start(&host, cluster.admin(), Resource::core("nodes"), InformerOptions::default());
        nodes.synced().await;
        let (seen, clock) = (this.clone(), host.clone());
        nodes.on(move |change| {
            let node = match change {
                client::Change::Added(node) | client::Change::Deleted(node) => node,
                client::Change::Updated { new, .. } => new,
            };
            let ready = node.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == "Ready");
            let status = ready.map_or("", |c| c.str_at("/status"));
            if status != "True" {
                let at = world::rfc3339(clock.clock().wall());
                seen.0.lock().push(format!("{at} {} {status}", node.name()));
            }
        });
        this
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

/// The certificate behind the link: its file and its serial number.
fn current(host: &Host) -> (String, String) {
    let file = host.disk().read_link(CURRENT).expect("a link").display().to_string();
    let chain = Certificate::parse_pem(&host.disk().read(&file).expect("readable")).expect("a certificate");
    (file, chain.first().expect("a leaf").serial_hex())
}

async fn requests(cluster: &Cluster) -> Vec<Arc<Value>> {
    let csrs = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
    cluster.admin().list(&csrs, None, &ListParams::default()).await.expect("listed").items
}

/// Names of requests that are older than `age`.
async fn older(cluster: &Cluster, age: SignedDuration) -> Vec<String> {
    let now = cluster.sim().host("cp1").clock().wall();
    let old = |csr: &&Arc<Value>| {
        let created: world::Wall = csr.str_at("/metadata/creationTimestamp").parse().expect("a time");
        now.duration_since(created) > age
    };
    requests(cluster).await.iter().filter(old).map(|csr| csr.name().to_owned()).collect()
}

/// What the pace put off is made up for: the cleaner, and whoever waits for a silent node.
async fn at_upstreams_pace(sim: &Sim) {
    sim.set_periods(Periods::upstream());
    sim.elapse(Duration::from_secs(120)).await;
}

#[test]
fn nobody_notices_that_certificates_of_a_day_rotate() {
    let days = days();
    let (pace, window) = if days > 90 { (LONG_PACE, 28) } else { (PACE, 7) };
    // Nothing is read back from the record, and years of it are gigabytes.
    run(Config { record: false, ..Config::default() }, async |sim: Sim| {
        let cluster = cluster(&sim, WORKERS).await;
        let silences = Silences::watch(&cluster).await;
        let hosts: Vec<Host> = (1..=WORKERS).map(|n| sim.host(&format!("node{n}"))).collect();
        let mut seen: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for day in 1..=days {
            sim.set_periods(pace);
            // Between two looks no certificate can have been renewed twice: the earliest is after 16.8 h.
            for _ in 0..3 {
                sim.elapse(8 * HOUR).await;
                for host in &hosts {
                    let now = current(host);
                    let known = seen.entry(host.name().to_owned()).or_default();
                    if known.last() != Some(&now) {
                        known.push(now);
                    }
                }
            }
            if day % window == 0 {
                at_upstreams_pace(&sim).await;
            }
            if day % SERVER_LIFE == 0 {
                cluster.restart_apiserver().await.expect("back again");
                at_upstreams_pace(&sim).await;
            }
        }
        assert_eq!(silences.all(), Vec::<String>::new(), "every node was Ready all along");
        let mut rotations = 0;
        for (node, certificates) in &seen {
            let files: BTreeSet<&String> = certificates.iter().map(|(file, _)| file).collect();
            let serials: BTreeSet<&String> = certificates.iter().map(|(_, serial)| serial).collect();
            assert_eq!((files.len(), serials.len()), (certificates.len(), certificates.len()), "{node}");
            // Between seven and nine tenths of 24 h, less the five minutes by which they are backdated.
            let (fewest, most) =
                ((f64::from(days) / 0.9) as usize - 1, (f64::from(days) / 0.69) as usize + 1);
            assert!(
                (fewest..=most).contains(&certificates.len()),
                "{node}: {} in {days} days",
                certificates.len()
            );
            rotations += certificates.len() - 1;
            let host = sim.host(node);
            assert!(files.iter().all(|file| host.disk().exists(file)), "old files are never deleted");
        }
        // By the cleaner's own rules nothing is older than an hour when it has looked.
        at_upstreams_pace(&sim).await;
        assert_eq!(older(&cluster, SignedDuration::from_secs(3600 + 120)).await, Vec::<String>::new());
        assert!(requests(&cluster).await.len() <= WORKERS + 1);
        assert_eq!(silences.all(), Vec::<String>::new(), "and still is");
        println!(
            "{days} days, {WORKERS} nodes: {rotations} rotations, no node NotReady, no request left behind"
        );
    })
    .expect("a runtime");
}

/// The control run: the same watch sees it when nobody rotates.
#[test]
fn without_rotation_every_node_falls_silent_after_a_day() {
    run(Config::default(), async |sim: Sim| {
        let cluster = cluster(&sim, 3).await;
        for n in 1..=3 {
            let host = sim.host(&format!("node{n}"));
            let path = "/var/lib/kubelet/config.yaml";
            let text = host.disk().read_to_string(path).expect("kubeadm wrote it");
            let changed = text.replace("rotateCertificates: true", "rotateCertificates: false");
            assert_ne!(changed, text);
            host.disk().write(path, changed, 0o644).expect("written");
            host.services().restart(&host, "kubelet").await;
        }
        sim.elapse(Duration::from_secs(60)).await;
        cluster.nodes_ready().await.expect("ready again");
        let silences = Silences::watch(&cluster).await;
        sim.set_periods(PACE);
        let before: Vec<_> = (1..=3).map(|n| current(&sim.host(&format!("node{n}")))).collect();
        sim.elapse(23 * HOUR).await;
        assert_eq!(silences.all(), Vec::<String>::new(), "one hour before the end");
        // From here on silence is noticed after 50 minutes.
        sim.set_periods(Periods::times(60));
        sim.elapse(2 * HOUR).await;
        let silent: BTreeSet<String> =
            silences.all().iter().filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect();
        assert_eq!(
            silent.into_iter().collect::<Vec<_>>(),
            ["node1", "node2", "node3"],
            "and not cp1, which rotates"
        );
        let after: Vec<_> = (1..=3).map(|n| current(&sim.host(&format!("node{n}")))).collect();
        assert_eq!(after, before, "no new file");
    })
    .expect("a runtime");
}
