//! `kubeadm config`: default configurations, old ones made new, the images of a release, and whether a file is
//! right (`cmd/kubeadm/app/cmd/config.go`).

use api::profile::Profile;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    addons, component_configs,
    config::{InitConfig, JoinConfig},
    documents::{ConfigError, Documents},
    formats, join_args, manifests,
    session::{Result, Session, yaml},
    timeouts::Timeouts,
    token_spec::TokenSpec,
    v1alpha1,
};

/// Stands between documents.
const SEPARATOR: &str = "---\n";
/// Where a secret must not be made up.
const PLACEHOLDER_TOKEN: &str = "abcdef.0123456789abcdef";

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
    /// Read an older version of the kubeadm configuration API types from a file, and output the similar config
    /// object for the newer version
    Migrate {
        /// The file with an old version
        #[arg(long)]
        old_config: String,
        /// The file to write; standard output when absent
        #[arg(long)]
        new_config: Option<String>,
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
    #[command(name = "init-defaults")]
    Init(Components),
    /// Default join configuration, that can be used for 'kubeadm join'
    #[command(name = "join-defaults")]
    Join(Components),
    /// Default reset configuration, that can be used for 'kubeadm reset'
    #[command(name = "reset-defaults")]
    Reset,
    /// Default upgrade configuration, that can be used for 'kubeadm upgrade'
    #[command(name = "upgrade-defaults")]
    Upgrade,
}

#[derive(Args)]
struct Components {
    /// Component configurations to print too: KubeletConfiguration, KubeProxyConfiguration
    #[arg(long, value_delimiter = ',')]
    component_configs: Vec<String>,
}

#[derive(Subcommand)]
enum Images {
    /// The images that kubeadm will use
    List(ImagesArgs),
    /// Pull images used by kubeadm
    Pull(ImagesArgs),
}

#[derive(Args)]
struct ImagesArgs {
    /// kubeadm configuration file
    #[arg(long)]
    config: Option<String>,
    /// Where images come from
    #[arg(long)]
    image_repository: Option<String>,
}

/// Runs the command.
pub(crate) fn run(s: &Session<'_>, args: ConfigArgs) -> Result<()> {
    match args.command {
        ConfigCommand::Print { what } => print(s, &what),
        ConfigCommand::Images { what: Images::List(args) } => {
            images(s, args)?.iter().for_each(|image| s.say(image));
            Ok(())
        }
        // A simulated host runs components and not images: whatever is asked for is there.
        ConfigCommand::Images { what: Images::Pull(args) } => {
            images(s, args)?.iter().for_each(|image| s.say(format!("[config/images] Pulled {image}")));
            Ok(())
        }
        ConfigCommand::Migrate { old_config, new_config } => migrate(s, &old_config, new_config.as_deref()),
        ConfigCommand::Validate { config } => {
            let text = s.disk().read_to_string(&config)?;
            match v1alpha1::is_read(s.profile, &text) {
                true if v1alpha1::is_master(&text) => {
                    InitConfig::new(s.host, s.profile).apply_file(&config, &text)?;
                }
                true => JoinConfig::new(s.host, s.profile).apply_file(s.host, &config, &text)?,
                false => drop(checked(s, &config)?),
            }
            s.say("ok");
            Ok(())
        }
    }
}

fn print(s: &Session<'_>, what: &Defaults) -> Result<()> {
    let (documents, components) = match what {
        Defaults::Init(components) => (init_defaults(s)?, components.component_configs.as_slice()),
        Defaults::Join(components) => (join_defaults(s)?, components.component_configs.as_slice()),
        Defaults::Reset => (vec![reset_defaults(s.profile)], [].as_slice()),
        Defaults::Upgrade => (vec![upgrade_defaults()], [].as_slice()),
    };
    let mut documents = formats::down(formats::stored(s.profile).0, documents)?;
    let cluster = InitConfig::new(s.host, s.profile).cluster;
    for kind in components {
        documents.push(match kind.as_str() {
            "KubeletConfiguration" => component_configs::kubelet(&cluster)?,
            "KubeProxyConfiguration" => component_configs::kube_proxy(&cluster),
            _ => {
                return Err(ConfigError::Refused(
                    "--component-configs needs to contain some of [KubeProxyConfiguration KubeletConfiguration]"
                        .into(),
                )
                .into());
            }
        });
    }
    s.say(joined(&documents)?.trim_end());
    Ok(())
}

fn joined(documents: &[Value]) -> Result<String> {
    let texts: Vec<String> =
        documents.iter().map(|doc| yaml("the configuration", doc)).collect::<Result<_>>()?;
    Ok(texts.join(SEPARATOR))
}

fn init_defaults(s: &Session<'_>) -> Result<Vec<Value>> {
    let mut config = InitConfig::new(s.host, s.profile);
    "node".clone_into(&mut config.node_name);
    config.advertise_address = [1, 2, 3, 4].into();
    config.tokens = vec![TokenSpec { token: placeholder()?, ..TokenSpec::default() }];
    let mut cluster = config.cluster.to_value();
    cluster["kubernetesVersion"] = s.profile.git_version().trim_start_matches('v').into();
    Ok(vec![config.to_value(), cluster])
}

fn join_defaults(s: &Session<'_>) -> Result<Vec<Value>> {
    let mut config = JoinConfig::new(s.host, s.profile);
    "kube-apiserver:6443".clone_into(&mut config.endpoint);
    PLACEHOLDER_TOKEN.clone_into(&mut config.token);
    config.unsafe_skip_ca_verification = true;
    Ok(vec![config.to_value()])
}

