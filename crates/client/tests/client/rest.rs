//! Requests and answers: paths, words of errors, retries, timeouts, pages, tokens.

use std::time::Duration;

use api::{object::ObjectExt as _, status::Status};
use client::{Auth, ClientError, DeleteParams, ListParams, Patch, Resource};
use http::Method;
use serde_json::{Value, json};

use crate::fake::{self, Put, World, config_map, expired, run};

const MAPS: &str = "/api/v1/namespaces/a/configmaps";

fn maps() -> Resource {
    Resource::core("configmaps")
}

#[test]
fn every_verb() {
    run(|world| async move {
        let (rest, maps) = (&world.rest, maps());
        let ns = Some("a");
        let created = rest.create(&maps, ns, &config_map("x", "1")).await.unwrap();
        assert_eq!(created.resource_version(), "101");
        assert_eq!(rest.get(&maps, ns, "x").await.unwrap(), created);
        assert_eq!(rest.get_opt(&maps, ns, "y").await.unwrap(), None);
        let taken = rest.create(&maps, ns, &config_map("x", "1")).await.unwrap_err();
        assert!(taken.is_already_exists() && !taken.is_conflict());
        assert_eq!(taken.to_string(), "configmaps \"x\" already exists");

        let mut changed = created.clone();
        changed["data"]["k"] = "2".into();
        rest.update(&maps, ns, "x", &changed).await.unwrap();
        let late = rest.update(&maps, ns, "x", &changed).await.unwrap_err();
        assert!(late.is_conflict() && !late.is_already_exists(), "{late}");
        rest.update_sub(&maps, ns, "x", "status", &rest.get(&maps, ns, "x").await.unwrap()).await.unwrap();
        assert!(rest.get_sub(&maps, ns, "x", "status").await.is_ok());
        let patch = json!({"data": {"k": "3"}});
        let patched = rest.patch(&maps, ns, "x", Patch::Merge(&patch), None).await.unwrap();
        assert_eq!(patched.str_at("/data/k"), "3");
        rest.delete(&maps, ns, "x", &DeleteParams::uid("u")).await.unwrap();
        assert!(rest.get(&maps, ns, "x").await.unwrap_err().is_not_found());

        let seen = world.fake.seen();
        let of = |line: &str| seen.iter().find(|s| s.line.starts_with(line)).unwrap().clone();
        assert_eq!(of("PATCH").headers["content-type"], "application/merge-patch+json");
        assert_eq!(of("POST").headers["user-agent"], "test");
        assert_eq!(of("POST").headers["accept"], "application/json");
        assert_eq!(of("DELETE").body["preconditions"]["uid"], "u");
        assert!(seen.iter().any(|s| s.line == format!("PUT {MAPS}/x/status")));
    });
}

#[test]
fn other_bodies_speak_as_upstreams_client_makes_them_speak() {
    #[track_caller]
    fn check(code: u16, headers: &'static [(&'static str, &'static str)], text: &str, expected: &str) {
        let text = text.to_owned();
        let expected = expected.to_owned();
        run(|world| async move {
            world.fake.put("GET", Put::Raw(code, headers, text));
            let error = world.rest.get(&maps(), Some("a"), "x").await.unwrap_err();
            assert_eq!(error.to_string(), expected);
            let status = error.status().unwrap();
            assert_eq!((status.code, status.details.as_ref().unwrap().name.as_str()), (code, "x"));
            assert!(status.has_cause("UnexpectedServerResponse"));
        });
    }
    const HTML: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8")];
    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
    check(
        404,
        &[],
        "404 page not found",
        "the server could not find the requested resource (get configmaps x)",
    );
    check(
        500,
        &[],
        " boom\n",
        "an error on the server (\"boom\") has prevented the request from succeeding (get configmaps x)",
    );
    check(
        502,
        HTML,
        "<b>",
        "an error on the server (\"<b>\") has prevented the request from succeeding (get configmaps x)",
    );
    check(
        500,
        JSON,
        "{\"a\":1}",
        "an error on the server (\"unknown\") has prevented the request from succeeding (get configmaps x)",
    );
    check(403, &[], "not you", "not you (get configmaps x)");
    check(401, &[], "", "the server has asked for the client to provide credentials (get configmaps x)");
    check(409, &[], "", "the server reported a conflict (get configmaps x)");
    check(503, &[], "", "the server is currently unable to handle the request (get configmaps x)");
    check(
        418,
        &[],
        "",
        "the server responded with the status code 418 but did not return more information (get configmaps x)",
    );
}

