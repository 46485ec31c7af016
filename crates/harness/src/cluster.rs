//! kubeadm init and joins on the hosts of a world, in either gear.

use std::{fmt, time::Duration};

use api::profile::Profile;
use client::{Resource, Rest};
use kubeadm_sim::ExternalEtcd;
use pki::{Certificate, KeyAlgorithm, kubeconfig::Kubeconfig, token::BootstrapToken};
use serde_json::{Value, json};
use world::{Clock, Exit, Host, sim::Sim};

use kube::api::DynamicObject;

use crate::{
    Faults, Identity, IntoCondition, Machinery, Manifests, Target, TaskLauncher,
    administrator::{Administrator, PATIENCE},
};

pub use crate::nodes::{is_ready, nodes_ready};

/// Why a cluster could not be made, in the words of what failed.
#[derive(Clone, PartialEq, Eq)]
pub struct HarnessError(String);

impl HarnessError {
    /// Wraps any error's words.
    pub fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for HarnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As [`fmt::Display`]: this is what Rust shows of a test that returns it.
impl fmt::Debug for HarnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for HarnessError {}

/// Name of the control plane's host; workers are `node1`, `node2`, …
pub const CONTROL_PLANE: &str = "cp1";
/// Name of the host from which people look at the cluster.
pub const WORKSTATION: &str = "workstation";
/// How often those look who wait, unless they say so themselves.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// How a cluster is made.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The release.
    pub profile: Profile,
    /// How many workers join.
    pub nodes: usize,
    /// Of all keys; kubeadm's own default is RSA-2048.
    pub algorithm: KeyAlgorithm,
    /// Validity of kubeadm's leaf certificates, also in releases that cannot be told (before 1.31).
    pub leaf_validity: Option<Duration>,
    /// How long certificates live that the controller manager signs (`--cluster-signing-duration`);
    /// upstream's default is a year.
    pub signing_duration: Option<Duration>,
    /// Whether the apiserver's own client checks dates: the switch of a story's proof.
    pub check_certificate_dates: bool,
    /// Name or address and port by which everybody reaches the control plane (`controlPlaneEndpoint`), as `cp1:6443`;
    /// `None`: the first control plane's address.
    pub endpoint: Option<String>,
    /// An etcd that runs already, instead of a pod of the control plane's. Its files are on that host.
    pub etcd: Option<ExternalEtcd>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            nodes: 0,
            algorithm: KeyAlgorithm::EcdsaP256,
            leaf_validity: None,
            signing_duration: None,
            check_certificate_dates: true,
            endpoint: None,
            etcd: None,
        }
    }
}

/// A cluster in the simulated gear.
#[derive(Debug)]
pub struct Cluster {
    sim: Sim,
    options: ClusterOptions,
    administrator: Administrator,
    transcript: Vec<(String, String)>,
}

impl Cluster {
    /// Bootstraps a cluster and waits until every node is Ready.
    ///
    /// # Errors
    /// kubeadm gave up, or a node did not become Ready within five minutes.
    pub async fn start(sim: &Sim, options: ClusterOptions) -> Result<Self, HarnessError> {
        let launcher = TaskLauncher {
            check_certificate_dates: options.check_certificate_dates,
            ..TaskLauncher::default()
        };
        let machinery = Machinery::tasks(launcher);
        let token = BootstrapToken::generate(sim.host(WORKSTATION).entropy());
        let first = sim.host(CONTROL_PLANE);
        let mut transcript =
            vec![(CONTROL_PLANE.to_owned(), init(&first, &machinery, &options, &token).await?)];
        let kubeconfig = admin_config(&first)?;
        let administrator = Administrator::new(&sim.host(WORKSTATION), &first, &kubeconfig, options.profile)?;
        for n in 1..=options.nodes {
            let node = sim.host(&format!("node{n}"));
            transcript
                .push((node.name().to_owned(), join(&first, &node, &machinery, &options, &token).await?));
        }
        let cluster = Self { sim: sim.clone(), options, administrator, transcript };
        cluster.nodes_ready().await?;
        Ok(cluster)
    }

