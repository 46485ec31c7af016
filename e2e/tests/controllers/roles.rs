//! Aggregated cluster roles follow the roles that they are made of.

use chronoplane::Cluster;
use client::Resource;
use serde_json::{Value, json};

use crate::common::*;

const ROLES: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles");

#[chronoplane::test]
async fn the_role_admin_learns_of_a_new_kind(cluster: Cluster) {
    let rule = json!({"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]});
    let role = json!({
        "metadata": {"name": "widgets", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [rule],
    });
    cluster.admin().create(&ROLES, None, &role).await.expect("created");
    let has = |role: &Value| role["rules"].as_array().is_some_and(|rules| rules.contains(&rule));
    // view goes into edit, and edit into admin.
    for name in ["view", "edit", "admin"] {
        until(&cluster, "the role has the rule", &ROLES, None, name, has).await;
    }
    let other = cluster.admin().get(&ROLES, None, "system:basic-user").await.expect("there");
    assert!(!has(&other), "nobody else has it");
}
