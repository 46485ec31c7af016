//! Several servers over one store, and where the service `kubernetes` leads.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt;
use apiserver::Server;
use client::{Resource, Rest};
use serde_json::Value;
use store::Store;
use world::{
    Process,
    sim::{Config, Sim},
};

use crate::plane::options;

const TURN: Duration = Duration::from_secs(11);
const SLICES: Resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");

/// A server that can be stopped, and killed.
pub struct One {
    server: Server,
    pub process: Process,
    address: String,
}

pub async fn start(sim: &Sim, name: &str, store: &Arc<dyn Store>, extra: &[&str]) -> One {
    start_on(sim, name, Some(store.clone()), extra).await
}

/// As [`start`]; without a store, on the one that the flags name.
pub async fn start_on(sim: &Sim, name: &str, store: Option<Arc<dyn Store>>, extra: &[&str]) -> One {
    let host = sim.host(name);
    host.disk().create_dir_all("/etc").unwrap();
    host.disk().write("/etc/tokens.csv", "t,admin,1,\"system:masters\"\n", 0o600).unwrap();
    let process = host.process("kube-apiserver");
    let server = Server::start(process.host(), options(extra), store).await.unwrap();
    server.ready().await.unwrap();
    One { server, process, address: host.net().address().to_string() }
}

impl One {
    pub fn rest(&self) -> Rest {
        self.server.context().rest.clone()
    }
}

fn sorted(servers: &[&One]) -> Vec<String> {
    let mut addresses: Vec<String> = servers.iter().map(|one| one.address.clone()).collect();
    addresses.sort();
    addresses
}

async fn get(rest: &Rest, resource: &Resource) -> Value {
    rest.get(resource, Some("default"), "kubernetes").await.unwrap()
}

/// The addresses and the port, which must be the same in both records.
async fn led_to(rest: &Rest) -> (Vec<String>, Option<i64>) {
    let endpoints = get(rest, &Resource::core("endpoints")).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let addresses: Vec<String> =
        endpoints.list_at("/subsets/0/addresses").iter().map(|a| text(&a["ip"])).collect();
    let port = endpoints.i64_at("/subsets/0/ports/0/port");
    let slice = get(rest, &SLICES).await;
    let same: Vec<String> = slice.list_at("/endpoints").iter().map(|e| text(&e["addresses"][0])).collect();
    assert_eq!((&same, slice.i64_at("/ports/0/port")), (&addresses, port), "{slice}");
    (addresses, port)
}

#[test]
fn each_server_is_there_until_it_has_gone() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("etcd"));
        let (a, b, c) = (
            start(&sim, "cp1", &store, &[]).await,
            start(&sim, "cp2", &store, &[]).await,
            start(&sim, "cp3", &store, &[]).await,
        );
        sim.elapse(TURN).await;
        let rest = a.rest();
        assert_eq!(led_to(&rest).await, (sorted(&[&a, &b, &c]), Some(6443)));
        // Where nothing changes nothing is written.
        let versions = async || {
            let (endpoints, slice) =
                (get(&rest, &Resource::core("endpoints")).await, get(&rest, &SLICES).await);
            [endpoints.resource_version().to_owned(), slice.resource_version().to_owned()]
        };
        let before = versions().await;
        sim.elapse(5 * TURN).await;
        assert_eq!(versions().await, before);
        // One that takes its leave is gone at once; of one that crashed its time must be over.
        b.server.shutdown().await;
        assert_eq!(led_to(&rest).await.0, sorted(&[&a, &c]));
        c.process.kill().await;
        sim.elapse(Duration::from_secs(2)).await;
        assert_eq!(led_to(&rest).await.0, sorted(&[&a, &c]));
        sim.elapse(Duration::from_secs(26)).await;
        assert_eq!(led_to(&rest).await.0, sorted(&[&a]));
        // The last one leaves nobody behind.
        a.server.shutdown().await;
        let (found, _) = store.get(b"/registry/services/endpoints/default/kubernetes", None).await.unwrap();
        let left: Value = serde_json::from_slice(&found.unwrap().value).unwrap();
        assert!(left.list_at("/subsets").is_empty(), "{left}");
    })
    .unwrap();
}

#[test]
fn by_count_nobody_learns_who_has_crashed() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("etcd"));
        let flags = ["--kubernetes-version=1.10", "--apiserver-count=3"];
        let (a, b, c) = (
            start(&sim, "cp1", &store, &flags).await,
            start(&sim, "cp2", &store, &flags).await,
            start(&sim, "cp3", &store, &flags).await,
        );
        sim.elapse(TURN).await;
        let rest = a.rest();
        assert_eq!(led_to(&rest).await.0, sorted(&[&a, &b, &c]));
        b.server.shutdown().await;
        assert_eq!(led_to(&rest).await.0, sorted(&[&a, &c]));
        c.process.kill().await;
        sim.elapse(6 * TURN).await;
        assert_eq!(led_to(&rest).await.0, sorted(&[&a, &c]));
    })
    .unwrap();
}

#[test]
fn a_server_that_comes_back_on_another_port_is_found_there() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("etcd"));
        let before = start(&sim, "cp1", &store, &[]).await;
        sim.elapse(TURN).await;
        before.process.kill().await;
        let after = start(&sim, "cp1", &store, &["--secure-port=7443"]).await;
        sim.elapse(Duration::from_secs(2)).await;
        let rest = after.rest();
        assert_eq!(led_to(&rest).await, (sorted(&[&after]), Some(7443)));
        let service = get(&rest, &Resource::core("services")).await;
        assert_eq!(service.i64_at("/spec/ports/0/targetPort"), Some(7443));
    })
    .unwrap();
}

#[test]
fn where_somebody_else_keeps_them_no_endpoints_are_written() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("etcd"));
        let one = start(&sim, "cp1", &store, &["--endpoint-reconciler-type=none"]).await;
        sim.elapse(TURN).await;
        let endpoints = Resource::core("endpoints");
        assert_eq!(one.rest().get_opt(&endpoints, Some("default"), "kubernetes").await.unwrap(), None);
    })
    .unwrap();
}
