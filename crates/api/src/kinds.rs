//! The table of built-in kinds: one row per group, version and resource that Kubernetes 1.36 serves.
//!
//! Rows stand in discovery order: groups by priority, versions by priority, resources by name. The
//! data are in `kinds/*.rs`, one constant per group. Two versions of one resource are two rows with
//! the same [`Kind::storage`] segment; [`Kind::stored`] says which of them is written to the store,
//! and [`convert`] turns one into the other. A custom resource is no row here: it lives as long as
//! its definition does.

mod access;
mod cluster;
mod convert;
mod core;
mod extension;
mod groups;
mod row;
mod workloads;

use base64::Engine as _;
use sha2::{Digest, Sha256};

use crate::names::NameRule;
pub use convert::convert;
pub use groups::{GroupVersion, group_version, group_versions};

/// Everything that the server must know of a kind before it looks at an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// `kind` of the objects.
    pub kind: &'static str,
    /// Plural, lower-case: the resource in paths.
    pub plural: &'static str,
    /// Singular, lower-case.
    pub singular: &'static str,
    /// What kubectl accepts instead.
    pub short_names: &'static [&'static str],
    /// Groups of kinds, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// What may be done on the main endpoint, sorted.
    pub verbs: &'static [&'static str],
    /// The endpoints below an object, sorted by name.
    pub subresources: &'static [Subresource],
    /// Key segment(s) after `/registry/`; empty if nothing is stored (reviews, bindings).
    pub storage: &'static str,
    /// Group and version in which objects are stored.
    pub stored: (&'static str, &'static str),
    /// Whether the server counts changes of the spec in `metadata.generation`.
    pub generation: bool,
    /// Whether an update without `resourceVersion` is accepted.
    pub unconditional_update: bool,
    /// Whether a PUT of an absent object creates it.
    pub create_on_update: bool,
    /// Whether a DELETE answers with the object where others answer with a Status.
    pub delete_returns_object: bool,
    /// Field selectors besides `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [&'static str],
    /// What becomes of dependents if the caller of a DELETE does not say.
    pub propagation: Propagation,
    /// What a name may be.
    pub name_rule: NameRule,
    /// Since when clients are told to use something else.
    pub deprecated: Option<Deprecation>,
}

/// Why a kind should not be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deprecation {
    /// The minor release that began to say so.
    pub since: u16,
    /// What to use: `apiVersion` and kind.
    pub replacement: Option<(&'static str, &'static str)>,
}

/// What a deletion does to dependents by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// The garbage collector deletes them afterwards.
    Background,
    /// They stay (jobs and replication controllers, for the sake of old clients).
    Orphan,
    /// Garbage collection is off for the kind: options are ignored (events).
    Unsupported,
}

/// An endpoint below an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Subresource {
    /// Last segment of the path: `status`.
    pub name: &'static str,
    /// Group of the kind that it takes.
    pub group: &'static str,
    /// Version of the kind that it takes.
    pub version: &'static str,
    /// Kind that it takes.
    pub kind: &'static str,
    /// What may be done there, sorted.
    pub verbs: &'static [&'static str],
    /// For `scale`: where the numbers stand.
    pub scale: Option<ScalePaths>,
}

/// Where a `scale` subresource finds its numbers, as JSON pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalePaths {
    /// Wanted replicas.
    pub spec: &'static str,
    /// Observed replicas.
    pub status: &'static str,
    /// The selector of the pods.
    pub selector: &'static str,
    /// Whether that selector is a plain map of labels.
    pub plain_selector: bool,
}

