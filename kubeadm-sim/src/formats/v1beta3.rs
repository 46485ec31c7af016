//! v1beta3 (1.22 to 1.30): maps of flags, two timeouts, keys of one algorithm but for a feature gate.

use serde_json::Value;

use super::{
    edit::{drop_all, listed, mapped, put, rename, take},
    kind,
};
use crate::documents::ConfigError;

/// Where flags of programs stand.
const FLAGS: &[&str] = &[
    "/apiServer/extraArgs",
    "/controllerManager/extraArgs",
    "/etcd/local/extraArgs",
    "/nodeRegistration/kubeletExtraArgs",
    "/scheduler/extraArgs",
];

/// What v1beta4 added.
const NEWER: &[&str] = &[
    "/apiServer/extraEnvs",
    "/caCertificateValidityPeriod",
    "/certificateValidityPeriod",
    "/controllerManager/extraEnvs",
    "/dns/disabled",
    "/dryRun",
    "/encryptionAlgorithm",
    "/etcd/external/httpEndpoints",
    "/etcd/local/extraEnvs",
    "/nodeRegistration/imagePullSerial",
    "/proxy",
    "/scheduler/extraEnvs",
    "/timeouts",
];

const ECDSA_GATE: &str = "/featureGates/PublicKeysECDSA";
const CONTROL_PLANE: &str = "/timeouts/controlPlaneComponentHealthCheck";

/// To v1beta4. The timeout of the control plane belongs to another document there; it stays in the cluster's,
/// where its reader looks for it too.
pub(super) fn up(mut documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    for doc in &mut documents {
        for at in FLAGS {
            listed(doc, at);
        }
        rename(doc, "/discovery/timeout", "/timeouts/discovery");
        match take(doc, ECDSA_GATE) {
            Some(Value::Bool(true)) => put(doc, "/encryptionAlgorithm", Some("ECDSA-P256".into())),
            Some(off) => put(doc, ECDSA_GATE, Some(off)),
            None => {}
        }
        if doc.get("featureGates").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
            take(doc, "/featureGates");
        }
    }
    Ok(documents)
}

/// From v1beta4.
pub(super) fn down(mut documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    let patience = documents
        .iter()
        .find(|doc| kind(doc) == "InitConfiguration")
        .and_then(|doc| doc.pointer(CONTROL_PLANE).cloned());
    for doc in &mut documents {
        if matches!(kind(doc), "ResetConfiguration" | "UpgradeConfiguration") {
            return Err(ConfigError::Refused(format!(
                "the kind {} does not exist before kubeadm.k8s.io/v1beta4: use a --kubernetes-version from 1.31 on",
                kind(doc)
            )));
        }
        for at in FLAGS {
            mapped(doc, at);
        }
        if doc.get("encryptionAlgorithm").and_then(Value::as_str) == Some("ECDSA-P256") {
            put(doc, ECDSA_GATE, Some(true.into()));
        }
        if kind(doc) == "JoinConfiguration" {
            rename(doc, "/timeouts/discovery", "/discovery/timeout");
        }
        if kind(doc) == "ClusterConfiguration" {
            put(doc, "/apiServer/timeoutForControlPlane", patience.clone());
        }
        drop_all(doc, NEWER);
    }
    Ok(documents)
}
