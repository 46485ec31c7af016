//! When to renew: the deadline inside the certificate's life, and what to do when asking fails
//! (client-go `util/certificate/certificate_manager.go`).

use std::{sync::Arc, time::Duration};

use client::Rest;
use jiff::SignedDuration;
use parking_lot::Mutex;
use pki::{Certificate, CertifiedKey, ClientIdentity};
use tokio::sync::Notify;
use world::{Host, Wall};

use super::{request, store::FileStore};

/// First tries of one rotation: 2 s, doubling, five times; then every 32 s for ever.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);
const TRIES: u32 = 5;
const LATER: Duration = Duration::from_secs(32);

/// Keeps the node's client certificate fresh. It is the identity of the kubelet's client.
pub(crate) struct Manager {
    host: Host,
    node: String,
    store: FileStore,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    pair: Option<CertifiedKey>,
    /// The kubeconfig's embedded pair is in use: it is replaced at once.
    embedded: bool,
    server_healthy: bool,
}

/// What the certificate looks like to the one who watches over the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outlook {
    pub valid: bool,
    pub present: bool,
    pub server_healthy: bool,
}

impl Manager {
    /// Starts from the file store, else from what the kubeconfig embeds.
    pub(crate) fn new(
        host: &Host,
        node: &str,
        dir: &str,
        embedded: Option<CertifiedKey>,
    ) -> Result<Arc<Self>, String> {
        let store = FileStore::new(host, dir);
        let stored = store.current()?;
        let uses_embedded = stored.is_none() && embedded.is_some();
        let state = State { pair: stored.or(embedded), embedded: uses_embedded, server_healthy: false };
        Ok(Arc::new(Self {
            host: host.clone(),
            node: node.to_owned(),
            store,
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    pub(crate) fn outlook(&self) -> Outlook {
        let (now, state) = (self.host.clock().wall(), self.state.lock());
        Outlook {
            valid: state.pair.as_ref().is_some_and(|p| !is_expired(p, now)),
            present: state.pair.is_some(),
            server_healthy: state.server_healthy,
        }
    }

    /// Waits for the next change of the certificate.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Rotates for ever: with `normal` while the certificate is valid, else with `bootstrap`.
    pub(crate) async fn run(self: Arc<Self>, normal: Rest, bootstrap: Rest) {
        tracing::info!("Certificate rotation is enabled");
        loop {
            let wait = self.until_rotation();
            if let Some(wait) = wait {
                tracing::info!(sleep = ?wait, "Waiting for next certificate rotation");
                self.host.record("timer", vec![("rotation_in", format!("{}s", wait.as_secs()))]);
                // Counted on the running clock once it is known: a wall step does not wake it.
                self.host.clock().sleep(wait).await;
            }
            tracing::info!("Rotating certificates");
            let mut backoff = FIRST_BACKOFF;
            let mut tries = 0;
            while !self.rotate(&normal, &bootstrap).await {
                tries += 1;
                let pause = if tries < TRIES { self.host.entropy().jitter(backoff, 0.1) } else { LATER };
                backoff *= 2;
                self.host.clock().sleep(pause).await;
            }
        }
    }

    /// Time until the deadline by the wall clock now; `None` when a rotation is due at once.
    fn until_rotation(&self) -> Option<Duration> {
        let state = self.state.lock();
        let leaf = state.pair.as_ref().filter(|_| !state.embedded)?.leaf()?;
        let deadline = rotation_deadline(leaf, self.host.entropy().unit());
        let left = deadline.duration_since(self.host.clock().wall());
        (left > SignedDuration::ZERO).then(|| left.unsigned_abs())
    }

    async fn rotate(&self, normal: &Rest, bootstrap: &Rest) -> bool {
        let rest = if self.outlook().valid { normal } else { bootstrap };
        let obtained = request::obtain(&self.host, rest, &self.node).await;
        match obtained {
            Ok(pair) => {
                if let Err(e) = self.store.update(&pair) {
                    tracing::error!("Unable to store the new cert/key pair: {e}");
                    return false;
                }
                self.note(&pair);
                let mut state = self.state.lock();
                *state = State { pair: Some(pair), embedded: false, server_healthy: true };
                drop(state);
                self.changed.notify_waiters();
                true
            }
            Err(e) => {
                tracing::error!("Failed while requesting a signed certificate from the control plane: {e}");
                self.host.record("csr", vec![("error", e.clone())]);
                // An answer of any kind shows that somebody is there.
                let healthy = !is_unreachable(&e);
                self.state.lock().server_healthy = healthy;
                false
            }
        }
    }

    fn note(&self, pair: &CertifiedKey) {
        if let Some(leaf) = pair.leaf() {
            self.host.record(
                "certificate",
                vec![
                    ("cn", leaf.subject_cn().to_owned()),
                    ("serial", leaf.serial_hex()),
                    ("not_before", world::rfc3339(leaf.not_before())),
                    ("not_after", world::rfc3339(leaf.not_after())),
                ],
            );
        }
    }
}

fn is_expired(pair: &CertifiedKey, now: Wall) -> bool {
    pair.leaf().is_none_or(|c| now > c.not_after())
}

/// The words of a transport that got no answer.
fn is_unreachable(words: &str) -> bool {
    ["dial tcp", "EOF", "connection reset", "deadline exceeded", "x509:"].iter().any(|w| words.contains(w))
}

/// NotBefore plus a share of the life, uniform in [0.7, 0.9).
fn rotation_deadline(leaf: &Certificate, chance: f64) -> Wall {
    let life = leaf.not_after().duration_since(leaf.not_before());
    let share = SignedDuration::from_secs_f64(life.as_secs_f64() * (0.7 + 0.2 * chance));
    leaf.not_before().saturating_add(share).unwrap_or_else(|_| leaf.not_after())
}

impl ClientIdentity for Manager {
    /// Nothing once the certificate has expired: the handshake then shows none.
    fn current(&self) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let now = self.host.clock().wall();
        let pair = self.state.lock().pair.clone()?;
        if is_expired(&pair, now) {
            return None;
        }
        pair.to_rustls().ok()
    }
}
