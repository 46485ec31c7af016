//! The RBAC index against a model that knows nothing but the final tables.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{authz, now};
use crate::{
    authz::{Attributes, Mode},
    identity::User,
    informers::Informers,
};

type Key = (String, String);

#[derive(Clone, Debug)]
enum Event {
    Role(Key, Option<Value>),
    Binding(Key, Option<Value>),
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn words(words: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(word(words), 0..3)
}

const NAMES: &[&str] = &["a", "b", "c"];
const SCOPES: &[&str] = &["", "n", "m"];
const USERS: &[&str] = &["u", "v", "system:serviceaccount:n:u", "system:serviceaccount:m:v"];

fn rule() -> impl Strategy<Value = Value> {
    let urls = words(&["*", "/a", "/a/*", "/b*"]);
    let resource = (
        words(&["*", "", "g"]),
        words(&["*", "x", "x/s", "*/s", "y"]),
        words(&["o", "p"]),
        words(&["get", "*", "put"]),
    );
    prop_oneof![
        3 => resource.prop_map(|(groups, resources, names, verbs)| {
            json!({"apiGroups": groups, "resources": resources, "resourceNames": names, "verbs": verbs})
        }),
        1 => (urls, words(&["get", "*"])).prop_map(|(urls, verbs)| json!({"nonResourceURLs": urls, "verbs": verbs})),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    (word(SCOPES), word(NAMES))
}

fn event() -> impl Strategy<Value = Event> {
    let rules = prop::option::weighted(0.8, prop::collection::vec(rule(), 0..3));
    let role = (key(), rules).prop_map(|(key, rules)| {
        let object =
            rules.map(|rules| json!({"metadata": {"namespace": key.0, "name": key.1}, "rules": rules}));
        Event::Role(key, object)
    });
    let subject = prop_oneof![
        word(&["u", "v"]).prop_map(|name| json!({"kind": "User", "name": name})),
        word(&["g", "h"]).prop_map(|name| json!({"kind": "Group", "name": name})),
        (word(SCOPES), word(&["u", "v"]))
            .prop_map(|(ns, name)| json!({"kind": "ServiceAccount", "namespace": ns, "name": name})),
    ];
    let parts = (word(&["Role", "ClusterRole"]), word(NAMES), prop::collection::vec(subject, 0..3));
    let binding = (key(), prop::option::weighted(0.8, parts)).prop_map(|(key, parts)| {
        let object = parts.map(|(kind, role, subjects)| {
            json!({
                "metadata": {"namespace": key.0, "name": key.1},
                "roleRef": {"kind": kind, "name": role},
                "subjects": subjects,
            })
        });
        Event::Binding(key, object)
    });
    prop_oneof![role, binding]
}

/// Upstream's rules, read off one after the other.
fn allows(rule: &Value, request: &Attributes<'_>) -> bool {
    let list = |key: &str| -> Vec<&str> {
        rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let has = |key: &str, wanted: &str| list(key).iter().any(|w| *w == "*" || *w == wanted);
    if !has("verbs", request.verb) {
        return false;
    }
    if !request.resource_request {
        return list("nonResourceURLs").iter().any(|url| match url.strip_suffix('*') {
            Some(prefix) => request.path.starts_with(prefix),
            None => *url == request.path,
        });
    }
    let combined = match request.subresource {
        "" => request.resource.to_owned(),
        sub => format!("{}/{sub}", request.resource),
    };
    let names = list("resourceNames");
    has("apiGroups", request.group)
        && list("resources").iter().any(|r| {
            *r == "*"
                || *r == combined
                || (!request.subresource.is_empty() && *r == format!("*/{}", request.subresource))
        })
        && (names.is_empty() || names.contains(&request.name))
}

fn model(
    roles: &BTreeMap<Key, Value>,
    bindings: &BTreeMap<Key, Value>,
    user: &User,
    request: &Attributes<'_>,
) -> bool {
    bindings.iter().any(|((scope, _), binding)| {
        if !scope.is_empty() && scope != request.namespace {
            return false;
        }
        let is_subject = binding["subjects"].as_array().unwrap().iter().any(|subject| {
            let name = subject["name"].as_str().unwrap();
            match subject["kind"].as_str().unwrap() {
                "User" => user.name == name,
                "Group" => user.is_in(name),
                _ => {
                    let own = subject["namespace"].as_str().unwrap();
                    let namespace = if own.is_empty() { scope } else { own };
                    !namespace.is_empty() && user.name == format!("system:serviceaccount:{namespace}:{name}")
                }
            }
        });
        let held_in = if binding["roleRef"]["kind"] == "Role" { scope.as_str() } else { "" };
        let nowhere = binding["roleRef"]["kind"] == "Role" && scope.is_empty();
        let role = roles.get(&(held_in.to_owned(), binding["roleRef"]["name"].as_str().unwrap().to_owned()));
        is_subject
            && !nowhere
            && role.is_some_and(|role| {
                role["rules"].as_array().unwrap().iter().any(|rule| allows(rule, request))
            })
    })
}

proptest! {
    #[test]
    fn the_index_answers_as_the_tables_say(
        events in prop::collection::vec(event(), 0..40),
        user in word(USERS),
        groups in words(&["g", "h"]),
        verb in word(&["get", "put"]),
        scope in word(SCOPES),
        (group, resource, subresource, name) in (word(&["", "g"]), word(&["x", "y"]), word(&["", "s"]), word(&["", "o", "p"])),
        path in prop::option::of(word(&["/a", "/a/c", "/bc", "/c"])),
    ) {
        let informers = Informers::empty();
        let authz = authz(&[Mode::Rbac], &informers);
        let (mut roles, mut bindings) = (BTreeMap::new(), BTreeMap::new());
        for event in events {
            let (table, key, object, informer) = match event {
                Event::Role(key, object) if key.0.is_empty() => (&mut roles, key, object, &informers.cluster_roles),
                Event::Role(key, object) => (&mut roles, key, object, &informers.roles),
                Event::Binding(key, object) if key.0.is_empty() => {
                    (&mut bindings, key, object, &informers.cluster_role_bindings)
                }
                Event::Binding(key, object) => (&mut bindings, key, object, &informers.role_bindings),
            };
            match object {
                Some(object) => {
                    informer.put(object.clone());
                    table.insert(key, object);
                }
                None => {
                    let namespace = (!key.0.is_empty()).then_some(key.0.as_str());
                    informer.remove(namespace, &key.1);
                    table.remove(&key);
                }
            }
        }
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let user = User::new(user, &groups);
        let request = match &path {
            Some(path) => Attributes { verb: &verb, path, ..Attributes::of(&user) },
            None => Attributes {
                verb: &verb,
                group: &group,
                resource: &resource,
                subresource: &subresource,
                namespace: &scope,
                name: &name,
                resource_request: true,
                ..Attributes::of(&user)
            },
        };
        let verdict = now(authz.authorize(&request));
        prop_assert_eq!(verdict.is_allowed(), model(&roles, &bindings, &user, &request), "{}: {:?}", request, verdict);
    }
}
