//! Which of the names that a definition asks for it gets: no two definitions of a group share one.

use std::{collections::BTreeSet, sync::Arc};

use api::{
    object::ObjectExt,
    strategy::definitions::{APPROVED, is_protected},
};
use serde_json::{Value, json};
use world::Wall;

use super::{definition, drop_condition, is_true, set_condition};

/// The definition with its names and conditions as they should be.
pub(super) fn settle(definition: &Value, all: &[Arc<Value>], now: Wall) -> Value {
    let group = definition.str_at("/spec/group");
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for other in all.iter().filter(|o| o.str_at("/spec/group") == group && o.name() != definition.name()) {
        let names = other.at("/status/acceptedNames").unwrap_or(&Value::Null);
        resources.extend([names.str_at("/plural"), names.str_at("/singular")]);
        resources.extend(names.list_at("/shortNames").iter().filter_map(Value::as_str));
        kinds.extend([names.str_at("/kind"), names.str_at("/listKind")]);
    }
    resources.remove("");
    kinds.remove("");

    let wanted = definition.at("/spec/names").cloned().unwrap_or_else(|| json!({}));
    let mut accepted = definition.at("/status/acceptedNames").cloned().unwrap_or_else(|| json!({}));
    let mut conflict: Option<(&str, String)> = None;
    for (field, used, reason) in [
        ("/plural", &resources, "PluralConflict"),
        ("/singular", &resources, "SingularConflict"),
        ("/kind", &kinds, "KindConflict"),
        ("/listKind", &kinds, "ListKindConflict"),
    ] {
        let name = wanted.str_at(field);
        if name != accepted.str_at(field) && used.contains(name) {
            conflict = Some((reason, format!("\"{name}\" is already in use")));
        } else if !name.is_empty() {
            accepted.set_at(field, name);
        }
    }
    let short = wanted.list_at("/shortNames");
    let taken: Vec<String> = short
        .iter()
        .filter(|name| !accepted.list_at("/shortNames").contains(name))
        .filter_map(Value::as_str)
        .filter(|name| resources.contains(name))
        .map(|name| format!("\"{name}\" is already in use"))
        .collect();
    if taken.is_empty() {
        copy_list(&mut accepted, &wanted, "shortNames");
    } else {
        conflict = Some(("ShortNamesConflict", taken.join(", ")));
    }
    copy_list(&mut accepted, &wanted, "categories");

    let mut next = definition.clone();
    next.set_at("/status/acceptedNames", accepted);
    match &conflict {
        Some((reason, message)) => set_condition(&mut next, "NamesAccepted", "False", reason, message, now),
        None => set_condition(&mut next, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now),
    }
    approval(&mut next, group, now);
    match definition::unstructural(definition) {
        Some(why) => set_condition(&mut next, "NonStructuralSchema", "True", "Violations", &why, now),
        None => drop_condition(&mut next, "NonStructuralSchema"),
    }
    if is_true(&next, "Established") {
        return next;
    }
    if conflict.is_none() {
        set_condition(&mut next, "Established", "False", "Installing", INITIAL, now);
    } else {
        set_condition(&mut next, "Established", "False", "NotAccepted", "not all names are accepted", now);
    }
    next
}

const INITIAL: &str = "the initial names have been accepted";

/// The definition as it is served, once its names are its own.
pub(super) fn establish(definition: &Value, now: Wall) -> Option<Value> {
    if !is_true(definition, "NamesAccepted") || is_true(definition, "Established") {
        return None;
    }
    let mut next = definition.clone();
    set_condition(&mut next, "Established", "True", "InitialNamesAccepted", INITIAL, now);
    Some(next)
}

