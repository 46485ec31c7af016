//! `kubeadm join`: the phases in order. Discovery is none of them: whichever phase first needs the cluster finds it.

use api::profile::console;
use client::{Resource, Rest};
use pki::{
    kubeconfig::Kubeconfig,
    token::{BootstrapToken, Pins},
};
use serde_json::Value;

use crate::{
    component_configs,
    config::{ClusterConfig, ControlPlaneJoin, InitConfig, JoinConfig},
    discovery, dry_run, etcd_join, join_control_plane,
    kubelet::{self, Told},
    old_join,
    patches::Patches,
    paths::{ADMIN_CONF, BOOTSTRAP_KUBELET_CONF},
    phases::{Parts, Plan, Workflow},
    preflight,
    session::{Failure, Result, Session},
    stored::read_map,
    wait,
};

/// Runs the phases of `plan`, which for a whole run make this host a worker, or with `--control-plane` a control
/// plane, of an existing cluster.
pub(crate) async fn run(s: &mut Session<'_>, config: &JoinConfig, plan: &Plan, whole: bool) -> Result<()> {
    for text in config.tls_bootstrap_token.iter().chain(Some(&config.token).filter(|t| !t.is_empty())) {
        text.parse::<BootstrapToken>().map_err(|e| Failure::new(format!("invalid bootstrap token: {e}")))?;
    }
    Pins::parse(config.ca_cert_hashes.iter().map(String::as_str)).map_err(|e| Failure::new(e.to_string()))?;
    for warning in &config.warnings {
        s.say(warning);
    }
    if !s.profile.join_reads_configuration() {
        return old_join::run(s, config).await;
    }
    if let Some(dir) = &config.patches {
        s.patches = Patches::read(s, dir)?;
    }
    if config.dry_run {
        s.begin_dry_run("join", &[])?;
    }
    let mut join = Join { config, cluster: None, own: None };
    for (phase, parts) in plan.iter() {
        let done = join.run(s, phase, parts).await;
        if done.is_err() && matches!(*phase, "kubelet-start" | "kubelet-wait-bootstrap") {
            // Of no use after the bootstrap, however that ends.
            forget_bootstrap_kubeconfig(s)?;
        }
        done.map_err(|(at, e)| e.within(&format!("error execution phase {at}")))?;
    }
    if s.dry_run().is_some() {
        s.say("[dryrun] Finished dry-running successfully. Above are the resources that would be created");
    } else if whole {
        match &join.own {
            Some(own) => join_control_plane::farewell(s, own),
            None => s.say(
                "\nThis node has joined the cluster:\n\
                 * Certificate signing request was sent to apiserver and a response was received.\n\
                 * The Kubelet was informed of the new secure connection details.\n\n\
                 Run 'kubectl get nodes' on the control-plane to see this node join the cluster.\n",
            ),
        }
    }
    Ok(())
}

/// Whether a phase asks nothing of the cluster, so that run alone it needs not be told where that is.
pub(crate) fn is_local(phase: &str) -> bool {
    matches!(phase, "kubelet-wait-bootstrap")
}

fn forget_bootstrap_kubeconfig(s: &Session<'_>) -> Result<()> {
    if s.disk().exists(BOOTSTRAP_KUBELET_CONF) {
        s.disk().remove(BOOTSTRAP_KUBELET_CONF)?;
    }
    Ok(())
}

/// What the phases of one run share; each part is made by the first phase that needs it.
struct Join<'a> {
    config: &'a JoinConfig,
    /// The cluster by its kubeconfig, and the client that reads its configuration.
    cluster: Option<(Kubeconfig, Rest)>,
    /// Of a new control plane.
    own: Option<InitConfig>,
}

/// Where a run failed, as phases and their parts are named, and why.
type Failed = (String, Failure);

impl<'a> Join<'a> {
    async fn run(
        &mut self,
        s: &mut Session<'_>,
        phase: &str,
        parts: &Parts,
    ) -> std::result::Result<(), Failed> {
        let at = |e: Failure| (phase.to_owned(), e);
        match (phase, &self.config.control_plane) {
            ("preflight", _) => self.preflight(s).await.map_err(at),
            ("kubelet-start", _) => self.kubelet_start(s).await.map_err(at),
            ("kubelet-wait-bootstrap", _) => self.wait_bootstrap(s).await.map_err(at),
            // The other phases are of control planes.
            (_, None) => Ok(()),
            ("control-plane-prepare" | "control-plane-join", Some(join)) => {
                for part in parts.iter() {
                    self.part(s, part, join).await.map_err(|e| (format!("{phase}/{part}"), e))?;
                }
                Ok(())
            }
            ("check-etcd", Some(join)) => {
                let own = self.own(s, join).await.map_err(at)?;
                etcd_join::check(s, &own).await.map_err(at)
            }
            ("etcd-join", Some(join)) => {
                let own = self.own(s, join).await.map_err(at)?;
                join_control_plane::join_etcd(s, &own).await.map_err(at)
            }
            ("wait-control-plane", Some(join)) => {
                let own = self.own(s, join).await.map_err(at)?;
                wait::components(s, &own).await.map_err(at)
            }
            (unknown, _) => Err(at(Failure::new(format!("the phase {unknown:?} of join is not known")))),
        }
    }

