//! The audit log, as a file on the server's host.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use apiserver::Server;
use client::Resource;
use http::{Request, Response};
use pki::kubeconfig::{Cluster, Kubeconfig, User};
use serde_json::{Value, json};
use wire::{Body, Peer, body};
use world::{
    Wall,
    sim::{Config, Sim, run},
};

use crate::plane::{ADMIN, BOB, Plane, options};

const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: None
  users: ['system:apiserver']
- level: Metadata
  resources:
  - group: ''
    resources: [secrets]
- level: RequestResponse
  resources:
  - group: ''
    resources: [configmaps, serviceaccounts/token]
  omitManagedFields: true
- level: Metadata
  resources:
  - group: ''
    resources: [pods]
";

async fn audited(sim: &Sim) -> Plane {
    let disk = sim.host("cp").disk().clone();
    disk.write("/etc/policy.yaml", POLICY, 0o644).unwrap();
    Plane::start(sim, &["--audit-policy-file=/etc/policy.yaml", "--audit-log-path=/var/log/audit.log"]).await
}

fn events(sim: &Sim) -> Vec<Value> {
    let text = sim.host("cp").disk().read_to_string("/var/log/audit.log").unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_the_policy_asks_for_is_written_down() {
    run(Config::default(), |sim| async move {
        let plane = audited(&sim).await;
        assert_eq!(events(&sim), [] as [Value; 0], "the server's own requests are left out");
        let headers = [
            ("content-type", "application/json"),
            ("audit-id", "abc"),
            ("user-agent", "test/2"),
            ("x-forwarded-for", "192.0.2.1"),
            ("impersonate-user", "jane"),
            ("impersonate-group", "system:masters"),
        ];
        let path = "/api/v1/namespaces/default/configmaps";
        let map = json!({ "metadata": { "name": "m" }, "data": { "a": "b" } }).to_string();
        let answer = plane.send(ADMIN, "POST", path, &headers, &map).await;
        assert_eq!((answer.code, &answer.headers["audit-id"]), (201, &"abc".parse().unwrap()));
        let [received, complete] = <[Value; 2]>::try_from(events(&sim)).unwrap();
        assert_eq!(
            (&received["stage"], &complete["stage"]),
            (&json!("RequestReceived"), &json!("ResponseComplete"))
        );
        assert_eq!(received.get("responseStatus"), None);
        let laptop = sim.host("laptop").net().address().to_string();
        for (field, expected) in [
            ("kind", json!("Event")),
            ("apiVersion", json!("audit.k8s.io/v1")),
            ("level", json!("RequestResponse")),
            ("auditID", json!("abc")),
            ("requestURI", json!(path)),
            ("verb", json!("create")),
            ("sourceIPs", json!(["192.0.2.1", laptop])),
            ("userAgent", json!("test/2")),
            ("responseStatus", json!({ "metadata": {}, "code": 201 })),
            (
                "objectRef",
                json!({ "resource": "configmaps", "namespace": "default", "name": "m", "apiVersion": "v1" }),
            ),
            ("requestObject", json!({ "metadata": { "name": "m" }, "data": { "a": "b" } })),
        ] {
            assert_eq!(complete[field], expected, "{field}");
        }
        assert_eq!(complete["user"]["username"], "admin");
        assert_eq!(complete["user"]["groups"], json!(["system:masters", "system:authenticated"]));
        assert_eq!(complete["impersonatedUser"]["username"], "jane");
        // By the verb for everything: no other makes anybody one of the masters.
        assert_eq!(complete.get("authenticationMetadata"), None);
        assert_eq!(complete["responseObject"]["metadata"]["name"], "m");
        assert_eq!(complete["responseObject"]["metadata"].get("managedFields"), None);
        assert_eq!(complete["annotations"]["authorization.k8s.io/decision"], "allow");
        assert!(complete["requestReceivedTimestamp"].as_str().unwrap().ends_with('Z'));
    })
    .unwrap();
}

#[test]
fn what_allowed_an_impersonation_for_some_requests_is_written_down() {
    run(Config::default(), |sim| async move {
        let plane = audited(&sim).await;
        let headers = [("content-type", "application/json"), ("impersonate-user", "jane")];
        let map = json!({ "metadata": { "name": "m" } }).to_string();
        plane.send(ADMIN, "POST", "/api/v1/namespaces/default/configmaps", &headers, &map).await;
        let complete = events(&sim).pop().unwrap();
        assert_eq!(complete["impersonatedUser"]["username"], "jane");
        let constraint = json!({ "impersonationConstraint": "impersonate:user-info" });
        assert_eq!(complete["authenticationMetadata"], constraint);
    })
    .unwrap();
}

#[test]
fn refusals_streams_and_secrets_are_written_down_as_they_may_be() {
    run(Config::default(), |sim| async move {
        let plane = audited(&sim).await;
        let secret = json!({ "metadata": { "name": "s" }, "stringData": { "password": "swordfish" } });
        plane.admin.create(&Resource::core("secrets"), Some("default"), &secret).await.unwrap();
        plane.send(BOB, "GET", "/api/v1/namespaces/default/pods/p", &[], "").await;
        plane.send("a-bad-token", "GET", "/api/v1/pods", &[], "").await;
        let watch = plane.admin.watch(&Resource::core("pods"), None, &Default::default()).await.unwrap();
        sim.elapse(Duration::from_secs(1)).await;
        let shown = |events: &[Value]| -> Vec<String> {
            let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
            let one = |event: &Value| {
                let code = &event["responseStatus"]["code"];
                let name = event["user"]["username"].as_str().unwrap_or("-");
                format!("{name} {} {} {code}", text(event, "verb"), text(event, "stage"))
            };
            events.iter().map(one).collect()
        };
        let so_far = [
            "admin create RequestReceived null",
            "admin create ResponseComplete 201",
            "bob get RequestReceived null",
            "bob get ResponseComplete 403",
            "- list ResponseStarted 401",
            "admin watch RequestReceived null",
            "admin watch ResponseStarted 200",
        ];
        let seen = events(&sim);
        assert_eq!(shown(&seen), so_far);
        let words = "Authentication failed, attempted: bearer";
        assert_eq!(seen[4]["responseStatus"], json!({ "metadata": {}, "message": words, "code": 401 }));
        let refused = &seen[3];
        assert_eq!(refused["annotations"]["authorization.k8s.io/decision"], "forbid");
        assert_eq!(refused["responseStatus"]["reason"], "Forbidden");
        let words = "pods \"p\" is forbidden: User \"bob\" cannot get resource \"pods\" in API group \"\" in the namespace \"default\"";
        assert_eq!(refused["responseStatus"]["message"], words);
        drop(watch);
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(shown(&events(&sim)).last().map(String::as_str), Some("admin watch ResponseComplete 200"));
        let text = sim.host("cp").disk().read_to_string("/var/log/audit.log").unwrap();
        for hidden in ["swordfish", "c3dvcmRmaXNo", "a-bad-token", ADMIN, BOB] {
            assert!(!text.contains(hidden), "{hidden} is in the log");
        }
    })
    .unwrap();
}

/// A server that takes audit events, as many answers 503 as it was told to give first.
struct Sink {
    seen: Arc<Mutex<Vec<(Wall, Value)>>>,
}

impl Sink {
    async fn start(sim: &Sim, refuses: u32) -> Self {
        let host = sim.host("sink");
        let listener = host.net().listen(([0, 0, 0, 0], 8080).into()).await.unwrap();
        let seen: Arc<Mutex<Vec<(Wall, Value)>>> = Arc::default();
        let (kept, clock) = (seen.clone(), host.clock().clone());
        let refuses = Arc::new(Mutex::new(refuses));
        let handler = move |_: Arc<Peer>, request: Request<Body>| {
            let (kept, clock, refuses) = (kept.clone(), clock.clone(), refuses.clone());
            async move {
                assert_eq!(request.uri().path_and_query().unwrap(), "/k8s/events?timeout=30s");
                let bytes = body::collect(request.into_body(), 64 << 20).await.unwrap();
                let mut response = Response::new(body::empty());
                let mut left = refuses.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                }
                kept.lock().unwrap().push((clock.wall(), serde_json::from_slice(&bytes).unwrap()));
                response
            }
        };
        wire::Server::spawn(&host, listener, wire::ServeOptions::plain(), Arc::new(handler));
        Self { seen }
    }

    /// How many events each batch had, and when it came.
    fn batches(&self) -> Vec<(Wall, usize)> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(at, list)| (*at, list["items"].as_array().unwrap().len())).collect()
    }
}

