//! What a server shows besides its objects: the index, logs, old documents, headers by flag.

use client::{ListParams, Resource};
use http::{Method, Request};
use serde_json::Value;
use wire::{HttpClient, body};

use crate::plane::{ADMIN, BOB, Plane, with_plane};

async fn get(plane: &Plane, path: &str) -> (u16, String) {
    let answer = plane.get(path).await;
    (answer.code, answer.body)
}

#[test]
fn the_index_names_every_path() {
    with_plane(&[], |plane| async move {
        let index = plane.get("/").await.json();
        let paths: Vec<&str> = index["paths"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(paths.is_sorted());
        for path in [
            "/api",
            "/api/v1",
            "/apis",
            "/apis/apps",
            "/apis/apps/v1",
            "/debug/api_priority_and_fairness/dump_queues",
            "/healthz/poststarthook/rbac/bootstrap-roles",
            "/livez/ping",
            "/logs",
            "/metrics",
            "/metrics/slis",
            "/openapi/v2",
            "/openapi/v3/apis/apps/v1",
            "/readyz/shutdown",
            "/version",
        ] {
            assert!(paths.contains(&path), "{path} is missing from {paths:?}");
            // And each is answered.
            assert_ne!(get(&plane, path).await.0, 404, "{path}");
        }
        assert!(!paths.iter().any(|path| path.contains("swagger")));
        assert_eq!(get(&plane, "/nothing").await, (404, "404 page not found\n".to_owned()));
        assert_eq!(get(&plane, "/statusz").await.0, 404);
    });
}

#[test]
fn logs_are_shown_to_those_who_may() {
    with_plane(&[], |plane| async move {
        let disk = plane.server.context().host.disk().clone();
        disk.write("/var/log/pods/a.log", "one\n", 0o644).unwrap();
        disk.write("/var/log/messages", "two\n", 0o644).unwrap();
        disk.write("/etc/secret", "no\n", 0o644).unwrap();
        disk.write("/var/log/a b&c:<1>.log", "three\n", 0o644).unwrap();
        let (code, page) = get(&plane, "/logs/").await;
        assert_eq!(code, 200);
        assert!(page.contains("<a href=\"messages\">messages</a>\n<a href=\"pods/\">pods/</a>\n"), "{page}");
        let odd = "<a href=\"./a%20b&c:%3C1%3E.log\">a b&amp;c:&lt;1&gt;.log</a>\n";
        assert!(page.contains(odd), "{page}");
        for (path, expected) in [
            ("/logs/messages", (200, "two\n")),
            ("/logs/pods/a.log", (200, "one\n")),
            ("/logs/pods%2Fa.log", (200, "one\n")),
            ("/logs/a%20b&c:%3C1%3E.log", (200, "three\n")),
            ("/logs/%2e%2e/log", (400, "invalid URL path\n")),
            ("/logs/pods", (301, "")),
            ("/logs/none", (404, "404 page not found\n")),
            ("/logs/../../etc/secret", (400, "invalid URL path\n")),
        ] {
            let (code, page) = get(&plane, path).await;
            assert_eq!((code, page.as_str()), expected, "{path}");
        }
        assert_eq!(plane.send(BOB, "GET", "/logs/messages", &[], "").await.code, 403);
    });
    with_plane(&["--enable-logs-handler=false"], |plane| async move {
        assert_eq!(get(&plane, "/logs/").await.0, 404);
    });
}

#[test]
fn old_releases_have_their_old_paths() {
    with_plane(&["--kubernetes-version=1.13"], |plane| async move {
        let swagger = plane.get("/swagger.json").await.json();
        assert_eq!(swagger["swagger"], "2.0");
        assert!(swagger["securityDefinitions"]["BearerToken"].is_object());
        assert_eq!(plane.get("/swagger-2.0.0.json").await.json(), swagger);
        let list = plane.get("/swaggerapi").await.json();
        assert_eq!(list["swaggerVersion"], "1.2");
        assert_eq!(get(&plane, "/swaggerapi/apis/apps/v1").await.0, 200);
    });
    with_plane(&["--kubernetes-version=1.14"], |plane| async move {
        for path in ["/swagger.json", "/swaggerapi", "/swagger-2.0.0.json"] {
            assert_eq!(get(&plane, path).await, (404, "404 page not found\n".to_owned()), "{path}");
        }
    });
}

#[test]
fn the_insecure_port_of_old_releases_asks_nobody_who_they_are() {
    with_plane(&["--kubernetes-version=1.18", "--insecure-port=8080"], |plane| async move {
        let host = plane.server.context().host.clone();
        let http = HttpClient::new(&host, "http://127.0.0.1:8080", None).unwrap();
        let request = Request::get("/api/v1/secrets").body(body::empty()).unwrap();
        assert_eq!(http.send(request).await.unwrap().status(), 200);
        // It is the host's own.
        let http = HttpClient::new(&plane.sim.host("laptop"), "http://cp:8080", None).unwrap();
        let request = Request::get("/api/v1/secrets").body(body::empty()).unwrap();
        assert!(http.send(request).await.unwrap_err().is_connection_refused());
    });
}

#[test]
fn group_versions_can_be_turned_off() {
    with_plane(&["--runtime-config=batch/v1=false,autoscaling/v1=false"], |plane| async move {
        assert_eq!(get(&plane, "/apis/batch/v1").await, (404, "404 page not found\n".to_owned()));
        assert_eq!(get(&plane, "/apis/batch/v1/jobs").await.0, 404);
        assert_eq!(get(&plane, "/apis/autoscaling/v2").await.0, 200);
        let services = Resource::new("apiregistration.k8s.io", "v1", "apiservices");
        let list = plane.admin.list(&services, None, &ListParams::default()).await.unwrap();
        let names: Vec<&str> = list.items.iter().filter_map(|s| s["metadata"]["name"].as_str()).collect();
        assert!(names.contains(&"v2.autoscaling"));
        assert!(!names.contains(&"v1.batch") && !names.contains(&"v1.autoscaling"), "{names:?}");
    });
}

#[test]
fn headers_by_flag() {
    const FLAGS: &[&str] = &[
        "--cors-allowed-origins=//example\\.org(:|$)",
        "--strict-transport-security-directives=max-age=31536000,includeSubDomains",
        "--feature-gates=ComponentStatusz=true,ComponentFlagz=true",
    ];
    with_plane(FLAGS, |plane| async move {
        let ask = async |method: Method, origin: &str| {
            plane.send(ADMIN, method.as_str(), "/version", &[("origin", origin)], "").await
        };
        let good = ask(Method::GET, "https://example.org").await;
        assert_eq!(good.headers["access-control-allow-origin"], "https://example.org");
        assert_eq!(good.headers["access-control-allow-credentials"], "true");
        assert_eq!(good.headers["strict-transport-security"], "max-age=31536000; includeSubDomains");
        let preflight = ask(Method::OPTIONS, "https://example.org").await;
        assert_eq!((preflight.code, preflight.body.as_str()), (204, ""));
        assert_eq!(
            preflight.headers["access-control-allow-methods"],
            "POST, GET, OPTIONS, PUT, DELETE, PATCH"
        );
        let bad = ask(Method::GET, "https://example.com").await;
        assert!(!bad.headers.contains_key("access-control-allow-origin"));
        let (code, page) = get(&plane, "/statusz").await;
        assert!(code == 200 && page.starts_with("\nkube-apiserver statusz\nWarning: "), "{page}");
        let (_, page) = get(&plane, "/flagz").await;
        assert!(page.contains("storage-backend=memory\n"), "{page}");
    });
}

#[test]
fn timeouts_in_the_query_are_understood() {
    with_plane(&[], |plane| async move {
        for (query, code) in
            [("timeout=30s", 200), ("timeout=0", 200), ("timeout=", 200), ("timeout=9999h", 200)]
        {
            assert_eq!(get(&plane, &format!("/api/v1/pods?{query}")).await.0, code, "{query}");
        }
        let bad = plane.get("/api/v1/pods?timeout=soon").await;
        assert_eq!(bad.code, 400);
        let message = bad.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("invalid timeout specified in the request URL - "), "{message}");
    });
}

