//! kubeconfig files: whom to talk to, whom to trust and who one is.
//!
//! Data may be embedded or in files of the same host; files are read when the kubeconfig is used, and
//! relative paths start at its own directory. Every failure is one sentence that says what is wrong,
//! where, and what to do.

mod error;
mod resolve;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use world::Disk;

pub use error::KubeconfigError;

use crate::CertifiedKey;

/// A kubeconfig. Fields stand in the order in which client-go writes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kubeconfig {
    /// Always `v1`.
    #[serde(rename = "apiVersion", default = "v1")]
    pub api_version: String,
    /// API servers by name.
    #[serde(default, deserialize_with = "null_is_empty", serialize_with = "empty_is_null")]
    pub clusters: Vec<NamedCluster>,
    /// Pairs of cluster and user by name.
    #[serde(default, deserialize_with = "null_is_empty", serialize_with = "empty_is_null")]
    pub contexts: Vec<NamedContext>,
    /// The context in use.
    #[serde(default)]
    pub current_context: String,
    /// Always `Config`.
    #[serde(default = "config_kind")]
    pub kind: String,
    /// Credentials by name.
    #[serde(default, deserialize_with = "null_is_empty", serialize_with = "empty_is_null")]
    pub users: Vec<NamedUser>,
    /// Where it was read from; relative paths start there.
    #[serde(skip)]
    pub origin: Option<PathBuf>,
}

/// An API server with its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamedCluster {
    /// The server.
    pub cluster: Cluster,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// An API server and how to trust it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cluster {
    /// A file with the authorities to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// The authorities to trust: base64 of PEM. Wins over the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<String>,
    /// Trust anyone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_tls_verify: bool,
    /// The URL.
    #[serde(default)]
    pub server: String,
    /// The name to ask for and to expect instead of the one in the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
}

/// A context with its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamedContext {
    /// The context.
    pub context: Context,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// Which user talks to which cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Name of the cluster.
    #[serde(default)]
    pub cluster: String,
    /// The namespace to assume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the user.
    #[serde(default)]
    pub user: String,
}

/// Credentials with their name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamedUser {
    /// Their name.
    #[serde(default)]
    pub name: String,
    /// The credentials.
    #[serde(default)]
    pub user: User,
}

/// Credentials. Keys, tokens and passwords are never printed.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct User {
    /// A file with the certificate chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// The certificate chain: base64 of PEM. Wins over the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// A file with the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// The key: base64 of PEM. Wins over the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
    /// A program that makes credentials, which we do not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<serde_json::Value>,
    /// The password of the user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A file with a bearer token. Wins over the token.
    #[serde(rename = "tokenFile", default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// A user name, sent with its password in each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("client_certificate", &self.client_certificate)
            .field("client_key", &self.client_key)
            .field("token_file", &self.token_file)
            .finish_non_exhaustive()
    }
}

impl User {
    /// A user with an embedded client certificate, as kubeadm writes it.
    pub fn with_certificate(pair: &CertifiedKey) -> Self {
        Self {
            client_certificate_data: Some(STANDARD.encode(pair.chain_pem())),
            client_key_data: Some(STANDARD.encode(pair.key_pem())),
            ..Self::default()
        }
    }

    /// A user with its client certificate in files.
    pub fn with_files(certificate: &str, key: &str) -> Self {
        Self { client_certificate: Some(certificate.into()), client_key: Some(key.into()), ..Self::default() }
    }

    /// A user with a bearer token.
    pub fn with_token(token: &str) -> Self {
        Self { token: Some(token.into()), ..Self::default() }
    }

    /// A user with a name and a password.
    pub fn with_password(username: &str, password: &str) -> Self {
        Self { username: Some(username.into()), password: Some(password.into()), ..Self::default() }
    }
}

impl Cluster {
    /// A server trusted through embedded authorities.
    pub fn new(server: &str, ca_pem: &str) -> Self {
        Self {
            certificate_authority_data: Some(STANDARD.encode(ca_pem)),
            server: server.into(),
            ..Self::default()
        }
    }
}

impl Kubeconfig {
    /// One cluster, one user and the context `<user>@<cluster>`, as kubeadm writes them.
    pub fn new(cluster_name: &str, cluster: Cluster, user_name: &str, user: User) -> Self {
        let context = format!("{user_name}@{cluster_name}");
        Self::with_context(&context, cluster_name, cluster, user_name, user)
    }

    /// As [`Kubeconfig::new`], with a context of another name.
    pub fn with_context(
        context: &str,
        cluster_name: &str,
        cluster: Cluster,
        user_name: &str,
        user: User,
    ) -> Self {
        let named = Context { cluster: cluster_name.into(), namespace: None, user: user_name.into() };
        Self {
            clusters: vec![NamedCluster { cluster, name: cluster_name.into() }],
            contexts: vec![NamedContext { context: named, name: context.into() }],
            current_context: context.into(),
            users: vec![NamedUser { name: user_name.into(), user }],
            ..Self::empty()
        }
    }

    /// Nothing but one unnamed cluster: what the ConfigMap `cluster-info` publishes.
    pub fn cluster_info(cluster: Cluster) -> Self {
        Self { clusters: vec![NamedCluster { cluster, name: String::new() }], ..Self::empty() }
    }

    fn empty() -> Self {
        Self {
            api_version: v1(),
            clusters: Vec::new(),
            contexts: Vec::new(),
            current_context: String::new(),
            kind: config_kind(),
            users: Vec::new(),
            origin: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is not there, cannot be read, or is no kubeconfig.
    pub fn load(disk: &Disk, path: impl AsRef<Path>) -> Result<Self, KubeconfigError> {
        let path = path.as_ref();
        let text = disk
            .read_to_string(path)
            .map_err(|why| KubeconfigError::Unreadable { path: path.to_owned(), why })?;
        Self::parse(&text, Some(path))
    }

    /// Reads text that came from `origin`, or from no file (a ConfigMap).
    ///
    /// # Errors
    /// It is no kubeconfig.
    pub fn parse(text: &str, origin: Option<&Path>) -> Result<Self, KubeconfigError> {
        let malformed = |why: String| KubeconfigError::Malformed { origin: origin.map(Path::to_owned), why };
        if text.trim().is_empty() {
            return Err(malformed("it is empty".into()));
        }
        let mut this: Self =
            serde_saphyr::from_str(text).map_err(|e| malformed(first_line(&e.to_string())))?;
        if this.kind != "Config" || this.api_version != "v1" {
            return Err(malformed(format!("it is a {} {}, not a v1 Config", this.api_version, this.kind)));
        }
        this.origin = origin.map(Path::to_owned);
        Ok(this)
    }

    /// The file's text.
    pub fn to_yaml(&self) -> String {
        // Data on the line of its key, where people's grep and awk look for it.
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        // A struct of strings always has a YAML form.
        serde_saphyr::to_string_with_options(self, options).unwrap_or_default()
    }

    /// Writes the file, readable by its owner only.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self, disk: &Disk, path: impl AsRef<Path>) -> Result<(), world::DiskError> {
        disk.write(path, self.to_yaml(), 0o600)
    }
}

fn v1() -> String {
    "v1".into()
}

fn config_kind() -> String {
    "Config".into()
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// As Go writes a list that was never made.
fn empty_is_null<S: serde::Serializer, T: Serialize>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() { serializer.serialize_none() } else { list.serialize(serializer) }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
