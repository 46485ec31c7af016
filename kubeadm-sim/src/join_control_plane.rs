//! What `kubeadm join --control-plane` does before and after the kubelet's bootstrap: shared certificates, own
//! certificates, kubeconfigs, manifests; labels and taints at the end.

use client::Rest;

use crate::{
    config::{ControlPlaneJoin, InitConfig, JoinConfig},
    etcd_join,
    join::unfetched,
    kubeconfigs, manifests,
    paths::ADMIN_CONF,
    phases::Parts,
    session::{Failure, Result, Session},
    stored, upload,
};

/// The new control plane's own configuration, once it is known that the cluster can take one.
pub(crate) async fn configuration(
    s: &Session<'_>,
    rest: &Rest,
    config: &JoinConfig,
    join: &ControlPlaneJoin,
) -> Result<InitConfig> {
    let mut own = InitConfig::new(s.host, s.profile);
    stored::fetch(rest, &mut own).await.map_err(unfetched)?;
    own.cluster.profile = s.profile;
    own.node_name.clone_from(&config.node_name);
    own.node.clone_from(&config.node);
    own.ignore_preflight.clone_from(&config.ignore_preflight);
    own.timeouts.clone_from(&config.timeouts);
    own.advertise_address = join.advertise_address;
    own.bind_port = join.bind_port;
    if own.cluster.control_plane_endpoint.is_none() {
        return Err(unsatisfied(
            "unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint \
             address",
        ));
    }
    if join.certificate_key.is_none() {
        let missing = missing_certificates(s, &own);
        if !missing.is_empty() {
            return Err(unsatisfied(&missing.join(", ")));
        }
    }
    Ok(own)
}

fn unsatisfied(why: &str) -> Failure {
    Failure::new(format!(
        "\nOne or more conditions for hosting a new control plane instance is not satisfied.\n\n[{why}]\n\n\
         Please ensure that:\n\
         * The cluster has a stable controlPlaneEndpoint address.\n\
         * The certificates that must be shared among control plane instances are provided.\n\n"
    ))
}

/// What should have been copied by hand and was not.
fn missing_certificates(s: &Session<'_>, config: &InitConfig) -> Vec<String> {
    let dir = &config.cluster.certificates_dir;
    let mut shared = vec![
        ("certificate", "CA", "certificate", "ca.crt"),
        ("key", "service account", "private key", "sa.key"),
        ("certificate", "front-proxy CA", "certificate", "front-proxy-ca.crt"),
    ];
    if config.cluster.external_etcd.is_none() {
        shared.push(("certificate", "etcd CA", "certificate", "etcd/ca.crt"));
    }
    shared
        .iter()
        .map(|(what, owner, kind, file)| (what, owner, kind, format!("{dir}/{file}")))
        .filter(|(.., path)| !s.disk().exists(path))
        .map(|(what, owner, kind, path)| {
            format!(
                "failure loading {what} for {owner}: couldn't load the {kind} file {path}: open {path}: no such file \
                 or directory"
            )
        })
        .collect()
}

/// Runs `control-plane-prepare/kubeconfig`.
pub(crate) fn kubeconfigs(s: &mut Session<'_>, own: &InitConfig) -> Result<()> {
    s.say("[kubeconfig] Generating kubeconfig files");
    // super-admin.conf stays with the first control plane; kubelet.conf comes of the bootstrap.
    kubeconfigs::run(s, own, &Parts::of(&["admin", "controller-manager", "scheduler"]))
}

/// Runs `control-plane-prepare/control-plane`.
pub(crate) fn manifests(s: &mut Session<'_>, own: &InitConfig) -> Result<()> {
    manifests::control_plane(s, own, &Parts::of(&["apiserver", "controller-manager", "scheduler"]))
}

/// Runs `etcd-join`, or the part of that name.
pub(crate) async fn join_etcd(s: &Session<'_>, own: &InitConfig) -> Result<()> {
    if own.cluster.external_etcd.is_some() {
        s.say("[control-plane-join] Using external etcd - no local stacked instance added");
        return Ok(());
    }
    etcd_join::run(s, own).await
}

/// Runs `control-plane-join/mark-control-plane`.
pub(crate) async fn mark(s: &mut Session<'_>, own: &InitConfig) -> Result<()> {
    let admin = s.client(ADMIN_CONF)?;
    upload::mark(s, &admin, own).await
}

/// Says how it ended.
pub(crate) fn farewell(s: &Session<'_>, own: &InitConfig) {
    let etcd = match own.cluster.external_etcd {
        Some(_) => "",
        None => "* A new etcd member was added to the local/stacked etcd cluster.\n",
    };
    s.say(format!(
        "\nThis node has joined the cluster and a new control plane instance was created:\n\n\
         * Certificate signing request was sent to apiserver and approval was received.\n\
         * The Kubelet was informed of the new secure connection details.\n\
         * Control plane label and taint were applied to the new node.\n\
         * The Kubernetes control plane instances scaled up.\n{etcd}\n\
         To start administering your cluster from this node, you need to run the following as a regular user:\n\n\
         \tmkdir -p $HOME/.kube\n\
         \tsudo cp -i {ADMIN_CONF} $HOME/.kube/config\n\
         \tsudo chown $(id -u):$(id -g) $HOME/.kube/config\n\n\
         Run 'kubectl get nodes' to see this node join the cluster.\n"
    ));
}
