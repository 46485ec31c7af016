//! `kubeadm config`: default configurations, the images of a release, and whether a file is right.

use clap::{Args, Subcommand};
use pki::token::BootstrapToken;

use crate::{
    addons,
    config::InitConfig,
    documents::documents,
    join_args, manifests, schema,
    session::{Failure, Result, Session},
};

#[derive(Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print configuration
    Print {
        #[command(subcommand)]
        what: Defaults,
    },
    /// Interact with container images used by kubeadm
    Images {
        #[command(subcommand)]
        what: Images,
    },
    /// Read a file containing the kubeadm configuration API and report any validation errors
    Validate {
        /// kubeadm configuration file
        #[arg(long)]
        config: String,
    },
}

#[derive(Subcommand)]
enum Defaults {
    /// Default init configuration, that can be used for 'kubeadm init'
    InitDefaults,
    /// Default join configuration, that can be used for 'kubeadm join'
    JoinDefaults,
}

#[derive(Subcommand)]
enum Images {
    /// The images that kubeadm will use
    List {
        /// kubeadm configuration file
        #[arg(long)]
        config: Option<String>,
        /// Where images come from
        #[arg(long)]
        image_repository: Option<String>,
    },
}

/// Runs the command.
pub(crate) fn run(s: &mut Session<'_>, args: ConfigArgs) -> Result<()> {
    match args.command {
        ConfigCommand::Print { what } => print(s, &what),
        ConfigCommand::Images { what: Images::List { config, image_repository } } => {
            images(s, config.as_deref(), image_repository)
        }
        ConfigCommand::Validate { config } => validate(s, &config),
    }
}

const TIMEOUTS: &str = "\
timeouts:
  controlPlaneComponentHealthCheck: 4m0s
  discovery: 5m0s
  etcdAPICall: 2m0s
  kubeletHealthCheck: 4m0s
  kubernetesAPICall: 1m0s
  tlsBootstrap: 5m0s
  upgradeManifests: 5m0s
";

const NODE: &str = "\
nodeRegistration:
  criSocket: unix:///var/run/containerd/containerd.sock
  imagePullPolicy: IfNotPresent
  imagePullSerial: true
";

fn print(s: &mut Session<'_>, what: &Defaults) -> Result<()> {
    let version = s.profile.kubeadm_config().version;
    if version != "v1beta4" {
        return Err(Failure::new(format!(
            "the defaults of kubeadm.k8s.io/{version} cannot be printed, only those of v1beta4: use a \
             --kubernetes-version from 1.31 on"
        )));
    }
    let text = match what {
        Defaults::InitDefaults => init_defaults(s),
        Defaults::JoinDefaults => join_defaults(s),
    };
    s.say(text.trim_end());
    Ok(())
}

fn init_defaults(s: &Session<'_>) -> String {
    format!(
        "apiVersion: kubeadm.k8s.io/v1beta4\nbootstrapTokens:\n- groups:\n  \
         - system:bootstrappers:kubeadm:default-node-token\n  token: abcdef.0123456789abcdef\n  ttl: 24h0m0s\n  \
         usages:\n  - signing\n  - authentication\nkind: InitConfiguration\nlocalAPIEndpoint:\n  \
         advertiseAddress: 1.2.3.4\n  bindPort: 6443\n{NODE}  name: node\n  taints: null\n{TIMEOUTS}---\n\
         apiServer: {{}}\napiVersion: kubeadm.k8s.io/v1beta4\ncaCertificateValidityPeriod: 87600h0m0s\n\
         certificateValidityPeriod: 8760h0m0s\ncertificatesDir: /etc/kubernetes/pki\nclusterName: kubernetes\n\
         controllerManager: {{}}\ndns: {{}}\nencryptionAlgorithm: RSA-2048\netcd:\n  local:\n    \
         dataDir: /var/lib/etcd\nimageRepository: {}\nkind: ClusterConfiguration\nkubernetesVersion: {}\nnetworking:\n  \
         dnsDomain: cluster.local\n  serviceSubnet: 10.96.0.0/12\nproxy: {{}}\nscheduler: {{}}\n",
        s.profile.image_repository(),
        s.profile.git_version().trim_start_matches('v'),
    )
}

fn join_defaults(s: &Session<'_>) -> String {
    format!(
        "apiVersion: kubeadm.k8s.io/v1beta4\ncaCertPath: /etc/kubernetes/pki/ca.crt\ndiscovery:\n  \
         bootstrapToken:\n    apiServerEndpoint: kube-apiserver:6443\n    token: abcdef.0123456789abcdef\n    \
         unsafeSkipCAVerification: true\n  tlsBootstrapToken: abcdef.0123456789abcdef\nkind: JoinConfiguration\n{NODE}  \
         name: {}\n  taints: null\n{TIMEOUTS}",
        s.host.name().to_lowercase(),
    )
}

fn images(s: &mut Session<'_>, file: Option<&str>, repository: Option<String>) -> Result<()> {
    let mut config = InitConfig::new(s.host, s.profile);
    if let Some(path) = file {
        config.apply_file(path, &s.disk().read_to_string(path)?)?;
    }
    config.cluster.image_repository = repository.or(config.cluster.image_repository);
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"] {
        s.say(manifests::released_image(&config, name));
    }
    s.say(addons::coredns_image(&config));
    // Kept for the sandboxes of pods by the container runtime; no manifest names it.
    s.say(format!("{}/pause:{}", config.cluster.image_repository(), config.cluster.profile.pause_version()));
    if config.cluster.external_etcd.is_none() {
        s.say(manifests::etcd_image(&config));
    }
    Ok(())
}

fn validate(s: &mut Session<'_>, path: &str) -> Result<()> {
    let text = s.disk().read_to_string(path)?;
    let documents = documents(path, &text)?;
    for doc in &documents {
        if let Some(complaint) = schema::complaint(doc)? {
            return Err(Failure::new(complaint));
        }
    }
    let kinds: Vec<&str> = documents.iter().filter_map(|d| d.get("kind").and_then(|k| k.as_str())).collect();
    if kinds.iter().any(|kind| matches!(*kind, "InitConfiguration" | "ClusterConfiguration")) {
        let mut config = InitConfig::new(s.host, s.profile);
        config.apply_file(path, &text)?;
        if let Some(token) = &config.token {
            token
                .parse::<BootstrapToken>()
                .map_err(|e| Failure::new(format!("bootstrapTokens[0].token: {e}")))?;
        }
    }
    if kinds.contains(&"JoinConfiguration") {
        join_args::check_file(s.host, s.profile, path)?;
    }
    s.say("ok");
    Ok(())
}
