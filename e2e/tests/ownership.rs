//! What becomes of objects whose owner goes, whoever defined their kinds; and of namespaces that hold
//! something back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::time::Duration;

use api::object::ObjectExt as _;
use chronoplane::{Cluster, cluster::wait_for};
use client::{DeleteParams, ListParams, Patch, Resource};
use serde_json::{Value, json};

const DEFINITIONS: Resource = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
const WIDGETS: Resource = Resource::new("shop.example.com", "v1", "widgets");
const MAPS: Resource = Resource::core("configmaps");
const EVENTS: Resource = Resource::core("events");
const NAMESPACES: Resource = Resource::core("namespaces");
const NS: Option<&str> = Some("default");

async fn until<T>(cluster: &Cluster, what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    wait_for(&cluster.sim().host("workstation"), what, look).await.unwrap_or_else(|e| panic!("{e}"))
}

async fn gone(cluster: &Cluster, resource: &Resource, name: &str) {
    until(cluster, &format!("{resource} {name} is gone"), async || {
        cluster.admin().get_opt(resource, NS, name).await.ok()?.is_none().then_some(())
    })
    .await;
}

/// Defines widgets and waits until they can be created.
async fn define(cluster: &Cluster) {
    let definition = json!({
        "metadata": {"name": "widgets.shop.example.com"},
        "spec": {
            "group": "shop.example.com",
            "names": {"kind": "Widget", "plural": "widgets"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    });
    cluster.admin().create(&DEFINITIONS, None, &definition).await.expect("a definition");
    until(cluster, "widgets are served", async || {
        cluster.admin().list(&WIDGETS, NS, &ListParams::default()).await.ok()
    })
    .await;
}

async fn create(cluster: &Cluster, resource: &Resource, name: &str, owners: &[&Value]) -> Value {
    let references: Vec<Value> = owners
        .iter()
        .map(|o| {
            json!({"apiVersion": o.api_version(), "kind": o.kind(), "name": o.name(), "uid": o.uid(), "blockOwnerDeletion": true})
        })
        .collect();
    let (kind, version) =
        if *resource == MAPS { ("ConfigMap", "v1") } else { ("Widget", "shop.example.com/v1") };
    let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "ownerReferences": references}});
    cluster.admin().create(resource, NS, &object).await.unwrap_or_else(|e| panic!("{name}: {e}"))
}

async fn delete(cluster: &Cluster, resource: &Resource, name: &str, policy: &str) {
    let params = DeleteParams { propagation_policy: Some(policy.into()), ..DeleteParams::default() };
    cluster.admin().delete(resource, NS, name, &params).await.unwrap_or_else(|e| panic!("{name}: {e}"));
}

#[chronoplane::test]
async fn dependents_go_with_the_last_owner(cluster: Cluster) {
    define(&cluster).await;
    let first = create(&cluster, &WIDGETS, "first", &[]).await;
    let second = create(&cluster, &WIDGETS, "second", &[]).await;
    let part = create(&cluster, &WIDGETS, "part", &[&first]).await;
    create(&cluster, &MAPS, "of-first", &[&first]).await;
    create(&cluster, &MAPS, "of-part", &[&part]).await;
    create(&cluster, &MAPS, "of-both", &[&first, &second]).await;
    create(&cluster, &MAPS, "of-nobody", &[]).await;

    delete(&cluster, &WIDGETS, "first", "Background").await;
    for (resource, name) in [(&MAPS, "of-first"), (&WIDGETS, "part"), (&MAPS, "of-part")] {
        gone(&cluster, resource, name).await;
    }
    // The one with another owner stays, and no longer names the one that is gone.
    until(&cluster, "of-both names its living owner only", async || {
        let map = cluster.admin().get(&MAPS, NS, "of-both").await.expect("it stays");
        let owners: Vec<&str> = map.owner_refs().map(|o| o.name).collect();
        (owners == ["second"]).then_some(())
    })
    .await;
    cluster.admin().get(&MAPS, NS, "of-nobody").await.expect("nobody's object is nobody's business");

    delete(&cluster, &WIDGETS, "second", "Background").await;
    gone(&cluster, &MAPS, "of-both").await;
}

#[chronoplane::test]
async fn orphans_stay_and_forget_their_owner(cluster: Cluster) {
    define(&cluster).await;
    let owner = create(&cluster, &WIDGETS, "owner", &[]).await;
    create(&cluster, &MAPS, "kept", &[&owner]).await;
    create(&cluster, &WIDGETS, "kept-too", &[&owner]).await;
    delete(&cluster, &WIDGETS, "owner", "Orphan").await;
    gone(&cluster, &WIDGETS, "owner").await;
    for (resource, name) in [(&MAPS, "kept"), (&WIDGETS, "kept-too")] {
        let orphan = cluster.admin().get(resource, NS, name).await.expect("it stays");
        assert_eq!(orphan.owner_refs().count(), 0, "{orphan}");
    }
}

