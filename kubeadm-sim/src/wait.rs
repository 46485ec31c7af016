//! Waiting for what the kubelet brings up: itself, then the control plane.

use std::time::Duration;

use api::{duration, profile::console};
use pki::ClientTls;
use wire::HttpClient;

use crate::{
    api_wait,
    config::InitConfig,
    paths::{CONTROLLER_MANAGER_PORT, HEALTH_POLL, KUBELET_HEALTH_PORT, MANIFESTS_DIR, SCHEDULER_PORT},
    session::{Failure, Result, Session, poll},
};

/// Waits for the kubelet's own health.
pub(crate) async fn kubelet(s: &Session<'_>, timeout: Duration) -> Result<()> {
    let url = format!("http://127.0.0.1:{KUBELET_HEALTH_PORT}/healthz");
    if s.dry_run().is_some() {
        s.say(format!("[dryrun] Would make sure the kubelet returns 'ok' at {url}"));
        return Ok(());
    }
    let patience = duration::format(timeout);
    s.say(format!("[kubelet-check] Waiting for a healthy kubelet at {url}. This can take up to {patience}"));
    let began = s.host.clock().monotonic();
    let http = HttpClient::new(s.host, &format!("http://127.0.0.1:{KUBELET_HEALTH_PORT}"), None)?;
    poll(s.host, HEALTH_POLL, timeout, async || healthy(&http, "/healthz").await)
        .await
        .map_err(|e| e.within("failed while waiting for the kubelet to start"))?;
    let passed = s.host.clock().monotonic().since(began);
    s.say(format!("[kubelet-check] The kubelet is healthy after {}", took(passed)));
    Ok(())
}

/// Waits for the kubelet, then for the control plane, as the release does.
pub(crate) async fn control_plane(s: &Session<'_>, config: &InitConfig) -> Result<()> {
    s.tell(&console::WAIT, &[MANIFESTS_DIR]);
    s.tell(&console::PATIENCE, &[]);
    if s.profile.waits_for_api_alone() && s.dry_run().is_none() {
        return api_wait::control_plane(s, config).await;
    }
    kubelet(s, config.timeouts.kubelet).await?;
    components(s, config).await
}

/// Waits for the apiserver, and where the release does so for controller-manager and scheduler too.
pub(crate) async fn components(s: &Session<'_>, config: &InitConfig) -> Result<()> {
    if s.dry_run().is_some() {
        s.say("[dryrun] Would wait for the API Server's /healthz endpoint to return 'ok'");
        return Ok(());
    }
    let timeout = config.timeouts.control_plane;
    let patience = duration::format(timeout);
    s.say(format!(
        "[control-plane-check] Waiting for healthy control plane components. This can take up to {patience}"
    ));
    let mut checks = vec![("kube-apiserver", format!("https://{}", config.local_endpoint()), "/livez")];
    if s.profile.waits_for_all_components() {
        checks.extend([
            ("kube-controller-manager", format!("https://127.0.0.1:{CONTROLLER_MANAGER_PORT}"), "/healthz"),
            ("kube-scheduler", format!("https://127.0.0.1:{SCHEDULER_PORT}"), "/livez"),
        ]);
    }
    for (name, base, path) in &checks {
        s.say(format!("[control-plane-check] Checking {name} at {base}{path}"));
    }
    let (host, go) = (s.host, s.profile.go());
    let waits = checks.iter().map(|(_, base, path)| async move {
        let began = host.clock().monotonic();
        let http = HttpClient::new(host, base, Some(ClientTls::new(host, go).insecure()))?;
        poll(host, HEALTH_POLL, timeout, async || healthy(&http, path).await).await?;
        Ok::<_, Failure>(host.clock().monotonic().since(began))
    });
    let results = futures::future::join_all(waits).await;
    let mut failed = Vec::new();
    for ((name, base, path), result) in checks.iter().zip(results) {
        match result {
            Ok(passed) => s.say(format!("[control-plane-check] {name} is healthy after {}", took(passed))),
            Err(e) => {
                s.say(format!("[control-plane-check] {name} is not healthy after {patience}"));
                failed.push(format!("{name} check failed at {base}{path}: {e}"));
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("failed while waiting for the control plane to start: [{}]", failed.join(", "))))
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
