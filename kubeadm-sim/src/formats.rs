//! The versions of kubeadm.k8s.io and the way from each to its neighbours.
//!
//! Everything is read as the newest version and written from it: a document of an older one climbs the steps of
//! [`VERSIONS`] up to it, and what an older release prints or stores descends them. A version is one row and one
//! file with two functions, and shapes in `schema`; that is all a further one needs, at either end. What a step
//! cannot carry over it drops, as upstream's conversions do.
//!
//! ```text
//! v1alpha2 ⇄ v1alpha3 ⇄ v1beta1 ⇄ v1beta2 ⇄ v1beta3 ⇄ v1beta4 ⇄ InitConfig, JoinConfig, …
//! ```

mod v1alpha2;
mod v1alpha3;
mod v1beta1;
mod v1beta2;
mod v1beta3;

use api::profile::Profile;
use serde_json::Value;

use crate::documents::ConfigError;

/// The group of all of them.
pub(crate) const GROUP: &str = "kubeadm.k8s.io";
/// The version in which everything is read and from which everything is written.
pub(crate) const NEWEST: &str = "v1beta4";

/// Documents of a file, which a step may split, join and rewrite; each keeps its kind.
type Step = fn(Vec<Value>) -> Result<Vec<Value>, ConfigError>;

/// A version, the last release that wrote it (which can migrate it onwards), and the steps to the next newer
/// version and back.
struct Version {
    name: &'static str,
    reader: &'static str,
    up: Step,
    down: Step,
}

/// Oldest first. The releases are those that upstream's error for an old version names
/// (`cmd/kubeadm/app/util/config/common.go`).
const VERSIONS: &[Version] = &[
    Version { name: "v1alpha2", reader: "v1.12", up: v1alpha2::up, down: v1alpha2::down },
    Version { name: "v1alpha3", reader: "v1.14", up: v1alpha3::up, down: v1alpha3::down },
    Version { name: "v1beta1", reader: "v1.15", up: v1beta1::up, down: v1beta1::down },
    Version { name: "v1beta2", reader: "v1.22", up: v1beta2::up, down: v1beta2::down },
    Version { name: "v1beta3", reader: "v1.31", up: v1beta3::up, down: v1beta3::down },
];

/// Versions that no step leads from, and the release that does: their documents are named in upstream's error.
const LOST: &[(&str, &str)] = &[("v1alpha1", "v1.11")];

/// The place of a version among its like; one that is not known stands after all.
pub(crate) fn rank(version: &str) -> usize {
    VERSIONS.iter().position(|v| v.name == version).unwrap_or(VERSIONS.len() + usize::from(version != NEWEST))
}

/// Whether documents of a version can be read and written at all.
pub(crate) fn is_known(version: &str) -> bool {
    rank(version) <= VERSIONS.len()
}

/// The release to migrate a document with that this one is too new for.
pub(crate) fn reader_of_old(profile: Profile, version: &str) -> Option<&'static str> {
    let oldest = profile.kubeadm_config_read().iter().map(|read| rank(read)).min()?;
    let old = VERSIONS.iter().take(oldest).find(|v| v.name == version).map(|v| v.reader);
    old.or_else(|| LOST.iter().find(|(name, _)| *name == version).map(|(_, reader)| *reader))
}

/// Documents of one version as the newest one has them.
pub(crate) fn up(version: &str, documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    let mut documents = documents;
    for step in VERSIONS.iter().skip(rank(version)) {
        documents = (step.up)(documents)?;
    }
    Ok(marked(documents, NEWEST))
}

/// Documents of the newest version as another one has them.
pub(crate) fn down(version: &str, documents: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    let mut documents = documents;
    for step in VERSIONS.iter().skip(rank(version)).rev() {
        documents = (step.down)(documents)?;
    }
    Ok(marked(documents, version))
}

