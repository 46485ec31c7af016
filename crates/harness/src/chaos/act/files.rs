//! A stranger's certificates on the control plane's disk.

use std::time::Duration;

use pki::{CertSpec, CertifiedKey};

use super::{
    super::{
        fault::Replaced,
        scene::{Scene, issue, stranger},
    },
    PKI, tried,
};
use crate::{HarnessError, cluster::CONTROL_PLANE};

/// Files of a stranger for a while, then those that were there.
pub(super) async fn replace(scene: &Scene, which: Replaced, lasts: Duration) -> Result<(), HarnessError> {
    let disk = scene.host(CONTROL_PLANE).disk().clone();
    let path = |file: &str| format!("{PKI}/{file}");
    let mut before = Vec::new();
    for file in which.files() {
        before.push((path(file), disk.read(path(file)).map_err(HarnessError::new)?));
    }
    let written = |files: &[(String, Vec<u8>)]| {
        files.iter().try_for_each(|(path, text)| {
            let mode = if path.ends_with(".key") { 0o600 } else { 0o644 };
            disk.write(path, text, mode).map_err(HarnessError::new)
        })
    };
    let now = strangers(scene, which, &before)?;
    let is_authority = which == Replaced::ClientAuthority;
    if is_authority {
        scene.replace_authority(true);
    }
    let outcome = written(&now);
    if outcome.is_ok() {
        scene.sim().elapse(lasts).await;
    }
    let restored = tried(scene, async || written(&before)).await;
    if is_authority {
        scene.replace_authority(false);
    }
    outcome.and(restored)
}

/// A stranger's files in place of these.
fn strangers(
    scene: &Scene,
    which: Replaced,
    files: &[(String, Vec<u8>)],
) -> Result<Vec<(String, Vec<u8>)>, HarnessError> {
    let host = scene.host(CONTROL_PLANE);
    let authority = stranger(&host)?;
    if which == Replaced::ClientAuthority {
        let pem = authority.certificate.to_pem().into_bytes();
        return Ok(files.iter().map(|(path, _)| (path.clone(), pem.clone())).collect());
    }
    let [(certificate, old), (key, old_key)] = files else {
        return Err(HarnessError::new("a certificate and its key are replaced together"));
    };
    let old = CertifiedKey::from_pem(old, old_key).map_err(HarnessError::new)?;
    let leaf = old.leaf().ok_or_else(|| HarnessError::new(format!("{certificate} holds no certificate")))?;
    let spec = CertSpec {
        common_name: leaf.subject_cn().to_owned(),
        organizations: leaf.organizations().to_vec(),
        dns_names: leaf.dns_names().to_vec(),
        ips: leaf.ip_addresses().to_vec(),
        client_auth: which != Replaced::Serving,
        server_auth: which == Replaced::Serving,
        not_before: leaf.not_before(),
        not_after: leaf.not_after(),
    };
    let pair = issue(&host, &authority, &spec)?;
    Ok(vec![(certificate.clone(), pair.chain_pem().into_bytes()), (key.clone(), pair.key_pem().into_bytes())])
}
