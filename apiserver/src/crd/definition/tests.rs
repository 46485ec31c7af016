//! Schemas that a definition may not have, and the words that refuse them.

use serde_json::{Value, json};

use super::validate;

fn definition(schema: Value) -> Value {
    json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}})
}

/// `spec` stands under `properties[spec]` of the root.
#[track_caller]
fn check(spec: Value, expected: &[&str]) {
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let found: Vec<String> = validate(&definition(schema), None).iter().map(ToString::to_string).collect();
    let at = "spec.validation.openAPIV3Schema.properties[spec]";
    let found: Vec<String> = found.iter().map(|text| text.replace(at, "$")).collect();
    assert_eq!(found, expected);
}

#[test]
fn schemas_are_structural() {
    check(json!({"type": "object"}), &[]);
    check(json!({"x-kubernetes-preserve-unknown-fields": true}), &[]);
    check(
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        &[],
    );
    check(
        json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "a"}]}),
        &[],
    );
    check(json!({}), &["$.type: Required value: must not be empty for specified object fields"]);
    check(json!({"type": "array"}), &["$.items: Required value: must be specified"]);
    check(
        json!({"type": "array", "items": {}}),
        &["$.items.type: Required value: must not be empty for specified array items"],
    );
    check(
        json!({"type": "object", "oneOf": [{"required": ["a"], "properties": {"a": {"type": "string"}}}]}),
        &[
            "$.oneOf[0].properties[a].type: Forbidden: must be empty to be structural",
            "$.properties[a]: Required value: because it is defined in $.oneOf[0].properties[a]",
        ],
    );
    check(
        json!({"type": "string", "not": {"nullable": true, "default": "a", "x-kubernetes-int-or-string": true, "description": "d"}}),
        &[
            "$.not.default: Forbidden: must be undefined to be structural",
            "$.not.description: Forbidden: must be empty to be structural",
            "$.not.nullable: Forbidden: must be false to be structural",
            "$.not.x-kubernetes-int-or-string: Forbidden: must be false to be structural",
        ],
    );
    check(
        json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
        &[
            "$.x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
        ],
    );
    check(
        json!({"type": "object", "x-kubernetes-embedded-resource": true}),
        &[
            "$.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ],
    );
    check(
        json!({"type": "string", "pattern": "("}),
        &[
            "$.pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: unclosed group",
        ],
    );
}

#[test]
fn roots_are_objects() {
    #[track_caller]
    fn check(schema: Value, expected: &[&str]) {
        let found: Vec<String> =
            validate(&definition(schema), None).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }
    check(
        json!({}),
        &["spec.validation.openAPIV3Schema.type: Required value: must not be empty at the root"],
    );
    check(
        json!({"type": "string"}),
        &["spec.validation.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root"],
    );
    check(
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        &["spec.validation.openAPIV3Schema.additionalProperties: Forbidden: must not be used at the root"],
    );
    check(
        json!({"type": "object", "nullable": true}),
        &["spec.validation.openAPIV3Schema.nullable: Forbidden: nullable cannot be true at the root"],
    );
    check(
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
        &[
            "spec.validation.openAPIV3Schema.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
        ],
    );
    check(
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 4}}}}}),
        &[],
    );
    check(
        json!({"type": "object", "properties": {"kind": {"type": "integer"}, "metadata": {"type": "object", "default": {}}}}),
        &[
            "spec.validation.openAPIV3Schema.properties[kind].type: Invalid value: \"integer\": must be string",
            "spec.validation.openAPIV3Schema.properties[metadata].default: Forbidden: must not be set in top-level metadata",
        ],
    );
    let two = json!({"spec": {"versions": [
        {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object"}}},
        {"name": "v2", "schema": {"openAPIV3Schema": {"type": "string"}}},
    ]}});
    let found: Vec<String> = validate(&two, None).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "spec.versions[1].schema.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root"
        ]
    );
    assert_eq!(validate(&two, Some(&two)), [], "what was accepted is not looked at again");
}

