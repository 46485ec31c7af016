//! A webhook that a kubeconfig file names, as authentication, authorization and the audit log call it: one object
//! posted, one object back, and posted again where trying again may help.
//!
//! The file's server is the whole URL, path included. Credentials in files are read again when they change; the
//! server's authority is read once, at start.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use client::{ClientError, Rest};
use pki::{GoVersion, kubeconfig::Kubeconfig};
use serde_json::Value;
use wire::Cause;
use world::Host;

/// For one try, the body of the answer included.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Tries in all, and the waits between them.
const STEPS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const FACTOR: f64 = 1.5;
const JITTER: f64 = 0.2;

/// A webhook. Cheap to clone; clones share a connection.
#[derive(Clone, Debug)]
pub struct WebhookClient {
    rest: Rest,
}

impl WebhookClient {
    /// The webhook that the current context of the kubeconfig at `path` names; `agent` is how we introduce ourselves.
    ///
    /// # Errors
    /// No kubeconfig, or one that names what cannot be used. The webhook itself is not asked yet.
    pub fn from_file(host: &Host, path: &Path, go: GoVersion, agent: &str) -> Result<Self, ClientError> {
        let config = Kubeconfig::load(host.disk(), path)?;
        Self::new(host, &config, go, agent)
    }

    /// As [`WebhookClient::from_file`], of a kubeconfig that was read already.
    ///
    /// # Errors
    /// As [`WebhookClient::from_file`].
    pub fn new(host: &Host, config: &Kubeconfig, go: GoVersion, agent: &str) -> Result<Self, ClientError> {
        let rest = Rest::from_kubeconfig(host, config, go, agent)?;
        Ok(Self { rest: rest.with_timeout(TIMEOUT) })
    }

    /// The same webhook with another limit for one try.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { rest: self.rest.with_timeout(timeout) }
    }

    /// Posts a review and returns the webhook's. What may pass by itself is waited for: a connection that was
    /// reset, a 500, a 504, a 429, and whoever says when to come back.
    ///
    /// # Errors
    /// The last try's: no answer, an answer that is no object, or a refusal.
    pub async fn call(&self, review: &Value) -> Result<Value, ClientError> {
        let mut tries = Tries::from(FIRST_WAIT);
        loop {
            let outcome = self.rest.post(review).await;
            let error = outcome.as_ref().err().filter(|error| is_transient(error));
            let Some(error) = error else { return outcome };
            if !tries.another(&self.rest, error).await {
                return outcome;
            }
        }
    }

    /// Posts a document until it is taken: there is hardly an error that will not pass. `wait` is the first wait.
    ///
    /// # Errors
    /// The last try's.
    pub async fn deliver(&self, document: &Bytes, wait: Duration) -> Result<(), ClientError> {
        let mut tries = Tries::from(wait);
        loop {
            let Err(error) = self.rest.post_unread(document.clone()).await else { return Ok(()) };
            if !tries.another(&self.rest, &error).await {
                return Err(error);
            }
        }
    }
}

/// The tries of one call, each wait longer than the one before (`WithExponentialBackoff`).
struct Tries {
    left: u32,
    wait: Duration,
}

impl Tries {
    fn from(wait: Duration) -> Self {
        Self { left: STEPS - 1, wait }
    }

    /// Waits for the next try, after an error; whether there is one.
    async fn another(&mut self, rest: &Rest, error: &ClientError) -> bool {
        if self.left == 0 {
            return false;
        }
        let host = rest.http().host();
        tracing::debug!(url = rest.http().url(), %error, "a webhook is asked again");
        host.clock().sleep(host.entropy().jitter(self.wait, JITTER)).await;
        self.left -= 1;
        self.wait = self.wait.mul_f64(FACTOR);
        true
    }
}

fn is_transient(error: &ClientError) -> bool {
    let asks_for_delay =
        |s: &api::status::Status| s.details.as_ref().is_some_and(|d| d.retry_after_seconds > 0);
    match error {
        ClientError::Transport(error) => matches!(error.cause(), Some(Cause::Reset { .. })),
        ClientError::Status(s) => {
            s.is_internal()
                || s.is_timeout()
                || s.is_too_many_requests()
                || s.is_server_timeout()
                || asks_for_delay(s)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use pki::kubeconfig::{Cluster, User};
    use serde_json::json;

    use super::*;
    use crate::admission::testing::{Fake, PORT};

    fn config(server: &str) -> Kubeconfig {
        let cluster = Cluster { server: server.to_owned(), ..Cluster::default() };
        Kubeconfig::new("hook", cluster, "apiserver", User::default())
    }

    /// What comes of a webhook that always answers `code`: how often it is asked, and how long that takes.
    fn check(code: u16, body: Value, tries: usize) {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let fake = Fake::plain(&sim).await;
            let hook = WebhookClient::new(
                &fake.host,
                &config(&format!("http://127.0.0.1:{PORT}/check")),
                (1, 26),
                "us",
            );
            let hook = hook.unwrap();
            fake.put("POST /check", code, body.clone());
            let start = fake.host.clock().monotonic();
            let answer = hook.call(&json!({"kind": "Review"})).await;
            assert_eq!(answer.is_ok(), code == 200, "{code}: {answer:?}");
            assert_eq!(fake.seen(), vec!["POST /check"; tries], "{code}");
            let waited = fake.host.clock().monotonic().since(start).as_secs_f64();
            let waits = if tries == 1 { 0.0 } else { 0.5 + 0.75 + 1.125 + 1.6875 };
            assert!((waits..=waits * 1.2 + 0.01).contains(&waited), "{code}: {waited} s");
        })
        .unwrap();
    }

    #[test]
    fn what_may_pass_by_itself_is_tried_five_times() {
        let status = |code, reason: &str| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "m"});
        check(200, json!({"kind": "Review", "status": {"allowed": true}}), 1);
        check(500, json!({}), 5);
        check(502, json!({}), 5);
        check(504, json!({}), 5);
        check(429, json!({}), 5);
        check(500, status(500, "InternalError"), 5);
        check(500, status(500, "ServerTimeout"), 5);
        check(503, json!({}), 1);
        check(403, status(403, "Forbidden"), 1);
        check(404, json!({}), 1);
        // A Status that says no, in the clothes of a success.
        check(201, status(422, "Invalid"), 1);
    }

    #[test]
    fn nobody_there_is_an_error_at_once() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let fake = Fake::plain(&sim).await;
            let hook =
                WebhookClient::new(&fake.host, &config("http://127.0.0.1:1/check"), (1, 26), "us").unwrap();
            let start = fake.host.clock().monotonic();
            let error = hook.call(&json!({})).await.unwrap_err().to_string();
            assert_eq!(
                error,
                "Post \"http://127.0.0.1:1/check?timeout=30s\": dial tcp 127.0.0.1:1: connect: connection refused"
            );
            assert!(fake.host.clock().monotonic().since(start) < Duration::from_millis(100));
        })
        .unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let host = sim.host("master");
            let error =
                WebhookClient::from_file(&host, Path::new("/etc/hook.conf"), (1, 26), "us").unwrap_err();
            assert!(error.to_string().contains("/etc/hook.conf"), "{error}");
        })
        .unwrap();
    }
}
