//! How a pod gets its token: a volume, and a mount of it in every container that has none at that place.

use api::object::ObjectExt as _;
use serde_json::{Value, json};

use crate::admission::small::push;

const BOUND_PREFIX: &str = "kube-api-access-";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What the kubelet asks for; by this odd number the server knows a token that old clients may use
/// beyond its time.
const TOKEN_SECONDS: u64 = 60 * 60 + 7;
const SECRET_TYPE: &str = "kubernetes.io/service-account-token";

/// Which token.
pub(super) enum Token {
    /// One that the kubelet asks for, bound to the pod.
    Bound,
    /// That of the secret of this name: the account's, without an end.
    Secret(String),
}

/// Whether a secret holds a token of the account (`IsServiceAccountToken`).
pub(super) fn is_token_of(secret: &Value, account: &Value) -> bool {
    let note =
        |key: &str| secret.annotation(&format!("kubernetes.io/service-account.{key}")).unwrap_or_default();
    secret.str_at("/type") == SECRET_TYPE && note("name") == account.name() && note("uid") == account.uid()
}

impl Token {
    /// Mounts it; `suffix` ends the volume's name where one must be made up.
    pub(super) fn mount(&self, pod: &mut Value, suffix: &str) {
        let volumes = pod.list_at("/spec/volumes");
        let held =
            volumes.iter().find(|volume| self.is(volume)).map(|volume| volume.str_at("/name").to_owned());
        let is_new = held.is_none();
        let volume = held.unwrap_or_else(|| self.volume_name(volumes, suffix));
        let mut is_needed = false;
        for list in ["/spec/initContainers", "/spec/containers"] {
            for container in pod.at_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                let mounts = container.list_at("/volumeMounts");
                if mounts.iter().any(|mount| mount.str_at("/mountPath") == MOUNT_PATH) {
                    continue;
                }
                is_needed = true;
                let mount = json!({ "name": volume, "readOnly": true, "mountPath": MOUNT_PATH });
                push(container, "/volumeMounts", mount);
            }
        }
        if is_new && is_needed {
            push(pod, "/spec/volumes", self.volume(&volume));
        }
    }

    /// Whether the pod has the token in this volume already.
    fn is(&self, volume: &Value) -> bool {
        match self {
            Self::Bound => volume.str_at("/name").starts_with(BOUND_PREFIX),
            Self::Secret(name) => volume.str_at("/secret/secretName") == name,
        }
    }

    fn volume_name(&self, volumes: &[Value], suffix: &str) -> String {
        match self {
            Self::Bound => format!("{BOUND_PREFIX}{suffix}"),
            Self::Secret(name) => {
                // A label, which a secret's name need not be.
                let name = name.replace('.', "-");
                let taken = volumes.iter().any(|volume| volume.str_at("/name") == name);
                if taken { format!("{name}-{suffix}") } else { name }
            }
        }
    }

    fn volume(&self, name: &str) -> Value {
        match self {
            Self::Secret(secret) => {
                json!({ "name": name, "secret": { "secretName": secret, "defaultMode": 0o644 } })
            }
            Self::Bound => json!({
                "name": name,
                "projected": {
                    "sources": [
                        { "serviceAccountToken": { "expirationSeconds": TOKEN_SECONDS, "path": "token" } },
                        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                        { "downwardAPI": { "items": [{
                            "path": "namespace",
                            "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                        }] } },
                    ],
                    "defaultMode": 0o644,
                },
            }),
        }
    }
}
