//! Every certificate of a cluster as one table: authorities, and the leaves that they sign.

use api::profile::Profile;

use crate::subject_names::Sans;

/// A certificate authority of the cluster.
pub(crate) struct AuthorityRow {
    /// What the phase calls it.
    pub part: &'static str,
    pub file: &'static str,
    pub common_name: &'static str,
}

impl AuthorityRow {
    pub(crate) fn is_etcds(&self) -> bool {
        self.file == "etcd/ca"
    }
}

/// A leaf certificate of the cluster.
pub(crate) struct LeafRow {
    /// What the phase calls it.
    pub part: &'static str,
    pub file: &'static str,
    pub authority: &'static str,
    pub name: Name,
    /// Empty for none.
    pub group: fn(Profile) -> &'static str,
    pub server: bool,
    pub client: bool,
    pub sans: Sans,
}

/// The common name of a certificate.
pub(crate) enum Name {
    /// The same on every node.
    Fixed(&'static str),
    /// The node's name behind a prefix.
    Node(&'static str),
}

impl Name {
    pub(crate) fn on(&self, node: &str) -> String {
        match self {
            Name::Fixed(name) => (*name).to_owned(),
            Name::Node(prefix) => format!("{prefix}{node}"),
        }
    }
}

pub(crate) const AUTHORITIES: &[AuthorityRow] = &[
    AuthorityRow { part: "ca", file: "ca", common_name: "kubernetes" },
    AuthorityRow { part: "front-proxy-ca", file: "front-proxy-ca", common_name: "front-proxy-ca" },
    AuthorityRow { part: "etcd-ca", file: "etcd/ca", common_name: "etcd-ca" },
];

/// In the order of kubeadm's sub-phases.
pub(crate) const LEAVES: &[LeafRow] = &[
    LeafRow {
        part: "apiserver",
        file: "apiserver",
        authority: "ca",
        name: Name::Fixed("kube-apiserver"),
        group: no_group,
        server: true,
        client: false,
        sans: Sans::ApiServer,
    },
    client(
        "apiserver-kubelet-client",
        "apiserver-kubelet-client",
        "ca",
        "kube-apiserver-kubelet-client",
        Profile::kubelet_client_group,
    ),
    client("front-proxy-client", "front-proxy-client", "front-proxy-ca", "front-proxy-client", no_group),
    etcd_member("etcd-server", "etcd/server", Sans::EtcdServer),
    etcd_member("etcd-peer", "etcd/peer", Sans::EtcdPeer),
    client(
        "etcd-healthcheck-client",
        "etcd/healthcheck-client",
        "etcd/ca",
        "kube-etcd-healthcheck-client",
        Profile::etcd_client_group,
    ),
    client(
        "apiserver-etcd-client",
        "apiserver-etcd-client",
        "etcd/ca",
        "kube-apiserver-etcd-client",
        Profile::etcd_client_group,
    ),
];

const fn client(
    part: &'static str,
    file: &'static str,
    authority: &'static str,
    common_name: &'static str,
    group: fn(Profile) -> &'static str,
) -> LeafRow {
    let name = Name::Fixed(common_name);
    LeafRow { part, file, authority, name, group, server: false, client: true, sans: Sans::None }
}

const fn etcd_member(part: &'static str, file: &'static str, sans: Sans) -> LeafRow {
    let name = Name::Node("");
    LeafRow { part, file, authority: "etcd/ca", name, group: no_group, server: true, client: true, sans }
}

/// For a certificate without a group.
pub(crate) fn no_group(_: Profile) -> &'static str {
    ""
}

/// A group as a certificate's subject carries it.
pub(crate) fn organizations(group: &str) -> Vec<String> {
    if group.is_empty() { Vec::new() } else { vec![group.to_owned()] }
}
