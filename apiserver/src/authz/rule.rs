//! One RBAC policy rule: what it allows, what it covers, how it is printed.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value, json};

use super::Attributes;

const ALL: &str = "*";

/// A `rbac.authorization.k8s.io/v1 PolicyRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the fields of PolicyRule")]
pub struct Rule {
    pub verbs: Vec<String>,
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    pub resource_names: Vec<String>,
    pub non_resource_urls: Vec<String>,
}

impl Rule {
    /// Everything on everything: what an aggregation rule demands of its author.
    pub fn full_authority() -> [Rule; 2] {
        let all = || vec![ALL.to_owned()];
        [
            Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() },
            Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() },
        ]
    }

    /// Reads a rule of a role; what is missing is empty.
    pub fn from_value(rule: &Value) -> Self {
        let words = |key: &str| -> Vec<String> {
            let list = rule.get(key).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            verbs: words("verbs"),
            api_groups: words("apiGroups"),
            resources: words("resources"),
            resource_names: words("resourceNames"),
            non_resource_urls: words("nonResourceURLs"),
        }
    }

    /// The rule as it stands in a role, and in a rules review.
    pub fn to_value(&self) -> Value {
        let mut rule = Map::new();
        for (key, words) in self.fields() {
            if !words.is_empty() {
                rule.insert(key.to_owned(), json!(words));
            }
        }
        Value::Object(rule)
    }

    fn fields(&self) -> [(&'static str, &Vec<String>); 5] {
        [
            ("verbs", &self.verbs),
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ]
    }

    /// Whether this rule allows the request.
    pub fn allows(&self, request: &Attributes<'_>) -> bool {
        let any = |words: &[String], wanted: &str| words.iter().any(|w| w == ALL || w == wanted);
        if !any(&self.verbs, request.verb) {
            return false;
        }
        if !request.resource_request {
            return self.non_resource_urls.iter().any(|url| url_matches(url, request.path));
        }
        any(&self.api_groups, request.group)
            && self.resources.iter().any(|r| resource_matches(r, request.resource, request.subresource))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == request.name))
    }

    /// The rule taken apart: one verb on one resource of one group (and one name), or one verb on
    /// one URL.
    fn atoms(&self) -> Vec<Rule> {
        let one = |word: &String| vec![word.clone()];
        let mut atoms = Vec::new();
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let atom = Rule {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        ..Rule::default()
                    };
                    if self.resource_names.is_empty() {
                        atoms.push(atom);
                    } else {
                        let named = |name: &String| Rule { resource_names: one(name), ..atom.clone() };
                        atoms.extend(self.resource_names.iter().map(named));
                    }
                }
            }
        }
        for url in &self.non_resource_urls {
            for verb in &self.verbs {
                atoms.push(Rule { verbs: one(verb), non_resource_urls: one(url), ..Rule::default() });
            }
        }
        atoms
    }

    fn covers_atom(&self, atom: &Rule) -> bool {
        let all = |held: &[String], wanted: &[String]| {
            held.iter().any(|w| w == ALL) || wanted.iter().all(|w| held.contains(w))
        };
        let resource_covered = |wanted: &String| {
            self.resources.iter().any(|held| {
                let (resource, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
                resource_matches(held, resource, subresource)
            })
        };
        all(&self.verbs, &atom.verbs)
            && all(&self.api_groups, &atom.api_groups)
            && atom.resources.iter().all(resource_covered)
            && atom
                .non_resource_urls
                .iter()
                .all(|url| self.non_resource_urls.iter().any(|h| url_covers(h, url)))
            && (self.resource_names.is_empty()
                || (!atom.resource_names.is_empty()
                    && atom.resource_names.iter().all(|n| self.resource_names.contains(n))))
    }
}

/// A rule's resource is `*`, `pods`, `pods/log` or `*/scale`.
fn resource_matches(held: &str, resource: &str, subresource: &str) -> bool {
    if held == ALL {
        return true;
    }
    if subresource.is_empty() {
        return held == resource;
    }
    held.split_once('/').is_some_and(|(r, s)| s == subresource && (r == ALL || r == resource))
}

/// A rule's URL is exact, or a prefix that ends in `*`.
fn url_matches(held: &str, path: &str) -> bool {
    held == path
        || held.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix.trim_end_matches('*')))
}

fn url_covers(held: &str, wanted: &str) -> bool {
    held == ALL || held == wanted || held.strip_suffix('*').is_some_and(|prefix| wanted.starts_with(prefix))
}

/// `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        f.write_str("{")?;
        let mut separator = "";
        for (name, words) in parts {
            if !words.is_empty() {
                write!(f, "{separator}{name}:{}", quoted(words))?;
                separator = ", ";
            }
        }
        f.write_str("}")
    }
}

/// `["a" "b"]`, as Go prints a list of quoted strings.
pub(crate) fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
    format!("[{}]", words.join(" "))
}

/// What `held` lacks of `wanted`, in atoms; empty when it covers all.
pub fn covers(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    wanted
        .iter()
        .flat_map(Rule::atoms)
        .filter(|atom| !held.iter().any(|rule| rule.covers_atom(atom)))
        .collect()
}

