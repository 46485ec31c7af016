//! Requests whose shape is the attack: paths that look like others, heads that are too large.

use serde_json::{Value, json};

use crate::gear::{Caller, attack, tally};

#[test]
fn attack_by_paths_that_look_like_others() {
    attack(|gear| async move {
        let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]);
        gear.grant("pods", "bob", rules).await;
        let secret = json!({"metadata": {"name": "crown"}, "stringData": {"jewels": "sparkle"}});
        gear.make("/api/v1/namespaces/default/secrets", secret).await;
        gear.settle().await;
        let (bob, admin) = (Caller::token("bob-token"), gear.admin());
        let straight = "/api/v1/namespaces/default/secrets/crown";
        // The twins: what bob may read, and that the secret is there to be read.
        assert_eq!(gear.get(&bob, "/api/v1/namespaces/default/pods").await.code, 200);
        assert!(gear.get(&admin, straight).await.body.contains("jewels"));
        let mut answers = Vec::new();
        for path in [
            straight,
            "/api/v1/namespaces/default/secrets/crown/",
            "/api/v1/namespaces/default/secrets//crown",
            "//api/v1/namespaces/default/secrets/crown",
            "/api//v1/namespaces/default/secrets/crown",
            "/api/v1/namespaces/default/pods/../secrets/crown",
            "/api/v1/namespaces/default/pods/..%2fsecrets%2fcrown",
            "/api/v1/namespaces/default/pods/%2e%2e/secrets/crown",
            "/api/v1/namespaces/default/pods/%2E%2E/secrets/crown",
            "/api/v1/namespaces/default/pods/./../secrets/crown",
            "/api/v1/namespaces/default/%73ecrets/crown",
            "/api/v1/namespaces/default/secrets/cro%77n",
            "/api/v1/namespaces/default/SECRETS/crown",
            "/API/V1/namespaces/default/secrets/crown",
            "/api/v1/namespaces/default/pods;/../secrets/crown",
            "/api/v1/namespaces/default/pods/%00/../../secrets/crown",
            "/api/v1/namespaces/default%2fsecrets%2fcrown",
            "/api/v1/namespaces/default/pods%2f..%2fsecrets/crown",
            "/healthz/../api/v1/namespaces/default/secrets/crown",
            "/version/../api/v1/namespaces/default/secrets/crown",
            "/openapi/v2/../../api/v1/namespaces/default/secrets/crown",
            "/api/v1/watch/namespaces/default/secrets/crown",
            "/api/v1/namespaces/default/pods/x/proxy/../../../secrets/crown",
            "/api/v1/namespaces/default/pods?fieldSelector=metadata.name%3Dcrown&resource=secrets",
            "/./api/v1/namespaces/default/secrets/crown",
            "/../api/v1/namespaces/default/secrets/crown",
            "/api/v1/../v1/namespaces/default/secrets/crown",
        ] {
            for method in ["GET", "HEAD"] {
                let answer = gear.send(&bob, method, path, &Value::Null).await;
                assert!(!answer.body.contains("jewels"), "{method} {path} gave the secret away");
                if !path.contains('?') {
                    assert!(
                        answer.code >= 300 && answer.code < 500,
                        "{method} {path} was answered with {}: {}",
                        answer.code,
                        answer.body
                    );
                }
                answers.push((path.to_owned(), answer.code));
            }
        }
        let counts = tally(&answers);
        assert!(counts.get(&403).is_some_and(|n| *n > 6), "most are refused as what they are: {counts:?}");
    });
}

#[test]
fn attack_on_health_pages_that_everybody_may_read() {
    attack(|gear| async move {
        let nobody = Caller::nobody();
        assert_eq!(gear.get(&nobody, "/healthz").await.code, 200);
        for path in
            ["/HEALTHZ", "//healthz", "/healthz/../metrics", "/healthz/%2e%2e/metrics", "/metrics", "/logs/"]
        {
            let answer = gear.get(&nobody, path).await;
            assert!(matches!(answer.code, 301 | 302 | 307 | 403 | 404), "{path}: {}", answer.code);
        }
        assert_eq!(gear.get(&gear.admin(), "/metrics").await.code, 200);
    });
}

#[test]
fn attack_by_heads_that_are_too_large() {
    attack(|gear| async move {
        let bob = |size: usize| {
            let long = "a".repeat(size);
            Caller::token("bob-token").saying(&[("X-Long", &long)])
        };
        assert_eq!(gear.get(&bob(64 << 10), "/version").await.code, 200);
        let connection = gear.connection(&Caller::nobody());
        let ask = async |size: usize| {
            let caller = bob(size);
            let mut request = http::Request::get("/version");
            for (name, value) in &caller.headers {
                request = request.header(name.as_str(), value.as_str());
            }
            connection.send(request.body(wire::body::empty()).unwrap()).await
        };
        // Refused by number, or the connection is closed: nothing is ever worked on.
        match ask(2 << 20).await {
            Ok(answer) => assert_eq!(answer.status().as_u16(), 431),
            Err(error) => assert!(!error.is_timeout(), "{error}"),
        }
        // Many small ones.
        let many: Vec<(String, String)> = (0..40_000).map(|i| (format!("x-{i}"), "a".repeat(32))).collect();
        let flood = Caller { headers: many, ..Caller::token("bob-token") };
        let mut request = http::Request::get("/version");
        for (name, value) in flood.headers.iter().take(20_000) {
            request = request.header(name.as_str(), value.as_str());
        }
        match gear.connection(&Caller::nobody()).send(request.body(wire::body::empty()).unwrap()).await {
            Ok(answer) => assert_eq!(answer.status().as_u16(), 431),
            Err(error) => assert!(!error.is_timeout(), "{error}"),
        }
        // Everybody else is served as before.
        assert_eq!(gear.get(&bob(1), "/version").await.code, 200);
        // A body that is too large is refused before it is read.
        let huge = json!({"metadata": {"name": "a"}, "data": {"a": "b".repeat(4 << 20)}});
        let answer = gear.send(&gear.admin(), "POST", "/api/v1/namespaces/default/configmaps", &huge).await;
        assert_eq!(answer.code, 413, "{}", answer.body);
    });
}
