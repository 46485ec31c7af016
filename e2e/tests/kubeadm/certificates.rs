//! Certificates on disk: when they end, who renews them, and authorities kept elsewhere.

use std::time::Duration;

use api::profile::Profile;
use chronoplane::{Cluster, Machinery, Sim, TaskLauncher};
use client::{ListParams, Resource, Rest};
use pki::{csr::Csr, kubeconfig::Kubeconfig};

use crate::common::*;

const RENEWED: &[&str] = &[
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/pki/apiserver.crt",
    "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "/etc/kubernetes/pki/apiserver-kubelet-client.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
    "/etc/kubernetes/pki/etcd/peer.crt",
    "/etc/kubernetes/pki/etcd/server.crt",
    "/etc/kubernetes/pki/front-proxy-client.crt",
];
const KEPT: &[&str] = &[
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/front-proxy-ca.crt",
    "/etc/kubernetes/pki/sa.key",
    "/etc/kubernetes/kubelet.conf",
];

#[chronoplane::test(sparse)]
async fn after_300_days_every_certificate_is_renewed_for_a_year(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let made = certificate(&cp, "/etc/kubernetes/pki/apiserver.crt");
    cluster.sim().elapse(DAY * 300).await;
    let table = cluster.kubeadm(&cp, &["certs", "check-expiration"]).await.expect("printed");
    let lines: Vec<&str> = table.lines().collect();
    let reading = "[check-expiration] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...";
    assert_eq!(lines[0], reading, "{table}");
    assert!(!table.contains("Error reading configuration"), "{table}");
    let residual = |name: &str| {
        let row = lines
            .iter()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap_or_else(|| panic!("{table}"));
        row.split_whitespace().nth(6).unwrap_or_default().to_owned()
    };
    for (name, left) in [("apiserver", "64d"), ("super-admin.conf", "64d"), ("etcd-ca", "9y")] {
        assert_eq!(residual(name), left, "{name}: {table}");
    }

    let bytes = |path: &&str| cp.disk().read(path).expect("there");
    let kept: Vec<_> = KEPT.iter().map(bytes).collect();
    let old: Vec<_> = RENEWED.iter().map(|path| certificate(&cp, path)).collect();
    let now = cp.clock().wall();
    let words = cluster.kubeadm(&cp, &["certs", "renew", "all"]).await.expect("renewed");
    assert!(words.contains("\ncertificate for serving the Kubernetes API renewed\n"), "{words}");
    assert_eq!(words.matches(" renewed\n").count(), RENEWED.len(), "{words}");
    assert!(words.contains("\nDone renewing certificates. You must restart the kube-apiserver,"), "{words}");
    for (path, old) in RENEWED.iter().zip(&old) {
        let new = certificate(&cp, path);
        assert_eq!(new.subject_der(), old.subject_der(), "{path}");
        assert_eq!((new.dns_names(), new.ip_addresses()), (old.dns_names(), old.ip_addresses()), "{path}");
        assert_eq!(new.usages(), old.usages(), "{path}");
        assert_ne!(new.public_key(), old.public_key(), "{path}: a new key");
        let year = new.not_after().duration_since(now).as_secs();
        assert!((365 * 86_400 - 5..=365 * 86_400).contains(&year), "{path}: {year} s left");
        assert_eq!(now.duration_since(new.not_before()).as_secs(), 300, "{path}: five minutes before");
    }
    assert_eq!(
        KEPT.iter().map(bytes).collect::<Vec<_>>(),
        kept,
        "authorities and the kubelet's own are left"
    );

    cluster.restart_apiserver().await.expect("comes back with the new files");
    cluster.nodes_ready().await.expect("and serves");
    let end = certificate(&cp, "/etc/kubernetes/pki/apiserver.crt").not_after();
    assert!(end > made.not_after() + DAY * 299, "{end}");
}

