//! `--dry-run`: everything is told, nothing is changed; the control runs change it.

use api::profile::Profile;
use chronoplane::{Cluster, Machinery, Sim, TaskLauncher};
use client::Resource;

use crate::common::*;

#[chronoplane::test]
async fn a_dry_init_tells_all_and_changes_nothing(sim: Sim) {
    let cp = sim.host("cp1");
    Machinery::tasks(TaskLauncher::default()).install(&cp, Profile::default());
    cp.disk().write("/etc/motd", "hello\n", 0o644).expect("written");
    let before = tree(&cp);
    let args = ["init", "--dry-run", "--encryption-algorithm=ECDSA-P256", "--upload-certs"];
    let words = kubeadm(&cp, &args).await.expect("told");
    assert_eq!(tree(&cp), before, "nothing but the directory of the run");
    assert!(!cp.services().is_active("kubelet"), "the kubelet was not started");

    let dirs = dry_runs(&cp);
    let [dir] = dirs.as_slice() else { panic!("{dirs:?}") };
    assert!(dir.starts_with("/etc/kubernetes/tmp/kubeadm-init-dryrun"), "{dir}");
    for (file, mode) in [
        ("ca.crt", 0o644),
        ("ca.key", 0o600),
        ("etcd/server.crt", 0o644),
        ("admin.conf", 0o600),
        ("kube-apiserver.yaml", 0o600),
        ("etcd.yaml", 0o600),
        ("config.yaml", 0o644),
        ("kubeadm-flags.env", 0o644),
    ] {
        assert_eq!(cp.disk().stat(format!("{dir}/{file}")).map(|stat| stat.mode), Some(mode), "{file}");
    }
    for line in [
        "[preflight] Would pull the required images (like 'kubeadm config images pull')\n".to_owned(),
        "[kubelet-start] Would stop the kubelet\n".into(),
        "[kubelet-start] Would start the kubelet\n".into(),
        format!(
            "[dryrun] Wrote certificates, kubeconfig files, control plane manifests and kubelet configuration to the {dir:?} \
             directory\n"
        ),
        "[dryrun] Would write file \"/etc/kubernetes/manifests/kube-apiserver.yaml\" with content:\n\tapiVersion: v1\n"
            .into(),
        "[dryrun] Would wait for the API Server's /healthz endpoint to return 'ok'\n".into(),
        "[dryrun] Would perform action CREATE on resource \"configmaps\" in API group \"core/v1\"\n".into(),
        "[dryrun] Would perform action CREATE on resource \"clusterrolebindings\" in API group \
         \"rbac.authorization.k8s.io/v1\"\n"
            .into(),
        "[dryrun] Would perform action PATCH on resource \"nodes\" in API group \"core/v1\"\n[dryrun] Resource name \
         \"cp1\", namespace \"\"\n"
            .into(),
        "[dryrun] Would perform action CREATE on resource \"deployments\" in API group \"apps/v1\"\n".into(),
        "[dryrun] Finished dry-running successfully. Above are the resources that would be created\n".into(),
    ] {
        assert!(words.contains(&line), "{line}: {words}");
    }
    assert!(!words.contains("BEGIN RSA") && !words.contains("client-key-data"), "secrets stay unshown");
    kubeadm(&cp, &args[..1].iter().chain(&args[2..3]).copied().collect::<Vec<_>>()).await.expect("for real");
    assert_ne!(tree(&cp), before, "the control run does");
}

#[chronoplane::test(nodes = 1)]
async fn a_dry_join_and_a_dry_reset_leave_host_and_cluster_as_they_are(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let printed = cluster.kubeadm(&cp, &["token", "create", "--print-join-command"]).await.expect("made");
    let fresh = fresh(&cluster, "node2");
    let before = tree(&fresh);
    let mut join = arguments(&printed);
    join.push("--dry-run");
    let words = cluster.kubeadm(&fresh, &join).await.expect("told");
    assert_eq!(tree(&fresh), before);
    let nodes = Resource::core("nodes");
    let there = async || cluster.admin().get_opt(&nodes, None, "node2").await.expect("an answer").is_some();
    assert!(!there().await && !fresh.services().is_active("kubelet"));
    for line in [
        "[kubelet-start] Would start the kubelet\n",
        "[kubelet-wait] Would wait for the kubelet to be bootstrapped\n",
        "[dryrun] Would write file \"/var/lib/kubelet/config.yaml\" with content:\n",
    ] {
        assert!(words.contains(line), "{line}: {words}");
    }
    let dirs = dry_runs(&fresh);
    assert!(dirs[0].contains("/kubeadm-join-dryrun"), "{dirs:?}");
    assert!(fresh.disk().exists(format!("{}/bootstrap-kubelet.conf", dirs[0])));
    join.pop();
    cluster.kubeadm(&fresh, &join).await.expect("the control run joins");
    assert!(there().await);

    let node = cluster.sim().host("node1");
    let names = |host| tree(host).into_keys().collect::<Vec<_>>();
    let before = names(&node);
    let words = cluster.kubeadm(&node, &["reset", "--dry-run", "--force"]).await.expect("told");
    assert!(words.contains("[reset] Would stop the kubelet service\n"), "{words}");
    assert!(node.services().is_active("kubelet"));
    assert_eq!(names(&node), before);
    cluster.kubeadm(&node, &["reset", "--force"]).await.expect("the control run");
    assert_ne!(names(&node), before);
}
