//! What a service account token says.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use world::Wall;

use super::JwtError;

/// The issuer of tokens kept in Secrets.
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// How far clocks may differ (go-jose's default).
pub const LEEWAY: Duration = Duration::from_secs(60);

/// Claims, in the order in which upstream writes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Who may be asked with it.
    #[serde(
        rename = "aud",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "one_or_many"
    )]
    pub audience: Vec<String>,
    /// Last second of validity.
    #[serde(
        rename = "exp",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "numeric_date"
    )]
    pub expiry: Option<i64>,
    /// When it was issued.
    #[serde(
        rename = "iat",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "numeric_date"
    )]
    pub issued_at: Option<i64>,
    /// Who issued it.
    #[serde(rename = "iss", default)]
    pub issuer: String,
    /// Its own id.
    #[serde(rename = "jti", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The service account and what the token is bound to.
    #[serde(rename = "kubernetes.io", default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesClaims>,
    /// First second of validity.
    #[serde(
        rename = "nbf",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "numeric_date"
    )]
    pub not_before: Option<i64>,
    /// `system:serviceaccount:<namespace>:<name>`.
    #[serde(rename = "sub", default)]
    pub subject: String,
    /// Everything else, such as the claims of legacy tokens (`kubernetes.io/serviceaccount/…`).
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// The claim `kubernetes.io`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesClaims {
    /// The service account's namespace.
    #[serde(default)]
    pub namespace: String,
    /// The node of the pod that it is bound to, or the node that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<BoundObject>,
    /// The pod that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<BoundObject>,
    /// The Secret that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<BoundObject>,
    /// The service account.
    #[serde(default)]
    pub serviceaccount: BoundObject,
    /// From when on its use is remarked upon, if its life was extended.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "numeric_date")]
    pub warnafter: Option<i64>,
}

/// An object by name and identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundObject {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its uid.
    #[serde(default)]
    pub uid: String,
}

impl Claims {
    /// The claims of a bound token issued at `now` for `lifetime`.
    pub fn bound(
        id: String,
        audience: Vec<String>,
        kubernetes: KubernetesClaims,
        now: Wall,
        lifetime: Duration,
    ) -> Self {
        let seconds = now.as_second();
        let subject =
            format!("system:serviceaccount:{}:{}", kubernetes.namespace, kubernetes.serviceaccount.name);
        Self {
            audience,
            expiry: Some(seconds.saturating_add_unsigned(lifetime.as_secs())),
            issued_at: Some(seconds),
            id: Some(id),
            kubernetes: Some(kubernetes),
            not_before: Some(seconds),
            subject,
            ..Self::default()
        }
    }

    /// Whether the token is valid at `now`, give or take [`LEEWAY`].
    ///
    /// # Errors
    /// It is not yet, no more, or comes from the future.
    pub fn check_times(&self, now: Wall) -> Result<(), JwtError> {
        let leeway = LEEWAY.as_secs() as i128;
        // In nanoseconds, so that the second's fraction counts as it does in Go.
        let now = now.as_nanosecond();
        let billion = 1_000_000_000;
        let early = |at: i64| now + leeway * billion < i128::from(at) * billion;
        let late = |at: i64| now - leeway * billion > i128::from(at) * billion;
        match self {
            Self { not_before: Some(at), .. } if early(*at) => Err(JwtError::NotValidYet),
            Self { expiry: Some(at), .. } if late(*at) => Err(JwtError::Expired),
            Self { issued_at: Some(at), .. } if early(*at) => Err(JwtError::IssuedInTheFuture),
            _ => Ok(()),
        }
    }
}

/// `"a"` or `["a", "b"]`.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Audience::One(one)) => vec![one],
        Some(Audience::Many(many)) => many,
    })
}

/// Seconds; a fraction is cut off, as go-jose does.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number: Option<serde_json::Number> = Option::deserialize(deserializer)?;
    Ok(number.and_then(|n| n.as_i64().or_else(|| n.as_f64().map(|f| f as i64))))
}
