//! API services, webhooks, storage, budgets, autoscalers.

use super::*;

const API_SERVICE: &str = "APIService.apiregistration.k8s.io";

#[test]
fn api_services() {
    let local = || json!({"metadata": {"name": "v1.apps"}, "spec": {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15}});
    assert_eq!(
        created(API_SERVICE, local())["status"]["conditions"],
        json!([{"type": "Available", "status": "True", "lastTransitionTime": NOW, "reason": "Local",
            "message": "Local APIServices are always available"}])
    );
    check_create(API_SERVICE, local(), &[]);
    check_create(
        API_SERVICE,
        json!({"metadata": {"name": "v1."}, "spec": {"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1}}),
        &[],
    );
    check_create(
        API_SERVICE,
        json!({"metadata": {"name": "x"}, "spec": {"group": "a.io", "version": "v1", "groupPriorityMinimum": 0, "versionPriority": 1001, "insecureSkipTLSVerify": true}}),
        &[
            "metadata.name: Invalid value: \"x\": must be `spec.version+\".\"+spec.group`: \"v1.a.io\"",
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
            "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
        ],
    );
    let mut remote = local();
    remote.set_at("/spec/service", json!({"name": "s"}));
    assert_eq!(created(API_SERVICE, remote.clone())["spec"]["service"]["port"], 443);
    assert_eq!(created(API_SERVICE, remote.clone())["status"], json!({}));
    check_create(API_SERVICE, remote, &["spec.service.namespace: Required value"]);
}

#[test]
fn webhooks() {
    let name = "ValidatingWebhookConfiguration.admissionregistration.k8s.io";
    let webhook = json!({"name": "a.b.io", "clientConfig": {"service": {"name": "s", "namespace": "n"}}, "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]});
    let made = created(name, json!({"metadata": {"name": "w"}, "webhooks": [webhook]}));
    let hook = &made["webhooks"][0];
    assert_eq!(
        (
            hook.str_at("/failurePolicy"),
            hook.i64_at("/timeoutSeconds"),
            hook.i64_at("/clientConfig/service/port")
        ),
        ("Fail", Some(10), Some(443))
    );
    assert_eq!((hook["rules"][0].str_at("/scope"), &hook["namespaceSelector"]), ("*", &json!({})));
    check_create(name, json!({"webhooks": [webhook]}), &[]);
    check_create(
        name,
        json!({"webhooks": [{"name": "short", "timeoutSeconds": 31}]}),
        &[
            "webhooks[0].name: Invalid value: \"short\": should be a domain with at least three segments separated by dots",
            "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
            "webhooks[0].sideEffects: Required value",
            "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
            "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
        ],
    );
}

#[test]
fn storage() {
    let claim = |spec: Value| json!({"metadata": {"name": "c"}, "spec": spec});
    let good =
        || claim(json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}));
    let made = created("PersistentVolumeClaim", good());
    assert_eq!(
        (
            made.str_at("/spec/volumeMode"),
            made.str_at("/spec/resources/requests/storage"),
            made.str_at("/status/phase")
        ),
        ("Filesystem", "1Gi", "Pending")
    );
    check_create("PersistentVolumeClaim", good(), &[]);
    check_create(
        "PersistentVolumeClaim",
        claim(json!({"accessModes": ["Any"]})),
        &[
            "spec.accessModes: Unsupported value: \"Any\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            "spec.resources[storage]: Required value",
        ],
    );
    check_update(
        "PersistentVolumeClaim",
        good(),
        |claim| claim.set_at("/spec/resources/requests/storage", "2Gi"),
        &[],
    );
    check_update("PersistentVolumeClaim", good(), |claim| claim.set_at("/spec/volumeName", "pv"), &[]);
    check_update(
        "PersistentVolumeClaim",
        good(),
        |claim| claim.set_at("/spec/accessModes", json!(["ReadOnlyMany"])),
        &[
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ],
    );
    check_create(
        "PersistentVolume",
        json!({"spec": {}}),
        &[
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.capacity: Required value",
        ],
    );
    let class = "StorageClass.storage.k8s.io";
    assert_eq!(created(class, json!({"provisioner": "x"})).str_at("/volumeBindingMode"), "Immediate");
    check_update(
        class,
        json!({"provisioner": "x"}),
        |class| class.set_at("/provisioner", "y"),
        &["provisioner: Forbidden: updates to provisioner are forbidden."],
    );
}

#[test]
fn budgets_and_autoscalers() {
    let budget = "PodDisruptionBudget.policy";
    check_create(budget, json!({"spec": {"minAvailable": "50%"}}), &[]);
    check_create(
        budget,
        json!({"spec": {"minAvailable": "half"}}),
        &[
            "spec.minAvailable: Invalid value: \"half\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ],
    );
    check_create(
        budget,
        json!({"spec": {"minAvailable": 1, "maxUnavailable": 1}}),
        &[
            "spec: Invalid value: {\"minAvailable\":1,\"maxUnavailable\":1}: minAvailable and maxUnavailable cannot be both set",
        ],
    );
    let scaler = "HorizontalPodAutoscaler.autoscaling";
    check_create(
        scaler,
        json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "w"}, "maxReplicas": 2}}),
        &[],
    );
    check_create(
        scaler,
        json!({"spec": {"minReplicas": 3, "maxReplicas": 2}}),
        &[
            "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.kind: Required value",
            "spec.scaleTargetRef.name: Required value",
        ],
    );
}

#[test]
fn network_policies_and_ingresses() {
    let policy = "NetworkPolicy.networking.k8s.io";
    let made = created(policy, json!({"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}}));
    assert_eq!(
        (&made["spec"]["policyTypes"], made.str_at("/spec/egress/0/ports/0/protocol")),
        (&json!(["Ingress", "Egress"]), "TCP")
    );
    check_create(
        policy,
        json!({"spec": {"ingress": [{"from": [{}, {"ipBlock": {"cidr": "x"}}]}]}}),
        &[
            "spec.ingress[0].from[0]: Required value: must specify a peer",
            "spec.ingress[0].from[1].ipBlock.cidr: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ],
    );
    let ingress = "Ingress.networking.k8s.io";
    check_create(
        ingress,
        json!({"spec": {}}),
        &["spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"],
    );
    check_create(
        ingress,
        json!({"spec": {"rules": [{"http": {"paths": [{"path": "a", "pathType": "Prefix"}]}}]}}),
        &["spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path"],
    );
}
