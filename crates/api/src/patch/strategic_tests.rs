//! Rows for every directive, each on a kind whose lists it is about, and the properties that hold for
//! any object.

use proptest::prelude::{Strategy as _, *};
use serde_json::json;

use super::*;

/// Applies a patch given as (group, kind); the facts are all that a kind decides.
fn apply(group: &str, kind: &str, current: &Value, patch: &Value) -> Result<Value, PatchError> {
    merge_object(facts::of_kind(group, kind), current, patch)
}

#[track_caller]
fn check(kind: &str, current: Value, patch: Value, expected: Value) {
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    assert_eq!(apply(group, kind, &current, &patch), Ok(expected));
}

#[track_caller]
fn check_refused(current: Value, patch: Value, code: u16, message: &str) {
    let error = apply("", "Pod", &current, &patch).expect_err("a refusal");
    let status = Status::from(error);
    assert_eq!((status.code, status.message.as_str()), (code, message));
}

fn pod(containers: Value) -> Value {
    json!({"spec": {"containers": containers}})
}

#[test]
fn lists_merge_by_key() {
    check(
        "Pod",
        pod(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])),
        pod(json!([{"name": "b", "image": "2"}])),
        pod(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}])),
    );
    check(
        "Deployment.apps",
        json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]}}}}),
        json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]}}}}),
        json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]}]}}}}),
    );
    check(
        "Node",
        json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]}}),
        json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
        json!({"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "DiskPressure", "status": "False"}]}}),
    );
    check(
        "Service",
        json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}),
        json!({"spec": {"ports": [{"port": 80, "nodePort": 30080}]}}),
        json!({"spec": {"ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}]}}),
    );
}

#[test]
fn a_new_element_stands_before_the_old_ones() {
    check(
        "Pod",
        pod(json!([{"name": "a"}, {"name": "b"}])),
        pod(json!([{"name": "c"}])),
        pod(json!([{"name": "c"}, {"name": "a"}, {"name": "b"}])),
    );
    check(
        "Pod",
        pod(json!([{"name": "a"}, {"name": "b"}, {"name": "c"}])),
        pod(json!([{"name": "c"}, {"name": "a"}])),
        pod(json!([{"name": "b"}, {"name": "c"}, {"name": "a"}])),
    );
}

#[test]
fn other_lists_are_replaced() {
    check(
        "Pod",
        json!({"spec": {"tolerations": [{"key": "a"}], "containers": [{"name": "a", "args": ["x", "y"]}]}}),
        json!({"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "a", "args": ["z"]}]}}),
        json!({"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "a", "args": ["z"]}]}}),
    );
    check(
        "Node",
        json!({"spec": {"taints": [{"key": "a"}, {"key": "b"}]}}),
        json!({"spec": {"taints": [{"key": "c"}]}}),
        json!({"spec": {"taints": [{"key": "c"}]}}),
    );
}

#[test]
fn sets_are_united() {
    check(
        "ConfigMap",
        json!({"metadata": {"finalizers": ["a/1", "b/2"]}}),
        json!({"metadata": {"finalizers": ["c/3", "a/1"]}}),
        json!({"metadata": {"finalizers": ["c/3", "a/1", "b/2"]}}),
    );
    check(
        "ConfigMap",
        json!({"metadata": {"finalizers": ["a/1", "b/2"]}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/1", "unknown"]}}),
        json!({"metadata": {"finalizers": ["b/2"]}}),
    );
}

#[test]
fn null_deletes() {
    check(
        "ConfigMap",
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "data": {"k": "v"}}),
        json!({"metadata": {"labels": {"a": null, "c": null}}, "data": null}),
        json!({"metadata": {"labels": {"b": "2"}}}),
    );
    check(
        "ConfigMap",
        json!({}),
        json!({"metadata": {"labels": {"a": null, "b": "2"}}}),
        json!({"metadata": {"labels": {"b": "2"}}}),
    );
    check(
        "Pod",
        pod(json!([{"name": "a", "command": ["x"], "image": "1"}])),
        pod(json!([{"name": "a", "command": null}, {"name": "b", "command": null}])),
        pod(json!([{"name": "a", "image": "1"}, {"name": "b"}])),
    );
}

#[test]
fn patch_directives() {
    check(
        "Pod",
        pod(json!([{"name": "a"}, {"name": "b"}])),
        pod(json!([{"name": "a", "$patch": "delete"}])),
        pod(json!([{"name": "b"}])),
    );
    check(
        "Pod",
        pod(json!([{"name": "a"}, {"name": "b"}])),
        pod(json!([{"$patch": "replace"}, {"name": "c"}])),
        pod(json!([{"name": "c"}])),
    );
    check(
        "Pod",
        json!({"spec": {"securityContext": {"runAsUser": 1}, "nodeSelector": {"a": "b"}}}),
        json!({"spec": {"securityContext": {"$patch": "replace", "fsGroup": 2}, "nodeSelector": {"$patch": "delete"}}}),
        json!({"spec": {"securityContext": {"fsGroup": 2}, "nodeSelector": {}}}),
    );
    check(
        "PodDisruptionBudget.policy",
        json!({"spec": {"selector": {"matchLabels": {"a": "1"}}}}),
        json!({"spec": {"selector": {"matchLabels": {"b": "2"}}}}),
        json!({"spec": {"selector": {"matchLabels": {"b": "2"}}}}),
    );
}

#[test]
fn set_element_order() {
    check(
        "Pod",
        pod(json!([{"name": "a"}, {"name": "b"}, {"name": "c"}])),
        json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}]}}),
        pod(json!([{"name": "c"}, {"name": "b"}, {"name": "a"}])),
    );
    check(
        "Pod",
        pod(json!([{"name": "a"}, {"name": "server"}])),
        json!({"spec": {
            "$setElementOrder/containers": [{"name": "a"}, {"name": "new"}],
            "containers": [{"name": "new", "image": "1"}],
        }}),
        pod(json!([{"name": "a"}, {"name": "new", "image": "1"}, {"name": "server"}])),
    );
    check(
        "ConfigMap",
        json!({"metadata": {"finalizers": ["a/1", "b/2"]}}),
        json!({"metadata": {"$setElementOrder/finalizers": ["b/2", "a/1"], "finalizers": ["b/2"]}}),
        json!({"metadata": {"finalizers": ["b/2", "a/1"]}}),
    );
    check(
        "Pod",
        json!({"spec": {}}),
        json!({"spec": {"$setElementOrder/containers": []}}),
        json!({"spec": {}}),
    );
    check_refused(
        pod(json!([{"name": "a"}])),
        json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}}),
        500,
        "The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
    );
}

