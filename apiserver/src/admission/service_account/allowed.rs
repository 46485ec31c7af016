//! `kubernetes.io/enforce-mountable-secrets`: pods of an account that says so use no secrets but those of its lists
//! (`limitSecretReferences`).

use api::object::ObjectExt as _;
use serde_json::Value;

const ENFORCED: &str = "kubernetes.io/enforce-mountable-secrets";
/// What Go reads as true.
const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];

/// # Errors
/// Which secret the pod may not use, and where it would.
pub(super) fn check(account: &Value, pod: &Value) -> Result<(), String> {
    if !account.annotation(ENFORCED).is_some_and(|value| TRUE.contains(&value)) {
        return Ok(());
    }
    let lists = |list: &str, name: &str| account.list_at(list).iter().any(|r| r.str_at("/name") == name);
    let end = |what: &str| {
        format!("is not allowed because service account {} does not reference that {what}", account.name())
    };
    for volume in pod.list_at("/spec/volumes") {
        let name = volume.str_at("/secret/secretName");
        if volume.at("/secret").is_some() && !lists("/secrets", name) {
            return Err(format!("volume with secret.secretName=\"{name}\" {}", end("secret")));
        }
    }
    for (list, kind) in [("/spec/initContainers", "init container"), ("/spec/containers", "container")] {
        for container in pod.list_at(list) {
            let within = format!("{kind} {}", container.str_at("/name"));
            for variable in container.list_at("/env") {
                let name = variable.str_at("/valueFrom/secretKeyRef/name");
                if variable.at("/valueFrom/secretKeyRef").is_some() && !lists("/secrets", name) {
                    let variable = variable.str_at("/name");
                    return Err(format!(
                        "{within} with envVar {variable} referencing secret.secretName=\"{name}\" {}",
                        end("secret")
                    ));
                }
            }
            // These words, unlike the others, are from memory: upstream looks at envFrom since CVE-2024-3177.
            for source in container.list_at("/envFrom") {
                let name = source.str_at("/secretRef/name");
                if source.at("/secretRef").is_some() && !lists("/secrets", name) {
                    return Err(format!(
                        "{within} with envFrom referencing secret.secretName=\"{name}\" {}",
                        end("secret")
                    ));
                }
            }
        }
    }
    for (number, reference) in pod.list_at("/spec/imagePullSecrets").iter().enumerate() {
        let name = reference.str_at("/name");
        if !lists("/imagePullSecrets", name) {
            return Err(format!("imagePullSecrets[{number}].name=\"{name}\" {}", end("imagePullSecret")));
        }
    }
    Ok(())
}
