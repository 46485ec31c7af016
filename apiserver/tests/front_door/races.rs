//! What comes between two steps of a request, at the moment when it hurts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use api::object::ObjectExt;
use client::{ListParams, Patch, Resource};
use serde_json::{Value, json};
use store::StoreError;
use world::sim::Config;

use crate::{
    plane::{ADMIN, Plane},
    staged::{Asked, Staged},
};

const PODS: Resource = Resource::core("pods");
const NS: Option<&str> = Some("default");
const TURN: Duration = Duration::from_secs(1);

/// Runs a test on a plane over a store at which it can step in.
fn with_staged<F, Fut>(flags: &'static [&'static str], test: F)
where
    F: FnOnce(Plane, Arc<Staged>) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    world::sim::run(Config::default(), move |sim| async move {
        let staged = Staged::new(store::memory(&sim.host("cp")));
        let plane = Plane::start_on(&sim, flags, Some(staged.clone())).await;
        test(plane, staged).await;
    })
    .unwrap();
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": "web" } },
        "spec": { "nodeName": "n", "containers": [{ "name": "c", "image": "c" }] },
    })
}

fn state(phase: &str, ready: &str) -> Value {
    json!({ "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] } })
}

/// A budget that lets nobody go who is ready.
async fn spent_budget(plane: &Plane, policy: &str) {
    let budgets = Resource::new("policy", "v1", "poddisruptionbudgets");
    let spec = json!({
        "minAvailable": 1,
        "selector": { "matchLabels": { "app": "web" } },
        "unhealthyPodEvictionPolicy": policy,
    });
    let budget = json!({ "metadata": { "name": "web" }, "spec": spec });
    plane.admin.create(&budgets, NS, &budget).await.unwrap();
    let status = json!({ "status": {
        "observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1,
    } });
    plane.admin.patch(&budgets, NS, "web", Patch::Merge(&status), Some("status")).await.unwrap();
}

/// Evicts a pod that becomes ready right after the eviction has looked at it; the refusal.
async fn evict_while_it_becomes_ready(plane: &Plane, staged: &Staged, from: Value) -> Value {
    let account = json!({ "metadata": { "name": "default" } });
    plane.admin.create(&Resource::core("serviceaccounts"), NS, &account).await.unwrap();
    plane.sim.elapse(TURN).await;
    plane.admin.create(&PODS, NS, &pod("a")).await.unwrap();
    plane.admin.patch(&PODS, NS, "a", Patch::Merge(&from), Some("status")).await.unwrap();
    let once = AtomicBool::new(true);
    staged.after(move |inner, asked| {
        let first = asked == Asked::Get("/registry/pods/default/a".to_owned()) && once.swap(false, SeqCst);
        Box::pin(async move {
            if first {
                let (found, _) = inner.get(b"/registry/pods/default/a", None).await?;
                let kv = found.unwrap();
                let mut pod: Value = serde_json::from_slice(&kv.value).unwrap();
                pod["status"] = state("Running", "True")["status"].clone();
                inner.put_if(kv.key, pod.to_string().into(), kv.mod_revision, 0).await?;
            }
            Ok(())
        })
    });
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "a" } });
    // Not through a client that comes again by itself.
    let (path, json) = ("/api/v1/namespaces/default/pods/a/eviction", [("content-type", "application/json")]);
    let refused = plane.send(ADMIN, "POST", path, &json, &eviction.to_string()).await;
    assert_eq!(refused.code, 429, "{}", refused.body);
    let pod = plane.admin.get(&PODS, NS, "a").await.unwrap();
    assert!(!pod.is_terminating() && pod.str_at("/status/phase") == "Running", "{pod}");
    refused.json()
}

#[test]
fn a_pending_pod_that_becomes_ready_is_not_evicted_past_its_budget() {
    with_staged(&[], |plane, staged| async move {
        spent_budget(&plane, "IfHealthyBudget").await;
        let refused = evict_while_it_becomes_ready(&plane, &staged, state("Pending", "False")).await;
        // Looked at anew: the budget was asked.
        let cause = "The disruption budget web needs 1 healthy pods and has 1 currently";
        assert_eq!(refused["details"]["causes"][0]["message"], cause);
    });
}

#[test]
fn an_unready_pod_that_becomes_ready_is_not_evicted_past_its_budget() {
    with_staged(&[], |plane, staged| async move {
        spent_budget(&plane, "AlwaysAllow").await;
        let refused = evict_while_it_becomes_ready(&plane, &staged, state("Running", "False")).await;
        let cause = "The disruption budget web is still being processed by the server.";
        assert_eq!(refused["details"]["causes"][0]["message"], cause);
        // Left alone it may go.
        let unready = state("Running", "False");
        plane.admin.patch(&PODS, NS, "a", Patch::Merge(&unready), Some("status")).await.unwrap();
        let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "a" } });
        plane.admin.create_sub(&PODS, NS, "a", "eviction", &eviction).await.unwrap();
        let pod = plane.admin.get(&PODS, NS, "a").await.unwrap();
        let told = pod.list_at("/status/conditions").iter().any(|c| c.str_at("/type") == "DisruptionTarget");
        assert!(pod.is_terminating() && told, "{pod}");
    });
}

