//! Waiting for what the kubelet brings up: itself, its certificate, the control plane.

use std::time::Duration;

use api::{duration, profile::console};
use pki::{ClientTls, kubeconfig::Kubeconfig};
use wire::HttpClient;

use crate::{
    api_wait,
    config::InitConfig,
    paths::{
        CONTROLLER_MANAGER_PORT, HEALTH_POLL, KUBELET_CONF, KUBELET_HEALTH_PORT, MANIFESTS_DIR,
        SCHEDULER_PORT, TLS_BOOTSTRAP_POLL,
    },
    session::{Failure, Result, Session, poll},
    timeouts::Timeouts,
};

/// Waits for the kubelet's own health.
pub(crate) async fn kubelet(s: &Session<'_>, timeout: Duration) -> Result<()> {
    let url = format!("http://127.0.0.1:{KUBELET_HEALTH_PORT}/healthz");
    if s.dry_run().is_some() {
        s.say(format!("[dryrun] Would make sure the kubelet returns 'ok' at {url}"));
        return Ok(());
    }
    s.tell(&console::KUBELET_WAIT, &[&url, &duration::format(timeout)]);
    let began = s.host.clock().monotonic();
    let http = HttpClient::new(s.host, &format!("http://127.0.0.1:{KUBELET_HEALTH_PORT}"), None)?;
    let answered = poll(s.host, HEALTH_POLL, timeout, async || healthy(&http, "/healthz").await).await;
    let passed = took(s.host.clock().monotonic().since(began));
    let words = if answered.is_ok() { &console::KUBELET_HEALTHY } else { &console::KUBELET_SILENT };
    s.tell(words, &[&passed]);
    answered.map_err(|e| e.within("failed while waiting for the kubelet to start"))
}

/// Waits until a joining kubelet has a certificate of the cluster's.
pub(crate) async fn tls_bootstrap(s: &Session<'_>, timeouts: &Timeouts) -> Result<()> {
    s.tell(&console::TLS_BOOTSTRAP, &[]);
    let (host, patience) = (s.host, timeouts.tls_bootstrap);
    let waited = poll(host, TLS_BOOTSTRAP_POLL, patience, async || {
        // The file alone is not enough: the certificate that it names must be there.
        let written = Kubeconfig::load(host.disk(), KUBELET_CONF)?;
        match written.client_pair(host.disk())? {
            Some(_) => Ok(()),
            None => Err(Failure::new(format!("{KUBELET_CONF} names no client certificate"))),
        }
    });
    // What was missing at the end is not told, as with every wait of Go's.
    waited.await.map_err(|_| {
        let why = s.profile.wait_in_vain();
        s.tell(&console::TLS_BOOTSTRAP_FAILED, &[why]);
        Failure::new(why)
    })
}

/// Waits for the kubelet, then for the control plane, as the release does.
pub(crate) async fn control_plane(s: &Session<'_>, config: &InitConfig) -> Result<()> {
    s.tell(&console::WAIT, &[MANIFESTS_DIR]);
    s.tell(&console::PATIENCE, &[]);
    if s.profile.waits_for_api_alone() && s.dry_run().is_none() {
        return api_wait::control_plane(s, config).await;
    }
    if let Err(e) = kubelet(s, config.timeouts.kubelet).await {
        s.tell(&console::KUBELET_DEAD, &[]);
        return Err(e);
    }
    let healthy = components(s, config).await;
    if healthy.is_err() {
        s.tell(&console::COMPONENT_DEAD, &[&config.node.cri_socket]);
    }
    healthy
}

/// Waits for the apiserver, and where the release does so for controller-manager and scheduler too.
pub(crate) async fn components(s: &Session<'_>, config: &InitConfig) -> Result<()> {
    if s.dry_run().is_some() {
        s.say("[dryrun] Would wait for the API Server's /healthz endpoint to return 'ok'");
        return Ok(());
    }
    if !s.profile.waits_for_all_components() {
        return api(s, config).await;
    }
    let timeout = config.timeouts.control_plane;
    let patience = duration::format(timeout);
    s.say(format!(
        "[control-plane-check] Waiting for healthy control plane components. This can take up to {patience}"
    ));
    let checks = [
        ("kube-apiserver", format!("https://{}", config.local_endpoint()), "/livez"),
        ("kube-controller-manager", format!("https://127.0.0.1:{CONTROLLER_MANAGER_PORT}"), "/healthz"),
        ("kube-scheduler", format!("https://127.0.0.1:{SCHEDULER_PORT}"), "/livez"),
    ];
    for (name, base, path) in &checks {
        s.say(format!("[control-plane-check] Checking {name} at {base}{path}"));
    }
    // Each says so as soon as it is known.
    let waits = checks.iter().map(|(name, base, path)| async move {
        let (passed, answered) = component(s, base, path, timeout).await;
        let health = if answered.is_ok() { "healthy" } else { "not healthy" };
        s.say(format!("[control-plane-check] {name} is {health} after {passed}"));
        answered.map_err(|e| format!("{name} check failed at {base}{path}: {e}"))
    });
    let results = futures::future::join_all(waits).await;
    let failed: Vec<String> = results.into_iter().filter_map(std::result::Result::err).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("failed while waiting for the control plane to start: [{}]", failed.join(", "))))
}

/// The apiserver alone, of releases that do not wait for the others.
async fn api(s: &Session<'_>, config: &InitConfig) -> Result<()> {
    let timeout = config.timeouts.control_plane;
    s.tell(&console::API_WAIT, &[&duration::format(timeout)]);
    let base = format!("https://{}", config.local_endpoint());
    let (passed, answered) = component(s, &base, "/healthz", timeout).await;
    let words = if answered.is_ok() { &console::API_HEALTHY } else { &console::API_UNHEALTHY };
    s.tell(words, &[&passed]);
    answered.map_err(|e| e.within("failed while waiting for the API server to start"))
}

/// Asks a component until it answers: how long that took, as Go prints it, and what came of it.
async fn component(s: &Session<'_>, base: &str, path: &str, timeout: Duration) -> (String, Result<()>) {
    let (host, began) = (s.host, s.host.clock().monotonic());
    let answered = match HttpClient::new(host, base, Some(ClientTls::new(host, s.profile.go()).insecure())) {
        Ok(http) => poll(host, HEALTH_POLL, timeout, async || healthy(&http, path).await).await,
        Err(e) => Err(e.into()),
    };
    (took(host.clock().monotonic().since(began)), answered)
}

/// Asks once whether something on this host is healthy.
pub(crate) async fn answers(s: &Session<'_>, base: &str, path: &str) -> Result<()> {
    healthy(&HttpClient::new(s.host, base, None)?, path).await
}

pub(crate) async fn healthy(http: &HttpClient, path: &str) -> Result<()> {
    let request = http::Request::get(path)
        .body(wire::body::empty())
        .map_err(|e| Failure::new(format!("cannot ask {path}: {e}")))?;
    let response = http.send(request).await?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(Failure::new(format!("{path} answered {status}"))),
    }
}

/// As Go prints a duration that was cut to microseconds: `501.2ms`, `1.5s`.
fn took(d: Duration) -> String {
    let nanos_below_micros = Duration::from_nanos((d.subsec_nanos() % 1000).into());
    duration::format(d.saturating_sub(nanos_below_micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_a_microsecond_nothing_is_printed() {
        for (nanos, words) in [(999, "0s"), (501_250_999, "501.25ms"), (90_000_000_000, "1m30s")] {
            assert_eq!(took(Duration::from_nanos(nanos)), words, "{nanos}");
        }
    }
}
