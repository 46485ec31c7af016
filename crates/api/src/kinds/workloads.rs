//! What runs pods, keeps their number and protects them.

use super::{
    Kind, Propagation,
    row::{own, row, scale},
};

const fn apps(kind: &'static str, plural: &'static str, singular: &'static str) -> Kind {
    row("apps", "v1", kind, plural, singular)
}

pub(super) const APPS: &[Kind] = &[
    apps("ControllerRevision", "controllerrevisions", "controllerrevision"),
    apps("DaemonSet", "daemonsets", "daemonset")
        .short(&["ds"])
        .categories(&["all"])
        .subs(&[own("status", "apps", "v1", "DaemonSet")])
        .counts_generation(),
    apps("Deployment", "deployments", "deployment")
        .short(&["deploy"])
        .categories(&["all"])
        .subs(&[scale(false), own("status", "apps", "v1", "Deployment")])
        .counts_generation(),
    apps("ReplicaSet", "replicasets", "replicaset")
        .short(&["rs"])
        .categories(&["all"])
        .subs(&[scale(false), own("status", "apps", "v1", "ReplicaSet")])
        .counts_generation()
        .selectable(&["status.replicas"]),
    apps("StatefulSet", "statefulsets", "statefulset")
        .short(&["sts"])
        .categories(&["all"])
        .subs(&[scale(false), own("status", "apps", "v1", "StatefulSet")])
        .counts_generation(),
];

pub(super) const BATCH: &[Kind] = &[
    row("batch", "v1", "CronJob", "cronjobs", "cronjob")
        .short(&["cj"])
        .categories(&["all"])
        .subs(&[own("status", "batch", "v1", "CronJob")])
        .counts_generation(),
    row("batch", "v1", "Job", "jobs", "job")
        .categories(&["all"])
        .subs(&[own("status", "batch", "v1", "Job")])
        .counts_generation()
        .dependents(Propagation::Orphan)
        .selectable(&["status.successful"]),
];

const fn autoscaler(version: &'static str) -> Kind {
    row(
        "autoscaling",
        version,
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
    )
    .short(&["hpa"])
    .categories(&["all"])
    .stored_as("autoscaling", "v2")
}

pub(super) const AUTOSCALING_V2: &[Kind] =
    &[autoscaler("v2").subs(&[own("status", "autoscaling", "v2", "HorizontalPodAutoscaler")])];

pub(super) const AUTOSCALING_V1: &[Kind] =
    &[autoscaler("v1").subs(&[own("status", "autoscaling", "v1", "HorizontalPodAutoscaler")])];

pub(super) const POLICY: &[Kind] =
    &[row("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget")
        .short(&["pdb"])
        .subs(&[own("status", "policy", "v1", "PodDisruptionBudget")])
        .counts_generation()
        .conditional_update()];
