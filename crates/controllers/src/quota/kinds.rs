//! The kinds that a quota counts.

use std::collections::BTreeSet;

use api::{object::ObjectExt as _, quota::usage};
use client::{ClientError, Resource, Rest};
use serde_json::Value;

/// Kinds that quotas know by name; all others they count as `count/<plural>.<group>`.
const KNOWN: [&str; 7] = [
    "pods",
    "services",
    "persistentvolumeclaims",
    "configmaps",
    "resourcequotas",
    "replicationcontrollers",
    "secrets",
];

/// A kind whose objects count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counted {
    pub group: String,
    pub version: String,
    pub plural: String,
}

impl Counted {
    pub(super) fn resource(&self) -> Resource {
        Resource::named(self.group.clone(), self.version.clone(), self.plural.clone())
    }

    /// Whether a change can lower what the object counts for.
    pub(super) fn shrinks(&self, old: &Value, new: &Value) -> bool {
        match (self.group.as_str(), self.plural.as_str()) {
            ("", "pods") => super::ended(old, new),
            ("", "services" | "persistentvolumeclaims") => {
                usage::of("", &self.plural, old) != usage::of("", &self.plural, new)
            }
            _ => false,
        }
    }
}

/// The names under `spec.hard`.
pub(super) fn hard(quota: &Value) -> impl Iterator<Item = &String> {
    quota.pointer("/spec/hard").and_then(Value::as_object).into_iter().flat_map(|hard| hard.keys())
}

/// The kinds that `quota` counts. One that nobody serves counts nothing.
pub(super) async fn counted(rest: &Rest, quota: &Value) -> Result<BTreeSet<Counted>, ClientError> {
    let mut kinds = BTreeSet::new();
    for name in hard(quota) {
        let found = match name.strip_prefix("count/") {
            Some(counted) => {
                let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
                find(rest, group, plural).await?
            }
            None => KNOWN.iter().find(|plural| usage::counts("", plural, name)).map(|plural| Counted {
                group: String::new(),
                version: "v1".into(),
                plural: (*plural).to_owned(),
            }),
        };
        kinds.extend(found);
    }
    Ok(kinds)
}

async fn find(rest: &Rest, group: &str, plural: &str) -> Result<Option<Counted>, ClientError> {
    let named = |version: &str| Counted {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
    };
    if let Some(kind) = api::kinds::preferred(group, plural) {
        return Ok(Some(named(kind.version)));
    }
    // A kind of somebody's own: its group says which version it prefers, and whether it is there at all.
    let discover = async |path: &str| -> Result<Option<Value>, ClientError> {
        let (status, body) = rest.raw(http::Method::GET, path, None).await?;
        Ok(status.is_success().then(|| serde_json::from_slice(&body).ok()).flatten())
    };
    let Some(versions) = discover(&format!("/apis/{group}")).await? else { return Ok(None) };
    let version = versions.str_at("/preferredVersion/version").to_owned();
    let Some(served) = discover(&format!("/apis/{group}/{version}")).await? else { return Ok(None) };
    let there = served.list_at("/resources").iter().any(|r| r.str_at("/name") == plural);
    Ok(there.then(|| named(&version)))
}