async fn with_webhook(sim: &Sim, more: &[&str]) -> Plane {
    let cluster = Cluster { server: "http://sink:8080/k8s/events".to_owned(), ..Cluster::default() };
    let config = Kubeconfig::new("audit", cluster, "apiserver", User::default());
    let disk = sim.host("cp").disk().clone();
    disk.create_dir_all("/etc").unwrap();
    disk.write("/etc/policy.yaml", POLICY, 0o644).unwrap();
    disk.write("/etc/webhook.conf", config.to_yaml(), 0o600).unwrap();
    let mut flags =
        vec!["--audit-policy-file=/etc/policy.yaml", "--audit-webhook-config-file=/etc/webhook.conf"];
    flags.extend(more);
    Plane::start(sim, &flags).await
}

#[test]
fn a_webhook_gets_events_in_batches() {
    run(Config::default(), |sim| async move {
        let sink = Sink::start(&sim, 0).await;
        let flags = ["--audit-webhook-batch-max-size=10", "--audit-webhook-batch-max-wait=30s"];
        let plane = with_webhook(&sim, &flags).await;
        let ask = async |times: usize| {
            for _ in 0..times {
                plane.get("/api/v1/namespaces/default/secrets").await;
            }
        };
        // Two stages of each: as soon as a batch is full it goes.
        ask(6).await;
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(sink.batches().iter().map(|(_, n)| *n).collect::<Vec<_>>(), [10]);
        let full = sink.batches()[0].0;
        sim.elapse(Duration::from_secs(28)).await;
        assert_eq!(sink.batches().len(), 1);
        // The rest when it has waited.
        sim.elapse(Duration::from_secs(2)).await;
        let [_, (at, rest)] = <[(Wall, usize); 2]>::try_from(sink.batches()).unwrap();
        assert_eq!(rest, 2);
        assert!((29..=31).contains(&at.duration_since(full).as_secs()), "{full} {at}");
        let list = sink.seen.lock().unwrap()[0].1.clone();
        assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("EventList"), &json!("audit.k8s.io/v1")));
        let event = &list["items"][0];
        assert_eq!((event.get("kind"), &event["stage"]), (None, &json!("RequestReceived")));
        // What waits at the end goes before the server does.
        ask(1).await;
        plane.server.shutdown().await;
        assert_eq!(sink.batches().last().map(|(_, n)| *n), Some(2));
    })
    .unwrap();
}