impl Kind {
    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        join_version(self.group, self.version)
    }

    /// `apiVersion` in the store.
    pub fn stored_api_version(&self) -> String {
        join_version(self.stored.0, self.stored.1)
    }

    /// Kind of a list: `PodList`.
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// `deployments.apps`, or `pods` in the core group.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.into() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Deployment.apps`, or `Pod` in the core group.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.into() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Whether a verb may be used on the main endpoint.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// One of the endpoints below an object.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Whether status is written through its own endpoint.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// What a server of a minor release tells everybody who uses the kind.
    pub fn deprecation(&self, minor: u16) -> Option<String> {
        let Deprecation { since, replacement } = self.deprecated.filter(|d| d.since <= minor)?;
        let instead =
            replacement.map(|(version, kind)| format!("; use {version} {kind}")).unwrap_or_default();
        Some(format!("{} {} is deprecated in v1.{since}+{instead}", self.api_version(), self.kind))
    }

    /// Whether objects are kept at all; what is not is posted for an answer, or computed when read.
    pub fn is_stored(&self) -> bool {
        !self.storage.is_empty()
    }

    /// Whether this row's version is the one in the store.
    pub fn is_storage_version(&self) -> bool {
        self.stored == (self.group, self.version)
    }

    /// The row of the version in the store; the row itself if it is that one.
    pub fn storage_version(&'static self) -> &'static Kind {
        by_kind(self.stored.0, self.stored.1, self.kind).unwrap_or(self)
    }

    /// Discovery's `storageVersionHash`: tells clients when the stored version changes.
    pub fn storage_version_hash(&self) -> String {
        storage_version_hash(self.stored.0, self.stored.1, self.kind)
    }

    /// The path of the collection or, with a name, of an object.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        let namespace = if self.namespaced { namespace } else { "" };
        for (label, value) in [("/namespaces/", namespace), ("/", self.plural), ("/", name)] {
            if !value.is_empty() {
                path.push_str(label);
                path.push_str(value);
            }
        }
        path
    }

    /// The key of an object in the store; without a name, the prefix of its collection, ended by a
    /// slash. `prefix` is `/registry` unless flags say otherwise.
    pub fn key(&self, prefix: &str, namespace: &str, name: &str) -> String {
        let mut key = format!("{prefix}/{}/", self.storage);
        if self.namespaced && !namespace.is_empty() {
            key.push_str(namespace);
            key.push('/');
        }
        key.push_str(name);
        key
    }
}

/// The first eight bytes of SHA-256 over `group/version/kind`, as discovery shows them.
pub fn storage_version_hash(group: &str, version: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("{group}/{version}/{kind}"));
    base64::engine::general_purpose::STANDARD.encode(digest.first_chunk::<8>().unwrap_or(&[0; 8]))
}

fn join_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.into() } else { format!("{group}/{version}") }
}

/// All rows, in discovery order.
pub fn all() -> &'static [Kind] {
    &ALL
}

/// The row that serves a path.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    ALL.iter().find(|k| k.plural == plural && k.group == group && k.version == version)
}

/// The row of an object by its `apiVersion` parts and `kind`.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    ALL.iter().find(|k| k.kind == kind && k.group == group && k.version == version)
}

/// The row of a resource in the version that clients prefer.
pub fn preferred(group: &str, plural: &str) -> Option<&'static Kind> {
    ALL.iter().find(|k| k.plural == plural && k.group == group)
}

/// The row by an object's own `apiVersion` and `kind`.
pub fn of_object(object: &serde_json::Value) -> Option<&'static Kind> {
    use crate::object::{ObjectExt, group_of, version_of};
    let api_version = object.api_version();
    by_kind(group_of(api_version), version_of(api_version), object.kind())
}

/// The rows of one group and version, in order.
pub fn served_by(group: &str, version: &str) -> impl Iterator<Item = &'static Kind> {
    ALL.iter().filter(move |k| k.group == group && k.version == version)
}

const PARTS: &[&[Kind]] = &[
    core::CORE,
    extension::APIREGISTRATION,
    workloads::APPS,
    cluster::EVENTS,
    access::AUTHENTICATION,
    access::AUTHORIZATION,
    workloads::AUTOSCALING_V2,
    workloads::AUTOSCALING_V1,
    workloads::BATCH,
    access::CERTIFICATES,
    cluster::NETWORKING,
    workloads::POLICY,
    access::RBAC,
    cluster::STORAGE,
    extension::ADMISSION,
    extension::APIEXTENSIONS,
    cluster::SCHEDULING,
    cluster::COORDINATION,
    cluster::NODE,
    cluster::DISCOVERY,
    cluster::FLOWCONTROL,
    cluster::RESOURCE,
];

static ALL: [Kind; row::count(PARTS)] = row::join(PARTS);

#[cfg(test)]
mod tests;
