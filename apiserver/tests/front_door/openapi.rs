//! OpenAPI documents, and the validation of fields that goes with them.

use serde_json::{Value, json};

use crate::plane::{ADMIN, with_plane};

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const OLD_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

#[test]
fn a_document_is_kept_by_its_hash() {
    with_plane(&[], |plane| async move {
        let index = plane.get("/openapi/v3").await.json();
        let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
        let answer = plane.get(&url).await;
        assert_eq!(answer.headers["cache-control"], "public, immutable");
        let document = answer.json();
        let schemas = &document["components"]["schemas"];
        assert!(schemas["io.k8s.api.apps.v1.DeploymentStrategy"]["properties"]["rollingUpdate"].is_object());
        let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert_eq!(
            patch["x-kubernetes-group-version-kind"],
            json!({"group": "apps", "version": "v1", "kind": "Deployment"})
        );
        let names: Vec<&Value> = patch["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
        for name in ["dryRun", "fieldManager", "fieldValidation", "force"] {
            assert!(names.iter().any(|n| *n == name), "{name} is not in {names:?}");
        }
        // An old hash leads to the new one; without a hash nothing is promised.
        let old = plane.get("/openapi/v3/apis/apps/v1?hash=OLD").await;
        assert_eq!((old.code, old.headers["location"].to_str().unwrap()), (301, url.as_str()));
        let plain = plane.get("/openapi/v3/apis/apps/v1").await;
        assert_eq!(plain.headers["cache-control"], "no-cache, private");
        let etag = plain.headers["etag"].to_str().unwrap().to_owned();
        let again =
            plane.send(ADMIN, "GET", "/openapi/v3/apis/apps/v1", &[("if-none-match", &etag)], "").await;
        assert_eq!(again.code, 304);
        assert_eq!(plane.get("/openapi/v3/apis/none/v1").await.code, 404);
    });
}

#[test]
fn v2_comes_in_json_and_protobuf() {
    with_plane(&[], |plane| async move {
        let json = plane.get("/openapi/v2").await;
        let document = json.json();
        assert_eq!(document["swagger"], "2.0");
        let containers = &document["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["items"]["$ref"], "#/definitions/io.k8s.api.core.v1.Container");
        for accept in [PROTOBUF, OLD_PROTOBUF] {
            let answer = plane.send(ADMIN, "GET", "/openapi/v2", &[("accept", accept)], "").await;
            assert_eq!(answer.headers["content-type"], PROTOBUF);
            assert!(answer.body.starts_with("\u{a}\u{3}2.0"), "the first field is the version");
        }
        assert_eq!(plane.send(ADMIN, "GET", "/openapi/v2", &[("accept", "text/html")], "").await.code, 406);
    });
}

#[test]
fn unknown_fields_are_refused_named_or_dropped() {
    with_plane(&[], |plane| async move {
        let check =
            |query: &'static str, body: Value, code: u16, message: &'static str, warning: &'static str| {
                let plane = &plane;
                async move {
                    let path = format!("/api/v1/namespaces/default/configmaps?dryRun=All&{query}");
                    let headers = [("content-type", "application/json")];
                    let answer = plane.send(ADMIN, "POST", &path, &headers, &body.to_string()).await;
                    let found = answer.json();
                    assert_eq!(answer.code, code, "{found}");
                    assert_eq!(found["message"].as_str().unwrap_or_default(), message);
                    let warned = answer.headers.get("warning").map_or("", |w| w.to_str().unwrap());
                    assert_eq!(warned, warning);
                    // Kept it is never.
                    assert_eq!(found.get("odd"), None);
                }
            };
        let odd = json!({"metadata": {"name": "a"}, "odd": 1, "data": {"k": "v"}});
        let words = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"odd\"";
        check("fieldValidation=Strict", odd.clone(), 400, words, "").await;
        check("fieldValidation=Warn", odd.clone(), 201, "", "299 - \"unknown field \\\"odd\\\"\"").await;
        check("", odd.clone(), 201, "", "299 - \"unknown field \\\"odd\\\"\"").await;
        check("fieldValidation=Ignore", odd, 201, "", "").await;
        let wrong = json!({"metadata": {"name": "a"}, "data": {"k": 1}});
        let words = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string";
        check("fieldValidation=Ignore", wrong, 400, words, "").await;
    });
}
