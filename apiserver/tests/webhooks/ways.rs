//! The ways to a webhook and what is left of its words: services, credentials, audit annotations,
//! counters, versions of custom resources.

use std::time::Duration;

use api::object::ObjectExt;
use client::Resource;
use serde_json::{Value, json};
use world::sim::{Config, Sim, run};

use crate::{
    hooks::{Hooks, PORT, SERVICE},
    plane::{ADMIN, Answer, Plane},
    trust::DAY,
};

const NAME: &str = "way.example.com";

async fn create(plane: &Plane, name: &str) -> Answer {
    let object = json!({ "metadata": { "name": name } }).to_string();
    let path = "/api/v1/namespaces/default/configmaps";
    plane.send(ADMIN, "POST", path, &[("content-type", "application/json")], &object).await
}

async fn start(sim: &Sim, flags: &[&str]) -> (Plane, Hooks) {
    let plane = Plane::start(sim, flags).await;
    let hooks = Hooks::start(&sim.host("hook"), 365 * DAY).await;
    (plane, hooks)
}

#[test]
fn a_service_is_called_at_its_endpoints_by_its_name() {
    run(Config::default(), |sim| async move {
        let (plane, hooks) = start(&sim, &[]).await;
        let config = json!({
            "service": { "namespace": "default", "name": "hook", "path": "/way.example.com", "port": 8080 },
            "caBundle": hooks.ca_bundle(),
        });
        let set = json!({ "clientConfig": config });
        hooks.configure(&plane, "validating", "way", vec![hooks.webhook(NAME, &set)]).await;
        let refused = async |name: &str, words: &str| {
            let answer = create(&plane, name).await;
            let expected = format!(
                "Internal error occurred: failed calling webhook \"{NAME}\": failed to call webhook: Post \
                 \"https://{SERVICE}:8080/{NAME}?timeout=10s\": {words}"
            );
            assert_eq!((answer.code, answer.json().str_at("/message")), (500, expected.as_str()));
        };
        refused("a", "service \"hook\" not found").await;
        let ns = Some("default");
        let service = json!({ "metadata": { "name": "hook" }, "spec": { "ports": [{ "port": 8080 }] } });
        plane.admin.create(&Resource::core("services"), ns, &service).await.unwrap();
        let ip = hooks.host.net().address().to_string();
        let mut endpoints = json!({ "metadata": { "name": "hook" }, "subsets": [] });
        plane.admin.create(&Resource::core("endpoints"), ns, &endpoints).await.unwrap();
        sim.elapse(Duration::from_secs(1)).await;
        refused("b", "no endpoints available for service \"hook\"").await;
        let subset = |port: u16| json!([{ "addresses": [{ "ip": ip }], "ports": [{ "port": port }] }]);
        endpoints["subsets"] = subset(9);
        plane.admin.update(&Resource::core("endpoints"), ns, "hook", &endpoints).await.unwrap();
        sim.elapse(Duration::from_secs(1)).await;
        refused("c", &format!("dial tcp {ip}:9: connect: connection refused")).await;
        // The certificate of that port is for another name.
        endpoints["subsets"] = subset(PORT);
        plane.admin.update(&Resource::core("endpoints"), ns, "hook", &endpoints).await.unwrap();
        sim.elapse(Duration::from_secs(1)).await;
        let words =
            format!("tls: failed to verify certificate: x509: certificate is valid for hook, not {SERVICE}");
        refused("d", &words).await;
        endpoints["subsets"] = subset(PORT + 1);
        plane.admin.update(&Resource::core("endpoints"), ns, "hook", &endpoints).await.unwrap();
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(create(&plane, "e").await.code, 201);
        assert_eq!(hooks.asked().last().unwrap().headers["host"], format!("{SERVICE}:8080"));
    })
    .unwrap();
}

#[test]
fn webhooks_are_called_as_the_kubeconfig_says() {
    run(Config::default(), |sim| async move {
        let disk = sim.host("cp").disk().clone();
        disk.create_dir_all("/etc/hooks").unwrap();
        let configuration = "
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: /etc/hooks/validating.conf
- name: MutatingAdmissionWebhook
  path: mutating.yaml
";
        let other = "
apiVersion: apiserver.config.k8s.io/v1
kind: WebhookAdmissionConfiguration
kubeConfigFile: /etc/hooks/mutating.conf
";
        let users = |name: &str, token: &str| {
            format!("apiVersion: v1\nkind: Config\nusers:\n- name: '{name}'\n  user: {{token: {token}}}\n")
        };
        disk.write("/etc/hooks/admission.yaml", configuration, 0o600).unwrap();
        disk.write("/etc/hooks/mutating.yaml", other, 0o600).unwrap();
        disk.write("/etc/hooks/validating.conf", users("hook:8443", "exact"), 0o600).unwrap();
        disk.write("/etc/hooks/mutating.conf", users("*", "anybody"), 0o600).unwrap();
        let flags = ["--admission-control-config-file=/etc/hooks/admission.yaml"];
        let (plane, hooks) = start(&sim, &flags).await;
        for kind in ["mutating", "validating"] {
            hooks.configure(&plane, kind, kind, vec![hooks.webhook(NAME, &Value::Null)]).await;
        }
        assert_eq!(create(&plane, "m").await.code, 201);
        let asked = hooks.asked();
        let shown: Vec<&str> = asked.iter().map(|a| a.headers["authorization"].to_str().unwrap()).collect();
        assert_eq!(shown, ["Bearer anybody", "Bearer exact"]);
        assert_eq!(asked[0].headers["user-agent"], "kube-apiserver-admission");
        assert_eq!(asked[0].headers["content-type"], "application/json");
    })
    .unwrap();
}

