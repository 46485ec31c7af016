//! ResourceQuota: counting, refusing, writing down, losing races.

use client::Informer;
use serde_json::{Value, json};

use super::{Chain, Write, furnished, pod, story};
use crate::informers::Informers;

const STATUS: &str = "PUT /api/v1/namespaces/ns/resourcequotas/q/status";

fn quota(spec: Value, hard: Value, used: Value) -> Value {
    json!({
        "kind": "ResourceQuota", "apiVersion": "v1",
        "metadata": {"namespace": "ns", "name": "q", "uid": "u", "resourceVersion": "5"},
        "spec": spec,
        "status": {"hard": hard, "used": used},
    })
}

fn with(quota: Value) -> Informers {
    Informers { resource_quotas: Informer::fixed(vec![quota]), ..furnished() }
}

fn asking(cpu: &str) -> Value {
    let mut pod = pod("p");
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
    pod
}

#[test]
fn what_fits_is_written_down_before_it_is_stored() {
    let held = quota(
        json!({}),
        json!({"pods": "10", "requests.cpu": "1"}),
        json!({"pods": "3", "requests.cpu": "900m"}),
    );
    story(with(held.clone()), |chain| async move {
        let mut stored = held.clone();
        stored["metadata"]["resourceVersion"] = "6".into();
        stored["status"]["used"] = json!({"pods": "4", "requests.cpu": "1"});
        chain.fake.put(STATUS, 200, stored);
        chain.admit(Write::create("pods", "ns", asking("100m"))).await.unwrap();
        assert_eq!(chain.fake.seen(), [STATUS]);
        assert_eq!(chain.fake.bodies()[0]["status"]["used"], json!({"pods": "4", "requests.cpu": "1"}));
        // The informer is behind, but this server knows what it wrote.
        Chain::refused(
            chain.admit(Write::create("pods", "ns", asking("100m"))).await,
            403,
            r#"pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=100m, used: requests.cpu=1, limited: requests.cpu=1"#,
        );
        let dry = Write { dry_run: true, ..Write::create("pods", "ns", asking("0")) };
        chain.admit(dry).await.unwrap();
        assert_eq!(chain.fake.seen(), Vec::<String>::new());
    });
}

#[test]
fn what_was_written_to_a_quota_is_forgotten_when_it_goes() {
    let held = quota(json!({}), json!({"pods": "10"}), json!({"pods": "3"}));
    story(with(held.clone()), |chain| async move {
        let mut stored = held.clone();
        stored["metadata"]["resourceVersion"] = "6".into();
        chain.fake.put(STATUS, 200, stored);
        chain.admit(Write::create("pods", "ns", pod("p"))).await.unwrap();
        assert_eq!(chain.admission.resource_quota.ahead(), 1);
        // Nobody writes into its namespace any more.
        chain.informers.resource_quotas.remove("ns", "q");
        assert_eq!(chain.admission.resource_quota.ahead(), 0);
    });
}

#[test]
fn refusals() {
    let check = |quota: Value, object: Value, words: &'static str| {
        story(with(quota), |chain| async move {
            Chain::refused(chain.admit(Write::create("pods", "ns", object)).await, 403, words);
        });
    };
    check(
        quota(json!({}), json!({"pods": "10"}), json!({"pods": "10"})),
        pod("p"),
        r#"pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10"#,
    );
    check(
        quota(json!({}), json!({"count/pods": "1", "pods": "1"}), json!({"count/pods": "1", "pods": "1"})),
        pod("p"),
        r#"pods "p" is forbidden: exceeded quota: q, requested: count/pods=1,pods=1, used: count/pods=1,pods=1, limited: count/pods=1,pods=1"#,
    );
    check(
        quota(json!({}), json!({"cpu": "1", "memory": "1Gi"}), json!({"cpu": "0", "memory": "0"})),
        pod("p"),
        r#"pods "p" is forbidden: failed quota: q: must specify cpu for: c; memory for: c"#,
    );
    check(
        quota(json!({}), json!({"pods": "1"}), json!({})),
        pod("p"),
        r#"pods "p" is forbidden: status unknown for quota: q, resources: pods"#,
    );
}

