//! How long a webhook's answers are kept, what is too long to be kept, and how often it is asked.

use std::time::Duration;

use serde_json::{Value, json};
use world::sim::Sim;

use super::ask;
use crate::{
    admission::testing::{Fake, PORT},
    authz::{Attributes, Authz, Configuration, Decision},
    identity::User,
    informers::Informers,
    options::Options,
};

struct Asked {
    fake: Fake,
    authz: std::sync::Arc<Authz>,
}

impl Asked {
    async fn new(sim: &Sim, flags: &[&str]) -> Self {
        let fake = Fake::plain(sim).await;
        let server = format!("http://127.0.0.1:{PORT}/authorize");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "h", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "h", "user": "u"}}],
        });
        fake.host.disk().create_dir_all("/etc").unwrap();
        fake.host.disk().write("/etc/hook.conf", config.to_string(), 0o600).unwrap();
        let fixed = [
            "--storage-backend=memory",
            "--authorization-mode=Webhook",
            "--authorization-webhook-config-file=/etc/hook.conf",
        ];
        let options = Options::parse(fixed.into_iter().chain(flags.iter().copied())).unwrap();
        let configuration = Configuration::load(fake.host.disk(), &options).unwrap();
        let authz = Authz::start(&fake.host, &options, configuration, &Informers::empty()).unwrap();
        Self { fake, authz }
    }

    fn answers(&self, code: u16, answer: Value) {
        self.fake.put("POST /authorize", code, answer);
    }

    /// The decision, and how often the webhook was asked for it.
    async fn ask(&self, question: &str) -> (Decision, usize) {
        let jane = User::new("jane", &[]);
        let verdict = self.authz.authorize(&ask(&jane, question)).await;
        (verdict.decision, self.fake.seen().len())
    }

    async fn wait(&self, seconds: u64) {
        self.fake.host.clock().sleep(Duration::from_secs(seconds)).await;
    }
}

#[test]
fn a_yes_is_kept_for_its_time_and_any_other_answer_for_its_own() {
    let check = |flags: &'static [&'static str], status: Value, decision: Decision, life: u64| {
        world::sim::run(world::sim::Config::default(), move |sim| async move {
            let hook = Asked::new(&sim, flags).await;
            hook.answers(201, json!({"status": status}));
            assert_eq!(hook.ask("get pods ns p").await, (decision, 1));
            hook.wait(life - 1).await;
            assert_eq!(hook.ask("get pods ns p").await, (decision, 0), "one second before the end");
            hook.wait(2).await;
            assert_eq!(hook.ask("get pods ns p").await, (decision, 1), "one second after the end");
            // Asked anew, kept anew; and other questions are others.
            assert_eq!(hook.ask("get pods ns p").await, (decision, 0));
            assert_eq!(hook.ask("get pods ns q").await, (decision, 1));
        })
        .unwrap();
    };
    check(&[], json!({"allowed": true}), Decision::Allow, 300);
    check(&[], json!({"denied": true}), Decision::Deny, 30);
    check(&[], json!({"allowed": false}), Decision::NoOpinion, 30);
    let own = &[
        "--authorization-webhook-cache-authorized-ttl=10s",
        "--authorization-webhook-cache-unauthorized-ttl=20s",
    ];
    check(own, json!({"allowed": true}), Decision::Allow, 10);
    check(own, json!({"denied": true}), Decision::Deny, 20);
}

#[test]
fn steps_of_the_clock_do_not_age_answers() {
    world::sim::run(world::sim::Config::default(), |sim| async move {
        let hook = Asked::new(&sim, &[]).await;
        hook.answers(201, json!({"status": {"allowed": true}}));
        assert_eq!(hook.ask("get pods ns p").await, (Decision::Allow, 1));
        sim.step("master", jiff::SignedDuration::from_hours(1));
        assert_eq!(hook.ask("get pods ns p").await, (Decision::Allow, 0));
    })
    .unwrap();
}

#[test]
fn nothing_is_kept_for_no_time() {
    world::sim::run(world::sim::Config::default(), |sim| async move {
        let hook = Asked::new(&sim, &["--authorization-webhook-cache-authorized-ttl=0s"]).await;
        hook.answers(201, json!({"status": {"allowed": true}}));
        assert_eq!(hook.ask("get pods ns p").await, (Decision::Allow, 1));
        assert_eq!(hook.ask("get pods ns p").await, (Decision::Allow, 1));
    })
    .unwrap();
}

#[test]
fn what_the_asker_makes_long_is_not_kept() {
    let check = |length: usize, kept: bool| {
        world::sim::run(world::sim::Config::default(), move |sim| async move {
            let hook = Asked::new(&sim, &[]).await;
            hook.answers(201, json!({"status": {"allowed": true}}));
            let jane = User::new("jane", &[]);
            let path = "/".repeat(length - "get".len());
            let request = Attributes { verb: "get", path: &path, ..Attributes::of(&jane) };
            for _ in 0..2 {
                assert!(hook.authz.authorize(&request).await.is_allowed());
            }
            assert_eq!(hook.fake.seen().len(), if kept { 1 } else { 2 }, "{length}");
        })
        .unwrap();
    };
    check(9_999, true);
    check(10_000, false);
}

#[test]
fn a_failure_is_tried_again_and_never_kept() {
    world::sim::run(world::sim::Config::default(), |sim| async move {
        let hook = Asked::new(&sim, &[]).await;
        hook.answers(500, json!({}));
        let start = hook.fake.host.clock().monotonic();
        assert_eq!(hook.ask("get pods ns p").await, (Decision::NoOpinion, 5));
        let waited = hook.fake.host.clock().monotonic().since(start).as_secs_f64();
        let waits = 0.5 + 0.75 + 1.125 + 1.6875;
        assert!((waits..waits * 1.2 + 0.1).contains(&waited), "{waited} s");
        hook.answers(201, json!({"status": {"allowed": true}}));
        assert_eq!(hook.ask("get pods ns p").await, (Decision::Allow, 1));
    })
    .unwrap();
}

#[test]
fn rules_cannot_be_listed() {
    world::sim::run(world::sim::Config::default(), |sim| async move {
        let hook = Asked::new(&sim, &[]).await;
        let review = hook.authz.rules_for(&User::new("jane", &[]), "ns");
        assert!(review.incomplete && review.rules.is_empty());
        assert_eq!(review.errors, ["webhook authorizer does not support user rule resolution"]);
    })
    .unwrap();
}
