//! PEM text, because every key and certificate on disk or in a kubeconfig travels in it.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::pem::{self, PemObject, SectionKind};

/// Why PEM text could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No block of the wanted kind is in the text.
    #[error("no PEM block {wanted} found: the data is empty, or not PEM")]
    Missing {
        /// The block types that would have done.
        wanted: &'static str,
    },
    /// A block begins and is then damaged or cut off.
    #[error("the PEM block is damaged or cut off: {why}")]
    Damaged {
        /// What the decoder found.
        why: String,
    },
}

/// One decoded block: its kind and its bytes.
pub(crate) struct Section(pub SectionKind, pub Vec<u8>);

impl PemObject for Section {
    fn from_pem(kind: SectionKind, der: Vec<u8>) -> Option<Self> {
        Some(Self(kind, der))
    }
}

/// Every block of a known kind, in order.
pub(crate) fn sections(text: &[u8]) -> Result<Vec<Section>, PemError> {
    Section::pem_slice_iter(text)
        .map(|section| section.map_err(|e| PemError::Damaged { why: words(&e) }))
        .collect()
}

fn words(e: &pem::Error) -> String {
    match e {
        pem::Error::MissingSectionEnd { .. } => "the END line is missing".into(),
        pem::Error::Base64Decode(_) => "its body is not base64".into(),
        pem::Error::IllegalSectionStart { .. } => "the BEGIN line is not closed".into(),
        other => other.to_string(),
    }
}

/// `der` as one block, 64 characters to the line as Go and OpenSSL write it.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}
