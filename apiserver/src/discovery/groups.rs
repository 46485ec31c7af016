//! What is served, put together by group and version and in upstream's order.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    sync::Arc,
};

use api::{kinds, object::ObjectExt};
use serde_json::Value;

use crate::{aggregator, catalog::Served};

/// A group with its versions, the preferred one first.
#[derive(Debug)]
pub(super) struct Group {
    pub name: String,
    pub versions: Vec<Version>,
}

/// One version of a group.
#[derive(Debug)]
pub(super) struct Version {
    pub group: String,
    pub name: String,
    /// By name.
    pub resources: Vec<Arc<Served>>,
    /// Whether another server has it.
    pub elsewhere: bool,
}

impl Group {
    pub(super) fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// `/api`, `/apis/apps`.
    pub(super) fn path(&self) -> String {
        if self.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.name) }
    }
}

impl Version {
    /// `v1`, `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.name.clone() } else { format!("{}/{}", self.group, self.name) }
    }
}

/// Priorities of a group and version.
fn priorities(group: &str, version: &str, services: &BTreeMap<String, Arc<Value>>) -> (i64, i64) {
    if let Some(service) = services.get(&format!("{version}.{group}")) {
        let number = |pointer| service.i64_at(pointer).unwrap_or(0);
        return (number("/spec/groupPriorityMinimum"), number("/spec/versionPriority"));
    }
    match kinds::group_version(group, version) {
        Some(known) => (known.group_priority.into(), known.version_priority.into()),
        None => (aggregator::CUSTOM_GROUP_PRIORITY, aggregator::CUSTOM_VERSION_PRIORITY),
    }
}

/// Groups by priority, then name; versions by priority, then age and stability.
pub(super) fn groups(served: &[Arc<Served>], api_services: &[Arc<Value>]) -> Vec<Group> {
    let services: BTreeMap<String, Arc<Value>> =
        api_services.iter().map(|s| (s.name().to_owned(), s.clone())).collect();
    let mut versions: BTreeMap<(String, String), Version> = BTreeMap::new();
    let mut entry = |group: &str, version: &str, elsewhere: bool, resource: Option<&Arc<Served>>| {
        let version = versions.entry((group.to_owned(), version.to_owned())).or_insert_with(|| Version {
            group: group.to_owned(),
            name: version.to_owned(),
            resources: Vec::new(),
            elsewhere,
        });
        version.resources.extend(resource.cloned());
    };
    for service in services.values().filter(|s| s.at("/spec/service").is_some_and(Value::is_object)) {
        entry(service.str_at("/spec/group"), service.str_at("/spec/version"), true, None);
    }
    for resource in served {
        entry(&resource.group, &resource.version, false, Some(resource));
    }
    let mut groups: BTreeMap<String, (i64, Vec<(i64, Version)>)> = BTreeMap::new();
    for ((group, name), version) in versions {
        let (group_priority, version_priority) = priorities(&group, &name, &services);
        let (priority, versions) = groups.entry(group).or_insert_with(|| (group_priority, Vec::new()));
        *priority = (*priority).max(group_priority);
        versions.push((version_priority, version));
    }
    let mut groups: Vec<(i64, Group)> = groups
        .into_iter()
        .map(|(name, (priority, mut versions))| {
            versions.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| by_version(&x.name, &y.name)));
            (priority, Group { name, versions: versions.into_iter().map(|(_, version)| version).collect() })
        })
        .collect();
    groups.sort_by_key(|(priority, _)| Reverse(*priority));
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Kubernetes' order of versions, best first: GA before beta before alpha before anything else, then
/// the higher number.
pub(crate) fn by_version(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability, major, minor.
fn parse(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at_checked(digits)?;
    let major = major.parse().ok()?;
    if rest.is_empty() {
        return Some((2, major, 0));
    }
    if let Some(minor) = rest.strip_prefix("beta") {
        return Some((1, major, minor.parse().ok()?));
    }
    Some((0, major, rest.strip_prefix("alpha")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use serde_json::json;

    #[test]
    fn versions_are_in_kubernetes_order() {
        let mut versions = vec![
            "foo1",
            "v1alpha1",
            "v10",
            "v3beta1",
            "v2",
            "v12alpha1",
            "v11beta2",
            "v11alpha2",
            "foo10",
            "v1",
        ];
        versions.sort_by(|a, b| by_version(a, b));
        let expected =
            ["v10", "v2", "v1", "v11beta2", "v3beta1", "v12alpha1", "v11alpha2", "v1alpha1", "foo1", "foo10"];
        assert_eq!(versions, expected);
    }

    #[test]
    fn groups_are_ordered_by_priority() {
        let served = Catalog::builtin().all();
        let names: Vec<String> = groups(&served, &[]).into_iter().map(|g| g.name).collect();
        assert_eq!(names.first().map(String::as_str), Some("apiregistration.k8s.io"));
        let mut expected: Vec<&str> = kinds::group_versions().iter().map(|gv| gv.group).collect();
        expected.dedup();
        assert_eq!(names, expected);
    }

    #[test]
    fn api_services_reorder_and_add_groups() {
        let service = |group: &str, priority: i64, elsewhere: bool| {
            let service = if elsewhere { json!({"name": "s", "namespace": "n"}) } else { Value::Null };
            Arc::new(json!({
                "metadata": {"name": format!("v1.{group}")},
                "spec": {"group": group, "version": "v1", "groupPriorityMinimum": priority, "versionPriority": 1,
                    "service": service},
            }))
        };
        let served = Catalog::builtin().all();
        let found = groups(&served, &[service("metrics.k8s.io", 100, true), service("batch", 50_000, false)]);
        let first = found.first().unwrap();
        assert_eq!(first.name, "batch");
        let last = found.last().unwrap();
        assert_eq!(last.name, "metrics.k8s.io");
        assert!(last.versions[0].elsewhere);
    }
}
