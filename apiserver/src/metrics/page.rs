//! The pages `/metrics` and `/metrics/slis`.

use std::sync::{Weak, atomic::Ordering::Relaxed};

use api::object::ObjectExt;
use async_trait::async_trait;
use http::{HeaderValue, Method, Response, header};
use wire::{Body, body};

use super::text::Text;
use crate::{
    context::{Context, Ctx},
    pipeline::{Page, Pages},
    respond,
};

/// Answers from the counters, and from the server as it is now.
#[derive(Debug)]
pub(crate) struct MetricsPage(pub(crate) Weak<Context>);

#[async_trait]
impl Pages for MetricsPage {
    fn paths(&self) -> Vec<String> {
        ["/metrics", "/metrics/slis"].map(str::to_owned).into()
    }

    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>> {
        let slis = match page.path.trim_end_matches('/') {
            "/metrics" => false,
            "/metrics/slis" => true,
            _ => return None,
        };
        let ctx = self.0.upgrade()?;
        if !matches!(*page.method, Method::GET | Method::HEAD) {
            return Some(respond::text(405, "405: Method Not Allowed"));
        }
        let text = if slis { self::slis(&ctx).await } else { all(&ctx) };
        let mut response = Response::new(body::full(text));
        let media =
            HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        Some(response)
    }
}

fn all(ctx: &Ctx) -> String {
    let mut text = Text::default();
    let metrics = &ctx.metrics;
    api_services(ctx, &mut text);
    ctx.admission.counts().write(&mut text);
    let name = "apiserver_audit_error_total";
    text.family(name, "counter", "[ALPHA] Audit events that did not arrive, by whose fault it was.");
    for (plugin, count) in ctx.audit.as_ref().map(|audit| audit.failures().counts()).unwrap_or_default() {
        text.sample(name, &[("plugin", plugin)], count as f64);
    }
    ctx.admission.webhook_counts().write(&mut text);
    ctx.authz.counts().write(&mut text);
    let name = "apiserver_audit_event_total";
    text.single(name, "counter", "[ALPHA] Audit events recorded.", metrics.audit_events.load(Relaxed) as f64);
    metrics.authn.write_certificates(&mut text);
    let name = "apiserver_current_inflight_requests";
    text.family(name, "gauge", "[STABLE] Requests that are carried out now.");
    let (reading, writing) = ctx.seats.taken();
    text.sample(name, &[("request_kind", "mutating")], writing as f64);
    text.sample(name, &[("request_kind", "readOnly")], reading as f64);
    if let Some(fairness) = &ctx.fairness {
        crate::flow::write(fairness, &mut text);
    }
    ctx.admission.counts().write_policies(&mut text, true);
    metrics.filters.write(&mut text);
    metrics.requests.write(&mut text);
    let name = "apiserver_request_terminations_total";
    text.family(name, "counter", "[ALPHA] Requests sent away before they were looked at, by HTTP code.");
    for (code, count) in metrics.terminations.lock().iter() {
        text.sample(name, &[("code", &code.to_string()), ("component", "apiserver")], *count as f64);
    }
    objects(ctx, &mut text);
    let name = "apiserver_tls_handshake_errors_total";
    let errors = metrics.handshake_errors.load(Relaxed) as f64;
    text.single(name, "counter", "[ALPHA] TLS handshakes that failed.", errors);
    ctx.admission.counts().write_policies(&mut text, false);
    metrics.watches.write(&mut text);
    metrics.authn.write(&mut text);
    ctx.authz.counts().write_attempts(&mut text);
    metrics.store.write(&mut text);
    let name = "kubernetes_build_info";
    text.family(name, "gauge", "[ALPHA] Always 1, with the version in its labels.");
    let profile = ctx.options.profile;
    let labels = [
        ("git_version", profile.git_version()),
        ("go_version", profile.go_version()),
        ("major", "1".to_owned()),
        ("minor", profile.minor().to_string()),
        ("platform", "linux/amd64".to_owned()),
    ];
    let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
    text.sample(name, &labels, 1.0);
    let name = "process_start_time_seconds";
    let started = metrics.started.as_millisecond() as f64 / 1000.0;
    text.single(
        name,
        "gauge",
        "[ALPHA] When the process started, by the host's clock, since the epoch.",
        started,
    );
    let name = "rest_client_requests_total";
    text.family(name, "counter", "[ALPHA] Requests of the server's client of itself, by HTTP code.");
    let host = ctx.rest.http().url();
    let host = host.strip_prefix("https://").unwrap_or(&host);
    for (method, code, count) in metrics.loopback.counts() {
        text.sample(name, &[("code", &code), ("host", host), ("method", &method)], count as f64);
    }
    if let Some(tokens) = ctx.authn.token_counts() {
        tokens.write(&mut text);
    }
    text.finish()
}

fn objects(ctx: &Ctx, text: &mut Text) {
    let name = "apiserver_storage_objects";
    text.family(name, "gauge", "[STABLE] Objects that are stored, by resource.");
    let mut counts: Vec<(String, usize)> = Vec::new();
    for served in ctx.catalog.all().iter().filter(|served| served.is_stored()) {
        let Ok((items, _)) = ctx.caches.list(served, "") else { continue };
        counts.push((served.qualified(), items.len()));
    }
    counts.sort();
    counts.dedup_by(|a, b| a.0 == b.0);
    for (resource, count) in counts {
        text.sample(name, &[("resource", &resource)], count as f64);
    }
}

fn api_services(ctx: &Ctx, text: &mut Text) {
    let name = "aggregator_unavailable_apiservice";
    text.family(name, "gauge", "[ALPHA] API services that are not available.");
    let mut services = ctx.informers.api_services.list();
    services.sort_by(|a, b| a.name().cmp(b.name()));
    for service in services {
        let available = service.list_at("/status/conditions").iter().any(|condition| {
            condition.str_at("/type") == "Available" && condition.str_at("/status") == "True"
        });
        text.sample(name, &[("name", service.name())], f64::from(u8::from(!available)));
    }
}

async fn slis(ctx: &Ctx) -> String {
    let mut text = Text::default();
    let checks = ctx.health.each(ctx).await;
    let name = "kubernetes_healthcheck";
    text.family(name, "gauge", "[STABLE] Whether a health check passes now.");
    for (check, root, passes) in &checks {
        text.sample(name, &[("name", check), ("type", root)], f64::from(u8::from(*passes)));
    }
    text.finish()
}
