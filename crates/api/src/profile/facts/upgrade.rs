//! How `kubeadm upgrade` goes about it.

facts! {
    /// Whether `kubeadm upgrade apply` consists of phases.
    upgrade_phases: bool = "kubeadm upgrade apply has phases" { 8 => false, 32 => true }

    /// Whether `--config` of `kubeadm upgrade` is an UpgradeConfiguration and no longer the cluster's own.
    // The changelog of 1.30; kubernetes/kubeadm#3054 and #3076.
    upgrade_configuration: bool = "kubeadm upgrade takes an UpgradeConfiguration" { 8 => false, 30 => true }

    /// Whether an upgrade renews etcd's certificates, and restarts it, when only the apiserver's manifest changes.
    // kubernetes/kubernetes#124688.
    upgrade_renews_unchanged_etcd: bool = "upgrades renew an unchanged etcd's certificates" { 8 => false, 31 => true }

    /// Whether an upgrade keeps a copy of the kubelet's configuration.
    upgrade_backs_up_kubelet_config: bool = "upgrades back up the kubelet's configuration" { 8 => false, 27 => true }

    /// Whether that copy lies in a directory with a date in its name instead of a random number.
    upgrade_dates_kubelet_backup: bool = "backups of the kubelet's configuration are dated" { 8 => false, 35 => true }

    /// Whether `kubeadm upgrade plan` has a line for each node.
    // kubernetes/kubernetes#123578.
    upgrade_plan_names_nodes: bool = "kubeadm upgrade plan names nodes" { 8 => false, 30 => true }
}
