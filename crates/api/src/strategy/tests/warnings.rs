//! Which sentences accompany an object that is stored nevertheless.

use super::*;

#[track_caller]
fn check(name: &str, object: Value, expected: &[&str]) {
    assert_eq!(warnings(kind(name), &created(name, object), None), expected);
}

#[test]
fn of_pods_and_templates() {
    let spec = || {
        json!({"nodeSelector": {"beta.kubernetes.io/os": "linux", "disk": "ssd"}, "volumes": [{"name": "v", "gitRepo": {}}],
            "terminationGracePeriodSeconds": -1,
            "containers": [{"name": "c", "env": [{"name": "A"}, {"name": "B"}, {"name": "A"}],
                "resources": {"limits": {"memory": "100m"}}}]})
    };
    let words = |at: &str, requested: bool| {
        let mut words = vec![
            format!(
                "{at}.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead"
            ),
            format!(
                "{at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
            ),
            format!("{at}.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"),
            format!(
                "{at}.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply"
            ),
        ];
        for side in ["requests", "limits"].iter().filter(|side| requested || **side == "limits") {
            words.push(format!("{at}.containers[0].resources.{side}[memory]: fractional byte value \"100m\" is invalid, must be an integer"));
        }
        words
    };
    // A pod requests what it is limited to.
    let pod = created("Pod", json!({"spec": spec()}));
    assert_eq!(warnings(kind("Pod"), &pod, None), words("spec", true));
    let deployment = created("Deployment.apps", json!({"spec": {"template": {"spec": spec()}}}));
    assert_eq!(warnings(kind("Deployment.apps"), &deployment, None), words("spec.template.spec", false));

    // A change that leaves the spec as it is says nothing again; and pods are not people's to change.
    let mut labelled = deployment.clone();
    labelled.set_label("a", "b");
    assert_eq!(warnings(kind("Deployment.apps"), &labelled, Some(&deployment)), Vec::<String>::new());
    let mut scaled = deployment.clone();
    scaled.set_at("/spec/replicas", 2);
    assert_eq!(
        warnings(kind("Deployment.apps"), &scaled, Some(&deployment)),
        words("spec.template.spec", false)
    );
    let mut changed = pod.clone();
    changed.set_at("/spec/activeDeadlineSeconds", 1);
    assert_eq!(warnings(kind("Pod"), &changed, Some(&pod)), Vec::<String>::new());
}

#[test]
fn of_the_rest() {
    check("ConfigMap", json!({"metadata": {"finalizers": ["example.com/a"]}}), &[]);
    check(
        "ConfigMap",
        json!({"metadata": {"finalizers": ["mine"]}}),
        &[
            "metadata.finalizers: \"mine\": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers",
        ],
    );
    check(
        "Service",
        json!({"spec": {"clusterIP": "None", "sessionAffinity": "ClientIP"}}),
        &["spec.SessionAffinity is ignored for headless services"],
    );
    check(
        "PersistentVolume",
        json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}}, "spec": {"persistentVolumeReclaimPolicy": "Recycle"}}),
        &[
            "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead",
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
        ],
    );
    check(
        "Ingress.networking.k8s.io",
        json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}}),
        &[
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead",
        ],
    );
    check(
        "StorageClass.storage.k8s.io",
        json!({"allowedTopologies": [{"matchLabelExpressions": [{"key": "failure-domain.beta.kubernetes.io/zone", "values": ["a"]}]}]}),
        &[
            "allowedTopologies[0].matchLabelExpressions[0].key: deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
        ],
    );
}
