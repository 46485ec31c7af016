//! Upgrades of releases that are long gone: their words, their files, the marks of their control planes.

use std::time::Duration;

use chronoplane::Cluster;
use client::Resource;

use crate::{
    common::*,
    upgrade::{MANIFESTS, install_kubelet},
};

#[chronoplane::test(version = "1.28")]
async fn an_older_release_speaks_its_own_words(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let said = kubeadm(&cp, &["upgrade", "apply", "v1.29.0", "-y"]).await.expect("upgraded");
    for line in [
        "[upgrade/config] Making sure the configuration is correct:\n[upgrade/config] Reading configuration from the cluster...\n[upgrade/config] FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'\n[preflight] Running pre-flight checks.\n[upgrade] Running cluster health checks\n[upgrade/version] You have chosen to change the cluster version to \"v1.29.0\"\n",
        "[upgrade/apply] Upgrading your Static Pod-hosted control plane to version \"v1.29.0\" (timeout: 5m0s)...\n[upgrade/etcd] Upgrading to TLS for etcd\n[upgrade/staticpods] Preparing for \"etcd\" upgrade\n",
        "[upgrade/staticpods] This might take a minute or longer depending on the component/version gap (timeout 5m0s)\n",
        "\n[upgrade/successful] SUCCESS! Your cluster was upgraded to \"v1.29.0\". Enjoy!\n\n[upgrade/kubelet] Now that your control plane is upgraded, please proceed with upgrading your kubelets if you haven't already done so.\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // The controllers lead again a while after they were exchanged.
    cluster.sim().elapse(Duration::from_secs(60)).await;
    let refused =
        kubeadm(&cp, &["upgrade", "apply", "v1.31.0", "-y"]).await.expect_err("too far").to_string();
    assert!(
        refused.contains(
            "[upgrade/version] FATAL: the --version argument is invalid due to these fatal errors:"
        ),
        "{refused}"
    );
}

/// Before 1.30 such a file was the cluster's configuration, and changed it on the way.
#[chronoplane::test(version = "1.28")]
async fn an_older_release_took_the_clusters_configuration_from_a_file(cluster: Cluster) {
    let cp = control_plane(&cluster);
    let text = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nkubernetesVersion: v1.29.0\n\
                scheduler:\n  extraArgs: {v: \"3\"}\n";
    cp.disk().write("/root/kubeadm.yaml", text, 0o600).expect("written");
    let args = ["upgrade", "apply", "v1.29.0", "-y", "--config=/root/kubeadm.yaml"];
    let said = kubeadm(&cp, &args).await.expect("upgraded");
    let warning = "WARNING: Usage of the --config flag with kubeadm config types for reconfiguring the cluster during \
                   upgrade is not recommended!\n";
    assert!(said.contains(warning), "{said}");
    let manifest = cp.disk().read_to_string(format!("{MANIFESTS}/kube-scheduler.yaml")).expect("there");
    assert!(manifest.contains("--v=3"), "{manifest}");

    // From 1.30 on it is warned about and changes nothing.
    let text = text.replace("v1.29.0", "v1.30.0").replace("\"3\"", "\"4\"");
    cp.disk().write("/root/kubeadm.yaml", text, 0o600).expect("written");
    cluster.sim().elapse(Duration::from_secs(60)).await;
    let args = ["upgrade", "apply", "v1.30.0", "--force", "--config=/root/kubeadm.yaml"];
    let said = kubeadm(&cp, &args).await.expect_err("mixed").to_string();
    assert!(said.contains("can not mix '--config' with arguments [force]"), "{said}");
    let said =
        kubeadm(&cp, &["upgrade", "plan", "v1.30.0", "--config=/root/kubeadm.yaml"]).await.expect("told");
    let warning = "[config] WARNING: YAML document with GroupVersionKind kubeadm.k8s.io/v1beta3, Kind=ClusterConfiguration \
                   is deprecated for upgrade, please use config file with kind of UpgradeConfiguration instead \n";
    assert!(said.contains(warning), "{said}");
}

#[chronoplane::test(version = "1.23")]
async fn control_planes_are_marked_as_the_new_release_marks_them(cluster: Cluster) {
    let (cp, rest) = (control_plane(&cluster), cluster.admin());
    let marks = async || {
        let node = rest.get(&Resource::core("nodes"), None, "cp1").await.expect("there");
        let labels = node["metadata"]["labels"].as_object().expect("labels").keys();
        let roles: Vec<String> = labels
            .filter_map(|label| label.strip_prefix("node-role.kubernetes.io/"))
            .map(str::to_owned)
            .collect();
        let taints = node["spec"]["taints"].as_array().expect("taints").iter();
        let mut taints: Vec<String> = taints
            .filter_map(|taint| taint["key"].as_str()?.strip_prefix("node-role.kubernetes.io/"))
            .map(str::to_owned)
            .collect();
        taints.sort();
        (roles, taints)
    };
    let (roles, taints) = marks().await;
    assert!(roles.contains(&"master".to_owned()) && taints == ["master"], "{roles:?} {taints:?}");
    for (version, line, left) in [
        (
            "v1.24.0",
            "[upgrade/postupgrade] Removing the deprecated label node-role.kubernetes.io/master='' from all control plane Nodes.",
            vec!["control-plane", "master"],
        ),
        (
            "v1.25.0",
            "[upgrade/postupgrade] Removing the old taint node-role.kubernetes.io/master:NoSchedule from all control plane Nodes.",
            vec!["control-plane"],
        ),
    ] {
        let said = kubeadm(&cp, &["upgrade", "apply", version, "-y"]).await.expect("upgraded");
        assert!(said.contains(line), "{said}");
        let (roles, taints) = marks().await;
        assert_eq!(
            (roles, taints),
            (vec!["control-plane".to_owned()], left.into_iter().map(str::to_owned).collect()),
            "{version}"
        );
        install_kubelet(&cp, version).await;
        cluster.nodes_ready().await.expect("again");
        // The controllers lead again a while after their node was restarted.
        cluster.sim().elapse(Duration::from_secs(60)).await;
    }
}
