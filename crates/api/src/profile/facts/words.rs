//! Go's release, which decides the words of TLS errors, and what kubeadm says.

use crate::profile::GoVersion;

facts! {
    /// The Go release that upstream built with; it decides the words of TLS errors.
    go: GoVersion = "built with Go" {
        8 => (1, 8), 9 => (1, 9), 11 => (1, 10), 13 => (1, 11), 14 => (1, 12), 17 => (1, 13), 19 => (1, 15),
        21 => (1, 16), 23 => (1, 17), 24 => (1, 18), 25 => (1, 19), 27 => (1, 20), 29 => (1, 21), 30 => (1, 22),
        32 => (1, 23), 33 => (1, 24), 35 => (1, 25), 36 => (1, 26),
    }

    /// How Go says that a wait was in vain.
    // The step to waits with a context was not looked up to the minor.
    wait_in_vain: &'static str = "kubeadm's word for a wait in vain" {
        8 => "timed out waiting for the condition", 30 => "context deadline exceeded",
    }

    /// What kubeadm says when it reads the cluster's configuration.
    reading_cluster_config: &'static str = "kubeadm reads the cluster's configuration" {
        8 => "Reading configuration from the cluster...",
        32 => "Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
    }

    /// What it says next: how people look at that configuration, or replace it.
    cluster_config_hint: &'static str = "kubeadm's hint at the cluster's configuration" {
        8 => "FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -oyaml'",
        20 => "FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'",
        32 => "Use 'kubeadm init phase upload-config --config your-config.yaml' to re-upload it.",
        33 => "Use 'kubeadm init phase upload-config --config your-config-file' to re-upload it.",
        34 => "Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.",
    }

    /// How the second line of a printed join command begins.
    join_command_indent: &'static str = "indent in the join command" { 8 => "    ", 20 => "\t" }

    /// Whether the end of `init` has a word for root too.
    // Not looked up to the minor.
    farewell_to_root: bool = "init's last words are for root too" { 8 => false, 20 => true }

    /// Whether the lines of discovery go to a log that is silent without `--v`.
    discovery_is_silent: bool = "kubeadm join tells of discovery with --v only" { 8 => false, 14 => true }

    /// Whether `kubeadm upgrade` says `Moving new manifest` and no longer mentions TLS for etcd.
    upgrade_words_of_131: bool = "kubeadm upgrade's shorter words" { 8 => false, 31 => true }
}
