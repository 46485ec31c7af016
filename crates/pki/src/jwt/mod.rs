//! Service account tokens: signed claims, and their verification at an instant.
//!
//! jsonwebtoken signs and checks signatures; its own time checks are off, for they read the system's
//! clock. Times are compared here, at the caller's `now`, with go-jose's leeway of one minute.

mod claims;
mod key_set;
mod verifier;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub use claims::{BoundObject, Claims, KubernetesClaims, LEEWAY, LEGACY_ISSUER};
pub use key_set::{KeySet, UnverifiedToken};
pub use verifier::{JwtError, ServiceAccountVerifier, Verified};

use crate::{
    PrivateKey, PublicKey, der,
    key::{KeyError, Scheme},
};

/// The id of a key (`kid`): base64url of SHA-256 over its PKIX DER.
pub fn key_id(key: &PublicKey) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, key.spki_der()))
}

/// Signs tokens: RS256 with an RSA key, ES256 or ES384 with an ECDSA key.
pub struct ServiceAccountSigner {
    issuer: String,
    header: Header,
    key: EncodingKey,
}

impl ServiceAccountSigner {
    /// A signer for `issuer` (`--service-account-issuer`, the first one) with `key`
    /// (`--service-account-signing-key-file`).
    pub fn new(issuer: &str, key: &PrivateKey) -> Self {
        let (algorithm, encoding) = match key.certificate_scheme() {
            Scheme::EcdsaSha256 => (Algorithm::ES256, EncodingKey::from_ec_der(key.pkcs8_der())),
            Scheme::EcdsaSha384 => (Algorithm::ES384, EncodingKey::from_ec_der(key.pkcs8_der())),
            _ => (Algorithm::RS256, EncodingKey::from_rsa_der(&key.pkcs1_der())),
        };
        let mut header = Header::new(algorithm);
        // go-jose writes no `typ` here.
        header.typ = None;
        header.kid = Some(key_id(&key.public()));
        Self { issuer: issuer.to_owned(), header, key: encoding }
    }

    /// The token for `claims`, whose issuer is replaced by this signer's.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let claims = Claims { issuer: self.issuer.clone(), ..claims.clone() };
        jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| KeyError::Crypto("sign a token"))
    }
}

impl std::fmt::Debug for ServiceAccountSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServiceAccountSigner({}, {:?})", self.issuer, self.header.alg)
    }
}

/// The key set that `/openid/v1/jwks` serves.
pub fn jwks(keys: &[PublicKey]) -> Value {
    json!({ "keys": keys.iter().filter_map(jwk).collect::<Vec<_>>() })
}

fn jwk(key: &PublicKey) -> Option<Value> {
    let (algorithm, bits) = (algorithm_of(key)?, key.parts()?.1);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    if algorithm == Algorithm::RS256 {
        let outer = der::read(bits)?;
        let modulus = der::read(outer.contents)?;
        let exponent = der::read(modulus.rest)?;
        let unsigned = |bytes: &[u8]| encode(bytes.strip_prefix(&[0]).unwrap_or(bytes));
        return Some(json!({
            "use": "sig", "kty": "RSA", "kid": key_id(key), "alg": "RS256",
            "n": unsigned(modulus.contents), "e": unsigned(exponent.contents),
        }));
    }
    // An uncompressed point: 04, x, y.
    let (x, y) = bits.get(1..)?.split_at(bits.len() / 2);
    let (alg, curve) = if algorithm == Algorithm::ES256 { ("ES256", "P-256") } else { ("ES384", "P-384") };
    Some(json!({
        "use": "sig", "kty": "EC", "kid": key_id(key), "crv": curve, "alg": alg, "x": encode(x), "y": encode(y),
    }))
}

/// The algorithm that goes with a key; `None` for kinds that sign no service account tokens here.
fn algorithm_of(key: &PublicKey) -> Option<Algorithm> {
    match (key.is_rsa(), key.is_ec(), key.parts()?.1.len()) {
        (true, ..) => Some(Algorithm::RS256),
        (_, true, 65) => Some(Algorithm::ES256),
        (_, true, 97) => Some(Algorithm::ES384),
        _ => None,
    }
}
