//! What is checked, and how its parts are named in messages.

use std::collections::BTreeSet;

use api::object::ObjectExt as _;
use serde_json::Value;

/// A pod or a template of pods.
pub(super) struct Subject<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
    /// The server's minor.
    pub(super) release: u64,
}

impl<'a> Subject<'a> {
    /// All containers, in upstream's order.
    pub(super) fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec;
        ["/initContainers", "/containers", "/ephemeralContainers"]
            .into_iter()
            .flat_map(move |list| spec.list_at(list))
    }

    /// Names of the containers that `is_bad`.
    pub(super) fn bad(&self, mut is_bad: impl FnMut(&'a Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(|c| is_bad(c)).map(|c| c.str_at("/name")).collect()
    }

    /// Annotations, also of a template's metadata alone.
    pub(super) fn annotations(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let held = self.metadata.map_at("/annotations").into_iter().flatten();
        held.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    pub(super) fn is_windows(&self) -> bool {
        self.spec.str_at("/os/name") == "windows"
    }

    /// Root in such a pod is nobody on its host.
    pub(super) fn has_user_namespace(&self) -> bool {
        self.spec.at("/hostUsers") == Some(&Value::Bool(false))
    }
}

/// A value that is there.
pub(super) fn set<'a>(object: &'a Value, at: &str) -> Option<&'a Value> {
    object.at(at).filter(|v| !v.is_null())
}

/// `"a", "b"`
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

pub(super) fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// `container "c"`, `containers "a", "b"`
pub(super) fn containers(names: &[&str]) -> String {
    format!("{} {}", plural(names.len(), "container", "containers"), list(names.iter().copied()))
}

/// `pod and containers "a", "b"`: who set what they must not; nobody: `None`.
pub(super) fn setters(pod: bool, names: &[&str]) -> Option<String> {
    match (pod, names) {
        (false, []) => None,
        (true, []) => Some("pod".to_owned()),
        (false, names) => Some(containers(names)),
        (true, names) => Some(format!("pod and {}", containers(names))),
    }
}

/// A set of values in messages.
pub(super) type Values<'a> = BTreeSet<&'a str>;
