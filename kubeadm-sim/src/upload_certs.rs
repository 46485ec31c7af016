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
const FILES: &[&str] = &["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key"];
const ETCD_FILES: &[&str] = &["etcd/ca.crt", "etcd/ca.key"];

/// What travels: its name in the Secret and its file.
fn files(config: &InitConfig) -> Vec<(String, String)> {
    let dir = &config.cluster.certificates_dir;
    let below = |file: &&str| (file.replace('/', "-"), format!("{dir}/{file}"));
    let mut files: Vec<_> = FILES.iter().map(below).collect();
    match &config.cluster.external_etcd {
        None => files.extend(ETCD_FILES.iter().map(below)),
        Some(external) => {
            let names = ["external-etcd-ca.crt", "external-etcd.crt", "external-etcd.key"];
            let paths = external.files().map(|(_, path)| path.to_owned());
            files.extend(names.map(str::to_owned).into_iter().zip(paths));
        }
    }
    files
}

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
    let dry = s.dry_run().is_some();
    let created = match dry {
        true => apply(s, rest, &SECRETS, &proxy.to_object()).await,
        false => token::create(s, rest, &proxy).await,
    };
    created.map_err(|e| e.within("error creating token"))?;
    let data = sealed(s, config, key)?;
    let name = proxy.token.secret_name();
    let owner = match dry {
        true => proxy.to_object(),
        false => rest
            .get(&SECRETS, Some(KUBE_SYSTEM), &name)
            .await
            .map_err(|e| Failure::from(e).within("error to get token reference"))?,
    };
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
    files(config)
        .into_iter()
        .map(|(name, path)| {
            let text = match s.disk().read(&path) {
                Ok(plain) => STANDARD.encode(key.seal(s.host.entropy(), &plain)?),
                Err(e) if e.is_not_found() => String::new(),
                Err(e) => return Err(e.into()),
            };
            Ok((name, text.into()))
        })
        .collect()
}

/// Writes the Secret's files to this host (`download-certs`).
pub(crate) async fn download(s: &mut Session<'_>, rest: &Rest, config: &InitConfig, key: &str) -> Result<()> {
    let at_phase = |e: Failure| e.within("error downloading certs");
    s.say(format!(
        "[download-certs] Downloading the certificates in Secret {NAME:?} in the {KUBE_SYSTEM:?} Namespace"
    ));
    let key: CertificateKey = key.parse().map_err(at_phase)?;
    let contents = fetch(rest, config, &key).await.map_err(at_phase)?;
    s.say(format!(
        "[download-certs] Saving the certificates to the folder: {:?}",
        config.cluster.certificates_dir
    ));
    for (path, plain) in contents.iter().filter(|(_, plain)| !plain.is_empty()) {
        let private = path.ends_with(".key");
        s.disk().write(path, plain, if private { 0o600 } else { 0o644 })?;
    }
    Ok(())
}

/// Paths on this host and what belongs there; empty for what the uploading host did not have.
async fn fetch(rest: &Rest, config: &InitConfig, key: &CertificateKey) -> Result<Vec<(String, Vec<u8>)>> {
    let secret = match rest.get(&SECRETS, Some(KUBE_SYSTEM), NAME).await {
        Ok(secret) => secret,
        Err(e) if e.is_not_found() => {
            return Err(Failure::new(format!(
                "error downloading the secret: Secret {NAME:?} was not found in the {KUBE_SYSTEM:?} Namespace. This Secret \
                 might have expired. Please, run `kubeadm init phase upload-certs --upload-certs` on a control plane to \
                 generate a new one"
            )));
        }
        Err(e) => return Err(Failure::from(e).within("error downloading the secret")),
    };
    let mut contents = Vec::new();
    for (name, path) in files(config) {
        let Some(text) = secret.pointer("/data").and_then(|d| d.get(&name)).and_then(Value::as_str) else {
            return Err(Failure::new(format!(
                "the Secret does not include the required certificate or key - name: {name}, path: {path}"
            )));
        };
        let decoding = |e: Failure| e.within("error decoding secret data with provided key");
        let sealed = STANDARD.decode(text).map_err(|e| decoding(Failure::new(e.to_string())))?;
        let plain = if sealed.is_empty() { Vec::new() } else { key.open(&sealed).map_err(decoding)? };
        contents.push((path, plain));
    }
    Ok(contents)
}
