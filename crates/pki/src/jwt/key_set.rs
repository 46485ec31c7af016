//! Tokens of other issuers: read without trust, then held against the keys that the issuer publishes (a JWKS).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::Jwk};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A token of three parts whose signature nobody has looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct UnverifiedToken<'t> {
    raw: &'t str,
    /// What the header says it is signed with, whatever that is.
    pub algorithm: String,
    /// The key that the header names; empty for none.
    pub key_id: String,
    /// What it says.
    pub claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    alg: String,
    #[serde(default)]
    kid: String,
}

impl<'t> UnverifiedToken<'t> {
    /// `None` for what is no token.
    pub fn parse(raw: &'t str) -> Option<Self> {
        let mut parts = raw.split('.');
        let (head, payload) = (parts.next()?, parts.next()?);
        let (Some(_signature), None) = (parts.next(), parts.next()) else { return None };
        let head: Head = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        Some(Self { raw, algorithm: head.alg, key_id: head.kid, claims })
    }

    /// The issuer that it names.
    pub fn issuer(&self) -> &str {
        self.claims.get("iss").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The keys that an issuer publishes.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<(String, DecodingKey)>,
}

impl KeySet {
    /// Reads `{"keys": […]}`. Kinds of keys that are not known here are left out.
    ///
    /// # Errors
    /// It is no key set; in words.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        let usable = |key: Value| {
            let jwk: Jwk = serde_json::from_value(key).ok()?;
            let decoding = DecodingKey::from_jwk(&jwk).ok()?;
            Some((jwk.common.key_id.unwrap_or_default(), decoding))
        };
        Ok(Self { keys: set.keys.into_iter().filter_map(usable).collect() })
    }

    /// Whether one of the keys signed the token with the algorithm that it names. The caller says beforehand
    /// which algorithms are welcome; those with shared secrets never are.
    pub fn signed(&self, token: &UnverifiedToken<'_>) -> bool {
        let Ok(algorithm) = token.algorithm.parse::<Algorithm>() else { return false };
        if matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return false;
        }
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let named = |id: &str| token.key_id.is_empty() || token.key_id == id;
        let keys = self.keys.iter().filter(|(id, _)| named(id));
        keys.into_iter()
            .any(|(_, key)| jsonwebtoken::decode::<Map<String, Value>>(token.raw, key, &validation).is_ok())
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({} keys)", self.keys.len())
    }
}
