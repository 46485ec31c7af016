//! The fields of kubeadm's configuration kinds before v1beta1: v1alpha2 of 1.11 and v1alpha3 of 1.12
//! (`cmd/kubeadm/app/apis/kubeadm/v1alpha2` and `v1alpha3` of those releases).

use crate::schema::Shape::{self, Any, Args, List, Object};

const NODE: Shape = Object(&[("criSocket", Any), ("kubeletExtraArgs", Args), ("name", Any), ("taints", Any)]);
const TOKEN: Shape = Object(&[
    ("description", Any),
    ("expires", Any),
    ("groups", Any),
    ("token", Any),
    ("ttl", Any),
    ("usages", Any),
]);
const ETCD: Shape = Object(&[
    ("external", Object(&[("caFile", Any), ("certFile", Any), ("endpoints", Any), ("keyFile", Any)])),
    (
        "local",
        Object(&[
            ("dataDir", Any),
            ("extraArgs", Args),
            ("image", Any),
            ("peerCertSANs", Any),
            ("serverCertSANs", Any),
        ]),
    ),
]);
const NETWORKING: Shape = Object(&[("dnsDomain", Any), ("podSubnet", Any), ("serviceSubnet", Any)]);
const ENDPOINT: Shape = Object(&[("advertiseAddress", Any), ("bindPort", Any)]);

const CLUSTER: Shape = Object(&[
    ("apiServerCertSANs", Any),
    ("apiServerExtraArgs", Args),
    ("apiServerExtraVolumes", Any),
    ("auditPolicy", Any),
    ("certificatesDir", Any),
    ("clusterName", Any),
    ("controlPlaneEndpoint", Any),
    ("controllerManagerExtraArgs", Args),
    ("controllerManagerExtraVolumes", Any),
    ("etcd", ETCD),
    ("featureGates", Any),
    ("imageRepository", Any),
    ("kubernetesVersion", Any),
    ("networking", NETWORKING),
    ("schedulerExtraArgs", Args),
    ("schedulerExtraVolumes", Any),
    ("unifiedControlPlaneImage", Any),
]);

const INIT: Shape =
    Object(&[("apiEndpoint", ENDPOINT), ("bootstrapTokens", List(&TOKEN)), ("nodeRegistration", NODE)]);

const JOIN: Shape = Object(&[
    ("apiEndpoint", ENDPOINT),
    ("caCertPath", Any),
    ("clusterName", Any),
    ("controlPlane", Any),
    ("discoveryFile", Any),
    ("discoveryTimeout", Any),
    ("discoveryToken", Any),
    ("discoveryTokenAPIServers", Any),
    ("discoveryTokenCACertHashes", Any),
    ("discoveryTokenUnsafeSkipCAVerification", Any),
    ("featureGates", Any),
    ("nodeRegistration", NODE),
    ("tlsBootstrapToken", Any),
    ("token", Any),
]);

const MASTER: Shape = Object(&[
    ("api", Object(&[("advertiseAddress", Any), ("bindPort", Any), ("controlPlaneEndpoint", Any)])),
    ("apiServerCertSANs", Any),
    ("apiServerExtraArgs", Args),
    ("apiServerExtraVolumes", Any),
    ("auditPolicy", Any),
    ("bootstrapTokens", List(&TOKEN)),
    ("certificatesDir", Any),
    ("clusterName", Any),
    ("controllerManagerExtraArgs", Args),
    ("controllerManagerExtraVolumes", Any),
    ("etcd", ETCD),
    ("featureGates", Any),
    ("imageRepository", Any),
    ("kubeProxy", Object(&[("config", Any)])),
    ("kubeletConfiguration", Object(&[("baseConfig", Any)])),
    ("kubernetesVersion", Any),
    ("networking", NETWORKING),
    ("nodeRegistration", NODE),
    ("schedulerExtraArgs", Args),
    ("schedulerExtraVolumes", Any),
    ("unifiedControlPlaneImage", Any),
]);

const NODE_CONFIGURATION: Shape = Object(&[
    ("advertiseAddress", Any),
    ("bindPort", Any),
    ("caCertPath", Any),
    ("clusterName", Any),
    ("controlPlane", Any),
    ("discoveryFile", Any),
    ("discoveryTimeout", Any),
    ("discoveryToken", Any),
    ("discoveryTokenAPIServers", Any),
    ("discoveryTokenCACertHashes", Any),
    ("discoveryTokenUnsafeSkipCAVerification", Any),
    ("featureGates", Any),
    ("nodeRegistration", NODE),
    ("tlsBootstrapToken", Any),
    ("token", Any),
]);

const KINDS: &[(&str, &str, Shape)] = &[
    ("v1alpha2", "MasterConfiguration", MASTER),
    ("v1alpha2", "NodeConfiguration", NODE_CONFIGURATION),
    ("v1alpha3", "ClusterConfiguration", CLUSTER),
    ("v1alpha3", "InitConfiguration", INIT),
    ("v1alpha3", "JoinConfiguration", JOIN),
];

/// The shape of a kind in a version.
pub(crate) fn shape(version: &str, kind: &str) -> Option<&'static Shape> {
    KINDS.iter().find(|(v, name, _)| *v == version && *name == kind).map(|(.., shape)| shape)
}
