//! Tokens of a pod's service account: asked for by the kubelet, renewed before their end
//! (`pkg/kubelet/token/token_manager.go`).

use std::{collections::BTreeMap, time::Duration};

use api::object::ObjectExt as _;
use client::Resource;
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::{Host, Wall};

use super::worker::Worker;

/// A token is renewed at this age, however long it lives.
const OLDEST: i64 = 24 * 3600;
/// So that not all pods of a node ask at once.
const MOST_JITTER: Duration = Duration::from_secs(10);
/// What a volume asks for that does not say how long.
const LIFETIME: i64 = 3600;

/// The tokens of one pod, by audience and lifetime.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<(String, i64), Held>>);

struct Held {
    token: String,
    refresh: Wall,
    end: Wall,
}

/// When a token is renewed that was asked for `seconds` and ends at `end`: at 80 % of its life or
/// after a day, and a little before.
fn refresh_at(end: Wall, seconds: i64, jitter: Duration) -> Wall {
    let before = |by: i64| end.checked_sub(SignedDuration::from_secs(by)).unwrap_or(Wall::MIN);
    let at = before(seconds * 20 / 100).min(before(seconds - OLDEST));
    at.checked_sub(SignedDuration::try_from(jitter).unwrap_or_default()).unwrap_or(at)
}

impl Tokens {
    /// How long until the first of them is to be renewed; `None` if that should have been.
    pub(super) fn due(&self, host: &Host) -> Option<Duration> {
        let first = self.0.lock().values().map(|h| h.refresh).min()?;
        let left = Duration::try_from(first.duration_since(host.clock().wall())).ok()?;
        // One second later `now` is after it for certain.
        Some(left + Duration::from_secs(1))
    }

    pub(super) fn are_there(&self) -> bool {
        !self.0.lock().is_empty()
    }

    fn current(&self, key: &(String, i64), now: Wall) -> Option<(String, bool, bool)> {
        let held = self.0.lock();
        held.get(key).map(|h| (h.token.clone(), now > h.refresh, now > h.end))
    }
}

impl Worker {
    /// A token for the volume source `wanted`: the one that is held until it must be renewed.
    ///
    /// # Errors
    /// There is none and none can be got; the apiserver's words.
    pub(super) async fn token(&self, wanted: &Value) -> Result<String, String> {
        let seconds = wanted.i64_at("/expirationSeconds").unwrap_or(LIFETIME);
        let key = (wanted.str_at("/audience").to_owned(), seconds);
        let now = self.host().clock().wall();
        let held = self.tokens().current(&key, now);
        if let Some((token, false, _)) = &held {
            return Ok(token.clone());
        }
        match (self.request_token(&key).await, held) {
            (Ok(token), _) => Ok(token),
            (Err(why), Some((token, _, false))) => {
                tracing::error!(pod = self.key(), "Couldn't update token: {why}");
                Ok(token)
            }
            (Err(why), Some((_, _, true))) => Err(format!("token expired and refresh failed: {why}")),
            (Err(why), None) => Err(format!("failed to fetch token: {why}")),
        }
    }

    async fn request_token(&self, key: &(String, i64)) -> Result<String, String> {
        let (audience, seconds) = key;
        let Some(rest) = self.node().rest() else { return Err("the kubelet has no apiserver yet".into()) };
        let pod = self.pod();
        let mut request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": pod.uid()},
                "expirationSeconds": seconds,
            },
        });
        if !audience.is_empty() {
            request["spec"]["audiences"] = json!([audience]);
        }
        let account = match pod.str_at("/spec/serviceAccountName") {
            "" => "default",
            name => name,
        };
        let accounts = Resource::core("serviceaccounts");
        let answer = rest.create_sub(&accounts, Some(pod.namespace()), account, "token", &request).await;
        let answer = answer.map_err(|e| e.to_string())?;
        let token = answer.str_at("/status/token").to_owned();
        let end = answer.time_at("/status/expirationTimestamp");
        let end = end.ok_or("the answer has no status.expirationTimestamp")?;
        let granted = answer.i64_at("/spec/expirationSeconds").unwrap_or(*seconds);
        let jitter = MOST_JITTER.mul_f64(self.host().entropy().unit());
        let refresh = refresh_at(end, granted, Duration::from_secs(jitter.as_secs()));
        self.tokens().0.lock().insert(key.clone(), Held { token: token.clone(), refresh, end });
        self.host().record("token", vec![("pod", self.key()), ("until", world::rfc3339(end))]);
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_at_eighty_percent_or_after_a_day() {
        let check = |seconds: i64, jitter: u64, after: i64| {
            let start = Wall::UNIX_EPOCH;
            let end = start + SignedDuration::from_secs(seconds);
            let at = refresh_at(end, seconds, Duration::from_secs(jitter));
            assert_eq!(at.duration_since(start).as_secs(), after, "{seconds}");
        };
        check(3600, 0, 2880);
        check(3607, 7, 3607 - 721 - 7);
        check(600, 0, 480);
        check(7 * 86_400, 0, 86_400);
    }
}
