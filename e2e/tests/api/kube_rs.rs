//! kube-rs as authors of controllers use it, on real sockets: watchers, reflectors, a Controller, apply, the
//! derive macro for definitions, discovery.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResource, CustomResourceExt, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
    discovery::{Discovery, Scope, pinned_kind, verbs},
    runtime::{
        Controller, WatchStreamExt,
        controller::Action,
        reflector,
        wait::{await_condition, conditions},
        watcher,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::plane::{Plane, Setup, in_real_gear};

/// Nothing here takes as long when it works.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(
    group = "example.com",
    version = "v1",
    kind = "Widget",
    namespaced,
    status = "WidgetStatus",
    shortname = "wd",
    printcolumn = r#"{"name":"Size","type":"integer","jsonPath":".spec.size"}"#
)]
struct WidgetSpec {
    size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    colour: Option<String>,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, JsonSchema)]
struct WidgetStatus {
    seen_size: u32,
}

fn map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": "t"}}, "data": {"k": value}}))
        .unwrap()
}

async fn in_time<T>(plane: &Plane, what: &str, future: impl Future<Output = T>) -> T {
    let waited = plane.client.clock().timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within {} s", PATIENCE.as_secs()))
}

/// Applies the definition of widgets, and waits until they are served.
async fn define(plane: &Plane, client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let apply = PatchParams::apply("test").force();
    definitions.patch("widgets.example.com", &apply, &Patch::Apply(Widget::crd())).await.unwrap();
    let established = await_condition(definitions, "widgets.example.com", conditions::is_crd_established());
    in_time(plane, "the definition is established", established).await.unwrap();
}

#[test]
fn watchers_see_the_state_and_what_follows() {
    in_real_gear(Setup::default(), |plane| async move {
        let maps: Api<ConfigMap> = Api::namespaced(plane.kube(), "default");
        for n in 1..=5 {
            maps.create(&PostParams::default(), &map(&format!("m{n}"), "1")).await.unwrap();
        }
        let labelled = watcher::Config::default().labels("app=t");
        // A list in pages and then a watch; and the state as the beginning of a watch.
        for config in [labelled.clone().page_size(2), labelled.streaming_lists()] {
            let mut objects = watcher(maps.clone(), config).applied_objects().boxed();
            let mut names = BTreeSet::new();
            while names.len() < 5 {
                let next = in_time(&plane, "the state", objects.try_next()).await.unwrap().unwrap();
                names.insert(next.name_any());
            }
            maps.patch("m3", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "2"}})))
                .await
                .unwrap();
            let next = in_time(&plane, "the change", objects.try_next()).await.unwrap().unwrap();
            assert_eq!((next.name_any().as_str(), next.data.unwrap()["k"].as_str()), ("m3", "2"));
            maps.patch("m3", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "1"}})))
                .await
                .unwrap();
        }
    });
}

