//! Many kubelets in one process, each with its own identity, connection and clock: what `chronoplane
//! bench` measures, small.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{collections::BTreeSet, time::Duration};

use chronoplane::cluster::{CONTROL_PLANE, WORKSTATION};
use chronoplane_cli::bench::{
    bootstrap::bring_up,
    fleet::{Fleet, FleetOptions, Limits, Storage},
    watcher::Watcher,
};
use client::{ListParams, Resource, Rest};
use jiff::SignedDuration;
use pki::{Certificate, KeyAlgorithm};
use serde_json::Value;
use world::{
    Host,
    real::{Block, Real},
    sim,
};

const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
const NODES: Resource = Resource::core("nodes");

fn options(storage: Storage, limits: Limits) -> FleetOptions {
    FleetOptions { algorithm: KeyAlgorithm::EcdsaP256, storage, limits }
}

/// Every node is there, Ready and has its Lease; every kubelet's certificate is its own, and signed for a
/// request that was approved.
async fn check(fleet: &Fleet, watcher: &Watcher, admin: &Rest, kubelets: &[Host]) {
    bring_up(fleet, watcher, kubelets, kubelets.len()).await.expect("all become Ready");
    let nodes = admin.list(&NODES, None, &ListParams::default()).await.expect("the API answers");
    let names: BTreeSet<&str> = nodes.items.iter().filter_map(|n| n["metadata"]["name"].as_str()).collect();
    assert_eq!(names, kubelets.iter().map(Host::name).collect());
    let requests = admin.list(&CSRS, None, &ListParams::default()).await.expect("the API answers");
    let approved = |csr: &Value| csr["status"]["conditions"][0]["type"] == "Approved";
    let issued: BTreeSet<String> = requests
        .items
        .iter()
        .filter(|csr| approved(csr))
        .filter_map(|csr| csr["status"]["certificate"].as_str().map(str::to_owned))
        .collect();
    let mut serials = BTreeSet::new();
    for host in kubelets {
        let pem = host.disk().read(CURRENT).expect("a certificate is kept");
        let chain = Certificate::parse_pem(&pem).expect("readable");
        assert_eq!(chain[0].subject_cn(), format!("system:node:{}", host.name()));
        assert_eq!(chain[0].organizations(), ["system:nodes"]);
        serials.insert(chain[0].serial_hex());
    }
    assert_eq!(serials.len(), kubelets.len(), "no certificate is used twice");
    assert!(issued.len() >= kubelets.len(), "{} requests were approved and signed", issued.len());
}

#[test]
fn fifty_kubelets_of_one_simulated_process_keep_their_own_clocks() {
    let story = async |sim: sim::Sim| {
        let fleet = Fleet::start(&sim.host(CONTROL_PLANE), options(Storage::Memory, Limits::Upstream))
            .await
            .expect("a control plane");
        let workstation = sim.host(WORKSTATION);
        let watcher = Watcher::start(&fleet, &workstation).await.expect("an administrator");
        let kubelets: Vec<Host> = (1..=50).map(|n| sim.host(&format!("node{n}"))).collect();
        // From 98 seconds behind to 98 seconds ahead: within what a certificate is backdated by.
        for (n, host) in (0_i64..).zip(&kubelets) {
            sim.step(host.name(), SignedDuration::from_secs(4 * n - 98));
        }
        let admin = fleet.admin(&workstation).expect("an administrator");
        check(&fleet, &watcher, &admin, &kubelets).await;
        let leases = Resource::new("coordination.k8s.io", "v1", "leases");
        let before = watcher.renewals();
        sim.elapse(Duration::from_secs(60)).await;
        let beats = watcher.renewals() - before;
        // Every ten seconds, up to 0.4 s later: five or six times each.
        assert!((250..=300).contains(&beats), "{beats} heartbeats");
        assert_eq!(watcher.lost(), BTreeSet::new());
        // What a heartbeat says is its own host's time.
        for host in &kubelets {
            let lease = admin.get(&leases, Some("kube-node-lease"), host.name()).await.expect("a lease");
            let renewed: world::Wall =
                lease["spec"]["renewTime"].as_str().and_then(|t| t.parse().ok()).expect("a time");
            let ago = host.clock().wall().duration_since(renewed);
            assert!(
                (SignedDuration::ZERO..=SignedDuration::from_secs(11)).contains(&ago),
                "{}: {ago}",
                host.name()
            );
        }
        sim.events()
    };
    let run = || sim::run(sim::Config { seed: 7, ..sim::Config::default() }, story).expect("a runtime");
    let (one, other) = (run(), run());
    if let Some((a, b)) = one.iter().zip(&other).find(|(a, b)| a != b) {
        panic!("the same seed, another trace:\n{a}\n{b}");
    }
    assert_eq!(one.len(), other.len());
}

#[test]
fn upstreams_limits_hold_unless_they_are_lifted() {
    let took = |limits: Limits| {
        let story = async |sim: sim::Sim| {
            let fleet = Fleet::start(&sim.host(CONTROL_PLANE), options(Storage::Memory, limits))
                .await
                .expect("a control plane");
            let watcher = Watcher::start(&fleet, &sim.host(WORKSTATION)).await.expect("an administrator");
            let kubelets: Vec<Host> = (1..=65).map(|n| sim.host(&format!("node{n}"))).collect();
            bring_up(&fleet, &watcher, &kubelets, kubelets.len()).await.expect("all become Ready").took
        };
        sim::run(sim::Config { record: false, ..sim::Config::default() }, story).expect("a runtime")
    };
    // Approving takes two requests of twenty a second, after a burst of thirty: fifteen at once and ten
    // a second, which are five seconds for the other fifty.
    let (kept, lifted) = (took(Limits::Upstream), took(Limits::Lifted));
    assert!((Duration::from_secs(5)..Duration::from_secs(12)).contains(&kept), "{kept:?}");
    assert!(lifted < Duration::from_secs(2), "{lifted:?}");
}

#[test]
fn twenty_kubelets_in_the_real_gear() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = Real::new(dir.path().to_owned(), Block::reserve().expect("addresses"));
    let runtime = chronoplane_cli::components::runtime().expect("a runtime");
    runtime.block_on(async {
        let host = |name: &str| world.host(name).expect("an address");
        let fleet = Fleet::start(&host(CONTROL_PLANE), options(Storage::Sled, Limits::Lifted))
            .await
            .expect("a control plane");
        let workstation = host(WORKSTATION);
        let watcher = Watcher::start(&fleet, &workstation).await.expect("an administrator");
        let admin = fleet.admin(&workstation).expect("an administrator");
        let kubelets: Vec<Host> = (1..=20).map(|n| host(&format!("node{n}"))).collect();
        check(&fleet, &watcher, &admin, &kubelets).await;
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}
