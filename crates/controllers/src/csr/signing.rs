//! csrsigning: four signers, one authority, dates as upstream's.

use std::{sync::Arc, time::Duration};

use client::{Rest, run_workers};
use parking_lot::Mutex;
use pki::{Authority, Grant, csr::Csr, parse_usages};
use serde_json::{Value, json};
use world::{Host, Wall, rfc3339};

use super::{CSRS, approving::queue, rules};
use crate::{
    context::Context,
    objects::{base64, bytes, condition_is, list, number, text},
    options::ManagerOptions,
};

const SIGNERS: [&str; 4] =
    [rules::KUBELET_SERVING, rules::KUBELET_CLIENT, rules::CLIENT, rules::LEGACY_UNKNOWN];
const BACKDATE: Duration = Duration::from_secs(300);
/// Certificates shorter than this get their full time in spite of the backdate.
const SHORT: Duration = Duration::from_secs(8 * 3600);
const RELOAD: Duration = Duration::from_secs(60);

/// The authority of the signers, reloaded from its files.
#[derive(Clone)]
pub(crate) struct Signing(Arc<Files>);

struct Files {
    host: Host,
    certificate: String,
    key: String,
    authority: Mutex<Arc<Authority>>,
}

impl Signing {
    /// From the flags; `None` when no files are given.
    ///
    /// # Errors
    /// Only one of the two is given, or they are unreadable.
    pub(crate) fn load(host: &Host, options: &ManagerOptions) -> Result<Option<Self>, String> {
        let given = |o: &Option<String>| o.clone().filter(|p| !p.is_empty());
        match (given(&options.cluster_signing_cert_file), given(&options.cluster_signing_key_file)) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let authority = Mutex::new(Arc::new(read(host, &certificate, &key)?));
                Ok(Some(Self(Arc::new(Files { host: host.clone(), certificate, key, authority }))))
            }
            _ => Err("--cluster-signing-cert-file and --cluster-signing-key-file belong together: give both or neither".into()),
        }
    }

    fn authority(&self) -> Arc<Authority> {
        self.0.authority.lock().clone()
    }

    /// Reads the files anew; keeps the old pair when the new one does not fit.
    fn reload(&self) {
        match read(&self.0.host, &self.0.certificate, &self.0.key) {
            Ok(authority) => *self.0.authority.lock() = Arc::new(authority),
            Err(e) => tracing::error!("keeping the CSR signing authority in use: {e}"),
        }
    }
}

fn read(host: &Host, certificate: &str, key: &str) -> Result<Authority, String> {
    let pem = |path: &str| {
        host.disk().read(path).map_err(|e| format!("failed to load the CSR signing authority: {e}"))
    };
    Authority::from_pem(&pem(certificate)?, &pem(key)?)
        .map_err(|e| format!("failed to load the CSR signing authority from {certificate} and {key}: {e}"))
}

/// Starts the loops.
pub(crate) fn run(c: &Context, signing: Signing) {
    let (informer, rest) = (c.informer(CSRS), c.rest("certificate-controller"));
    for signer in SIGNERS {
        let queue = queue(c);
        let feed = queue.clone();
        informer.on(move |change| {
            if text(change.object(), "/spec/signerName") == signer {
                feed.add(change.key());
            }
        });
        let (host, options) = (c.host.clone(), c.options.clone());
        let (rest, informer, signing) = (rest.clone(), informer.clone(), signing.clone());
        run_workers(&c.host, c.options.chronoplane_concurrent_csr_syncs, &queue, move |key| {
            let (host, options, rest) = (host.clone(), options.clone(), rest.clone());
            let (informer, signing) = (informer.clone(), signing.clone());
            async move {
                match informer.get_key(&key) {
                    Some(csr) => {
                        handle(&host, &rest, &signing.authority(), options.cluster_signing_duration, &csr)
                            .await
                    }
                    None => Ok(()),
                }
            }
        });
    }
    let host = c.host.clone();
    c.host.spawn(async move {
        loop {
            host.recur(RELOAD).await;
            signing.reload();
        }
    });
}

