//! HTTP probes of containers behind which a program runs.

use std::time::Duration;

use pki::ClientTls;
use serde_json::Value;
use wire::HttpClient;
use world::Host;

/// What a probe asks, and how often.
pub(super) struct Probe {
    http: HttpClient,
    path: String,
    pub period: Duration,
    pub timeout: Duration,
    pub initial_delay: Duration,
    pub failures: u64,
}

impl Probe {
    /// `spec` is a container's livenessProbe and so on; `None` for what is not an HTTP probe.
    pub(super) fn new(host: &Host, spec: &Value, pod_ip: &str, go: (u16, u16)) -> Option<Self> {
        let get = spec.get("httpGet")?;
        let text = |key: &str| get.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
        let port = get.get("port").and_then(Value::as_u64)?;
        let secure = text("scheme") == Some("HTTPS");
        let target = text("host").unwrap_or(pod_ip);
        let url = format!("{}://{target}:{port}", if secure { "https" } else { "http" });
        let tls = secure.then(|| ClientTls::new(host, go).insecure());
        let seconds = |key: &str, default: u64| {
            Duration::from_secs(spec.get(key).and_then(Value::as_u64).unwrap_or(default))
        };
        Some(Self {
            http: HttpClient::new(host, &url, tls).ok()?,
            path: text("path").unwrap_or("/").to_owned(),
            period: seconds("periodSeconds", 10).max(Duration::from_secs(1)),
            timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
            initial_delay: seconds("initialDelaySeconds", 0),
            failures: spec.get("failureThreshold").and_then(Value::as_u64).unwrap_or(3).max(1),
        })
    }

    /// Whether it answers with 2xx or 3xx in time.
    pub(super) async fn ask(&self, host: &Host) -> Result<(), String> {
        let request = http::Request::get(&self.path).body(wire::body::empty()).map_err(|e| e.to_string())?;
        match host.clock().timeout(self.timeout, self.http.send(request)).await {
            Ok(Ok(response)) if response.status().as_u16() < 400 => Ok(()),
            Ok(Ok(response)) => {
                Err(format!("HTTP probe failed with statuscode: {}", response.status().as_u16()))
            }
            Ok(Err(e)) => Err(e.to_string()),
            Err(e) => Err(e.to_string()),
        }
    }
}
