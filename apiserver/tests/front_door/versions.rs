//! Custom kinds in several versions: by name only, and by a webhook.

use std::{sync::Arc, time::Duration};

use api::object::{ObjectExt, base64};
use client::{ListParams, Patch, Resource};
use http::{Request, Response};
use parking_lot::Mutex;
use pki::{Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey, ServerTls, StaticIdentity};
use serde_json::{Value, json};
use wire::{Body, Peer, ServeOptions, Server, body};
use world::Host;

use crate::plane::{ADMIN, Plane, with_plane};

const TURN: Duration = Duration::from_secs(1);
const JSON: (&str, &str) = ("content-type", "application/json");
const PATH: &str = "/apis/example.com/v1/namespaces/default/gauges";

fn definitions() -> Resource {
    Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

fn gauges(version: &'static str) -> Resource {
    Resource::new("example.com", version, "gauges")
}

fn version(name: &str, storage: bool, spec: Value) -> Value {
    json!({ "name": name, "served": true, "storage": storage, "subresources": { "status": {} },
        "schema": { "openAPIV3Schema": { "type": "object", "properties": {
            "spec": spec, "status": { "type": "object", "properties": { "seen": { "type": "integer" } } } } } } })
}

fn definition(conversion: Value) -> Value {
    let old = json!({ "type": "object", "properties": { "hostPort": { "type": "string" } } });
    let new = json!({ "type": "object",
        "properties": { "host": { "type": "string" }, "port": { "type": "string" }, "mode": { "type": "string", "default": "fast" } },
        "x-kubernetes-validations": [
            { "rule": "!has(self.port) || self.port.matches('^[0-9]+$')", "message": "port must be a number", "fieldPath": ".port" },
            { "rule": "!has(oldSelf.host) || has(self.host) && self.host == oldSelf.host", "messageExpression": "'host stays ' + oldSelf.host" },
        ] });
    let mut beta = version("v1beta1", false, old);
    beta["deprecated"] = true.into();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "gauges.example.com" },
        "spec": { "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "gauges", "kind": "Gauge" },
            "conversion": conversion,
            "versions": [version("v1", true, new), beta] },
    })
}

fn gauge(version: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": format!("example.com/{version}"), "kind": "Gauge", "metadata": { "name": name }, "spec": spec })
}

async fn define(plane: &Plane, definition: &Value) {
    plane.admin.create(&definitions(), None, definition).await.unwrap();
    plane.sim.elapse(TURN).await;
}

#[test]
fn a_version_shows_what_its_schema_knows() {
    with_plane(&[], |plane| async move {
        define(&plane, &definition(json!({ "strategy": "None" }))).await;
        let ns = Some("default");
        plane
            .admin
            .create(&gauges("v1beta1"), ns, &gauge("v1beta1", "a", json!({ "hostPort": "h:1" })))
            .await
            .unwrap();
        // Stored under the other version's schema, which knows no such field.
        let seen = plane.admin.get(&gauges("v1"), ns, "a").await.unwrap();
        assert_eq!(seen["spec"], json!({ "mode": "fast" }));
        let listed = plane.admin.list(&gauges("v1"), ns, &ListParams::default()).await.unwrap();
        assert_eq!(listed.items[0]["spec"], json!({ "mode": "fast" }));
        let beta = plane.get("/apis/example.com/v1beta1/gauges").await;
        assert_eq!(beta.headers["warning"], "299 - \"example.com/v1beta1 Gauge is deprecated\"");
        assert_eq!(plane.get("/apis/example.com/v1/gauges").await.headers.get("warning"), None);
    });
}

#[test]
fn a_write_brings_an_object_to_the_version_of_the_store() {
    with_plane(&[], |plane| async move {
        let (resource, ns) = (definitions(), Some("default"));
        let mut first = definition(json!({ "strategy": "None" }));
        first.set_at("/spec/versions/0/storage", false);
        first.set_at("/spec/versions/1/storage", true);
        define(&plane, &first).await;
        let made = plane.admin.create(&gauges("v1"), ns, &gauge("v1", "a", json!({}))).await.unwrap();
        let mut held = plane.admin.get(&resource, None, "gauges.example.com").await.unwrap();
        assert_eq!(held["status"]["storedVersions"], json!(["v1beta1"]));
        held.set_at("/spec/versions/0/storage", true);
        held.set_at("/spec/versions/1/storage", false);
        plane.admin.update(&resource, None, "gauges.example.com", &held).await.unwrap();
        plane.sim.elapse(TURN).await;
        let held = plane.admin.get(&resource, None, "gauges.example.com").await.unwrap();
        assert_eq!(held["status"]["storedVersions"], json!(["v1beta1", "v1"]));
        // Nothing changes but the form in which it is stored; after that nothing changes at all.
        let nothing = json!({});
        let migrated = plane.admin.patch(&gauges("v1"), ns, "a", Patch::Merge(&nothing), None).await.unwrap();
        assert_ne!(migrated.resource_version(), made.resource_version());
        let again = plane.admin.patch(&gauges("v1"), ns, "a", Patch::Merge(&nothing), None).await.unwrap();
        assert_eq!(again.resource_version(), migrated.resource_version());
        let mut without = held.clone();
        without.set_at("/spec/versions", json!([held["spec"]["versions"][0]]));
        let refused = plane.admin.update(&resource, None, "gauges.example.com", &without).await.unwrap_err();
        assert!(
            refused.to_string().contains(
                "status.storedVersions[0]: Invalid value: \"v1beta1\": must appear in spec.versions"
            ),
            "{refused}"
        );
    });
}

