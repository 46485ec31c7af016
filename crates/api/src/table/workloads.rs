//! Kinds that run pods: deployments, replica sets, daemon sets, stateful sets, jobs.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, CONTAINERS, Column, IMAGES, NAME, Printer, SELECTOR, age, human, since, text};
use crate::object::ObjectExt;

const DESIRED: Column = Column::number("Desired", "How many pods are wanted.");
const CURRENT: Column = Column::number("Current", "How many pods there are.");
const READY: Column = Column::number("Ready", "How many pods are ready.");
const READY_OF: Column = Column::text("Ready", "How many pods are ready, of how many wanted.");
const TEMPLATE: &str = "/spec/template/spec/containers";

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: "apps",
        kind: "Deployment",
        columns: &[
            NAME,
            READY_OF,
            Column::text("Up-to-date", "How many pods have the current template."),
            Column::text("Available", "How many pods have been ready long enough."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        row: |deployment, now| {
            let (names, images) = text::containers(deployment, TEMPLATE);
            vec![
                deployment.name().into(),
                ready_of(deployment),
                text::count(deployment, "/status/updatedReplicas"),
                text::count(deployment, "/status/availableReplicas"),
                age(deployment, now),
                names,
                images,
                text::selector(deployment.at("/spec/selector")).into(),
            ]
        },
    },
    Printer {
        group: "apps",
        kind: "ReplicaSet",
        columns: &[NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR],
        row: |set, now| replicas(set, now, label_selector(set, "/spec/selector")),
    },
    Printer {
        group: "",
        kind: "ReplicationController",
        columns: &[NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR],
        row: |set, now| replicas(set, now, text::labels(set.map_at("/spec/selector")).into()),
    },
    Printer {
        group: "apps",
        kind: "DaemonSet",
        columns: &[
            NAME,
            Column::number("Desired", "How many nodes should run the pod."),
            Column::number("Current", "How many of these nodes run it."),
            Column::number("Ready", "How many of these nodes have it ready."),
            Column::number("Up-to-date", "How many nodes run the current template."),
            Column::number("Available", "How many nodes have had it ready long enough."),
            Column::text("Node Selector", "Labels that the nodes must have."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        row: |set, now| {
            let (names, images) = text::containers(set, TEMPLATE);
            vec![
                set.name().into(),
                text::count(set, "/status/desiredNumberScheduled"),
                text::count(set, "/status/currentNumberScheduled"),
                text::count(set, "/status/numberReady"),
                text::count(set, "/status/updatedNumberScheduled"),
                text::count(set, "/status/numberAvailable"),
                text::labels(set.map_at("/spec/template/spec/nodeSelector")).into(),
                age(set, now),
                names,
                images,
                label_selector(set, "/spec/selector"),
            ]
        },
    },
    Printer {
        group: "apps",
        kind: "StatefulSet",
        columns: &[NAME, READY_OF, AGE, CONTAINERS, IMAGES],
        row: |set, now| {
            let (names, images) = text::containers(set, TEMPLATE);
            vec![set.name().into(), ready_of(set), age(set, now), names, images]
        },
    },
    Printer {
        group: "apps",
        kind: "ControllerRevision",
        columns: &[
            NAME,
            Column::text("Controller", "The owner that manages the revision."),
            Column::text("Revision", "Number of the revision."),
            AGE,
        ],
        row: |revision, now| {
            let controller = revision.controller_of().map_or_else(
                || text::NONE.to_owned(),
                |owner| {
                    let dot = if owner.group().is_empty() { "" } else { "." };
                    format!(
                        "{}{dot}{}/{}",
                        owner.kind.to_lowercase(),
                        owner.group().to_lowercase(),
                        owner.name
                    )
                },
            );
            vec![
                revision.name().into(),
                controller.into(),
                text::count(revision, "/revision"),
                age(revision, now),
            ]
        },
    },
    Printer {
        group: "batch",
        kind: "Job",
        columns: &[
            NAME,
            Column::text("Status", "Whether the job runs, is suspended, or how it ended."),
            Column::text("Completions", "How many pods have succeeded, of how many wanted."),
            Column::text("Duration", "How long the job has taken."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        row: |job, now| {
            let (names, images) = text::containers(job, TEMPLATE);
            vec![
                job.name().into(),
                job_status(job).into(),
                completions(job).into(),
                job_duration(job, now).into(),
                age(job, now),
                names,
                images,
                label_selector(job, "/spec/selector"),
            ]
        },
    },
    Printer {
        group: "batch",
        kind: "CronJob",
        columns: &[
            NAME,
            Column::text("Schedule", "When it runs, as cron writes it."),
            Column::text("Timezone", "The time zone of the schedule."),
            Column::flag("Suspend", "Whether no further job is started."),
            Column::number("Active", "How many jobs run."),
            Column::text("Last Schedule", "Time since a job was last started."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        row: |cron, now| {
            let (names, images) = text::containers(cron, "/spec/jobTemplate/spec/template/spec/containers");
            let suspend = match cron.at("/spec/suspend").and_then(Value::as_bool) {
                None => text::UNSET,
                Some(true) => "True",
                Some(false) => "False",
            };
            let last = match cron.time_at("/status/lastScheduleTime") {
                None => text::NONE.to_owned(),
                Some(_) => since(cron, "/status/lastScheduleTime", now),
            };
            vec![
                cron.name().into(),
                cron.str_at("/spec/schedule").into(),
                text::or(cron.str_at("/spec/timeZone"), text::NONE).into(),
                suspend.into(),
                cron.list_at("/status/active").len().into(),
                last.into(),
                age(cron, now),
                names,
                images,
                label_selector(cron, "/spec/jobTemplate/spec/selector"),
            ]
        },
    },
    Printer {
        group: "autoscaling",
        kind: "Scale",
        columns: &[
            Column::text("Name", "Name of the scaled object."),
            DESIRED,
            Column::number("Available", "How many pods there are."),
            AGE,
        ],
        row: |scale, now| {
            vec![
                scale.name().into(),
                text::count(scale, "/spec/replicas"),
                text::count(scale, "/status/replicas"),
                age(scale, now),
            ]
        },
    },
];

fn replicas(set: &Value, now: Timestamp, selector: Value) -> Vec<Value> {
    let (names, images) = text::containers(set, TEMPLATE);
    vec![
        set.name().into(),
        text::count(set, "/spec/replicas"),
        text::count(set, "/status/replicas"),
        text::count(set, "/status/readyReplicas"),
        age(set, now),
        names,
        images,
        selector,
    ]
}

fn ready_of(object: &Value) -> Value {
    let count = |pointer| object.i64_at(pointer).unwrap_or(0);
    format!("{}/{}", count("/status/readyReplicas"), count("/spec/replicas")).into()
}

/// A label selector as a cell; one that is absent or selects everything is `<none>`.
fn label_selector(object: &Value, pointer: &str) -> Value {
    text::or(&text::selector(object.at(pointer)), text::NONE).into()
}

fn job_status(job: &Value) -> &'static str {
    let is = |kind| text::condition(job, kind) == "True";
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if job.is_terminating() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(job: &Value) -> String {
    let succeeded = job.i64_at("/status/succeeded").unwrap_or(0);
    match (job.i64_at("/spec/completions"), job.i64_at("/spec/parallelism").unwrap_or(0)) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn job_duration(job: &Value, now: Timestamp) -> String {
    let Some(start) = job.time_at("/status/startTime") else { return String::new() };
    human(job.time_at("/status/completionTime").unwrap_or(now).duration_since(start))
}