    async fn preflight(&mut self, s: &mut Session<'_>) -> Result<()> {
        s.tell(&console::PREFLIGHT, &[]);
        preflight::join(s, self.config).await?;
        let (_, rest) = self.cluster(s).await?;
        s.say(format!("[preflight] {}", s.profile.reading_cluster_config()));
        s.say(format!("[preflight] {}", s.profile.cluster_config_hint()));
        let Some(join) = &self.config.control_plane else {
            let key = crate::formats::stored(s.profile).1;
            return read_map(&rest, "kubeadm-config", key).await.map(drop).map_err(unfetched);
        };
        let own = self.own(s, join).await?;
        s.say("[preflight] Running pre-flight checks before initializing the new control plane instance");
        preflight::join_control_plane(s, &own, join.certificate_key.is_some()).await
    }

    /// A part of `control-plane-prepare` or `control-plane-join`.
    async fn part(&mut self, s: &mut Session<'_>, part: &str, join: &ControlPlaneJoin) -> Result<()> {
        let own = self.own(s, join).await?;
        match part {
            "download-certs" => match &join.certificate_key {
                Some(key) => {
                    let (_, rest) = self.cluster(s).await?;
                    crate::upload_certs::download(s, &rest, &own, key).await
                }
                None => Ok(()),
            },
            "certs" => crate::certs::join(s, &own),
            "kubeconfig" => join_control_plane::kubeconfigs(s, &own),
            "control-plane" => join_control_plane::manifests(s, &own),
            "etcd" => join_control_plane::join_etcd(s, &own).await,
            "mark-control-plane" => join_control_plane::mark(s, &own).await,
            unknown => Err(Failure::new(format!("the part {unknown:?} is not known"))),
        }
    }

    /// The kubeconfig of the cluster and a client for it. A control plane that has its administrator's kubeconfig
    /// already, as phases run one by one leave it, needs no discovery.
    async fn cluster(&mut self, s: &Session<'_>) -> Result<(Kubeconfig, Rest)> {
        let (kubeconfig, rest) = match self.cluster.take() {
            Some(found) => found,
            None => {
                let kubeconfig = if self.config.control_plane.is_some() && s.disk().exists(ADMIN_CONF) {
                    Kubeconfig::load(s.disk(), ADMIN_CONF)?
                } else {
                    discovery::run(s, self.config).await?
                };
                let rest = s.client_of(&kubeconfig)?;
                (kubeconfig, rest)
            }
        };
        Ok(self.cluster.insert((kubeconfig, rest)).clone())
    }

    /// The new control plane's own configuration.
    async fn own(&mut self, s: &Session<'_>, join: &ControlPlaneJoin) -> Result<InitConfig> {
        if self.own.is_none() {
            let (_, rest) = self.cluster(s).await?;
            let own = join_control_plane::configuration(s, &rest, self.config, join).await?;
            self.own = Some(own);
        }
        let own = self.own.clone();
        own.ok_or_else(|| Failure::new("the configuration of the new control plane is not known"))
    }

    async fn kubelet_start(&mut self, s: &mut Session<'_>) -> Result<()> {
        let config = self.config;
        let (mut bootstrap, rest) = self.cluster(s).await?;
        if let Some(join) = &config.control_plane
            && s.profile.join_etcd_before_bootstrap()
        {
            let own = self.own(s, join).await?;
            for named in &mut bootstrap.clusters {
                named.cluster.server = format!("https://{}", own.local_endpoint());
            }
        }
        let kubelet_config = kubelet_config(s, &rest).await?;
        s.disk().write(BOOTSTRAP_KUBELET_CONF, bootstrap.to_yaml(), 0o600)?;
        if !s.disk().exists(&config.ca_cert_path) {
            let roots = bootstrap.roots(s.disk())?.unwrap_or_default();
            s.disk().write(&config.ca_cert_path, roots.to_pem(), 0o644)?;
        }
        if s.profile.tokens_get_nodes() {
            refuse_ready_namesake(&rest, &config.node_name).await?;
        }
        let told = Told {
            config: &kubelet_config,
            node_name: &config.node_name,
            node: &config.node,
            config_first: true,
            registers_taints: config.control_plane.is_none(),
        };
        kubelet::start(s, &told).await?;
        dry_run::print_files(s, crate::paths::PKI_DIR, config.control_plane.is_some())?;
        if Workflow::Join.phases(s.profile).contains(&"kubelet-wait-bootstrap") {
            return Ok(());
        }
        self.wait_bootstrap(s).await
    }

    async fn wait_bootstrap(&mut self, s: &Session<'_>) -> Result<()> {
        let timeouts = &self.config.timeouts;
        if s.dry_run().is_some() {
            s.say("[kubelet-wait] Would wait for the kubelet to be bootstrapped");
            return Ok(());
        }
        if !s.profile.waits_for_api_alone() {
            wait::kubelet(s, timeouts.kubelet).await?;
        }
        wait::tls_bootstrap(s, timeouts).await?;
        forget_bootstrap_kubeconfig(s)
    }
}

/// What a join says when it cannot read how the cluster is configured.
pub(crate) fn unfetched(why: Failure) -> Failure {
    why.within("unable to fetch the kubeadm-config ConfigMap")
}

/// The kubelet's configuration as the cluster remembers it.
async fn kubelet_config(s: &Session<'_>, rest: &Rest) -> Result<Value> {
    match s.profile.kubelet_config_name() {
        Some(name) => serde_saphyr::from_str(&read_map(rest, &name, "kubelet").await?)
            .map_err(|e| Failure::new(format!("the uploaded kubelet configuration is not YAML: {e}"))),
        // Such a kubelet had the defaults of a cluster in the flags of its package's unit.
        None => component_configs::kubelet(&ClusterConfig::new(s.profile)),
    }
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
