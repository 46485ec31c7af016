//! RBAC.

use super::*;

const ROLE: &str = "Role.rbac.authorization.k8s.io";
const CLUSTER_ROLE: &str = "ClusterRole.rbac.authorization.k8s.io";
const BINDING: &str = "RoleBinding.rbac.authorization.k8s.io";
const CLUSTER_BINDING: &str = "ClusterRoleBinding.rbac.authorization.k8s.io";

#[test]
fn rules() {
    let role = |rule: Value| json!({"metadata": {"name": "r"}, "rules": [rule]});
    check_create(ROLE, role(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]})), &[]);
    check_create(
        ROLE,
        role(json!({})),
        &[
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ],
    );
    let urls = role(json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}));
    check_create(CLUSTER_ROLE, urls.clone(), &[]);
    check_create(
        ROLE,
        urls,
        &[
            "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules cannot apply to non-resource URLs",
        ],
    );
    check_create(
        CLUSTER_ROLE,
        role(json!({"verbs": ["get"], "nonResourceURLs": ["/a"], "resources": ["pods"]})),
        &[
            "rules[0].nonResourceURLs: Invalid value: [\"/a\"]: rules cannot apply to both regular resources and non-resource URLs",
        ],
    );
    check_create(
        CLUSTER_ROLE,
        json!({"aggregationRule": {}}),
        &[
            "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
        ],
    );
}

fn binding(kind: &str, subject: Value) -> Value {
    json!({"metadata": {"name": "b"}, "roleRef": {"kind": kind, "name": "r"}, "subjects": [subject]})
}

#[test]
fn bindings() {
    let made = created(BINDING, binding("Role", json!({"kind": "User", "name": "u"})));
    assert_eq!(made["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
    assert_eq!(made["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
    let made =
        created(BINDING, binding("Role", json!({"kind": "ServiceAccount", "name": "a", "namespace": "n"})));
    assert_eq!(made["subjects"][0].get("apiGroup"), None);
    check_create(BINDING, binding("Role", json!({"kind": "Group", "name": "g"})), &[]);
    check_create(
        CLUSTER_BINDING,
        binding("Role", json!({"kind": "Group", "name": "g"})),
        &["roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""],
    );
    check_create(
        CLUSTER_BINDING,
        binding("ClusterRole", json!({"kind": "ServiceAccount", "name": "a"})),
        &["subjects[0].namespace: Required value"],
    );
    check_create(
        BINDING,
        binding("Role", json!({"kind": "Robot"})),
        &[
            "subjects[0].name: Required value",
            "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
        ],
    );
    check_create(
        BINDING,
        json!({}),
        &[
            "roleRef.kind: Unsupported value: \"\": supported values: \"Role\", \"ClusterRole\"",
            "roleRef.name: Required value",
        ],
    );
    check_update(
        BINDING,
        binding("Role", json!({"kind": "Group", "name": "g"})),
        |binding| binding.set_at("/roleRef/name", "admin"),
        &[
            "roleRef: Invalid value: {\"kind\":\"Role\",\"name\":\"admin\",\"apiGroup\":\"rbac.authorization.k8s.io\"}: cannot change roleRef",
        ],
    );
}
