//! Create, read, update, patch, delete, through the front door.

use api::object::ObjectExt;
use client::{DeleteParams, Patch, Resource};
use serde_json::{Value, json};

use crate::plane::{ADMIN, BOB, with_plane};

fn config_map(name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "k": value } })
}

#[test]
fn a_config_map_lives_and_dies() {
    with_plane(&[], |plane| async move {
        let (maps, ns) = (Resource::core("configmaps"), Some("default"));
        let made = plane.admin.create(&maps, ns, &config_map("a", "1")).await.unwrap();
        assert_eq!(made.namespace(), "default");
        assert!(!made.uid().is_empty() && !made.resource_version().is_empty());
        let again = plane.admin.create(&maps, ns, &config_map("a", "1")).await.unwrap_err();
        assert_eq!(again.to_string(), "configmaps \"a\" already exists");

        // Writing what is there writes nothing.
        let same = plane.admin.update(&maps, ns, "a", &made).await.unwrap();
        assert_eq!(same.resource_version(), made.resource_version());
        let mut next = made.clone();
        next.set_at("/data/k", "2");
        let changed = plane.admin.update(&maps, ns, "a", &next).await.unwrap();
        assert_ne!(changed.resource_version(), made.resource_version());
        let stale = plane.admin.update(&maps, ns, "a", &made).await.unwrap_err();
        assert_eq!(
            stale.to_string(),
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
        );
        let patch = json!({ "metadata": { "labels": { "x": "y" } }, "data": { "k": null, "n": "3" } });
        let patched = plane.admin.patch(&maps, ns, "a", Patch::Merge(&patch), None).await.unwrap();
        assert_eq!((patched.label("x"), patched["data"].clone()), (Some("y"), json!({ "n": "3" })));
        let patch = json!([{ "op": "test", "path": "/data/n", "value": "no" }]);
        let refused = plane.admin.patch(&maps, ns, "a", Patch::Json(&patch), None).await.unwrap_err();
        assert_eq!(refused.status().map(|s| s.code), Some(422));

        plane.admin.delete(&maps, ns, "a", &DeleteParams::default()).await.unwrap();
        let gone = plane.admin.get(&maps, ns, "a").await.unwrap_err();
        assert_eq!(gone.to_string(), "configmaps \"a\" not found");
    });
}

#[test]
fn finalizers_hold_an_object() {
    with_plane(&[], |plane| async move {
        let (maps, ns) = (Resource::core("configmaps"), Some("default"));
        let mut object = config_map("held", "1");
        object.add_finalizer("example.com/hold");
        plane.admin.create(&maps, ns, &object).await.unwrap();
        plane.admin.delete(&maps, ns, "held", &DeleteParams::default()).await.unwrap();
        let held = plane.admin.get(&maps, ns, "held").await.unwrap();
        assert!(held.is_terminating());
        let patch = json!({ "metadata": { "finalizers": null } });
        plane.admin.patch(&maps, ns, "held", Patch::Merge(&patch), None).await.unwrap();
        assert!(plane.admin.get(&maps, ns, "held").await.unwrap_err().is_not_found());
    });
}

