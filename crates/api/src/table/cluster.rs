//! What extends or steers the API server: API services, webhooks, admission policies, flow control,
//! autoscalers.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, Printer, age, text};
use crate::object::ObjectExt;

const WEBHOOKS: &[Column] = &[NAME, Column::number("Webhooks", "How many webhooks it registers."), AGE];

const BINDING: &[Column] = &[
    NAME,
    Column::text("PolicyName", "The policy that it binds."),
    Column::text("ParamRef", "The parameters that it binds."),
    AGE,
];

pub(super) static PRINTERS: &[Printer] = &[
    Printer {
        group: "apiregistration.k8s.io",
        kind: "APIService",
        columns: &[
            NAME,
            Column::text("Service", "The service that serves the API, or Local."),
            Column::text("Available", "Whether it answers."),
            AGE,
        ],
        row: |service, now| {
            let reference = service.at("/spec/service").filter(|service| service.is_object()).map_or_else(
                || "Local".to_owned(),
                |service| format!("{}/{}", service.str_at("/namespace"), service.str_at("/name")),
            );
            let available = match text::find_condition(service, "Available") {
                None => "Unknown".to_owned(),
                Some(condition) if condition.str_at("/status") == "True" => "True".into(),
                Some(condition) => {
                    format!("{} ({})", condition.str_at("/status"), condition.str_at("/reason"))
                }
            };
            vec![service.name().into(), reference.into(), available.into(), age(service, now)]
        },
    },
    Printer {
        group: "admissionregistration.k8s.io",
        kind: "MutatingWebhookConfiguration",
        columns: WEBHOOKS,
        row: |webhooks, now| {
            vec![webhooks.name().into(), webhooks.list_at("/webhooks").len().into(), age(webhooks, now)]
        },
    },
    Printer {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingWebhookConfiguration",
        columns: WEBHOOKS,
        row: |webhooks, now| {
            vec![webhooks.name().into(), webhooks.list_at("/webhooks").len().into(), age(webhooks, now)]
        },
    },
    Printer {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingAdmissionPolicy",
        columns: &[
            NAME,
            Column::number("Validations", "How many rules it has."),
            Column::text("ParamKind", "The kind of its parameters."),
            AGE,
        ],
        row: |policy, now| policy_row(policy, "/spec/validations", now),
    },
    Printer {
        group: "admissionregistration.k8s.io",
        kind: "MutatingAdmissionPolicy",
        columns: &[
            NAME,
            Column::number("Mutations", "How many changes it makes."),
            Column::text("ParamKind", "The kind of its parameters."),
            AGE,
        ],
        row: |policy, now| policy_row(policy, "/spec/mutations", now),
    },
    Printer {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingAdmissionPolicyBinding",
        columns: BINDING,
        row: binding_row,
    },
    Printer {
        group: "admissionregistration.k8s.io",
        kind: "MutatingAdmissionPolicyBinding",
        columns: BINDING,
        row: binding_row,
    },
    Printer {
        group: "",
        kind: "ComponentStatus",
        columns: &[
            NAME,
            Column::text("Status", "Whether the component is healthy."),
            Column::text("Message", "What it says of itself."),
            Column::text("Error", "Why it could not be asked."),
        ],
        row: |component, _| {
            let healthy = component
                .list_at("/conditions")
                .iter()
                .find(|condition| condition.str_at("/type") == "Healthy");
            let status = match healthy.map(|condition| condition.str_at("/status")) {
                None => "Unknown",
                Some("True") => "Healthy",
                Some(_) => "Unhealthy",
            };
            let says =
                |field: &str| -> Value { healthy.map_or("", |condition| condition.str_at(field)).into() };
            vec![component.name().into(), status.into(), says("/message"), says("/error")]
        },
    },
    Printer {
        group: "flowcontrol.apiserver.k8s.io",
        kind: "FlowSchema",
        columns: &[
            NAME,
            Column::text("PriorityLevel", "The priority level that requests go to."),
            Column::text("MatchingPrecedence", "Lower is asked first."),
            Column::text("DistinguisherMethod", "What separates the flows."),
            AGE,
            Column::text("MissingPL", "Whether the priority level does not exist."),
        ],
        row: |schema, now| {
            vec![
                schema.name().into(),
                schema.str_at("/spec/priorityLevelConfiguration/name").into(),
                text::count(schema, "/spec/matchingPrecedence"),
                text::or(schema.str_at("/spec/distinguisherMethod/type"), text::NONE).into(),
                age(schema, now),
                text::or(text::condition(schema, "Dangling"), "?").into(),
            ]
        },
    },
    Printer {
        group: "flowcontrol.apiserver.k8s.io",
        kind: "PriorityLevelConfiguration",
        columns: &[
            NAME,
            Column::text("Type", "Exempt or Limited."),
            Column::text("NominalConcurrencyShares", "Its part of the server's seats."),
            Column::text("Queues", "How many queues it has."),
            Column::text("HandSize", "How many queues a flow is spread over."),
            Column::text("QueueLengthLimit", "How long a queue may be."),
            AGE,
        ],
        row: |level, now| {
            let limited = |field: &str| -> Value {
                level.at(&format!("/spec/limited/{field}")).cloned().unwrap_or_else(|| text::NONE.into())
            };
            vec![
                level.name().into(),
                level.str_at("/spec/type").into(),
                limited("nominalConcurrencyShares"),
                limited("limitResponse/queuing/queues"),
                limited("limitResponse/queuing/handSize"),
                limited("limitResponse/queuing/queueLengthLimit"),
                age(level, now),
            ]
        },
    },
    Printer {
        group: "autoscaling",
        kind: "HorizontalPodAutoscaler",
        columns: &[
            NAME,
            Column::text("Reference", "What it scales."),
            Column::text("Targets", "Current and wanted value of each metric."),
            Column::text("MinPods", "Fewest pods."),
            Column::text("MaxPods", "Most pods."),
            Column::text("Replicas", "How many pods there are."),
            AGE,
        ],
        row: |scaler, now| {
            let target = scaler.at("/spec/scaleTargetRef").unwrap_or(&Value::Null);
            vec![
                scaler.name().into(),
                format!("{}/{}", target.kind(), target.str_at("/name")).into(),
                targets(scaler).into(),
                text::scalar(scaler.at("/spec/minReplicas")).unwrap_or_else(|| text::UNSET.into()).into(),
                text::count(scaler, "/spec/maxReplicas"),
                text::count(scaler, "/status/currentReplicas"),
                age(scaler, now),
            ]
        },
    },
];

