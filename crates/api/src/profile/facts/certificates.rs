//! What kubeadm's certificates and kubeconfigs are made of.

use std::time::Duration;

use crate::profile::LeafStart;

facts! {
    /// What `kubeadm init` makes below the directory of certificates, in order.
    // 12 walked a map: the groups behind the first came in any order.
    certificate_order: &'static [&'static str] = "order of kubeadm's certificates" {
        8 => &["ca", "apiserver", "apiserver-kubelet-client", "sa", "front-proxy-ca", "front-proxy-client"],
        10 => &["ca", "apiserver", "apiserver-kubelet-client", "etcd-ca", "etcd-server", "etcd-peer",
            "etcd-healthcheck-client", "apiserver-etcd-client", "sa", "front-proxy-ca", "front-proxy-client"],
        11 => &["ca", "apiserver", "apiserver-kubelet-client", "sa", "front-proxy-ca", "front-proxy-client", "etcd-ca",
            "etcd-server", "etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client"],
        12 => &["ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", "etcd-ca",
            "etcd-server", "etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client", "sa"],
    }

    /// Serial number of kubeadm's certificate authorities: zero, or a random one.
    // kubernetes/kubernetes#117791; which patch releases have it was not looked up.
    authority_serial_is_zero: bool = "serial number 0 in kubeadm's authorities" { 8 => true, 28 => false }

    /// Whether every authority of kubeadm was called `kubernetes`.
    authorities_share_a_name: bool = "all authorities are called kubernetes" { 8 => true, 12 => false }

    /// What etcd's serving and peer certificates name: the serving one first.
    etcd_names: EtcdNames = "names in etcd's certificates" {
        8 => EtcdNames::Apart, 11 => EtcdNames::LocalServing, 13 => EtcdNames::Both,
    }

    /// Whether the DNS names in kubeadm's certificates stand as they came, or sorted.
    // kubernetes/kubernetes#92753.
    certificate_names_as_given: bool = "names in kubeadm's certificates in their given order" {
        8 => true, 19 => false,
    }

    /// Whether an etcd on the control plane is spoken to with TLS.
    etcd_tls: bool = "local etcd with TLS" { 8 => false, 10 => true }

    /// Whether a certificate authority without its key takes the whole of certificates and kubeconfigs out
    /// of kubeadm's hands, or each file by itself.
    external_ca_is_all_or_nothing: bool = "external CA: all files or none" { 8 => true, 13 => false }

    /// Group of the certificate in admin.conf.
    admin_group: &'static str = "group of admin.conf" { 8 => "system:masters", 29 => "kubeadm:cluster-admins" }

    /// Whether super-admin.conf is written.
    super_admin_conf: bool = "super-admin.conf" { 8 => false, 29 => true }

    /// Group of the apiserver's client certificate for kubelets; empty for none. Without one a binding
    /// for its user stands in (`kubeadm:apiserver-kubelet-client`, of the same change).
    // kubernetes/kubernetes#121837 and #138957. 1.36.0 still wrote kubeadm:cluster-admins, 1.36.1 and
    // 1.35.5 no longer; the profiles are 1.36 as its patches have it and 1.35 as it came out.
    kubelet_client_group: &'static str = "group of apiserver-kubelet-client" {
        8 => "system:masters", 29 => "kubeadm:cluster-admins", 36 => "",
    }

    /// Group of the two clients of etcd (apiserver, health check); empty for none.
    etcd_client_group: &'static str = "group of the clients of etcd" { 8 => "system:masters", 29 => "" }

    /// How long before its making a certificate authority of kubeadm begins.
    // kubernetes/kubernetes#118922, backported to later patch releases of 1.25 to 1.27.
    authority_backdate: Duration = "backdate of kubeadm's authorities" {
        8 => Duration::ZERO, 28 => Duration::from_secs(300),
    }

    /// Where kubeadm's leaf certificates begin.
    leaf_start: LeafStart = "beginning of kubeadm's leaf certificates" {
        8 => LeafStart::AuthorityStart, 31 => LeafStart::Backdated,
    }

    /// Whether `kubeadm certs renew all` renews the certificates in kubeconfigs too.
    // kubernetes/kubernetes#77180.
    renews_kubeconfigs: bool = "kubeadm renews the certificates in kubeconfigs" { 8 => false, 15 => true }

    /// Whether kubelet.conf of a control plane is rewritten to follow certificate rotation.
    kubelet_conf_follows_rotation: bool = "control plane kubelet.conf follows rotation" { 8 => false, 17 => true }
}

/// What the certificates of an etcd on the control plane name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtcdNames {
    /// The serving one `localhost` and 127.0.0.1, the peer's node name and advertised address.
    Apart,
    /// Both node name and `localhost`, but only the peer's the advertised address.
    LocalServing,
    /// The same in both.
    Both,
}
