//! Whether a token is ours, genuine, for us, and valid now, in upstream's order.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use world::Wall;

use super::{Claims, algorithm_of, key_id};
use crate::PublicKey;

/// Why a token of ours is refused, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// No key of ours made the signature.
    #[error("go-jose/go-jose: error in cryptographic primitive")]
    Signature,
    /// The token names a key that we do not have.
    #[error("invalid signature, no keys found")]
    NoKeys,
    /// It is meant for others.
    #[error("token audiences {} is invalid for the target audiences {}", list(.token), list(.target))]
    Audience {
        /// Whom the token is for.
        token: Vec<String>,
        /// Who asks.
        target: Vec<String>,
    },
    /// Its time is over.
    #[error("service account token has expired")]
    Expired,
    /// Its time has not come.
    #[error("service account token is not valid yet")]
    NotValidYet,
    /// Issued later than now: somebody's clock is wrong.
    #[error("service account token is issued in the future")]
    IssuedInTheFuture,
}

/// Go's `%q` of a list.
fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(" "))
}

/// A token that holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// The audiences asked for that it is good for.
    pub audiences: Vec<String>,
}

/// Verifies service account tokens.
pub struct ServiceAccountVerifier {
    issuers: Vec<String>,
    audiences: Vec<String>,
    keys: Vec<Key>,
}

struct Key {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl ServiceAccountVerifier {
    /// Accepts tokens of these issuers, signed by one of `keys` (`--service-account-key-file`).
    /// `audiences` are the server's own (`--api-audiences`); a token without any is for them.
    pub fn new(issuers: Vec<String>, audiences: Vec<String>, keys: &[PublicKey]) -> Self {
        let usable = |key: &PublicKey| {
            let algorithm = algorithm_of(key)?;
            let (_, bits) = key.parts()?;
            let decoding =
                if key.is_rsa() { DecodingKey::from_rsa_der(bits) } else { DecodingKey::from_ec_der(bits) };
            Some(Key { id: key_id(key), algorithm, key: decoding })
        };
        Self { issuers, audiences, keys: keys.iter().filter_map(usable).collect() }
    }

    /// `Ok(None)`: no token of these issuers, so somebody else may know it. `requested` are the
    /// audiences of a TokenReview; without it the server's own.
    ///
    /// Nothing beyond the token is looked at: whether account, pod and Secret still exist is asked
    /// by whoever knows them.
    ///
    /// # Errors
    /// It is one of ours and does not hold.
    pub fn verify(
        &self,
        token: &str,
        requested: Option<&[String]>,
        now: Wall,
    ) -> Result<Option<Verified>, JwtError> {
        if !self.is_ours(token) {
            return Ok(None);
        }
        let Ok(header) = jsonwebtoken::decode_header(token) else { return Ok(None) };
        let named = |key: &&Key| header.kid.as_ref().is_none_or(|kid| kid.is_empty() || *kid == key.id);
        let mut candidates = self.keys.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Err(JwtError::NoKeys);
        }
        let claims = candidates.find_map(|key| signed_by(token, key)).ok_or(JwtError::Signature)?;
        let audiences = self.audiences_of(&claims, requested)?;
        claims.check_times(now)?;
        Ok(Some(Verified { claims, audiences }))
    }

    fn audiences_of(&self, claims: &Claims, requested: Option<&[String]>) -> Result<Vec<String>, JwtError> {
        let token = if claims.audience.is_empty() { &self.audiences } else { &claims.audience };
        let target = requested.unwrap_or(&self.audiences);
        let both: Vec<String> = token.iter().filter(|a| target.contains(a)).cloned().collect();
        if both.is_empty() && !self.audiences.is_empty() {
            return Err(JwtError::Audience { token: token.clone(), target: target.to_vec() });
        }
        Ok(both)
    }

    /// Looks at the issuer before anything is verified, as upstream does to route tokens.
    fn is_ours(&self, token: &str) -> bool {
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let claims = URL_SAFE_NO_PAD.decode(payload).ok();
        let claims = claims.and_then(|json| serde_json::from_slice::<Issuer>(&json).ok());
        claims.is_some_and(|claims| self.issuers.contains(&claims.iss))
    }
}

#[derive(serde::Deserialize)]
struct Issuer {
    #[serde(default)]
    iss: String,
}

fn signed_by(token: &str, key: &Key) -> Option<Claims> {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Claims>(token, &key.key, &validation).ok().map(|data| data.claims)
}

impl std::fmt::Debug for ServiceAccountVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServiceAccountVerifier({:?}, {} keys)", self.issuers, self.keys.len())
    }
}
