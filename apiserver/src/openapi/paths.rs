//! Operations of a served kind, by path.

use serde_json::{Map, Value, json};

use super::render::{self, Form, definition_of, identity, list_definition_of};
use crate::catalog::{Served, ServedSubresource};

/// Query parameters, by what is done.
const WRITE: [(&str, &str); 3] =
    [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const DELETE: [(&str, &str); 4] = [
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];
const LIST: [(&str, &str); 10] = [
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];

fn explained(name: &str) -> &'static str {
    match name {
        "dryRun" => "All: everything is done but the write.",
        "fieldManager" => "Who is recorded as the manager of the fields that are written.",
        "fieldValidation" => "What becomes of unknown and duplicate fields: Ignore, Warn or Strict.",
        "force" => "Take over fields that others manage; for apply patches.",
        "gracePeriodSeconds" => "How long the object may take to end; 0 deletes at once.",
        "orphanDependents" => "Deprecated: use propagationPolicy.",
        "propagationPolicy" => "What becomes of dependents: Orphan, Background or Foreground.",
        "allowWatchBookmarks" => "Whether a watch may be sent bookmarks.",
        "continue" => "Where the page before ended.",
        "fieldSelector" => "Only objects with these fields.",
        "labelSelector" => "Only objects with these labels.",
        "limit" => "At most so many objects in one answer.",
        "resourceVersion" => "How old the answer may be, or where a watch begins.",
        "resourceVersionMatch" => "How resourceVersion is meant.",
        "sendInitialEvents" => "Begin a watch with the present state.",
        "timeoutSeconds" => "How long the call may last.",
        "watch" => "Go on with changes instead of ending with the list.",
        "name" => "Name of the object.",
        "namespace" => "Namespace of the object.",
        _ => "Indent the output.",
    }
}

fn parameter(name: &str, kind: &str, place: &str, form: Form) -> Value {
    let mut out = json!({ "name": name, "in": place, "description": explained(name) });
    if place == "path" {
        out["required"] = true.into();
    }
    match form {
        Form::V2 => {
            out["type"] = kind.into();
            out["uniqueItems"] = true.into();
        }
        Form::V3 => out["schema"] = json!({ "type": kind, "uniqueItems": true }),
    }
    out
}

const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// One endpoint: what it takes and gives.
struct Endpoint<'a> {
    served: &'a Served,
    sub: Option<&'a ServedSubresource>,
    /// Of the collection rather than of an object.
    collection: bool,
    form: Form,
}