#[test]
fn refusals_have_upstreams_words() {
    with_plane(&[], |plane| async move {
        let check = |token: &'static str,
                     method: &'static str,
                     path: &'static str,
                     body: &'static str,
                     code: u16,
                     words: &'static str| {
            let plane = &plane;
            async move {
                let answer =
                    plane.send(token, method, path, &[("content-type", "application/json")], body).await;
                let message = answer.json().str_at("/message").to_owned();
                assert_eq!((answer.code, message.as_str()), (code, words), "{method} {path}");
            }
        };
        check(ADMIN, "GET", "/api/v1/namespaces/default/pods/p", "", 404, "pods \"p\" not found").await;
        check(
            ADMIN,
            "POST",
            "/api/v1/namespaces/default/configmaps",
            "{",
            400,
            "couldn't get version/kind; json parse error: EOF while parsing an object at line 1 column 1",
        )
        .await;
        check(
            ADMIN,
            "POST",
            "/api/v1/namespaces/nowhere/configmaps",
            r#"{"metadata":{"name":"a"}}"#,
            404,
            "namespaces \"nowhere\" not found",
        )
        .await;
        check(
            ADMIN,
            "POST",
            "/api/v1/namespaces/default/configmaps",
            r#"{"metadata":{"name":"a","namespace":"other"}}"#,
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        )
        .await;
        check(
            BOB,
            "GET",
            "/api/v1/namespaces/default/secrets/s",
            "",
            403,
            "secrets \"s\" is forbidden: User \"bob\" cannot get resource \"secrets\" in API group \"\" in the namespace \"default\"",
        )
        .await;
        check(
            ADMIN,
            "PUT",
            "/api/v1/namespaces",
            "{}",
            405,
            "the server does not allow this method on the requested resource",
        )
        .await;
        check(
            ADMIN,
            "GET",
            "/api/v1/pods?timeout=soon",
            "",
            400,
            "invalid timeout specified in the request URL - time: invalid duration \"soon\"",
        )
        .await;
        let large = format!(r#"{{"data":{{"k":"{}"}}}}"#, "x".repeat(3 << 20));
        let answer = plane.send(ADMIN, "POST", "/api/v1/namespaces/default/configmaps", &[], &large).await;
        assert_eq!(
            (answer.code, answer.json().str_at("/message").to_owned()),
            (413, "Request entity too large: limit is 3145728".to_owned())
        );
        let nowhere = plane.get("/apis/example.com/v1/foos").await;
        assert_eq!((nowhere.code, nowhere.body.as_str()), (404, "404 page not found\n"));
        assert!(nowhere.headers.contains_key("audit-id"));
    });
}

#[test]
fn tables_and_yaml_are_made_on_demand() {
    with_plane(&[], |plane| async move {
        let (maps, ns) = (Resource::core("configmaps"), Some("kube-public"));
        plane.admin.create(&maps, ns, &config_map("a", "1")).await.unwrap();
        let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
        let table =
            plane.send(ADMIN, "GET", "/api/v1/namespaces/kube-public/configmaps", &accept, "").await.json();
        assert_eq!(table.kind(), "Table");
        let columns: Vec<&str> =
            table.list_at("/columnDefinitions").iter().map(|c| c.str_at("/name")).collect();
        assert_eq!(columns, ["Name", "Data", "Age"]);
        assert_eq!(table["rows"][0]["cells"], json!(["a", 1, "0s"]));
        let yaml = plane
            .send(
                ADMIN,
                "GET",
                "/api/v1/namespaces/kube-public/configmaps/a",
                &[("accept", "application/yaml")],
                "",
            )
            .await;
        assert!(yaml.body.contains("kind: ConfigMap"), "{}", yaml.body);
        let yaml = [("content-type", "application/yaml")];
        let made = plane
            .send(
                ADMIN,
                "POST",
                "/api/v1/namespaces/default/configmaps",
                &yaml,
                "metadata:\n  name: fromyaml\ndata:\n  a: b\n",
            )
            .await;
        assert_eq!(made.code, 201, "{}", made.body);
    });
}

#[test]
fn generated_names_pages_and_selectors() {
    with_plane(&[], |plane| async move {
        let (maps, ns) = (Resource::core("configmaps"), Some("kube-node-lease"));
        for n in 0..5 {
            let object = json!({ "metadata": { "generateName": "g-", "labels": { "n": n.to_string() } } });
            let made = plane.admin.create(&maps, ns, &object).await.unwrap();
            assert!(made.name().starts_with("g-") && made.name().len() == 7, "{}", made.name());
        }
        let base = "/api/v1/namespaces/kube-node-lease/configmaps";
        let first = plane.get(&format!("{base}?limit=2")).await.json();
        assert_eq!(first.list_at("/items").len(), 2);
        assert_eq!(first.i64_at("/metadata/remainingItemCount"), Some(3));
        let token = first.str_at("/metadata/continue").to_owned();
        let second = plane.get(&format!("{base}?limit=2&continue={token}")).await.json();
        assert_eq!(second.str_at("/metadata/resourceVersion"), first.str_at("/metadata/resourceVersion"));
        assert_eq!(
            (second.list_at("/items").len(), second.i64_at("/metadata/remainingItemCount")),
            (2, Some(1))
        );
        let some = plane.get(&format!("{base}?labelSelector=n%20in%20(1,3)")).await.json();
        assert_eq!(some.list_at("/items").len(), 2);
        let bad = plane.get(&format!("{base}?fieldSelector=spec.x%3D1")).await;
        assert_eq!(bad.code, 400, "{}", bad.body);
    });
}
