//! `--config` of `kubeadm upgrade`: an UpgradeConfiguration with a section for each command
//! (`cmd/kubeadm/app/util/config/upgradeconfiguration.go`).
//!
//! What the cluster is made of stays what the cluster says: other documents of the file are only warned about. Releases
//! before had the cluster's configuration in such a file and took it instead of the stored one.

use api::profile::console;
use serde_json::Value;

use crate::{
    config::InitConfig,
    documents::{ConfigError, Documents, text, texts},
    session::{Failure, Result, Session},
    timeouts::Timeouts,
};

const KIND: &str = "UpgradeConfiguration";
/// Kinds that once reconfigured a cluster while it was upgraded.
const CLUSTER_KINDS: [&str; 2] = ["InitConfiguration", "ClusterConfiguration"];
/// Kinds that would configure its components.
const COMPONENT_KINDS: [&str; 2] = ["KubeletConfiguration", "KubeProxyConfiguration"];

/// What a file says of an upgrade.
#[derive(Debug, Default)]
pub(super) struct UpgradeConfig {
    document: Value,
    /// Limits of waits.
    pub timeouts: Timeouts,
    /// The file whose configuration stands in for the cluster's, where a release lets it.
    pub replaces: Option<String>,
}

impl UpgradeConfig {
    /// Reads the file that `--config` names, and says what there is to say of it.
    ///
    /// # Errors
    /// It cannot be read, or kubeadm refuses it.
    pub(super) fn read(s: &Session<'_>, path: Option<&str>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        if !s.profile.upgrade_configuration() {
            return Ok(Self { replaces: Some(path.to_owned()), ..Self::default() });
        }
        let text = s
            .host
            .disk()
            .read_to_string(path)
            .map_err(|e| Failure::from(e).within(&format!("unable to load config from file {path:?}")))?;
        let documents = Documents::read(s.profile, path, &text)?;
        for line in documents.said() {
            s.say(line);
        }
        for (api_version, kind) in documents.headers().filter(|(_, kind)| CLUSTER_KINDS.contains(kind)) {
            s.say(format!(
                "[config] WARNING: YAML document with GroupVersionKind {api_version}, Kind={kind} is deprecated for upgrade, \
                 please use config file with kind of UpgradeConfiguration instead "
            ));
        }
        for (api_version, _) in documents.headers().filter(|(_, kind)| COMPONENT_KINDS.contains(kind)) {
            let group = api_version.split_once('/').map_or(api_version, |(group, _)| group);
            s.say(format!(
                "[config] WARNING: YAML document with Component Configs {group} is deprecated for upgrade and will be \
                 ignored "
            ));
        }
        let Some(document) = documents.own(KIND) else { return Ok(Self::default()) };
        let mut timeouts = Timeouts::default();
        timeouts.apply(document)?;
        Ok(Self { document: document.clone(), timeouts, replaces: None })
    }

    /// What it says for a command.
    pub(super) fn section(&self, command: &'static str) -> Section<'_> {
        Section { command, fields: self.document.get(command) }
    }

    /// Puts into `config` what it says of the whole command.
    ///
    /// # Errors
    /// The file that stands in for the cluster's configuration cannot be read.
    pub(super) fn apply(&self, s: &Session<'_>, config: &mut InitConfig) -> Result<()> {
        config.timeouts = self.timeouts.clone();
        let Some(path) = &self.replaces else { return Ok(()) };
        s.tell(&console::RECONFIGURES, &[]);
        let release = config.cluster.profile;
        config.apply_file(path, &s.host.disk().read_to_string(path)?)?;
        config.cluster.profile = release;
        Ok(())
    }
}

/// The fields for one command; none where there is no file.
pub(super) struct Section<'a> {
    command: &'static str,
    fields: Option<&'a Value>,
}

impl Section<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.and_then(|fields| fields.get(name)).filter(|value| !value.is_null())
    }

    /// A field that is true or false.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(self.wrong(name, format!("expected true or false, found {other}"))),
        }
    }

    /// A field that is a number of lines.
    pub(super) fn count(&self, name: &str) -> Result<Option<usize>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
                Some(n) => Ok(Some(n)),
                None => Err(self.wrong(name, format!("expected a number, found {value}"))),
            },
        }
    }

    /// A field that is a list of words.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        texts(self.get(name))
    }

    /// The release to go to.
    pub(super) fn version(&self) -> Option<String> {
        self.fields.and_then(|fields| text(fields, "/kubernetesVersion")).map(str::to_owned)
    }

    /// The directory with patches.
    pub(super) fn patches(&self) -> Result<Option<String>> {
        let Some(dir) = self.fields.and_then(|fields| text(fields, "/patches/directory")) else {
            return Ok(None);
        };
        if !dir.starts_with('/') {
            return Err(Failure::new(format!(
                "{}.patches.directory: Invalid value: {dir:?}: path is not absolute",
                self.command
            )));
        }
        Ok(Some(dir.to_owned()))
    }

    fn wrong(&self, name: &str, why: String) -> Failure {
        ConfigError::invalid(format!("{}.{name}", self.command), why).into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_for_their_command_alone() {
        let config = UpgradeConfig {
            document: json!({
                "apply": {"dryRun": true, "etcdUpgrade": "no", "patches": {"directory": "here"}, "skipPhases": ["addon"]},
                "diff": {"contextLines": 1},
                "node": {"patches": {"directory": "/root/patches"}},
            }),
            ..UpgradeConfig::default()
        };
        let apply = config.section("apply");
        assert_eq!(apply.flag("dryRun", false), Ok(true));
        assert_eq!(apply.flag("certificateRenewal", true), Ok(true), "upstream's default");
        assert_eq!(apply.texts("skipPhases"), ["addon"]);
        assert_eq!(config.section("node").flag("dryRun", false), Ok(false));
        assert_eq!(config.section("node").patches(), Ok(Some("/root/patches".into())));
        assert_eq!(config.section("diff").count("contextLines"), Ok(Some(1)));
        assert_eq!(config.section("plan").version(), None);
        let words = |e: Failure| e.0;
        assert_eq!(
            apply.flag("etcdUpgrade", true).map_err(words),
            Err("invalid configuration: apply.etcdUpgrade: expected true or false, found \"no\"".into())
        );
        assert_eq!(
            apply.patches().map_err(words),
            Err("apply.patches.directory: Invalid value: \"here\": path is not absolute".into())
        );
    }
}
