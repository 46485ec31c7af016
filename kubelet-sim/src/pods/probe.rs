//! One probe: a request, a connection, or a command beside the container.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use pki::ClientTls;
use serde_json::Value;
use wire::HttpClient;
use world::{Host, Mono};

use crate::launcher::{Behind, Running};

/// What a probe asks, and how often.
pub(super) struct Probe {
    ask: Ask,
    running: Arc<dyn Running>,
    /// When it is asked first, and until when it fails: a fault.
    pub starts: Starts,
    pub period: Duration,
    pub timeout: Duration,
    pub failures: u64,
    pub successes: u64,
}

/// Times of a container's first probes.
#[derive(Clone, Copy, Default)]
pub(super) struct Starts {
    /// When the container began; of a probe, when it is asked first.
    pub at: Mono,
    /// Until then it fails: a fault.
    pub slow_until: Mono,
}

enum Ask {
    Http { client: HttpClient, path: String, at: String },
    Tcp { target: String, port: u16, at: String },
    Exec { command: Vec<String> },
}

/// A port by its number or by the name that the container gives it.
fn port(given: &Value, container: &Value) -> Option<u16> {
    let number = match given.as_str() {
        None => given.as_i64()?,
        Some(name) => match container.list_at("/ports").iter().find(|port| port.str_at("/name") == name) {
            Some(port) => port.i64_at("/containerPort")?,
            None => name.parse().ok()?,
        },
    };
    u16::try_from(number).ok().filter(|port| *port != 0)
}

impl Probe {
    /// `spec` is the livenessProbe and so on of `container`; `None` for a kind that nobody here answers.
    pub(super) fn new(
        host: &Host,
        spec: &Value,
        container: &Value,
        pod_ip: &str,
        go: (u16, u16),
        running: Arc<dyn Running>,
        mut starts: Starts,
    ) -> Option<Self> {
        let text = |at: &str| Some(spec.str_at(at)).filter(|s| !s.is_empty());
        let ask = if spec.at("/httpGet").is_some() {
            let port = port(spec.at("/httpGet/port")?, container)?;
            let secure = text("/httpGet/scheme") == Some("HTTPS");
            let target = text("/httpGet/host").unwrap_or(pod_ip);
            let url = format!("{}://{target}:{port}", if secure { "https" } else { "http" });
            let tls = secure.then(|| ClientTls::new(host, go).insecure());
            let path = text("/httpGet/path").unwrap_or("/").to_owned();
            Ask::Http { client: HttpClient::new(host, &url, tls).ok()?, path, at: format!("{target}:{port}") }
        } else if spec.at("/tcpSocket").is_some() {
            let target = text("/tcpSocket/host").unwrap_or(pod_ip);
            let port = port(spec.at("/tcpSocket/port")?, container)?;
            Ask::Tcp { target: target.to_owned(), port, at: format!("{target}:{port}") }
        } else {
            let words = spec.at("/exec")?.list_at("/command");
            Ask::Exec { command: words.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect() }
        };
        let number =
            |at: &str, default: u64| spec.i64_at(at).and_then(|n| u64::try_from(n).ok()).unwrap_or(default);
        starts.at = starts.at + Duration::from_secs(number("/initialDelaySeconds", 0));
        Some(Self {
            ask,
            running,
            starts,
            period: Duration::from_secs(number("/periodSeconds", 10).max(1)),
            timeout: Duration::from_secs(number("/timeoutSeconds", 1).max(1)),
            failures: number("/failureThreshold", 3).max(1),
            successes: number("/successThreshold", 1).max(1),
        })
    }

    /// Whether the answer is good and comes in time.
    pub(super) async fn ask(&self, host: &Host) -> Result<(), String> {
        if host.clock().monotonic() < self.starts.slow_until {
            return Err(format!(
                "the container is still starting (chronoplane.dev/slow-start){}",
                self.refused()
            ));
        }
        match &self.ask {
            Ask::Exec { command } => {
                let limit = self.timeout;
                match host.clock().timeout(limit, self.running.exec(command)).await {
                    Ok(None | Some((0, _))) => Ok(()),
                    Ok(Some((_, output))) => Err(output.trim_end().to_owned()),
                    Err(_) => Err(format!(
                        "command timed out: {command:?} timed out after {}",
                        api::duration::format(limit)
                    )),
                }
            }
            // Nothing behind it, or a script: the one passes, the other listens nowhere.
            _ if self.running.behind() == Behind::Nothing => Ok(()),
            Ask::Http { path, at, client } if self.running.behind() == Behind::Script => {
                let url = client.url();
                Err(format!(
                    "Get \"{}{path}\": dial tcp {at}: connect: connection refused",
                    url.trim_end_matches('/')
                ))
            }
            Ask::Tcp { at, .. } if self.running.behind() == Behind::Script => {
                Err(format!("dial tcp {at}: connect: connection refused"))
            }
            Ask::Http { client, path, .. } => {
                let request =
                    http::Request::get(path).body(wire::body::empty()).map_err(|e| e.to_string())?;
                match host.clock().timeout(self.timeout, client.send(request)).await {
                    Ok(Ok(response)) if response.status().as_u16() < 400 => Ok(()),
                    Ok(Ok(response)) => {
                        Err(format!("HTTP probe failed with statuscode: {}", response.status().as_u16()))
                    }
                    Ok(Err(e)) => Err(e.to_string()),
                    Err(e) => Err(e.to_string()),
                }
            }
            Ask::Tcp { target, port, .. } => {
                match host.clock().timeout(self.timeout, host.net().dial(target, *port)).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(e)) => Err(e.to_string()),
                    Err(e) => Err(e.to_string()),
                }
            }
        }
    }

    fn refused(&self) -> String {
        match &self.ask {
            Ask::Http { at, .. } | Ask::Tcp { at, .. } => {
                format!(": dial tcp {at}: connect: connection refused")
            }
            Ask::Exec { .. } => String::new(),
        }
    }
}
