//! Bootstrap tokens: the little that a node knows before it has a certificate.
//!
//! * [`BootstrapToken`]: `abcdef.0123456789abcdef`, a public id and a secret
//! * [`TokenSecret`]: the Secret that carries one, and who may do what with it at an instant
//! * [`jws`]: the signature under the ConfigMap `cluster-info`
//! * [`Pins`]: hashes of authorities' keys that a joining node was given

pub mod jws;
mod pins;
mod secret;

use std::{fmt, str::FromStr};

use subtle::ConstantTimeEq;
use world::Entropy;

pub use pins::{PinError, Pins};
pub use secret::{DEFAULT_NODE_GROUP, NAMESPACE, Refusal, SECRET_PREFIX, SECRET_TYPE, TokenSecret, is_group};

/// The form of a token, as kubeadm prints it.
pub const PATTERN: &str = r"\A([a-z0-9]{6})\.([a-z0-9]{16})\z";

const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A bootstrap token. Its secret is never printed but by [`BootstrapToken::reveal`].
#[derive(Clone)]
pub struct BootstrapToken {
    id: String,
    secret: String,
}

/// Text that is no bootstrap token, in kubeadm's words. It does not repeat the text, which may hold
/// a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bootstrap token was not of the form {PATTERN:?}")]
pub struct InvalidToken;

impl BootstrapToken {
    /// A token of these parts.
    ///
    /// # Errors
    /// Six and sixteen characters of `a-z0-9` are wanted.
    pub fn new(id: &str, secret: &str) -> Result<Self, InvalidToken> {
        let fits = |text: &str, len| text.len() == len && text.bytes().all(|b| ALPHABET.contains(&b));
        if fits(id, 6) && fits(secret, 16) {
            Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
        } else {
            Err(InvalidToken)
        }
    }

    /// A new token, decided by `entropy`.
    pub fn generate(entropy: &Entropy) -> Self {
        Self { id: entropy.pick(ALPHABET, 6), secret: entropy.pick(ALPHABET, 16) }
    }

    /// The public half.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret half.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The whole token, for a command line or an Authorization header.
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }

    /// The user that it authenticates as: `system:bootstrap:<id>`.
    pub fn user_name(&self) -> String {
        format!("system:bootstrap:{}", self.id)
    }

    /// The name of its Secret in `kube-system`: `bootstrap-token-<id>`.
    pub fn secret_name(&self) -> String {
        format!("{SECRET_PREFIX}{}", self.id)
    }
}

impl FromStr for BootstrapToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, secret) = text.split_once('.').ok_or(InvalidToken)?;
        Self::new(id, secret)
    }
}

impl PartialEq for BootstrapToken {
    fn eq(&self, other: &Self) -> bool {
        same_secret(&self.secret, &other.secret) && self.id == other.id
    }
}

impl Eq for BootstrapToken {}

impl fmt::Debug for BootstrapToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootstrapToken({}.…)", self.id)
    }
}

/// Compares secrets in a time that depends on their length only.
pub fn same_secret(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
