//! What holds for every printer.

use proptest::prelude::*;

use super::*;

#[test]
fn columns_go_over_the_wire_as_definitions() {
    let pod = printer("", "Pod").columns();
    assert_eq!(
        pod[0].to_value(),
        json!({"name": "Name", "type": "string", "format": "name", "priority": 0,
            "description": "Name of the object, unique within its namespace."})
    );
    assert_eq!(pod.iter().map(|column| column.priority).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1, 1, 1, 1]);
}

/// What upstream has no printer for shows its name and creation time.
const PLAIN: &[&str] = &["clusterroles", "customresourcedefinitions", "limitranges", "roles"];

#[test]
fn every_kind_that_can_be_listed_has_a_printer() {
    for kind in crate::kinds::all().iter().filter(|kind| kind.allows("list")) {
        let printer = printer(kind.group, kind.kind);
        assert_eq!(printer.kind.is_empty(), PLAIN.contains(&kind.plural), "{}", kind.qualified());
        assert!(printer.columns.iter().any(|column| column.format == "name"), "{}", kind.qualified());
    }
    for printer in PRINTERS.iter().copied().flatten() {
        let known = crate::kinds::all().iter().any(|k| (k.group, k.kind) == (printer.group, printer.kind));
        assert!(known || printer.kind == "Scale", "{}.{}", printer.kind, printer.group);
    }
}

/// Anything may come back from the store or an aggregated server: no printer may panic, and each
/// fills its columns.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z:/]{0,4}".prop_map(Value::from)
    ];
    let key = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("status"),
        Just("conditions"),
        Just("containers"),
        Just("ports"),
        Just("initContainerStatuses"),
        Just("containerStatuses"),
        Just("state"),
        Just("hard"),
        Just("subsets"),
        Just("labels"),
        Just("type"),
        Just("metrics"),
        Just("name"),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_printer_takes_anything(object in any_json()) {
        for printer in PRINTERS.iter().copied().flatten() {
            prop_assert_eq!(printer.row(&object, now()).len(), printer.columns().len());
        }
        row_conditions(&object);
    }
}
