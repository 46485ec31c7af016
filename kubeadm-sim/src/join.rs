//! `kubeadm join`: discovery, then the kubelet gets its own certificate.

use client::{Resource, Rest};
use pki::{
    kubeconfig::{Kubeconfig, User},
    token::BootstrapToken,
};
use serde_json::Value;

use crate::{
    config::{ClusterConfig, JoinConfig},
    discovery, join_control_plane, kubelet,
    paths::{BOOTSTRAP_KUBELET_CONF, KUBELET_CONF, PKI_DIR, TLS_BOOTSTRAP_POLL},
    preflight,
    session::{Failure, Result, Session, poll},
    stored::read_map,
    wait,
};

/// Makes this host a worker, or with `--control-plane` a control plane, of an existing cluster.
pub(crate) async fn run(s: &mut Session<'_>, config: &JoinConfig) -> Result<()> {
    if config.ca_cert_hashes.is_empty() && !config.unsafe_skip_ca_verification {
        return Err(Failure::new(
            "discovery.bootstrapToken: Invalid value: \"\": using token-based discovery without caCertHashes can be \
             unsafe. Set unsafeSkipCAVerification as true in your kubeadm config file or pass \
             --discovery-token-unsafe-skip-ca-verification flag to continue",
        ));
    }
    let token: BootstrapToken =
        config.token.parse().map_err(|e| Failure::new(format!("invalid bootstrap token: {e}")))?;
    for warning in &config.warnings {
        s.say(format!("WARNING: {warning}"));
    }
    let at_preflight = |e: Failure| e.within("error execution phase preflight");
    preflight::join(s, config).await.map_err(at_preflight)?;
    let cluster = discovery::run(s, config, &token).await.map_err(at_preflight)?;
    s.say(format!("[preflight] {}", s.profile.reading_cluster_config()));
    s.say(format!("[preflight] {}", s.profile.cluster_config_hint()));
    let (_, server) = cluster.cluster()?;
    let bootstrap = Kubeconfig::new(
        "kubernetes",
        server.clone(),
        "tls-bootstrap-token-user",
        User::with_token(&config.token),
    );
    let rest = s.client_of(&bootstrap)?;
    let control_plane = match &config.control_plane {
        Some(join) => Some((
            join_control_plane::configuration(s, &rest, config, join).await.map_err(at_preflight)?,
            join,
        )),
        None => {
            read_map(&rest, "kubeadm-config", "ClusterConfiguration").await?;
            None
        }
    };
    let kubelet_config = match s.profile.kubelet_config_name() {
        Some(name) => serde_saphyr::from_str(&read_map(&rest, &name, "kubelet").await?)
            .map_err(|e| Failure::new(format!("the uploaded kubelet configuration is not YAML: {e}")))?,
        // Such a kubelet had the defaults of a cluster in the flags of its package's unit.
        None => kubelet::configuration(&ClusterConfig::new(s.profile))?,
    };

    let mut bootstrap = bootstrap;
    if let Some((own, join)) = &control_plane {
        s.say("[preflight] Running pre-flight checks before initializing the new control plane instance");
        join_control_plane::prepare(s, &rest, own, join).await?;
        if s.profile.join_etcd_before_bootstrap() {
            for named in &mut bootstrap.clusters {
                named.cluster.server = format!("https://{}", own.local_endpoint());
            }
        }
    }
    s.disk().write(BOOTSTRAP_KUBELET_CONF, bootstrap.to_yaml(), 0o600)?;
    // It is of no use after the bootstrap, however that ends.
    let joined = bootstrap_kubelet(s, config, &rest, &bootstrap, &kubelet_config).await;
    if s.disk().exists(BOOTSTRAP_KUBELET_CONF) {
        s.disk().remove(BOOTSTRAP_KUBELET_CONF)?;
    }
    joined?;
    if let Some((own, _)) = &control_plane {
        return join_control_plane::finish(s, own).await;
    }
    s.say(
        "\nThis node has joined the cluster:\n\
         * Certificate signing request was sent to apiserver and a response was received.\n\
         * The Kubelet was informed of the new secure connection details.\n\n\
         Run 'kubectl get nodes' on the control-plane to see this node join the cluster.\n",
    );
    Ok(())
}

async fn bootstrap_kubelet(
    s: &mut Session<'_>,
    config: &JoinConfig,
    rest: &Rest,
    bootstrap: &Kubeconfig,
    kubelet_config: &Value,
) -> Result<()> {
    let ca = format!("{PKI_DIR}/ca.crt");
    if !s.disk().exists(&ca) {
        s.disk().write(&ca, bootstrap.roots(s.disk())?.unwrap_or_default().to_pem(), 0o644)?;
    }
    refuse_ready_namesake(rest, &config.node_name).await?;
    kubelet::start(s, kubelet_config, &config.node_name).await?;
    wait::kubelet(s).await?;
    s.say("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap");
    let host = s.host;
    poll(host, TLS_BOOTSTRAP_POLL, config.tls_bootstrap_timeout, async || {
        // The file alone is not enough: the certificate that it names must be there.
        let written = Kubeconfig::load(host.disk(), KUBELET_CONF)?;
        match written.client_pair(host.disk())? {
            Some(_) => Ok(()),
            None => Err(Failure::new(format!("{KUBELET_CONF} names no client certificate"))),
        }
    })
    .await
    .map_err(|e| {
        e.within(
            "error execution phase kubelet-wait-bootstrap: timed out waiting for the kubelet's TLS bootstrap",
        )
    })
}

async fn refuse_ready_namesake(rest: &Rest, name: &str) -> Result<()> {
    let node = match rest.get(&Resource::core("nodes"), None, name).await {
        Ok(node) => node,
        Err(e) if e.is_not_found() => return Ok(()),
        Err(e) => return Err(Failure::from(e).within(&format!("cannot get Node {name:?}"))),
    };
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let is_ready = |c: &Value| {
        c.get("type").and_then(Value::as_str) == Some("Ready")
            && c.get("status").and_then(Value::as_str) == Some("True")
    };
    if conditions.is_some_and(|all| all.iter().any(is_ready)) {
        return Err(Failure::new(format!(
            "a Node with name {name:?} and status \"Ready\" already exists in the cluster. You must delete the existing \
             Node or change the name of this new joining Node"
        )));
    }
    Ok(())
}