#[test]
fn a_status_is_taken_at_its_word() {
    run(|world| async move {
        let status = Status { details: None, ..Status::new(418, "Teapot", "I am one") };
        world.fake.put("GET", Put::Status(status.clone()));
        let error = world.rest.get(&maps(), Some("a"), "x").await.unwrap_err();
        assert_eq!(error.status(), Some(&status));
        assert_eq!(error.to_string(), "I am one");
        // A failure that comes with code 200.
        world.fake.put("GET", Put::Raw(200, &[], status.to_value().to_string()));
        assert!(world.rest.get(&maps(), Some("a"), "x").await.unwrap_err().status().is_some());
        // Success in a language that we do not speak.
        world.fake.put("GET", Put::Raw(200, &[], "<html>".into()));
        let error = world.rest.get(&maps(), Some("a"), "x").await.unwrap_err();
        assert!(matches!(error, ClientError::Decode { .. }), "{error}");
        world.fake.put("GET", Put::Raw(200, &[], "{\"kind\":\"ConfigMap\"}".into()));
        let error = world.rest.list(&maps(), None, &ListParams::default()).await.unwrap_err();
        assert!(error.to_string().contains("a list was asked for"), "{error}");
    });
}

#[test]
fn what_cannot_be_asked_is_not_sent() {
    run(|world| async move {
        let rows = [
            ("", "resource name may not be empty"),
            ("a/b", "invalid resource name \"a/b\": [may not contain '/']"),
            ("..", "invalid resource name \"..\": [may not be '..']"),
            ("50%", "invalid resource name \"50%\": [may not contain '%']"),
        ];
        for (name, words) in rows {
            let error = world.rest.get(&maps(), Some("a"), name).await.unwrap_err();
            assert_eq!(error.to_string(), words);
        }
        assert!(world.rest.get(&maps(), Some("a/b"), "x").await.is_err());
        assert!(world.fake.lines().is_empty());
    });
}

#[test]
fn the_server_says_when_to_come_back() {
    run(|world| async move {
        world.fake.write(MAPS, config_map("x", "1"));
        let later: &[(&str, &str)] = &[("retry-after", "7")];
        world.fake.put("GET", Put::Raw(429, later, String::new()));
        world.fake.put("GET", Put::Raw(503, later, String::new()));
        world.rest.get(&maps(), Some("a"), "x").await.unwrap();
        let at: Vec<f64> = world.fake.take_seen().iter().map(|s| s.at.round()).collect();
        assert_eq!(at, [0.0, 7.0, 14.0]);
        // Without the header, or with another code, the answer is the answer.
        world.fake.put("GET", Put::Raw(429, &[], String::new()));
        assert!(world.rest.get(&maps(), Some("a"), "x").await.unwrap_err().is_too_many_requests());
        world.fake.put("GET", Put::Raw(404, later, String::new()));
        assert!(world.rest.get(&maps(), Some("a"), "x").await.is_err());
        // Writes too: the server has not looked at them. Ten times, then it is enough.
        world.fake.take_seen();
        for _ in 0..20 {
            world.fake.put("POST", Put::Raw(429, later, String::new()));
        }
        assert!(world.rest.create(&maps(), Some("a"), &config_map("y", "1")).await.is_err());
        assert_eq!(world.fake.take_seen().len(), 11);
    });
}

