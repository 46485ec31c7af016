//! Reading leniently, writing exactly.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web", "namespace": "shop", "generation": 3,
            "deletionTimestamp": "2026-01-02T15:04:05Z",
            "labels": {"app": "web", "number": 7},
            "finalizers": ["orphan", "example.com/guard"],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "1"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "2", "controller": true},
            ],
        },
        "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
    })
}

#[test]
fn readers() {
    let pod = pod();
    assert_eq!((pod.name(), pod.namespace(), pod.uid(), pod.generation()), ("web", "shop", "", 3));
    assert_eq!(pod.labels().collect::<Vec<_>>(), [("app", "web")]);
    assert_eq!((pod.label("number"), pod.annotation("app")), (None, None));
    assert_eq!(pod.finalizers().collect::<Vec<_>>(), ["orphan", "example.com/guard"]);
    assert!(pod.is_terminating());
    assert_eq!(pod.deletion_timestamp().map(|t| t.to_string()).as_deref(), Some("2026-01-02T15:04:05Z"));
    let owner = pod.controller_of().unwrap();
    assert_eq!((owner.kind, owner.group(), owner.uid), ("ReplicaSet", "apps", "2"));
    assert_eq!(pod.str_at("/spec/containers/1/name"), "b");
}

#[test]
fn a_value_that_is_no_object_reads_as_empty() {
    for value in [json!(null), json!("text"), json!([1]), json!({"metadata": "text"})] {
        assert_eq!((value.name(), value.labels().count(), value.generation()), ("", 0, 0), "{value}");
        assert!(!value.is_terminating() && value.controller_of().is_none(), "{value}");
    }
}

#[test]
fn writers_create_and_clean_up() {
    let mut object = json!({});
    object.set_label("a", "1");
    object.set_annotation("b", "2");
    object.add_finalizer("orphan");
    object.add_finalizer("orphan");
    object.set_generation(2);
    object.set_at("/spec/template/spec/nodeName", "n1");
    assert_eq!(
        object,
        json!({"metadata": {"labels": {"a": "1"}, "annotations": {"b": "2"}, "finalizers": ["orphan"],
            "generation": 2}, "spec": {"template": {"spec": {"nodeName": "n1"}}}})
    );
    object.remove_label("a");
    object.remove_annotation("b");
    assert!(object.remove_finalizer("orphan") && !object.remove_finalizer("orphan"));
    object.set_generation(0);
    assert_eq!(object.remove_at("/spec/template/spec/nodeName"), Some(json!("n1")));
    assert_eq!(object, json!({"metadata": {}, "spec": {"template": {"spec": {}}}}));
}

#[test]
fn a_write_through_something_that_is_no_map_is_dropped() {
    let mut object = json!({"spec": "text", "list": [1]});
    let before = object.clone();
    object.set_at("/spec/replicas", 3);
    object.set_at("/list/5", 3);
    object.set_at("no-slash", 3);
    assert_eq!(object, before);
}

proptest! {
    #[test]
    fn pointers_agree_with_serde_json(pointer in "(/[a-c0-3~]{0,2}){0,4}") {
        let value = json!({"a": {"b": [{"c": 1}, {"": 2}], "~": 3}, "": {"a": 4}, "c": [[5], [6]]});
        prop_assert_eq!(value.at(&pointer), value.pointer(&pointer));
    }

    #[test]
    fn what_is_set_can_be_read(pointer in "(/[a-z]{1,3}){1,4}", value in 0i64..9) {
        let mut object = json!({});
        object.set_at(&pointer, value);
        prop_assert_eq!(object.i64_at(&pointer), Some(value));
        prop_assert_eq!(object.remove_at(&pointer), Some(json!(value)));
        prop_assert_eq!(object.at(&pointer), None);
    }
}
