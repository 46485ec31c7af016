//! API services and webhooks.

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
    let with = |config: Value, versions: Value| {
        let mut webhook = webhook.clone();
        webhook["clientConfig"] = config;
        webhook["admissionReviewVersions"] = versions;
        json!({"webhooks": [webhook]})
    };
    check_create(name, with(json!({"url": "https://hook.example.com:8443/a/b"}), json!(["v2", "v1"])), &[]);
    let form = "; desired format: https://host[/path]";
    check_create(
        name,
        with(json!({"url": "http://me@hook/a?b=c#d"}), json!(["v2"])),
        &[
            "webhooks[0].admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
            &format!(
                "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme{form}"
            ),
            "webhooks[0].clientConfig.url: Invalid value: \"me\": user information is not permitted in the URL",
            "webhooks[0].clientConfig.url: Invalid value: \"d\": fragments are not permitted in the URL",
            "webhooks[0].clientConfig.url: Invalid value: \"b=c\": query parameters are not permitted in the URL",
        ],
    );
    check_create(
        name,
        with(json!({"service": {"port": 70000, "path": "a/b"}}), json!(["v1"])),
        &[
            "webhooks[0].clientConfig.service.name: Required value: service name is required",
            "webhooks[0].clientConfig.service.namespace: Required value: service namespace is required",
            "webhooks[0].clientConfig.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive",
            "webhooks[0].clientConfig.service.path: Invalid value: \"a/b\": must start with a '/'",
            "webhooks[0].clientConfig.service.path: Invalid value: \"a/b\": segment[0] may not be empty",
        ],
    );
}
