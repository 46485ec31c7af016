//! Client certificates, verified at each request: an expired one stops working on a connection that
//! is open, and so does one whose authority was taken out of the bundle.
//!
//! The costly part, the signatures, is remembered by `pki` with the connection's certificates; dates,
//! trust and use are looked at every time.

use pki::{Certificate, GoVersion, Roots, Usage, X509Error, verify_chain};
use world::{Wall, mutant};

use super::{CaBundle, Opinion};
use crate::identity::{CREDENTIAL_ID, User};

/// The user that the certificate names, if it holds at `now`; `reads_uid`: with the UID in its subject.
pub(super) fn authenticate(
    ca: &CaBundle,
    chain: &[Certificate],
    now: Wall,
    go: GoVersion,
    reads_uid: bool,
) -> Opinion {
    let Some(leaf) = chain.first() else { return Opinion::None };
    match verify(&ca.roots(), chain, now) {
        Ok(()) if leaf.subject_cn().is_empty() => Opinion::None,
        Ok(()) => Opinion::User(user(leaf, reads_uid)),
        Err(error) => {
            Opinion::Bad(format!("verifying certificate {} failed: {}", identifier(leaf), error.words(go)))
        }
    }
}

/// Whether the chain is a client's and leads to one of `roots`; names do not matter.
pub(super) fn verify(roots: &Roots, chain: &[Certificate], now: Wall) -> Result<(), X509Error> {
    let began = chain.first().map(Certificate::not_before).filter(|_| mutant("skip-request-dates"));
    verify_chain(chain, roots, began.unwrap_or(now), Usage::ClientAuth, None)
}

fn user(leaf: &Certificate, reads_uid: bool) -> User {
    let mut user = User {
        name: leaf.subject_cn().to_owned(),
        uid: leaf.subject_uid().filter(|_| reads_uid).unwrap_or_default().to_owned(),
        groups: leaf.organizations().to_vec(),
        ..User::default()
    };
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={}", leaf.sha256())]);
    user
}

/// `SN=7, SKID=AA:BB, AKID=CC:DD`
fn identifier(leaf: &Certificate) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":");
    let (skid, akid) = (hex(leaf.subject_key_id()), hex(leaf.authority_key_id()));
    format!("SN={}, SKID={skid}, AKID={akid}", leaf.serial_decimal())
}
