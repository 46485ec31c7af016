//! What passes through the server without being its own: answers of others, connections that become
//! streams. It is counted and written down, and never held up for that.

use std::time::Duration;

use client::Resource;
use futures::StreamExt;
use http::Request;
use http_body_util::BodyExt;
use pki::ClientTls;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{HttpClient, body};
use world::sim::{Config, Sim, run};

use crate::{
    extension::{Extension, PORT, ROSES, plane_with_and_extension},
    plane::{ADMIN, BOB, Plane},
    trust::DAY,
};

const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: None
  users: ['system:apiserver']
- level: RequestResponse
";

async fn audited(sim: &Sim) -> (Plane, Extension) {
    let cp = sim.host("cp");
    cp.disk().create_dir_all("/etc").unwrap();
    cp.disk().write("/etc/policy.yaml", POLICY, 0o644).unwrap();
    let flags = ["--audit-policy-file=/etc/policy.yaml", "--audit-log-path=/var/log/audit.log"];
    let (plane, mut extension) = plane_with_and_extension(sim, &flags, 365 * DAY).await;
    extension.serve().await;
    (plane, extension)
}

/// The last stages of requests whose URI begins so.
fn complete(sim: &Sim, uri: &str) -> Vec<Value> {
    let text = sim.host("cp").disk().read_to_string("/var/log/audit.log").unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|e| e["stage"] == "ResponseComplete" && e["requestURI"].as_str().unwrap().starts_with(uri))
        .collect()
}

fn client(sim: &Sim) -> HttpClient {
    let laptop = sim.host("laptop");
    HttpClient::new(&laptop, "https://cp:6443", Some(ClientTls::new(&laptop, (1, 26)).insecure())).unwrap()
}

#[test]
fn what_others_answer_passes_while_it_comes_and_is_not_written_down() {
    run(Config::default(), |sim| async move {
        let (plane, extension) = audited(&sim).await;
        extension.register(&plane).await;
        sim.elapse(Duration::from_secs(2)).await;

        let request = Request::get(format!("{ROSES}?endless"))
            .header("authorization", format!("Bearer {ADMIN}"))
            .body(body::empty())
            .unwrap();
        let clock = sim.host("laptop").clock().clone();
        let answer =
            clock.timeout(Duration::from_secs(5), client(&sim).send(request)).await.unwrap().unwrap();
        let mut content = answer.into_body();
        let first = clock.timeout(Duration::from_secs(5), content.frame()).await.unwrap();
        assert_eq!(first.unwrap().unwrap().into_data().unwrap(), "once upon a time");

        // More than this server itself would take; what becomes of it is the other server's business.
        let large = "x".repeat(5 << 20);
        let media = [("content-type", "application/json")];
        let answer = plane.send(ADMIN, "POST", &format!("{ROSES}?length"), &media, &large).await;
        assert_eq!((answer.code, answer.json()["length"].as_u64()), (200, Some(5 << 20)), "{}", answer.body);

        plane.get(ROSES).await;
        let events = complete(&sim, ROSES);
        assert_eq!(events.len(), 3, "{events:?}");
        for event in events {
            assert_eq!(event["level"], "RequestResponse");
            assert_eq!((event.get("requestObject"), event.get("responseObject")), (None, None), "{event}");
        }
        // The control run: what this server encodes is written down.
        plane.get("/api/v1/namespaces/default").await;
        let [own] = <[Value; 1]>::try_from(complete(&sim, "/api/v1/namespaces/default")).unwrap();
        assert_eq!(own["responseObject"]["metadata"]["name"], "default");
    })
    .unwrap();
}

#[test]
fn no_body_is_read_of_those_who_may_not() {
    run(Config::default(), |sim| async move {
        let (plane, _extension) = audited(&sim).await;
        let path = "/api/v1/namespaces/default/configmaps";
        let begun = async |token: &str| {
            let first = futures::stream::iter([Ok(bytes::Bytes::from_static(b"{\"metadata\":"))]);
            let request = Request::post(path)
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json")
                .body(body::stream(first.chain(futures::stream::pending())))
                .unwrap();
            let limit = Duration::from_secs(5);
            let answer = sim.host("laptop").clock().timeout(limit, client(&sim).send(request)).await;
            answer.ok().map(|answer| answer.unwrap().status().as_u16())
        };
        assert_eq!(begun(BOB).await, Some(403));
        // Who may is waited for.
        assert_eq!(begun(ADMIN).await, None);

        let map = json!({ "metadata": { "name": "m" } }).to_string();
        let media = [("content-type", "application/json")];
        assert_eq!(plane.send(BOB, "POST", path, &media, &map).await.code, 403);
        assert_eq!(plane.send(ADMIN, "POST", path, &media, &map).await.code, 201);
        let events = complete(&sim, path);
        let seen = |code: u16| -> Vec<Option<&Value>> {
            let of = events.iter().filter(|e| e["responseStatus"]["code"] == code);
            of.map(|e| e.get("requestObject")).collect()
        };
        assert_eq!(seen(403), [None, None]);
        assert_eq!(seen(201), [Some(&json!({ "metadata": { "name": "m" } }))]);
    })
    .unwrap();
}

