//! Volumes that are made when they are asked for. Of all provisioners one is here, and it is ours: a
//! directory of the node, for classes whose `provisioner` is `chronoplane.dev/host-path`. Every other one
//! is somebody else's program, which is told what to do as upstream tells it: by an annotation.

use api::object::ObjectExt as _;
use client::{ClientError, Next};
use serde_json::{Value, json};

use super::{
    CLAIMS, VOLUMES,
    binder::Binder,
    matching::{self, BOUND_BY_CONTROLLER, SELECTED_NODE, annotation},
};

/// The name of the simulated provisioner.
pub(super) const OURS: &str = "chronoplane.dev/host-path";
/// Who made a volume.
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Who is asked to make a claim's volume; the second key is that of before 1.23.
const ASKED: [&str; 2] =
    ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];
const HOME: &str = "/var/lib/chronoplane/volumes";

/// Makes the claim's volume, or leaves that to the class's provisioner.
pub(super) async fn provision(binder: &Binder, claim: &Value, class: &Value) -> Result<Next, ClientError> {
    let provisioner = class.str_at("/provisioner");
    if provisioner == "kubernetes.io/no-provisioner" {
        return Ok(Next::OnChange);
    }
    let asked = ASKED.iter().all(|key| annotation(claim, key) == Some(provisioner));
    if !asked {
        let mut updated = claim.clone();
        for key in ASKED {
            updated["metadata"]["annotations"][key] = provisioner.into();
        }
        let (namespace, name) = (claim.namespace(), claim.name());
        // The change brings the claim back here.
        return binder.rest.update(&CLAIMS, Some(namespace), name, &updated).await.map(|_| Next::OnChange);
    }
    if provisioner != OURS {
        let words = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually \
             by the system administrator. If volume creation is delayed, please verify that the provisioner is \
             running and correctly registered."
        );
        binder.recorder.normal(claim, "ExternalProvisioning", words);
        return Ok(Next::OnChange);
    }
    let volume = volume(claim, class);
    let name = volume.name();
    match binder.rest.create(&VOLUMES, None, &volume).await {
        Ok(_) => {
            let words = format!("Successfully provisioned volume {name} using {OURS}");
            binder.recorder.normal(claim, "ProvisioningSucceeded", words);
            Ok(Next::OnChange)
        }
        Err(e) if e.is_already_exists() => Ok(Next::OnChange),
        Err(e) => {
            let words =
                format!("Error creating provisioned PV object for claim {}: {e}", client::key_of(claim));
            binder.recorder.warning(claim, "ProvisioningFailed", words);
            Err(e)
        }
    }
}

/// A volume of just the size that the claim asks for, bound to it from the beginning.
fn volume(claim: &Value, class: &Value) -> Value {
    let name = format!("pvc-{}", claim.uid());
    let mut volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "annotations": {PROVISIONED_BY: OURS, BOUND_BY_CONTROLLER: "yes"},
            "name": name,
        },
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": matching::reference_to(claim),
            "hostPath": {"path": format!("{HOME}/{name}"), "type": "DirectoryOrCreate"},
            "persistentVolumeReclaimPolicy": class.get("reclaimPolicy").cloned().unwrap_or("Delete".into()),
            "storageClassName": class.name(),
            "volumeMode": claim["spec"].get("volumeMode").cloned().unwrap_or("Filesystem".into()),
        },
    });
    if let Some(node) = annotation(claim, SELECTED_NODE) {
        let here = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
        volume["spec"]["nodeAffinity"] =
            json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}});
    }
    volume
}
