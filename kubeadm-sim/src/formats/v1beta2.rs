//! v1beta2 (1.15 to 1.21): kube-dns could still be chosen, phases were skipped by flags only.

use serde_json::Value;

use super::{
    edit::{drop_all, put},
    kind,
};
use crate::documents::ConfigError;

/// What v1beta3 added.
const NEWER: &[&str] = &["/nodeRegistration/imagePullPolicy", "/patches", "/skipPhases"];
/// What v1beta3 no longer has.
const OLDER: &[&str] = &["/dns/type", "/useHyperKubeImage"];

/// To v1beta3.
pub(super) fn up(mut documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    for doc in &mut documents {
        if doc.pointer("/dns/type").and_then(Value::as_str) == Some("kube-dns") {
            return Err(ConfigError::Refused(
                "dns.type: Invalid value: \"kube-dns\": kube-dns is no addon of kubeadm any more; leave the field out"
                    .into(),
            ));
        }
        drop_all(doc, OLDER);
    }
    Ok(documents)
}

/// From v1beta3.
pub(super) fn down(mut documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    for doc in &mut documents {
        if kind(doc) == "ClusterConfiguration" {
            put(doc, "/dns/type", Some("CoreDNS".into()));
        }
        drop_all(doc, NEWER);
    }
    Ok(documents)
}
