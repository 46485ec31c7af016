//! A cluster to be tormented, and who has which credentials in it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, Resource, Rest};
use jiff::SignedDuration;
use parking_lot::Mutex;
use pki::{
    Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey,
    kubeconfig::{Kubeconfig, User},
};
use serde_json::{Value, json};
use world::{Host, Mono, Periods, Wall, sim::Sim};

use super::{
    figures::Figures,
    history::History,
    invariants::Judge,
    load::Hook,
    plan::{LEAF_HOURS, Plan},
    tempo::Tempo,
};
use crate::{
    Cluster, ClusterOptions, HarnessError,
    cluster::{CONTROL_PLANE, WORKSTATION, wait_for},
};

/// Where the load lives.
pub(super) const NS: Option<&str> = Some("chaos");
pub(super) const NAMESPACE: &str = "chaos";
pub(super) const CONFIG_MAPS: Resource = Resource::core("configmaps");
pub(super) const SECRETS: Resource = Resource::core("secrets");
pub(super) const ACCOUNTS: Resource = Resource::core("serviceaccounts");
pub(super) const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");
pub(super) const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
/// The Deployment of the load.
pub(super) const DEPLOYMENT: &str = "web";
/// The Secret that its pods read.
pub(super) const CONFIG: &str = "web-config";
/// A Secret in kube-system that no pod uses.
pub(super) const SECRET: &str = "chaos-secret";
/// How long somebody of the load waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);
/// Longer than any plan, within the authority's ten years.
const LONG: SignedDuration = SignedDuration::from_hours(9 * 365 * 24);

/// How long the apiserver may take to see that the authority on its disk is another: its controller looks every minute,
/// every six of them at the slow pace.
const RELOADED: Duration = Duration::from_secs(370);

/// Whether the authority on the control plane's disk is a stranger's.
#[derive(Default)]
struct Distrust {
    strangers: u32,
    /// When the right one came back.
    since: Option<Mono>,
}

/// See the module.
pub(super) struct Scene {
    pub cluster: Cluster,
    pub tempo: Tempo,
    pub judge: Judge,
    pub history: History,
    /// The cluster's authority as it was made, whatever is on the disk.
    pub authority: Authority,
    /// The admission webhook.
    pub hook: Arc<Hook>,
    pub figures: Figures,
    /// How long the load runs, in seconds.
    pub plan_seconds: u64,
    distrust: Mutex<Distrust>,
    /// By host: whoever has it off.
    power: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// An administrator whose certificate outlasts every plan, on the workstation.
    pub operator: Rest,
    /// Nobody, on the workstation: what bearer tokens are shown with, all over one connection, as client-go does for those
    /// who differ in nothing but their token.
    pub visitor: Rest,
}

impl Scene {
    /// Makes the cluster of `plan`, and what the load needs in it.
    pub(super) async fn set(sim: &Sim, plan: &Plan, between: Periods) -> Result<Arc<Self>, HarnessError> {
        let workstation = sim.host(WORKSTATION);
        let tempo = Tempo::new(sim, &workstation, between, HOUR * plan.hours as u32);
        let options = ClusterOptions {
            nodes: plan.nodes,
            leaf_validity: Some(HOUR * LEAF_HOURS as u32),
            signing_duration: Some(HOUR * plan.signed_hours as u32),
            endpoint: Some(format!("{CONTROL_PLANE}:6443")),
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(sim, options).await?;
        let disk = sim.host(CONTROL_PLANE).disk().clone();
        let read = |name: &str| disk.read(format!("/etc/kubernetes/pki/{name}")).map_err(HarnessError::new);
        let authority = Authority::from_pem(&read("ca.crt")?, &read("ca.key")?).map_err(HarnessError::new)?;
        let judge = Judge::new(&workstation);
        let now = workstation.clock().wall();
        let operator =
            identity(&workstation, &authority, "chaos-operator", &["system:masters"], now, now + LONG)?;
        let operator = client(&cluster, &workstation, User::with_certificate(&operator), "operator")?;
        let visitor = client(&cluster, &workstation, User::default(), "visitor")?;
        let history = History::new(&judge, &workstation);
        let scene = Arc::new(Self {
            cluster,
            tempo,
            judge,
            history,
            authority,
            hook: Arc::default(),
            figures: Figures::default(),
            plan_seconds: plan.ends(),
            distrust: Mutex::default(),
            power: Mutex::default(),
            operator,
            visitor,
        });
        scene.furnish().await?;
        Ok(scene)
    }

    async fn furnish(&self) -> Result<(), HarnessError> {
        let secret = json!({"metadata": {"name": SECRET}, "stringData": {"key": "value"}});
        let system = Some("kube-system");
        self.operator.create(&SECRETS, system, &secret).await.map_err(HarnessError::new)?;
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        self.operator
            .create(&Resource::core("namespaces"), None, &namespace)
            .await
            .map_err(HarnessError::new)?;
        wait_for(&self.workstation(), "the namespace has its account", async || {
            self.operator.get(&ACCOUNTS, NS, "default").await.ok().map(drop)
        })
        .await?;
        self.make_config().await.map_err(HarnessError::new)?;
        let deployment = json!({
            "metadata": {"name": DEPLOYMENT},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": DEPLOYMENT}},
                "template": {
                    "metadata": {"labels": {"app": DEPLOYMENT}},
                    "spec": {
                        "containers": [
                            {"name": "c", "image": "busybox", "command": ["sh", "-c", "sleep 100000000"]},
                        ],
                        "volumes": [{"name": "config", "secret": {"secretName": CONFIG}}],
                    },
                },
            },
        });
        self.operator.create(&DEPLOYMENTS, NS, &deployment).await.map(drop).map_err(HarnessError::new)
    }