/// What a definition in a group of the Kubernetes project says of who approved it.
fn approval(definition: &mut Value, group: &str, now: Wall) {
    if !is_protected(group) {
        return;
    }
    let link = "see https://github.com/kubernetes/enhancements/pull/1111";
    let said = definition.annotation(APPROVED).unwrap_or_default().to_owned();
    let (status, reason, message) = match said.as_str() {
        "" => (
            "False",
            "MissingAnnotation",
            format!("protected groups must have approval annotation \"{APPROVED}\", {link}"),
        ),
        url if url.starts_with("https://") || url.starts_with("http://") => {
            ("True", "ApprovedAnnotation", format!("approved in {url}"))
        }
        why if why.starts_with("unapproved") => ("False", "UnapprovedAPI", format!("not approved: {why:?}")),
        _ => (
            "False",
            "InvalidAnnotation",
            format!(
                "protected groups must have approval annotation \"{APPROVED}\" with either a URL or a reason starting with \"unapproved\", {link}"
            ),
        ),
    };
    set_condition(definition, "KubernetesAPIApprovalPolicyConformant", status, reason, &message, now);
}

fn copy_list(to: &mut Value, from: &Value, field: &str) {
    match (from.get(field), to.as_object_mut()) {
        (Some(list), Some(to)) => {
            to.insert(field.to_owned(), list.clone());
        }
        (None, Some(to)) => {
            to.remove(field);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(name: &str, names: Value, accepted: Value) -> Value {
        let mut definition = json!({
            "metadata": { "name": name },
            "spec": { "group": "example.com", "names": names },
            "status": {},
        });
        if !accepted.is_null() {
            definition.set_at("/status/acceptedNames", accepted);
        }
        definition
    }

    fn names(plural: &str, kind: &str, short: &[&str]) -> Value {
        json!({"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"),
            "shortNames": short})
    }

    #[test]
    fn a_name_belongs_to_who_had_it_first() {
        #[track_caller]
        fn check(wanted: Value, reason: &str, established: &str) {
            let first = Arc::new(defined(
                "foos.example.com",
                names("foos", "Foo", &["f"]),
                names("foos", "Foo", &["f"]),
            ));
            let second = defined("second", wanted, Value::Null);
            let all = [first, Arc::new(second.clone())];
            let settled = settle(&second, &all, "2026-01-01T00:00:00Z".parse().unwrap());
            let conditions = settled.list_at("/status/conditions");
            assert_eq!(conditions[0].str_at("/reason"), reason);
            assert_eq!(conditions[1].str_at("/reason"), established);
            let served = establish(&settled, "2026-01-01T00:00:00Z".parse().unwrap());
            assert_eq!(served.is_some_and(|d| is_true(&d, "Established")), established == "Installing");
        }
        check(names("bars", "Bar", &["b"]), "NoConflicts", "Installing");
        check(names("foos", "Bar", &[]), "PluralConflict", "NotAccepted");
        check(names("bars", "Foo", &[]), "ListKindConflict", "NotAccepted");
        check(names("bars", "Bar", &["f"]), "ShortNamesConflict", "NotAccepted");
        check(names("f", "Bar", &[]), "PluralConflict", "NotAccepted");
    }

    #[test]
    fn who_approved_it_is_a_condition() {
        #[track_caller]
        fn check(annotation: &str, status: &str, reason: &str) {
            let mut given = defined("foos.x.k8s.io", names("foos", "Foo", &[]), Value::Null);
            given.set_at("/spec/group", "x.k8s.io");
            given.set_at("/metadata/annotations", json!({ APPROVED: annotation }));
            let settled = settle(&given, &[], "2026-01-01T00:00:00Z".parse().unwrap());
            let found = super::super::condition(&settled, "KubernetesAPIApprovalPolicyConformant").unwrap();
            assert_eq!((found.str_at("/status"), found.str_at("/reason")), (status, reason));
        }
        check("https://github.com/x", "True", "ApprovedAnnotation");
        check("unapproved, an experiment", "False", "UnapprovedAPI");
        check("yes", "False", "InvalidAnnotation");
        check("", "False", "MissingAnnotation");
    }

    #[test]
    fn what_is_established_stays_so() {
        let mut held = defined("foos.example.com", names("foos", "Foo", &[]), names("foos", "Foo", &[]));
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        held = establish(&settle(&held, &[], now), now).unwrap();
        let again = settle(&held, &[Arc::new(held.clone())], "2027-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(again, held);
    }
}
