//! Laws of sets, and of writes by several managers.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::object::ObjectExt;

/// One version, by one schema.
pub(super) struct One(pub(super) Root);

impl Versions for One {
    fn schema(&self, api_version: &str) -> Option<Root> {
        (api_version == "example.com/v1").then(|| self.0.clone())
    }

    fn convert<'v>(&self, object: &'v Value, api_version: &str) -> Option<Cow<'v, Value>> {
        (api_version == "example.com/v1").then_some(Cow::Borrowed(object))
    }
}

/// A schema with everything that a schema can have.
pub(super) fn schema() -> Root {
    let mut root = Root::structural(&json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer"},
                    "name": {"type": "string"},
                    "on": {"type": "boolean"},
                    "port": {"x-kubernetes-int-or-string": true},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "selector": {"type": "object", "x-kubernetes-map-type": "atomic",
                        "additionalProperties": {"type": "string"}},
                    "args": {"type": "array", "items": {"type": "string"}},
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "ports": {
                        "type": "array", "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["port", "protocol"],
                        "items": {"type": "object", "properties": {
                            "port": {"type": "integer"},
                            "protocol": {"type": "string", "default": "TCP"},
                            "name": {"type": "string"},
                            "to": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                        }},
                    },
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                },
            },
            "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
        },
    }));
    // An empty map that somebody owns would count as one that came apart.
    std::sync::Arc::get_mut(&mut root.schema).unwrap().may_change = false;
    root
}

fn optional(name: &'static str, of: BoxedStrategy<Value>) -> BoxedStrategy<Option<(&'static str, Value)>> {
    proptest::option::of(of).prop_map(move |value| value.map(|value| (name, value))).boxed()
}

fn word() -> BoxedStrategy<Value> {
    prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(Value::from).boxed()
}

fn texts(keys: &'static [&'static str]) -> BoxedStrategy<Value> {
    proptest::sample::subsequence(keys, 1..=keys.len())
        .prop_flat_map(|keys| {
            proptest::collection::vec(word(), keys.len())
                .prop_map(move |values| keys.iter().map(|k| (*k).to_owned()).zip(values).collect::<Value>())
        })
        .boxed()
}

fn set() -> BoxedStrategy<Value> {
    proptest::sample::subsequence(vec!["a", "b", "c"], 1..=3).prop_map(|v| json!(v)).boxed()
}

fn port() -> BoxedStrategy<Value> {
    (optional("name", word()), optional("to", set()))
        .prop_map(|(name, to)| name.into_iter().chain(to).map(|(k, v)| (k.to_owned(), v)).collect::<Value>())
        .boxed()
}

fn ports() -> BoxedStrategy<Value> {
    proptest::sample::subsequence(vec![(80, "TCP"), (80, "UDP"), (443, "TCP")], 1..=3)
        .prop_flat_map(|keys| {
            proptest::collection::vec(port(), keys.len()).prop_map(move |ports| {
                let mut list = Vec::new();
                for ((port, protocol), mut entry) in keys.iter().zip(ports) {
                    entry["port"] = (*port).into();
                    entry["protocol"] = (*protocol).into();
                    list.push(entry);
                }
                Value::Array(list)
            })
        })
        .boxed()
}

/// A configuration with some of the fields, of those that `which` lets through.
pub(super) fn config(which: fn(&str) -> bool) -> BoxedStrategy<Value> {
    let all: Vec<(&'static str, BoxedStrategy<Value>)> = vec![
        ("size", (1..4).prop_map(Value::from).boxed()),
        ("name", word()),
        ("on", any::<bool>().prop_map(Value::from).boxed()),
        ("port", word()),
        ("labels", texts(&["x", "y", "z"])),
        ("selector", texts(&["x", "y"])),
        ("args", proptest::collection::vec(word(), 0..3).prop_map(Value::from).boxed()),
        ("tags", set()),
        ("ports", ports()),
        ("free", texts(&["k", "l"])),
    ];
    let fields: Vec<_> =
        all.into_iter().filter(|(name, _)| which(name)).map(|(name, of)| optional(name, of)).collect();
    fields
        .prop_map(|fields| {
            let spec: Value =
                fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
            let mut object =
                json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a"}});
            if spec.as_object().is_some_and(|map| !map.is_empty()) {
                object["spec"] = spec;
            }
            object
        })
        .boxed()
}

pub(super) fn applied(
    live: Option<&Value>,
    config: &Value,
    manager: &str,
    now: &str,
    force: bool,
) -> Result<Value, ApplyError> {
    let with = Applying {
        versions: &One(schema()),
        api_version: "example.com/v1",
        manager,
        subresource: "",
        now,
        reset: &Reset::Nothing,
        force,
    };
    apply(&with, live, config)
}

pub(super) fn updated(live: Option<&Value>, object: &Value, manager: &str, now: &str) -> Value {
    let with = Updating {
        versions: &One(schema()),
        api_version: "example.com/v1",
        manager,
        subresource: "",
        now,
        reset: &Reset::Nothing,
    };
    let mut object = object.clone();
    update(&with, live, &mut object);
    object
}

fn any_set() -> BoxedStrategy<Set> {
    config(|_| true).prop_map(|object| field_set(&schema(), &object)).boxed()
}

