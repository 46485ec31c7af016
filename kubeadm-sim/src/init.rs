//! `kubeadm init`: the phases in order, each leaving files or objects for the next.

use api::profile::{Profile, console};
use client::Rest;
use pki::token::BootstrapToken;
use serde_json::Value;

use crate::{
    addons, bootstrap_token,
    certificate_key::CertificateKey,
    certs::{self, first_certificate},
    component_configs,
    config::InitConfig,
    dry_run, dynamic_kubelet,
    join_command::{self, Role},
    kubeconfigs,
    kubelet::{self, Told},
    manifests,
    objects::{apply, cluster_role_binding, group, rbac},
    patches::Patches,
    paths::{ADMIN_CONF, DISCOVERY_TIMEOUT, HEALTH_POLL, SUPER_ADMIN_CONF},
    phases::{Parts, Plan},
    preflight, self_hosting,
    session::{Failure, Result, Session, poll},
    token_spec::TokenSpec,
    upload, upload_certs, wait,
};

/// Runs the phases of `plan`, which for a whole run make this host the first of a cluster.
pub(crate) async fn run(s: &mut Session<'_>, config: &InitConfig, plan: &Plan, whole: bool) -> Result<()> {
    for warning in config.warnings.iter().cloned().chain(component_configs::warnings(&config.cluster)?) {
        s.say(warning);
    }
    if whole {
        s.tell(&console::BETA, &[]);
        s.tell(&console::VERSION, &[&s.profile.git_version()]);
        s.tell(&console::AUTHORIZATION, &[]);
    }
    if let Some(dir) = &config.patches {
        s.patches = Patches::read(s, dir)?;
    }
    if config.dry_run {
        s.begin_dry_run("init", &[&config.cluster.certificates_dir])?;
    }
    let mut init = Init {
        config,
        tokens: config.decided_tokens(s.host.entropy()),
        kubelet_config: component_configs::kubelet(&config.cluster)?,
        admin: None,
        certificate_key: None,
    };
    for (phase, parts) in plan.iter() {
        let profile = s.profile;
        init.run(s, phase, parts).await.map_err(|e| match console::PHASE_FAILED.fill(profile, &[phase]) {
            Some(phase) => e.within(&phase),
            None => e,
        })?;
    }
    if let Some(dry) = s.dry_run() {
        dry.keep(s.host, &config.cluster.certificates_dir)?;
        s.say("[dryrun] Finished dry-running successfully. Above are the resources that would be created");
    }
    Ok(())
}

/// What the phases of one run share.
struct Init<'a> {
    config: &'a InitConfig,
    tokens: Vec<TokenSpec>,
    kubelet_config: Value,
    /// Made by the first phase that asks the apiserver for something.
    admin: Option<Rest>,
    /// Of what was uploaded.
    certificate_key: Option<CertificateKey>,
}