#[test]
fn words_and_extensions_go_together() {
    check(
        json!({"type": "null"}),
        &["$.type: Forbidden: type cannot be set to null, use nullable as an alternative"],
    );
    check(
        json!({"type": "text"}),
        &[
            "$.type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
        ],
    );
    check(json!({"type": "object", "$ref": "#/a"}), &["$.$ref: Forbidden: $ref is not supported"]);
    check(
        json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}}),
        &[
            "$.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ],
    );
    check(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
        &["$.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
    );
    check(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
        &["$.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"],
    );
    check(
        json!({"type": "string", "x-kubernetes-map-type": "wide"}),
        &[
            "$.type: Invalid value: \"string\": must be object if x-kubernetes-map-type is specified",
            "$.x-kubernetes-map-type: Unsupported value: \"wide\": supported values: \"atomic\", \"granular\"",
        ],
    );
    let list = |list_type: &str, keys: Value, items: Value| {
        let mut schema = json!({"type": "array", "x-kubernetes-list-type": list_type, "items": items});
        if !keys.is_null() {
            schema["x-kubernetes-list-map-keys"] = keys;
        }
        schema
    };
    let object = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": "object"}}});
    check(list("map", json!(["a"]), object.clone()), &[]);
    check(
        list("map", Value::Null, object.clone()),
        &["$.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"],
    );
    check(
        list("map", json!(["b"]), object.clone()),
        &[
            "$.items.properties[b].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ],
    );
    check(
        list("map", json!(["z"]), object.clone()),
        &[
            "$.x-kubernetes-list-map-keys: Invalid value: [\"z\"]: entries must all be names of item properties",
        ],
    );
    check(
        list("map", json!(["a", "a"]), object.clone()),
        &["$.x-kubernetes-list-map-keys: Invalid value: [\"a\",\"a\"]: must not contain duplicate entries"],
    );
    check(
        list("map", json!(["a"]), json!({"type": "string"})),
        &[
            "$.items.type: Invalid value: \"string\": must be object if parent array's x-kubernetes-list-type is map",
        ],
    );
    check(
        list("set", json!(["a"]), json!({"type": "string"})),
        &[
            "$.x-kubernetes-list-type: Invalid value: \"set\": must be map if x-kubernetes-list-map-keys is non-empty",
        ],
    );
    check(
        list("set", Value::Null, json!({"type": "string", "nullable": true})),
        &["$.items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set"],
    );
    check(
        list("bag", Value::Null, json!({"type": "string"})),
        &[
            "$.x-kubernetes-list-type: Unsupported value: \"bag\": supported values: \"atomic\", \"set\", \"map\"",
        ],
    );
}

#[test]
fn defaults_are_values_of_their_schema() {
    check(json!({"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}), &[]);
    check(
        json!({"type": "object", "properties": {"a": {"type": "string", "default": 1}}}),
        &[
            "$.properties[a].default: Invalid value: \"integer\": $.properties[a].default in body must be of type string: \"integer\"",
        ],
    );
    check(
        json!({"type": "object", "properties": {"a": {"type": "object", "default": {"b": 1}, "properties": {"c": {"type": "string"}}}}}),
        &["$.properties[a].default: Invalid value: {\"b\":1}: must not have unknown fields"],
    );
    check(
        json!({"type": "object", "default": {"a": 9}, "properties": {"a": {"type": "integer", "maximum": 5}}}),
        &["$.default.a: Invalid value: 9: $.default.a in body should be less than or equal to 5"],
    );
    check(json!({"type": "string", "nullable": true, "default": null}), &[]);
    check(
        json!({"type": "string", "default": "a", "x-kubernetes-validations": [{"rule": "self == 'b'", "message": "must be b"}]}),
        &["$.default: Invalid value: \"a\": must be b"],
    );
}

#[test]
fn rules_compile_and_end_in_time() {
    let rules = |mut schema: Value, rule: Value| {
        schema["x-kubernetes-validations"] = json!([rule]);
        schema
    };
    let object = json!({"type": "object", "properties": {"a": {"type": "integer"}, "s": {"type": "string"}}});
    let one = |rule: Value| rules(object.clone(), rule);
    check(one(json!({"rule": "self.a > 1"})), &[]);
    check(
        one(json!({"rule": " "})),
        &["$.x-kubernetes-validations[0].rule: Required value: rule is not specified"],
    );
    check(
        one(json!({"rule": "self.b > 1"})),
        &[
            "$.x-kubernetes-validations[0].rule: Invalid value: {\"rule\":\"self.b > 1\"}: compilation failed: ERROR: <input>:1:5: undefined field 'b'\n | self.b > 1\n | ....^",
        ],
    );
    check(
        one(json!({"rule": "self.a"})),
        &[
            "$.x-kubernetes-validations[0].rule: Invalid value: {\"rule\":\"self.a\"}: cel expression must evaluate to a bool",
        ],
    );
    check(
        one(json!({"rule": "true", "messageExpression": "1"})),
        &[
            "$.x-kubernetes-validations[0].messageExpression: Invalid value: {\"rule\":\"true\",\"messageExpression\":\"1\"}: messageExpression must evaluate to a string",
        ],
    );
    check(
        one(json!({"rule": "true", "message": "a\nb"})),
        &[
            "$.x-kubernetes-validations[0].message: Invalid value: \"a\\nb\": message must not contain line breaks",
        ],
    );
    check(
        one(json!({"rule": "true", "reason": "Because", "fieldPath": ".z"})),
        &[
            "$.x-kubernetes-validations[0].reason: Unsupported value: \"Because\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"",
            "$.x-kubernetes-validations[0].fieldPath: Invalid value: \".z\": fieldPath must be a valid path",
        ],
    );
    check(
        one(json!({"rule": "self.a > 1", "optionalOldSelf": true})),
        &[
            "$.x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule",
        ],
    );
    check(
        json!({"type": "array", "maxItems": 9, "items": rules(json!({"type": "string", "maxLength": 9}), json!({"rule": "self == oldSelf"}))}),
        &[
            "$.items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within $",
        ],
    );
    let words = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
    let list = json!({"type": "array", "items": {"type": "string"}});
    check(
        rules(list, json!({"rule": "self.all(a, self.exists_one(b, a == b))"})),
        &[
            &format!(
                "$.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {words}"
            ),
            "$.x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
            &format!(
                "spec.validation.openAPIV3Schema: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x {words}"
            ),
        ],
    );
    let bounded = json!({"type": "array", "maxItems": 50, "items": {"type": "string", "maxLength": 30}});
    check(rules(bounded, json!({"rule": "self.all(a, self.exists_one(b, a == b))"})), &[]);
}

/// Rules as well-known projects ship them: what upstream takes is taken here.
#[test]
fn rules_from_the_field_are_taken() {
    let text = |most: u32| json!({"type": "string", "maxLength": most, "minLength": 1});
    check(
        json!({"type": "array", "maxItems": 32,
        "items": {"type": "object", "required": ["name"], "properties": {
            "group": text(253), "kind": text(63), "name": text(253), "namespace": text(63), "sectionName": text(253),
            "port": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535}}},
        "x-kubernetes-validations": [
            {"message": "sectionName or port must be specified when parentRefs includes 2 or more references to the same parent",
             "rule": "self.all(p1, self.all(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && (((!has(p1.__namespace__) || p1.__namespace__ == '') && (!has(p2.__namespace__) || p2.__namespace__ == '')) || (has(p1.__namespace__) && has(p2.__namespace__) && p1.__namespace__ == p2.__namespace__ )) ? ((!has(p1.sectionName) || p1.sectionName == '') == (!has(p2.sectionName) || p2.sectionName == '') && (!has(p1.port) || p1.port == 0) == (!has(p2.port) || p2.port == 0)): true))"},
            {"message": "sectionName or port must be unique when parentRefs includes 2 or more references to the same parent",
             "rule": "self.all(p1, self.exists_one(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && (((!has(p1.__namespace__) || p1.__namespace__ == '') && (!has(p2.__namespace__) || p2.__namespace__ == '')) || (has(p1.__namespace__) && has(p2.__namespace__) && p1.__namespace__ == p2.__namespace__ )) && (((!has(p1.sectionName) || p1.sectionName == '') && (!has(p2.sectionName) || p2.sectionName == '')) || (has(p1.sectionName) && has(p2.sectionName) && p1.sectionName == p2.sectionName)) && (((!has(p1.port) || p1.port == 0) && (!has(p2.port) || p2.port == 0)) || (has(p1.port) && has(p2.port) && p1.port == p2.port))))"},
        ]}),
        &[],
    );
    check(
        json!({"type": "array", "maxItems": 100,
        "items": {"type": "object", "required": ["key", "operator"], "properties": {
            "key": {"type": "string", "maxLength": 316, "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(\\/))?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$",
                "x-kubernetes-validations": [{"message": "label domain is restricted",
                    "rule": "self in [\"beta.kubernetes.io/instance-type\", \"topology.kubernetes.io/zone\"] || self.find(\"^([^/]+)\").endsWith(\"node.kubernetes.io\") || !self.find(\"^([^/]+)\").endsWith(\"kubernetes.io\")"}]},
            "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]},
            "minValues": {"type": "integer", "maximum": 50, "minimum": 1},
            "values": {"type": "array", "maxItems": 50, "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"}}},
        "x-kubernetes-validations": [
            {"message": "requirements with operator 'In' must have a value defined", "rule": "self.all(x, x.operator == 'In' ? x.values.size() != 0 : true)"},
            {"message": "'Gt' or 'Lt' take one integer", "rule": "self.all(x, (x.operator == 'Gt' || x.operator == 'Lt') ? (x.values.size() == 1 && int(x.values[0]) >= 0) : true)"},
            {"message": "'minValues' must be met", "rule": "self.all(x, (x.operator == 'In' && has(x.minValues)) ? x.values.size() >= x.minValues : true)"},
        ]}),
        &[],
    );
    check(
        json!({"type": "object", "properties": {
            "memory": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}],
                "pattern": "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$",
                "x-kubernetes-validations": [{"rule": "type(self) == int || quantity(self).isGreaterThan(quantity('0'))"}]},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 20,
                "x-kubernetes-validations": [{"rule": "self.all(x, x in ['a', 'b'])"}]},
            "until": {"type": "string", "format": "date-time", "x-kubernetes-validations": [{"rule": "self > timestamp('2020-01-01T00:00:00Z')"}]}},
            "x-kubernetes-validations": [{"rule": "has(self.memory) == has(self.labels)"}, {"rule": "self == oldSelf", "message": "is immutable"}]}),
        &[],
    );
}

#[test]
fn selectable_fields_are_scalars() {
    #[track_caller]
    fn check(paths: &[&str], expected: &[&str]) {
        let mut definition = definition(json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": {"type": "object", "properties": {"a": {"type": "string"}, "o": {"type": "object"}}}}}));
        definition["spec"]["versions"][0]["selectableFields"] =
            paths.iter().map(|path| json!({"jsonPath": path})).collect();
        let found: Vec<String> = validate(&definition, None).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }
    check(&[".spec.a"], &[]);
    check(&[""], &["spec.selectableFields[0].jsonPath: Required value"]);
    check(
        &[".spec.z"],
        &[
            "spec.selectableFields[0].jsonPath: Invalid value: \".spec.z\": is an invalid path: does not refer to a valid field",
        ],
    );
    check(
        &[".spec.o"],
        &[
            "spec.selectableFields[0].jsonPath: Invalid value: \".spec.o\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
        ],
    );
    check(
        &[".metadata.name"],
        &[
            "spec.selectableFields[0].jsonPath: Invalid value: \".metadata.name\": must not point to fields in metadata",
        ],
    );
    check(&[".spec.a", ".spec.a"], &["spec.selectableFields[1].jsonPath: Duplicate value: \".spec.a\""]);
}