#[test]
fn rules_hold_and_say_what_is_wrong() {
    with_plane(&[], |plane| async move {
        define(&plane, &definition(json!({ "strategy": "None" }))).await;
        let ns = Some("default");
        let refused = plane
            .admin
            .create(&gauges("v1"), ns, &gauge("v1", "a", json!({ "port": "x" })))
            .await
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Gauge.example.com \"a\" is invalid: spec.port: Invalid value: port must be a number"
        );
        plane.admin.create(&gauges("v1"), ns, &gauge("v1", "a", json!({ "host": "h" }))).await.unwrap();
        let change = json!({ "spec": { "host": "other" } });
        let refused =
            plane.admin.patch(&gauges("v1"), ns, "a", Patch::Merge(&change), None).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Gauge.example.com \"a\" is invalid: spec: Invalid value: host stays h"
        );
        let body = r#"{"apiVersion":"example.com/v1","kind":"Gauge","metadata":{"name":"b"},"spec":{"host":"a","host":"b","odd":1}}"#;
        let strict =
            plane.send(ADMIN, "POST", &format!("{PATH}?fieldValidation=Strict"), &[JSON], body).await;
        assert_eq!(
            (strict.code, strict.json().str_at("/message")),
            (
                400,
                "Gauge in version \"v1\" cannot be handled as a Gauge: strict decoding error: duplicate field \"spec.host\", unknown field \"spec.odd\""
            )
        );
        let warned = plane.send(ADMIN, "POST", PATH, &[JSON], body).await;
        let warnings: Vec<&str> =
            warned.headers.get_all("warning").iter().map(|w| w.to_str().unwrap()).collect();
        assert_eq!(
            (warned.code, warnings),
            (
                201,
                vec![
                    "299 - \"duplicate field \\\"spec.host\\\"\"",
                    "299 - \"unknown field \\\"spec.odd\\\"\""
                ]
            )
        );
        let bad = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "bads.example.com" }, "spec": { "group": "example.com", "scope": "Cluster",
            "names": { "plural": "bads", "kind": "Bad" }, "versions": [{ "name": "v1", "served": true, "storage": true,
            "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-validations": [{ "rule": "self.spec > 1" }] } } }] } });
        let refused = plane.admin.create(&definitions(), None, &bad).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "CustomResourceDefinition.apiextensions.k8s.io \"bads.example.com\" is invalid: spec.validation.openAPIV3Schema.x-kubernetes-validations[0].rule: Invalid value: {\"rule\":\"self.spec > 1\"}: compilation failed: ERROR: <input>:1:5: undefined field 'spec'\n | self.spec > 1\n | ....^"
        );
    });
}

/// A webhook on a host of its own that splits `hostPort` and joins it again; the certificate authority's PEM.
async fn webhook(host: &Host, broken: Arc<Mutex<Option<&'static str>>>) -> String {
    let now = host.clock().wall();
    let end = now + Duration::from_secs(86_400);
    let authority =
        Authority::new_root(host.entropy(), KeyAlgorithm::EcdsaP256, "hook", &[], now, end).unwrap();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let spec = CertSpec {
        common_name: "hook".to_owned(),
        organizations: vec![],
        dns_names: vec!["hook".to_owned(), "hook.default.svc".to_owned()],
        ips: vec![host.net().address()],
        client_auth: false,
        server_auth: true,
        not_before: now,
        not_after: end,
    };
    let leaf = authority.issue(host.entropy(), &spec, &key.public()).unwrap();
    let identity = Arc::new(StaticIdentity::new(&CertifiedKey::new(vec![leaf], key).unwrap()).unwrap());
    let config = ServerTls::new(host).default_cert(identity).config();
    let listener = host.net().listen("0.0.0.0:8443".parse().unwrap()).await.unwrap();
    let handler = move |_: Arc<Peer>, request: Request<Body>| {
        let broken = *broken.lock();
        async move { answer(request, broken).await }
    };
    Server::spawn(host, listener, ServeOptions::tls(move || config.clone()), Arc::new(handler));
    base64(authority.certificate.to_pem().as_bytes())
}

