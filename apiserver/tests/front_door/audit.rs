//! The audit log, as a file on the server's host.

use std::time::Duration;

use apiserver::Server;
use client::Resource;
use serde_json::{Value, json};
use world::sim::{Config, Sim, run};

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
        assert_eq!(complete["responseObject"]["metadata"]["name"], "m");
        assert_eq!(complete["responseObject"]["metadata"].get("managedFields"), None);
        assert_eq!(complete["annotations"]["authorization.k8s.io/decision"], "allow");
        assert!(complete["requestReceivedTimestamp"].as_str().unwrap().ends_with('Z'));
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