/// Joins atoms that differ only in the verb.
pub fn compact(atoms: Vec<Rule>) -> Vec<Rule> {
    let mut rest = Vec::new();
    let mut simple: BTreeMap<[Vec<String>; 3], Rule> = BTreeMap::new();
    for atom in atoms {
        let is_simple = atom.non_resource_urls.is_empty()
            && atom.api_groups.len() == 1
            && atom.resources.len() == 1
            && atom.resource_names.len() <= 1;
        if !is_simple {
            rest.push(atom);
            continue;
        }
        let key = [atom.api_groups.clone(), atom.resources.clone(), atom.resource_names.clone()];
        match simple.entry(key) {
            std::collections::btree_map::Entry::Occupied(mut held) => held.get_mut().verbs.extend(atom.verbs),
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(atom);
            }
        }
    }
    rest.extend(simple.into_values());
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::User;

    fn rule(value: Value) -> Rule {
        Rule::from_value(&value)
    }

    #[test]
    fn a_rule_allows_what_it_names() {
        let check = |held: Value, verb: &str, group: &str, resource: &str, name: &str, allowed: bool| {
            let user = User::new("u", &[]);
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let request = Attributes {
                verb,
                group,
                resource,
                subresource,
                name,
                resource_request: true,
                ..Attributes::of(&user)
            };
            assert_eq!(
                rule(held.clone()).allows(&request),
                allowed,
                "{held} and {verb} {resource}/{subresource} {name}"
            );
        };
        let pods = json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]});
        check(pods.clone(), "get", "", "pods", "p", true);
        check(pods.clone(), "delete", "", "pods", "p", false);
        check(pods.clone(), "get", "apps", "pods", "p", false);
        check(pods.clone(), "get", "", "pods/log", "p", false);
        check(
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}),
            "get",
            "",
            "pods/log",
            "p",
            true,
        );
        check(
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}),
            "get",
            "",
            "pods",
            "p",
            false,
        );
        check(
            json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/scale"]}),
            "update",
            "apps",
            "deployments/scale",
            "d",
            true,
        );
        check(
            json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*/scale"]}),
            "update",
            "apps",
            "deployments",
            "d",
            false,
        );
        check(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), "bind", "x", "y/z", "", true);
        let named = json!({"verbs": ["get", "create", "list"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"]});
        check(named.clone(), "get", "", "configmaps", "a", true);
        check(named.clone(), "get", "", "configmaps", "b", false);
        // No name on a create, so a rule with names never allows one.
        check(named.clone(), "create", "", "configmaps", "", false);
        // A list by metadata.name carries that name.
        check(named, "list", "", "configmaps", "a", true);
        check(json!({"verbs": ["get"], "nonResourceURLs": ["*"]}), "get", "", "pods", "p", false);
    }

    #[test]
    fn urls_are_exact_or_a_prefix_with_a_star() {
        let check = |url: &str, path: &str, allowed: bool| {
            let user = User::new("u", &[]);
            let request = Attributes { verb: "get", path, ..Attributes::of(&user) };
            let held = rule(json!({"verbs": ["get"], "nonResourceURLs": [url]}));
            assert_eq!(held.allows(&request), allowed, "{url} and {path}");
        };
        check("/healthz", "/healthz", true);
        check("/healthz", "/healthz/etcd", false);
        check("/healthz/*", "/healthz/etcd", true);
        check("/healthz/*", "/healthz", false);
        check("/api*", "/apis", true);
        check("*", "/anything", true);
    }

    #[test]
    fn what_is_not_covered_is_named() {
        let check = |held: Value, wanted: Value, missing: &[&str]| {
            let held: Vec<Rule> = held.as_array().unwrap().iter().map(Rule::from_value).collect();
            let wanted: Vec<Rule> = wanted.as_array().unwrap().iter().map(Rule::from_value).collect();
            let found: Vec<String> = compact(covers(&held, &wanted)).iter().map(Rule::to_string).collect();
            assert_eq!(found, missing);
        };
        let wanted = json!([{"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["deployments"]}]);
        check(
            json!([]),
            wanted.clone(),
            &[r#"{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}"#],
        );
        check(
            json!([{"verbs": ["get"], "apiGroups": ["apps"], "resources": ["*"]}]),
            wanted.clone(),
            &[r#"{APIGroups:["apps"], Resources:["deployments"], Verbs:["list"]}"#],
        );
        // Rights on one name do not cover rights on all.
        check(
            json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "resourceNames": ["x"]}]),
            wanted.clone(),
            &[r#"{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}"#],
        );
        check(json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]), wanted, &[]);
        check(
            json!([{"verbs": ["get"], "nonResourceURLs": ["/api/*"]}]),
            json!([{"verbs": ["get"], "nonResourceURLs": ["/api/v1", "/metrics"]}]),
            &[r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#],
        );
        check(
            json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}]),
            json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log", "pods"], "resourceNames": ["p"]}]),
            &[r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["p"], Verbs:["get"]}"#],
        );
    }
}