fn policy_row(policy: &Value, rules: &str, now: Timestamp) -> Vec<Value> {
    let parameters = policy.at("/spec/paramKind").filter(|p| p.is_object()).map_or_else(
        || text::UNSET.to_owned(),
        |p| format!("{}/{}", p.str_at("/apiVersion"), p.str_at("/kind")),
    );
    vec![policy.name().into(), policy.list_at(rules).len().into(), parameters.into(), age(policy, now)]
}

fn binding_row(binding: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = match (binding.str_at("/spec/paramRef/namespace"), binding.str_at("/spec/paramRef/name"))
    {
        (_, "") => text::or(&text::selector(binding.at("/spec/paramRef/selector")), text::UNSET).to_owned(),
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![
        binding.name().into(),
        binding.str_at("/spec/policyName").into(),
        parameters.into(),
        age(binding, now),
    ]
}

/// `cpu: 40%/80%, memory: <unknown>/1Gi + 1 more...`
fn targets(scaler: &Value) -> String {
    let metrics = scaler.list_at("/spec/metrics");
    if metrics.is_empty() {
        return text::NONE.into();
    }
    let shown: Vec<String> = metrics
        .iter()
        .zip(scaler.list_at("/status/currentMetrics").iter().map(Some).chain(std::iter::repeat(None)))
        .take(2)
        .map(|(metric, status)| target(metric, status))
        .collect();
    let shown = shown.join(", ");
    match metrics.len().saturating_sub(2) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

fn target(metric: &Value, status: Option<&Value>) -> String {
    let (field, named) = match metric.str_at("/type") {
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "External" => ("external", false),
        _ => return "<unknown type>".into(),
    };
    let wanted = |name: &str| text::scalar(metric.at(&format!("/{field}/target/{name}")));
    let current = |name: &str| {
        status
            .and_then(|status| text::scalar(status.at(&format!("/{field}/current/{name}"))))
            .unwrap_or_else(|| "<unknown>".into())
    };
    let percent = |text: String| if text.starts_with('<') { text } else { format!("{text}%") };
    let average = wanted("averageValue").map(|wanted| format!("{}/{wanted}", current("averageValue")));
    match (named, average) {
        (true, average) => {
            let name = metric.str_at(&format!("/{field}/name"));
            let pair = average.unwrap_or_else(|| {
                let wanted = wanted("averageUtilization").map_or_else(|| "<auto>".into(), percent);
                format!("{}/{wanted}", percent(current("averageUtilization")))
            });
            format!("{name}: {pair}")
        }
        (false, Some(average)) if field == "pods" => average,
        (false, Some(average)) => format!("{average} (avg)"),
        (false, None) => format!("{}/{}", current("value"), wanted("value").unwrap_or_default()),
    }
}