/// Creates a service whose write nobody waits for; its address and port must still be its own.
fn cut_off(flags: &'static [&'static str]) {
    with_staged(flags, |plane, staged| async move {
        staged.after(|_, asked| {
            let slow = asked == Asked::Write("/registry/services/specs/default/web".to_owned());
            Box::pin(async move {
                if slow {
                    // Written, and the answer is on its way for a long time.
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
        });
        let spec = json!({ "type": "NodePort", "clusterIP": "10.96.0.99", "ports": [{ "port": 80, "nodePort": 30100 }] });
        let service = |name: &str| json!({ "metadata": { "name": name }, "spec": spec }).to_string();
        let path = "/api/v1/namespaces/default/services?timeout=1s";
        let post = async |name: &str| {
            plane.send(ADMIN, "POST", path, &[("content-type", "application/json")], &service(name)).await
        };
        assert_eq!(post("web").await.code, 504);
        plane.sim.elapse(TURN).await;
        let second = post("late").await;
        assert_eq!(second.code, 422, "{}", second.body);
        assert!(second.body.contains("provided IP is already allocated"), "{}", second.body);
    });
}

/// Deletes a service, and nobody waits for the end of that; its address and port must be free long before anybody
/// repairs what is left over.
fn deleted_unheard(flags: &'static [&'static str]) {
    with_staged(flags, |plane, staged| async move {
        let spec = json!({ "type": "NodePort", "clusterIP": "10.96.0.99", "ports": [{ "port": 80, "nodePort": 30100 }] });
        let service = |name: &str| json!({ "metadata": { "name": name }, "spec": spec }).to_string();
        let path = "/api/v1/namespaces/default/services";
        let typed = [("content-type", "application/json")];
        let post = async |name: &str| plane.send(ADMIN, "POST", path, &typed, &service(name)).await;
        assert_eq!(post("web").await.code, 201);
        // The control run: what is held is not free.
        assert_eq!(post("early").await.code, 422);
        let clock = plane.sim.host("cp").clock().clone();
        staged.after(move |_, asked| {
            let slow = asked == Asked::Write("/registry/services/specs/default/web".to_owned());
            let clock = clock.clone();
            Box::pin(async move {
                if slow {
                    // Deleted, and the answer is on its way for longer than the client waits.
                    clock.sleep(Duration::from_secs(5)).await;
                }
                Ok(())
            })
        });
        let answer = plane.send(ADMIN, "DELETE", &format!("{path}/web?timeout=1s"), &[], "").await;
        assert_eq!(answer.code, 504, "{}", answer.body);
        plane.sim.elapse(Duration::from_secs(10)).await;
        let second = post("late").await;
        assert_eq!(second.code, 201, "{}", second.body);
    });
}

#[test]
fn an_address_is_free_when_its_service_is_gone_though_nobody_waited_for_that() {
    deleted_unheard(&[]);
    deleted_unheard(&["--kubernetes-version=1.32"]);
}

#[test]
fn an_address_whose_service_nobody_waits_for_stays_taken() {
    cut_off(&[]);
    cut_off(&["--kubernetes-version=1.32"]);
}

#[test]
fn a_resource_that_could_not_be_listed_is_served_when_the_store_answers_again() {
    with_staged(&[], |plane, staged| async move {
        let failures = AtomicU32::new(1);
        staged.before(move |_, asked| {
            let fails = matches!(asked, Asked::List(key) if key.starts_with("/registry/example.com/"))
                && failures.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
            Box::pin(async move {
                if fails { Err(StoreError::Transport("connection reset".to_owned())) } else { Ok(()) }
            })
        });
        let definition = json!({
            "metadata": { "name": "roses.example.com" },
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": { "plural": "roses", "kind": "Rose" },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": { "type": "object" } },
                }],
            },
        });
        let definitions = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        plane.admin.create(&definitions, None, &definition).await.unwrap();
        plane.sim.elapse(Duration::from_secs(10)).await;
        let roses = Resource::new("example.com", "v1", "roses");
        let rose = json!({ "apiVersion": "example.com/v1", "kind": "Rose", "metadata": { "name": "red" } });
        plane.admin.create(&roses, NS, &rose).await.unwrap();
        let listed = plane.admin.list(&roses, NS, &ListParams::default()).await.unwrap();
        assert_eq!(listed.items.len(), 1);
    });
}
