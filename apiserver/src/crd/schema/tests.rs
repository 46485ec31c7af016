//! What a schema makes of objects: one row per rule.

use serde_json::{Value, json};

use super::Schema;

fn schema() -> Schema {
    Schema::new(json!({
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1, "maximum": 5},
                    "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                    "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4, "minLength": 2},
                    "port": {"x-kubernetes-int-or-string": true},
                    "tags": {"type": "array", "maxItems": 2, "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "hosts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
                        "items": {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer"}, "on": {"type": "boolean"}}}},
                    "labels": {"type": "object", "maxProperties": 2, "minProperties": 1, "additionalProperties": {"type": "string"}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                        "properties": {"known": {"type": "object"}}},
                    "maybe": {"type": "string", "nullable": true, "default": "x"},
                    "plain": {"type": "string"},
                    "nested": {"type": "object", "properties": {"on": {"type": "boolean", "default": true}}},
                    "template": {"type": "object", "x-kubernetes-embedded-resource": true,
                        "properties": {"spec": {"type": "object"}}},
                    "at": {"type": "string", "format": "date-time"},
                    "small": {"type": "integer", "format": "int32"},
                    "half": {"type": "number", "multipleOf": 0.5, "exclusiveMaximum": true, "maximum": 3.0},
                    "either": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
                    "some": {"type": "string", "anyOf": [{"minLength": 3}, {"pattern": "^x"}]},
                    "both": {"type": "string", "allOf": [{"minLength": 3}, {"pattern": "^x"}]},
                    "never": {"type": "string", "not": {"enum": ["bad"]}},
                },
            },
        },
    }))
}

#[test]
fn unknown_fields_are_pruned() {
    #[track_caller]
    fn check(spec: Value, pruned: &[&str], left: Value) {
        let mut object =
            json!({"apiVersion": "x/v1", "kind": "Foo", "metadata": {"name": "a", "odd": 1}, "spec": spec});
        let mut found = schema().prune(&mut object);
        assert_eq!(found.remove(0), "metadata.odd");
        assert_eq!(found, pruned);
        assert_eq!(object["spec"], left);
        assert_eq!(object["metadata"], json!({"name": "a"}));
    }
    check(json!({"size": 1}), &[], json!({"size": 1}));
    check(json!({"size": 1, "foo": 2}), &["spec.foo"], json!({"size": 1}));
    check(json!({"labels": {"any": "x"}}), &[], json!({"labels": {"any": "x"}}));
    check(
        json!({"free": {"a": 1, "known": {"b": 1}}}),
        &["spec.free.known.b"],
        json!({"free": {"a": 1, "known": {}}}),
    );
    check(json!({"hosts": [{"name": "a", "z": 1}]}), &["spec.hosts[0].z"], json!({"hosts": [{"name": "a"}]}));
    check(
        json!({"template": {"kind": "Pod", "metadata": {"labels": {}, "z": 1}, "spec": {}, "status": {}}}),
        &["spec.template.metadata.z", "spec.template.status"],
        json!({"template": {"kind": "Pod", "metadata": {"labels": {}}, "spec": {}}}),
    );
}

#[test]
fn defaults_fill_what_is_missing() {
    #[track_caller]
    fn check(spec: Value, filled: Value) {
        let mut object = json!({"spec": spec});
        schema().default(&mut object);
        assert_eq!(object["spec"], filled);
    }
    check(json!({}), json!({"color": "red", "maybe": "x"}));
    check(json!({"color": "blue", "maybe": "y"}), json!({"color": "blue", "maybe": "y"}));
    check(json!({"color": null, "maybe": null}), json!({"maybe": null, "color": "red"}));
    check(json!({"maybe": null, "plain": null}), json!({"maybe": null, "color": "red"}));
    check(
        json!({"labels": {"a": null, "b": "c"}, "maybe": null, "color": "red"}),
        json!({"labels": {"b": "c"}, "maybe": null, "color": "red"}),
    );
    check(
        json!({"color": "red", "maybe": null, "nested": {}}),
        json!({"color": "red", "maybe": null, "nested": {"on": true}}),
    );
}

