//! What the kubelet tells about itself and its pods: health, lists, statistics, metrics.
//!
//! Nothing here burns processor time or memory of its own, so no page has figures for them: what is
//! told is what the simulation knows. Upstream: `pkg/kubelet/server/server.go`, `server/stats`,
//! `server/metrics`.

use std::fmt::Write as _;

use api::object::ObjectExt as _;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use wire::Body;
use world::Host;

use super::text;
use crate::{options::Options, pods::Pods};

/// The page at `path`, if there is one.
pub(super) fn serve(host: &Host, pods: &Pods, path: &str) -> Option<Response<Body>> {
    let options = pods.options();
    Some(match path.trim_end_matches('/') {
        "/healthz" | "/healthz/ping" | "/healthz/log" | "/healthz/syncloop" => text(StatusCode::OK, "ok"),
        "/pods" => page(&list(pods.snapshot())),
        "/runningpods" => page(&list(pods.snapshot().iter().filter_map(running).collect())),
        "/configz" => page(&json!({"kubeletconfig": configuration(options)})),
        "/stats/summary" => page(&summary(options, &pods.snapshot())),
        "/metrics" => metrics(&of_kubelet(host, pods)),
        "/metrics/cadvisor" => metrics(&of_machine(&pods.snapshot())),
        "/metrics/resource" => metrics(&of_resources(&pods.snapshot())),
        _ => return None,
    })
}

fn page(content: &Value) -> Response<Body> {
    typed(&content.to_string(), "application/json")
}

fn metrics(content: &str) -> Response<Body> {
    typed(content, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
}

fn typed(content: &str, kind: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::OK, content);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "items": items, "kind": "PodList", "metadata": {}})
}

