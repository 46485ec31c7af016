//! `kubeadm.k8s.io/v1alpha2`, the configuration of 1.11: v1alpha1 with its node, its tokens and its etcd in
//! objects of their own (`cmd/kubeadm/app/apis/kubeadm/v1alpha2/types.go`).

use api::duration;
use serde_json::{Map, Value, json};

use crate::{config::InitConfig, documents::ConfigError, fields::Fields, v1alpha1};

const VERSION: &str = "kubeadm.k8s.io/v1alpha2";
/// What v1alpha2 says elsewhere; a document may not say it in v1alpha1's way.
const MOVED: &[&str] = &["criSocket", "noTaintMaster", "nodeName", "privilegedPods", "token", "tokenTTL"];
/// The same in a NodeConfiguration, which kept its token.
const NODE_MOVED: &[&str] = &["criSocket", "nodeName"];

/// The same document as v1alpha1 would have it.
///
/// # Errors
/// A field that v1alpha2 does not have.
pub(crate) fn older(document: Value) -> Result<Value, ConfigError> {
    let Value::Object(mut map) = document else {
        return Err(ConfigError::NoKind("MasterConfiguration"));
    };
    let is_node = map.get("kind").and_then(Value::as_str) == Some("NodeConfiguration");
    let moved = if is_node { NODE_MOVED } else { MOVED };
    if let Some(moved) = moved.iter().find(|key| map.contains_key(**key)) {
        return Err(ConfigError::invalid(
            *moved,
            "unknown field; v1alpha2 has nodeRegistration and bootstrapTokens in its place",
        ));
    }
    map.insert("apiVersion".into(), "kubeadm.k8s.io/v1alpha1".into());
    map.remove("clusterName");
    map.remove("auditPolicy");
    if let Some(node) = map.remove("nodeRegistration") {
        node_registration(&mut map, &node)?;
    }
    if let Some(tokens) = map.remove("bootstrapTokens") {
        bootstrap_tokens(&mut map, &tokens)?;
    }
    if let Some(etcd) = map.remove("etcd") {
        let fields = Fields::new("etcd", &etcd, &["external", "local"])?;
        let part = fields.value("external").or(fields.value("local"));
        map.insert("etcd".into(), part.cloned().unwrap_or_default());
    }
    Ok(Value::Object(map))
}

fn node_registration(map: &mut Map<String, Value>, node: &Value) -> Result<(), ConfigError> {
    let fields = Fields::new("nodeRegistration", node, &["criSocket", "kubeletExtraArgs", "name", "taints"])?;
    if let Some(name) = fields.text("name")? {
        map.insert("nodeName".into(), name.into());
    }
    // No taints at all is not the same as nothing said of taints.
    let untainted = fields.value("taints").and_then(Value::as_array).is_some_and(Vec::is_empty);
    if untainted && map.get("kind").and_then(Value::as_str) == Some("MasterConfiguration") {
        map.insert("noTaintMaster".into(), true.into());
    }
    Ok(())
}

fn bootstrap_tokens(map: &mut Map<String, Value>, tokens: &Value) -> Result<(), ConfigError> {
    let first = tokens.get(0).cloned().unwrap_or_default();
    let known = ["description", "expires", "groups", "token", "ttl", "usages"];
    Fields::new("bootstrapTokens[0]", &first, &known)?;
    for (old, new) in
        [("token", "token"), ("tokenTTL", "ttl"), ("tokenUsages", "usages"), ("tokenGroups", "groups")]
    {
        if let Some(value) = first.get(new) {
            map.insert(old.into(), value.clone());
        }
    }
    Ok(())
}

/// The document that 1.11 stores in the ConfigMap kubeadm-config; tokens are left out of it.
pub(crate) fn to_value(config: &InitConfig) -> Value {
    let mut document = v1alpha1::to_value(config);
    let old = document["etcd"].take();
    let pick = |keys: &[&str]| -> Value {
        keys.iter().map(|key| ((*key).to_owned(), old[*key].clone())).collect::<Map<_, _>>().into()
    };
    let etcd = match &config.cluster.external_etcd {
        Some(_) => json!({"external": pick(&["caFile", "certFile", "endpoints", "keyFile"])}),
        None => json!({"local": pick(&["dataDir", "extraArgs", "image", "peerCertSANs", "serverCertSANs"])}),
    };
    let taints: Vec<Value> = if v1alpha1::is_untainted(config) {
        Vec::new()
    } else {
        let keys = config.cluster.profile.control_plane_taints().iter();
        keys.map(|key| json!({"effect": "NoSchedule", "key": key})).collect()
    };
    if let Value::Object(map) = &mut document {
        for key in MOVED.iter().chain(&["tokenUsages", "tokenGroups", "cloudProvider", "authorizationModes"])
        {
            map.remove(*key);
        }
    }
    document["apiVersion"] = VERSION.into();
    let token = config.tokens.first().cloned().unwrap_or_default();
    document["bootstrapTokens"] = json!([{
        "groups": token.groups,
        "token": "",
        "ttl": duration::format(token.ttl),
        "usages": token.usages,
    }]);
    document["clusterName"] = config.cluster.cluster_name.as_str().into();
    document["etcd"] = etcd;
    document["nodeRegistration"] = json!({
        "criSocket": config.node.cri_socket,
        "name": config.node_name,
        "taints": taints,
    });
    document
}
