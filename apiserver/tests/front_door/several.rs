//! Several servers over one store: one of them compacts, a page that one began another continues, and below different
//! prefixes they are strangers to each other.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt;
use client::{ListParams, Resource};
use serde_json::{Value, json};
use store::{EtcdOptions, ListOptions, Range, Revision, Store, StoreError};
use world::sim::{Config, Sim};

use crate::endpoints::{One, start, start_on};

const MAPS: Resource = Resource::core("configmaps");
const SPACE: Option<&str> = Some("default");
/// Between two compactions.
const TURN: Duration = Duration::from_secs(300);

async fn three(sim: &Sim, store: &Arc<dyn Store>, flags: &[&str]) -> Vec<One> {
    let mut servers = Vec::new();
    for name in ["cp1", "cp2", "cp3"] {
        servers.push(start(sim, name, store, flags).await);
        // Their turns do not come at the same moment.
        sim.elapse(Duration::from_secs(70)).await;
    }
    servers
}

async fn readable(store: &Arc<dyn Store>, at: Revision) -> bool {
    let options = ListOptions { at: Some(at), limit: 1, ..ListOptions::default() };
    match store.list(Range::all(), options).await {
        Ok(_) => true,
        Err(StoreError::Compacted { .. }) => false,
        Err(e) => panic!("{e}"),
    }
}

/// How many turns were had.
async fn turns(store: &Arc<dyn Store>) -> i64 {
    store.get(b"compact_rev_key", None).await.unwrap().0.map_or(0, |kv| kv.version)
}

#[test]
fn one_of_several_compacts() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("etcd"));
        let servers = three(&sim, &store, &[]).await;
        sim.elapse(2 * TURN).await;
        let (begun, mut before) = (turns(&store).await, store.revision().await.unwrap());
        for turn in 1..=6 {
            sim.elapse(TURN).await;
            // Three servers, each with a timer of its own, and one turn each five minutes.
            assert_eq!(turns(&store).await, begun + turn);
            let now = store.revision().await.unwrap();
            assert!(now > before, "the servers' leases alone are writes");
            assert!(readable(&store, before).await, "of five minutes ago");
            before = now;
        }
        sim.elapse(2 * TURN).await;
        assert!(!readable(&store, before).await, "of ten minutes ago");
        // Whoever it was that has had the turns: without any one of them, and then without two, they go on.
        for (gone, server) in servers.iter().enumerate().take(2) {
            server.process.kill().await;
            // The next one may first have to learn how far the count is.
            sim.elapse(2 * TURN).await;
            let (begun, before) = (turns(&store).await, store.revision().await.unwrap());
            sim.elapse(3 * TURN).await;
            assert_eq!(turns(&store).await, begun + 3, "without {}", gone + 1);
            assert!(!readable(&store, before).await, "without {}", gone + 1);
        }
    })
    .unwrap();
}

#[test]
fn without_an_interval_nobody_compacts() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("etcd"));
        let _servers = three(&sim, &store, &["--etcd-compaction-interval=0"]).await;
        let before = store.revision().await.unwrap();
        sim.elapse(6 * TURN).await;
        assert_eq!(turns(&store).await, 0);
        assert!(readable(&store, before).await);
    })
    .unwrap();
}

fn names(list: &[Arc<Value>]) -> Vec<String> {
    list.iter().map(|item| item.name().to_owned()).collect()
}

