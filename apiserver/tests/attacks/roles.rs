//! Rights that somebody would give to themselves, and people whom somebody would like to be.

use serde_json::{Value, json};

use crate::gear::{Caller, attack, who};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn role(name: &str, resource: &str) -> Value {
    json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]})
}

fn binding(name: &str, kind: &str, role: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    })
}

#[test]
fn attack_by_editing_roles() {
    attack(|gear| async move {
        // Bob manages roles of a namespace, and reads pods. A star would let him escalate and bind, too.
        let verbs = ["get", "list", "create", "update", "patch", "delete"];
        let rules = json!([
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": verbs},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        ]);
        gear.grant("manager", "bob", rules).await;
        gear.make(&format!("{RBAC}/namespaces/default/roles"), role("secrets-reader", "secrets")).await;
        let bob = Caller::token("bob-token");
        let roles = format!("{RBAC}/namespaces/default/roles");
        let bindings = format!("{RBAC}/namespaces/default/rolebindings");
        let escalates = "is attempting to grant RBAC permissions not currently held";

        // What he holds he may give; more he may not.
        assert_eq!(gear.send(&bob, "POST", &roles, &role("a", "pods")).await.code, 201);
        let answer = gear.send(&bob, "POST", &roles, &role("b", "secrets")).await;
        assert_eq!(answer.code, 403, "{}", answer.body);
        assert!(answer.message().contains(escalates), "{}", answer.body);
        // Nor by changing what he made, whichever way.
        let more = json!({"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]});
        let answer = gear.send(&bob, "PATCH", &format!("{roles}/a"), &more).await;
        assert_eq!(answer.code, 403, "{}", answer.body);
        let mut whole = role("a", "secrets");
        whole["metadata"]["namespace"] = "default".into();
        assert_eq!(gear.send(&bob, "PUT", &format!("{roles}/a"), &whole).await.code, 403);
        // The manager's own role, with a star.
        let star = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
        assert_eq!(gear.send(&bob, "PATCH", &format!("{roles}/manager"), &star).await.code, 403);

        // Bindings: to what he holds yes, to more no.
        assert_eq!(gear.send(&bob, "POST", &bindings, &binding("a", "Role", "a")).await.code, 201);
        for (kind, name) in
            [("Role", "secrets-reader"), ("ClusterRole", "cluster-admin"), ("ClusterRole", "edit")]
        {
            let answer = gear.send(&bob, "POST", &bindings, &binding("c", kind, name)).await;
            assert_eq!(answer.code, 403, "{kind} {name}: {}", answer.body);
            assert!(answer.message().contains(escalates), "{}", answer.body);
        }
        // A binding's role cannot be changed under it.
        let mut changed = binding("a", "ClusterRole", "cluster-admin");
        changed["metadata"]["namespace"] = "default".into();
        let answer = gear.send(&bob, "PUT", &format!("{bindings}/a"), &changed).await;
        assert_ne!(answer.code, 200, "{}", answer.body);
        // And nothing of the cluster's.
        let answer = gear.send(&bob, "POST", &format!("{RBAC}/clusterroles"), &role("d", "pods")).await;
        assert_eq!(answer.code, 403, "{}", answer.body);
        let secrets = "/api/v1/namespaces/default/secrets/any";
        assert_eq!(gear.get(&bob, secrets).await.code, 403);
        assert_eq!(gear.get(&gear.admin(), secrets).await.code, 404, "the administrator may look");
    });
}

#[test]
fn attack_by_impersonation() {
    attack(|gear| async move {
        let rules = json!([{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["bob"]}]);
        let path = format!("{RBAC}/clusterroles");
        gear.make(&path, json!({"metadata": {"name": "as-bob"}, "rules": rules})).await;
        let mut bound = binding("as-bob", "ClusterRole", "as-bob");
        bound["subjects"][0]["name"] = "carol".into();
        gear.make(&format!("{RBAC}/clusterrolebindings"), bound).await;
        gear.settle().await;
        let carol = |headers: &[(&str, &str)]| Caller::token("carol-token").saying(headers);
        assert_eq!(who(&gear, &carol(&[("Impersonate-User", "bob")])).await, "bob");
        for headers in [
            &[("Impersonate-User", "admin")][..],
            &[("Impersonate-User", "bob"), ("Impersonate-Group", "system:masters")],
            &[("Impersonate-User", "bob"), ("Impersonate-Uid", "1")],
            &[("Impersonate-User", "bob"), ("Impersonate-Extra-Scopes", "all")],
            &[("Impersonate-User", "system:serviceaccount:kube-system:default")],
            &[("Impersonate-User", "system:node:n1")],
        ] {
            assert_eq!(who(&gear, &carol(headers)).await, "403", "{headers:?}");
        }
        // A group without the user is no request at all, and never carol with more.
        let answer = who(&gear, &carol(&[("Impersonate-Group", "system:masters")])).await;
        assert_eq!(answer, "400");
        // Who may nothing may not even be themselves.
        let bob = Caller::token("bob-token").saying(&[("Impersonate-User", "bob")]);
        assert_eq!(who(&gear, &bob).await, "403");
    });
}

#[test]
fn attack_by_changing_what_is_not_there() {
    attack(|gear| async move {
        let rules = |verbs: &[&str]| {
            let groups = ["", "coordination.k8s.io"];
            json!([{"apiGroups": groups, "resources": ["leases", "limitranges", "services"], "verbs": verbs}])
        };
        gear.grant("changes", "bob", rules(&["get", "update", "patch"])).await;
        gear.grant("makes", "carol", rules(&["get", "update", "create"])).await;
        let (bob, carol) = (Caller::token("bob-token"), Caller::token("carol-token"));
        for (path, resource, spec) in [
            ("/apis/coordination.k8s.io/v1", "leases", json!({"holderIdentity": "x"})),
            ("/api/v1", "limitranges", json!({"limits": []})),
            ("/api/v1", "services", json!({"ports": [{"port": 80}]})),
        ] {
            let object = json!({"metadata": {"name": "new"}, "spec": spec});
            let path = format!("{path}/namespaces/default/{resource}/new");
            let answer = gear.send(&bob, "PUT", &path, &object).await;
            assert_eq!(answer.code, 403, "{path}: {}", answer.body);
            let words = format!("User \"bob\" cannot create resource \"{resource}\"");
            assert!(answer.message().contains(&words), "{}", answer.body);
            assert_eq!(gear.get(&gear.admin(), &path).await.code, 404, "{path}");
            // The twin may create; and what is there bob may change.
            let answer = gear.send(&carol, "PUT", &path, &object).await;
            assert_eq!(answer.code, 201, "{path}: {}", answer.body);
            let answer = gear.send(&bob, "PUT", &path, &answer.json()).await;
            assert_eq!(answer.code, 200, "{path}: {}", answer.body);
        }
    });
}
