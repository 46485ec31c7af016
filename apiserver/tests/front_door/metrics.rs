//! `/metrics`, as Prometheus would scrape it.

use std::{sync::Arc, time::Duration};

use client::Resource;
use pki::{ClientTls, StaticIdentity};
use serde_json::json;
use wire::HttpClient;
use world::sim::{Config, run};

use crate::{
    plane::{ADMIN, BOB, Plane, with_issuing_plane, with_plane},
    trust::{DAY, authority, issue},
};

/// The value of a sample; its labels are as on the page.
fn value(page: &str, sample: &str) -> Option<f64> {
    let line =
        page.lines().find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn filters_and_lists_of_watches_are_timed() {
    with_plane(&[], |plane| async move {
        let params = client::WatchParams {
            allow_bookmarks: true,
            send_initial_events: Some(true),
            resource_version_match: Some("NotOlderThan".to_owned()),
            ..client::WatchParams::default()
        };
        let maps = Resource::core("configmaps");
        let mut watch = plane.admin.watch(&maps, Some("default"), &params).await.unwrap();
        assert!(watch.next().await.is_some());
        let page = plane.get("/metrics").await.body;
        let labels = "group=\"\",resource=\"configmaps\",scope=\"namespace\",version=\"v1\"";
        let lists = format!("apiserver_watch_list_duration_seconds_count{{{labels}}}");
        assert_eq!(value(&page, &lists), Some(1.0), "{page}");
        let passed = |filter: &str| {
            let name = "apiserver_request_filter_duration_seconds_count";
            value(&page, &format!("{name}{{filter=\"{filter}\"}}")).unwrap_or_default()
        };
        // Who is sent away by one filter does not come to the next.
        assert!(passed("authorization") > 20.0, "{page}");
        assert!(passed("authentication") >= passed("impersonation"));
        assert!(passed("impersonation") >= passed("priorityandfairness"));
        assert!(passed("priorityandfairness") >= passed("authorization"));
    });
}

#[test]
fn requests_are_counted_by_what_they_asked_for() {
    with_plane(&[], |plane| async move {
        let secret = json!({ "metadata": { "name": "m" } });
        plane.admin.create(&Resource::core("secrets"), Some("default"), &secret).await.unwrap();
        for _ in 0..3 {
            plane.get("/api/v1/namespaces/default/secrets/m").await;
        }
        plane.get("/api/v1/namespaces/default/secrets/none").await;
        // Names that anybody can make up are not kept.
        plane.get("/api/v1/namespaces/default/inventions").await;
        // Who is sent away by the authorizers is not counted, as upstream.
        plane.send(BOB, "GET", "/api/v1/namespaces/default/secrets/m", &[], "").await;
        let (secrets, params) = (Resource::core("secrets"), client::WatchParams::default());
        let watch = plane.admin.watch(&secrets, Some("default"), &params).await.unwrap();
        plane.sim.elapse(Duration::from_secs(1)).await;

        let answer = plane.get("/metrics").await;
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        let page = answer.body;
        let check = |sample: &str, expected: Option<f64>| {
            assert_eq!(value(&page, sample), expected, "{sample}\n{page}")
        };
        let of = |verb: &str, more: &str| {
            format!(
                "component=\"apiserver\"{more},group=\"\",resource=\"secrets\",scope=\"resource\",subresource=\"\",verb=\"{verb}\",version=\"v1\""
            )
        };
        let total = |verb: &str, code: &str| {
            let labels =
                of(verb, ",dry_run=\"\"").replace("component", &format!("code=\"{code}\",component"));
            format!("apiserver_request_total{{{labels}}}")
        };
        check(&total("POST", "201"), Some(1.0));
        check(&total("GET", "200"), Some(3.0));
        check(&total("GET", "404"), Some(1.0));
        check(&total("GET", "403"), None);
        let seconds = of("GET", ",dry_run=\"\"");
        check(&format!("apiserver_request_duration_seconds_count{{{seconds}}}"), Some(4.0));
        check(&format!("apiserver_request_duration_seconds_bucket{{{seconds},le=\"60\"}}"), Some(4.0));
        check(&format!("apiserver_response_sizes_bucket{{{},le=\"1000\"}}", of("GET", "")), Some(4.0));
        let watches = "component=\"apiserver\",group=\"\",resource=\"secrets\",scope=\"namespace\",subresource=\"\",verb=\"WATCH\",version=\"v1\"";
        check(&format!("apiserver_longrunning_requests{{{watches}}}"), Some(1.0));
        // The test's own, and the server's informer.
        let kind = "group=\"\",kind=\"Secret\",version=\"v1\"";
        check(&format!("apiserver_registered_watchers{{{kind}}}"), Some(2.0));
        check("apiserver_storage_objects{resource=\"secrets\"}", Some(1.0));
        check("apiserver_current_inflight_requests{request_kind=\"readOnly\"}", Some(1.0));
        check("etcd_requests_total{operation=\"create\",type=\"secrets\"}", Some(1.0));
        let own = "rest_client_requests_total{code=\"201\",host=\"127.0.0.1:6443\",method=\"POST\"}";
        assert!(value(&page, own).unwrap() > 20.0);
        assert!(!page.contains("inventions"));
        assert!(value(&page, "process_start_time_seconds").unwrap() > 1e9);
        assert_eq!(value(&page, "aggregator_unavailable_apiservice{name=\"v1.apps\"}"), Some(0.0));

        drop(watch);
        plane.sim.elapse(Duration::from_secs(1)).await;
        let page = plane.get("/metrics").await.body;
        assert_eq!(value(&page, &format!("apiserver_longrunning_requests{{{watches}}}")), Some(0.0));
        assert_eq!(value(&page, &format!("apiserver_registered_watchers{{{kind}}}")), Some(1.0));
        let slis = plane.get("/metrics/slis").await.body;
        assert_eq!(value(&slis, "kubernetes_healthcheck{name=\"etcd\",type=\"readyz\"}"), Some(1.0));
        // Not everybody may read them.
        assert_eq!(plane.send(BOB, "GET", "/metrics", &[], "").await.code, 403);
    });
}

#[test]
fn client_certificates_are_counted_by_what_is_left_of_them() {
    run(Config::default(), |sim| async move {
        let cp = sim.host("cp");
        let ca = authority(&cp, "kubernetes");
        cp.disk().create_dir_all("/etc").unwrap();
        cp.disk().write("/etc/ca.crt", ca.certificate.to_pem(), 0o644).unwrap();
        let plane = Plane::start(&sim, &["--client-ca-file=/etc/ca.crt"]).await;
        let laptop = sim.host("laptop");
        let pair = issue(&ca, &laptop, "jane@example.org", 3 * DAY);
        let identity = Arc::new(StaticIdentity::new(&pair).unwrap());
        let tls = ClientTls::new(&laptop, (1, 26)).insecure().identity(identity);
        let http = HttpClient::new(&laptop, "https://cp:6443", Some(tls)).unwrap();
        let get = http::Request::get("/version").body(wire::body::empty()).unwrap();
        assert_eq!(http.send(get).await.unwrap().status(), 200);
        let page = plane.get("/metrics").await.body;
        let name = "apiserver_client_certificate_expiration_seconds";
        let check = |bound: &str, expected: f64| {
            assert_eq!(value(&page, &format!("{name}_bucket{{le=\"{bound}\"}}")), Some(expected), "{bound}");
        };
        check("172800", 0.0);
        check("345600", 1.0);
        check("3.1104e+07", 1.0);
        check("+Inf", 1.0);
        assert_eq!(value(&page, "authenticated_user_requests{username=\"email_id\"}"), Some(1.0));
    })
    .unwrap();
}

/// How much a sample grew from one page to another; one that is not there is nothing.
fn growth(pages: (&str, &str), sample: &str) -> f64 {
    value(pages.1, sample).unwrap_or_default() - value(pages.0, sample).unwrap_or_default()
}

#[test]
fn decisions_are_counted_by_who_made_them() {
    with_plane(&[], |plane| async move {
        let secrets = "/api/v1/namespaces/default/secrets";
        let before = plane.get("/metrics").await.body;
        plane.send(BOB, "GET", secrets, &[], "").await;
        plane.send(BOB, "GET", secrets, &[], "").await;
        plane.send("", "GET", "/version", &[], "").await;
        plane.send("nonsense", "GET", "/version", &[], "").await;
        let basic = [("authorization", "Basic eDp5")];
        plane.send("", "GET", "/version", &basic, "").await;
        let after = plane.get("/metrics").await.body;
        let check = |sample: &str, expected: f64| {
            assert_eq!(growth((&before, &after), sample), expected, "{sample}\n{after}")
        };
        check("authorization_attempts_total{result=\"no-opinion\"}", 2.0);
        check("authorization_duration_seconds_count{result=\"no-opinion\"}", 2.0);
        check("authorization_attempts_total{result=\"denied\"}", 0.0);
        // Bob, Bob, the anonymous, and whoever reads the first page; the second is not over.
        check("authenticated_user_requests{username=\"admin\"}", 1.0);
        check("authenticated_user_requests{username=\"other\"}", 4.0);
        // A token that nobody knows is an error, other words are as nothing.
        check("authentication_attempts{result=\"error\"}", 1.0);
        check("authentication_attempts{result=\"failure\"}", 0.0);
        let rbac =
            "apiserver_authorization_decisions_total{decision=\"allowed\",name=\"rbac\",type=\"RBAC\"}";
        assert_eq!(growth((&before, &after), rbac), 2.0, "{after}");
        assert!(!after.contains("decision=\"denied\""), "{after}");
    });
}

#[test]
fn admission_is_timed_by_plugin_operation_and_outcome() {
    with_plane(&[], |plane| async move {
        let before = plane.get("/metrics").await.body;
        let kind = [("content-type", "application/json")];
        let pods = "/api/v1/namespaces/default/pods";
        // Without the account there is no pod.
        let pod =
            json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
        let refused = plane.send(ADMIN, "POST", pods, &kind, &pod.to_string()).await;
        assert_eq!(refused.code, 403, "{}", refused.body);
        let map = json!({ "metadata": { "name": "m" } }).to_string();
        let maps = "/api/v1/namespaces/default/configmaps";
        assert_eq!(plane.send(ADMIN, "POST", maps, &kind, &map).await.code, 201);
        let after = plane.get("/metrics").await.body;
        let check = |labels: &str, expected: f64| {
            let name = match labels.starts_with("name") {
                true => "apiserver_admission_controller_admission_duration_seconds_count",
                false => "apiserver_admission_step_admission_duration_seconds_count",
            };
            let sample = format!("{name}{{{labels}}}");
            assert_eq!(growth((&before, &after), &sample), expected, "{sample}\n{after}");
        };
        let create = |rejected: bool, step: &str| {
            format!("operation=\"CREATE\",rejected=\"{rejected}\",type=\"{step}\"")
        };
        check(&create(true, "admit"), 1.0);
        check(&create(false, "admit"), 1.0);
        check(&create(false, "validate"), 1.0);
        check(&create(true, "validate"), 0.0);
        check(&format!("name=\"ServiceAccount\",{}", create(true, "admit")), 1.0);
        check(&format!("name=\"ServiceAccount\",{}", create(false, "admit")), 1.0);
        // It is for pods that are deleted and updated too.
        check(&format!("name=\"NamespaceLifecycle\",{}", create(false, "admit")), 2.0);
        // After whoever refuses nobody is asked.
        check(&format!("name=\"DefaultStorageClass\",{}", create(false, "admit")), 1.0);
        // It never has to do with creating.
        check(&format!("name=\"StorageObjectInUseProtection\",{}", create(false, "validate")), 0.0);
    });
}

#[test]
fn tokens_of_service_accounts_are_counted_by_where_they_come_from() {
    with_issuing_plane(|plane| async move {
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        let kind = [("content-type", "application/json")];
        let send = async |path: &str, body: serde_json::Value| {
            plane.send(ADMIN, "POST", path, &kind, &body.to_string()).await.json()
        };
        send(accounts, json!({ "metadata": { "name": "robot" } })).await;
        let spec = json!({ "serviceAccountName": "robot", "containers": [{ "name": "c", "image": "i" }] });
        let pods = "/api/v1/namespaces/default/pods";
        let pod = send(pods, json!({ "metadata": { "name": "p" }, "spec": spec })).await;
        let bound = json!({ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod["metadata"]["uid"] });
        // What a kubelet asks for: only such a token is told apart by whether it should have been read again.
        let asked = json!({ "spec": { "expirationSeconds": 3607, "boundObjectRef": bound } });
        let token = send(&format!("{accounts}/robot/token"), asked).await;
        let token = token["status"]["token"].as_str().unwrap().to_owned();
        let before = plane.get("/metrics").await.body;
        plane.send(&token, "GET", "/version", &[], "").await;
        let after = plane.get("/metrics").await.body;
        for (name, expected) in [
            ("valid_tokens_total", 1.0),
            ("stale_tokens_total", 0.0),
            ("legacy_tokens_total", 0.0),
            ("legacy_auto_token_uses_total", 0.0),
            ("legacy_manual_token_uses_total", 0.0),
        ] {
            let name = format!("serviceaccount_{name}");
            assert!(value(&after, &name).is_some(), "{name}\n{after}");
            assert_eq!(growth((&before, &after), &name), expected, "{name}\n{after}");
        }
    });
}
