//! `chronoplane up --data-dir`, killed with SIGKILL and started again: the same objects, the same certificates, and
//! the nodes come back by themselves. In one process, in many, and on an etcd of its own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use api::object::ObjectExt as _;
use client::{ListParams, Resource, Rest};
use serde_json::{Value, json};
use world::real::{Block, Real};

use crate::{
    beside::{Beside, etcd_host, ours},
    lives::{NODES, Up, admin, on_threads, until},
    requirement,
};

/// Keys, certificates and kubeconfigs of all hosts, byte by byte.
fn credentials(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                // On the host's own root: where it leads to is found by itself.
                let target = fs::read_link(&path).unwrap();
                found.insert(path, target.as_os_str().as_encoded_bytes().to_vec());
            } else if path.is_dir() {
                todo.push(path);
            } else if path
                .extension()
                .is_some_and(|end| end == "crt" || end == "key" || end == "pem" || end == "conf")
            {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found.retain(|path, _| !path.components().any(|part| part.as_os_str() == "sled"));
    found
}

const LASTING: [Resource; 6] = [
    Resource::core("namespaces"),
    Resource::core("configmaps"),
    Resource::core("secrets"),
    Resource::core("serviceaccounts"),
    Resource::core("nodes"),
    Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles"),
];

/// What was created: by kind, namespace and name, the uid.
async fn created(admin: &Rest) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for resource in &LASTING {
        for item in admin.list(resource, None, &ListParams::default()).await.unwrap().items {
            let place = format!("{}/{}/{}", resource.plural, item.namespace(), item.name());
            found.insert(place, item["metadata"]["uid"].as_str().unwrap().to_owned());
        }
    }
    found
}

/// When each node last said that it lives.
async fn heartbeats(admin: &Rest) -> BTreeMap<String, String> {
    let leases = Resource::new("coordination.k8s.io", "v1", "leases");
    let leases = admin.list(&leases, Some("kube-node-lease"), &ListParams::default()).await.unwrap().items;
    let renewed = |lease: &Value| lease["spec"]["renewTime"].as_str().unwrap().to_owned();
    leases.iter().map(|lease| (lease.name().to_owned(), renewed(lease))).collect()
}

async fn dies_and_comes_back(flags: &[String], lives: usize) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let world = Real::new(root.path().join("workstation"), Block::reserve().unwrap());
    let host = world.host("workstation").unwrap();
    let mut up = Up::start(&dir, flags);
    let (configmaps, pods) = (Resource::core("configmaps"), Resource::core("pods"));
    for life in 1..=lives {
        let client = admin(&dir, &host);
        let settings = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("settings-{life}"), "namespace": "default"},
            "data": {"life": life.to_string()},
        });
        let settings = client.create(&configmaps, Some("default"), &settings).await.unwrap();
        // A node may be Ready before it has one.
        until(&host, "each node has a lease", async || {
            (heartbeats(&client).await.len() == NODES + 1).then_some(())
        })
        .await;
        let before = (created(&client).await, credentials(&dir), heartbeats(&client).await);
        up.kill();
        up = Up::start(&dir, flags);

        let client = admin(&dir, &host);
        let again = client.get(&configmaps, Some("default"), settings.name()).await.unwrap();
        assert_eq!(again, settings, "to the byte, its resourceVersion too");
        let now = created(&client).await;
        let lost: Vec<_> = before.0.iter().filter(|(place, uid)| now.get(*place) != Some(uid)).collect();
        assert!(lost.is_empty(), "gone, or another one of the same name: {lost:?}");
        assert!(before.1.len() > 20, "the control: there are credentials");
        let now = credentials(&dir);
        for (path, bytes) in &before.1 {
            assert!(now.get(path) == Some(bytes), "{} is another one", path.display());
        }
        assert_eq!(before.2.len(), NODES + 1, "the control: each node has a lease");
        until(&host, "each node lives", async || {
            let now = heartbeats(&client).await;
            before.2.iter().all(|(node, then)| now.get(node).is_some_and(|now| now > then)).then_some(())
        })
        .await;
        // And works: a pod on it runs.
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("work-{life}"), "namespace": "default"},
            "spec": {"nodeName": "node1", "containers": [{"name": "main", "image": "pause"}]},
        });
        let pod = client.create(&pods, Some("default"), &pod).await.unwrap();
        assert!(revision(&pod) > revision(&settings), "revisions go on");
        until(&host, "a pod runs", async || {
            let pod = client.get(&pods, Some("default"), pod.name()).await.ok()?;
            (pod["status"]["phase"] == "Running").then_some(())
        })
        .await;
    }
    drop(up);
}

fn revision(object: &Value) -> i64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

async fn a_cluster_in_one_process_comes_back() {
    dies_and_comes_back(&[], 2).await;
}

async fn a_cluster_of_many_processes_comes_back() {
    dies_and_comes_back(&["--processes".to_owned()], 1).await;
}

async fn a_cluster_on_our_etcd_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let (_world, host, files) = etcd_host(root.path());
    let (_etcd, flags) = Beside::start(ours(&host), &host, &files);
    dies_and_comes_back(&flags, 1).await;
}

/// What `ETCD` names, or etcd on PATH.
async fn a_cluster_on_etcd_itself_comes_back() {
    let program = std::env::var_os("ETCD").unwrap_or_else(|| "etcd".into());
    let there = Command::new(&program).arg("--version").output().is_ok_and(|said| said.status.success());
    if !requirement::met(
        "etcd",
        there,
        "no `etcd` on PATH; Debian has it in etcd-server, ETCD=/path names one",
    ) {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (_world, host, files) = etcd_host(root.path());
    let (_etcd, flags) = Beside::start(Command::new(program), &host, &files);
    dies_and_comes_back(&flags, 1).await;
}

pub const TESTS: &[(&str, fn())] = &[
    ("comeback::a_cluster_in_one_process_comes_back", || on_threads(a_cluster_in_one_process_comes_back())),
    ("comeback::a_cluster_of_many_processes_comes_back", || {
        on_threads(a_cluster_of_many_processes_comes_back())
    }),
    ("comeback::a_cluster_on_our_etcd_comes_back", || on_threads(a_cluster_on_our_etcd_comes_back())),
    ("comeback::a_cluster_on_etcd_itself_comes_back", || on_threads(a_cluster_on_etcd_itself_comes_back())),
];