/// Lists and maps in one order, since who comes first leaves its mark on it.
fn unordered(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: std::collections::BTreeMap<_, _> =
                map.iter().map(|(k, v)| (k.clone(), unordered(v))).collect();
            sorted.into_iter().collect()
        }
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(unordered).collect();
            list.sort_by_key(ToString::to_string);
            Value::Array(list)
        }
        other => other.clone(),
    }
}

fn without_times(object: &Value) -> Value {
    let mut object = object.clone();
    let mut list = object.list_at("/metadata/managedFields").to_vec();
    list.iter_mut().for_each(|entry| drop(entry.remove_at("/time")));
    object.set_at("/metadata/managedFields", list);
    object
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sets_obey_the_laws(a in any_set(), b in any_set(), c in any_set()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.union(&a), a.clone());
        prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.intersection(&b), a.difference(&a.difference(&b)));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(a.union(&b).difference(&c), a.difference(&c).union(&b.difference(&c)));
        prop_assert!(a.recursive_difference(&a).is_empty());
        prop_assert_eq!(a.union(&b).len(), a.len() + b.len() - a.intersection(&b).len());
        let rest = a.recursive_difference(&b);
        prop_assert_eq!(rest.intersection(&a), rest.clone());
        prop_assert!(rest.intersection(&b).is_empty());
    }

    #[test]
    fn fields_v1_loses_nothing(a in any_set()) {
        prop_assert_eq!(Set::decode(&a.encode()), Ok(a));
    }

    #[test]
    fn comparing_says_what_changed(a in config(|_| true), b in config(|_| true)) {
        let of = schema();
        let (there, back) = (compare(&of, &a, &b), compare(&of, &b, &a));
        prop_assert_eq!(&there.added, &back.removed);
        prop_assert_eq!(&there.modified, &back.modified);
        prop_assert_eq!(there.is_empty(), a == b || unordered(&a) == unordered(&b));
        prop_assert!(compare(&of, &a, &a).is_empty());
    }

    #[test]
    fn what_is_merged_is_all_there(a in config(|_| true), b in config(|_| true)) {
        let of = schema();
        let merged = merge(&of, &a, &b);
        let changes = compare(&of, &b, &merged);
        prop_assert!(changes.removed.is_empty() && changes.modified.is_empty(), "{changes:?}");
        prop_assert!(compare(&of, &a, &merged).removed.is_empty());
        prop_assert_eq!(merge(&of, &merged, &b), merged);
    }

    #[test]
    fn a_second_apply_changes_nothing(a in config(|_| true), b in config(|_| true)) {
        let first = applied(None, &a, "one", "2026-01-01T00:00:00Z", false).unwrap();
        let again = applied(Some(&first), &a, "one", "2026-01-02T00:00:00Z", false).unwrap();
        prop_assert_eq!(&again, &first);
        // Another configuration, and back: what only the other had is gone.
        let other = applied(Some(&first), &b, "one", "2026-01-03T00:00:00Z", false).unwrap();
        let back = applied(Some(&other), &a, "one", "2026-01-04T00:00:00Z", false).unwrap();
        let (back, first) = (unordered(&without_times(&back)), unordered(&without_times(&first)));
        prop_assert_eq!(back, first);
    }

    #[test]
    fn disjoint_applies_commute(
        a in config(|name| matches!(name, "size" | "labels" | "tags" | "free")),
        b in config(|name| matches!(name, "name" | "on" | "port" | "ports" | "args" | "selector")),
    ) {
        let (t1, t2) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let ab = applied(Some(&applied(None, &a, "one", t1, false).unwrap()), &b, "two", t2, false).unwrap();
        let ba = applied(Some(&applied(None, &b, "two", t1, false).unwrap()), &a, "one", t2, false).unwrap();
        prop_assert_eq!(unordered(&without_times(&ab)), unordered(&without_times(&ba)));
        // And each may go without taking from the other.
        let nothing = json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a"}});
        let without = applied(Some(&ab), &nothing, "one", t2, false).unwrap();
        let set = field_set(&schema(), &b);
        prop_assert!(set.difference(&field_set(&schema(), &without)).is_empty());
    }

    #[test]
    fn whoever_writes_owns_what_changed(a in config(|_| true), b in config(|_| true), c in config(|_| true)) {
        let first = updated(None, &a, "one", "2026-01-01T00:00:00Z");
        let second = updated(Some(&first), &b, "two", "2026-01-02T00:00:00Z");
        // Where nothing is owned nobody is tracked.
        prop_assume!(!second.list_at("/metadata/managedFields").is_empty());
        let third = updated(Some(&second), &c, "one", "2026-01-03T00:00:00Z");
        let managed = Managed::decode(third.list_at("/metadata/managedFields")).unwrap();
        let one = managed.0.values().fold(Set::default(), |all, entry| all.union(&entry.set));
        // All that is there is somebody's, and nothing else.
        let mut bare = c.clone();
        bare.remove_at("/metadata");
        let everything = field_set(&schema(), &bare);
        let leaves = everything.difference(&Set::of_fields(&["apiVersion", "kind"]));
        prop_assert!(leaves.difference(&one).is_empty(), "{}", leaves.difference(&one));
        let owners: usize = managed.0.values().map(|entry| entry.set.len()).sum();
        prop_assert_eq!(owners, one.len(), "nobody shares what was not applied");
    }
}
