//! Time at the edge: certificates, timeouts, the request's own deadline, each a second before and after.

use std::{future::Future, time::Duration};

use api::object::ObjectExt;
use client::Resource;
use serde_json::{Value, json};
use world::sim::{Config, Sim, run};

use crate::{
    hooks::{Hooks, PORT},
    plane::{ADMIN, Answer, Plane},
    trust::DAY,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const NAME: &str = "edge.example.com";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A plane with one webhook, whose certificate lasts so long.
fn story<F, Fut>(kind: &'static str, set: Value, lasts: Duration, test: F)
where
    F: FnOnce(Sim, Plane, Hooks) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    run(Config::default(), move |sim| async move {
        let plane = Plane::start(&sim, &[]).await;
        let hooks = Hooks::start(&sim.host("hook"), lasts).await;
        hooks.configure(&plane, kind, "edge", vec![hooks.webhook(NAME, &set)]).await;
        test(sim, plane, hooks).await;
    })
    .unwrap();
}

async fn create(plane: &Plane, name: &str, query: &str) -> Answer {
    let object = json!({ "metadata": { "name": name } }).to_string();
    plane
        .send(ADMIN, "POST", &format!("{MAPS}{query}"), &[("content-type", "application/json")], &object)
        .await
}

/// How long a create takes by the server's clock, and what it brings.
async fn timed(plane: &Plane, query: &str) -> (Duration, Answer) {
    let clock = plane.sim.host("cp").clock().clone();
    let began = clock.monotonic();
    let answer = create(plane, "timed", query).await;
    (clock.monotonic().since(began), answer)
}

async fn metric(plane: &Plane, line: &str) -> bool {
    plane.get("/metrics").await.body.lines().any(|l| l == line)
}

/// The server's clock stands so far from the end of the webhook's certificate.
async fn until_expiry(sim: &Sim, end: world::Wall, before: bool) {
    let left = end.duration_since(sim.host("cp").clock().wall());
    let left = Duration::try_from(left).unwrap();
    sim.elapse(if before { left - SECOND } else { left + SECOND }).await;
}

fn expiry(
    kind: &'static str,
    policy: &'static str,
    before: bool,
    check: impl FnOnce(Answer, bool, String) + 'static,
) {
    let set = json!({ "failurePolicy": policy });
    run(Config::default(), move |sim| async move {
        let plane = Plane::start(&sim, &[]).await;
        let host = sim.host("hook");
        let end = host.clock().wall() + HOUR;
        let hooks = Hooks::start(&host, HOUR).await;
        hooks.configure(&plane, kind, "edge", vec![hooks.webhook(NAME, &set)]).await;
        until_expiry(&sim, end, before).await;
        let now = world::rfc3339(sim.host("cp").clock().wall());
        let answer = create(&plane, "m", "").await;
        let step = if kind == "mutating" { "admit" } else { "validating" };
        let open = format!("apiserver_admission_webhook_fail_open_count{{name=\"{NAME}\",type=\"{step}\"}} 1");
        let open = metric(&plane, &open).await;
        let words = format!(
            "Internal error occurred: failed calling webhook \"{NAME}\": failed to call webhook: Post \
             \"https://hook:{PORT}/{NAME}?timeout=10s\": tls: failed to verify certificate: x509: certificate has \
             expired or is not yet valid: current time {now} is after {}",
            world::rfc3339(end)
        );
        check(answer, open, words);
    })
    .unwrap();
}

#[test]
fn an_expired_certificate_fails_the_call() {
    for kind in ["mutating", "validating"] {
        expiry(kind, "Fail", true, |answer, open, _| {
            assert_eq!((answer.code, open), (201, false), "{}", answer.body);
        });
        expiry(kind, "Fail", false, |answer, open, words| {
            assert_eq!((answer.code, open), (500, false));
            assert_eq!(answer.json().str_at("/message"), words);
        });
        expiry(kind, "Ignore", false, |answer, open, _| {
            assert_eq!((answer.code, open), (201, true), "{}", answer.body);
        });
    }
}

#[test]
fn a_certificate_is_looked_at_when_a_connection_is_made() {
    story("validating", json!({}), HOUR, |sim, plane, hooks| async move {
        sim.elapse(HOUR - 10 * SECOND).await;
        assert_eq!(create(&plane, "a", "").await.code, 201);
        assert_eq!(create(&plane, "b", "").await.code, 201);
        assert_eq!(hooks.connections(), 1);
        sim.elapse(20 * SECOND).await;
        // The connection of before is still good.
        assert_eq!(create(&plane, "c", "").await.code, 201);
        // One that nobody used for so long is closed.
        sim.elapse(91 * SECOND).await;
        let refused = create(&plane, "d", "").await;
        assert_eq!(refused.code, 500, "{}", refused.body);
        assert!(refused.body.contains("certificate has expired"), "{}", refused.body);
    });
}

#[test]
fn the_clock_that_counts_is_the_server_s() {
    story("validating", json!({}), HOUR, |sim, plane, _| async move {
        sim.step("cp", "PT3601S".parse().unwrap());
        let refused = create(&plane, "a", "").await;
        assert!(
            refused.body.contains("x509: certificate has expired or is not yet valid"),
            "{}",
            refused.body
        );
        sim.step("cp", "-PT3601S".parse().unwrap());
        assert_eq!(create(&plane, "b", "").await.code, 201);
    });
}

#[test]
fn a_webhook_has_its_timeout_to_answer() {
    for kind in ["mutating", "validating"] {
        story(kind, json!({ "timeoutSeconds": 5 }), DAY, |_, plane, hooks| async move {
            hooks.answers(NAME, json!({ "allowed": true, "seconds": 4 }));
            let (took, answer) = timed(&plane, "?dryRun=All").await;
            assert_eq!((answer.code, took.as_secs()), (201, 4), "{}", answer.body);
            hooks.answers(NAME, json!({ "allowed": true, "seconds": 6 }));
            let (took, answer) = timed(&plane, "?dryRun=All").await;
            assert_eq!((answer.code, took.as_secs()), (500, 5), "{}", answer.body);
            let words = format!(
                "Internal error occurred: failed calling webhook \"{NAME}\": failed to call webhook: Post \
                 \"https://hook:{PORT}/{NAME}?timeout=5s\": context deadline exceeded"
            );
            assert_eq!(answer.json().str_at("/message"), words);
        });
    }
}

#[test]
fn a_webhook_that_is_ignored_costs_its_timeout() {
    let set = json!({ "timeoutSeconds": 5, "failurePolicy": "Ignore" });
    story("validating", set, DAY, |_, plane, hooks| async move {
        hooks.answers(NAME, json!({ "allowed": false, "seconds": 6 }));
        let (took, answer) = timed(&plane, "").await;
        assert_eq!((answer.code, took.as_secs()), (201, 5), "{}", answer.body);
        let line =
            format!("apiserver_admission_webhook_fail_open_count{{name=\"{NAME}\",type=\"validating\"}} 1");
        assert!(metric(&plane, &line).await);
    });
}

#[test]
fn the_request_s_own_deadline_counts_too() {
    story("mutating", json!({ "timeoutSeconds": 10 }), DAY, |_, plane, hooks| async move {
        hooks.answers(NAME, json!({ "allowed": true, "seconds": 2 }));
        let (took, answer) = timed(&plane, "?timeout=3s&dryRun=All").await;
        assert_eq!((answer.code, took.as_secs()), (201, 2), "{}", answer.body);
        assert_eq!(hooks.asked()[0].query, "timeout=3s");
        hooks.answers(NAME, json!({ "allowed": true, "seconds": 4 }));
        let (took, answer) = timed(&plane, "?timeout=3s&dryRun=All").await;
        assert_eq!(took.as_secs(), 3);
        assert_eq!(answer.code, 504, "{}", answer.body);
    });
}

#[test]
fn validating_webhooks_think_at_once_and_mutating_ones_in_turn() {
    for (kind, expected) in [("validating", 4), ("mutating", 8)] {
        run(Config::default(), move |sim| async move {
            let plane = Plane::start(&sim, &[]).await;
            let hooks = Hooks::start(&sim.host("hook"), DAY).await;
            for name in ["a.example.com", "b.example.com"] {
                hooks.answers(name, json!({ "allowed": true, "seconds": 4 }));
                hooks.configure(&plane, kind, name, vec![hooks.webhook(name, &Value::Null)]).await;
            }
            let (took, answer) = timed(&plane, "").await;
            assert_eq!((answer.code, took.as_secs()), (201, expected), "{kind}");
        })
        .unwrap();
    }
}

#[test]
fn a_webhook_that_asks_to_come_again_is_asked_again() {
    story("validating", json!({ "timeoutSeconds": 5 }), DAY, |sim, plane, hooks| async move {
        hooks.answers(NAME, json!({ "http": { "code": 429, "body": "busy", "retry": "2" } }));
        let clock = plane.sim.host("cp").clock().clone();
        let began = clock.monotonic();
        let asking = create(&plane, "m", "");
        let other = async {
            sim.elapse(3 * SECOND).await;
            hooks.answers(NAME, json!({ "allowed": true }));
        };
        let (answer, ()) = futures::join!(asking, other);
        assert_eq!(answer.code, 201, "{}", answer.body);
        assert_eq!(clock.monotonic().since(began).as_secs(), 4);
        assert_eq!(hooks.asked().len(), 3);
        // As often as there is time for.
        hooks.answers(NAME, json!({ "http": { "code": 429, "body": "busy", "retry": "2" } }));
        let began = clock.monotonic();
        let refused = create(&plane, "n", "").await;
        assert!(
            refused.body.contains("failed to call webhook: context deadline exceeded"),
            "{}",
            refused.body
        );
        assert_eq!(clock.monotonic().since(began).as_secs(), 5);
        assert_eq!(hooks.asked().len(), 3);
    });
}

#[test]
fn the_loopback_asks_nobody_about_what_it_reads() {
    // A webhook for everything that is down must not keep the server from coming back.
    let rules =
        json!([{ "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"] }]);
    let set =
        json!({ "rules": rules, "namespaceSelector": {}, "clientConfig": { "url": "https://hook:9/x" } });
    story("validating", set, DAY, |_, plane, _| async move {
        let refused = create(&plane, "m", "").await;
        assert!(refused.body.contains("connect: connection refused"), "{}", refused.body);
        assert_eq!(plane.get("/readyz").await.code, 200);
        let configurations =
            Resource::new("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
        plane.admin.delete(&configurations, None, "edge", &Default::default()).await.unwrap();
        plane.sim.elapse(SECOND).await;
        assert_eq!(create(&plane, "m", "").await.code, 201);
    });
}
