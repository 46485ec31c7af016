//! Certificates and kubeconfigs of a self-hosted control plane as Secrets (gate StoreCertsInSecrets,
//! `cmd/kubeadm/app/phases/selfhosting/selfhosting_volumes.go`).
//!
//! Upstream forgot the certificates of a local etcd when that began to need some (1.10): here they have their
//! Secrets too, or no such apiserver could start.

use api::object::base64;
use client::{Resource, Rest};
use serde_json::{Value, json};

use crate::{
    config::InitConfig,
    objects::apply,
    paths::{KUBE_SYSTEM, KUBERNETES_DIR},
    session::{Result, Session},
};

/// One Secret: its name, the file of its certificate or public key, and of its private key.
const PAIRS: &[(&str, &str, &str)] = &[
    ("ca", "ca.crt", "ca.key"),
    ("apiserver", "apiserver.crt", "apiserver.key"),
    ("apiserver-kubelet-client", "apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"),
    ("sa", "sa.pub", "sa.key"),
    ("front-proxy-ca", "front-proxy-ca.crt", "front-proxy-ca.key"),
    ("front-proxy-client", "front-proxy-client.crt", "front-proxy-client.key"),
];
/// Those of an etcd that speaks TLS.
const ETCD: &[(&str, &str, &str)] = &[
    ("etcd-ca", "etcd/ca.crt", "etcd/ca.key"),
    ("apiserver-etcd-client", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"),
];
const KUBECONFIGS: [&str; 2] = ["scheduler.conf", "controller-manager.conf"];

fn pairs(config: &InitConfig) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    let local_tls = config.cluster.profile.etcd_tls() && config.cluster.external_etcd.is_none();
    PAIRS.iter().chain(ETCD.iter().filter(move |_| local_tls))
}

/// What a component finds in its directory of certificates: of each Secret the certificate, the key, or both.
pub(crate) fn sources(component: &str, config: &InitConfig) -> Vec<Value> {
    // The private half of what signs stays with whom it signs for.
    let wanted = |name: &str| match (component, name) {
        ("kube-controller-manager", "ca") => (true, true),
        // Its manifest asks for this file too.
        ("kube-controller-manager", "front-proxy-ca") => (true, false),
        ("kube-controller-manager", "sa") => (false, true),
        ("kube-controller-manager", _) => (false, false),
        (_, "ca" | "front-proxy-ca" | "etcd-ca") => (true, false),
        // An apiserver of 1.20 and later signs tokens itself, and every apiserver here is one.
        _ => (true, true),
    };
    let source = |(name, certificate, key): &(&str, &str, &str)| {
        let (public, private) = wanted(name);
        let mut items = Vec::new();
        items.extend(public.then(|| json!({"key": "tls.crt", "path": certificate})));
        items.extend(private.then(|| json!({"key": "tls.key", "path": key})));
        (!items.is_empty()).then(|| json!({"secret": {"items": items, "name": name}}))
    };
    pairs(config).filter_map(source).collect()
}

/// Uploads what lies on this host.
pub(crate) async fn upload(s: &mut Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    let dir = config.cluster.certificates_dir.clone();
    for (name, certificate, key) in pairs(config) {
        let data = json!({
            "tls.crt": base64(&s.disk().read(format!("{dir}/{certificate}"))?),
            "tls.key": base64(&s.disk().read(format!("{dir}/{key}"))?),
        });
        store(s, rest, name, "kubernetes.io/tls", data).await?;
        s.say(format!("[self-hosted] Created TLS secret {name:?} from {certificate} and {key}"));
    }
    for file in KUBECONFIGS {
        let data = json!({file: base64(&s.disk().read(format!("{KUBERNETES_DIR}/{file}"))?)});
        store(s, rest, file, "Opaque", data).await?;
        s.say(format!("[self-hosted] Created secret for kubeconfig file {file:?}"));
    }
    Ok(())
}

async fn store(s: &Session<'_>, rest: &Rest, name: &str, kind: &str, data: Value) -> Result<()> {
    let metadata = json!({"name": name, "namespace": KUBE_SYSTEM});
    let secret =
        json!({"apiVersion": "v1", "data": data, "kind": "Secret", "metadata": metadata, "type": kind});
    apply(s, rest, &Resource::core("secrets"), &secret).await
}
