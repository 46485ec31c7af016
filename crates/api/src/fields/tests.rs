//! Rows: what several managers do one after the other, and who owns what then.

use serde_json::{Value, json};

use super::{
    properties::{applied, schema, updated},
    *,
};
use crate::{object::ObjectExt, status::Status};

const T1: &str = "2026-01-01T00:00:00Z";
const T2: &str = "2026-01-02T00:00:00Z";
const T3: &str = "2026-01-03T00:00:00Z";

fn foo(spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a", "namespace": "ns"}, "spec": spec})
}

/// Who owns what: `manager Operation path path…` for each entry, in order.
fn owners(object: &Value) -> Vec<String> {
    let line = |entry: &Value| {
        let set = Set::decode(&entry["fieldsV1"]).unwrap().to_string();
        let fields = set.split('\n').collect::<Vec<_>>().join(" ");
        format!("{} {} {fields}", entry.str_at("/manager"), entry.str_at("/operation"))
    };
    object.list_at("/metadata/managedFields").iter().map(line).collect()
}

#[derive(Clone)]
enum Step {
    Apply(&'static str, Value),
    Force(&'static str, Value),
    Update(&'static str, Value),
}
use Step::{Apply, Force, Update};

fn run(steps: &[Step]) -> Result<Value, Status> {
    let times = [T1, T2, T3, "2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z"];
    let mut live: Option<Value> = None;
    for (step, now) in steps.iter().zip(times) {
        live = Some(match step {
            Apply(manager, spec) => applied(live.as_ref(), &foo(spec.clone()), manager, now, false)?,
            Force(manager, spec) => applied(live.as_ref(), &foo(spec.clone()), manager, now, true)?,
            Update(manager, spec) => updated(live.as_ref(), &foo(spec.clone()), manager, now),
        });
    }
    Ok(live.unwrap_or_default())
}

#[track_caller]
fn check(steps: &[Step], spec: Value, expected: &[&str]) {
    let object = run(steps).unwrap_or_else(|status| panic!("refused: {}", status.message));
    assert_eq!(object.get("spec").cloned().unwrap_or_default(), spec);
    assert_eq!(owners(&object), expected);
}

#[track_caller]
fn check_refused(steps: &[Step], code: u16, message: &str, causes: &[(&str, &str)]) {
    let status = run(steps).expect_err("a refusal");
    assert_eq!((status.code, status.message.as_str()), (code, message));
    let details = status.details.unwrap_or_default();
    let found: Vec<_> = details.causes.iter().map(|c| (c.message.as_str(), c.field.as_str())).collect();
    assert_eq!(found, causes);
}

#[test]
fn appliers_own_what_they_say() {
    check(&[Apply("one", json!({"size": 1}))], json!({"size": 1}), &["one Apply .spec.size"]);
    check(
        &[
            Apply("one", json!({"size": 1, "labels": {"x": "a"}})),
            Apply("two", json!({"labels": {"y": "b"}})),
        ],
        json!({"size": 1, "labels": {"x": "a", "y": "b"}}),
        &["one Apply .spec.size .spec.labels.x", "two Apply .spec.labels.y"],
    );
    // Both say the same: both own it.
    check(
        &[Apply("one", json!({"size": 1})), Apply("two", json!({"size": 1}))],
        json!({"size": 1}),
        &["two Apply .spec.size", "one Apply .spec.size"],
    );
}

#[test]
fn what_is_not_applied_any_more_goes() {
    check(
        &[Apply("one", json!({"size": 1, "name": "a"})), Apply("one", json!({"size": 1}))],
        json!({"size": 1}),
        &["one Apply .spec.size"],
    );
    // Not what somebody else owns as well.
    check(
        &[
            Apply("one", json!({"size": 1, "name": "a"})),
            Apply("two", json!({"size": 1})),
            Apply("one", json!({"name": "a"})),
        ],
        json!({"size": 1, "name": "a"}),
        &["two Apply .spec.size", "one Apply .spec.name"],
    );
    // Nor what somebody else changed.
    check(
        &[
            Apply("one", json!({"size": 1, "name": "a"})),
            Update("two", json!({"size": 2, "name": "a"})),
            Apply("one", json!({"name": "a"})),
        ],
        json!({"size": 2, "name": "a"}),
        &["one Apply .spec.name", "two Update .spec.size"],
    );
    check(
        &[
            Apply("one", json!({"ports": [{"port": 80}, {"port": 81}]})),
            Apply("one", json!({"ports": [{"port": 81}]})),
        ],
        json!({"ports": [{"port": 81}]}),
        &["one Apply .spec.ports[port=81,protocol=\"TCP\"] .spec.ports[port=81,protocol=\"TCP\"].port"],
    );
    check(
        &[
            Apply("one", json!({"tags": ["a", "b"]})),
            Apply("two", json!({"tags": ["b", "c"]})),
            Apply("one", json!({"tags": []})),
        ],
        json!({"tags": ["b", "c"]}),
        &["two Apply .spec.tags[=\"b\"] .spec.tags[=\"c\"]"],
    );
}

#[test]
fn conflicts_are_refused_by_name() {
    check_refused(
        &[Apply("one", json!({"size": 1})), Apply("two", json!({"size": 2}))],
        409,
        r#"Apply failed with 1 conflict: conflict with "one": .spec.size"#,
        &[(r#"conflict with "one""#, ".spec.size")],
    );
    check_refused(
        &[Update("one", json!({"size": 1})), Apply("two", json!({"size": 2}))],
        409,
        r#"Apply failed with 1 conflict: conflict with "one" using example.com/v1: .spec.size"#,
        &[(r#"conflict with "one" using example.com/v1"#, ".spec.size")],
    );
    check_refused(
        &[
            Apply("one", json!({"size": 1, "ports": [{"port": 80, "name": "a"}]})),
            Apply("zero", json!({"name": "x"})),
            Apply("two", json!({"size": 2, "name": "y", "ports": [{"port": 80, "name": "b"}]})),
        ],
        409,
        "Apply failed with 3 conflicts: conflicts with \"one\":\n- .spec.size\n- .spec.ports[port=80,protocol=\"TCP\"].name\nconflicts with \"zero\":\n- .spec.name",
        &[
            (r#"conflict with "one""#, ".spec.size"),
            (r#"conflict with "one""#, ".spec.ports[port=80,protocol=\"TCP\"].name"),
            (r#"conflict with "zero""#, ".spec.name"),
        ],
    );
    check(
        &[Apply("one", json!({"size": 1, "name": "a"})), Force("two", json!({"size": 2}))],
        json!({"size": 2, "name": "a"}),
        &["one Apply .spec.name", "two Apply .spec.size"],
    );
}

#[test]
fn atomic_values_have_one_owner() {
    check_refused(
        &[Apply("one", json!({"args": ["a"]})), Apply("two", json!({"args": ["a", "b"]}))],
        409,
        r#"Apply failed with 1 conflict: conflict with "one": .spec.args"#,
        &[(r#"conflict with "one""#, ".spec.args")],
    );
    check(
        &[Apply("one", json!({"selector": {"x": "a"}})), Force("two", json!({"selector": {"y": "b"}}))],
        json!({"selector": {"y": "b"}}),
        &["two Apply .spec.selector"],
    );
    check(
        &[Apply("one", json!({"free": {"k": "a"}})), Apply("two", json!({"free": {"l": {"m": 1}}}))],
        json!({"free": {"k": "a", "l": {"m": 1}}}),
        &["one Apply .spec.free.k", "two Apply .spec.free.l .spec.free.l.m"],
    );
}

#[test]
fn updates_take_what_they_change() {
    check(
        &[Update("one", json!({"size": 1, "name": "a"})), Update("two", json!({"size": 2, "name": "a"}))],
        json!({"size": 2, "name": "a"}),
        &["one Update .spec .spec.name", "two Update .spec.size"],
    );
    check(
        &[Apply("one", json!({"size": 1, "name": "a"})), Update("one", json!({"size": 1}))],
        json!({"size": 1}),
        &["one Apply .spec.size"],
    );
    check(
        &[Update("one", json!({"tags": ["a"]})), Update("two", json!({"tags": ["a", "b"]}))],
        json!({"tags": ["a", "b"]}),
        &["one Update .spec .spec.tags .spec.tags[=\"a\"]", "two Update .spec.tags[=\"b\"]"],
    );
}

#[test]
fn what_was_there_before_is_kept_apart() {
    let live = foo(json!({"size": 1, "name": "a"}));
    let object = applied(Some(&live), &foo(json!({"size": 1})), "one", T1, false).unwrap();
    assert_eq!(
        owners(&object),
        ["one Apply .spec.size", "before-first-apply Update .spec .spec.name .spec.size"]
    );
    let refused: Status =
        applied(Some(&live), &foo(json!({"size": 2})), "one", T1, false).unwrap_err().into();
    assert_eq!(
        refused.message,
        r#"Apply failed with 1 conflict: conflict with "before-first-apply" using example.com/v1: .spec.size"#
    );
    // An update does not begin to track.
    assert_eq!(owners(&updated(Some(&live), &foo(json!({"size": 2})), "one", T1)), [""; 0]);
}

#[test]
fn times_move_only_with_the_object() {
    let first = updated(None, &foo(json!({"size": 1})), "one", T1);
    let time = |object: &Value| object.str_at("/metadata/managedFields/0/time").to_owned();
    let same = updated(Some(&first), &foo(json!({"size": 1})), "one", T2);
    assert_eq!((time(&same), &same), (T1.to_owned(), &first));
    let other = updated(Some(&first), &foo(json!({"size": 2})), "one", T2);
    assert_eq!(time(&other), T2);
    assert!(!same_but_times(&first, &other));
    let mut later = first.clone();
    later["metadata"]["managedFields"][0]["time"] = T3.into();
    assert!(same_but_times(&first, &later));
}

#[test]
fn entries_are_set_and_reset_by_hand() {
    let live = updated(None, &foo(json!({"size": 1})), "one", T1);
    let mut given = live.clone();
    given["metadata"]["managedFields"][0]["manager"] = "renamed".into();
    let object = updated(Some(&live), &given, "one", T2);
    assert_eq!(owners(&object), ["renamed Update .spec .spec.size"]);
    for reset in [json!([{}]), json!([])] {
        given["metadata"]["managedFields"] = reset;
        assert_eq!(owners(&updated(Some(&live), &given, "one", T2)), [""; 0]);
    }
    // What cannot be read counts for nothing.
    given["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Guess"}]);
    assert_eq!(owners(&updated(Some(&live), &given, "one", T2)), owners(&live));
}

#[test]
fn ten_updaters_are_enough() {
    let mut live = updated(None, &foo(json!({"labels": {"k": "v"}})), "first", T1);
    for place in 0..11 {
        let mut next = live.clone();
        next["spec"]["labels"][format!("k{place}")] = "v".into();
        live = updated(Some(&live), &next, &format!("m{place:02}"), &format!("2026-01-02T00:00:{place:02}Z"));
    }
    let owners = owners(&live);
    assert_eq!(owners.len(), 10);
    assert_eq!(
        owners[0],
        "ancient-changes Update .spec .spec.labels .spec.labels.k .spec.labels.k0 .spec.labels.k1"
    );
    assert_eq!(owners[1], "m02 Update .spec.labels.k2");
}

#[test]
fn wrong_configurations_are_refused() {
    let typed =
        |why: &str| format!("failed to create typed patch object (ns/a; example.com/v1, Kind=Foo): {why}");
    #[track_caller]
    fn check(spec: Value, message: &str) {
        check_refused(&[Apply("one", spec)], 500, message, &[]);
    }
    check(json!({"sice": 1}), &typed(".spec.sice: field not declared in schema"));
    check(json!({"size": "x"}), &typed(".spec.size: expected numeric (int or float), got string"));
    check(json!({"name": 1}), &typed(".spec.name: expected string, got &value.valueUnstructured{Value:1}"));
    check(json!({"labels": "x"}), &typed(".spec.labels: expected map, got &{x}"));
    check(json!({"tags": "x"}), &typed(".spec.tags: expected list, got &{x}"));
    check(json!({"tags": ["a", "a"]}), &typed(".spec.tags: duplicate entries for key [=\"a\"]"));
    check(
        json!({"ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}]}),
        &typed(".spec.ports: duplicate entries for key [port=80,protocol=\"TCP\"]"),
    );
    check(
        json!({"size": "x", "on": 1}),
        &typed(
            "errors:\n  .spec.size: expected numeric (int or float), got string\n  .spec.on: expected boolean, got &value.valueUnstructured{Value:1}",
        ),
    );
}

#[test]
fn client_side_apply_goes_over() {
    let config = foo(json!({"size": 1, "name": "a"}));
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let mut live = config.clone();
    live.set_annotation(annotation, &config.to_string());
    let live = updated(None, &live, "kubectl-client-side-apply", T1);
    // Another size: the old one was applied by the client, so it is no conflict.
    let next = foo(json!({"size": 2, "name": "a"}));
    let object = applied(Some(&live), &next, "kubectl", T2, false).unwrap();
    assert_eq!(object["spec"], json!({"size": 2, "name": "a"}));
    let kept: Value = serde_json::from_str(object.annotation(annotation).unwrap()).unwrap();
    assert_eq!(kept, next);
    assert!(object.annotation(annotation).unwrap().ends_with("}\n"));
    // For others it is one, and so is what somebody changed after the client.
    assert!(applied(Some(&live), &next, "other", T2, false).is_err());
    let mut changed = live.clone();
    changed["spec"]["size"] = 3.into();
    let changed = updated(Some(&live), &changed, "someone", T2);
    let refused: Status = applied(Some(&changed), &next, "kubectl", T3, false).unwrap_err().into();
    assert_eq!(
        refused.message,
        r#"Apply failed with 1 conflict: conflict with "someone" using example.com/v1: .spec.size"#
    );
}

#[test]
fn lists_keep_their_order() {
    #[track_caller]
    fn check(old: Value, new: Value, merged: Value) {
        let spec = |tags: Value| foo(json!({ "tags": tags }));
        assert_eq!(merge(&schema(), &spec(old), &spec(new))["spec"]["tags"], merged);
    }
    check(json!(["a", "b"]), json!(["c"]), json!(["a", "b", "c"]));
    check(json!(["a", "b", "c"]), json!(["c", "a"]), json!(["b", "c", "a"]));
    check(json!(["a", "b", "c"]), json!(["a", "x", "c"]), json!(["a", "b", "x", "c"]));
    check(json!(["a", "b"]), json!(["b", "a"]), json!(["b", "a"]));
    check(json!([]), json!(["b", "a"]), json!(["b", "a"]));
    check(json!(["b", "a"]), json!([]), json!(["b", "a"]));
}

#[test]
fn schemas_change() {
    let atomic = Root::structural(&json!({"type": "object", "properties": {
        "tags": {"type": "array", "items": {"type": "string"}}}}));
    let granular = Root::structural(&json!({"type": "object", "properties": {
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}}));
    let object = json!({"tags": ["a", "b"]});
    let (whole, parts) = (field_set(&atomic, &object), field_set(&granular, &object));
    assert_eq!(
        (whole.to_string().as_str(), parts.to_string().as_str()),
        (".tags", ".tags[=\"a\"]\n.tags[=\"b\"]")
    );
    assert_eq!(parts.reconciled(&atomic.schema, atomic.root, Some(&object)), whole);
    let apart = whole.reconciled(&granular.schema, granular.root, Some(&object));
    assert_eq!(apart, parts.union(&whole));
}

#[test]
fn scale_shows_one_field() {
    let path = [Element::field("spec"), Element::field("size")];
    let live = updated(None, &foo(json!({"size": 1, "name": "a"})), "one", T1);
    let list = live.list_at("/metadata/managedFields");
    let known = |version: &str| version == "example.com/v1";
    let shown = scale_view(list, &path, known);
    assert_eq!(
        shown,
        [json!({"manager": "one", "operation": "Update", "apiVersion": "autoscaling/v1", "time": T1,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}})]
    );
    // Nothing changed in the scale: nothing changes in the parent.
    assert_eq!(scale_to_parent(list, &shown, &path, "example.com/v1", known), list);
    let scaler =
        [json!({"manager": "two", "operation": "Update", "apiVersion": "autoscaling/v1", "time": T2,
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}, "subresource": "scale"})];
    let after = scale_to_parent(list, &scaler, &path, "example.com/v1", known);
    let object = json!({"metadata": {"managedFields": after}});
    assert_eq!(owners(&object), ["one Update .spec .spec.name", "two Update .spec.size"]);
    assert_eq!(object.str_at("/metadata/managedFields/1/apiVersion"), "example.com/v1");
    assert_eq!(object.str_at("/metadata/managedFields/1/subresource"), "scale");
}