    /// The Secret that the Deployment's pods read.
    pub(super) async fn make_config(&self) -> Result<(), ClientError> {
        let secret = json!({"metadata": {"name": CONFIG}, "stringData": {"key": "value"}});
        self.operator.create(&SECRETS, NS, &secret).await.map(drop)
    }

    /// Who holds this has switched the host off.
    pub(super) fn power(&self, host: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.power.lock().entry(host.to_owned()).or_default().clone()
    }

    pub(super) fn sim(&self) -> &Sim {
        self.cluster.sim()
    }

    pub(super) fn host(&self, name: &str) -> Host {
        self.sim().host(name)
    }

    /// From where the load looks, in true time.
    pub(super) fn workstation(&self) -> Host {
        self.host(WORKSTATION)
    }

    /// What the server's clock shows.
    pub(super) fn server_time(&self) -> Wall {
        self.host(CONTROL_PLANE).clock().wall()
    }

    /// A client on `host` with these credentials and a connection of its own.
    pub(super) fn client(&self, host: &Host, user: User, agent: &str) -> Result<Rest, HarnessError> {
        client(&self.cluster, host, user, agent)
    }

    /// A client on `host` with an administrator's rights.
    pub(super) fn administrator(&self, host: &Host, name: &str) -> Result<Rest, HarnessError> {
        let now = self.workstation().clock().wall();
        let pair = identity(host, &self.authority, name, &["system:masters"], now, now + LONG)?;
        self.client(host, User::with_certificate(&pair), name)
    }

    /// The authority for client certificates is a stranger's now, or is not any more.
    pub(super) fn replace_authority(&self, stranger: bool) {
        let mut distrust = self.distrust.lock();
        if stranger {
            distrust.strangers += 1;
        } else {
            distrust.strangers -= 1;
            distrust.since = Some(self.workstation().clock().monotonic());
        }
    }

    /// Whether the apiserver must know the cluster's authority.
    pub(super) fn trusts_authority(&self) -> bool {
        let now = self.workstation().clock().monotonic();
        let distrust = self.distrust.lock();
        distrust.strangers == 0 && distrust.since.is_none_or(|at| now.since(at) > RELOADED)
    }

    /// The Deployment, if it can be had.
    pub(super) async fn deployment(&self) -> Result<Value, ClientError> {
        self.operator.get(&DEPLOYMENTS, NS, DEPLOYMENT).await
    }
}

fn client(cluster: &Cluster, host: &Host, user: User, agent: &str) -> Result<Rest, HarnessError> {
    let (name, server) = cluster.kubeconfig().cluster().map_err(HarnessError::new)?;
    let config = Kubeconfig::new(name, server.clone(), agent, user);
    let rest = Rest::from_kubeconfig(host, &config, cluster.options().profile.go(), agent)
        .map_err(HarnessError::new)?;
    Ok(rest.with_timeout(PATIENCE))
}

/// A client certificate of `authority`.
pub(super) fn identity(
    host: &Host,
    authority: &Authority,
    name: &str,
    groups: &[&str],
    not_before: Wall,
    not_after: Wall,
) -> Result<CertifiedKey, HarnessError> {
    let spec = CertSpec {
        common_name: name.to_owned(),
        organizations: groups.iter().map(|group| (*group).to_owned()).collect(),
        dns_names: Vec::new(),
        ips: Vec::new(),
        client_auth: true,
        server_auth: false,
        not_before,
        not_after,
    };
    issue(host, authority, &spec)
}

/// A certificate of `authority` with a new key.
pub(super) fn issue(
    host: &Host,
    authority: &Authority,
    spec: &CertSpec,
) -> Result<CertifiedKey, HarnessError> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(HarnessError::new)?;
    let leaf = authority.issue(host.entropy(), spec, &key.public()).map_err(HarnessError::new)?;
    CertifiedKey::new(vec![leaf], key).map_err(HarnessError::new)
}

/// An authority that nobody knows.
pub(super) fn stranger(host: &Host) -> Result<Authority, HarnessError> {
    let now = host.clock().wall();
    Authority::new_root(
        host.entropy(),
        KeyAlgorithm::EcdsaP256,
        "kubernetes",
        &["kubernetes".to_owned()],
        now - SignedDuration::from_hours(24),
        now + LONG,
    )
    .map_err(HarnessError::new)
}

/// Whether an error leaves open if the request was carried out.
pub(super) fn is_open(error: &ClientError) -> bool {
    error.status().is_none_or(|status| status.code >= 500)
}

/// Whether the object's condition Ready is True.
pub(super) fn is_ready(object: &Value) -> bool {
    object
        .list_at("/status/conditions")
        .iter()
        .any(|c| c.str_at("/type") == "Ready" && c.str_at("/status") == "True")
}
