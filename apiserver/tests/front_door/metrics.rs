//! `/metrics`, as Prometheus would scrape it.

use std::{sync::Arc, time::Duration};

use client::Resource;
use pki::{ClientTls, StaticIdentity};
use serde_json::json;
use wire::HttpClient;
use world::sim::{Config, run};

use crate::{
    plane::{BOB, Plane, with_plane},
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
