//! The Secret `kubeadm-certs`: the authorities of a control plane, encrypted, for two hours
//! (`cmd/kubeadm/app/phases/copycerts`). A token without any use owns it, so that the token's end is its end.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use client::{Resource, Rest};
use pki::token::{BootstrapToken, TokenSecret};
use serde_json::{Map, Value, json};

use crate::{
    certificate_key::CertificateKey,
    config::InitConfig,
    objects::{apply, group, share},
    paths::{KUBE_SYSTEM, NODE_TOKEN_GROUP},
    session::{Failure, Result, Session},
    token::{self, expiration},
};

/// The Secret's name.
const NAME: &str = "kubeadm-certs";
const SECRETS: Resource = Resource::core("secrets");
/// How long it stays.
const TTL: Duration = Duration::from_secs(2 * 3600);

/// Files below the directory of certificates; in the Secret `/` is `-`.
const FILES: &[&str] = &[
    "ca.crt",
    "ca.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "sa.pub",
    "sa.key",
    "etcd/ca.crt",
    "etcd/ca.key",
];

/// Runs the phase; returns the key with which the files can be read again.
pub(crate) async fn run(
    s: &mut Session<'_>,
    rest: &Rest,
    config: &InitConfig,
    given: Option<&str>,
) -> Result<CertificateKey> {
    let key = match given {
        Some(text) => text.parse()?,
        None => CertificateKey::generate(s.host.entropy()),
    };
    let dir = &config.cluster.certificates_dir;
    if ["ca", "front-proxy-ca"].iter().any(|ca| !s.disk().exists(format!("{dir}/{ca}.key"))) {
        return Err(Failure::new("can't use upload-certs with an external CA or an external front-proxy CA"));
    }
    upload(s, rest, config, &key).await.map_err(|e| e.within("error uploading certs"))?;
    Ok(key)
}

async fn upload(s: &mut Session<'_>, rest: &Rest, config: &InitConfig, key: &CertificateKey) -> Result<()> {
    s.say(format!(
        "[upload-certs] Storing the certificates in Secret {NAME:?} in the {KUBE_SYSTEM:?} Namespace"
    ));
    let proxy = TokenSecret {
        token: BootstrapToken::generate(s.host.entropy()),
        description: format!("Proxy for managing TTL for the {NAME} secret"),
        expiration: expiration(s, TTL),
        signing: false,
        authentication: false,
        groups: Vec::new(),
    };
    token::create(s, rest, &proxy).await.map_err(|e| e.within("error creating token"))?;
    let data = sealed(s, config, key)?;
    let name = proxy.token.secret_name();
    let owner = rest
        .get(&SECRETS, Some(KUBE_SYSTEM), &name)
        .await
        .map_err(|e| Failure::from(e).within("error to get token reference"))?;
    let owner = json!({
        "apiVersion": "v1",
        "blockOwnerDeletion": true,
        "controller": true,
        "kind": "Secret",
        "name": name,
        "uid": owner.pointer("/metadata/uid"),
    });
    let secret = json!({
        "apiVersion": "v1",
        "data": data,
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": KUBE_SYSTEM, "ownerReferences": [owner]},
    });
    apply(s, rest, &SECRETS, &secret).await?;
    let readers = [group(NODE_TOKEN_GROUP)];
    share(s, rest, ("secrets", KUBE_SYSTEM, NAME), "kubeadm:kubeadm-certs", &readers).await
}

/// The files' contents by their names in the Secret; empty for a file that is not there.
fn sealed(s: &Session<'_>, config: &InitConfig, key: &CertificateKey) -> Result<Map<String, Value>> {
    FILES
        .iter()
        .map(|file| {
            let path = format!("{}/{file}", config.cluster.certificates_dir);
            let text = match s.disk().read(&path) {
                Ok(plain) => STANDARD.encode(key.seal(s.host.entropy(), &plain)?),
                Err(e) if e.is_not_found() => String::new(),
                Err(e) => return Err(e.into()),
            };
            Ok((file.replace('/', "-"), text.into()))
        })
        .collect()
}
