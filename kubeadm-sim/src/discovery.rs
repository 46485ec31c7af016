//! Discovery: from a token and a pin, or from a kubeconfig file, to a cluster that can be trusted
//! (`cmd/kubeadm/app/discovery`).

use api::profile::console;
use base64::{Engine, engine::general_purpose::STANDARD};
use client::{Resource, Rest};
use pki::{
    ClientTls, Roots,
    kubeconfig::{Cluster, Kubeconfig, User},
    token::{BootstrapToken, Pins, jws},
};
use serde_json::Value;
use wire::HttpClient;

use crate::{
    config::JoinConfig,
    paths::DISCOVERY_POLL,
    session::{Failure, Result, Session, poll},
};

/// The user of a kubeconfig that only serves the TLS bootstrap.
const USER: &str = "tls-bootstrap-token-user";
/// The authorities that a distribution trusts, for files behind an https URL.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The longest kubeconfig that a server may send.
const LONGEST_FILE: usize = 1 << 20;

/// The cluster's kubeconfig, validated, with credentials for the TLS bootstrap.
pub(crate) async fn run(s: &Session<'_>, config: &JoinConfig) -> Result<Kubeconfig> {
    let found = match &config.discovery_file {
        Some(place) => by_file(s, config, place).await,
        None => by_token(s, config).await,
    };
    let found = found.map_err(|e| e.within("couldn't validate the identity of the API Server"))?;
    let token =
        config.tls_bootstrap_token.as_deref().or(Some(config.token.as_str()).filter(|t| !t.is_empty()));
    let (_, cluster) = found.cluster()?;
    match token {
        Some(token) => Ok(Kubeconfig::new("kubernetes", cluster.clone(), USER, User::with_token(token))),
        None if found.user()?.is_some_and(|(_, user)| has_credentials(user)) => Ok(found),
        None => Err(Failure::new(
            "couldn't find authentication credentials for the TLS bootstrap process. Please consider to use \
             --tls-bootstrap-token, or embed credentials in the discovery file",
        )),
    }
}

fn has_credentials(user: &User) -> bool {
    user.token.is_some()
        || user.token_file.is_some()
        || user.client_certificate.is_some()
        || user.client_certificate_data.is_some()
}

async fn by_token(s: &Session<'_>, config: &JoinConfig) -> Result<Kubeconfig> {
    s.tell(&console::DISCOVERY_TRIES, &[&config.endpoint]);
    let found = pinned(s, config).await?;
    s.tell(&console::DISCOVERY_DONE, &[&config.endpoint]);
    Ok(found)
}

