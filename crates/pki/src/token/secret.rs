//! The Secret that carries a bootstrap token, and what it allows at an instant: one reading of its
//! fields for the authenticator, the signer, the cleaner and `kubeadm token`.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use world::{Wall, mutant, rfc3339};

use super::{BootstrapToken, same_secret};

/// The type of such Secrets.
pub const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";

/// What their names begin with.
pub const SECRET_PREFIX: &str = "bootstrap-token-";

/// Where they live.
pub const NAMESPACE: &str = "kube-system";

/// The group of nodes that join with a token of kubeadm's.
pub const DEFAULT_NODE_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

const BOOTSTRAPPERS: &str = "system:bootstrappers";

/// A bootstrap token with all that its Secret says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSecret {
    /// The token.
    pub token: BootstrapToken,
    /// For people.
    pub description: String,
    /// Until when; `None` for ever.
    pub expiration: Option<Wall>,
    /// May sign `cluster-info`.
    pub signing: bool,
    /// May authenticate.
    pub authentication: bool,
    /// Groups besides `system:bootstrappers`.
    pub groups: Vec<String>,
}

/// Why a Secret does not serve; the words are for logs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its deletion has begun.
    #[error("the secret is being deleted")]
    Deleted,
    /// It has another type.
    #[error("the secret has type {0:?}, expected \"bootstrap.kubernetes.io/token\"")]
    Type(String),
    /// Its name does not fit its id.
    #[error("the secret's name and its token-id do not match")]
    Name,
    /// Id or secret are missing or malformed.
    #[error("the secret has no valid token-id and token-secret")]
    Token,
    /// The secret halves differ.
    #[error("the token's secret does not match")]
    Mismatch,
    /// Its time is over, or cannot be read, which counts as over.
    #[error("the token has expired")]
    Expired,
    /// It may not be used for this.
    #[error("the secret does not have {0} set to \"true\"")]
    Usage(&'static str),
    /// A group has a wrong name.
    #[error(
        "bootstrap group {0:?} is invalid (must match \\Asystem:bootstrappers:[a-z0-9:-]{{0,255}}[a-z0-9]\\z)"
    )]
    Group(String),
}

impl TokenSecret {
    /// The Secret.
    pub fn to_object(&self) -> Value {
        let mut data = BTreeMap::from([
            ("token-id", self.token.id().to_owned()),
            ("token-secret", self.token.secret().to_owned()),
        ]);
        if !self.description.is_empty() {
            data.insert("description", self.description.clone());
        }
        if let Some(at) = self.expiration {
            data.insert("expiration", rfc3339(at));
        }
        if self.signing {
            data.insert("usage-bootstrap-signing", "true".into());
        }
        if self.authentication {
            data.insert("usage-bootstrap-authentication", "true".into());
        }
        if !self.groups.is_empty() {
            data.insert("auth-extra-groups", self.groups.join(","));
        }
        let data: BTreeMap<_, _> =
            data.into_iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": self.token.secret_name(), "namespace": NAMESPACE },
            "type": SECRET_TYPE,
            "data": data,
        })
    }

    /// Reads the Secret, without asking whether the token still serves (`kubeadm token list`).
    ///
    /// # Errors
    /// It is no Secret of a bootstrap token. An unreadable expiration is [`Refusal::Expired`].
    pub fn from_object(secret: &Value) -> Result<Self, Refusal> {
        let kind = secret.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind != SECRET_TYPE {
            return Err(Refusal::Type(kind.to_owned()));
        }
        let token = BootstrapToken::new(&field(secret, "token-id"), &field(secret, "token-secret"));
        let token = token.map_err(|_| Refusal::Token)?;
        if secret.pointer("/metadata/name").and_then(Value::as_str) != Some(&token.secret_name()) {
            return Err(Refusal::Name);
        }
        let expiration = match field(secret, "expiration").as_str() {
            "" => None,
            _ if mutant("bootstrap-token-never-expires") => None,
            text => Some(text.parse::<Wall>().map_err(|_| Refusal::Expired)?),
        };
        let groups = field(secret, "auth-extra-groups");
        Ok(Self {
            token,
            description: field(secret, "description"),
            expiration,
            signing: field(secret, "usage-bootstrap-signing") == "true",
            authentication: field(secret, "usage-bootstrap-authentication") == "true",
            groups: groups.split(',').map(str::trim).filter(|g| !g.is_empty()).map(str::to_owned).collect(),
        })
    }

    /// Whether its time is over at `now`: at the very second, too.
    pub fn is_expired(&self, now: Wall) -> bool {
        self.expiration.is_some_and(|at| at <= now)
    }

    /// Whether `secret` lets `token` in at `now`; returns all groups of the user.
    ///
    /// # Errors
    /// Why not.
    pub fn authenticate(secret: &Value, token: &BootstrapToken, now: Wall) -> Result<Vec<String>, Refusal> {
        let this = Self::serving(secret, now)?;
        if !same_secret(this.token.secret(), token.secret()) || this.token.id() != token.id() {
            return Err(Refusal::Mismatch);
        }
        if !this.authentication {
            return Err(Refusal::Usage("usage-bootstrap-authentication"));
        }
        if let Some(bad) = this.groups.iter().find(|group| !is_group(group)) {
            return Err(Refusal::Group(bad.clone()));
        }
        Ok(std::iter::once(BOOTSTRAPPERS.to_owned()).chain(this.groups).collect())
    }

    /// The token of `secret` if it may sign `cluster-info` at `now`.
    ///
    /// # Errors
    /// Why not.
    pub fn signer(secret: &Value, now: Wall) -> Result<BootstrapToken, Refusal> {
        let this = Self::serving(secret, now)?;
        if this.signing { Ok(this.token) } else { Err(Refusal::Usage("usage-bootstrap-signing")) }
    }

    fn serving(secret: &Value, now: Wall) -> Result<Self, Refusal> {
        if secret.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()) {
            return Err(Refusal::Deleted);
        }
        let this = Self::from_object(secret)?;
        if this.is_expired(now) { Err(Refusal::Expired) } else { Ok(this) }
    }
}

/// Whether a token may carry this group.
pub fn is_group(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("system:bootstrappers:") else { return false };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=256).contains(&rest.len())
        && rest.bytes().all(|b| plain(b) || b == b':' || b == b'-')
        && rest.bytes().next_back().is_some_and(plain)
}

/// A value of `data` (or `stringData`), empty when it is not there.
fn field(secret: &Value, key: &str) -> String {
    let plain = secret.get("stringData").and_then(|data| data.get(key)).and_then(Value::as_str);
    let data = secret.get("data").and_then(|data| data.get(key)).and_then(Value::as_str);
    match (plain, data) {
        (Some(text), _) => text.to_owned(),
        (None, Some(encoded)) => {
            STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
        }
        (None, None) => String::new(),
    }
}
