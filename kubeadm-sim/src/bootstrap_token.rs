//! The `bootstrap-token` phase: a token, cluster-info, and who may do what with them.

use api::profile::{Profile, console};
use client::{Resource, Rest};
use pki::{
    kubeconfig::{Cluster, Kubeconfig},
    token::BootstrapToken,
};
use serde_json::{Value, json};

use crate::{
    config::InitConfig,
    kubeconfigs::cluster_ca,
    objects::{apply, bind, cluster_role, config_map, group, rbac, share_config_map, user},
    paths::NODE_TOKEN_GROUP,
    session::{Failure, Result, Session},
    token_spec::TokenSpec,
};

/// Runs the phase for the tokens of a run.
pub(crate) async fn run(
    s: &mut Session<'_>,
    rest: &Rest,
    config: &InitConfig,
    tokens: &[TokenSpec],
) -> Result<()> {
    if !config.hide_tokens {
        let revealed: Vec<String> =
            tokens.iter().filter_map(|spec| spec.token.as_ref()).map(BootstrapToken::reveal).collect();
        match revealed.as_slice() {
            [] => {}
            [only] => {
                s.tell(&console::TOKEN, &[only]);
            }
            several => s.say(format!("[bootstrap-token] Using tokens: [{}]", several.join(" "))),
        }
    }
    s.tell(&console::TOKEN_RULES, &[]);
    for secret in tokens.iter().filter_map(|spec| spec.secret(s.host.clock().wall())) {
        apply(s, rest, &Resource::core("secrets"), &secret.to_object()).await?;
        crate::token::record(s, &secret);
    }
    allow(s, rest).await?;
    cluster_info(s, rest, config).await
}

/// Lets bootstrapping and joined nodes do what they must.
pub(crate) async fn allow(s: &mut Session<'_>, rest: &Rest) -> Result<()> {
    if s.profile.tokens_get_nodes() {
        let get_nodes = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]);
        apply(s, rest, &rbac("clusterroles"), &cluster_role("kubeadm:get-nodes", get_nodes)).await?;
    }
    for (what, name, role, subject) in grants(s.profile) {
        s.tell(&console::TOKEN_GRANT, &[what]);
        bind(s, rest, name, role, subject).await?;
    }
    Ok(())
}

/// What is allowed, and the ClusterRoleBinding that allows it: its name, its role, its subject.
fn grants(profile: Profile) -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let mut grants = vec![
        (
            "Node Bootstrap tokens to get nodes",
            "kubeadm:get-nodes",
            "kubeadm:get-nodes",
            group(NODE_TOKEN_GROUP),
        ),
        (
            "Node Bootstrap tokens to post CSRs in order for nodes to get long term certificate credentials",
            "kubeadm:kubelet-bootstrap",
            "system:node-bootstrapper",
            group(NODE_TOKEN_GROUP),
        ),
        (
            "the csrapprover controller automatically approve CSRs from a Node Bootstrap Token",
            "kubeadm:node-autoapprove-bootstrap",
            "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
            group(NODE_TOKEN_GROUP),
        ),
        (
            "certificate rotation for all node client certificates in the cluster",
            "kubeadm:node-autoapprove-certificate-rotation",
            "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            group("system:nodes"),
        ),
    ];
    if !profile.tokens_get_nodes() {
        grants.remove(0);
    }
    // A certificate without a group brings no rights of its own (kubernetes/kubernetes#138957).
    if profile.kubelet_client_group().is_empty() {
        grants.push((
            "the API server kubelet client certificate to access the kubelet API",
            "kubeadm:apiserver-kubelet-client",
            "system:kubelet-api-admin",
            user("kube-apiserver-kubelet-client"),
        ));
    }
    grants
}

async fn cluster_info(s: &mut Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    s.tell(&console::CLUSTER_INFO, &[]);
    let kubeconfig = Kubeconfig::cluster_info(Cluster::new(
        &format!("https://{}", config.endpoint()),
        &cluster_ca(s, config)?,
    ));
    let map = config_map("kube-public", "cluster-info", json!({"kubeconfig": kubeconfig.to_yaml()}));
    if s.dry_run().is_some() {
        return apply(s, rest, &Resource::core("configmaps"), &map).await;
    }
    // The signatures beside the kubeconfig are the bootstrap signer's: an existing map is kept.
    match rest.create(&Resource::core("configmaps"), Some("kube-public"), &map).await {
        Ok(_) => {}
        Err(e) if e.is_already_exists() => {}
        Err(e) => return Err(Failure::from(e).within("error creating cluster-info")),
    }
    publish(s, rest).await
}

/// Lets everybody read cluster-info.
pub(crate) async fn publish(s: &Session<'_>, rest: &Rest) -> Result<()> {
    let role = "kubeadm:bootstrap-signer-clusterinfo";
    share_config_map(s, rest, "kube-public", "cluster-info", role, &[user("system:anonymous")]).await
}
