//! Discovery as clients find it, in both forms.

use api::object::ObjectExt;
use serde_json::{Value, json};

use crate::plane::{ADMIN, BOB, with_plane};

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const BETA: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

fn row<'v>(list: &'v Value, field: &str, name: &str) -> &'v Value {
    let found = list.as_array().unwrap().iter().find(|row| row[field] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {list}"))
}

#[test]
fn each_group_and_version_has_a_document() {
    with_plane(&[], |plane| async move {
        let api = plane.get("/api").await.json();
        assert_eq!((api.kind(), &api["versions"]), ("APIVersions", &json!(["v1"])));
        let groups = plane.get("/apis").await.json();
        assert_eq!(groups.kind(), "APIGroupList");
        assert_eq!(groups["groups"][0]["name"], "apiregistration.k8s.io");
        let autoscaling = row(&groups["groups"], "name", "autoscaling");
        assert_eq!(
            autoscaling["preferredVersion"],
            json!({"groupVersion": "autoscaling/v2", "version": "v2"})
        );
        let group = plane.get("/apis/apps").await.json();
        assert_eq!((group.kind(), group["name"].as_str()), ("APIGroup", Some("apps")));
        let core = plane.get("/api/v1").await.json();
        assert_eq!(core.get("apiVersion"), None);
        assert_eq!(row(&core["resources"], "name", "pods")["shortNames"], json!(["po"]));
        assert_eq!(row(&core["resources"], "name", "pods/eviction")["group"], "policy");
        let apps = plane.get("/apis/apps/v1").await.json();
        let deployments = row(&apps["resources"], "name", "deployments");
        // The hash that a real server shows.
        assert_eq!(deployments["storageVersionHash"], "8aSe+NMegvE=");
        assert_eq!(row(&apps["resources"], "name", "deployments/scale")["kind"], "Scale");
        for path in ["/apis/nothing.example.com", "/apis/apps/v9", "/api/v2"] {
            let answer = plane.get(path).await;
            assert_eq!((answer.code, answer.body.as_str()), (404, "404 page not found\n"), "{path}");
        }
        // Discovery is for everybody who is somebody.
        assert_eq!(plane.send(BOB, "GET", "/apis", &[], "").await.code, 200);
        assert_eq!(plane.send("", "GET", "/apis", &[], "").await.code, 403);
    });
}

#[test]
fn aggregated_discovery_is_one_document_with_an_etag() {
    with_plane(&[], |plane| async move {
        let check = |accept: &'static str, version: &'static str| {
            let plane = &plane;
            async move {
                let answer = plane.send(ADMIN, "GET", "/apis", &[("accept", accept)], "").await;
                let document = answer.json();
                assert_eq!(document.api_version(), format!("apidiscovery.k8s.io/{version}"));
                let media =
                    format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
                assert_eq!(answer.headers["content-type"], media.as_str());
                assert_eq!(answer.headers["vary"], "Accept");
                let apps = document["items"].as_array().unwrap().iter().find(|g| g.name() == "apps").unwrap();
                let deployments = row(&apps["versions"][0]["resources"], "resource", "deployments");
                assert_eq!(deployments["scope"], "Namespaced");
                assert_eq!(
                    row(&deployments["subresources"], "subresource", "scale")["responseKind"]["kind"],
                    "Scale"
                );
                let etag = answer.headers["etag"].to_str().unwrap().to_owned();
                let headers = [("accept", accept), ("if-none-match", etag.as_str())];
                let again = plane.send(ADMIN, "GET", "/apis", &headers, "").await;
                assert_eq!((again.code, again.body.as_str()), (304, ""));
            }
        };
        check(V2, "v2").await;
        check(BETA, "v2beta1").await;
        let core = plane.send(ADMIN, "GET", "/api", &[("accept", V2)], "").await.json();
        assert_eq!(core["items"].as_array().unwrap().len(), 1);
        assert_eq!(
            row(&core["items"][0]["versions"][0]["resources"], "resource", "pods")["responseKind"]["kind"],
            "Pod"
        );
    });
}

#[test]
fn version_and_index() {
    with_plane(&["--kubernetes-version=1.32.4"], |plane| async move {
        assert_eq!(plane.get("/version").await.json()["gitVersion"], "v1.32.4");
        let paths = plane.get("/").await.json();
        let paths = paths["paths"].as_array().unwrap();
        for path in
            ["/api", "/api/v1", "/apis/apps/v1", "/openapi/v2", "/openapi/v3/api/v1", "/readyz", "/version"]
        {
            assert!(paths.iter().any(|p| p == path), "{path} is not in {paths:?}");
        }
    });
}