/// A list in pages is one moment of the collection, whatever is written between two pages and whoever is asked for them;
/// and if that moment is compacted, the rest is to be had with a word that it is of another one.
#[test]
fn pages_are_of_one_moment_at_every_server() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("etcd"));
        let servers = three(&sim, &store, &[]).await;
        let admin = servers[0].rest();
        let object = |name: &str, data: &str| json!({"metadata": {"name": name}, "data": {"k": data}});
        for n in 0..9 {
            admin.create(&MAPS, SPACE, &object(&format!("m{n}"), "before")).await.unwrap();
        }
        let page = |limit| ListParams { limit: Some(limit), ..ListParams::default() };
        let first = admin.list(&MAPS, SPACE, &page(3)).await.unwrap();
        assert_eq!(names(&first.items), ["m0", "m1", "m2"]);
        // One is changed, one goes, one comes, all on the pages that are still to be read.
        let mut changed = admin.get(&MAPS, SPACE, "m4").await.unwrap();
        changed["data"]["k"] = "after".into();
        admin.update(&MAPS, SPACE, "m4", &changed).await.unwrap();
        admin.delete(&MAPS, SPACE, "m5", &Default::default()).await.unwrap();
        admin.create(&MAPS, SPACE, &object("m41", "after")).await.unwrap();

        let mut page_after = first.cont.clone();
        let mut rest = Vec::new();
        for server in servers.iter().skip(1) {
            let params = ListParams { cont: Some(page_after.clone()), ..page(3) };
            let next = server.rest().list(&MAPS, SPACE, &params).await.unwrap();
            assert_eq!(next.resource_version, first.resource_version);
            rest.extend(next.items);
            page_after = next.cont;
        }
        assert_eq!((names(&rest), page_after.as_str()), ((3..9).map(|n| format!("m{n}")).collect(), ""));
        assert!(rest.iter().all(|item| item.str_at("/data/k") == "before"), "{rest:?}");

        // The same token when its moment is gone.
        sim.elapse(3 * TURN).await;
        let old = ListParams { cont: Some(first.cont.clone()), ..page(100) };
        let refused = servers[1].rest().list(&MAPS, SPACE, &old).await.unwrap_err();
        let client::ClientError::Status(status) = refused else { panic!("{refused}") };
        assert_eq!((status.code, status.reason.as_str()), (410, "Expired"), "{status:?}");
        let go_on = ListParams { cont: Some(status.continue_token.clone()), ..page(100) };
        let now = servers[2].rest().list(&MAPS, SPACE, &go_on).await.unwrap();
        assert_eq!(names(&now.items), ["m3", "m4", "m41", "m6", "m7", "m8"]);
    })
    .unwrap();
}

#[test]
fn two_prefixes_are_two_clusters() {
    world::sim::run(Config::default(), |sim| async move {
        let etcd = sim.host("etcd");
        let url = format!("http://{}:2379", etcd.net().address());
        let flags = [format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")];
        let _running = store::server::start(&etcd, &flags).await.unwrap();
        let servers = format!("--etcd-servers={url}");
        let mut clusters = Vec::new();
        for (host, prefix) in [("cp1", "--etcd-prefix=/registry"), ("cp2", "--etcd-prefix=clusters/b/")] {
            let flags = ["--storage-backend=etcd3", &servers, prefix];
            clusters.push(start_on(&sim, host, None, &flags).await);
        }
        for (one, data) in clusters.iter().zip(["a", "b"]) {
            let object = json!({"metadata": {"name": "same"}, "data": {"of": data}});
            one.rest().create(&MAPS, SPACE, &object).await.expect("nobody else's");
        }
        for (one, data) in clusters.iter().zip(["a", "b"]) {
            let all = one.rest().list(&MAPS, SPACE, &ListParams::default()).await.unwrap().items;
            let found: Vec<&str> = all.iter().map(|item| item.str_at("/data/of")).collect();
            assert_eq!(found, [data]);
        }
        let options = EtcdOptions { endpoints: vec![url], ca: None, cert: None, key: None, go: (1, 26) };
        let all = store::etcd(&sim.host("laptop"), &options).unwrap();
        let all = all.list(Range::all(), ListOptions::default()).await.unwrap().kvs;
        let keys: Vec<&str> = all.iter().map(|kv| std::str::from_utf8(&kv.key).unwrap()).collect();
        for key in ["/registry/configmaps/default/same", "/clusters/b/configmaps/default/same"] {
            assert!(keys.contains(&key), "{keys:?}");
        }
        let elsewhere = |key: &&&str| !key.starts_with("/registry/") && !key.starts_with("/clusters/b/");
        assert_eq!(keys.iter().find(elsewhere), None);
    })
    .unwrap();
}
