//! Equality by an index of keys, against equality by looking at everything.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Decl, Environment, Value, Variables};

fn same(schema: &Json, a: &Json, b: &Json) -> bool {
    let decl = Arc::new(Decl::new(schema, false, "it").unwrap());
    let program = Environment::default().with("a", &decl).with("b", &decl).compile("a == b").unwrap();
    let mut variables = Variables::new();
    variables.insert("a", Value::read(a, &decl));
    variables.insert("b", Value::read(b, &decl));
    matches!(program.evaluate(&variables).0, Ok(Value::Bool(true)))
}

/// Small values of few leaves, so that many are the same.
fn values() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        (0..2_i64).prop_map(Json::from),
        "[ab]".prop_map(Json::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn objects_are_the_same_as_their_json(a in values(), b in values()) {
        let schema = json!({"x-kubernetes-int-or-string": true});
        prop_assert_eq!(same(&schema, &a, &b), a == b, "{} {}", a, b);
        prop_assert!(same(&schema, &a, &a.clone()));
    }

    #[test]
    fn sets_and_maps_are_the_same_in_any_order(names in prop::collection::btree_set("[a-f]{1,2}", 0..6), other in prop::collection::btree_set("[a-f]{1,2}", 0..6)) {
        let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        let (one, two): (Vec<_>, Vec<_>) = (names.iter().collect(), names.iter().rev().collect());
        prop_assert!(same(&set, &json!(one), &json!(two)));
        prop_assert_eq!(same(&set, &json!(one), &json!(other)), names == other);
        let map = json!({
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}},
        });
        let entry = |n: i64| move |name: &String| json!({"name": name, "n": n});
        let (one, two): (Vec<_>, Vec<_>) = (names.iter().map(entry(1)).collect(), names.iter().rev().map(entry(1)).collect());
        prop_assert!(same(&map, &json!(one), &json!(two)));
        let changed: Vec<_> = names.iter().map(entry(2)).collect();
        prop_assert_eq!(same(&map, &json!(one), &json!(changed)), names.is_empty());
    }
}
