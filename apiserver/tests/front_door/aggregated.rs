//! A group that another server has: found, reached in the user's name, and lost with its certificate.

use std::time::Duration;

use api::object::ObjectExt;
use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::body;
use world::sim::{Config, run};

use crate::{
    extension::{ROSES, available, plane_and_extension},
    plane::{ADMIN, Plane},
    trust::DAY,
};

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The version's entry in aggregated discovery.
async fn discovered(plane: &Plane) -> Value {
    let document = plane.send(ADMIN, "GET", "/apis", &[("accept", V2)], "").await.json();
    let group = document["items"].as_array().unwrap().iter().find(|g| g.name() == "flower.example.org");
    group.map(|group| group["versions"][0].clone()).unwrap_or_default()
}

#[test]
fn requests_are_passed_on_in_the_user_s_name() {
    run(Config::default(), |sim| async move {
        let (plane, mut extension) = plane_and_extension(&sim, 365 * DAY).await;
        extension.serve().await;
        extension.register(&plane).await;
        sim.elapse(Duration::from_secs(2)).await;
        let passed = ("True".to_owned(), "Passed".to_owned(), "all checks passed".to_owned());
        assert_eq!(available(&plane).await, passed);

        let headers = [
            ("impersonate-user", "jane"),
            ("impersonate-group", "system:masters"),
            ("impersonate-extra-scopes%2fa", "b"),
            // Nobody says this but the server itself.
            ("x-remote-user", "root"),
            ("audit-id", "7"),
            ("x-forwarded-for", "192.0.2.1, 192.0.2.2"),
        ];
        let answer = plane.send(ADMIN, "GET", ROSES, &headers, "").await;
        assert_eq!(answer.code, 200, "{}", answer.body);
        let seen = answer.json();
        assert_eq!(seen["peer"], "front-proxy-client");
        let header = |name: &str| seen["headers"].get(name).cloned().unwrap_or_default();
        assert_eq!(header("x-remote-user"), json!(["jane"]));
        assert_eq!(header("x-remote-group"), json!(["system:masters", "system:authenticated"]));
        assert_eq!(header("x-remote-extra-scopes%2fa"), json!(["b"]));
        assert_eq!(header("audit-id"), json!(["7"]));
        assert_eq!(header("authorization"), Value::Null);
        assert_eq!(header("impersonate-user"), Value::Null);
        let clients = format!("192.0.2.1, 192.0.2.2, {}", sim.host("laptop").net().address());
        assert_eq!(header("x-forwarded-for"), json!([clients]));
        assert_eq!(answer.headers["audit-id"], "7");

        // Nobody without the right is passed on.
        let refused = plane.send(crate::plane::BOB, "GET", ROSES, &[], "").await;
        assert_eq!(refused.code, 403);

        let watch = plane.get(&format!("{ROSES}?watch=1")).await;
        assert_eq!(watch.body, "{\"type\":\"ADDED\"}\n{\"type\":\"DELETED\"}\n");
        let moved = plane.get(&format!("{ROSES}?moved")).await;
        let words = "the backend attempted to redirect this request, which is not permitted";
        assert_eq!((moved.code, moved.body.as_str()), (502, words));

        // A connection that becomes a stream.
        let request = Request::get(ROSES)
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("connection", "Upgrade")
            .header("upgrade", "echo")
            .body(body::empty())
            .unwrap();
        let http = plane.http();
        let (answer, stream) = http.upgrade(request).await.unwrap();
        assert_eq!(answer.status(), 101);
        let mut stream = stream.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "hello");

        let entry = discovered(&plane).await;
        assert_eq!((&entry["version"], &entry["freshness"]), (&json!("v1"), &json!("Current")));
        assert_eq!(entry["resources"][0]["resource"], "roses");
        assert_eq!(plane.get("/apis/flower.example.org/v1").await.json()["resources"][0]["kind"], "Rose");
        let index = plane.get("/openapi/v3").await.json();
        let url =
            index["paths"]["apis/flower.example.org/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
        assert_eq!(plane.get(&url).await.json()["asked"], "hash=ABC");
        let swagger = plane.get("/openapi/v2").await.json();
        assert!(swagger["paths"].get("/apis/flower.example.org/v1/roses").is_some());
        assert!(swagger["paths"].get("/apis/other.example.org/v1/x").is_none());
        assert!(swagger["definitions"].get("org.example.Rose").is_some());
    })
    .unwrap();
}

