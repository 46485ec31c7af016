//! Start and end of a server: nothing is left behind, and bad input is said in one sentence.

use std::time::Duration;

use apiserver::Server;
use client::Resource;
use serde_json::json;
use world::{Exit, sim::Config};

use crate::plane::{ADMIN, Plane, options, with_plane};

#[test]
fn a_start_that_fails_leaves_nothing_behind() {
    with_plane(&[], |plane| async move {
        let host = plane.server.context().host.clone();
        let error = Server::start(&host, options(&[]), None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to create listener: failed to listen on 0.0.0.0:6443: listen tcp 0.0.0.0:6443: bind: address already in use"
        );
        // The one that runs is not touched by it.
        assert_eq!(plane.get("/readyz").await.body, "ok");
    });
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        let error = Server::start(&host, options(&["--client-ca-file=/none"]), None).await.unwrap_err();
        assert!(error.to_string().starts_with("--client-ca-file /none: "), "{error}");
        // The port is free again.
        host.net().listen("0.0.0.0:6443".parse().unwrap()).await.unwrap();
    })
    .unwrap();
}

#[test]
fn wrong_flags_end_the_program_with_a_sentence() {
    world::sim::run(Config::default(), |sim| async move {
        let exit = apiserver::run(sim.host("cp"), vec!["--frobnicate".to_owned()]).await;
        assert_eq!(exit, Exit::Failure("unknown flag: --frobnicate".to_owned()));
    })
    .unwrap();
}

#[test]
fn who_started_it_hears_that_it_is_ready_when_its_hooks_have_run() {
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        let args = vec!["--storage-backend=memory".to_owned(), "--authorization-mode=RBAC".to_owned()];
        let program = host.clone();
        let server = host.spawn(async move { apiserver::run(program, args).await });
        sim.elapse(Duration::from_secs(5)).await;
        let events = host.trace().events();
        let notes: Vec<usize> =
            events.iter().enumerate().filter(|(_, e)| e.kind == "notify").map(|(at, _)| at).collect();
        assert_eq!(notes.len(), 1);
        // The last of what hooks that must have run write.
        for made in ["clusterrolebindings", "priorityclasses", "apiservices", "flowschemas"] {
            let is_write = |e: &world::Event| {
                let text = format!("{e:?}");
                e.kind == "request" && text.contains("create") && text.contains(made)
            };
            let last = events.iter().rposition(is_write).unwrap_or_else(|| panic!("nobody made {made}"));
            assert!(last < notes[0], "{made} came after the note");
        }
        server.abort();
    })
    .unwrap();
}

#[test]
fn after_a_shutdown_the_next_server_starts_on_the_same_store() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("cp"));
        let plane = Plane::start_on(&sim, &[], Some(store.clone())).await;
        let map = json!({ "metadata": { "name": "kept" }, "data": { "a": "b" } });
        plane.admin.create(&Resource::core("configmaps"), Some("default"), &map).await.unwrap();
        // A watcher that never goes must not hold the server up for ever.
        let watch =
            plane.admin.watch(&Resource::core("pods"), None, &client::WatchParams::default()).await.unwrap();
        let before = sim.host("cp").clock().monotonic();
        plane.server.shutdown().await;
        assert!(sim.host("cp").clock().monotonic().since(before) < Duration::from_secs(5));
        drop(watch);

        let again = Server::start(&sim.host("cp"), options(&[]), Some(store)).await.unwrap();
        again.ready().await.unwrap();
        let kept = plane.admin.get(&Resource::core("configmaps"), Some("default"), "kept").await.unwrap();
        assert_eq!(kept["data"]["a"], "b");
    })
    .unwrap();
}

/// Asks on a connection that is open already.
async fn ask(http: &wire::HttpClient, path: &str) -> (u16, String, Option<String>) {
    let request = http::Request::get(path).header("authorization", format!("Bearer {ADMIN}"));
    let answer = http.send(request.body(wire::body::empty()).unwrap()).await.unwrap();
    let code = answer.status().as_u16();
    let retry = answer.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
    let text = wire::body::collect(answer.into_body(), 1 << 20).await.unwrap();
    (code, String::from_utf8_lossy(&text).into_owned(), retry)
}

