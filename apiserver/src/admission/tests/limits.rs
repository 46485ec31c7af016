//! LimitRanger: who asks when, what is filled in, what is refused.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::Informer;
use serde_json::{Value, json};

use super::{Chain, Operation, Write, furnished, list, pod, story};
use crate::informers::Informers;

const LIVE: &str = "GET /api/v1/namespaces/ns/limitranges";

fn ranges(limits: Value) -> Informers {
    let range = json!({"metadata": {"namespace": "ns", "name": "r"}, "spec": {"limits": limits}});
    Informers { limit_ranges: Informer::fixed(vec![range]), ..furnished() }
}

#[test]
fn a_namespace_without_ranges_is_asked_about_every_30_s() {
    let informers = Informers { limit_ranges: Informer::fixed(vec![]), ..furnished() };
    story(informers, |chain| async move {
        chain.fake.put(LIVE, 200, list("LimitRangeList", json!([])));
        let check = async |seconds: u64, asked: usize| {
            chain.sim.elapse(Duration::from_secs(seconds)).await;
            chain.admit(Write::create("pods", "ns", pod("p"))).await.unwrap();
            assert_eq!(chain.fake.seen(), vec![LIVE; asked], "after {seconds} s more");
        };
        check(0, 1).await;
        check(10, 0).await;
        check(19, 0).await;
        check(2, 1).await;
        check(0, 0).await;
        // A wall step is no time that passes.
        chain.sim.step("master", jiff::SignedDuration::from_hours(24));
        check(0, 0).await;
        // What the informer has needs no question.
        chain
            .informers
            .limit_ranges
            .put(json!({"metadata": {"namespace": "ns", "name": "r"}, "spec": {"limits": []}}));
        check(60, 0).await;
        // Nor has anything but pods and claims.
        chain.informers.limit_ranges.remove("ns", "r");
        chain.admit(Write::create("configmaps", "ns", json!({"metadata": {"name": "c"}}))).await.unwrap();
        let (new, old) = (pod("p"), pod("p"));
        chain.admit(Write::update("pods", "ns", "p", new, old)).await.unwrap();
        chain.admit(Write::new(Operation::Delete, "pods", "ns", "p")).await.unwrap();
        assert_eq!(chain.fake.seen(), Vec::<String>::new());
    });
}

#[test]
fn several_at_once_share_one_question() {
    let informers = Informers { limit_ranges: Informer::fixed(vec![]), ..furnished() };
    story(informers, |chain| async move {
        chain.fake.put(LIVE, 200, list("LimitRangeList", json!([])));
        let writes = (0..5).map(|_| chain.admit(Write::create("pods", "ns", pod("p"))));
        for outcome in futures::future::join_all(writes).await {
            outcome.unwrap();
        }
        assert_eq!(chain.fake.seen(), [LIVE]);
    });
}

#[test]
fn a_failed_question_refuses_and_is_asked_again() {
    let informers = Informers { limit_ranges: Informer::fixed(vec![]), ..furnished() };
    story(informers, |chain| async move {
        let generated = json!({"metadata": {"generateName": "web-abc-"}, "spec": {"containers": []}});
        let outcome = chain.admit(Write::create("pods", "ns", generated)).await;
        Chain::refused(outcome, 403, r#"pods "web-abc-" is forbidden: things "limitranges" not found"#);
        chain.fake.put(LIVE, 200, list("LimitRangeList", json!([])));
        chain.admit(Write::create("pods", "ns", pod("p"))).await.unwrap();
        assert_eq!(chain.fake.seen(), [LIVE, LIVE]);
    });
}

#[test]
fn what_a_live_answer_says_counts() {
    let informers = Informers { limit_ranges: Informer::fixed(vec![]), ..furnished() };
    story(informers, |chain| async move {
        let range = json!({"metadata": {"namespace": "ns", "name": "r"}, "spec": {"limits": [
            {"type": "Pod", "max": {"cpu": "1"}},
        ]}});
        chain.fake.put(LIVE, 200, list("LimitRangeList", json!([range])));
        let outcome = chain.admit(Write::create("pods", "ns", pod("p"))).await;
        let words = r#"pods "p" is forbidden: maximum cpu usage per Pod is 1.  No limit is specified"#;
        Chain::refused(outcome, 403, words);
    });
}

#[test]
fn defaults_are_filled_and_told() {
    let check = |limits: Value, resources: Value, wanted: Value, note: Option<&str>| {
        let note = note.map(str::to_owned);
        story(ranges(limits), |chain| async move {
            let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}});
            let pod = chain.admit(Write::create("pods", "ns", pod)).await.unwrap();
            assert_eq!(pod["spec"]["containers"][0]["resources"], wanted);
            assert_eq!(pod.annotation("kubernetes.io/limit-ranger").map(str::to_owned), note);
        });
    };
    check(
        json!([{"type": "Container", "default": {"cpu": "200m", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}}]),
        json!({}),
        json!({"limits": {"cpu": "200m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}}),
        Some(
            "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c",
        ),
    );
    check(
        json!([{"type": "Container", "max": {"cpu": "1"}}]),
        json!({"requests": {"cpu": "100m"}}),
        json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}),
        Some("LimitRanger plugin set: cpu limit for container c"),
    );
    check(
        json!([{"type": "Container", "min": {"cpu": "50m"}}]),
        json!({}),
        json!({"requests": {"cpu": "50m"}}),
        Some("LimitRanger plugin set: cpu request for container c"),
    );
    check(
        json!([{"type": "Pod", "min": {"cpu": "0"}}]),
        json!({"requests": {"cpu": "1"}}),
        json!({"requests": {"cpu": "1"}}),
        None,
    );
}

#[test]
fn bounds_refuse_with_every_complaint() {
    story(
        ranges(json!([{"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1Mi"}}])),
        |chain| async move {
            let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [
                {"name": "c", "resources": {"limits": {"cpu": "2"}, "requests": {"memory": "1Ki"}}},
            ]}});
            let outcome = chain.admit(Write::create("pods", "ns", pod)).await;
            Chain::refused(
                outcome,
                403,
                r#"pods "p" is forbidden: [minimum memory usage per Container is 1Mi, but request is 1Ki, maximum cpu usage per Container is 1, but limit is 2]"#,
            );
        },
    );
}