#[test]
fn what_a_quota_does_not_count_passes() {
    let check = |quota: Value, write: fn() -> Write| {
        story(with(quota), |chain| async move {
            chain.admit(write()).await.unwrap();
            assert_eq!(chain.fake.seen(), Vec::<String>::new());
        });
    };
    let full = |name: &str| quota(json!({}), json!({name: "0"}), json!({name: "0"}));
    check(full("configmaps"), || Write::create("pods", "ns", pod("p")));
    check(full("pods"), || Write::create("configmaps", "ns", json!({"metadata": {"name": "c"}})));
    check(full("pods"), || Write::update("pods", "ns", "p", pod("p"), pod("p")));
    check(full("count/events"), || Write::create("events", "ns", json!({"metadata": {"name": "e"}})));
    // Nobody has filled its status yet.
    check(json!({"metadata": {"namespace": "ns", "name": "q"}, "spec": {"hard": {"pods": "0"}}}), || {
        Write::create("pods", "ns", pod("p"))
    });
    // Scopes.
    check(quota(json!({"scopes": ["Terminating"]}), json!({"pods": "0"}), json!({"pods": "0"})), || {
        Write::create("pods", "ns", pod("p"))
    });
    check(quota(json!({"scopes": ["BestEffort"]}), json!({"pods": "0"}), json!({"pods": "0"})), || {
        Write::create("pods", "ns", asking("1"))
    });
}

#[test]
fn other_kinds_count_by_name() {
    let check = |hard: &'static str, write: fn() -> Write, refused: bool| {
        let full = quota(json!({}), json!({hard: "0"}), json!({hard: "0"}));
        story(with(full), |chain| async move {
            assert_eq!(chain.admit(write()).await.is_err(), refused, "{hard}");
        });
    };
    let service = || {
        Write::create(
            "services",
            "ns",
            json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{}, {}]}}),
        )
    };
    check("services", service, true);
    check("services.nodeports", service, true);
    check("services.loadbalancers", service, false);
    check(
        "count/deployments.apps",
        || Write::create("deployments.apps", "ns", json!({"metadata": {"name": "d"}})),
        true,
    );
    check(
        "count/deployments.apps",
        || Write::create("deployments.extensions", "ns", json!({"metadata": {"name": "d"}})),
        false,
    );
    let claim = || {
        Write::create(
            "persistentvolumeclaims",
            "ns",
            json!({"metadata": {"name": "c"}, "spec": {
                "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}},
            }}),
        )
    };
    check("requests.storage", claim, true);
    check("fast.storageclass.storage.k8s.io/requests.storage", claim, true);
    check("slow.storageclass.storage.k8s.io/requests.storage", claim, false);
}

#[test]
fn a_lost_race_is_run_again_with_what_is_there() {
    let held = || quota(json!({}), json!({"pods": "2"}), json!({"pods": "0"}));
    story(with(held()), |chain| async move {
        let conflict = api::status::Status::modified("resourcequotas", "q").to_value();
        chain.fake.put(STATUS, 409, conflict);
        let mut now = held();
        now["metadata"]["resourceVersion"] = "9".into();
        now["status"]["used"] = json!({"pods": "2"});
        chain.fake.put("GET /api/v1/namespaces/ns/resourcequotas/q", 200, now);
        Chain::refused(
            chain.admit(Write::create("pods", "ns", pod("p"))).await,
            403,
            r#"pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"#,
        );
    });
    story(with(held()), |chain| async move {
        chain.fake.put(STATUS, 409, api::status::Status::modified("resourcequotas", "q").to_value());
        let refusal = chain.admit(Write::create("pods", "ns", pod("p"))).await.unwrap_err();
        assert!(refusal.is_conflict(), "{refusal:?}");
        let tries = chain.fake.seen().iter().filter(|line| *line == STATUS).count();
        assert_eq!(tries, 4, "once, and three times more");
    });
}

#[test]
fn what_is_charged_once_is_not_charged_again() {
    const OTHER: &str = "PUT /api/v1/namespaces/ns/resourcequotas/r/status";
    let held = |name: &str| {
        let mut held = quota(json!({}), json!({"pods": "9"}), json!({"pods": "0"}));
        held["metadata"]["name"] = name.into();
        held
    };
    let informers = Informers { resource_quotas: Informer::fixed(vec![held("q"), held("r")]), ..furnished() };
    story(informers, |chain| async move {
        let mut written = held("q");
        written["metadata"]["resourceVersion"] = "6".into();
        written["status"]["used"]["pods"] = "1".into();
        chain.fake.put(STATUS, 200, written);
        chain.fake.put(OTHER, 409, api::status::Status::modified("resourcequotas", "r").to_value());
        let refusal = chain.admit(Write::create("pods", "ns", pod("p"))).await.unwrap_err();
        assert!(refusal.is_conflict(), "{refusal:?}");
        let seen = chain.fake.seen();
        let count = |line: &str| seen.iter().filter(|l| *l == line).count();
        assert_eq!((count(STATUS), count(OTHER)), (1, 4), "the first one is written down already");
    });
}