#[test]
fn a_shutdown_takes_leave_step_by_step() {
    world::sim::run(Config::default(), |sim| async move {
        let flags = ["--shutdown-delay-duration=10s", "--shutdown-send-retry-after=true"];
        let plane = Plane::start(&sim, &flags).await;
        sim.elapse(Duration::from_secs(2)).await;
        let leases = Resource::new("coordination.k8s.io", "v1", "leases");
        let lists = async || {
            let leases = plane.admin.list(&leases, Some("kube-system"), &Default::default()).await.unwrap();
            let endpoints =
                plane.admin.get(&Resource::core("endpoints"), Some("default"), "kubernetes").await;
            let addresses =
                endpoints.map(|e| e["subsets"].as_array().map_or(0, Vec::len)).unwrap_or_default();
            (leases.items.len(), addresses)
        };
        assert_eq!(lists().await, (1, 1));
        let pods = Resource::core("pods");
        let mut watch = plane.admin.watch(&pods, None, &client::WatchParams::default()).await.unwrap();
        let laptop = sim.host("laptop");
        let tls = pki::ClientTls::new(&laptop, (1, 26)).insecure();
        let http = wire::HttpClient::new(&laptop, "https://cp:6443", Some(tls)).unwrap();
        ask(&http, "/readyz").await;

        let server = plane.server;
        // Not in the server's own process, which ends with it.
        let ended = sim.host("cp").spawn(async move { server.shutdown().await });
        sim.elapse(Duration::from_secs(5)).await;
        // Still serving, but no longer ready, and taken out of the endpoints.
        let (code, text, _) = ask(&http, "/readyz").await;
        assert_eq!(code, 500);
        assert!(text.contains("[-]shutdown failed: reason withheld\n"), "{text}");
        let single = ask(&http, "/readyz/shutdown").await.1;
        assert_eq!(single, "internal server error: process is shutting down\n");
        assert_eq!(ask(&http, "/livez").await.0, 200);
        assert_eq!(ask(&http, "/api/v1/pods").await.0, 200);
        assert_eq!(lists().await, (0, 0));
        // Then nothing new, and watches end without an event.
        let last = async { while let Some(Ok(_)) = watch.next().await {} };
        let ended_watch = sim.host("laptop").clock().timeout(Duration::from_secs(60), last).await;
        assert!(ended_watch.is_ok());
        let _ = ended.join().await;
        let request = http::Request::get("/livez").body(wire::body::empty()).unwrap();
        assert!(http.send(request).await.unwrap_err().is_connection_refused());
    })
    .unwrap();
}

/// At which moments after the beginning of a shutdown sixty watches end.
fn ends_of_watches(flag: &'static str, check: impl FnOnce(Vec<Duration>) + 'static) {
    world::sim::run(Config::default(), move |sim| async move {
        let plane = Plane::start(&sim, &[flag]).await;
        let (pods, laptop) = (Resource::core("pods"), sim.host("laptop"));
        let mut watches = Vec::new();
        for _ in 0..60 {
            watches.push(plane.admin.watch(&pods, None, &client::WatchParams::default()).await.unwrap());
        }
        let begun = laptop.clock().monotonic();
        let server = plane.server;
        let ended = sim.host("cp").spawn(async move { server.shutdown().await });
        let clock = laptop.clock();
        let ends = watches.into_iter().map(|mut watch| async move {
            while let Some(Ok(_)) = watch.next().await {}
            clock.monotonic().since(begun)
        });
        let ends = futures::future::join_all(ends).await;
        let _ = ended.join().await;
        check(ends);
    })
    .unwrap();
}

#[test]
fn watches_end_one_after_the_other_if_there_is_time_for_it() {
    let differ = |ends: &[Duration]| -> Duration {
        ends.iter().max().unwrap().saturating_sub(*ends.iter().min().unwrap())
    };
    ends_of_watches("--shutdown-watch-termination-grace-period=10s", move |ends| {
        let took = differ(&ends);
        // At 200 a second, the server's own among them.
        assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
    });
    ends_of_watches("--shutdown-watch-termination-grace-period=0s", move |ends| {
        assert!(differ(&ends) < Duration::from_millis(100), "{ends:?}");
    });
}

#[test]
fn tokens_are_issued_and_their_keys_are_shown() {
    world::sim::run(Config::default(), |sim| async move {
        let plane = Plane::issuing(&sim).await;
        let account = json!({ "metadata": { "name": "robot" } });
        let (accounts, ns) = (Resource::core("serviceaccounts"), Some("default"));
        plane.admin.create(&accounts, ns, &account).await.unwrap();
        plane.sim.elapse(Duration::from_secs(1)).await;
        let answer = plane.admin.create_sub(&accounts, ns, "robot", "token", &json!({})).await.unwrap();
        let token = answer["status"]["token"].as_str().unwrap();
        let me = plane
            .send(
                token,
                "POST",
                "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                &[("content-type", "application/json")],
                "{}",
            )
            .await
            .json();
        assert_eq!(me["status"]["userInfo"]["username"], "system:serviceaccount:default:robot");
        let page = plane.get("/.well-known/openid-configuration").await.json();
        assert_eq!(page["issuer"], "https://kubernetes.default.svc");
        assert_eq!(page["id_token_signing_alg_values_supported"], json!(["ES256"]));
        let keys = plane.get("/openid/v1/jwks").await;
        assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
        assert_eq!(keys.json()["keys"].as_array().map(Vec::len), Some(1));
    })
    .unwrap();
}
