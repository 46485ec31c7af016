//! Schemas as documents show them: references in the form of the version, and what the schemas lack.

use std::collections::{BTreeMap, BTreeSet};

use api::patch::facts::{self, Strategy};
use serde_json::{Map, Value, json};

use super::{
    schemas::{Schemas, definition_name},
    structure,
};
use crate::catalog::{Nature, Served};

/// The two kinds of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    V2,
    V3,
}

impl Form {
    /// The prefix of a reference to a definition.
    fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        }
    }

    /// A reference and nothing beside it.
    pub(super) fn reference(self, name: &str) -> Value {
        json!({ "$ref": format!("{}{name}", self.prefix()) })
    }
}

const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// The definition of a served kind: upstream's name, or for custom ones the group turned around.
pub(super) fn definition_of(served: &Served) -> String {
    match &served.nature {
        Nature::BuiltIn(kind) => definition_name(kind.group, kind.version, kind.kind),
        Nature::Custom(_) => {
            let turned: Vec<&str> = served.group.split('.').rev().collect();
            format!("{}.{}.{}", turned.join("."), served.version, served.kind)
        }
    }
}

/// The definition of lists of a served kind.
pub(super) fn list_definition_of(served: &Served) -> String {
    let own = definition_of(served);
    own.strip_suffix(served.kind.as_ref())
        .map_or_else(|| format!("{own}List"), |p| format!("{p}{}", served.list_kind))
}

/// `x-kubernetes-group-version-kind` of one kind.
pub(super) fn identity(group: &str, version: &str, kind: &str) -> Value {
    json!({ "group": group, "version": version, "kind": kind })
}

/// All definitions that the kinds need, by name, in the given form.
pub(super) fn definitions(kinds: &[&Served], schemas: &Schemas, form: Form) -> BTreeMap<String, Value> {
    let mut out: BTreeMap<String, Value> = BTreeMap::new();
    let mut wanted: BTreeSet<String> = [DELETE_OPTIONS, STATUS].map(str::to_owned).into();
    let mut identities: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut made: BTreeMap<String, Value> = BTreeMap::new();
    for served in kinds {
        let name = definition_of(served);
        let own = identity(&served.group, &served.version, &served.kind);
        identities.entry(name.clone()).or_default().push(own);
        if let Nature::Custom(custom) = &served.nature {
            made.insert(name.clone(), of_custom(custom.schema()));
        }
        if served.allows("list", "") {
            let list = list_definition_of(served);
            identities.entry(list.clone()).or_default().push(identity(
                &served.group,
                &served.version,
                &served.list_kind,
            ));
            made.insert(list.clone(), of_list(served, &name));
            wanted.insert(list);
        }
        wanted.insert(name);
        for sub in &served.subresources {
            let name = definition_name(&sub.group, &sub.version, &sub.kind);
            if !served.is_custom() || sub.kind != served.kind {
                identities.entry(name.clone()).or_default().push(identity(
                    &sub.group,
                    &sub.version,
                    &sub.kind,
                ));
                wanted.insert(name);
            }
        }
        identities.entry(DELETE_OPTIONS.to_owned()).or_default().push(identity(
            &served.group,
            &served.version,
            "DeleteOptions",
        ));
    }
    identities.entry(STATUS.to_owned()).or_default().push(identity("", "v1", "Status"));
    while let Some(name) = wanted.pop_first() {
        if out.contains_key(&name) {
            continue;
        }
        let of_types = || schemas.get(&name).map(|schema| with_facts(schema, &name));
        let Some(mut schema) = made.remove(&name).or_else(of_types) else { continue };
        if let (Some(list), Value::Object(map)) = (identities.get(&name), &mut schema) {
            let mut once: Vec<Value> = Vec::new();
            for identity in list {
                if !once.contains(identity) {
                    once.push(identity.clone());
                }
            }
            map.insert("x-kubernetes-group-version-kind".to_owned(), once.into());
        }
        let mut found = BTreeSet::new();
        let rendered = render(schema, form, &mut found);
        wanted.extend(found.into_iter().filter(|name| !out.contains_key(name)));
        out.insert(name, rendered);
    }
    out
}

fn of_list(served: &Served, item: &str) -> Value {
    json!({
        "description": format!("{} is a list of {}.", served.list_kind, served.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string", "description": "The version of this representation of an object." },
            "items": { "type": "array", "description": format!("The {}.", served.plural), "items": { "$ref": item } },
            "kind": { "type": "string", "description": "The kind of this object." },
            "metadata": { "description": "Metadata of the list.", "$ref": LIST_META },
        },
    })
}

/// A custom schema says nothing of what all objects have.
fn of_custom(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(map) = &mut schema {
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        if let Value::Object(properties) = properties {
            let text = |what: &str| json!({ "type": "string", "description": what });
            properties
                .insert("apiVersion".to_owned(), text("The version of this representation of an object."));
            properties.insert("kind".to_owned(), text("The kind of this object."));
            properties.insert(
                "metadata".to_owned(),
                json!({ "description": "Metadata of the object.", "$ref": OBJECT_META }),
            );
        }
    }
    schema
}

