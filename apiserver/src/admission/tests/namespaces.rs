//! NamespaceLifecycle.

use std::time::Duration;

use client::Informer;
use serde_json::json;

use super::{Chain, Operation, Write, furnished, namespace, story};
use crate::informers::Informers;

const LIVE: &str = "GET /api/v1/namespaces/ns";

fn config() -> Write {
    Write::create("configmaps", "ns", json!({"metadata": {"name": "c"}}))
}

#[test]
fn three_namespaces_cannot_go() {
    story(furnished(), |chain| async move {
        for name in ["default", "kube-system", "kube-public"] {
            let outcome = chain.admit(Write::new(Operation::Delete, "namespaces", name, name)).await;
            let words = format!("namespaces {name:?} is forbidden: this namespace may not be deleted");
            Chain::refused(outcome, 403, &words);
        }
        chain
            .admit(Write::new(Operation::Delete, "namespaces", "kube-node-lease", "kube-node-lease"))
            .await
            .unwrap();
    });
}

#[test]
fn nothing_new_in_one_that_ends() {
    let informers =
        Informers { namespaces: Informer::fixed(vec![namespace("ns", "Terminating")]), ..furnished() };
    story(informers, |chain| async move {
        let refusal = chain.admit(config()).await.unwrap_err();
        assert_eq!(
            refusal.message,
            r#"configmaps "c" is forbidden: unable to create new content in namespace ns because it is being terminated"#
        );
        assert!(refusal.is_namespace_terminating());
        // What is there may still change and go.
        let object = json!({"metadata": {"name": "c"}});
        chain.admit(Write::update("configmaps", "ns", "c", object.clone(), object)).await.unwrap();
        chain.admit(Write::new(Operation::Delete, "configmaps", "ns", "c")).await.unwrap();
        let review = Write::create("localsubjectaccessreviews.authorization.k8s.io", "ns", json!({}));
        chain.admit(review).await.unwrap();
        assert_eq!(chain.fake.seen(), Vec::<String>::new(), "the informer knew");
    });
}

#[test]
fn one_that_is_missing_gets_50_ms_and_then_a_question() {
    let informers = || Informers { namespaces: Informer::fixed(vec![]), ..furnished() };
    story(informers(), |chain| async move {
        let before = chain.fake.host.clock().monotonic();
        let outcome = chain.admit(config()).await;
        Chain::refused(outcome, 404, r#"things "ns" not found"#);
        assert_eq!(chain.fake.seen(), [LIVE]);
        let waited = chain.fake.host.clock().monotonic().since(before);
        assert!((50..60).contains(&waited.as_millis()), "{waited:?}");
    });
    story(informers(), |chain| async move {
        chain.fake.put(LIVE, 200, namespace("ns", "Active"));
        chain.admit(config()).await.unwrap();
        chain.fake.put(LIVE, 200, namespace("ns", "Terminating"));
        assert_eq!(chain.admit(config()).await.unwrap_err().code, 403);
        // An update asks too, but does not wait for the informer.
        chain.fake.seen();
        let object = json!({"metadata": {"name": "c"}});
        chain.admit(Write::update("configmaps", "ns", "c", object.clone(), object)).await.unwrap();
        assert_eq!(chain.fake.seen(), [LIVE]);
    });
    story(informers(), |chain| async move {
        let informer = chain.informers.namespaces.clone();
        let clock = chain.fake.host.clock().clone();
        chain.fake.host.spawn(async move {
            clock.sleep(Duration::from_millis(20)).await;
            informer.put(namespace("ns", "Active"));
        });
        chain.admit(config()).await.unwrap();
        assert_eq!(chain.fake.seen(), Vec::<String>::new(), "the informer had caught up");
    });
}

#[test]
fn after_a_deletion_the_informer_is_not_believed_for_half_a_minute() {
    story(furnished(), |chain| async move {
        chain.fake.put(LIVE, 200, namespace("ns", "Terminating"));
        chain.admit(config()).await.unwrap();
        chain.admit(Write::new(Operation::Delete, "namespaces", "ns", "ns")).await.unwrap();
        assert_eq!(chain.admit(config()).await.unwrap_err().code, 403);
        assert_eq!(chain.fake.seen(), [LIVE]);
        chain.sim.elapse(Duration::from_secs(31)).await;
        chain.admit(config()).await.unwrap();
        assert_eq!(chain.fake.seen(), Vec::<String>::new());
    });
}
