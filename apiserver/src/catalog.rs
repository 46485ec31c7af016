//! Which kinds are served, and by which rules: built-in kinds from `api::kinds`, custom ones added
//! and removed while the server runs.
//!
//! A request path names a group, a version and a plural; [`Catalog::find`] answers with the
//! [`Served`] row that the pipeline and the registry work from. Readers get a snapshot: a kind that
//! is withdrawn in the middle of a request stays usable to its end.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock},
};

use api::{
    kinds::{self, Kind, Propagation},
    names::NameRule,
    status::FieldError,
    table::Column,
};
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::Notify;
use world::Wall;

use crate::crd::Webhook;

/// Text that is a constant for built-in kinds.
pub type Text = Cow<'static, str>;

/// What a custom resource brings along that a built-in kind has in `api::strategy`.
pub trait CustomKind: Send + Sync {
    /// Prunes what the schema does not know and fills in its defaults; what was pruned is returned
    /// as paths (`spec.foo`) for field validation.
    fn normalise(&self, object: &mut Value) -> Vec<String>;
    /// Violations of the schema and its rules. What an update did not touch is only warned about.
    fn validate(&self, new: &Value, old: Option<&Value>, warnings: &mut Vec<String>) -> Vec<FieldError>;
    /// Who converts between versions that differ in more than their names.
    fn webhook(&self) -> Option<&Webhook>;
    /// What every client of this version is told, if the version is to be given up.
    fn deprecation(&self) -> Option<&str>;
    /// Whether `status` is a subresource: then the main endpoint ignores it.
    fn has_status(&self) -> bool;
    /// JSON paths of `scale`: specReplicas, statusReplicas, labelSelector; `None` without scale.
    fn scale(&self) -> Option<ScalePaths>;
    /// Printer columns, `Name` included.
    fn columns(&self) -> Vec<Column>;
    /// The cells of one object, in the order of [`CustomKind::columns`].
    fn row(&self, object: &Value, now: Wall) -> Vec<Value>;
    /// Field paths (`spec.color`) that selectors may name beside `metadata.*`.
    fn selectable(&self) -> Vec<String>;
    /// The schema, as the definition has it: for OpenAPI.
    fn schema(&self) -> &Value;
}

/// Where a custom resource keeps what `scale` shows, as JSON pointers (`/spec/replicas`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the CRD")]
pub struct ScalePaths {
    pub spec_replicas: String,
    pub status_replicas: String,
    pub label_selector: Option<String>,
}

/// Where a kind's behaviour comes from.
#[derive(Clone)]
pub enum Nature {
    /// A row of the table of kinds.
    BuiltIn(&'static Kind),
    /// A CustomResourceDefinition's.
    Custom(Arc<dyn CustomKind>),
}

impl fmt::Debug for Nature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltIn(_) => "BuiltIn",
            Self::Custom(_) => "Custom",
        })
    }
}

/// A subresource and what it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of discovery")]
pub struct ServedSubresource {
    pub name: Text,
    pub group: Text,
    pub version: Text,
    pub kind: Text,
    pub verbs: Vec<Text>,
}

/// One served kind in one version.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the columns of discovery")]
pub struct Served {
    pub group: Text,
    pub version: Text,
    pub kind: Text,
    pub list_kind: Text,
    pub plural: Text,
    pub singular: Text,
    pub short_names: Vec<Text>,
    pub categories: Vec<Text>,
    pub namespaced: bool,
    pub verbs: Vec<Text>,
    pub subresources: Vec<ServedSubresource>,
    /// Key segments after `/registry/`, without slashes at the ends: `minions`, `example.com/foos`.
    /// Empty: nothing is stored (reviews, bindings).
    pub storage: Text,
    /// `apiVersion` of the objects in the store.
    pub stored_api_version: Text,
    /// Whether `metadata.generation` is kept.
    pub generation: bool,
    /// Whether an update may leave out the resource version.
    pub unconditional_update: bool,
    /// Whether a PUT on a missing object creates it.
    pub create_on_update: bool,
    /// Whether DELETE answers with the object instead of a Status.
    pub delete_returns_object: bool,
    /// What becomes of dependents if a DELETE does not say.
    pub propagation: Propagation,
    /// What a name may be.
    pub name_rule: NameRule,
    pub nature: Nature,
}