#[test]
fn retain_keys() {
    check(
        "Deployment.apps",
        json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
        json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
        json!({"spec": {"strategy": {"type": "Recreate"}}}),
    );
    check(
        "Pod",
        json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
        json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}}),
        json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}),
    );
    check_refused(
        json!({"spec": {"securityContext": {}}}),
        json!({"spec": {"securityContext": {"$retainKeys": ["a"], "b": 1}}}),
        400,
        "invalid patch format of retainKeys",
    );
}

#[test]
fn refusals() {
    let current = pod(json!([{"name": "a"}]));
    check_refused(
        current.clone(),
        pod(json!([{"image": "1", "command": ["x"]}])),
        500,
        "map: map[command:[x] image:1] does not contain declared merge key: name",
    );
    check_refused(
        current.clone(),
        pod(json!([{"name": "a", "$patch": "merge"}])),
        500,
        "merging lists cannot yet be specified in the patch",
    );
    check_refused(
        current.clone(),
        json!({"spec": {"$patch": "grow"}}),
        500,
        "unknown patch type: grow in map: map[$patch:grow]",
    );
    check_refused(
        current,
        pod(json!(["text"])),
        500,
        "list element types are not identical: [[map[name:a]] [text]]",
    );
}

#[test]
fn malformed_directives_are_400() {
    let current = json!({"metadata": {"finalizers": ["a/1"]}});
    for (patch, message) in [
        (json!({"metadata": {"$deleteFromPrimitiveList": []}}), "invalid patch format of primitive list"),
        (
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}}),
            "invalid patch format of primitive list",
        ),
        (json!({"metadata": {"$setElementOrder": []}}), "invalid patch format of setElementOrder list"),
        (json!({"metadata": {"$retainKeys": "a"}}), "invalid patch format of retainKeys"),
        (json!(["a"]), "error decoding patch: a strategic merge patch is a JSON object"),
    ] {
        check_refused(current.clone(), patch, 400, message);
    }
}

/// Objects such as a pod may be, with lists that merge and lists that do not.
pub(crate) fn object() -> impl proptest::strategy::Strategy<Value = Value> {
    let name = "[a-c]";
    let container = (
        name,
        proptest::collection::btree_map("[A-C]", 0..3i64, 0..3),
        proptest::collection::vec("[x-z]", 0..3),
    )
        .prop_map(|(name, env, args)| {
            let env: Vec<_> =
                env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            json!({"name": name, "env": env, "args": args})
        });
    let containers = proptest::collection::vec(container, 0..4).prop_map(|mut list| {
        list.sort_by_key(|c| c["name"].as_str().unwrap_or_default().to_owned());
        list.dedup_by_key(|c| c["name"].clone());
        list
    });
    let labels = proptest::collection::btree_map("[a-d]", "[0-9]", 0..4);
    let finalizers = proptest::collection::btree_set("[a-d]/x", 0..4);
    (containers.prop_shuffle(), labels, finalizers).prop_map(|(containers, labels, finalizers)| {
        json!({"metadata": {"labels": labels, "finalizers": finalizers}, "spec": {"containers": containers}})
    })
}