impl Endpoint<'_> {
    fn operation(&self, verb: &str) -> Option<(&'static str, &'static str)> {
        // HTTP method and x-kubernetes-action.
        Some(match (verb, self.collection) {
            ("list", true) => ("get", "list"),
            ("create", true) => ("post", "post"),
            ("deletecollection", true) => ("delete", "deletecollection"),
            ("get", false) => ("get", "get"),
            ("update", false) => ("put", "put"),
            ("patch", false) => ("patch", "patch"),
            ("delete", false) => ("delete", "delete"),
            ("create", false) if self.sub.is_some() => ("post", "post"),
            _ => return None,
        })
    }

    fn identity(&self) -> Value {
        match self.sub {
            Some(sub) => identity(&sub.group, &sub.version, &sub.kind),
            None => identity(&self.served.group, &self.served.version, &self.served.kind),
        }
    }

    fn definition(&self) -> String {
        match self.sub {
            Some(sub) if sub.kind != self.served.kind => {
                super::definition_name(&sub.group, &sub.version, &sub.kind)
            }
            _ => definition_of(self.served),
        }
    }

    fn render(&self, action: &str) -> Value {
        let served = self.served;
        let own = self.definition();
        let (request, response) = match action {
            "list" => (None, list_definition_of(served)),
            "post" | "put" => (Some(own.clone()), own),
            "delete" | "deletecollection" => {
                (Some(render::DELETE_OPTIONS.to_owned()), render::STATUS.to_owned())
            }
            "patch" => (Some("io.k8s.apimachinery.pkg.apis.meta.v1.Patch".to_owned()), own),
            _ => (None, own),
        };
        let names: Vec<(&str, &str)> = match action {
            "post" | "put" => WRITE.to_vec(),
            "patch" => [&WRITE[..], &[("force", "boolean")]].concat(),
            "delete" => DELETE.to_vec(),
            "list" => LIST.to_vec(),
            "deletecollection" => [&DELETE[..], &LIST[1..]].concat(),
            _ => Vec::new(),
        };
        let mut parameters: Vec<Value> =
            names.iter().map(|(name, kind)| parameter(name, kind, "query", self.form)).collect();
        let scope = if served.namespaced { "Namespaced" } else { "" };
        let sub = self.sub.map(|s| capital(&s.name)).unwrap_or_default();
        let tag = match served.group.as_ref() {
            "" => format!("core_{}", served.version),
            group => format!("{}_{}", group.trim_end_matches(".k8s.io").replace('.', "_"), served.version),
        };
        let mut out = Map::new();
        out.insert("tags".to_owned(), json!([tag]));
        out.insert("description".to_owned(), format!("{action} {}", served.kind).into());
        let id =
            format!("{action}{}{scope}{}{sub}", tag.split('_').map(capital).collect::<String>(), served.kind);
        out.insert("operationId".to_owned(), id.into());
        let patches = || {
            // Custom resources have no merge keys.
            let known = PATCHES.iter().filter(|m| !served.is_custom() || !m.contains("strategic"));
            known.copied().collect::<Vec<_>>()
        };
        let schema = |name: &str| match name {
            "io.k8s.apimachinery.pkg.apis.meta.v1.Patch" => json!({ "type": "object" }),
            name => self.form.reference(name),
        };
        match self.form {
            Form::V2 => {
                let consumes = if action == "patch" { patches() } else { vec!["*/*"] };
                out.insert("consumes".to_owned(), consumes.into());
                out.insert("produces".to_owned(), json!(["application/json", "application/yaml"]));
                out.insert("schemes".to_owned(), json!(["https"]));
                if let Some(request) = &request {
                    let required = !action.starts_with("delete");
                    let mut body = json!({ "name": "body", "in": "body", "schema": schema(request) });
                    if required {
                        body["required"] = true.into();
                    }
                    parameters.insert(0, body);
                }
                out.insert("parameters".to_owned(), parameters.into());
                let ok = json!({ "description": "OK", "schema": schema(&response) });
                out.insert(
                    "responses".to_owned(),
                    json!({ "200": ok, "401": { "description": "Unauthorized" } }),
                );
            }
            Form::V3 => {
                out.insert("parameters".to_owned(), parameters.into());
                if let Some(request) = &request {
                    let media = if action == "patch" { patches() } else { vec!["*/*"] };
                    let content: Map<String, Value> = media
                        .iter()
                        .map(|m| ((*m).to_owned(), json!({ "schema": schema(request) })))
                        .collect();
                    out.insert("requestBody".to_owned(), json!({ "content": content }));
                }
                let ok = json!({
                    "description": "OK",
                    "content": { "application/json": { "schema": schema(&response) } },
                });
                out.insert(
                    "responses".to_owned(),
                    json!({ "200": ok, "401": { "description": "Unauthorized" } }),
                );
            }
        }
        out.insert("x-kubernetes-action".to_owned(), action.into());
        out.insert("x-kubernetes-group-version-kind".to_owned(), self.identity());
        Value::Object(out)
    }

    fn item(&self, verbs: &[crate::catalog::Text], path: &str) -> Option<Value> {
        let mut out = Map::new();
        for verb in verbs {
            if let Some((method, action)) = self.operation(verb) {
                out.insert(method.to_owned(), self.render(action));
            }
        }
        if out.is_empty() {
            return None;
        }
        let mut parameters = Vec::new();
        for name in ["name", "namespace"] {
            if path.contains(&format!("{{{name}}}")) {
                parameters.push(parameter(name, "string", "path", self.form));
            }
        }
        parameters.push(parameter("pretty", "string", "query", self.form));
        out.insert("parameters".to_owned(), parameters.into());
        Some(Value::Object(out))
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The paths of a kind with what may be done there.
pub(super) fn of_kind(served: &Served, form: Form) -> Vec<(String, Value)> {
    let root = match served.group.as_ref() {
        "" => format!("/api/{}", served.version),
        group => format!("/apis/{group}/{}", served.version),
    };
    let base = if served.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", served.plural)
    } else {
        format!("{root}/{}", served.plural)
    };
    let mut out = Vec::new();
    let mut put = |path: String, endpoint: Endpoint<'_>, verbs: &[crate::catalog::Text]| {
        if let Some(item) = endpoint.item(verbs, &path) {
            out.push((path, item));
        }
    };
    let own = |collection| Endpoint { served, sub: None, collection, form };
    if served.namespaced && served.allows("list", "") {
        put(format!("{root}/{}", served.plural), own(true), &["list".into()]);
    }
    put(base.clone(), own(true), &served.verbs);
    put(format!("{base}/{{name}}"), own(false), &served.verbs);
    for sub in &served.subresources {
        // Streams and proxies take anything.
        if matches!(sub.name.as_ref(), "attach" | "exec" | "portforward" | "proxy" | "log") {
            continue;
        }
        let endpoint = Endpoint { served, sub: Some(sub), collection: false, form };
        put(format!("{base}/{{name}}/{}", sub.name), endpoint, &sub.verbs);
    }
    out
}
