//! Faults at the client's side: each does what it says to the requests that it is for, and to no other.

use std::time::Duration;

use chronoplane::{ControlPlane, Faults, Requests, k8s_openapi::api::core::v1::ConfigMap};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

#[chronoplane::test]
async fn the_second_update_meets_a_conflict_and_the_third_does_not(plane: ControlPlane) {
    let faults = Faults::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.faulty_client(&faults).unwrap());
    let conflict = faults.on(Requests::of("update", "configmaps").name("a")).after(1).conflict();
    let made = maps.create(&PostParams::default(), &map("a")).await.unwrap();
    maps.create(&PostParams::default(), &map("b")).await.unwrap();
    let update = async |name: &str| {
        let newest = maps.get(name).await.unwrap();
        maps.replace(name, &PostParams::default(), &newest).await
    };
    update("a").await.unwrap();
    update("b").await.unwrap();
    let refused = update("a").await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains(r#"Operation cannot be fulfilled on configmaps "a": the object has been modified"#)
    );
    assert_eq!((code(&refused), conflict.hits()), (Some(409), 1));
    update("a").await.unwrap();
    assert_eq!(maps.get("a").await.unwrap().metadata.uid, made.metadata.uid);
}

/// The request is carried out all the same: that is what is wrong with it.
#[chronoplane::test]
async fn a_lost_answer_is_of_a_request_that_was_carried_out(plane: ControlPlane) {
    let faults = Faults::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.faulty_client(&faults).unwrap());
    let lost = faults.on(Requests::of("create", "configmaps")).lose_answer();
    maps.create(&PostParams::default(), &map("a")).await.unwrap_err();
    let again = maps.create(&PostParams::default(), &map("a")).await.unwrap_err();
    assert_eq!((code(&again), lost.hits()), (Some(409), 1), "it is there");

    faults.on(Requests::of("create", "configmaps")).refuse_connection();
    maps.create(&PostParams::default(), &map("b")).await.unwrap_err();
    assert!(maps.get_opt("b").await.unwrap().is_none(), "it never reached the server");
}

#[chronoplane::test]
async fn a_delay_is_on_the_clock_of_the_world(plane: ControlPlane) {
    let faults = Faults::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.faulty_client(&faults).unwrap());
    faults.on(Requests::of("get", "configmaps")).delay(Duration::from_secs(3600));
    let began = plane.host().clock().monotonic();
    maps.get_opt("a").await.unwrap();
    let took = plane.host().clock().monotonic().since(began);
    assert!(took >= Duration::from_secs(3600) && took < Duration::from_secs(3610), "{took:?}");
}

#[chronoplane::test]
async fn failures_last_as_often_as_they_shall(plane: ControlPlane) {
    let faults = Faults::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.faulty_client(&faults).unwrap());
    let busy = faults.on(Requests::of("patch", "configmaps")).times(2).fail(429, "TooManyRequests", "later");
    let patch = async || maps.patch("a", &PatchParams::apply("test"), &Patch::Apply(map("a"))).await;
    for _ in 0..2 {
        assert_eq!(code(&patch().await.unwrap_err()), Some(429));
    }
    patch().await.unwrap();
    assert_eq!(busy.hits(), 2);
    let ever = faults.on(Requests::any()).always().fail(500, "InternalError", "broken");
    assert!(patch().await.is_err() && maps.get("a").await.is_err());
    ever.end();
    maps.get("a").await.unwrap();
    // Another client has no faults.
    faults.on(Requests::any()).always().refuse_connection();
    plane.client().unwrap().apiserver_version().await.unwrap();
}
