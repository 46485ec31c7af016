//! v1alpha2 (1.11): MasterConfiguration holds what init and the cluster are told, NodeConfiguration what a node is.

use serde_json::{Map, Value};

use super::{
    edit::{put, rename, take},
    kind,
};
use crate::documents::ConfigError;

/// Fields of a MasterConfiguration that are InitConfiguration's later.
const INIT: &[&str] = &["/bootstrapTokens", "/nodeRegistration"];

/// To v1alpha3.
pub(super) fn up(documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    let mut found = Vec::new();
    for mut doc in documents {
        match kind(&doc) {
            "MasterConfiguration" => found.extend(master_up(doc)),
            "NodeConfiguration" => {
                doc["kind"] = "JoinConfiguration".into();
                rename(&mut doc, "/advertiseAddress", "/apiEndpoint/advertiseAddress");
                rename(&mut doc, "/bindPort", "/apiEndpoint/bindPort");
                found.push(doc);
            }
            _ => found.push(doc),
        }
    }
    Ok(found)
}

fn master_up(mut master: Value) -> Vec<Value> {
    let mut init = Value::Object(Map::new());
    init["kind"] = "InitConfiguration".into();
    for at in INIT {
        let value = take(&mut master, at);
        put(&mut init, at, value);
    }
    rename(&mut master, "/api/controlPlaneEndpoint", "/controlPlaneEndpoint");
    put(&mut init, "/apiEndpoint", take(&mut master, "/api"));
    let mut components = Vec::new();
    for (at, api_version, kind) in [
        ("/kubeletConfiguration/baseConfig", "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"),
        ("/kubeProxy/config", "kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"),
    ] {
        if let Some(mut config) = take(&mut master, at).filter(Value::is_object) {
            config["apiVersion"] = api_version.into();
            config["kind"] = kind.into();
            components.push(config);
        }
    }
    for at in ["/kubeletConfiguration", "/kubeProxy"] {
        take(&mut master, at);
    }
    master["kind"] = "ClusterConfiguration".into();
    let mut documents = vec![init, master];
    documents.extend(components);
    documents
}

/// From v1alpha3.
pub(super) fn down(documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    let mut found: Vec<Value> = Vec::new();
    let mut master: Option<Value> = None;
    for mut doc in documents {
        match kind(&doc) {
            "InitConfiguration" => {
                rename(&mut doc, "/apiEndpoint", "/api");
                merge(master.get_or_insert_with(|| Value::Object(Map::new())), doc);
            }
            "ClusterConfiguration" => {
                let endpoint = take(&mut doc, "/controlPlaneEndpoint");
                let master = master.get_or_insert_with(|| Value::Object(Map::new()));
                merge(master, doc);
                put(master, "/api/controlPlaneEndpoint", endpoint);
            }
            "JoinConfiguration" => {
                rename(&mut doc, "/apiEndpoint/advertiseAddress", "/advertiseAddress");
                rename(&mut doc, "/apiEndpoint/bindPort", "/bindPort");
                take(&mut doc, "/apiEndpoint");
                doc["kind"] = "NodeConfiguration".into();
                found.push(doc);
            }
            _ => found.push(doc),
        }
    }
    if let Some(mut master) = master {
        master["kind"] = "MasterConfiguration".into();
        found.insert(0, master);
    }
    Ok(found)
}

fn merge(into: &mut Value, doc: Value) {
    if let (Some(into), Value::Object(fields)) = (into.as_object_mut(), doc) {
        into.extend(fields);
    }
}
