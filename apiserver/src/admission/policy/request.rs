//! What a policy's expressions see of a request.

use std::sync::{Arc, LazyLock};

use api::object::ObjectExt as _;
use serde_json::{Map, Value as Json, json};

use super::super::{Form, Operation, Review, asking::Asking};
use crate::cel::{Access, Decl, Value, Variables, decl::DeclKind};

/// Types of fields: name, type.
type Fields = &'static [(&'static str, Of)];

#[derive(Clone, Copy)]
enum Of {
    Text,
    Int,
    Bool,
    Time,
    Any,
    Texts,
    TextByText,
    TextsByText,
    Object(&'static str, Fields),
    Objects(&'static str, Fields),
}

fn decl(of: Of) -> Decl {
    let list = |of: Decl| Decl::typed("list", DeclKind::List(Arc::new(of)));
    let map = |of: Decl| Decl::typed("map", DeclKind::Map(Arc::new(of)));
    match of {
        Of::Text => Decl::typed("string", DeclKind::String),
        Of::Int => Decl::typed("int", DeclKind::Int),
        Of::Bool => Decl::typed("bool", DeclKind::Bool),
        Of::Time => Decl::typed("timestamp", DeclKind::Timestamp),
        Of::Any => Decl::dynamic(),
        Of::Texts => list(decl(Of::Text)),
        Of::TextByText => map(decl(Of::Text)),
        Of::TextsByText => map(decl(Of::Texts)),
        Of::Object(name, fields) => {
            Decl::object_of(name, fields.iter().map(|(field, of)| (*field, decl(*of))).collect())
        }
        Of::Objects(name, fields) => list(decl(Of::Object(name, fields))),
    }
}

const KIND: Of = Of::Object(
    "kubernetes.GroupVersionKind",
    &[("group", Of::Text), ("version", Of::Text), ("kind", Of::Text)],
);
const RESOURCE: Of = Of::Object(
    "kubernetes.GroupVersionResource",
    &[("group", Of::Text), ("version", Of::Text), ("resource", Of::Text)],
);
const USER: Of = Of::Object(
    "kubernetes.UserInfo",
    &[("username", Of::Text), ("uid", Of::Text), ("groups", Of::Texts), ("extra", Of::TextsByText)],
);
const REQUEST: Of = Of::Object(
    "kubernetes.AdmissionRequest",
    &[
        ("kind", KIND),
        ("resource", RESOURCE),
        ("subResource", Of::Text),
        ("requestKind", KIND),
        ("requestResource", RESOURCE),
        ("requestSubResource", Of::Text),
        ("name", Of::Text),
        ("namespace", Of::Text),
        ("operation", Of::Text),
        ("userInfo", USER),
        ("dryRun", Of::Bool),
        ("options", Of::Any),
    ],
);
const NAMESPACE_METADATA: Of = Of::Object(
    "kubernetes.NamespaceMetadata",
    &[
        ("name", Of::Text),
        ("generateName", Of::Text),
        ("namespace", Of::Text),
        ("labels", Of::TextByText),
        ("annotations", Of::TextByText),
        ("UID", Of::Text),
        ("creationTimestamp", Of::Time),
        ("deletionGracePeriodSeconds", Of::Int),
        ("deletionTimestamp", Of::Time),
        ("generation", Of::Int),
        ("resourceVersion", Of::Text),
        ("finalizers", Of::Texts),
    ],
);
const NAMESPACE_CONDITION: Fields = &[
    ("status", Of::Text),
    ("type", Of::Text),
    ("lastTransitionTime", Of::Time),
    ("message", Of::Text),
    ("reason", Of::Text),
];
const NAMESPACE: Of = Of::Object(
    "kubernetes.Namespace",
    &[
        ("metadata", NAMESPACE_METADATA),
        ("spec", Of::Object("kubernetes.NamespaceSpec", &[("finalizers", Of::Texts)])),
        (
            "status",
            Of::Object(
                "kubernetes.NamespaceStatus",
                &[
                    ("conditions", Of::Objects("kubernetes.NamespaceCondition", NAMESPACE_CONDITION)),
                    ("phase", Of::Text),
                ],
            ),
        ),
    ],
);

/// The type of `request`.
pub(super) fn request_decl() -> &'static Arc<Decl> {
    static DECL: LazyLock<Arc<Decl>> = LazyLock::new(|| Arc::new(decl(REQUEST)));
    &DECL
}

/// The type of `namespaceObject`.
pub(super) fn namespace_decl() -> &'static Arc<Decl> {
    static DECL: LazyLock<Arc<Decl>> = LazyLock::new(|| Arc::new(decl(NAMESPACE)));
    &DECL
}

/// `request`: what is empty is not there.
pub(super) fn request(review: &Review<'_>, target: &Form, own: &Form) -> Json {
    let kind = |of: &Form| json!({ "group": of.kind_group, "version": of.kind_version, "kind": of.kind });
    let resource = |of: &Form| json!({ "group": of.group, "version": of.version, "resource": of.resource });
    let mut out = Map::new();
    let mut put = |field: &str, value: Json| out.insert(field.to_owned(), value);
    put("kind", kind(target));
    put("resource", resource(target));
    put("requestKind", kind(own));
    put("requestResource", resource(own));
    put("operation", review.operation.as_str().into());
    put("userInfo", review.user.to_value());
    put("dryRun", review.dry_run.into());
    put("options", options(review.operation));
    let texts = [
        ("subResource", review.subresource),
        ("requestSubResource", review.subresource),
        ("name", review.object_name()),
        ("namespace", review.namespace),
    ];
    for (field, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        put(field, text.into());
    }
    Json::Object(out)
}

fn options(operation: Operation) -> Json {
    let kind = match operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => return Json::Null,
    };
    json!({ "kind": kind, "apiVersion": "meta.k8s.io/v1" })
}

/// `namespaceObject`: what upstream shows of a namespace.
pub(super) fn namespace_object(namespace: &Json) -> Json {
    let mut shown = namespace.clone();
    for hidden in ["managedFields", "ownerReferences", "selfLink"] {
        shown.remove_at(&format!("/metadata/{hidden}"));
    }
    shown
}

/// All that expressions see of one request, in the version that a policy means.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) object: Option<&'a Json>,
    pub(super) old: Option<&'a Json>,
    pub(super) request: &'a Json,
    pub(super) namespace: Option<&'a Json>,
    pub(super) params: Option<&'a Json>,
    pub(super) asker: &'a Asking<'a>,
}

impl<'a> Seen<'a> {
    /// With everything, or without the authorizer.
    pub(super) fn variables(&self, with_authorizer: bool) -> Variables<'a> {
        let json = |value: Option<&'a Json>| value.map_or(Value::Null, Value::dynamic);
        let mut variables = Variables::new();
        variables.insert("object", json(self.object));
        variables.insert("oldObject", json(self.old));
        variables.insert("params", json(self.params));
        variables.insert("request", Value::read(self.request, request_decl()));
        let namespace = self.namespace.map_or(Value::Null, |n| Value::read(n, namespace_decl()));
        variables.insert("namespaceObject", namespace);
        if with_authorizer {
            variables.insert("authorizer", Access::value(self.asker));
        }
        variables
    }
}
