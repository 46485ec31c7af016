//! The secrets that a kubelet needs to mount a persistent volume.

use api::object::ObjectExt as _;
use serde_json::Value;

/// Where a volume's source refers to a secret that kubelets may see. Those that only controllers use are not here.
const REFERENCES: &[&str] = &[
    "/spec/cephfs/secretRef",
    "/spec/cinder/secretRef",
    "/spec/flexVolume/secretRef",
    "/spec/rbd/secretRef",
    "/spec/scaleIO/secretRef",
    "/spec/iscsi/secretRef",
    "/spec/storageos/secretRef",
    "/spec/csi/nodePublishSecretRef",
    "/spec/csi/nodeStageSecretRef",
    "/spec/csi/nodeExpandSecretRef",
];

/// Namespace and name of each; a reference without a namespace is in the claim's.
pub(super) fn secrets(volume: &Value) -> Vec<(String, String)> {
    let of_claim = volume.str_at("/spec/claimRef/namespace");
    let azure = volume
        .at("/spec/azureFile")
        .map(|source| (source.str_at("/secretNamespace"), source.str_at("/secretName")));
    let others = REFERENCES.iter().filter_map(|at| {
        let reference = volume.at(at)?;
        Some((reference.str_at("/namespace"), reference.str_at("/name")))
    });
    let named = azure.into_iter().chain(others).filter(|(_, name)| !name.is_empty());
    named
        .map(|(namespace, name)| {
            (if namespace.is_empty() { of_claim } else { namespace }.to_owned(), name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_kubelets_see_and_in_the_claims_namespace_unless_said() {
        let check = |source: Value, wanted: &[&str]| {
            let mut spec = source.clone();
            spec["claimRef"] = json!({"namespace": "ns", "name": "c"});
            let found = secrets(&json!({"metadata": {"name": "v"}, "spec": spec}));
            let found: Vec<String> = found.iter().map(|(ns, name)| format!("{ns}/{name}")).collect();
            assert_eq!(found, wanted, "{source}");
        };
        check(json!({"hostPath": {"path": "/"}}), &[]);
        check(json!({"azureFile": {"secretName": "s"}}), &["ns/s"]);
        check(json!({"azureFile": {"secretName": "s", "secretNamespace": "other"}}), &["other/s"]);
        check(json!({"rbd": {"secretRef": {"name": "s"}}}), &["ns/s"]);
        check(json!({"iscsi": {"secretRef": {"name": "s", "namespace": "other"}}}), &["other/s"]);
        let csi = json!({"csi": {
            "controllerPublishSecretRef": {"name": "a", "namespace": "x"},
            "controllerExpandSecretRef": {"name": "b", "namespace": "x"},
            "nodePublishSecretRef": {"name": "c", "namespace": "x"},
            "nodeStageSecretRef": {"name": "d", "namespace": "x"},
            "nodeExpandSecretRef": {"name": "e", "namespace": "x"},
        }});
        check(csi, &["x/c", "x/d", "x/e"]);
    }
}
