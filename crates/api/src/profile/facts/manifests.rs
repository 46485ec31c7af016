//! What kubeadm's control plane and addons are made of: images, flags, probes.

facts! {
    /// Whether cluster DNS is kube-dns unless the gate CoreDNS is set.
    kube_dns_by_default: bool = "cluster DNS is kube-dns" { 8 => true, 11 => false }

    /// Version of kube-dns's images.
    kube_dns_version: &'static str = "kube-dns" { 8 => "1.14.5", 9 => "1.14.7", 10 => "1.14.8", 11 => "1.14.10", 12 => "1.14.13" }

    /// Whether kube-proxy reads a configuration file.
    kube_proxy_config_file: bool = "kube-proxy has a configuration file" { 8 => false, 9 => true }

    /// Whether kube-proxy runs on nodes with any taint.
    kube_proxy_tolerates_all: bool = "kube-proxy tolerates every taint" { 8 => false, 11 => true }

    /// What stands behind the names of images that are released with Kubernetes, and etcd's.
    // kubernetes/kubernetes#66960.
    image_suffix: &'static str = "suffix of image names" { 8 => "-amd64", 12 => "" }

    /// Registry of the images in manifests.
    // The step at 10 was not looked up.
    image_repository: &'static str = "image registry" {
        8 => "gcr.io/google_containers", 10 => "k8s.gcr.io", 25 => "registry.k8s.io",
    }

    /// Tag of etcd's image (`DefaultEtcdVersion` of `cmd/kubeadm/app/constants`, at the first release of a minor).
    etcd_version: &'static str = "etcd" {
        8 => "3.0.17", 9 => "3.1.10", 10 => "3.1.12", 11 => "3.2.18", 12 => "3.2.24", 14 => "3.3.10", 16 => "3.3.15-0",
        17 => "3.4.3-0", 19 => "3.4.9-1", 20 => "3.4.13-0", 22 => "3.5.0-0", 23 => "3.5.1-0", 24 => "3.5.3-0",
        25 => "3.5.4-0", 26 => "3.5.6-0", 27 => "3.5.7-0", 28 => "3.5.9-0", 29 => "3.5.10-0", 30 => "3.5.12-0",
        31 => "3.5.15-0", 32 => "3.5.16-0", 33 => "3.5.21-0", 34 => "3.6.4-0", 35 => "3.6.6-0", 36 => "3.6.8-0",
    }

    /// What kubeadm tells its etcd besides where it is and whom it trusts.
    // kubernetes/kubernetes: 24 is #109074, which went to patches of 1.22 and 1.23 too, 25 is #111383, 34 is #132838.
    etcd_flags: &'static [&'static str] = "further flags of kubeadm's etcd" {
        8 => &[],
        24 => &["experimental-initial-corrupt-check=true"],
        25 => &["experimental-initial-corrupt-check=true", "experimental-watch-progress-notify-interval=5s"],
        34 => &["feature-gates=InitialCorruptCheck=true", "watch-progress-notify-interval=5s"],
    }

    /// Where kubeadm's etcd is asked whether it lives, whether it serves (nowhere when empty), and whether it started.
    // kubernetes/kubernetes: 25 is #110072 and what followed it, 31 is #124465.
    etcd_probes: EtcdProbes = "probes of kubeadm's etcd" {
        8 => EtcdProbes { live: "/health", ready: "", started: "/health" },
        25 => EtcdProbes {
            live: "/health?exclude=NOSPACE&serializable=true", ready: "", started: "/health?serializable=false",
        },
        31 => EtcdProbes { live: "/livez", ready: "/readyz", started: "/readyz" },
    }

    /// Whether kubeadm's apiserver is asked apart whether it lives and whether it is ready.
    // The changelog of 1.19.
    probes_readiness: bool = "probes of kubeadm's apiserver ask /livez and /readyz" { 8 => false, 19 => true }

    /// Whether the probes of static pods name their port.
    // kubernetes/kubernetes#132776.
    static_pods_name_ports: bool = "probes of static pods name their port" { 8 => false, 34 => true }

    /// CoreDNS's image below the registry.
    // Before 1.11 it was an option beside kube-dns.
    coredns_image: &'static str = "image of CoreDNS" {
        8 => "coredns:1.0.1", 10 => "coredns:1.0.6", 11 => "coredns:1.1.3", 12 => "coredns:1.2.2", 13 => "coredns:1.2.6",
        14 => "coredns:1.3.1", 16 => "coredns:1.6.2", 17 => "coredns:1.6.5", 18 => "coredns:1.6.7", 19 => "coredns:1.7.0",
        21 => "coredns/coredns:v1.8.0", 22 => "coredns/coredns:v1.8.4", 23 => "coredns/coredns:v1.8.6",
        25 => "coredns/coredns:v1.9.3", 27 => "coredns/coredns:v1.10.1", 29 => "coredns/coredns:v1.11.1",
        32 => "coredns/coredns:v1.11.3", 33 => "coredns/coredns:v1.12.0", 34 => "coredns/coredns:v1.12.1",
        35 => "coredns/coredns:v1.13.1", 36 => "coredns/coredns:v1.14.2",
    }

    /// Tag of the image that holds a pod's sandbox (`PauseVersion`).
    pause_version: &'static str = "pause" {
        8 => "3.0", 10 => "3.1", 18 => "3.2", 21 => "3.4.1", 22 => "3.5", 23 => "3.6", 24 => "3.7", 25 => "3.8",
        26 => "3.9", 31 => "3.10", 34 => "3.10.1", 36 => "3.10.2",
    }
}

/// Paths at which an etcd of kubeadm's is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtcdProbes {
    /// Whether it lives.
    pub live: &'static str,
    /// Whether it serves; empty for none.
    pub ready: &'static str,
    /// Whether it has started.
    pub started: &'static str,
}
