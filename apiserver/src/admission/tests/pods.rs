//! What happens to a new pod: its account, its token, its priority, its tolerations; and to a node.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::Informer;
use serde_json::{Value, json};

use super::{Chain, Write, furnished, pod, story};
use crate::{informers::Informers, policy::priority_classes};

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[test]
fn a_pod_finds_its_token_mounted() {
    story(furnished(), |chain| async move {
        let mut new = pod("p");
        new["spec"]["initContainers"] = json!([{"name": "i"}]);
        let admitted = chain.admit(Write::create("pods", "ns", new)).await.unwrap();
        assert_eq!(admitted.str_at("/spec/serviceAccountName"), "default");
        assert_eq!(admitted.str_at("/spec/serviceAccount"), "default");
        let volume = &admitted["spec"]["volumes"][0];
        let name = volume.str_at("/name");
        assert_eq!(name.len(), "kube-api-access-".len() + 5, "{name}");
        assert_eq!(
            volume["projected"],
            json!({
                "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
                ],
                "defaultMode": 420,
            })
        );
        let mount = json!([{"name": name, "readOnly": true, "mountPath": MOUNT}]);
        assert_eq!(admitted["spec"]["containers"][0]["volumeMounts"], mount);
        assert_eq!(admitted["spec"]["initContainers"][0]["volumeMounts"], mount);
    });
}

#[test]
fn who_wants_no_token_gets_none() {
    let check = |account: Value, spec: Value, mounted: bool| {
        let informers = Informers { service_accounts: Informer::fixed(vec![account]), ..furnished() };
        story(informers, |chain| async move {
            let mut new = pod("p");
            new["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            let admitted = chain.admit(Write::create("pods", "ns", new)).await.unwrap();
            let has = !admitted.list_at("/spec/volumes").is_empty();
            assert_eq!(has, mounted, "{spec}");
        });
    };
    let account = |automount: Value| json!({"metadata": {"namespace": "ns", "name": "default"}, "automountServiceAccountToken": automount});
    check(account(Value::Null), json!({}), true);
    check(account(json!(false)), json!({}), false);
    check(account(json!(false)), json!({"automountServiceAccountToken": true}), true);
    check(account(json!(true)), json!({"automountServiceAccountToken": false}), false);
    // A container that mounts something there itself is left alone.
    let own = json!({"containers": [{"name": "c", "volumeMounts": [{"name": "x", "mountPath": MOUNT}]}]});
    check(account(Value::Null), own, false);
}

#[test]
fn pull_secrets_come_from_the_account() {
    let account =
        json!({"metadata": {"namespace": "ns", "name": "default"}, "imagePullSecrets": [{"name": "a"}]});
    let informers = Informers { service_accounts: Informer::fixed(vec![account]), ..furnished() };
    story(informers, |chain| async move {
        let admitted = chain.admit(Write::create("pods", "ns", pod("p"))).await.unwrap();
        assert_eq!(admitted["spec"]["imagePullSecrets"], json!([{"name": "a"}]));
        let mut own = pod("p");
        own["spec"]["imagePullSecrets"] = json!([{"name": "b"}]);
        let admitted = chain.admit(Write::create("pods", "ns", own)).await.unwrap();
        assert_eq!(admitted["spec"]["imagePullSecrets"], json!([{"name": "b"}]));
    });
}

#[test]
fn a_missing_account_is_asked_for_and_named() {
    let informers = || Informers { service_accounts: Informer::fixed(vec![]), ..furnished() };
    story(informers(), |chain| async move {
        let mut new = pod("p");
        new["spec"]["serviceAccountName"] = "robot".into();
        let outcome = chain.admit(Write::create("pods", "ns", new)).await;
        Chain::refused(
            outcome,
            403,
            r#"pods "p" is forbidden: error looking up service account ns/robot: serviceaccount "robot" not found"#,
        );
        assert_eq!(chain.fake.seen(), ["GET /api/v1/namespaces/ns/serviceaccounts/robot"]);
    });
    // The default one is made by a controller: it gets ten tries within two seconds.
    story(informers(), |chain| async move {
        let before = chain.fake.host.clock().monotonic();
        let outcome = chain.admit(Write::create("pods", "ns", pod("p"))).await;
        assert_eq!(outcome.unwrap_err().code, 403);
        assert_eq!(chain.fake.seen().len(), 10);
        let waited = chain.fake.host.clock().monotonic().since(before);
        assert!((900..1900).contains(&waited.as_millis()), "{waited:?}");
    });
    story(informers(), |chain| async move {
        let fake = chain.fake.clone();
        chain.fake.host.spawn(async move {
            fake.host.clock().sleep(Duration::from_millis(300)).await;
            let account = json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"namespace": "ns", "name": "default"}});
            fake.put("GET /api/v1/namespaces/ns/serviceaccounts/default", 200, account);
        });
        chain.admit(Write::create("pods", "ns", pod("p"))).await.unwrap();
    });
}

