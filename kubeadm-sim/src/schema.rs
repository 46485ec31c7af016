//! The fields of kubeadm's configuration kinds, so that a misspelt one is named.
//!
//! Upstream decodes strictly and then only warns, but for `kubeadm config validate`, which refuses
//! (`cmd/kubeadm/app/util/config/strict`).

use serde_json::Value;

use crate::documents::ConfigError;

/// What may stand somewhere.
enum Shape {
    /// Whatever its reader makes of it.
    Any,
    Object(&'static [(&'static str, Shape)]),
    List(&'static Shape),
}

use Shape::{Any, List, Object};

const NODE: Shape = Object(&[
    ("criSocket", Any),
    ("ignorePreflightErrors", Any),
    ("imagePullPolicy", Any),
    ("imagePullSerial", Any),
    ("kubeletExtraArgs", Any),
    ("name", Any),
    ("taints", Any),
]);
const ENDPOINT: Shape = Object(&[("advertiseAddress", Any), ("bindPort", Any)]);
const PATCHES: Shape = Object(&[("directory", Any)]);
const TIMEOUTS: Shape = Object(&[
    ("controlPlaneComponentHealthCheck", Any),
    ("discovery", Any),
    ("etcdAPICall", Any),
    ("kubeletHealthCheck", Any),
    ("kubernetesAPICall", Any),
    ("tlsBootstrap", Any),
    ("upgradeManifests", Any),
]);
const COMPONENT: Shape = Object(&[("extraArgs", Any), ("extraEnvs", Any), ("extraVolumes", Any)]);
const TOKEN: Shape = Object(&[
    ("description", Any),
    ("expires", Any),
    ("groups", Any),
    ("token", Any),
    ("ttl", Any),
    ("usages", Any),
]);

const INIT: Shape = Object(&[
    ("bootstrapTokens", List(&TOKEN)),
    ("certificateKey", Any),
    ("dryRun", Any),
    ("localAPIEndpoint", ENDPOINT),
    ("nodeRegistration", NODE),
    ("patches", PATCHES),
    ("skipPhases", Any),
    ("timeouts", TIMEOUTS),
]);

const CLUSTER: Shape = Object(&[
    (
        "apiServer",
        Object(&[
            ("certSANs", Any),
            ("extraArgs", Any),
            ("extraEnvs", Any),
            ("extraVolumes", Any),
            ("timeoutForControlPlane", Any),
        ]),
    ),
    ("caCertificateValidityPeriod", Any),
    ("certificateValidityPeriod", Any),
    ("certificatesDir", Any),
    ("clusterName", Any),
    ("controlPlaneEndpoint", Any),
    ("controllerManager", COMPONENT),
    ("dns", Object(&[("disabled", Any), ("imageRepository", Any), ("imageTag", Any)])),
    ("encryptionAlgorithm", Any),
    (
        "etcd",
        Object(&[
            (
                "external",
                Object(&[
                    ("caFile", Any),
                    ("certFile", Any),
                    ("endpoints", Any),
                    ("httpEndpoints", Any),
                    ("keyFile", Any),
                ]),
            ),
            (
                "local",
                Object(&[
                    ("dataDir", Any),
                    ("extraArgs", Any),
                    ("extraEnvs", Any),
                    ("imageRepository", Any),
                    ("imageTag", Any),
                    ("peerCertSANs", Any),
                    ("serverCertSANs", Any),
                ]),
            ),
        ]),
    ),
    ("featureGates", Any),
    ("imageRepository", Any),
    ("kubernetesVersion", Any),
    ("networking", Object(&[("dnsDomain", Any), ("podSubnet", Any), ("serviceSubnet", Any)])),
    ("proxy", Object(&[("disabled", Any)])),
    ("scheduler", COMPONENT),
]);

