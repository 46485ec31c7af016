//! How `kubeadm init` and `join` go about it, and in which form they keep their configuration.

use std::time::Duration;

use crate::profile::ConfigFormat;

facts! {
    /// The phases of `kubeadm init`, in order (`cmd/kubeadm/app/cmd/init.go`).
    // kubernetes/kubernetes: 17 is #84118, 19 is #90892, 26 is #111512, 28 is #117984.
    init_phases: &'static [&'static str] = "phases of kubeadm init" {
        8 => &["preflight", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane", "upload-config",
            "mark-control-plane", "bootstrap-token", "addon", "self-hosting"],
        9 => &["preflight", "certs", "kubeconfig", "control-plane", "etcd", "kubelet-base-config",
            "wait-control-plane", "dynamic-kubelet-config", "upload-config", "mark-control-plane", "bootstrap-token",
            "addon", "self-hosting"],
        11 => &["preflight", "kubelet-start", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "mark-control-plane", "dynamic-kubelet-config", "bootstrap-token", "addon",
            "self-hosting"],
        13 => &["preflight", "kubelet-start", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "mark-control-plane", "bootstrap-token", "addon"],
        14 => &["preflight", "kubelet-start", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "addon"],
        17 => &["preflight", "kubelet-start", "certs", "kubeconfig", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon"],
        19 => &["preflight", "certs", "kubeconfig", "kubelet-start", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon"],
        26 => &["preflight", "certs", "kubeconfig", "kubelet-start", "control-plane", "etcd", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon",
            "show-join-command"],
        28 => &["preflight", "certs", "kubeconfig", "etcd", "control-plane", "kubelet-start", "wait-control-plane",
            "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon",
            "show-join-command"],
    }

    /// Whether kubeadm can turn its static pods into a self-hosted control plane by `alpha phase`.
    self_hosting_phase: bool = "kubeadm alpha phase selfhosting" { 8 => false, 9 => true, 13 => false }

    /// Feature gates of kubeadm's own.
    // cmd/kubeadm/app/features. From 13 on self-hosting was a command of its own (`alpha selfhosting pivot`).
    kubeadm_feature_gates: &'static [&'static str] = "kubeadm's feature gates up to 1.13" {
        8 => &["HighAvailability", "SelfHosting", "StoreCertsInSecrets", "SupportIPVSProxyMode"],
        9 => &["CoreDNS", "DynamicKubeletConfig", "HighAvailability", "SelfHosting", "StoreCertsInSecrets",
            "SupportIPVSProxyMode"],
        10 => &["Auditing", "CoreDNS", "DynamicKubeletConfig", "HighAvailability", "SelfHosting",
            "StoreCertsInSecrets"],
        13 => &["Auditing", "CoreDNS", "DynamicKubeletConfig"],
        14 => &[],
    }

    /// Whether `kubeadm join` reads kubeadm-config first.
    join_reads_configuration: bool = "join reads kubeadm-config" { 8 => false, 13 => true }

    /// Whether joining nodes may read kubeadm-config.
    configuration_is_shared: bool = "nodes may read kubeadm-config" { 8 => false, 12 => true }

    /// Whether a join without pins of the authority is refused unless it is asked for.
    join_demands_pins: bool = "join refuses to go without pins" { 8 => false, 9 => true }

    /// Whether a join begins discovery anew after whatever was wrong, a wrong pin too.
    // Up to 1.12 for ever; 1.13 gave it five minutes, as all of them have here. 1.17 still did (its sources), 1.19 no
    // longer (kubernetes/kubeadm#2329): 18 is in between.
    discovery_begins_anew: bool = "discovery begins anew after every failure" { 8 => true, 18 => false }

    /// How long a join waits for the kubelet's certificate.
    // kubernetes/kubernetes#89735; later patch releases of 1.17 and 1.18 have it too.
    tls_bootstrap_patience: Duration = "patience of kubeadm join with the TLS bootstrap" {
        8 => Duration::from_secs(2 * 60), 19 => Duration::from_secs(5 * 60),
    }

    /// Whether bootstrap tokens may get nodes, so that a join sees a node of its own name.
    // kubernetes/kubernetes#81056.
    tokens_get_nodes: bool = "bootstrap tokens may get nodes" { 8 => false, 18 => true }

    /// The phase in which the CRI socket becomes an annotation of the node; empty before there was one.
    // After marking in 11 and 12, as their transcripts have it.
    cri_socket_annotated_in: &'static str = "phase that annotates the CRI socket" {
        8 => "", 11 => "mark-control-plane", 13 => "upload-config",
    }

    /// kubeadm's default CRI socket.
    cri_socket: &'static str = "default CRI socket" {
        8 => "/var/run/dockershim.sock", 24 => "unix:///var/run/containerd/containerd.sock",
    }

    /// Whether the kubelet has its flags from its package's unit alone.
    kubelet_unit_flags_only: bool = "the kubelet's package has all its flags" { 8 => true, 11 => false }

    /// The phases of `kubeadm join`, in order (`cmd/kubeadm/app/cmd/join.go`).
    // Phases came with 1.14; what was done before went in the same order. 31 is the phase that
    // WaitForAllControlPlaneComponents brought, not looked up to the minor.
    join_phases: &'static [&'static str] = "phases of kubeadm join" {
        8 => &["preflight", "control-plane-prepare", "kubelet-start", "control-plane-join"],
        14 => &["preflight", "control-plane-prepare", "check-etcd", "kubelet-start", "control-plane-join"],
        31 => &["preflight", "control-plane-prepare", "check-etcd", "kubelet-start", "control-plane-join",
            "wait-control-plane"],
        33 => &["preflight", "control-plane-prepare", "check-etcd", "kubelet-start", "etcd-join",
            "kubelet-wait-bootstrap", "control-plane-join", "wait-control-plane"],
    }

    /// The oldest kernel that kubeadm's preflight takes.
    oldest_kernel: &'static str = "oldest kernel" { 8 => "3.10", 32 => "4.19" }

    /// Whether a kernel with version 1 of cgroups alone fails preflight instead of being warned about.
    cgroups_v1_refused: bool = "preflight refuses cgroups v1" { 8 => false, 35 => true }

    /// Programs without which kubeadm's preflight fails (`addExecChecks`).
    // conntrack left with 1.32; the other steps were not looked up to the minor.
    preflight_programs: &'static [&'static str] = "programs that preflight demands" {
        8 => &["ip", "iptables", "mount", "nsenter"],
        18 => &["conntrack", "ip", "iptables", "mount", "nsenter"],
        32 => &["losetup", "mount", "cp"],
    }

    /// Programs whose absence kubeadm's preflight only warns about.
    preflight_optional_programs: &'static [&'static str] = "programs that preflight recommends" {
        8 => &["ebtables", "ethtool", "socat", "tc", "touch"],
        32 => &[],
    }

    /// The oldest external etcd that kubeadm takes (`MinExternalEtcdVersion`).
    // Not looked up to the minor.
    min_external_etcd: &'static str = "oldest external etcd" {
        8 => "3.0.14", 11 => "3.2.18", 25 => "3.4.13-4", 32 => "3.5.11-0",
    }

    /// How many minors a kubelet may be older than kubeadm.
    kubelet_skew: u16 = "minors a kubelet may lie behind kubeadm" { 8 => 1, 28 => 3 }

    /// Whether a joining control plane starts etcd before it waits for the kubelet's certificate, and
    /// its kubelet talks to the local apiserver.
    join_etcd_before_bootstrap: bool = "joining control planes start etcd before the TLS bootstrap" { 8 => false, 33 => true }

    /// Whether a joining etcd member comes as a learner and votes later (gate EtcdLearnerMode, on by default).
    // kubernetes/kubernetes#120228.
    etcd_learner_mode: bool = "etcd members join as learners" { 8 => false, 29 => true }

    /// Whether `init` waits for controller manager and scheduler too (gate
    /// WaitForAllControlPlaneComponents, on by default).
    // kubernetes/kubernetes#129620.
    waits_for_all_components: bool = "init waits for all control plane components" { 8 => false, 33 => true }

    /// Whether `init` asks the apiserver's /healthz alone, and the kubelet's only beside it.
    waits_for_api_alone: bool = "init waits for the apiserver's /healthz" { 8 => true, 30 => false }

    /// Whether `init` waits half an hour for its control plane, or as long as it is configured to.
    waits_half_an_hour: bool = "init waits half an hour for the control plane" { 8 => true, 13 => false }

    /// How kubeadm writes and stores its configuration.
    kubeadm_config: ConfigFormat = "kubeadm configuration" {
        8 => ConfigFormat { version: "v1alpha1", key: "MasterConfiguration", cluster_status: false },
        11 => ConfigFormat { version: "v1alpha2", key: "MasterConfiguration", cluster_status: false },
        12 => ConfigFormat { version: "v1alpha3", key: "ClusterConfiguration", cluster_status: true },
        13 => ConfigFormat { version: "v1beta1", key: "ClusterConfiguration", cluster_status: true },
        15 => ConfigFormat { version: "v1beta2", key: "ClusterConfiguration", cluster_status: true },
        22 => ConfigFormat { version: "v1beta3", key: "ClusterConfiguration", cluster_status: false },
        31 => ConfigFormat { version: "v1beta4", key: "ClusterConfiguration", cluster_status: false },
    }

    /// The configuration versions that kubeadm reads, newest first.
    // The comment of validateSupportedVersion (`cmd/kubeadm/app/util/config/common.go`) for 26 and 27; which older
    // ones the others still read is upstream's rule of one release back.
    kubeadm_config_read: &'static [&'static str] = "kubeadm configuration versions read" {
        8 => &["v1alpha1"],
        11 => &["v1alpha2", "v1alpha1"],
        12 => &["v1alpha3", "v1alpha2"],
        13 => &["v1beta1", "v1alpha3"],
        14 => &["v1beta1"],
        15 => &["v1beta2", "v1beta1"],
        20 => &["v1beta2"],
        22 => &["v1beta3", "v1beta2"],
        27 => &["v1beta3"],
        31 => &["v1beta4", "v1beta3"],
    }

    /// Name pattern of the ConfigMap with the kubelet's configuration; empty before there was one.
    kubelet_config_map: &'static str = "kubelet configuration ConfigMap" {
        8 => "", 11 => "kubelet-config-1.<minor>", 24 => "kubelet-config",
    }

    /// Whether the kubelet's CRI endpoint goes to instance-config.yaml instead of the flags file and an
    /// annotation of the node (gate NodeLocalCRISocket, on by default).
    // kubernetes/kubernetes#131981.
    node_local_cri_socket: bool = "CRI endpoint in instance-config.yaml" { 8 => false, 34 => true }

    /// Labels of a control plane node, each with an empty value.
    // 21 is kubernetes/kubernetes#98269.
    control_plane_labels: &'static [&'static str] = "labels of a control plane node" {
        8 => &["node-role.kubernetes.io/master"],
        20 => &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"],
        21 => &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master",
            "node.kubernetes.io/exclude-from-external-load-balancers"],
        24 => &["node-role.kubernetes.io/control-plane", "node.kubernetes.io/exclude-from-external-load-balancers"],
    }

    /// Taints of a control plane node, each with effect NoSchedule.
    control_plane_taints: &'static [&'static str] = "taints of a control plane node" {
        8 => &["node-role.kubernetes.io/master"],
        24 => &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"],
        25 => &["node-role.kubernetes.io/control-plane"],
    }

    /// Flags that kubeadm takes beside `--config`, with all that begin with `skip-`.
    // `isAllowedFlag` (`cmd/kubeadm/app/apis/kubeadm/validation`); 23 is in the changelog, 31 is
    // kubernetes/kubernetes#125566. The steps at 14 and 27 were not looked up to the minor.
    flags_beside_config: &'static [&'static str] = "flags beside kubeadm's --config" {
        8 => &["config", "dry-run", "ignore-preflight-errors", "kubeconfig"],
        14 => &["config", "cri-socket", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "print-join-command", "upload-certs"],
        22 => &["config", "cri-socket", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "patches", "print-join-command", "upload-certs"],
        23 => &["config", "cri-socket", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "print-join-command", "upload-certs"],
        27 => &["config", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "print-join-command", "upload-certs"],
        31 => &["config", "dry-run", "ignore-preflight-errors", "kubeconfig", "kubeconfig-dir", "node-name",
            "print-join-command", "upload-certs", "yes"],
    }
}