fn names(object: &Value) -> Vec<String> {
    let list = object.pointer("/spec/containers").and_then(Value::as_array).cloned().unwrap_or_default();
    list.iter().map(|c| c["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A patch that leads from one object to another, as clients make them.
fn diff(of: Option<&'static Type>, old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, after) in new {
        let before = old.get(key);
        if before == Some(after) {
            continue;
        }
        let field = of.and_then(|of| of.field(key));
        let inner = field.and_then(|field| field.of);
        match (before, after, field.map_or(facts::Strategy::Default, |field| field.strategy)) {
            (Some(Value::Object(before)), Value::Object(after), _) => {
                patch.insert(key.clone(), diff(inner, before, after).into());
            }
            (Some(Value::Array(before)), Value::Array(after), facts::Strategy::MergeSet) => {
                let gone: Vec<_> = before.iter().filter(|v| !after.contains(v)).cloned().collect();
                let fresh: Vec<_> = after.iter().filter(|v| !before.contains(v)).cloned().collect();
                patch.insert(format!("$deleteFromPrimitiveList/{key}"), gone.into());
                patch.insert(format!("$setElementOrder/{key}"), after.clone().into());
                patch.insert(key.clone(), fresh.into());
            }
            (Some(Value::Array(before)), Value::Array(after), facts::Strategy::MergeBy(id)) => {
                let order: Vec<_> = after.iter().map(|e| json!({id: e[id]})).collect();
                let mut changes = Vec::new();
                for element in after {
                    match before.iter().find(|e| e[id] == element[id]) {
                        Some(held) if *held == *element => {}
                        Some(held) => {
                            let maps = (held.as_object().unwrap(), element.as_object().unwrap());
                            let mut change = diff(inner, maps.0, maps.1);
                            change.insert(id.to_owned(), element[id].clone());
                            changes.push(change.into());
                        }
                        None => changes.push(element.clone()),
                    }
                }
                for held in before.iter().filter(|held| after.iter().all(|e| e[id] != held[id])) {
                    changes.push(json!({id: held[id], "$patch": "delete"}));
                }
                patch.insert(format!("$setElementOrder/{key}"), order.into());
                patch.insert(key.clone(), changes.into());
            }
            _ => {
                patch.insert(key.clone(), after.clone());
            }
        }
    }
    patch
}

proptest! {
    #[test]
    fn a_diff_leads_to_its_target(old in object(), new in object()) {
        let of = facts::of_kind("", "Pod");
        let patch = diff(Some(of), old.as_object().unwrap(), new.as_object().unwrap());
        prop_assert_eq!(apply("", "Pod", &old, &patch.into()), Ok(new));
    }

    #[test]
    fn an_object_patched_with_itself_stays(object in object()) {
        prop_assert_eq!(apply("", "Pod", &object, &object), Ok(object));
    }

    #[test]
    fn an_empty_patch_changes_nothing(object in object()) {
        prop_assert_eq!(apply("", "Pod", &object, &json!({})), Ok(object));
    }

    #[test]
    fn the_same_patch_twice_is_the_same_as_once(current in object(), patch in object()) {
        let once = apply("", "Pod", &current, &patch).unwrap();
        prop_assert_eq!(apply("", "Pod", &once, &patch), Ok(once));
    }

    #[test]
    fn a_merge_loses_no_element_and_doubles_none(current in object(), patch in object()) {
        let merged = names(&apply("", "Pod", &current, &patch).unwrap());
        let mut expected = names(&current);
        expected.extend(names(&patch).into_iter().filter(|name| !names(&current).contains(name)));
        let sorted = |mut list: Vec<String>| { list.sort(); list };
        prop_assert_eq!(sorted(merged), sorted(expected));
    }

    #[test]
    fn the_order_directive_decides(object in object(), seed in any::<u64>()) {
        let mut wanted = names(&object);
        let turn = usize::try_from(seed % 7).unwrap_or(0).min(wanted.len());
        wanted.rotate_left(turn);
        let order: Vec<_> = wanted.iter().map(|name| json!({"name": name})).collect();
        let patched = apply("", "Pod", &object, &json!({"spec": {"$setElementOrder/containers": order}})).unwrap();
        prop_assert_eq!(names(&patched), wanted);
    }

    #[test]
    fn null_deletes_any_field(object in object(), field in prop_oneof!["labels", "finalizers"]) {
        let patched = apply("", "Pod", &object, &json!({"metadata": {&field: null}})).unwrap();
        prop_assert!(patched["metadata"].get(&field).is_none());
    }
}
