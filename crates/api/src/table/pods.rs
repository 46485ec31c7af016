//! Pods: their STATUS is a summary of phase, reasons of containers, and deletion.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, Printer, age, ago, text};
use crate::object::ObjectExt;

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        kind: "Pod",
        columns: &[
            NAME,
            Column::text("Ready", "How many containers are ready, of how many."),
            Column::text("Status", "What the pod is doing, summed up over its containers."),
            Column::text("Restarts", "How often containers were restarted, and when last."),
            AGE,
            Column::text("IP", "First IP address of the pod.").wide(),
            Column::text("Node", "The node that the pod is bound to.").wide(),
            Column::text("Nominated Node", "The node that preemption makes room on.").wide(),
            Column::text("Readiness Gates", "How many readiness gates are passed, of how many.").wide(),
        ],
        row: pod,
    },
    Printer {
        group: "",
        kind: "PodTemplate",
        columns: &[
            NAME,
            Column::text("Containers", "Names of the containers in the template."),
            Column::text("Images", "Images of the containers in the template."),
            Column::text("Pod Labels", "Labels of the template."),
        ],
        row: |template, _| {
            let (names, images) = text::containers(template, "/template/spec/containers");
            let labels = text::labels(template.map_at("/template/metadata/labels"));
            vec![template.name().into(), names, images, labels.into()]
        },
    },
];

fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts != 0 => format!("{} ({} ago)", summary.restarts, ago(last, now)),
        _ => summary.restarts.to_string(),
    };
    vec![
        pod.name().into(),
        format!("{}/{}", summary.ready, summary.containers).into(),
        summary.reason.into(),
        restarts.into(),
        age(pod, now),
        text::or(pod.str_at("/status/podIPs/0/ip"), text::NONE).into(),
        text::or(pod.str_at("/spec/nodeName"), text::NONE).into(),
        text::or(pod.str_at("/status/nominatedNodeName"), text::NONE).into(),
        readiness_gates(pod).into(),
    ]
}

#[derive(Default)]
struct Summary {
    reason: String,
    ready: usize,
    containers: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Value) -> Summary {
        let phase = pod.str_at("/status/phase");
        let mut summary = Summary {
            reason: text::or(pod.str_at("/status/reason"), phase).into(),
            containers: pod.list_at("/spec/containers").len()
                + pod.list_at("/spec/initContainers").iter().filter(|c| is_sidecar(c)).count(),
            ..Summary::default()
        };
        if text::find_condition(pod, "PodScheduled").is_some_and(|c| c.str_at("/reason") == "SchedulingGated")
        {
            summary.reason = "SchedulingGated".into();
        }
        let sidecars = summary.init_containers(pod);
        if sidecars.done || text::condition(pod, "Initialized") == "True" {
            (summary.restarts, summary.last_restart) = (sidecars.restarts, sidecars.last_restart);
            summary.main_containers(pod);
        }
        if pod.is_terminating() {
            if pod.str_at("/status/reason") == "NodeLost" {
                summary.reason = "Unknown".into();
            } else if !matches!(phase, "Succeeded" | "Failed") {
                summary.reason = "Terminating".into();
            }
        }
        summary
    }

    /// Counts what the init containers have done up to the one that is at work. Once they are through,
    /// only those that keep running (sidecars) count.
    fn init_containers(&mut self, pod: &Value) -> InitPhase {
        let specs = pod.list_at("/spec/initContainers");
        let mut phase = InitPhase { done: true, ..InitPhase::default() };
        for (index, status) in pod.list_at("/status/initContainerStatuses").iter().enumerate() {
            let sidecar =
                specs.iter().any(|spec| is_sidecar(spec) && spec.str_at("/name") == status.str_at("/name"));
            let (restarts, last) = restarts_of(status);
            self.restarts += restarts;
            self.last_restart = self.last_restart.max(last);
            if sidecar {
                phase.restarts += restarts;
                phase.last_restart = phase.last_restart.max(last);
            }
            let terminated = status.map_at("/state/terminated").is_some();
            let exit_code = status.i64_at("/state/terminated/exitCode").unwrap_or(0);
            if terminated && exit_code == 0 {
                continue;
            }
            if sidecar && status.bool_at("/started") {
                self.ready += usize::from(status.bool_at("/ready"));
                continue;
            }
            let waiting = status.str_at("/state/waiting/reason");
            self.reason = if terminated {
                format!("Init:{}", termination(status))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", specs.len())
            };
            phase.done = false;
            break;
        }
        phase
    }

    fn main_containers(&mut self, pod: &Value) {
        let mut running = false;
        let mut failure = String::new();
        for status in pod.list_at("/status/containerStatuses").iter().rev() {
            let (restarts, last) = restarts_of(status);
            self.restarts += restarts;
            self.last_restart = self.last_restart.max(last);
            let waiting = status.str_at("/state/waiting/reason");
            if !waiting.is_empty() {
                self.reason = waiting.into();
            } else if status.map_at("/state/terminated").is_some() {
                self.reason = termination(status);
                if status.i64_at("/state/terminated/exitCode").unwrap_or(0) != 0 {
                    failure.clone_from(&self.reason);
                }
            } else if status.bool_at("/ready") && status.map_at("/state/running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && text::condition(pod, "Ready") == "True" {
                self.reason = "Running".into();
            } else if !failure.is_empty() {
                self.reason = failure;
            } else if running {
                self.reason = "NotReady".into();
            }
        }
    }
}

#[derive(Default)]
struct InitPhase {
    done: bool,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

fn is_sidecar(container: &Value) -> bool {
    container.str_at("/restartPolicy") == "Always"
}

fn restarts_of(status: &Value) -> (i64, Option<Timestamp>) {
    (status.i64_at("/restartCount").unwrap_or(0), status.time_at("/lastState/terminated/finishedAt"))
}

fn termination(status: &Value) -> String {
    let reason = status.str_at("/state/terminated/reason");
    match status.i64_at("/state/terminated/signal").unwrap_or(0) {
        _ if !reason.is_empty() => reason.into(),
        0 => format!("ExitCode:{}", status.i64_at("/state/terminated/exitCode").unwrap_or(0)),
        signal => format!("Signal:{signal}"),
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates = pod.list_at("/spec/readinessGates");
    if gates.is_empty() {
        return text::NONE.into();
    }
    let passed =
        gates.iter().filter(|gate| text::condition(pod, gate.str_at("/conditionType")) == "True").count();
    format!("{passed}/{}", gates.len())
}