const JOIN: Shape = Object(&[
    ("caCertPath", Any),
    ("controlPlane", Object(&[("certificateKey", Any), ("localAPIEndpoint", ENDPOINT)])),
    (
        "discovery",
        Object(&[
            (
                "bootstrapToken",
                Object(&[
                    ("apiServerEndpoint", Any),
                    ("caCertHashes", Any),
                    ("token", Any),
                    ("unsafeSkipCAVerification", Any),
                ]),
            ),
            ("file", Object(&[("kubeConfigPath", Any)])),
            ("timeout", Any),
            ("tlsBootstrapToken", Any),
        ]),
    ),
    ("dryRun", Any),
    ("nodeRegistration", NODE),
    ("patches", PATCHES),
    ("skipPhases", Any),
    ("timeouts", TIMEOUTS),
]);

const RESET: Shape = Object(&[
    ("certificatesDir", Any),
    ("cleanupTmpDir", Any),
    ("criSocket", Any),
    ("dryRun", Any),
    ("force", Any),
    ("ignorePreflightErrors", Any),
    ("skipPhases", Any),
    ("timeouts", TIMEOUTS),
    ("unmountFlags", Any),
]);

const UPGRADE: Shape =
    Object(&[("apply", Any), ("diff", Any), ("node", Any), ("plan", Any), ("timeouts", TIMEOUTS)]);

const KINDS: &[(&str, Shape)] = &[
    ("ClusterConfiguration", CLUSTER),
    ("InitConfiguration", INIT),
    ("JoinConfiguration", JOIN),
    ("ResetConfiguration", RESET),
    ("UpgradeConfiguration", UPGRADE),
];

/// Fields, and whole kinds, that only one of the two versions has.
const ONLY: &[(&str, &str)] = &[
    ("v1beta3", "ClusterConfiguration.apiServer.timeoutForControlPlane"),
    ("v1beta3", "JoinConfiguration.discovery.timeout"),
    ("v1beta4", "ClusterConfiguration.apiServer.extraEnvs"),
    ("v1beta4", "ClusterConfiguration.caCertificateValidityPeriod"),
    ("v1beta4", "ClusterConfiguration.certificateValidityPeriod"),
    ("v1beta4", "ClusterConfiguration.controllerManager.extraEnvs"),
    ("v1beta4", "ClusterConfiguration.dns.disabled"),
    ("v1beta4", "ClusterConfiguration.encryptionAlgorithm"),
    ("v1beta4", "ClusterConfiguration.etcd.local.extraEnvs"),
    ("v1beta4", "ClusterConfiguration.etcd.external.httpEndpoints"),
    ("v1beta4", "ClusterConfiguration.proxy"),
    ("v1beta4", "ClusterConfiguration.scheduler.extraEnvs"),
    ("v1beta4", "InitConfiguration.dryRun"),
    ("v1beta4", "InitConfiguration.nodeRegistration.imagePullSerial"),
    ("v1beta4", "InitConfiguration.timeouts"),
    ("v1beta4", "JoinConfiguration.dryRun"),
    ("v1beta4", "JoinConfiguration.nodeRegistration.imagePullSerial"),
    ("v1beta4", "JoinConfiguration.timeouts"),
    ("v1beta4", "ResetConfiguration"),
    ("v1beta4", "UpgradeConfiguration"),
];

/// Groups whose documents travel to their components unread.
const COMPONENT_GROUPS: &[&str] = &["kubelet.config.k8s.io", "kubeproxy.config.k8s.io"];