async fn handle(
    host: &Host,
    rest: &Rest,
    authority: &Authority,
    longest: Duration,
    csr: &Value,
) -> Result<(), String> {
    let ready = condition_is(csr, "Approved", "True")
        && !condition_is(csr, "Failed", "True")
        && text(csr, "/status/certificate").is_empty();
    if !ready {
        return Ok(());
    }
    let name = text(csr, "/metadata/name");
    let request = bytes(csr, "/spec/request");
    let parsed = Csr::parse(&request).map_err(|e| format!("unable to parse csr {name:?}: {e}"))?;
    let usages: Vec<&str> = list(csr, "/spec/usages").filter_map(Value::as_str).collect();
    let mut answer = csr.clone();
    if let Err(why) = rules::validate(text(csr, "/spec/signerName"), &parsed, &usages) {
        let now = rfc3339(host.clock().wall());
        let mut conditions: Vec<Value> = list(csr, "/status/conditions").cloned().collect();
        conditions.push(json!({
            "lastTransitionTime": now,
            "lastUpdateTime": now,
            "message": why,
            "reason": "SignerValidationFailure",
            "status": "True",
            "type": "Failed",
        }));
        answer["status"]["conditions"] = conditions.into();
        rest.update_sub(&CSRS, None, name, "status", &answer)
            .await
            .map_err(|e| format!("error adding failure condition for csr: {e}"))?;
        host.record("csr", vec![("name", name.to_owned()), ("state", "failed".into())]);
        return Ok(());
    }
    let asked =
        number(csr, "/spec/expirationSeconds").and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
    let life = asked.map_or(longest, |asked| asked.min(longest).max(Duration::from_secs(600)));
    let (not_before, not_after) = validity(host.clock().wall(), life, authority.certificate.not_after())?;
    let (key_usage, extended) = parse_usages(usages.iter().copied()).map_err(|e| e.to_string())?;
    let grant = Grant { key_usage, extended, not_before, not_after };
    let certificate = authority
        .sign_csr(host.entropy(), &parsed, &grant)
        .map_err(|e| format!("error auto signing csr: {e}"))?;
    answer["status"]["certificate"] = base64(certificate.to_pem().as_bytes()).into();
    rest.update_sub(&CSRS, None, name, "status", &answer)
        .await
        .map_err(|e| format!("error updating signature for csr: {e}"))?;
    host.record(
        "certificate",
        vec![
            ("csr", name.to_owned()),
            ("cn", certificate.subject_cn().to_owned()),
            ("serial", certificate.serial_hex()),
            ("not_before", rfc3339(certificate.not_before())),
            ("not_after", rfc3339(certificate.not_after())),
        ],
    );
    Ok(())
}

/// Backdated by 5 min; a short certificate does not pay for it; nothing outlives the authority.
fn validity(now: Wall, life: Duration, authority_ends: Wall) -> Result<(Wall, Wall), String> {
    if now >= authority_ends {
        return Err(format!(
            "refusing to sign a certificate that expired in the past: NotAfter={authority_ends}"
        ));
    }
    let not_before = now.saturating_sub(BACKDATE).unwrap_or(Wall::MIN);
    let from = if life < SHORT { now } else { not_before };
    let not_after = from.saturating_add(life).unwrap_or(Wall::MAX);
    Ok((not_before, not_after.min(authority_ends)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Wall {
        Wall::from_second(1_767_225_600 + seconds).expect("in range")
    }

    #[test]
    fn dates_of_a_signed_certificate() {
        let hours = |h: u64| Duration::from_secs(h * 3600);
        let check = |life: Duration, ca_ends: i64, from: i64, to: i64| {
            assert_eq!(validity(at(0), life, at(ca_ends)), Ok((at(from), at(to))), "{life:?}");
        };
        let far = 3650 * 86_400;
        check(hours(8760), far, -300, 8760 * 3600 - 300);
        check(hours(8), far, -300, 8 * 3600 - 300);
        check(hours(8) - Duration::from_secs(1), far, -300, 8 * 3600 - 1);
        check(Duration::from_secs(600), far, -300, 600);
        check(hours(8760), 1000, -300, 1000);
        assert!(validity(at(1000), hours(1), at(1000)).is_err(), "an expired authority signs nothing");
    }
}
