//! Waiting for what the kubelet brings up: itself, then the control plane.

use std::time::Duration;

use pki::ClientTls;
use wire::HttpClient;

use crate::{
    config::InitConfig,
    paths::{HEALTH_POLL, HEALTH_TIMEOUT, KUBELET_HEALTH_PORT, MANIFESTS_DIR},
    session::{Failure, Result, Session, poll},
};

/// Waits for the kubelet's own health.
pub(crate) async fn kubelet(s: &mut Session<'_>) -> Result<()> {
    let url = format!("http://127.0.0.1:{KUBELET_HEALTH_PORT}/healthz");
    s.say(format!("[kubelet-check] Waiting for a healthy kubelet at {url}. This can take up to 4m0s"));
    let began = s.host.clock().monotonic();
    let http = HttpClient::new(s.host, &format!("http://127.0.0.1:{KUBELET_HEALTH_PORT}"), None)?;
    poll(s.host, HEALTH_POLL, HEALTH_TIMEOUT, async || healthy(&http, "/healthz").await)
        .await
        .map_err(|e| e.within("failed while waiting for the kubelet to start"))?;
    let took = s.host.clock().monotonic().since(began);
    s.say(format!("[kubelet-check] The kubelet is healthy after {}", go_duration(took)));
    Ok(())
}

/// Waits for apiserver, controller-manager and scheduler.
pub(crate) async fn control_plane(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    s.say(format!(
        "[wait-control-plane] Waiting for the kubelet to boot up the control plane as static Pods from directory {MANIFESTS_DIR:?}"
    ));
    kubelet(s).await?;
    s.say("[control-plane-check] Waiting for healthy control plane components. This can take up to 4m0s");
    let checks = [
        ("kube-apiserver", format!("https://{}", config.local_endpoint()), "/livez"),
        ("kube-controller-manager", "https://127.0.0.1:10257".to_owned(), "/healthz"),
        ("kube-scheduler", "https://127.0.0.1:10259".to_owned(), "/livez"),
    ];
    for (name, base, path) in &checks {
        s.say(format!("[control-plane-check] Checking {name} at {base}{path}"));
    }
    let (host, go) = (s.host, s.profile.go());
    let waits = checks.iter().map(|(_, base, path)| async move {
        let began = host.clock().monotonic();
        let http = HttpClient::new(host, base, Some(ClientTls::new(host, go).insecure()))?;
        poll(host, HEALTH_POLL, HEALTH_TIMEOUT, async || healthy(&http, path).await).await?;
        Ok::<_, Failure>(host.clock().monotonic().since(began))
    });
    let results = futures::future::join_all(waits).await;
    let mut failed = Vec::new();
    for ((name, base, path), result) in checks.iter().zip(results) {
        match result {
            Ok(took) => s.say(format!("[control-plane-check] {name} is healthy after {}", go_duration(took))),
            Err(e) => {
                s.say(format!("[control-plane-check] {name} is not healthy after 4m0s"));
                failed.push(format!("{name} check failed at {base}{path}: {e}"));
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("failed while waiting for the control plane to start: [{}]", failed.join(", "))))
}

async fn healthy(http: &HttpClient, path: &str) -> Result<()> {
    let request = http::Request::get(path)
        .body(wire::body::empty())
        .map_err(|e| Failure::new(format!("cannot ask {path}: {e}")))?;
    let response = http.send(request).await?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(Failure::new(format!("{path} answered {status}"))),
    }
}

/// As Go prints a duration that was rounded to microseconds: `501.2ms`, `1.5s`.
fn go_duration(d: Duration) -> String {
    if d < Duration::from_secs(1) {
        format!("{}ms", trim(d.as_micros() as f64 / 1000.0))
    } else {
        format!("{}s", trim(d.as_micros() as f64 / 1_000_000.0))
    }
}

fn trim(x: f64) -> String {
    let text = format!("{x:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_prints_them() {
        let rows = [(501_000, "501ms"), (1_500_000, "1.5s"), (0, "0ms"), (501_250, "501.25ms")];
        for (micros, words) in rows {
            assert_eq!(go_duration(Duration::from_micros(micros)), words);
        }
    }
}
