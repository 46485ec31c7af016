//! `src/openapi/schemas.txt.gz` and `fields.txt.gz` say what k8s-openapi says of Kubernetes 1.36.
//!
//! The server ships these files instead of the crate. `UPDATE_SCHEMAS=1 cargo test -p
//! chronoplane-apiserver --test schemas` writes them anew.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write},
    path::PathBuf,
};

use k8s_openapi::{
    Resource,
    api::{
        admissionregistration::v1 as admission, apps::v1 as apps, authentication::v1 as authentication,
        authorization::v1 as authorization, autoscaling, batch::v1 as batch,
        certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as core,
        discovery::v1 as discovery, events::v1 as events, flowcontrol::v1 as flowcontrol,
        networking::v1 as networking, node::v1 as node, policy::v1 as policy, rbac::v1 as rbac,
        resource::v1 as resource, scheduling::v1 as scheduling, storage::v1 as storage,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions,
    apimachinery::pkg::apis::meta::v1 as meta,
    kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration,
    schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings},
};
use serde_json::{Map, Value};

/// What k8s-openapi says of a kind, besides its schema.
#[derive(Debug, PartialEq)]
struct Fact {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    segment: &'static str,
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scope {
    Cluster,
    Namespace,
    Sub,
}

trait HasScope {
    const SCOPE: Scope;
}

impl HasScope for k8s_openapi::ClusterResourceScope {
    const SCOPE: Scope = Scope::Cluster;
}

impl HasScope for k8s_openapi::NamespaceResourceScope {
    const SCOPE: Scope = Scope::Namespace;
}

impl HasScope for k8s_openapi::SubResourceScope {
    const SCOPE: Scope = Scope::Sub;
}

struct Walk {
    generator: SchemaGenerator,
    facts: Vec<Fact>,
}

impl Walk {
    fn root<T: JsonSchema + Resource>(&mut self)
    where
        T::Scope: HasScope,
    {
        self.generator.subschema_for::<T>();
        self.facts.push(Fact {
            group: T::GROUP,
            version: T::VERSION,
            kind: T::KIND,
            segment: T::URL_PATH_SEGMENT,
            scope: T::Scope::SCOPE,
        });
    }
}

macro_rules! roots {
    ($walk:ident, $($path:ty),* $(,)?) => { $($walk.root::<$path>();)* };
}

/// Every kind of a stable version.
fn walk() -> Walk {
    let mut walk = Walk { generator: SchemaSettings::openapi3().into_generator(), facts: Vec::new() };
    roots!(
        walk,
        core::Binding,
        core::ComponentStatus,
        core::ConfigMap,
        core::Endpoints,
        core::Event,
        core::LimitRange,
        core::Namespace,
        core::Node,
        core::PersistentVolume,
        core::PersistentVolumeClaim,
        core::Pod,
        core::PodTemplate,
        core::ReplicationController,
        core::ResourceQuota,
        core::Secret,
        core::Service,
        core::ServiceAccount,
        apps::ControllerRevision,
        apps::DaemonSet,
        apps::Deployment,
        apps::ReplicaSet,
        apps::StatefulSet,
        authentication::SelfSubjectReview,
        authentication::TokenRequest,
        authentication::TokenReview,
        authorization::LocalSubjectAccessReview,
        authorization::SelfSubjectAccessReview,
        authorization::SelfSubjectRulesReview,
        authorization::SubjectAccessReview,
        autoscaling::v1::HorizontalPodAutoscaler,
        autoscaling::v1::Scale,
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::CronJob,
        batch::Job,
        certificates::CertificateSigningRequest,
        coordination::Lease,
        discovery::EndpointSlice,
        events::Event,
        flowcontrol::FlowSchema,
        flowcontrol::PriorityLevelConfiguration,
        networking::IPAddress,
        networking::Ingress,
        networking::IngressClass,
        networking::NetworkPolicy,
        networking::ServiceCIDR,
        node::RuntimeClass,
        policy::Eviction,
        policy::PodDisruptionBudget,
        rbac::ClusterRole,
        rbac::ClusterRoleBinding,
        rbac::Role,
        rbac::RoleBinding,
        resource::DeviceClass,
        resource::ResourceClaim,
        resource::ResourceClaimTemplate,
        resource::ResourceSlice,
        scheduling::PriorityClass,
        storage::CSIDriver,
        storage::CSINode,
        storage::CSIStorageCapacity,
        storage::StorageClass,
        storage::VolumeAttachment,
        storage::VolumeAttributesClass,
        admission::MutatingWebhookConfiguration,
        admission::ValidatingAdmissionPolicy,
        admission::ValidatingAdmissionPolicyBinding,
        admission::ValidatingWebhookConfiguration,
        admission::MutatingAdmissionPolicy,
        admission::MutatingAdmissionPolicyBinding,
        apiextensions::CustomResourceDefinition,
        apiregistration::APIService,
        meta::Status,
    );
    walk
}

fn definitions() -> BTreeMap<String, Value> {
    let mut generator = walk().generator;
    generator.subschema_for::<meta::DeleteOptions>();
    generator.subschema_for::<meta::ListMeta>();
    let taken = generator.take_definitions(true);
    taken.into_iter().map(|(name, schema)| (name, tidy(schema))).collect()
}

/// One form for all references, `{"$ref": "<definition>"}` with siblings, and no marks of nullability:
/// upstream's documents have neither.
fn tidy(value: Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.into_iter().map(tidy).collect()),
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                match (key.as_str(), value) {
                    // A mark, not the field of that name in a definition's schema.
                    ("nullable", Value::Bool(_)) => {}
                    ("$ref", Value::String(target)) => {
                        let name = target.rsplit('/').next().unwrap_or_default().to_owned();
                        out.insert(key, name.into());
                    }
                    // Beside siblings the generator wraps a reference.
                    ("allOf", Value::Array(list)) if list.len() == 1 => {
                        let Value::Object(inner) = tidy(list.into_iter().next().unwrap_or_default()) else {
                            continue;
                        };
                        out.extend(inner);
                    }
                    (_, value) => {
                        out.insert(key, tidy(value));
                    }
                }
            }
            Value::Object(out)
        }
        other => other,
    }
}

