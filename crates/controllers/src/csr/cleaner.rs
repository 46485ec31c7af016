//! csrcleaner: every hour, requests that nobody needs any more.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::DeleteParams;
use jiff::SignedDuration;
use pki::Certificate;
use serde_json::Value;
use world::Wall;

use super::CSRS;
use crate::{context::Context, objects::bytes};

const POLL: Duration = Duration::from_secs(3600);
const SETTLED: SignedDuration = SignedDuration::from_hours(1);
const OPEN: SignedDuration = SignedDuration::from_hours(24);

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let (informer, rest, host) = (c.informer(CSRS), c.rest("certificate-controller"), c.host.clone());
    c.host.spawn(async move {
        loop {
            host.recur(POLL).await;
            let now = host.clock().wall();
            for csr in informer.list().iter().filter(|csr| is_stale(csr, now)) {
                let name = csr.name();
                match rest.delete(&CSRS, None, name, &DeleteParams::default()).await {
                    Ok(_) => host.record("csr", vec![("name", name.to_owned()), ("state", "cleaned".into())]),
                    Err(e) if e.is_not_found() => {}
                    Err(e) => tracing::error!("unable to delete CSR {name:?}: {e}"),
                }
            }
        }
    });
}

fn is_stale(csr: &Value, now: Wall) -> bool {
    let older = |t: Option<Wall>, than: SignedDuration| t.is_some_and(|t| now.duration_since(t) > than);
    let updated = |kind: &str| {
        csr.list_at("/status/conditions")
            .iter()
            .find(|c| c.str_at("/type") == kind)
            .and_then(|c| c.time_at("/lastUpdateTime"))
    };
    let issued = csr.str_at("/status/certificate");
    let expired = || {
        let pem = bytes(csr, "/status/certificate");
        Certificate::parse_pem(&pem).is_ok_and(|chain| chain.iter().any(|c| now > c.not_after()))
    };
    let (approved, denied, failed) = (updated("Approved"), updated("Denied"), updated("Failed"));
    let pending = csr.list_at("/status/conditions").is_empty();
    if !issued.is_empty() && (older(approved, SETTLED) || expired()) {
        return true;
    }
    older(denied, SETTLED)
        || older(failed, SETTLED)
        || (pending && older(csr.time_at("/metadata/creationTimestamp"), OPEN))
        || (issued.is_empty() && older(approved, OPEN))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(status: Value, age: i64, stale: bool) {
        let begin: Wall = "2026-01-01T00:00:00Z".parse().expect("a time");
        let now = begin + SignedDuration::from_secs(age);
        let csr = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status});
        assert_eq!(is_stale(&csr, now), stale, "{csr} after {age} s");
    }

    #[test]
    fn each_state_has_its_age() {
        let with = |kind: &str, certificate: &str| json!({"certificate": certificate, "conditions": [{"type": kind, "lastUpdateTime": "2026-01-01T00:00:00Z"}]});
        for (status, edge) in [
            (with("Approved", "eA=="), 3600),
            (with("Denied", ""), 3600),
            (with("Failed", ""), 3600),
            (with("Approved", ""), 86_400),
            (json!({}), 86_400),
        ] {
            check(status.clone(), edge, false);
            check(status, edge + 1, true);
        }
    }
}