async fn answer(request: Request<Body>, broken: Option<&'static str>) -> Response<Body> {
    let bytes = body::collect(request.into_body(), 1 << 20).await.unwrap();
    let review: Value = serde_json::from_slice(&bytes).unwrap();
    if broken == Some("code") {
        let mut response = Response::new(body::full("out of order"));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    }
    let desired = review.str_at("/request/desiredAPIVersion");
    let mut objects = Vec::new();
    for object in review.list_at("/request/objects") {
        let mut object = object.clone();
        object["apiVersion"] = desired.into();
        let spec = object["spec"].clone();
        object["spec"] = if desired.ends_with("/v1") {
            let (host, port) = spec.str_at("/hostPort").split_once(':').unwrap_or_default();
            json!({ "host": host, "port": port })
        } else {
            json!({ "hostPort": format!("{}:{}", spec.str_at("/host"), spec.str_at("/port")) })
        };
        if broken == Some("name") {
            object.set_name("other");
        }
        objects.push(object);
    }
    let mut result = json!({ "status": "Success" });
    if broken == Some("refuses") {
        result = json!({ "status": "Failure", "message": "I do not know this" });
    }
    let answer = json!({ "apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": {
        "uid": review["request"]["uid"], "result": result, "convertedObjects": objects } });
    Response::new(body::full(answer.to_string()))
}

#[test]
fn a_webhook_converts() {
    with_plane(&[], |plane| async move {
        let broken: Arc<Mutex<Option<&'static str>>> = Arc::default();
        let ca = webhook(&plane.sim.host("hook"), broken.clone()).await;
        let conversion = json!({ "strategy": "Webhook", "webhook": { "conversionReviewVersions": ["v1"],
            "clientConfig": { "url": "https://hook:8443/convert", "caBundle": ca } } });
        define(&plane, &definition(conversion)).await;
        let ns = Some("default");
        let beta = gauges("v1beta1");
        let mut object = gauge("v1beta1", "a", json!({ "hostPort": "h:1" }));
        object.set_at("/metadata/labels", json!({ "app": "x" }));
        let made = plane.admin.create(&beta, ns, &object).await.unwrap();
        assert_eq!(
            (made.api_version(), &made["spec"]),
            ("example.com/v1beta1", &json!({ "hostPort": "h:1" }))
        );
        let shown = json!({ "host": "h", "port": "1", "mode": "fast" });
        let v1 = plane.admin.get(&gauges("v1"), ns, "a").await.unwrap();
        assert_eq!((v1.uid(), &v1["spec"]), (made.uid(), &shown));
        // Both ways, by get, list (with a selector), patch and watch.
        plane
            .admin
            .create(&gauges("v1"), ns, &gauge("v1", "b", json!({ "host": "i", "port": "2" })))
            .await
            .unwrap();
        let back = plane.admin.get(&beta, ns, "b").await.unwrap();
        assert_eq!(back["spec"], json!({ "hostPort": "i:2" }));
        let all = plane.admin.list(&beta, ns, &ListParams::default()).await.unwrap();
        let specs: Vec<&Value> = all.items.iter().map(|o| &o["spec"]["hostPort"]).collect();
        assert_eq!(specs, ["h:1", "i:2"]);
        let selected = plane.get("/apis/example.com/v1beta1/gauges?labelSelector=app%3Dx").await.json();
        assert_eq!(selected["items"].as_array().map(Vec::len), Some(1));
        let change = json!({ "spec": { "hostPort": "h:3" } });
        plane.admin.patch(&beta, ns, "a", Patch::Merge(&change), None).await.unwrap();
        let v1 = plane.admin.get(&gauges("v1"), ns, "a").await.unwrap();
        assert_eq!((v1.at("/spec/port"), v1.generation()), (Some(&json!("3")), 2));
        let path = format!(
            "/apis/example.com/v1beta1/gauges?watch=1&resourceVersion={}&timeoutSeconds=1",
            made.resource_version()
        );
        let events = plane.get(&path).await.body;
        let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let seen: Vec<(&str, &str)> =
            events.iter().map(|e| (e.str_at("/type"), e.str_at("/object/spec/hostPort"))).collect();
        assert_eq!(seen, [("ADDED", "i:2"), ("MODIFIED", "h:3")]);
        plane.admin.delete(&beta, ns, "b", &client::DeleteParams::default()).await.unwrap();
        // What a webhook does wrong is told to who asked, and hurts nobody else.
        for (what, words) in [
            (
                "code",
                "conversion webhook for example.com/v1, Kind=Gauge failed: an error on the server (\"out of order\") has prevented the request from succeeding",
            ),
            ("refuses", "conversion webhook for example.com/v1, Kind=Gauge failed: I do not know this"),
            (
                "name",
                "conversion webhook for example.com/v1, Kind=Gauge returned invalid object: must have the same name: a != other",
            ),
        ] {
            *broken.lock() = Some(what);
            // A change makes the cached form void.
            let touch = json!({ "metadata": { "annotations": { "turn": what } } });
            plane.admin.patch(&gauges("v1"), ns, "a", Patch::Merge(&touch), None).await.unwrap();
            let refused = plane.get("/apis/example.com/v1beta1/namespaces/default/gauges/a").await;
            assert_eq!((refused.code, refused.json().str_at("/message")), (500, words));
            assert_eq!(plane.get("/apis/example.com/v1/gauges").await.code, 200);
        }
        *broken.lock() = None;
        assert_eq!(plane.get("/apis/example.com/v1beta1/namespaces/default/gauges/a").await.code, 200);
    });
}
