//! A definition's versions as rows of the catalog.

use std::sync::Arc;

use api::{
    kinds::Propagation,
    names::NameRule,
    object::ObjectExt,
    status::FieldError,
    table::{Column, custom::CustomPrinter},
};
use serde_json::Value;
use world::Wall;

use super::schema::Schema;
use crate::catalog::{CustomKind, Nature, ScalePaths, Served, ServedSubresource, Text};

const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
/// Of a definition that ends: nothing new. Changes must go on, finalizers are removed by them.
const LAST_VERBS: [&str; 7] = ["delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const MODIFY: [&str; 3] = ["get", "patch", "update"];

struct Custom {
    schema: Schema,
    status: bool,
    scale: Option<ScalePaths>,
    printer: CustomPrinter,
    selectable: Vec<String>,
}

impl CustomKind for Custom {
    fn normalise(&self, object: &mut Value) -> Vec<String> {
        let pruned = self.schema.prune(object);
        self.schema.default(object);
        pruned
    }

    fn validate(&self, new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
        self.schema.validate(new)
    }

    fn has_status(&self) -> bool {
        self.status
    }

    fn scale(&self) -> Option<ScalePaths> {
        self.scale.clone()
    }

    fn columns(&self) -> Vec<Column> {
        self.printer.columns().to_vec()
    }

    fn row(&self, object: &Value, now: Wall) -> Vec<Value> {
        self.printer.row(object, now)
    }

    fn selectable(&self) -> Vec<String> {
        self.selectable.clone()
    }

    fn schema(&self) -> &Value {
        self.schema.source()
    }
}

/// `.spec.replicas` as `/spec/replicas`.
fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

fn text(value: &str) -> Text {
    value.to_owned().into()
}

fn texts(list: &[Value]) -> Vec<Text> {
    list.iter().filter_map(Value::as_str).map(text).collect()
}

/// A row for each served version of an established definition.
pub(super) fn served(definition: &Value) -> Vec<Served> {
    let versions = definition.list_at("/spec/versions");
    versions.iter().filter(|v| v.bool_at("/served")).map(|version| of_version(definition, version)).collect()
}

fn of_version(definition: &Value, version: &Value) -> Served {
    let group = definition.str_at("/spec/group");
    let name = version.str_at("/name");
    let accepted = |field: &str| definition.str_at(&format!("/status/acceptedNames/{field}"));
    let versions = definition.list_at("/spec/versions");
    let stored = versions.iter().find(|v| v.bool_at("/storage")).map_or(name, |v| v.str_at("/name"));
    let verbs: &[&'static str] = if definition.is_terminating() { &LAST_VERBS } else { &VERBS };
    let status = version.at("/subresources/status").is_some();
    let scale = version.at("/subresources/scale").map(|scale| ScalePaths {
        spec_replicas: pointer(scale.str_at("/specReplicasPath")),
        status_replicas: pointer(scale.str_at("/statusReplicasPath")),
        label_selector: Some(scale.str_at("/labelSelectorPath")).filter(|p| !p.is_empty()).map(pointer),
    });
    let modify = || MODIFY.iter().map(|verb| Text::Borrowed(*verb)).collect::<Vec<_>>();
    let mut subresources = Vec::new();
    if status {
        subresources.push(ServedSubresource {
            name: "status".into(),
            group: text(group),
            version: text(name),
            kind: text(accepted("kind")),
            verbs: modify(),
        });
    }
    if scale.is_some() {
        subresources.push(ServedSubresource {
            name: "scale".into(),
            group: "autoscaling".into(),
            version: "v1".into(),
            kind: "Scale".into(),
            verbs: modify(),
        });
    }
    let selectable = version.list_at("/selectableFields").iter();
    let custom = Custom {
        schema: Schema::new(version.at("/schema/openAPIV3Schema").cloned().unwrap_or_default()),
        status,
        scale,
        printer: CustomPrinter::new(version.list_at("/additionalPrinterColumns")),
        selectable: selectable.map(|f| f.str_at("/jsonPath").trim_start_matches('.').to_owned()).collect(),
    };
    Served {
        group: text(group),
        version: text(name),
        kind: text(accepted("kind")),
        list_kind: text(accepted("listKind")),
        plural: text(accepted("plural")),
        singular: text(accepted("singular")),
        short_names: texts(definition.list_at("/status/acceptedNames/shortNames")),
        categories: texts(definition.list_at("/status/acceptedNames/categories")),
        namespaced: definition.str_at("/spec/scope") == "Namespaced",
        verbs: verbs.iter().map(|verb| Text::Borrowed(*verb)).collect(),
        subresources,
        storage: format!("{group}/{}", accepted("plural")).into(),
        stored_api_version: format!("{group}/{stored}").into(),
        generation: true,
        unconditional_update: false,
        create_on_update: false,
        delete_returns_object: false,
        propagation: Propagation::Background,
        name_rule: NameRule::Subdomain,
        nature: Nature::Custom(Arc::new(custom)),
    }
}