/// A client that sends a byte now and then takes nobody's time but its own.
#[test]
fn a_body_that_does_not_end_is_waited_for_no_longer_than_any_request() {
    run(Config::default(), |sim| async move {
        let (plane, _extension) = audited(&sim).await;
        let clock = sim.host("laptop").clock().clone();
        let dripping = clock.clone();
        let drops = futures::stream::unfold(dripping, |clock| async move {
            clock.sleep(Duration::from_secs(1)).await;
            Some((Ok(bytes::Bytes::from_static(b" ")), clock))
        });
        let request = Request::post("/api/v1/namespaces/default/configmaps")
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("content-type", "application/json")
            .body(body::stream(drops))
            .unwrap();
        let before = clock.monotonic();
        let answer = client(&sim).send(request).await.unwrap();
        let waited = clock.monotonic().since(before).as_secs();
        assert!((59..=61).contains(&waited), "{waited}");
        assert_eq!(answer.status(), 504);
        let status = body::collect(answer.into_body(), 1 << 20).await.unwrap();
        let status: Value = serde_json::from_slice(&status).unwrap();
        assert_eq!(status["reason"], "Timeout");
        assert_eq!(status["message"], "Timeout: request did not complete within the allotted timeout");
        assert_eq!(plane.get("/api/v1/namespaces/default/configmaps").await.code, 200);
    })
    .unwrap();
}

#[test]
fn a_connection_that_became_a_stream_lasts_as_long_as_the_stream() {
    run(Config::default(), |sim| async move {
        let (plane, extension) = audited(&sim).await;
        let ns = Some("default");
        let account = json!({ "metadata": { "name": "default" } });
        plane.admin.create(&Resource::core("serviceaccounts"), ns, &account).await.unwrap();
        let node = json!({
            "metadata": { "name": "n" },
            "status": {
                "addresses": [{ "type": "InternalIP", "address": extension.host.net().address().to_string() }],
                "daemonEndpoints": { "kubeletEndpoint": { "Port": PORT } },
            },
        });
        plane.admin.create(&Resource::core("nodes"), None, &node).await.unwrap();
        let pod = json!({
            "metadata": { "name": "p" },
            "spec": { "nodeName": "n", "containers": [{ "name": "c", "image": "i" }] },
        });
        plane.admin.create(&Resource::core("pods"), ns, &pod).await.unwrap();

        let path = "/api/v1/namespaces/default/pods/p/exec?command=x&dryRun=All";
        let open = async |query: &str| {
            let request = Request::post(format!("{path}{query}"))
                .header("authorization", format!("Bearer {ADMIN}"))
                .header("connection", "Upgrade")
                .header("upgrade", "SPDY/3.1")
                .body(body::empty())
                .unwrap();
            let (answer, stream) = client(&sim).upgrade(request).await.unwrap();
            assert_eq!(answer.status(), 101);
            stream.unwrap()
        };
        // The samples of streams to pods that are open.
        let gauge = async || -> Vec<String> {
            let page = plane.get("/metrics").await.body;
            let of = |line: &&str| line.starts_with("apiserver_longrunning_requests{") && line.contains("exec");
            page.lines().filter(of).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
        };
        let mut first = open("").await;
        let _second = open("&stdin=1").await;
        sim.elapse(Duration::from_secs(10)).await;
        assert_eq!(gauge().await, ["2"]);
        assert_eq!(complete(&sim, path), [] as [Value; 0]);

        first.write_all(b"hello").await.unwrap();
        let mut heard = String::new();
        first.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "hello");
        drop(first);
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(gauge().await, ["1"]);
        let [ended] = <[Value; 1]>::try_from(complete(&sim, path)).unwrap();
        assert_eq!(ended["responseStatus"]["code"], 101);
        let at = |field: &str| ended[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(at("stageTimestamp").duration_since(at("requestReceivedTimestamp")).as_secs() >= 10, "{ended}");

        // One with and one without the dry run are still one sample.
        let plain = Request::post("/api/v1/namespaces/default/pods/p/exec?command=x")
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("connection", "Upgrade")
            .header("upgrade", "SPDY/3.1")
            .body(body::empty())
            .unwrap();
        let _third = client(&sim).upgrade(plain).await.unwrap();
        assert_eq!(gauge().await, ["2"]);
    })
    .unwrap();
}

#[test]
fn what_listens_on_a_service_is_told_for_whom_it_is_asked() {
    run(Config::default(), |sim| async move {
        let (plane, extension) = audited(&sim).await;
        extension.register(&plane).await;
        let base = "/api/v1/namespaces/kube-system/services/https:flowers:443/proxy";
        let moved = plane.get(&format!("{base}?a=b")).await;
        assert_eq!((moved.code, &moved.headers["location"]), (301, &format!("{base}/?a=b").parse().unwrap()));

        let headers = [("x-forwarded-for", "192.0.2.1")];
        let answer = plane.send(ADMIN, "GET", &format!("{base}{ROSES}"), &headers, "").await;
        let seen = answer.json();
        let laptop = sim.host("laptop").net().address();
        assert_eq!(seen["headers"]["x-forwarded-for"], json!([format!("192.0.2.1, {laptop}")]));
        assert_eq!(seen["headers"]["x-forwarded-uri"], json!([format!("{base}{ROSES}")]));
        assert_eq!(seen["headers"].get("authorization"), None);

        for (query, to) in
            [("moved=here", format!("{base}/there")), ("moved", "https://elsewhere/".to_owned())]
        {
            let moved = plane.get(&format!("{base}{ROSES}?{query}")).await;
            assert_eq!((moved.code, &moved.headers["location"]), (302, &to.parse().unwrap()), "{query}");
        }

        let request = Request::get(format!("{base}/echo"))
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("connection", "Upgrade")
            .header("upgrade", "echo")
            .body(body::empty())
            .unwrap();
        let (answer, stream) = client(&sim).upgrade(request).await.unwrap();
        assert_eq!(answer.status(), 101);
        let mut stream = stream.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "hello");
    })
    .unwrap();
}
