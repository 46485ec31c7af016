//! What the server serves: for loops that care for every resource, whoever defined it.
//!
//! One document per root where the server has it so (aggregated discovery, from 1.26 on), one per group
//! version elsewhere, as client-go's `ServerPreferredResources`.

use api::object::ObjectExt as _;
use serde_json::Value;

use crate::{ClientError, Resource, Rest, exchange::JSON};

/// The aggregated document, and what a server says that does not know it.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                          application/json";

/// A resource that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its names, in the version that its group prefers.
    pub resource: Resource,
    /// `ConfigMap`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What can be done with it.
    pub verbs: Vec<String>,
}

impl Served {
    /// Whether all of these verbs are served.
    pub fn has(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.iter().any(|known| known == verb))
    }
}

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Each resource once, without subresources, in the server's order.
    pub served: Vec<Served>,
    /// Group versions that could not be asked, and why.
    pub silent: Vec<(String, String)>,
}

impl Discovery {
    /// Takes a resource over unless a version that comes first has it already.
    fn learn(&mut self, served: Served) {
        let known = |s: &Served| {
            s.resource.group == served.resource.group && s.resource.plural == served.resource.plural
        };
        if !served.resource.plural.contains('/') && !self.served.iter().any(known) {
            self.served.push(served);
        }
    }
}

/// Asks the server for all that it serves.
///
/// # Errors
/// The roots do not answer. A single group that does not is only named, in [`Discovery::silent`].
pub async fn preferred(rest: &Rest) -> Result<Discovery, ClientError> {
    let mut found = Discovery::default();
    for root in ["/api", "/apis"] {
        let document = rest.document(root, AGGREGATED).await?;
        if document.kind() == "APIGroupDiscoveryList" {
            read_aggregated(&document, &mut found);
            continue;
        }
        for (group, version) in group_versions(&document) {
            let api_version = Resource::named(&*group, &*version, "").api_version();
            let path = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{api_version}") };
            match rest.document(&path, JSON).await {
                Ok(list) => read_resources(&group, &version, &list, &mut found),
                Err(e) => found.silent.push((api_version, e.to_string())),
            }
        }
    }
    Ok(found)
}

fn texts(value: &Value, at: &str) -> Vec<String> {
    value.list_at(at).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Groups and versions of an `APIVersions` or an `APIGroupList`, each group's preferred one first.
fn group_versions(document: &Value) -> Vec<(String, String)> {
    if document.kind() == "APIVersions" {
        return texts(document, "/versions").into_iter().map(|version| (String::new(), version)).collect();
    }
    let mut all = Vec::new();
    for group in document.list_at("/groups") {
        let preferred = group.str_at("/preferredVersion/version");
        let mut versions: Vec<&str> =
            group.list_at("/versions").iter().map(|v| v.str_at("/version")).collect();
        versions.sort_by_key(|version| *version != preferred);
        all.extend(
            versions.into_iter().map(|version| (group.str_at("/name").to_owned(), version.to_owned())),
        );
    }
    all
}

fn read_resources(group: &str, version: &str, list: &Value, found: &mut Discovery) {
    for resource in list.list_at("/resources") {
        found.learn(Served {
            resource: Resource::named(group, version, resource.str_at("/name")),
            kind: resource.kind().to_owned(),
            namespaced: resource.bool_at("/namespaced"),
            verbs: texts(resource, "/verbs"),
        });
    }
}

fn read_aggregated(document: &Value, found: &mut Discovery) {
    for group in document.list_at("/items") {
        let name = group.str_at("/metadata/name");
        for version in group.list_at("/versions") {
            let label = version.str_at("/version");
            if version.str_at("/freshness") == "Stale" {
                let api_version = Resource::named(name, label, "").api_version();
                let why = format!("stale GroupVersion discovery: {api_version}");
                found.silent.push((api_version, why));
            }
            for resource in version.list_at("/resources") {
                found.learn(Served {
                    resource: Resource::named(name, label, resource.str_at("/resource")),
                    kind: resource.str_at("/responseKind/kind").to_owned(),
                    namespaced: resource.str_at("/scope") == "Namespaced",
                    verbs: texts(resource, "/verbs"),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(found: &Discovery) -> Vec<String> {
        let line =
            |s: &Served| format!("{} {} {}", s.resource.api_version(), s.resource.plural, s.namespaced);
        found.served.iter().map(line).collect()
    }

    #[test]
    fn the_preferred_version_of_each_resource_counts() {
        let document = json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
                {"resource": "pods", "scope": "Namespaced", "verbs": ["get"], "responseKind": {"kind": "Pod"}}]}]},
            {"metadata": {"name": "x.org"}, "versions": [
                {"version": "v2", "freshness": "Current", "resources": [
                    {"resource": "as", "scope": "Cluster", "verbs": ["list", "watch"], "responseKind": {"kind": "A"}}]},
                {"version": "v1", "freshness": "Current", "resources": [
                    {"resource": "as", "scope": "Cluster", "verbs": []},
                    {"resource": "bs", "scope": "Namespaced", "verbs": []}]},
            ]},
            {"metadata": {"name": "y.org"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
        ]});
        let mut found = Discovery::default();
        read_aggregated(&document, &mut found);
        assert_eq!(shown(&found), ["v1 pods true", "x.org/v2 as false", "x.org/v1 bs true"]);
        assert!(found.served[1].has(&["list", "watch"]) && !found.served[1].has(&["list", "delete"]));
        let stale = ("y.org/v1".to_owned(), "stale GroupVersion discovery: y.org/v1".to_owned());
        assert_eq!(found.silent, [stale]);
    }

    #[test]
    fn a_server_without_the_aggregated_document_is_asked_version_by_version() {
        let groups = json!({"kind": "APIGroupList", "groups": [{"name": "x.org",
            "preferredVersion": {"version": "v1"}, "versions": [{"version": "v2"}, {"version": "v1"}]}]});
        let pair = |group: &str, version: &str| (group.to_owned(), version.to_owned());
        assert_eq!(group_versions(&groups), [pair("x.org", "v1"), pair("x.org", "v2")]);
        assert_eq!(group_versions(&json!({"kind": "APIVersions", "versions": ["v1"]})), [pair("", "v1")]);
        let mut found = Discovery::default();
        let list = json!({"resources": [
            {"name": "pods", "kind": "Pod", "namespaced": true, "verbs": ["get"]},
            {"name": "pods/log", "kind": "Pod", "namespaced": true, "verbs": ["get"]}]});
        read_resources("", "v1", &list, &mut found);
        assert_eq!(shown(&found), ["v1 pods true"]);
    }
}
