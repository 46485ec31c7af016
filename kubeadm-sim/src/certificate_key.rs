//! The key that encrypts a control plane's certificates on their way through the cluster: AES-256-GCM, its
//! nonce in front (`cmd/kubeadm/app/util/crypto`).

use std::{fmt, str::FromStr};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use world::Entropy;

use crate::session::{Failure, Result};

const LENGTH: usize = 32;

/// A certificate key; never printed but by [`CertificateKey::reveal`].
#[derive(Clone)]
pub(crate) struct CertificateKey([u8; LENGTH]);

impl CertificateKey {
    pub(crate) fn generate(entropy: &Entropy) -> Self {
        let mut bytes = [0; LENGTH];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// 64 hexadecimal digits, for a command line.
    pub(crate) fn reveal(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Nonce and ciphertext of `plain`.
    pub(crate) fn seal(&self, entropy: &Entropy, plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut text = plain.to_vec();
        self.cipher()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
            .map_err(|_| Failure::new("cipher: cannot encrypt"))?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// What was sealed with this key.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        let (nonce, text) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or_else(|| Failure::new("size of data is less than the nonce"))?;
        let refused = || Failure::new("cipher: message authentication failed");
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let mut text = text.to_vec();
        let plain = self.cipher()?.open_in_place(nonce, Aad::empty(), &mut text).map_err(|_| refused())?;
        Ok(plain.to_vec())
    }

    fn cipher(&self) -> Result<LessSafeKey> {
        let key = UnboundKey::new(&AES_256_GCM, &self.0);
        key.map(LessSafeKey::new).map_err(|_| Failure::new("cipher: the key cannot be used"))
    }
}

impl FromStr for CertificateKey {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: String| Failure::new(format!("error decoding certificate key: {why}"));
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(refuse(format!("encoding/hex: invalid byte: U+{:04X} {odd:?}", u32::from(odd))));
        }
        if text.len() != 2 * LENGTH {
            return Err(refuse(format!("{} digits, want {}", text.len(), 2 * LENGTH)));
        }
        let mut bytes = [0; LENGTH];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            let digits = text.get(at..at + 2).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).map_err(|e| refuse(e.to_string()))?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for CertificateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_only() {
        let entropy = Entropy::seeded(1, "test");
        let (key, other) = (CertificateKey::generate(&entropy), CertificateKey::generate(&entropy));
        let sealed = key.seal(&entropy, b"secret").expect("sealed");
        assert_eq!(sealed.len(), NONCE_LEN + 6 + 16);
        let again: CertificateKey = key.reveal().parse().expect("its own words");
        assert_eq!(again.open(&sealed).expect("opened"), b"secret");
        for (key, text) in [(&other, sealed.as_slice()), (&key, &sealed[..20])] {
            assert_eq!(key.open(text).expect_err("refused").0, "cipher: message authentication failed");
        }
        assert_ne!(key.seal(&entropy, b"secret").expect("sealed"), sealed, "another nonce");
    }

    #[test]
    fn only_sixty_four_digits_are_a_key() {
        for (text, words) in [
            ("abc", "error decoding certificate key: 3 digits, want 64"),
            ("xyz", "error decoding certificate key: encoding/hex: invalid byte: U+0078 'x'"),
        ] {
            assert_eq!(text.parse::<CertificateKey>().expect_err("refused").0, words);
        }
    }
}
