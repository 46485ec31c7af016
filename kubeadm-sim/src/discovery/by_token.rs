//! Discovery by token: from a token and a pin to a trusted CA, over an untrusted connection
//! (`cmd/kubeadm/app/discovery/token`).

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
pub(super) async fn find(s: &Session<'_>, config: &JoinConfig) -> Result<Kubeconfig> {
    let token: BootstrapToken =
        config.token.parse().map_err(|e| Failure::new(format!("invalid bootstrap token: {e}")))?;
    let found = match s.profile.discovery_begins_anew() {
        true => insist(s, config, &token).await,
        false => discover(s, config, &token).await,
    };
    found.map_err(|e| e.within("couldn't validate the identity of the API Server"))
}

/// Tries until it succeeds or time is up, and tells each time what was wrong. In the end only that it was in vain.
async fn insist(s: &Session<'_>, config: &JoinConfig, token: &BootstrapToken) -> Result<Kubeconfig> {
    let (endpoint, patience) = (config.endpoint.as_str(), config.timeouts.discovery);
    let found = poll(s.host, DISCOVERY_POLL, patience, async || {
        s.tell_discovery(&console::DISCOVERY_TRIES, &[endpoint]);
        let found = discover(s, config, token).await;
        if let Err(why) = &found {
            s.tell_discovery(&console::DISCOVERY_FAILED, &[endpoint, &why.0]);
        }
        found
    })
    .await
    .map_err(|_| Failure::new(s.words(&console::DISCOVERY_ABORTED, &[&api::duration::format(patience)])))?;
    s.tell_discovery(&console::DISCOVERY_DONE, &[endpoint]);
    Ok(found)
}

async fn discover(s: &Session<'_>, config: &JoinConfig, token: &BootstrapToken) -> Result<Kubeconfig> {
    let insecure = s.client_of(&Kubeconfig::cluster_info(Cluster {
        server: format!("https://{}", config.endpoint),
        insecure_skip_tls_verify: true,
        ..Cluster::default()
    }))?;
    s.tell_discovery(&console::DISCOVERY_ASKS, &[&config.endpoint]);
    let first = info(s, config, &insecure, token).await?;
    let kubeconfig = verified(&first, token)?;
    s.host.record(
        "discovery",
        vec![
            ("document", "kube-public/cluster-info".to_owned()),
            ("jws", "HS256, detached payload: verified".to_owned()),
            (
                "pins",
                if config.ca_cert_hashes.is_empty() { "none given" } else { "to be checked" }.to_owned(),
            ),
        ],
    );
    let found = Kubeconfig::parse(&kubeconfig, None).map_err(|e| Failure::new(e.to_string()))?;
    let server = server_of(&found)?;
    if config.ca_cert_hashes.is_empty() {
        s.tell_discovery(&console::DISCOVERY_UNPINNED, &[&server]);
        return Ok(found);
    }
    let pins = Pins::parse(config.ca_cert_hashes.iter().map(String::as_str))
        .map_err(|e| Failure::new(e.to_string()))?;
    let roots = found.roots(s.disk())?.unwrap_or_default();
    pins.check(roots.certificates())
        .map_err(|e| Failure::new(format!("cluster CA found in cluster-info ConfigMap is invalid: {e}")))?;
    s.tell_discovery(&console::DISCOVERY_VALIDATES, &[&server]);
    // Once more, now over a connection that this CA vouches for.
    let secure = s.client_of(&found)?;
    let second = info(s, config, &secure, token).await?;
    if verified(&second, token)? != kubeconfig {
        return Err(Failure::new(
            "the second kubeconfig from the cluster-info ConfigMap (using validated TLS) was different from the first",
        ));
    }
    s.host.record("discovery", vec![("server", server.clone()), ("pins", "hold".to_owned())]);
    s.tell_discovery(&console::DISCOVERY_PINNED, &[&server]);
    Ok(found)
}

/// Address and port of a kubeconfig's server.
fn server_of(config: &Kubeconfig) -> Result<String> {
    let server = config.server()?;
    Ok(server.strip_prefix("https://").unwrap_or(server).trim_end_matches('/').to_owned())
}

/// cluster-info, as soon as it comes; where discovery does not begin anew, as soon as it is signed.
async fn info(s: &Session<'_>, config: &JoinConfig, rest: &Rest, token: &BootstrapToken) -> Result<Value> {
    let anew = s.profile.discovery_begins_anew();
    let unsigned = || Failure::new(s.words(&console::DISCOVERY_UNSIGNED, &[token.id()]));
    let came = poll(s.host, DISCOVERY_POLL, config.timeouts.discovery, async || {
        let came = match cluster_info(rest).await {
            Ok(came) => came,
            Err(why) => {
                let why = Failure::new(s.words(&console::DISCOVERY_UNANSWERED, &[&why.0]));
                s.tell_discovery(&console::DISCOVERY_AGAIN, &[&why.0]);
                return Err(why);
            }
        };
        if !anew && !is_signed(&came, token) {
            s.tell_discovery(&console::DISCOVERY_WAITS, &[token.id()]);
            return Err(unsigned());
        }
        Ok(came)
    })
    .await?;
    if anew && !is_signed(&came, token) {
        return Err(unsigned());
    }
    Ok(came)
}

async fn cluster_info(rest: &Rest) -> Result<Value> {
    Ok(rest.get(&Resource::core("configmaps"), Some("kube-public"), "cluster-info").await?)
}

fn is_signed(info: &Value, token: &BootstrapToken) -> bool {
    info.pointer("/data").and_then(|data| data.get(jws::data_key(token.id()))).is_some()
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
