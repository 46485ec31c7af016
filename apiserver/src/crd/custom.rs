//! A definition's versions as rows of the catalog.

use std::sync::Arc;

use api::{
    kinds::Propagation,
    names::NameRule,
    object::ObjectExt,
    selector::LabelSelector,
    status::FieldError,
    table::{Column, custom::CustomPrinter},
};
use serde_json::Value;
use world::Wall;

use super::{convert::Webhook, schema::Schema};
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
    deprecation: Option<String>,
    webhook: Option<Arc<Webhook>>,
}

impl CustomKind for Custom {
    fn normalise(&self, object: &mut Value) -> Vec<String> {
        let pruned = self.schema.prune(object);
        self.schema.default(object);
        pruned
    }

    fn validate(&self, new: &Value, old: Option<&Value>, warnings: &mut Vec<String>) -> Vec<FieldError> {
        let mut found = self.schema.validate(new, old);
        if let Some(scale) = &self.scale {
            scale_violations(scale, new, &mut found.errors);
        }
        warnings.append(&mut found.warnings);
        found.errors
    }

    fn webhook(&self) -> Option<&Webhook> {
        self.webhook.as_deref()
    }

    fn deprecation(&self) -> Option<&str> {
        self.deprecation.as_deref()
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

/// `scale` counts in 32 bits.
const MOST_REPLICAS: i64 = 2_147_483_647;

/// What `scale` shows must be numbers of replicas and a selector.
fn scale_violations(scale: &ScalePaths, object: &Value, errors: &mut Vec<FieldError>) {
    let field = |pointer: &str| pointer.trim_start_matches('/').replace('/', ".");
    for pointer in [&scale.spec_replicas, &scale.status_replicas] {
        // What is no number is the schema's complaint.
        let why = match object.i64_at(pointer) {
            None | Some(0..=MOST_REPLICAS) => continue,
            Some(replicas) if replicas < 0 => "should be a non-negative integer",
            Some(_) => "should be less than or equal to 2147483647",
        };
        errors.push(FieldError::invalid(field(pointer), object.i64_at(pointer), why));
    }
    if let Some(pointer) = &scale.label_selector
        && let Some(selector) = object.at(pointer)
        && let Err(why) = selector.as_str().unwrap_or("=").parse::<LabelSelector>()
    {
        errors.push(FieldError::invalid(field(pointer), selector.clone(), why.to_string()));
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
    let webhook = Webhook::of(definition).map(Arc::new);
    let served = versions.iter().filter(|v| v.bool_at("/served"));
    served.map(|version| of_version(definition, version, webhook.clone())).collect()
}

fn of_version(definition: &Value, version: &Value, webhook: Option<Arc<Webhook>>) -> Served {
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
        webhook,
        deprecation: version.bool_at("/deprecated").then(|| match version.str_at("/deprecationWarning") {
            "" => format!("{group}/{name} {} is deprecated", accepted("kind")),
            words => words.to_owned(),
        }),
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