    /// The world it lives in.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// How it was made.
    pub fn options(&self) -> &ClusterOptions {
        &self.options
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Kubeconfig {
        self.administrator.kubeconfig()
    }

    /// The administrator's JSON client, on the workstation.
    pub fn admin(&self) -> &Rest {
        self.administrator.rest()
    }

    /// The administrator's `kube::Client`, on the workstation.
    ///
    /// # Errors
    /// The kubeconfig does not fit.
    pub fn client(&self) -> Result<kube::Client, HarnessError> {
        self.administrator.client_from(self.administrator.workstation())
    }

    /// The administrator's `kube::Client` on another host of the world, which judges certificates by that host's clock.
    ///
    /// # Errors
    /// As [`Cluster::client`].
    pub fn client_from(&self, host: &Host) -> Result<kube::Client, HarnessError> {
        self.administrator.client_from(host)
    }

    /// Somebody else's `kube::Client`, on the workstation.
    ///
    /// # Errors
    /// The cluster's authority cannot be read, or has ended.
    pub fn client_as(&self, identity: &Identity) -> Result<kube::Client, HarnessError> {
        self.administrator.client_as(identity)
    }

    /// The administrator's `kube::Client` on the workstation, some of whose requests go wrong.
    ///
    /// # Errors
    /// As [`Cluster::client`].
    pub fn faulty_client(&self, faults: &Faults) -> Result<kube::Client, HarnessError> {
        self.administrator.faulty_administrator(faults)
    }

    /// Applies objects as `kubectl apply --server-side --force-conflicts` does, and waits until definitions among them
    /// are established. Returns the objects as stored.
    ///
    /// # Errors
    /// The server refuses one; says which, and where it is from.
    pub async fn apply(&self, manifests: &Manifests) -> Result<Vec<DynamicObject>, HarnessError> {
        self.administrator.apply(manifests).await
    }

    /// Waits until the object is as `condition` says: `wait_for("deployment/web", "condition=Available")`. Returns it;
    /// null if it is gone.
    ///
    /// # Errors
    /// Not within five minutes of simulated time: what was waited for, what was seen last, and when.
    pub async fn wait_for(
        &self,
        target: impl Into<Target>,
        condition: impl IntoCondition,
    ) -> Result<Value, HarnessError> {
        self.wait_for_within(target, condition, PATIENCE).await
    }

    /// As [`Cluster::wait_for`], for another time than five minutes.
    ///
    /// # Errors
    /// Not within that time.
    pub async fn wait_for_within(
        &self,
        target: impl Into<Target>,
        condition: impl IntoCondition,
        at_most: Duration,
    ) -> Result<Value, HarnessError> {
        self.administrator.wait_for(&target.into(), &condition.into_condition()?, at_most).await
    }

    /// What kubeadm printed, host by host.
    pub fn transcript(&self) -> &[(String, String)] {
        &self.transcript
    }

    /// Runs `kubeadm <args>` of the cluster's release on one of its hosts; returns what it printed.
    ///
    /// # Errors
    /// kubeadm's own words, and what it printed before.
    pub async fn kubeadm(&self, host: &Host, args: &[&str]) -> Result<String, HarnessError> {
        let version = format!("--kubernetes-version={}", self.options.profile.git_version());
        let args = args.iter().map(|arg| (*arg).to_owned()).chain([version]);
        kubeadm(host, args.collect()).await
    }

    /// Waits until every node that should be there is Ready.
    ///
    /// # Errors
    /// Not within five minutes; says which are not, and what their condition says.
    pub async fn nodes_ready(&self) -> Result<(), HarnessError> {
        nodes_ready(&self.sim.host(WORKSTATION), self.admin(), self.options.nodes + 1).await
    }

    /// Waits until the apiserver says that it is ready.
    pub(crate) async fn apiserver_ready(&self) -> Result<(), HarnessError> {
        let workstation = self.sim.host(WORKSTATION);
        let ready = self.options.profile.ready_path();
        wait_for(&workstation, "kube-apiserver is ready", async || {
            let (status, _) = self.admin().raw(http::Method::GET, ready, None).await.ok()?;
            status.is_success().then_some(())
        })
        .await
    }
}

/// Runs `kubeadm init` on `host`; returns what it printed.
///
/// # Errors
/// kubeadm's own words.
#[doc(hidden)]
pub async fn init(
    host: &Host,
    machinery: &Machinery,
    options: &ClusterOptions,
    token: &BootstrapToken,
) -> Result<String, HarnessError> {
    machinery.install(host, options.profile);
    let mut args = vec![
        "init".to_owned(),
        format!("--kubernetes-version={}", options.profile.git_version()),
        format!("--encryption-algorithm={}", options.algorithm),
    ];
    if let Some(validity) = options.leaf_validity {
        args.push(format!("--chronoplane-leaf-validity={}s", validity.as_secs()));
    }
    if options.signing_duration.is_none() && options.endpoint.is_none() && options.etcd.is_none() {
        args.push(format!("--token={}", token.reveal()));
    } else {
        let path = "/root/kubeadm.yaml";
        let text = configuration(options, &token.reveal());
        host.disk().write(path, text, 0o600).map_err(HarnessError::new)?;
        args.push(format!("--config={path}"));
    }
    kubeadm(host, args).await
}

/// kubeadm's configuration for what no flag of its says, and the token, for which it takes no flag beside it.
fn configuration(options: &ClusterOptions, token: &str) -> String {
    let format = options.profile.kubeadm_config();
    let typed =
        |kind: &str| json!({"apiVersion": format!("kubeadm.k8s.io/{}", format.version), "kind": kind});
    let one_document = matches!(format.version, "v1alpha1" | "v1alpha2");
    let mut cluster = typed(if one_document { "MasterConfiguration" } else { "ClusterConfiguration" });
    if let Some(signed) = options.signing_duration {
        let (name, signed) = ("cluster-signing-duration", format!("{}s", signed.as_secs()));
        match format.version {
            "v1alpha1" | "v1alpha2" | "v1alpha3" => {
                cluster["controllerManagerExtraArgs"] = json!({name: signed})
            }
            "v1beta4" => cluster["controllerManager"]["extraArgs"] = json!([{"name": name, "value": signed}]),
            _ => cluster["controllerManager"]["extraArgs"] = json!({name: signed}),
        }
    }
    if let Some(endpoint) = &options.endpoint {
        match format.version {
            "v1alpha1" | "v1alpha2" => cluster["api"] = json!({"controlPlaneEndpoint": endpoint}),
            _ => cluster["controlPlaneEndpoint"] = endpoint.as_str().into(),
        }
    }
    if let Some(etcd) = &options.etcd {
        let external = json!({
            "endpoints": etcd.endpoints, "caFile": etcd.ca_file, "certFile": etcd.cert_file, "keyFile": etcd.key_file,
        });
        cluster["etcd"] = if format.version == "v1alpha1" { external } else { json!({"external": external}) };
    }
    let mut documents = Vec::new();
    let tokens = json!([{"token": token}]);
    match format.version {
        "v1alpha1" => cluster["token"] = token.into(),
        "v1alpha2" => cluster["bootstrapTokens"] = tokens,
        _ => {
            let mut init = typed("InitConfiguration");
            init["bootstrapTokens"] = tokens;
            documents.push(init);
        }
    }
    documents.push(cluster);
    documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// Runs `kubeadm join` on `node`, with token and pin of the control plane `first`.
///
/// # Errors
/// kubeadm's own words.
#[doc(hidden)]
pub async fn join(
    first: &Host,
    node: &Host,
    machinery: &Machinery,
    options: &ClusterOptions,
    token: &BootstrapToken,
) -> Result<String, HarnessError> {
    machinery.install(node, options.profile);
    let ca = first.disk().read("/etc/kubernetes/pki/ca.crt").map_err(HarnessError::new)?;
    let ca = Certificate::parse_pem(&ca).map_err(HarnessError::new)?;
    let pin = ca.first().map(|c| c.public_key().pin()).ok_or_else(|| HarnessError::new("ca.crt is empty"))?;
    let args = [
        "join".to_owned(),
        format!("{}:6443", first.net().address()),
        format!("--kubernetes-version={}", options.profile.git_version()),
        format!("--token={}", token.reveal()),
        format!("--discovery-token-ca-cert-hash={pin}"),
    ];
    kubeadm(node, args.to_vec()).await
}

/// Runs `kubeadm <args>` on `host`; returns what it printed.
///
/// # Errors
/// kubeadm's own words, and what it printed before.
pub async fn kubeadm(host: &Host, args: Vec<String>) -> Result<String, HarnessError> {
    let mut out = Vec::new();
    let process = host.process("kubeadm");
    let exit = kubeadm_sim::run(process.host().clone(), args, &mut out).await;
    let text = String::from_utf8_lossy(&out).into_owned();
    match exit {
        Exit::Success => Ok(text),
        Exit::Failure(why) => Err(HarnessError::new(format!("kubeadm on {}: {why}\n{text}", host.name()))),
    }
}

/// The administrator's kubeconfig as kubeadm left it on the first control plane.
///
/// # Errors
/// It is not there or not readable.
pub fn admin_config(first: &Host) -> Result<Kubeconfig, HarnessError> {
    Kubeconfig::load(first.disk(), "/etc/kubernetes/admin.conf").map_err(HarnessError::new)
}

/// Waits until the controller manager has signed cluster-info for `token`. Who joins earlier waits for
/// kubeadm's next look, five seconds later.
///
/// # Errors
/// Not within five minutes.
#[doc(hidden)]
pub async fn discoverable(host: &Host, admin: &Rest, token: &BootstrapToken) -> Result<(), HarnessError> {
    let signature = format!("/data/jws-kubeconfig-{}", token.id());
    wait_for(host, "cluster-info is signed", async || {
        let info =
            admin.get(&Resource::core("configmaps"), Some("kube-public"), "cluster-info").await.ok()?;
        info.pointer(&signature).map(drop)
    })
    .await
}

/// Looks every 200 ms until `look` finds something; names what was waited for when it never does.
///
/// # Errors
/// Nothing found within five minutes of the host's time.
pub async fn wait_for<T>(
    host: &Host,
    what: &str,
    look: impl AsyncFnMut() -> Option<T>,
) -> Result<T, HarnessError> {
    wait_at_most(host.clock(), what, Duration::from_secs(300), LOOK, look).await
}

/// Looks after each `between` of the clock's time until `look` finds something, `at_most` that long.
///
/// # Errors
/// Nothing found in that time; names what was waited for.
#[doc(hidden)]
pub async fn wait_at_most<T>(
    clock: &Clock,
    what: &str,
    at_most: Duration,
    between: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> Result<T, HarnessError> {
    let deadline = clock.monotonic() + at_most;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if clock.monotonic() >= deadline {
            return Err(HarnessError::new(format!("waited {at_most:?} in vain until {what}")));
        }
        clock.sleep(between).await;
    }
}