#[test]
fn before_1_16_being_alive_and_being_ready_are_one() {
    with_plane(&["--kubernetes-version=1.15"], |plane| async move {
        for path in ["/livez", "/readyz", "/livez/ping", "/readyz/etcd"] {
            assert_eq!(get(&plane, path).await, (404, "404 page not found\n".to_owned()), "{path}");
        }
        assert_eq!(get(&plane, "/healthz/ping").await, (200, "ok".to_owned()));
        let index = get(&plane, "/").await.1;
        assert!(
            index.contains("/healthz/ping") && !index.contains("livez") && !index.contains("readyz"),
            "{index}"
        );
    });
    with_plane(&["--kubernetes-version=1.16"], |plane| async move {
        for path in ["/livez", "/readyz", "/livez/ping", "/readyz/etcd"] {
            assert_eq!(get(&plane, path).await, (200, "ok".to_owned()), "{path}");
        }
    });
}

#[test]
fn the_verbosity_of_a_running_server_is_set() {
    with_plane(&[], |plane| async move {
        let put = async |body: &str| {
            let answer = plane.send(ADMIN, "PUT", "/debug/flags/v", &[], body).await;
            assert_eq!(answer.headers["content-type"], "text/plain");
            (answer.code, answer.body)
        };
        assert_eq!(put("4").await, (200, "successfully set klog.logging.verbosity to 4\n".to_owned()));
        let set = plane.server.context().verbosity.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(set, 4);
        for (body, words) in [
            ("much", "strconv.ParseUint: parsing \"much\": invalid syntax\n"),
            ("-1", "strconv.ParseUint: parsing \"-1\": invalid syntax\n"),
            ("", "strconv.ParseUint: parsing \"\": invalid syntax\n"),
            ("4294967296", "strconv.ParseUint: parsing \"4294967296\": value out of range\n"),
            (
                "4294967295",
                "failed set klog.logging.verbosity 4294967295: strconv.ParseInt: parsing \"4294967295\": value out of range\n",
            ),
        ] {
            assert_eq!(put(body).await, (400, words.to_owned()), "{body:?}");
        }
        assert_eq!(get(&plane, "/debug/flags/v").await, (406, "unsupported http method\n".to_owned()));
        let index = get(&plane, "/debug/flags/").await;
        assert!(index.0 == 200 && index.1.contains("<tr>v<br>"), "{index:?}");
        assert!(!get(&plane, "/").await.1.contains("/debug/flags"), "unlisted");
        assert_eq!(plane.send(BOB, "PUT", "/debug/flags/v", &[], "4").await.code, 403);
    });
    with_plane(&["--profiling=false"], |plane| async move {
        assert_eq!(plane.send(ADMIN, "PUT", "/debug/flags/v", &[], "4").await.code, 404);
    });
    with_plane(&["--kubernetes-version=1.25"], |plane| async move {
        let answer = plane.send(ADMIN, "PUT", "/debug/flags/v", &[], "much").await;
        let words =
            "failed set klog.logging.verbosity much: strconv.ParseInt: parsing \"much\": invalid syntax\n";
        assert_eq!((answer.code, answer.body.as_str()), (400, words));
    });
}