/// A write that comes between what the collector has seen and what it does must not cost a dependent its life.
#[chronoplane::test]
async fn orphans_stay_while_others_write_to_them(cluster: Cluster) {
    define(&cluster).await;
    for round in 0..5 {
        let owner = create(&cluster, &WIDGETS, "owner", &[]).await;
        let names: Vec<String> = (0..20).map(|n| format!("kept-{round}-{n}")).collect();
        for name in &names {
            create(&cluster, &WIDGETS, name, &[&owner]).await;
        }
        let writers: Vec<_> = names
            .iter()
            .map(|name| {
                let (rest, name) = (cluster.admin().clone(), name.clone());
                cluster.sim().host("workstation").spawn(async move {
                    for turn in 0..20 {
                        let patch = json!({"data": {"turn": turn}});
                        // One that went is found below.
                        let _ = rest.patch(&WIDGETS, NS, &name, Patch::Merge(&patch), None).await;
                    }
                })
            })
            .collect();
        delete(&cluster, &WIDGETS, "owner", "Orphan").await;
        for writer in writers {
            writer.join().await.expect("it ends");
        }
        gone(&cluster, &WIDGETS, "owner").await;
        cluster.sim().elapse(Duration::from_secs(30)).await;
        for name in &names {
            let orphan =
                cluster.admin().get(&WIDGETS, NS, name).await.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(orphan.owner_refs().count(), 0, "{orphan}");
        }
    }
}

#[chronoplane::test]
async fn an_owner_deleted_in_the_foreground_goes_last(cluster: Cluster) {
    define(&cluster).await;
    let owner = create(&cluster, &WIDGETS, "owner", &[]).await;
    create(&cluster, &MAPS, "free", &[&owner]).await;
    create(&cluster, &MAPS, "held", &[&owner]).await;
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    cluster.admin().patch(&MAPS, NS, "held", Patch::Merge(&hold), None).await.expect("held");
    delete(&cluster, &WIDGETS, "owner", "Foreground").await;
    gone(&cluster, &MAPS, "free").await;
    cluster.sim().elapse(Duration::from_secs(120)).await;
    let waiting = cluster.admin().get(&WIDGETS, NS, "owner").await.expect("it waits for what is held");
    assert!(waiting.is_terminating() && waiting.has_finalizer("foregroundDeletion"), "{waiting}");
    let release = json!({"metadata": {"finalizers": null}});
    cluster.admin().patch(&MAPS, NS, "held", Patch::Merge(&release), None).await.expect("released");
    gone(&cluster, &MAPS, "held").await;
    gone(&cluster, &WIDGETS, "owner").await;
}

/// A reference means its own namespace: an owner elsewhere is none, and an event says why.
#[chronoplane::test]
async fn an_owner_in_another_namespace_is_no_owner(cluster: Cluster) {
    define(&cluster).await;
    let elsewhere =
        json!({"apiVersion": "shop.example.com/v1", "kind": "Widget", "metadata": {"name": "owner"}});
    let owner = cluster.admin().create(&WIDGETS, Some("kube-public"), &elsewhere).await.expect("an owner");
    // The collector asks every 30 s what is served; before that it would not know the owner.
    cluster.sim().elapse(Duration::from_secs(60)).await;
    create(&cluster, &MAPS, "misled", &[&owner]).await;
    gone(&cluster, &MAPS, "misled").await;
    let words = format!(
        "ownerRef [shop.example.com/v1/Widget, namespace: default, name: owner, uid: {}] does not exist in namespace \"default\"",
        owner.uid()
    );
    until(&cluster, "the event is there", async || {
        let events = cluster.admin().list(&EVENTS, NS, &ListParams::default()).await.ok()?;
        let told =
            |e: &Value| e.str_at("/reason") == "OwnerRefInvalidNamespace" && e.str_at("/message") == words;
        events.items.iter().any(|e| told(e)).then_some(())
    })
    .await;
}

#[chronoplane::test]
async fn a_namespace_says_what_holds_it(cluster: Cluster) {
    let ns = json!({"metadata": {"name": "stuck"}});
    cluster.admin().create(&NAMESPACES, None, &ns).await.expect("a namespace");
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    cluster.admin().create(&MAPS, Some("stuck"), &held).await.expect("a map");
    cluster.admin().delete(&NAMESPACES, None, "stuck", &DeleteParams::default()).await.expect("deleted");
    let condition = |ns: &Value, kind: &str| {
        let all = ns.list_at("/status/conditions");
        let found = all.iter().find(|c| c.str_at("/type") == kind);
        found.map(|c| ["status", "reason", "message"].map(|f| c.str_at(&format!("/{f}")).to_owned()))
    };
    let stuck = until(&cluster, "the namespace says that something remains", async || {
        let ns = cluster.admin().get(&NAMESPACES, None, "stuck").await.ok()?;
        condition(&ns, "NamespaceContentRemaining").is_some_and(|c| c[0] == "True").then_some(ns)
    })
    .await;
    for (kind, expected) in [
        (
            "NamespaceDeletionDiscoveryFailure",
            ["False", "ResourcesDiscovered", "All resources successfully discovered"],
        ),
        (
            "NamespaceContentRemaining",
            [
                "True",
                "SomeResourcesRemain",
                "Some resources are remaining: configmaps. has 1 resource instances",
            ],
        ),
        (
            "NamespaceFinalizersRemaining",
            [
                "True",
                "SomeFinalizersRemain",
                "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
            ],
        ),
    ] {
        assert_eq!(condition(&stuck, kind), Some(expected.map(str::to_owned)), "{kind}: {stuck}");
    }
    let release = json!({"metadata": {"finalizers": null}});
    cluster
        .admin()
        .patch(&MAPS, Some("stuck"), "held", Patch::Merge(&release), None)
        .await
        .expect("released");
    until(&cluster, "the namespace is gone", async || {
        cluster.admin().get_opt(&NAMESPACES, None, "stuck").await.ok()?.is_none().then_some(())
    })
    .await;
}