#[test]
fn a_limit_of_the_clients_own() {
    run(|world| async move {
        let rest = world.rest.with_timeout(Duration::from_secs(5));
        // Warm, so that the connection is there when the network is not.
        rest.list(&maps(), None, &ListParams::default()).await.unwrap();
        assert_eq!(world.fake.lines(), ["GET /api/v1/configmaps?timeout=5s"]);
        world.sim.cut("client", "server");
        let before = world.host.clock().monotonic();
        let error = rest.get(&maps(), Some("a"), "x").await.unwrap_err();
        assert_eq!(world.host.clock().monotonic().since(before), Duration::from_secs(5));
        let words = format!(
            "Get \"http://server:6443{MAPS}/x?timeout=5s\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        );
        assert_eq!(error.to_string(), words);
        assert!(error.is_timeout() && error.is_transport());
    });
}

#[test]
fn pages_and_their_expiry() {
    run(|world| async move {
        for n in 0..25 {
            world.fake.write(MAPS, config_map(&format!("m{n:02}"), "1"));
        }
        let tens = ListParams { limit: Some(10), ..ListParams::default() };
        let page = world.rest.list(&maps(), None, &tens).await.unwrap();
        assert_eq!((page.items.len(), page.cont.is_empty()), (10, false));
        let all = world.rest.list_all(&maps(), None, &tens).await.unwrap();
        assert_eq!((all.items.len(), all.cont.as_str(), all.resource_version.as_str()), (25, "", "125"));
        world.fake.take_seen();
        world.fake.put("continue=20", Put::Status(expired()));
        let all = world.rest.list_all(&maps(), None, &tens).await.unwrap();
        assert_eq!(all.items.len(), 25);
        let lines = world.fake.lines();
        assert_eq!(lines.last().unwrap(), "GET /api/v1/configmaps", "all in one answer");
        assert_eq!(lines.len(), 4);
    });
}

#[test]
fn modify_tries_again_after_a_conflict() {
    run(|world| async move {
        world.fake.write(MAPS, config_map("x", "0"));
        let add = |object: &mut Value| {
            let n: u32 = object.str_at("/data/k").parse().unwrap();
            object["data"]["k"] = (n + 1).to_string().into();
        };
        let conflict = || Put::Status(Status::modified("configmaps", "x"));
        for _ in 0..4 {
            world.fake.put("PUT", conflict());
        }
        let written = world.rest.modify(&maps(), Some("a"), "x", None, add).await.unwrap();
        assert_eq!(written.str_at("/data/k"), "1");
        for _ in 0..5 {
            world.fake.put("PUT", conflict());
        }
        assert!(world.rest.modify(&maps(), Some("a"), "x", None, add).await.unwrap_err().is_conflict());
    });
}

#[test]
fn raw_judges_nothing() {
    run(|world| async move {
        world.fake.put("GET /version", Put::Raw(418, &[], "tea".into()));
        let (code, body) = world.rest.raw(Method::GET, "/version", None).await.unwrap();
        assert_eq!((code.as_u16(), &body[..]), (418, &b"tea"[..]));
        world.rest.raw(Method::POST, MAPS, Some(&config_map("x", "1"))).await.unwrap();
        assert!(world.fake.object(&format!("{MAPS}/x")).is_some());
    });
}

#[test]
fn many_answers_at_once_are_kept_apart() {
    run(|world: World| async move {
        for n in 0..50 {
            world.fake.write(MAPS, config_map(&format!("m{n}"), &n.to_string()));
        }
        let gets = (0..50).map(|n| {
            let rest = world.rest.clone();
            async move {
                rest.get(&maps(), Some("a"), &format!("m{n}")).await.unwrap().str_at("/data/k").to_owned()
            }
        });
        let got: Vec<String> = futures::future::join_all(gets).await;
        assert_eq!(got, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    });
}

#[test]
fn secrets_are_not_printed() {
    run(|world| async move {
        let rest = fake::rest(&world.host, Auth::bearer("s3cret"));
        rest.list(&maps(), None, &ListParams::default()).await.unwrap();
        assert_eq!(world.fake.seen()[0].headers["authorization"], "Bearer s3cret");
        for text in [
            format!("{rest:?}"),
            format!("{:?}", Auth::bearer("s3cret")),
            format!("{:?}", world.sim.events()),
        ] {
            assert!(!text.contains("s3cret"), "{text}");
        }
        // `jane:s3cret`.
        let rest = fake::rest(&world.host, Auth::basic("jane", "s3cret"));
        rest.list(&maps(), None, &ListParams::default()).await.unwrap();
        assert_eq!(world.fake.seen()[1].headers["authorization"], "Basic amFuZTpzM2NyZXQ=");
        assert!(!format!("{rest:?} {:?}", world.sim.events()).contains("amFuZ"));
        // A token with a line break is no header.
        let error = fake::rest(&world.host, Auth::bearer("a\nb")).get(&maps(), None, "x").await.unwrap_err();
        assert!(matches!(error, ClientError::Credentials(_)), "{error}");
        assert!(!error.to_string().contains('b') || !error.to_string().contains("a\nb"));
    });
}
