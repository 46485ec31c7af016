//! `kubeadm init`: the phases in order, each leaving files or objects for the next.

use api::profile::Profile;
use client::Rest;
use pki::token::BootstrapToken;
use serde_json::Value;

use crate::{
    addons, bootstrap_token,
    certs::{self, first_certificate},
    config::InitConfig,
    join_command, kubeconfigs, kubelet, manifests,
    objects::{apply, cluster_role_binding, group, rbac},
    paths::{ADMIN_CONF, DISCOVERY_TIMEOUT, HEALTH_POLL, SUPER_ADMIN_CONF},
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
    let kubelet_config = kubelet::configuration(&config.cluster)?;
    s.say(format!("[init] Using Kubernetes version: {}", s.profile.git_version()));
    let mut init = Init { config, token, kubelet_config, admin: None };
    for phase in phases(s.profile) {
        if !config.skip_phases.iter().any(|skipped| skipped == phase) {
            init.run(s, phase).await?;
        }
    }
    Ok(())
}

/// The release's phases. What kubeadm did before it was a phase has its place among them too: the
/// kubelet was started behind preflight, and the join command ended every run.
fn phases(profile: Profile) -> Vec<&'static str> {
    let mut phases = profile.init_phases().to_vec();
    if !phases.contains(&"kubelet-start") {
        phases.insert(1, "kubelet-start");
    }
    if !phases.contains(&"show-join-command") {
        phases.push("show-join-command");
    }
    phases
}

/// What the phases of one run share.
struct Init<'a> {
    config: &'a InitConfig,
    token: BootstrapToken,
    kubelet_config: Value,
    /// Made by the first phase that asks the apiserver for something.
    admin: Option<Rest>,
}

impl Init<'_> {
    async fn run(&mut self, s: &mut Session<'_>, phase: &str) -> Result<()> {
        let config = self.config;
        match phase {
            "preflight" => preflight::init(s, config).await,
            "certs" => certs::run(s, config),
            "kubeconfig" => kubeconfigs::run(s, config),
            "etcd" => manifests::etcd(s, config),
            "control-plane" => manifests::control_plane(s, config),
            "kubelet-start" => kubelet::start(s, &self.kubelet_config, &config.node_name).await,
            "wait-control-plane" => wait::control_plane(s, config).await,
            "upload-config" => upload::run(s, &self.admin(s).await?, config, &self.kubelet_config).await,
            "upload-certs" => {
                s.say("[upload-certs] Skipping phase. Please see --upload-certs");
                Ok(())
            }
            "mark-control-plane" => upload::mark(s, &self.admin(s).await?, &config.node_name).await,
            "bootstrap-token" => bootstrap_token::run(s, &self.admin(s).await?, config, &self.token).await,
            "kubelet-finalize" => kubelet::finalize(s).await,
            "addon" => addons::run(s, &self.admin(s).await?, config).await,
            "show-join-command" => farewell(s, config, &self.token),
            unknown => Err(Failure::new(format!(
                "the phases of {} name {unknown:?}, which this kubeadm does not know; leave it out with \
                 --skip-phases={unknown}",
                s.profile.git_version()
            ))),
        }
    }

    async fn admin(&mut self, s: &Session<'_>) -> Result<Rest> {
        let rest = match self.admin.take() {
            Some(rest) => rest,
            None => admin(s).await?,
        };
        Ok(self.admin.insert(rest).clone())
    }
}

/// The administrator's client. Where there is a super-admin.conf, admin.conf is no member of
/// system:masters: the binding that makes it an administrator is written with super-admin.conf once,
/// when admin.conf may not.
async fn admin(s: &Session<'_>) -> Result<Rest> {
    let admin = s.client(ADMIN_CONF)?;
    if !s.profile.super_admin_conf() {
        return Ok(admin);
    }
    let bindings = rbac("clusterrolebindings");
    let binding =
        cluster_role_binding("kubeadm:cluster-admins", "cluster-admin", group(s.profile.admin_group()));
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
        let super_admin = s.client(SUPER_ADMIN_CONF)?;
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
    let ca = first_certificate(s, &format!("{}/ca.crt", config.cluster.certificates_dir))?;
    s.say(format!(
        "\nYour Kubernetes control-plane has initialized successfully!\n\n\
         To start using your cluster, you need to run the following as a regular user:\n\n  \
         mkdir -p $HOME/.kube\n  sudo cp -i {ADMIN_CONF} $HOME/.kube/config\n  \
         sudo chown $(id -u):$(id -g) $HOME/.kube/config\n\n\
         Then you can join any number of worker nodes by running the following on each as root:\n\n{}",
        join_command::text(&config.endpoint(), token, &[ca.public_key().pin()], None)
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the kubelet is started: behind which phase, and before which.
    fn check(minor: u16, behind: &str, before: &str) {
        let phases = phases(Profile::of_minor(minor).expect("known"));
        let at = phases.iter().position(|p| *p == "kubelet-start").expect("the kubelet is started");
        assert_eq!((phases[at - 1], phases[at + 1]), (behind, before), "1.{minor}");
        assert_eq!((phases[0], phases.last()), ("preflight", Some(&"show-join-command")), "1.{minor}");
    }

    #[test]
    fn the_kubelet_is_started_where_the_release_did() {
        for (minor, behind, before) in [
            (8, "preflight", "certs"),
            (10, "preflight", "certs"),
            (11, "preflight", "certs"),
            (18, "preflight", "certs"),
            (19, "kubeconfig", "control-plane"),
            (27, "kubeconfig", "control-plane"),
            (28, "control-plane", "wait-control-plane"),
            (36, "control-plane", "wait-control-plane"),
        ] {
            check(minor, behind, before);
        }
    }
}
