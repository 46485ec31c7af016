//! A configuration file as the documents in it, and why kubeadm refuses one.

use serde_json::Value;

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
    /// Not the kinds that the command is about.
    #[error("no {0} kind was found in the YAML file")]
    NoKind(&'static str),
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
    pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), why: why.into() }
    }
}

/// API versions of kubeadm.k8s.io that 1.36 no longer reads, and the newest release that does.
const OLD: &[(&str, &str)] = &[
    ("kubeadm.k8s.io/v1alpha1", "v1.11"),
    ("kubeadm.k8s.io/v1alpha2", "v1.12"),
    ("kubeadm.k8s.io/v1alpha3", "v1.13"),
    ("kubeadm.k8s.io/v1beta1", "v1.21"),
    ("kubeadm.k8s.io/v1beta2", "v1.26"),
];

/// The documents of a YAML file, each known to be of a readable version.
pub(crate) fn documents(path: &str, text: &str) -> Result<Vec<Value>, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable { path: path.to_owned(), why };
    let mut found = Vec::new();
    for part in split_documents(text) {
        let doc: Value = serde_saphyr::from_str(&part).map_err(|e| unreadable(e.to_string()))?;
        let field = |name: &str| doc.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (field("apiVersion"), field("kind"));
        if api_version.is_empty() || kind.is_empty() {
            let api_version = if api_version.is_empty() { "/".to_owned() } else { api_version };
            return Err(ConfigError::NoType { api_version, kind });
        }
        if found.iter().any(|earlier: &Value| earlier.get("kind").and_then(Value::as_str) == Some(&kind)) {
            return Err(ConfigError::Twice(kind));
        }
        if let Some((_, reader)) = OLD.iter().find(|(old, _)| *old == api_version) {
            return Err(ConfigError::Old { api_version, kind, reader });
        }
        found.push(doc);
    }
    Ok(found)
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