#[chronoplane::test]
async fn what_cannot_be_renewed_is_named(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let disk = cp.disk();
    disk.remove("/etc/kubernetes/pki/front-proxy-ca.key").expect("there");
    disk.remove("/etc/kubernetes/scheduler.conf").expect("there");
    let table = cluster.kubeadm(&cp, &["certs", "check-expiration"]).await.expect("printed");
    assert!(table.contains("!MISSING! scheduler.conf"), "{table}");
    let external =
        |name: &str| table.lines().filter(|l| l.starts_with(name)).all(|l| l.trim_end().ends_with(" yes"));
    assert!(external("front-proxy-") && !external("apiserver "), "{table}");
    for (name, words) in [
        (
            "front-proxy-client",
            "Detected external front-proxy-ca, certificate for the front proxy client can't be renewed\n",
        ),
        (
            "scheduler.conf",
            "MISSING! certificate embedded in the kubeconfig file for the scheduler manager to use\n",
        ),
        ("etcd-server", "certificate for serving etcd renewed\n"),
    ] {
        let said = cluster.kubeadm(&cp, &["certs", "renew", name]).await.expect("said");
        assert!(said.ends_with(words), "{name}: {said}");
    }
    disk.write("/etc/kubernetes/pki/ca.crt", "-----BEGIN CERTIFICATE-----\nMIIB", 0o644).expect("written");
    let words = refusal(&cluster, &cp, &["certs", "renew", "apiserver"]).await;
    assert!(
        words.contains("failed to renew certificate apiserver: failure loading ca certificate authority"),
        "{words}"
    );
    assert!(words.contains("/etc/kubernetes/pki/ca.crt"), "{words}");
    let words = refusal(&cluster, &cp, &["certs", "renew", "kubelet.conf"]).await;
    assert!(words.contains("\"kubelet.conf\"") && words.contains("name one of all, admin.conf"), "{words}");
}

