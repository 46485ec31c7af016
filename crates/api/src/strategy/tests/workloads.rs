//! Deployments and the other kinds with a template.

use super::*;

fn workload(spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "w", "namespace": "n"}, "spec": {
        "selector": {"matchLabels": {"app": "w"}},
        "template": {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "a", "image": "x:1"}]}}}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}

#[test]
fn defaults() {
    let pick = |name: &str, fields: &[&str]| -> Value {
        let object = defaulted(name, workload(json!({})));
        fields
            .iter()
            .map(|field| ((*field).to_owned(), object["spec"][*field].clone()))
            .collect::<Map<_, _>>()
            .into()
    };
    assert_eq!(
        pick("Deployment.apps", &["replicas", "strategy", "revisionHistoryLimit", "progressDeadlineSeconds"]),
        json!({"replicas": 1, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    );
    assert_eq!(pick("ReplicaSet.apps", &["replicas"]), json!({"replicas": 1}));
    assert_eq!(
        pick("DaemonSet.apps", &["updateStrategy", "revisionHistoryLimit"]),
        json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            "revisionHistoryLimit": 10})
    );
    assert_eq!(
        pick(
            "StatefulSet.apps",
            &["podManagementPolicy", "updateStrategy", "persistentVolumeClaimRetentionPolicy"]
        ),
        json!({"podManagementPolicy": "OrderedReady", "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}})
    );
    let template = &defaulted("Deployment.apps", workload(json!({})))["spec"]["template"]["spec"];
    assert_eq!(template.str_at("/restartPolicy"), "Always");
    assert_eq!(template.at("/enableServiceLinks"), None, "only pods have this default");
}

#[test]
fn recreate_has_no_rolling_parameters() {
    let object = defaulted("Deployment.apps", workload(json!({"strategy": {"type": "Recreate"}})));
    assert_eq!(object["spec"]["strategy"], json!({"type": "Recreate"}));
    check_create(
        "Deployment.apps",
        workload(json!({"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}})),
        &["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    );
}

#[test]
fn selectors() {
    for (name, called) in [
        ("Deployment.apps", "deployment"),
        ("ReplicaSet.apps", "deployment"),
        ("DaemonSet.apps", "daemonset"),
        ("StatefulSet.apps", "statefulset"),
    ] {
        check_create(name, workload(json!({})), &[]);
        check_create(
            name,
            workload(json!({"selector": {"matchLabels": {"app": "other"}}})),
            &[
                "spec.template.metadata.labels: Invalid value: {\"app\":\"w\"}: `selector` does not match template `labels`",
            ],
        );
        check_create(
            name,
            workload(json!({"selector": {}})),
            &[&format!("spec.selector: Invalid value: {{}}: empty selector is invalid for {called}")],
        );
        check_create(name, workload(json!({"selector": null})), &["spec.selector: Required value"]);
    }
    for name in ["Deployment.apps", "ReplicaSet.apps", "DaemonSet.apps"] {
        check_update(
            name,
            workload(json!({})),
            |object| {
                object.set_at("/spec/selector/matchLabels/app", "v");
                object.set_at("/spec/template/metadata/labels/app", "v");
            },
            &["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"v\"}}: field is immutable"],
        );
    }
    check_create(
        "Deployment.apps",
        workload(
            json!({"selector": {"matchLabels": {"app": "w"}, "matchExpressions": [{"key": "a", "operator": "In"}]}}),
        ),
        &[
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"w\"},\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}: invalid label selector",
        ],
    );
}

#[test]
fn templates_and_counts() {
    check_create(
        "Deployment.apps",
        workload(json!({"replicas": -1, "minReadySeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}},
            "template": {"metadata": {"labels": {"app": "w"}}, "spec": {"restartPolicy": "Never", "containers": []}}})),
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.spec.containers: Required value",
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
        ],
    );
    check_create(
        "Deployment.apps",
        workload(json!({"template": null, "selector": null})),
        &["spec.selector: Required value", "spec.template: Required value"],
    );
    check_create(
        "DaemonSet.apps",
        workload(
            json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}}),
        ),
        &[
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0 when maxSurge is 0",
        ],
    );
}

#[test]
fn stateful_sets_stay_what_they_are() {
    check_update("StatefulSet.apps", workload(json!({})), |set| set.set_at("/spec/replicas", 5), &[]);
    check_update(
        "StatefulSet.apps",
        workload(json!({})),
        |set| set.set_at("/spec/serviceName", "x"),
        &[
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ],
    );
}

fn job(spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "j", "namespace": "n"}, "spec": {
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x:1"}]}}}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}

#[test]
fn jobs_select_by_their_uid() {
    let made = created("Job.batch", job(json!({})));
    assert_eq!(
        made["spec"]["selector"],
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}})
    );
    assert_eq!(
        made["spec"]["template"]["metadata"]["labels"],
        json!({"batch.kubernetes.io/controller-uid": "u-1", "controller-uid": "u-1",
            "batch.kubernetes.io/job-name": "j", "job-name": "j"})
    );
    for (field, value) in [
        ("completions", json!(1)),
        ("parallelism", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
    ] {
        assert_eq!(made["spec"][field], value, "{field}");
    }
    check_create("Job.batch", job(json!({})), &[]);
    check_create("Job.batch", job(json!({"parallelism": 3})), &[]);
    assert_eq!(created("Job.batch", job(json!({"parallelism": 3})))["spec"].get("completions"), None);
}

#[test]
fn job_rules() {
    check_create(
        "Job.batch",
        job(json!({"selector": {"matchLabels": {"app": "x"}}})),
        &[
            "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"x\",\"batch.kubernetes.io/controller-uid\":\"u-1\"}}: `selector` not auto-generated",
            "spec.template.metadata.labels: Invalid value: {\"batch.kubernetes.io/controller-uid\":\"u-1\",\"controller-uid\":\"u-1\",\"batch.kubernetes.io/job-name\":\"j\",\"job-name\":\"j\"}: `selector` does not match template `labels`",
        ],
    );
    let mut always = job(json!({}));
    always.remove_at("/spec/template/spec/restartPolicy");
    check_create(
        "Job.batch",
        always,
        &["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
    );
    check_create(
        "Job.batch",
        job(json!({"backoffLimit": -1})),
        &["spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"],
    );
    check_update("Job.batch", job(json!({})), |job| job.set_at("/spec/parallelism", 4), &[]);
    check_update(
        "Job.batch",
        job(json!({})),
        |job| job.set_at("/spec/completions", 4),
        &["spec.completions: Invalid value: 4: field is immutable"],
    );
    check_update(
        "Job.batch",
        job(json!({})),
        |job| job.set_at("/spec/selector/matchLabels", json!({"batch.kubernetes.io/controller-uid": "u-2"})),
        &[
            "spec.selector: Invalid value: {\"matchLabels\":{\"batch.kubernetes.io/controller-uid\":\"u-2\"}}: `selector` not auto-generated",
            "spec.template.metadata.labels: Invalid value: {\"batch.kubernetes.io/controller-uid\":\"u-1\",\"controller-uid\":\"u-1\",\"batch.kubernetes.io/job-name\":\"j\",\"job-name\":\"j\"}: `selector` does not match template `labels`",
            "spec.selector: Invalid value: {\"matchLabels\":{\"batch.kubernetes.io/controller-uid\":\"u-2\"}}: field is immutable",
        ],
    );
}

#[test]
fn cron_jobs() {
    let cron = |schedule: &str| json!({"metadata": {"name": "c"}, "spec": {"schedule": schedule, "jobTemplate": {"spec": job(json!({}))["spec"]}}});
    check_create("CronJob.batch", cron("*/5 * * * *"), &[]);
    check_create("CronJob.batch", cron("@daily"), &[]);
    check_create("CronJob.batch", cron(""), &["spec.schedule: Required value"]);
    check_create(
        "CronJob.batch",
        cron("* * *"),
        &["spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: [* * *]"],
    );
    check_create(
        "CronJob.batch",
        cron("61 * * * *"),
        &["spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61"],
    );
    check_create(
        "CronJob.batch",
        cron("TZ=UTC 0 0 * * *"),
        &[
            "spec.schedule: Invalid value: \"TZ=UTC 0 0 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ],
    );
    let mut zoned = cron("@daily");
    zoned.set_at("/spec/timeZone", "local");
    check_create(
        "CronJob.batch",
        zoned,
        &[
            "spec.timeZone: Invalid value: \"local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        ],
    );
    let made = created("CronJob.batch", cron("@daily"));
    assert_eq!(
        (made.str_at("/spec/concurrencyPolicy"), made.i64_at("/spec/successfulJobsHistoryLimit")),
        ("Allow", Some(3))
    );
}

#[test]
fn replication_controllers_select_the_labels_of_their_template() {
    let mut object = workload(json!({}));
    object.remove_at("/spec/selector");
    let made = created("ReplicationController", object);
    assert_eq!(
        (&made["spec"]["selector"], &made["metadata"]["labels"]),
        (&json!({"app": "w"}), &json!({"app": "w"}))
    );
    check_create("ReplicationController", workload(json!({"selector": {"app": "w"}})), &[]);
    check_create(
        "ReplicationController",
        workload(json!({"selector": {"app": "v"}})),
        &[
            "spec.template.metadata.labels: Invalid value: {\"app\":\"w\"}: `selector` does not match template `labels`",
        ],
    );
}

#[test]
fn a_new_workload_has_no_replicas() {
    let status = |name: &str| {
        let mut object = workload(json!({}));
        object.set_at("/status", json!({"replicas": 9}));
        created(name, object)["status"].clone()
    };
    assert_eq!(status("Deployment.apps"), json!({}));
    assert_eq!(status("ReplicaSet.apps"), json!({"replicas": 0}));
    assert_eq!(status("StatefulSet.apps"), json!({"replicas": 0, "availableReplicas": 0}));
    assert_eq!(status("DaemonSet.apps")["numberReady"], 0);
}