#[test]
fn a_bad_configuration_of_plugins_ends_the_start() {
    for (text, words) in [
        (None, "unable to read admission control configuration from \"/etc/admission.yaml\""),
        (Some("apiVersion: v1\nkind: Pod\n"), "no kind \"Pod\" is registered for version \"v1\""),
        (
            Some(
                "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name: ValidatingAdmissionWebhook\n  configuration:\n    apiVersion: apiserver.config.k8s.io/v1\n    kind: WebhookAdmissionConfiguration\n    kubeConfigFile: here.conf\n",
            ),
            "kubeConfigFile: Invalid value: \"here.conf\": must be an absolute file path",
        ),
    ] {
        run(Config::default(), move |sim| async move {
            let host = sim.host("cp");
            host.disk().create_dir_all("/etc").unwrap();
            host.disk().write("/etc/tokens.csv", "", 0o600).unwrap();
            if let Some(text) = text {
                host.disk().write("/etc/admission.yaml", text, 0o600).unwrap();
            }
            let options = crate::plane::options(&["--admission-control-config-file=/etc/admission.yaml"]);
            let error = apiserver::Server::start(&host, options, None).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        })
        .unwrap();
    }
}

const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: None
  users: ['system:apiserver']
- level: Request
  resources: [{group: '', resources: [configmaps]}]
- level: Metadata
  resources: [{group: '', resources: [secrets]}]
";

#[test]
fn the_audit_log_tells_who_changed_what() {
    run(Config::default(), |sim| async move {
        let disk = sim.host("cp").disk().clone();
        disk.create_dir_all("/etc").unwrap();
        disk.write("/etc/policy.yaml", POLICY, 0o644).unwrap();
        let flags = ["--audit-policy-file=/etc/policy.yaml", "--audit-log-path=/var/log/audit.log"];
        let (plane, hooks) = start(&sim, &flags).await;
        let rules = json!({ "rules": [{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["configmaps", "secrets"] }] });
        let patch = json!([{ "op": "add", "path": "/metadata/labels", "value": { "a": "b" } }]);
        hooks.answers("a.example.com", json!({ "allowed": true, "patch": patch,
            "auditAnnotations": { "why": "it is so", "not a key": "x" } }));
        let mut open = rules.clone();
        open["failurePolicy"] = "Ignore".into();
        open["clientConfig"] = json!({ "url": "https://hook:9/x" });
        let list = vec![hooks.webhook("a.example.com", &rules), hooks.webhook("b.example.com", &open)];
        hooks.configure(&plane, "mutating", "m", list).await;
        hooks.configure(&plane, "validating", "v", vec![hooks.webhook("c.example.com", &open)]).await;
        assert_eq!(create(&plane, "m").await.code, 201);
        let secret = json!({ "metadata": { "name": "s" } });
        plane.admin.create(&Resource::core("secrets"), Some("default"), &secret).await.unwrap();

        let text = disk.read_to_string("/var/log/audit.log").unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let notes = |resource: &str| {
            let found = events.iter().find(|e| {
                e["stage"] == "ResponseComplete" && e.str_at("/objectRef/resource") == resource
            });
            let mut notes = found.unwrap()["annotations"].clone();
            notes.as_object_mut().unwrap().retain(|key, _| !key.starts_with("authorization."));
            notes
        };
        let mutated = |index: usize, hook: &str, mutated: bool| {
            let value = json!({ "configuration": "m", "webhook": hook, "mutated": mutated });
            (format!("mutation.webhook.admission.k8s.io/round_0_index_{index}"), value.to_string())
        };
        let mut expected: Value = [
            mutated(0, "a.example.com", true),
            mutated(1, "b.example.com", false),
            ("a.example.com/why".to_owned(), "it is so".to_owned()),
            ("failed-open.mutation.webhook.admission.k8s.io/round_0_index_1".to_owned(), "b.example.com".to_owned()),
            ("failed-open.validating.webhook.admission.k8s.io/round_0_index_0".to_owned(), "c.example.com".to_owned()),
        ]
        .into_iter()
        .collect();
        assert_eq!(notes("secrets"), expected);
        // Who may see the body may see the patch.
        let patch = json!({ "configuration": "m", "webhook": "a.example.com", "patch": patch, "patchType": "JSONPatch" });
        expected["patch.webhook.admission.k8s.io/round_0_index_0"] = patch.to_string().into();
        assert_eq!(notes("configmaps"), expected);
    })
    .unwrap();
}

