//! Several who apply to one object: what they share, what they contend for, and what one takes over from another.

use std::time::Duration;

use api::object::ObjectExt;
use serde_json::{Value, json};

use super::{APPLY, DEPLOYMENTS, JSON_PATCH, MAPS, MERGE, STRATEGIC, deployment, map, owners};
use crate::plane::with_plane;

#[test]
fn appliers_share_and_contend() {
    with_plane(&[], |plane| async move {
        let at = |query: &str| format!("{DEPLOYMENTS}/web?{query}");
        let (code, made) =
            plane.patch(APPLY, &at("fieldManager=one"), deployment(json!({ "replicas": 2 }))).await;
        assert_eq!((code, made["spec"]["replicas"].as_i64()), (201, Some(2)));
        assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always");
        // Again: nothing.
        plane.sim.elapse(Duration::from_secs(5)).await;
        let (code, again) =
            plane.patch(APPLY, &at("fieldManager=one"), deployment(json!({ "replicas": 2 }))).await;
        assert_eq!((code, &again), (200, &made));
        // Another number is a conflict, the same one is not.
        let (code, status) =
            plane.patch(APPLY, &at("fieldManager=two"), deployment(json!({ "replicas": 3 }))).await;
        assert_eq!(
            (code, status.str_at("/reason"), status.str_at("/message")),
            (409, "Conflict", r#"Apply failed with 1 conflict: conflict with "one": .spec.replicas"#)
        );
        assert_eq!(
            status["details"],
            json!({ "causes": [{ "reason": "FieldManagerConflict", "message": r#"conflict with "one""#, "field": ".spec.replicas" }] })
        );
        let only = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "replicas": 3 } });
        let forced = plane.apply(&at("fieldManager=two&force=true"), only).await;
        assert_eq!(forced["spec"]["replicas"], 3);
        assert_eq!(owners(&forced).last().map(String::as_str), Some("two Apply .spec.replicas"));
        // Who does not apply it any more gives it up; nobody else has it: the default comes back.
        let empty = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {} });
        let left = plane.apply(&at("fieldManager=two"), empty).await;
        assert_eq!((left["spec"]["replicas"].as_i64(), owners(&left).len()), (Some(1), 1));
        // A container of another manager's own.
        let sidecar = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "spec": { "template": { "spec": { "containers": [{ "name": "log", "image": "busybox" }] } } },
        });
        let two = plane.apply(&at("fieldManager=two"), sidecar).await;
        let names: Vec<&str> =
            two.list_at("/spec/template/spec/containers").iter().map(|c| c.str_at("/name")).collect();
        assert_eq!(names, ["web", "log"]);
        let one = plane.apply(&at("fieldManager=one"), deployment(json!({}))).await;
        assert_eq!(one.list_at("/spec/template/spec/containers").len(), 2);
        let patch = json!({ "spec": { "replicas": 5 } });
        let (_, scaled) = plane.patch(STRATEGIC, &at("fieldManager=hpa"), patch).await;
        assert_eq!(owners(&scaled).last().map(String::as_str), Some("hpa Update .spec.replicas"));
        plane
            .check_refused(
                APPLY,
                &at("fieldManager=one"),
                deployment(json!({ "replicas": 2 })),
                409,
                r#"Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.replicas"#,
            )
            .await;
    });
}