#[test]
fn a_reflector_follows_the_server() {
    in_real_gear(Setup::default(), |plane| async move {
        let secrets: Api<Secret> = Api::namespaced(plane.kube(), "default");
        let (reader, writer) = reflector::store();
        let following = reflector(writer, watcher(secrets.clone(), watcher::Config::default()))
            .default_backoff()
            .touched_objects()
            .for_each(|_| futures::future::ready(()));
        let task = plane.client.spawn(following);
        in_time(&plane, "the reflector is ready", reader.wait_until_ready()).await.unwrap();
        assert!(reader.state().is_empty());
        let secret = |name: &str| Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            ..Secret::default()
        };
        secrets.create(&PostParams::default(), &secret("a")).await.unwrap();
        secrets.create(&PostParams::default(), &secret("b")).await.unwrap();
        secrets.delete("a", &DeleteParams::default()).await.unwrap();
        let followed = async {
            loop {
                let names: Vec<String> = reader.state().iter().map(|s| s.name_any()).collect();
                if names == ["b"] {
                    return;
                }
                plane.client.clock().sleep(Duration::from_millis(10)).await;
            }
        };
        in_time(&plane, "the reflector has b alone", followed).await;
        task.abort();
    });
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failed(#[from] kube::Error);

/// Each widget has a config map of its name and reports its size.
async fn reconcile(widget: Arc<Widget>, client: Arc<Client>) -> Result<Action, Failed> {
    let namespace = widget.namespace().unwrap_or_default();
    let mut child = map(&widget.name_any(), &widget.spec.size.to_string());
    child.metadata.owner_references = widget.controller_owner_ref(&()).map(|owner| vec![owner]);
    let maps: Api<ConfigMap> = Api::namespaced(Client::clone(&client), &namespace);
    let apply = PatchParams::apply("widgets").force();
    maps.patch(&widget.name_any(), &apply, &Patch::Apply(&child)).await?;
    let widgets: Api<Widget> = Api::namespaced(Client::clone(&client), &namespace);
    let status = json!({"status": {"seen_size": widget.spec.size}});
    widgets.patch_status(&widget.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(Action::await_change())
}

#[test]
fn a_controller_reconciles_its_widgets() {
    in_real_gear(Setup::default(), |plane| async move {
        let client = plane.kube();
        define(&plane, &client).await;
        let widgets: Api<Widget> = Api::namespaced(client.clone(), "default");
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let controller = Controller::new(widgets.clone(), watcher::Config::default())
            .owns(maps.clone(), watcher::Config::default().labels("app=t"))
            .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(200)), Arc::new(client.clone()))
            .for_each(|_| futures::future::ready(()));
        let task = plane.client.spawn(controller);
        let size_of = |size: &'static str| {
            let maps = maps.clone();
            let plane = &plane;
            async move {
                let there = async {
                    loop {
                        let found = maps.get_opt("w").await.unwrap();
                        if found.and_then(|m| m.data).is_some_and(|d| d["k"] == size) {
                            return;
                        }
                        plane.client.clock().sleep(Duration::from_millis(10)).await;
                    }
                };
                in_time(plane, &format!("the config map says {size}"), there).await;
            }
        };
        let widget = Widget::new("w", WidgetSpec { size: 1, colour: None });
        widgets.create(&PostParams::default(), &widget).await.unwrap();
        size_of("1").await;
        let bigger = json!({"spec": {"size": 2}});
        widgets.patch("w", &PatchParams::default(), &Patch::Merge(bigger)).await.unwrap();
        size_of("2").await;
        // What it owns comes back when somebody takes it away.
        maps.delete("w", &DeleteParams::default()).await.unwrap();
        size_of("2").await;
        let reported = await_condition(widgets.clone(), "w", |w: Option<&Widget>| {
            w.and_then(|w| w.status.as_ref()).is_some_and(|s| s.seen_size == 2)
        });
        in_time(&plane, "the widget reports its size", reported).await.unwrap();
        let wrong = Widget::new("x", WidgetSpec { size: 1, colour: None });
        let mut wrong = serde_json::to_value(wrong).unwrap();
        wrong["spec"]["size"] = "large".into();
        let wrong: DynamicObject = serde_json::from_value(wrong).unwrap();
        let dynamic = Api::<DynamicObject>::namespaced_with(
            client.clone(),
            "default",
            &kube::discovery::ApiResource::erase::<Widget>(&()),
        );
        match dynamic.create(&PostParams::default(), &wrong).await {
            Err(kube::Error::Api(status)) => {
                assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"))
            }
            other => panic!("{other:?}"),
        }
        task.abort();
    });
}

#[test]
fn apply_creates_and_changes() {
    in_real_gear(Setup::default(), |plane| async move {
        let maps: Api<ConfigMap> = Api::namespaced(plane.kube(), "default");
        let apply = PatchParams::apply("test");
        let made = maps.patch("a", &apply, &Patch::Apply(map("a", "1"))).await.unwrap();
        let same = maps.patch("a", &apply, &Patch::Apply(map("a", "1"))).await.unwrap();
        assert_eq!(same.resource_version(), made.resource_version());
        let changed = maps.patch("a", &apply, &Patch::Apply(map("a", "2"))).await.unwrap();
        assert_eq!((changed.uid(), changed.data.unwrap()["k"].as_str()), (made.uid(), "2"));
        let stale = maps.replace("a", &PostParams::default(), &made).await.unwrap_err();
        assert!(matches!(&stale, kube::Error::Api(status) if status.code == 409), "{stale:?}");
    });
}

#[test]
fn discovery_finds_built_in_and_custom_kinds() {
    in_real_gear(Setup::default(), |plane| async move {
        let client = plane.kube();
        define(&plane, &client).await;
        let both = [
            Discovery::new(client.clone()).run().await.unwrap(),
            Discovery::new(client.clone()).run_aggregated().await.unwrap(),
        ];
        for discovery in both {
            let kind = |group: &str, kind: &str| {
                let found = discovery.resolve_gvk(&GroupVersionKind::gvk(group, "v1", kind));
                found.unwrap_or_else(|| panic!("{group}/{kind} is not found"))
            };
            let (resource, capabilities) = kind("apps", "Deployment");
            assert_eq!(
                (resource.plural.as_str(), capabilities.scope.clone()),
                ("deployments", Scope::Namespaced)
            );
            assert!(capabilities.supports_operation(verbs::PATCH));
            assert_eq!(kind("", "Node").1.scope, Scope::Cluster);
            assert_eq!(kind("example.com", "Widget").0.plural, "widgets");
        }
        let (resource, _) = pinned_kind(&client, &Widget::gvk()).await.unwrap();
        let all: Api<DynamicObject> = Api::all_with(client, &resource);
        assert!(all.list(&ListParams::default()).await.unwrap().items.is_empty());
    });
}

trait Gvk {
    fn gvk() -> GroupVersionKind;
}

impl Gvk for Widget {
    fn gvk() -> GroupVersionKind {
        GroupVersionKind::gvk(&Widget::group(&()), &Widget::version(&()), &Widget::kind(&()))
    }
}