#[test]
fn a_mirror_pod_gets_nothing_and_may_name_nothing() {
    story(furnished(), |chain| async move {
        let mirror = |spec: Value| {
            let mut pod = json!({"metadata": {"name": "p", "annotations": {"kubernetes.io/config.mirror": "x"}}, "spec": spec});
            pod["spec"]["containers"] = json!([{"name": "c"}]);
            Write::create("pods", "ns", pod)
        };
        let admitted = chain.admit(mirror(json!({}))).await.unwrap();
        assert_eq!(admitted.at("/spec/serviceAccountName"), None);
        assert_eq!(admitted.at("/spec/volumes"), None);
        let check = async |spec: Value, why: &str| {
            Chain::refused(chain.admit(mirror(spec)).await, 403, &format!(r#"pods "p" is forbidden: {why}"#));
        };
        check(json!({"serviceAccountName": "x"}), "a mirror pod may not reference service accounts").await;
        check(
            json!({"volumes": [{"secret": {"secretName": "s"}}]}),
            "a mirror pod may not reference secrets",
        )
        .await;
        check(
            json!({"volumes": [{"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
            "a mirror pod may not use ServiceAccountToken volume projections",
        )
        .await;
    });
}

#[test]
fn a_class_becomes_a_number() {
    let classes = || {
        let mut classes = priority_classes();
        classes.push(json!({"metadata": {"name": "usual"}, "value": 7, "globalDefault": true, "preemptionPolicy": "Never"}));
        Informers { priority_classes: Informer::fixed(classes), ..furnished() }
    };
    let check = |informers: Informers,
                 spec: Value,
                 wanted: Result<(&'static str, i64, &'static str), &'static str>| {
        story(informers, |chain| async move {
            let mut new = pod("p");
            new["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            let outcome = chain.admit(Write::create("pods", "ns", new)).await;
            let found = outcome.as_ref().map(|pod| {
                (
                    pod.str_at("/spec/priorityClassName"),
                    pod.i64_at("/spec/priority").unwrap(),
                    pod.str_at("/spec/preemptionPolicy"),
                )
            });
            assert_eq!(found.map_err(|s| s.message.as_str()), wanted, "{spec}");
        });
    };
    check(furnished(), json!({}), Ok(("", 0, "PreemptLowerPriority")));
    check(classes(), json!({}), Ok(("usual", 7, "Never")));
    check(
        classes(),
        json!({"priorityClassName": "system-node-critical"}),
        Ok(("system-node-critical", 2_000_001_000, "PreemptLowerPriority")),
    );
    check(
        classes(),
        json!({"priorityClassName": "x"}),
        Err(r#"pods "p" is forbidden: no PriorityClass with name x was found"#),
    );
    check(classes(), json!({"priority": 7}), Ok(("usual", 7, "Never")));
    check(
        classes(),
        json!({"priority": 8}),
        Err(
            r#"pods "p" is forbidden: the integer value of priority (8) must not be provided in pod spec; priority admission controller computed 7 from the given PriorityClass name"#,
        ),
    );
    check(
        classes(),
        json!({"preemptionPolicy": "PreemptLowerPriority"}),
        Err(
            r#"pods "p" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name"#,
        ),
    );
}

#[test]
fn only_one_class_is_the_default() {
    let usual = || json!({"metadata": {"name": "usual"}, "value": 7, "globalDefault": true});
    let informers = Informers { priority_classes: Informer::fixed(vec![usual()]), ..furnished() };
    story(informers, |chain| async move {
        let what = "priorityclasses.scheduling.k8s.io";
        let other = json!({"metadata": {"name": "other"}, "value": 8, "globalDefault": true});
        Chain::refused(
            chain.admit(Write::create(what, "", other.clone())).await,
            403,
            r#"priorityclasses.scheduling.k8s.io "other" is forbidden: PriorityClass usual is already marked as default. Only one default can exist"#,
        );
        assert!(chain.admit(Write::update(what, "", "other", other.clone(), other)).await.is_err());
        chain.admit(Write::update(what, "", "usual", usual(), usual())).await.unwrap();
    });
}

#[test]
fn pods_outlive_a_short_absence() {
    story(furnished(), |chain| async move {
        let check = async |tolerations: Value, keys: &[&str]| {
            let mut new = pod("p");
            new["spec"]["tolerations"] = tolerations;
            let admitted = chain.admit(Write::create("pods", "ns", new)).await.unwrap();
            let found: Vec<&str> =
                admitted.list_at("/spec/tolerations").iter().map(|t| t.str_at("/key")).collect();
            assert_eq!(found, keys);
        };
        let (not_ready, unreachable) = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable");
        check(Value::Null, &[not_ready, unreachable]).await;
        check(json!([{"key": not_ready, "operator": "Exists"}]), &[not_ready, unreachable]).await;
        check(
            json!([{"key": not_ready, "operator": "Exists", "effect": "NoSchedule"}]),
            &[not_ready, not_ready, unreachable],
        )
        .await;
        check(json!([{"operator": "Exists"}]), &[""]).await;
        let admitted = chain.admit(Write::create("pods", "ns", pod("p"))).await.unwrap();
        assert_eq!(
            admitted["spec"]["tolerations"][0],
            json!({"key": not_ready, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
        );
    });
}

#[test]
fn a_new_node_takes_no_pods_yet() {
    story(furnished(), |chain| async move {
        let taint = json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]);
        for new in [
            json!({"metadata": {"name": "n"}}),
            json!({"metadata": {"name": "n"}, "spec": {"taints": taint}}),
        ] {
            let admitted = chain.admit(Write::create("nodes", "", new)).await.unwrap();
            assert_eq!(admitted["spec"]["taints"], taint);
        }
    });
}

#[test]
fn storage_does_not_vanish_under_a_pod() {
    story(furnished(), |chain| async move {
        let check = async |what: &'static str, namespace: &'static str, finalizer: &str| {
            let admitted = chain
                .admit(Write::create(what, namespace, json!({"metadata": {"name": "x"}})))
                .await
                .unwrap();
            assert_eq!(admitted["metadata"]["finalizers"], json!([finalizer]));
        };
        check("persistentvolumeclaims", "ns", "kubernetes.io/pvc-protection").await;
        check("persistentvolumes", "", "kubernetes.io/pv-protection").await;
    });
}
