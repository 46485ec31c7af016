//! `chronoplane up --data-dir`, killed with SIGKILL before there is a cluster: the next one makes it anew.

use std::{fs, io::Read as _, path::Path};

use client::Resource;
use serde_json::json;
use world::real::{Block, Real};

use crate::{
    beside::{Beside, etcd_host, ours},
    lives::{GLANCE, Up, admin, on_threads, until, until_every},
};

/// Files in the order in which a first `up` comes to write them. Killed as each appears.
const MOMENTS: [&str; 7] = [
    "chronoplane.json",
    "cp1/etc/kubernetes/pki/ca.crt",
    "cp1/etc/kubernetes/admin.conf",
    "cp1/etc/kubernetes/manifests/kube-apiserver.yaml",
    "cp1/var/lib/etcd/member/high-water",
    "node1/etc/kubernetes/bootstrap-kubelet.conf",
    "node1/etc/kubernetes/kubelet.conf",
];
/// From here on there is a cluster.
const JOINING: usize = 5;
/// On a busy machine an `up` may be past a moment before it is killed. In so many directories one is begun with.
const DIRECTORIES: usize = 5;

/// Whether kubeadm has come to its end on the host with that file, and writes it no more.
fn is_past(dir: &Path, moment: &str) -> bool {
    let host = moment.split('/').next().unwrap();
    fs::read_to_string(dir.join(host).join("var/lib/chronoplane/kubeadm")).is_ok_and(|text| text == "done\n")
}

async fn is_made_after_all(flags: &[String], moments: &[&str]) {
    let mut late = String::new();
    for _ in 0..DIRECTORIES {
        match is_made_in_a_directory(flags, moments).await {
            Ok(()) => return,
            Err(why) => late = why,
        }
    }
    panic!("in {DIRECTORIES} directories no `up` was killed in the middle: {late}");
}

/// Kills a first `up` at each of the moments, one life after the other in one directory, then lets one live.
///
/// # Errors
/// One was past its moment: it shows nothing, and what it has made is in the way of the others.
async fn is_made_in_a_directory(flags: &[String], moments: &[&str]) -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let world = Real::new(root.path().join("workstation"), Block::reserve().unwrap());
    let host = world.host("workstation").unwrap();
    let configmaps = Resource::core("configmaps");
    let mut anew = 0;
    let mut early = None;
    for moment in moments {
        if is_past(&dir, moment) {
            return Err(format!("{moment}: the one before had come to the end of that host"));
        }
        // One that an earlier `up` has left says nothing of this one. It removes that itself, with all of the host.
        let file = dir.join(moment);
        if file.exists() {
            fs::remove_file(&file).unwrap();
        }
        let up = Up::spawn(&dir, flags);
        let is_there = until_every(GLANCE, &host, &format!("an `up` has written {moment}"), async || {
            if file.exists() { Some(true) } else { is_past(&dir, moment).then_some(false) }
        })
        .await;
        if is_there && MOMENTS.iter().position(|known| known == moment) == Some(JOINING) {
            let settings = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "early", "namespace": "default"},
            });
            let client = admin(&dir, &host);
            early = Some(client.create(&configmaps, Some("default"), &settings).await.unwrap());
        }
        let said = up.silence();
        if !is_there || said.contains(" Ready at ") {
            return Err(format!("{moment}: that one was not in the middle of it: {said}"));
        }
        anew += usize::from(said.contains("it is made anew"));
    }
    let up = Up::start(&dir, flags);
    anew += usize::from(up.said.iter().any(|line| line.contains("it is made anew")));
    assert!(anew > 0, "the control: something was left to be removed");
    let client = admin(&dir, &host);
    if let Some(early) = early {
        let now = client.get(&configmaps, Some("default"), "early").await.unwrap();
        assert_eq!(now, early, "what was written to the cluster before its nodes had joined");
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "work", "namespace": "default"},
        "spec": {"nodeName": "node1", "containers": [{"name": "main", "image": "pause"}]},
    });
    let pods = Resource::core("pods");
    client.create(&pods, Some("default"), &pod).await.unwrap();
    until(&host, "a pod runs", async || {
        let pod = client.get(&pods, Some("default"), "work").await.ok()?;
        (pod["status"]["phase"] == "Running").then_some(())
    })
    .await;
    Ok(())
}

async fn a_cluster_that_was_never_made_is_made_anew() {
    is_made_after_all(&[], &MOMENTS).await;
}

async fn a_cluster_of_many_processes_that_was_never_made_is_made_anew() {
    is_made_after_all(&["--processes".to_owned()], &MOMENTS[JOINING - 1..=JOINING]).await;
}

/// What is kept elsewhere cannot be emptied from here: it says so, and what to do.
async fn a_cluster_on_another_etcd_that_was_never_made_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (_world, host, files) = etcd_host(root.path());
    let (_etcd, flags) = Beside::start(ours(&host), &host, &files);
    let dir = root.path().join("data");
    let up = Up::spawn(&dir, &flags);
    let file = dir.join("cp1/etc/kubernetes/manifests/kube-apiserver.yaml");
    until(&host, "there is a manifest", async || file.exists().then_some(())).await;
    up.kill();
    let mut second = Up::spawn(&dir, &flags);
    let mut said = String::new();
    second.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(second.child.wait().unwrap().code(), Some(2), "{said}");
    let words =
        ["its etcd may hold a part of that", "remove what is below /registry there and the data directory"];
    assert!(words.iter().all(|words| said.contains(words)), "{said}");
}

pub const TESTS: &[(&str, fn())] = &[
    ("anew::a_cluster_that_was_never_made_is_made_anew", || {
        on_threads(a_cluster_that_was_never_made_is_made_anew())
    }),
    ("anew::a_cluster_of_many_processes_that_was_never_made_is_made_anew", || {
        on_threads(a_cluster_of_many_processes_that_was_never_made_is_made_anew())
    }),
    ("anew::a_cluster_on_another_etcd_that_was_never_made_is_refused", || {
        on_threads(a_cluster_on_another_etcd_that_was_never_made_is_refused())
    }),
];
