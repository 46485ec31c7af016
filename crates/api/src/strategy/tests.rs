//! Rows per kind: what becomes of an object on its way in, and which words refuse it.

mod access;
mod certificates;
mod cluster;
mod config;
mod definitions;
mod devices;
mod fairness;
mod networking;
mod pods;
mod policies;
mod properties;
mod rows;
mod scaling;
mod services;
mod storage;
mod warnings;
mod workloads;

use super::*;

const NOW: &str = "2026-01-02T03:04:05Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

/// A kind by `Kind.group`.
fn kind(name: &str) -> &'static Kind {
    let (kind, group) = name.split_once('.').unwrap_or((name, ""));
    kinds::all()
        .iter()
        .find(|k| k.kind == kind && k.group == group)
        .unwrap_or_else(|| panic!("no kind {name}"))
}

/// An object as its author would see it after `kubectl apply`, before the server's metadata.
fn defaulted(name: &str, mut object: Value) -> Value {
    default(kind(name), &mut object);
    object
}

/// An object as it goes to validation.
fn created(name: &str, object: Value) -> Value {
    let mut object = defaulted(name, object);
    object.set_uid("u-1");
    prepare_for_create(kind(name), &mut object, now());
    object
}

fn words(errors: Vec<FieldError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Creates an object; `expected` are the complaints, none for a good one.
#[track_caller]
fn check_create(name: &str, object: Value, expected: &[&str]) {
    let object = created(name, object);
    assert_eq!(words(validate_create(kind(name), &object)), expected, "{object}");
}

/// An update as it goes to the store, with its complaints.
fn updated(name: &str, old: &Value, new: Value, subresource: &str) -> (Value, Vec<String>) {
    let mut new = defaulted(name, new);
    prepare_for_update(kind(name), &mut new, old, subresource, now());
    let errors = words(validate_update(kind(name), &new, old, subresource));
    (new, errors)
}

/// Creates an object, changes it, updates it.
#[track_caller]
fn check_update(name: &str, object: Value, change: impl FnOnce(&mut Value), expected: &[&str]) {
    let old = created(name, object);
    let mut new = old.clone();
    change(&mut new);
    let (_, errors) = updated(name, &old, new, "");
    assert_eq!(errors, expected);
}

#[test]
fn every_row_is_about_a_kind() {
    for row in STRATEGIES.iter().copied().flatten() {
        let known = kinds::all().iter().any(|k| k.kind == row.kind && k.group == row.group);
        assert!(known, "{}.{}", row.kind, row.group);
    }
}

#[test]
fn a_kind_without_a_row_keeps_its_status_apart() {
    let name = "ServiceAccount";
    let object = json!({"secrets": [], "status": {"x": 1}});
    assert_eq!(created(name, object.clone())["status"], object["status"], "it has no status endpoint");

    let name = "ResourceClaim.resource.k8s.io";
    let old = json!({"spec": {"a": 1}, "status": {"b": 1}});
    let new = json!({"spec": {"a": 2}, "status": {"b": 2}});
    assert_eq!(updated(name, &old, new.clone(), "").0, json!({"spec": {"a": 2}, "status": {"b": 1}}));
    assert_eq!(updated(name, &old, new.clone(), "status").0, json!({"spec": {"a": 1}, "status": {"b": 2}}));
    assert_eq!(created(name, new)["status"], json!({}));
}

#[test]
fn nulls_are_dropped() {
    let object =
        json!({"metadata": {"creationTimestamp": null, "labels": {"a": null, "b": "c"}}, "data": null});
    assert_eq!(defaulted("ConfigMap", object), json!({"metadata": {"labels": {"b": "c"}}}));
}
