//! `--admission-control-config-file`: one file with a section for each plugin that has a configuration.
//!
//! A section is written in the file itself (`configuration`) or lies in a file of its own (`path`, relative
//! to the first one's directory). Two plugins are older than the format; a file in their own form is theirs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use api::object::ObjectExt as _;
use serde_json::Value;
use world::Host;

/// Group and version in which the file may be written.
const VERSIONS: [&str; 2] = ["apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"];
const KIND: &str = "AdmissionConfiguration";
/// Plugins whose configuration has no version, each with the field that gives its old form away.
const UNVERSIONED: [(&str, &str); 2] =
    [("ImagePolicyWebhook", "imagePolicy"), ("PodNodeSelector", "podNodeSelectorPluginConfig")];

/// Why the file cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFileError {
    /// The file itself.
    #[error(
        "failed to read plugin config: unable to read admission control configuration from {path:?} [{why}]"
    )]
    Unreadable {
        /// As on the flag.
        path: PathBuf,
        /// What the disk says.
        why: String,
    },
    /// It is no YAML, or no AdmissionConfiguration.
    #[error("failed to read plugin config: {0}")]
    Malformed(String),
    /// A file that it names.
    #[error("Couldn't open admission plugin configuration {path}: {why}", path = path.display())]
    Section {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The sections by plugin; of two for one plugin, the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    sections: BTreeMap<String, Value>,
}

impl ConfigFile {
    /// Reads the file, and those that it names for plugins in `enabled`; without a path there are no
    /// sections.
    ///
    /// # Errors
    /// A file that is not there, or not in the form.
    pub fn read(host: &Host, path: Option<&Path>, enabled: &[&str]) -> Result<Self, ConfigFileError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = host
            .disk()
            .read_to_string(path)
            .map_err(|e| ConfigFileError::Unreadable { path: path.to_owned(), why: e.to_string() })?;
        let file = yaml(&text).map_err(ConfigFileError::Malformed)?;
        if file.kind().is_empty() || file.api_version().is_empty() {
            return Self::of_old_form(&file, &text, enabled);
        }
        if file.kind() != KIND || !VERSIONS.contains(&file.api_version()) {
            return Err(ConfigFileError::Malformed(format!(
                "no kind {:?} is registered for version {:?}: write kind {KIND} of {}",
                file.kind(),
                file.api_version(),
                VERSIONS[0],
            )));
        }
        let mut sections = BTreeMap::new();
        for entry in file.list_at("/plugins") {
            let name = entry.str_at("/name");
            if sections.contains_key(name) || !enabled.contains(&name) {
                continue;
            }
            if let Some(section) = section(host, path, entry)? {
                sections.insert(name.to_owned(), section);
            }
        }
        Ok(Self { sections })
    }

    fn of_old_form(file: &Value, text: &str, enabled: &[&str]) -> Result<Self, ConfigFileError> {
        if !UNVERSIONED.iter().any(|(_, field)| file.get(*field).is_some()) {
            let missing = if file.kind().is_empty() { "Kind" } else { "apiVersion" };
            let text = text.trim_end();
            return Err(ConfigFileError::Malformed(format!("Object '{missing}' is missing in '{text}'")));
        }
        let own = UNVERSIONED.iter().filter(|(name, _)| enabled.contains(name));
        Ok(Self { sections: own.map(|(name, _)| ((*name).to_owned(), file.clone())).collect() })
    }

    /// What the file says for a plugin.
    pub fn section(&self, plugin: &str) -> Option<&Value> {
        self.sections.get(plugin)
    }

    /// A file with one section, for unit tests of what reads it.
    #[cfg(test)]
    pub(super) fn with(plugin: &str, section: Value) -> Self {
        Self { sections: BTreeMap::from([(plugin.to_owned(), section)]) }
    }
}

fn section(host: &Host, file: &Path, entry: &Value) -> Result<Option<Value>, ConfigFileError> {
    if let Some(inline) = entry.get("configuration").filter(|v| !v.is_null()) {
        return Ok(Some(inline.clone()));
    }
    let named = entry.str_at("/path");
    if named.is_empty() {
        return Ok(None);
    }
    let path = file.parent().unwrap_or(Path::new("")).join(named);
    let fail = |why: String| ConfigFileError::Section { path: path.clone(), why };
    let text = host.disk().read_to_string(&path).map_err(|e| fail(e.to_string()))?;
    yaml(&text).map(Some).map_err(fail)
}

fn yaml(text: &str) -> Result<Value, String> {
    let value: Value = serde_saphyr::from_str(text)
        .map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())?;
    if value.is_object() { Ok(value) } else { Err("a map was expected".to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use world::sim::Config;

    use super::*;

    const ENABLED: [&str; 2] = ["EventRateLimit", "PodNodeSelector"];

    fn read(files: &[(&str, &str)]) -> Result<ConfigFile, String> {
        let files: Vec<(String, String)> =
            files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        world::sim::run(Config::default(), |sim| async move {
            let host = sim.host("master");
            host.disk().create_dir_all("/etc/k").unwrap();
            for (path, text) in &files {
                host.disk().write(path, text.as_bytes(), 0o600).unwrap();
            }
            ConfigFile::read(&host, Some(Path::new("/etc/k/a.yaml")), &ENABLED).map_err(|e| e.to_string())
        })
        .unwrap()
    }

    #[test]
    fn sections_are_inline_or_beside_the_file() {
        let file = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n\
                    - name: EventRateLimit\n  path: limits.yaml\n\
                    - name: PodNodeSelector\n  configuration: {podNodeSelectorPluginConfig: {ns: a=b}}\n\
                    - name: EventRateLimit\n  configuration: {limits: []}\n\
                    - name: PodSecurity\n  path: of-a-plugin-that-is-off.yaml\n";
        let found =
            read(&[("/etc/k/a.yaml", file), ("/etc/k/limits.yaml", "limits: [{type: Server}]")]).unwrap();
        assert_eq!(found.section("EventRateLimit"), Some(&json!({"limits": [{"type": "Server"}]})));
        assert_eq!(
            found.section("PodNodeSelector"),
            Some(&json!({"podNodeSelectorPluginConfig": {"ns": "a=b"}}))
        );
        assert_eq!(found.section("PodSecurity"), None);
    }

    #[test]
    fn the_old_forms_belong_to_their_plugins() {
        let found = read(&[("/etc/k/a.yaml", "podNodeSelectorPluginConfig: {ns: a=b}")]).unwrap();
        assert!(found.section("PodNodeSelector").is_some());
        assert!(found.section("EventRateLimit").is_none());
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence() {
        let check = |files: &[(&str, &str)], words: &str| {
            let why = read(files).unwrap_err();
            assert!(why.contains(words), "{why}");
        };
        check(
            &[],
            "failed to read plugin config: unable to read admission control configuration from \
             \"/etc/k/a.yaml\" [",
        );
        check(
            &[("/etc/k/a.yaml", "a: b\n")],
            "failed to read plugin config: Object 'Kind' is missing in 'a: b'",
        );
        check(
            &[("/etc/k/a.yaml", "kind: Pod\napiVersion: v1\n")],
            "no kind \"Pod\" is registered for version \"v1\"",
        );
        let file = "{apiVersion: apiserver.config.k8s.io/v1, kind: AdmissionConfiguration, \
                    plugins: [{name: EventRateLimit, path: /gone.yaml}]}";
        check(&[("/etc/k/a.yaml", file)], "Couldn't open admission plugin configuration /gone.yaml: ");
    }
}