#[test]
fn a_webhook_that_fails_is_tried_again_and_what_finds_no_room_is_lost() {
    run(Config::default(), |sim| async move {
        let sink = Sink::start(&sim, 2).await;
        let flags = ["--audit-webhook-batch-max-size=2", "--audit-webhook-initial-backoff=10s"];
        let plane = with_webhook(&sim, &flags).await;
        plane.get("/api/v1/namespaces/default/secrets").await;
        sim.elapse(Duration::from_secs(60)).await;
        let batches = sink.batches();
        assert_eq!(batches.len(), 3, "{batches:?}");
        // 10 s, then half as long again, each up to a fifth longer.
        let waits: Vec<i64> =
            batches.windows(2).map(|two| two[1].0.duration_since(two[0].0).as_secs()).collect();
        assert!((10..=12).contains(&waits[0]) && (15..=18).contains(&waits[1]), "{waits:?}");
        assert!(!plane.get("/metrics").await.body.contains("apiserver_audit_error_total{"));
    })
    .unwrap();
    run(Config::default(), |sim| async move {
        // Nobody is there.
        let flags = [
            "--audit-webhook-batch-buffer-size=5",
            "--audit-webhook-batch-throttle-qps=0.01",
            "--audit-webhook-batch-throttle-burst=1",
            "--audit-webhook-batch-max-size=1",
        ];
        let plane = with_webhook(&sim, &flags).await;
        let before = sim.host("laptop").clock().monotonic();
        for _ in 0..10 {
            assert_eq!(plane.get("/api/v1/namespaces/default/secrets").await.code, 200);
        }
        assert!(sim.host("laptop").clock().monotonic().since(before) < Duration::from_secs(1));
        let page = plane.get("/metrics").await.body;
        let lost =
            page.lines().find_map(|l| l.strip_prefix("apiserver_audit_error_total{plugin=\"buffered\"} "));
        let lost: u32 = lost.unwrap().parse().unwrap();
        assert!((12..=15).contains(&lost), "{lost}");
    })
    .unwrap();
}

#[test]
fn a_bad_policy_ends_the_start_with_its_name() {
    run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        host.disk().write("/etc/tokens.csv", "", 0o600).unwrap();
        host.disk().write("/etc/policy.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\n", 0o644).unwrap();
        let flags = ["--audit-policy-file=/etc/policy.yaml", "--audit-log-path=-"];
        let error = Server::start(&host, options(&flags), None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "--audit-policy-file /etc/policy.yaml: loaded illegal policy with 0 rules"
        );
    })
    .unwrap();
}
