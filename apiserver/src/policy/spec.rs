//! The notation of the tables: a rule is a line of space-separated words, a role a list of lines.

use serde_json::{Map, Value, json};

use super::{AUTOUPDATE, BOOTSTRAPPING, GROUP};

/// Verbs that look.
pub(super) const READ: &str = "get list watch";
/// Verbs that change.
pub(super) const WRITE: &str = "create update patch delete deletecollection";
/// Both.
pub(super) const READ_WRITE: &str = "get list watch create update patch delete deletecollection";
/// Looks, and changes what is there.
pub(super) const READ_UPDATE: &str = "get list watch update patch";

/// One policy rule. Each field holds words separated by spaces; the group word `core` means the
/// nameless group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
    urls: &'static str,
}

/// `verbs` on `resources` of `groups`.
pub(super) const fn on(verbs: &'static str, groups: &'static str, resources: &'static str) -> Rule {
    Rule { verbs, groups, resources, names: "", urls: "" }
}

/// `verbs` on the objects called `names` of `resources` of `groups`.
pub(super) const fn named(
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
) -> Rule {
    Rule { verbs, groups, resources, names, urls: "" }
}

/// `verbs` on paths that are no resources.
pub(super) const fn urls(verbs: &'static str, urls: &'static str) -> Rule {
    Rule { verbs, groups: "", resources: "", names: "", urls }
}

/// Writing events, which nearly every component does.
pub(super) const EVENTS: Rule = on("create update patch", "core events.k8s.io", "events");

impl Rule {
    pub(super) fn to_value(self) -> Value {
        let mut rule = Map::new();
        let mut put = |key: &str, words: &str| {
            if !words.is_empty() {
                let mut words: Vec<&str> =
                    words.split(' ').map(|word| if word == "core" { "" } else { word }).collect();
                words.sort_unstable();
                rule.insert(key.to_owned(), json!(words));
            }
        };
        put("verbs", self.verbs);
        put("apiGroups", self.groups);
        put("resources", self.resources);
        put("resourceNames", self.names);
        put("nonResourceURLs", self.urls);
        Value::Object(rule)
    }
}

/// A role or cluster role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Role {
    pub(super) name: &'static str,
    /// `admin` in `rbac.authorization.k8s.io/aggregate-to-admin`: whose rules these are part of.
    pub(super) part_of: Option<&'static str>,
    /// The same word for a role that has no rules of its own but gathers others'.
    pub(super) gathers: Option<&'static str>,
    pub(super) rules: &'static [Rule],
}

/// A role with rules of its own.
pub(super) const fn role(name: &'static str, rules: &'static [Rule]) -> Role {
    Role { name, part_of: None, gathers: None, rules }
}

fn aggregation_label(word: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{word}")
}

fn metadata(name: &str, namespace: Option<&str>, part_of: Option<&str>) -> Value {
    let mut labels = Map::new();
    labels.insert(BOOTSTRAPPING.0.to_owned(), BOOTSTRAPPING.1.into());
    if let Some(word) = part_of {
        labels.insert(aggregation_label(word), "true".into());
    }
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata["labels"] = labels.into();
    metadata["annotations"] = json!({ AUTOUPDATE: "true" });
    metadata
}

impl Role {
    pub(super) fn to_cluster_role(self) -> Value {
        let mut object = json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": "ClusterRole",
            "metadata": metadata(self.name, None, self.part_of),
        });
        if let Some(word) = self.gathers {
            object["aggregationRule"] =
                json!({ "clusterRoleSelectors": [{ "matchLabels": { aggregation_label(word): "true" } }] });
        }
        object["rules"] = self.rules.iter().copied().map(Rule::to_value).collect();
        object
    }

    pub(super) fn to_role(self, namespace: &str) -> Value {
        json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": "Role",
            "metadata": metadata(self.name, Some(namespace), None),
            "rules": self.rules.iter().copied().map(Rule::to_value).collect::<Vec<_>>(),
        })
    }
}

/// Whom a binding binds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    User(&'static str),
    Group(&'static str),
    /// Namespace and name.
    ServiceAccount(&'static str, &'static str),
}

impl Subject {
    fn to_value(self) -> Value {
        match self {
            Self::User(name) => json!({ "kind": "User", "apiGroup": GROUP, "name": name }),
            Self::Group(name) => json!({ "kind": "Group", "apiGroup": GROUP, "name": name }),
            Self::ServiceAccount(namespace, name) => {
                json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace })
            }
        }
    }
}

fn binding(kind: &str, metadata: Value, role_kind: &str, role: &str, subjects: &[Subject]) -> Value {
    let mut object = json!({ "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata });
    if !subjects.is_empty() {
        object["subjects"] = subjects.iter().map(|s| s.to_value()).collect();
    }
    object["roleRef"] = json!({ "apiGroup": GROUP, "kind": role_kind, "name": role });
    object
}

/// A binding of the cluster role of the same name.
pub(super) fn cluster_role_binding(role: &str, subjects: &[Subject]) -> Value {
    binding("ClusterRoleBinding", metadata(role, None, None), "ClusterRole", role, subjects)
}

/// A binding in a namespace of the role `role` there.
pub(super) fn role_binding(namespace: &str, name: &str, role: &str, subjects: &[Subject]) -> Value {
    binding("RoleBinding", metadata(name, Some(namespace), None), "Role", role, subjects)
}
