//! The preflight check ExternalEtcdVersion: whether each member of an etcd elsewhere answers the apiserver's
//! certificate and is new enough (`cmd/kubeadm/app/preflight/checks.go`).

use std::time::Duration;

use pki::kubeconfig::{Cluster, Kubeconfig, User};
use serde_json::Value;
use wire::HttpClient;

use crate::{
    external_etcd::ExternalEtcd,
    session::{Failure, Result, Session},
};

/// How long a member may take, how often it is asked again, and after what pause.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 1 << 16;

/// What is wrong with the members, in their order.
pub(crate) async fn complaints(s: &Session<'_>, etcd: &ExternalEtcd) -> Vec<String> {
    let config = |server: &str| {
        let cluster = Cluster {
            server: server.to_owned(),
            certificate_authority: Some(etcd.ca_file.clone()),
            ..Cluster::default()
        };
        Kubeconfig::new("etcd", cluster, "apiserver", User::with_files(&etcd.cert_file, &etcd.key_file))
    };
    if let Err(e) = config("").roots(s.host.disk()) {
        return vec![format!("couldn't load external etcd's server certificate {}: {e}", etcd.ca_file)];
    }
    if let Err(e) = config("").client_pair(s.host.disk()) {
        return vec![format!(
            "couldn't load external etcd's certificate and key pair {}, {}: {e}",
            etcd.cert_file, etcd.key_file
        )];
    }
    let mut found = Vec::new();
    for endpoint in etcd.asked() {
        match version(s, &config(endpoint), endpoint).await {
            Err(e) => found.push(e.to_string()),
            Ok(version) => {
                let minimum = s.profile.min_external_etcd();
                if numbers(&version) < numbers(minimum) {
                    found.push(format!(
                        "this version of kubeadm only supports external etcd version >= {minimum}. Current version: \
                         {version}"
                    ));
                }
            }
        }
    }
    found
}

/// What a member says it is.
async fn version(s: &Session<'_>, config: &Kubeconfig, endpoint: &str) -> Result<String> {
    let endpoint = endpoint.trim_end_matches('/');
    let tls = config.client_tls(s.host, s.profile.go())?;
    let http = HttpClient::new(s.host, endpoint, tls)?;
    let mut left = RETRIES;
    loop {
        match s.host.clock().timeout(PATIENCE, ask(&http)).await {
            Ok(Ok(version)) => return Ok(version),
            Ok(Err(e)) if left == 0 => return Err(e.within(&format!("Get \"{endpoint}/version\""))),
            Err(_) if left == 0 => {
                return Err(Failure::new(format!(
                    "Get \"{endpoint}/version\": context deadline exceeded (Client.Timeout exceeded while awaiting \
                     headers)"
                )));
            }
            _ => {
                left -= 1;
                s.host.clock().sleep(PAUSE).await;
            }
        }
    }
}

async fn ask(http: &HttpClient) -> Result<String> {
    let request = http::Request::get("/version")
        .body(wire::body::empty())
        .map_err(|e| Failure::new(format!("cannot ask for /version: {e}")))?;
    let response = http.send(request).await?;
    if response.status().is_server_error() {
        return Err(Failure::new(format!(
            "server responded with non-successful status: {}",
            response.status()
        )));
    }
    let body = wire::body::collect(response.into_body(), LONGEST_ANSWER)
        .await
        .map_err(|e| Failure::new(e.to_string()))?;
    let answer: Value = serde_json::from_slice(&body).map_err(|e| Failure::new(e.to_string()))?;
    let version = answer.get("etcdserver").and_then(Value::as_str).unwrap_or_default();
    match numbers(version).is_empty() {
        true => Err(Failure::new(format!("couldn't parse external etcd version {version:?}"))),
        false => Ok(version.to_owned()),
    }
}

/// `3.5.24-0` as what it counts.
fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    plain.split('.').map(str::parse).collect::<std::result::Result<_, _>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("3.5.9") < numbers("3.5.24-0"));
        assert!(numbers("3.6.0") > numbers("3.5.24-0"));
        assert_eq!(numbers("cooking"), Vec::<u64>::new());
    }
}
