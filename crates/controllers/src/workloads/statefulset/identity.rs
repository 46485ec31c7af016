//! What makes a pod of a stateful set itself: its name, its labels, its claims.

use api::object::ObjectExt as _;
use serde_json::{Value, json};

use crate::{pods::from_template, workloads::revisions::HASH};

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The ordinal of a pod of `set`, from its name.
pub(super) fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    let rest = pod.name().strip_prefix(set.name())?.strip_prefix('-')?;
    rest.parse().ok().filter(|n: &i64| n.to_string() == rest)
}

pub(super) fn name(set: &Value, ordinal: i64) -> String {
    format!("{}-{ordinal}", set.name())
}

fn claim_name(template: &Value, pod: &str) -> String {
    format!("{}-{pod}", template.name())
}

/// The pod of that ordinal, of the template that `revision` holds.
pub(super) fn pod(set: &Value, revision: &Value, ordinal: i64) -> Value {
    let mut owner = set.clone();
    if let Some(template) = revision.pointer("/data/spec/template") {
        let mut template = template.clone();
        if let Some(fields) = template.as_object_mut() {
            fields.shift_remove("$patch");
        }
        owner["spec"]["template"] = template;
    }
    let (mut pod, name) = (from_template(&owner), name(set, ordinal));
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.shift_remove("generateName");
    }
    pod["metadata"]["name"] = name.as_str().into();
    pod["metadata"]["namespace"] = set.namespace().into();
    pod["metadata"]["labels"][POD_NAME] = name.as_str().into();
    pod["metadata"]["labels"][POD_INDEX] = ordinal.to_string().into();
    pod["metadata"]["labels"][HASH] = revision.name().into();
    pod["spec"]["hostname"] = name.as_str().into();
    pod["spec"]["subdomain"] = set.str_at("/spec/serviceName").into();
    let claims: Vec<Value> = set.list_at("/spec/volumeClaimTemplates").to_vec();
    let named = |v: &Value| claims.iter().any(|c| c.name() == v.str_at("/name"));
    // A claim of the set wins over a volume of the template with its name.
    let mut volumes: Vec<Value> =
        pod.list_at("/spec/volumes").iter().filter(|v| !named(v)).cloned().collect();
    for claim in &claims {
        let source = json!({"claimName": claim_name(claim, &name)});
        volumes.push(json!({"name": claim.name(), "persistentVolumeClaim": source}));
    }
    if !volumes.is_empty() {
        pod["spec"]["volumes"] = volumes.into();
    }
    pod
}

/// The claims of the pod of that ordinal.
pub(super) fn claims(set: &Value, ordinal: i64) -> Vec<Value> {
    let pod = name(set, ordinal);
    let selector = set.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    set.list_at("/spec/volumeClaimTemplates")
        .iter()
        .map(|template| {
            let mut claim = template.clone();
            claim["apiVersion"] = "v1".into();
            claim["kind"] = "PersistentVolumeClaim".into();
            claim["metadata"]["name"] = claim_name(template, &pod).into();
            claim["metadata"]["namespace"] = set.namespace().into();
            for (key, value) in selector.into_iter().flatten() {
                claim["metadata"]["labels"][key] = value.clone();
            }
            if let Some(fields) = claim.as_object_mut() {
                fields.shift_remove("status");
            }
            claim
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_known_by_its_name() {
        let set = json!({
            "metadata": {"name": "db", "namespace": "n"},
            "spec": {
                "serviceName": "dbs",
                "selector": {"matchLabels": {"app": "db"}},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
            },
        });
        let revision = json!({
            "metadata": {"name": "db-xyz"},
            "data": {"spec": {"template": {"$patch": "replace", "spec": {"volumes": [{"name": "data"}, {"name": "tmp"}]}}}},
        });
        let pod = pod(&set, &revision, 7);
        assert_eq!(pod.name(), "db-7");
        assert_eq!(pod["metadata"]["labels"][POD_INDEX], "7");
        assert_eq!(pod["metadata"]["labels"][HASH], "db-xyz");
        assert_eq!((pod.str_at("/spec/hostname"), pod.str_at("/spec/subdomain")), ("db-7", "dbs"));
        let volumes =
            json!([{"name": "tmp"}, {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-7"}}]);
        assert_eq!(pod["spec"]["volumes"], volumes);
        assert_eq!(
            claims(&set, 7)[0]["metadata"],
            json!({"name": "data-db-7", "namespace": "n", "labels": {"app": "db"}})
        );
        for (name, expect) in
            [("db-7", Some(7)), ("db-07", None), ("db-x", None), ("dbx-1", None), ("db", None)]
        {
            assert_eq!(ordinal(&set, &json!({"metadata": {"name": name}})), expect, "{name}");
        }
    }
}