#[chronoplane::test]
async fn requests_for_an_authority_elsewhere_name_what_init_would_sign(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let args = ["certs", "generate-csr", "--cert-dir=/tmp/pki", "--kubeconfig-dir=/tmp/conf"];
    let words = cluster.kubeadm(&cp, &args).await.expect("written");
    assert!(words.starts_with("generating keys and CSRs in /tmp/pki\n  apiserver\n"), "{words}");
    let csr = Csr::parse(&cp.disk().read("/tmp/pki/apiserver.csr").expect("there")).expect("a request");
    let signed = certificate(&cp, "/etc/kubernetes/pki/apiserver.crt");
    assert_eq!((csr.common_name(), csr.dns_names()), (signed.subject_cn(), signed.dns_names()));
    assert_eq!(csr.ips(), signed.ip_addresses());
    let csr = Csr::parse(&cp.disk().read("/tmp/conf/admin.conf.csr").expect("there")).expect("a request");
    assert_eq!(csr.organizations(), ["kubeadm:cluster-admins"]);
    assert!(refusal(&cluster, &cp, &args).await.contains("already exists"), "a key is never overwritten");
    let key = cluster.kubeadm(&cp, &["certs", "certificate-key"]).await.expect("printed");
    assert!(key.trim().len() == 64 && key.trim().bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
}

#[chronoplane::test(sparse)]
async fn a_user_of_ones_own_gets_a_kubeconfig(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let args = ["kubeconfig", "user", "--client-name=jane", "--org=system:masters", "--validity-period=24h"];
    let text = cluster.kubeadm(&cp, &args).await.expect("printed");
    let config = Kubeconfig::parse(&text, None).expect("a kubeconfig");
    let rest = Rest::from_kubeconfig(&cp, &config, Profile::default().go(), "kubectl").expect("a client");
    chronoplane::cluster::nodes_ready(&cp, &rest, 1).await.expect("let in");
    let pair = config.client_pair(cp.disk()).expect("readable").expect("embedded");
    let end = pair.leaf().expect("a leaf").not_after();
    sleep_until_before(&cluster, end, Duration::from_secs(1)).await;
    rest.list(&Resource::core("nodes"), None, &ListParams::default()).await.expect("one second before");
    cluster.sim().elapse(Duration::from_secs(3)).await;
    let late = Rest::from_kubeconfig(&cp, &config, Profile::default().go(), "kubectl").expect("a client");
    late.list(&Resource::core("nodes"), None, &ListParams::default()).await.expect_err("after its end");
}

#[chronoplane::test(sparse)]
async fn an_authority_kept_elsewhere_makes_a_cluster_that_signs_nothing(sim: Sim) {
    let cp = sim.host("cp1");
    let algorithm = "--encryption-algorithm=ECDSA-P256";
    for phase in ["certs", "kubeconfig"] {
        kubeadm(&cp, &["init", "phase", phase, "all", algorithm]).await.expect("made");
    }
    for key in ["ca", "front-proxy-ca"] {
        cp.disk().remove(format!("/etc/kubernetes/pki/{key}.key")).expect("there");
    }
    Machinery::tasks(TaskLauncher::default()).install(&cp, Profile::default());
    let conf = "/etc/kubernetes/scheduler.conf";
    let kept = cp.disk().read(conf).expect("there");
    cp.disk().remove(conf).expect("removed");
    let words = kubeadm(&cp, &["init", algorithm]).await.expect_err("incomplete").to_string();
    assert!(
        words.contains(
            "error execution phase kubeconfig: the scheduler.conf file does not exists or it is not valid:"
        ),
        "{words}"
    );
    cp.disk().write(conf, kept, 0o600).expect("back");
    let words = kubeadm(&cp, &["init", algorithm]).await.expect("complete");
    assert!(words.contains("[certs] Using existing ca keyless certificate authority\n"), "{words}");
    let manifest = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
    let manifest = cp.disk().read_to_string(manifest).expect("there");
    assert!(manifest.contains("--cluster-signing-key-file=\n"), "{manifest}");
    let printed = kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let node = sim.host("node1");
    Machinery::tasks(TaskLauncher::default()).install(&node, Profile::default());
    let words = kubeadm(&node, &arguments(&printed)).await.expect_err("nobody signs").to_string();
    assert!(
        words.contains("error execution phase kubelet-wait-bootstrap: context deadline exceeded"),
        "{words}"
    );
    let words = kubeadm(&cp, &["init", "phase", "upload-certs", "--upload-certs"]).await.expect_err("no key");
    assert!(words.to_string().contains("can't use upload-certs with an external CA"), "{words}");
}

#[chronoplane::test(version = "1.28")]
async fn an_older_release_knows_no_super_admin(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let words = cluster.kubeadm(&cp, &["certs", "renew", "all"]).await.expect("renewed");
    assert_eq!(words.matches(" renewed\n").count(), RENEWED.len() - 1, "{words}");
    assert!(!words.contains("super-admin") && !words.contains("MISSING!"), "{words}");
    let start = |path: &str| certificate(&cp, path).not_before();
    assert_eq!(
        start("/etc/kubernetes/pki/apiserver.crt"),
        start("/etc/kubernetes/pki/ca.crt"),
        "leaves began with their authority then"
    );
    let words = cluster.kubeadm(&cp, &["reset", "--dry-run", "--force"]).await.expect("told");
    assert!(
        words.contains(
            "[reset] Would delete files: [/etc/kubernetes/admin.conf /etc/kubernetes/kubelet.conf "
        ),
        "{words}"
    );
    assert!(cp.disk().exists("/etc/kubernetes/admin.conf") && cp.services().is_active("kubelet"));
    let words = cluster.kubeadm(&cp, &["config", "print", "init-defaults"]).await.expect("printed");
    assert!(
        words.contains("\napiVersion: kubeadm.k8s.io/v1beta3\n")
            || words.starts_with("apiVersion: kubeadm.k8s.io/v1beta3\n"),
        "{words}"
    );
}
