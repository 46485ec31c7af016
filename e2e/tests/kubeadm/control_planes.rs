//! A second control plane: uploaded certificates, an etcd on a host of its own.

use std::time::Duration;

use api::profile::Profile;
use chronoplane::{Cluster, Machinery, Sim, TaskLauncher};
use client::{Resource, Rest};
use pki::{kubeconfig::Kubeconfig, token::TokenSecret};
use world::Host;

use crate::common::*;

#[chronoplane::test(sparse)]
async fn uploaded_certificates_are_gone_after_two_hours(cluster: Cluster) {
    let (cp, rest) = (control_plane(&cluster), cluster.admin());
    let secrets = Resource::core("secrets");
    let there =
        async || rest.get_opt(&secrets, Some("kube-system"), "kubeadm-certs").await.expect("an answer");
    let words = cluster.kubeadm(&cp, &["init", "phase", "upload-certs"]).await.expect("nothing to do");
    assert_eq!(words, "[upload-certs] Skipping phase. Please see --upload-certs\n");
    let words =
        cluster.kubeadm(&cp, &["init", "phase", "upload-certs", "--upload-certs"]).await.expect("stored");
    let lines: Vec<&str> = words.lines().collect();
    let storing = "[upload-certs] Storing the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace";
    assert_eq!(lines[..2], [storing, "[upload-certs] Using certificate key:"], "{words}");
    assert_eq!(lines[2].len(), 64, "{words}");

    let stored = there().await.expect("stored");
    let keys: Vec<&String> = stored["data"].as_object().expect("data").keys().collect();
    assert_eq!(keys.len(), 8, "{keys:?}");
    assert!(keys.iter().any(|key| *key == "etcd-ca.key"), "{keys:?}");
    let owner = stored["metadata"]["ownerReferences"][0]["name"].as_str().expect("an owner").to_owned();
    let token = rest.get(&secrets, Some("kube-system"), &owner).await.expect("the token that owns it");
    let token = TokenSecret::from_object(&token).expect("readable");
    assert!(!token.signing && !token.authentication, "it opens no door");
    let listed = cluster.kubeadm(&cp, &["token", "list"]).await.expect("listed");
    let row =
        listed.lines().find(|line| line.contains("Proxy for managing TTL for the kubeadm-certs secret"));
    assert!(
        row.is_some_and(|row| row.contains("<none>") && ["1h", "2h"].iter().any(|left| row.contains(left))),
        "{listed}"
    );

    let end = token.expiration.expect("after two hours");
    sleep_until_before(&cluster, end, Duration::from_secs(1)).await;
    assert!(there().await.is_some(), "one second before");
    cluster.sim().elapse(Duration::from_secs(2)).await;
    chronoplane::cluster::wait_for(&cp, "the garbage collector took it", async || {
        there().await.is_none().then_some(())
    })
    .await
    .expect("gone with its owner");
}

/// An etcd on a host of its own, made with kubeadm's phases as its documentation has it.
pub async fn etcd_host(sim: &Sim) -> Host {
    let host = sim.host("etcd1");
    for part in ["etcd-ca", "etcd-server", "etcd-peer", "apiserver-etcd-client"] {
        let args = ["init", "phase", "certs", part, "--encryption-algorithm=ECDSA-P256"];
        kubeadm(&host, &args).await.expect("made");
    }
    kubeadm(&host, &["init", "phase", "etcd", "local"]).await.expect("written");
    let manifest = host.disk().read_to_string("/etc/kubernetes/manifests/etcd.yaml").expect("there");
    let pod: serde_json::Value = serde_saphyr::from_str(&manifest).expect("YAML");
    let command = pod["spec"]["containers"][0]["command"].as_array().expect("a command");
    let args = command.iter().skip(1).map(|arg| arg.as_str().expect("text").to_owned()).collect();
    let process = host.process("etcd");
    let inner = process.host().clone();
    process.host().spawn(store::server::run(inner, args));
    host
}

/// A first control plane with that etcd; what its init printed.
async fn first_control_plane(etcd: &Host, cp: &Host) -> String {
    for file in ["etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"] {
        let path = format!("/etc/kubernetes/pki/{file}");
        cp.disk().write(&path, etcd.disk().read(&path).expect("made"), 0o600).expect("copied");
    }
    let pki = "/etc/kubernetes/pki";
    let configuration = serde_json::json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "controlPlaneEndpoint": format!("{}:6443", cp.net().address()),
        "encryptionAlgorithm": "ECDSA-P256",
        "etcd": {"external": {
            "caFile": format!("{pki}/etcd/ca.crt"),
            "certFile": format!("{pki}/apiserver-etcd-client.crt"),
            "endpoints": [format!("https://{}:2379", etcd.net().address())],
            "keyFile": format!("{pki}/apiserver-etcd-client.key"),
        }},
        "kind": "ClusterConfiguration",
    });
    cp.disk().write("/root/kubeadm.yaml", configuration.to_string(), 0o600).expect("written");
    Machinery::tasks(TaskLauncher::default()).install(cp, Profile::default());
    kubeadm(cp, &["init", "--config=/root/kubeadm.yaml", "--upload-certs"]).await.expect("made")
}