#[test]
fn violations_are_named_in_upstream_s_words() {
    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        let found: Vec<String> = schema()
            .validate(&json!({"metadata": {"name": "a"}, "spec": spec}), None)
            .errors
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    }
    check(json!({"size": 1}), &[]);
    check(json!({"size": 1.0}), &[]);
    check(json!({}), &["spec.size: Required value"]);
    check(
        json!({"size": "x"}),
        &["spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\""],
    );
    check(json!([]), &["spec: Invalid value: \"array\": spec in body must be of type object: \"array\""]);
    check(
        json!({"size": 0}),
        &["spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"],
    );
    check(
        json!({"size": 6}),
        &["spec.size: Invalid value: 6: spec.size in body should be less than or equal to 5"],
    );
    check(
        json!({"size": 1, "color": "green"}),
        &["spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\""],
    );
    check(
        json!({"size": 1, "name": "A1"}),
        &["spec.name: Invalid value: \"A1\": spec.name in body should match '^[a-z]+$'"],
    );
    check(
        json!({"size": 1, "name": "a"}),
        &["spec.name: Invalid value: \"a\": spec.name in body should be at least 2 chars long"],
    );
    check(json!({"size": 1, "name": "abcde"}), &["spec.name: Too long: may not be more than 4 bytes"]);
    check(json!({"size": 1, "tags": ["a", "a"]}), &["spec.tags[1]: Duplicate value: \"a\""]);
    check(
        json!({"size": 1, "tags": ["a", "b", "c"]}),
        &["spec.tags: Too many: 3: must have at most 2 items"],
    );
    check(
        json!({"size": 1, "hosts": [{"name": "a", "port": 1}, {"name": "a", "port": 2}, {"name": "a", "port": 1, "on": true}]}),
        &["spec.hosts[2]: Duplicate value: {\"name\":\"a\",\"port\":1}"],
    );
    check(
        json!({"size": 1, "labels": {}}),
        &["spec.labels: Invalid value: 0: spec.labels in body should have at least 1 properties"],
    );
    check(
        json!({"size": 1, "labels": {"a": "", "b": "", "c": ""}}),
        &["spec.labels: Too many: 3: must have at most 2 items"],
    );
    check(
        json!({"size": 1, "labels": {"a": 1}}),
        &[
            "spec.labels.a: Invalid value: \"integer\": spec.labels.a in body must be of type string: \"integer\"",
        ],
    );
    check(
        json!({"size": 1, "port": true}),
        &[
            "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
        ],
    );
    check(json!({"size": 1, "maybe": null, "port": "http"}), &[]);
    check(
        json!({"size": 1, "at": "now"}),
        &["spec.at: Invalid value: \"now\": spec.at in body must be of type date-time: \"now\""],
    );
    check(
        json!({"size": 1, "small": 3_000_000_000_u32}),
        &[
            "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.small",
        ],
    );
    check(
        json!({"size": 1, "half": 0.7}),
        &["spec.half: Invalid value: 0.7: spec.half in body should be a multiple of 0.5"],
    );
    check(
        json!({"size": 1, "half": 3}),
        &["spec.half: Invalid value: 3: spec.half in body should be less than 3"],
    );
    check(
        json!({"size": 1, "either": {}}),
        &[
            "<nil>: Invalid value: \"\": \"spec.either\" must validate one and only one schema (oneOf). Found none valid",
            "spec.either.a: Required value",
        ],
    );
    check(
        json!({"size": 1, "either": {"a": "", "b": ""}}),
        &[
            "<nil>: Invalid value: \"\": \"spec.either\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ],
    );
    check(
        json!({"size": 1, "some": "a"}),
        &[
            "<nil>: Invalid value: \"\": \"spec.some\" must validate at least one schema (anyOf)",
            "spec.some: Invalid value: \"a\": spec.some in body should be at least 3 chars long",
        ],
    );
    check(
        json!({"size": 1, "never": "bad"}),
        &["<nil>: Invalid value: \"\": \"spec.never\" must not validate the schema (not)"],
    );
    check(
        json!({"size": 1, "template": {"apiVersion": "", "metadata": {"labels": {"a b": "c"}}}}),
        &[
            "spec.template.apiVersion: Required value: must not be empty",
            "spec.template.kind: Required value: must not be empty",
            "spec.template.metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    );
}

#[test]
fn what_an_update_leaves_alone_is_tolerated() {
    #[track_caller]
    fn check(old: Value, new: Value, expected: &[&str]) {
        let object = |spec: Value| json!({"metadata": {"name": "a"}, "spec": spec});
        let found = schema().validate(&object(new), Some(&object(old)));
        let errors: Vec<String> = found.errors.iter().map(|e| e.field.clone()).collect();
        assert_eq!(errors, expected);
    }
    check(json!({"size": 9}), json!({"size": 9, "color": "blue"}), &[]);
    check(json!({"size": 9}), json!({"size": 8}), &["spec.size"]);
    check(json!({"size": 9, "color": "no"}), json!({"size": 9, "color": "neither"}), &["spec.color"]);
    check(json!({"size": 1, "tags": ["a", "a"]}), json!({"size": 1, "tags": ["b", "b"]}), &[]);
    check(
        json!({"size": 1, "hosts": [{"name": "a", "port": 1, "on": 1}]}),
        json!({"size": 1, "hosts": [{"name": "b"}, {"name": "a", "port": 1, "on": 1}]}),
        &[],
    );
}

fn ruled(spec: Value) -> Schema {
    Schema::new(json!({"type": "object", "properties": {"spec": spec}}))
}

#[test]
fn rules_are_asked() {
    #[track_caller]
    fn check(schema: &Value, old: Option<Value>, new: Value, expected: &[&str]) {
        let object = |spec: Value| json!({"metadata": {"name": "a"}, "spec": spec});
        let found = ruled(schema.clone()).validate(&object(new), old.map(object).as_ref());
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected, "{:?}", found.warnings);
    }
    let plain = json!({
        "type": "object",
        "properties": {
            "min": {"type": "integer"}, "max": {"type": "integer"}, "frozen": {"type": "string", "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "frozen is immutable"}]},
            "once": {"type": "string"},
            "names": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"],
                    "properties": {"name": {"type": "string"}, "size": {"type": "integer", "x-kubernetes-validations": [
                        {"rule": "self >= oldSelf", "messageExpression": "'must not shrink below ' + string(oldSelf)"}]}}}},
            "quota": {"type": "object", "additionalProperties": {"type": "string", "x-kubernetes-validations": [
                {"rule": "isQuantity(self)", "reason": "FieldValueForbidden", "message": "no quantity"}]}},
        },
        "x-kubernetes-validations": [
            {"rule": "self.min <= self.max", "fieldPath": ".min", "message": "min must not exceed max"},
            {"rule": "!has(self.once) || oldSelf.hasValue() && oldSelf.value().once == self.once || !oldSelf.hasValue()", "optionalOldSelf": true},
        ],
    });
    check(&plain, None, json!({"min": 1, "max": 2}), &[]);
    check(&plain, None, json!({"min": 3, "max": 2}), &["spec.min: Invalid value: min must not exceed max"]);
    check(
        &plain,
        None,
        json!({"max": 2}),
        &["spec: Invalid value: \"object\": no such key: min evaluating rule: min must not exceed max"],
    );
    check(&plain, None, json!({"min": 1, "max": 2, "frozen": "a"}), &[]);
    check(
        &plain,
        Some(json!({"min": 1, "max": 2, "frozen": "a"})),
        json!({"min": 1, "max": 2, "frozen": "b"}),
        &["spec.frozen: Invalid value: \"b\": frozen is immutable"],
    );
    check(
        &plain,
        Some(json!({"min": 1, "max": 2, "names": [{"name": "a", "size": 4}, {"name": "b", "size": 1}]})),
        json!({"min": 1, "max": 2, "names": [{"name": "b", "size": 2}, {"name": "a", "size": 3}, {"name": "c", "size": 0}]}),
        &["spec.names[1].size: Invalid value: 3: must not shrink below 4"],
    );
    check(
        &plain,
        None,
        json!({"min": 1, "max": 2, "quota": {"cpu": "1", "memory": "x"}}),
        &["spec.quota[memory]: Forbidden: no quantity"],
    );
    check(
        &plain,
        Some(json!({"min": 1, "max": 2, "once": "a"})),
        json!({"min": 1, "max": 2, "once": "b"}),
        &[
            "spec: Invalid value: failed rule: !has(self.once) || oldSelf.hasValue() && oldSelf.value().once == self.once || !oldSelf.hasValue()",
        ],
    );
    // A wrong type keeps rules from being asked.
    check(
        &plain,
        None,
        json!({"min": "a", "max": 2}),
        &[
            "spec.min: Invalid value: \"string\": spec.min in body must be of type integer: \"string\"",
            "<nil>: Invalid value: \"null\": some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ],
    );
    // Broken before, and left alone: only a warning.
    check(&plain, Some(json!({"min": 3, "max": 2})), json!({"min": 3, "max": 2}), &[]);
    check(
        &plain,
        Some(json!({"min": 3, "max": 2})),
        json!({"min": 4, "max": 2}),
        &["spec.min: Invalid value: min must not exceed max"],
    );
}

#[test]
fn rules_end_when_their_budget_is_spent() {
    let schema = ruled(json!({
        "type": "array", "items": {"type": "integer"},
        "x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))"}],
    }));
    let object = json!({"spec": (0..200).collect::<Vec<_>>()});
    let found: Vec<String> = schema.validate(&object, None).errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "spec: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: self.all(a, self.all(b, self.all(c, a + b + c >= 0)))"
        ]
    );
    let many: Vec<Value> = (0..20).map(|_| json!({"rule": "self.all(a, self.all(b, a + b >= 0))"})).collect();
    let schema =
        ruled(json!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": many}));
    let object = json!({"spec": (0..300).collect::<Vec<_>>()});
    let found: Vec<String> = schema.validate(&object, None).errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "spec: Invalid value: \"array\": validation failed due to running out of cost budget, no further validation rules will be run"
        ]
    );
}
