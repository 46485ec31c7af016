//! A further control plane step by step: told only, then each phase and part of `join` alone.

use api::profile::Profile;
use chronoplane::Sim;
use client::Resource;
use world::{FileKind, Host};

use crate::{common::*, stacked::Stacked};

/// Every file of a host below a directory, but those of dry runs.
fn files(host: &Host, dir: &str) -> Vec<String> {
    let (mut found, mut todo) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = todo.pop() {
        for name in host.disk().list(&dir).unwrap_or_default() {
            let path = format!("{dir}/{name}");
            match host.disk().stat(&path).map(|stat| stat.kind) {
                Some(FileKind::Dir) if path == "/etc/kubernetes/tmp" => {}
                Some(FileKind::Dir) => todo.push(path),
                _ => found.push(path),
            }
        }
    }
    found.sort();
    found
}

async fn is_node(cluster: &Stacked, name: &str) -> bool {
    cluster.kubectl().get_opt(&Resource::core("nodes"), None, name).await.expect("an answer").is_some()
}

#[chronoplane::test]
async fn a_dry_join_of_a_control_plane_leaves_all_as_it_is(sim: Sim) {
    let cluster = Stacked::init(&sim, Profile::default()).await;
    let cp2 = &cluster.hosts[1];
    let before = files(cp2, "/etc/kubernetes");
    let mut args: Vec<&str> = cluster.join.iter().map(String::as_str).collect();
    args.push("--dry-run");
    let said = kubeadm(cp2, cluster.profile, &args).await.expect("told");
    for line in [
        "[download-certs] Downloading the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n",
        "[control-plane] Creating static Pod manifest for \"kube-apiserver\"\n",
        "[kubelet-start] Would start the kubelet\n",
        "[dryrun] Finished dry-running successfully. Above are the resources that would be created\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("client-key-data") && !said.contains("BEGIN"), "secrets stay unshown: {said}");
    assert_eq!(files(cp2, "/etc/kubernetes"), before);
    assert!(!is_node(&cluster, "cp2").await && !cp2.services().is_active("kubelet"));
    let added = sim.events().iter().any(|e| e.kind == "etcd" && e.fields.iter().any(|(k, _)| *k == "added"));
    assert!(!added, "no member joined");
    cluster.join(1).await;
    assert!(is_node(&cluster, "cp2").await, "the control run joins");
}

/// Every phase alone, in the order of the release, and what each leaves behind.
#[chronoplane::test]
async fn a_control_plane_joins_part_by_part(sim: Sim) {
    let cluster = Stacked::init(&sim, Profile::default()).await;
    step_by_step(
        &cluster,
        &[
            ("preflight", "", None),
            ("control-plane-prepare", "download-certs", Some("/etc/kubernetes/pki/ca.key")),
            ("control-plane-prepare", "certs", Some("/etc/kubernetes/pki/apiserver.crt")),
            ("control-plane-prepare", "kubeconfig", Some("/etc/kubernetes/admin.conf")),
            ("control-plane-prepare", "control-plane", Some("/etc/kubernetes/manifests/kube-apiserver.yaml")),
            ("check-etcd", "", None),
            ("kubelet-start", "", Some("/var/lib/kubelet/config.yaml")),
            ("etcd-join", "", Some("/etc/kubernetes/manifests/etcd.yaml")),
            // As soon as there is an apiserver here the kubelet asks it for a certificate.
            ("kubelet-wait-bootstrap", "", None),
            ("control-plane-join", "mark-control-plane", None),
            ("wait-control-plane", "", None),
        ],
    )
    .await;
}

/// Before 1.33 the member was a part of `control-plane-join`.
#[chronoplane::test]
async fn in_an_older_release_the_member_is_a_part_too(sim: Sim) {
    let cluster = Stacked::init(&sim, Profile::of_minor(31).expect("known")).await;
    step_by_step(
        &cluster,
        &[
            ("preflight", "", None),
            ("control-plane-prepare", "all", Some("/etc/kubernetes/manifests/kube-scheduler.yaml")),
            ("check-etcd", "", None),
            ("kubelet-start", "", Some("/etc/kubernetes/kubelet.conf")),
            ("control-plane-join", "etcd", Some("/etc/kubernetes/manifests/etcd.yaml")),
            ("control-plane-join", "mark-control-plane", None),
            ("wait-control-plane", "", None),
        ],
    )
    .await;
}

async fn step_by_step(cluster: &Stacked, steps: &[(&str, &str, Option<&str>)]) {
    let host = &cluster.hosts[1];
    for (phase, part, makes) in steps {
        if let Some(path) = makes {
            assert!(!host.disk().exists(path), "{phase} {part}: {path} comes of this step");
        }
        let mut args = vec!["join", "phase", phase];
        args.extend(Some(*part).filter(|part| !part.is_empty()));
        args.extend(cluster.join[1..].iter().map(String::as_str));
        kubeadm(host, cluster.profile, &args).await.unwrap_or_else(|e| panic!("{phase} {part}: {e}"));
        if let Some(path) = makes {
            assert!(host.disk().exists(path), "{phase} {part}: {path}");
        }
    }
    let node = cluster.kubectl().get(&Resource::core("nodes"), None, "cp2").await.expect("a node");
    assert!(host.disk().exists("/etc/kubernetes/kubelet.conf"), "the kubelet has its certificate");
    let labels = node["metadata"]["labels"].as_object().expect("labels");
    assert!(labels.contains_key("node-role.kubernetes.io/control-plane"), "{node}");
    chronoplane::cluster::nodes_ready(&cluster.sim.host("workstation"), &cluster.kubectl(), 2)
        .await
        .expect("both");
}
