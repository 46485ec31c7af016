//! The fields of kubeadm's configuration kinds, version by version, so that a misspelt one is named.
//!
//! Upstream decodes strictly and then only warns, but for `kubeadm config validate` and `migrate`, which refuse
//! (`cmd/kubeadm/app/util/config/strict`). Versions before v1beta1 have shapes of their own (`schema_alpha`).

use serde_json::Value;

use crate::{documents::ConfigError, formats, schema_alpha, schema_components};

/// What may stand somewhere.
pub(crate) enum Shape {
    /// Whatever its reader makes of it.
    Any,
    /// Flags of a program: a list of name and value from v1beta4 on, a map before.
    Args,
    Object(&'static [(&'static str, Shape)]),
    List(&'static Shape),
}

use Shape::{Any, Args, List, Object};

const NODE: Shape = Object(&[
    ("criSocket", Any),
    ("ignorePreflightErrors", Any),
    ("imagePullPolicy", Any),
    ("imagePullSerial", Any),
    ("kubeletExtraArgs", Args),
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
const COMPONENT: Shape = Object(&[("extraArgs", Args), ("extraEnvs", Any), ("extraVolumes", Any)]);
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
            ("extraArgs", Args),
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
    ("dns", Object(&[("disabled", Any), ("imageRepository", Any), ("imageTag", Any), ("type", Any)])),
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
                    ("extraArgs", Args),
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
    ("useHyperKubeImage", Any),
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

const UPGRADE: Shape = Object(&[
    (
        "apply",
        Object(&[
            ("allowExperimentalUpgrades", Any),
            ("allowRCUpgrades", Any),
            ("certificateRenewal", Any),
            ("dryRun", Any),
            ("etcdUpgrade", Any),
            ("forceUpgrade", Any),
            ("ignorePreflightErrors", Any),
            ("imagePullPolicy", Any),
            ("imagePullSerial", Any),
            ("kubernetesVersion", Any),
            ("patches", PATCHES),
            ("printConfig", Any),
            ("skipPhases", Any),
        ]),
    ),
    ("diff", Object(&[("contextLines", Any), ("kubernetesVersion", Any)])),
    (
        "node",
        Object(&[
            ("certificateRenewal", Any),
            ("dryRun", Any),
            ("etcdUpgrade", Any),
            ("ignorePreflightErrors", Any),
            ("imagePullPolicy", Any),
            ("imagePullSerial", Any),
            ("patches", PATCHES),
            ("skipPhases", Any),
        ]),
    ),
    (
        "plan",
        Object(&[
            ("allowExperimentalUpgrades", Any),
            ("allowRCUpgrades", Any),
            ("dryRun", Any),
            ("etcdUpgrade", Any),
            ("ignorePreflightErrors", Any),
            ("kubernetesVersion", Any),
            ("printConfig", Any),
        ]),
    ),
    ("timeouts", TIMEOUTS),
]);

const KINDS: &[(&str, Shape)] = &[
    ("ClusterConfiguration", CLUSTER),
    ("InitConfiguration", INIT),
    ("JoinConfiguration", JOIN),
    ("ResetConfiguration", RESET),
    ("UpgradeConfiguration", UPGRADE),
];

/// Fields, and whole kinds, that came after v1beta1 or went before v1beta4: the first version that has them and
/// the last.
const RANGES: &[(&str, &str, &str)] = &[
    ("ClusterConfiguration.apiServer.extraEnvs", "v1beta4", NEWEST),
    ("ClusterConfiguration.apiServer.timeoutForControlPlane", OLDEST, "v1beta3"),
    ("ClusterConfiguration.caCertificateValidityPeriod", "v1beta4", NEWEST),
    ("ClusterConfiguration.certificateValidityPeriod", "v1beta4", NEWEST),
    ("ClusterConfiguration.controllerManager.extraEnvs", "v1beta4", NEWEST),
    ("ClusterConfiguration.dns.disabled", "v1beta4", NEWEST),
    ("ClusterConfiguration.dns.type", OLDEST, "v1beta2"),
    ("ClusterConfiguration.encryptionAlgorithm", "v1beta4", NEWEST),
    ("ClusterConfiguration.etcd.external.httpEndpoints", "v1beta4", NEWEST),
    ("ClusterConfiguration.etcd.local.extraEnvs", "v1beta4", NEWEST),
    ("ClusterConfiguration.proxy", "v1beta4", NEWEST),
    ("ClusterConfiguration.scheduler.extraEnvs", "v1beta4", NEWEST),
    ("ClusterConfiguration.useHyperKubeImage", OLDEST, "v1beta2"),
    ("InitConfiguration.certificateKey", "v1beta2", NEWEST),
    ("InitConfiguration.dryRun", "v1beta4", NEWEST),
    ("InitConfiguration.nodeRegistration.ignorePreflightErrors", "v1beta2", NEWEST),
    ("InitConfiguration.nodeRegistration.imagePullPolicy", "v1beta3", NEWEST),
    ("InitConfiguration.nodeRegistration.imagePullSerial", "v1beta4", NEWEST),
    ("InitConfiguration.patches", "v1beta3", NEWEST),
    ("InitConfiguration.skipPhases", "v1beta3", NEWEST),
    ("InitConfiguration.timeouts", "v1beta4", NEWEST),
    ("JoinConfiguration.controlPlane.certificateKey", "v1beta2", NEWEST),
    ("JoinConfiguration.discovery.timeout", OLDEST, "v1beta3"),
    ("JoinConfiguration.dryRun", "v1beta4", NEWEST),
    ("JoinConfiguration.nodeRegistration.ignorePreflightErrors", "v1beta2", NEWEST),
    ("JoinConfiguration.nodeRegistration.imagePullPolicy", "v1beta3", NEWEST),
    ("JoinConfiguration.nodeRegistration.imagePullSerial", "v1beta4", NEWEST),
    ("JoinConfiguration.patches", "v1beta3", NEWEST),
    ("JoinConfiguration.skipPhases", "v1beta3", NEWEST),
    ("JoinConfiguration.timeouts", "v1beta4", NEWEST),
    ("ResetConfiguration", "v1beta4", NEWEST),
    ("UpgradeConfiguration", "v1beta4", NEWEST),
];

const OLDEST: &str = "v1beta1";
const NEWEST: &str = formats::NEWEST;

/// The shape of a kind in a version of kubeadm.k8s.io that is known.
pub(crate) fn shape(version: &str, kind: &str) -> Option<&'static Shape> {
    if formats::rank(version) < formats::rank(OLDEST) {
        return schema_alpha::shape(version, kind);
    }
    KINDS.iter().find(|(name, _)| *name == kind && has(version, kind)).map(|(_, shape)| shape)
}

/// How Go prints a group, version and kind.
pub(crate) fn described(doc: &Value) -> String {
    let field = |name: &str| doc.get(name).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = field("apiVersion").split_once('/').unwrap_or(("", field("apiVersion")));
    format!("schema.GroupVersionKind{{Group:{group:?}, Version:{version:?}, Kind:{:?}}}", field("kind"))
}

/// What strict decoding finds wrong with a document of kubeadm.k8s.io or of a component, in upstream's words.
///
/// # Errors
/// Something else stands where an object or a list must, which no decoding survives.
pub(crate) fn complaint(doc: &Value) -> Result<Option<String>, ConfigError> {
    let field = |name: &str| doc.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (field("apiVersion"), field("kind"));
    let version = api_version.split_once('/').map_or(api_version, |(_, version)| version);
    let known = match api_version.split_once('/') {
        Some((group, _)) if group != formats::GROUP => schema_components::shape(api_version, kind),
        _ => shape(version, kind),
    };
    let Some(shape) = known else {
        return Ok(Some(format!("unknown configuration {}", described(doc))));
    };
    let mut unknown = Vec::new();
    walk(shape, doc, &mut Walk { version, kind, unknown: &mut unknown }, "")?;
    if unknown.is_empty() {
        return Ok(None);
    }
    let fields: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
    Ok(Some(format!(
        "error unmarshaling configuration {}: strict decoding error: {}",
        described(doc),
        fields.join(", ")
    )))
}

fn has(version: &str, path: &str) -> bool {
    let rank = formats::rank(version);
    RANGES.iter().all(|(limited, first, last)| {
        *limited != path || (formats::rank(first)..=formats::rank(last)).contains(&rank)
    })
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
        (Args, Value::Array(_)) if at.version == NEWEST => Ok(()),
        (Args, Value::Object(_)) if at.version != NEWEST => Ok(()),
        (Args, _) if at.version == NEWEST => wrong("a list of name and value"),
        (Args, _) => wrong("a map of flags"),
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
        check("v1beta4", "MasterConfiguration", json!({}), Some("Kind:\"MasterConfiguration\"}"));
    }

    #[test]
    fn fields_come_and_go_with_their_versions() {
        let cluster = "ClusterConfiguration";
        let init = "InitConfiguration";
        let unknown = |path: &str| format!("unknown field {path:?}");
        for (version, kind, body, path) in [
            ("v1beta1", init, json!({"certificateKey": "x"}), "certificateKey"),
            ("v1beta2", init, json!({"skipPhases": []}), "skipPhases"),
            ("v1beta3", init, json!({"timeouts": {}}), "timeouts"),
            ("v1beta3", cluster, json!({"dns": {"type": "CoreDNS"}}), "dns.type"),
            (
                "v1beta4",
                cluster,
                json!({"apiServer": {"timeoutForControlPlane": "1m"}}),
                "apiServer.timeoutForControlPlane",
            ),
            ("v1alpha3", cluster, json!({"apiServer": {}}), "apiServer"),
            ("v1alpha2", "MasterConfiguration", json!({"apiEndpoint": {}}), "apiEndpoint"),
        ] {
            check(version, kind, body, Some(&unknown(path)));
        }
        for (version, kind, body) in [
            ("v1beta2", init, json!({"certificateKey": "x"})),
            ("v1beta2", cluster, json!({"dns": {"type": "CoreDNS"}})),
            ("v1alpha3", cluster, json!({"apiServerExtraArgs": {"v": "2"}})),
            ("v1alpha2", "MasterConfiguration", json!({"api": {"bindPort": 6443}})),
        ] {
            check(version, kind, body, None);
        }
        check(
            "v1beta4",
            cluster,
            json!({"scheduler": {"extraArgs": {"v": "2"}}}),
            Some(
                "ClusterConfiguration.scheduler.extraArgs: expected a list of name and value, found {\"v\":\"2\"}",
            ),
        );
        check(
            "v1beta3",
            cluster,
            json!({"scheduler": {"extraArgs": []}}),
            Some("expected a map of flags, found []"),
        );
    }
}
