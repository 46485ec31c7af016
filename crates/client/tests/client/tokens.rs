//! Tokens that end: fetched when first needed, renewed before their end, renewed once after a 401.

use std::{sync::Arc, time::Duration};

use api::{object::ObjectExt as _, status::Status};
use client::{Auth, ListParams, Resource, ServiceAccountToken};
use jiff::SignedDuration;
use serde_json::json;
use world::rfc3339;

use crate::fake::{Put, World, rest, run};

fn token_request(world: &World, token: &str, life: Duration) -> Put {
    let end = world.sim.host("server").clock().wall() + SignedDuration::try_from(life).unwrap();
    let answer = json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "status": {"token": token, "expirationTimestamp": rfc3339(end)},
    });
    Put::Raw(201, &[], answer.to_string())
}

fn tokens_used(world: &World) -> Vec<String> {
    let seen = world.fake.seen().into_iter().filter(|s| s.line.starts_with("GET /api/v1/pods"));
    seen.map(|s| s.headers["authorization"].to_str().unwrap().to_owned()).collect()
}

const HOUR: Duration = Duration::from_secs(3600);
const TOKEN: &str = "serviceaccounts/ctl/token";

#[test]
fn lazily_early_and_again_when_refused() {
    run(|world| async move {
        let source = ServiceAccountToken::new(&world.host, &world.rest, "kube-system", "ctl");
        let rest = rest(&world.host, Auth::Token(Arc::new(source)));
        let list = || async { rest.list(&Resource::core("pods"), None, &ListParams::default()).await };
        world.elapse(10.0).await;
        assert!(world.fake.lines().is_empty(), "nobody needed it yet");

        world.fake.put(TOKEN, token_request(&world, "one", HOUR));
        list().await.unwrap();
        let account = world.fake.object("/api/v1/namespaces/kube-system/serviceaccounts/ctl").unwrap();
        assert_eq!(account.name(), "ctl", "made on the way");
        let request = world.fake.seen().into_iter().find(|s| s.line.ends_with("/token")).unwrap();
        assert_eq!(request.body["spec"]["expirationSeconds"], 3600);

        // Good for four fifths of its life, by the monotonic clock.
        world.elapse(2879.0).await;
        list().await.unwrap();
        world.fake.put(TOKEN, token_request(&world, "two", HOUR));
        world.elapse(2.0).await;
        list().await.unwrap();
        world.sim.step("client", SignedDuration::from_hours(24));
        list().await.unwrap();

        // A 401 forces one renewal, and the request is sent again.
        world.fake.put("/api/v1/pods", Put::Status(Status::unauthorized()));
        world.fake.put(TOKEN, token_request(&world, "three", HOUR));
        list().await.unwrap();
        let used = ["one", "one", "two", "two", "two", "three"].map(|t| format!("Bearer {t}"));
        assert_eq!(tokens_used(&world), used);

        // Two in a row are the answer.
        world.fake.put("/api/v1/pods", Put::Status(Status::unauthorized()));
        world.fake.put("/api/v1/pods", Put::Status(Status::unauthorized()));
        world.fake.put(TOKEN, token_request(&world, "four", HOUR));
        assert!(list().await.unwrap_err().is_unauthorized());
    });
}

#[test]
fn many_requests_fetch_one_token() {
    run(|world| async move {
        let source = Arc::new(ServiceAccountToken::new(&world.host, &world.rest, "kube-system", "ctl"));
        let rest = rest(&world.host, Auth::Token(source));
        world.fake.put(TOKEN, token_request(&world, "one", HOUR));
        let pods = Resource::core("pods");
        let lists = (0..10).map(|_| rest.list(&pods, None, &NONE));
        for answer in futures::future::join_all(lists).await {
            answer.unwrap();
        }
        assert_eq!(world.fake.lines().iter().filter(|l| l.ends_with("/token")).count(), 1);
    });
}

const NONE: ListParams = ListParams {
    label_selector: None,
    field_selector: None,
    limit: None,
    cont: None,
    resource_version: None,
    resource_version_match: None,
    timeout_seconds: None,
};

#[test]
fn no_token_no_request() {
    run(|world| async move {
        let source = ServiceAccountToken::new(&world.host, &world.rest, "kube-system", "ctl");
        let rest = rest(&world.host, Auth::Token(Arc::new(source)));
        for _ in 0..4 {
            world.fake.put(TOKEN, Put::Status(Status::internal("no signer")));
        }
        let error = rest.list(&Resource::core("pods"), None, &NONE).await.unwrap_err();
        let words = "failed to get token for kube-system/ctl: Internal error occurred: no signer";
        assert_eq!(error.to_string(), words);
        assert!(tokens_used(&world).is_empty());
        let at: Vec<f64> =
            world.fake.seen().iter().filter(|s| s.line.ends_with("/token")).map(|s| s.at).collect();
        let waits: Vec<f64> = at.windows(2).map(|w| ((w[1] - w[0]) * 10.0).round() / 10.0).collect();
        assert_eq!(waits, [0.5, 1.0, 2.0]);
    });
}

#[test]
fn a_skewed_clock_does_not_make_a_token_useless() {
    run(|world| async move {
        // The client believes that the token has long expired: ten minutes are assumed.
        world.sim.step("client", SignedDuration::from_hours(5));
        let source = ServiceAccountToken::new(&world.host, &world.rest, "kube-system", "ctl");
        let rest = rest(&world.host, Auth::Token(Arc::new(source)));
        world.fake.put(TOKEN, token_request(&world, "one", HOUR));
        for _ in 0..3 {
            rest.list(&Resource::core("pods"), None, &NONE).await.unwrap();
            world.elapse(200.0).await;
        }
        assert_eq!(tokens_used(&world), ["Bearer one"; 3]);
    });
}