fn placeholder() -> Result<Option<pki::token::BootstrapToken>> {
    let token = PLACEHOLDER_TOKEN.parse().map_err(|e| ConfigError::Refused(format!("{e}")))?;
    Ok(Some(token))
}

fn reset_defaults(profile: Profile) -> Value {
    json!({
        "apiVersion": format!("{}/{}", formats::GROUP, formats::NEWEST),
        "certificatesDir": crate::paths::PKI_DIR,
        "criSocket": profile.cri_socket(),
        "kind": "ResetConfiguration",
        "timeouts": Timeouts::default().to_value(),
    })
}

fn upgrade_defaults() -> Value {
    let pull = json!({
        "certificateRenewal": true,
        "etcdUpgrade": true,
        "imagePullPolicy": "IfNotPresent",
        "imagePullSerial": true,
    });
    json!({
        "apiVersion": format!("{}/{}", formats::GROUP, formats::NEWEST),
        "apply": pull,
        "diff": {},
        "kind": "UpgradeConfiguration",
        "node": pull,
        "plan": {"etcdUpgrade": true},
        "timeouts": Timeouts::default().to_value(),
    })
}

/// Every image of a control plane and its addons.
fn images(s: &Session<'_>, args: ImagesArgs) -> Result<Vec<String>> {
    let mut config = InitConfig::new(s.host, s.profile);
    if let Some(path) = &args.config {
        config.apply_file(path, &s.disk().read_to_string(path)?)?;
    }
    config.cluster.image_repository = args.image_repository.or(config.cluster.image_repository);
    let released = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
    let mut images: Vec<String> = released
        .iter()
        .filter(|name| !(config.cluster.proxy_disabled && **name == "kube-proxy"))
        .map(|name| manifests::released_image(&config, name))
        .collect();
    if !config.cluster.dns_disabled {
        images.push(addons::coredns_image(&config));
    }
    // Kept for the sandboxes of pods by the container runtime; no manifest names it.
    images.push(format!(
        "{}/pause:{}",
        config.cluster.image_repository(),
        config.cluster.profile.pause_version()
    ));
    if config.cluster.external_etcd.is_none() {
        images.push(manifests::etcd_image(&config));
    }
    Ok(images)
}

/// Writes a file's documents of kubeadm in the newest version of the release, defaults filled in: init and cluster
/// first, then join, reset, upgrade. Components' documents are not migrated.
fn migrate(s: &Session<'_>, old: &str, new: Option<&str>) -> Result<()> {
    let mut found = Vec::new();
    let text = s.disk().read_to_string(old)?;
    let legacy = v1alpha1::is_read(s.profile, &text);
    let documents = if legacy { Documents::default() } else { checked(s, old)? };
    if legacy && v1alpha1::is_master(&text) {
        let mut config = InitConfig::new(s.host, s.profile);
        config.apply_file(old, &text)?;
        config.tokens = config.decided_tokens(s.host.entropy());
        found.extend([config.to_value(), config.cluster.to_value()]);
    } else if legacy {
        let mut config = JoinConfig::new(s.host, s.profile);
        config.apply_file(s.host, old, &text)?;
        found.push(config.to_value());
    }
    if has_init(&documents) {
        let mut config = InitConfig::new(s.host, s.profile);
        config.apply(&documents)?;
        config.tokens = config.decided_tokens(s.host.entropy());
        found.extend([config.to_value(), config.cluster.to_value()]);
    }
    if documents.own("JoinConfiguration").is_some() {
        let mut config = JoinConfig::new(s.host, s.profile);
        config.apply(s.host, &documents)?;
        found.push(config.to_value());
    }
    for (kind, defaults) in
        [("ResetConfiguration", reset_defaults(s.profile)), ("UpgradeConfiguration", upgrade_defaults())]
    {
        if let Some(doc) = documents.own(kind) {
            found.push(over(defaults, doc));
        }
    }
    let text = joined(&formats::down(formats::stored(s.profile).0, found)?)?;
    match new {
        None => s.say(text.trim_end()),
        Some(path) => s.disk().write(path, text, 0o644).map_err(|e| {
            crate::session::Failure::from(e)
                .within(&format!("failed to write the new configuration to the file {path:?}"))
        })?,
    }
    Ok(())
}

/// A document over its defaults.
fn over(mut defaults: Value, doc: &Value) -> Value {
    match (&mut defaults, doc) {
        (Value::Object(into), Value::Object(fields)) => {
            for (name, value) in fields {
                let old = into.remove(name).unwrap_or(Value::Null);
                into.insert(name.clone(), over(old, value));
            }
            defaults
        }
        _ => doc.clone(),
    }
}

fn has_init(documents: &Documents) -> bool {
    documents.own("InitConfiguration").is_some() || documents.own("ClusterConfiguration").is_some()
}

/// A file's documents, each right.
fn checked(s: &Session<'_>, path: &str) -> Result<Documents> {
    let documents = Documents::read(s.profile, path, &s.disk().read_to_string(path)?)?;
    documents.strict()?;
    if has_init(&documents) {
        InitConfig::new(s.host, s.profile).apply(&documents)?;
    }
    if documents.own("JoinConfiguration").is_some() {
        let mut config = JoinConfig::new(s.host, s.profile);
        config.apply(s.host, &documents)?;
        join_args::check(&config, true)?;
    }
    Ok(documents)
}