/// What strict decoding finds wrong with a document that has apiVersion and kind, in upstream's words.
///
/// # Errors
/// Something else stands where an object or a list must, which no decoding survives.
pub(crate) fn complaint(doc: &Value) -> Result<Option<String>, ConfigError> {
    let field = |name: &str| doc.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (field("apiVersion"), field("kind"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if COMPONENT_GROUPS.contains(&group) {
        return Ok(None);
    }
    let described = format!("schema.GroupVersionKind{{Group:{group:?}, Version:{version:?}, Kind:{kind:?}}}");
    let known = group == "kubeadm.k8s.io" && matches!(version, "v1beta3" | "v1beta4") && has(version, kind);
    let Some((_, shape)) = KINDS.iter().find(|(name, _)| known && *name == kind) else {
        return Ok(Some(format!("unknown configuration {described}")));
    };
    let mut unknown = Vec::new();
    walk(shape, doc, &mut Walk { version, kind, unknown: &mut unknown }, "")?;
    if unknown.is_empty() {
        return Ok(None);
    }
    let fields: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    Ok(Some(format!(
        "error unmarshaling configuration {described}: strict decoding error: {}",
        fields.join(", ")
    )))
}

fn has(version: &str, path: &str) -> bool {
    ONLY.iter().all(|(only, limited)| *limited != path || *only == version)
}

struct Walk<'a> {
    version: &'a str,
    kind: &'a str,
    unknown: &'a mut Vec<String>,
}

fn walk(shape: &Shape, value: &Value, at: &mut Walk<'_>, path: &str) -> Result<(), ConfigError> {
    let wrong = |expected: &str| {
        Err(ConfigError::invalid(format!("{}{path}", at.kind), format!("expected {expected}, found {value}")))
    };
    match (shape, value) {
        (Any, _) | (_, Value::Null) => Ok(()),
        (Object(fields), Value::Object(map)) => {
            for (key, value) in map {
                let path = format!("{path}.{key}");
                if path == ".apiVersion" || path == ".kind" {
                    continue;
                }
                let field = fields.iter().find(|(name, _)| name == key);
                match field.filter(|_| has(at.version, &format!("{}{path}", at.kind))) {
                    Some((_, shape)) => walk(shape, value, at, &path)?,
                    None => at.unknown.push(path.trim_start_matches('.').to_owned()),
                }
            }
            Ok(())
        }
        (List(shape), Value::Array(items)) => {
            for (n, item) in items.iter().enumerate() {
                walk(shape, item, at, &format!("{path}[{n}]"))?;
            }
            Ok(())
        }
        (Object(_), _) => wrong("an object"),
        (List(_), _) => wrong("a list"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(version: &str, kind: &str, body: Value, complains: Option<&str>) {
        let mut doc = body;
        doc["apiVersion"] = format!("kubeadm.k8s.io/{version}").into();
        doc["kind"] = kind.into();
        let found = complaint(&doc).unwrap_or_else(|e| Some(e.to_string()));
        match (&found, complains) {
            (None, None) => {}
            (Some(found), Some(words)) => assert!(found.ends_with(words), "{doc}: {found}"),
            _ => panic!("{doc}: {found:?}, expected {complains:?}"),
        }
    }

    #[test]
    fn a_misspelt_field_is_named_by_its_path() {
        let cluster = "ClusterConfiguration";
        check("v1beta4", cluster, json!({"networking": {"podSubnet": "10.1.0.0/16"}}), None);
        check(
            "v1beta4",
            cluster,
            json!({"networking": {"podSubnets": ""}, "etc": {}}),
            Some(
                "error unmarshaling configuration schema.GroupVersionKind{Group:\"kubeadm.k8s.io\", \
                 Version:\"v1beta4\", Kind:\"ClusterConfiguration\"}: strict decoding error: unknown field \
                 \"networking.podSubnets\", unknown field \"etc\"",
            ),
        );
        check(
            "v1beta3",
            cluster,
            json!({"encryptionAlgorithm": "RSA-2048"}),
            Some("unknown field \"encryptionAlgorithm\""),
        );
        check(
            "v1beta4",
            "InitConfiguration",
            json!({"bootstrapTokens": [{"tok": ""}]}),
            Some("unknown field \"bootstrapTokens[0].tok\""),
        );
        check(
            "v1beta4",
            cluster,
            json!({"networking": 5}),
            Some("ClusterConfiguration.networking: expected an object, found 5"),
        );
    }

    #[test]
    fn an_unknown_kind_is_described_as_go_does() {
        check(
            "v1beta4",
            "ClustrConfiguration",
            json!({}),
            Some(
                "unknown configuration schema.GroupVersionKind{Group:\"kubeadm.k8s.io\", Version:\"v1beta4\", Kind:\"ClustrConfiguration\"}",
            ),
        );
        check("v1beta3", "ResetConfiguration", json!({}), Some("Kind:\"ResetConfiguration\"}"));
        let kubelet =
            json!({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "x": 1});
        assert_eq!(complaint(&kubelet), Ok(None));
    }
}
