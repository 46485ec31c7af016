//! The cluster's configuration for a command on a running cluster: from a file, from the cluster, or the
//! defaults when the cluster does not answer, as certificates must be renewable on a cluster that is down.

use std::time::Duration;

use clap::Args;
use client::{Resource, Rest};
use serde_json::Value;

use crate::{
    config::InitConfig,
    paths::{ADMIN_CONF, KUBE_SYSTEM},
    session::{Failure, Result, Session},
};

/// How long the cluster may take to answer before the defaults are taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a command looks for the configuration.
#[derive(Args)]
pub(crate) struct Sources {
    /// kubeadm configuration file
    #[arg(long)]
    pub config: Option<String>,
    /// Where certificates are kept, when neither file nor cluster says so
    #[arg(long)]
    pub cert_dir: Option<String>,
    /// The kubeconfig file to use when talking to the cluster
    #[arg(long, default_value = ADMIN_CONF)]
    pub kubeconfig: String,
}

/// The configuration; `who` stands in the brackets before its lines. Without words for a command whose output
/// a program reads.
pub(crate) async fn load(
    s: &mut Session<'_>,
    who: &str,
    sources: &Sources,
    words: bool,
) -> Result<InitConfig> {
    let mut config = InitConfig::new(s.host, s.profile);
    if let Some(dir) = &sources.cert_dir {
        config.cluster.certificates_dir.clone_from(dir);
    }
    if let Some(path) = &sources.config {
        config.apply_file(path, &s.disk().read_to_string(path)?)?;
        return Ok(config);
    }
    let Ok(rest) = s.client(&sources.kubeconfig) else { return Ok(config) };
    let hint =
        [config.cluster.profile.reading_cluster_config(), config.cluster.profile.cluster_config_hint()];
    let say = |line: String| {
        if words {
            s.say(line);
        }
    };
    for line in hint {
        say(format!("[{who}] {line}"));
    }
    match fetch(&rest.with_timeout(PATIENCE), &mut config).await {
        Ok(()) => say(String::new()),
        Err(_) => say(format!(
            "[{who}] Error reading configuration from the Cluster. Falling back to default configuration\n"
        )),
    }
    // The flag is stronger than what the cluster remembers.
    if let Some(dir) = &sources.cert_dir {
        config.cluster.certificates_dir.clone_from(dir);
    }
    Ok(config)
}

/// Applies what the cluster remembers.
pub(crate) async fn fetch(rest: &Rest, config: &mut InitConfig) -> Result<()> {
    let text = read_map(rest, "kubeadm-config", config.cluster.profile.kubeadm_config().key).await?;
    Ok(config.apply_stored("kubeadm-config", &text)?)
}

/// A key of a ConfigMap in kube-system.
pub(crate) async fn read_map(rest: &Rest, name: &str, key: &str) -> Result<String> {
    let map = rest
        .get(&Resource::core("configmaps"), Some(KUBE_SYSTEM), name)
        .await
        .map_err(|e| Failure::from(e).within("failed to get config map"))?;
    let text = map.pointer("/data").and_then(|d| d.get(key)).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| {
        Failure::new(format!("unexpected error when reading {name} ConfigMap: {key} key value pair missing"))
    })
}
