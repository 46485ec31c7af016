//! Discovery by file: a kubeconfig from the host's disk or from an https URL
//! (`cmd/kubeadm/app/discovery/file`, `…/https`).

use base64::{Engine, engine::general_purpose::STANDARD};
use client::Resource;
use pki::{ClientTls, Roots, kubeconfig::Kubeconfig};
use serde_json::Value;
use wire::HttpClient;

use crate::{
    config::JoinConfig,
    paths::DISCOVERY_POLL,
    session::{Failure, Result, Session, poll},
};

/// The authorities that a distribution trusts, for files behind an https URL.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The longest kubeconfig that a server may send.
const LONGEST_FILE: usize = 1 << 20;

/// A kubeconfig whose cluster answers to it. Its authority is taken from cluster-info where it names none.
pub(super) async fn find(s: &Session<'_>, config: &JoinConfig, place: &str) -> Result<Kubeconfig> {
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