#[test]
fn what_webhooks_are_asked_is_counted() {
    run(Config::default(), |sim| async move {
        let (plane, hooks) = start(&sim, &[]).await;
        let condition = json!([{ "name": "c", "expression": "object.metadata.name != 'skip'" }]);
        let set = json!({ "matchConditions": condition });
        hooks.configure(&plane, "mutating", "m", vec![hooks.webhook("m.example.com", &set)]).await;
        hooks.configure(&plane, "validating", "v", vec![hooks.webhook("v.example.com", &set)]).await;
        assert_eq!(create(&plane, "skip").await.code, 201);
        assert_eq!(create(&plane, "a").await.code, 201);
        hooks.answers("v.example.com", json!({ "allowed": false, "status": { "code": 403 } }));
        assert_eq!(create(&plane, "b").await.code, 403);
        hooks.answers("m.example.com", json!({ "http": { "code": 503, "body": "" } }));
        assert_eq!(create(&plane, "c").await.code, 500);
        let page = plane.get("/metrics").await.body;
        for line in [
            r#"apiserver_admission_webhook_request_total{code="200",name="m.example.com",operation="CREATE",rejected="false",type="admit"} 2"#,
            r#"apiserver_admission_webhook_request_total{code="503",name="m.example.com",operation="CREATE",rejected="true",type="admit"} 1"#,
            r#"apiserver_admission_webhook_request_total{code="200",name="v.example.com",operation="CREATE",rejected="false",type="validating"} 1"#,
            r#"apiserver_admission_webhook_request_total{code="403",name="v.example.com",operation="CREATE",rejected="true",type="validating"} 1"#,
            r#"apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error",name="m.example.com",operation="CREATE",rejection_code="503",type="admit"} 1"#,
            r#"apiserver_admission_webhook_rejection_count{error_type="no_error",name="v.example.com",operation="CREATE",rejection_code="403",type="validating"} 1"#,
            r#"apiserver_admission_webhook_admission_duration_seconds_count{name="m.example.com",operation="CREATE",rejected="false",type="admit"} 2"#,
            r#"apiserver_admission_match_condition_exclusions_total{kind="webhook",name="m.example.com",operation="CREATE",type="admit"} 1"#,
            r#"apiserver_admission_match_condition_exclusions_total{kind="webhook",name="v.example.com",operation="CREATE",type="validate"} 1"#,
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is missing");
        }
    })
    .unwrap();
}

#[test]
fn a_custom_resource_is_shown_in_the_version_that_is_asked_for() {
    run(Config::default(), |sim| async move {
        let (plane, hooks) = start(&sim, &[]).await;
        let version = |name: &str, storage: bool| {
            json!({ "name": name, "served": true, "storage": storage, "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "spec": { "type": "object", "properties": {
                    "size": { "type": "integer" }, "kind": { "type": "string", "default": "plain" } } } } } } })
        };
        let definition = json!({
            "metadata": { "name": "boxes.example.com" },
            "spec": { "group": "example.com", "scope": "Namespaced", "names": { "plural": "boxes", "kind": "Box" },
                "versions": [version("v1", true), version("v2", false)] },
        });
        let definitions = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        plane.admin.create(&definitions, None, &definition).await.unwrap();
        let set = json!({ "rules": [{ "operations": ["CREATE"], "apiGroups": ["example.com"], "apiVersions": ["v2"],
            "resources": ["boxes"] }] });
        let patch = json!([{ "op": "add", "path": "/spec/size", "value": 3 }, { "op": "add", "path": "/spec/odd", "value": 1 }]);
        hooks.answers(NAME, json!({ "allowed": true, "patch": patch }));
        hooks.configure(&plane, "mutating", "way", vec![hooks.webhook(NAME, &set)]).await;
        sim.elapse(Duration::from_secs(1)).await;
        let object = json!({ "apiVersion": "example.com/v1", "kind": "Box", "metadata": { "name": "b" }, "spec": {} });
        let boxes = Resource::new("example.com", "v1", "boxes");
        let made = plane.admin.create(&boxes, Some("default"), &object).await.unwrap();
        assert_eq!((made.api_version(), &made["spec"]), ("example.com/v1", &json!({ "kind": "plain", "size": 3 })));
        let asked = hooks.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].review.str_at("/request/object/apiVersion"), "example.com/v2");
        assert_eq!(asked[0].review.str_at("/request/requestKind/version"), "v1");
    })
    .unwrap();
}
