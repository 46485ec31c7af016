//! What a webhook of an older time may say, and a server that does not know its webhooks yet. The rest is
//! told by the table in `tests/webhooks`, over HTTPS.

use std::time::Duration;

use client::{Informer, InformerOptions, Resource};
use serde_json::{Value, json};
use world::sim::{Config, run};

use super::{Chain, Write, namespace};
use crate::{admission::testing::Fake, informers::Informers};

fn configuration(side_effects: Value) -> Value {
    json!({
        "metadata": {"name": "old"},
        "webhooks": [{
            "name": "old.example.com",
            "rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}],
            "namespaceSelector": {}, "objectSelector": {},
            "sideEffects": side_effects,
            "failurePolicy": "Ignore",
            "admissionReviewVersions": ["v2"],
        }],
    })
}

/// What a create comes to, dry or not.
fn check(side_effects: Value, dry_run: bool, expected: Result<(), (u16, &'static str)>) {
    for mutating in [true, false] {
        let hooks = Informer::fixed(vec![configuration(side_effects.clone())]);
        let mut informers =
            Informers { namespaces: Informer::fixed(vec![namespace("n", "Active")]), ..Informers::empty() };
        let which =
            if mutating { &mut informers.mutating_webhooks } else { &mut informers.validating_webhooks };
        *which = hooks;
        super::story(informers, move |chain| async move {
            let map =
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}});
            let write = Write { dry_run, ..Write::create("configmaps", "n", map) };
            match expected {
                Ok(()) => assert!(chain.admit(write).await.is_ok()),
                Err((code, words)) => Chain::refused(chain.admit(write).await, code, words),
            }
        });
    }
}

#[test]
fn side_effects_and_dry_runs_do_not_go_together() {
    let words = "admission webhook \"old.example.com\" does not support dry run";
    // Not even where failures are ignored.
    check("Some".into(), true, Err((400, words)));
    check("Unknown".into(), true, Err((400, words)));
    // It cannot be asked, and that is ignored.
    check("Some".into(), false, Ok(()));
    check("None".into(), true, Ok(()));
    check("NoneOnDryRun".into(), true, Ok(()));
    // Nothing said is a failure to call.
    check(Value::Null, true, Ok(()));
}

#[test]
fn who_does_not_know_its_webhooks_yet_refuses() {
    run(Config::default(), |sim| async move {
        let fake = Fake::plain(&sim).await;
        let resource = Resource::new("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations");
        let informers = Informers {
            namespaces: Informer::fixed(vec![namespace("n", "Active")]),
            // Whoever is asked says that there is no such thing.
            mutating_webhooks: Informer::start(&fake.host, &fake.rest, resource, InformerOptions::default()),
            ..Informers::empty()
        };
        let clock = fake.host.clock().clone();
        let chain = Chain::new(sim, fake, informers).await;
        let began = clock.monotonic();
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}});
        let outcome = chain.admit(Write::create("configmaps", "n", map)).await;
        Chain::refused(outcome, 403, "configmaps \"m\" is forbidden: not yet ready to handle request");
        assert_eq!(clock.monotonic().since(began), Duration::from_secs(10));
    })
    .unwrap();
}
