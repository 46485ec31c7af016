//! Token discovery: from a token and a pin to a trusted CA, over an untrusted connection.

use api::profile::console;
use client::{Resource, Rest};
use pki::{
    kubeconfig::{Cluster, Kubeconfig},
    token::{BootstrapToken, Pins, jws},
};
use serde_json::Value;

use crate::{
    config::JoinConfig,
    paths::DISCOVERY_POLL,
    session::{Failure, Result, Session, poll},
};

/// The cluster's kubeconfig (server and CA, no user), validated.
pub(crate) async fn run(
    s: &mut Session<'_>,
    config: &JoinConfig,
    token: &BootstrapToken,
) -> Result<Kubeconfig> {
    s.tell(&console::DISCOVERY_TRIES, &[&config.endpoint]);
    let found = discover(s, config, token)
        .await
        .map_err(|e| e.within("couldn't validate the identity of the API Server"))?;
    s.tell(&console::DISCOVERY_DONE, &[&config.endpoint]);
    Ok(found)
}

async fn discover(s: &mut Session<'_>, config: &JoinConfig, token: &BootstrapToken) -> Result<Kubeconfig> {
    let insecure = s.client_of(&Kubeconfig::cluster_info(Cluster {
        server: format!("https://{}", config.endpoint),
        insecure_skip_tls_verify: true,
        ..Cluster::default()
    }))?;
    s.tell(&console::DISCOVERY_ASKS, &[&config.endpoint]);
    let first =
        poll(s.host, DISCOVERY_POLL, config.discovery_timeout, async || signed_info(&insecure, token).await)
            .await?;
    let kubeconfig = verified(&first, token)?;
    let found = Kubeconfig::parse(&kubeconfig, None).map_err(|e| Failure::new(e.to_string()))?;
    let server = server_of(&found)?;
    if config.ca_cert_hashes.is_empty() {
        s.tell(&console::DISCOVERY_UNPINNED, &[&server]);
        return Ok(found);
    }
    let pins = Pins::parse(config.ca_cert_hashes.iter().map(String::as_str))
        .map_err(|e| Failure::new(e.to_string()))?;
    let roots = found.roots(s.disk())?.unwrap_or_default();
    pins.check(roots.certificates())
        .map_err(|e| Failure::new(format!("cluster CA found in cluster-info ConfigMap is invalid: {e}")))?;
    s.tell(&console::DISCOVERY_VALIDATES, &[&server]);
    // Once more, now over a connection that this CA vouches for.
    let secure = s.client_of(&found)?;
    let second =
        poll(s.host, DISCOVERY_POLL, config.discovery_timeout, async || signed_info(&secure, token).await)
            .await?;
    if verified(&second, token)? != kubeconfig {
        return Err(Failure::new(
            "the second kubeconfig from the cluster-info ConfigMap (using validated TLS) was different from the first",
        ));
    }
    s.tell(&console::DISCOVERY_PINNED, &[&server]);
    Ok(found)
}

/// Address and port of a kubeconfig's server.
fn server_of(config: &Kubeconfig) -> Result<String> {
    let server = config.server()?;
    Ok(server.strip_prefix("https://").unwrap_or(server).trim_end_matches('/').to_owned())
}

/// cluster-info, once it carries a signature by `token`.
async fn signed_info(rest: &Rest, token: &BootstrapToken) -> Result<Value> {
    let info = rest.get(&Resource::core("configmaps"), Some("kube-public"), "cluster-info").await?;
    if info.pointer("/data").and_then(|d| d.get(jws::data_key(token.id()))).is_none() {
        return Err(Failure::new(format!(
            "could not find a JWS signature in the cluster-info ConfigMap for token ID {:?}",
            token.id()
        )));
    }
    Ok(info)
}

fn verified(info: &Value, token: &BootstrapToken) -> Result<String> {
    let field = |key: &str| info.pointer("/data").and_then(|d| d.get(key)).and_then(Value::as_str);
    let kubeconfig = field("kubeconfig").filter(|k| !k.is_empty()).ok_or_else(|| {
        Failure::new(
            "there is no kubeconfig key in the cluster-info ConfigMap. This API Server isn't set up for token bootstrapping, can't connect",
        )
    })?;
    let signature = field(&jws::data_key(token.id())).unwrap_or_default();
    if !jws::verify(signature, kubeconfig, token) {
        return Err(Failure::new(
            "failed to verify JWS signature of received cluster info object, can't trust this API Server",
        ));
    }
    Ok(kubeconfig.to_owned())
}