/// Adds what upstream marks on its types: how patches and appliers meet lists and maps.
fn with_facts(mut schema: Value, name: &str) -> Value {
    let structure = structure::facts_of(name);
    if let (Some(facts), Value::Object(map)) = (structure, &mut schema)
        && facts.atomic
    {
        map.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    }
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return schema };
    for (field, facts) in structure.into_iter().flat_map(|facts| &facts.fields) {
        let Some(Value::Object(property)) = properties.get_mut(*field) else { continue };
        if facts.atomic {
            property.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
        }
        if facts.set {
            property.insert("x-kubernetes-list-type".to_owned(), "set".into());
        }
        if !facts.keys.is_empty() {
            property.insert("x-kubernetes-list-map-keys".to_owned(), facts.keys.clone().into());
            property.insert("x-kubernetes-list-type".to_owned(), "map".into());
        }
    }
    // A list of which nothing else is said has one owner.
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        if property.get("type").is_some_and(|kind| kind == "array") {
            property.entry("x-kubernetes-list-type").or_insert_with(|| "atomic".into());
        }
    }
    for field in facts::of_definition(name).into_iter().flat_map(|of| of.fields) {
        let Some(Value::Object(property)) = properties.get_mut(field.name) else { continue };
        if let Some(strategy) = field.openapi_strategy() {
            property.insert("x-kubernetes-patch-strategy".to_owned(), strategy.into());
        }
        if let Strategy::MergeBy(key) = field.strategy {
            property.insert("x-kubernetes-patch-merge-key".to_owned(), key.into());
        }
    }
    schema
}

/// Rewrites references; v2 knows less of JSON schema and gets less.
fn render(value: Value, form: Form, found: &mut BTreeSet<String>) -> Value {
    match value {
        Value::Array(list) => {
            Value::Array(list.into_iter().map(|inner| render(inner, form, found)).collect())
        }
        Value::Object(mut map) => {
            let target = match map.get("$ref") {
                Some(Value::String(target)) => Some(target.clone()),
                _ => None,
            };
            if let Some(target) = target {
                map.shift_remove("$ref");
                let reference = form.reference(&target);
                found.insert(target);
                let mut out = render_members(map, form, found);
                // Beside a reference nothing counts in v3, so it is wrapped.
                match (form, out.is_empty(), reference) {
                    (Form::V3, false, reference) => {
                        out.insert("allOf".to_owned(), json!([reference]));
                    }
                    (_, _, Value::Object(reference)) => out.extend(reference),
                    _ => {}
                }
                return Value::Object(out);
            }
            if form == Form::V2 {
                if map.contains_key("x-kubernetes-int-or-string") {
                    map.entry("type").or_insert_with(|| "string".into());
                    map.entry("format").or_insert_with(|| "int-or-string".into());
                }
                for key in ["anyOf", "oneOf", "not", "nullable"] {
                    map.shift_remove(key);
                }
            }
            Value::Object(render_members(map, form, found))
        }
        other => other,
    }
}

fn render_members(map: Map<String, Value>, form: Form, found: &mut BTreeSet<String>) -> Map<String, Value> {
    let one = |(key, inner): (String, Value)| match inner {
        // Names of fields are no keywords, even if they are called `not` or `nullable`.
        Value::Object(fields) if key == "properties" => {
            let fields = fields.into_iter().map(|(name, field)| (name, render(field, form, found)));
            (key, Value::Object(fields.collect()))
        }
        inner => (key, render(inner, form, found)),
    };
    map.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn documents_are_closed_and_carry_the_facts() {
        #[track_caller]
        fn check(form: Form) {
            let all = Catalog::builtin().all();
            let apps: Vec<&Served> = all.iter().map(AsRef::as_ref).filter(|s| s.group == "apps").collect();
            let definitions = definitions(&apps, &Schemas::unpack(), form);
            let text = serde_json::to_string(&definitions).unwrap();
            // Every reference leads somewhere.
            for part in text.split(form.prefix()).skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(definitions.contains_key(name), "{name}");
            }
            let deployment = &definitions["io.k8s.api.apps.v1.Deployment"];
            assert_eq!(
                deployment["x-kubernetes-group-version-kind"],
                json!([{"group": "apps", "version": "v1", "kind": "Deployment"}])
            );
            let containers = &definitions["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
            assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
            assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
            assert_eq!(containers["x-kubernetes-list-type"], "map");
            let command = &definitions["io.k8s.api.core.v1.Container"]["properties"]["command"];
            assert_eq!(command["x-kubernetes-list-type"], "atomic");
            let ports = &definitions["io.k8s.api.core.v1.Container"]["properties"]["ports"];
            assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
            let items = &definitions["io.k8s.api.apps.v1.DeploymentList"]["properties"]["items"];
            assert_eq!((&items["type"], items.get("x-kubernetes-list-type")), (&json!("array"), None));
            assert!(!definitions.contains_key("io.k8s.api.batch.v1.Job"));
        }
        check(Form::V2);
        check(Form::V3);
    }

    #[test]
    fn fields_named_as_keywords_stay() {
        for form in [Form::V2, Form::V3] {
            let all = Catalog::builtin().all();
            let of_group = |s: &&Served| s.group == "apiextensions.k8s.io";
            let served: Vec<&Served> = all.iter().map(AsRef::as_ref).filter(of_group).collect();
            let definitions = definitions(&served, &Schemas::unpack(), form);
            let schema =
                &definitions["io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"];
            for field in ["$ref", "anyOf", "not", "nullable", "oneOf"] {
                assert!(schema["properties"][field].is_object(), "{field}: {schema}");
            }
        }
    }
}
