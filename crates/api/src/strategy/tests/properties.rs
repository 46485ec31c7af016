//! What holds for any kind and any JSON.

use proptest::prelude::{Strategy as _, *};

use super::*;

/// Fields that strategies look at, in any order and with any content.
fn any_json() -> impl proptest::strategy::Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![
            Just("None"),
            Just("ClusterIP"),
            Just("Always"),
            Just("10.0.0.1"),
            Just("-1"),
            Just("a/b/c"),
            Just("é")
        ]
        .prop_map(Value::from),
        "[a-z./%-]{0,6}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("status"),
        Just("template"),
        Just("containers"),
        Just("ports"),
        Just("selector"),
        Just("matchLabels"),
        Just("labels"),
        Just("conditions"),
        Just("clusterIPs"),
        Just("clusterIP"),
        Just("type"),
        Just("volumes"),
        Just("resources"),
        Just("limits"),
        Just("requests"),
        Just("versions"),
        Just("names"),
        Just("tolerations"),
        Just("subsets"),
        Just("endpoints"),
        Just("data"),
        Just("stringData"),
        Just("rules"),
        Just("subjects"),
        Just("roleRef"),
        Just("hard"),
        Just("webhooks"),
        Just("name"),
    ];
    leaf.prop_recursive(6, 96, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// No JSON brings a strategy down, and defaulting twice is the same as once.
    #[test]
    fn anything_is_taken(old in any_json(), new in any_json()) {
        for kind in kinds::all() {
            let mut once = new.clone();
            default(kind, &mut once);
            let mut twice = once.clone();
            default(kind, &mut twice);
            prop_assert_eq!(&once, &twice, "{}", kind.kind);
            let mut fresh = once.clone();
            prepare_for_create(kind, &mut fresh, now());
            validate_create(kind, &fresh);
            for subresource in ["", "status", "approval", "finalize", "ephemeralcontainers", "resize", "scale"] {
                let mut changed = once.clone();
                prepare_for_update(kind, &mut changed, &old, subresource, now());
                validate_update(kind, &changed, &old, subresource);
            }
        }
    }

    /// An update through `/status` cannot touch anything else but metadata.
    #[test]
    fn status_changes_only_the_status(old in any_json(), new in any_json()) {
        // Another version's fields are made of the stored one's, of which any JSON has none.
        for kind in kinds::all().iter().filter(|kind| kind.has_status() && kind.is_storage_version()) {
            let mut new = new.clone();
            default(kind, &mut new);
            prepare_for_update(kind, &mut new, &old, "status", now());
            let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { continue };
            for (key, value) in new.iter().filter(|(key, _)| !matches!(key.as_str(), "status" | "metadata")) {
                prop_assert_eq!(Some(value), old.get(key), "{} {}", kind.kind, key);
            }
        }
    }

    /// An update through the main endpoint cannot touch the status, where there is an endpoint for it.
    #[test]
    fn the_main_endpoint_keeps_the_status(old in any_json(), new in any_json()) {
        // A definition's stored versions follow from its spec. An autoscaler of v1 has no conditions of its own:
        // what another version's status holds, `the_main_endpoint_keeps_the_annotated_status` knows.
        let kept = |kind: &&Kind| {
            kind.has_status() && kind.is_storage_version() && kind.kind != "CustomResourceDefinition"
        };
        for kind in kinds::all().iter().filter(kept) {
            let mut new = new.clone();
            default(kind, &mut new);
            prepare_for_update(kind, &mut new, &old, "", now());
            if new.is_object() {
                prop_assert_eq!(new.get("status"), old.get("status"), "{}", kind.kind);
            }
        }
    }
}
