//! Discovery in its first form: a document for each group and version.

use api::kinds::storage_version_hash;
use serde_json::{Map, Value, json};

use super::groups::{Group, Version};
use crate::catalog::Served;

/// `/api`.
pub(super) fn versions(core: &Group, address: &str) -> Value {
    let names: Vec<&str> = core.versions.iter().map(|v| v.name.as_str()).collect();
    json!({
        "kind": "APIVersions",
        "versions": names,
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
    })
}

/// `/apis`.
pub(super) fn group_list(groups: &[Group]) -> Value {
    let groups: Vec<Value> = groups.iter().filter(|g| !g.name.is_empty()).map(entry).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/<group>`.
pub(super) fn group(group: &Group) -> Value {
    let mut out = Map::new();
    out.insert("kind".to_owned(), "APIGroup".into());
    out.insert("apiVersion".to_owned(), "v1".into());
    if let Value::Object(entry) = entry(group) {
        out.extend(entry);
    }
    Value::Object(out)
}

fn entry(group: &Group) -> Value {
    let version = |v: &Version| json!({ "groupVersion": v.api_version(), "version": v.name });
    json!({
        "name": group.name,
        "versions": group.versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": group.versions.first().map(version),
    })
}

/// `/api/v1`, `/apis/<group>/<version>`. `None`: another server says it.
pub(super) fn resource_list(version: &Version) -> Option<Value> {
    if version.elsewhere {
        return None;
    }
    let mut list = Map::new();
    list.insert("kind".to_owned(), "APIResourceList".into());
    if !version.group.is_empty() {
        list.insert("apiVersion".to_owned(), "v1".into());
    }
    list.insert("groupVersion".to_owned(), version.api_version().into());
    let mut resources = Vec::new();
    for served in &version.resources {
        resources.push(resource(served));
        for sub in &served.subresources {
            let mut row = json!({
                "name": format!("{}/{}", served.plural, sub.name),
                "singularName": "",
                "namespaced": served.namespaced,
            });
            if (&sub.group, &sub.version) != (&served.group, &served.version) {
                if !sub.group.is_empty() {
                    row["group"] = sub.group.as_ref().into();
                }
                row["version"] = sub.version.as_ref().into();
            }
            row["kind"] = sub.kind.as_ref().into();
            row["verbs"] = sub.verbs.iter().map(|v| Value::from(v.as_ref())).collect();
            resources.push(row);
        }
    }
    list.insert("resources".to_owned(), resources.into());
    Some(Value::Object(list))
}

fn resource(served: &Served) -> Value {
    let texts =
        |list: &[crate::catalog::Text]| list.iter().map(|t| Value::from(t.as_ref())).collect::<Value>();
    let mut row = json!({
        "name": served.plural,
        "singularName": served.singular,
        "namespaced": served.namespaced,
        "kind": served.kind,
        "verbs": texts(&served.verbs),
    });
    if !served.short_names.is_empty() {
        row["shortNames"] = texts(&served.short_names);
    }
    if !served.categories.is_empty() {
        row["categories"] = texts(&served.categories);
    }
    if served.is_stored() {
        let (group, version) =
            served.stored_api_version.split_once('/').unwrap_or(("", &served.stored_api_version));
        row["storageVersionHash"] = storage_version_hash(group, version, &served.kind).into();
    }
    row
}