fn marked(mut documents: Vec<Value>, version: &str) -> Vec<Value> {
    for doc in &mut documents {
        let ours = kind(doc) != "KubeletConfiguration" && kind(doc) != "KubeProxyConfiguration";
        if ours {
            doc["apiVersion"] = format!("{GROUP}/{version}").into();
        }
    }
    documents
}

/// The version in which a release writes the cluster's configuration, and under which key of the ConfigMap
/// kubeadm-config. A release of a version that no step leads to keeps it in the newest.
pub(crate) fn stored(profile: Profile) -> (&'static str, &'static str) {
    let format = profile.kubeadm_config();
    if is_known(format.version) { (format.version, format.key) } else { (NEWEST, "ClusterConfiguration") }
}

fn kind(doc: &Value) -> &str {
    doc.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// The fields of a document that steps move about, changed in place.
mod edit {
    use serde_json::{Map, Value, json};

    /// Takes the field at a JSON pointer out of its object.
    pub(super) fn take(doc: &mut Value, at: &str) -> Option<Value> {
        let (parent, name) = at.rsplit_once('/')?;
        doc.pointer_mut(parent)?.as_object_mut()?.remove(name).filter(|value| !value.is_null())
    }

    /// Puts a value at a JSON pointer, making the objects on the way.
    pub(super) fn put(doc: &mut Value, at: &str, value: Option<Value>) {
        let Some(value) = value else { return };
        let mut slot = doc;
        for name in at.split('/').skip(1) {
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            slot = &mut slot[name];
        }
        *slot = value;
    }

    /// Moves a field within a document.
    pub(super) fn rename(doc: &mut Value, from: &str, to: &str) {
        let value = take(doc, from);
        put(doc, to, value);
    }

    /// A map of flags as a list of name and value, sorted by name.
    pub(super) fn listed(doc: &mut Value, at: &str) {
        if let Some(Value::Object(map)) = doc.pointer(at) {
            let mut flags: Vec<(&String, &Value)> = map.iter().collect();
            flags.sort_by_key(|(name, _)| *name);
            let list: Vec<Value> =
                flags.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            put(doc, at, Some(list.into()));
        }
    }

    /// The other way; of a repeated flag the last one stays.
    pub(super) fn mapped(doc: &mut Value, at: &str) {
        if let Some(Value::Array(list)) = doc.pointer(at) {
            let map: Map<String, Value> = list
                .iter()
                .filter_map(|arg| Some((arg.get("name")?.as_str()?.to_owned(), arg.get("value")?.clone())))
                .collect();
            put(doc, at, Some(Value::Object(map)));
        }
    }

    /// Removes fields.
    pub(super) fn drop_all(doc: &mut Value, fields: &[&str]) {
        for at in fields {
            take(doc, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A document climbs to the newest version and comes down again as it was.
    fn check(version: &str, documents: Value, newest: Value) {
        let old: Vec<Value> = documents.as_array().expect("a list").clone();
        let mut expected: Vec<Value> = newest.as_array().expect("a list").clone();
        for doc in &mut expected {
            doc["apiVersion"] = format!("{GROUP}/{NEWEST}").into();
        }
        let climbed = up(version, old.clone()).expect("climbs");
        assert_eq!(climbed, expected, "{version}");
        let mut back = down(version, climbed).expect("descends");
        for doc in &mut back {
            assert_eq!(doc["apiVersion"], format!("{GROUP}/{version}"));
            doc.as_object_mut().expect("an object").remove("apiVersion");
        }
        assert_eq!(back, old, "{version} again");
    }

    #[test]
    fn what_a_version_can_say_survives_the_way_up_and_down() {
        check(
            "v1beta3",
            json!([
                {"kind": "InitConfiguration", "nodeRegistration": {"kubeletExtraArgs": {"v": "2"}}},
                {"kind": "ClusterConfiguration", "apiServer": {"extraArgs": {"b": "2", "a": "1"}},
                 "featureGates": {"PublicKeysECDSA": true}},
            ]),
            json!([
                {"kind": "InitConfiguration", "nodeRegistration": {"kubeletExtraArgs": [{"name": "v", "value": "2"}]}},
                {"kind": "ClusterConfiguration",
                 "apiServer": {"extraArgs": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]},
                 "encryptionAlgorithm": "ECDSA-P256"},
            ]),
        );
        check(
            "v1beta3",
            json!([{"kind": "JoinConfiguration", "discovery": {"timeout": "1m0s"}}]),
            json!([{"kind": "JoinConfiguration", "discovery": {}, "timeouts": {"discovery": "1m0s"}}]),
        );
        check(
            "v1beta2",
            json!([{"kind": "ClusterConfiguration", "dns": {"type": "CoreDNS"}}]),
            json!([{"kind": "ClusterConfiguration", "dns": {}}]),
        );
        check(
            "v1alpha3",
            json!([{
                "kind": "ClusterConfiguration", "apiServerCertSANs": ["api"], "apiServerExtraArgs": {"v": "2"},
                "apiServerExtraVolumes": [{"hostPath": "/a", "mountPath": "/b", "name": "n", "writable": true}],
                "schedulerExtraArgs": {"v": "3"},
            }]),
            json!([{
                "kind": "ClusterConfiguration",
                "apiServer": {
                    "certSANs": ["api"], "extraArgs": [{"name": "v", "value": "2"}],
                    "extraVolumes": [{"hostPath": "/a", "mountPath": "/b", "name": "n", "readOnly": false}],
                },
                "scheduler": {"extraArgs": [{"name": "v", "value": "3"}]},
            }]),
        );
        check(
            "v1alpha2",
            json!([{
                "kind": "MasterConfiguration",
                "api": {"advertiseAddress": "10.0.0.1", "bindPort": 6443, "controlPlaneEndpoint": "api:6443"},
                "clusterName": "kubernetes",
                "nodeRegistration": {"name": "cp1"},
            }]),
            json!([
                {"kind": "InitConfiguration", "localAPIEndpoint": {"advertiseAddress": "10.0.0.1", "bindPort": 6443},
                 "nodeRegistration": {"name": "cp1"}},
                {"kind": "ClusterConfiguration", "clusterName": "kubernetes", "controlPlaneEndpoint": "api:6443"},
            ]),
        );
        check(
            "v1alpha3",
            json!([{
                "kind": "JoinConfiguration", "apiEndpoint": {"bindPort": 6444}, "controlPlane": true,
                "discoveryTokenAPIServers": ["10.0.0.1:6443"], "discoveryTokenCACertHashes": ["sha256:00"],
                "discoveryToken": "abcdef.0123456789abcdef", "tlsBootstrapToken": "abcdef.0123456789abcdef",
            }]),
            json!([{
                "kind": "JoinConfiguration",
                "controlPlane": {"localAPIEndpoint": {"bindPort": 6444}},
                "discovery": {
                    "bootstrapToken": {"apiServerEndpoint": "10.0.0.1:6443", "caCertHashes": ["sha256:00"],
                        "token": "abcdef.0123456789abcdef"},
                    "tlsBootstrapToken": "abcdef.0123456789abcdef",
                },
            }]),
        );
    }

    #[test]
    fn an_old_version_is_old_to_those_that_left_it_behind() {
        for (minor, version, reader) in [
            (36, "v1beta3", None),
            (36, "v1beta2", Some("v1.22")),
            (36, "v1alpha1", Some("v1.11")),
            (27, "v1beta2", Some("v1.22")),
            (26, "v1beta2", None),
            (26, "v1beta4", None),
            (12, "v1alpha2", None),
        ] {
            let profile = Profile::of_minor(minor).expect("known");
            assert_eq!(reader_of_old(profile, version), reader, "1.{minor} {version}");
        }
    }
}
