//! A configuration file as the documents in it, and why kubeadm refuses one.

use api::profile::Profile;
use serde_json::Value;

use crate::{formats, schema};

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A flag or field with a value that makes no sense there.
    #[error("invalid configuration: {field}: {why}")]
    Invalid {
        /// The flag or the path of the field.
        field: String,
        /// What is wrong and what is expected.
        why: String,
    },
    /// The file is not YAML.
    #[error("unable to read config from {path:?}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The parser's words.
        why: String,
    },
    /// A document that does not say what it is.
    #[error(
        "invalid configuration for GroupVersionKind {api_version}, Kind={kind}: kind and apiVersion is mandatory \
         information that must be specified"
    )]
    NoType {
        /// What the file says, with the slash that Go prints where there is nothing.
        api_version: String,
        /// What the file says.
        kind: String,
    },
    /// The same kind in two documents.
    #[error("invalid configuration: kind {0:?} is specified twice in YAML file")]
    Twice(String),
    /// Not the kinds that the command is about; the words name them.
    #[error("{0}")]
    NoKind(&'static str),
    /// A version that no release of kubeadm has, or only newer ones.
    #[error(
        "no kind {kind:?} is registered for version {api_version:?} in scheme \"kubeadm\"; kubeadm {release} reads {read}"
    )]
    UnknownVersion {
        /// What the file says.
        api_version: String,
        /// What the file says.
        kind: String,
        /// This release.
        release: String,
        /// The versions that it reads.
        read: String,
    },
    /// Refused, in upstream's words.
    #[error("{0}")]
    Refused(String),
    /// A kind of an API version that this release of kubeadm no longer reads.
    #[error(
        "your configuration file uses an old API spec: {api_version:?} (kind: {kind:?}). Please use kubeadm \
         {reader} instead and run 'kubeadm config migrate --old-config old-config-file --new-config \
         new-config-file', which will write the new, similar spec using a newer API version."
    )]
    Old {
        /// What the file says.
        api_version: String,
        /// What the file says.
        kind: String,
        /// The newest release that reads it.
        reader: &'static str,
    },
}

impl ConfigError {
    /// A field or flag with a value that makes no sense there.
    pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), why: why.into() }
    }
}

/// The components whose configuration may stand in kubeadm's file: group and version, kind.
const COMPONENTS: &[(&str, &str)] = &[
    ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"),
    ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"),
];

/// The documents of a file, kubeadm's own in the newest version.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    own: Vec<Value>,
    components: Vec<Value>,
    /// apiVersion and kind of each document as the file has them, in its order.
    headers: Vec<(String, String)>,
    /// What strict decoding found wrong, which most commands only say.
    pub complaints: Vec<String>,
    /// What no scheme knows, as Go prints it.
    pub unknown: Vec<String>,
    /// What else there is to say.
    pub warnings: Vec<String>,
}

impl Documents {
    /// Reads a file as the kubeadm of `profile` does.
    ///
    /// # Errors
    /// It is no YAML, a document does not say what it is, or is of a version that this release does not read.
    pub(crate) fn read(profile: Profile, path: &str, text: &str) -> Result<Self, ConfigError> {
        Self::of(path, text, &|version, doc| supported(profile, version, doc))
    }

    /// Reads what a kubeadm of whatever release stored.
    ///
    /// # Errors
    /// It is no YAML, or of a version that is not known.
    pub(crate) fn stored(profile: Profile, path: &str, text: &str) -> Result<Self, ConfigError> {
        Self::of(path, text, &|version, doc| match formats::is_known(version) {
            true => Ok(()),
            false => supported(profile, version, doc),
        })
    }

    fn of(
        path: &str,
        text: &str,
        check: &dyn Fn(&str, &Value) -> Result<(), ConfigError>,
    ) -> Result<Self, ConfigError> {
        let mut this = Self::default();
        let mut versions: Vec<(String, Vec<Value>)> = Vec::new();
        for doc in parse(path, text)? {
            let (api_version, kind) = (field(&doc, "apiVersion"), field(&doc, "kind"));
            this.headers.push((api_version.to_owned(), kind.to_owned()));
            match api_version.split_once('/') {
                Some((formats::GROUP, version)) => {
                    check(version, &doc)?;
                    this.complaints.extend(schema::complaint(&doc)?);
                    if schema::shape(version, kind).is_none() {
                        this.ignore(&doc);
                        continue;
                    }
                    match versions.iter_mut().find(|(known, _)| known == version) {
                        Some((_, documents)) => documents.push(doc),
                        None => versions.push((version.to_owned(), vec![doc])),
                    }
                }
                _ if COMPONENTS.contains(&(api_version, kind)) => {
                    this.complaints.extend(schema::complaint(&doc)?);
                    this.components.push(doc);
                }
                _ => {
                    this.complaints.push(format!("unknown configuration {}", schema::described(&doc)));
                    this.ignore(&doc);
                }
            }
        }
        for (version, documents) in versions {
            for doc in formats::up(&version, documents)? {
                let component = COMPONENTS.iter().any(|(_, kind)| *kind == field(&doc, "kind"));
                if component { this.components.push(doc) } else { this.own.push(doc) }
            }
        }
        Ok(this)
    }

