//! A definition that moves from v1 to v2 while objects, old clients and a conversion webhook are about.

use std::time::Duration;

use chronoplane::{
    ControlPlane, Manifests, Sim, Webhook,
    k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, CustomResource, CustomResourceExt, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::crd::merge_crds,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

mod v1 {
    use super::*;

    #[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, Serialize)]
    #[kube(group = "example.com", version = "v1", kind = "Door", namespaced)]
    pub struct DoorSpec {
        pub open: bool,
    }
}

mod v2 {
    use super::*;

    #[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, Serialize)]
    #[kube(group = "example.com", version = "v2", kind = "Door", namespaced)]
    pub struct DoorSpec {
        pub state: State,
    }

    #[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
    pub enum State {
        Open,
        Closed,
    }
}

/// What the conversion webhook does to one object.
fn convert(mut door: Value, version: &str) -> Value {
    let open = door["spec"]["open"] == true || door["spec"]["state"] == "Open";
    door["spec"] = match version {
        "example.com/v1" => json!({"open": open}),
        _ => json!({"state": if open { "Open" } else { "Closed" }}),
    };
    door["apiVersion"] = version.into();
    door
}

fn answer(review: &Value) -> Value {
    let request = &review["request"];
    let version = request["desiredAPIVersion"].as_str().unwrap_or_default();
    let doors = request["objects"].as_array().cloned().unwrap_or_default();
    let converted: Vec<_> = doors.into_iter().map(|door| convert(door, version)).collect();
    json!({
        "apiVersion": review["apiVersion"],
        "kind": review["kind"],
        "response": {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": converted},
    })
}

/// Both versions, stored as v2, converted by the webhook.
fn both(webhook: &Webhook) -> Manifests {
    let mut definition = merge_crds(vec![v1::Door::crd(), v2::Door::crd()], "v2").unwrap();
    definition.spec.conversion = serde_json::from_value(json!({
        "strategy": "Webhook",
        "webhook": {"clientConfig": webhook.client_config("/convert"), "conversionReviewVersions": ["v1"]},
    }))
    .unwrap();
    Manifests::object(&definition).unwrap()
}

#[chronoplane::test]
async fn doors_move_from_v1_to_v2_and_nobody_notices(sim: Sim, plane: ControlPlane) {
    let client = plane.client().unwrap();
    let (old, new): (Api<v1::Door>, Api<v2::Door>) =
        (Api::default_namespaced(client.clone()), Api::default_namespaced(client.clone()));
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let stored = async || {
        let status = definitions.get("doors.example.com").await.unwrap().status.unwrap();
        status.stored_versions.unwrap_or_default()
    };

    plane.apply(&Manifests::crd::<v1::Door>().unwrap()).await.unwrap();
    for (name, open) in [("front", true), ("back", false)] {
        let door = v1::Door::new(name, v1::DoorSpec { open });
        old.create(&PostParams::default(), &door).await.unwrap();
    }
    assert_eq!(stored().await, ["v1"]);

    let reply = |review: Value| async move { answer(&review) };
    let webhook = Webhook::serve(&sim.host("hook"), reply).await.unwrap();
    plane.apply(&both(&webhook)).await.unwrap();

    // What was stored as v1 is read as v2, and what is written as v2 is read as v1.
    assert_eq!(new.get("front").await.unwrap().spec.state, v2::State::Open);
    new.create(&PostParams::default(), &v2::Door::new("side", v2::DoorSpec { state: v2::State::Closed }))
        .await
        .unwrap();
    assert!(!old.get("side").await.unwrap().spec.open);
    assert_eq!(stored().await, ["v1", "v2"]);

    // The migration: everything is written again, then v1 is stored no more and may go.
    for door in new.list(&ListParams::default()).await.unwrap() {
        new.replace(&door.name_any(), &PostParams::default(), &door).await.unwrap();
    }
    let only_v2 = Patch::Merge(json!({"status": {"storedVersions": ["v2"]}}));
    definitions.patch_status("doors.example.com", &PatchParams::default(), &only_v2).await.unwrap();
    webhook.kill().await;
    plane.apply(&Manifests::crd::<v2::Door>().unwrap()).await.unwrap();

    // No webhook is left to ask, and none is needed. The server hears of the change a moment later.
    plane.elapse(Duration::from_secs(5)).await.unwrap();
    let doors = new.list(&ListParams::default()).await.unwrap();
    let states: Vec<_> = doors.iter().map(|door| (door.name_any(), door.spec.state)).collect();
    let expected = [("back", v2::State::Closed), ("front", v2::State::Open), ("side", v2::State::Closed)];
    assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state)));
    assert!(old.get("front").await.is_err(), "v1 is served no more");
}

/// The control: without the migration the last step leaves objects behind that only the webhook could read.
#[chronoplane::test]
async fn without_the_migration_v1_cannot_go(sim: Sim, plane: ControlPlane) {
    let client = plane.client().unwrap();
    plane.apply(&Manifests::crd::<v1::Door>().unwrap()).await.unwrap();
    let old: Api<v1::Door> = Api::default_namespaced(client);
    old.create(&PostParams::default(), &v1::Door::new("front", v1::DoorSpec { open: true })).await.unwrap();
    let reply = |review: Value| async move { answer(&review) };
    let webhook = Webhook::serve(&sim.host("hook"), reply).await.unwrap();
    plane.apply(&both(&webhook)).await.unwrap();
    let refused = plane.apply(&Manifests::crd::<v2::Door>().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("status.storedVersions") && refused.contains("v1"), "{refused}");
}