/// A line for each definition, in the order of their names, tab-separated: the name, then
/// `field:type`. A definition without fields has its type instead. Types: `s`tring, `i`nteger
/// (`l` with 64 bits), `n`umber, `b`oolean, `x` for integer or string, `q`uantity, `*` for anything, `[`t for a list, `{`t for a map,
/// `@7` for the definition on line 7.
fn fields(definitions: &BTreeMap<String, Value>) -> String {
    let lines: BTreeMap<&str, usize> =
        definitions.keys().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let mut out = String::new();
    for (name, schema) in definitions {
        out.push_str(name);
        match schema.get("properties").and_then(Value::as_object) {
            Some(properties) => {
                let sorted: BTreeMap<&String, &Value> = properties.iter().collect();
                for (field, schema) in sorted {
                    let _ = write!(out, "\t{field}:{}", type_of(schema, &lines));
                }
            }
            // A quantity is written as text, but read from a number too.
            None if name.ends_with(".Quantity") => out.push_str("\t=q"),
            None => {
                let _ = write!(out, "\t={}", type_of(schema, &lines));
            }
        }
        out.push('\n');
    }
    out
}

fn type_of(schema: &Value, lines: &BTreeMap<&str, usize>) -> String {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return format!("@{}", lines[target]);
    }
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return "x".to_owned();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => "s".to_owned(),
        Some("integer") if schema.get("format").and_then(Value::as_str) == Some("int64") => "l".to_owned(),
        Some("integer") => "i".to_owned(),
        Some("number") => "n".to_owned(),
        Some("boolean") => "b".to_owned(),
        Some("array") => {
            format!("[{}", schema.get("items").map_or("*".to_owned(), |items| type_of(items, lines)))
        }
        Some("object") => match schema.get("additionalProperties") {
            Some(of @ Value::Object(_)) => format!("{{{}", type_of(of, lines)),
            _ => "*".to_owned(),
        },
        _ => "*".to_owned(),
    }
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/openapi").join(file)
}

fn zip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn unzip(file: &str) -> String {
    let bytes = std::fs::read(path(file)).unwrap_or_default();
    let mut text = String::new();
    let _ = flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text);
    text
}

#[track_caller]
fn check(file: &str, expected: &str) {
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(path(file), zip(expected)).unwrap();
    }
    let found = unzip(file);
    let first = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(
        found == expected,
        "{file} is not what k8s-openapi says (UPDATE_SCHEMAS=1 writes it anew); first difference: {first:?}"
    );
}

/// One definition per line: `name<TAB>schema`.
#[test]
fn files_are_what_k8s_openapi_says() {
    let definitions = definitions();
    let mut schemas = String::new();
    for (name, schema) in &definitions {
        let _ = writeln!(schemas, "{name}\t{schema}");
    }
    check("schemas.txt.gz", &schemas);
    check("fields.txt.gz", &fields(&definitions));
}

/// Every kind that is served has a definition by the name that the server looks for.
#[test]
fn every_served_kind_has_a_definition() {
    let definitions = definitions();
    for kind in api::kinds::all() {
        let name = apiserver::openapi::definition_name(kind.group, kind.version, kind.kind);
        assert!(definitions.contains_key(&name), "{name}");
    }
}

/// The table of kinds and k8s-openapi agree on group, version, kind, plural and scope, in both
/// directions.
#[test]
fn the_table_of_kinds_is_k8s_openapi_s() {
    let facts = walk().facts;
    for fact in &facts {
        if fact.scope == Scope::Sub {
            let known = api::kinds::all()
                .iter()
                .flat_map(|kind| kind.subresources)
                .any(|sub| (sub.name, sub.kind) == (fact.segment, fact.kind));
            assert!(known || fact.kind == "Status", "{fact:?} is nobody's subresource");
            continue;
        }
        let row = api::kinds::find(fact.group, fact.version, fact.segment)
            .unwrap_or_else(|| panic!("{fact:?} is not served"));
        assert_eq!((row.kind, row.namespaced), (fact.kind, fact.scope == Scope::Namespace), "{fact:?}");
    }
    for row in api::kinds::all() {
        let found = facts.iter().any(|fact| {
            (fact.group, fact.version, fact.segment, fact.kind)
                == (row.group, row.version, row.plural, row.kind)
        });
        assert!(found, "{} {} is none of k8s-openapi's", row.api_version(), row.plural);
    }
}
