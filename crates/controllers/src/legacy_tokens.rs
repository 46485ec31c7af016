//! legacy-serviceaccount-token-cleaner: tokens of before 1.24 that nobody has used for a year are marked
//! as invalid, and removed a year later (`pkg/controller/serviceaccount/legacy_serviceaccount_token_cleaner.go`).

use std::time::Duration;

use api::object::ObjectExt as _;
use client::{ClientError, DeleteParams, Informer, Patch, Resource, Rest};
use jiff::{SignedDuration, civil::Date, tz::TimeZone};
use serde_json::{Value, json};
use world::{Host, Wall};

use crate::{context::Context, pods::PODS};

const SECRETS: Resource = Resource::core("secrets");
const ACCOUNTS: Resource = Resource::core("serviceaccounts");
const CONFIG_MAPS: Resource = Resource::core("configmaps");
const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";
const PERIOD: Duration = Duration::from_secs(24 * 3600);
const LAST_USED: &str = "/metadata/labels/kubernetes.io~1legacy-token-last-used";
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

struct Loop {
    host: Host,
    rest: Rest,
    secrets: Informer,
    accounts: Informer,
    pods: Informer,
    unused: SignedDuration,
}

/// What is to be done with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Mark,
    Delete,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let this = Loop {
        host: c.host.clone(),
        rest: c.rest("legacy-service-account-token-cleaner"),
        secrets: c.informer(SECRETS),
        accounts: c.informer(ACCOUNTS),
        pods: c.informer(PODS),
        unused: SignedDuration::try_from(c.options.legacy_service_account_token_clean_up_period)
            .unwrap_or(SignedDuration::MAX),
    };
    c.host.spawn(async move {
        for informer in [&this.secrets, &this.accounts, &this.pods] {
            informer.synced().await;
        }
        loop {
            let due = match this.clean().await {
                Ok(due) => due,
                Err(e) => {
                    tracing::error!("legacy service account tokens not cleaned up: {e}");
                    None
                }
            };
            // A year is a span of validity and no pace: a stretched world waits for whole days as well, but leaves out
            // those on which nothing can be due.
            tokio::select! {
                biased;
                () = this.host.recur(PERIOD) => {}
                () = this.host.clock().sleep(days_until(due, this.host.clock().wall())) => {}
            }
        }
    });
}

/// Whole days from `now` until `due`, at least one; one if nobody knows.
fn days_until(due: Option<Wall>, now: Wall) -> Duration {
    let left = due.and_then(|due| Duration::try_from(due.duration_since(now)).ok()).unwrap_or_default();
    let days = left.as_secs().div_ceil(PERIOD.as_secs()).max(1);
    PERIOD.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX))
}

fn day(object: &Value, at: &str) -> Option<Wall> {
    let date: Date = object.str_at(at).parse().ok()?;
    date.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
}

impl Loop {
    /// Gives the earliest time at which there can be something to do again.
    async fn clean(&self) -> Result<Option<Wall>, ClientError> {
        let now = self.host.clock().wall();
        let tracking = self.rest.get_opt(&CONFIG_MAPS, Some("kube-system"), TRACKING).await?;
        let Some(since) = tracking.as_ref().and_then(|map| day(map, "/data/since")) else { return Ok(None) };
        if now.duration_since(since) < self.unused {
            return Ok(since.checked_add(self.unused).ok());
        }
        // What is made from now on has to be that old first.
        let mut due = now.checked_add(self.unused).ok();
        for secret in self.secrets.list() {
            if secret.str_at("/type") != "kubernetes.io/service-account-token" {
                continue;
            }
            // Its account or its pods may let go of it any day.
            due = due.min(Some(now));
            if !self.is_automatic(&secret) {
                continue;
            }
            let (namespace, name) = (secret.namespace(), secret.name());
            let outcome = match verdict(&secret, now, self.unused) {
                Verdict::Keep => continue,
                Verdict::Mark => {
                    let labels = json!({INVALID_SINCE: now.strftime("%Y-%m-%d").to_string()});
                    let patch = json!({"metadata": {"labels": labels, "uid": secret.uid()}});
                    self.rest.patch(&SECRETS, Some(namespace), name, Patch::Merge(&patch), None).await
                }
                Verdict::Delete => {
                    let params = DeleteParams {
                        resource_version: Some(secret.resource_version().to_owned()),
                        ..DeleteParams::default()
                    };
                    self.rest.delete(&SECRETS, Some(namespace), name, &params).await
                }
            };
            match outcome {
                Err(e) if !e.is_not_found() && !e.is_conflict() => return Err(e),
                _ => {}
            }
        }
        Ok(due)
    }

    /// Made on an account's own, which still names it; and no pod mounts it.
    fn is_automatic(&self, secret: &Value) -> bool {
        let (namespace, name) = (secret.namespace(), secret.name());
        let at = |field: &str| format!("/metadata/annotations/kubernetes.io~1service-account.{field}");
        let account = self.accounts.get(namespace, secret.str_at(&at("name")));
        let named = account.is_some_and(|a| {
            a.uid() == secret.str_at(&at("uid"))
                && a.list_at("/secrets").iter().any(|s| s.str_at("/name") == name)
        });
        let mounts =
            |pod: &Value| pod.list_at("/spec/volumes").iter().any(|v| v.str_at("/secret/secretName") == name);
        named && !self.pods.by_namespace(namespace).iter().any(|p| mounts(p))
    }
}

fn verdict(secret: &Value, now: Wall, unused: SignedDuration) -> Verdict {
    let over = |since: Option<Wall>| since.is_some_and(|s| now.duration_since(s) >= unused);
    let used = match secret.str_at(LAST_USED) {
        "" => secret.time_at("/metadata/creationTimestamp"),
        _ => day(secret, LAST_USED),
    };
    if !over(used) {
        return Verdict::Keep;
    }
    match day(secret, "/metadata/labels/kubernetes.io~1legacy-token-invalid-since") {
        None => Verdict::Mark,
        marked if over(marked) => Verdict::Delete,
        Some(_) => Verdict::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_unused_and_a_year_invalid() {
        let check = |labels: Value, expect: Verdict| {
            let secret = json!({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z", "labels": labels}});
            let now = "2026-01-01T00:00:00Z".parse().expect("a time");
            assert_eq!(verdict(&secret, now, SignedDuration::from_hours(8760)), expect, "{secret}");
        };
        let used = |day: &str| json!({"kubernetes.io/legacy-token-last-used": day});
        check(json!({}), Verdict::Mark);
        check(used("2025-01-02"), Verdict::Keep);
        check(used("2025-01-01"), Verdict::Mark);
        check(json!({INVALID_SINCE: "2025-01-02"}), Verdict::Keep);
        check(json!({INVALID_SINCE: "2025-01-01"}), Verdict::Delete);
    }
}
