//! What no apply may say, nor another patch.

use serde_json::{Value, json};

use super::{APPLY, JSON_PATCH, MAPS, MERGE, deployment, map};
use crate::plane::{BOB, with_plane};

#[test]
fn what_no_apply_may_say() {
    with_plane(&[], |plane| async move {
        let at = |query: &str| format!("{MAPS}/a{query}");
        plane
            .check_refused(
                APPLY,
                &at(""),
                map("a", json!({})),
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
            )
            .await;
        plane
            .check_refused(
                MERGE,
                &at("?force=true"),
                json!({}),
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
            )
            .await;
        let me = "?fieldManager=me";
        let mut given = map("a", json!({}));
        given["metadata"]["managedFields"] = json!([]);
        plane.check_refused(APPLY, &at(me), given, 400, "metadata.managedFields must be nil").await;
        plane
            .check_refused(
                APPLY,
                &at(me),
                deployment(json!({})),
                400,
                "invalid object type: apps/v1, Kind=Deployment",
            )
            .await;
        plane
            .check_refused(
                APPLY,
                &at(me),
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "dta": {} }),
                500,
                "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .dta: field not declared in schema",
            )
            .await;
        let mut named = map("b", json!({}));
        plane
            .check_refused(
                APPLY,
                &at(me),
                named.clone(),
                400,
                "the name of the object (b) does not match the name on the URL (a)",
            )
            .await;
        named = map("a", json!({}));
        named["metadata"]["uid"] = "u".into();
        plane
            .check_refused(
                APPLY,
                &at(me),
                named,
                409,
                "Operation cannot be fulfilled on configmaps \"a\": uid mismatch: the provided object specified uid u, and no existing object was found",
            )
            .await;
        for media in ["application/apply-patch+cbor", "application/json", ""] {
            plane
                .check_refused(
                    media,
                    &at(me),
                    json!({}),
                    415,
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
                )
                .await;
        }
        let operations = Value::Array(vec![json!({ "op": "add", "path": "/data/a", "value": "1" }); 10_001]);
        plane.post(MAPS, "x/1", map("a", json!({ "a": "1" }))).await;
        plane
            .check_refused(
                JSON_PATCH,
                &at(""),
                operations,
                413,
                "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
            )
            .await;
        // A create by apply is a create.
        let answer = plane
            .send(BOB, "PATCH", &at(me), &[("content-type", APPLY)], &map("a", json!({})).to_string())
            .await;
        assert_eq!(answer.code, 403);
    });
}