    fn ignore(&mut self, doc: &Value) {
        self.unknown.push(schema::described(doc));
        self.warnings.push(format!(
            "[config] WARNING: Ignored configuration document with GroupVersionKind {}, Kind={}",
            field(doc, "apiVersion"),
            field(doc, "kind")
        ));
    }

    /// The document of one of kubeadm's kinds.
    pub(crate) fn own(&self, kind: &str) -> Option<&Value> {
        self.own.iter().find(|doc| field(doc, "kind") == kind)
    }

    /// apiVersion and kind of each document as the file has them, in its order.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(api_version, kind)| (api_version.as_str(), kind.as_str()))
    }

    /// A component's configuration.
    pub(crate) fn component(&self, kind: &str) -> Option<&Value> {
        self.components.iter().find(|doc| field(doc, "kind") == kind)
    }

    /// Complaints and warnings in the order in which they are said.
    pub(crate) fn said(&self) -> Vec<String> {
        let complaints = self.complaints.iter().map(|words| format!("WARNING: {words}"));
        complaints.chain(self.warnings.iter().cloned()).collect()
    }

    /// Refuses everything that other commands only warn about.
    ///
    /// # Errors
    /// A kind that no scheme knows, a field that its kind does not have.
    pub(crate) fn strict(&self) -> Result<(), ConfigError> {
        if !self.unknown.is_empty() {
            return Err(ConfigError::Refused(format!(
                "unknown configuration APIs: []schema.GroupVersionKind{{{}}}",
                self.unknown.join(", ")
            )));
        }
        match self.complaints.first() {
            Some(words) => Err(ConfigError::Refused(words.clone())),
            None => Ok(()),
        }
    }
}

/// Whether a release reads a version of kubeadm.k8s.io (`validateSupportedVersion`).
fn supported(profile: Profile, version: &str, doc: &Value) -> Result<(), ConfigError> {
    let read = profile.kubeadm_config_read();
    if read.contains(&version) && formats::is_known(version) {
        return Ok(());
    }
    let (api_version, kind) = (field(doc, "apiVersion").to_owned(), field(doc, "kind").to_owned());
    match formats::reader_of_old(profile, version) {
        Some(reader) => Err(ConfigError::Old { api_version, kind, reader }),
        None => Err(ConfigError::UnknownVersion {
            api_version,
            kind,
            release: profile.git_version(),
            read: read.iter().map(|v| format!("{}/{v}", formats::GROUP)).collect::<Vec<_>>().join(", "),
        }),
    }
}

fn field<'a>(doc: &'a Value, name: &str) -> &'a str {
    doc.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The documents of a YAML file, each with apiVersion and kind, no kind twice.
fn parse(path: &str, text: &str) -> Result<Vec<Value>, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable { path: path.to_owned(), why };
    let mut found: Vec<Value> = Vec::new();
    for part in split_documents(text) {
        let doc: Value = serde_saphyr::from_str(&part).map_err(|e| unreadable(e.to_string()))?;
        let (api_version, kind) = (field(&doc, "apiVersion"), field(&doc, "kind"));
        if api_version.is_empty() || kind.is_empty() {
            let api_version = if api_version.is_empty() { "/".to_owned() } else { api_version.to_owned() };
            return Err(ConfigError::NoType { api_version, kind: kind.to_owned() });
        }
        if found.iter().any(|earlier| field(earlier, "kind") == kind) {
            return Err(ConfigError::Twice(kind.to_owned()));
        }
        found.push(doc);
    }
    Ok(found)
}

/// A field's value that is not empty.
pub(crate) fn text<'a>(doc: &'a Value, at: &str) -> Option<&'a str> {
    doc.pointer(at).and_then(Value::as_str).filter(|s| !s.is_empty())
}

/// The texts in a list.
pub(crate) fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Flags of a program as the newest version lists them.
pub(crate) fn arguments(field: &str, value: Option<&Value>) -> Result<Vec<(String, String)>, ConfigError> {
    let bad = || ConfigError::invalid(field, "expected a list of name and value");
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(bad()),
    };
    list.iter()
        .map(|arg| {
            let part = |key| arg.get(key).and_then(Value::as_str).map(str::to_owned);
            part("name").filter(|name| !name.is_empty()).zip(part("value")).ok_or_else(bad)
        })
        .collect()
}

fn split_documents(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        if line.trim_end() == "---" {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts.retain(|p| p.lines().any(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#')));
    parts
}
