//! v1alpha3 (1.12): components as prefixes of field names, discovery as a handful of fields.

use serde_json::{Value, json};

use super::{
    edit::{drop_all, put, rename, take},
    kind,
};
use crate::documents::ConfigError;

/// Fields of ClusterConfiguration there, and in v1beta1.
const CLUSTER: &[(&str, &str)] = &[
    ("/apiServerCertSANs", "/apiServer/certSANs"),
    ("/apiServerExtraArgs", "/apiServer/extraArgs"),
    ("/apiServerExtraVolumes", "/apiServer/extraVolumes"),
    ("/controllerManagerExtraArgs", "/controllerManager/extraArgs"),
    ("/controllerManagerExtraVolumes", "/controllerManager/extraVolumes"),
    ("/schedulerExtraArgs", "/scheduler/extraArgs"),
    ("/schedulerExtraVolumes", "/scheduler/extraVolumes"),
];
/// Volumes of components in v1beta1.
const VOLUMES: &[&str] =
    &["/apiServer/extraVolumes", "/controllerManager/extraVolumes", "/scheduler/extraVolumes"];

/// Fields of JoinConfiguration there, and in v1beta1.
const JOIN: &[(&str, &str)] = &[
    ("/discoveryFile", "/discovery/file/kubeConfigPath"),
    ("/discoveryTimeout", "/discovery/timeout"),
    ("/discoveryToken", "/discovery/bootstrapToken/token"),
    ("/discoveryTokenCACertHashes", "/discovery/bootstrapToken/caCertHashes"),
    ("/discoveryTokenUnsafeSkipCAVerification", "/discovery/bootstrapToken/unsafeSkipCAVerification"),
    ("/tlsBootstrapToken", "/discovery/tlsBootstrapToken"),
];
const ENDPOINT: &str = "/discovery/bootstrapToken/apiServerEndpoint";

/// To v1beta1.
pub(super) fn up(mut documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    for doc in &mut documents {
        match kind(doc) {
            "ClusterConfiguration" => {
                for (from, to) in CLUSTER {
                    rename(doc, from, to);
                }
                for at in VOLUMES {
                    flip(doc, at, "writable", "readOnly");
                }
                drop_all(doc, &["/auditPolicy", "/unifiedControlPlaneImage", "/etcd/local/image"]);
            }
            "InitConfiguration" => rename(doc, "/apiEndpoint", "/localAPIEndpoint"),
            "JoinConfiguration" => join_up(doc),
            _ => {}
        }
    }
    Ok(documents)
}

fn join_up(doc: &mut Value) {
    if let Some(token) = take(doc, "/token") {
        for at in ["/discoveryToken", "/tlsBootstrapToken"] {
            if doc.pointer(at).is_none() {
                put(doc, at, Some(token.clone()));
            }
        }
    }
    for (from, to) in JOIN {
        rename(doc, from, to);
    }
    // Of several servers upstream takes the first, too.
    let servers = take(doc, "/discoveryTokenAPIServers");
    put(doc, ENDPOINT, servers.and_then(|servers| servers.get(0).cloned()));
    let local = take(doc, "/apiEndpoint");
    if take(doc, "/controlPlane") == Some(Value::Bool(true)) {
        doc["controlPlane"] = json!({});
        put(doc, "/controlPlane/localAPIEndpoint", local);
    }
    drop_all(doc, &["/clusterName", "/featureGates"]);
}

/// From v1beta1.
pub(super) fn down(mut documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    for doc in &mut documents {
        match kind(doc) {
            "ClusterConfiguration" => {
                for at in VOLUMES {
                    flip(doc, at, "readOnly", "writable");
                }
                for (from, to) in CLUSTER {
                    rename(doc, to, from);
                }
                drop_all(
                    doc,
                    &[
                        "/apiServer",
                        "/controllerManager",
                        "/dns",
                        "/etcd/local/imageRepository",
                        "/etcd/local/imageTag",
                        "/scheduler",
                    ],
                );
            }
            "InitConfiguration" => rename(doc, "/localAPIEndpoint", "/apiEndpoint"),
            "JoinConfiguration" => join_down(doc),
            _ => {}
        }
    }
    Ok(documents)
}

fn join_down(doc: &mut Value) {
    for (from, to) in JOIN {
        rename(doc, to, from);
    }
    let server = take(doc, ENDPOINT);
    put(doc, "/discoveryTokenAPIServers", server.map(|server| json!([server])));
    take(doc, "/discovery");
    if let Some(mut control_plane) = take(doc, "/controlPlane") {
        let local = take(&mut control_plane, "/localAPIEndpoint");
        put(doc, "/controlPlane", Some(true.into()));
        put(doc, "/apiEndpoint", local);
    }
}

/// A volume says whether it may be written in the one version and whether it may not in the other.
fn flip(doc: &mut Value, at: &str, from: &str, to: &str) {
    let volumes = doc.pointer_mut(at).and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten().filter_map(Value::as_object_mut) {
        let was = volume.remove(from).and_then(|value| value.as_bool()).unwrap_or(false);
        volume.insert(to.to_owned(), (!was).into());
    }
}
