//! A deployment and the sets that are, or are not, its own.

use world::sim::{Config, Sim, run};

use super::*;
use crate::testing::Fake;

const SETS: &str = "/apis/apps/v1/replicasets";

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "n", "name": "web", "uid": "new", "generation": 1, "annotations": {}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {}},
        },
    })
}

/// A set of that deployment's template, as it would be called.
fn set(owner: Option<&str>, app: &str) -> Value {
    let template = deployment()["spec"]["template"].clone();
    let hash = rollout::template_hash(&template, 0);
    let mut labelled = template;
    labelled["metadata"]["labels"][HASH] = hash.as_str().into();
    let owner = owner.map(|uid| json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid, "controller": true}));
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "namespace": "n",
            "name": format!("web-{hash}"),
            "uid": "set",
            "labels": {"app": app},
            "annotations": {},
            "ownerReferences": owner.into_iter().collect::<Vec<_>>(),
        },
        "spec": {"replicas": 2, "template": labelled},
    })
}

fn story<Fut: Future<Output = ()>>(tell: impl FnOnce(Sim, Fake) -> Fut) {
    let told = run(Config::default(), |sim| async move {
        let server = Fake::start(&sim).await;
        tell(sim, server).await;
    });
    told.expect("a world");
}

fn owners(server: &Fake) -> Vec<String> {
    let owner = |(line, sent): (String, Value)| {
        let owner = sent.pointer("/metadata/ownerReferences/0").filter(|_| line.starts_with("PATCH "))?;
        assert_eq!(sent.uid(), "set", "of this very set: {line}");
        let how = if owner.get("$patch").is_some() { "without" } else { "of" };
        Some(format!("{how} {}", owner.str_at("/uid")))
    };
    server.written().into_iter().filter_map(owner).collect()
}

#[test]
fn a_set_without_an_owner_is_adopted() {
    story(|sim, server| async move {
        server.holds("/apis/apps/v1/deployments", vec![deployment()]);
        server.holds(SETS, vec![set(None, "web")]);
        super::run(&server.context(&sim.host("cp"), &[]));
        sim.elapse(Duration::from_secs(10)).await;
        assert_eq!(owners(&server), ["of new"]);
        let written = server.written();
        assert!(!written.iter().any(|(line, _)| line.starts_with("POST ")), "it is its set: {written:?}");
    });
}

#[test]
fn a_set_that_is_selected_no_more_is_let_go() {
    story(|sim, server| async move {
        server.holds("/apis/apps/v1/deployments", vec![deployment()]);
        server.holds(SETS, vec![set(Some("new"), "other")]);
        super::run(&server.context(&sim.host("cp"), &[]));
        sim.elapse(Duration::from_secs(10)).await;
        assert_eq!(owners(&server), ["without new"]);
    });
}

#[test]
fn an_orphan_that_the_informer_does_not_show_yet_is_no_collision() {
    story(|sim, server| async move {
        let host = sim.host("cp");
        super::run(&server.context(&host, &[]));
        sim.elapse(Duration::from_secs(1)).await;
        // No watch tells of it.
        server.holds(SETS, vec![set(None, "web")]);
        server.rest(&host).create(&DEPLOYMENTS, Some("n"), &deployment()).await.expect("created");
        sim.elapse(Duration::from_secs(1)).await;
        let written = server.written();
        let tried = written.iter().filter(|(line, _)| line.ends_with("/replicasets")).count();
        assert!(tried > 1, "it comes again: {written:?}");
        let counted = |(_, sent): &(String, Value)| sent.pointer("/status/collisionCount").is_some();
        assert!(!written.iter().any(counted), "nothing has collided: {written:?}");
    });
}
