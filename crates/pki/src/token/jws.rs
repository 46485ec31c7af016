//! The signature under `cluster-info`: a detached compact JWS (HS256) whose key is the secret half of
//! a bootstrap token. A node that knows the token can tell a genuine `cluster-info` before it trusts
//! any certificate.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{BootstrapToken, same_secret};

/// The ConfigMap in `kube-public`.
pub const CLUSTER_INFO: &str = "cluster-info";

/// The key of the ConfigMap that is signed.
pub const KUBECONFIG_KEY: &str = "kubeconfig";

/// What the keys of signatures begin with.
pub const SIGNATURE_PREFIX: &str = "jws-kubeconfig-";

/// The key of the ConfigMap that holds the signature by the token with this id.
pub fn data_key(token_id: &str) -> String {
    format!("{SIGNATURE_PREFIX}{token_id}")
}

/// Signs `content`, the exact text of the `kubeconfig` key: `<protected header>..<signature>`.
pub fn sign(content: &str, token: &BootstrapToken) -> String {
    // Verification is equality of text, so the header's bytes must be upstream's.
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{}"}}"#, token.id()));
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.secret().as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    format!("{header}..{signature}")
}

/// Whether `signature` is what [`sign`] makes of `content`: the same text, byte for byte.
pub fn verify(signature: &str, content: &str, token: &BootstrapToken) -> bool {
    same_secret(signature, &sign(content, token))
}