impl Init<'_> {
    async fn run(&mut self, s: &mut Session<'_>, phase: &str, parts: &Parts) -> Result<()> {
        let config = self.config;
        match phase {
            "preflight" => preflight::init(s, config).await,
            "certs" => certs::run(s, config, parts),
            "kubeconfig" => kubeconfigs::run(s, config, parts),
            "etcd" if parts.has("local") => manifests::etcd(s, config),
            "control-plane" => manifests::control_plane(s, config, parts),
            "kubelet-start" => {
                let told = Told {
                    config: &self.kubelet_config,
                    node_name: &config.node_name,
                    node: &config.node,
                    config_first: false,
                    registers_taints: false,
                };
                kubelet::start(s, &told).await?;
                s.tell(&console::TOKENS_EXPIRE, &[]);
                Ok(())
            }
            "kubelet-base-config" => dynamic_kubelet::write_base(s, config, &self.kubelet_config),
            "wait-control-plane" => {
                dry_run::print_files(s, &config.cluster.certificates_dir, true)?;
                wait::control_plane(s, config).await
            }
            "upload-config" => {
                upload::run(s, &self.admin(s).await?, config, &self.kubelet_config, parts).await
            }
            "dynamic-kubelet-config" => {
                let admin = self.admin(s).await?;
                dynamic_kubelet::run(s, &admin, config, &self.kubelet_config).await
            }
            "self-hosting" => self_hosting::run(s, &self.admin(s).await?, config).await,
            "upload-certs" => self.upload_certs(s).await,
            "mark-control-plane" => upload::mark(s, &self.admin(s).await?, config).await,
            "bootstrap-token" => bootstrap_token::run(s, &self.admin(s).await?, config, &self.tokens).await,
            "kubelet-finalize" if parts.has("enable-client-cert-rotation") => kubelet::finalize(s).await,
            "addon" => addons::run(s, &self.admin(s).await?, config, parts).await,
            "show-join-command" if s.dry_run().is_some() => Ok(()),
            "show-join-command" => self.farewell(s),
            // Their only part was left out.
            "etcd" | "kubelet-finalize" => Ok(()),
            unknown => Err(Failure::new(format!(
                "the phases of {} name {unknown:?}, which this kubeadm does not know; leave it out with \
                 --skip-phases={unknown}",
                s.profile.git_version()
            ))),
        }
    }

    async fn upload_certs(&mut self, s: &mut Session<'_>) -> Result<()> {
        if !self.config.upload_certs {
            s.say("[upload-certs] Skipping phase. Please see --upload-certs");
            return Ok(());
        }
        let rest = self.admin(s).await?;
        let key = upload_certs::run(s, &rest, self.config, self.config.certificate_key.as_deref()).await?;
        if !self.config.hide_certificate_key {
            s.say(format!("[upload-certs] Using certificate key:\n{}", key.reveal()));
        }
        self.certificate_key = Some(key);
        Ok(())
    }

    /// The last words: how to use the cluster, and how others join it.
    fn farewell(&self, s: &mut Session<'_>) -> Result<()> {
        let ca = first_certificate(s, &format!("{}/ca.crt", self.config.cluster.certificates_dir))?;
        let (endpoint, pins) = (self.config.endpoint(), [ca.public_key().pin()]);
        let profile = s.profile;
        if let Some(token) = self.tokens.iter().find_map(|spec| spec.token.as_ref()) {
            let worker = self.join_text(profile, &endpoint, token, &pins, Role::Worker);
            if s.tell(&console::INIT_DONE, &[&worker]) {
                return Ok(());
            }
        }
        let root = if profile.farewell_to_root() {
            format!(
                "Alternatively, if you are the root user, you can run:\n\n  export KUBECONFIG={ADMIN_CONF}\n\n"
            )
        } else {
            String::new()
        };
        s.say(format!(
            "\nYour Kubernetes control-plane has initialized successfully!\n\n\
             To start using your cluster, you need to run the following as a regular user:\n\n  \
             mkdir -p $HOME/.kube\n  sudo cp -i {ADMIN_CONF} $HOME/.kube/config\n  \
             sudo chown $(id -u):$(id -g) $HOME/.kube/config\n\n\
             {root}You should now deploy a pod network to the cluster.\n\
             Run \"kubectl apply -f [podnetwork].yaml\" with one of the options listed at:\n  \
             https://kubernetes.io/docs/concepts/cluster-administration/addons/\n"
        ));
        for token in self.tokens.iter().filter_map(|spec| spec.token.as_ref()) {
            let command = |role: Role<'_>| self.join_text(profile, &endpoint, token, &pins, role);
            if self.config.cluster.control_plane_endpoint.is_some() {
                s.say(self.control_plane_words(&command));
            }
            s.say(format!(
                "Then you can join any number of worker nodes by running the following on each as root:\n\n{}",
                command(Role::Worker)
            ));
        }
        Ok(())
    }

    fn join_text(
        &self,
        profile: Profile,
        endpoint: &str,
        token: &BootstrapToken,
        pins: &[String],
        role: Role<'_>,
    ) -> String {
        let command = join_command::text(profile, endpoint, token, pins, role);
        match self.config.hide_tokens {
            true => command.replace(&token.reveal(), "<value withheld>"),
            false => command,
        }
    }

    fn control_plane_words(&self, command: &dyn Fn(Role<'_>) -> String) -> String {
        let Some(key) = &self.certificate_key else {
            return format!(
                "You can now join any number of control-plane nodes by copying certificate authorities\n\
                 and service account keys on each node and then running the following as root:\n\n  {}\n",
                command(Role::ControlPlane(None))
            );
        };
        let key = if self.config.hide_certificate_key { "<value withheld>".into() } else { key.reveal() };
        format!(
            "You can now join any number of control-plane nodes running the following command on each as root:\n\n  \
             {}\n\n\
             Please note that the certificate-key gives access to cluster sensitive data, keep it secret!\n\
             As a safeguard, uploaded-certs will be deleted in two hours; If necessary, you can use\n\
             \"kubeadm init phase upload-certs --upload-certs\" to reload certs afterward.\n",
            command(Role::ControlPlane(Some(&key)))
        )
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
    if !s.profile.super_admin_conf() || s.dry_run().is_some() {
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
