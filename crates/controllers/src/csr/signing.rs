//! csrsigning: four signers, dates as upstream's (`pkg/controller/certificates/signer`).

use std::time::Duration;

use api::object::ObjectExt as _;
use client::{Rest, WorkQueue};
use pki::{Authority, Grant, csr::Csr, parse_usages};
use serde_json::{Value, json};
use world::{Host, Looks, Wall, mutant, rfc3339};

use super::{CSRS, approving::queue, files::Signing, rules};
use crate::{
    context::Context,
    objects::{base64, bytes, condition_is},
    start::start,
};

const BACKDATE: Duration = Duration::from_secs(300);
/// What counts as short.
const SHORT: Duration = Duration::from_secs(8 * 3600);
const RELOAD: Duration = Duration::from_secs(60);

/// Starts the loops, one for each signer that has an authority.
pub(crate) fn run(c: &Context, signing: Signing) {
    let (informer, rest) = (c.informer(CSRS), c.rest("certificate-controller"));
    for (signer, files) in signing.signers() {
        let (queue, all) = (queue(c), informer.clone());
        let follow = move |queue: &WorkQueue| {
            let feed = queue.clone();
            all.on(move |change| {
                if change.object().str_at("/spec/signerName") == signer {
                    feed.add(change.key());
                }
            });
        };
        let options = &c.options;
        let terms = Terms {
            longest: options.cluster_signing_duration,
            spare_short: options.kubernetes_version.signer_spares_short_certificates(),
            heeds_its_end: options.kubernetes_version.signer_heeds_its_end(),
        };
        let (host, rest, informer, files) = (c.host.clone(), rest.clone(), informer.clone(), files.clone());
        let workers = c.options.chronoplane_concurrent_csr_syncs;
        start(&c.host, [informer.clone()], queue, workers, follow, move |key| {
            let (host, rest, informer) = (host.clone(), rest.clone(), informer.clone());
            let authority = files.authority();
            async move {
                match informer.get_key(&key) {
                    Some(csr) => handle(&host, &rest, &authority, terms, &csr).await,
                    None => Ok(()),
                }
            }
        });
    }
    let mut looks = Looks::new(&c.host, RELOAD);
    c.host.spawn(async move {
        loop {
            looks.next().await;
            signing.signers().for_each(|(_, files)| files.reload());
        }
    });
}

/// For how long certificates are signed.
#[derive(Clone, Copy)]
struct Terms {
    longest: Duration,
    /// Whether a short certificate keeps its full time in spite of the backdate.
    spare_short: bool,
    /// Whether the end of the authority is an end for what it signs.
    heeds_its_end: bool,
}

async fn handle(
    host: &Host,
    rest: &Rest,
    authority: &Authority,
    terms: Terms,
    csr: &Value,
) -> Result<(), String> {
    let ready = condition_is(csr, "Approved", "True")
        && !condition_is(csr, "Failed", "True")
        && csr.str_at("/status/certificate").is_empty();
    if !ready {
        return Ok(());
    }
    let name = csr.name();
    let request = bytes(csr, "/spec/request");
    let parsed = Csr::parse(&request).map_err(|e| format!("unable to parse csr {name:?}: {e}"))?;
    let usages: Vec<&str> = csr.list_at("/spec/usages").iter().filter_map(Value::as_str).collect();
    let mut answer = csr.clone();
    if let Err(why) = rules::validate(csr.str_at("/spec/signerName"), &parsed, &usages) {
        let now = rfc3339(host.clock().wall());
        let mut conditions: Vec<Value> = csr.list_at("/status/conditions").to_vec();
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
        csr.i64_at("/spec/expirationSeconds").and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
    let life = asked.map_or(terms.longest, |asked| asked.min(terms.longest).max(Duration::from_secs(600)));
    let ends = if terms.heeds_its_end && !mutant("sign-past-authority") {
        authority.certificate.not_after()
    } else {
        Wall::MAX
    };
    let (not_before, not_after) = validity(host.clock().wall(), life, terms.spare_short, ends)?;
    let (key_usage, extended) = parse_usages(usages.iter().copied()).map_err(|e| e.to_string())?;
    let grant = Grant { key_usage, extended, not_before, not_after };
    let certificate = authority
        .sign_csr(host.entropy(), &parsed, &grant)
        .map_err(|e| format!("error auto signing csr: {e}"))?;
    answer["status"]["certificate"] = base64(certificate.to_pem().as_bytes()).into();
    rest.update_sub(&CSRS, None, name, "status", &answer)
        .await
        .map_err(|e| format!("error updating signature for csr: {e}"))?;
    if host.trace().is_recording() {
        let named = std::iter::once(("csr", name.to_owned()));
        host.record("certificate", named.chain(certificate.evidence()).collect());
    }
    Ok(())
}

/// Backdated by 5 min; a short certificate may be spared the loss; nothing outlives the authority
/// (`authority/policies.go`).
fn validity(now: Wall, life: Duration, spare_short: bool, ends: Wall) -> Result<(Wall, Wall), String> {
    let not_before = now.saturating_sub(BACKDATE).unwrap_or(Wall::MIN);
    let shown = ends.strftime("%Y-%m-%d %H:%M:%S +0000 UTC");
    if not_before >= ends {
        return Err(format!("the signer has expired: NotAfter={shown}"));
    }
    if now >= ends {
        return Err(format!("refusing to sign a certificate that expired in the past: NotAfter={shown}"));
    }
    let from = if spare_short && life < SHORT { now } else { not_before };
    let not_after = from.saturating_add(life).unwrap_or(Wall::MAX);
    Ok((not_before, not_after.min(ends)))
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
        let check = |life: Duration, spare: bool, ca_ends: i64, from: i64, to: i64| {
            let dates = validity(at(0), life, spare, at(ca_ends));
            assert_eq!(dates, Ok((at(from), at(to))), "{life:?}, spared: {spare}");
        };
        let far = 3650 * 86_400;
        check(hours(8760), true, far, -300, 8760 * 3600 - 300);
        check(hours(8), true, far, -300, 8 * 3600 - 300);
        check(hours(8) - Duration::from_secs(1), true, far, -300, 8 * 3600 - 1);
        check(Duration::from_secs(600), true, far, -300, 600);
        check(hours(8760), true, 1000, -300, 1000);
        // Until 1.21 a certificate could be over when it was issued.
        check(Duration::from_secs(300), false, far, -300, 0);
        check(hours(1), false, far, -300, 3300);
    }

    #[test]
    fn an_expired_authority_signs_nothing() {
        let check = |now: i64, words: &str| {
            let refused = validity(at(now), Duration::from_secs(3600), true, at(1000));
            assert_eq!(
                refused.expect_err("too late"),
                format!("{words}: NotAfter=2026-01-01 00:16:40 +0000 UTC")
            );
        };
        assert!(validity(at(999), Duration::from_secs(3600), true, at(1000)).is_ok());
        check(1000, "refusing to sign a certificate that expired in the past");
        check(1299, "refusing to sign a certificate that expired in the past");
        check(1300, "the signer has expired");
    }
}