#[chronoplane::test]
async fn a_second_control_plane_joins_with_the_uploaded_certificates(sim: Sim) {
    let (etcd, cp1, cp2) = (etcd_host(&sim).await, sim.host("cp1"), sim.host("cp2"));
    let printed = first_control_plane(&etcd, &cp1).await;
    assert!(
        printed.contains("[certs] External etcd mode: Skipping etcd/ca certificate authority generation"),
        "{printed}"
    );
    let command = printed.split("running the following command on each as root:").nth(1).expect("a command");
    let command: Vec<&str> =
        command.split_whitespace().filter(|word| *word != "\\").skip(1).take(8).collect();
    assert_eq!(command[6], "--control-plane", "{command:?}");

    let zeros = "0".repeat(64);
    Machinery::tasks(TaskLauncher::default()).install(&cp2, Profile::default());
    let key = printed
        .split("--certificate-key ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .expect("a key");
    let with_key = |key| {
        let mut args = command[..7].to_vec();
        args.extend(["--certificate-key", key]);
        args
    };
    let words = kubeadm(&cp2, &with_key(&zeros)).await.expect_err("another key").to_string();
    assert!(
        words.contains("error decoding secret data with provided key: cipher: message authentication failed"),
        "{words}"
    );
    assert!(!cp2.disk().exists("/etc/kubernetes/pki/ca.key"), "nothing was written");

    let words = kubeadm(&cp2, &with_key(key)).await.expect("joined");
    for line in [
        "[download-certs] Saving the certificates to the folder: \"/etc/kubernetes/pki\"\n",
        "[certs] Using the existing \"sa\" key\n",
        "This node has joined the cluster and a new control plane instance was created:\n",
    ] {
        assert!(words.contains(line), "{line}: {words}");
    }
    for path in ["/etc/kubernetes/super-admin.conf", "/etc/kubernetes/manifests/etcd.yaml"] {
        assert!(!cp2.disk().exists(path), "{path}");
    }
    assert_eq!(cp2.disk().read("/etc/kubernetes/pki/sa.key"), cp1.disk().read("/etc/kubernetes/pki/sa.key"));
    let own = certificate(&cp2, "/etc/kubernetes/pki/apiserver.crt");
    assert!(own.ip_addresses().contains(&cp2.net().address()), "{:?}", own.ip_addresses());
    // The second apiserver is asked, not the first.
    let mut config = Kubeconfig::load(cp2.disk(), "/etc/kubernetes/admin.conf").expect("there");
    config.clusters[0].cluster.server = format!("https://{}:6443", cp2.net().address());
    let rest = Rest::from_kubeconfig(&cp2, &config, Profile::default().go(), "kubectl").expect("a client");
    chronoplane::cluster::nodes_ready(&cp2, &rest, 2).await.expect("both");
    let node = rest.get(&Resource::core("nodes"), None, "cp2").await.expect("there");
    assert_eq!(node["spec"]["taints"][0]["key"], "node-role.kubernetes.io/control-plane");
    let table = kubeadm(&cp2, &["certs", "check-expiration"]).await.expect("printed");
    assert!(!table.contains("etcd"), "{table}");
}

#[chronoplane::test]
async fn a_cluster_without_an_endpoint_takes_no_second_control_plane(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let mut join = arguments(&printed);
    join.push("--control-plane");
    let host = fresh(&cluster, "cp2");
    let words = refusal(&cluster, &host, &join).await;
    for line in [
        "One or more conditions for hosting a new control plane instance is not satisfied.",
        "[unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address]",
    ] {
        assert!(words.contains(line), "{words}");
    }
    let endpoint = format!("--control-plane-endpoint={}", cp.net().address());
    cluster.kubeadm(&cp, &["init", "phase", "upload-config", "kubeadm", &endpoint]).await.expect("stored");
    let words = refusal(&cluster, &host, &join).await;
    let missing = "[failure loading certificate for CA: couldn't load the certificate file /etc/kubernetes/pki/ca.crt: \
                   open /etc/kubernetes/pki/ca.crt: no such file or directory, failure loading key for service account:";
    assert!(words.contains(missing), "{words}");
    assert!(!host.disk().exists("/etc/kubernetes/manifests/kube-apiserver.yaml"), "nothing was written");
}
