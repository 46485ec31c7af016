//! When the loopback certificate is dead: the words that a real kube-apiserver said, row by row of
//! `loopback-observed.md`.

use std::time::Duration;

use client::Informer;
use serde_json::json;
use world::sim::Config;

use super::{Chain, Fake, Write, furnished, list, pod};
use crate::informers::Informers;

const EXPIRED: &str = "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: \
                       current time 2026-01-01T02:00:00Z is after 2026-01-01T01:00:00Z";

fn story<F, Fut>(informers: Informers, story: F)
where
    F: FnOnce(Chain) -> Fut,
    Fut: Future<Output = ()>,
{
    world::sim::run(Config::default(), |sim| async move {
        let fake = Fake::loopback(&sim).await;
        fake.put("GET /api/v1/namespaces/ns/limitranges", 200, list("LimitRangeList", json!([])));
        story(Chain::new(sim, fake, informers).await).await;
    })
    .unwrap();
}

fn expire(chain: &Chain) {
    chain.sim.step("master", jiff::SignedDuration::from_hours(2));
}

fn without_ranges() -> Informers {
    Informers { limit_ranges: Informer::fixed(vec![]), ..furnished() }
}

#[test]
fn nothing_happens_while_the_one_connection_lives() {
    story(without_ranges(), |chain| async move {
        chain.admit(Write::create("pods", "ns", pod("p"))).await.unwrap();
        expire(&chain);
        chain.sim.elapse(Duration::from_secs(31)).await;
        chain.admit(Write::create("pods", "ns", pod("q"))).await.unwrap();
        let asked = chain.fake.seen();
        assert_eq!(asked.len(), 2, "asked once for each half minute: {asked:?}");
    });
}

#[test]
fn then_no_pod_is_created() {
    story(without_ranges(), |chain| async move {
        expire(&chain);
        let outcome = chain.admit(Write::create("pods", "ns", pod("p"))).await;
        let words = format!(
            r#"pods "p" is forbidden: Get "https://127.0.0.1:16543/api/v1/namespaces/ns/limitranges": {EXPIRED}"#
        );
        Chain::refused(outcome, 403, &words);
    });
}

#[test]
fn and_nothing_in_a_namespace_younger_than_the_failure() {
    story(without_ranges(), |chain| async move {
        expire(&chain);
        let config = json!({"metadata": {"name": "c"}});
        let outcome = chain.admit(Write::create("configmaps", "t1", config.clone())).await;
        // The 50 ms that the informer gets are over by then, and the second has not changed.
        let words = format!(
            r#"Internal error occurred: Get "https://127.0.0.1:16543/api/v1/namespaces/t1": {EXPIRED}"#
        );
        Chain::refused(outcome, 500, &words);
        // A namespace that the stale informer knows is as good as ever, for what needs no live answer.
        chain.admit(Write::create("configmaps", "ns", config)).await.unwrap();
    });
}