#[test]
fn status_and_scale_have_owners_of_their_own() {
    with_plane(&[], |plane| async move {
        plane
            .apply(&format!("{DEPLOYMENTS}/web?fieldManager=one"), deployment(json!({ "replicas": 2 })))
            .await;
        let status = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "spec": { "replicas": 7 },
            "status": { "replicas": 2, "conditions": [{ "type": "Available", "status": "True" }] },
        });
        let object =
            plane.apply(&format!("{DEPLOYMENTS}/web/status?fieldManager=ctrl&force=true"), status).await;
        assert_eq!(
            (object["spec"]["replicas"].as_i64(), object["status"]["replicas"].as_i64()),
            (Some(2), Some(2))
        );
        assert_eq!(
            owners(&object)[0],
            "ctrl/status Apply .status.replicas .status.conditions[type=\"Available\"] .status.conditions[type=\"Available\"].status .status.conditions[type=\"Available\"].type"
        );
        // Status through the main endpoint counts for nothing.
        let (_, patched) = plane
            .patch(
                MERGE,
                &format!("{DEPLOYMENTS}/web?fieldManager=x"),
                json!({ "status": { "replicas": 9 } }),
            )
            .await;
        assert_eq!(patched, object);

        let scale = format!("{DEPLOYMENTS}/web/scale");
        plane
            .check_refused(
                APPLY,
                &format!("{scale}?fieldManager=hpa"),
                json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "spec": { "replicas": 4 } }),
                409,
                r#"Apply failed with 1 conflict: conflict with "one": .spec.replicas"#,
            )
            .await;
        let (code, _) = plane
            .patch(MERGE, &format!("{scale}?fieldManager=hpa"), json!({ "spec": { "replicas": 4 } }))
            .await;
        assert_eq!(code, 200);
        let object = plane.get(&format!("{DEPLOYMENTS}/web")).await.json();
        assert_eq!(object["spec"]["replicas"], 4);
        assert_eq!(owners(&object).last().map(String::as_str), Some("hpa/scale Update .spec.replicas"));
        plane
            .check_refused(
                APPLY,
                &format!("{DEPLOYMENTS}/web?fieldManager=one"),
                deployment(json!({ "replicas": 2 })),
                409,
                r#"Apply failed with 1 conflict: conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas"#,
            )
            .await;
    });
}

#[test]
fn kubectl_goes_over_to_the_server() {
    with_plane(&[], |plane| async move {
        let annotation = "kubectl.kubernetes.io/last-applied-configuration";
        let mut object = map("a", json!({ "k": "1", "l": "1" }));
        object.set_annotation(annotation, &map("a", json!({ "k": "1", "l": "1" })).to_string());
        let made =
            plane.post(&format!("{MAPS}?fieldManager=kubectl-client-side-apply"), "kubectl/v1", object).await;
        // Newer clients hand their fields over first, by a JSON patch.
        let mut list = made.list_at("/metadata/managedFields").to_vec();
        list[0]["manager"] = "kubectl".into();
        list[0]["operation"] = "Apply".into();
        list[0].remove_at("/fieldsV1/f:metadata");
        let patch = json!([
            { "op": "replace", "path": "/metadata/managedFields", "value": list },
            { "op": "replace", "path": "/metadata/resourceVersion", "value": made.resource_version() },
        ]);
        let (code, moved) = plane.patch(JSON_PATCH, &format!("{MAPS}/a?fieldManager=kubectl"), patch).await;
        assert_eq!(code, 200, "{moved}");
        assert!(owners(&moved)[0].starts_with("kubectl Apply .data"), "{:?}", owners(&moved));
        let applied =
            plane.apply(&format!("{MAPS}/a?fieldManager=kubectl"), map("a", json!({ "k": "2" }))).await;
        assert_eq!(applied["data"], json!({ "k": "2" }));
        let kept: Value = serde_json::from_str(applied.annotation(annotation).unwrap()).unwrap();
        assert_eq!(kept, map("a", json!({ "k": "2" })));
        // Older ones rely on the server, which knows from the annotation what they applied.
        let mut object = map("b", json!({ "k": "1" }));
        object.set_annotation(annotation, &map("b", json!({ "k": "1" })).to_string());
        plane.post(&format!("{MAPS}?fieldManager=kubectl-client-side-apply"), "kubectl/v1", object).await;
        let applied =
            plane.apply(&format!("{MAPS}/b?fieldManager=kubectl"), map("b", json!({ "k": "2" }))).await;
        assert_eq!(applied["data"], json!({ "k": "2" }));
    });
}

#[test]
fn a_dry_run_leaves_no_trace() {
    with_plane(&[], |plane| async move {
        let path = format!("{MAPS}/a?fieldManager=me");
        let (code, made) =
            plane.patch(APPLY, &format!("{path}&dryRun=All"), map("a", json!({ "k": "1" }))).await;
        assert_eq!((code, owners(&made)), (201, vec!["me Apply .data.k".to_owned()]));
        assert_eq!(plane.get(&format!("{MAPS}/a")).await.code, 404);
        let made = plane.apply(&path, map("a", json!({ "k": "1" }))).await;
        let (_, dry) = plane.patch(APPLY, &format!("{path}&dryRun=All"), map("a", json!({ "k": "2" }))).await;
        assert_eq!(dry["data"]["k"], "2");
        assert_eq!(plane.get(&format!("{MAPS}/a")).await.json(), made);
    });
}
