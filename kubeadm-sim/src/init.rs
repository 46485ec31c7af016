//! `kubeadm init`: the phases in order, each leaving files or objects for the next.

use client::Rest;
use pki::token::BootstrapToken;
use serde_json::Value;

use crate::{
    addons, bootstrap_token, certs,
    config::InitConfig,
    kubeconfigs, kubelet, manifests,
    objects::{apply, cluster_role_binding, group, rbac},
    paths::{DISCOVERY_TIMEOUT, HEALTH_POLL, KUBERNETES_DIR, PKI_DIR},
    preflight,
    session::{Failure, Result, Session, poll},
    upload, wait,
};

/// Makes this host the first of a cluster.
pub(crate) async fn run(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    let token = match &config.token {
        Some(text) => text.parse().map_err(|e| Failure::new(format!("invalid bootstrap token: {e}")))?,
        None => BootstrapToken::generate(s.host.entropy()),
    };
    let kubelet_config =
        kubelet::configuration(&config.cluster.service_ip(10)?.to_string(), &config.cluster.dns_domain);
    let skip = |phase: &str| config.skip_phases.iter().any(|p| p == phase);

    s.say(format!("[init] Using Kubernetes version: {}", s.profile.git_version()));
    if !skip("preflight") {
        preflight::init(s, config).await?;
    }
    write_files(s, config, &kubelet_config).await?;
    wait::control_plane(s, config).await?;

    let rest = admin(s).await?;
    upload::run(s, &rest, config, &kubelet_config).await?;
    s.say("[upload-certs] Skipping phase. Please see --upload-certs");
    if !skip("mark-control-plane") {
        upload::mark(s, &rest, &config.node_name).await?;
    }
    if !skip("bootstrap-token") {
        bootstrap_token::run(s, &rest, config, &token).await?;
    }
    kubelet::finalize(s).await?;
    if !skip("addon") {
        addons::run(s, &rest, config).await?;
    }
    farewell(s, config, &token)
}

/// Everything up to a running kubelet. The order of phases changed over the releases: 1.36 writes
/// the manifests first; before 1.31 the kubelet was started before them, and before 1.13 first of all.
async fn write_files(s: &mut Session<'_>, config: &InitConfig, kubelet_config: &Value) -> Result<()> {
    let early = s.profile.minor() < 13;
    let late = s.profile.minor() >= 31;
    if early {
        kubelet::start(s, kubelet_config, &config.node_name).await?;
    }
    certs::run(s, config)?;
    kubeconfigs::run(s, config)?;
    if !early && !late {
        kubelet::start(s, kubelet_config, &config.node_name).await?;
    }
    if late {
        manifests::etcd(s, config)?;
        manifests::control_plane(s, config)?;
        kubelet::start(s, kubelet_config, &config.node_name).await
    } else {
        manifests::control_plane(s, config)?;
        manifests::etcd(s, config)
    }
}

/// The administrator's client. From 1.29 on admin.conf is no member of system:masters: the binding
/// that makes it an administrator is written with super-admin.conf once, when admin.conf may not.
async fn admin(s: &Session<'_>) -> Result<Rest> {
    let admin = s.client(&format!("{KUBERNETES_DIR}/admin.conf"))?;
    if s.profile.minor() < 29 {
        return Ok(admin);
    }
    let bindings = rbac("clusterrolebindings");
    let binding =
        cluster_role_binding("kubeadm:cluster-admins", "cluster-admin", group("kubeadm:cluster-admins"));
    let reached = poll(s.host, HEALTH_POLL, DISCOVERY_TIMEOUT, async || {
        match admin.create(&bindings, None, &binding).await {
            Ok(_) => Ok(true),
            Err(e) if e.is_already_exists() => Ok(true),
            Err(e) if e.is_forbidden() => Ok(false),
            Err(e) => Err(e.into()),
        }
    })
    .await
    .map_err(|e| {
        e.within("unable to create the kubeadm:cluster-admins ClusterRoleBinding by using kubernetes-admin")
    })?;
    if !reached {
        let super_admin = s.client(&format!("{KUBERNETES_DIR}/super-admin.conf"))?;
        apply(s, &super_admin, &bindings, &binding).await?;
        // The binding counts once the server's own informer has seen it.
        poll(s.host, HEALTH_POLL, DISCOVERY_TIMEOUT, async || {
            admin.get(&bindings, None, "kubeadm:cluster-admins").await.map(drop).map_err(Failure::from)
        })
        .await?;
    }
    Ok(admin)
}

fn farewell(s: &mut Session<'_>, config: &InitConfig, token: &BootstrapToken) -> Result<()> {
    let ca = s.disk().read(format!("{PKI_DIR}/ca.crt"))?;
    let pin = pki::Certificate::parse_pem(&ca)
        .ok()
        .and_then(|mut all| if all.is_empty() { None } else { Some(all.remove(0).public_key().pin()) })
        .ok_or_else(|| Failure::new(format!("{PKI_DIR}/ca.crt holds no certificate")))?;
    s.say(format!(
        "\nYour Kubernetes control-plane has initialized successfully!\n\n\
         To start using your cluster, you need to run the following as a regular user:\n\n  \
         mkdir -p $HOME/.kube\n  sudo cp -i {KUBERNETES_DIR}/admin.conf $HOME/.kube/config\n  \
         sudo chown $(id -u):$(id -g) $HOME/.kube/config\n\n\
         Then you can join any number of worker nodes by running the following on each as root:\n\n\
         kubeadm join {} --token {} \\\n\t--discovery-token-ca-cert-hash {pin} ",
        config.endpoint(),
        token.reveal()
    ));
    Ok(())
}