impl Served {
    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods`, `deployments.apps`: how messages name the resource.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `Pod`, `Deployment.apps`: how validation names the kind.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_string() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&ServedSubresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Whether objects of the kind are kept at all.
    pub fn is_stored(&self) -> bool {
        !self.storage.is_empty()
    }

    /// Whether a verb may be used on the main endpoint, or on a subresource.
    pub fn allows(&self, verb: &str, subresource: &str) -> bool {
        let verbs = match subresource {
            "" => &self.verbs,
            name => match self.subresource(name) {
                Some(subresource) => &subresource.verbs,
                None => return false,
            },
        };
        verbs.iter().any(|v| v == verb)
    }

    /// Makes an object of the store presentable in this version.
    pub fn present(&self, object: &mut Value) {
        self.translate(object, &self.api_version());
        // What was stored under another schema is shown as this one has it.
        if let Nature::Custom(custom) = &self.nature
            && object.get("apiVersion").and_then(Value::as_str) == Some(self.api_version().as_str())
        {
            custom.normalise(object);
        }
    }

    /// Makes an object of this version what the store keeps.
    pub fn to_stored(&self, object: &mut Value) {
        self.translate(object, &self.stored_api_version);
    }

    /// Who converts the kind's objects, if a webhook does.
    pub fn webhook(&self) -> Option<&Webhook> {
        self.custom()?.webhook()
    }

    fn translate(&self, object: &mut Value, wanted: &str) {
        let have = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if have == wanted {
            return;
        }
        let row = |api_version: &str| {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            kinds::by_kind(group, version, &self.kind)
        };
        match (&self.nature, row(have), row(wanted)) {
            (Nature::BuiltIn(_), Some(from), Some(to)) => kinds::convert(from, to, object),
            // Only the webhook knows how, and has been asked where it can be.
            _ if self.webhook().is_some() => {}
            _ => {
                if let Some(version) = object.get_mut("apiVersion") {
                    *version = wanted.into();
                }
            }
        }
    }

    /// What the definition adds, for custom kinds.
    pub fn custom(&self) -> Option<&dyn CustomKind> {
        match &self.nature {
            Nature::BuiltIn(_) => None,
            Nature::Custom(custom) => Some(custom.as_ref()),
        }
    }

    /// Its place among all that is served. Costs nothing to make for a built-in kind.
    pub(crate) fn key_in_catalog(&self) -> (Text, Text, Text) {
        (self.group.clone(), self.version.clone(), self.plural.clone())
    }

    /// Whether the kind comes from a CustomResourceDefinition.
    pub fn is_custom(&self) -> bool {
        matches!(self.nature, Nature::Custom(_))
    }

    /// The row of the table of kinds, for built-in ones.
    pub fn builtin(&self) -> Option<&'static Kind> {
        match &self.nature {
            Nature::BuiltIn(kind) => Some(kind),
            Nature::Custom(_) => None,
        }
    }

    /// The key prefix of all objects (`namespace` empty) or of one namespace's, with a slash at the end.
    pub fn prefix(&self, namespace: &str) -> String {
        if namespace.is_empty() {
            format!("/registry/{}/", self.storage)
        } else {
            format!("/registry/{}/{namespace}/", self.storage)
        }
    }

    /// The key of one object.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        format!("{}{name}", self.prefix(if self.namespaced { namespace } else { "" }))
    }
}

impl From<&'static Kind> for Served {
    fn from(kind: &'static Kind) -> Self {
        let texts =
            |list: &'static [&'static str]| list.iter().map(|t| Cow::Borrowed(*t)).collect::<Vec<_>>();
        Self {
            group: kind.group.into(),
            version: kind.version.into(),
            kind: kind.kind.into(),
            list_kind: kind.list_kind().into(),
            plural: kind.plural.into(),
            singular: kind.singular.into(),
            short_names: texts(kind.short_names),
            categories: texts(kind.categories),
            namespaced: kind.namespaced,
            verbs: texts(kind.verbs),
            subresources: kind
                .subresources
                .iter()
                .map(|s| ServedSubresource {
                    name: s.name.into(),
                    group: s.group.into(),
                    version: s.version.into(),
                    kind: s.kind.into(),
                    verbs: texts(s.verbs),
                })
                .collect(),
            storage: kind.storage.into(),
            stored_api_version: kind.stored_api_version().into(),
            generation: kind.generation,
            unconditional_update: kind.unconditional_update,
            create_on_update: kind.create_on_update,
            delete_returns_object: kind.delete_returns_object,
            propagation: kind.propagation,
            name_rule: kind.name_rule,
            nature: Nature::BuiltIn(kind),
        }
    }
}

/// Group, version, plural.
type Key<'a> = (Cow<'a, str>, Cow<'a, str>, Cow<'a, str>);

fn key<'a>(group: &'a str, version: &'a str, plural: &'a str) -> Key<'a> {
    (group.into(), version.into(), plural.into())
}

#[derive(Default)]
struct State {
    served: BTreeMap<Key<'static>, Arc<Served>>,
    generation: u64,
}

impl State {
    fn find(&self, key: &Key<'_>) -> Option<Arc<Served>> {
        // A map with longer lived keys is also one of these: nothing has to be copied to ask it.
        fn get<'a>(served: &BTreeMap<Key<'a>, Arc<Served>>, key: &Key<'a>) -> Option<Arc<Served>> {
            served.get(key).cloned()
        }
        get(&self.served, key)
    }
}

/// All served kinds. Clones share them.
#[derive(Clone, Default)]
pub struct Catalog {
    state: Arc<RwLock<State>>,
    changed: Arc<Notify>,
}

impl Catalog {
    /// The built-in kinds: the same for all servers of a process.
    pub fn builtin() -> Self {
        static BUILT_IN: LazyLock<Vec<Arc<Served>>> =
            LazyLock::new(|| kinds::all().iter().map(|kind| Arc::new(Served::from(kind))).collect());
        let catalog = Self::default();
        for served in BUILT_IN.iter() {
            catalog.put_shared(served.clone());
        }
        catalog
    }

    /// Without the built-in kinds of group versions that are turned off.
    #[must_use]
    pub fn only(self, serves: impl Fn(&str, &str) -> bool) -> Self {
        self.state.write().served.retain(|(group, version, _), _| serves(group, version));
        self
    }

    /// The kind that serves `/apis/<group>/<version>/…/<plural>`.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Served>> {
        self.state.read().find(&key(group, version, plural))
    }

    /// The kind of that name in a version, for references such as scale targets.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Served>> {
        self.all().into_iter().find(|s| s.group == group && s.version == version && s.kind == kind)
    }

    /// Everything served, ordered by group, version, plural.
    pub fn all(&self) -> Vec<Arc<Served>> {
        self.state.read().served.values().cloned().collect()
    }

    /// Whether anything of that group and version is served.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.state.read().served.values().any(|s| s.group == group && s.version == version)
    }

    /// Whether the server's own code, and no definition, serves that group and version.
    pub fn has_builtin_version(&self, group: &str, version: &str) -> bool {
        let state = self.state.read();
        state.served.values().any(|s| !s.is_custom() && s.group == group && s.version == version)
    }

    /// Serves `served`, replacing what was served at the same place.
    pub fn put(&self, served: Served) -> Arc<Served> {
        self.put_shared(Arc::new(served))
    }

    fn put_shared(&self, served: Arc<Served>) -> Arc<Served> {
        let key = served.key_in_catalog();
        {
            let mut state = self.state.write();
            state.served.insert(key, served.clone());
            state.generation += 1;
        }
        self.changed.notify_waiters();
        served
    }

    /// Stops serving a custom kind; built-in kinds stay.
    pub fn withdraw(&self, group: &str, version: &str, plural: &str) {
        {
            let mut state = self.state.write();
            let Some(held) = state.find(&key(group, version, plural)).filter(|s| s.is_custom()) else {
                return;
            };
            let key = held.key_in_catalog();
            state.served.remove(&key);
            state.generation += 1;
        }
        self.changed.notify_waiters();
    }

    /// Counts changes: discovery documents made at one generation are good until it moves.
    pub fn generation(&self) -> u64 {
        self.state.read().generation
    }

    /// Waits for the next change after this call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Catalog({} kinds)", self.state.read().served.len())
    }
}