/// A pod as its runtime knows it: who it is, and the containers that run.
fn running(pod: &Value) -> Option<Value> {
    let containers: Vec<Value> = containers(pod)
        .filter(|(_, since)| since.is_some())
        .map(|(status, _)| json!({"name": status.str_at("/name"), "image": status.str_at("/image"), "resources": {}}))
        .collect();
    (!containers.is_empty()).then(|| {
        json!({
            "metadata": {"name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid()},
            "spec": {"containers": containers},
            "status": {},
        })
    })
}

/// Statuses of all containers, each with since when it runs.
fn containers(pod: &Value) -> impl Iterator<Item = (&Value, Option<&str>)> {
    let all =
        ["/status/initContainerStatuses", "/status/containerStatuses", "/status/ephemeralContainerStatuses"];
    all.into_iter()
        .flat_map(|list| pod.list_at(list))
        .map(|status| (status, status.at("/state/running/startedAt").and_then(Value::as_str)))
}

fn configuration(options: &Options) -> Value {
    let seconds = |d: std::time::Duration| api::duration::format(d);
    json!({
        "authentication": {"x509": {"clientCAFile": options.client_ca}},
        "healthzPort": options.healthz_port,
        "maxPods": options.max_pods,
        "nodeLeaseDurationSeconds": options.lease_seconds,
        "nodeStatusReportFrequency": seconds(options.status_report),
        "nodeStatusUpdateFrequency": seconds(options.status_update),
        "port": options.port,
        "rotateCertificates": options.rotate,
        "staticPodPath": options.static_pods,
        "streamingConnectionIdleTimeout": seconds(options.streaming_idle),
    })
}

fn summary(options: &Options, pods: &[Value]) -> Value {
    let of = |pod: &Value| {
        let containers: Vec<Value> = containers(pod)
            .filter_map(|(status, since)| Some(json!({"name": status.str_at("/name"), "startTime": since?})))
            .collect();
        json!({
            "podRef": {"name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid()},
            "startTime": pod.str_at("/status/startTime"),
            "containers": containers,
        })
    };
    json!({
        "node": {"nodeName": options.node_name},
        "pods": pods.iter().map(of).collect::<Vec<_>>(),
    })
}

/// Upper bounds of what serving certificates live, in seconds: a minute to four years.
const LIVES: [f64; 10] = [
    60.0,
    3_600.0,
    14_400.0,
    86_400.0,
    604_800.0,
    2_592_000.0,
    7_776_000.0,
    15_552_000.0,
    31_104_000.0,
    124_416_000.0,
];

/// A text in Prometheus' format.
#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn about(&mut self, name: &str, help: &str) {
        self.head(name, help, "gauge");
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) {
        self.head(name, help, "counter");
        self.value(name, &[], count as f64);
    }

    fn histogram(&mut self, name: &str, help: &str, bounds: &[f64], seen: &[f64]) {
        self.head(name, help, "histogram");
        for bound in bounds.iter().copied().chain([f64::INFINITY]) {
            let below = seen.iter().filter(|value| **value <= bound).count();
            let shown = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
            self.value(&format!("{name}_bucket"), &[("le", &shown)], below as f64);
        }
        self.value(&format!("{name}_sum"), &[], seen.iter().sum());
        self.value(&format!("{name}_count"), &[], seen.len() as f64);
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", value.replace(['"', '\\'], "_")))
            .collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let value = if value.is_infinite() { "+Inf".to_owned() } else { value.to_string() };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

fn of_kubelet(host: &Host, pods: &Pods) -> String {
    let (options, certificates) = (pods.options(), pods.certificates());
    let pods = pods.snapshot();
    let mut out = Metrics::default();
    for (which, word) in [("client", "client"), ("server", "serving")] {
        let name = format!("kubelet_certificate_manager_{which}_ttl_seconds");
        out.about(
            &name,
            &format!("[ALPHA] Gauge of the TTL (time-to-live) of the Kubelet's {word} certificate. The value is in seconds until certificate expiry (negative if already expired). If {word} certificate is invalid or unused, the value will be +INF."),
        );
        out.value(&name, &[], left(host, &format!("{}/kubelet-{which}-current.pem", options.cert_dir)));
    }
    let errors = [
        ("kubelet_certificate_manager_client_expiration_renew_errors", &certificates.client),
        ("kubelet_server_expiration_renew_errors", &certificates.serving),
    ];
    for (name, renewals) in errors {
        if let Some(renewals) = renewals {
            out.counter(name, "[ALPHA] Counter of certificate renewal errors.", renewals.errors());
        }
    }
    if let Some(renewals) = &certificates.serving {
        out.histogram(
            "kubelet_certificate_manager_server_rotation_seconds",
            "[ALPHA] Histogram of the number of seconds the previous certificate lived before being rotated.",
            &LIVES,
            &renewals.lives(),
        );
    }
    out.about("kubelet_node_name", "[ALPHA] The node's name. The count is always 1.");
    out.value("kubelet_node_name", &[("node", &options.node_name)], 1.0);
    let up = pods.iter().filter(|p: &&Value| containers(p).any(|(_, since)| since.is_some())).count();
    out.about("kubelet_running_pods", "[ALPHA] Number of pods that have a running pod sandbox");
    out.value("kubelet_running_pods", &[], up as f64);
    out.about("kubelet_running_containers", "[ALPHA] Number of containers currently running");
    let all: Vec<Option<&str>> = pods.iter().flat_map(containers).map(|(_, since)| since).collect();
    let up = all.iter().filter(|since| since.is_some()).count();
    out.value("kubelet_running_containers", &[("container_state", "exited")], (all.len() - up) as f64);
    out.value("kubelet_running_containers", &[("container_state", "running")], up as f64);
    out.about("kubernetes_build_info", "[ALPHA] The release that this kubelet says to be.");
    out.value("kubernetes_build_info", &[("git_version", &options.profile.git_version())], 1.0);
    out.0
}

/// Seconds until the certificate in a file ends, by the host's wall clock; infinite without one.
fn left(host: &Host, path: &str) -> f64 {
    let read = host.disk().read(path).ok().and_then(|pem| pki::Certificate::parse_pem(&pem).ok());
    read.and_then(|all| {
        all.first().map(|leaf| leaf.not_after().duration_since(host.clock().wall()).as_secs_f64())
    })
    .map_or(f64::INFINITY, f64::round)
}

fn started(out: &mut Metrics, help: &str, pods: &[Value]) {
    let name = "container_start_time_seconds";
    out.about(name, help);
    for pod in pods {
        for (status, since) in containers(pod) {
            let Some(since) = since.and_then(|s| s.parse::<world::Wall>().ok()) else { continue };
            let labels =
                [("container", status.str_at("/name")), ("namespace", pod.namespace()), ("pod", pod.name())];
            out.value(name, &labels, since.as_second() as f64);
        }
    }
}

fn of_machine(pods: &[Value]) -> String {
    let mut out = Metrics::default();
    started(&mut out, "Start time of the container since unix epoch in seconds.", pods);
    out.0
}

fn of_resources(pods: &[Value]) -> String {
    let mut out = Metrics::default();
    started(&mut out, "[STABLE] Start time of the container since unix epoch in seconds", pods);
    for name in ["resource_scrape_error", "scrape_error"] {
        out.about(name, "1 if there was an error while getting container metrics, 0 otherwise");
        out.value(name, &[], 0.0);
    }
    out.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_is_below_each_bound() {
        let mut out = Metrics::default();
        out.histogram("lives", "How long.", &[60.0, 3600.0], &[30.0, 60.0, 7200.0]);
        let text = "# HELP lives How long.\n# TYPE lives histogram\nlives_bucket{le=\"60\"} 2\n\
                    lives_bucket{le=\"3600\"} 2\nlives_bucket{le=\"+Inf\"} 3\nlives_sum 7290\nlives_count 3\n";
        assert_eq!(out.0, text);
    }
}
