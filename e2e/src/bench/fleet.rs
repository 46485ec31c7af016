//! A control plane and any number of kubelets in one process, in either gear.
//!
//! Everything is what kubeadm writes: its phases make certificates, kubeconfigs, manifests and the
//! objects of a token, and the flags of the manifests are the components' flags. What kubeadm leaves
//! to the first host's kubelet is done here: the apiserver and the controller manager are started from
//! their manifests, the apiserver on a store of its own. There is no scheduler: no pod is scheduled.

use chronoplane::{
    HarnessError, Machinery, TaskLauncher,
    cluster::{self, CONTROL_PLANE, WORKSTATION, wait_for},
};
use client::{Resource, Rest};
use kubelet_sim::Container;
use pki::{
    KeyAlgorithm,
    kubeconfig::{Cluster, Kubeconfig, User},
    token::BootstrapToken,
};
use serde_json::{Value, json};
use world::{Host, Process};

const MANIFESTS: &str = "/etc/kubernetes/manifests";
const CA: &str = "/etc/kubernetes/pki/ca.crt";

/// Where the apiserver keeps its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Storage {
    /// On disk.
    Sled,
    /// In memory.
    Memory,
}

/// Whose limits the clients keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// As shipped: 20 requests a second of each loop, five signing requests at a time, and the rest.
    Upstream,
    /// Lifted by flags.
    Lifted,
}

/// How a fleet is set up.
#[derive(Clone, Copy, Debug)]
pub struct FleetOptions {
    /// Of all keys that kubeadm makes; a kubelet's own are always ECDSA P-256.
    pub algorithm: KeyAlgorithm,
    /// The apiserver's store.
    pub storage: Storage,
    /// Of the controller manager's and the kubelets' clients.
    pub limits: Limits,
}

/// A running control plane, ready for kubelets that bring its token.
pub struct Fleet {
    options: FleetOptions,
    machinery: Machinery,
    token: BootstrapToken,
    kubeconfig: Kubeconfig,
    ca: String,
    server: String,
    kubelet_config: String,
    processes: Vec<Process>,
}

/// In the controller manager's flags: no limit of requests or retries, and as many signing requests at
/// once as the store writes together.
const LIFTED: [(&str, &str); 3] =
    [("kube-api-qps", "-1"), ("chronoplane-queue-qps", "-1"), ("chronoplane-concurrent-csr-syncs", "32")];

impl Fleet {
    /// Starts the control plane on `host`, and waits until tokens can be used.
    ///
    /// # Errors
    /// A phase of kubeadm's failed, or a component did not start.
    pub async fn start(host: &Host, options: FleetOptions) -> Result<Self, HarnessError> {
        let token = BootstrapToken::generate(host.entropy());
        let path = "/root/kubeadm.yaml";
        let text = format!("{}\n---\n{}", first_token(&token), configuration(&options));
        host.disk().write(path, text, 0o600).map_err(HarnessError::new)?;
        let phase = async |words: &[&str]| {
            let mut args = vec!["init".to_owned(), "phase".to_owned()];
            args.extend(words.iter().map(|word| (*word).to_owned()));
            args.push(format!("--config={path}"));
            cluster::kubeadm(host, args).await.map(drop)
        };
        phase(&["certs", "all"]).await?;
        phase(&["kubeconfig", "all"]).await?;
        phase(&["control-plane", "all"]).await?;
        let launcher = TaskLauncher { key_algorithm: options.algorithm, ..TaskLauncher::default() };
        let mut processes =
            vec![start(host, &launcher, "kube-apiserver", &|flags| store(flags, &options)).await?];
        let kubeconfig = cluster::admin_config(host)?;
        let first =
            Kubeconfig::load(host.disk(), "/etc/kubernetes/super-admin.conf").map_err(HarnessError::new)?;
        let rest = Rest::from_kubeconfig(host, &first, api::profile::Profile::default().go(), "kubectl")
            .map_err(HarnessError::new)?;
        wait_for(host, "the apiserver is ready", async || {
            let (status, _) = rest.raw(http::Method::GET, "/readyz", None).await.ok()?;
            status.is_success().then_some(())
        })
        .await?;
        processes.push(start(host, &launcher, "kube-controller-manager", &|_| {}).await?);
        phase(&["upload-config", "kubelet"]).await?;
        phase(&["bootstrap-token"]).await?;
        let map = rest
            .get(&Resource::core("configmaps"), Some("kube-system"), "kubelet-config")
            .await
            .map_err(HarnessError::new)?;
        let uploaded = map.pointer("/data/kubelet").and_then(Value::as_str).unwrap_or_default();
        let mut kubelet: Value = serde_saphyr::from_str(uploaded).map_err(HarnessError::new)?;
        if options.limits == Limits::Lifted {
            kubelet["kubeAPIQPS"] = (-1).into();
        }
        let ca = host.disk().read_to_string(CA).map_err(HarnessError::new)?;
        Ok(Self {
            options,
            machinery: Machinery::tasks(launcher),
            token,
            ca,
            server: kubeconfig.server().map_err(HarnessError::new)?.to_owned(),
            kubeconfig,
            kubelet_config: kubelet.to_string(),
            processes,
        })
    }