/// What is seen of a server whose certificate lasts so long: after a quarter of an hour, after its next start,
/// and after that with a new certificate.
fn story(lasts: Duration, check: impl Fn(&str, (String, String, String), u16, Value) + 'static) {
    run(Config::default(), move |sim| async move {
        let (plane, mut extension) = plane_and_extension(&sim, lasts).await;
        extension.serve().await;
        extension.register(&plane).await;
        let look = async |when: &str| {
            check(when, available(&plane).await, plane.get(ROSES).await.code, discovered(&plane).await);
        };
        sim.elapse(Duration::from_secs(900)).await;
        look("the connection is still there").await;
        extension.restart().await;
        sim.elapse(Duration::from_secs(90)).await;
        look("restarted").await;
        extension.renew();
        extension.restart().await;
        sim.elapse(Duration::from_secs(90)).await;
        look("renewed").await;
    })
    .unwrap();
}

#[test]
fn an_expired_serving_certificate_shows_at_the_next_handshake() {
    story(Duration::from_secs(600), |when, (status, reason, message), code, entry| {
        // What was known stays known.
        assert_eq!(entry["resources"][0]["resource"], "roses", "{when}");
        if when != "restarted" {
            assert_eq!((status.as_str(), reason.as_str(), code), ("True", "Passed", 200), "{when}");
            assert_eq!(entry["freshness"], "Current", "{when}");
            return;
        }
        assert_eq!((status.as_str(), reason.as_str()), ("False", "FailedDiscoveryCheck"));
        assert!(message.starts_with("failing or missing response from https://"), "{message}");
        let words = "x509: certificate has expired or is not yet valid: current time 2";
        assert!(message.contains(words), "{message}");
        assert_eq!(code, 503);
        assert_eq!(entry["freshness"], "Stale");
    });
}

#[test]
fn a_certificate_that_lasts_survives_the_same_story() {
    story(365 * DAY, |when, (status, reason, _), code, entry| {
        assert_eq!((status.as_str(), reason.as_str(), code), ("True", "Passed", 200), "{when}");
        assert_eq!(entry["freshness"], "Current", "{when}");
    });
}

/// How long it takes until an answer ends, and whether it ends whole.
async fn read(plane: &Plane, path: &str) -> (Duration, bool) {
    let clock = plane.sim.host("laptop").clock().clone();
    let request = Request::get(path).header("authorization", format!("Bearer {ADMIN}"));
    let began = clock.monotonic();
    let http = plane.http();
    let answer = http.send(request.body(body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let whole = body::collect(answer.into_body(), 1 << 20).await.is_ok();
    (clock.monotonic().since(began), whole)
}

#[test]
fn an_answer_that_has_begun_and_does_not_end_is_cut_off_and_counted() {
    run(Config::default(), |sim| async move {
        let (plane, mut extension) = plane_and_extension(&sim, 365 * DAY).await;
        extension.serve().await;
        extension.register(&plane).await;
        sim.elapse(Duration::from_secs(2)).await;
        let aborts = async || {
            let page = plane.get("/metrics").await.body;
            let rows = page.lines().filter(|line| line.starts_with("apiserver_request_aborts_total{"));
            rows.map(str::to_owned).collect::<Vec<_>>()
        };
        // The control run: a stream that ends by itself, and one that may take any time.
        assert!(read(&plane, &format!("{ROSES}?watch=1")).await.1);
        assert_eq!(aborts().await, [""; 0]);

        let (took, whole) = read(&plane, &format!("{ROSES}?endless")).await;
        assert!(!whole && (60..61).contains(&took.as_secs()), "{took:?}");
        let (took, whole) = read(&plane, &format!("{ROSES}?broken")).await;
        assert!(!whole && (1..2).contains(&took.as_secs()), "{took:?}");
        let row = "apiserver_request_aborts_total{group=\"flower.example.org\",resource=\"roses\",scope=\"namespace\",\
                   subresource=\"\",verb=\"LIST\",version=\"v1\"} 2";
        assert_eq!(aborts().await, [row]);
    })
    .unwrap();
}