async fn pinned(s: &Session<'_>, config: &JoinConfig) -> Result<Kubeconfig> {
    let token: BootstrapToken =
        config.token.parse().map_err(|e| Failure::new(format!("invalid bootstrap token: {e}")))?;
    let timeout = config.timeouts.discovery;
    let insecure = s.client_of(&Kubeconfig::cluster_info(Cluster {
        server: format!("https://{}", config.endpoint),
        insecure_skip_tls_verify: true,
        ..Cluster::default()
    }))?;
    s.tell(&console::DISCOVERY_ASKS, &[&config.endpoint]);
    let first = poll(s.host, DISCOVERY_POLL, timeout, async || signed_info(&insecure, &token).await).await?;
    let kubeconfig = verified(&first, &token)?;
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
    let second = poll(s.host, DISCOVERY_POLL, timeout, async || signed_info(&secure, &token).await).await?;
    if verified(&second, &token)? != kubeconfig {
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

/// A kubeconfig whose cluster answers to it. Its authority is taken from cluster-info where it names none.
async fn by_file(s: &Session<'_>, config: &JoinConfig, place: &str) -> Result<Kubeconfig> {
    let mut found = match place.strip_prefix("https://") {
        Some(_) => {
            let text = download(s, place).await?;
            Kubeconfig::parse(&text, None)?
        }
        None => Kubeconfig::load(s.host.disk(), place)?,
    };
    if found.clusters.is_empty() {
        return Err(Failure::new("the provided kubeconfig file must have at least one Cluster defined"));
    }
    embed_authority(s, &mut found)?;
    let rest = s.client_of(&found)?;
    let resource = Resource::core("configmaps");
    let info = poll(s.host, DISCOVERY_POLL, config.timeouts.discovery, async || {
        match rest.get(&resource, Some("kube-public"), "cluster-info").await {
            Ok(info) => Ok(Some(info)),
            // Whoever hides cluster-info is trusted to have made the file right.
            Err(e) if e.is_forbidden() => Ok(None),
            Err(e) => Err(Failure::from(e)),
        }
    })
    .await
    .map_err(|e| {
        let timeout = api::duration::format(config.timeouts.discovery);
        e.within(&format!("Abort reading the cluster-info ConfigMap after timeout of {timeout}"))
    })?;
    let Some(info) = info else {
        s.say(
            "[discovery] Could not access the cluster-info ConfigMap for refreshing the cluster-info information, but \
             the TLS cert is valid so proceeding...",
        );
        return Ok(found);
    };
    let published = info.pointer("/data/kubeconfig").and_then(Value::as_str).unwrap_or_default();
    if let Ok(published) = Kubeconfig::parse(published, None) {
        refresh(s, &mut found, &published)?;
    }
    Ok(found)
}

/// Takes over what cluster-info knows better.
fn refresh(s: &Session<'_>, found: &mut Kubeconfig, published: &Kubeconfig) -> Result<()> {
    let (_, theirs) = published.cluster()?;
    let (name, ours) = found.cluster()?;
    if ours.server != theirs.server {
        s.say(format!(
            "[discovery] the API Server endpoint {:?} in use is different from the endpoint {:?} which defined in the \
             cluster-info ConfigMap",
            ours.server, theirs.server
        ));
    }
    let name = name.to_owned();
    for named in found.clusters.iter_mut().filter(|named| named.name == name) {
        if named.cluster.certificate_authority_data.is_none() {
            named.cluster.certificate_authority_data.clone_from(&theirs.certificate_authority_data);
        }
    }
    Ok(())
}

/// The file will be written elsewhere: what it names beside itself must travel inside it.
fn embed_authority(s: &Session<'_>, found: &mut Kubeconfig) -> Result<()> {
    let roots = found.roots(s.host.disk())?;
    let name = found.cluster()?.0.to_owned();
    for named in found.clusters.iter_mut().filter(|named| named.name == name) {
        if let (None, Some(roots)) = (&named.cluster.certificate_authority_data, &roots) {
            named.cluster.certificate_authority_data = Some(STANDARD.encode(roots.to_pem()));
            named.cluster.certificate_authority = None;
        }
    }
    Ok(())
}

/// The file at an https URL, from a server that the host's own authorities vouch for.
async fn download(s: &Session<'_>, url: &str) -> Result<String> {
    let bundle = s.host.disk().read(SYSTEM_ROOTS)?;
    let roots = Roots::from_pem(&bundle).map_err(|e| Failure::new(format!("{SYSTEM_ROOTS}: {e}")))?;
    let uri: http::Uri = url.parse().map_err(|e| Failure::new(format!("{url:?} is no URL: {e}")))?;
    let base = format!("https://{}", uri.authority().map_or("", http::uri::Authority::as_str));
    let http = HttpClient::new(s.host, &base, Some(ClientTls::new(s.host, s.profile.go()).roots(roots)))?;
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let request = http::Request::get(path)
        .body(wire::body::empty())
        .map_err(|e| Failure::new(format!("cannot ask for {url}: {e}")))?;
    let response = http.send(request).await?;
    if !response.status().is_success() {
        return Err(Failure::new(format!("{url} answered {}", response.status())));
    }
    let body = wire::body::collect(response.into_body(), LONGEST_FILE)
        .await
        .map_err(|e| Failure::new(format!("cannot read {url}: {e}")))?;
    String::from_utf8(body.to_vec()).map_err(|_| Failure::new(format!("{url} is not UTF-8")))
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