    /// Names of hosts that are no kubelets': the control plane's, and the one who watches.
    pub const OTHERS: [&str; 2] = [CONTROL_PLANE, WORKSTATION];

    /// How it was set up.
    pub fn options(&self) -> &FleetOptions {
        &self.options
    }

    /// An administrator's client that speaks from `host`.
    ///
    /// # Errors
    /// The kubeconfig does not fit.
    pub fn admin(&self, host: &Host) -> Result<Rest, HarnessError> {
        Rest::from_kubeconfig(host, &self.kubeconfig, api::profile::Profile::default().go(), "kubectl")
            .map_err(HarnessError::new)
    }

    /// Leaves on `host` what `kubeadm join` leaves there before it starts the kubelet.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn prepare(&self, host: &Host) -> Result<(), HarnessError> {
        let user = User::with_token(&self.token.reveal());
        let bootstrap = Kubeconfig::new(
            "kubernetes",
            Cluster::new(&self.server, &self.ca),
            "tls-bootstrap-token-user",
            user,
        );
        self.machinery.install(host, api::profile::Profile::default());
        let files = [
            (CA, self.ca.clone(), 0o644),
            ("/etc/kubernetes/bootstrap-kubelet.conf", bootstrap.to_yaml(), 0o600),
            ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"\"\n".to_owned(), 0o644),
            ("/var/lib/kubelet/config.yaml", self.kubelet_config.clone(), 0o644),
        ];
        for (path, contents, mode) in files {
            host.disk().write_unsynced(path, contents, mode).map_err(HarnessError::new)?;
        }
        host.disk().create_dir_all(MANIFESTS).map_err(HarnessError::new)
    }

    /// Starts the kubelet of a prepared host.
    pub fn switch_on(&self, host: &Host) {
        host.services().start(host, "kubelet");
    }

    /// Ends the control plane.
    pub async fn stop(self) {
        for process in self.processes.iter().rev() {
            process.kill().await;
        }
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fleet({:?})", self.options)
    }
}

fn first_token(token: &BootstrapToken) -> Value {
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "bootstrapTokens": [{"token": token.reveal()}],
    })
}

fn configuration(options: &FleetOptions) -> Value {
    let lifted: Vec<Value> = match options.limits {
        Limits::Upstream => Vec::new(),
        Limits::Lifted => LIFTED.iter().map(|(name, value)| json!({"name": name, "value": value})).collect(),
    };
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "encryptionAlgorithm": options.algorithm.to_string(),
        "controllerManager": {"extraArgs": lifted},
    })
}

/// The apiserver's flags with a store of its own in etcd's place.
fn store(flags: &mut Vec<String>, options: &FleetOptions) {
    flags.retain(|flag| !flag.starts_with("--etcd-"));
    match options.storage {
        Storage::Memory => flags.push("--storage-backend=memory".to_owned()),
        Storage::Sled => {
            flags.extend(["--storage-backend=sled".to_owned(), "--data-dir=/var/lib/chronoplane".to_owned()]);
        }
    }
}

/// Starts the component of that name from its manifest.
async fn start(
    host: &Host,
    launcher: &TaskLauncher,
    name: &str,
    change: &dyn Fn(&mut Vec<String>),
) -> Result<Process, HarnessError> {
    let text = host.disk().read_to_string(format!("{MANIFESTS}/{name}.yaml")).map_err(HarnessError::new)?;
    let pod: Value = serde_saphyr::from_str(&text).map_err(HarnessError::new)?;
    let field = |at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let words = pod.pointer("/spec/containers/0/command").and_then(Value::as_array);
    let mut command: Vec<String> =
        words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    change(&mut command);
    let container = Container {
        pod_name: name.to_owned(),
        namespace: "kube-system".to_owned(),
        name: name.to_owned(),
        image: field("/spec/containers/0/image"),
        command,
        ..Container::default()
    };
    let process = host.process(name);
    let running = kubelet_sim::Launcher::launch(launcher, process.host(), &container)
        .await
        .map_err(HarnessError::new)?;
    let watched = process.host().clone();
    let words = name.to_owned();
    process.host().spawn(async move {
        let (code, why) = running.wait().await;
        tracing::error!(host = watched.name(), "{words} ended with {code}: {why}");
    });
    Ok(process)
}
