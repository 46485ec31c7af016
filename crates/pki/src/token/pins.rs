//! Pins: hashes of authorities' public keys (`--discovery-token-ca-cert-hash`), by which a joining
//! node recognises the right cluster even if somebody knows its token.

use std::collections::BTreeSet;

use crate::Certificate;

/// Why a pin, or a bundle of authorities, was refused; kubeadm's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Not `format:value`.
    #[error(r#"invalid hash, expected "format:hex-value". Known format(s) are: sha256"#)]
    Format,
    /// Another format than `sha256`.
    #[error("unknown hash format {0:?}. Known format(s) are: sha256")]
    UnknownFormat(String),
    /// Not 64 hexadecimal digits.
    #[error("invalid hash {0:?}: want 64 hexadecimal digits")]
    Hash(String),
    /// None of the authorities is pinned.
    #[error("none of the public keys {:?} are pinned", .0.join(":"))]
    NotPinned(Vec<String>),
}

/// A set of pins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(BTreeSet<String>);

impl Pins {
    /// Reads `sha256:<hex>` each.
    ///
    /// # Errors
    /// One of them is no pin.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, PinError> {
        texts.into_iter().map(parse_one).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none, so that nothing would be checked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Passes if any authority of the bundle is pinned.
    ///
    /// # Errors
    /// None is.
    pub fn check(&self, bundle: &[Certificate]) -> Result<(), PinError> {
        let found: Vec<String> = bundle.iter().map(|c| c.public_key().pin()).collect();
        if found.iter().any(|pin| self.0.contains(pin)) { Ok(()) } else { Err(PinError::NotPinned(found)) }
    }
}

fn parse_one(text: &str) -> Result<String, PinError> {
    let (format, hash) = text.split_once(':').ok_or(PinError::Format)?;
    if !format.eq_ignore_ascii_case("sha256") {
        return Err(PinError::UnknownFormat(format.to_owned()));
    }
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(PinError::Hash(hash.to_owned()));
    }
    Ok(format!("sha256:{}", hash.to_ascii_lowercase()))
}
