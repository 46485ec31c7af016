//! Manifests applied: from YAML, folders and types, in an order in which they can be.

use chronoplane::{ControlPlane, Manifests};
use kube::{Api, CustomResource, api::PostParams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(group = "example.com", version = "v1", kind = "Lamp", namespaced)]
struct LampSpec {
    watts: u32,
}

#[chronoplane::test]
async fn a_definition_is_served_when_apply_returns(plane: ControlPlane) {
    plane.apply(&Manifests::crd::<Lamp>().unwrap()).await.unwrap();
    let lamps: Api<Lamp> = Api::default_namespaced(plane.client().unwrap());
    lamps.create(&PostParams::default(), &Lamp::new("a", LampSpec { watts: 5 })).await.unwrap();
}

/// In a folder the object comes before its definition and its namespace: by name.
#[chronoplane::test]
async fn what_others_need_is_applied_first(plane: ControlPlane) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "1-lamp.yaml",
        "{apiVersion: example.com/v1, kind: Lamp, metadata: {name: b, namespace: hall}, spec: {watts: 7}}",
    );
    write("2-namespace.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: hall}}");
    let definition = serde_json::to_string(&<Lamp as kube::CustomResourceExt>::crd()).unwrap();
    write("3-definition.json", &definition);
    let manifests = Manifests::path(dir.path()).unwrap();
    let applied = plane.apply(&manifests).await.unwrap();
    let kinds: Vec<_> = applied.iter().map(|object| object.types.as_ref().unwrap().kind.as_str()).collect();
    assert_eq!(kinds, ["Namespace", "CustomResourceDefinition", "Lamp"]);
    plane.wait_for(("hall", "lamp/b"), "jsonpath={.spec.watts}=7").await.unwrap();
    // Again, and nothing changes.
    let again = plane.apply(&manifests).await.unwrap();
    assert_eq!(again[2].metadata.resource_version, applied[2].metadata.resource_version);
}

#[chronoplane::test]
async fn what_is_refused_is_named_with_its_place(plane: ControlPlane) {
    let refused =
        async |text: &str| plane.apply(&Manifests::yaml(text).unwrap()).await.unwrap_err().to_string();
    let unknown = refused("{apiVersion: nowhere.io/v1, kind: Thing, metadata: {name: x}}").await;
    assert!(unknown.starts_with(r#"cannot apply Thing "x" of the YAML text, document 1: "#), "{unknown}");
    plane.apply(&Manifests::crd::<Lamp>().unwrap()).await.unwrap();
    let invalid =
        refused("{apiVersion: example.com/v1, kind: Lamp, metadata: {name: x}, spec: {watts: bright}}").await;
    assert!(invalid.contains(".spec.watts: expected numeric (int or float), got string"), "{invalid}");
}
